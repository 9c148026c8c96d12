"""One stream's map: takes a record, gives a draft or says why there is none."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from bridge import naming
from bridge.errors import QueryFileError, Rejected
from bridge.mapping.defaults import DEFAULTS
from bridge.mapping.expressions import Expressions, MappingFault
from bridge.mapping.values import free_text, price, text
from bridge.records import Draft, Party, Product, Reason, Stream, Unsendable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal
    from typing import TypeVar

    from bridge.naming import Hasher
    from bridge.records import FieldHashes, Payload, Record

    _T = TypeVar("_T")

__all__ = ["Mapper"]

_REQUIRED: Final = ("id", "name")
_LONGEST_ID: Final = 255


class Mapper:
    """Makes drafts of one stream's records. Pure, and made once: compiling takes far longer than mapping.

    Args:
        stream: Whose records.
        expressions: The map as configured, key -> JMESPath; a key left out has its default, one with
            empty text is never filled.
        where: JMESPath: which records are wanted; empty for all.
        hasher: Of the ledger's key.
        query_fingerprint: Of the queries that the records come from.

    Attributes:
        fingerprint: Of all that makes a draft: 12 characters, other ones whenever the stream, the map, the
            query or the rules for names are others.

    Raises:
        QueryFileError: An expression cannot be used; names its place and column, and what to do.
    """

    def __init__(
        self,
        stream: Stream,
        expressions: Mapping[str, str],
        where: str,
        hasher: Hasher,
        query_fingerprint: str,
    ) -> None:
        texts = {**_completed(stream, expressions), "where": where}
        places = {key: f"{stream}.map.{key}" for key in texts} | {"where": f"{stream}.where"}
        self._expressions = Expressions(texts, places)
        self._filters = bool(where.strip())
        self._hasher = hasher
        self._payload = self._party if stream is Stream.CONTACTS else self._product
        self.fingerprint = _fingerprint(stream, texts, query_fingerprint)

    def __call__(self, record: Record) -> Draft | Unsendable:
        """The draft of one record, or why it has none. Never raises, whatever the record holds."""
        try:
            if not self._wanted(record.data):
                return self._unsendable(record, Reason.FILTERED)
            self._check_id(record)
            name = self._made("name", record.data, text)
            if not naming.tidy(name):
                return self._unsendable(record, Reason.NO_NAME, "name")
            return self._draft(record, name)
        except MappingFault as fault:
            return self._unsendable(record, Reason.MAPPING, fault.field, str(fault))

    def identify(self, data: Mapping[str, object]) -> str | None:
        """A record's id, as text; None where the map's ``id`` gives none that can be one.

        An id is a whole number, or text that is not blank, prints, and has at most 255 characters.
        """
        try:
            found = self._made("id", data, lambda value: value)
            found = str(found) if type(found) is int else found
        except (ValueError, MappingFault):  # ValueError: an integer too long to be written
            return None
        if not isinstance(found, str) or not found.strip() or not found.isprintable():
            return None
        return found if len(found) <= _LONGEST_ID else None

    def _wanted(self, data: Mapping[str, object]) -> bool:
        """Whether ``where`` gives what JMESPath holds true: no false, null, empty text, array or object."""
        if not self._filters:
            return True
        found = self._expressions.value("where", data)
        return not (found is None or found is False or found in ("", [], {}))

    def _made(self, field: str, data: Mapping[str, object], convert: Callable[[object], _T]) -> _T:
        try:
            return convert(self._expressions.value(field, data))
        except MappingFault:
            raise
        except Rejected as error:
            raise MappingFault(field, str(error)) from None

    def _check_id(self, record: Record) -> None:
        if self.identify(record.data) != record.id:
            raise MappingFault("id", "gives another id than the one that the record was read under")

    def _draft(self, record: Record, name: str) -> Draft:
        qualifier = naming.tidy(self._made("qualifier", record.data, text))
        same_as = self._made("same_as", record.data, text)
        payload = self._payload(naming.fit(name), record.data)
        qualified = naming.qualify(name, qualifier)
        return Draft(
            id=record.id,
            payload=payload,
            key=self._hasher.name_key(payload.name),
            qualified_name=qualified,
            qualified_key=self._hasher.name_key(qualified),
            same_as=self._hasher.same_as(same_as),
            hashes=self._hashes(payload, qualifier),
            fingerprint=self.fingerprint,
            read_at=record.read_at,
        )

    def _party(self, name: str, data: Mapping[str, object]) -> Payload:
        return Party(name, self._made("contact_info", data, free_text))

    def _product(self, name: str, data: Mapping[str, object]) -> Payload:
        amount: Decimal | None = self._made("price", data, price)
        return Product(name, self._made("description", data, free_text), amount)

    def _hashes(self, payload: Payload, qualifier: str) -> FieldHashes:
        fields = {**payload.fields(), "qualifier": qualifier}
        return {field: self._hasher.value(field, value) for field, value in fields.items() if value}

    def _unsendable(self, record: Record, reason: Reason, field: str = "", detail: str = "") -> Unsendable:
        return Unsendable(record.id, reason, field, detail, self.fingerprint, record.read_at)


def _completed(stream: Stream, expressions: Mapping[str, str]) -> dict[str, str]:
    """The map with its defaults, checked: no key that the stream does not have, none empty that it needs."""
    defaults = DEFAULTS[stream]
    for key in expressions:
        if key not in defaults:
            near = get_close_matches(key, defaults, n=1) or [", ".join(defaults)]
            raise QueryFileError(f"{stream}.map.{key}: no such key", advice=f"Did you mean {near[0]}?")
    texts = {**defaults, **expressions}
    for key in _REQUIRED:
        if not texts[key].strip():
            raise QueryFileError(
                f"{stream}.map.{key}: empty, but no record can do without it",
                advice="Leave the key out to use its default.",
            )
    return texts


def _fingerprint(stream: Stream, texts: Mapping[str, str], query_fingerprint: str) -> str:
    parts = json.dumps([naming.RULES, stream, sorted(texts.items()), query_fingerprint])
    return urlsafe_b64encode(hashlib.sha256(parts.encode()).digest()[:9]).decode()
