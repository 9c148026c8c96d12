"""Hostile HTTP requests by number: the same seed and number make the same request.

::

    seed, number ──> Random ──> which listener? which kind? ──builder──> Attack: bytes, and how it ends

Each request carries ``MARK``: whatever of it is seen in an answer or in the log was repeated by the listener.
``hostile_wire.py`` has what is wrong with HTTP itself, ``hostile_bodies.py`` what is wrong with a body.
"""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from hostile_bodies import form_bodies, webhook_bodies
from hostile_wire import MARK, Draft, Ending, wire_kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    Builder = Callable[[Random, "Target"], Draft]

__all__ = ["MARK", "Attack", "Listener", "Target", "attack_of", "kinds_of"]


class Listener(Enum):
    """Which of the two listeners."""

    WEBHOOKS = "webhooks"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Target:
    """A listener, and what an attacker of it has got hold of.

    Attributes:
        listener: Which one.
        token: Of the webhooks' addresses.
        ids: Of contacts that exist.
        session: The admin listener's cookie of somebody who is logged in.
        csrf: The token of that session's forms.
        guest: The cookie of somebody who has the log-in page before him.
        guest_csrf: The token of that page's form.
    """

    listener: Listener
    token: str = ""
    ids: tuple[str, ...] = ()
    session: str = ""
    csrf: str = ""
    guest: str = ""
    guest_csrf: str = ""


@dataclass(frozen=True, slots=True)
class Attack:
    """One connection to a listener.

    Attributes:
        number: With the seed it makes the same attack again.
        listener: Which one.
        kind: What is wrong with it.
        draft: What is sent, and how the connection ends.
    """

    number: int
    listener: Listener
    kind: str
    draft: Draft

    def __str__(self) -> str:
        raw = self.draft.raw
        shown = raw if len(raw) <= 600 else raw[:500] + b"[...]" + raw[-60:]
        return f"{self.number}: {self.listener.value}, {self.kind}, {self.draft.ending.value}: {shown!r}"


def attack_of(seed: int, number: int, targets: Sequence[Target]) -> Attack:
    """The attack of a number.

    Args:
        seed: Of all attacks.
        number: Of this one.
        targets: The listeners; most attacks go to the first one.
    """
    chance = random.Random(f"{seed}:{number}")  # noqa: S311 - to be had again, not to be secret
    target = chance.choices(targets, [3, 2][: len(targets)])[0]
    names, builders, weights = _KINDS[target.listener]
    kind = chance.choices(range(len(names)), weights)[0]
    draft = builders[kind](chance, target)
    return Attack(number, target.listener, names[kind], _cut(chance, draft))


def kinds_of(listener: Listener) -> tuple[str, ...]:
    """The names of all kinds of attacks on a listener."""
    return _KINDS[listener][0]


def _cut(chance: Random, draft: Draft) -> Draft:
    """One in sixteen breaks off at any byte, by an end in order or by a reset."""
    if chance.random() >= 1 / 16 or len(draft.raw) < 2:
        return draft
    at = chance.randrange(1, len(draft.raw))
    ending = chance.choice([Ending.CLOSE, Ending.RESET, Ending.HALF])
    return replace(draft, raw=draft.raw[:at], ending=ending, whole=False)


# -- whole requests, by which what is hostile gets in ----------------------------------------------


def good(chance: Random, target: Target) -> bytes:
    """A request as it should be, with nothing wrong."""
    if target.listener is Listener.WEBHOOKS:
        body = b'{"id": "%s"}' % chance.choice(target.ids).encode()
        return _posted(f"/webhooks/{target.token}/contact-updated", body, "application/json")
    path = chance.choices(("/healthz", "/static/mark.svg", "/login", "/records/1"), (40, 5, 4, 1))[0]
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {target.session}\r\n\r\n".encode()


def _posted(path: str, body: bytes, kind: str, *more: str) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        *more,
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# -- the webhook listener ---------------------------------------------------------------------------

