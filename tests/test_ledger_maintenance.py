"""Care of the ledger: what a backup holds, what a check finds, and what is gone after a vacuum."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from books import KEEPING, kept
from books import KEY as BOOKS_KEY
from bridge.encryption import Sealer
from bridge.errors import LedgerError
from bridge.ledger import maintenance
from bridge.ledger.database import TextStorage, writing
from bridge.ledger.integrity import IntegrityFinding, check_ledger
from bridge.ledger.open import migrate, open_ledger, read_or_make_key, read_revision, verify_key
from bridge.ledger.schema import HEAD
from builders import answered, draft
from forking import program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from books import Book

KEY = b"k" * 64
RECORD = "INSERT INTO records (feed, source_id, state, read_at, since_at) VALUES (1, 'a', '{}', 0, 0)"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """An empty ledger of this version."""
    path = tmp_path / "ledger.db"
    migrate(path, KEEPING)
    return path


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, with a configuration whose ledger lies in this folder."""
    (folder / "config.toml").write_text(
        """
        [salestrekker]
        api_key = "not-used-here"
        [trakor]
        url = "https://trakor.example/api/public/v1"
        api_key = "not-used-here"
        """
    )
    command = [*program(), *arguments, "--config", str(folder / "config.toml")]
    return subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_backup_is_one_complete_file_that_only_its_owner_can_read(ledger: Path, tmp_path: Path) -> None:
    """What another connection has committed is in it, though not yet in the main file."""
    with writing(ledger, kept(ledger)) as connection:
        verify_key(connection, KEY)
    copy = tmp_path / "copy.db"
    maintenance.back_up(ledger, copy)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert read_revision(copy) == HEAD
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM facts").fetchone() == (1,)
    assert not copy.with_name("copy.db-wal").exists()


def test_a_backup_overwrites_nothing(ledger: Path, tmp_path: Path) -> None:
    """A file that is there stays as it is."""
    target = tmp_path / "precious"
    target.write_text("precious")
    with pytest.raises(LedgerError, match="exists already"):
        maintenance.back_up(ledger, target)
    assert target.read_text() == "precious"


def test_a_backup_of_nothing_leaves_nothing(tmp_path: Path) -> None:
    """No ledger, no copy: a clear message."""
    with pytest.raises(LedgerError, match="there is no ledger"):
        maintenance.back_up(tmp_path / "none.db", tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_a_copy_from_before_a_migration_is_kept_for_a_week(ledger: Path) -> None:
    """An older one goes when the ledger is next opened for work."""
    old = maintenance.name_copy(ledger, maintenance.back_up_before_migration(ledger, "0000").name)
    os.utime(old, (0, 0))
    new = maintenance.name_copy(ledger, maintenance.back_up_before_migration(ledger, "0001").name)
    with open_ledger(ledger, KEY, "test"):
        assert not old.exists()
    assert read_revision(new) == HEAD


def test_a_healthy_ledger_passes_each_check(ledger: Path) -> None:
    """And each check says what it is about."""
    findings = check_ledger(ledger, lambda: KEY)
    assert all(finding.ok for finding in findings)
    assert len({finding.name for finding in findings}) == len(findings) > 5


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("links", RECORD.format("delivered")),
        ("claims", RECORD.format("pending")),
        ("pending", RECORD.format("pending")),
        ("merged", RECORD.format("merged")),
        ("tallies", "INSERT INTO tallies VALUES (1, 'held', 'renamed', 0, 0, 1, 0, 1)"),
        ("references", "INSERT INTO history (record, at, event) VALUES (99, 0, 'delivered')"),
    ],
)  # fmt: skip
def test_a_check_finds_what_must_not_be(ledger: Path, name: str, fault: str) -> None:
    """A row that breaks a promise fails the check of that promise."""
    with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.execute("INSERT INTO spaces (number, scope, stream) VALUES (1, 'default', 'contacts')")
        connection.execute(
            "INSERT INTO feeds (number, connection, stream, space) VALUES (1, 'default', 'contacts', 1)"
        )
        connection.execute(fault)
    found = {finding.name: finding.ok for finding in check_ledger(ledger, lambda: KEY)}
    assert found[name] is False


