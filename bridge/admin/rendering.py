"""Templates to answers. Everything that is put into a template is escaped; nothing is marked as safe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bridge import __version__
from bridge.admin.sessions import BrowserSession

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HEADERS", "SIGNED_IN", "VISIT", "Templates", "add_headers", "is_fragment"]

HERE: Final = Path(__file__).parent

VISIT: Final = web.RequestKey("visit", BrowserSession)
"""Where a request has its session."""

SIGNED_IN: Final = web.RequestKey("signed_in", bool)
"""Whether there is something to log out from."""

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
"""What each answer tells the browser: it loads nothing from elsewhere, runs nothing inline, keeps nothing."""


class Templates:
    """The templates of this package.

    Args:
        problem: Why the configuration on disk cannot be used; empty while it can.
    """

    def __init__(self, problem: Callable[[], str]) -> None:
        self._problem = problem
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(
        self, request: web.Request, template: str, *, status: int = 200, **values: object
    ) -> web.Response:
        """Answer with a page.

        Args:
            request: What is answered.
            template: Its file's name.
            status: Of HTTP.
            values: What the template shows.
        """
        visit = request.get(VISIT)
        common = {
            "version": __version__,
            "problem": self._problem(),
            "csrf": visit.csrf if visit else "",
            # What was done last is told by the next whole page, not by a part that is fetched meanwhile.
            "said": None if visit is None or is_fragment(request) else visit.tell(),
            "signed_in": request.get(SIGNED_IN, False),
        }
        text = self._environment.get_template(template).render(common | values)
        return web.Response(text=text, content_type="text/html", charset="utf-8", status=status)


def is_fragment(request: web.Request) -> bool:
    """Whether a part of a page is asked for, by the page itself."""
    return "HX-Request" in request.headers


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Add ``HEADERS`` to any answer."""
    response.headers.update(HEADERS)
