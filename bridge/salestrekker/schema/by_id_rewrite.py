"""How the live schema gives one record by its id, and the whole query to write if a document differs. Pure.

::

    type Organization { contact(input: ContactInput!): Contact }
                        ───┬─── ──────────┬─────────
                           │              └─ input: {id: $id}     the argument, as deep as it is
                           └─ me { organization { contact … } }   the field, wherever it is

The selection of the record stays as it is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphql import GraphQLInputObjectType, get_named_type

from bridge.salestrekker.paging_variables import leaf_arguments, variables_used_in
from bridge.salestrekker.schema.entry_points import find_schema_records, is_mandatory, placeholder
from bridge.salestrekker.schema.list_rewrite import indented
from bridge.salestrekker.schema.similar_fields import ROOT_LIKELY, rate_object_field

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphql import GraphQLArgument, GraphQLInputField

    from bridge.salestrekker.by_id_query import ByIdQuery
    from bridge.salestrekker.query_files import QueryDocument
    from bridge.salestrekker.schema.entry_points import SchemaRecord
    from bridge.salestrekker.schema.similar_fields import ObjectType

__all__ = ["build_by_id_query", "find_record", "is_given_elsewhere"]


def find_record(query: ObjectType, asked: ByIdQuery, wanted: Sequence[Sequence[str]]) -> SchemaRecord | None:
    """The field that a document asks for: the one at its place, else the most similar one, or None.

    Args:
        query: The root type.
        asked: The query.
        wanted: What it reads of the record, as paths.
    """
    names = [step.name.value for step in asked.record_path.steps]
    known = find_schema_records(query)
    exact = next((found for found in known if found.path == tuple(names[: len(found.path)])), None)
    if exact:
        return exact
    rated = [
        (max(rate_object_field(name, found.path[-1], found.record, wanted) for name in names), found)
        for found in known
    ]
    score, best = max(rated, key=lambda pair: pair[0], default=(0.0, None))
    return best if score >= ROOT_LIKELY else None


def is_given_elsewhere(found: SchemaRecord, asked: ByIdQuery) -> bool:
    """Whether the schema takes the id at another place of the arguments, or gives the record elsewhere.

    Args:
        found: The field in the schema. The document asks for it.
        asked: The query.
    """
    steps = asked.record_path.steps
    given = leaf_arguments(steps[len(found.path) - 1].arguments or ())
    paths = [path for path, node in given if asked.variable in variables_used_in([node.value])]
    below = tuple(step.name.value for step in steps[len(found.path) :])
    return paths != [found.argument] or below != found.steps


def build_by_id_query(found: SchemaRecord, document: QueryDocument, variable: str, selection: str) -> str:
    """Write the operation again around the selection of the record.

    Args:
        found: The field in the schema.
        document: Gives the name.
        variable: The variable with the id.
        selection: The record's selection, with its braces, as it is to be written.
    """
    arguments = ", ".join(_arguments(found.definition.args, found.argument, variable))
    steps = [*found.path[:-1], f"{found.path[-1]}({arguments})", *found.steps]
    name = f" {document.name}" if document.name else ""
    lines = [f"query{name}(${variable}: {found.kind}) {{"]
    lines += [f"{'  ' * depth}{step} {{" for depth, step in enumerate(steps[:-1], 1)]
    lines.append(f"{'  ' * len(steps)}{steps[-1]} {indented(selection, len(steps))}")
    lines += [f"{'  ' * depth}}}" for depth in range(len(steps) - 1, -1, -1)]
    return "\n".join(lines)


def _arguments(
    known: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField],
    path: Sequence[str],
    variable: str,
) -> Iterator[str]:
    """The argument with the id, and a placeholder for each other one that is required."""
    for name, one in known.items():
        kind = get_named_type(one.type)
        if name == path[0] and isinstance(kind, GraphQLInputObjectType):
            yield f"{name}: {{{', '.join(_arguments(kind.fields, path[1:], variable))}}}"
        elif name == path[0]:
            yield f"{name}: ${variable}"
        elif is_mandatory(one):
            yield f"{name}: {placeholder(one)}"
