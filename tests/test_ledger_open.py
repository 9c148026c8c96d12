"""Opening a ledger: made, found, refused, taken; what is on disk, and who may read it."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

from books import KEEPING, kept
from bridge.errors import LedgerError
from bridge.ledger.database import read_only, reading, writing
from bridge.ledger.open import (
    derive_key,
    find_owner,
    lock_ledger,
    migrate,
    open_ledger,
    read_or_make_key,
    read_revision,
    require_current,
    verify_key,
)
from bridge.ledger.schema import HEAD, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

KEY = derive_key("the tests' key")
TAKES_IT = """
import sys, time
from pathlib import Path
from bridge.ledger.open import lock_ledger
with lock_ledger(Path(sys.argv[1]), "backfill"):
    print("taken", flush=True)
    sys.stdin.read()
"""


def set_revision(path: Path, to: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (to,))
        connection.commit()


def prepared(path: Path) -> None:
    migrate(path, KEEPING)


# -- fresh and found


def test_a_fresh_ledger_is_made_in_a_folder_that_is_made_too(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "ledger.db"
    with open_ledger(path, KEY, "backfill"):
        assert read_revision(path) == HEAD
    with open_ledger(path, KEY, "backfill"):
        assert read_revision(path) == HEAD


def test_only_its_owner_can_read_what_is_on_disk(tmp_path: Path) -> None:
    """Whatever the umask says: the ledger, its log, its lock and its key."""
    path = tmp_path / "ledger.db"
    before = os.umask(0)
    try:
        read_or_make_key(tmp_path / "ledger.key")
        with open_ledger(path, KEY, "backfill"), writing(path, kept(path)):
            modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert {"ledger.db", "ledger.db-wal", "ledger.db.lock", "ledger.key"} <= set(modes)
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("name", ["plain.db", "with space.db", "100%41.db", "what?.db", "a#b.db", "ü.db"])
def test_a_ledgers_path_may_have_any_characters(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with open_ledger(path, KEY, "backfill"):
        assert read_revision(path) == HEAD
    assert {file.name for file in tmp_path.iterdir()} == {name, f"{name}.lock"}


def test_settings_that_only_take_effect_when_a_file_is_made_are_made(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    migrate(path, KEEPING)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_empty_file_is_no_ledger_yet(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch()
    assert read_revision(path) is None
    migrate(path, KEEPING)
    assert read_revision(path) == HEAD


# -- refused


def test_a_newer_ledger_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    migrate(path, KEEPING)
    set_revision(path, "9999")
    before = path.read_bytes()
    for use in (prepared, require_current):
        with pytest.raises(LedgerError, match="newer version") as caught:
            use(path)
        assert "9999" in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("use", [prepared, require_current])
def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path, use: Any) -> None:  # noqa: ANN401
    path = tmp_path / "ledger.db"
    path.write_text("not a database, but somebody's letter " * 100)
    with pytest.raises(LedgerError, match="cannot be read as a ledger"):
        use(path)
    assert path.read_text().startswith("not a database")


@pytest.mark.parametrize("use", [reading, writing])
def test_a_file_that_turns_out_to_be_damaged_while_it_is_opened_is_a_sentence(
    tmp_path: Path,
    use: Any,  # noqa: ANN401
) -> None:
    """The driver's own error, which SQLAlchemy lets through there, is no traceback."""
    path = tmp_path / "ledger.db"
    path.write_text("not a database, but somebody's letter " * 100)
    with pytest.raises(LedgerError, match="cannot be used: file is not a database"), use(path) as connection:
        connection.exec_driver_sql("SELECT * FROM sqlite_master")


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(LedgerError, match="cannot be read as a ledger"):
        migrate(path, KEEPING)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]


@pytest.mark.parametrize("place", ["a file/ledger.db", "locked.db", "x" * 300])
def test_a_place_where_no_ledger_can_be_is_refused_with_what_to_do(tmp_path: Path, place: str) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "locked.db.lock").mkdir()
    with pytest.raises(LedgerError) as refused, open_ledger(tmp_path / place, KEY, "backfill"):
        pass
    assert "[ledger] url" in refused.value.advice


def test_a_ledger_that_may_not_be_written_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be written") as refused, writing(tmp_path, kept(tmp_path)):
        pass
    assert "owns the ledger" in refused.value.advice


