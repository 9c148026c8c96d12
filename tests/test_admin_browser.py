"""The status page in a real browser, with the daemon behind it and both systems simulated.

::

    sandbox <──> daemon ──> status page <── Chromium, by Playwright ── clicks

What is clicked is looked for where it must arrive: in the ledger, and in the sandbox's Trakor.
"""

from __future__ import annotations

import os
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright, expect

from books import kept
from bridge.ledger.database import writing
from bridge.ledger.stored_pauses import Direction, set_pause
from bridge.sandbox import Options, Sandbox
from bridges import Bridge
from daemons import Daemon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from playwright.async_api import Browser, Page, Route

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCRIPT = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
LONG = 15_000
"""Milliseconds after which something hangs, also on a busy machine."""

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.acceptance,
    pytest.mark.skipif(
        CHROMIUM is None and "CI" not in os.environ, reason="needs a Chromium: `apt-get install chromium`"
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window, begun once: that takes longer than most of its tests."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def start_sandbox() -> AsyncIterator[Callable[[Options], Awaitable[Sandbox]]]:
    """Starts sandboxes on the loop that the browser is used on."""
    async with AsyncExitStack() as stack:

        async def start(options: Options) -> Sandbox:
            return await stack.enter_async_context(Sandbox(options))

        yield start


class Site:
    """The daemon's status page, a tab that shows it, and what the tab complained of."""

    def __init__(self, daemon: Daemon, sandbox: Sandbox, tab: Page, ids: dict[str, str]) -> None:
        self.daemon = daemon
        self.sandbox = sandbox
        self.tab = tab
        self.ids = ids
        self.complaints: list[str] = []
        host, port = daemon.started.admin
        self.url = f"http://{host}:{port}"
        tab.set_default_timeout(LONG)
        tab.on("console", lambda said: self.complaints.append(said.text))
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))

    async def go(self, path: str) -> None:
        """Show a page."""
        await self.tab.goto(self.url + path)

    async def open(self, which: str) -> None:
        """Find a record by its id, as a person does."""
        await self.go("/")
        await self.tab.get_by_label("Id, SKU or exact name").fill(self.ids[which])
        await self.tab.get_by_role("button", name="Search").click()
        await expect(self.tab.get_by_role("heading", name="What happened")).to_be_visible()

    def parties(self) -> list[str]:
        """The names in the sandbox's Trakor."""
        return sorted(self.sandbox.trakor.parties.names())

    def state(self, which: str) -> str:
        """A record's state in the ledger."""
        return self.daemon.bridge.books.contact(self.ids[which]).state


@pytest_asyncio.fixture(loop_scope="module")
async def site(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]], tmp_path: Path, chromium: Browser
) -> AsyncIterator[Site]:
    """A renamed contact, two of one name, a changed one, and one whose name is a script."""
    sandbox = await start_sandbox(Options(contacts=0, products=0))
    contacts = sandbox.contacts
    ids = {
        "renamed": contacts.add("Jane Smith", email="jane@example.org"),
        "drifted": contacts.add("Bruce Wayne", email="bruce@example.org"),
        "first": contacts.add("Pat Lee"),
        "same-name": contacts.add("pat lee"),
        "script": contacts.add(SCRIPT),
        "script-twin": contacts.add(SCRIPT),
    }
    bridge = Bridge(tmp_path, sandbox)
    await bridge.backfill()
    contacts.rename(ids["renamed"], "Jane Smythe")
    contacts.change_email(ids["drifted"], "bruce@example.com")
    await bridge.backfill()
    async with Daemon(bridge) as daemon:
        context = await chromium.new_context(viewport={"width": 1280, "height": 900})
        yield Site(daemon, sandbox, await context.new_page(), ids)
        await context.close()


async def test_the_overview_says_what_waits_and_leads_there(site: Site) -> None:
    await site.go("/")
    await expect(site.tab.get_by_text("Needs attention")).to_be_visible()
    await site.tab.get_by_role("link", name="Renamed").click()
    await expect(site.tab.get_by_role("link", name="Jane Smythe")).to_be_visible()
    assert site.complaints == []


