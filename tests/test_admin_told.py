"""The same truth on every face: the page, `status`, `status --json` and `/metrics` of one ledger.

::

    organisation's ledger, with pauses and webhooks ──┬──> /, /records
                                                      ├──> /metrics
                                                      ├──> trakor-bridge status
                                                      └──> trakor-bridge status --json
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from books import kept
from bridge.ledger.database import reading, writing
from bridge.ledger.read_model import last_rejections
from bridge.ledger.schema import records
from bridge.ledger.stored_pauses import Direction, set_pause
from bridge.ledger.webhook_queue import store_webhooks
from bridge.records import ReceivedWebhook, State, Stream
from bridge.status.vocabulary import DECISIONS
from desk import Desk, Organisation, organisation
from status_page import NOW, Browser, StatusPage, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HOUR = 3_600_000


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    return asyncio.run(organisation(tmp_path_factory.mktemp("organisation")))


@pytest.fixture
def desk(
    left: Organisation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    """A record in each state, each kind of pause, webhooks that wait and one that nobody understood."""
    desk = Desk(tmp_path, monkeypatch, capsys).copy(left)
    with writing(tmp_path / "ledger.db", kept(tmp_path / "ledger.db")) as connection:
        for direction, by_person in ((Direction.READING, True), (f"{Direction.SENDING} products", False)):
            set_pause(
                connection, "default", direction, reason="for a test", now=NOW - HOUR, by_person=by_person
            )
        store_webhooks(
            connection, [webhook("contact-updated"), webhook("contact-updated"), webhook("no-such")]
        )
        filtered = records.c.source_id == left.ids["delivered"]
        connection.execute(records.update().where(filtered).values(filtered=1))
    return desk


def webhook(action: str) -> ReceivedWebhook:
    problem = {} if action == "contact-updated" else {"body": "{}", "problem": "unknown-action"}
    return ReceivedWebhook("default", action, "c1", NOW - 500, **problem)


@pytest.fixture
async def page(desk: Desk) -> AsyncIterator[StatusPage]:
    async with served(desk.folder) as page:
        yield page


@pytest.fixture
async def browser(page: StatusPage) -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield Browser(http, page.url)


Numbers = dict[str, dict[str, int]]


def samples(metrics: str, name: str, label: str) -> Numbers:
    """A metric's numbers by stream and label."""
    found: Numbers = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == f"trakor_bridge_{name}":
                of = sample.labels
                found.setdefault(of.get("stream", ""), {})[of.get(label, "")] = int(sample.value)
    return found


def table_of_status(out: str) -> Numbers:
    """The numbers of `status` by stream and row; a row that is not there is one of 0."""
    rows = re.findall(r"^(?:of these )?([a-z]+) +([\d,]+) +([\d,]+)$", out, re.MULTILINE)
    return {
        str(stream): {row[0]: int(row[place].replace(",", "")) for row in rows}
        for place, stream in enumerate(Stream, start=1)
    }


def table_of_page(text: str) -> Numbers:
    """The numbers of the page's list of streams, by stream and column."""
    (table,) = re.findall(r'<table class="streams">(.*?)</table>', text, re.DOTALL)
    cell = re.compile(r'<td data-of="([^"]+)">(?:<a [^>]*>)?<span[^>]*>([\d,]+)</span>')
    return {
        re.findall(r'<th scope="row">(\w+)<', row)[0].lower(): {
            name: int(number.replace(",", "")) for name, number in cell.findall(row)
        }
        for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]
    }


async def test_each_state_has_the_same_number_everywhere(desk: Desk, browser: Browser) -> None:
    document = desk("status", "--json").json["connections"]["default"]["streams"]
    states: Numbers = {stream: of["states"] for stream, of in document.items()}
    assert {state for of in states.values() for state, number in of.items() if number} == {*State} - {
        State.DROPPED
    }
    assert samples((await browser.get("/metrics")).text, "records", "state") == states
    printed = table_of_status(desk("status").out)
    assert {s: {state: printed[s].get(state, 0) for state in State} for s in Stream} == states
    page = table_of_page((await browser.get("/")).text)
    assert page.keys() == states.keys()
    for stream, of in states.items():
        assert page[stream]["Need a decision"] == sum(of[state] for state in DECISIONS)
        assert page[stream]["On the way"] == of[State.PENDING]
        assert sum(page[stream].values()) >= sum(of.values()), "each record has its column"


async def test_what_waits_has_the_same_number_on_the_list(desk: Desk, browser: Browser) -> None:
    waiting = sum(
        of["states"][state]
        for of in desk("status", "--json").json["connections"]["default"]["streams"].values()
        for state in DECISIONS
    )
    assert f"{waiting} need a decision" in desk("status").out
    assert f"{waiting} need a decision." in (await browser.get("/")).words
    listed = await browser.get("/records")
    assert f"{waiting} records need a decision." in listed.words
    assert len(re.findall(r'<th scope="row"><a href="/records/', listed.text)) == waiting
    rows = desk("records", "list", "--json", "--state", ",".join(DECISIONS)).out
    assert rows.count('"state"') == waiting


