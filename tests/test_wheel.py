"""The wheel: what is in it, what is not, and that it runs where nothing else of the project is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from email import message_from_string
from pathlib import Path
from zipfile import ZipFile

import pytest

import bridge

ROOT = Path(__file__).parent.parent
SHIPPED = "bridge/_shipped"


def run(*command: str, cwd: Path, **environment: str) -> str:
    ended = subprocess.run(  # noqa: S603 - the tests' own commands
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def content(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's own files in a folder of their own; its dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile")
    run(*pip, "--target", str(folder), str(wheel), cwd=folder)
    return folder


def test_the_wheel_holds_no_picture_of_the_documents(content: dict[str, bytes]) -> None:
    assert [*ROOT.glob("docs/pictures/*.png")]
    assert [name for name in content if name.endswith(".png")] == []


def test_the_wheel_holds_the_whole_package(content: dict[str, bytes]) -> None:
    sources = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("bridge/**/*.py")}
    page = {
        path.relative_to(ROOT).as_posix() for path in ROOT.glob("bridge/admin/*/*.*") if path.suffix != ".pyc"
    }
    assert {"bridge/admin/static/bridge.css", "bridge/admin/templates/base.html"} <= page
    assert sources | page | {"bridge/py.typed", "bridge/sandbox/schema.graphql"} <= content.keys()


def test_the_wheel_holds_the_query_files_and_the_example_as_they_are(content: dict[str, bytes]) -> None:
    expected = {
        f"{SHIPPED}/queries/{path.name}": path.read_bytes() for path in ROOT.glob("queries/*.graphql")
    }
    expected[f"{SHIPPED}/config.example.toml"] = (ROOT / "config.example.toml").read_bytes()
    assert len(expected) > 1
    assert {name: text for name, text in content.items() if name.startswith(SHIPPED)} == expected


def test_the_wheel_holds_nothing_else(content: dict[str, bytes]) -> None:
    assert {name.split("/")[0] for name in content} == {
        "bridge",
        f"salestrekker_trakor_bridge-{bridge.__version__}.dist-info",
    }
    assert [
        name for name in content if re.search(r"test|__pycache__|\.db|config\.toml|ledger\.key", name)
    ] == []


def test_the_wheel_says_what_it_is(content: dict[str, bytes]) -> None:
    (metadata,) = (text for name, text in content.items() if name.endswith("METADATA"))
    said = message_from_string(metadata.decode())
    assert said["Name"] == "salestrekker-trakor-bridge"
    assert said["Version"] == bridge.__version__
    assert said["License-Expression"] == "MIT"
    assert any(name.endswith("licenses/LICENSE") for name in content)


def test_the_newest_entry_of_the_changelog_is_of_this_version() -> None:
    heading = re.search(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert heading is not None
    assert heading[1] in {"Unreleased", bridge.__version__}


def test_the_installed_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    where = run(
        sys.executable, "-c", "import bridge; print(bridge.__file__)", cwd=tmp_path, PYTHONPATH=str(installed)
    )
    assert where.strip() == str(installed / "bridge/__init__.py")


@pytest.mark.acceptance
def test_the_installed_command_runs(installed: Path, tmp_path: Path) -> None:
    said = run(str(installed / "bin/trakor-bridge"), "--version", cwd=tmp_path, PYTHONPATH=str(installed))
    assert bridge.__version__ in said
