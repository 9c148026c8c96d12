"""What the overview says of a connection in each situation, and its bars; pure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from bridge.admin.lists import Filter
from bridge.admin.overview_content import HEIGHT, ConnectionCard, Tone, chart, counted, overview
from bridge.ledger.runs_and_sweeps import LastSweep, Run
from bridge.records import Reason, State, Stream
from bridge.status import ConnectionStatus, Flow, Snapshot, StreamStatus
from bridge.status.snapshot import Figures
from bridge.status.vocabulary import NEEDS_DECISION

NOW = 1_795_000_000_000
HOUR = 3_600_000
READ = LastSweep(1, NOW - 9000, NOW - 8000, NOW - 7000, complete=True, read=9)
READING = replace(READ, ended_at=None, complete=False)


def stream(sweep: LastSweep | None = READ, in_trakor: int = 0, **states: int) -> StreamStatus:
    found = dict.fromkeys(State, 0) | {State(state): number for state, number in states.items()}
    return StreamStatus(found, in_trakor=in_trakor, to_send=found[State.PENDING], last_sweep=sweep)


WELL = ConnectionStatus(
    "default",
    MappingProxyType(
        {
            Stream.CONTACTS: stream(in_trakor=4312, delivered=4312),
            Stream.PRODUCTS: stream(in_trakor=118, delivered=118),
        }
    ),
)


def shown(status: ConnectionStatus, figures: Figures | None = None) -> ConnectionCard:
    snapshot = Snapshot(NOW, Path("ledger.db"), 4096, {status.name: status})
    (connection,) = overview(snapshot, {status.name: figures} if figures else {})
    return connection


def with_contacts(contacts: StreamStatus) -> ConnectionStatus:
    return replace(WELL, streams={**WELL.streams, Stream.CONTACTS: contacts})


def test_that_all_is_well_is_one_sentence_and_nothing_else() -> None:
    connection = shown(WELL)
    assert (connection.badge.tone, connection.badge.word) == (Tone.OK, "All is well")
    assert connection.sentence == "All 4,312 contacts and 118 products are in Trakor."
    assert (connection.notes, connection.decisions) == ([], [])


@pytest.mark.parametrize(
    ("status", "word", "sentence"),
    [
        (
            ConnectionStatus("default", {one: stream(None) for one in Stream}),
            "Nothing yet",
            "Nothing has been read from Salestrekker yet.",
        ),
        (
            ConnectionStatus("default", {Stream.CONTACTS: stream(READING, pending=7)}),
            "Working",
            "Everything in Salestrekker is being read for the first time.",
        ),
        (
            with_contacts(stream(in_trakor=5, delivered=5, pending=2)),
            "Working",
            "5 of 7 contacts and all 118 products are in Trakor.",
        ),
        (
            with_contacts(stream(in_trakor=5, delivered=5, held=1)),
            "Needs attention",
            "5 of 6 contacts and all 118 products are in Trakor. 1 needs a decision.",
        ),
        (
            with_contacts(stream(delivered=0, held=100_000)),
            "Needs attention",
            "0 of 100,000 contacts and all 118 products are in Trakor. 100,000 need a decision.",
        ),
        (
            replace(WELL, sending=Flow("paused", NOW - HOUR, "the key was refused", NOW + HOUR)),
            "Stopped",
            "All 4,312 contacts and 118 products are in Trakor.",
        ),
        (
            replace(WELL, reading=Flow("paused", NOW - HOUR, "a person paused it", by_person=True)),
            "Paused",
            "All 4,312 contacts and 118 products are in Trakor.",
        ),
    ],
)
def test_the_worst_is_said_first(status: ConnectionStatus, word: str, sentence: str) -> None:
    connection = shown(status)
    assert (connection.badge.word, connection.sentence) == (word, sentence)


def test_what_is_stopped_says_since_when_why_and_what_comes_next() -> None:
    refused = replace(WELL, sending=Flow("paused", NOW - HOUR, "the key was refused.", NOW + 2 * HOUR))
    (note,) = shown(refused).notes
    assert note.tone == Tone.STOP
    assert note.text.startswith("Sending to Trakor has stopped since ")
    assert note.text.endswith(
        "(1 hour ago): the key was refused. The next try is due in 2 hours. Nothing is lost."
    )


def test_a_record_that_waits_too_long_is_told() -> None:
    late = replace(with_contacts(stream(pending=2)), lag_seconds=7300.0)
    assert [note.text for note in shown(late).notes] == [
        "2 are waiting to be sent to Trakor; the first one for 2 hours."
    ]


@pytest.mark.parametrize(
    ("left", "tone", "said"),
    [
        (6 * 24 * HOUR, Tone.OK, "valid, expires in 6 days"),
        (2 * HOUR, Tone.ASK, "valid, expires in 2 hours"),
        (-HOUR, Tone.STOP, "expired 1 hour ago"),
    ],
)
def test_the_life_of_the_log_in_is_told(left: int, tone: Tone, said: str) -> None:
    *_, flow = shown(replace(WELL, token_expires_at=NOW + left)).flows
    assert (flow.tone, flow.link) == (tone, said)


def test_every_reason_to_wait_has_its_words_and_its_list() -> None:
    waiting = (Reason.MAPPING, Reason.REFUSED, Reason.SERVER_ERROR, Reason.DAMAGED)
    held = {*Reason} - {*waiting, Reason.FILTERED, Reason.NO_NAME}
    assert {*NEEDS_DECISION} == {
        *((State.HELD, reason) for reason in held),
        *((State.REJECTED, reason) for reason in waiting),
        (State.DRIFTED, ""),
    }
    figures = Figures(dict.fromkeys(NEEDS_DECISION, 3))
    decisions = shown(WELL, figures).decisions
    assert [one.title for one in decisions] == [kind.title for kind in NEEDS_DECISION.values()]
    assert len({one.href for one in decisions}) == len(NEEDS_DECISION)


def test_columns_of_runs_that_say_nothing_are_left_out() -> None:
    counts = {"contacts": {"read": 3, "created": 2, "held": 1}, "products": {"read": 1, "created": 1}}
    runs = [Run(1, "backfill", ("contacts", "products"), NOW - HOUR, NOW, complete=True, counts=counts)]
    connection = shown(WELL, Figures(runs=runs))
    (row,) = connection.runs
    assert (row.what, row.took, row.state) == ("Backfill", "1 hour", "complete")
    assert counted([connection]) == ["read", "created", "held"]
    assert row.counts["read"] == row.counts["created"] + row.counts["held"] == 4


@pytest.mark.parametrize(
    ("command", "streams", "what"),
    [
        ("reconcile", ["contacts"], "All contacts"),
        ("reconcile", ["products"], "All products"),
        ("contacts", ["contacts"], "Contacts"),
        ("backfill", ["contacts", "products"], "Backfill"),
    ],
)
def test_a_run_is_named_by_what_it_reads(command: str, streams: list[str], what: str) -> None:
    """The daemon reads a list at a time: what goes on has no numbers yet, and has its name."""
    runs = [Run(1, command, streams, NOW, None, complete=False, counts={})]
    assert [run.what for run in shown(WELL, Figures(runs=runs)).runs] == [what]


@pytest.mark.parametrize(
    ("by_person", "word", "said", "link"),
    [
        (False, "Stopped", "Sending contacts to Trakor has stopped since", "stopped"),
        (True, "Paused", "Sending contacts to Trakor is paused since", "paused"),
    ],
)
def test_the_pause_of_one_stream_is_told(by_person: bool, word: str, said: str, link: str) -> None:  # noqa: FBT001 - a test's argument
    """Twenty rejections in a row stop a stream alone: the other one goes on, and all is not well."""
    flow = Flow("paused", NOW - HOUR, "20 rejections in a row", by_person=by_person)
    connection = shown(with_contacts(replace(WELL.streams[Stream.CONTACTS], sending=flow)))
    assert connection.badge.word == word
    assert [note.text.startswith(said) for note in connection.notes] == [True]
    assert [(one.text, one.link) for one in connection.flows] == [
        ("Reading", "works"), ("Sending", "works"), ("Sending contacts", link),
    ]  # fmt: skip


def test_bars_stand_on_the_ground_and_the_highest_fills_the_room() -> None:
    drawn = chart("Delivered", [0, 1, 1000, 500], str, first="then", last="now")
    heights = [bar.height for bar in drawn.bars]
    assert heights == [1, 3, HEIGHT, HEIGHT / 2]
    assert {bar.y + bar.height for bar in drawn.bars} == {HEIGHT}
    assert drawn.total == 1501
    assert drawn.description == "Delivered: 1,501 in all, 1,000 at most."
    assert chart("Delivered", [0, 0], str, first="", last="").description == "Delivered: none."


def test_a_filter_keeps_what_it_was_given() -> None:
    wanted = Filter.of({"state": "held", "reason": "renamed", "connection": "a b", "other": "x"})
    assert wanted.href(after=3) == "/records?connection=a+b&state=held&reason=renamed&after=3"
    assert Filter.of({}).href() == "/records"
