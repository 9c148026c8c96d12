"""A draft as it waits in the ledger: its words sealed, its hashes beside them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from bridge import naming
from bridge.errors import LedgerError
from bridge.ledger.row_mapping import pack_identifiers, unpack_identifiers
from bridge.records import Draft, Party, Product, Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.encryption import Sealer
    from bridge.ledger.row_mapping import Feed
    from bridge.records import Payload

__all__ = ["Stored", "pack", "payload_of", "payload_to_send", "texts_of", "unpack"]


class Stored(NamedTuple):
    """A draft as it waits, with the name that it is (to be) sent under."""

    draft: Draft
    send_as: str


def texts_of(draft: Draft, send_as: str) -> list[str]:
    """What a draft says, to be sealed: its fields, then its qualifier and names where they are not plain."""
    plain = f"{draft.payload.name} ({draft.qualifier})"
    if draft.qualified_name != plain:  # none, or cut
        plain = naming.qualify(draft.payload.name, draft.qualifier)
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
    """All of a draft that tells nothing of the record: hashes and times, as text for ``waiting``."""
    return orjson.dumps(
        [
            draft.key,
            draft.qualified_key,
            naming.encode(draft.hashes),
            pack_identifiers(draft.identifiers),
            draft.read_at,
        ]
    ).decode()


def unpack(sealer: Sealer, feed: Feed, source_id: str, meta: str, body: bytes, place: str = "") -> Stored:
    """The draft that ``pack`` and ``texts_of`` were made of.

    Args:
        sealer: Of the ledger.
        feed: Whose record it is, or any of the same stream where the place is given.
        source_id: Salestrekker's id of the record.
        meta: As ``pack`` made it.
        body: The sealed texts.
        place: Where they belong (``Feed.place_of``); empty: the record is of this very feed.

    Raises:
        LedgerError: It cannot be read.
    """
    texts = sealer.open(body, place or feed.place(source_id))
    key, qualified_key, hashes, identifiers, read_at = _meta(meta)
    payload, qualifier, send_as, qualified = _parts(texts, feed.stream)
    draft = Draft(
        id=source_id,
        payload=payload,
        key=key,
        qualifier=qualifier,
        qualified_name=qualified or naming.qualify(payload.name, qualifier),
        qualified_key=qualified_key,
        identifiers=unpack_identifiers(identifiers),
        hashes=naming.decode(hashes),
        read_at=read_at,
    )
    return Stored(draft, send_as or payload.name)


def _meta(meta: str) -> list[Any]:
    """What ``pack`` wrote down; each of it of the type that it had."""
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
    """The payload of sealed texts under the name that it is sent under.

    Raises:
        LedgerError: They are not such texts.
    """
    payload, _, send_as, _ = _parts(texts, stream)
    return replace(payload, name=send_as) if send_as else payload


def _parts(texts: Sequence[str], stream: Stream) -> tuple[Payload, str, str, str]:
    """A payload, its qualifier, the name to send and the qualified name: the last two only if not plain."""
    payload, rest = payload_of(texts, stream)
    qualifier, send_as, qualified = (*rest, "", "", "")[:3]
    return payload, qualifier, send_as, qualified


def payload_of(texts: Sequence[str], stream: Stream) -> tuple[Payload, Sequence[str]]:
    """The payload that sealed texts begin with, under its plain name, and what follows.

    Raises:
        LedgerError: They are not such texts.
    """
    if not texts:
        raise _no_draft()
    name, *rest = texts
    if stream is Stream.CONTACTS:
        (info, *others) = rest or [""]
        return Party(name, info), others
    description, price, *others = (*rest, "", "")
    try:
        return Product(name, description, Decimal(price) if price else None), others
    except ArithmeticError as error:
        raise _no_draft() from error
