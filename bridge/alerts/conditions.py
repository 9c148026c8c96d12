"""Conditions that lead to alerts, derived from the state of everything. Pure, except for reading the disk.

A new ``Condition`` leads to an alert, and to a second message when it is over. A *covered* condition leads to
neither: it lasts, but another condition explains it, or it may end by itself.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from bridge.ledger.alerts_sent import AlertTopic
from bridge.status import burst_note, local_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bridge.records import Stream
    from bridge.status import ConnectionStatus, Flow, Snapshot, StreamStatus

__all__ = [
    "ONCE",
    "OVER",
    "AlertKind",
    "Condition",
    "Disk",
    "OverdueAt",
    "conditions",
    "count_waiting",
    "disk_of",
]

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

STOPPED_FOR: Final = 15 * MINUTE
"""Milliseconds that something is stopped before an alert is sent: most outages are shorter."""

BY_PERSON_FOR: Final = DAY
"""The same for a pause by an operator, who knows about it."""

TOKEN_ENDS_WITHIN: Final = HOUR
"""If a token that cannot be renewed expires this soon, the alert is sent at once."""

FULL_SHARE: Final = 0.05
FULL_BYTES: Final = 200 * 2**20
"""A disk is nearly full if less than this share, or fewer than these bytes, are free."""

OverdueAt: TypeAlias = "Callable[[str, Stream, int], int | None]"
"""When a list becomes overdue, by connection, stream, and the time of its last complete read."""


class AlertKind(StrEnum):
    """The kinds of alerts; docs/operations.md describes what to do about each."""

    TOKEN = "token"  # noqa: S105 - the name of an alert
    READING = "reading-paused"
    SENDING = "sending-paused"
    READING_BY_PERSON = "reading-paused-by-person"
    SENDING_BY_PERSON = "sending-paused-by-person"
    OVERDUE = "sweep-overdue"
    MISSING = "gone-limit"
    BURST = "changed-alike"
    WEBHOOKS = "webhooks-unreadable"
    DISK = "disk"
    WAITING = "waiting"


OVER: Final = {
    AlertKind.TOKEN: "Salestrekker's token was renewed.",
    AlertKind.READING: "Reading from Salestrekker is no longer stopped by an error.",
    AlertKind.SENDING: "Sending {stream}to Trakor is no longer stopped by an error.",
    AlertKind.READING_BY_PERSON: "Reading from Salestrekker is no longer paused by an operator.",
    AlertKind.SENDING_BY_PERSON: "Sending {stream}to Trakor is no longer paused by an operator.",
    AlertKind.OVERDUE: "The {stream}are no longer overdue.",
    AlertKind.MISSING: "The list of {stream}no longer misses suspiciously many records.",
    AlertKind.WEBHOOKS: "For a day, all webhooks could be understood.",
    AlertKind.DISK: "The ledger's disk has enough space again.",
}
"""The sentence when a condition is over. ``waiting`` never is, and ``changed-alike`` is about one sweep."""

ONCE: Final = frozenset({AlertKind.BURST})
"""Alerts that are sent once, however long they last."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is wrong.

    Attributes:
        kind: Its kind.
        connection: The connection's name; empty for the process as a whole.
        stream: The stream; empty if it is not about a single stream.
        text: A sentence without personal data, and without text from a remote system.
        covered: It lasts, but leads to no alert: another condition explains it, or it may end by itself.
        detail: What distinguishes it from an earlier one of its kind.
    """

    kind: AlertKind
    connection: str
    stream: str
    text: str
    covered: bool = False
    detail: str = ""

    @property
    def topic(self) -> AlertTopic:
        """What identifies the same condition at another time."""
        return AlertTopic(str(self.kind), self.connection, self.stream, self.detail)


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system: its bytes, and how many are free for this user."""

    total: int
    free: int

    @property
    def nearly_full(self) -> bool:
        """Whether somebody should make room."""
        return self.free < max(FULL_BYTES, FULL_SHARE * self.total)


def disk_of(path: Path) -> Disk | None:
    """The file system of a file; None if it cannot be read."""
    try:
        usage = shutil.disk_usage(path.parent)
    except OSError:
        return None
    return Disk(usage.total, usage.free)


def conditions(snapshot: Snapshot, disk: Disk | None, overdue_at: OverdueAt) -> list[Condition]:
    """Find everything that is wrong.

    Args:
        snapshot: The state of everything.
        disk: The ledger's file system; None if unknown.
        overdue_at: When a list is overdue; None for one that is not to be read.
    """
    found = [one for status in snapshot.connections.values() for one in _of(status, snapshot.at, overdue_at)]
    if disk is not None and disk.nearly_full:
        text = f"The ledger's disk is nearly full: {disk.free / 2**20:,.0f} MiB are free."
        found.append(Condition(AlertKind.DISK, "", "", text))
    return found


