"""The fast path of the GraphQL server: compiles a selection to functions over plain dicts.

graphql-core resolves a page of 500 contacts field by field, which takes more than a second of CPU. A
benchmark would then measure the sandbox. Here a query that only selects data is compiled once. Each record
then takes only a few dict look-ups::

    OperationNode --compile_operation--> (Step, …) --run--> {"data": …}

graphql-core handles everything unusual. Directives, introspection, mutations and abstract types raise
``Unusual`` during compilation. A null in a field that is never null raises it during execution. So the fast
path gives the same result as graphql-core, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_argument_values,
    get_variable_values,
    is_specified_scalar_type,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Resolver", "RootField", "Unusual", "compile_operation", "run"]

Complete: TypeAlias = Callable[[Any], Any]
"""Converts a resolved value to its part of the answer."""

Resolver: TypeAlias = "Callable[[Any, Mapping[str, Any]], Any]"
"""Takes the caller's context and the arguments, and returns the value of a root field."""


class Unusual(Exception):  # noqa: N818 - not an error: the slow path takes over
    """Something that the fast path leaves to graphql-core."""


@dataclass(frozen=True, slots=True)
class RootField:
    """One root field of a compiled operation."""

    key: str
    definition: GraphQLField
    node: FieldNode
    resolve: Resolver
    complete: Complete


class _Compiler:
    """Compiles the selections of one document."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }

    def steps(
        self, operation: OperationDefinitionNode, resolvers: Mapping[str, Resolver]
    ) -> Iterator[RootField]:
        root = self._schema.query_type
        if root is None or operation.operation is not OperationType.QUERY:
            raise Unusual
        for key, nodes in self._group_fields(root, [operation.selection_set]).items():
            name = nodes[0].name.value
            if name.startswith("__"):
                raise Unusual
            definition = root.fields[name]
            yield RootField(
                key, definition, nodes[0], resolvers[name], self._completion(definition.type, nodes)
            )

    def _group_fields(
        self, parent: GraphQLObjectType, selections: Iterable[SelectionSetNode]
    ) -> dict[str, list[FieldNode]]:
        """Group the selected fields by their key in the answer, with fragments resolved."""
        fields: dict[str, list[FieldNode]] = {}
        for selection_set in selections:
            for node in self._flatten(parent, selection_set):
                fields.setdefault((node.alias or node.name).value, []).append(node)
        return fields

    def _flatten(self, parent: GraphQLObjectType, selection_set: SelectionSetNode) -> Iterator[FieldNode]:
        for node in selection_set.selections:
            if node.directives:
                raise Unusual
            if isinstance(node, FieldNode):
                yield node
            else:
                yield from self._flatten(parent, self._fragment_selection(parent, node))

    def _fragment_selection(self, parent: GraphQLObjectType, node: object) -> SelectionSetNode:
        fragment = self._fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
        if not isinstance(fragment, FragmentDefinitionNode | InlineFragmentNode) or fragment.directives:
            raise Unusual
        condition = fragment.type_condition
        if condition is not None and condition.name.value != parent.name:
            raise Unusual
        return fragment.selection_set

    def _completion(self, kind: object, nodes: list[FieldNode]) -> Complete:
        if isinstance(kind, GraphQLNonNull):
            return _required(self._completion(kind.of_type, nodes))
        if isinstance(kind, GraphQLList):
            return _listed(self._completion(kind.of_type, nodes))
        if isinstance(kind, GraphQLScalarType) and is_specified_scalar_type(kind):
            return _unchanged
        if isinstance(kind, GraphQLObjectType):
            return self._object(kind, nodes)
        raise Unusual

    def _object(self, parent: GraphQLObjectType, nodes: list[FieldNode]) -> Complete:
        selections = [node.selection_set for node in nodes if node.selection_set]
        parts = [
            self._part(parent, key, same) for key, same in self._group_fields(parent, selections).items()
        ]
        return _projected(parts)

    def _part(
        self, parent: GraphQLObjectType, key: str, nodes: list[FieldNode]
    ) -> tuple[str, str, Complete | None]:
        name = nodes[0].name.value
        if name == "__typename":
            return key, name, lambda _: parent.name
        definition = parent.fields[name]
        if definition.args or definition.resolve:
            raise Unusual
        complete = self._completion(definition.type, nodes)
        return key, name, None if complete is _unchanged else complete


def compile_operation(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    resolvers: Mapping[str, Resolver],
) -> tuple[RootField, ...] | None:
    """Compile a valid operation; None if the operation is unusual."""
    try:
        return tuple(_Compiler(schema, document).steps(operation, resolvers))
    except Unusual:
        return None


def run(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    steps: tuple[RootField, ...],
    context: object,
    inputs: dict[str, Any],
) -> dict[str, Any]:
    """Answer a compiled operation.

    Raises:
        Unusual: The answer has an error or a null that graphql-core must report.
        GraphQLError: A resolver failed. graphql-core must report the error.
    """
    variables = get_variable_values(schema, operation.variable_definitions or (), inputs)
    if isinstance(variables, list):
        raise Unusual
    return {
        step.key: step.complete(
            step.resolve(context, get_argument_values(step.definition, step.node, variables))
        )
        for step in steps
    }


def _unchanged(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return value


def _required(complete: Complete) -> Complete:
    def required(value: object) -> object:
        if value is None:
            raise Unusual
        return complete(value)

    return required


def _listed(complete: Complete) -> Complete:
    def listed(values: list[Any] | None) -> list[Any] | None:
        return None if values is None else [complete(value) for value in values]

    return listed


def _projected(parts: list[tuple[str, str, Complete | None]]) -> Complete:
    def projected(source: dict[str, Any] | None) -> dict[str, Any] | None:
        if source is None:
            return None
        get = source.get
        return {key: get(name) if complete is None else complete(get(name)) for key, name, complete in parts}

    return projected
