"""Whether a query selects an id of each type that a record can have: of a union's members, for example. Pure.

::

    union ContactResult = Person | Company | Trust
    contacts { items { ... on Person { id } ... on Company { id } } }      nothing of Trust is selected
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, is_composite_type

from bridge.salestrekker.record_path import response_key
from bridge.salestrekker.schema.corrections import Edit, QueryMismatch, location_of
from bridge.salestrekker.schema.similar_fields import object_type, possible_types

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphql import FragmentDefinitionNode, GraphQLSchema, SelectionNode, SelectionSetNode

    from bridge.salestrekker.query_files import QueryDocument
    from bridge.salestrekker.schema.similar_fields import ObjectType

__all__ = ["find_unselected_types"]


def find_unselected_types(
    document: QueryDocument, selections: SelectionSetNode | None, kind: ObjectType, schema: GraphQLSchema
) -> Iterator[QueryMismatch]:
    """Each type that a record can have and whose id is not selected: such a record could not be read.

    Args:
        document: The query with its fragments.
        selections: What is selected of a record.
        kind: The type of a record.
        schema: The schema.
    """
    every = possible_types(schema, kind)
    if selections is None or len(every) < 2:  # noqa: PLR2004 - of one type
        return
    covered = set(_covered(document, selections, kind, schema))
    for member in every:
        if member.name not in covered:
            what = (
                f"a record can also be of the type {member.name}, of which no id is selected: "
                "such records could not be read"
            )
            yield QueryMismatch(location_of(selections), what, _edit(selections, member.name))


def _covered(
    document: QueryDocument, selections: SelectionSetNode, kind: ObjectType, schema: GraphQLSchema
) -> Iterator[str]:
    """The names of the types whose id is selected."""
    for node in selections.selections:
        if isinstance(node, FieldNode):
            if "id" in response_key(node).lower() and node.selection_set is None:
                yield from (member.name for member in possible_types(schema, kind))
            continue
        part = _fragment(node, document)
        condition = part.type_condition
        own = schema.get_type(condition.name.value) if condition else None
        inner = object_type(own) if own is not None and is_composite_type(own) else None
        yield from _covered(document, part.selection_set, inner or kind, schema)


def _fragment(node: SelectionNode, document: QueryDocument) -> InlineFragmentNode | FragmentDefinitionNode:
    if isinstance(node, FragmentSpreadNode):
        return document.fragments[node.name.value]
    if isinstance(node, InlineFragmentNode):
        return node
    raise TypeError("a selection is a field or a fragment")


def _edit(selections: SelectionSetNode, name: str) -> tuple[Edit, ...]:
    """Select the id of one more type, at the end of the selection."""
    if selections.loc is None:
        return ()
    end = selections.loc.end - 1
    column = location_of(selections.selections[0]).column - 1
    own_line = selections.loc.source.body[:end].endswith(f"\n{' ' * (column - 2)}")
    text = f"  ... on {name} {{ id }}\n{' ' * (column - 2)}" if own_line else f"... on {name} {{ id }} "
    return (Edit(selections.loc.source, end, end, text),)
