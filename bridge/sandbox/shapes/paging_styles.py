"""Four paging styles: by offset, by page number, by cursor, and without paging."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

from bridge.sandbox.graphql_engine import shipped_sdl
from bridge.sandbox.shapes.shape_kind import BeforeFirst, Paged
from bridge.sandbox.shapes.shared_fields import by_id, refuse_negative, schema_without, shape, show, stream_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.sandbox.graphql_engine import ApiShape
    from bridge.sandbox.salestrekker import RequestContext
    from bridge.sandbox.seeded_records import Row

__all__ = ["offset_shape", "page_shape", "plain_shape", "relay_shape"]

LISTS = ("contacts", "products")
PAGE_SIZE = 100
"""The number of records in a page if the request does not say."""

PAGES = """
extend type Query {
  contacts(page: Int = FIRST, pageSize: Int = 100, modifiedSince: Int): ContactPage!
  products(page: Int = FIRST, pageSize: Int = 100): ProductPage!
}
type ContactPage { items: [Contact!]! page: Int! pageSize: Int! total: Int! }
type ProductPage { items: [HomeLoanProduct!]! page: Int! pageSize: Int! total: Int! }
"""

CONNECTIONS = """
extend type Query {
  contacts(first: Int = 100, after: String, updatedSince: DateTime): ContactConnection!
  products(first: Int = 100, after: String): ProductConnection!
}
scalar DateTime
type ContactConnection { edges: [ContactEdge!]! nodes: [Contact!]! pageInfo: PageInfo! totalCount: Int! }
type ContactEdge { cursor: String! node: Contact! }
type ProductConnection {
  edges: [ProductEdge!]! nodes: [HomeLoanProduct!]! pageInfo: PageInfo! totalCount: Int!
}
type ProductEdge { cursor: String! node: HomeLoanProduct! }
type PageInfo { hasNextPage: Boolean! endCursor: String }
"""

PLAIN = """
extend type Query { contacts(changedAfter: String): [Contact!]! products: [HomeLoanProduct!]! }
"""


def offset_shape(most: int | None = None) -> ApiShape:
    """Return the reconstructed schema, with lists by ``limit`` and ``offset``.

    Args:
        most: How many records the server returns at once, at most; None means any number.
    """

    def page(session: RequestContext, stream: str, arguments: Mapping[str, Any]) -> list[Any]:
        offset, limit = arguments.get("offset") or 0, arguments.get("limit")
        order = stream_of(session, stream).order()
        limit = len(order) if limit is None else limit
        refuse_negative(limit=limit, offset=offset)
        return show(session, stream, order[offset : offset + Paged(most).bounded(limit)])

    return shape(
        shipped_sdl(),
        {
            **by_id(),
            "contacts": lambda session, arguments: page(session, "contacts", arguments),
            "products": lambda session, arguments: page(session, "products", arguments),
        },
    )


def page_shape(paged: Paged) -> ApiShape:
    """Return a schema with lists by ``page`` and ``pageSize``: ``{ items page pageSize total }``."""

    def page(session: RequestContext, stream: str, arguments: Mapping[str, Any]) -> Row:
        number, asked = arguments.get("page"), arguments.get("pageSize")
        size = paged.bounded(PAGE_SIZE if asked is None else asked)
        refuse_negative(pageSize=size)
        order = _changed(session, stream, arguments.get("modifiedSince"))
        place = (paged.first if number is None else number) - paged.first
        start = max(0, _refused_before_first(place, paged)) * size
        found = order[start : start + size] if place >= 0 or paged.before_first is BeforeFirst.FIRST else []
        items = show(session, stream, found)
        return {"items": items, "page": number, "pageSize": size, "total": len(order)}

    return shape(
        schema_without(LISTS) + PAGES.replace("FIRST", str(paged.first)),
        {
            **by_id(),
            "contacts": lambda session, arguments: page(session, "contacts", arguments),
            "products": lambda session, arguments: page(session, "products", arguments),
        },
    )


def relay_shape(most: int | None = None) -> ApiShape:
    """Return a schema with lists by ``first`` and ``after`` (https://relay.dev/graphql/connections.htm)."""

    def connection(session: RequestContext, stream: str, arguments: Mapping[str, Any]) -> Row:
        asked = arguments.get("first")
        first = Paged(most).bounded(PAGE_SIZE if asked is None else asked)
        refuse_negative(first=first)
        order = _changed(session, stream, arguments.get("updatedSince"))
        after = arguments.get("after")
        start = 0 if after is None else bisect_right(order, _index_of(stream, after))
        indexes = order[start : start + first]
        nodes = show(session, stream, indexes)
        cursors = [_cursor(stream, index) for index in indexes]
        return {
            "edges": [{"cursor": cursor, "node": node} for cursor, node in zip(cursors, nodes, strict=True)],
            "nodes": nodes,
            "pageInfo": {
                "hasNextPage": start + len(nodes) < len(order),
                "endCursor": cursors[-1] if cursors else None,
            },
            "totalCount": len(order),
        }

    return shape(
        schema_without(LISTS) + CONNECTIONS,
        {
            **by_id(),
            "contacts": lambda session, arguments: connection(session, "contacts", arguments),
            "products": lambda session, arguments: connection(session, "products", arguments),
        },
    )


def plain_shape() -> ApiShape:
    """Return a schema with lists without paging."""

    def whole(session: RequestContext, stream: str, arguments: Mapping[str, Any]) -> list[Any]:
        return show(session, stream, _changed(session, stream, arguments.get("changedAfter")))

    return shape(
        schema_without(LISTS) + PLAIN,
        {
            **by_id(),
            "contacts": lambda session, arguments: whole(session, "contacts", arguments),
            "products": lambda session, arguments: whole(session, "products", arguments),
        },
    )


def _refused_before_first(place: int, paged: Paged) -> int:
    """Return the page's position, from 0, unless a page before the first is answered with an error."""
    if place < 0 and paged.before_first is BeforeFirst.REFUSED:
        raise GraphQLError(f"page must be at least {paged.first}", extensions={"code": "BAD_USER_INPUT"})
    if place < 0 and paged.before_first is BeforeFirst.FAULT:
        raise GraphQLError("OFFSET must not be negative", extensions={"code": "INTERNAL_SERVER_ERROR"})
    return place


def _changed(session: RequestContext, stream: str, since: int | str | None) -> Sequence[int]:
    """Return the indexes of records changed since a time (seconds since the epoch, or ISO 8601 text)."""
    rows = stream_of(session, stream)
    if since is None:
        return rows.order()
    try:
        start = (
            datetime.fromtimestamp(since, UTC) if isinstance(since, int) else datetime.fromisoformat(since)
        )
    except ValueError as error:
        raise GraphQLError(f"{since} is no time", extensions={"code": "BAD_USER_INPUT"}) from error
    return rows.changed_since(start.replace(tzinfo=start.tzinfo or UTC))


def _cursor(stream: str, index: int) -> str:
    return base64.urlsafe_b64encode(f"{stream} {index}".encode()).decode()


def _index_of(stream: str, cursor: str) -> int:
    try:
        kind, _, index = base64.urlsafe_b64decode(cursor).decode().partition(" ")
        if kind == stream:
            return int(index)
    except (binascii.Error, ValueError):
        pass
    raise GraphQLError("That is no cursor of this list.", extensions={"code": "BAD_USER_INPUT"})