@pytest.mark.parametrize("answers", [False, True])
async def test_a_page_that_is_left_open_says_when_the_bridge_does_not_answer(
    site: Site,
    answers: bool,  # noqa: FBT001 - a test's argument
) -> None:
    """All that it shows is old then, however well it looks; and it says so no longer than that lasts."""

    async def fail(route: Route) -> None:
        if answers:
            await route.fulfill(status=503, headers={"HX-Reswap": "none"}, body="the ledger is damaged")
        else:
            await route.abort()

    await site.go("/")
    told = site.tab.get_by_text("this page is out of date")
    await expect(told).to_be_hidden()
    await site.tab.route("**/live", fail)
    await expect(told).to_be_visible(timeout=LONG)
    await expect(site.tab.get_by_text("Needs attention")).to_be_visible()
    await site.tab.unroute("**/live")
    await expect(told).to_be_hidden(timeout=LONG)


async def test_a_rename_is_accepted_by_clicking(site: Site) -> None:
    await site.open("renamed")
    for name in ("Jane Smith", "Jane Smythe"):  # as Trakor has it, beside what Salestrekker says now
        await expect(site.tab.get_by_role("cell", name=name, exact=True)).to_have_count(1)
    await site.tab.get_by_role("button", name="Accept").click()
    await expect(site.tab.get_by_text("Done: it will be sent as “Jane Smythe”.")).to_be_visible()
    await site.daemon.settled()
    assert site.state("renamed") == "delivered"
    assert {"Jane Smith", "Jane Smythe"} <= {*site.parties()}
    assert site.complaints == []


async def test_one_of_two_of_one_name_is_given_a_name(site: Site) -> None:
    await site.open("same-name")
    await site.tab.get_by_label("Another name").fill("Pat Lee of Perth")
    await site.tab.get_by_role("button", name="Send under this name").click()
    await expect(site.tab.get_by_text("Done:")).to_be_visible()
    await site.daemon.settled()
    assert site.state("same-name") == "delivered"
    assert "Pat Lee of Perth" in site.parties()


async def test_a_drift_is_accepted_by_clicking(site: Site) -> None:
    """Nothing is sent: it was corrected by hand. What Salestrekker says now stands there to copy from."""
    await site.open("drifted")
    await expect(site.tab.get_by_role("cell", name="bruce@example.com")).to_be_visible()
    sent = site.parties()
    await site.tab.get_by_role("button", name="Accept").click()
    await expect(site.tab.get_by_text("Done: it counts as delivered.")).to_be_visible()
    assert site.state("drifted") == "delivered"
    assert site.parties() == sent


async def test_many_are_dropped_after_a_question(site: Site) -> None:
    await site.go("/records?state=held&reason=same-name")
    await site.tab.get_by_role("button", name="Drop 2…").click()
    await expect(site.tab.get_by_role("heading", name="Drop 2 records?")).to_be_visible()
    assert site.state("same-name") == "held: same-name"
    await site.tab.get_by_role("button", name="Yes, drop 2").click()
    await expect(site.tab.get_by_text("2 records were dropped.")).to_be_visible()
    assert site.state("same-name") == "dropped"


async def test_a_script_in_a_name_does_not_run(site: Site) -> None:
    for path in ("/records", "/records?state=held"):
        await site.go(path)
        await expect(site.tab.get_by_text("onerror").first).to_be_visible()
    await site.open("script-twin")
    await expect(site.tab.get_by_role("heading", name="onerror")).to_be_visible()
    assert await site.tab.title() != "run"
    assert await site.tab.locator("img").count() == 0
    assert site.complaints == []


async def test_the_page_keeps_itself_up_to_date_and_the_focus_where_it_is(site: Site) -> None:
    await site.go("/")
    link = site.tab.get_by_role("link", name="Renamed")
    await link.focus()
    await site.tab.evaluate("window.same = document.activeElement")
    with writing(
        site.daemon.bridge.folder / "ledger.db", kept(site.daemon.bridge.folder / "ledger.db")
    ) as connection:
        set_pause(connection, "default", Direction.SENDING, reason="by hand", now=1, by_person=True)
    await expect(site.tab.get_by_text("Sending to Trakor is paused")).to_be_visible(timeout=LONG)
    assert await site.tab.evaluate("window.same === document.activeElement && window.same.isConnected")
    assert site.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_everybody_can_use_it(site: Site, scheme: Any, width: int) -> None:  # noqa: ANN401 - Playwright's words
    """Axe finds nothing serious on any page, and nothing is wider than the window."""
    await site.tab.emulate_media(color_scheme=scheme)
    await site.tab.set_viewport_size({"width": width, "height": 800})
    await site.open("renamed")
    number = site.tab.url.rpartition("/")[2]
    for path in ("/", "/records", f"/records/{number}", "/many?verb=accept", "/records/999"):
        await site.go(path)
        if path.endswith(number):
            await expect(site.tab.get_by_text("just read from Salestrekker")).to_be_visible()
        wide = await site.tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{path} is {wide} pixels too wide"
        await site.tab.evaluate(AXE.read_text("utf-8"))
        found = await site.tab.evaluate("axe.run().then(found => found.violations)")
        assert [(one["id"], one["nodes"][0]["html"]) for one in found] == [], path


