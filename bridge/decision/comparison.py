"""Compares an answered record with what Trakor has: did the source change, or only the map?

::

    last seen ──same rules────────────────────────> compared with the draft
              ──another map, which is applied too──> compared with what that map makes of the record now
              ──which cannot be applied────────────> one field, `rules`, stands for all that differ

A difference that only the map makes does not count as a change. What Trakor has stays, in terms of the new
map, what the source had when it was sent.
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
"""Stands for fields that cannot be compared because the query changed, and the old map with it."""

_EARLIER: Final = "1:"
"""Prefix of a revision 1 hash of a field that had changed before revision 2. It equals no other hash."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a draft compares with what Trakor has.

    Attributes:
        sent: What counts as in Trakor, in terms of the draft's rules.
        source: The fields that changed in the source since the record was last seen.
        fields: The fields in which the draft differs from what counts as in Trakor.
        remapped: The map now makes something else of the same source than what was sent.
    """

    sent: FieldHashes
    source: tuple[str, ...]
    fields: tuple[str, ...]
    remapped: bool


def compare(row: LedgerRow, draft: Draft) -> Comparison:
    """Compare a draft with what is known of its record.

    Args:
        row: The record, with hashes by the present rules (``rehash``).
        draft: What was read now.
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
    """Return whether Trakor has what an older map made, although an operator dismissed that mark."""
    return row.dismissed and not row.first and bool(row.content and row.fields_between(row.content, sent))


def _hashes_by_former_map(row: LedgerRow, draft: Draft) -> FieldHashes | None:
    """Return what the map of the last read makes of the record now; None if it cannot be applied."""
    if row.rules.map == draft.rules.map or not row.fields_between(row.last_seen, draft.hashes):
        return draft.hashes
    return draft.before.hashes if isinstance(draft.before, Draft) else None


def _source_changes(row: LedgerRow, draft: Draft, was: FieldHashes) -> tuple[str, ...]:
    """Return the fields that changed in the source since the record was last seen.

    A field that a map in between could not make, and that now equals what was sent, has not changed.
    """
    changed = row.fields_between(_last_seen_hashes(row), was)
    if row.rules.map == draft.rules.map:
        return changed
    return tuple(
        name for name in changed if row.last_seen.get(name) != UNKNOWN or was.get(name) != row.sent.get(name)
    )


def _last_seen_hashes(row: LedgerRow) -> FieldHashes:
    """Return what was last seen, in terms of the older map also if a later one could not make a field."""
    return {name: found.removeprefix(UNKNOWN) or UNKNOWN for name, found in row.last_seen.items()}


def hashes_if_unmappable(row: LedgerRow, seen: Unsendable) -> FieldHashes:
    """Return what counts as seen if a field of the record cannot be mapped.

    If a new map fails, the previous one shows what the source has. If that is impossible, the other fields
    stay as last seen; fields that could not be mapped until now stay as sent.
    """
    present = _hashes_by_last_map(row, seen)
    if present is not None:
        field = present.get(seen.field, "")
        return {**present, seen.field: field if field.startswith(UNKNOWN) else f"{UNKNOWN}{field}"}
    lost = {name for name, found in row.last_seen.items() if found.startswith(UNKNOWN)}
    known = {name: found for name, found in row.last_seen.items() if name not in lost}
    return {**known, **{name: row.sent[name] for name in lost & row.sent.keys()}, seen.field: UNKNOWN}


def has_source_changed(row: LedgerRow, seen: Unsendable) -> bool:
    """Return whether the source changed since the last read, although a field cannot be mapped now.

    If a new map fails and the previous one cannot be applied, the record counts as unchanged. The field is
    compared once it can be mapped again.
    """
    present = _hashes_by_last_map(row, seen)
    if present is not None:
        return bool(row.fields_between(_last_seen_hashes(row), present))
    return row.rules.map == seen.rules.map and row.seen != hashes_if_unmappable(row, seen)


def _hashes_by_last_map(row: LedgerRow, seen: Unsendable) -> FieldHashes | None:
    """Return what the map of the last read makes of a record now; None if that cannot be compared."""
    if row.first or row.rules.query != seen.rules.query:
        return None
    made = seen if row.rules.map == seen.rules.map else seen.before
    if isinstance(made, Unsendable):
        return None if made.hashes is None else {**made.hashes, made.field: UNKNOWN}
    return None if made is None else made.hashes


def _rebase_sent(row: LedgerRow, draft: Draft, was: FieldHashes) -> FieldHashes:
    """Return what counts as in Trakor: where the source is as sent, what the new map makes of it."""
    if row.rules.map == draft.rules.map:
        return row.sent
    stale = row.fields_between(row.sent, was)
    kept = {name: found for name, found in row.sent.items() if name in stale}
    return {**{name: found for name, found in draft.hashes.items() if name not in stale}, **kept}


def _compare_nothing(row: LedgerRow, draft: Draft) -> Comparison:
    """Return a comparison in which ``rules`` stands for all differences: nobody can tell what caused them."""
    drifting = row.fields_between(row.sent, row.last_seen)
    kept = {name: row.sent.get(name, UNKNOWN) for name in drifting}
    sent = {**draft.hashes, **kept, RULES: UNKNOWN}
    return Comparison(sent, (RULES,), row.fields_between(sent, draft.hashes), row.remapped)


def rehash(row: LedgerRow, draft: Draft) -> LedgerRow:
    """Return a record with hashes by the present rules, if revision 1 made its hashes.

    A field that is equal by the old rules gets the new hash. Any other field keeps its old hash in a form
    that equals no present hash: a change before the new version is a drift.

    Args:
        row: The record as the ledger has it.
        draft: What was read now, hashed by both rules.
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
    """Translate hashes of revision 1 to the present rules, with a draft that is hashed by both."""
    return {name: _translate_hash(name, found, draft) for name, found in old.items()}


def _translate_hash(name: str, found: str, draft: Draft) -> str:
    """Translate one hash of revision 1, or one that is kept as such."""
    if found == UNKNOWN:
        return found
    earlier = found.removeprefix(_EARLIER)
    if earlier == draft.first_hashes.get(name) and name in draft.hashes:
        return draft.hashes[name]
    return f"{_EARLIER}{earlier}"


def is_comparable(seen: Draft | Unsendable, last_seen: FieldHashes, state: State) -> bool:
    """Return whether what is known of a record is in terms of the rules of what was read.

    Only then are these rules used for the next comparison. If `where` excludes the record, a field cannot
    be mapped, or no decision is made on what was read, the next comparison uses the previous map.

    Args:
        seen: What was read now.
        last_seen: Field hashes as last seen, as the ledger has them afterwards.
        state: The state of the record afterwards.
    """
    if isinstance(seen, Unsendable):
        return state in {State.SKIPPED, State.REJECTED}
    return last_seen == seen.hashes or _without_qualifier(last_seen) == _without_qualifier(seen.hashes)


def is_decided(seen: Draft | Unsendable, last_seen: FieldHashes, state: State) -> bool:
    """Return whether everything that follows from what was read is decided: the same read changes nothing.

    That is not so if the record waits for an answer or for an operator. Arguments as for ``is_comparable``.
    """
    if isinstance(seen, Unsendable):
        return state in {State.DELIVERED, State.DRIFTED, State.MERGED, State.SKIPPED}
    return is_comparable(seen, last_seen, state)


def _without_qualifier(hashes: FieldHashes) -> FieldHashes:
    return {name: found for name, found in hashes.items() if name != "qualifier"}
