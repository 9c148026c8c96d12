"""One record field by field: what Trakor has, what the record says, and what another one says: pure.

Where a text is not known a word stands for it, so that nobody takes "not known" for "empty".
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.records import Origin, Reason, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.ledger.read_model import FieldChange, RecordSummary
    from bridge.ledger.record_details import RecordRelations

__all__ = [
    "COMPARED",
    "TITLES",
    "FieldComparison",
    "FieldText",
    "RecordComparison",
    "difference",
    "in_trakor",
    "other_of",
    "sides",
]

TITLES: Final = MappingProxyType(
    {
        "name": "Name",
        "contact_info": "Contact details",
        "description": "Description",
        "price": "Price",
        "qualifier": "Told apart by",
        "rules": "What the changed query reads",
    }
)
"""What a reader calls a field who has never seen a map."""

COMPARED: Final = frozenset({Reason.SAME_NAME, Reason.SAME_PERSON, Reason.SAME_PARTY})
"""The reasons for which a record is held because of another one."""

PARTS: Final = " | "
"""Between the parts of a party's ``contact_info``."""

LONGEST: Final = 80
"""Characters of a text in a list; a record's own page has all of it."""

UNKNOWN: Final = "unknown"
EMPTY: Final = "empty"


class FieldText(NamedTuple):
    """A text, or a word about it: ``empty``, ``unknown``, ``the same``, ``something else``."""

    text: str
    known: bool = True

    @classmethod
    def of(cls, text: str | None) -> FieldText:
        """A text of a record; None: it is not known."""
        if text is None:
            return cls(UNKNOWN, known=False)
        return cls(text) if text else cls(EMPTY, known=False)


@dataclass(frozen=True, slots=True)
class FieldComparison:
    """One field.

    Attributes:
        name: Its name.
        title: What a reader calls it.
        trakor: What Trakor has; None where it has nothing of the record.
        now: What the record said when it was last read; None where that is not stored.
        other: What the other record says; None where there is none.
        differs: Trakor has something else.
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
        now_head: What stands above what the record says.
        has_trakor: Trakor has something of it.
        has_now: What it says is stored, and is not just what Trakor has.
        has_other: There is another record to compare it with.
    """

    fields: tuple[FieldComparison, ...]
    now_head: str
    has_trakor: bool
    has_now: bool
    has_other: bool


def other_of(record: RecordSummary, standing: RecordRelations) -> RecordSummary | None:
    """The other record that a person compares a held one with."""
    return standing.other if record.state == State.HELD and record.reason in COMPARED else None


def in_trakor(record: RecordSummary, standing: RecordRelations) -> bool:
    """Whether Trakor has a party or product of a record, its own or a shared one."""
    shared = record.state == State.MERGED and standing.claimant is not None and standing.claimant.trakor_id
    return bool(standing.trakor_ids or shared)


def sides(record: RecordSummary, standing: RecordRelations) -> RecordComparison:
    """A record field by field."""
    has_trakor = in_trakor(record, standing)
    differs = {change.field for change in record.changes} | {*record.fields}
    if "qualifier" in differs:
        differs.add("name")
    other = other_of(record, standing)
    said = _said(record, standing)
    fields = tuple(
        FieldComparison(
            name=name,
            title=TITLES[name],
            trakor=_of_trakor(record, standing, name, differs=name in differs) if has_trakor else None,
            now=FieldText.of(said.get(name)) if said else None,
            other=FieldText.of(standing.other_text.get(name)) if other else None,
            differs=has_trakor and name in differs,
        )
        for name in record.feed.stream.spec.payload.FIELDS
    )
    return RecordComparison(
        fields,
        now_head="To be sent" if record.state == State.PENDING else "Salestrekker, when last read",
        has_trakor=has_trakor,
        has_now=bool(said) and (not has_trakor or bool(differs) or record.state == State.PENDING),
        has_other=other is not None,
    )


def _said(record: RecordSummary, standing: RecordRelations) -> Mapping[str, str]:
    """What is to be sent of a pending record, else what it said when it was last read."""
    if record.state == State.PENDING and standing.draft is not None:
        return {**standing.draft.payload.fields(), "name": record.name or standing.draft.payload.name}
    return standing.now


def _of_trakor(record: RecordSummary, standing: RecordRelations, name: str, *, differs: bool) -> FieldText:
    """One field as Trakor has it; where it is not kept, whether it differs."""
    shared = record.state == State.MERGED and not standing.trakor_ids
    has = standing.other_text if shared else standing.sent
    if name in has:
        return FieldText.of(has[name])
    if has or shared or record.origin == Origin.EXISTING:
        return FieldText.of(None)
    return FieldText("something else" if differs else "the same", known=False)


def difference(change: FieldChange) -> tuple[FieldText, FieldText]:
    """What Trakor has of a field and what it says now, short enough for a list.

    Of contact details only the parts that differ are told, if either side has such parts.
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
