"""What is wrong, and what is said of it: pure, so each case is a value."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bridge.alerts import AlertKind, Disk, Message, conditions, count_waiting
from bridge.alerts.conditions import DAY, FULL_BYTES, HOUR, MINUTE, ONCE, OVER
from bridge.alerts.notifier import compose, lower_counts
from bridge.ledger.alerts_sent import AlertSent, AlertTopic
from bridge.ledger.mass_change_detection import MassChange
from bridge.ledger.runs_and_sweeps import LastSweep, SweepProgress
from bridge.records import Stream
from bridge.status import ConnectionStatus, Flow, Snapshot, StreamStatus, WebhookStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.alerts import Condition

NOW = 1_795_000_000_000
GIB = 2**30
ROOM = Disk(100 * GIB, 50 * GIB)
BURST = MassChange(7, NOW - HOUR, ("contact_info",), 4812)
SECRETS = "Ann Lee refused with key sk_live_canary"


def at(status: ConnectionStatus, now: int = NOW) -> Snapshot:
    return Snapshot(now, Path("ledger.db"), 1, {status.name: status}, alive=True)


def sydney(stream: StreamStatus | None = None, **more: Any) -> ConnectionStatus:  # noqa: ANN401 - its attributes
    """A connection in which all is well, but for what is said."""
    return ConnectionStatus("sydney", {Stream.CONTACTS: stream or StreamStatus()}, **more)


def hourly(_name: str, _stream: Stream, read_at: int) -> int | None:
    """Each list is due once an hour."""
    return read_at + 2 * HOUR


def found(status: ConnectionStatus, disk: Disk | None = ROOM) -> list[Condition]:
    return conditions(at(status), disk, hourly)


def kinds(status: ConnectionStatus, disk: Disk | None = ROOM) -> list[str]:
    return [str(one.kind) + (" (covered)" if one.covered else "") for one in found(status, disk)]


def paused(minutes: float, *, by_person: bool = False) -> Flow:
    return Flow("paused", NOW - int(minutes * MINUTE), SECRETS, NOW + 5, by_person)


def swept(
    *,
    good: int | None,
    first: int = NOW - 9 * DAY,
    missing: int = 0,
    narrowed: bool = False,
    ended: int | None = NOW,
    moved: int = NOW,
) -> StreamStatus:
    sweep = LastSweep(1, NOW, moved, ended, complete=True, read=1)
    return StreamStatus(last_sweep=sweep, reached=SweepProgress(first, good, missing, narrowed))


# -- what is wrong


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (sydney(), []),
        (sydney(reading=paused(14.9)), ["reading-paused (covered)"]),
        (sydney(reading=paused(15)), ["reading-paused"]),
        (sydney(sending=paused(15)), ["sending-paused"]),
        (sydney(StreamStatus(sending=paused(15))), ["sending-paused"]),
        (sydney(sending=paused(23 * 60, by_person=True)), ["sending-paused-by-person (covered)"]),
        (sydney(sending=paused(24 * 60, by_person=True)), ["sending-paused-by-person"]),
        (sydney(reading=paused(24 * 60, by_person=True)), ["reading-paused-by-person"]),
        (sydney(token_expires_at=NOW - 5), []),
        (sydney(token_failing_since=NOW - 14 * MINUTE, token_expires_at=NOW + DAY), ["token (covered)"]),
        (sydney(token_failing_since=NOW - 15 * MINUTE, token_expires_at=NOW + DAY), ["token"]),
        (sydney(token_failing_since=NOW - MINUTE, token_expires_at=NOW + HOUR - 1), ["token"]),
        (sydney(token_failing_since=NOW - 15 * MINUTE), ["token"]),
        (sydney(swept(good=NOW - 2 * HOUR + 1)), []),
        (sydney(swept(good=NOW - 2 * HOUR)), ["sweep-overdue"]),
        (sydney(swept(good=None, first=NOW - HOUR)), []),
        (sydney(swept(good=None)), ["sweep-overdue"]),
        (sydney(swept(good=NOW, missing=40)), ["gone-limit"]),
        (sydney(webhooks=WebhookStatus(9, 0, NOW, 1, NOW - DAY)), []),
        (sydney(webhooks=WebhookStatus(9, 0, NOW, 1, NOW - DAY + 1)), ["webhooks-unreadable"]),
    ],
)
def test_what_counts_as_wrong_and_from_when_on(status: ConnectionStatus, expected: list[str]) -> None:
    assert kinds(status) == expected


def test_a_narrowed_list_is_told_from_one_that_was_cut_short() -> None:
    """They are still there: nobody has to look for them."""
    [cut] = found(sydney(swept(good=NOW, missing=40)))
    [narrowed] = found(sydney(swept(good=NOW, missing=40, narrowed=True)))
    assert "40 contacts were missing" in cut.text
    assert "no longer shows 40 that still exist" in narrowed.text


def test_a_sweep_that_moves_or_a_pause_explains_that_a_list_is_overdue() -> None:
    """It is neither news nor over."""
    moving = swept(good=NOW - 3 * HOUR, ended=None, moved=NOW - MINUTE)
    assert kinds(sydney(moving)) == ["sweep-overdue (covered)"]
    stuck = swept(good=NOW - 3 * HOUR, ended=None, moved=NOW - HOUR)
    assert kinds(sydney(stuck)) == ["sweep-overdue"]
    assert kinds(sydney(swept(good=NOW - 3 * HOUR), reading=paused(15))) == [
        "reading-paused",
        "sweep-overdue (covered)",
    ]


def test_a_stream_that_is_not_to_be_read_is_never_overdue() -> None:
    assert conditions(at(sydney(swept(good=None))), ROOM, lambda *_: None) == []


@pytest.mark.parametrize(
    ("disk", "full"),
    [
        (Disk(100 * GIB, 5 * GIB), False),
        (Disk(100 * GIB, 5 * GIB - 1), True),
        (Disk(GIB, FULL_BYTES), False),
        (Disk(GIB, FULL_BYTES - 1), True),
        (None, False),
    ],
)
def test_a_disk_is_nearly_full_by_share_or_by_bytes(disk: Disk | None, *, full: bool) -> None:
    assert kinds(sydney(), disk) == (["disk"] if full else [])


def test_no_condition_repeats_what_a_remote_system_said() -> None:
    """It may hold a name, or a key."""
    status = sydney(StreamStatus(sending=paused(60)), reading=paused(60), sending=paused(60))
    assert len(found(status)) == 3
    assert "canary" not in repr(found(status))


def test_records_that_wait_are_counted_by_reason() -> None:
    status = sydney(StreamStatus(waiting={"same-name": 2, "drifted": 1}))
    assert count_waiting(at(status)) == {
        AlertTopic("waiting", "sydney", "contacts", "same-name"): 2,
        AlertTopic("waiting", "sydney", "contacts", "drifted"): 1,
    }


def test_every_condition_has_words_for_its_end() -> None:
    assert {*OVER} == {*AlertKind} - {AlertKind.WAITING, *ONCE}


def test_what_changed_alike_is_one_alert_with_the_command_that_lists_it() -> None:
    (one,) = found(sydney(StreamStatus(burst=BURST)))
    assert (one.kind, one.covered) == (AlertKind.BURST, False)
    assert one.text.startswith(
        "4,812 contacts: contact_info changed at the same time: trakor-bridge records list"
    )
    assert (
        "--connection sydney --stream contacts --state drifted --field contact_info --since 2026" in one.text
    )


# -- what is said

READING = found(sydney(reading=paused(20)))
(TOPIC,) = (one.topic for one in READING)
HELD = AlertTopic("waiting", "sydney", "contacts", "same-name")


def say(
    conditions: Sequence[Condition] = (),
    said: dict[AlertTopic, AlertSent] | None = None,
    *,
    waiting: dict[AlertTopic, int] | None = None,
    over: Sequence[AlertTopic] = (),
    now: int = NOW,
) -> tuple[Message | None, dict[AlertTopic, AlertSent]]:
    waiting = waiting or {}
    return compose(conditions, waiting, lower_counts(said or {}, waiting), over, now)


def lines(message: Message | None) -> list[str]:
    """All but the last two, which say what to do."""
    assert message is not None
    return message.body.splitlines()[:-2]


def test_it_is_said_once_and_again_after_a_day_while_it_lasts() -> None:
    message, said = say(READING)
    assert lines(message) == [f"[reading-paused] sydney: {READING[0].text}"]
    assert message
    assert (message.title, message.grave) == ("trakor-bridge: reading-paused", True)
    for later in (NOW + MINUTE, NOW + DAY - 1):
        assert say(READING, said, now=later) == (None, said)
    again, known = say(READING, said, now=NOW + DAY)
    assert again == message
    assert known == {TOPIC: AlertSent(NOW + DAY)}


def test_what_changed_alike_is_said_once_for_each_sweep_and_in_one_line() -> None:
    """However long it waits; the same message does not count its records once more."""
    first = found(sydney(StreamStatus(burst=BURST)))
    drifted = AlertTopic("waiting", "sydney", "contacts", "drifted")
    message, said = say(first, waiting={drifted: 4812})
    assert lines(message) == [f"[changed-alike] sydney: {first[0].text}"]
    assert say(first, said, waiting={drifted: 4812}, now=NOW + 9 * DAY)[0] is None
    second = found(sydney(StreamStatus(burst=replace(BURST, sweep=8, number=500))))
    message, _ = say(second, said, waiting={drifted: 5312}, now=NOW + 9 * DAY)
    assert lines(message) == [f"[changed-alike] sydney: {second[0].text}"]


def test_it_is_said_to_be_over_once() -> None:
    message, known = say(said={TOPIC: AlertSent(NOW)}, over=[TOPIC])
    assert lines(message) == [
        "[reading-paused] Over. sydney: Reading from Salestrekker is no longer stopped by an error."
    ]
    assert message
    assert (message.title, message.grave) == ("trakor-bridge: reading-paused is over", False)
    assert known == {}
    assert say(said=known, over=[TOPIC]) == (None, {})


def test_it_is_not_over_before_that_is_sure() -> None:
    assert say(said={TOPIC: AlertSent(NOW)}) == (None, {TOPIC: AlertSent(NOW)})


def test_what_is_covered_is_neither_said_nor_over() -> None:
    covered = [replace(READING[0], covered=True)]
    assert say(covered) == (None, {})
    assert say(covered, {TOPIC: AlertSent(NOW - 2 * DAY)}) == (None, {TOPIC: AlertSent(NOW - 2 * DAY)})


def test_a_clock_that_was_set_back_far_silences_nothing() -> None:
    assert say(READING, {TOPIC: AlertSent(NOW)}, now=NOW - MINUTE)[0] is None
    assert say(READING, {TOPIC: AlertSent(NOW)}, now=NOW - DAY)[0] is not None


def test_many_alerts_are_one_message() -> None:
    many = found(sydney(StreamStatus(sending=paused(20)), reading=paused(20)), Disk(GIB, 1))
    message, _ = say(many)
    assert message
    assert message.title == "trakor-bridge: reading-paused and 2 more"
    assert len(lines(message)) == 3


def test_an_alert_of_another_version_is_dropped_in_silence() -> None:
    """After a step back: nobody here knows its words."""
    strange = AlertTopic("strange")
    assert say(said={strange: AlertSent(NOW)}, over=[strange]) == (None, {})


def test_records_that_wait_are_told_in_a_digest_by_reason() -> None:
    drifted = HELD._replace(detail="drifted")
    message, said = say(waiting={HELD: 3, drifted: 1})
    (line,) = lines(message)
    assert line.startswith("[waiting] sydney: new decisions needed: 3 contacts (same-name), ")
    assert line.endswith("1 contact (drifted). 4 in all.")
    assert message
    assert (message.title, message.grave) == ("trakor-bridge: records need a decision", False)
    assert said == {HELD: AlertSent(NOW, 3), drifted: AlertSent(NOW, 1)}


def test_digests_come_once_an_hour_at_most_and_only_for_what_is_new() -> None:
    _, said = say(waiting={HELD: 3})
    other = HELD._replace(stream="products")
    for waiting in ({HELD: 9}, {HELD: 3, other: 5}):
        assert say(said=said, waiting=waiting, now=NOW + HOUR - 1)[0] is None
    assert say(said=said, waiting={HELD: 3}, now=NOW + DAY)[0] is None
    message, said = say(said=said, waiting={HELD: 5}, now=NOW + HOUR)
    assert "2 contacts (same-name). 5 in all" in lines(message)[0]
    assert said == {HELD: AlertSent(NOW + HOUR, 5)}


def test_records_that_were_decided_make_room_for_news() -> None:
    """Three waited, two were decided, two more came: these are new."""
    _, said = say(waiting={HELD: 3})
    _, said = say(said=said, waiting={HELD: 1}, now=NOW + MINUTE)
    assert said == {HELD: AlertSent(NOW, 1)}
    message, _ = say(said=said, waiting={HELD: 3}, now=NOW + HOUR)
    assert "2 contacts (same-name). 3 in all" in lines(message)[0]
