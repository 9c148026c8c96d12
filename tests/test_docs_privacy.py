"""docs/privacy.md against the program: what is stored is named, and what it promises holds."""

from __future__ import annotations

import re
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary

from books import kept
from bridge.disclosure.retention import kept as stored_by
from bridge.first_configuration import SourceAnswers, TargetAnswers, write
from bridge.ledger.database import reading, writing
from bridge.ledger.erasure import forget_record
from bridge.ledger.maintenance import back_up, back_up_before_migration, copy_key
from bridge.ledger.open import open_ledger, read_or_make_key
from bridge.ledger.read_model import RecordQuery, iterate_records
from bridge.ledger.schema import HEAD, metadata
from bridge.ledger.webhook_queue import UNREADABLE_LIFE
from bridge.records import State
from bridge.sandbox import Options, Sandbox, configuration
from bridge.settings import load
from desk import run_backfill
from documentation import section

PAGE = (Path(__file__).parent.parent / "docs" / "privacy.md").read_text("utf-8")
STORED = section(PAGE, "What is stored, where, and how long")
SOURCE = SourceAnswers("https://app.salestrekker.example/graphql", api_key="key-of-salestrekker")
TARGET = TargetAnswers("https://trakor.example/api/public/v1", "sk_live_key_of_trakor")


def test_every_table_of_the_ledger_is_named_with_what_it_holds() -> None:
    named = {
        table
        for cell in re.findall(r"^\| ledger, tables? (.+?) \|", STORED, re.MULTILINE)
        for table in re.findall(r"`(\w+)`", cell)
    }
    assert named == {*metadata.tables}


@pytest.mark.parametrize("keep", ["sealed", "hashes"])
def test_the_statement_for_an_aggregator_says_of_each_place_how_long_as_the_page_does(
    keep: str, tmp_path: Path
) -> None:
    """Word for word, in the page's row about that place; the page says both."""
    write(tmp_path / "config.toml", SOURCE, TARGET)
    ledger = replace(load(tmp_path / "config.toml", {}).ledger, keep=keep)
    for one in stored_by(ledger, webhooks=True):
        for place in one.where:
            assert how_long(row_about(place), keep).count(one.how_long) == 1, place


@pytest.mark.parametrize("keep", ["sealed", "hashes"])
def test_the_statement_names_each_table_that_can_hold_what_a_record_says(keep: str, tmp_path: Path) -> None:
    write(tmp_path / "config.toml", SOURCE, TARGET)
    ledger = replace(load(tmp_path / "config.toml", {}).ledger, keep=keep)
    named = {place for one in stored_by(ledger, webhooks=True) for place in one.where}
    sealed = {
        table.name
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    assert named >= sealed | {"organizations", "history", "records"}


def row_about(place: str) -> str:
    """The row of the page's table whose first cell names a table or file."""
    rows = [line for line in STORED.splitlines() if line.startswith("|")]
    (row,) = [row for row in rows if re.search(rf"(?<!\w){re.escape(place)}", row.split(" | ")[0])]
    return row


def how_long(row: str, keep: str) -> str:
    """The row's last cell, or the part of it that is about one value of ``keep``."""
    cell = row.rsplit(" | ", maxsplit=1)[-1]
    _, told, part = cell.partition(f'With `keep = "{keep}"`: ')
    return part.partition(" With `keep")[0] if told else cell


@pytest.mark.parametrize("keep", ["sealed", "hashes"])
async def test_what_is_said_to_be_kept_of_what_was_sent_is_what_is_kept(keep: str, tmp_path: Path) -> None:
    """With hashes nothing that was sent stays but canaries; what waits does."""
    async with Sandbox(Options(contacts=0, products=0)) as sandbox:
        text = configuration(sandbox).replace("[trakor]", "requests_per_minute = 6000\n[trakor]")
        (tmp_path / "config.toml").write_text(f'{text}\n[ledger]\nkeep = "{keep}"\n', "utf-8")
        for number in range(5):
            sandbox.contacts.add(f"Jane Smith {number}", email=f"jane{number}@example.org")
        sandbox.contacts.add("Jane Smith 0", email="jane0@example.org")
        await run_backfill(tmp_path)
    with reading(tmp_path / "ledger.db") as connection:
        counts = {
            table: connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()  # noqa: S608
            for table in ("contents", "canaries", "waiting")
        }
    merged = 1
    expected = {"sealed": (5, 3, merged), "hashes": (0, 3, 0)}[keep]
    assert (counts["contents"], counts["canaries"], counts["waiting"]) == expected


def test_what_it_says_of_webhooks_that_nobody_understands_is_what_is_done() -> None:
    """Their words are personal data: the page says how long they stay."""
    (days,) = re.findall(r"what could not be understood: (\d+) days", STORED)
    assert int(days) * 86_400_000 == UNREADABLE_LIFE


def test_what_it_says_of_the_history_is_the_default(tmp_path: Path) -> None:
    write(tmp_path / "config.toml", SOURCE, TARGET)
    kept = load(tmp_path / "config.toml", {}).ledger.keep_history
    assert f"`[ledger] keep_history`, {kept / 86_400:.0f} days" in STORED


def test_all_files_that_are_made_are_for_their_owner_only(tmp_path: Path) -> None:
    """Whatever the umask is: configuration, secrets, ledger, its key, lock and log, both kinds of backup."""
    ledger = tmp_path / "ledger.db"
    write(tmp_path / "config.toml", SOURCE, TARGET)
    with open_ledger(ledger, read_or_make_key(tmp_path / "ledger.key"), "a test"):
        back_up(ledger, tmp_path / "backup.db")
        copy_key(tmp_path / "ledger.key", tmp_path / "backup.db")
        back_up_before_migration(ledger, HEAD)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert len(files) >= 12
        assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in files} == {
            path.name: 0o600 for path in files
        }
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


async def test_a_second_entry_of_a_forgotten_person_is_sent_unless_it_is_forgotten_too(
    tmp_path: Path,
) -> None:
    """As "Erasing one person" warns."""
    async with Sandbox(Options(contacts=0, products=0)) as sandbox:
        unhurried = configuration(sandbox).replace("[trakor]", "requests_per_minute = 6000\n[trakor]")
        (tmp_path / "config.toml").write_text(unhurried, "utf-8")
        for _ in range(2):
            sandbox.contacts.add("Jane Smith", email="jane@example.org")
        await run_backfill(tmp_path)
        first, second = states(tmp_path)
        assert (first, second) == (State.DELIVERED, State.MERGED)
        with writing(tmp_path / "ledger.db", kept(tmp_path / "ledger.db")) as connection:
            (claimant,) = iterate_records(connection, RecordQuery(states=(State.DELIVERED,)))
            told = forget_record(connection, claimant.number, now=time.time_ns() // 1_000_000)
        assert len(told.merged) == 1
        await run_backfill(tmp_path)
    assert states(tmp_path) == [State.DROPPED, State.DELIVERED]


def states(folder: Path) -> list[str]:
    with reading(folder / "ledger.db") as connection:
        return [record.state for record in iterate_records(connection, RecordQuery())]