async def test_it_works_with_the_keyboard_alone(site: Site) -> None:
    await site.go("/")
    await site.tab.keyboard.press("Tab")
    await expect(site.tab.get_by_role("link", name="Skip to content")).to_be_focused()
    await site.tab.keyboard.press("Enter")
    await site.tab.keyboard.press("Tab")
    focused = await site.tab.evaluate("document.activeElement.closest('main') !== null")
    outline = await site.tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert (focused, outline) == (True, "solid")


# -- pictures ---------------------------------------------------------------------------------------

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
TOO_LARGE = 200_000
"""Bytes that no picture has."""


@pytest_asyncio.fixture(loop_scope="module")
async def practice(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]], tmp_path: Path, chromium: Browser
) -> AsyncIterator[Site]:
    """A practice on an ordinary day: hundreds of contacts, and a few that wait for somebody."""
    sandbox = await start_sandbox(Options(contacts=420, products=0))
    contacts = sandbox.contacts
    ids = {name: contacts.add(name, email=f"{name.split()[0].lower()}@example.org") for name in CLIENTS}
    twins = [contacts.add("Daniel Kim") for _ in range(2)]
    for number in range(1, 37):
        sandbox.products.add(f"Basic Variable {number}", lender="Example Bank", price=10 * number)
    sandbox.products.add("Fixed 5 years", lender="Example Bank", price=-1)
    often: dict[str, dict[str, object]] = {
        "schedule": {"contacts": "15m", "products": "12h", "reconcile": "12h"}
    }
    bridge = Bridge(tmp_path, sandbox, often)
    await bridge.backfill()
    contacts.rename(ids["Olivia Nguyen"], "Olivia Tran")
    contacts.change_email(ids["Bruce Wayne"], "bruce@example.com")
    contacts.change_email(ids["Amelia Brown"], "amelia@example.com")
    await bridge.backfill()
    _remember_a_month(tmp_path / "ledger.db")
    async with Daemon(bridge) as daemon:
        for name in ("Jack Wilson", "Mia Chen"):
            assert await daemon.webhook("contact-updated", {"id": ids[name]}) == 202
        await daemon.settled()
        context = await chromium.new_context(viewport={"width": 1120, "height": 1000}, color_scheme="light")
        yield Site(daemon, sandbox, await context.new_page(), ids | {"same-name": twins[0]})
        await context.close()


CLIENTS = ("Olivia Nguyen", "Bruce Wayne", "Amelia Brown", "Jack Wilson", "Mia Chen")


def _remember_a_month(ledger: Path) -> None:
    """As if the deliveries of two backfills had come over a month: a picture of bars needs some."""
    with writing(ledger, kept(ledger)) as connection:
        feed, hour = connection.exec_driver_sql("SELECT min(feed), max(hour) FROM deliveries").one()
        connection.exec_driver_sql("DELETE FROM deliveries")
        for past in range(720):
            at_work = 8 <= (hour - past) % 24 < 18 and past // 24 % 7 < 5
            number = (past * past * 13 + past // 24 * 5) % 11 % 7 * at_work
            connection.exec_driver_sql(
                "INSERT INTO deliveries VALUES (?, ?, ?, 0)", (feed, hour - past, number)
            )


async def test_the_pictures_of_the_pages_show_what_there_is(
    practice: Site, pytestconfig: pytest.Config
) -> None:
    """The pages that the documents show say what they say there; ``pytest --pictures`` draws them anew."""
    shown = {
        "overview": ("/", "What needs a decision", 1225),
        "list": ("/records", "Differs from Trakor", 840),
        "record": ("", "just read from Salestrekker", 1000),
    }
    assert {path.stem for path in PICTURES.glob("*")} == {*shown}
    for name, (path, words, height) in shown.items():
        await practice.tab.set_viewport_size({"width": 1120, "height": height})
        if path:
            await practice.go(path)
        else:
            await practice.open("Olivia Nguyen")
        await expect(practice.tab.get_by_text(words).first).to_be_visible()
        if pytestconfig.getoption("--pictures"):
            await practice.tab.screenshot(path=PICTURES / f"{name}.png")
        assert 5_000 < (PICTURES / f"{name}.png").stat().st_size < TOO_LARGE
    assert practice.complaints == []
