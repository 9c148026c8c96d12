"""Somebody's messaging service on loopback: what is said to it, and how it answers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["CANARY", "Service", "serving"]

CANARY = "canary-secret"
"""In every secret place of its addresses: it must show nowhere."""


class Service:
    """Somebody's messaging service; answers with ``status``, once it may."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[str] = []
        self.messages: list[dict[str, Any]] = []
        self.was_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.port = 0

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(f"{request.method} {request.path}")
        if request.method == "POST":
            self.messages.append(await request.json())
        self.was_asked.set()
        await self.may_answer.wait()
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})

    @property
    def address(self) -> str:
        """As it stands in the configuration."""
        return f"json://{CANARY}-user:{CANARY}@127.0.0.1:{self.port}/{CANARY}-path"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{CANARY}"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]


@asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    service = Service()
    runner = web.ServerRunner(web.Server(service.answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    service.port = runner.addresses[0][1]
    try:
        yield service
    finally:
        service.may_answer.set()
        await runner.cleanup()
