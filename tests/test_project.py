"""What stands around the code: locks, Makefile, Dockerfile, CI, and what the repository must not hold."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from architecture import outside
from bridge.first_configuration import SourceAnswers, TargetAnswers, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock", "requirements-audit.lock")

# Written so that this file does not match itself.
REGISTRIES = re.compile(
    r"p[y]pi\.org|python[h]osted\.org|npm[j]s\.(org|com)|yarnpkg\.com|(deb|security)\.debian\.org|docker\.(io|com)/|ghcr\.io"
    r"|quay\.io|gcr\.io|conda\.anaconda\.org"
)
MACHINES = re.compile(r"(?<![\w.])(/work[/]|/root[/]|/opt/(wheels|pypi)|/Users[/])")


def run(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the tests' own commands
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def dependencies() -> list[str]:
    found: list[str] = project()["project"]["dependencies"]
    return found


def group(name: str) -> Iterator[str]:
    for entry in project()["dependency-groups"][name]:
        if isinstance(entry, str):
            yield entry
        else:
            yield from group(entry["include-group"])


def entries(lock: str) -> list[str]:
    """Each entry of a lock file as one line, without the comments."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / lock).read_text("utf-8"), flags=re.MULTILINE)
    return text.replace("\\\n", "").splitlines()


def pins(lock: str) -> dict[str, Version]:
    requirements = [Requirement(entry.partition("--hash")[0]) for entry in entries(lock)]
    return {
        canonicalize_name(pin.name): Version(str(pin.specifier).removeprefix("==")) for pin in requirements
    }


# -- lock files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_nothing_but_exact_versions_with_hashes(lock: str) -> None:
    entry = re.compile(r"[a-z0-9][a-z0-9.-]*==[0-9][\w.+]* *(; [^-]+)?( +--hash=sha256:[0-9a-f]{64})+")
    assert entries(lock)
    assert [line for line in entries(lock) if not entry.fullmatch(line)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index_and_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    assert re.findall(r"://|--(?:extra-)?index|--find-links|--trusted-host|file:|@ ", text) == []


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", dependencies()),
        ("requirements-build.lock", [*group("build")]),
        ("requirements-dev.lock", [*dependencies(), *group("dev")]),
        ("requirements-audit.lock", [*group("audit")]),
    ],
    ids=LOCKS,
)
def test_a_lock_has_what_pyproject_asks_for(lock: str, wanted: list[str]) -> None:
    locked = pins(lock)
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        assert name in locked, f"{lock} lacks {name}: run `make lock`"
        assert locked[name] in requirement.specifier, f"{lock} has {name} {locked[name]}: run `make lock`"


def test_the_development_lock_holds_the_other_two() -> None:
    """So that what is tested is what is run, and a checkout made for developing can run."""
    assert {**pins("requirements.lock"), **pins("requirements-build.lock")}.items() <= pins(
        "requirements-dev.lock"
    ).items()


def test_the_tests_run_on_what_is_locked() -> None:
    here = [Requirement(entry.partition("--hash")[0]) for entry in entries("requirements.lock")]
    installed = {pin.name: version(pin.name) for pin in here if pin.marker is None or pin.marker.evaluate()}
    locked = {pin.name: str(pin.specifier).removeprefix("==") for pin in here if pin.name in installed}
    assert installed == locked, "the environment is another one: run `make clean test`"


def test_what_the_bridge_imports_is_declared() -> None:
    """A package that is only there because another one needs it may leave with any release of that one."""
    declared = {canonicalize_name(Requirement(line).name) for line in dependencies()}
    providers = packages_distributions()
    tree = {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in ROOT.glob("bridge/**/*.py")
    }
    imported = {name.split(".")[0] for _, _, name in outside(tree)}
    assert imported
    undeclared = {name for name in imported if not declared & {canonicalize_name(d) for d in providers[name]}}
    assert undeclared == set(), "add them to pyproject.toml's dependencies, then run `make lock`"


# -- the repository -------------------------------------------------------------------------------


