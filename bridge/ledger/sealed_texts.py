"""The sealed texts of records: how drafts are stored, and how stored texts are opened for readers."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from bridge import names
from bridge.errors import LedgerError
from bridge.ledger.row_mapping import pack_identifiers, unpack_identifiers
from bridge.records import Draft, Reason, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from bridge.encryption import Sealer
    from bridge.ledger.feeds import Feed
    from bridge.records import LedgerRow, Payload

__all__ = [
    "FieldChange",
    "StoredDraft",
    "current_text",
    "find_changes",
    "open_content",
    "open_draft",
    "open_trakor_text",
    "pack",
    "payload_to_send",
    "split_payload",
    "to_texts",
    "unpack",
]


class StoredDraft(NamedTuple):
    """A stored draft, with the name that it is (to be) sent under."""

    draft: Draft
    send_as: str


def to_texts(draft: Draft, send_as: str) -> list[str]:
    """Return the texts of a draft to be sealed: its fields, its qualifier, and names that are not plain."""
    plain = f"{draft.payload.name} ({draft.qualifier})"
    if draft.qualified_name != plain:  # none, or truncated
        plain = names.qualify(draft.payload.name, draft.qualifier)
    texts = [
        *draft.payload.fields().values(),
        draft.qualifier,
        "" if send_as == draft.payload.name else send_as,
        "" if draft.qualified_name == plain else draft.qualified_name,
    ]
    while not texts[-1]:
        texts.pop()
    return texts


def pack(draft: Draft) -> str:
    """Serialize the parts of a draft that reveal nothing of the record: hashes and times."""
    return orjson.dumps(
        [
            draft.key,
            draft.qualified_key,
            names.encode(draft.hashes),
            pack_identifiers(draft.identifiers),
            draft.read_at,
        ]
    ).decode()


def unpack(
    sealer: Sealer, feed: Feed, source_id: str, meta: str, body: bytes, place: str = ""
) -> StoredDraft:
    """Return the draft that ``pack`` and ``to_texts`` were applied to.

    Args:
        sealer: The ledger's sealer.
        feed: The record's feed, or any feed of the same stream if the place is given.
        source_id: Salestrekker's id of the record.
        meta: What ``pack`` returned.
        body: The sealed texts.
        place: What they are bound to (``Feed.seal_context_of``); empty: the record is of this feed.

    Raises:
        LedgerError: It cannot be read.
    """
    texts = sealer.open(body, place or feed.seal_context(source_id))
    key, qualified_key, hashes, identifiers, read_at = _meta(meta)
    payload, qualifier, send_as, qualified = _parts(texts, feed.stream)
    draft = Draft(
        id=source_id,
        payload=payload,
        key=key,
        qualifier=qualifier,
        qualified_name=qualified or names.qualify(payload.name, qualifier),
        qualified_key=qualified_key,
        identifiers=unpack_identifiers(identifiers),
        hashes=names.decode(hashes),
        read_at=read_at,
    )
    return StoredDraft(draft, send_as or payload.name)


def _meta(meta: str) -> list[Any]:
    """Parse what ``pack`` returned, and check each part's type."""
    try:
        found = orjson.loads(meta)
    except ValueError as error:
        raise _no_draft() from error
    if not isinstance(found, list) or list(map(type, found)) != [str, str, str, str, int]:
        raise _no_draft()
    return found


def _no_draft() -> LedgerError:
    return LedgerError("the ledger holds a draft that cannot be read")


def payload_to_send(texts: Sequence[str], stream: Stream) -> Payload:
    """Return the payload of sealed texts, under the name that it is sent under.

    Raises:
        LedgerError: They are not such texts.
    """
    payload, _, send_as, _ = _parts(texts, stream)
    return replace(payload, name=send_as) if send_as else payload


def _parts(texts: Sequence[str], stream: Stream) -> tuple[Payload, str, str, str]:
    """Return payload, qualifier, name to send and qualified name; the last two only if not plain."""
    payload, rest = split_payload(texts, stream)
    qualifier, send_as, qualified = (*rest, "", "", "")[:3]
    return payload, qualifier, send_as, qualified


