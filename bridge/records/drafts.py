"""From the source: a record as it was given, and what mapping makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.records.enums import Reason
    from bridge.records.payloads import Payload
    from bridge.records.streams import Stream

__all__ = ["UNKNOWN", "Draft", "FieldHashes", "Record", "Rules", "Unsendable"]

FieldHashes: TypeAlias = "Mapping[str, str]"
"""Field name -> keyed hash of its value. A field without a value is left out."""

UNKNOWN: Final = "?"
"""Stands for the hash of a field whose value could not be made; before one, for what another map makes."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as Salestrekker gave it, not yet understood.

    Attributes:
        stream: Which list it is from.
        id: Salestrekker's id, never empty.
        data: The decoded JSON object, as the query selected it.
        read_at: When the read that brought it began.
    """

    stream: Stream
    id: str
    data: Mapping[str, object]
    read_at: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What a draft was made and decided by, as fingerprints: equal ones give equal drafts of equal records.

    Attributes:
        query: Of what the query selects of a record.
        map: Of the map's expressions and of the rules for names and hashes.
        choices: Of `where` and of all policies.
        text: The map's expressions as JSON, so that it can be applied again when another one has come.
    """

    query: str
    map: str
    choices: str
    text: str = ""


NO_RULES: Final = Rules("", "", "")
"""What is not known to have been made by any rules of today."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A record that could be sent: mapped, its name made fit, nothing decided yet.

    Attributes:
        id: Salestrekker's id.
        payload: What would be sent, under the plain (unqualified) name.
        key: Keyed hash of the plain name's key: equal keys are one name to the loosest destination.
        qualifier: What tells two of one name apart; empty where the record has none.
        qualified_name: ``Name (qualifier)``; empty likewise.
        qualified_key: Keyed hash of the qualified name's key; empty likewise.
        identifiers: What identifies the person, name -> keyed hash; `same_as` given as one text has the
            name ``""``.
        hashes: Keyed hash of each payload field, and of ``qualifier``, in canonical form.
        read_at: When the read that brought the record began.
        first_hashes: The hashes as revision 1 of the rules made them, for records that still have such.
        rules: What made the draft.
        input: Keyed hash of the record as it was read; empty where it is not known.
        before: What the map makes of it that the record was last observed with, where that is another one
            and can still be applied; else None.
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
        """The payload under another name."""
        return self.payload if name == self.payload.name else replace(self.payload, name=name)


@dataclass(frozen=True, slots=True)
class Unsendable:
    """A record that makes no draft: filtered out, without a name, or not to be mapped.

    Attributes:
        id: Salestrekker's id.
        reason: ``FILTERED``, ``NO_NAME`` or ``MAPPING``.
        field: The map's key that could not be made (``name``, ``price``, ``where``, …); empty for FILTERED.
        detail: What was wrong, without personal data; empty where the reason says it all.
        read_at: When the read that brought the record began.
        rules: As of a draft.
        input: As of a draft.
        before: As of a draft.
        hashes: Field hashes of what can be made of it, with ``UNKNOWN`` for a field that cannot; None where
            nothing was tried, since `where` says no, or neither that nor the id can be worked out.
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
