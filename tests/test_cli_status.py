"""`status`: the truth first, the interface's document, and never in the way of a running backfill."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bridge.ledger.engine import writing
from bridge.ledger.opening import take_over
from desk import Desk, Organisation, organisation

if TYPE_CHECKING:
    from pathlib import Path

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
    assert ran.out.startswith("Nothing yet: `trakor-bridge backfill` reads all")
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
    with take_over(ledger, "trakor-bridge backfill"), writing(ledger) as connection:
        connection.exec_driver_sql("DELETE FROM waiting")
        connections = desk("status", "--json").json["connections"]
    assert connections["default"]["streams"]["contacts"]["states"]["held"] == 4


def test_a_newer_ledger_is_left_alone(desk: Desk) -> None:
    with writing(desk.folder / "ledger.db") as connection:
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


def test_watching_is_not_built_yet(empty: Desk) -> None:
    ran = empty("status", "--watch")
    assert ran.status == 2
    assert "`status --watch` is not built yet" in ran.err


def test_an_unknown_connection_is_a_usage_error(empty: Desk) -> None:
    ran = empty("status", "--connection", "defalt")
    assert ran.status == 2
    assert "did you mean default?" in ran.err