async def test_marks_have_the_same_number_everywhere(desk: Desk, browser: Browser) -> None:
    document = desk("status", "--json").json["connections"]["default"]["streams"]
    marks: Numbers = {stream: of["marks"] for stream, of in document.items()}
    assert marks["contacts"] == {"gone": 1, "filtered": 1, "remapped": 0, "dismissed": 0}
    assert samples((await browser.get("/metrics")).text, "marks", "mark") == marks
    printed = table_of_status(desk("status").out)["contacts"]
    assert {mark: printed[mark] for mark in ("gone", "filtered")} == {"gone": 1, "filtered": 1}
    words = (await browser.get("/")).words
    assert "1 is no longer in Salestrekker and 1 is now excluded" in words


async def test_what_stands_still_is_told_everywhere(desk: Desk, browser: Browser) -> None:
    """Reading by a person, and sending of one stream alone."""
    document = desk("status", "--json").json["connections"]["default"]
    assert [document[flow]["state"] for flow in ("reading", "sending")] == ["paused", "paused"]
    metrics = (await browser.get("/metrics")).text
    assert samples(metrics, "reading_paused", "connection") == {"": {"default": 1}}
    assert samples(metrics, "sending_paused", "connection") == {
        "contacts": {"default": 0}, "products": {"default": 1},
    }  # fmt: skip
    printed, page = desk("status").out, (await browser.get("/")).words
    assert "Reading from Salestrekker is paused since" in printed
    assert "Reading from Salestrekker is paused since" in page
    assert "Sending products to Trakor is paused since" in printed
    assert "Sending products to Trakor has stopped since" in page


async def test_webhooks_have_the_same_number_everywhere(desk: Desk, browser: Browser) -> None:
    webhooks = desk("status", "--json").json["connections"]["default"]["webhooks"]
    assert {word: webhooks[word] for word in ("received", "waiting", "unreadable")} == {
        "received": 3, "waiting": 2, "unreadable": 1,
    }  # fmt: skip
    metrics = (await browser.get("/metrics")).text
    for name, number in (("received_total", 3), ("waiting", 2), ("unreadable_total", 1)):
        assert samples(metrics, f"webhooks_{name}", "connection") == {"": {"default": number}}
    printed, page = desk("status").out, await browser.get("/")
    assert "3 webhooks received" in printed
    assert "2 not processed yet" in printed
    assert "1 not understood" in printed
    assert "Webhooks waiting 2" in page.words
    assert "Not understood 1" in page.words
    (table,) = re.findall(r'<table class="actions">(.*?)</table>', page.text, re.DOTALL)
    assert sum(map(int, re.findall(r"<td><span[^>]*>(\d+)</span></td>", table))) == 3


async def test_sweeps_are_the_same_everywhere(desk: Desk, browser: Browser, page: StatusPage) -> None:
    """When each list was read to its end."""
    document = desk("status", "--json").json["connections"]["default"]["streams"]
    shown = (await browser.get("/")).text
    ends = {}
    for family in text_string_to_metric_families((await browser.get("/metrics")).text):
        if family.name == "trakor_bridge_last_complete_sweep_timestamp_seconds":
            ends = {sample.labels["stream"]: sample.value for sample in family.samples}
    known = (await page.snapshot()).connections["default"].streams
    assert {stream: at * 1000 for stream, at in ends.items()} == {
        stream: one.complete_at for stream, one in known.items()
    }
    for of in document.values():
        assert f'datetime="{of["last_sweep"]["ended_at"]}"' in shown


async def test_a_rejection_says_in_the_list_what_is_wrong_and_where_to_correct_it(
    desk: Desk, page: StatusPage, browser: Browser, left: Organisation
) -> None:
    """The newest line on it, in words; the record itself is opened where it is corrected."""
    text = (await browser.get("/records?state=rejected")).text
    assert "price: gives a negative number" in text
    assert text.count("https://app.salestrekker.example") == 2
    assert left.ids["mapping"] in text
    number = page.record(left.ids["mapping"]).number
    assert "price: gives a negative number" in desk("records", "show", left.ids["mapping"]).out
    with reading(page.ledger.path) as connection:
        assert last_rejections(connection, []) == {}
        assert [*last_rejections(connection, [number])] == [number]


async def test_a_field_has_its_name_in_words(browser: Browser, page: StatusPage, left: Organisation) -> None:
    """Whoever looks at the page has never seen a map."""
    for path in ("/records?state=drifted", f"/records/{page.record(left.ids['drifted']).number}"):
        words = (await browser.get(path)).words
        assert "contact details" in words.lower()
        assert "contact_info" not in words
