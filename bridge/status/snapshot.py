"""The state of everything as one value, read beside whoever writes the ledger.

``take`` reads what every reader needs; ``figures`` reads what only the status page shows as well. A running
daemon writes into the ledger what only the daemon knows: when the token expires, when the next sweep is due.
If no daemon runs, these values are out of date, and None here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bridge import __version__
from bridge.ledger.database import reading
from bridge.ledger.mass_change_detection import find_mass_change
from bridge.ledger.open import is_daemon_running, read_revision, require_current
from bridge.ledger.read_model import MARKS, list_feeds
from bridge.ledger.runs_and_sweeps import (
    Run,
    find_last_complete,
    find_last_sweeps,
    list_runs,
    load_sweep_progress,
)
from bridge.ledger.scheduled_jobs import load_scheduled_jobs
from bridge.ledger.statistics import (
    HOUR,
    WebhookCounts,
    count_delivered_since,
    count_merged_into_unsent,
    count_states,
    find_oldest_pending,
    load_webhook_counts,
)
from bridge.ledger.stored_pauses import Direction, list_pauses
from bridge.ledger.token_and_alive_times import TimestampName, load_timestamps
from bridge.records import Reason, State
from bridge.status.timestamps import iso
from bridge.status.vocabulary import DECISIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from bridge.ledger.mass_change_detection import MassChange
    from bridge.ledger.read_model import Reader
    from bridge.ledger.runs_and_sweeps import LastSweep, SweepProgress
    from bridge.ledger.scheduled_jobs import ScheduledJob
    from bridge.ledger.stored_pauses import Pause
    from bridge.records import Job, Stream

__all__ = [
    "DAYS",
    "HOURS",
    "ConnectionStatus",
    "Figures",
    "Flow",
    "Snapshot",
    "StreamStatus",
    "WebhookStatus",
    "figures",
    "take",
]

_KNOWN_TO_TRAKOR: Final = frozenset({Reason.RENAMED, Reason.REMAPPED, Reason.SAME_PARTY, Reason.EXISTING})
"""Why a record is held of which Trakor has a party or product nevertheless."""


@dataclass(frozen=True, slots=True)
class Flow:
    """The state of reading from Salestrekker, or of sending to Trakor.

    Attributes:
        state: ``ok`` or ``paused``.
        since_at: When it was paused.
        reason: Why; empty if it is not paused.
        next_try_at: When the next probe is due; None if an operator has to resume it.
        by_person: An operator paused it, and only an operator resumes it.
    """

    state: str = "ok"
    since_at: int | None = None
    reason: str = ""
    next_try_at: int | None = None
    by_person: bool = False

    def as_json(self) -> dict[str, Any]:
        """As in the public interface."""
        return {
            "state": self.state,
            "since": _iso(self.since_at),
            "reason": self.reason or None,
            "next_try": _iso(self.next_try_at),
        }


@dataclass(frozen=True, slots=True)
class WebhookStatus:
    """How many of Salestrekker's webhooks were received."""

    received: int = 0
    waiting: int = 0
    last_at: int | None = None
    unreadable: int = 0
    unreadable_at: int | None = None

    def as_json(self) -> dict[str, Any]:
        """As in the public interface."""
        return {
            "received": self.received,
            "waiting": self.waiting,
            "last_at": _iso(self.last_at),
            "unreadable": self.unreadable,
        }


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One stream of one connection.

    Attributes:
        states: How many records are in each state; every state is a key.
        marks: How many have each mark, whatever their state.
        in_trakor: How many have a party or product in Trakor, including renamed records and those that share
            another record's.
        waiting: How many need a decision, by reason, or by state if it has no reasons.
        to_send: How many wait to be sent, without those that have left the source.
        last_sweep: The newest sweep; None before the first.
        complete_at: When the newest complete sweep ended; None before the first.
        reached: The progress of all sweeps; None before the first.
        next_sweep_at: When the next sweep is due; None if no daemon runs.
        oldest_pending_at: When the oldest pending record became pending; None if none is.
        sending: The state of sending this stream, in addition to the connection's.
        burst: Many records that changed alike in one sweep and need a decision; None if there are none.
    """

    states: Mapping[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))
    marks: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(MARKS, 0))
    in_trakor: int = 0
    waiting: Mapping[str, int] = field(default_factory=dict)
    to_send: int = 0
    last_sweep: LastSweep | None = None
    complete_at: int | None = None
    reached: SweepProgress | None = None
    next_sweep_at: int | None = None
    oldest_pending_at: int | None = None
    sending: Flow = field(default_factory=Flow)
    burst: MassChange | None = None

    @property
    def known(self) -> int:
        """How many records of the source the ledger knows."""
        return sum(self.states.values())

    @property
    def left_out(self) -> int:
        """How many are not to be sent: skipped, dropped, or gone before they were sent."""
        gone_unsent = self.states[State.PENDING] - self.to_send
        return self.states[State.SKIPPED] + self.states[State.DROPPED] + gone_unsent

    def as_json(self) -> dict[str, Any]:
        """As in the public interface."""
        return {
            "states": {str(state): number for state, number in self.states.items()},
            "marks": dict(self.marks),
            "last_sweep": _sweep_as_json(self.last_sweep),
            "next_sweep_at": _iso(self.next_sweep_at),
        }


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """One pair of organisations.

    Attributes:
        name: Its name.
        streams: Its streams, by name.
        reading: The state of reading from Salestrekker.
        sending: The state of sending to Trakor; a single stream may be paused as well.
        token_expires_at: When Salestrekker's token expires; None if no daemon holds one.
        token_failing_since: When renewing it first failed; None if it does not fail.
        webhooks: The webhooks received.
        lag_seconds: How long the oldest record has been waiting to be sent; 0 if none waits.
    """

    name: str
    streams: Mapping[Stream, StreamStatus]
    reading: Flow = field(default_factory=Flow)
    sending: Flow = field(default_factory=Flow)
    token_expires_at: int | None = None
    token_failing_since: int | None = None
    webhooks: WebhookStatus = field(default_factory=WebhookStatus)
    lag_seconds: float = 0.0

    def total(self, *wanted: State) -> int:
        """How many records of all streams are in one of these states."""
        return sum(stream.states[state] for stream in self.streams.values() for state in wanted)

    @property
    def _sending(self) -> Iterator[Flow]:
        yield self.sending
        yield from (stream.sending for stream in self.streams.values())

    def as_json(self) -> dict[str, Any]:
        """As in the public interface; sending counts as paused if that of one stream is."""
        return {
            "reading": self.reading.as_json(),
            "sending": next((one for one in self._sending if one.state != "ok"), Flow()).as_json(),
            "token_expires_at": _iso(self.token_expires_at),
            "streams": {str(stream): status.as_json() for stream, status in self.streams.items()},
            "webhooks": self.webhooks.as_json(),
            "lag_seconds": self.lag_seconds,
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of everything at one time.

    Attributes:
        at: The time.
        ledger: The ledger's file.
        size: Its bytes, with its write-ahead log; None if there is none yet.
        connections: By name, as configured.
        others: Connections that only the ledger knows, with the numbers of their records.
        alive: Whether a daemon runs.
        version: The version of the bridge.
    """

    at: int
    ledger: Path
    size: int | None
    connections: Mapping[str, ConnectionStatus]
    others: Mapping[str, int] = field(default_factory=dict)
    alive: bool = False
    version: str = __version__

    def as_json(self) -> dict[str, Any]:
        """The public interface's ``status --json``."""
        return {
            "version": self.version,
            "connections": {name: one.as_json() for name, one in self.connections.items()},
        }


