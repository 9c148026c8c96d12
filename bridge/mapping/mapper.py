"""One stream's map: it turns a record into a draft, or says why there is none."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from bridge import names
from bridge.errors import QueryFileError, Rejected
from bridge.mapping.built_in_maps import IDENTIFIERS, complete_map, map_as_text, map_from_text
from bridge.mapping.conversion import price, text, to_free_text, to_identifiers
from bridge.mapping.expressions import Expressions, MappingError
from bridge.records import UNKNOWN, Draft, Policy, Reason, Rules, Unsendable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from bridge.names import Hasher
    from bridge.records import FieldHashes, Payload, Record, Stream

    _T = TypeVar("_T")

__all__ = ["Mapper"]

_LONGEST_ID: Final = 255


class Mapper:
    """Makes drafts of one stream's records. Pure. Make it once: compiling takes far longer than mapping.

    Args:
        stream: The stream of the records.
        expressions: The configured map, key -> JMESPath. A missing key has its default. A key with empty text
            is never filled.
        where: JMESPath that selects the wanted records. Empty: all.
        hasher: Of the ledger's key.
        query_fingerprint: Of what the queries select of a record.
        policy: What decides. The mapper uses it for a fingerprint only.

    Attributes:
        rules: What its drafts are made and decided by.
        fingerprint: Of everything that makes a draft, 12 characters. It changes whenever the stream, the map,
            the query or the rules for names change.

    Raises:
        QueryFileError: An expression cannot be used. The error names its place and column, and what to do.
    """

    def __init__(
        self,
        stream: Stream,
        expressions: Mapping[str, str],
        where: str,
        hasher: Hasher,
        query_fingerprint: str,
        policy: Policy = Policy(),  # noqa: B008 - frozen
    ) -> None:
        texts = complete_map(stream, expressions)
        places = {key: f"{stream}.map.{key}" for key in texts} | {"where": f"{stream}.where"}
        self._expressions = Expressions({**texts, "where": where}, places)
        self._filters = bool(where.strip())
        self._hasher = hasher
        self._payload_type = stream.spec.payload
        self._hashed = (*self._payload_type.FIELDS, "qualifier")
        self._named = {
            key: key.removeprefix(IDENTIFIERS) for key in sorted(texts) if key.startswith(IDENTIFIERS)
        }
        self._made_with = (stream, where, query_fingerprint, policy)
        self._earlier_mappers: dict[str, Mapper | None] = {}
        self.rules = _rules(stream, texts, where, query_fingerprint, policy)
        self.fingerprint = _fingerprint(stream, sorted({**texts, "where": where}.items()), query_fingerprint)

    def __call__(self, record: Record, earlier: Mapper | None = None) -> Draft | Unsendable:
        """Map one record. Never raises, whatever the record holds.

        Args:
            record: The record.
            earlier: The mapper that the record was last observed with, if that was another one. What it makes
                of the record now is the result's ``before``, unless `where` excludes the record.

        Returns:
            The draft, or the reason why there is none.
        """
        made = self._result(record)
        if earlier is None or (isinstance(made, Unsendable) and made.reason is Reason.FILTERED):
            return made
        return replace(made, before=earlier(record))

    def earlier(self, text: str) -> Mapper:
        """The mapper of an earlier map, with everything else as it is now.

        Args:
            text: The ``text`` of that map's rules.

        Raises:
            QueryFileError: The text cannot be read, or the map cannot be used any more.
        """
        stream, where, query_fingerprint, policy = self._made_with
        return Mapper(stream, map_from_text(stream, text), where, self._hasher, query_fingerprint, policy)

    def earlier_mapper(self, text: str | None) -> Mapper | None:
        """The mapper of an earlier map, made once, or None if there is none or it cannot be used."""
        if text is not None and text not in self._earlier_mappers:
            try:
                self._earlier_mappers[text] = self.earlier(text)
            except QueryFileError:
                self._earlier_mappers[text] = None
        return self._earlier_mappers[text] if text is not None else None

    def input_of(self, record: Record) -> str:
        """The keyed hash of everything that the map can read of a record, or empty text.

        It is empty if the record cannot be hashed.
        """
        return self._hasher.input_of(record.data)

    def _result(self, record: Record) -> Draft | Unsendable:
        try:
            if not self._wanted(record.data):
                return self._unsendable(record, Reason.FILTERED)
            self._check_id(record)
            name = self._made("name", record.data, text)
            if not names.tidy(name):
                return self._unsendable(record, Reason.NO_NAME, "name", hashes=self._hashes(record.data))
            return self._draft(record, name)
        except MappingError as failure:
            hashes = None if failure.field in {"where", "id"} else self._hashes(record.data)
            return self._unsendable(record, Reason.MAPPING, failure.field, str(failure), hashes=hashes)

    def identify(self, data: Mapping[str, object]) -> str | None:
        """A record's id as text, or None if the map's ``id`` gives no valid one.

        An id is a whole number, or printable text that is not blank and has at most 255 characters.
        """
        try:
            found = self._made("id", data, lambda value: value)
            found = str(found) if type(found) is int else found
        except (ValueError, MappingError):  # ValueError: an integer too long to be written
            return None
        if not isinstance(found, str) or not found.strip() or not found.isprintable():
            return None
        return found if len(found) <= _LONGEST_ID else None

    def _wanted(self, data: Mapping[str, object]) -> bool:
        """Whether ``where`` gives a true value: not false, null, or an empty text, array or object."""
        if not self._filters:
            return True
        found = self._expressions.value("where", data)
        return not (found is None or found is False or found in ("", [], {}))

    def _made(self, field: str, data: Mapping[str, object], convert: Callable[[object], _T]) -> _T:
        try:
            return convert(self._expressions.value(field, data))
        except MappingError:
            raise
        except Rejected as error:
            raise MappingError(field, str(error)) from None

    def _check_id(self, record: Record) -> None:
        if self.identify(record.data) != record.id:
            raise MappingError("id", "gives another id than the one that the record was read under")

    def _draft(self, record: Record, name: str) -> Draft:
        qualifier = names.tidy(self._made("qualifier", record.data, text))
        identifying = self._identifiers(record.data)
        payload = self._payload(name, record.data)
        qualified = names.qualify(name, qualifier)
        hashes, first_hashes = self._hasher.fields({**payload.fields(), "qualifier": qualifier})
        return Draft(
            id=record.id,
            payload=payload,
            key=self._hasher.name_key(payload.name),
            qualified_name=qualified,
            qualified_key=self._hasher.name_key(qualified),
            hashes=hashes,
            read_at=record.read_at,
            qualifier=qualifier,
            identifiers=identifying,
            first_hashes=first_hashes,
            rules=self.rules,
            input=self.input_of(record),
        )

    def _identifiers(self, data: Mapping[str, object]) -> FieldHashes:
        if self._named:
            found = {name: self._made(key, data, text) for key, name in self._named.items()}
        else:
            found = self._made("same_as", data, to_identifiers)
        return {name: digest for name, value in found.items() if (digest := self._hasher.same_as(value))}

    def _payload(self, name: str, data: Mapping[str, object]) -> Payload:
        # The last field first: if several cannot be made, the ledger names that one.
        others = {field: self._text_of(field, data) for field in reversed(self._payload_type.FIELDS[1:])}
        return self._payload_type.of({"name": names.fit(name), **others})

    def _hashes(self, data: Mapping[str, object]) -> FieldHashes:
        """The hashes of those fields that can be made for a record that makes no draft."""
        texts, unmade = {}, {}
        for field in self._hashed:
            try:
                texts[field] = self._text_of(field, data)
            except MappingError:
                unmade[field] = UNKNOWN
        return self._hasher.fields(texts)[0] | unmade

    def _text_of(self, field: str, data: Mapping[str, object]) -> str:
        """One field of a draft, in the form that is hashed."""
        if field == "price":
            amount = self._made(field, data, price)
            return "" if amount is None else str(amount)
        if field in {"name", "qualifier"}:
            found = self._made(field, data, text)
            return names.fit(found) if field == "name" else names.tidy(found)
        return self._made(field, data, to_free_text)

    def _unsendable(
        self,
        record: Record,
        reason: Reason,
        field: str = "",
        detail: str = "",
        *,
        hashes: FieldHashes | None = None,
    ) -> Unsendable:
        return Unsendable(
            id=record.id,
            reason=reason,
            field=field,
            detail=detail,
            read_at=record.read_at,
            rules=self.rules,
            input=self.input_of(record),
            hashes=hashes,
        )


def _rules(
    stream: Stream, texts: Mapping[str, str], where: str, query_fingerprint: str, policy: Policy
) -> Rules:
    return Rules(
        query=query_fingerprint,
        map=_fingerprint(stream, sorted(texts.items())),
        choices=_fingerprint(stream, where, sorted(asdict(policy).items())),
        text=map_as_text(texts),
    )


def _fingerprint(*parts: object) -> str:
    """Twelve characters that change with the parts, and with the rules for names and hashes."""
    text_of_all = json.dumps([names.RULES, *parts])
    return urlsafe_b64encode(hashlib.sha256(text_of_all.encode()).digest()[:9]).decode()
