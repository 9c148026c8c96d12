"""One query document against the live schema: all that does not fit, with what to write instead. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bridge.salestrekker.record_path import key_of, way_of
from bridge.salestrekker.schema.field_checks import FieldCheck, other_faults
from bridge.salestrekker.schema.list_checks import find_listing, whole_query, why_not
from bridge.salestrekker.schema.suggestions import Misfit, applied, place_of, replacing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphql import SelectionSetNode

    from bridge.salestrekker.query_files import QueryDocument
    from bridge.salestrekker.record_path import Way
    from bridge.salestrekker.schema.introspection import LiveSchema
    from bridge.salestrekker.schema.type_paths import Fielded

__all__ = ["misfits"]


def misfits(document: QueryDocument, live: LiveSchema, *, listing: bool) -> tuple[Misfit, ...]:
    """What of a query the server will not accept, or will not answer as the bridge needs it.

    Args:
        document: The query with its fragments.
        live: The schema as the server has it.
        listing: Whether it lists records; else it asks for one by its id.

    Returns:
        None where it fits. What follows from a guess is only right where the guess is: once the lines are
        corrected, check again.

    Raises:
        QueryFileError: A list query has no way to its records.
    """
    query = live.graphql.query_type
    if query is None:
        return (Misfit(place_of(document.operation), "the schema has no queries at all", offered=False),)
    check = FieldCheck(live.graphql, document)
    if listing:
        found = _list_misfits(document, query, check)
    else:
        check.level(document.operation.selection_set, query, single=True)
        found = [_root_left(misfit, document) for misfit in check.misfits]
    return tuple(found or other_faults(live.graphql, document))


def _list_misfits(document: QueryDocument, query: Fielded, check: FieldCheck) -> list[Misfit]:
    way = way_of(document)
    root, record = way.steps[0], way.steps[-1]
    listing = find_listing(query, way, list(_leaves(document, record.selection_set)))
    if listing is None:
        known = ", ".join(list(query.fields)[:20])
        what = f"the schema has no list `{root.name.value}`, nor one like it (it has {known})"
        return [Misfit(place_of(root), what, offered=False)]
    reason = why_not(listing, way, document)
    if not reason:
        check.level(document.operation.selection_set, query)
        return check.misfits
    check.level(record.selection_set, listing.record)
    anew = whole_query(listing, way, document, _selection(way, check))
    return [Misfit(place_of(root), reason, replacing(document.operation, anew)), *check.misfits]


def _root_left(misfit: Misfit, document: QueryDocument) -> Misfit:
    """A root field that nothing is like is not taken out: no query would be left."""
    roots = [place_of(node) for node in document.fields(document.operation.selection_set)]
    return misfit if misfit.offered or misfit.place not in roots else replace(misfit, edits=())


def _selection(way: Way, check: FieldCheck) -> str:
    """What is selected of a record, as the file has it, corrected."""
    node = way.steps[-1].selection_set
    if node is None or node.loc is None:
        return "{ id }"
    source, start, end = node.loc.source, node.loc.start, node.loc.end
    edits = [edit for misfit in check.misfits for edit in misfit.edits]
    inside = [edit for edit in edits if edit.source is source and start <= edit.start and edit.end <= end]
    return applied(inside, source.body[start:end], start)


def _leaves(document: QueryDocument, selections: SelectionSetNode | None) -> Iterator[tuple[str, ...]]:
    for field in document.fields(selections):
        if field.selection_set is None:
            yield (key_of(field),)
        else:
            yield from ((key_of(field), *path) for path in _leaves(document, field.selection_set))
