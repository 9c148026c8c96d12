"""Renders templates to responses. All values are escaped; nothing is marked as safe."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bridge import __version__
from bridge.admin.sessions import BrowserSession

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HEADERS", "SESSION", "SIGNED_IN", "Templates", "add_headers", "is_fragment"]

HERE: Final = Path(__file__).parent

SESSION: Final = web.RequestKey("session", BrowserSession)
"""The key of a request's session."""

SIGNED_IN: Final = web.RequestKey("signed_in", bool)
"""Whether the user can log out."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
"""Headers of each response: the browser loads nothing from elsewhere, runs nothing inline, stores nothing."""


@cache
def _environment() -> Environment:
    """The templates, each of which a process compiles once."""
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class Templates:
    """The templates of this package.

    Args:
        problem: Why the configuration on disk cannot be used; empty if it can.
    """

    def __init__(self, problem: Callable[[], str]) -> None:
        self._problem = problem

    def render(
        self, request: web.Request, template: str, *, status: int = 200, **values: object
    ) -> web.Response:
        """Render a page.

        Args:
            request: The request.
            template: The file name of the template.
            status: The HTTP status.
            values: The values of the template.
        """
        session = request.get(SESSION)
        common = {
            "version": __version__,
            "problem": self._problem(),
            "csrf": session.csrf if session else "",
            # The next whole page shows the last result, not a fragment that is fetched in the meantime.
            "flash": None if session is None or is_fragment(request) else session.take_flash(),
            "signed_in": request.get(SIGNED_IN, False),
        }
        text = _environment().get_template(template).render(common | values)
        return web.Response(text=text, content_type="text/html", charset="utf-8", status=status)


def is_fragment(request: web.Request) -> bool:
    """Whether a page requests a part of itself."""
    return "HX-Request" in request.headers


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Add ``HEADERS`` to a response."""
    response.headers.update(HEADERS)
