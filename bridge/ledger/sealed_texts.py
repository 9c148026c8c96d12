"""What records say, opened for readers: what Trakor has of them, what they say now, and what differs."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from bridge.errors import LedgerError
from bridge.ledger.stored_drafts import payload_of, unpack
from bridge.records import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection

    from bridge.ledger.row_mapping import Feed
    from bridge.ledger.stored_drafts import Stored
    from bridge.records import LedgerRow

__all__ = ["Change", "changes_of", "content_of", "said_of", "says", "stored_of"]

RULES = "rules"
"""Stands for all fields where nobody can tell which of them changed."""


class Change(NamedTuple):
    """One field in which a record differs from what Trakor has of it.

    Attributes:
        field: Its name.
        old: What Trakor has; None where that is not known.
        new: What the record says now; None likewise. Empty text is an empty field.
    """

    field: str
    old: str | None = None
    new: str | None = None


def stored_of(
    connection: Connection, feed: Feed, source_id: str, meta: str | None, body: bytes | None
) -> Stored | None:
    """The draft that waits with a record; None where none does, or it cannot be opened here."""
    sealer = connection.info.get("sealer")
    if sealer is None or body is None:
        return None
    with suppress(LedgerError):
        return unpack(sealer, feed, source_id, meta or "", body)
    return None


def content_of(
    connection: Connection, feed: Feed, source_id: str, body: bytes | None, *, known: bool
) -> Mapping[str, str]:
    """What Trakor has of a record, field -> text; empty where it is not kept, or cannot be opened here.

    Args:
        connection: Inside any transaction, of a ledger that was opened with its key.
        feed: Whose record.
        source_id: Salestrekker's id of it.
        body: The sealed text; None where none is kept.
        known: All of it was sent from here. Of a record that was there before only the name is known.
    """
    sealer = connection.info.get("sealer")
    if sealer is None or body is None:
        return {}
    with suppress(LedgerError):
        payload, rest = payload_of(sealer.open(body, feed.place(source_id)), feed.stream)
        name = rest[1] if len(rest) > 1 and rest[1] else payload.name
        return {**(payload.fields() if known else {}), "name": name}
    return {}


def said_of(connection: Connection, feed: Feed, source_id: str, body: bytes) -> str:
    """What Trakor said when it did not take a record; empty where it cannot be opened here."""
    sealer = connection.info.get("sealer")
    if sealer is None:
        return ""
    with suppress(LedgerError):
        (words,) = sealer.open(body, feed.place(source_id))
        return str(words)
    return ""


def says(stored: Stored | None, known: LedgerRow) -> dict[str, str]:
    """What a record said when it was last read, field -> text, as far as that is stored.

    Args:
        stored: The newest draft that is kept of it.
        known: The record. A field that could not be made since is left out.
    """
    if stored is None:
        return {}
    draft = stored.draft
    texts = {
        **draft.payload.fields(),
        "name": stored.send_as,
        "qualifier": draft.qualified_name if draft.qualifier else draft.payload.name,
    }
    if not known.answered or known.seen is None:
        return texts
    seen = known.seen
    return {name: text for name, text in texts.items() if draft.hashes.get(name) == seen.get(name)}


def changes_of(
    known: LedgerRow, stored: Stored | None, content: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[Change, ...]]:
    """In which fields a record differs from what Trakor has of it; most differ in none.

    Args:
        known: The record.
        stored: The newest draft that is kept of it.
        content: What Trakor has of it, field -> text, as far as that is kept.

    Returns:
        The fields that differ by the ledger's hashes, and every difference that is worth showing, the name
        first. That is more where another map made it, or where only texts can be compared.
    """
    if known.seen is None and not known.remapped and known.reason != Reason.RENAMED:
        return (), ()
    fields = known.differing if known.answered else ()
    found = _changes(known, fields, content, says(stored, known))
    return fields, tuple(sorted(found, key=lambda change: change.field != "name"))


def _changes(
    known: LedgerRow, fields: tuple[str, ...], content: Mapping[str, str], now: Mapping[str, str]
) -> Iterator[Change]:
    by_text = [
        Change(name, text, now[name])
        for name, text in content.items()
        if (known.remapped or RULES in fields or known.reason is Reason.REMAPPED)
        and now.get(name, text) != text
    ]
    named = {change.field for change in by_text}
    yield from by_text
    if RULES in fields and not by_text:
        yield Change(RULES)
    for name in fields:
        if name not in named and name != RULES:
            yield Change(name, content.get("name" if name == "qualifier" else name), now.get(name))
    if known.reason is Reason.RENAMED and not fields:  # it shares another's: its name there is not its own
        yield Change("name", None, now.get("name"))
