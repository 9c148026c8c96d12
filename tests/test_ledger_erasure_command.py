"""`records forget`: nothing of the record is left but the tombstone, and it does not come back."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from books import kept
from bridge.backfill import backfill
from bridge.errors import UserError
from bridge.ledger.database import reading, writing
from bridge.ledger.erasure import forget_record
from bridge.ledger.operator_actions import retry
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.ledger.record_relations_and_history import load_history, load_relations
from bridge.records import Policy, State, Stream
from bridge.settings import load
from bridge.status import choices, meaning
from bridges import Silent, configuration_of, write_configuration
from forking import program

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.backfill import Report
    from bridge.ledger.read_model import RecordSummary
    from bridge.sandbox import Sandbox

EMAIL = "forget.me.please@example.com"


async def _backfill(folder: Path) -> Report:
    return await backfill(
        load(folder / "config.toml", {}),
        streams=[Stream.CONTACTS],
        connections=["default"],
        restart=False,
        stop=asyncio.Event(),
        watch=Silent(),
    )


@pytest.fixture
async def known(sandbox: Sandbox, tmp_path: Path) -> RecordSummary:
    """A contact that is delivered, and another of the same name and e-mail that is merged into it."""
    write_configuration(tmp_path, configuration_of(sandbox, sandbox, {}))
    first = sandbox.contacts.add("Forget Me-Please", email=EMAIL)
    sandbox.contacts.add("Forget Me-Please", email=EMAIL, identity="the-same-person")
    await _backfill(tmp_path)
    return _of(tmp_path, first)


def _of(folder: Path, identity: str) -> RecordSummary:
    with reading(folder / "ledger.db") as connection:
        (found,) = find_records(connection, RecordQuery(either=identity))
    return found


def _rows(folder: Path, number: int) -> dict[str, object]:
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        connection.row_factory = sqlite3.Row
        return dict(connection.execute("SELECT * FROM records WHERE number = ?", (number,)).fetchone())


async def test_all_but_the_tombstone_is_erased(known: RecordSummary, tmp_path: Path) -> None:
    """No hash, no link, no claim, no draft, no history but that it was forgotten."""
    with writing(tmp_path / "ledger.db", kept(tmp_path / "ledger.db")) as connection:
        left_to_do = forget_record(connection, known.number, now=1)
    assert left_to_do.trakor_ids == (), "the one that shared the party keeps it"
    assert left_to_do.kept == ((known.trakor_id, "the-same-person"),)
    assert left_to_do.merged == ("the-same-person",)
    row = _rows(tmp_path, known.number)
    erased = {"key", "sent_key", "sent", "seen", "identifiers", "input", "trakor_id", "origin", "merged_into"}
    assert not any(row[column] for column in erased)
    assert row["source_id"] == known.id
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        for table in ("claims", "links", "waiting"):
            number = connection.execute(f"SELECT count(*) FROM {table} WHERE record = ?", (known.number,))  # noqa: S608
            assert number.fetchone() == (0,)
    with reading(tmp_path / "ledger.db") as connection:
        assert [line.event for line in load_history(connection, known.number)] == ["forgotten"]


async def test_it_does_not_come_back(known: RecordSummary, sandbox: Sandbox, tmp_path: Path) -> None:
    """Though it is still in Salestrekker, and changed there; nor can it be retried."""
    with writing(tmp_path / "ledger.db", kept(tmp_path / "ledger.db")) as connection:
        forget_record(connection, known.number, now=1)
    sandbox.contacts.rename(known.id, "Forget Me-Really")
    await _backfill(tmp_path)
    assert "Forget Me-Really" not in sandbox.trakor.parties
    assert _of(tmp_path, known.id).state == State.DROPPED
    with (
        writing(tmp_path / "ledger.db", kept(tmp_path / "ledger.db")) as connection,
        pytest.raises(UserError, match="forgotten"),
    ):
        retry(connection, known.feed, known.number, Policy(), now=2)


async def test_there_is_nothing_left_to_decide_on(known: RecordSummary, tmp_path: Path) -> None:
    """What is shown of it says so, and offers no command that would be refused."""
    with writing(tmp_path / "ledger.db", kept(tmp_path / "ledger.db")) as connection:
        forget_record(connection, known.number, now=1)
    found = _of(tmp_path, known.id)
    with reading(tmp_path / "ledger.db") as connection:
        standing = load_relations(connection, found)
    assert "forgotten" in " ".join(meaning(found, standing, 2))
    assert choices(found, standing) == []


async def test_one_that_is_being_sent_is_not_forgotten_under_way(
    known: RecordSummary, tmp_path: Path
) -> None:
    """Its answer would bring back what was erased: the user is told to wait."""
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as connection:
        connection.execute(
            "UPDATE records SET state = 'pending', claimed_until = 1000 WHERE number = ?", (known.number,)
        )
    with (
        writing(tmp_path / "ledger.db", kept(tmp_path / "ledger.db")) as connection,
        pytest.raises(UserError, match="being sent"),
    ):
        forget_record(connection, known.number, now=999)


async def test_the_command_needs_a_yes_and_names_what_to_delete_in_trakor(
    known: RecordSummary, tmp_path: Path
) -> None:
    """Without --yes and a terminal nothing happens; with it the Trakor id is printed."""

    async def run(*more: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *program(),
            "records",
            "forget",
            known.id,
            *more,
            *("--config", str(tmp_path / "config.toml")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            out, _ = await process.communicate()
        return process.returncode or 0, out.decode()

    assert await run() == (2, "")
    assert _of(tmp_path, known.id).state == State.DELIVERED
    status, out = await run("--yes", "--json")
    assert status == 0
    said = json.loads(out)
    assert said["delete_in_trakor"] == []
    assert said["kept"] == [{"trakor_id": known.trakor_id, "id": "the-same-person"}]


async def test_history_that_is_old_enough_goes_with_a_backfill(known: RecordSummary, tmp_path: Path) -> None:
    """What is older than [ledger] keep_history is deleted, the rest is kept."""
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as connection:
        connection.execute("UPDATE history SET at = 1 WHERE record = ?", (known.number,))
        before = connection.execute("SELECT count(*) FROM history").fetchone()
    await _backfill(tmp_path)
    with reading(tmp_path / "ledger.db") as connection:
        assert load_history(connection, known.number) == []
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        assert 0 < connection.execute("SELECT count(*) FROM history").fetchone()[0] < before[0]
