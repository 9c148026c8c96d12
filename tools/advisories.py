"""Reports which locked packages have a known vulnerability.

    python tools/advisories.py PROGRAM LOCK...

PROGRAM is pip-audit. Its two sources are tried in turn until one answers. A package that the source does not
know counts as not looked up; pip-audit itself would count it as safe.

Exit status: 0 if no package has a vulnerability, 1 if one has, 3 if a package could not be looked up.
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
    """A source's answer: the packages that it looked up, those that it does not know, and vulnerabilities."""

    asked: int = 0
    unknown: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)


def ask(program: str, source: str, locks: list[str]) -> Answer | str:
    """Returns a source's answer about the lock files' packages, or the reason why there is none."""
    files = [argument for lock in locks for argument in ("--requirement", lock)]
    command = [program, "--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json"]
    command += ["--vulnerability-service", source, "--timeout=10", *files]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(ended.stdout)["dependencies"]
    except ValueError:
        return (ended.stderr.splitlines() or ["it gave no reason"])[-1]
    answer = judge(packages)
    return answer if answer.asked else "it knows none of the packages"


def judge(packages: list[dict[str, Any]]) -> Answer:
    """Converts pip-audit's list to an answer. A skipped package counts as not looked up."""
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
    """Tries the sources in turn, and prints the first answer."""
    program, *locks = sys.argv[1:]
    reasons: dict[str, str] = {}
    for source in SOURCES:
        answer = ask(program, source, locks)
        if isinstance(answer, Answer):
            tell(answer)
            return
        reasons[source] = answer
    print(
        "pip-audit: NOT LOOKED UP, because no source of known vulnerabilities can be reached."
        " Run it again on a machine that can reach one."
    )
    for source, reason in reasons.items():
        print(f"  {source}: {reason}")
    raise SystemExit(NOT_LOOKED_UP)


def tell(answer: Answer) -> None:
    """Prints an answer, and exits with its status."""
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
