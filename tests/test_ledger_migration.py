"""A ledger that the version before this one left (schema 0004) is brought up to date, and nothing is lost.

The ledger in tests/fixtures/ has records in all their states (``older_ledger``).
"""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from books import kept
from bridge.errors import LedgerError
from bridge.ledger import open as opening
from bridge.ledger.database import reading, writing
from bridge.ledger.integrity import check_ledger
from bridge.ledger.open import _upgrade, migrate, open_ledger, read_or_make_key, read_revision
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.ledger.record_relations_and_history import load_history, load_relations
from bridge.ledger.schema import HEAD, claims, records
from bridge.records import Stream
from bridge.sandbox import Options
from bridges import Bridge
from older_ledger import CHANGES, EXPECTED, NUMBERS, later_source, source

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.ledger.read_model import RecordSummary
    from bridge.sandbox import Sandbox

FIXTURES = Path(__file__).parent / "fixtures"
SAID = ("ombat", "1 570 313", "tried@example")
"""Of each name, number and address in the ledger."""

NEW = {"twin-3": "merged", "possum-3": "merged"}


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The ledger of before, with its key beside it."""
    path = tmp_path / "ledger.db"
    path.write_bytes(gzip.decompress((FIXTURES / "ledger-0004.db.gz").read_bytes()))
    path.chmod(0o600)
    (tmp_path / "ledger.key").write_bytes((FIXTURES / "ledger-0004.key").read_bytes())
    return path


@pytest.fixture
async def bridge(older: Path, start_sandbox: Callable[[Options], Awaitable[Sandbox]]) -> Bridge:
    """A bridge with that ledger, whose source says what it said at the end."""
    sandbox = await start_sandbox(Options(contacts=0, products=0, seed=7))
    source(sandbox)
    later_source(sandbox)
    for name in ("Wombat Aardvark", "Wombat Ibis"):
        sandbox.trakor.parties.put(name)
    return Bridge(older.parent, sandbox, CHANGES)


def in_clear(path: Path) -> list[str]:
    """What of the ledger's files says something of a record, in any encoding that a text may have."""
    files = [path, path.with_name(f"{path.name}-wal")]
    content = b"".join(file.read_bytes() for file in files if file.exists())
    encodings = ("utf-8", "utf-16-le", "utf-16-be")
    return [said for said in SAID if any(said.encode(encoding) in content for encoding in encodings)]


def states(path: Path) -> dict[str, str]:
    with reading(path) as connection:
        found = connection.execute(records.select()).all()
    return {row.source_id: f"{row.state}: {row.reason}" if row.reason else row.state for row in found}


def shown(path: Path, identity: str) -> RecordSummary:
    with reading(path, kept(path)) as connection:
        (found,) = find_records(connection, RecordQuery(either=identity))
    return found


def test_what_waited_in_clear_is_sealed_and_nothing_of_it_is_left(older: Path) -> None:
    assert in_clear(older) == [*SAID]
    migrate(older, kept(older))
    assert read_revision(older) == HEAD
    assert in_clear(older) == []
    key = read_or_make_key(older.with_name("ledger.key"), make=False)
    assert [finding for finding in check_ledger(older, lambda: key) if not finding.ok] == []


def test_the_copy_of_before_is_kept_and_it_is_said_where_it_lies_and_that_it_is_in_clear(older: Path) -> None:
    with capture_logs() as said:
        migrate(older, kept(older))
    (copy,) = older.parent.glob("ledger.before-0004-*.db")
    assert (read_revision(copy), copy.stat().st_mode & 0o777) == ("0004", 0o600)
    assert in_clear(copy) == [*SAID]
    (warning,) = [line for line in said if line["log_level"] == "warning"]
    assert warning["copy"] == str(copy)
    assert "in clear" in warning["advice"]


def test_a_second_start_migrates_nothing_and_makes_no_copy(older: Path) -> None:
    migrate(older, kept(older))
    migrate(older, kept(older))
    assert len([*older.parent.glob("ledger.before-*")]) == 1


def test_each_record_is_in_the_state_that_it_was_in(older: Path) -> None:
    migrate(older, kept(older))
    assert states(older) == EXPECTED