ACTIONS = ("contact-created", "contact-updated", "contact-deleted", "deal-updated", "product-created")
ODD_ACTIONS = ("contact-", "CONTACT-UPDATED", f"{MARK}", "%2e%2e", "a" * 3000, "\u202e", "'--", "%00", "..")


def _body(chance: Random, target: Target) -> Draft:
    body, kind, more = webhook_bodies(chance, target.ids)
    action = chance.choice(ACTIONS) if chance.random() < 0.9 else chance.choice(ODD_ACTIONS)
    path = f"/webhooks/{target.token}/{action}"
    return Draft(_posted(path, body, kind, *more), whole=True)


def _address(chance: Random, target: Target) -> Draft:
    """Almost the right address."""
    token = target.token
    wrong = chance.choice(
        (
            token[:-1],
            token + "0",
            token.upper(),
            token[:-1] + chance.choice("0123456789"),
            "%" + token,
            f"{token}%00",
            "".join(f"%{ord(one):02x}" for one in token),
            MARK * 2,
            "a" * chance.choice((1, 100, 4000, 8100)),
            "\xff" * 32,
            "..",
            "",
        )
    )
    before = chance.choice(("", "", "", "/..", "//", "/.", "/%2e%2e", "\\", "http://localhost", "/webhooks"))
    after = chance.choice(("", "/", "//", "/x", "?", f"?{MARK}", f"#{MARK}", ";x", "/..", f"/{MARK}"))
    path = f"{before}/webhooks/{wrong}/contact-updated{after}"
    method = chance.choice(("GET", "POST", "POST", "HEAD", "PUT", "DELETE"))
    return Draft(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))


def _right_path_wrong_method(chance: Random, target: Target) -> Draft:
    method = chance.choice(
        ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "GET", "HEAD", "M-SEARCH")
    )
    action = chance.choice((*ACTIONS, *(one for one in ODD_ACTIONS if one.isascii())))
    path = f"/webhooks/{target.token}/{action}"
    return Draft(f"{method} {path} HTTP/1.1\r\nHost: {MARK}\r\n\r\n".encode(), whole=True)


# -- the admin listener -----------------------------------------------------------------------------

PATHS = ("/", "/live", "/records", "/many", "/search", "/login", "/metrics", "/api/status", "/records/1")
"""Addresses of the status page."""

ODD_NUMBERS = ("0", "-1", "1e9", "9" * 18, "9" * 19, "9" * 400, "\u0661", "1%00", "01", "0x1", MARK, "1/../2")


