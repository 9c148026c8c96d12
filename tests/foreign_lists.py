"""Serves one list of a made-up schema, and reads it with the client."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from bridge.records import Stream
from bridge.retry import RetryPolicy
from bridge.salestrekker.client import SalestrekkerClient
from bridge.salestrekker.list_query import load_list_query
from bridge.sandbox import Options
from schemas import ForeignSandbox, ForeignSchema, Truth
from schemas.foreign import root

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bridge.salestrekker.list_query import ListQuery
    from bridge.salestrekker.pages import Page, RecordsById
    from schemas.foreign import Answer

__all__ = [
    "ROWS",
    "client_of",
    "doubt_of",
    "identify",
    "ids",
    "page_by_cursor",
    "query_of",
    "read",
    "read_ids",
    "read_with",
    "serve",
]

ROWS = [{"id": f"r{number}", "name": f"Record {number}", "__typename": "Item"} for number in range(40)]
QUICK = RetryPolicy(attempts=2, total=5.0, first=0.001, longest=0.002)


def serve(sdl: str, *, introspection: bool = True, **answers: Answer) -> ForeignSandbox:
    """A sandbox with this schema and these root fields."""
    queries = {name: root(answer) for name, answer in answers.items()}
    schema = ForeignSchema("made up", sdl, queries, Truth([], [], []))
    return ForeignSandbox(schema, Options(introspection=introspection))


def page_by_cursor(
    arguments: Mapping[str, Any], rows: list[dict[str, Any]] = ROWS, most: int = 15
) -> dict[str, Any]:
    """A page whose next cursor is the number of the records before it, null at the end."""
    begin = int(arguments.get("cursor") or 0)
    end = begin + min(arguments.get("limit") or most, most)
    return {"items": rows[begin:end], "nextCursor": str(end) if end < len(rows) else None, "total": len(rows)}


def query_of(folder: Path, text: str) -> ListQuery:
    """A list query of this text."""
    (folder / "q.graphql").write_text(text, encoding="utf-8")
    return load_list_query("q.graphql", [folder])


def client_of(sandbox: ForeignSandbox) -> SalestrekkerClient:
    """A client that loses no time."""
    return SalestrekkerClient(
        url=sandbox.salestrekker_url,
        api_key=sandbox.options.api_key,
        requests_per_minute=0,
        timeout=5.0,
        retries=QUICK,
    )


async def read(sandbox: ForeignSandbox, query: ListQuery, size: int = 10, start: str = "") -> list[Page]:
    """All pages of a list from a position on."""
    async with client_of(sandbox) as client:
        return await read_with(client, query, size, start)


async def read_with(
    client: SalestrekkerClient, query: ListQuery, size: int = 10, start: str = ""
) -> list[Page]:
    """All pages of a list from a position on, by a client that is open."""
    pages = client.read_pages(query, stream=Stream.CONTACTS, identify=identify, page_size=size, start=start)
    async with aclosing(pages) as walk:
        return [page async for page in walk]


async def read_ids(sandbox: ForeignSandbox, query: Any, ids: list[str]) -> RecordsById:  # noqa: ANN401 - by id
    """Records by their ids, many in one request."""
    async with client_of(sandbox) as client:
        return await client.read_by_id(
            query, ids, stream=Stream.CONTACTS, identify=identify, ids_per_request=25
        )


def ids(pages: list[Page]) -> list[str]:
    """The ids of all records, in order."""
    return [record.id for page in pages for record in page.records]


def doubt_of(pages: list[Page]) -> str:
    """Why a list may not be whole. Empty if it is."""
    return pages[-1].doubt.reason if pages[-1].doubt else ""


def identify(data: Mapping[str, object]) -> str | None:
    """A record's id as text."""
    found = data.get("id")
    return str(found) if isinstance(found, str | int) else None
