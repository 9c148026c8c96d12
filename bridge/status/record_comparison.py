"""How a record's fields compare with another record's, or with what Trakor has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.records import Origin, Reason, State
from bridge.status.vocabulary import (
    FIELD_TITLES,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.ledger.read_model import FieldChange, RecordSummary
    from bridge.ledger.record_relations_and_history import RecordRelations

__all__ = [
    "COMPARED",
    "FieldComparison",
    "FieldText",
    "RecordComparison",
    "difference",
    "in_trakor",
    "other_of",
    "sides",
]

COMPARED: Final = frozenset({Reason.SAME_NAME, Reason.SAME_PERSON, Reason.SAME_PARTY})
"""Reasons for which a record is held because of another one."""


PARTS: Final = " | "
"""Between the parts of a party's ``contact_info``."""


LONGEST: Final = 80
"""Characters of a text in a list; a record's own page shows the whole text."""


UNKNOWN: Final = "unknown"


EMPTY: Final = "empty"


class FieldText(NamedTuple):
    """A text, or a word about it: ``empty``, ``unknown``, ``the same``, ``something else``."""

    text: str
    known: bool = True

    @classmethod
    def of(cls, text: str | None) -> FieldText:
        """A text of a record; None: it is unknown."""
        if text is None:
            return cls(UNKNOWN, known=False)
        return cls(text) if text else cls(EMPTY, known=False)


@dataclass(frozen=True, slots=True)
class FieldComparison:
    """One field.

    Attributes:
        name: Its technical name.
        title: Its name for readers.
        trakor: Its text in Trakor; None if Trakor has no such record.
        now: Its text when it was last read; None if that is not stored.
        other: Its text in the other record; None if there is none.
        differs: Whether Trakor has something else.
    """

    name: str
    title: str
    trakor: FieldText | None
    now: FieldText | None
    other: FieldText | None
    differs: bool


@dataclass(frozen=True, slots=True)
class RecordComparison:
    """All fields of one record.

    Attributes:
        fields: The fields.
        now_head: The heading above the texts when it was last read.
        has_trakor: Whether Trakor has the record.
        has_now: Whether its text is stored, and differs from what Trakor has.
        has_other: Whether there is another record to compare it with.
    """

    fields: tuple[FieldComparison, ...]
    now_head: str
    has_trakor: bool
    has_now: bool
    has_other: bool


def other_of(record: RecordSummary, standing: RecordRelations) -> RecordSummary | None:
    """The record that an operator compares a held one with."""
    return standing.other if record.state == State.HELD and record.reason in COMPARED else None


def in_trakor(record: RecordSummary, standing: RecordRelations) -> bool:
    """Whether Trakor has a party or product of a record, its own or a shared one."""
    shared = record.state == State.MERGED and standing.claimant is not None and standing.claimant.trakor_id
    return bool(standing.trakor_ids or shared)


def sides(record: RecordSummary, standing: RecordRelations) -> RecordComparison:
    """Compare a record field by field."""
    has_trakor = in_trakor(record, standing)
    differs = {change.field for change in record.changes} | {*record.fields}
    if "qualifier" in differs:
        differs.add("name")
    other = other_of(record, standing)
    current = _current_texts(record, standing)
    fields = tuple(
        FieldComparison(
            name=name,
            title=FIELD_TITLES[name],
            trakor=_of_trakor(record, standing, name, differs=name in differs) if has_trakor else None,
            now=FieldText.of(current.get(name)) if current else None,
            other=FieldText.of(standing.other_text.get(name)) if other else None,
            differs=has_trakor and name in differs,
        )
        for name in record.feed.stream.spec.payload.FIELDS
    )
    return RecordComparison(
        fields,
        now_head="To be sent" if record.state == State.PENDING else "Salestrekker, when last read",
        has_trakor=has_trakor,
        has_now=bool(current) and (not has_trakor or bool(differs) or record.state == State.PENDING),
        has_other=other is not None,
    )


def _current_texts(record: RecordSummary, standing: RecordRelations) -> Mapping[str, str]:
    """What is to be sent of a pending record, else its texts when it was last read."""
    if record.state == State.PENDING and standing.draft is not None:
        return {**standing.draft.payload.fields(), "name": record.name or standing.draft.payload.name}
    return standing.now


def _of_trakor(record: RecordSummary, standing: RecordRelations, name: str, *, differs: bool) -> FieldText:
    """A field's text in Trakor; if it is not stored, whether it differs."""
    shared = record.state == State.MERGED and not standing.trakor_ids
    has = standing.other_text if shared else standing.sent
    if name in has:
        return FieldText.of(has[name])
    if has or shared or record.origin == Origin.EXISTING:
        return FieldText.of(None)
    return FieldText("something else" if differs else "the same", known=False)


def difference(change: FieldChange) -> tuple[FieldText, FieldText]:
    """A field's text in Trakor and now, short enough for a list.

    Contact details are reduced to the parts that differ, if both sides have such parts.
    """
    old, new = change.old, change.new
    if change.field == "contact_info" and old and new:
        parts, now = old.split(PARTS), new.split(PARTS)
        less = PARTS.join(part for part in parts if part not in now)
        more = PARTS.join(part for part in now if part not in parts)
        old, new = (less, more) if less and more else (old, new)
    return _short(old), _short(new)


def _short(text: str | None) -> FieldText:
    if text is None or len(text) <= LONGEST:
        return FieldText.of(text)
    return FieldText(f"{text[: LONGEST - 1]}…")
