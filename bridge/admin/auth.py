"""Who comes in, and what a form has to bring: sessions, the log-in, and the guards against other sites.

::

    GET  ──> a page, or a part of this site's own? ──> session? ──yes──────────────> page
                 password wanted? ──no──> session begun ──> page <──no──┘
                                  └─yes─> /login ──right──> session begun
    POST ──> asked by this site (Sec-Fetch-Site, Origin)? ──> session? ──> its token? ──> done
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote

import structlog
from aiohttp import web

from bridge.admin.passwords import COST, LogInLimiter, SlowPassword
from bridge.admin.rendering import SIGNED_IN, VISIT, is_fragment
from bridge.admin.sessions import LogInTokens, SessionStore
from bridge.errors import LedgerError, UserError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.admin.rendering import Templates
    from bridge.admin.sessions import BrowserSession

    Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["COOKIE", "MOST_OF_A_FORM", "Authentication", "form_text", "visit_of"]

COOKIE: Final = "trakor_bridge_visit"
"""With the port after it, since browsers keep a cookie for all ports of a machine: two bridges on one do not
end each other's sessions."""

GUEST_COOKIE: Final = "trakor_bridge_guest"
"""Of who has the log-in before him, likewise: a link from elsewhere leads there without the session's cookie
(SameSite), and must not put an end to the session.
"""

LIFE: Final = 12 * 3600.0
"""Seconds of a session."""

MOST: Final = 256
"""So many sessions there are at most."""

BROWSER_COOKIE: Final = "trakor_bridge_browser"
"""Of a browser from which somebody was let in before: wrong passwords of others do not keep it waiting."""

BROWSER_LIFE: Final = 180 * 86_400.0
"""Seconds that a browser is known for, as long as this process lives."""

GUEST_LIFE: Final = 900.0
"""Seconds that somebody has to type the password."""

MOST_OF_A_FORM: Final = 16 * 1024
"""Bytes that a form may have."""

FORM: Final = "application/x-www-form-urlencoded"
PORT: Final = re.compile(r"(?<=:)[0-9]{1,5}$")
INSIDE: Final = re.compile(r"/(?![/\\])[^\\]*")
"""A path of this site: what follows "//" would be another one, and browsers read a backslash as a slash."""

log = structlog.get_logger()


