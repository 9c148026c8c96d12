"""Authentication of the status page: sessions, the log-in page, and protection against other sites' requests.

::

    GET  ──> not fetched by another site? ──> session? ──yes────────────────> page
                 password set? ──no──> new session ──> page <──no──┘
                               └─yes─> /login ──correct──> new session
    POST ──> sent by this site (Sec-Fetch-Site, Origin)? ──> session? ──> its token? ──> handler
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote

import structlog
from aiohttp import web

from bridge.admin.guess_limits import LogInLimiter
from bridge.admin.passwords import COST, SlowPassword
from bridge.admin.rendering import SESSION, SIGNED_IN, is_fragment
from bridge.admin.sessions import LogInTokens, SessionStore
from bridge.errors import LedgerError, UserError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.admin.rendering import Templates
    from bridge.admin.sessions import BrowserSession

    Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["COOKIE", "MOST_OF_A_FORM", "Authentication", "form_text", "session_of"]

COOKIE: Final = "trakor_bridge_visit"
"""Cookie of a session. The port follows, because browsers send a cookie to all ports of a machine, and two
bridges would end each other's sessions."""

GUEST_COOKIE: Final = "trakor_bridge_guest"
"""Cookie of the log-in page. A link from another site leads there without the session's cookie
(SameSite), and must not end the session.
"""

LIFE: Final = 12 * 3600.0
"""Seconds that a session lasts."""

MOST: Final = 256
"""The most sessions at a time."""

BROWSER_COOKIE: Final = "trakor_bridge_browser"
"""Cookie of a browser that has logged in before: other people's wrong passwords don't make it wait."""

BROWSER_LIFE: Final = 180 * 86_400.0
"""Seconds that such a browser is recognised, within the life of this process."""

GUEST_LIFE: Final = 900.0
"""Seconds in which the password has to be entered."""

MOST_OF_A_FORM: Final = 16 * 1024
"""The most bytes of a form."""

FORM: Final = "application/x-www-form-urlencoded"
PORT: Final = re.compile(r"(?<=:)[0-9]{1,5}$")
INSIDE: Final = re.compile(r"/(?![/\\])[^\\]*")
"""A path of this site: what follows "//" would be another one, and browsers read a backslash as a slash."""

log = structlog.get_logger()


class Authentication:
    """Checks sessions, passwords and forms.

    Args:
        templates: For the log-in page.
        password: Empty: no log-in is needed, which is only allowed on a loopback address.
        cost: The cost of the password's slow hash.
    """

    def __init__(self, templates: Templates, password: str, cost: int = COST) -> None:
        self._templates = templates
        self._password = SlowPassword(password, cost)
        self._limiter = LogInLimiter(self._password, time.monotonic)
        self._sessions = SessionStore(MOST, LIFE, time.monotonic)
        self._tokens = LogInTokens(GUEST_LIFE, time.monotonic)

    def add_to(self, application: web.Application) -> None:
        """Add the routes for logging in and out."""
        if self._password.wanted:
            application.router.add_get("/login", self._show_log_in)
            application.router.add_post("/login", self._log_in_with_password)
            application.router.add_post("/logout", self.guarded(self._log_out))

    def close(self) -> None:
        """Stop checking passwords."""
        self._limiter.close()

    def guarded(self, handler: Handler) -> Handler:
        """Require a session, and a token of that session in each form."""

        async def guarded_handler(request: web.Request) -> web.StreamResponse:
            _check_fetch(request)
            session = self._sessions.of(_cookie(request, COOKIE))
            begun = ""
            if session is None:
                if self._password.wanted:
                    return _to_log_in(request)
                begun, session = self._sessions.begin()
            request[SESSION] = session
            request[SIGNED_IN] = self._password.wanted
            try:
                response = await self._respond(handler, request)
            except web.HTTPRedirection as elsewhere:
                if begun:
                    _set_cookie(request, elsewhere, COOKIE, begun, LIFE)
                raise
            if begun:
                _set_cookie(request, response, COOKIE, begun, LIFE)
            return response

        return guarded_handler

    async def _respond(self, handler: Handler, request: web.Request) -> web.StreamResponse:
        """The handler's response; an error becomes a page."""
        try:
            if request.method == "POST":
                await _check_form(request, session_of(request))
            return await handler(request)
        except web.HTTPError as error:
            return self._error_page(request, error.status, error.reason, error.text or "")
        except LedgerError as error:
            return self._error_page(request, 503, str(error), error.advice)
        except UserError as error:
            return self._error_page(request, 409, str(error), error.advice)

    def _error_page(self, request: web.Request, status: int, title: str, text: str) -> web.Response:
        """A page with an error. A fragment is not shown; stale.js then reports that it is missing."""
        response = self._templates.render(request, "message.html", status=status, title=title, text=text)
        if is_fragment(request):
            response.headers["HX-Reswap"] = "none"
        return response

    async def _show_log_in(self, request: web.Request) -> web.StreamResponse:
        if self._sessions.of(_cookie(request, COOKIE)) is not None:
            raise web.HTTPSeeOther(_next_of(request.query.get("next", "")))
        return self._log_in_page(request, "")

    def _log_in_page(self, request: web.Request, why: str, status: int = 200) -> web.Response:
        name, token = self._tokens.begin()
        where = _next_of(request.query.get("next", ""))
        response = self._templates.render(
            request, "login.html", status=status, token=token, why=why, next=quote(where, safe="")
        )
        _set_cookie(request, response, GUEST_COOKIE, name, GUEST_LIFE)
        return response

    async def _log_in_with_password(self, request: web.Request) -> web.StreamResponse:
        """Check a password. A new session begins, so that a planted cookie is worthless."""
        _check_site(request)
        if not self._tokens.has_token(_cookie(request, GUEST_COOKIE), await form_text(request, "csrf")):
            return self._log_in_page(request, "The log-in page expired. Please try again.", 403)
        browser = self._tokens.browser(_cookie(request, BROWSER_COOKIE))
        client = f"browser {browser}" if browser else f"address {request.remote}"
        result = await self._limiter.try_(client, await form_text(request, "password"), known=bool(browser))
        if result.wait:
            why = f"Too many wrong passwords. Please wait {result.wait} seconds."
            response = self._log_in_page(request, why, 429)
            response.headers["Retry-After"] = str(result.wait)
            return response
        if not result.fits:
            log.warning("wrong password for the status page", address=request.remote)
            return self._log_in_page(request, "Wrong password.", 403)
        begun, _ = self._sessions.begin()
        inside = web.HTTPSeeOther(_next_of(request.query.get("next", "")))
        _set_cookie(request, inside, COOKIE, begun, LIFE)
        if not browser:
            _set_cookie(request, inside, BROWSER_COOKIE, self._tokens.admit(), BROWSER_LIFE)
        inside.del_cookie(_cookie_name(request, GUEST_COOKIE), path="/")
        raise inside

    async def _log_out(self, request: web.Request) -> web.StreamResponse:
        self._sessions.end(_cookie(request, COOKIE))
        outside = web.HTTPSeeOther("/login")
        outside.del_cookie(_cookie_name(request, COOKIE), path="/")
        raise outside


