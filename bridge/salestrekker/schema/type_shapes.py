"""A schema's types as ``whole_list_proof`` needs them, looked up when they are needed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from graphql import GraphQLInputObjectType, get_named_type

from bridge.salestrekker.schema.similar_fields import is_list, object_type
from bridge.salestrekker.whole_list_proof import FieldShape, TypeShape

if TYPE_CHECKING:
    from graphql import GraphQLNamedType, GraphQLSchema

__all__ = ["SchemaShapes"]


class SchemaShapes(Mapping[str, TypeShape]):
    """The types of a schema by their names.

    Args:
        schema: The schema.
    """

    def __init__(self, schema: GraphQLSchema) -> None:
        self._types = schema.type_map

    def __getitem__(self, name: str) -> TypeShape:
        return _shape(self._types[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)


def _shape(kind: GraphQLNamedType) -> TypeShape:
    if isinstance(kind, GraphQLInputObjectType):
        return TypeShape(inputs={name: _name(one.type) for name, one in kind.fields.items()})
    found = object_type(kind)  # type: ignore[arg-type]  # what has no fields gives None
    fields = found.fields if found else {}
    return TypeShape(
        {
            name: FieldShape(
                _name(one.type),
                is_list(one.type),
                {key: _name(value.type) for key, value in one.args.items()},
            )
            for name, one in fields.items()
        }
    )


def _name(kind: object) -> str:
    return get_named_type(kind).name  # type: ignore[call-overload, no-any-return]  # of the schema
