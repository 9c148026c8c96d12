"""Executes GraphQL: parses, validates and compiles each text once, and answers with the faster method."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    build_schema,
    execute_sync,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)

from bridge.sandbox.graphql_fast_path import Resolver, RootField, Unusual, compile_operation, run

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ApiShape", "Engine", "QueryPlan", "shipped_sdl"]


@dataclass(frozen=True, slots=True)
class ApiShape:
    """A schema with the resolvers of its root fields, such as another vendor release or paging style.

    Attributes:
        sdl: The schema in the definition language.
        queries: A resolver for every field of ``Query``.
        mutations: A resolver for every field of ``Mutation``.
    """

    sdl: str
    queries: Mapping[str, Resolver]
    mutations: Mapping[str, Resolver]


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """A parsed query text.

    Attributes:
        document: The parsed text; None if it could not be parsed.
        operation: The operation to be executed; None if there is none.
        fields: The names of the root fields, each once, in order.
        errors: Why the query is refused; empty if it is valid.
        steps: The compiled operation; None if only graphql-core can answer it.
    """

    document: DocumentNode | None
    operation: OperationDefinitionNode | None
    fields: tuple[str, ...]
    errors: tuple[GraphQLError, ...]
    steps: tuple[RootField, ...] | None


class Engine:
    """Executes GraphQL over one shape.

    Args:
        shape: Schema and resolvers.
    """

    def __init__(self, shape: ApiShape) -> None:
        self._shape = shape
        self.schema = build_schema(shape.sdl)
        _attach(self.schema.query_type, shape.queries)
        _attach(self.schema.mutation_type, shape.mutations)
        self.plan = lru_cache(maxsize=256)(self._plan)

    def _plan(self, text: str, operation_name: str | None, *, introspection: bool = True) -> QueryPlan:
        """Parse, validate and compile a text. ``plan`` caches the result."""
        try:
            document = parse(text)
        except GraphQLError as error:
            return QueryPlan(None, None, (), (error,), None)
        rules = specified_rules if introspection else (*specified_rules, NoSchemaIntrospectionCustomRule)
        errors = tuple(validate(self.schema, document, rules))
        operation = get_operation_ast(document, operation_name)
        if operation is None:
            named = (
                f"named {operation_name!r}" if operation_name else "or more than one, and no operationName"
            )
            errors = (*errors, GraphQLError(f"There is no operation {named}."))
        if operation is None or errors:
            return QueryPlan(document, operation, _root_fields(operation), errors, None)
        steps = compile_operation(self.schema, document, operation, self._shape.queries)
        return QueryPlan(document, operation, _root_fields(operation), (), steps)

    def execute(
        self, plan: QueryPlan, context: object, variables: dict[str, Any], *, exact: bool = False
    ) -> dict[str, Any]:
        """Answer a plan that has no errors.

        Args:
            plan: The plan.
            context: Passed to the resolvers.
            variables: The variables from the request.
            exact: Whether graphql-core must execute everything.
        """
        if plan.steps is not None and plan.operation is not None and not exact:
            try:
                return {"data": run(self.schema, plan.operation, plan.steps, context, variables)}
            except (Unusual, GraphQLError):
                pass  # graphql-core makes such an answer
        return self._execute_exactly(plan, context, variables)

    def _execute_exactly(self, plan: QueryPlan, context: object, variables: dict[str, Any]) -> dict[str, Any]:
        if plan.document is None or plan.operation is None:
            raise ValueError("a plan with errors cannot be executed")
        name = plan.operation.name.value if plan.operation.name else None
        result = execute_sync(
            self.schema,
            plan.document,
            context_value=context,
            variable_values=variables,
            operation_name=name,
        )
        return dict(result.formatted)


def shipped_sdl() -> str:
    """Return the schema that the sandbox serves by default."""
    return resources.files("bridge.sandbox").joinpath("schema.graphql").read_text(encoding="utf-8")


def _attach(kind: GraphQLObjectType | None, resolvers: Mapping[str, Resolver]) -> None:
    fields = kind.fields if kind else {}
    if fields.keys() != resolvers.keys():
        raise ValueError(f"schema and resolvers differ in {sorted(fields.keys() ^ resolvers.keys())}")
    for name, field in fields.items():
        _resolve_with(field, resolvers[name])


def _resolve_with(field: GraphQLField, resolver: Resolver) -> None:
    def resolve(_source: object, info: GraphQLResolveInfo[Any], **arguments: object) -> object:
        return resolver(info.context, arguments)

    field.resolve = resolve


def _root_fields(operation: OperationDefinitionNode | None) -> tuple[str, ...]:
    """Return the names at the top of the operation. A fragment there counts as one field ``…``."""
    if operation is None:
        return ()
    nodes = operation.selection_set.selections
    return tuple(dict.fromkeys(node.name.value if isinstance(node, FieldNode) else "…" for node in nodes))