def test_what_waits_says_what_it_said(older: Path) -> None:
    migrate(older, kept(older))
    with reading(older, kept(older)) as connection:
        names = {one.id: one.name for one in find_records(connection, RecordQuery()) if one.name}
        tried = load_relations(connection, shown(older, "tried"))
    assert names["tried"] == names["tried-2"] == "Wombat Possum"
    assert names["accented"] == "Wombat Áardvark"
    assert tried.draft is not None
    assert tried.draft.payload.fields()["contact_info"].endswith("| tried@example.com")


def test_attempts_are_the_claims_and_what_has_no_answer_is_not_sent_at_once(older: Path) -> None:
    migrate(older, kept(older))
    with reading(older) as connection:
        found = connection.execute(
            claims.select().add_columns(records.c.source_id).join(records, records.c.sent_key == claims.c.key)
        ).all()
    by_id = {row.source_id: row for row in found}
    assert {name: by_id[name].attempts for name in ("tried", "untried", "created", "failing")} == {
        "tried": 2,
        "untried": 0,
        "created": 1,
        "failing": 8,
    }
    assert (by_id["tried"].tried, by_id["tried"].answered) != ("", 1)
    assert by_id["tried"].not_before > by_id["tried"].unanswered_at > 0
    assert (by_id["created"].not_before, by_id["created"].unanswered_at) == (0, 0)


def test_a_name_that_came_back_is_not_sent_at_once_either(older: Path) -> None:
    """It was answered for once, so that its claim does not tell whether it is still to be sent."""
    with closing(sqlite3.connect(older)) as raw, raw:
        raw.execute("UPDATE claims SET answered = 1")
    migrate(older, kept(older))
    with reading(older) as connection:
        found = connection.execute(
            claims.select().add_columns(records.c.source_id).join(records, records.c.sent_key == claims.c.key)
        ).all()
    open_ones = {row.source_id for row in found if row.not_before > row.unanswered_at > 0 and row.tried}
    assert {"tried", "failing"} <= open_ones
    assert not {"untried", "created"} & open_ones


async def test_the_first_sweep_of_the_same_source_changes_nothing(bridge: Bridge) -> None:
    """Only what waited is sent: the promise to who updates. The second sweep finds nothing new, either.

    But for Possum's twin: Possum has another number since it was tried, and that counts once it is answered.
    """
    before = EXPECTED | {"tried": "drifted", "tried-2": "merged", "untried": "delivered"}
    migrate(bridge.folder / "ledger.db", kept(bridge.folder / "ledger.db"))
    lines = bridge.books.lines
    await bridge.backfill()
    books = bridge.books
    assert states(bridge.folder / "ledger.db") == before
    # Possum is answered, and what was noted of it decided; Quokka is answered.
    assert books.lines == lines + 3
    assert {entry.name for entry in bridge.sandbox.trakor.parties.entries()} == {
        *("Wombat Aardvark", "Wombat Ibis", "Wombat Possum", "Wombat Quokka")
    }
    await bridge.backfill()
    assert bridge.books.lines == books.lines + 1
    assert states(bridge.folder / "ledger.db") == before | {"tried-2": "held: same-person"}
    await bridge.backfill()
    assert bridge.books.lines == books.lines + 1


async def test_the_first_sweep_lists_what_changed_meanwhile(bridge: Bridge) -> None:
    bridge.sandbox.contacts.change_phone("cousin", "0491 571 266")
    bridge.sandbox.contacts.rename("created", "Wombat Albatross")
    bridge.sandbox.contacts.change_phone("adopted", "0491 571 491")
    await bridge.backfill()
    after = states(bridge.folder / "ledger.db")
    assert (after["cousin"], after["created"]) == ("drifted", "held: renamed")
    assert after["adopted"] == "drifted"
    assert shown(bridge.folder / "ledger.db", "cousin").fields == ("contact_info",)
    changed = {"cousin", "created", "adopted", "tried", "untried"}
    assert {one: state for one, state in after.items() if one not in changed} == {
        one: state for one, state in EXPECTED.items() if one not in changed
    }


