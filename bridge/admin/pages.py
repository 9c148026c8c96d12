"""The status page: all its addresses, and the overview.

::

    Entrance ──> /               overview, kept live by /live
                 /records        lists of what waits, and decisions on many (lists.py, many.py)
                 /records/NUMBER one record, and a decision on it (record.py)
                 /search         by id, SKU or name (searching.py)
"""

from __future__ import annotations

import asyncio
import mimetypes
from typing import TYPE_CHECKING

from aiohttp import web

from bridge.admin.auth import Authentication
from bridge.admin.bulk_actions import BulkActions
from bridge.admin.lists import ListPage
from bridge.admin.overview import TimeText, counted, overview
from bridge.admin.passwords import COST
from bridge.admin.record import RecordPage
from bridge.admin.rendering import HERE, Templates, add_headers
from bridge.admin.search import SearchPage
from bridge.status.snapshot import figures

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from bridge.admin.context import PageContext

__all__ = ["Pages"]


class Pages:
    """The pages, as routes of an application.

    Args:
        context: How to look and to decide.
        password: Asked for by a log-in page; empty: none, on a loopback address only.
        cost: Of the password's slow hash.
    """

    def __init__(self, context: PageContext, *, password: str = "", cost: int = COST) -> None:
        self._context = context
        self._templates = Templates(context.problem)
        self._entrance = Authentication(self._templates, password, cost)
        self._many = BulkActions(context, self._templates)

    def add_to(self, application: web.Application) -> None:
        """Add all addresses, and the headers that each answer has, to an application that has not started."""
        application.on_response_prepare.append(add_headers)
        _add_files(application)
        self._entrance.add_to(application)
        guarded = self._entrance.guarded
        application.router.add_get("/", guarded(self._overview))
        application.router.add_get("/live", guarded(self._live))
        ListPage(self._context, self._templates).add_to(application, guarded)
        self._many.add_to(application, guarded)
        RecordPage(self._context, self._templates).add_to(application, guarded)
        SearchPage(self._context, self._templates).add_to(application, guarded)

    async def close(self) -> None:
        """End what is under way: a decision on many stops after the part that is being written."""
        await self._many.close()

    def end(self) -> None:
        """Look at no password any more; once nobody is answered."""
        self._entrance.close()

    async def _overview(self, request: web.Request) -> web.StreamResponse:
        return self._templates.render(request, "overview.html", here="overview", **await self._now())

    async def _live(self, request: web.Request) -> web.StreamResponse:
        return self._templates.render(request, "live.html", **await self._now())

    async def _now(self) -> dict[str, Any]:
        """All that the overview shows."""
        snapshot = await self._context.snapshot()
        more = await asyncio.to_thread(figures, self._context.ledger.path, snapshot.at)
        connections = overview(snapshot, more)
        return {
            "connections": connections,
            "others": snapshot.others,
            "counts": counted(connections),
            "at": TimeText.of(snapshot.at, snapshot.at),
            "size": "" if snapshot.size is None else f"{snapshot.size / 2**20:,.1f} MiB",
        }


def _add_files(application: web.Application) -> None:
    """Serve the files that pages load, each by its name: no address that is asked for reaches the disk."""
    for path in sorted((HERE / "static").iterdir()):
        content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        application.router.add_get(f"/static/{path.name}", _file(path.read_bytes(), content_type))


def _file(body: bytes, content_type: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=content_type)

    return answer