def session_of(request: web.Request) -> BrowserSession:
    """The session of a request that is logged in."""
    return request[SESSION]


async def form_text(request: web.Request, field: str) -> str:
    """A field of a form as text; empty if the form has no such field.

    Raises:
        HTTPUnsupportedMediaType: The body is not a form as browsers send it.
        HTTPBadRequest: The body is not UTF-8.
    """
    if request.content_type != FORM or (request.charset or "utf-8").lower() != "utf-8":
        raise web.HTTPUnsupportedMediaType(text="Only forms of this site's pages are accepted.")
    try:
        value = (await request.post()).get(field, "")
    except UnicodeDecodeError as error:
        raise web.HTTPBadRequest(text="This form can't be read.") from error
    return value if isinstance(value, str) else ""


async def _check_form(request: web.Request, session: BrowserSession) -> None:
    """Refuse a form that does not belong to this session."""
    _check_site(request)
    if (request.content_length or 0) > MOST_OF_A_FORM:
        raise web.HTTPRequestEntityTooLarge(MOST_OF_A_FORM, request.content_length or 0)
    if not session.has_token(await form_text(request, "csrf")):
        raise web.HTTPForbidden(text="This form is out of date. Go back, reload the page, and try again.")


def _check_fetch(request: web.Request) -> None:
    """Refuse what a page of another site fetches in the background, as an image or a script.

    The other site could not see the response. But it could make the bridge read from Salestrekker, or end
    sessions by starting many (W3C, Fetch Metadata: a resource isolation policy). Links from other sites work.
    """
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    mode = request.headers.get("Sec-Fetch-Mode", "navigate")
    if site in {"cross-site", "same-site"} and mode != "navigate":
        raise web.HTTPForbidden(text="Only pages of this site may request that.")


def _check_site(request: web.Request) -> None:
    """Refuse forms that a page of another site sends, in addition to the token.

    ``Origin`` is "null" for forms of pages that send no referrer, as ours do (Fetch, "append a request Origin
    header"). Then only Sec-Fetch-Site is left, which all browsers have sent since 2023.
    """
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin", "null")
    foreign = origin != "null" and origin.partition("://")[2] != request.host
    if site not in {"same-origin", "none"} or foreign:
        raise web.HTTPForbidden(text="Only forms of this site are accepted.")


def _to_log_in(request: web.Request) -> web.StreamResponse:
    """Redirect to the log-in page, and back afterwards; a fragment redirects the whole page."""
    where = request.path_qs if request.method == "GET" and not is_fragment(request) else "/"
    target = f"/login?next={quote(where, safe='')}"
    if is_fragment(request):
        return web.Response(status=200, headers={"HX-Redirect": target})
    raise web.HTTPSeeOther(target)


def _next_of(given: str) -> str:
    """Where to go after logging in: a path of this site, whatever was given."""
    return given if INSIDE.fullmatch(given) and given.isprintable() else "/"


def _cookie_name(request: web.Request, name: str) -> str:
    """The name of a cookie, with the port that the browser used."""
    port = PORT.search(request.host)
    return f"{name}_{port[0]}" if port else name


def _cookie(request: web.Request, name: str) -> str | None:
    return request.cookies.get(_cookie_name(request, name))


def _set_cookie(
    request: web.Request, response: web.StreamResponse, name: str, value: str, life: float
) -> None:
    # A client that forges the header only keeps its own browser from sending the cookie back.
    proxied = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower() == "https"
    response.set_cookie(
        _cookie_name(request, name),
        value,
        max_age=int(life),
        path="/",
        httponly=True,
        samesite="Strict",
        secure=request.secure or proxied,
    )
