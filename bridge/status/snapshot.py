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
from bridge.ledger.daemon_state import TimestampName, load_scheduled_jobs, load_timestamps
from bridge.ledger.database import reading
from bridge.ledger.open import is_daemon_running, read_revision, require_current
from bridge.ledger.pauses import Direction, list_pauses
from bridge.ledger.read_model import MARKS, list_feeds
from bridge.ledger.statistics import (
    HOUR,
    WebhookCounts,
    count_delivered_since,
    count_merged_into_unsent,
    count_states,
    find_oldest_pending,
    load_webhook_counts,
)
from bridge.ledger.sweeps import (
    Run,
    find_last_complete,
    find_last_sweeps,
    find_mass_change,
    list_runs,
    load_sweep_progress,
)
from bridge.records import Reason, State
from bridge.status.timestamps import iso
from bridge.status.vocabulary import DECISIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from bridge.ledger.daemon_state import ScheduledJob
    from bridge.ledger.pauses import Pause
    from bridge.ledger.read_model import Reader
    from bridge.ledger.sweeps import LastSweep, MassChange, SweepProgress
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
    """Reading from Salestrekker, or sending to Trakor.

    Attributes:
        state: ``ok``: nothing stops it; ``paused``.
        since_at: Since when it is paused.
        reason: Why; empty while it is not.
        next_try_at: When the next probe is due; None where a person has to resume it.
        by_person: A person paused it, and only a person resumes it.
    """

    state: str = "ok"
    since_at: int | None = None
    reason: str = ""
    next_try_at: int | None = None
    by_person: bool = False

    def as_json(self) -> dict[str, Any]:
        """As the public interface has it."""
        return {
            "state": self.state,
            "since": _iso(self.since_at),
            "reason": self.reason or None,
            "next_try": _iso(self.next_try_at),
        }


@dataclass(frozen=True, slots=True)
class WebhookStatus:
    """What was received of Salestrekker's webhooks."""

    received: int = 0
    waiting: int = 0
    last_at: int | None = None
    unreadable: int = 0
    unreadable_at: int | None = None

    def as_json(self) -> dict[str, Any]:
        """As the public interface has it."""
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
        states: How many records are in each state; every state is there.
        marks: How many have each mark, whatever their state.
        in_trakor: How many Trakor has a party or product of: renamed ones too, and those that share one
            that it has.
        waiting: How many wait for a person, by why: a reason, or the state where that says it all.
        to_send: How many wait to be sent; those that are gone from the source meanwhile do not.
        last_sweep: The newest sweep; None before the first.
        complete_at: When the newest sweep ended that read the whole list; None before the first.
        reached: How far all sweeps have come; None before the first.
        next_sweep_at: When the next one is due; None where no daemon runs.
        oldest_pending_at: Since when the one that waits longest is pending; None where none is.
        sending: Whether sending of this stream goes on, where the connection's does.
        burst: Many that changed alike in one sweep, while they wait for a person; None where there are none.
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
        """How many are not to be sent: skipped, dropped, or gone before they were."""
        gone_unsent = self.states[State.PENDING] - self.to_send
        return self.states[State.SKIPPED] + self.states[State.DROPPED] + gone_unsent

    def as_json(self) -> dict[str, Any]:
        """As the public interface has it."""
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
        reading: Whether reading from Salestrekker goes on.
        sending: Whether sending to Trakor does; a stream may be paused by itself.
        token_expires_at: When Salestrekker's token expires; None where no daemon holds one.
        token_failing_since: Since when renewing it fails; None where it does not.
        webhooks: What was received.
        lag_seconds: How long the record that waits longest has been waiting to be sent; 0 where none is.
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
        """As the public interface has it; sending is paused, too, where that of one stream is."""
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
    """Everything, at one moment.

    Attributes:
        at: The moment.
        ledger: The ledger's file.
        size: Its bytes, with its write-ahead log; None where there is none yet.
        connections: By name, as configured.
        others: Connections that the ledger knows and the configuration does not, with their records.
        alive: A daemon runs.
        version: Of the bridge.
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
    """Read all there is to know from the ledger, on one snapshot of it.

    Args:
        path: The ledger's file. Where there is none yet, nothing is known yet: that is no error.
        streams: The connections to tell of, each with the streams that are enabled.
        configured: Names of all connections of the configuration, told of or not.
        now: The time.

    Raises:
        LedgerError: The ledger cannot be read by this version.
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
    """What the ledger says of one connection, beside its records."""

    name: str
    pauses: Mapping[str, Pause]
    moments: Mapping[TimestampName, int]
    wishes: Mapping[Job, ScheduledJob]
    webhooks: WebhookCounts

    @classmethod
    def of(cls, connection: Reader, name: str, *, alive: bool) -> _Noted:
        """Ask for it; what a daemon noted for itself counts while it is alive."""
        moments = load_timestamps(connection) if alive else {}
        return cls(
            name=name,
            pauses={pause.direction: pause for pause in list_pauses(connection) if pause.connection == name},
            moments={moment: at for (whose, moment), at in moments.items() if whose == name},
            wishes=load_scheduled_jobs(connection, name) if alive else {},
            webhooks=load_webhook_counts(connection).get(name, WebhookCounts()),
        )

    def flow(self, direction: str) -> Flow:
        """Reading, sending, or that of one stream."""
        pause = self.pauses.get(direction)
        if pause is None:
            return Flow()
        return Flow("paused", pause.since_at, pause.reason, pause.next_try_at or None, pause.by_person)

    def next_sweep_at(self, stream: Stream) -> int | None:
        """When a stream is read next, by its own time or with all others."""
        times = [wish.next_at for job, wish in self.wishes.items() if wish.next_at and job.reads(stream)]
        return min(times, default=None)


