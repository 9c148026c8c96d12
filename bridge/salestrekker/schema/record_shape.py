"""What a record looks like according to a query and the schema, and where to add what a map misses. Pure.

::

    contacts { id person { contact { ...ReachFields } } }  ──shape──>  {id, person: {contact: {email, …}}}
                                              ▲
    a map reads person.contact.fax ──additions┴──> contact.fragment.graphql, line 41: write …
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    is_composite_type,
)

from bridge.mapping import RecordShape
from bridge.salestrekker.record_path import find_record_path, response_key
from bridge.salestrekker.schema.corrections import (
    Edit,
    QueryMismatch,
    aliased_field,
    location_of,
    merged_selection,
)
from bridge.salestrekker.schema.similar_fields import MergedUnion, best_match, is_list, object_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from graphql import GraphQLSchema, SelectionSetNode

    from bridge.salestrekker.query_files import QueryDocument
    from bridge.salestrekker.schema.introspection import LiveSchema
    from bridge.salestrekker.schema.similar_fields import ObjectType

__all__ = ["Addition", "RecordSelection", "read_selection"]


@dataclass(frozen=True, slots=True)
class Addition:
    """Something that the schema offers and the query does not select.

    Attributes:
        wanted: The missing path in the record.
        found: What the schema has for it, from the record's type on.
        mismatch: Where to add it, with the edit.
    """

    wanted: tuple[str, ...]
    found: tuple[str, ...]
    mismatch: QueryMismatch


@dataclass(frozen=True, slots=True)
class _Parent:
    """The deepest selected object on the path to a missing field."""

    fields: SelectionSetNode | None
    kind: ObjectType | None
    depth: int


@dataclass(frozen=True, slots=True)
class RecordSelection:
    """What a query selects of one record.

    Attributes:
        document: The list query.
        shape: What a record looks like.
        record: The type of a record. None if the schema is not known.
    """

    document: QueryDocument
    shape: RecordShape
    record: ObjectType | None

    def additions(self, missing: Sequence[tuple[str, ...]]) -> list[Addition]:
        """What the schema has for paths that are not selected: the same path, else the most similar one.

        Args:
            missing: Paths of the record, as an expression reads them.
        """
        found = [(path, *self._offer(path)) for path in missing]
        grouped: dict[int, list[tuple[tuple[str, ...], tuple[str, ...], _Parent]]] = defaultdict(list)
        for path, offer, parent in found:
            if offer:
                grouped[id(parent.fields)].append((path, offer, parent))
        return [addition for group in grouped.values() for addition in self._added(group)]

    def _offer(self, path: tuple[str, ...]) -> tuple[tuple[str, ...], _Parent]:
        """What the schema has for a path, from the parent's type on, or an empty path."""
        for parent in (self._parent(path), _Parent(self._top(), self.record, 0)):
            if parent.kind is None or parent.fields is None or isinstance(parent.kind, MergedUnion):
                continue
            rest = path[parent.depth :]
            if _has(parent.kind, rest):
                return rest, parent
            near = best_match(parent.kind, rest)
            if near:
                return near.path, parent
        return (), _Parent(None, None, 0)

    def _parent(self, path: Sequence[str]) -> _Parent:
        """The deepest selected object on the path."""
        parent = _Parent(self._top(), self.record, 0)
        for key in path[:-1]:
            node = next((f for f in self.document.fields(parent.fields) if response_key(f) == key), None)
            if node is None or node.selection_set is None:
                break
            definition = parent.kind.fields.get(node.name.value) if parent.kind else None
            kind = object_type(definition.type) if definition else None
            parent = _Parent(node.selection_set, kind, parent.depth + 1)
        return parent

    def _top(self) -> SelectionSetNode | None:
        return find_record_path(self.document).steps[-1].selection_set

    def _added(self, group: Sequence[tuple[tuple[str, ...], tuple[str, ...], _Parent]]) -> Iterator[Addition]:
        home = self._home(group[0][2].fields)
        last = _last_field(home)
        if home is None or last is None or last.loc is None:
            return
        paths = [(*found[:-1], aliased_field(found[-1], path[-1])) for path, found, _ in group]
        indent = " " * (location_of(last).column - 1)
        edit = Edit(last.loc.source, last.loc.end, last.loc.end, f"\n{indent}{merged_selection(paths, last)}")
        for path, found, parent in group:
            what = f"{'.'.join(path)} is not selected; the schema has {'.'.join(found)}"
            whole = (*path[: parent.depth], *found)
            yield Addition(path, whole, QueryMismatch(location_of(last), what, (edit,)))

    def _home(self, selections: SelectionSetNode | None) -> SelectionSetNode | None:
        """Where to write fields: in the selection itself, else in the fragment that it uses."""
        if selections is None or any(isinstance(node, FieldNode) for node in selections.selections):
            return selections
        for node in selections.selections:
            if isinstance(node, FragmentSpreadNode):
                return self._home(self.document.fragments[node.name.value].selection_set)
        return None


