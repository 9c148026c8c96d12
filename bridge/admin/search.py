"""The search page: finds records by id, SKU or exact name. A name is sent in a form, never in an address."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from bridge.admin.auth import form_text
from bridge.admin.lists import item_of
from bridge.ledger.database import reading
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.names import fit

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.admin.context import PageContext
    from bridge.admin.rendering import Templates
    from bridge.ledger.read_model import RecordSummary

__all__ = ["SearchPage"]

MOST: Final = 20
"""How many of several matches are shown."""

LONGEST: Final = 500
"""The most characters of a search."""


class SearchPage:
    """The search page."""

    def __init__(self, context: PageContext, templates: Templates) -> None:
        self._context = context
        self._templates = templates

    def add_to(self, application: web.Application, guarded: Callable[..., Any]) -> None:
        """Add its route."""
        application.router.add_post("/search", guarded(self._search))

    async def _search(self, request: web.Request) -> web.StreamResponse:
        wanted = (await form_text(request, "wanted")).strip()[:LONGEST]
        found = await asyncio.to_thread(_find, self._context, wanted) if wanted else []
        if len(found) == 1:
            raise web.HTTPSeeOther(f"/records/{found[0].number}")
        now = self._context.clock()
        return self._templates.render(
            request,
            "search.html",
            here="",
            wanted=wanted,
            items=[
                item_of(record, now, app=self._context.app_of(record.feed.connection))
                for record in found[:MOST]
            ],
            more=len(found) > MOST,
            several=len({record.feed.connection for record in found}) > 1,
        )


def _find(context: PageContext, wanted: str) -> list[RecordSummary]:
    """Search by id first, then by name."""
    with reading(context.ledger.path, context.ledger.text_storage) as connection:
        found = find_records(connection, RecordQuery(either=wanted), MOST + 1)
        if not found and (name := fit(wanted)):
            found = find_records(connection, RecordQuery(key=context.name_key(name)), MOST + 1)
    return found