def repository() -> list[Path]:
    """Every file that is committed, or would be."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout.split("\0")
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


@pytest.mark.parametrize("pattern", [REGISTRIES, MACHINES], ids=["registry", "machine"])
def test_no_file_names_a_package_registry_or_a_place_on_somebodys_machine(pattern: re.Pattern[str]) -> None:
    files = repository()
    assert ROOT / "pyproject.toml" in files
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in files
        if (match := pattern.search(path.read_text("utf-8", errors="replace")))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (REGISTRIES, "https://" + "gro.ipyp"[::-1]),
        (REGISTRIES, "https://files.{}.org/packages".format("python" + "hosted")),
        (MACHINES, "see /work" + "/main/bridge"),
        (MACHINES, '"/root' + '/x"'),
        (MACHINES, "--find-links=/opt/" + "wheels"),
    ],
)
def test_such_a_name_would_be_found(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)


# -- Makefile -------------------------------------------------------------------------------------


def targets() -> set[str]:
    rules = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    return {*" ".join(rules).split()} - {"fresh-venv", "$(DEMO)", "$(DEV)"}


def test_make_alone_lists_every_target() -> None:
    listed = run("make", "--no-print-directory").stdout
    assert {*re.findall(r"^  make ([a-z-]+) +\S", listed, re.MULTILINE)} == targets()


@pytest.mark.parametrize(
    "file",
    [
        ".ci/run",
        ".github/dependabot.yml",
        ".github/workflows/audit.yml",
        ".github/workflows/ci.yml",
        "CONTRIBUTING.md",
        "pyproject.toml",
        "Makefile",
    ],
)
def test_every_make_target_that_is_named_exists(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    named = {*re.findall(r"(?:`|run: |exec |'|^)make ([a-z][a-z-]*)", text, re.MULTILINE)}
    assert named <= targets()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose set-up, for running and for developing, has just been finished."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    sources = (*LOCKS, "pyproject.toml", "bridge/__init__.py")
    stamps = (".venv/.ready-to-run", ".venv/.ready-to-develop")
    for age, name in enumerate([*sources, *stamps]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1_000_000 + age,) * 2)
    (tmp_path / ".venv/.whole").write_text(str(tmp_path))
    (tmp_path / ".venv/bin").mkdir()
    (tmp_path / ".venv/bin/python").write_text("#!/bin/sh\n")
    (tmp_path / ".venv/bin/python").chmod(0o700)
    return tmp_path


def planned(checkout: Path, target: str) -> str:
    """What make would do."""
    plan = run(
        "make", "--no-print-directory", "--dry-run", target, cwd=checkout, PYTHON="python3.11", MAKEFLAGS=""
    )
    assert plan.returncode == 0, plan.stderr
    return plan.stdout


def test_a_finished_set_up_is_not_done_again(checkout: Path) -> None:
    assert planned(checkout, "demo") == ".venv/bin/trakor-bridge demo\n"


def test_testing_is_what_needs_no_network_and_pytest_last(checkout: Path) -> None:
    steps = [line for line in planned(checkout, "test").splitlines() if line.startswith(".venv/")]
    programs = [step.split("/")[-1] for step in steps]
    assert sorted(programs[:-1]) == [
        "bandit --quiet --configfile pyproject.toml --recursive bridge",
        "deptry bridge",
        "deptry tests bench tools --ignore DEP002,DEP004",
        "mypy",
        "ruff check",
        "ruff format --check",
    ]
    assert programs[-1].split()[0] == "pytest"


def test_a_browser_is_seen_to_before_the_tests_begin(checkout: Path) -> None:
    """`make test` alone brings what its tests need beside Python."""
    plan = planned(checkout, "test")
    assert 0 < plan.index("install -y -qq --no-install-recommends chromium") < plan.index("/pytest")


@pytest.mark.parametrize("target", ["demo", "test"])
@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml", "bridge/__init__.py"])
def test_a_change_of_what_it_depends_on_is_installed_into_the_same_environment(
    checkout: Path, target: str, changed: str
) -> None:
    os.utime(checkout / changed)
    plan = planned(checkout, target)
    assert "pip install" in re.sub(r" --\S+( -qq)?", "", plan)
    assert "-m venv" not in plan


def moved(checkout: Path) -> None:
    (checkout / ".venv/.whole").write_text("/elsewhere")


def interrupted(checkout: Path) -> None:
    (checkout / ".venv/.whole").unlink()


def without_its_python(checkout: Path) -> None:
    (checkout / ".venv/bin/python").unlink()


def absent(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")


@pytest.mark.parametrize("target", ["demo", "test"])
@pytest.mark.parametrize("damage", [moved, interrupted, without_its_python, absent])
def test_an_environment_that_is_not_whole_is_made_anew(
    checkout: Path, target: str, damage: Callable[[Path], None]
) -> None:
    damage(checkout)
    plan = planned(checkout, target)
    assert plan.index("-m venv --clear .venv") < plan.index("--require-hashes") < plan.index("--editable .")


def test_without_a_fit_python_make_says_what_to_install(checkout: Path) -> None:
    absent(checkout)
    ended = run("make", "demo", cwd=checkout, PYTHON="python-that-is-not-there")
    assert ended.returncode != 0
    assert "No Python 3.11 or newer" in ended.stderr
    assert "make PYTHON=" in ended.stderr


# -- what is taken from outside by name ------------------------------------------------------------

DIGEST = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}")
COMMIT = re.compile(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def images(text: str) -> list[str]:
    """Returns the images that a Dockerfile or a compose file takes, without those that are built here."""
    taken = re.findall(r"^(?:FROM|# syntax=|\s+image:) *(\S+)(?!\n\s+build:)$", text, re.MULTILINE)
    return [*taken, *re.findall(r"^FROM (\S+) AS", text, re.MULTILINE)]


def actions(text: str) -> list[str]:
    """Returns the actions that a workflow uses, with the comment behind each."""
    return re.findall(r"^\s*(?:- )?uses: *(.+)$", text, re.MULTILINE)


@pytest.mark.parametrize("file", ["Dockerfile", "deploy/compose.yaml", "deploy/compose.secrets.yaml"])
def test_each_image_is_pinned_by_tag_and_digest(file: str) -> None:
    found = images((ROOT / file).read_text("utf-8"))
    assert len(found) == {"Dockerfile": 2, "deploy/compose.yaml": 1}.get(file, 0)
    assert [image for image in found if not DIGEST.fullmatch(image)] == []


def test_the_stages_of_the_image_start_from_the_same_python() -> None:
    assert len({*images((ROOT / "Dockerfile").read_text("utf-8"))}) == 1


@pytest.mark.parametrize("workflow", sorted(path.name for path in ROOT.glob(".github/workflows/*")))
def test_each_action_is_pinned_by_commit_and_names_its_version(workflow: str) -> None:
    found = actions((ROOT / ".github/workflows" / workflow).read_text("utf-8"))
    assert found
    assert [action for action in found if not COMMIT.fullmatch(action)] == []


@pytest.mark.parametrize(
    "text",
    [
        "# syntax=docker/dockerfile:1\n",
        "FROM python:3.11\n",
        "FROM python@sha256:" + "0" * 64 + " AS build\n",
        "services:\n  caddy:\n    image: caddy:2\n    restart: always\n",
    ],
)
def test_an_image_without_tag_and_digest_would_be_found(text: str) -> None:
    assert [image for image in images(text) if not DIGEST.fullmatch(image)]


@pytest.mark.parametrize("action", ["actions/checkout@v5", "actions/checkout@" + "0" * 40, "./here"])
def test_an_action_without_commit_and_version_would_be_found(action: str) -> None:
    (found,) = actions(f"steps:\n  - uses: {action}\n")
    assert not COMMIT.fullmatch(found)


def test_what_is_pinned_is_kept_current() -> None:
    """Each kind of pin has its entry for Dependabot, in the folder where its files are."""
    text = (ROOT / ".github/dependabot.yml").read_text("utf-8")
    kinds = dict(re.findall(r"package-ecosystem: (\S+)\n\s+directory: (\S+)", text))
    assert kinds == {"docker": "/", "docker-compose": "/deploy", "github-actions": "/"}


# -- container image ------------------------------------------------------------------------------


def instructions() -> list[list[tuple[str, str]]]:
    """The Dockerfile's stages, each a list of (instruction, arguments)."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    stages: list[list[tuple[str, str]]] = []
    for line in text.replace("\\\n", "").split("\n"):
        word, _, arguments = line.strip().partition(" ")
        if word == "FROM":
            stages.append([])
        if word:
            stages[-1].append((word, " ".join(arguments.split())))
    return stages