def _get(path: str, *headers: str) -> Draft:
    return Draft(
        "\r\n".join((f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", "")).encode("utf-8", "replace"),
        whole=True,
    )


def _query(chance: Random, target: Target) -> Draft:
    """A list that nobody can have, by an address."""
    values = (
        MARK, "", "held", "rejected", "server-error", "gone", "contacts", "\u202e", "%00", "%ff%fe", "'--",
        f'"><script>{MARK}</script>', "a" * 2000, "-1", "9" * 30, "drop", "accept", "1e400", "%u0041",
    )  # fmt: skip
    names = ("state", "reason", "mark", "stream", "connection", "verb", "after", "page", "before", MARK)
    pairs = [
        f"{chance.choice(names)}={chance.choice((chance.choice(values), quote_plus(chance.choice(values))))}"
        for _ in range(chance.choice((1, 1, 2, 3, 5, 300)))
    ]
    path = f"{chance.choice(('/records', '/records', '/many', '/live'))}?{'&'.join(pairs)}".replace(" ", "+")
    return replace(_get(path, f"Cookie: {target.session}"), whole=False, echoes=True)


def _number(chance: Random, target: Target) -> Draft:
    path = f"/records/{chance.choice(ODD_NUMBERS)}{chance.choice(('', '/now', '/decide', '/', '/..'))}"
    return replace(_get(path, f"Cookie: {target.session}"), whole=False)


def _visitor(chance: Random, target: Target) -> Draft:
    """Somebody without a session, or with one that he has made up; he is sent to the log-in."""
    name = target.session.partition("=")[0]
    cookie = chance.choice(
        (
            f"{name}={MARK}", f"{name}=", f"{name}; {name}", f'{name}="{MARK}', f"{name}={'a' * 6000}",
            "; ".join(f"c{n}={MARK}" for n in range(200)), "\x00", f"{name}=\xff", "=", ";" * 2000,
            f'{name}="\\012\\303{MARK}"', f"{name}={target.session[-10:]}", f"{MARK}={target.session}",
        )
    )  # fmt: skip
    path = f"{chance.choice(PATHS)}?next={quote_plus(chance.choice(_NEXT))}&x={MARK}"
    fragment = ("HX-Request: true",) if chance.random() < 0.2 else ()
    # The way back after the log-in is in the address of the log-in page.
    return replace(_get(path, f"Cookie: {cookie}", *fragment), whole=False, echoes=True)


_NEXT = (
    f"//{MARK}.example", f"/\\{MARK}", f"/{MARK}", f"javascript:{MARK}", f'/"><{MARK}',
    "/\r\nSet-Cookie: a=b",
    f"/{MARK}" * 200, "/\x00", "/\u2028", "", "/%0d%0aX: y",
)  # fmt: skip


def _log_in(chance: Random, target: Target) -> Draft:
    """A guess at the password, by a form that is not right."""
    password = chance.choice(
        (MARK, "", "\x00", "a" * 2000, "\ud800".encode("utf-8", "replace").decode(), "é")
    )
    csrf = target.guest_csrf if chance.random() < 0.15 else chance.choice((MARK, "", "é", "a" * 5000))
    body = f"csrf={quote_plus(csrf)}&password={quote_plus(password)}".encode()
    path = f"/login?next={quote_plus(chance.choice(_NEXT))}"
    cookie = target.guest if chance.random() < 0.7 else f"{target.guest}{MARK}"
    kind = chance.choice((_FORM, _FORM, _FORM, f"{_FORM}; charset=utf-7", "text/plain", MARK))
    return Draft(_posted(path, body, kind, f"Cookie: {cookie}"), echoes=True)


_FORM = "application/x-www-form-urlencoded"
_WRONG_FORMS = (
    _FORM,
    _FORM,
    _FORM,
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "text/plain",
    "x",
)


def _form(chance: Random, target: Target) -> Draft:
    """A form of the status page that is not as its own; now and then with the right token."""
    path, fields = chance.choice(
        (
            ("/search", ("wanted",)),
            ("/records/1/decide", ("verb", "name", "shown")),
            ("/records/999999999999999999/decide", ("verb", "shown")),
            ("/many", ("order",)),
            ("/logout", ()),
            ("/nowhere", ("x",)),
        )
    )
    right = path != "/logout" and chance.random() < 0.6
    csrf = target.csrf if right else chance.choice((MARK, "", target.csrf[:-1], "\u00e9"))
    body = form_bodies(chance, csrf, fields)
    more = [f"Cookie: {target.session}"]
    if chance.random() < 0.2:
        more.append(chance.choice((f"Origin: http://{MARK}", "Origin: null", "Sec-Fetch-Site: cross-site")))
    # A search says what was searched for.
    return Draft(_posted(path, body, chance.choice(_WRONG_FORMS), *more), echoes=path == "/search")


def _credentials(chance: Random, _: Target) -> Draft:
    """Basic authentication that cannot be right; each one that could be is held for half a second."""
    given = chance.choice(
        (
            "Basic", "Basic ", "Basic =", f"Basic {MARK}", "Basic " + "A" * 7000, "Bearer x", "basic \xff",
            "Basic " + base64.b64encode(f"{MARK}:{MARK}".encode()).decode(), "Digest username=x", "",
        )
    )  # fmt: skip
    ending = chance.choice([Ending.CLOSE, Ending.RESET])
    path = chance.choice(("/metrics", "/api/status"))
    return replace(_get(path, f"Authorization: {given}"), whole=False, ending=ending)


def _elsewhere(chance: Random, target: Target) -> Draft:
    """A path that leads out of the folder of static files, or nowhere."""
    path = chance.choice(
        (
            "/static/../../../../etc/passwd", "/static/%2e%2e/%2e%2e/pages.py", "/static//etc/passwd",
            "/static/..%2f..%2fserver.py", "/static/", "/static", "/static/bridge.css/", "/static/%00",
            "/static/..\\..\\server.py", f"/static/{MARK}", "/static/bridge.css%00.py", f"/{MARK}",
            "/static/" + "a/" * 3000, "/static/" + "a" * 4000, "/.git/config", "/metrics/..", "/healthz/x",
        )
    )  # fmt: skip
    header = chance.choice(
        (
            "Range: bytes=0-", "Range: bytes=-1", "Range: bytes=9999999-", "Range: bytes=5-1",
            f"Range: {MARK}",
            "Range: bytes=0-1,2-3", "If-None-Match: *", f'If-None-Match: "{MARK}"', "If-Modified-Since: x",
            "If-Range: x", "Accept-Encoding: br, gzip", "X: y",
        )
    )  # fmt: skip
    if chance.random() < 0.3:
        path = "/static/bridge.css"
    method = chance.choice(("GET", "GET", "HEAD", "POST", "PUT"))
    raw = _get(path, header, f"Cookie: {target.session}").raw
    return Draft(raw.replace(b"GET", method.encode(), 1))


def _host(chance: Random, target: Target) -> Draft:
    """A name that was pointed here, or none."""
    host = chance.choice(
        (
            MARK, f"{MARK}.example", "localhost.evil", "127.0.0.1.nip.io", "[::1", "[::]", "0", "0x7f.1",
            "localhost:99999", "localhost:x", "local host", "", "localhost, evil", "\xff", "127.0.0.1@evil",
            "LOCALHOST.", "2130706433", "localhost/x", "a" * 5000,
        )
    )  # fmt: skip
    path = chance.choice(PATHS)
    return Draft(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {target.session}\r\n\r\n".encode("latin-1"))


def _machine(chance: Random, target: Target) -> Draft:
    """What a monitoring system asks, with odd wishes."""
    accept = chance.choice((MARK, "application/openmetrics-text; version=99", "*/*;q=x", ",", "a" * 5000))
    path = chance.choice(("/metrics", "/api/status", "/readyz", "/healthz", "/live", "/"))
    more = ("HX-Request: true",) if chance.random() < 0.3 else ()
    return _get(path, f"Accept: {accept}", f"Cookie: {target.session}", *more)


_OWN: dict[Listener, list[tuple[str, float, Builder]]] = {
    Listener.WEBHOOKS: [
        ("a hostile body at the right address", 40, _body),
        ("almost the right address", 20, _address),
        ("another method at the right address", 8, _right_path_wrong_method),
        ("nothing wrong", 4, lambda chance, target: Draft(good(chance, target), whole=True)),
    ],
    Listener.ADMIN: [
        ("a list that cannot be", 1, _query),
        ("a record that cannot be", 4, _number),
        ("no session, or a made-up one", 16, _visitor),
        ("a guess at the log-in", 1, _log_in),
        ("a form that is not the page's own", 16, _form),
        ("a guess by Basic authentication", 0.3, _credentials),
        ("a static file that is none", 14, _elsewhere),
        ("a name that was pointed here", 12, _host),
        ("a machine with odd wishes", 0.5, _machine),
        ("nothing wrong", 4, lambda chance, target: Draft(good(chance, target), whole=True)),
    ],
}


def _all_kinds(listener: Listener) -> tuple[tuple[str, ...], tuple[Builder, ...], tuple[float, ...]]:
    wire: list[tuple[str, float, Builder]] = [
        (name, weight, lambda chance, target, build=build: build(chance, good(chance, target)))  # type: ignore[misc]  # bound at once
        for name, weight, build in wire_kinds()
    ]
    names, weights, builders = zip(*_OWN[listener], *wire, strict=True)
    return names, builders, weights


_KINDS = {listener: _all_kinds(listener) for listener in Listener}
