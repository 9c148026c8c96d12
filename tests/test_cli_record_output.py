"""The table of records on terminals of any width: its lines never break, and names can be read."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from bridge.cli.record_output import show_table
from bridge.ledger.feeds import Feed
from bridge.ledger.read_model import RecordSummary
from bridge.records import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

ID = "5f0e9c1a-8f0c-4c2b-9a57-0a1b2c3d4e5f"
CUT = "5f0e9c1a-8f0[-0-9a-f]*…"
LONG = "An uncommonly long name of somebody or something 漢字 " * 4


def record(
    *, name: str = "", state: str = "delivered", reason: str = "", identity: str = ID
) -> RecordSummary:
    """A contact that has been in its state for three minutes."""
    since = time.time_ns() // 1_000_000 - 180_000
    feed = Feed(1, "default", Stream.CONTACTS, 1)
    return RecordSummary(1, feed, identity, state, reason, (), "", "", "", (), since, name)


@pytest.fixture
def shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[int, RecordSummary], list[str]]:
    """The lines of the table of one record on a terminal of so many columns, without colours."""

    def show(width: int, one: RecordSummary) -> list[str]:
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(width))
        show_table([one])
        return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()

    return show


@pytest.mark.parametrize(("width", "identity"), [(80, CUT), (100, ID), (132, ID), (200, ID)])
@pytest.mark.parametrize("state", [("held", "renamed"), ("rejected", "refused-by-trakor")])
def test_the_name_is_kept_and_the_id_is_cut_if_there_is_no_room_for_both(
    shown: Callable[[int, RecordSummary], list[str]], width: int, identity: str, state: tuple[str, str]
) -> None:
    lines = shown(width, record(name=LONG, state=state[0], reason=state[1]))
    assert len(lines) <= 3, "headings, the record, and at most a second line of its state"
    assert "An uncommonly long" in lines[1]
    assert re.search(rf"  {identity}( |$)", lines[1])


def test_where_there_is_room_on_80_columns_it_says_since_when(
    shown: Callable[[int, RecordSummary], list[str]],
) -> None:
    headings, line = shown(80, record())
    assert headings.split() == ["state", "stream", "id", "since"]
    assert line.rstrip().endswith("3 min")


def test_a_name_of_usual_length_is_whole_on_80_columns(
    shown: Callable[[int, RecordSummary], list[str]],
) -> None:
    headings, *lines = shown(80, record(name="Jane Smith", state="rejected", reason="refused-by-trakor"))
    assert headings.split() == ["state", "name", "stream", "id", "since"]
    assert "Jane Smith " in lines[0]


def test_no_line_is_longer_than_a_narrow_terminal(
    shown: Callable[[int, RecordSummary], list[str]],
) -> None:
    lines = shown(60, record(name="Jane Smith", identity="x" * 200))
    assert all(len(line) <= 60 for line in lines)
    assert "Jane Smith" in lines[1]
