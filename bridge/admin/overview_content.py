"""The overview page: what it shows of each connection, made from the snapshot and the statistics. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from bridge.ledger.runs_and_sweeps import COUNTS
from bridge.records import Job
from bridge.status.connection_summary import what_trakor_has
from bridge.status.snapshot import Figures
from bridge.status.timestamps import age, iso, local_time
from bridge.status.vocabulary import DECISIONS, MARKS, NEEDS_DECISION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from bridge.ledger.runs_and_sweeps import Run
    from bridge.ledger.statistics import WebhookCounts
    from bridge.status.snapshot import ConnectionStatus, Flow, Snapshot, StreamStatus

__all__ = [
    "HEIGHT",
    "WIDTH",
    "Badge",
    "Bar",
    "Chart",
    "ConnectionCard",
    "DecisionLink",
    "Note",
    "RunRow",
    "StreamRow",
    "TimeText",
    "Tone",
    "chart",
    "counted",
    "overview",
]

WIDTH: Final = 480
"""Units of the drawing, which is stretched to the available width."""

HEIGHT: Final = 56
GAP: Final = 3
LEAST: Final = 3
"""The height of the smallest bar; a bar for zero is a line of 1."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, and its tooltip."""

    x: float
    y: float
    width: float
    height: float
    title: str
    empty: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """A row of bars.

    Attributes:
        title: What is counted.
        description: The chart in words, for screen readers.
        total: The sum.
        bars: The bars, the oldest first.
        first: The label below the oldest bar.
        last: The label below the newest bar.
    """

    title: str
    description: str
    total: int
    bars: Sequence[Bar]
    first: str
    last: str


def chart(title: str, numbers: Sequence[int], name: Callable[[int], str], *, first: str, last: str) -> Chart:
    """Draw numbers.

    Args:
        title: What is counted.
        numbers: The oldest first.
        name: The time span of the number at an index, in words.
        first: The label below the oldest bar.
        last: The label below the newest bar.
    """
    most = max(numbers, default=0)
    step = WIDTH / max(1, len(numbers))
    bars = [
        _bar(index * step, step - GAP, number, most, f"{name(index)}: {number:,}")
        for index, number in enumerate(numbers)
    ]
    total = sum(numbers)
    description = f"{title}: {total:,} in all, {most:,} at most." if total else f"{title}: none."
    return Chart(title, description, total, bars, first, last)


def _bar(x: float, width: float, number: int, most: int, title: str) -> Bar:
    height = max(LEAST, round(HEIGHT * number / most, 1)) if number else 1
    return Bar(round(x, 1), round(HEIGHT - height, 1), round(width, 1), height, title, not number)


TOKEN_SOON: Final = 24 * 3_600_000
"""Milliseconds before its end from which an unrenewed token leads to a warning."""

LATE: Final = 900.0
"""Seconds after which a record that waits to be sent is mentioned."""


class Tone(StrEnum):
    """How good or bad a state is; never shown by colour alone."""

    OK = "ok"
    BUSY = "busy"
    ASK = "ask"
    STOP = "stop"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Badge:
    """The state of a connection, in a word or two."""

    tone: Tone
    word: str


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence with an optional link."""

    tone: Tone
    text: str
    href: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class TimeText:
    """A time: as ISO 8601, in full, and as an age."""

    iso: str
    full: str
    age: str

    @classmethod
    def of(cls, at: int | None, now: int) -> TimeText | None:
        """The texts of a time; None if there is none."""
        return None if at is None else cls(iso(at), local_time(at), age(at, now))


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One stream of a connection."""

    name: str
    in_trakor: int
    to_send: int
    decisions: int
    left_out: int
    read: str
    read_at: TimeText | None
    next_at: TimeText | None
    href: str


