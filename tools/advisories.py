"""Asks whether a locked package has a known vulnerability, and says so in sentences.

    python tools/advisories.py PROGRAM LOCK...

PROGRAM is pip-audit. Its two sources are asked in turn, until one answers. A package that a source does not
know is not counted as sound, as pip-audit itself would count it.

Exit status: 0 if no package has one, 1 if one has, 3 if not every package could be looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any, Final

from locked import ROOT, locked

SOURCES: Final = ("pypi", "osv")
FOUND: Final = 1
NOT_LOOKED_UP: Final = 3


@dataclass(slots=True)
class Answer:
    """What a source says: which packages it looked up, which it did not, what is known against them."""

    asked: int = 0
    unknown: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)


def ask(program: str, source: str, locks: list[str]) -> Answer | str:
    """Returns what a source says of each package in the lock files, or why it gave no answer."""
    files = [argument for lock in locks for argument in ("--requirement", lock)]
    command = [program, "--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json"]
    command += ["--vulnerability-service", source, "--timeout=10", *files]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(ended.stdout)["dependencies"]
    except ValueError:
        return (ended.stderr.splitlines() or ["it said nothing"])[-1]
    answer = judge(packages)
    return answer if answer.asked else "it knows none of the packages"


def judge(packages: list[dict[str, Any]]) -> Answer:
    """Returns pip-audit's list as an answer. A package that was skipped was not looked up."""
    run = {entry.name for entry in locked("requirements.lock")}
    answer = Answer()
    for package in packages:
        name = str(package["name"])
        if "skip_reason" in package:
            answer.unknown.append(name)
            continue
        answer.asked += 1
        where = "users run it" if name in run else "used for development only"
        for found in package["vulns"]:
            fixed = f"fixed in {', '.join(found['fix_versions'])}" if found["fix_versions"] else "no fix yet"
            answer.known.append(f"{name} {package['version']} ({where}): {found['id']}, {fixed}")
    return answer


def main() -> None:
    """Asks the sources, and says what they know."""
    program, *locks = sys.argv[1:]
    said: dict[str, str] = {}
    for source in SOURCES:
        answer = ask(program, source, locks)
        if isinstance(answer, Answer):
            tell(answer)
            return
        said[source] = answer
    print(
        "pip-audit: NOT LOOKED UP, because no source of known vulnerabilities can be reached from here."
        " Run it again where the network reaches one."
    )
    for source, reason in said.items():
        print(f"  {source}: {reason}")
    raise SystemExit(NOT_LOOKED_UP)


def tell(answer: Answer) -> None:
    """Prints an answer, and exits with the status that goes with it."""
    for line in answer.known:
        print(f"pip-audit: {line}")
    if answer.unknown:
        print(f"pip-audit: not known to the source, so not looked up: {', '.join(answer.unknown)}.")
    print(f"pip-audit: packages looked up: {answer.asked}. Known vulnerabilities: {len(answer.known)}.")
    if answer.known:
        raise SystemExit(FOUND)
    if answer.unknown:
        raise SystemExit(NOT_LOOKED_UP)


if __name__ == "__main__":
    main()
