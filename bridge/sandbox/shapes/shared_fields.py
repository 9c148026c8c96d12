"""Code that all shapes share: the fields that are the same in all, and how records are found and shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import DocumentNode, GraphQLError, ObjectTypeDefinitionNode, parse, print_ast

from bridge.sandbox.graphql_engine import ApiShape, shipped_sdl
from bridge.sandbox.salestrekker import Visitor

if TYPE_CHECKING:
    from collections.abc import Collection as Names
    from collections.abc import Iterable, Mapping

    from graphql import DefinitionNode

    from bridge.sandbox.collection import Collection
    from bridge.sandbox.graphql_fast_path import Resolver
    from bridge.sandbox.salestrekker import RequestContext
    from bridge.sandbox.seeded_records import Row

__all__ = ["by_id", "one", "refuse_negative", "schema_without", "shape", "show", "stream_of"]


def shape(sdl: str, records: Mapping[str, Resolver]) -> ApiShape:
    """Return a shape from a schema text and the resolvers for contacts and products."""
    return ApiShape(sdl, {**_QUERIES, **records}, _MUTATIONS)


def by_id() -> dict[str, Resolver]:
    """Return the resolvers for one contact and one product, with the names of the reconstructed schema."""
    return {
        "contact": lambda session, arguments: one(session, "contacts", arguments["id"]),
        "product": lambda session, arguments: one(session, "products", arguments["id"]),
    }


def stream_of(session: RequestContext, stream: str) -> Collection:
    """Return the visitor's contacts or products."""
    return session.world.contacts if stream == "contacts" else session.world.products


def show(session: RequestContext, stream: str, indexes: Iterable[int]) -> list[Any]:
    """Return the records with these indexes, with errors in broken fields."""
    rows = stream_of(session, stream)
    return session.world.shown(stream, [rows.at(index) for index in indexes])


def one(session: RequestContext, stream: str, identity: str) -> Any:  # noqa: ANN401 - a row, or an error in its place
    """Return the record with this id, or None."""
    row = stream_of(session, stream).get(identity)
    return None if row is None else session.world.shown(stream, [row], by_id=True)[0]


def refuse_negative(**numbers: int) -> None:
    """Refuse negative numbers, as a database does.

    Raises:
        GraphQLError: A number is negative.
    """
    if any(number < 0 for number in numbers.values()):
        raise GraphQLError(
            f"{' and '.join(numbers)} must not be negative", extensions={"code": "BAD_USER_INPUT"}
        )


def schema_without(fields: Names[str], types: Names[str] = ()) -> str:
    """Return the reconstructed schema without some of the fields of ``Query``, and without some types."""
    document = parse(shipped_sdl())
    definitions = [_without(node, fields) for node in document.definitions if _name(node) not in types]
    return print_ast(DocumentNode(definitions=tuple(definitions)))


def _name(node: DefinitionNode) -> str:
    return node.name.value if isinstance(node, ObjectTypeDefinitionNode) else ""


def _without(node: DefinitionNode, fields: Names[str]) -> DefinitionNode:
    if _name(node) != "Query" or not isinstance(node, ObjectTypeDefinitionNode):
        return node
    kept = tuple(field for field in node.fields or () if field.name.value not in fields)
    return ObjectTypeDefinitionNode(name=node.name, fields=kept, interfaces=(), directives=())


def _workflow(session: RequestContext, arguments: Mapping[str, Any]) -> Row | None:
    return next((one for one in session.world.workflows if one["id"] == arguments["id"]), None)


def _organizations(session: RequestContext, _arguments: Mapping[str, Any]) -> list[Row]:
    return [{"id": one.id, "organization": {"name": one.name}} for one in session.world.organizations]


def _authenticate(session: RequestContext, arguments: Mapping[str, Any]) -> Row:
    return {"token": session.server.log_in(arguments)}


def _switch(session: RequestContext, arguments: Mapping[str, Any]) -> Row:
    known = {organization.id for organization in session.world.organizations}
    if session.visitor is None or arguments["id"] not in known:
        raise GraphQLError("You do not belong to that organisation.", extensions={"code": "FORBIDDEN"})
    return {"token": session.server.tokens.issue(Visitor(arguments["id"], session.visitor.by_key))}


_QUERIES: Mapping[str, Resolver] = {
    "organizations": _organizations,
    "workflows": lambda session, _: session.world.workflows,
    "workflow": _workflow,
    "labels": lambda session, _: session.world.labels,
    "ticket": lambda session, arguments: session.world.tickets.get(arguments["id"]),
}

_MUTATIONS: Mapping[str, Resolver] = {
    "authenticate": _authenticate,
    "authenticateInDifferentOrganization": _switch,
}
