"""How what is seen of an answered record stands to what Trakor has: the source's doing, or the map's.

::

    last seen ──same rules──────────────────────────> compared with the draft
              ──another map, which is applied, too──> compared with what that map makes of it now
              ──and nothing of that can be compared─> one field, `rules`, stands for all that differ

What differs by the map alone does not count as changed. What Trakor has stays, in the terms of the new
map, what the source said when it was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bridge.records import UNKNOWN, Draft, Rules, State, Unsendable

if TYPE_CHECKING:
    from bridge.records import FieldHashes, LedgerRow

__all__ = [
    "RULES",
    "Comparison",
    "compare",
    "has_source_changed",
    "hashes_if_unmappable",
    "is_comparable",
    "is_decided",
    "rehash",
    "translate_hashes",
]

RULES: Final = "rules"
"""Stands for the fields that cannot be compared, since the query changed and the old map with it."""

_EARLIER: Final = "1:"
"""Before the hash of revision 1 of a field that had changed when revision 2 came: it is equal to no other."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a draft stands to what Trakor has.

    Attributes:
        sent: What counts as in Trakor, in terms of the draft's rules.
        source: The fields that changed at the source since the record was last seen.
        fields: The fields in which the draft differs from what counts as in Trakor.
        remapped: What the map makes of the same source is something else than was sent.
    """

    sent: FieldHashes
    source: tuple[str, ...]
    fields: tuple[str, ...]
    remapped: bool


def compare(row: LedgerRow, draft: Draft) -> Comparison:
    """Compare a draft with what is known of its record.

    Args:
        row: The record, with hashes of present rules (``rehash``).
        draft: What is seen now.
    """
    was = _hashes_by_former_map(row, draft)
    source = () if was is None else _source_changes(row, draft, was)
    if row.content and not row.fields_between(row.content, draft.hashes):
        same = not row.fields_between(row.sent, draft.hashes)
        return Comparison(row.sent if same else draft.hashes, source, (), remapped=False)
    if was is None or (source and row.rules.query != draft.rules.query):
        return _compare_nothing(row, draft)
    sent = _rebase_sent(row, draft, was)
    moved = row.fields_between(row.sent, sent)
    remapped = row.remapped or bool(moved) or _has_dismissed_remap(row, sent)
    return Comparison(sent, source, row.fields_between(sent, draft.hashes), remapped)


def _has_dismissed_remap(row: LedgerRow, sent: FieldHashes) -> bool:
    """Whether Trakor has what an older map made, though a person dismissed the mark that said so."""
    return row.dismissed and not row.first and bool(row.content and row.fields_between(row.content, sent))


def _hashes_by_former_map(row: LedgerRow, draft: Draft) -> FieldHashes | None:
    """What the map that the record was last seen with makes of it now; None where it cannot be applied."""
    if row.rules.map == draft.rules.map or not row.fields_between(row.last_seen, draft.hashes):
        return draft.hashes
    return draft.before.hashes if isinstance(draft.before, Draft) else None


def _source_changes(row: LedgerRow, draft: Draft, was: FieldHashes) -> tuple[str, ...]:
    """The fields that changed at the source since the record was last seen.

    One that a map between could not make, and that says now what was sent, did not.
    """
    changed = row.fields_between(_last_seen_hashes(row), was)
    if row.rules.map == draft.rules.map:
        return changed
    return tuple(
        name for name in changed if row.last_seen.get(name) != UNKNOWN or was.get(name) != row.sent.get(name)
    )


def _last_seen_hashes(row: LedgerRow) -> FieldHashes:
    """What was last seen, in terms of the map of before also where another one could not make a field."""
    return {name: found.removeprefix(UNKNOWN) or UNKNOWN for name, found in row.last_seen.items()}


def hashes_if_unmappable(row: LedgerRow, seen: Unsendable) -> FieldHashes:
    """What counts as seen where a field of the record could not be made.

    Where another map fails, the one of before tells what the source says. Where nothing can be told, the
    other fields are as they were last seen; of one that could not be made until now, as they were sent.
    """
    said = _hashes_by_last_map(row, seen)
    if said is not None:
        field = said.get(seen.field, "")
        return {**said, seen.field: field if field.startswith(UNKNOWN) else f"{UNKNOWN}{field}"}
    lost = {name for name, found in row.last_seen.items() if found.startswith(UNKNOWN)}
    known = {name: found for name, found in row.last_seen.items() if name not in lost}
    return {**known, **{name: row.sent[name] for name in lost & row.sent.keys()}, seen.field: UNKNOWN}


def has_source_changed(row: LedgerRow, seen: Unsendable) -> bool:
    """Whether the source changed since the record was last seen, though a field cannot be made now.

    Where another map fails, and nobody can apply the one of before any more, it counts as unchanged: when the
    field can be made again it is compared.
    """
    said = _hashes_by_last_map(row, seen)
    if said is not None:
        return bool(row.fields_between(_last_seen_hashes(row), said))
    return row.rules.map == seen.rules.map and row.seen != hashes_if_unmappable(row, seen)


def _hashes_by_last_map(row: LedgerRow, seen: Unsendable) -> FieldHashes | None:
    """What the map that a record was last seen with makes of it now; None where that cannot be compared."""
    if row.first or row.rules.query != seen.rules.query:
        return None
    made = seen if row.rules.map == seen.rules.map else seen.before
    if isinstance(made, Unsendable):
        return None if made.hashes is None else {**made.hashes, made.field: UNKNOWN}
    return None if made is None else made.hashes


def _rebase_sent(row: LedgerRow, draft: Draft, was: FieldHashes) -> FieldHashes:
    """What counts as in Trakor: where the source says what was sent, what the new map makes of that."""
    if row.rules.map == draft.rules.map:
        return row.sent
    stale = row.fields_between(row.sent, was)
    kept = {name: found for name, found in row.sent.items() if name in stale}
    return {**{name: found for name, found in draft.hashes.items() if name not in stale}, **kept}


def _compare_nothing(row: LedgerRow, draft: Draft) -> Comparison:
    """Something differs, and nobody can tell whose doing it is: all of it stands as `rules`."""
    drifting = row.fields_between(row.sent, row.last_seen)
    kept = {name: row.sent.get(name, UNKNOWN) for name in drifting}
    sent = {**draft.hashes, **kept, RULES: UNKNOWN}
    return Comparison(sent, (RULES,), row.fields_between(sent, draft.hashes), row.remapped)


def rehash(row: LedgerRow, draft: Draft) -> LedgerRow:
    """A record whose hashes revision 1 made, with hashes of today's rules.

    A field that is equal by the old rules has the new hash. One that is not keeps its old one, in a form that
    is equal to no hash of today: what changed before the new version came is a drift.

    Args:
        row: The record as the ledger has it.
        draft: What is seen now, hashed by both rules.
    """
    if not row.first:
        left = {name: found for name, found in row.sent.items() if found.startswith(_EARLIER)}
        sent = {**row.sent, **translate_hashes(left, draft)}
        return row if sent == row.sent else row._replace(sent=sent)
    as_it_was = row.last_seen == draft.first_hashes
    alike = not {*row.identifiers.values()}.isdisjoint(draft.identifiers.values())
    return row._replace(
        sent=translate_hashes(row.sent, draft),
        seen=None if row.seen is None else translate_hashes(row.seen, draft),
        identifiers=draft.identifiers if as_it_was or alike else row.identifiers,
        rules=Rules(draft.rules.query, draft.rules.map, row.rules.choices),
        first=False,
    )


def translate_hashes(old: FieldHashes, draft: Draft) -> FieldHashes:
    """Hashes of revision 1 of the rules in terms of today, by a draft that is hashed by both."""
    return {name: _translate_hash(name, found, draft) for name, found in old.items()}


def _translate_hash(name: str, found: str, draft: Draft) -> str:
    """A hash of revision 1, or one that is kept as such."""
    if found == UNKNOWN:
        return found
    earlier = found.removeprefix(_EARLIER)
    if earlier == draft.first_hashes.get(name) and name in draft.hashes:
        return draft.hashes[name]
    return f"{_EARLIER}{earlier}"


def is_comparable(seen: Draft | Unsendable, last_seen: FieldHashes, state: State) -> bool:
    """Whether what is known of a record is in terms of the rules of what is seen.

    Only then is it compared by them from now on. Where `where` says no, a field cannot be made, or nobody
    decides on what is seen, it is compared later with what the map of before makes of it.

    Args:
        seen: What is seen now.
        last_seen: Field hashes as last seen, as the ledger has them afterwards.
        state: The state of the record afterwards.
    """
    if isinstance(seen, Unsendable):
        return state in {State.SKIPPED, State.REJECTED}
    return last_seen == seen.hashes or _without_qualifier(last_seen) == _without_qualifier(seen.hashes)


def is_decided(seen: Draft | Unsendable, last_seen: FieldHashes, state: State) -> bool:
    """Whether all that follows from what is seen was decided: seen again, it changes nothing.

    It was not where that waits for an answer, or for a person. Arguments as for ``is_comparable``.
    """
    if isinstance(seen, Unsendable):
        return state in {State.DELIVERED, State.DRIFTED, State.MERGED, State.SKIPPED}
    return is_comparable(seen, last_seen, state)


def _without_qualifier(hashes: FieldHashes) -> FieldHashes:
    return {name: found for name, found in hashes.items() if name != "qualifier"}