def take(
    path: Path, streams: Mapping[str, Collection[Stream]], configured: Collection[str], now: int
) -> Snapshot:
    """Read the state of everything from the ledger, in one read transaction.

    Args:
        path: The ledger's file. If there is none yet, nothing is known, which is no error.
        streams: The connections to include, each with its enabled streams.
        configured: The names of all configured connections.
        now: The time.

    Raises:
        LedgerError: This version cannot read the ledger.
    """
    if read_revision(path) is None:
        nothing = {
            name: ConnectionStatus(name, {stream: StreamStatus() for stream in enabled})
            for name, enabled in streams.items()
        }
        return Snapshot(now, path, None, nothing)
    require_current(path)
    alive = is_daemon_running(path)
    with reading(path) as connection:
        known = _streams_of(connection)
        connections = {
            name: _connection(enabled, known.get(name, {}), _Noted.of(connection, name, alive=alive), now)
            for name, enabled in streams.items()
        }
    others = {
        name: sum(status.known for status in of.values())
        for name, of in known.items()
        if name not in configured
    }
    return Snapshot(now, path, _size(path), connections, others, alive)


@dataclass(frozen=True, slots=True)
class _Noted:
    """What the ledger has of one connection, beside its records."""

    name: str
    pauses: Mapping[str, Pause]
    timestamps: Mapping[TimestampName, int]
    jobs: Mapping[Job, ScheduledJob]
    webhooks: WebhookCounts

    @classmethod
    def of(cls, connection: Reader, name: str, *, alive: bool) -> _Noted:
        """Read it; what a daemon has stored for itself counts only while it runs."""
        timestamps = load_timestamps(connection) if alive else {}
        return cls(
            name=name,
            pauses={pause.direction: pause for pause in list_pauses(connection) if pause.connection == name},
            timestamps={timestamp: at for (whose, timestamp), at in timestamps.items() if whose == name},
            jobs=load_scheduled_jobs(connection, name) if alive else {},
            webhooks=load_webhook_counts(connection).get(name, WebhookCounts()),
        )

    def flow(self, direction: str) -> Flow:
        """The state of reading, of sending, or of sending one stream."""
        pause = self.pauses.get(direction)
        if pause is None:
            return Flow()
        return Flow("paused", pause.since_at, pause.reason, pause.next_try_at or None, pause.by_person)

    def next_sweep_at(self, stream: Stream) -> int | None:
        """When a stream is read next, by its own schedule or with all others."""
        times = [
            scheduled.next_at
            for job, scheduled in self.jobs.items()
            if scheduled.next_at and job.reads(stream)
        ]
        return min(times, default=None)


