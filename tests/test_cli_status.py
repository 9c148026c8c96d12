"""`status`: the truth first, the interface's document, and never in the way of a running backfill."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from books import kept
from bridge.ledger.database import writing
from bridge.ledger.open import lock_ledger
from bridge.ledger.stored_pauses import set_pause
from desk import Desk, Organisation, organisation
from forking import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONG = 30.0
"""Seconds after which something hangs, also on a busy machine."""

CURSOR_UP = "\x1b[1A"
CONFIG = """\
[salestrekker]
api_key = "a-key-of-salestrekker"
[trakor]
url = "http://127.0.0.1:1/api"
api_key = "sk_live_0123456789abcdef"
"""
SECOND_PAIR = CONFIG.replace("127.0.0.1:1", "127.0.0.1:2").replace("abcdef", "fedcba")


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    return asyncio.run(organisation(tmp_path_factory.mktemp("organisation")))


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A configured bridge that never ran."""
    (tmp_path / "config.toml").write_text(CONFIG)
    return Desk(tmp_path, monkeypatch, capsys)


@pytest.fixture
def desk(left: Organisation, empty: Desk) -> Desk:
    return empty.copy(left)


def test_a_bridge_that_never_ran(empty: Desk) -> None:
    """Exit 0, and what to do; the same document as ever."""
    ran = empty("status")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("Nothing yet: `trakor-bridge backfill` sends everything")
    document = empty("status", "--json").json
    assert document["connections"]["default"]["streams"]["contacts"]["last_sweep"] is None
    assert not (empty.folder / "ledger.db").exists()


def test_the_truth_comes_first_then_the_numbers(desk: Desk) -> None:
    ran = desk("status")
    lines = ran.out.splitlines()
    assert ran.status == 0
    assert lines[:4] == [
        "8 of 12 contacts and 1 of 2 products are in Trakor.",
        "1 is still to be sent: trakor-bridge backfill",
        "7 need a decision: trakor-bridge records list --state held,rejected,drifted",
        "2 are left out: trakor-bridge records list --state skipped,dropped",
    ]
    assert [line.split() for line in lines[5:14]] == [
        ["contacts", "products"],
        ["pending", "1", "0"],
        ["delivered", "4", "1"],
        ["merged", "1", "0"],
        ["skipped", "2", "0"],
        ["held", "4", "0"],
        ["rejected", "1", "1"],
        ["drifted", "1", "0"],
        ["of", "these", "gone", "1", "0"],
    ]
    assert lines[14].startswith("last read")
    assert lines[-1].startswith(f"Ledger {desk.folder / 'ledger.db'}: 0.")


def test_the_document_is_the_only_thing_on_standard_output(desk: Desk) -> None:
    document = desk("status", "--json").json
    assert document["connections"]["default"]["streams"]["products"]["states"]["delivered"] == 1


def test_several_connections_are_told_apart(desk: Desk) -> None:
    config = desk.folder / "config.toml"
    config.write_text('connections_dir = "connections.d"\n' + config.read_text())
    (desk.folder / "connections.d").mkdir()
    (desk.folder / "connections.d" / "sydney.toml").write_text(SECOND_PAIR)
    both = desk("status").out.splitlines()
    assert both.index("default") < both.index("sydney")
    assert set(desk("status", "--connection", "sydney", "--json").json["connections"]) == {"sydney"}


def test_it_reads_beside_a_running_backfill(desk: Desk) -> None:
    """Another process owns the ledger and is in the middle of a transaction: readers do not wait."""
    ledger = desk.folder / "ledger.db"
    with lock_ledger(ledger, "trakor-bridge backfill"), writing(ledger, kept(ledger)) as connection:
        connection.exec_driver_sql("DELETE FROM waiting")
        connections = desk("status", "--json").json["connections"]
    assert connections["default"]["streams"]["contacts"]["states"]["held"] == 4


def test_a_newer_ledger_is_left_alone(desk: Desk) -> None:
    with writing(desk.folder / "ledger.db", kept(desk.folder / "ledger.db")) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    ran = desk("status")
    assert (ran.status, ran.out) == (1, "")
    assert "made by a newer version" in ran.err
    assert "what to do: install that version again" in ran.err


def test_a_file_that_is_no_ledger_is_said_to_be_none(empty: Desk) -> None:
    (empty.folder / "ledger.db").write_text("dear diary, " * 100)
    ran = empty("status")
    assert ran.status == 1
    assert "cannot be read as a ledger" in ran.err


def test_watching_needs_a_terminal(empty: Desk) -> None:
    ran = empty("status", "--watch")
    assert (ran.status, ran.out) == (2, "")
    assert "--watch needs a terminal" in ran.err


def test_watching_is_no_document(empty: Desk) -> None:
    ran = empty("status", "--watch", "--json")
    assert (ran.status, ran.out) == (2, "")
    assert "--watch and --json exclude each other" in ran.err


def test_watching_shows_what_changes_in_the_same_place_until_it_is_interrupted(desk: Desk) -> None:
    """In a process of its own, on a terminal: exit status 130, as everywhere."""
    with on_a_terminal("status", "--watch", "--config", str(desk.folder / "config.toml")) as (process, shown):
        shown("7 need a decision")
        with writing(desk.folder / "ledger.db", kept(desk.folder / "ledger.db")) as connection:
            set_pause(connection, "default", "sending", reason="a person paused it", now=1, by_person=True)
        assert CURSOR_UP in shown("Sending to Trakor is paused")
        process.send_signal(signal.SIGINT)
        assert process.wait(LONG) == 130


@contextmanager
def on_a_terminal(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[str], str]]]:
    """The command on a terminal; and a function that waits for words on it, and gives what came by then."""
    ours, theirs = os.openpty()
    command = [*program(), *arguments]
    environ = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(command, stdout=theirs, env=environ) as process:  # noqa: S603 - our own command
        os.close(theirs)

        def shown(words: str) -> str:
            seen = b""
            deadline = time.monotonic() + LONG
            while words.encode() not in seen:
                assert select.select([ours], [], [], deadline - time.monotonic())[0], seen
                seen += os.read(ours, 4096)
            return seen.decode(errors="replace")

        try:
            yield process, shown
        finally:
            process.kill()
            os.close(ours)


def test_an_unknown_connection_is_a_usage_error(empty: Desk) -> None:
    ran = empty("status", "--connection", "defalt")
    assert ran.status == 2
    assert "did you mean default?" in ran.err