async def test_after_the_first_sweep_it_is_known_what_trakor_has(bridge: Bridge) -> None:
    """Where nothing differs by the old rules: so a later change is shown old beside new."""
    await bridge.backfill()
    bridge.sandbox.contacts.change_phone("twin", "0491 571 266")
    await bridge.backfill()
    path = bridge.folder / "ledger.db"
    with reading(path, kept(path)) as connection:
        standing = load_relations(connection, shown(path, "twin"))
    assert standing.sent["contact_info"].endswith("570 110")
    assert standing.draft is not None
    assert standing.draft.payload.fields()["contact_info"].endswith("571 266")
    assert in_clear(path) == []


async def test_who_is_the_same_person_by_an_old_identifier_is_merged(bridge: Bridge) -> None:
    """An old one was the e-mail address, or else the number, without saying which."""
    add = bridge.sandbox.contacts.add
    add("Wombat Heron", phone=NUMBERS["twin"], email="heron@example.com", identity="twin-3")
    add("Wombat Possum", email="TRIED@example.com", identity="possum-3")
    add("Wombat Falcon", email="falcon@example.com", identity="namesake-3")
    await bridge.backfill()
    after = states(bridge.folder / "ledger.db")
    assert {one: after[one] for one in NEW} == NEW
    assert after["namesake-3"] == "delivered"


async def test_what_is_gone_forgotten_or_dropped_stays_so(bridge: Bridge) -> None:
    await bridge.backfill(Stream.CONTACTS)
    path = bridge.folder / "ledger.db"
    assert shown(path, "left").marks == ("gone",)
    assert shown(path, "archived").marks == ("filtered",)
    with reading(path) as connection:
        assert load_history(connection, shown(path, "forgotten").number)[-1].event == "forgotten"


def test_without_the_key_nothing_is_changed(older: Path) -> None:
    """It could not be sealed: a ledger without its key is no ledger to work with."""
    with pytest.raises(LedgerError, match="key is needed"), writing(older) as connection:
        _upgrade(connection)
    assert read_revision(older) == "0004"
    assert in_clear(older) == [*SAID]


def test_another_key_is_refused_before_anything_is_sealed_with_it(older: Path) -> None:
    with pytest.raises(LedgerError, match="not the one"), open_ledger(older, b"k" * 64, "test"):
        pass
    assert read_revision(older) == "0004"
    assert in_clear(older) == [*SAID]


def test_who_dies_in_its_middle_has_the_ledger_of_before(older: Path) -> None:
    """One transaction: the copy is left, and the next start begins anew."""
    with closing(sqlite3.connect(older, isolation_level=None)) as driver:
        driver.execute("UPDATE waiting SET body = '{' WHERE slot = 1")
    with pytest.raises(ValueError, match="Expecting"):
        migrate(older, kept(older))
    assert read_revision(older) == "0004"
    with closing(sqlite3.connect(older)) as driver:
        assert driver.execute("SELECT count(*) FROM waiting WHERE slot = 0").fetchone()[0] > 0


class Died(BaseException):
    """A process ends here: no line of ours runs any more."""


@pytest.mark.parametrize("where", ["name_copy", "vacuum", "is_log_empty"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_who_dies_after_the_migration_leaves_no_trace_in_clear_after_the_next_start(
    older: Path, monkeypatch: pytest.MonkeyPatch, where: str, when: str
) -> None:
    """The next start rebuilds the file, and says where the copy lies."""
    done = getattr(opening, where)

    def die(*given: object) -> None:
        if when == "after":
            done(*given)
        raise Died

    with monkeypatch.context() as until_then:
        until_then.setattr(opening, where, die)
        with pytest.raises(Died):
            migrate(older, kept(older))
    assert read_revision(older) == HEAD
    with capture_logs() as said:
        migrate(older, kept(older))
    assert in_clear(older) == []
    (copy,) = older.parent.glob("ledger.before-*")
    assert ("before-0004-" in copy.name, in_clear(copy)) == (True, [*SAID])
    assert [line["copy"] for line in said if "copy" in line] == [str(copy)]
    with capture_logs() as again:
        migrate(older, kept(older))
    assert again == []


def test_however_often_it_dies_before_there_is_one_copy(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(_: object) -> None:
        raise Died

    with monkeypatch.context() as until_then:
        until_then.setattr(opening, "_upgrade", die)
        for _ in range(3):
            with pytest.raises(Died):
                migrate(older, kept(older))
    migrate(older, kept(older))
    (copy,) = older.parent.glob("ledger.before-*")
    assert read_revision(copy) == "0004"
