"""Drafts: what mapping makes of a record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from bridge.records.source_record import NO_RULES, Rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.records.enums import Reason
    from bridge.records.payloads import Payload

__all__ = ["UNKNOWN", "Draft", "FieldHashes", "Unsendable"]

FieldHashes: TypeAlias = "Mapping[str, str]"
"""Maps a field's name to the keyed hash of its value. A field without a value is left out."""


UNKNOWN: Final = "?"
"""The hash of a field that could not be mapped. As a prefix: of what another map makes of the field."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A mapped record that could be sent. Its name is valid for Trakor, and nothing is decided yet.

    Attributes:
        id: Salestrekker's id.
        payload: What would be sent, under the plain (unqualified) name.
        key: Keyed hash of the plain name's key. Names with equal keys count as one name.
        qualifier: What distinguishes two records with one name; empty if the record has none.
        qualified_name: ``Name (qualifier)``; empty if there is no qualifier.
        qualified_key: Keyed hash of the qualified name's key; empty if there is no qualifier.
        identifiers: What identifies the person: name -> keyed hash. If `same_as` is one text, its name is
            ``""``.
        hashes: Keyed hash of each payload field, and of ``qualifier``, in canonical form.
        read_at: When the read that returned the record began.
        first_hashes: The hashes by revision 1 of the rules, for records that still have those.
        rules: What made the draft.
        input: Keyed hash of the record as it was read; empty if unknown.
        before: What the map that the record was last observed with makes of it, if that is another map that
            can still be applied; otherwise None.
    """

    id: str
    payload: Payload
    key: str
    qualifier: str
    qualified_name: str
    qualified_key: str
    identifiers: FieldHashes
    hashes: FieldHashes
    read_at: int
    first_hashes: FieldHashes = field(default_factory=dict)
    rules: Rules = NO_RULES
    input: str = ""
    before: Draft | Unsendable | None = None

    def named(self, name: str) -> Payload:
        """Return the payload under another name."""
        return self.payload if name == self.payload.name else replace(self.payload, name=name)


@dataclass(frozen=True, slots=True)
class Unsendable:
    """A record that gives no draft: it is filtered out, has no name, or cannot be mapped.

    Attributes:
        id: Salestrekker's id.
        reason: ``FILTERED``, ``NO_NAME`` or ``MAPPING``.
        field: The map's key that failed (``name``, ``price``, ``where``, …); empty for FILTERED.
        detail: What was wrong, without personal data; empty if the reason says it all.
        read_at: When the read that returned the record began.
        rules: As for a draft.
        input: As for a draft.
        before: As for a draft.
        hashes: Field hashes of the fields that could be mapped, with ``UNKNOWN`` for the one that could
            not. None if no field was tried: `where` excludes the record, or `where` or the id cannot be
            evaluated.
    """

    id: str
    reason: Reason
    field: str
    detail: str
    read_at: int
    rules: Rules = NO_RULES
    input: str = ""
    before: Draft | Unsendable | None = None
    hashes: FieldHashes | None = None
