"""`make audit`: what it says of vulnerabilities, licences and the bill of materials, without the network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements-dev.lock", "requirements-audit.lock")


def tool(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the repository's own tools
        [sys.executable, f"tools/{name}.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


# -- licences and bill of materials ---------------------------------------------------------------


def test_the_list_of_licences_is_what_would_be_written() -> None:
    ended = tool("licences", "--check")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_bill_of_materials_lists_what_runs_and_keeps_to_the_schema(tmp_path: Path) -> None:
    """The tool holds the file to the schema of CycloneDX before it writes it."""
    target = tmp_path / "new" / "bom.json"
    ended = tool("sbom", str(target))
    assert ended.returncode == 0, ended.stderr
    bill: dict[str, Any] = json.loads(target.read_text("utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "salestrekker-trakor-bridge"
    listed = {(part["name"], part["version"]) for part in bill["components"]}
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    locked = {*re.findall(r"^([a-z0-9.-]+)==(\S+)", lock, re.MULTILINE)}
    assert listed < locked
    assert {name for name, _ in locked - listed} == {"colorama", "tzdata"}, "they are for Windows only"
    assert all(part["licenses"] for part in bill["components"])


def test_the_bill_of_materials_says_what_needs_what(tmp_path: Path) -> None:
    assert tool("sbom", str(tmp_path / "bom.json")).returncode == 0
    bill = json.loads((tmp_path / "bom.json").read_text("utf-8"))
    needs = {
        re.sub(r"pkg:pypi/|@.*", "", entry["ref"]): {
            re.sub(r"pkg:pypi/|@.*", "", other) for other in entry.get("dependsOn", [])
        }
        for entry in bill["dependencies"]
    }
    assert needs["httpcore"] == {"certifi", "h11"}
    assert {"gql", "httpx"} <= needs["salestrekker-trakor-bridge"]
    assert "httpcore" not in needs["salestrekker-trakor-bridge"]


# -- known vulnerabilities ------------------------------------------------------------------------


def sound(name: str) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": []}


def vulnerable(name: str, *fixed: str) -> dict[str, Any]:
    return sound(name) | {"vulns": [{"id": "CVE-2026-1", "fix_versions": [*fixed]}]}


def skipped(name: str) -> dict[str, Any]:
    return {"name": name, "skip_reason": "not found"}


def pip_audit(folder: Path, **answers: list[dict[str, Any]]) -> str:
    """Returns a stand-in for pip-audit, with an answer of each source. The others are out of reach."""
    program = folder / "pip-audit"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, sys\n"
        "source = sys.argv[sys.argv.index('--vulnerability-service') + 1]\n"
        f"answer = {answers!r}.get(source) or sys.exit('no route to ' + source)\n"
        "print(json.dumps({'dependencies': answer}))\n"
    )
    program.chmod(0o700)
    return str(program)


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([sound("httpx")], 0, "packages looked up: 1. Known vulnerabilities: 0."),
        ([vulnerable("httpx", "2.0")], 1, "httpx 1.0 (users run it): CVE-2026-1, fixed in 2.0"),
        ([vulnerable("pytest")], 1, "pytest 1.0 (used for development only): CVE-2026-1, no fix yet"),
        ([sound("httpx"), skipped("gql")], 3, "not looked up: gql."),
        ([vulnerable("httpx"), skipped("gql")], 1, "not looked up: gql."),
    ],
)
def test_the_status_separates_a_vulnerability_from_a_failed_look_up(
    tmp_path: Path, packages: list[dict[str, Any]], status: int, said: str
) -> None:
    ended = tool("advisories", pip_audit(tmp_path, pypi=packages), *LOCKS)
    assert said in ended.stdout
    assert ended.returncode == status


def test_a_source_that_knows_no_package_is_as_good_as_none(tmp_path: Path) -> None:
    """pip-audit alone would say: no known vulnerabilities found."""
    ended = tool("advisories", pip_audit(tmp_path, pypi=[skipped("httpx")]), *LOCKS)
    assert "NOT LOOKED UP" in ended.stdout
    assert "pypi: it knows none of the packages" in ended.stdout
    assert "osv: no route to osv" in ended.stdout
    assert ended.returncode == 3


def test_where_one_source_cannot_be_reached_the_other_is_asked(tmp_path: Path) -> None:
    ended = tool("advisories", pip_audit(tmp_path, osv=[vulnerable("httpx", "2.0")]), *LOCKS)
    assert "fixed in 2.0" in ended.stdout
    assert ended.returncode == 1


# -- bandit ---------------------------------------------------------------------------------------


def test_what_bandit_leaves_out_ruff_looks_at() -> None:
    """Both have the same rules under the same numbers, so that each exception is written down once."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    lint = tools["ruff"]["lint"]
    left_out = {f"S{code[1:]}" for code in tools["bandit"]["skips"]}
    assert left_out
    assert lint["select"] == ["ALL"]
    assert [rule for rule in lint["ignore"] if rule.startswith("S")] == []
    assert [glob for glob in lint["per-file-ignores"] if glob.startswith(("bridge", "*"))] == []