class Authentication:
    """Lets requests in.

    Args:
        templates: For the log-in page.
        password: Empty: everybody is let in, as it is on a loopback address only.
        cost: Of the password's slow hash.
    """

    def __init__(self, templates: Templates, password: str, cost: int = COST) -> None:
        self._templates = templates
        self._password = SlowPassword(password, cost)
        self._log_in = LogInLimiter(self._password, time.monotonic)
        self._visits = SessionStore(MOST, LIFE, time.monotonic)
        self._guests = LogInTokens(GUEST_LIFE, time.monotonic)

    def add_to(self, application: web.Application) -> None:
        """Add the way in, and the way out."""
        if self._password.wanted:
            application.router.add_get("/login", self._ask)
            application.router.add_post("/login", self._answer)
            application.router.add_post("/logout", self.guarded(self._leave))

    def close(self) -> None:
        """Look at no more passwords."""
        self._log_in.close()

    def guarded(self, handler: Handler) -> Handler:
        """Let only those in who may, and only forms of this site's own pages."""

        async def entered(request: web.Request) -> web.StreamResponse:
            _check_asked(request)
            visit = self._visits.of(_cookie(request, COOKIE))
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
                    _set_cookie(request, elsewhere, COOKIE, begun, LIFE)
                raise
            if begun:
                _set_cookie(request, response, COOKIE, begun, LIFE)
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
        """A page that says it; of a part of a page it is not shown, but that it is missing (stale.js)."""
        response = self._templates.render(request, "message.html", status=status, title=title, text=text)
        if is_fragment(request):
            response.headers["HX-Reswap"] = "none"
        return response

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        if self._visits.of(_cookie(request, COOKIE)) is not None:
            raise web.HTTPSeeOther(_next_of(request.query.get("next", "")))
        return self._ask_again(request, "")

    def _ask_again(self, request: web.Request, why: str, status: int = 200) -> web.Response:
        name, token = self._guests.begin()
        where = _next_of(request.query.get("next", ""))
        response = self._templates.render(
            request, "login.html", status=status, token=token, why=why, next=quote(where, safe="")
        )
        _set_cookie(request, response, GUEST_COOKIE, name, GUEST_LIFE)
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Look at a password; the session begins anew, so that a planted cookie is worth nothing."""
        _check_site(request)
        if not self._guests.wrote(_cookie(request, GUEST_COOKIE), await form_text(request, "csrf")):
            return self._ask_again(request, "That took too long. Please try once more.", 403)
        browser = self._guests.browser(_cookie(request, BROWSER_COOKIE))
        share = f"browser {browser}" if browser else f"address {request.remote}"
        verdict = await self._log_in.try_(share, await form_text(request, "password"), known=bool(browser))
        if verdict.wait:
            why = f"Too many wrong passwords. Please wait {verdict.wait} seconds."
            response = self._ask_again(request, why, 429)
            response.headers["Retry-After"] = str(verdict.wait)
            return response
        if not verdict.fits:
            log.warning("wrong password for the status page", address=request.remote)
            return self._ask_again(request, "That is not the password.", 403)
        begun, _ = self._visits.begin()
        inside = web.HTTPSeeOther(_next_of(request.query.get("next", "")))
        _set_cookie(request, inside, COOKIE, begun, LIFE)
        if not browser:
            _set_cookie(request, inside, BROWSER_COOKIE, self._guests.admit(), BROWSER_LIFE)
        inside.del_cookie(_cookie_name(request, GUEST_COOKIE), path="/")
        raise inside

    async def _leave(self, request: web.Request) -> web.StreamResponse:
        self._visits.end(_cookie(request, COOKIE))
        outside = web.HTTPSeeOther("/login")
        outside.del_cookie(_cookie_name(request, COOKIE), path="/")
        raise outside


def visit_of(request: web.Request) -> BrowserSession:
    """The session of a request that was let in."""
    return request[VISIT]


async def form_text(request: web.Request, field: str) -> str:
    """A field of a form as text; empty where there is none.

    Raises:
        HTTPUnsupportedMediaType: It is no form as browsers send those of our pages.
        HTTPBadRequest: It is not UTF-8.
    """
    if request.content_type != FORM or (request.charset or "utf-8").lower() != "utf-8":
        raise web.HTTPUnsupportedMediaType(text="Only a page's own forms are taken.")
    try:
        value = (await request.post()).get(field, "")
    except UnicodeDecodeError as error:
        raise web.HTTPBadRequest(text="This form cannot be read.") from error
    return value if isinstance(value, str) else ""


async def _check_form(request: web.Request, visit: BrowserSession) -> None:
    """Refuse a form that is not this session's own."""
    _check_site(request)
    if (request.content_length or 0) > MOST_OF_A_FORM:
        raise web.HTTPRequestEntityTooLarge(MOST_OF_A_FORM, request.content_length or 0)
    if not visit.wrote(await form_text(request, "csrf")):
        raise web.HTTPForbidden(text="This form is out of date. Go back, reload the page, and try again.")


def _check_asked(request: web.Request) -> None:
    """Refuse what another site's page has fetched behind its reader's back, as an image or a script.

    It would not see the answer; but it could have us read from Salestrekker, or end sessions by beginning
    many (W3C, Fetch Metadata: a resource isolation policy). A link from elsewhere is followed.
    """
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    mode = request.headers.get("Sec-Fetch-Mode", "navigate")
    if site in {"cross-site", "same-site"} and mode != "navigate":
        raise web.HTTPForbidden(text="Only pages of this site may ask for that.")


def _check_site(request: web.Request) -> None:
    """Refuse what another site's page has sent: a second line behind the token.

    ``Origin`` is "null" for forms of pages that send no referrer (Fetch, "append a request Origin header"),
    as ours do: then only Sec-Fetch-Site tells, which all browsers have sent since 2023.
    """
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin", "null")
    foreign = origin != "null" and origin.partition("://")[2] != request.host
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
    return given if INSIDE.fullmatch(given) and given.isprintable() else "/"


def _cookie_name(request: web.Request, name: str) -> str:
    """The name that a cookie has at the port that the browser asked."""
    port = PORT.search(request.host)
    return f"{name}_{port[0]}" if port else name


def _cookie(request: web.Request, name: str) -> str | None:
    return request.cookies.get(_cookie_name(request, name))


def _set_cookie(
    request: web.Request, response: web.StreamResponse, name: str, value: str, life: float
) -> None:
    # Whoever says so without a TLS proxy before him only keeps his own browser from sending it back.
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