def _streams_of(connection: Reader) -> dict[str, dict[Stream, StreamStatus]]:
    """Each stream that the ledger knows, by connection."""
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
    """The numbers of a stream; who shares what Trakor does not have is not there either."""
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
    """Whether Trakor has a party or product of a record in that state."""
    return state in {State.DELIVERED, State.MERGED, State.DRIFTED} or (
        state == State.HELD and reason in _KNOWN_TO_TRAKOR
    )


def _connection(
    enabled: Collection[Stream],
    known: Mapping[Stream, StreamStatus],
    noted: _Noted,
    now: int,
) -> ConnectionStatus:
    """One connection: its streams that are enabled, and those that once were."""
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
        token_expires_at=noted.moments.get(TimestampName.TOKEN_EXPIRES),
        token_failing_since=noted.moments.get(TimestampName.TOKEN_FAILING_SINCE),
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
"""So many hours are told one by one."""

DAYS: Final = 30
"""So many days are."""

MOST_RUNS: Final = 8
"""So many runs of a connection are listed."""


@dataclass(frozen=True, slots=True)
class Figures:
    """More of one connection.

    Attributes:
        waiting: How many records wait for a person, by state and reason.
        hours: What was delivered in each of the last hours, the present one last.
        days: The same for spans of 24 hours.
        runs: The newest runs, newest first.
        webhooks: What came, by action.
    """

    waiting: Mapping[tuple[State, str], int] = field(default_factory=lambda: MappingProxyType({}))
    hours: Sequence[int] = (0,) * HOURS
    days: Sequence[int] = (0,) * DAYS
    runs: Sequence[Run] = ()
    webhooks: WebhookCounts | None = None


def figures(path: Path, now: int) -> dict[str, Figures]:
    """Read them from the ledger, on one snapshot of it.

    Args:
        path: The ledger's file. Where there is none yet, there are no figures.
        now: The time.

    Returns:
        By the connection's name; one that the ledger does not know is not there.
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
            continue  # the row that counts them is damaged: `ledger check` tells
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
    """What was delivered in each of the last hours, and in each of the last days."""
    every = [delivered.get(first + past, 0) for past in range(HOURS * DAYS)]
    days = [sum(every[start : start + HOURS]) for start in range(0, len(every), HOURS)]
    return every[-HOURS:], days