def read_selection(document: QueryDocument, live: LiveSchema | None) -> RecordSelection:
    """What a list query selects of a record.

    Args:
        document: The query. It fits the schema.
        live: The schema. None: not known, so that it is not known either what is a list.
    """
    record_path = find_record_path(document)
    kind = object_type(live.graphql.query_type) if live else None
    for step in record_path.steps:
        definition = kind.fields.get(step.name.value) if kind else None
        kind = object_type(definition.type) if definition else None
    schema = live.graphql if live else None
    fields = _shapes(document, [(record_path.steps[-1].selection_set, kind)], schema)
    return RecordSelection(document, RecordShape(fields, many=False), kind)


def _shapes(
    document: QueryDocument,
    parts: Iterable[tuple[SelectionSetNode | None, ObjectType | None]],
    schema: GraphQLSchema | None,
) -> dict[str, RecordShape]:
    """The fields of one level by their names in the response. Those selected twice are one."""
    nodes: dict[str, list[tuple[FieldNode, ObjectType | None]]] = defaultdict(list)
    for selections, kind in parts:
        for node, on in _typed_fields(document, selections, kind, schema):
            nodes[response_key(node)].append((node, on))
    return {key: _shape(document, same, schema) for key, same in nodes.items()}


def _shape(
    document: QueryDocument,
    nodes: Sequence[tuple[FieldNode, ObjectType | None]],
    schema: GraphQLSchema | None,
) -> RecordShape:
    definitions = [on.fields.get(node.name.value) if on else None for node, on in nodes]
    parts = [
        (node.selection_set, object_type(definition.type) if definition else None)
        for (node, _), definition in zip(nodes, definitions, strict=True)
    ]
    many = is_list(definitions[0].type) if definitions[0] else None
    return RecordShape(_shapes(document, parts, schema), many=many)


def _typed_fields(
    document: QueryDocument,
    selections: SelectionSetNode | None,
    kind: ObjectType | None,
    schema: GraphQLSchema | None,
) -> Iterator[tuple[FieldNode, ObjectType | None]]:
    """The fields of one level, each with the type that it is selected on: fragments may be on another one."""
    for node in selections.selections if selections else ():
        if isinstance(node, FieldNode):
            yield node, kind
            continue
        part = document.fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
        if isinstance(part, FragmentDefinitionNode | InlineFragmentNode):
            condition = part.type_condition.name.value if part.type_condition else ""
            own = schema.get_type(condition) if schema and condition else None
            on = object_type(own) if own is not None and is_composite_type(own) else kind
            yield from _typed_fields(document, part.selection_set, on, schema)


def _has(kind: ObjectType | None, path: Sequence[str]) -> bool:
    """Whether a path of fields leads to a value."""
    for name in path:
        definition = kind.fields.get(name) if kind else None
        if definition is None:
            return False
        kind = object_type(definition.type)
    return kind is None


def _last_field(selections: SelectionSetNode | None) -> FieldNode | None:
    nodes = [node for node in selections.selections if isinstance(node, FieldNode)] if selections else []
    return nodes[-1] if nodes else None