def test_a_reader_makes_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger"):
        require_current(tmp_path / "ledger.db")
    assert list(tmp_path.iterdir()) == []


def test_another_key_is_refused(tmp_path: Path) -> None:
    """With it every record would look changed, and every name free."""
    path = tmp_path / "ledger.db"
    migrate(path, KEEPING)
    with writing(path, kept(path)) as connection:
        verify_key(connection, KEY)
    with writing(path, kept(path)) as connection:
        verify_key(connection, KEY)
    with pytest.raises(LedgerError, match="key"), writing(path, kept(path)) as connection:
        verify_key(connection, derive_key("another"))


def test_a_ledger_that_may_not_be_opened_is_not_called_damaged(tmp_path: Path) -> None:
    """SQLite needs to write beside it, also to read: who runs it is the matter, and no backup helps."""
    path = tmp_path.joinpath(*["d" * 200] * 3, "ledger.db")  # longer than SQLite opens any
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something")
    with pytest.raises(LedgerError, match="cannot be opened: unable to open") as refused:
        read_revision(path)
    assert "as the user who owns the ledger" in refused.value.advice


def test_a_key_is_made_once_and_then_read(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "ledger.key"
    made = read_or_make_key(path)
    assert read_or_make_key(path) == made
    assert [file.name for file in path.parent.iterdir()] == ["ledger.key"]
    assert derive_key(path.read_text().strip()) == made


def test_a_key_that_only_has_to_be_read_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="does not exist"):
        read_or_make_key(tmp_path / "ledger.key", make=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 40])
def test_a_key_that_is_damaged_is_refused_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.key"
    path.write_bytes(content)
    with pytest.raises(LedgerError) as refused:
        read_or_make_key(path)
    assert "backup" in refused.value.advice
    assert path.read_bytes() == content


def test_where_no_key_can_be_made_the_place_is_named_and_no_backup(tmp_path: Path) -> None:
    """At a first backfill there is nothing to restore: the folder is wrong, or not this user's."""
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(LedgerError, match=r"the ledger's place cannot be used: .*taken") as refused:
        read_or_make_key(tmp_path / "taken" / "ledger.key")
    assert "folder that this user may write in" in refused.value.advice


def test_a_key_that_cannot_be_read_is_said_in_words_and_not_in_class_names(tmp_path: Path) -> None:
    (tmp_path / "ledger.key").mkdir()
    with pytest.raises(LedgerError, match=r"cannot be read: Is a directory$") as refused:
        read_or_make_key(tmp_path / "ledger.key")
    assert "as the user who owns the ledger" in refused.value.advice


# -- taken


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the ledger."""
    command = [sys.executable, "-c", TAKES_IT, str(tmp_path / "ledger.db")]
    with subprocess.Popen(  # noqa: S603 - our own program
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        yield process
        process.kill()


def test_a_ledger_that_another_process_has_is_refused_and_says_who(
    owner: subprocess.Popen[str], tmp_path: Path
) -> None:
    with pytest.raises(LedgerError) as caught, lock_ledger(tmp_path / "ledger.db", "run"):
        pass
    assert f"`backfill` (process {owner.pid}) has held it since 20" in str(caught.value)


def test_a_ledger_is_free_when_its_owner_is_killed(owner: subprocess.Popen[str], tmp_path: Path) -> None:
    owner.send_signal(signal.SIGKILL)
    owner.wait(10)
    with lock_ledger(tmp_path / "ledger.db", "run"):
        pass


def test_a_process_cannot_take_a_ledger_twice_either(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with (
        open_ledger(path, KEY, "run"),
        pytest.raises(LedgerError, match="in use"),
        open_ledger(path, KEY, "x"),
    ):
        pass
    with open_ledger(path, KEY, "run"):
        pass


def test_who_only_looks_keeps_nobody_from_taking_it_over(tmp_path: Path) -> None:
    """`status` has the lock for an instant, to see whether a daemon has it: one that starts then waits."""
    path = tmp_path / "ledger.db"
    looking = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.03, os.close, [looking]).start()
    with lock_ledger(path, "run"):
        assert find_owner(path).startswith("`run` (process ")


def test_a_lock_of_which_nothing_is_known_yet_is_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with lock_ledger(path, "run"):
        (tmp_path / "ledger.db.lock").write_text("{")
        with pytest.raises(LedgerError, match="another process has just opened it"), lock_ledger(path, "x"):
            pass


# -- the schema


def test_the_code_is_written_for_the_newest_migration() -> None:
    from bridge.ledger.open import _alembic  # noqa: PLC0415 - the one place that knows where they are

    assert ScriptDirectory.from_config(_alembic()).get_current_head() == HEAD


def described(engine: Engine) -> dict[str, object]:
    """Tables with columns, keys, constraints and indexes, as the database knows them."""
    known = inspect(engine)
    tables = sorted(set(known.get_table_names()) - {"alembic_version"})
    return {
        table: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], str(column["default"]).strip("'"))
                for column in known.get_columns(table)
            },
            "primary key": known.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(tuple(one["column_names"]) for one in known.get_unique_constraints(table)),
            "foreign keys": sorted(
                (tuple(one["constrained_columns"]), one["referred_table"], tuple(one["referred_columns"]))
                for one in known.get_foreign_keys(table)
            ),
            "checks": sorted(
                (str(one["name"]), " ".join(one["sqltext"].split()))
                for one in known.get_check_constraints(table)
            ),
            "indexes": sorted(
                (one["name"], tuple(one["column_names"]), str(one["dialect_options"].get("sqlite_where")))
                for one in known.get_indexes(table)
            ),
        }
        for table in tables
    }


def triggers(engine: Engine) -> dict[str, str]:
    """Each trigger's SQL, and the revision that the ledger says it has."""
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all()
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    return {str(name): str(sql) for name, sql in found} | {"revision": str(version)}


