"""Whom the status page lets in, and what it takes from them: sessions, log-in, forms, headers, names."""

from __future__ import annotations

import asyncio
import re
import shutil
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

from bridge.admin.auth import COOKIE
from bridge.admin.guess_limits import TRIES, WITHIN, LogInLimiter
from bridge.admin.passwords import SlowPassword
from bridge.admin.sessions import LogInTokens, SessionStore
from bridge.records import State, Stream
from desk import Organisation, organisation
from status_page import Browser, StatusPage, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PASSWORD = "correct hörse"
SESSION = re.compile(rf"{COOKIE}_\d+=[\w-]{{43}}; HttpOnly; Max-Age=43200; Path=/; SameSite=Strict")
PATHS = ("/", "/live", "/records", "/records/1", "/records/1/now", "/many?verb=drop", "/many/progress")


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    return asyncio.run(organisation(tmp_path_factory.mktemp("organisation")))


@pytest.fixture
def folder(left: Organisation, tmp_path: Path) -> Path:
    """A copy of the organisation's ledger."""
    shutil.copytree(left.folder, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
async def page(folder: Path) -> AsyncIterator[StatusPage]:
    """The page on a loopback address, without a password."""
    async with served(folder) as page:
        yield page


@pytest.fixture
async def locked(folder: Path) -> AsyncIterator[StatusPage]:
    """The page with a password."""
    async with served(folder, password=PASSWORD) as page:
        yield page


@pytest.fixture(params=["/search", "/login"])
async def takes_forms(folder: Path, request: pytest.FixtureRequest) -> AsyncIterator[tuple[StatusPage, str]]:
    """A page, and where it takes a form from who has come no further."""
    async with served(folder, password=PASSWORD if request.param == "/login" else "") as page:
        yield page, request.param


@asynccontextmanager
async def browser_at(page: StatusPage) -> AsyncIterator[Browser]:
    """A browser without scripts, and without a past."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield Browser(http, page.url)


async def log_in(browser: Browser, password: str = PASSWORD, path: str = "/login") -> int:
    form = await browser.get(path)
    return (await browser.send(form, form.url, password=password)).status


# -- headers and names ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PATHS, "/static/bridge.css", "/static/htmx.min.js", "/nothing"])
async def test_every_answer_forbids_what_the_page_does_not_need(page: StatusPage, path: str) -> None:
    async with browser_at(page) as browser:
        headers = (await browser.get(path)).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "rest", ["", "a" * 4000, "a/" * 3000, "nothing.css", "..%2Fpages.py", "%2E%2E/pages.py", "%00"]
)
async def test_no_address_reaches_the_disk(page: StatusPage, rest: str) -> None:
    """A name that was too long for the file system was an error of ours, and stood in the log."""
    async with browser_at(page) as browser:
        assert (await browser.get(f"/static/{rest}")).status == 404


@pytest.mark.parametrize("path", PATHS)
async def test_no_page_has_anything_inline_or_from_elsewhere(page: StatusPage, path: str) -> None:
    """The policy above would stop it, so it would not work."""
    async with browser_at(page) as browser:
        text = (await browser.get(path)).text
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=\"/static/)|\son\w+=", text)
    assert not re.search(r"(?:src|action|hx-get)=\"(?!/)", text)


@pytest.mark.parametrize("path", ["/", "/records", "/static/bridge.css"])
async def test_a_name_that_is_pointed_here_by_its_owner_gets_nothing(page: StatusPage, path: str) -> None:
    async with browser_at(page) as browser:
        assert (await browser.get(path, headers={"Host": "evil.example"})).status == 421


async def test_the_session_is_random_and_for_this_page_only(page: StatusPage) -> None:
    names = set()
    for _ in range(2):
        async with browser_at(page) as browser:
            said = (await browser.get("/")).headers["Set-Cookie"]
            assert SESSION.fullmatch(said)
            names.add(said)
    assert len(names) == 2


# -- forms ------------------------------------------------------------------------------------------


async def test_a_form_without_the_sessions_token_is_refused(page: StatusPage, left: Organisation) -> None:
    where = f"/records/{page.record(left.ids['drifted']).number}/decide"
    async with browser_at(page) as browser, browser_at(page) as other:
        await browser.get("/")
        foreign = (await other.get("/")).hidden("csrf")
        for fields in ({}, {"csrf": ""}, {"csrf": foreign}, {"csrf": "ü"}):
            assert (await browser.post(where, {"verb": "accept", **fields})).status == 403
        for path in ("/search", "/many"):
            assert (await browser.post(path, {"wanted": "x"})).status == 403
    assert page.record(left.ids["drifted"]).state == State.DRIFTED


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "null"},
    ],
)
async def test_a_form_of_another_site_is_refused_even_with_the_token(
    page: StatusPage, left: Organisation, headers: dict[str, str]
) -> None:
    where = f"/records/{page.record(left.ids['drifted']).number}/decide"
    async with browser_at(page) as browser:
        token = (await browser.get("/")).hidden("csrf")
        fields = {"csrf": token, "verb": "accept", "shown": page.shown(left.ids["drifted"])}
        assert (await browser.post(where, fields, headers=headers)).status == 403
        assert page.record(left.ids["drifted"]).state == State.DRIFTED
        own = {"Origin": page.url, "Sec-Fetch-Site": "same-origin"}
        assert (await browser.post(where, fields, headers=own)).status == 200
    assert page.record(left.ids["drifted"]).state == State.DELIVERED


@pytest.mark.parametrize("path", ["/", "/records/1/now", "/many?verb=drop"])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_no_other_sites_image_or_script_is_answered_but_its_links_are(
    page: StatusPage, path: str, site: str
) -> None:
    """Else any page in the same browser could have Salestrekker read, or push sessions out."""
    async with browser_at(page) as browser:
        image = await browser.get(path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"})
        link = await browser.get(path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"})
    assert (image.status, "Set-Cookie" in image.headers) == (403, False)
    assert link.status == 200
    assert page.asked == ([("default", Stream.CONTACTS, page.asked[0][2])] if path.endswith("now") else [])


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("", b"csrf=\xff", 400),
        ("; charset=no-such", b"csrf=x", 415),
        ("; charset=unicode_escape", b"csrf=\\ud800", 415),
        (None, b"{}", 415),
    ],
)
async def test_what_no_browser_sends_is_refused_and_is_no_failure(
    takes_forms: tuple[StatusPage, str], kind: str | None, body: bytes, status: int
) -> None:
    page, path = takes_forms
    sent = "application/json" if kind is None else f"application/x-www-form-urlencoded{kind}"
    async with browser_at(page) as browser:
        await browser.get("/")
        async with browser.http.post(page.url + path, data=body, headers={"Content-Type": sent}) as answer:
            assert answer.status == status
        odd = await browser.post(path, {"csrf": "x"}, headers={"Origin": "http://[x"})
        assert odd.status == 403


async def test_a_form_is_not_read_beyond_its_limit_even_where_its_length_is_not_said(
    takes_forms: tuple[StatusPage, str],
) -> None:
    async def many() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"csrf=x&" * 1000

    page, path = takes_forms
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    async with browser_at(page) as browser:
        await browser.get("/")
        async with browser.http.post(page.url + path, data=many(), headers=kind) as answer:
            assert answer.status == 413


async def test_asking_changes_nothing(page: StatusPage, left: Organisation) -> None:
    """What decides takes no GET, so that no link and no image can decide."""
    async with browser_at(page) as browser:
        where = f"/records/{page.record(left.ids['drifted']).number}/decide"
        assert (await browser.get(f"{where}?verb=accept")).status == 405
        assert (await browser.get("/many?verb=accept&state=drifted")).status == 200
    assert page.record(left.ids["drifted"]).state == State.DRIFTED


async def test_a_form_that_is_too_large_is_refused(page: StatusPage) -> None:
    async with browser_at(page) as browser:
        form = await browser.get("/")
        assert (await browser.send(form, "/search", wanted="x" * 40_000)).status == 413


# -- the log-in -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
async def test_without_the_password_there_is_only_the_way_to_it(locked: StatusPage, path: str) -> None:
    async with browser_at(locked) as browser:
        said = await browser.get(path)
        assert said.url.startswith("/login?next=")
        assert "Password of the status page" in said.words
        assert "Same name" not in said.words
        part = await browser.get(path, headers={"HX-Request": "true"})
        assert part.text == ""
        assert part.headers["HX-Redirect"] == "/login?next=%2F"


async def test_health_is_told_without_it(locked: StatusPage) -> None:
    async with browser_at(locked) as browser:
        assert (await browser.get("/healthz")).text == "ok\n"


async def test_the_password_lets_in_to_where_one_wanted_to_be(locked: StatusPage) -> None:
    async with browser_at(locked) as browser:
        form = await browser.get("/records?state=drifted")
        inside = await browser.send(form, form.url, password=PASSWORD)
        assert inside.url == "/records?state=drifted"
        assert "Log out" in inside.words


async def test_the_session_begins_anew_with_the_log_in_and_ends_with_the_log_out(locked: StatusPage) -> None:
    async with browser_at(locked) as browser:
        form = await browser.get("/login")
        before = {cookie.value for cookie in browser.http.cookie_jar}
        inside = await browser.send(form, "/login", password=PASSWORD)
        (after,) = (cookie for cookie in browser.http.cookie_jar if cookie.key.startswith(COOKIE))
        assert inside.url == "/"
        assert after.value not in before
        stolen = f"{after.key}={after.value}"
        async with browser_at(locked) as thief:
            assert (await thief.get("/", headers={"Cookie": stolen})).url == "/"
        await browser.send(inside, "/logout")
        assert (await browser.get("/")).url.startswith("/login")
    async with browser_at(locked) as thief:
        assert (await thief.get("/", headers={"Cookie": stolen})).url.startswith("/login")


@pytest.mark.parametrize("wrong", ["", "correct horse", PASSWORD + "x", "x" * 2000])
async def test_a_wrong_password_lets_nobody_in(locked: StatusPage, wrong: str) -> None:
    async with browser_at(locked) as browser:
        assert await log_in(browser, wrong) == 403
        assert (await browser.get("/")).url.startswith("/login")


async def test_after_some_wrong_ones_even_the_right_one_has_to_wait(locked: StatusPage) -> None:
    async with browser_at(locked) as browser:
        assert [await log_in(browser, "wrong") for _ in range(TRIES)] == [403] * TRIES
        assert await log_in(browser) == 429


async def test_wrong_ones_of_others_keep_no_browser_waiting_that_was_let_in_before(
    locked: StatusPage,
) -> None:
    """Behind a tunnel all have one address: five wrong passwords locked the right one out for everybody."""
    async with browser_at(locked) as browser, browser_at(locked) as other:
        assert await log_in(browser) == 200
        assert [await log_in(other, "wrong") for _ in range(TRIES + 1)] == [403] * TRIES + [429]
        await browser.send(await browser.get("/"), "/logout")
        assert await log_in(browser) == 200
        await browser.send(await browser.get("/"), "/logout")
        assert [await log_in(browser, "wrong") for _ in range(TRIES + 1)] == [403] * TRIES + [429]


async def test_who_asks_for_the_log_in_ends_no_others(locked: StatusPage) -> None:
    """256 of them ended one that was under way."""
    async with browser_at(locked) as browser, browser_at(locked) as other:
        form = await browser.get("/login")
        for _ in range(300):
            other.http.cookie_jar.clear()
            await other.get("/login")
        assert (await browser.send(form, "/login", password=PASSWORD)).status == 200


@pytest.mark.parametrize(("proto", "secure"), [("https", True), ("https, http", True), ("http", False)])
async def test_cookies_are_kept_from_open_connections_behind_tls(
    locked: StatusPage, proto: str, *, secure: bool
) -> None:
    async with browser_at(locked) as browser:
        said = await browser.get("/login", headers={"X-Forwarded-Proto": proto})
        assert ("Secure" in said.headers["Set-Cookie"]) is secure


async def test_a_log_in_form_of_another_session_is_refused(locked: StatusPage) -> None:
    async with browser_at(locked) as browser, browser_at(locked) as other:
        foreign = await other.get("/login")
        await browser.get("/login")
        assert (await browser.send(foreign, "/login", password=PASSWORD)).status == 403


@pytest.mark.parametrize(
    "where",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "evil",
        "//[",
        "/a\\b",
    ],
)  # fmt: skip
async def test_the_log_in_leads_to_this_site_only(locked: StatusPage, where: str) -> None:
    async with browser_at(locked) as browser:
        form = await browser.get("/login")
        path = f"/login?next={where}"
        answer = await browser.post(
            path, {"csrf": form.hidden("csrf"), "password": PASSWORD}, allow_redirects=False
        )
        assert (answer.status, answer.headers["Location"]) == (303, "/")


async def test_a_link_from_elsewhere_ends_no_session(locked: StatusPage) -> None:
    """It comes without the session's cookie (SameSite) and leads to the log-in, which has its own cookie."""
    async with browser_at(locked) as browser:
        await log_in(browser)
        async with aiohttp.ClientSession() as elsewhere, elsewhere.get(locked.url) as answer:
            browser.http.cookie_jar.update_cookies(answer.cookies, answer.url)
        assert (await browser.get("/")).url == "/"


async def test_two_bridges_on_one_machine_keep_their_sessions_apart(folder: Path, tmp_path: Path) -> None:
    """A browser has one set of cookies for all ports of a machine."""
    other = shutil.copytree(folder, tmp_path / "other")
    async with served(folder) as first, served(other) as second, browser_at(first) as browser:
        form = await browser.get("/")
        async with browser.http.get(second.url) as answer:
            assert answer.status == 200
        assert (await browser.send(form, "/search", wanted="nobody")).status == 200


# -- the parts --------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_ends_after_its_life_and_the_oldest_makes_room() -> None:
    clock = Clock()
    sessions = SessionStore(2, 10.0, clock)
    first, second = sessions.begin()[0], sessions.begin()[0]
    assert sessions.of(first) is not None, "so it was used last"
    third, _ = sessions.begin()
    assert [sessions.of(name) is not None for name in (first, second, third)] == [True, False, True]
    clock.now += 10
    assert sessions.of(first) is None
    assert sessions.of(None) is None


def test_a_guest_is_known_by_a_signature_and_for_a_while() -> None:
    clock = Clock()
    tokens, others = LogInTokens(10.0, clock), LogInTokens(10.0, clock)
    cookie, token = tokens.begin()
    assert tokens.has_token(cookie, token)
    forged = cookie.replace(cookie.partition(".")[0], "99999", 1)
    for other, given in (
        (cookie, "x"),
        (cookie, ""),
        (forged, token),
        ("", token),
        (None, token),
        ("é.é", "é"),
    ):
        assert not tokens.has_token(other, given)
    assert not others.has_token(cookie, token)
    assert not tokens.browser(cookie), "it is signed for another use"
    assert tokens.browser(tokens.admit())
    assert not others.browser(tokens.admit())
    clock.now += 10
    assert not tokens.has_token(cookie, token)


async def test_each_address_waits_for_itself_and_not_for_ever() -> None:
    clock = Clock()
    log_in = LogInLimiter(SlowPassword("right", cost=2), clock)
    for _ in range(TRIES):
        assert not (await log_in.try_("192.0.2.1", "wrong")).fits
    assert (await log_in.try_("192.0.2.1", "right")).wait == WITHIN
    assert (await log_in.try_("192.0.2.2", "right")).fits
    clock.now += WITHIN
    assert (await log_in.try_("192.0.2.1", "right")).fits


async def test_guesses_at_once_are_no_more_than_one_after_the_other() -> None:
    log_in = LogInLimiter(SlowPassword("right", cost=2), Clock())
    verdicts = await asyncio.gather(*(log_in.try_("192.0.2.1", "wrong") for _ in range(TRIES + 3)))
    assert sum(not verdict.wait for verdict in verdicts) == TRIES


async def test_guesses_that_queue_up_are_sent_away() -> None:
    log_in = LogInLimiter(SlowPassword("right", cost=2), Clock())
    verdicts = await asyncio.gather(*(log_in.try_(f"192.0.2.{last}", "wrong") for last in range(20)))
    assert {verdict.fits for verdict in verdicts} == {False}
    assert sum(bool(verdict.wait) for verdict in verdicts) == 12


async def test_all_guesses_take_the_memory_of_one() -> None:
    """Each thread that has made a slow hash keeps 16 MiB; a log-in that anybody asks for had six of them."""
    threads: set[int] = set()

    class Watched(SlowPassword):
        def fits(self, given: str) -> bool:
            threads.add(threading.get_ident())
            return super().fits(given)

    log_in = LogInLimiter(Watched("right", cost=2), Clock())
    for last in range(20):
        await asyncio.gather(log_in.try_(f"192.0.2.{last}", "wrong"), asyncio.to_thread(threading.get_ident))
    log_in.close()
    assert len(threads) == 1


def test_the_password_is_known_by_a_hash_of_its_own_salt() -> None:
    first, second = SlowPassword("right"), SlowPassword("right")
    assert first.fits("right")
    assert not first.fits("Right")
    assert "right" not in repr(vars(first))
    assert vars(first)["_hash"] != vars(second)["_hash"]
