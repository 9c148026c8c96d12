"""The routes of the status page.

::

    Authentication ──> /                overview, updated by /live (overview.py)
                       /records         lists (lists.py), decisions on many records (bulk_actions.py)
                       /records/NUMBER  one record, and a decision on it (record.py)
                       /search          by id, SKU or name (search.py)
"""

from __future__ import annotations

import mimetypes
from typing import TYPE_CHECKING

from aiohttp import web

from bridge.admin.auth import Authentication
from bridge.admin.bulk_actions import BulkActions
from bridge.admin.lists import ListPage
from bridge.admin.overview import OverviewPage
from bridge.admin.passwords import COST
from bridge.admin.record import RecordPage
from bridge.admin.rendering import HERE, Templates, add_headers
from bridge.admin.search import SearchPage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.admin.context import PageContext

__all__ = ["Pages"]


class Pages:
    """The pages, as routes of an application.

    Args:
        context: What the pages read and change.
        password: The password of the log-in page; empty: none, on a loopback address only.
        cost: The cost of the password's slow hash.
    """

    def __init__(self, context: PageContext, *, password: str = "", cost: int = COST) -> None:
        self._context = context
        self._templates = Templates(context.problem)
        self._authentication = Authentication(self._templates, password, cost)
        self._many = BulkActions(context, self._templates)

    def add_to(self, application: web.Application) -> None:
        """Add all routes, and the headers of each response, to an application that has not started."""
        application.on_response_prepare.append(add_headers)
        _add_files(application)
        self._authentication.add_to(application)
        guarded = self._authentication.guarded
        OverviewPage(self._context, self._templates).add_to(application, guarded)
        ListPage(self._context, self._templates).add_to(application, guarded)
        self._many.add_to(application, guarded)
        RecordPage(self._context, self._templates).add_to(application, guarded)
        SearchPage(self._context, self._templates).add_to(application, guarded)

    async def close(self) -> None:
        """Stop work in progress: a decision on many records stops after the current part."""
        await self._many.close()

    def end(self) -> None:
        """Stop checking passwords, after the last response."""
        self._authentication.close()


def _add_files(application: web.Application) -> None:
    """Serve the files that pages load, each by its name: no requested path reaches the disk."""
    for path in sorted((HERE / "static").iterdir()):
        content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        application.router.add_get(f"/static/{path.name}", _file(path.read_bytes(), content_type))


def _file(body: bytes, content_type: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=content_type)

    return answer