def split_payload(texts: Sequence[str], stream: Stream) -> tuple[Payload, Sequence[str]]:
    """Return the payload that sealed texts begin with, under its plain name, and the remaining texts.

    Raises:
        LedgerError: They are not such texts.
    """
    if not texts:
        raise _no_draft()
    payload = stream.spec.payload
    try:
        return payload.of(dict(zip(payload.FIELDS, texts, strict=False))), texts[len(payload.FIELDS) :]
    except ArithmeticError as error:
        raise _no_draft() from error


RULES = "rules"
"""Stands for all fields if nobody can tell which of them changed."""


class FieldChange(NamedTuple):
    """One field in which a record differs from what Trakor has of it.

    Attributes:
        field: Its name.
        old: What Trakor has; None if unknown.
        new: What the record has now; None if unknown. Empty text is an empty field.
    """

    field: str
    old: str | None = None
    new: str | None = None


def open_draft(
    connection: Connection, feed: Feed, source_id: str, meta: str | None, body: bytes | None
) -> StoredDraft | None:
    """Return a record's stored draft; None if there is none, or it cannot be opened here."""
    sealer = connection.info.get("sealer")
    if sealer is None or body is None:
        return None
    with suppress(LedgerError):
        return unpack(sealer, feed, source_id, meta or "", body)
    return None


def open_content(
    connection: Connection, feed: Feed, source_id: str, body: bytes | None, *, known: bool
) -> Mapping[str, str]:
    """Return what Trakor has of a record, field -> text; empty if it is not kept or cannot be opened here.

    Args:
        connection: Inside any transaction, of a ledger that was opened with its key.
        feed: The record's feed.
        source_id: Salestrekker's id of it.
        body: The sealed text; None if none is kept.
        known: The bridge sent all of it. Of a record that existed before, only the name is known.
    """
    sealer = connection.info.get("sealer")
    if sealer is None or body is None:
        return {}
    with suppress(LedgerError):
        payload, rest = split_payload(sealer.open(body, feed.seal_context(source_id)), feed.stream)
        name = rest[1] if len(rest) > 1 and rest[1] else payload.name
        return {**(payload.fields() if known else {}), "name": name}
    return {}


def open_trakor_text(connection: Connection, feed: Feed, source_id: str, body: bytes) -> str:
    """Return the text with which Trakor rejected a record; empty if it cannot be opened here."""
    sealer = connection.info.get("sealer")
    if sealer is None:
        return ""
    with suppress(LedgerError):
        (words,) = sealer.open(body, feed.seal_context(source_id))
        return str(words)
    return ""


def current_text(stored: StoredDraft | None, known: LedgerRow) -> dict[str, str]:
    """Return the text of a record when it was last read, field -> text, as far as it is stored.

    Args:
        stored: The newest draft that is stored of it.
        known: The record. A field that could not be mapped since is left out.
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


def find_changes(
    known: LedgerRow, stored: StoredDraft | None, content: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[FieldChange, ...]]:
    """Return in which fields a record differs from what Trakor has of it; most records differ in none.

    Args:
        known: The record.
        stored: The newest draft that is stored of it.
        content: What Trakor has of it, field -> text, as far as that is kept.

    Returns:
        The fields that differ by the ledger's hashes, and every difference worth showing, the name first.
        There are more of the latter if another map made it, or if only texts can be compared.
    """
    if known.seen is None and not known.remapped and known.reason != Reason.RENAMED:
        return (), ()
    fields = known.differing if known.answered else ()
    found = _changes(known, fields, content, current_text(stored, known))
    return fields, tuple(sorted(found, key=lambda change: change.field != "name"))


def _changes(
    known: LedgerRow, fields: tuple[str, ...], content: Mapping[str, str], now: Mapping[str, str]
) -> Iterator[FieldChange]:
    by_text = [
        FieldChange(name, text, now[name])
        for name, text in content.items()
        if (known.remapped or RULES in fields or known.reason is Reason.REMAPPED)
        and now.get(name, text) != text
    ]
    named = {change.field for change in by_text}
    yield from by_text
    if RULES in fields and not by_text:
        yield FieldChange(RULES)
    for name in fields:
        if name not in named and name != RULES:
            yield FieldChange(name, content.get("name" if name == "qualifier" else name), now.get(name))
    if (
        known.reason is Reason.RENAMED and not fields
    ):  # it shares another's party, so its name there is not its own
        yield FieldChange("name", None, now.get("name"))
