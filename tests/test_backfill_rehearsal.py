"""Dry runs and limited runs: what they say comes true, and nothing is kept or sent by saying it."""

from __future__ import annotations

import asyncio
import csv
import os
import pty
from typing import TYPE_CHECKING

import pytest

from bridge.backfill import backfill, rehearse
from bridge.ledger.database import reading
from bridge.ledger.read_model import RecordQuery, iterate_records
from bridge.records import Stream
from bridge.settings import load
from bridges import Silent, configuration_of, write_configuration
from forking import program

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.backfill import Report
    from bridge.ledger.database import Ledger
    from bridge.sandbox import Sandbox
    from bridge.settings import Settings


@pytest.fixture
def settings(sandbox: Sandbox, tmp_path: Path) -> Settings:
    """A configuration of the sandbox."""
    write_configuration(tmp_path, configuration_of(sandbox, sandbox, {}))
    return load(tmp_path / "config.toml", {})


def _nothing(_: Ledger) -> None:
    """Looks at nothing."""


async def _rehearse(settings: Settings, **more: int) -> Report:
    return await rehearse(
        settings,
        streams=list(Stream),
        connections=["default"],
        stop=asyncio.Event(),
        watch=Silent(),
        look=_nothing,
        **more,
    )


async def _backfill(settings: Settings, **more: int) -> Report:
    return await backfill(
        settings,
        streams=list(Stream),
        connections=["default"],
        restart=False,
        stop=asyncio.Event(),
        watch=Silent(),
        **more,
    )


def _files(settings: Settings) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in settings.folder.iterdir()}


async def test_a_dry_run_sends_nothing_and_keeps_nothing(settings: Settings, sandbox: Sandbox) -> None:
    """Not even the ledger or its key."""
    before = _files(settings)
    report = await _rehearse(settings)
    assert sandbox.trakor.traffic.kinds.total() == 0
    assert _files(settings) == before
    assert report.connections["default"].complete


async def test_what_a_dry_run_says_comes_true(settings: Settings) -> None:
    """What is pending in it is created by the backfill; all else is the same."""
    said = (await _rehearse(settings)).connections["default"].streams
    done = (await _backfill(settings)).connections["default"].streams
    for stream, numbers in said.items():
        assert numbers["pending"] == done[stream]["created"] > 0
        rest = numbers.keys() - {"pending", "created"}
        assert {word: numbers[word] for word in rest} == {word: done[stream][word] for word in rest}


async def test_after_changes_a_dry_run_tells_what_is_held_and_drifted(
    settings: Settings, sandbox: Sandbox
) -> None:
    """A rename would be held, a new e-mail would drift; the real ledger knows nothing of it."""
    await _backfill(settings)
    sandbox.contacts.rename(sandbox.contacts.id_at(0), "Somebody Else-Entirely")
    sandbox.contacts.change_email(sandbox.contacts.id_at(1), "new.address@example.com")
    numbers = (await _rehearse(settings)).connections["default"].streams["contacts"]
    assert (numbers["held"], numbers["drifted"], numbers["pending"]) == (1, 1, 0)
    with reading(settings.folder / "ledger.db") as connection:
        assert list(iterate_records(connection, RecordQuery(states=("held", "drifted")))) == []


async def test_a_dry_run_shows_each_record_to_who_asks(settings: Settings) -> None:
    """The copy can be looked at before it is gone."""
    seen: list[str] = []

    def look(copy: Ledger) -> None:
        with reading(copy.path, copy.text_storage) as connection:
            seen.extend(
                found.state for found in iterate_records(connection, RecordQuery(states=("pending",)))
            )

    report = await rehearse(
        settings,
        streams=[Stream.CONTACTS],
        connections=["default"],
        stop=asyncio.Event(),
        watch=Silent(),
        look=look,
    )
    assert len(seen) == report.connections["default"].streams["contacts"]["pending"] > 0


async def test_a_limited_run_reads_so_many_of_each_stream_and_is_not_complete(
    settings: Settings, sandbox: Sandbox
) -> None:
    """It ends well all the same; a full run afterwards begins at the beginning and misses none."""
    report = await _backfill(settings, limit=7)
    of_default = report.connections["default"]
    assert [numbers["read"] for numbers in of_default.streams.values()] == [7, 7]
    assert not of_default.complete
    assert report.exit_status in {0, 3}
    whole = (await _backfill(settings)).connections["default"]
    assert whole.streams["contacts"]["read"] == len(sandbox.contacts)
    assert whole.complete
    with reading(settings.folder / "ledger.db") as connection:
        assert not [found for found in iterate_records(connection, RecordQuery()) if found.marks == ("gone",)]


async def test_a_limited_run_marks_nothing_gone_even_where_it_reads_all(
    settings: Settings, sandbox: Sandbox
) -> None:
    """Who tries a part has not asked for what only a whole sweep may say."""
    await _backfill(settings)
    sandbox.contacts.remove(sandbox.contacts.id_at(0))
    await _backfill(settings, limit=10_000)
    with reading(settings.folder / "ledger.db") as connection:
        assert not [found for found in iterate_records(connection, RecordQuery()) if "gone" in found.marks]
    await _backfill(settings)
    with reading(settings.folder / "ledger.db") as connection:
        assert (
            len([found for found in iterate_records(connection, RecordQuery()) if "gone" in found.marks]) == 1
        )


async def test_the_command_lists_what_a_dry_run_would_send(settings: Settings, sandbox: Sandbox) -> None:
    """As CSV, in place of the numbers; exit 3, since the sandbox has products that would be rejected."""
    process = await asyncio.create_subprocess_exec(
        *program(),
        "backfill",
        "--dry-run",
        "--csv",
        "--limit",
        "20",
        *("--config", str(settings.folder / "config.toml")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 3, err.decode()
    rows = list(csv.DictReader(out.decode().splitlines()))
    assert {row["state"] for row in rows} == {"pending", "rejected"}
    assert all(row["name"] for row in rows if row["state"] == "pending")
    assert sandbox.trakor.traffic.kinds.total() == 0


async def test_the_list_goes_into_its_file_though_progress_is_shown(settings: Settings) -> None:
    """Standard error is a terminal, standard output is not: as `--csv > records.csv` is typed."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *program(),
        "backfill",
        "--dry-run",
        "--csv",
        "--limit",
        "5",
        *("--config", str(settings.folder / "config.toml")),
        stdout=asyncio.subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    os.close(ours)
    assert len(out.decode().splitlines()) > 5
