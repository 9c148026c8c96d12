"""docs/first-backfill.md, done as it says: each command in turn, the daily script, the backup put back."""

from __future__ import annotations

import asyncio
import configparser
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bridge
from bridge.ledger.runs_and_sweeps import COUNTS
from bridge.sandbox import Options, Sandbox
from documentation import blocks, section, tables, typed
from forking import program_for_shells

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parent.parent / "docs" / "first-backfill.md").read_text("utf-8")
PACKAGE = Path(bridge.__file__).parent
TIMEOUT = 120
DONE = {0, 3}
"""Statuses of what went well; 3: some records of the sandbox wait for a person."""


def commands(since: str) -> Iterator[str]:
    """What is typed from a heading on, but for what needs a record's id."""
    _, _, text = PAGE.partition(f"\n## {since}\n")
    text = re.sub(r"^ +(?=```|\$ )", "", text, flags=re.MULTILINE)  # blocks inside lists
    for block in blocks(text):
        if block.language == "console":
            yield from (line for line in typed(block) if not line.endswith(" ID"))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A terminal's: the program on the path, nothing of ours set."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program_for_shells(programs)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRAKOR_BRIDGE_")}
    return {
        **kept,
        "HOME": str(tmp_path),
        "TRAKOR_BRIDGE_WEBHOOKS__PORT": "0",  # any that is free, where the page has 8080
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(PACKAGE.parent),
        "TRAKOR_BRIDGE_SALESTREKKER__REQUESTS_PER_MINUTE": "100000",
    }


async def run(script: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run a script by a shell; gives its exit status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        script,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(TIMEOUT):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


def with_statuses(lines: list[str]) -> str:
    return "\n".join(f'{line}\necho "status $? of: {line.replace(chr(34), "")}"' for line in lines)


async def test_each_command_in_turn_leads_to_a_backfill_and_back_from_a_backup(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """From an empty folder to what waits, and a restored ledger; then the script for each day."""
    async with Sandbox(Options(contacts=40, products=20)) as sandbox:
        addresses = f"--salestrekker-url {sandbox.salestrekker_url} --trakor-url {sandbox.trakor_url}"
        keys = {
            "TRAKOR_BRIDGE_SALESTREKKER__API_KEY": sandbox.options.api_key,
            "TRAKOR_BRIDGE_TRAKOR__API_KEY": sandbox.options.trakor_key,
        }
        given = [f"{name}={value}" for name, value in keys.items()]
        lines = [
            f"{' '.join(given)} {line} {addresses}" if line == "trakor-bridge init" else line
            for line in commands("3. Make a folder")
        ]
        assert len(lines) > 15
        _, said = await run(with_statuses(lines), tmp_path, environment)
        statuses = re.findall(r"^status (\d+) of: (.+)$", said, re.MULTILINE)
        assert len(statuses) == len(lines)
        assert [found for found in statuses if int(found[0]) not in DONE] == [], said
        assert " created " in said
        assert " created " not in said.partition("of: cp backups/ledger.db")[2]
        assert len(sandbox.trakor.parties) > 30
        made = len(sandbox.trakor.parties)
        await the_script_for_each_day(tmp_path / "trakor-bridge", environment)
        assert len(sandbox.trakor.parties) == made


async def the_script_for_each_day(folder: Path, environment: dict[str, str]) -> None:
    (script,) = (block.text for block in blocks(PAGE) if block.language == "sh")
    mine = script.replace("/srv/trakor-bridge", str(folder)).replace("/opt/trakor-bridge/.venv/bin:", "")
    status, said = await run(mine, folder, environment)
    assert status == 3, said
    (backup,) = (folder / "backups").glob("ledger-*.db")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    dropped = folder / "backups" / "dropped.csv"
    assert dropped.read_text().startswith("connection,stream,id,")
    assert stat.S_IMODE(dropped.stat().st_mode) == 0o600


def test_the_units_are_what_systemd_reads() -> None:
    """They run the script, at a time, and what waits for a person is no failure."""
    service, timer = (configparser.ConfigParser(), configparser.ConfigParser())
    for unit, text in zip(
        (service, timer), (block.text for block in blocks(PAGE) if block.language == "ini"), strict=True
    ):
        unit.read_string(text)
    assert service["Service"]["ExecStart"].endswith("/daily.sh")
    assert service["Service"]["SuccessExitStatus"] == "3"
    assert timer["Timer"]["OnCalendar"]
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_every_number_of_the_table_is_explained() -> None:
    (cells,) = tables(section(PAGE, "The numbers"))
    assert [cell.strip("`") for cell in cells] == [*COUNTS]


def test_the_messages_are_those_of_the_program() -> None:
    """Each message that the page quotes is in the program, word for word."""
    program = " ".join(path.read_text("utf-8") for path in PACKAGE.glob("**/*.py"))
    (cells,) = tables(section(PAGE, "When it stops"))
    quoted = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    assert len(quoted) >= 9
    assert [message for message in quoted if message not in program] == []
