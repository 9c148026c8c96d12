"""The overview page: its routes, and the values that its templates show."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bridge.admin.overview_content import TimeText, counted, overview
from bridge.status.snapshot import figures

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from bridge.admin.context import PageContext
    from bridge.admin.rendering import Templates

__all__ = ["OverviewPage"]


class OverviewPage:
    """The overview page, and the part of it that the browser loads again and again."""

    def __init__(self, context: PageContext, templates: Templates) -> None:
        self._context = context
        self._templates = templates

    def add_to(self, application: web.Application, guarded: Callable[..., Any]) -> None:
        """Add its routes."""
        application.router.add_get("/", guarded(self._overview))
        application.router.add_get("/live", guarded(self._live))

    async def _overview(self, request: web.Request) -> web.StreamResponse:
        return self._templates.render(request, "overview.html", here="overview", **await self._now())

    async def _live(self, request: web.Request) -> web.StreamResponse:
        return self._templates.render(request, "live.html", **await self._now())

    async def _now(self) -> dict[str, Any]:
        """The values of the overview."""
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
