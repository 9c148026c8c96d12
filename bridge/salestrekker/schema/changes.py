"""What has changed in the schema since it was saved, in the parts that a query uses. Pure.

A field that is gone, a value of another type, an argument that is now required: each breaks a query, or what
a map makes of its responses. All other changes are only counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphql import get_named_type, is_leaf_type, is_required_argument, print_schema

from bridge.salestrekker.schema.similar_fields import is_list, nearest, object_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphql import FieldNode, GraphQLField, SelectionSetNode

    from bridge.salestrekker.query_files import QueryDocument
    from bridge.salestrekker.schema.introspection import LiveSchema
    from bridge.salestrekker.schema.similar_fields import ObjectType

__all__ = ["SchemaChanges", "find_changes"]


@dataclass(frozen=True, slots=True)
class SchemaChanges:
    """The differences between two schemas.

    Attributes:
        breaking: In what the queries use, each as a sentence.
        elsewhere: The number of lines of the schema that differ in all.
    """

    breaking: tuple[str, ...]
    elsewhere: int


def find_changes(saved: LiveSchema, live: LiveSchema, documents: Iterable[QueryDocument]) -> SchemaChanges:
    """Compare the saved schema with the present one.

    Args:
        saved: The saved schema.
        live: The present schema.
        documents: The queries that use it.
    """
    found: dict[str, None] = {}
    for document in documents:
        before, now = saved.graphql.query_type, live.graphql.query_type
        if before and now:
            found |= dict.fromkeys(_level(document, document.operation.selection_set, before, now))
    differing = set(_lines(saved)) ^ set(_lines(live))
    return SchemaChanges(tuple(found), len(differing))


def _level(
    document: QueryDocument, selections: SelectionSetNode | None, before: ObjectType, now: ObjectType
) -> Iterator[str]:
    """What has changed in the fields selected on a type, and below them."""
    for node in document.fields(selections):
        was, is_now = before.fields.get(node.name.value), now.fields.get(node.name.value)
        if was is None:
            continue  # new in the query, or never there: the query's own check reports it
        place = f"{before.name}.{node.name.value}"
        if is_now is None:
            near = nearest(node.name.value, set(now.fields) - set(before.fields))
            yield f"{place} is gone{f'; new there is {near}' if near else ''}"
            continue
        yield from _field(place, node, was, is_now)
        inner, inner_now = object_type(was.type), object_type(is_now.type)
        if inner and inner_now:
            yield from _level(document, node.selection_set, inner, inner_now)


def _field(place: str, node: FieldNode, was: GraphQLField, is_now: GraphQLField) -> Iterator[str]:
    leaf = is_leaf_type(get_named_type(was.type)) or is_leaf_type(get_named_type(is_now.type))
    other = leaf and get_named_type(was.type).name != get_named_type(is_now.type).name
    if other or is_list(was.type) != is_list(is_now.type):
        yield f"{place} was {was.type} and is {is_now.type}"
    for name, argument in is_now.args.items():
        if is_required_argument(argument) and not (name in was.args and is_required_argument(was.args[name])):
            yield f"{place} now needs the argument {name}: {argument.type}"
    for given in node.arguments or ():
        name = given.name.value
        if name in was.args and name not in is_now.args:
            near = nearest(name, set(is_now.args) - set(was.args))
            yield f"{place} takes no argument {name} any more{f'; new there is {near}' if near else ''}"
        elif name in was.args and str(was.args[name].type) != str(is_now.args[name].type):
            yield f"{place}: {name} was {was.args[name].type} and is {is_now.args[name].type}"


def _lines(schema: LiveSchema) -> Iterator[str]:
    """The lines of a schema, each with the type that it belongs to. Descriptions count too."""
    head = ""
    for line in print_schema(schema.graphql).split("\n"):
        head = head if line.startswith((" ", "}")) else line
        if line.strip():
            yield f"{head}\n{line}"