def of(findings: list[IntegrityFinding], name: str) -> IntegrityFinding:
    (finding,) = [one for one in findings if one.name == name]
    return finding


@pytest.fixture
def full(book: Book) -> Book:
    """One that is delivered, one that waits, and one that shares the first one's party."""
    book.see(draft("Ann", "0412", id="c1", same_as="s"), draft("Ann", id="c2", same_as="s"))
    book.settle(*(answered(work) for work in book.claim()))
    book.see(draft("Bo", id="c3"))
    book.write(lambda connection: verify_key(connection, BOOKS_KEY))
    return book


def test_a_ledger_in_use_passes_each_check(full: Book) -> None:
    assert [one for one in check_ledger(full.path, lambda: BOOKS_KEY) if not one.ok] == []


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("rows", "UPDATE records SET sent = 'not hashes' WHERE source_id = 'c1'"),
        ("rows", "UPDATE records SET identifiers = '[1]' WHERE source_id = 'c1'"),
        ("rows", "UPDATE records SET reason = 'unheard of' WHERE source_id = 'c1'"),
        ("rows", "UPDATE links SET sent = 'not hashes'"),
        ("rows", "UPDATE claims SET tried = 'not hashes'"),
        ("text", "UPDATE waiting SET body = x'01020304' WHERE record = 1 OR record = 2"),
        ("text", "UPDATE waiting SET meta = '[' WHERE record = 2"),
        ("text", "UPDATE contents SET body = CAST(substr(body, 1, length(body) - 1) || x'00' AS BLOB)"),
        ("rows", "UPDATE records SET state = CAST(x'ff7e' AS TEXT) WHERE source_id = 'c1'"),
        ("values", "UPDATE records SET key = 'zzz' WHERE source_id = 'c1'"),
        ("values", "UPDATE records SET since_at = 'abc' WHERE source_id = 'c1'"),
        ("values", "UPDATE records SET identifiers = CAST('' AS BLOB) WHERE source_id = 'c1'"),
        ("values", "UPDATE records SET read_at = 1.5 WHERE source_id = 'c1'"),
        ("values", "UPDATE claims SET attempts = 'x' WHERE record = 1"),
        ("values", "UPDATE history SET detail = CAST(x'ff' AS TEXT) WHERE record = 1"),
        ("texts", "DELETE FROM links"),
        ("merged", "UPDATE records SET state = 'dropped' WHERE number = 1; DELETE FROM links"),
    ],
)  # fmt: skip
def test_a_check_reads_each_row_and_opens_each_text(full: Book, name: str, fault: str) -> None:
    """And names no word of it: an id at most."""
    with closing(sqlite3.connect(full.path)) as connection:
        connection.executescript(f"PRAGMA ignore_check_constraints = ON; {fault}")
    finding = of(check_ledger(full.path, lambda: BOOKS_KEY), name)
    assert not finding.ok
    assert "Ann" not in finding.detail
    if name in {"rows", "text", "values"}:
        assert "c1" in finding.detail or "c2" in finding.detail


def test_a_broken_promise_names_whose_it_is(full: Book) -> None:
    with closing(sqlite3.connect(full.path)) as connection:
        connection.executescript("DELETE FROM links")
    finding = of(check_ledger(full.path, lambda: BOOKS_KEY), "links")
    assert "c1" in finding.detail
    assert "backup" in finding.advice


def test_one_damaged_row_is_no_reason_to_lose_all_decisions_since_a_backup(full: Book) -> None:
    with closing(sqlite3.connect(full.path)) as connection:
        connection.executescript("UPDATE records SET sent = 'not hashes' WHERE source_id = 'c1'")
    advices = {one.advice for one in check_ledger(full.path, lambda: BOOKS_KEY) if not one.ok}
    assert advices
    assert not any("restore" in advice for advice in advices)


