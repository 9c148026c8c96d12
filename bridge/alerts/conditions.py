"""What is wrong, by one look at everything: pure, but for asking the disk.

A ``Condition`` is said where it is new, and over where it is not there any more. One that is *covered*
is neither: it lasts, but something else explains it, or it is being put right at this moment.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from bridge.ledger.daemon_state import AlertTopic
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
    "disk_of",
    "waiting_of",
]

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

STOPPED_FOR: Final = 15 * MINUTE
"""Milliseconds for which something stands still before anybody is told: most outages are shorter."""

BY_PERSON_FOR: Final = DAY
"""The same where a person has stopped it, who knows."""

TOKEN_ENDS_WITHIN: Final = HOUR
"""A token that cannot be renewed is told of at once where it ends this soon."""

FULL_SHARE: Final = 0.05
FULL_BYTES: Final = 200 * 2**20
"""A disk is nearly full where less than this share, or less than so many bytes, are free."""

OverdueAt: TypeAlias = "Callable[[str, Stream, int], int | None]"
"""When a list is overdue that was read to its end at a time: of connection, stream, and that time."""


class AlertKind(StrEnum):
    """The word of an alert; docs/operations.md says of each what to do."""

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
    AlertKind.TOKEN: "Salestrekker's token is renewed again.",
    AlertKind.READING: "Reading from Salestrekker is not stopped by a fault any more.",
    AlertKind.SENDING: "Sending {stream}to Trakor is not stopped by a fault any more.",
    AlertKind.READING_BY_PERSON: "Reading from Salestrekker is not paused by a person any more.",
    AlertKind.SENDING_BY_PERSON: "Sending {stream}to Trakor is not paused by a person any more.",
    AlertKind.OVERDUE: "The {stream}are not overdue any more.",
    AlertKind.MISSING: "The list of {stream}does not miss suspiciously many records any more.",
    AlertKind.WEBHOOKS: "For a day no webhook came that could not be understood.",
    AlertKind.DISK: "The ledger's disk has room again.",
}
"""What is said when it is over. ``waiting`` never is, and ``changed-alike`` tells of one sweep, once."""

ONCE: Final = frozenset({AlertKind.BURST})
"""What is said once, however long it lasts."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is wrong.

    Attributes:
        kind: Its word.
        connection: The connection's name; empty for the process as a whole.
        stream: The stream; empty where it is about no one stream.
        text: A sentence without personal data and without anything that a remote system said.
        covered: It lasts, but is no news (yet): another condition explains it, or it is being put right.
        detail: What tells it from an earlier one of its kind.
    """

    kind: AlertKind
    connection: str
    stream: str
    text: str
    covered: bool = False
    detail: str = ""

    @property
    def topic(self) -> AlertTopic:
        """What makes it the same one at another time."""
        return AlertTopic(str(self.kind), self.connection, self.stream, self.detail)


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system: its bytes, and how many of them are free for us."""

    total: int
    free: int

    @property
    def nearly_full(self) -> bool:
        """Whether somebody should make room."""
        return self.free < max(FULL_BYTES, FULL_SHARE * self.total)


def disk_of(path: Path) -> Disk | None:
    """The file system that a file is on; None where it does not say."""
    try:
        usage = shutil.disk_usage(path.parent)
    except OSError:
        return None
    return Disk(usage.total, usage.free)


def conditions(snapshot: Snapshot, disk: Disk | None, overdue_at: OverdueAt) -> list[Condition]:
    """What is wrong.

    Args:
        snapshot: Everything, of the connections that are worked on.
        disk: The ledger's file system; None where that is not known.
        overdue_at: When a list is overdue; None for one that is not to be read.
    """
    found = [one for status in snapshot.connections.values() for one in _of(status, snapshot.at, overdue_at)]
    if disk is not None and disk.nearly_full:
        text = f"The ledger's disk is nearly full: {disk.free / 2**20:,.0f} MiB are free."
        found.append(Condition(AlertKind.DISK, "", "", text))
    return found


def waiting_of(snapshot: Snapshot) -> dict[AlertTopic, int]:
    """How many records wait for a person, by connection, stream and reason."""
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
        text = f"A webhook came that could not be understood, the last one at {local_time(unreadable)}."
        yield Condition(AlertKind.WEBHOOKS, status.name, "", text)


def _token(status: ConnectionStatus, now: int) -> Iterator[Condition]:
    """A token that cannot be renewed is used to its end: until then there is time to help."""
    failing, ends = status.token_failing_since, status.token_expires_at
    if failing is None:
        return
    until = "" if ends is None else f"; it ends at {local_time(ends)}"
    soon = ends is not None and ends - now < TOKEN_ENDS_WITHIN
    text = f"Salestrekker's token cannot be renewed since {local_time(failing)}{until}."
    covered = not soon and now - failing < STOPPED_FOR
    yield Condition(AlertKind.TOKEN, status.name, "", text, covered=covered)


def _paused(what: str, name: str, stream: str, flow: Flow, now: int) -> Iterator[Condition]:
    """Why it is paused may be in a remote system's words, and is not told.

    A young pause is no news yet. But it is none that is over: it may be an old one to a clock that was set
    back, or the next one of a row.
    """
    if flow.state != "paused" or flow.since_at is None:
        return
    by_person = AlertKind.READING_BY_PERSON, AlertKind.SENDING_BY_PERSON
    kinds = by_person if flow.by_person else (AlertKind.READING, AlertKind.SENDING)
    covered = now - flow.since_at < (BY_PERSON_FOR if flow.by_person else STOPPED_FOR)
    who = " by a person" if flow.by_person else ""
    text = f"{what} is paused{who} since {local_time(flow.since_at)}."
    yield Condition(kinds[what.startswith("Sending")], name, stream, text, covered=covered)


def _overdue(
    status: ConnectionStatus, stream: Stream, one: StreamStatus, now: int, overdue_at: OverdueAt
) -> Iterator[Condition]:
    """Two times have passed at which it was due; told of unless a pause or a long sweep explains that."""
    if one.reached is None:
        return
    good = one.reached.good_at
    due = overdue_at(status.name, stream, one.reached.first_at if good is None else good)
    if due is None or now < due:
        return
    last = one.last_sweep
    moving = last is not None and last.ended_at is None and now - last.moved_at < STOPPED_FOR
    since = f"The {stream} were not read to their end since {local_time(good or one.reached.first_at)}."
    covered = moving or status.reading.state == "paused"
    yield Condition(AlertKind.OVERDUE, status.name, stream, since, covered=covered)


def _missing(name: str, stream: Stream, one: StreamStatus) -> Iterator[Condition]:
    if one.reached is None or not one.reached.missing:
        return
    missing = f"{one.reached.missing:,}"
    if one.reached.narrowed:
        text = (
            f"Salestrekker's list of {stream} does not show {missing} that are still there: its query shows"
            " fewer than before. None was marked gone."
        )
    else:
        text = (
            f"{missing} {stream} were missing from Salestrekker's list: more than gone_limit allows, so that"
            " none was marked gone."
        )
    yield Condition(AlertKind.MISSING, name, stream, text)


def _changed_alike(name: str, stream: Stream, one: StreamStatus) -> Iterator[Condition]:
    """Each sweep that brought many is news once; the next one is other news."""
    if one.burst is not None:
        text = f"{burst_note(name, stream, one.burst)}."
        yield Condition(AlertKind.BURST, name, stream, text, detail=str(one.burst.sweep))
