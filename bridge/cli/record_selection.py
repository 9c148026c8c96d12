"""Which records a command is about: its options, and the query for the ledger that they make."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from bridge.cli.output import escape, tell
from bridge.errors import UserError
from bridge.records import Reason, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bridge.cli.command_setup import Session
    from bridge.ledger.read_model import Reader, RecordQuery, RecordSummary
    from bridge.names import Hasher

__all__ = [
    "FIELDS",
    "FieldOption",
    "MarkOption",
    "NameOption",
    "ReasonOption",
    "Selection",
    "SinceOption",
    "StateOption",
    "StreamOption",
    "hasher_of",
    "parse_since",
    "parse_words",
    "the_one",
]

FIELDS: Final = ("name", "contact_info", "description", "price", "qualifier", "rules")
"""The fields of ``vocabulary.FIELD_TITLES``, whose module would delay ``--help``."""

StateOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        metavar="S,…",
        help=f"Only records in these states: {', '.join(State)}.",
        show_default=False,
    ),
]
ReasonOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--reason",
        metavar="R,…",
        help=f"Only records with these reasons: {', '.join(Reason)}.",
        show_default=False,
    ),
]
MarkOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--mark",
        metavar="M,…",
        help="Only records with one of these marks: gone, filtered, remapped, dismissed.",
        show_default=False,
    ),
]
FieldOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="F,…",
        help=f"Only records that differ from Trakor in one of these fields: {', '.join(FIELDS)}.",
        show_default=False,
    ),
]
SinceOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="T",
        help="Only records whose state changed at T or later: a duration such as 2d, or a time such as "
        "2026-11-30T09:00 (in this machine's time zone, unless it names one).",
        show_default=False,
    ),
]
StreamOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--stream", metavar="S,…", help="Only contacts, or only products.", show_default=False),
]
NameOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="The record with exactly this name; case and spacing do not matter.",
        show_default=False,
    ),
]

SHOWN_OF_MANY: Final = 20
"""How many of several matches are listed."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The records that a command is about; empty means any.

    Attributes:
        identity: An id of Salestrekker's or Trakor's, or a SKU.
        name: An exact name.
        connection: A connection's name.
        states: States.
        reasons: Reasons.
        streams: Streams.
        marks: Marks, one of which it has.
        fields: Fields, one of which differs.
        since: Its state changed at this time or later, in milliseconds since the epoch; 0: any.
    """

    identity: str = ""
    name: str = ""
    connection: str = ""
    states: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    since: int = 0

    @property
    def single(self) -> bool:
        """Whether one record is meant."""
        return bool(self.identity or self.name)

    @property
    def narrowed(self) -> bool:
        """Whether it narrows down many records."""
        return bool(self.states or self.reasons or self.marks or self.fields)

    def describe(self) -> str:
        """The id or name, for a message."""
        return f"the id {escape(self.identity)}" if self.identity else f"the name “{escape(self.name)}”"

    def wanted(self, connection: Reader, hasher: Hasher | None) -> RecordQuery:
        """The query for the ledger.

        Args:
            connection: Of the ledger.
            hasher: Of the ledger's key; only needed for a name.
        """
        from bridge.ledger.read_model import RecordQuery, list_feeds  # noqa: PLC0415 - see the package

        feeds = [
            feed.number
            for feed in list_feeds(connection)
            if self.connection in {"", feed.connection} and (not self.streams or feed.stream in self.streams)
        ]
        return RecordQuery(
            feeds=feeds or (0,),  # no feed has this number, so nothing matches; an empty tuple would mean any
            states=self.states,
            reasons=self.reasons,
            marks=self.marks,
            fields=self.fields,
            since=self.since,
            either=self.identity,
            key=hasher.name_key(self.name) if self.name and hasher else "",
        )


def parse_since(text: str | None) -> int:
    """Parse ``--since`` to milliseconds since the epoch; 0 if it is not given.

    Raises:
        UserError: It is neither a duration nor a time, or the time is in the future.
    """
    if text is None:
        return 0
    now = time.time_ns() // 1_000_000
    at = _timestamp(text.strip(), now)
    if at is None:
        raise UserError(
            f"--since {escape(text)}: neither a duration nor a time",
            advice="give a duration such as 90m, 12h or 2d, or a time such as 2026-11-30T09:00",
        )
    if at > now:
        raise UserError(f"--since {escape(text)}: that time is in the future")
    return max(at, 1)


def _timestamp(text: str, now: int) -> int | None:
    """The time before this duration, or the time itself; None if the text is neither."""
    from bridge.settings.values import seconds_or_none  # noqa: PLC0415 - see the package

    seconds = seconds_or_none(text)
    try:
        if seconds is not None:
            return now - round(seconds * 1000)
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def parse_words(option: str, given: Sequence[str] | None, allowed: Iterable[str]) -> tuple[str, ...]:
    """Parse an option that takes several words, separated by commas, and may be repeated.

    Raises:
        UserError: One is unknown.
    """
    found = [word.strip() for text in given or () for word in text.split(",") if word.strip()]
    known = [str(word) for word in allowed]
    for word in found:
        if word not in known:
            near = get_close_matches(word, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise UserError(
                f"{option} {escape(word)}: there is no such {option.strip('-')}{meant}",
                advice=f"there are: {', '.join(known)}",
            )
    return tuple(dict.fromkeys(found))


def hasher_of(session: Session, connection: Reader) -> Hasher:
    """A hasher with the ledger's key.

    Args:
        session: The command's configuration.
        connection: Of the ledger.

    Raises:
        LedgerError: The key is missing, or belongs to another ledger.
    """
    from bridge.ledger.open import verify_key  # noqa: PLC0415 - see the package
    from bridge.names import Hasher  # noqa: PLC0415 - see the package
    from bridge.wiring.ledger_and_key import ledger_key  # noqa: PLC0415 - see the package

    key = ledger_key(session.settings, make=False)
    verify_key(connection, key)
    return Hasher(key)


def the_one(session: Session, connection: Reader, selection: Selection) -> RecordSummary:
    """The one record with an id or a name.

    Args:
        session: The command's configuration.
        connection: Of the ledger.
        selection: Which.

    Raises:
        UserError: Neither or both are given, or several records match, which are then listed.
        Exit: With status 1 and a message, if none matches.
    """
    from bridge.ledger.read_model import find_records  # noqa: PLC0415 - see the package

    if bool(selection.identity) == bool(selection.name):
        raise UserError("which record?", advice='give its id, or --name "exact name"')
    hasher = hasher_of(session, connection) if selection.name else None
    found = find_records(connection, selection.wanted(connection, hasher), SHOWN_OF_MANY + 1)
    if not found:
        _report_none(selection)
        raise typer.Exit(1)
    if len(found) > 1:
        raise _several(selection, found)
    return found[0]


def _report_none(selection: Selection) -> None:
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    tell(f"no record has {selection.describe()}", after=len("error: "), hanging=4, err=True)
    tell(
        "what to do: `trakor-bridge records list` lists what is known; new records of Salestrekker are known "
        "after the next `trakor-bridge backfill`, or after a running daemon has read them",
        hanging=4,
        err=True,
    )


def _several(selection: Selection, found: list[RecordSummary]) -> UserError:
    from bridge.cli.record_output import show_table  # noqa: PLC0415 - see the package

    show_table(found[:SHOWN_OF_MANY], error=True)
    many = len(found) if len(found) <= SHOWN_OF_MANY else f"more than {SHOWN_OF_MANY}"
    advice = "add --connection or --stream" if selection.identity else "give the id of the one that you mean"
    return UserError(f"{many} records have {selection.describe()}", advice=advice)