@dataclass(frozen=True, slots=True)
class DecisionLink:
    """One kind of records that need a decision."""

    title: str
    why: str
    number: int
    href: str


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, with its numbers of all streams together."""

    what: str
    began: TimeText | None
    took: str
    state: str
    tone: Tone
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ConnectionCard:
    """One pair of organisations, as the overview shows it."""

    name: str
    badge: Badge
    sentence: str
    notes: list[Note]
    rows: list[StreamRow]
    marks: str
    marked: list[tuple[str, str]]
    decisions: list[DecisionLink]
    flows: list[Note]
    charts: list[Chart]
    runs: list[RunRow]
    last_webhook: TimeText | None
    waiting_webhooks: int
    unreadable_webhooks: int
    by_action: list[tuple[str, int, TimeText | None]]


def overview(snapshot: Snapshot, figures: Mapping[str, Figures]) -> list[ConnectionCard]:
    """All connections.

    Args:
        snapshot: The state of everything.
        figures: More numbers, by the connection's name.
    """
    return [
        _connection(status, figures.get(name, Figures()), snapshot.at)
        for name, status in snapshot.connections.items()
    ]


def counted(connections: Iterable[ConnectionCard]) -> list[str]:
    """The numbers that are not 0 in every run: with the others the table would be too wide."""
    runs = [run for one in connections for run in one.runs]
    return [word for word in COUNTS if word == "read" or any(run.counts[word] for run in runs)]


def _connection(status: ConnectionStatus, figures: Figures, now: int) -> ConnectionCard:
    started = any(stream.known or stream.last_sweep for stream in status.streams.values())
    numbers = figures.webhooks
    return ConnectionCard(
        name=status.name,
        badge=_badge(status, started=started),
        sentence=_sentence(status, started=started),
        notes=[*_notes(status, now)],
        rows=[_row(status.name, str(name), stream, now) for name, stream in status.streams.items()],
        marks=_marks(status),
        marked=_marked(status),
        decisions=_decisions(status.name, figures),
        flows=[*_flows(status, now)],
        charts=_charts(figures),
        runs=[_run(run, now) for run in figures.runs],
        last_webhook=TimeText.of(status.webhooks.last_at, now),
        waiting_webhooks=status.webhooks.waiting,
        unreadable_webhooks=status.webhooks.unreadable,
        by_action=[*_by_action(numbers, now)] if numbers else [],
    )


def _by_action(numbers: WebhookCounts, now: int) -> Iterator[tuple[str, int, TimeText | None]]:
    """The webhooks by action, including unknown actions, so that the numbers add up."""
    for action, (number, last_at) in sorted(numbers.by_action.items()):
        yield action, number, TimeText.of(last_at or None, now)
    unknown = numbers.received - sum(number for number, _ in numbers.by_action.values())
    if unknown:
        yield "unknown action", unknown, TimeText.of(numbers.unreadable_at, now)


def _badge(status: ConnectionStatus, *, started: bool) -> Badge:
    """The most serious state first: stopped, needs attention, working."""
    stopped = [flow for _, flow in _paused_flows(status)]
    if any(not flow.by_person for flow in stopped):
        return Badge(Tone.STOP, "Stopped")
    if stopped:
        return Badge(Tone.ASK, "Paused")
    if not started:
        return Badge(Tone.IDLE, "Nothing yet")
    if status.total(*DECISIONS):
        return Badge(Tone.ASK, "Needs attention")
    if any(stream.to_send or _under_way(stream) for stream in status.streams.values()):
        return Badge(Tone.BUSY, "Working")
    return Badge(Tone.OK, "All is well")


def _under_way(stream: StreamStatus) -> bool:
    return stream.last_sweep is not None and stream.last_sweep.ended_at is None


def _sentence(status: ConnectionStatus, *, started: bool) -> str:
    """The main sentence, without what changes every second, since screen readers read it aloud."""
    if not started:
        return "Nothing has been read from Salestrekker yet."
    if first := _first_sweep(status):
        return first
    waiting = status.total(*DECISIONS)
    asked = f" {waiting:,} {'needs' if waiting == 1 else 'need'} a decision." if waiting else ""
    return what_trakor_has(status) + asked


def _first_sweep(status: ConnectionStatus) -> str:
    """The sentence while no list has ever been read to its end."""
    sweeps = [stream.last_sweep for stream in status.streams.values()]
    if not any(sweep and sweep.ended_at is None for sweep in sweeps):
        return ""
    if any(sweep and sweep.ended_at is not None for sweep in sweeps):
        return ""
    if any(stream.in_trakor for stream in status.streams.values()):
        return what_trakor_has(status)
    return "Everything in Salestrekker is being read for the first time."


def _notes(status: ConnectionStatus, now: int) -> Iterator[Note]:
    for what, flow in _paused_flows(status):
        yield _paused(what, flow, now)
    to_send = sum(stream.to_send for stream in status.streams.values())
    if to_send:
        late = f"; the first one for {_span(status.lag_seconds)}" if status.lag_seconds > LATE else ""
        yield Note(Tone.BUSY, f"{to_send:,} {_are(to_send)} waiting to be sent to Trakor{late}.")
    for name, stream in status.streams.items():
        if note := _of_sweep(str(name), stream, now):
            yield note


def _paused_flows(status: ConnectionStatus) -> list[tuple[str, Flow]]:
    """What is paused: a direction, or the sending of one stream."""
    flows = [("Sending to Trakor", status.sending), ("Reading from Salestrekker", status.reading)]
    flows += [(f"Sending {name} to Trakor", stream.sending) for name, stream in status.streams.items()]
    return [(what, flow) for what, flow in flows if flow.state == "paused"]


def _paused(what: str, flow: Flow, now: int) -> Note:
    since = f" since {local_time(flow.since_at)} ({age(flow.since_at, now)})" if flow.since_at else ""
    if flow.by_person:
        kept = "Nothing is lost: everything still arrives and waits."
        return Note(Tone.ASK, f"{what} is paused{since}: {flow.reason.rstrip('.')}. {kept}")
    due = f" The next try is due {age(flow.next_try_at, now)}." if flow.next_try_at else ""
    return Note(Tone.STOP, f"{what} has stopped{since}: {flow.reason.rstrip('.')}.{due} Nothing is lost.")


def _of_sweep(name: str, stream: StreamStatus, now: int) -> Note | None:
    sweep = stream.last_sweep
    if sweep is None:
        return None
    if sweep.ended_at is None:
        return Note(Tone.BUSY, f"The {name} are being read: {sweep.read:,} so far.")
    if sweep.problem:
        why = sweep.problem.rstrip(".")
        return Note(Tone.ASK, f"The {name} could not all be read {age(sweep.ended_at, now)}: {why}.")
    if sweep.missing and stream.reached is not None and stream.reached.narrowed:
        return Note(
            Tone.ASK,
            f"Salestrekker's list of {name} no longer shows {sweep.missing:,} that still exist: its query now"
            " selects fewer. None was marked as gone.",
        )
    if sweep.missing:
        return Note(
            Tone.ASK,
            f"{sweep.missing:,} {name} were missing from Salestrekker's list. That is suspiciously many, so"
            " none was marked as gone.",
        )
    return None


def _row(connection: str, name: str, stream: StreamStatus, now: int) -> StreamRow:
    sweep = stream.last_sweep
    return StreamRow(
        name=name.capitalize(),
        in_trakor=stream.in_trakor,
        to_send=stream.to_send,
        decisions=sum(stream.states[state] for state in DECISIONS),
        left_out=stream.left_out,
        read="never" if sweep is None else "now" if sweep.ended_at is None else "",
        read_at=TimeText.of(sweep.ended_at, now) if sweep else None,
        next_at=TimeText.of(stream.next_sweep_at, now),
        href=f"/records?{urlencode({'connection': connection, 'stream': name})}",
    )


def _marks(status: ConnectionStatus) -> str:
    """How many records are marked, in a sentence; empty if none is."""
    found = {mark: sum(stream.marks[mark] for stream in status.streams.values()) for mark in MARKS}
    parts = [f"{number:,} {_are(number)} {MARKS[mark].phrase}" for mark, number in found.items() if number]
    if not parts:
        return ""
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[:-1] else parts)
    return f"Of these, {listed}. Nothing is ever deleted in Trakor."


def _marked(status: ConnectionStatus) -> list[tuple[str, str]]:
    """The lists of marked records: title, address."""
    found = {mark for stream in status.streams.values() for mark in MARKS if stream.marks[mark]}
    return [
        (kind.title, f"/records?{urlencode({'connection': status.name, 'mark': mark})}")
        for mark, kind in MARKS.items()
        if kind.why and mark in found
    ]


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _decisions(connection: str, figures: Figures) -> list[DecisionLink]:
    return [
        DecisionLink(
            kind.title,
            kind.why,
            number,
            "/records?"
            + urlencode({"connection": connection, "state": state, **({"reason": reason} if reason else {})}),
        )
        for (state, reason), kind in NEEDS_DECISION.items()
        if (number := figures.waiting.get((state, reason), 0))
    ]


def _flows(status: ConnectionStatus, now: int) -> Iterator[Note]:
    """The state of reading, sending and the log-in, a line for each."""
    alone = [(f"Sending {name}", stream.sending) for name, stream in status.streams.items()]
    stopped = [(what, flow) for what, flow in alone if flow.state == "paused"]
    for what, flow in (("Reading", status.reading), ("Sending", status.sending), *stopped):
        if flow.state != "paused":
            yield Note(Tone.OK, what, link="works")
        elif flow.by_person:
            yield Note(Tone.ASK, what, link="paused")
        else:
            yield Note(Tone.STOP, what, link="stopped")
    expires = status.token_expires_at
    if expires is not None:
        tone = Tone.OK if expires > now + TOKEN_SOON else Tone.ASK if expires > now else Tone.STOP
        verb = "valid, expires" if expires > now else "expired"
        yield Note(tone, "Salestrekker log-in", link=f"{verb} {age(expires, now)}")


def _charts(figures: Figures) -> list[Chart]:
    hours, days = len(figures.hours), len(figures.days)
    return [
        chart(
            f"Delivered in the last {hours} hours",
            figures.hours,
            lambda index: _ago(hours - 1 - index, "hour"),
            first=f"{hours} hours ago",
            last="now",
        ),
        chart(
            f"Delivered in the last {days} days",
            figures.days,
            lambda index: _ago(days - 1 - index, "day"),
            first=f"{days} days ago",
            last="now",
        ),
    ]


def _ago(past: int, unit: str) -> str:
    if not past:
        return "This hour" if unit == "hour" else "The last 24 hours"
    return f"{past} {unit}{'s' if past > 1 else ''} ago"


def _what(run: Run) -> str:
    """What a run read: the daemon reads one list at a time; other runs are named by their command."""
    if run.command not in {*Job}:
        return run.command.capitalize()
    streams = " and ".join(run.streams)
    return f"All {streams}" if run.command == Job.RECONCILE else streams.capitalize()


def _run(run: Run, now: int) -> RunRow:
    counts = {word: sum(of.get(word, 0) for of in run.counts.values()) for word in COUNTS}
    began = TimeText.of(run.began_at, now)
    what = _what(run)
    if run.ended_at is None:
        return RunRow(what, began, "", "running or interrupted", Tone.BUSY, counts)
    state, tone = ("complete", Tone.OK) if run.complete else ("incomplete", Tone.ASK)
    return RunRow(what, began, _span((run.ended_at - run.began_at) / 1000), state, tone, counts)


def _span(seconds: float) -> str:
    """A duration in its largest unit."""
    return age(0, round(seconds * 1000)).removesuffix(" ago").replace("just now", "under 1 second")
