"""The status page over real sockets: what it says, what it lets happen, and whom it lets in."""

from __future__ import annotations

import asyncio
import re
import shutil
from typing import TYPE_CHECKING

import aiohttp
import pytest

from books import kept
from bridge.admin.bulk_actions import MOST_ORDERS
from bridge.errors import LedgerError, Transient
from bridge.ledger.database import writing
from bridge.ledger.schema import (
    canaries,
    claims,
    contents,
    history,
    links,
    records,
    stored_texts,
    sweeps,
    tallies,
)
from bridge.ledger.stored_pauses import Direction, set_pause
from bridge.records import State
from desk import Organisation, organisation
from status_page import NOW, Browser, StatusPage, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    return asyncio.run(organisation(tmp_path_factory.mktemp("organisation")))


@pytest.fixture
async def page(left: Organisation, tmp_path: Path) -> AsyncIterator[StatusPage]:
    """The page of an organisation that has a record in each state."""
    shutil.copytree(left.folder, tmp_path, dirs_exist_ok=True)
    async with served(tmp_path) as page:
        yield page


@pytest.fixture
async def browser(page: StatusPage) -> AsyncIterator[Browser]:
    """A browser without scripts, at the page."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield Browser(http, page.url)


def number(page: StatusPage, source_id: str) -> int:
    return page.record(source_id).number


# -- the overview -----------------------------------------------------------------------------------


async def test_the_overview_says_first_what_is_there_and_what_waits(browser: Browser) -> None:
    said = await browser.get("/")
    assert said.status == 200
    assert "Needs attention" in said.words
    assert "7 need a decision." in said.words
    assert "Same name" in said.words
    assert "Differs from Trakor" in said.words


async def test_the_numbers_of_each_run_add_up(browser: Browser) -> None:
    """As the page itself says: once in “Read”, once in one of the columns after it."""
    text = (await browser.get("/live")).text
    (table,) = re.findall(r'<table class="runs">(.*?)</table>', text, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]
    assert len(rows) == 2
    for row in rows:
        read, *others = [int(cell) for cell in re.findall(r"<td><span[^>]*>(\d+)</span></td>", row)]
        assert read == sum(others) > 0


async def test_a_ledger_without_records_is_told_as_such(page: StatusPage, browser: Browser) -> None:
    with writing(page.ledger.path, kept(page.ledger.path)) as connection:
        for table in (stored_texts, canaries, contents, claims, links, history, records, sweeps, tallies):
            connection.execute(table.delete())
    said = await browser.get("/")
    assert "Nothing yet" in said.words
    assert "Nothing has been read from Salestrekker yet." in said.words


@pytest.mark.parametrize(
    ("by_person", "told"),
    [(False, "Sending to Trakor has stopped since"), (True, "Sending to Trakor is paused since")],
)
async def test_a_pause_is_told_with_its_reason_and_what_comes_next(
    page: StatusPage,
    browser: Browser,
    by_person: bool,  # noqa: FBT001 - a test's argument
    told: str,
) -> None:
    with writing(page.ledger.path, kept(page.ledger.path)) as connection:
        set_pause(
            connection,
            "default",
            Direction.SENDING,
            reason="Trakor refused the key",
            now=NOW - 3_600_000,
            next_try_at=0 if by_person else NOW + 600_000,
            by_person=by_person,
        )
    said = (await browser.get("/")).words
    assert told in said
    assert "Trakor refused the key" in said
    assert ("in 10 minutes" in said) is not by_person


async def test_a_configuration_that_cannot_be_used_is_told_on_each_page(
    page: StatusPage, browser: Browser, left: Organisation
) -> None:
    page.problem = "config.toml: <pagesize> is not known"
    for path in ("/", "/records", f"/records/{number(page, left.ids['drifted'])}"):
        assert page.problem in (await browser.get(path)).words


async def test_a_ledger_that_cannot_be_read_is_said_to_be_and_a_part_of_a_page_stays_as_it_was(
    page: StatusPage, browser: Browser
) -> None:
    """A whole page in place of a part would stand inside the old one."""
    page.fault = LedgerError("the ledger is damaged", advice="restore the last backup")
    said = await browser.get("/")
    assert said.status == 503
    assert "the ledger is damaged" in said.words
    assert "restore the last backup" in said.words
    part = await browser.get("/live", headers={"HX-Request": "true"})
    assert (part.status, part.headers["HX-Reswap"]) == (503, "none")


# -- lists ------------------------------------------------------------------------------------------


async def test_a_list_is_narrowed_by_its_address(browser: Browser, left: Organisation) -> None:
    everything = await browser.get("/records")
    assert all(left.ids[which] in everything.text for which in ("same-name", "renamed", "drifted"))
    drifted = await browser.get("/records?state=drifted")
    assert left.ids["drifted"] in drifted.text
    assert left.ids["renamed"] not in drifted.text


@pytest.mark.parametrize(
    "query", ["state=delivered", "reason=nonsense", "stream=deals", "state=held&reason=mapping"]
)
async def test_a_list_that_there_is_not_is_not_found(browser: Browser, query: str) -> None:
    assert (await browser.get(f"/records?{query}")).status == 404


async def test_a_name_is_shown_as_it_is_and_is_no_markup(
    browser: Browser, page: StatusPage, left: Organisation
) -> None:
    """Escaped, and isolated, so that a name from right to left leaves the rest of the page alone."""
    name = "<script>alert(1)</script> \u202eأحمد"
    sealing, renamed = kept(page.ledger.path), page.record(left.ids["renamed"])
    body = sealing.sealer.seal([name, "Jane", "", name], renamed.feed.seal_context(renamed.id))
    with writing(page.ledger.path, sealing) as connection:
        connection.exec_driver_sql(
            "UPDATE waiting SET body = ? WHERE record = ? AND slot = 0", (body, renamed.number)
        )
    for path in ("/records", f"/records/{number(page, left.ids['renamed'])}"):
        text = (await browser.get(path)).text
        assert "<script>alert" not in text
        assert re.search(r"<bdi[^>]*>&lt;script&gt;alert\(1\)&lt;/script&gt; \u202eأحمد</bdi>", text)


# -- one record -------------------------------------------------------------------------------------


async def test_a_record_is_explained_in_sentences(
    browser: Browser, page: StatusPage, left: Organisation
) -> None:
    said = await browser.get(f"/records/{number(page, left.ids['renamed'])}")
    assert "Jane Smythe" in said.words
    assert "Its name changed in Salestrekker after it was sent." in said.words
    assert "Held: renamed in Salestrekker, and Trakor cannot rename it." in said.words
    assert "https://app.salestrekker.example" in said.text
    assert left.ids["renamed"] in said.words


async def test_a_record_that_there_is_not_is_not_found(browser: Browser) -> None:
    assert (await browser.get("/records/999999")).status == 404
    assert (await browser.get("/records/999999/now")).status == 404
    assert (await browser.get("/records/x")).status == 404


async def test_a_renamed_record_shows_the_name_that_trakor_has_beside_the_one_of_now(
    browser: Browser, page: StatusPage, left: Organisation
) -> None:
    page.says[left.ids["renamed"]] = {"name": "Jane Newest", "contact_info": "jane@example.org"}
    said = await browser.get(f"/records/{number(page, left.ids['renamed'])}/now")
    assert "Jane Smith" in said.words
    assert "Jane Newest" in said.words
    assert page.asked == [("default", "contacts", left.ids["renamed"])]


async def test_what_trakor_has_stands_beside_what_salestrekker_says_now(
    browser: Browser, page: StatusPage, left: Organisation
) -> None:
    page.says[left.ids["drifted"]] = {"name": "Bruce Wayne", "contact_info": "bruce@example.com"}
    words = (await browser.get(f"/records/{number(page, left.ids['drifted'])}/now")).words
    assert "Name Bruce Wayne Bruce Wayne" in words
    assert "Contact details differs Bruce Wayne | bruce@example.org bruce@example.com" in words, (
        "old beside new"
    )


async def test_a_record_that_cannot_be_read_now_says_why(
    browser: Browser, page: StatusPage, left: Organisation
) -> None:
    where = f"/records/{number(page, left.ids['drifted'])}/now"
    page.says[left.ids["drifted"]] = Transient("Salestrekker did not answer within 30 seconds")
    assert (
        "The record could not be read: Salestrekker did not answer within 30 seconds."
        in (await browser.get(where)).words
    )
    del page.says[left.ids["drifted"]]
    assert "Salestrekker no longer has this record." in (await browser.get(where)).words
    asked = len(page.asked)
    with writing(page.ledger.path, kept(page.ledger.path)) as connection:
        set_pause(
            connection, "default", Direction.READING, reason="a person paused it", now=NOW, by_person=True
        )
    assert "Reading from Salestrekker is paused" in (await browser.get(where)).words
    assert len(page.asked) == asked


# -- decisions --------------------------------------------------------------------------------------


async def test_a_rename_is_accepted_and_said_once(
    browser: Browser, page: StatusPage, left: Organisation
) -> None:
    where = f"/records/{number(page, left.ids['renamed'])}"
    after = await browser.send(await browser.get(where), f"{where}/decide", verb="accept")
    assert after.url == where
    assert "Done: it will be sent as “Jane Smythe”." in after.words
    assert page.record(left.ids["renamed"]).state == State.PENDING
    assert page.decided == 1
    assert page.history(left.ids["renamed"])[-1].by == "on the status page, from 127.0.0.1"
    assert "(on the status page, from 127.0.0.1)" in after.words
    assert "Done:" not in (await browser.get(where)).words


async def test_a_same_name_is_sent_under_a_name_of_ones_own(
    browser: Browser, page: StatusPage, left: Organisation
) -> None:
    where = f"/records/{number(page, left.ids['same-name'])}"
    asked = await browser.get(where)
    taken = await browser.send(asked, f"{where}/decide", verb="accept", name="JANE SMITH")
    assert "That was not possible: the name given for" in taken.words
    assert page.record(left.ids["same-name"]).state == State.HELD
    empty = await browser.send(asked, f"{where}/decide", verb="accept", name="\u200b")
    assert empty.status == 409
    done = await browser.send(asked, f"{where}/decide", verb="accept", name="  Jane Smith of  Perth ")
    assert "will be sent as “Jane Smith of Perth”" in done.words
    assert page.record(left.ids["same-name"]).name == "Jane Smith of Perth"


async def test_a_drift_is_accepted_when_it_was_corrected_by_hand(
    browser: Browser, page: StatusPage, left: Organisation
) -> None:
    where = f"/records/{number(page, left.ids['drifted'])}"
    done = await browser.send(await browser.get(where), f"{where}/decide", verb="accept")
    assert "Done: it counts as delivered." in done.words
    assert page.record(left.ids["drifted"]).state == State.DELIVERED


@pytest.mark.parametrize(
    "meanwhile",
    [{"seen": "1;contact_info=other;name=other"}, {"state": "held", "reason": "renamed"}, {"gone": 1}],
)
async def test_only_what_was_shown_is_decided_on(
    browser: Browser, page: StatusPage, left: Organisation, meanwhile: dict[str, object]
) -> None:
    """It has changed again since the page was made: a yes to the one change is none to the other."""
    where = f"/records/{number(page, left.ids['drifted'])}"
    old = await browser.get(where)
    with writing(page.ledger.path, kept(page.ledger.path)) as connection:
        is_that = records.c.source_id == left.ids["drifted"]
        connection.execute(records.update().where(is_that).values(**meanwhile))
    before = page.record(left.ids["drifted"])
    said = await browser.send(old, f"{where}/decide", verb="accept")
    assert "Nothing was changed, because the record changed after the page was loaded." in said.words
    assert page.record(left.ids["drifted"]) == before
    assert page.decided == 0


async def test_a_record_that_was_only_read_anew_can_be_decided_on(
    browser: Browser, page: StatusPage, left: Organisation
) -> None:
    """Each sweep reads it anew: an open page stays good."""
    where = f"/records/{number(page, left.ids['drifted'])}"
    old = await browser.get(where)
    with writing(page.ledger.path, kept(page.ledger.path)) as connection:
        is_that = records.c.source_id == left.ids["drifted"]
        connection.execute(records.update().where(is_that).values(read_at=NOW, sweep=9, run=9))
    assert "Done: it counts" in (await browser.send(old, f"{where}/decide", verb="accept")).words


async def test_what_was_decided_on_in_another_window_is_not_decided_on_twice(
    browser: Browser, page: StatusPage, left: Organisation
) -> None:
    where = f"/records/{number(page, left.ids['renamed'])}"
    first, second = await browser.get(where), await browser.get(where)
    await browser.send(first, f"{where}/decide", verb="accept")
    assert "Nothing was changed" in (await browser.send(second, f"{where}/decide", verb="drop")).words
    assert page.record(left.ids["renamed"]).state == State.PENDING


async def test_what_cannot_be_decided_says_why(
    browser: Browser, page: StatusPage, left: Organisation
) -> None:
    where = f"/records/{number(page, left.ids['delivered'])}"
    form = await browser.get(where)
    said = await browser.send(form, f"{where}/decide", verb="drop", shown=page.shown(left.ids["delivered"]))
    assert "is delivered: there is nothing to drop. Trakor's API cannot delete" in said.words
    assert (await browser.send(form, f"{where}/decide", verb="erase")).status == 400
    assert (await browser.send(form, "/records/999999/decide", verb="drop")).status == 404


async def test_many_are_decided_on_after_they_were_counted_and_confirmed(
    browser: Browser, page: StatusPage, left: Organisation
) -> None:
    asked = await browser.get("/many?verb=drop&state=held&reason=same-name")
    assert "Drop 2 records?" in asked.words
    assert "They are not sent, and you are not asked about them again." in asked.words
    assert page.record(left.ids["same-name"]).state == State.HELD, "asking must not decide"
    done = await browser.send(asked, "/many", order=asked.hidden("order"))
    assert "2 records were dropped." in done.words
    assert page.record(left.ids["same-name"]).state == State.DROPPED
    assert page.record(left.ids["renamed"]).state == State.HELD


async def test_only_those_that_were_counted_are_decided_on(
    browser: Browser, page: StatusPage, left: Organisation
) -> None:
    """What waits for another reason by now, or came meanwhile, is left alone; an old order is none."""
    old = await browser.get("/many?verb=drop&state=held&reason=same-name")
    asked = await browser.get("/many?verb=drop&state=held&reason=same-name")
    stale = await browser.send(old, "/many", order=old.hidden("order"))
    assert stale.status == 409
    with writing(page.ledger.path, kept(page.ledger.path)) as connection:
        is_that = records.c.source_id == left.ids["same-name"]
        connection.execute(records.update().where(is_that).values(reason="existing"))
        is_other = records.c.source_id == left.ids["renamed"]
        connection.execute(records.update().where(is_other).values(reason="same-name"))
    done = await browser.send(asked, "/many", order=asked.hidden("order"))
    assert "1 record was dropped. 1 no longer needed it." in done.words
    assert page.record(left.ids["same-name"]).state == State.HELD
    assert page.record(left.ids["renamed"]).state == State.HELD


async def test_what_waits_for_a_yes_is_bounded_over_all_sessions(page: StatusPage, browser: Browser) -> None:
    """Each order can name a million records: the oldest is counted anew, however many ask."""
    where = "/many?verb=drop&state=held&reason=same-name"
    old = await browser.get(where)
    for _ in range(MOST_ORDERS):
        async with aiohttp.ClientSession() as http:
            await Browser(http, page.url).get(where)
    assert (await browser.send(old, "/many", order=old.hidden("order"))).status == 409
    new = await browser.get(where)
    assert "2 records were dropped." in (await browser.send(new, "/many", order=new.hidden("order"))).words


async def test_a_decision_on_many_that_fails_is_told_and_ends_nothing_else(
    page: StatusPage, browser: Browser
) -> None:
    """Even for what never should be: a constraint of the ledger that stands against it."""
    with writing(page.ledger.path, kept(page.ledger.path)) as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER never BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'never'); END"
        )
    asked = await browser.get("/many?verb=drop&state=held&reason=same-name")
    said = await browser.send(asked, "/many", order=asked.hidden("order"))
    assert said.url == "/many/progress"
    assert "0 records were dropped. It ended early: an unexpected error occurred" in said.words


async def test_those_that_it_cannot_be_done_to_are_named(
    browser: Browser, page: StatusPage, left: Organisation
) -> None:
    """Both of one name have no qualifier: accepting needs a name that only a person can give."""
    asked = await browser.get("/many?verb=accept&state=held&reason=same-name")
    said = await browser.send(asked, "/many", order=asked.hidden("order"))
    assert said.url == "/many/progress"
    assert "This was not possible for 2." in said.words
    assert left.ids["same-name"] in said.words
    assert page.record(left.ids["same-name"]).state == State.HELD


# -- search -----------------------------------------------------------------------------------------


async def test_a_record_is_found_by_its_ids_and_its_exact_name(
    browser: Browser, page: StatusPage, left: Organisation
) -> None:
    form = await browser.get("/")
    known = page.record(left.ids["product"])
    for wanted in (known.id, known.trakor_id, known.sku):
        found = await browser.send(form, "/search", wanted=f" {wanted} ")
        assert found.url == f"/records/{known.number}"
    by_name = await browser.send(form, "/search", wanted="bruce  WAYNE")
    assert by_name.url == f"/records/{number(page, left.ids['drifted'])}"


async def test_several_of_one_name_are_listed_and_none_is_said(browser: Browser, left: Organisation) -> None:
    form = await browser.get("/")
    several = await browser.send(form, "/search", wanted="Pat Lee")
    assert several.status == 200
    assert left.ids["delivered"] in several.text
    assert left.ids["merged"] in several.text
    assert "Pat" not in several.url
    assert "No record has" in (await browser.send(form, "/search", wanted="Nobody Here")).words


async def test_a_record_that_waits_for_a_name_is_found_by_it(browser: Browser, left: Organisation) -> None:
    """It holds no claim on it: that is the other one's."""
    said = await browser.send(await browser.get("/"), "/search", wanted="JANE  Smith")
    assert left.ids["same-name"] in said.text
