"""What Trakor has otherwise, on the status page: old beside new, corrected or left, one or many."""

from __future__ import annotations

import asyncio
import re
import shutil
from typing import TYPE_CHECKING

import aiohttp
import pytest

from bridge.ledger.read_model import FieldChange
from bridge.records import State
from bridge.status.record_comparison import difference
from changed import WORDS, Left, changed_organisation
from status_page import Browser, StatusPage, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

QUIET = "stays as it is in Trakor, and is not reported again until it changes in Salestrekker."


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    make = tmp_path_factory.mktemp
    return asyncio.run(changed_organisation(make("changed"), make("remapped")))


@pytest.fixture
def ids(left: Left) -> dict[str, str]:
    return left.changed.ids


@pytest.fixture
async def page(left: Left, tmp_path: Path) -> AsyncIterator[StatusPage]:
    shutil.copytree(left.remapped.folder, tmp_path, dirs_exist_ok=True)
    async with served(tmp_path) as page:
        yield page


@pytest.fixture
async def browser(page: StatusPage) -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield Browser(http, page.url)


def rows(text: str) -> list[str]:
    """The lines of a list, as words."""
    found = re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>", " ", one).split()) for one in found]


async def test_a_list_says_whose_each_is_and_what_changed(browser: Browser) -> None:
    """Of contact details only the parts that differ."""
    listed = rows((await browser.get("/records?state=drifted&stream=products")).text)
    assert any("Bank Basic" in row and "Price: 10.00 → , now 12.00" in row for row in listed)
    renamed = rows((await browser.get("/records?reason=renamed")).text)
    assert any("Name: Cy Brown → , now Cy Green" in row for row in renamed)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("Ann | 1 | a@x", "Ann | 2 | a@x", ("1", "2")),
        ("Ann | 1", "Ann", ("Ann | 1", "Ann")),
        ("", "Ann | 1", ("empty", "Ann | 1")),
        (None, "Ann | 1", ("unknown", "Ann | 1")),
        ("Ann | 1", None, ("Ann | 1", "unknown")),
        ("x" * 99, "y", ("x" * 79 + "…", "y")),
    ],
)
def test_of_contact_details_the_parts_that_differ_are_told(
    old: str | None, new: str | None, told: tuple[str, str]
) -> None:
    """Never so that a part that was taken away looks as if nothing were left."""
    was, now = difference(FieldChange("contact_info", old, new))
    assert (was.text, now.text) == told


async def test_the_marks_have_lists_of_their_own(
    browser: Browser, page: StatusPage, ids: dict[str, str]
) -> None:
    overview = await browser.get("/")
    assert re.search(r"\d+ are made by an older configuration", overview.words)
    listed = await browser.get("/records?mark=remapped")
    assert "made by an older configuration." in listed.words
    assert any("Pat Lee" in row and ids["delivered"] in row for row in rows(listed.text))
    assert 'href="/records?connection=default&amp;mark=remapped"' in overview.text
    assert "Made by an older configuration" in (await browser.get("/records")).words
    assert page.record(ids["delivered"]).state == State.DELIVERED


@pytest.mark.parametrize("query", ["mark=gone", "mark=remapped&state=held", "mark=x"])
async def test_a_list_that_there_is_not_is_not_found(browser: Browser, query: str) -> None:
    assert (await browser.get(f"/records?{query}")).status == 404


async def test_one_is_left_as_it_is_and_listed_as_such(
    browser: Browser, page: StatusPage, ids: dict[str, str]
) -> None:
    where = f"/records/{page.record(ids['renamed']).number}"
    said = await browser.send(await browser.get(where), f"{where}/decide", verb="dismiss")
    assert f"Done: it {QUIET}" in said.words
    assert page.record(ids["renamed"]).marks == ("dismissed",)
    assert page.history(ids["renamed"])[-1].by == "on the status page, from 127.0.0.1"
    listed = await browser.get("/records?mark=dismissed")
    assert "1 record left as in Trakor." in listed.words
    assert ids["renamed"] in listed.text
    assert "You see a summary" not in listed.words, "there is nothing to decide for all of them"
    assert "1 is left as in Trakor by an operator" in (await browser.get("/")).words


@pytest.mark.parametrize(("verb", "marks"), [("accept", ()), ("dismiss", ("dismissed",))])
async def test_all_of_a_mark_are_decided_on_together(
    browser: Browser, page: StatusPage, ids: dict[str, str], verb: str, marks: tuple[str, ...]
) -> None:
    asked = await browser.get(f"/many?verb={verb}&mark=remapped&stream=contacts")
    assert "Made by an older configuration" in asked.words
    done = await browser.send(asked, "/many", order=asked.hidden("order"))
    assert done.status == 200
    assert page.record(ids["delivered"]).marks == marks
    assert page.record(ids["renamed"]).state == State.HELD, "what waits for more than the mark stays"


async def test_all_that_drifted_are_left_as_they_are(
    browser: Browser, page: StatusPage, ids: dict[str, str]
) -> None:
    asked = await browser.get("/many?verb=dismiss&state=drifted&stream=products")
    assert "Each stays as it is in Trakor." in asked.words
    done = await browser.send(asked, "/many", order=asked.hidden("order"))
    assert "1 record was left as in Trakor." in done.words
    assert page.record(ids["product"]).marks == ("dismissed",)


async def test_father_and_son_stand_side_by_side(
    browser: Browser, page: StatusPage, ids: dict[str, str]
) -> None:
    father, son = (page.record(ids[who]).number for who in ("father", "son"))
    shown = await browser.get(f"/records/{son}")
    assert f'<a href="/records/{father}">' in shown.text
    assert "They are one person: it shares the record of" in shown.words
    now = (await browser.get(f"/records/{son}/now")).words
    assert "Other record" in now
    assert "poe@example.org" in now
    assert "570 006" not in now, "Trakor has that number: the father says another one by now"


async def test_trakors_own_words_are_shown(left: Left, tmp_path: Path) -> None:
    shutil.copytree(left.changed.folder, tmp_path, dirs_exist_ok=True)
    jar = aiohttp.CookieJar(unsafe=True)
    async with served(tmp_path) as page, aiohttp.ClientSession(cookie_jar=jar) as http:
        where = f"/records/{page.record(left.changed.ids['refused']).number}"
        shown = await Browser(http, page.url).get(where)
    assert WORDS in shown.words
    assert "Trakor answered:" in shown.words


async def test_what_was_read_last_is_shown_if_salestrekker_cannot_be_asked(
    browser: Browser, page: StatusPage, ids: dict[str, str]
) -> None:
    """Old beside new also while reading fails; else what Salestrekker says now stands in that place."""
    where = f"/records/{page.record(ids['renamed']).number}/now"
    unread = (await browser.get(where)).words
    assert "Salestrekker, when last read" in unread
    assert "Name differs Cy Brown Cy Green" in unread
    page.says[ids["renamed"]] = {"name": "Cy Black", "contact_info": "cy@example.org"}
    read = (await browser.get(where)).words
    assert "when last read" not in read
    assert "Name differs Cy Brown Cy Black" in read
