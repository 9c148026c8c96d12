"""A connection summarised: its state in one word, and what an operator has to know in a few sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bridge.ledger.connection_and_scope_renames import find_known_connections
from bridge.ledger.connection_organizations import find_stop_reason
from bridge.ledger.database import reading
from bridge.ledger.open import find_owner, read_revision, require_current
from bridge.ledger.runs_and_sweeps import ONLY_A_PART
from bridge.ledger.stored_pauses import list_pauses
from bridge.records import Stream
from bridge.status.timestamps import age, iso, local_time
from bridge.status.vocabulary import DECISIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from bridge.ledger.mass_change_detection import MassChange
    from bridge.ledger.read_model import Reader
    from bridge.ledger.runs_and_sweeps import LastSweep
    from bridge.ledger.stored_pauses import Pause
    from bridge.status.snapshot import ConnectionStatus, Flow, StreamStatus, WebhookStatus

__all__ = [
    "ConnectionHealth",
    "burst_line",
    "burst_note",
    "connection_health",
    "headline",
    "stream_note",
    "what_trakor_has",
]


@dataclass(frozen=True, slots=True)
class ConnectionHealth:
    """One connection.

    Attributes:
        name: Its name.
        owner: The process that works on it; empty if none does.
        state: ``ok``; ``paused``: reading or sending is; ``refused``: it seems to join other organisations;
            ``new``: the ledger has no records of it; ``not configured``: only the ledger knows it.
        since_at: When it was paused or refused; None otherwise.
        reason: Why; empty otherwise.
    """

    name: str
    owner: str
    state: str
    since_at: int | None = None
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """As in the public interface."""
        since = None if self.since_at is None else iso(self.since_at)
        return {"name": self.name, "owner": self.owner or None, "state": self.state, "since": since}


def connection_health(path: Path, configured: Collection[str]) -> list[ConnectionHealth]:
    """The state of all connections; those that are no longer configured come last.

    Args:
        path: The ledger's file; if there is none yet, each connection is new.
        configured: Names, in the order of the configuration.

    Raises:
        LedgerError: This version cannot read the ledger.
    """
    if read_revision(path) is None:
        return [ConnectionHealth(name, "", "new") for name in configured]
    require_current(path)
    owner = find_owner(path)
    with reading(path) as connection:
        known, pauses = find_known_connections(connection), list_pauses(connection)
        of = {name: [one for one in pauses if one.connection == name] for name in configured}
        found = [_standing(connection, name, owner, of[name], known) for name in configured]
    return found + [ConnectionHealth(name, "", "not configured") for name in sorted(known - set(configured))]


def _standing(
    connection: Reader, name: str, owner: str, pauses: Collection[Pause], known: Collection[str]
) -> ConnectionHealth:
    since = min((pause.since_at for pause in pauses), default=None)
    if why := find_stop_reason(connection, name):
        return ConnectionHealth(name, owner, "refused", since, why)
    if pauses:
        first = min(pauses, key=lambda pause: pause.since_at)
        return ConnectionHealth(name, owner, "paused", since, f"{first.direction}: {first.reason}")
    return ConnectionHealth(name, owner, "ok" if name in known else "new")


MAIN: Final = "default"
"""The connection of the main file, which no command needs to name."""


def headline(status: ConnectionStatus, now: int, *, alive: bool = False) -> list[str]:
    """What an operator has to know first: what Trakor has, what is open, what is wrong.

    Args:
        status: The connection.
        now: The time, for ages.
        alive: A daemon runs, so that nobody has to start a backfill.
    """
    if not any(stream.known or stream.last_sweep for stream in status.streams.values()):
        nothing = "Nothing yet: `trakor-bridge backfill` sends everything in Salestrekker to Trakor."
        return [nothing, *_what_is_stopped(status, now, alive=alive)]
    notes = [stream_note(name, stream, now, alive=alive) for name, stream in status.streams.items()]
    return [
        what_trakor_has(status),
        *_what_is_open(status, alive=alive),
        *_what_changed_alike(status),
        *_what_is_stopped(status, now, alive=alive),
        *_what_webhooks_brought(status.webhooks, now),
        *(note for note in notes if note),
    ]


def what_trakor_has(status: ConnectionStatus) -> str:
    """`All 4,312 contacts and 118 products are in Trakor.`, or how many of how many."""
    wanted = {
        name: number for name, stream in status.streams.items() if (number := stream.known - stream.left_out)
    }
    if not any(stream.known for stream in status.streams.values()):
        return "There is nothing to send: Salestrekker has shown no record yet."
    if not wanted:
        return "There is nothing to send: every known record is left out."
    there = {name: status.streams[name].in_trakor for name in wanted}
    if wanted == there:
        parts = [f"{number:,} {_noun(name, number)}" for name, number in wanted.items()]
        together = sum(wanted.values())
        return f"{'All ' if together > 1 else ''}{_listed(parts)} {_are(together)} in Trakor."
    parts = [
        f"all {number:,} {name}" if there[name] == number else f"{there[name]:,} of {number:,} {name}"
        for name, number in wanted.items()
    ]
    sentence = f"{_listed(parts)} are in Trakor."
    return sentence[0].upper() + sentence[1:]


def _what_is_open(status: ConnectionStatus, *, alive: bool) -> Iterator[str]:
    to_send = sum(stream.to_send for stream in status.streams.values())
    if to_send:
        yield f"{to_send:,} {_are(to_send)} still to be sent{'.' if alive else ': trakor-bridge backfill'}"
    waiting = [state for state in DECISIONS if status.total(state)]
    if waiting:
        number = status.total(*waiting)
        yield (
            f"{number:,} {'needs' if number == 1 else 'need'} a decision:"
            f" trakor-bridge records list --state {','.join(waiting)}"
        )
    remapped = sum(stream.marks["remapped"] for stream in status.streams.values())
    if remapped:
        those = "it" if remapped == 1 else "them"
        yield (
            f"{remapped:,} {_are(remapped)} in Trakor as an older configuration made {those}:"
            " trakor-bridge records list --mark remapped"
        )
    left_out = sum(stream.left_out for stream in status.streams.values())
    if left_out:
        yield f"{left_out:,} {_are(left_out)} left out: trakor-bridge records list --state skipped,dropped"


def _what_changed_alike(status: ConnectionStatus) -> Iterator[str]:
    for name, stream in status.streams.items():
        if stream.burst is not None:
            yield burst_note(status.name, name, stream.burst)


def burst_line(stream: str, burst: MassChange) -> str:
    """`4,812 contacts: contact_info changed at the same time`."""
    return f"{burst.number:,} {stream}: {' and '.join(burst.fields)} changed at the same time"


def burst_note(connection: str, stream: str, burst: MassChange) -> str:
    """The same, with the command that lists them; `records accept` and `dismiss` take the same options."""
    of_connection = "" if connection == MAIN else f"--connection {connection} "
    return (
        f"{burst_line(stream, burst)}: trakor-bridge records list {of_connection}--stream {stream}"
        f" --state drifted --field {','.join(burst.fields)} --since {iso(burst.since_at)}"
        " (accept and dismiss take the same options)"
    )


def _what_is_stopped(status: ConnectionStatus, now: int, *, alive: bool) -> Iterator[str]:
    flows = [("Reading from Salestrekker", status.reading), ("Sending to Trakor", status.sending)]
    flows += [(f"Sending {name} to Trakor", stream.sending) for name, stream in status.streams.items()]
    for what, flow in flows:
        if flow.state == "paused":
            yield f"{what} is paused{_since(flow, now)}: {flow.reason}.{_next_try(flow, now, alive=alive)}"


def _what_webhooks_brought(webhooks: WebhookStatus, now: int) -> Iterator[str]:
    """Whether webhooks arrive, and whether any was not understood; nothing if none ever arrived."""
    if webhooks.received:
        last = "" if webhooks.last_at is None else f", the last one {age(webhooks.last_at, now)}"
        waits = f"; {webhooks.waiting:,} not processed yet" if webhooks.waiting else ""
        yield f"{webhooks.received:,} webhook{'s' if webhooks.received > 1 else ''} received{last}{waits}."
    if webhooks.unreadable:
        yield f"{webhooks.unreadable:,} not understood: trakor-bridge webhooks list --problems"


def _since(flow: Flow, now: int) -> str:
    return "" if flow.since_at is None else f" since {local_time(flow.since_at)} ({age(flow.since_at, now)})"


def _next_try(flow: Flow, now: int, *, alive: bool) -> str:
    """When it is tried next; empty if an operator has to resume it."""
    if flow.next_try_at is None:
        return ""
    return f" The next try is due {age(flow.next_try_at, now)}." if alive else " The next backfill tries it."


def stream_note(name: str, stream: StreamStatus, now: int, *, alive: bool = False) -> str:
    """Why the numbers of a stream may be incomplete; empty if they are complete."""
    last = stream.last_sweep
    if alive:
        return _daemons_note(name, last, now)
    backfill = f"trakor-bridge backfill {name}"
    if last is None:
        return f"The {name} have never been read: {backfill}"
    if last.ended_at is None:
        return _unended(name, last, now)
    note = _in_part(name, last, now)
    return f"{note.removesuffix('.')}: {backfill}" if note else ""


def _unended(name: str, last: LastSweep, now: int) -> str:
    if not last.read:
        return f"The {name} have not been read yet: trakor-bridge backfill {name}"
    return (
        f"Not all {name} have been read yet: {last.read:,} so far, the last ones"
        f" {age(last.moved_at, now)}. If no backfill is running, start one: it continues there"
    )


def _in_part(name: str, last: LastSweep, now: int) -> str:
    """What the last sweep left out; empty if nothing."""
    if last.problem == ONLY_A_PART:
        return f"Only a part of the {name} was read, as --limit asked."
    return f"Some {name} could not be read {age(last.ended_at or now, now)}." if last.problem else ""


def _daemons_note(name: str, last: LastSweep | None, now: int) -> str:
    """The same while a daemon runs."""
    if last is None:
        return f"The {name} have never been read."
    if last.ended_at is None:
        return f"The {name} are being read: {last.read:,} so far, the last ones {age(last.moved_at, now)}."
    return _in_part(name, last, now)


def _noun(name: str, number: int) -> str:
    return Stream(name).spec.singular if number == 1 else name


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[:-1] else parts)