def _missing() -> bytes:
    raise LedgerError("the ledger's key is not there")


@pytest.mark.parametrize("key_of", [lambda: KEY, _missing], ids=["wrong", "missing"])
def test_a_wrong_or_missing_key_fails_the_check_and_the_rest_is_looked_at(
    full: Book, key_of: Callable[[], bytes]
) -> None:
    findings = check_ledger(full.path, key_of)
    assert [one.name for one in findings if not one.ok] == ["key"]
    assert of(findings, "rows").ok


def test_with_hashes_only_a_check_finds_what_is_kept_of_the_delivered(full: Book) -> None:
    assert not of(check_ledger(full.path, lambda: BOOKS_KEY, keep_sent=False), "kept").ok
    maintenance.erase_sent_text(full.path, TextStorage(Sealer(BOOKS_KEY), sent=False))
    assert of(check_ledger(full.path, lambda: BOOKS_KEY, keep_sent=False), "kept").ok


@pytest.mark.parametrize("key", [None, "f" * 64], ids=["missing", "wrong"])
def test_the_command_fails_without_the_ledgers_key(ledger: Path, key: str | None) -> None:
    """It passed, though nothing could be sent, compared or shown any more."""
    proof = read_or_make_key(ledger.with_name("ledger.key"))
    with writing(ledger, kept(ledger)) as connection:
        verify_key(connection, proof)
    assert _run(ledger.parent, "ledger", "check").returncode == 0
    ledger.with_name("ledger.key").unlink()
    if key is not None:
        ledger.with_name("ledger.key").write_text(key)
    result = _run(ledger.parent, "ledger", "check", "--json")
    assert result.returncode == 1
    checks = {one["name"]: one["ok"] for one in json.loads(result.stdout)["checks"]}
    assert [name for name, ok in checks.items() if not ok] == ["key"]


def test_a_damaged_file_is_found(ledger: Path) -> None:
    """Bytes overwritten in the middle of the file."""
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(ledger.read_bytes())
    content[4096 * 3 : 4096 * 3 + 200] = b"\xff" * 200
    ledger.write_bytes(bytes(content))
    result = _run(ledger.parent, "ledger", "check")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr


def test_history_goes_when_it_is_old_enough_a_part_at_a_time(ledger: Path) -> None:
    """Only lines from before the moment, at most a thousand at once."""
    with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        rows = [(moment,) for moment in range(2500)]
        connection.executemany("INSERT INTO history (record, at, event) VALUES (1, ?, 'x')", rows)
    pruned: list[int] = []
    while not pruned or pruned[-1]:
        with writing(ledger, kept(ledger)) as writer:
            pruned.append(maintenance.prune_history(writer, before=1500))
    assert pruned == [1000, 500, 0]


def test_the_commands_back_up_check_and_vacuum(ledger: Path, tmp_path: Path) -> None:
    """As a user runs them, the key beside the copy."""
    key = tmp_path / "ledger.key"
    read_or_make_key(key)
    backup = _run(tmp_path, "ledger", "backup", str(tmp_path / "backup.db"))
    assert backup.returncode == 0, backup.stderr
    assert (tmp_path / "backup.db.key").read_bytes() == key.read_bytes()
    assert (tmp_path / "backup.db.key").stat().st_mode & 0o777 == 0o600
    check = _run(tmp_path, "ledger", "check")
    assert check.returncode == 0, check.stderr
    nowhere = _run(tmp_path, "ledger", "backup", str(tmp_path / "no-folder" / "backup.db"))
    assert "folder" in nowhere.stderr
    vacuum = _run(tmp_path, "ledger", "vacuum")
    assert vacuum.returncode == 0, vacuum.stderr
    assert "bytes before" in vacuum.stdout
    assert read_revision(ledger) == HEAD