def _streams_of(connection: Reader) -> dict[str, dict[Stream, StreamStatus]]:
    """The streams that the ledger knows, by connection."""
    counted, sweeps, oldest = (
        count_states(connection),
        find_last_sweeps(connection),
        find_oldest_pending(connection),
    )
    complete, far = find_last_complete(connection), load_sweep_progress(connection)
    without = count_merged_into_unsent(connection)
    known: dict[str, dict[Stream, StreamStatus]] = {}
    for feed in list_feeds(connection):
        known.setdefault(feed.connection, {})[feed.stream] = replace(
            _stream(counted.get(feed.number, {}), merged_into_unsent=without.get(feed.number, 0)),
            last_sweep=sweeps.get(feed.number),
            complete_at=complete.get(feed.number),
            reached=far.get(feed.number),
            oldest_pending_at=oldest.get(feed.number),
            burst=find_mass_change(connection, feed.number),
        )
    return known


def _stream(
    counted: Mapping[tuple[str, str, frozenset[str]], int], *, merged_into_unsent: int
) -> StreamStatus:
    """The numbers of a stream. A record that shares an unsent one is not in Trakor either."""
    found: Counter[State] = Counter()
    waiting: Counter[str] = Counter()
    in_trakor = to_send = 0
    marked: Counter[str] = Counter()
    for (state, reason, marks), number in counted.items():
        found[State(state)] += number
        marked.update(dict.fromkeys(marks, number))
        in_trakor += number * _has_one(state, reason)
        to_send += number * (state == State.PENDING and "gone" not in marks)
        if state in DECISIONS:
            waiting[reason or state] += number
    return StreamStatus(
        states={state: found[state] for state in State},
        marks={mark: marked[mark] for mark in MARKS},
        in_trakor=in_trakor - merged_into_unsent,
        waiting=waiting,
        to_send=to_send,
    )


def _has_one(state: str, reason: str) -> bool:
    """Whether Trakor has a party or product of a record in this state."""
    return state in {State.DELIVERED, State.MERGED, State.DRIFTED} or (
        state == State.HELD and reason in _KNOWN_TO_TRAKOR
    )