def arguments(stage: list[tuple[str, str]], word: str) -> list[str]:
    return [found for name, found in stage if name == word]


def test_the_image_is_made_in_stages_from_the_python_of_the_lock() -> None:
    stages = instructions()
    assert len(stages) > 1
    for stage in stages:
        assert re.match(r"python:3\.11-slim-\w+@sha256:\w+( AS \w+)?$", arguments(stage, "FROM")[0])


def test_the_image_installs_only_what_is_locked() -> None:
    installed = re.findall(
        r"pip\b.*? install (.*?)(?: &&|$)", "\n".join(arguments(instructions()[0], "RUN")), re.MULTILINE
    )
    assert len(installed) == 3
    assert all("--require-hashes" in line or "--no-index --no-deps" in line for line in installed)


def test_the_image_takes_nothing_from_the_build_but_the_environment() -> None:
    final = instructions()[-1]
    assert arguments(final, "COPY") == ["--from=build /opt/venv /opt/venv"]
    assert "pip" not in " ".join(arguments(final, "RUN"))


def test_the_container_runs_as_nobody_in_particular_where_its_data_is() -> None:
    final = instructions()[-1]
    assert arguments(final, "USER") == ["10001:10001"]
    assert arguments(final, "VOLUME") == arguments(final, "WORKDIR") == ["/data"]
    assert [word for word, _ in final].index("USER") > [word for word, _ in final].index("RUN")


