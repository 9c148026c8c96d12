"""Who comes in, and what a form has to bring: sessions, the log-in, and the guards against other sites.

::

    GET  ──> session? ──yes──────────────────────────────> page
               └─no──> password wanted? ──no──> session begun ──> page
                                        └─yes─> /login ──right──> session begun
    POST ──> asked by this site (Sec-Fetch-Site, Origin)? ──> session? ──> its token? ──> done
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote, urlsplit

import structlog
from aiohttp import web

from bridge.admin.passwords import COST, LogIn, SlowPassword
from bridge.admin.rendering import SIGNED_IN, VISIT, is_fragment
from bridge.admin.visits import Visits
from bridge.errors import LedgerError, UserError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.admin.rendering import Templates
    from bridge.admin.visits import Visit

    Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["COOKIE", "Entrance", "form_text", "visit_of"]

COOKIE: Final = "trakor_bridge_visit"
LIFE: Final = 12 * 3600.0
"""Seconds of a session."""

MOST: Final = 256
"""So many sessions there are at most."""

GUEST_LIFE: Final = 900.0
"""Seconds that somebody has to type the password."""

MOST_OF_A_FORM: Final = 16 * 1024
"""Bytes that a form may have."""

log = structlog.get_logger()


class Entrance:
    """Lets requests in.

    Args:
        templates: For the log-in page.
        password: Empty: everybody is let in, as it is on a loopback address only.
        cost: Of the password's slow hash.
    """

    def __init__(self, templates: Templates, password: str, cost: int = COST) -> None:
        self._templates = templates
        self._password = SlowPassword(password, cost)
        self._log_in = LogIn(self._password, time.monotonic)
        self._visits = Visits(MOST, LIFE, time.monotonic)
        self._guests = Visits(MOST, GUEST_LIFE, time.monotonic)

    def add_to(self, application: web.Application) -> None:
        """Add the way in, and the way out."""
        if self._password.wanted:
            application.router.add_get("/login", self._ask)
            application.router.add_post("/login", self._answer)
            application.router.add_post("/logout", self.guarded(self._leave))

    def guarded(self, handler: Handler) -> Handler:
        """Let only those in who may, and only forms of this site's own pages."""

        async def entered(request: web.Request) -> web.StreamResponse:
            name = request.cookies.get(COOKIE)
            visit = self._visits.of(name)
            begun = ""
            if visit is None:
                if self._password.wanted:
                    return _to_log_in(request)
                begun, visit = self._visits.begin()
            request[VISIT] = visit
            request[SIGNED_IN] = self._password.wanted
            try:
                response = await self._answered(handler, request)
            except web.HTTPRedirection as elsewhere:
                if begun:
                    _set_cookie(elsewhere, begun, LIFE)
                raise
            if begun:
                _set_cookie(response, begun, LIFE)
            return response

        return entered

    async def _answered(self, handler: Handler, request: web.Request) -> web.StreamResponse:
        """A handler's answer; what went wrong is a page, too."""
        try:
            if request.method == "POST":
                await _check_form(request, visit_of(request))
            return await handler(request)
        except web.HTTPError as fault:
            return self._fault(request, fault.status, fault.reason, fault.text or "")
        except LedgerError as fault:
            return self._fault(request, 503, str(fault), fault.advice)
        except UserError as fault:
            return self._fault(request, 409, str(fault), fault.advice)

    def _fault(self, request: web.Request, status: int, title: str, text: str) -> web.Response:
        return self._templates.render(request, "message.html", status=status, title=title, text=text)

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        if self._visits.of(request.cookies.get(COOKIE)) is not None:
            raise web.HTTPSeeOther(_next_of(request.query.get("next", "")))
        return self._ask_again(request, "")

    def _ask_again(self, request: web.Request, why: str, status: int = 200) -> web.Response:
        name, guest = self._guests.begin()
        where = _next_of(request.query.get("next", ""))
        response = self._templates.render(
            request, "login.html", status=status, token=guest.csrf, why=why, next=quote(where, safe="")
        )
        _set_cookie(response, name, GUEST_LIFE)
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Look at a password; the session begins anew, so that a planted cookie is worth nothing."""
        _check_site(request)
        name = request.cookies.get(COOKIE)
        guest = self._guests.of(name)
        if guest is None or not guest.wrote(await form_text(request, "csrf")):
            return self._ask_again(request, "That took too long. Please try once more.", 403)
        verdict = await self._log_in.try_(request.remote or "", await form_text(request, "password"))
        if verdict.wait:
            why = f"Too many wrong passwords. Please wait {verdict.wait} seconds."
            response = self._ask_again(request, why, 429)
            response.headers["Retry-After"] = str(verdict.wait)
            return response
        if not verdict.fits:
            log.warning("wrong password for the status page", address=request.remote)
            return self._ask_again(request, "That is not the password.", 403)
        self._guests.end(name)
        begun, _ = self._visits.begin()
        inside = web.HTTPSeeOther(_next_of(request.query.get("next", "")))
        _set_cookie(inside, begun, LIFE)
        raise inside

    async def _leave(self, request: web.Request) -> web.StreamResponse:
        self._visits.end(request.cookies.get(COOKIE))
        outside = web.HTTPSeeOther("/login")
        outside.del_cookie(COOKIE, path="/")
        raise outside


def visit_of(request: web.Request) -> Visit:
    """The session of a request that was let in."""
    return request[VISIT]


async def form_text(request: web.Request, field: str) -> str:
    """A field of a form as text; empty where there is none, or a file."""
    value = (await request.post()).get(field, "")
    return value if isinstance(value, str) else ""


async def _check_form(request: web.Request, visit: Visit) -> None:
    """Refuse a form that is not this session's own."""
    _check_site(request)
    if (request.content_length or 0) > MOST_OF_A_FORM:
        raise web.HTTPRequestEntityTooLarge(MOST_OF_A_FORM, request.content_length or 0)
    if not visit.wrote(await form_text(request, "csrf")):
        raise web.HTTPForbidden(text="This form is out of date. Go back, reload the page, and try again.")


def _check_site(request: web.Request) -> None:
    """Refuse what another site's page has sent: a second line behind the token.

    ``Origin`` is "null" for forms of pages that send no referrer (Fetch, "append a request Origin header"),
    as ours do: then only Sec-Fetch-Site tells, which all browsers have sent since 2023.
    """
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin", "null")
    foreign = origin != "null" and urlsplit(origin).netloc != request.host
    if site not in {"same-origin", "none"} or foreign:
        raise web.HTTPForbidden(text="Forms are taken from this page's own site only.")


def _to_log_in(request: web.Request) -> web.StreamResponse:
    """To the log-in, and back afterwards; a part of a page sends the whole page there."""
    where = request.path_qs if request.method == "GET" and not is_fragment(request) else "/"
    target = f"/login?next={quote(where, safe='')}"
    if is_fragment(request):
        return web.Response(status=200, headers={"HX-Redirect": target})
    raise web.HTTPSeeOther(target)


def _next_of(given: str) -> str:
    """Where to go after the log-in: a path of this site, whatever was given."""
    parts = urlsplit(given)
    inside = given.startswith("/") and not given.startswith(("//", "/\\")) and not parts.netloc
    return given if inside and not parts.scheme and given.isprintable() and "\\" not in given else "/"


def _set_cookie(response: web.StreamResponse, name: str, life: float) -> None:
    response.set_cookie(COOKIE, name, max_age=int(life), path="/", httponly=True, samesite="Strict")