def _connection(
    enabled: Collection[Stream],
    known: Mapping[Stream, StreamStatus],
    noted: _Noted,
    now: int,
) -> ConnectionStatus:
    """One connection, with the streams that are or once were enabled."""
    streams = {
        stream: replace(
            known.get(stream, StreamStatus()),
            next_sweep_at=noted.next_sweep_at(stream) if stream in enabled else None,
            sending=noted.flow(f"{Direction.SENDING} {stream}"),
        )
        for stream in (*enabled, *known)
    }
    webhooks = noted.webhooks
    waits = [one.oldest_pending_at for one in streams.values() if one.oldest_pending_at is not None]
    return ConnectionStatus(
        noted.name,
        streams,
        reading=noted.flow(Direction.READING),
        sending=noted.flow(Direction.SENDING),
        token_expires_at=noted.timestamps.get(TimestampName.TOKEN_EXPIRES),
        token_failing_since=noted.timestamps.get(TimestampName.TOKEN_FAILING_SINCE),
        webhooks=WebhookStatus(
            webhooks.received,
            webhooks.waiting,
            webhooks.last_at,
            webhooks.unreadable,
            webhooks.unreadable_at,
        ),
        lag_seconds=max(0, now - min(waits)) / 1000 if waits else 0.0,
    )


def _size(path: Path) -> int:
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _sweep_as_json(sweep: LastSweep | None) -> dict[str, Any] | None:
    if sweep is None:
        return None
    return {
        "began_at": iso(sweep.began_at),
        "ended_at": _iso(sweep.ended_at),
        "complete": sweep.complete,
        "read": sweep.read,
    }


def _iso(at: int | None) -> str | None:
    return None if at is None else iso(at)


HOURS: Final = 24
"""The hours that are counted one by one."""

DAYS: Final = 30
"""The days that are counted one by one."""

MOST_RUNS: Final = 8
"""The runs of a connection that are listed."""


@dataclass(frozen=True, slots=True)
class Figures:
    """More numbers of one connection, for the status page.

    Attributes:
        waiting: How many records need a decision, by state and reason.
        hours: How many records were delivered in each of the last hours, the current one last.
        days: The same for spans of 24 hours.
        runs: The newest runs, newest first.
        webhooks: The webhooks received, by action.
    """

    waiting: Mapping[tuple[State, str], int] = field(default_factory=lambda: MappingProxyType({}))
    hours: Sequence[int] = (0,) * HOURS
    days: Sequence[int] = (0,) * DAYS
    runs: Sequence[Run] = ()
    webhooks: WebhookCounts | None = None


def figures(path: Path, now: int) -> dict[str, Figures]:
    """Read the numbers from the ledger, in one read transaction.

    Args:
        path: The ledger's file. If there is none yet, there are no numbers.
        now: The time.

    Returns:
        The numbers by the connection's name, without connections that the ledger does not know.
    """
    if read_revision(path) is None:
        return {}
    require_current(path)
    with reading(path) as connection:
        return _figures(connection, now)


def _figures(connection: Reader, now: int) -> dict[str, Figures]:
    known = {feed.number: feed for feed in list_feeds(connection)}
    waiting: dict[str, dict[tuple[State, str], int]] = {feed.connection: {} for feed in known.values()}
    for number, counted in count_states(connection).items():
        if number not in known:
            continue  # the row with the count is damaged: `ledger check` reports it
        of = waiting[known[number].connection]
        for (state, reason, _), many in counted.items():
            if state in DECISIONS:
                kind = (State(state), reason)
                of[kind] = of.get(kind, 0) + many
    webhooks = load_webhook_counts(connection)
    first = now // HOUR + 1 - HOURS * DAYS
    delivered = count_delivered_since(connection, first)
    spans = {name: _spans(delivered.get(name, {}), first) for name in waiting}
    return {
        name: Figures(kinds, *spans[name], list_runs(connection, name, MOST_RUNS), webhooks.get(name))
        for name, kinds in waiting.items()
    }


def _spans(delivered: Mapping[int, int], first: int) -> tuple[list[int], list[int]]:
    """The deliveries in each of the last hours, and in each of the last days."""
    every = [delivered.get(first + past, 0) for past in range(HOURS * DAYS)]
    days = [sum(every[start : start + HOURS]) for start in range(0, len(every), HOURS)]
    return every[-HOURS:], days