def test_the_container_runs_the_daemon_unless_another_command_is_given() -> None:
    final = instructions()[-1]
    scripts = project()["project"]["scripts"]
    (program,) = json.loads(arguments(final, "ENTRYPOINT")[0])
    assert program in scripts
    assert json.loads(arguments(final, "CMD")[0]) == ["run"]


def test_what_the_image_is_built_from_is_let_through_and_nothing_else() -> None:
    copied = {name for line in arguments(instructions()[0], "COPY") for name in line.split()[:-1]}
    ignore = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert {line[1:] for line in ignore if line.startswith("!")} == copied
    assert "*" in ignore


# -- what a user makes in a checkout ---------------------------------------------------------------

MADE = re.compile(r"^ *\$ .*?(?:mkdir (?:-p )?(?:-m \d+ )?|> |ledger backup )([\w.][\w./-]*)", re.MULTILINE)
PAGES = ("README.md", "docs/quickstart.md", "docs/first-backfill.md", "docs/deploy.md", "docs/reasons.md")


def made_by_the_pages() -> set[str]:
    """What the pages' commands make, and can be made in a checkout."""
    found = {path for page in PAGES for path in MADE.findall((ROOT / page).read_text("utf-8"))}
    return {"deploy/.env" if path == ".env" else path for path in found if not path.startswith("/")}


def made_by_the_bridge(folder: Path) -> set[str]:
    """What `init`, a ledger of its own key and its backup leave beside a configuration."""
    source, target = SourceAnswers("https://x.example", api_key="k"), TargetAnswers("https://y.example", "k")
    by_init = {str(path.relative_to(folder)) for path in write(folder / "config.toml", source, target)}
    of_ledger = {"ledger.db", "ledger.db-wal", "ledger.db.lock", "ledger.key", "ledger.before-1.db"}
    return by_init | of_ledger | {"ledger-backup.db.key", "secrets/salestrekker-password"}


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_what_is_made_in_a_checkout_is_not_for_the_repository(tmp_path: Path) -> None:
    """The keys of `init` could be committed with `git add --all`."""
    paths = made_by_the_pages() | made_by_the_bridge(tmp_path)
    assert {"secrets/trakor-api-key", "try", "backups", "ledger-backup.db", "data-flow.md"} <= paths
    for path in paths:
        file = tmp_path / path / "x" if "." not in path and "/" not in path else tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    shutil.copy(ROOT / ".gitignore", tmp_path)
    assert run("git", "init", "--quiet", cwd=tmp_path).returncode == 0
    listed = run("git", "ls-files", "--others", "--exclude-standard", cwd=tmp_path).stdout.split()
    assert listed == [".gitignore"]