def test_a_new_ledger_is_the_same_as_one_that_was_migrated(tmp_path: Path) -> None:
    from bridge.ledger.open import _upgrade  # noqa: PLC0415 - a new ledger is never migrated

    migrate(tmp_path / "new.db", KEEPING)
    with writing(tmp_path / "migrated.db", KEEPING) as connection:
        _upgrade(connection)
    new = create_engine(f"sqlite:///{tmp_path / 'new.db'}")
    migrated = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    try:
        assert described(migrated) == described(new)
        assert triggers(migrated) == triggers(new)
        assert set(described(new)) == set(metadata.tables)
        for engine in (new, migrated):
            with engine.connect() as looking:
                found = looking.exec_driver_sql(
                    "SELECT name FROM sqlite_master WHERE sql LIKE '%WITHOUT ROWID%'"
                )
                assert {"claims", "links", "waiting"} <= set(found.scalars())
    finally:
        migrated.dispose()
        new.dispose()


def test_a_damaged_schema_is_told_as_such(tmp_path: Path) -> None:
    """SQLite quotes what is damaged, and that was no UTF-8: `ledger check` ended with a traceback."""
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE records (number INTEGER)")
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE records", b"CRE\x8dTE TABLE rec\x8drds"))
    with pytest.raises(LedgerError, match="cannot be read as a ledger"):
        read_revision(path)


@pytest.mark.parametrize("existing", [False, True])
def test_a_ledger_whose_process_died_before_it_had_its_log_is_opened(
    tmp_path: Path, *, existing: bool
) -> None:
    """Killed while SQLite switched to its write-ahead log: refused for ever, as no reader can roll back."""
    source, path = tmp_path / "source.db", tmp_path / "ledger.db"
    if existing:
        migrate(source, KEEPING)
    with closing(sqlite3.connect(source, isolation_level=None)) as dying:
        dying.execute("PRAGMA journal_mode = DELETE")
        dying.execute("PRAGMA cache_size = 1")
        dying.execute("BEGIN IMMEDIATE")
        dying.execute("CREATE TABLE unfinished (text)")
        dying.executemany("INSERT INTO unfinished VALUES (?)", [("x" * 4000,)] * 20)  # more than it caches
        for suffix in ("", "-journal"):
            shutil.copy(f"{source}{suffix}", f"{path}{suffix}")
        dying.execute("ROLLBACK")
    with (
        closing(sqlite3.connect(read_only(path), uri=True)) as reader,
        pytest.raises(sqlite3.OperationalError),
    ):
        reader.execute("SELECT 1 FROM sqlite_master").fetchone()
    assert read_revision(path) == (HEAD if existing else None)
    migrate(path, KEEPING)
    with reading(path) as connection:
        names = connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars().all()
    assert "records" in names
    assert "unfinished" not in names