def count_waiting(snapshot: Snapshot) -> dict[AlertTopic, int]:
    """How many records need a decision, by connection, stream and reason."""
    return {
        AlertTopic(str(AlertKind.WAITING), name, str(stream), reason): number
        for name, status in snapshot.connections.items()
        for stream, one in status.streams.items()
        for reason, number in one.waiting.items()
    }


def _of(status: ConnectionStatus, now: int, overdue_at: OverdueAt) -> Iterator[Condition]:
    """What is wrong with one connection."""
    yield from _token(status, now)
    yield from _paused("Reading from Salestrekker", status.name, "", status.reading, now)
    yield from _paused("Sending to Trakor", status.name, "", status.sending, now)
    for stream, one in status.streams.items():
        yield from _paused(f"Sending {stream} to Trakor", status.name, stream, one.sending, now)
        yield from _overdue(status, stream, one, now, overdue_at)
        yield from _missing(status.name, stream, one)
        yield from _changed_alike(status.name, stream, one)
    unreadable = status.webhooks.unreadable_at
    if unreadable is not None and abs(now - unreadable) < DAY:
        text = f"Some webhooks could not be understood, the last one at {local_time(unreadable)}."
        yield Condition(AlertKind.WEBHOOKS, status.name, "", text)


def _token(status: ConnectionStatus, now: int) -> Iterator[Condition]:
    """A token that cannot be renewed is used until it expires."""
    failing, ends = status.token_failing_since, status.token_expires_at
    if failing is None:
        return
    until = "" if ends is None else f"; it expires at {local_time(ends)}"
    soon = ends is not None and ends - now < TOKEN_ENDS_WITHIN
    text = f"Salestrekker's token could not be renewed since {local_time(failing)}{until}."
    covered = not soon and now - failing < STOPPED_FOR
    yield Condition(AlertKind.TOKEN, status.name, "", text, covered=covered)


def _paused(what: str, name: str, stream: str, flow: Flow, now: int) -> Iterator[Condition]:
    """A pause. Its reason may contain text of a remote system, so it is left out.

    A recent pause leads to no alert yet. Nor is it over: the clock may have been set back, or it may follow
    another pause.
    """
    if flow.state != "paused" or flow.since_at is None:
        return
    by_person = AlertKind.READING_BY_PERSON, AlertKind.SENDING_BY_PERSON
    kinds = by_person if flow.by_person else (AlertKind.READING, AlertKind.SENDING)
    covered = now - flow.since_at < (BY_PERSON_FOR if flow.by_person else STOPPED_FOR)
    who = " by an operator" if flow.by_person else ""
    text = f"{what} has been paused{who} since {local_time(flow.since_at)}."
    yield Condition(kinds[what.startswith("Sending")], name, stream, text, covered=covered)


def _overdue(
    status: ConnectionStatus, stream: Stream, one: StreamStatus, now: int, overdue_at: OverdueAt
) -> Iterator[Condition]:
    """Two scheduled times have passed without a complete sweep, and no pause or long sweep explains that."""
    if one.reached is None:
        return
    good = one.reached.good_at
    due = overdue_at(status.name, stream, one.reached.first_at if good is None else good)
    if due is None or now < due:
        return
    last = one.last_sweep
    moving = last is not None and last.ended_at is None and now - last.moved_at < STOPPED_FOR
    since = f"The {stream} have not been read completely since {local_time(good or one.reached.first_at)}."
    covered = moving or status.reading.state == "paused"
    yield Condition(AlertKind.OVERDUE, status.name, stream, since, covered=covered)


def _missing(name: str, stream: Stream, one: StreamStatus) -> Iterator[Condition]:
    if one.reached is None or not one.reached.missing:
        return
    missing = f"{one.reached.missing:,}"
    if one.reached.narrowed:
        text = (
            f"Salestrekker's list of {stream} no longer shows {missing} that still exist: its query now"
            " selects fewer. None was marked gone."
        )
    else:
        text = (
            f"{missing} {stream} were missing from Salestrekker's list: more than gone_limit allows, so that"
            " none was marked gone."
        )
    yield Condition(AlertKind.MISSING, name, stream, text)


def _changed_alike(name: str, stream: Stream, one: StreamStatus) -> Iterator[Condition]:
    """Many records changed alike in one sweep: one alert for each such sweep."""
    if one.burst is not None:
        text = f"{burst_note(name, stream, one.burst)}."
        yield Condition(AlertKind.BURST, name, stream, text, detail=str(one.burst.sweep))
