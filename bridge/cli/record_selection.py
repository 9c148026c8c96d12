"""Which records a command is about: from words, ids and names to what the ledger is asked for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from bridge.cli.output import escape, tell
from bridge.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bridge.cli.session import Session
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
    "moment_of",
    "the_one",
    "words",
]

StateOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        metavar="S,…",
        help="Only records in these states: pending, delivered, merged, skipped, held, rejected, drifted, "
        "dropped.",
        show_default=False,
    ),
]
ReasonOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--reason",
        metavar="R,…",
        help="Only for these reasons: filtered, no-name, same-name, same-person, renamed, remapped, "
        "same-party, existing, mapping, refused-by-trakor, server-error, damaged.",
        show_default=False,
    ),
]
MarkOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--mark",
        metavar="M,…",
        help="Only with one of these marks: gone, filtered, remapped, dismissed.",
        show_default=False,
    ),
]
FieldOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="F,…",
        help="Only if one of these fields differs from what Trakor has: name, contact_info, description, "
        "price, qualifier, rules.",
        show_default=False,
    ),
]
SinceOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="T",
        help="Only if in their state since T or later: a duration such as 2d, or a time such as "
        "2026-11-30T09:00 (without a zone, in this machine's).",
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
        help="The record of exactly this name; case and spacing do not count.",
        show_default=False,
    ),
]

SHOWN_OF_MANY: Final = 20
"""So many of several matches are listed."""

FIELDS: Final = ("name", "contact_info", "description", "price", "qualifier", "rules")
"""What can differ; ``rules`` stands for all fields if the query changed and they cannot be compared."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What the command line says of the records that it is about; empty means any.

    Attributes:
        identity: An id of Salestrekker's or Trakor's, or a SKU.
        name: An exact name.
        connection: A connection's name.
        states: States.
        reasons: Reasons.
        streams: Streams.
        marks: Marks, one of which it has.
        fields: Fields, one of which differs.
        since: In its state since this time or later, milliseconds since the epoch; 0: any.
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
        """Whether it says of many records why they are meant."""
        return bool(self.states or self.reasons or self.marks or self.fields)

    def said(self) -> str:
        """The id or name, for a message."""
        return f"the id {escape(self.identity)}" if self.identity else f"the name “{escape(self.name)}”"

    def wanted(self, connection: Reader, hasher: Hasher | None) -> RecordQuery:
        """What to ask the ledger for.

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
            feeds=feeds or (0,),  # there is no such feed, so nothing matches; an empty one would mean any
            states=self.states,
            reasons=self.reasons,
            marks=self.marks,
            fields=self.fields,
            since=self.since,
            either=self.identity,
            key=hasher.name_key(self.name) if self.name and hasher else "",
        )


def moment_of(text: str | None) -> int:
    """What ``--since`` says, in milliseconds since the epoch; 0 if nothing is said.

    Raises:
        UserError: It is neither a duration nor a time, or that time has not come yet.
    """
    if text is None:
        return 0
    now = time.time_ns() // 1_000_000
    at = _moment(text.strip(), now)
    if at is None:
        raise UserError(
            f"--since {escape(text)}: neither a duration nor a time",
            advice="give a duration such as 90m, 12h or 2d, or a time such as 2026-11-30T09:00",
        )
    if at > now:
        raise UserError(f"--since {escape(text)}: that time has not come yet")
    return max(at, 1)


def _moment(text: str, now: int) -> int | None:
    """The time that a duration leads back to, else the one that is written; None for neither."""
    from bridge.settings.values import seconds_of  # noqa: PLC0415 - see the package

    seconds = seconds_of(text)
    try:
        if seconds is not None:
            return now - round(seconds * 1000)
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def words(option: str, given: Sequence[str] | None, allowed: Iterable[str]) -> tuple[str, ...]:
    """The words of an option that may be repeated and takes several at once, parted by commas.

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
    """The hasher with the ledger's key.

    Args:
        session: The command's configuration.
        connection: Of the ledger.

    Raises:
        LedgerError: The key is missing, or another ledger's.
    """
    from bridge.ledger.open import verify_key  # noqa: PLC0415 - see the package
    from bridge.names import Hasher  # noqa: PLC0415 - see the package
    from bridge.wiring.ledger import ledger_key  # noqa: PLC0415 - see the package

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
        UserError: Neither or both are given, or several records match: they are listed.
        Exit: With status 1, where there is none, which has been said.
    """
    from bridge.ledger.read_model import find_records  # noqa: PLC0415 - see the package

    if bool(selection.identity) == bool(selection.name):
        raise UserError("which record?", advice='give its id, or --name "exact name"')
    hasher = hasher_of(session, connection) if selection.name else None
    found = find_records(connection, selection.wanted(connection, hasher), SHOWN_OF_MANY + 1)
    if not found:
        _say_none(selection)
        raise typer.Exit(1)
    if len(found) > 1:
        raise _several(selection, found)
    return found[0]


def _say_none(selection: Selection) -> None:
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    tell(f"no record has {selection.said()}", after=len("error: "), hanging=4, err=True)
    tell(
        "what to do: `trakor-bridge records list` lists what is known; what is new in Salestrekker is known "
        "once it was read, by `trakor-bridge backfill` or a running daemon",
        hanging=4,
        err=True,
    )


def _several(selection: Selection, found: list[RecordSummary]) -> UserError:
    from bridge.cli.record_output import show_table  # noqa: PLC0415 - see the package

    show_table(found[:SHOWN_OF_MANY], error=True)
    many = len(found) if len(found) <= SHOWN_OF_MANY else f"more than {SHOWN_OF_MANY}"
    advice = "add --connection or --stream" if selection.identity else "give the id of the one that you mean"
    return UserError(f"{many} records have {selection.said()}", advice=advice)
