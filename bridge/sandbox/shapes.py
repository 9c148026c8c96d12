"""The schemas that the Salestrekker server can have: what answers each root field.

A resolver gives plain dicts with the schema's field names. Another shape (pages, cursors, other names) is
another schema text and another table of resolvers over the same ``World``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

from bridge.sandbox.engine import Shape, shipped_sdl
from bridge.sandbox.tokens import Visitor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.sandbox.collection import Collection
    from bridge.sandbox.data import Row
    from bridge.sandbox.projection import Resolver
    from bridge.sandbox.salestrekker import Session

__all__ = ["offset_shape"]


def offset_shape(max_page: int | None = None) -> Shape:
    """The reconstructed schema: lists by ``limit`` and ``offset``.

    Args:
        max_page: The server gives no more than this at once, however much is asked for; None: no bound.
    """
    queries: dict[str, Resolver] = {
        "organizations": _organizations,
        "workflows": lambda session, _: session.world.workflows,
        "workflow": _workflow,
        "labels": lambda session, _: session.world.labels,
        "ticket": lambda session, arguments: session.world.tickets.get(arguments["id"]),
        "contact": lambda session, arguments: _one(session, "contacts", arguments),
        "contacts": lambda session, arguments: _page(session, "contacts", arguments, max_page),
        "product": lambda session, arguments: _one(session, "products", arguments),
        "products": lambda session, arguments: _page(session, "products", arguments, max_page),
    }
    mutations: dict[str, Resolver] = {
        "authenticate": _authenticate,
        "authenticateInDifferentOrganization": _switch,
    }
    return Shape(shipped_sdl(), queries, mutations)


def _stream(session: Session, stream: str) -> Collection:
    return session.world.contacts if stream == "contacts" else session.world.products


def _one(session: Session, stream: str, arguments: Mapping[str, Any]) -> object:
    row = _stream(session, stream).get(arguments["id"])
    return None if row is None else session.world.shown(stream, [row])[0]


def _page(session: Session, stream: str, arguments: Mapping[str, Any], max_page: int | None) -> list[Any]:
    offset, limit = arguments.get("offset") or 0, arguments.get("limit")
    rows = _stream(session, stream)
    limit = len(rows) if limit is None else limit
    if offset < 0 or limit < 0:
        raise GraphQLError("limit and offset must not be negative")
    return session.world.shown(stream, rows.page(offset, limit if max_page is None else min(limit, max_page)))


def _workflow(session: Session, arguments: Mapping[str, Any]) -> Row | None:
    return next((one for one in session.world.workflows if one["id"] == arguments["id"]), None)


def _organizations(session: Session, _arguments: Mapping[str, Any]) -> list[Row]:
    return [{"id": one.id, "organization": {"name": one.name}} for one in session.world.organizations]


def _authenticate(session: Session, arguments: Mapping[str, Any]) -> Row:
    return {"token": session.server.log_in(arguments)}


def _switch(session: Session, arguments: Mapping[str, Any]) -> Row:
    known = {organization.id for organization in session.world.organizations}
    if session.visitor is None or arguments["id"] not in known:
        raise GraphQLError("You do not belong to that organisation.", extensions={"code": "FORBIDDEN"})
    return {"token": session.server.tokens.give(Visitor(arguments["id"], session.visitor.by_key))}
