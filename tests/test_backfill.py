"""The backfill from end to end: real ledger, real sockets, and data with all that real data has."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from bridge.records import Stream
from bridge.sandbox import AuthErrorStyle, BrokenField, Fault, Matching, Options, Sandbox
from bridges import Bridge, hold_reading_at, numbers, shown, stopped_at

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bridges import Books

    Start = Callable[[Options], Awaitable[Sandbox]]

CONTACTS, PRODUCTS = Stream.CONTACTS, Stream.PRODUCTS


@pytest.fixture
async def bridge(start_sandbox: Start, tmp_path: Path) -> Bridge:
    """100 contacts and 40 products, with all the oddities; to be read in pages of 25."""
    sandbox = await start_sandbox(Options(contacts=100, products=40))
    return Bridge(tmp_path, sandbox, {"contacts": {"page_size": 25}})


def offsets(sandbox: Sandbox) -> list[int]:
    return [one.content["variables"]["offset"] for one in sandbox.salestrekker.traffic.of("contacts")]


# All of it


async def test_each_of_many_records_is_in_one_state_and_in_trakor_at_most_once(
    start_sandbox: Start, tmp_path: Path
) -> None:
    sandbox = await start_sandbox(Options(contacts=2000, products=100))
    bridge = Bridge(tmp_path, sandbox)
    report = await bridge.backfill()
    books = bridge.in_order()
    assert (numbers(report)["read"], numbers(report, PRODUCTS)["read"]) == (2000, 100)
    assert (books.ids(CONTACTS), books.ids(PRODUCTS)) == (
        {row["id"] for row in sandbox.contacts},
        {row["id"] for row in sandbox.products},
    )
    assert numbers(report)["created"] == len(sandbox.trakor.parties)
    assert numbers(report, PRODUCTS)["created"] == len(sandbox.trakor.products)
    assert report.connections["default"].complete
    assert report.exit_status == 3, "the seeded data has what needs a person"
    for stream in Stream:
        assert numbers(report, stream)["pending"] == 0
        _every_record_has_a_reason(books, sandbox, stream)
    assert sandbox.trakor.traffic.total == len(sandbox.trakor.parties) + len(sandbox.trakor.products)

    requests, lines = sandbox.trakor.traffic.total, books.lines
    again = await bridge.backfill()
    assert sandbox.trakor.traffic.total == requests, "an unchanged record costs no request"
    assert bridge.in_order().lines == lines, "an unchanged record adds no line"
    assert numbers(again)["unchanged"] == numbers(report)["created"]
    assert numbers(again) == numbers(report) | {"created": 0, "unchanged": numbers(report)["created"]}


def _every_record_has_a_reason(books: Books, sandbox: Sandbox, stream: Stream) -> None:
    """No two records share one of Trakor's unless the ledger says so; who has none is said to."""
    owners = Counter(one for (_, of, _), known in books.known.items() if of is stream for one in known.ids)
    assert set(owners.values()) == {1}
    for (_, of, identity), known in books.known.items():
        if of is not stream:
            continue
        assert (len(known.ids) == 1) == (known.state == "delivered"), identity
        if known.state == "merged":
            assert books.known["default", stream, known.merged_into].state == "delivered"
            assert "merged" in known.story
        assert known.story, "nothing about it would be explained"
    inactive = {row["id"] for row in sandbox.contacts if row["isActive"] is False}
    if stream is CONTACTS:
        assert books.ids(CONTACTS, "skipped: filtered") == inactive


async def test_changes_at_the_source_are_decided_as_the_table_says(bridge: Bridge) -> None:
    await bridge.backfill()
    sandbox = bridge.sandbox
    renamed, changed, archived, removed, namesake = (sandbox.contacts.id_at(at) for at in (1, 2, 7, 8, 9))
    loan, dearer, other_loan = (sandbox.products.id_at(at) for at in (21, 22, 34))
    name = sandbox.trakor.parties.entries()[0].name
    sandbox.contacts.rename(renamed, "Zora Zimmer")
    sandbox.contacts.change_email(changed, "changed@example.com")
    sandbox.contacts.set_active(archived, active=False)
    sandbox.contacts.remove(removed)
    qualified = sandbox.contacts.add(name.upper(), email="another@example.com")
    nameless = sandbox.contacts.add(name, identity="no-qualifier")
    sandbox.contacts.rename(namesake, f"{name} ")
    fresh = sandbox.contacts.add("Yara Young")
    sandbox.products.rename(loan, "Renamed Loan")
    sandbox.products.change_price(dearer, 999.99)
    sandbox.products.remove(other_loan)
    parties, products = set(sandbox.trakor.parties.names()), set(sandbox.trakor.products.names())

    report = await bridge.backfill()
    books = bridge.in_order()
    states = [books.contact(one).state for one in (renamed, changed, archived, removed, namesake)]
    assert states == ["held: renamed", "drifted", "delivered", "delivered", "held: renamed"]
    assert books.contact(archived).marks == {"filtered"}
    assert books.contact(removed).marks == {"gone"}
    assert books.contact(qualified).state == books.contact(fresh).state == "delivered"
    assert books.contact(nameless).state == "held: same-name"
    assert [books.product(one).state for one in (loan, dearer, other_loan)] == [
        "held: renamed",
        "drifted",
        "delivered",
    ]
    assert books.product(other_loan).marks == {"gone"}
    assert set(sandbox.trakor.products.names()) == products
    assert set(sandbox.trakor.parties.names()) - parties == {
        f"{name.upper()} (another@example.com)",
        "Yara Young",
    }
    assert numbers(report)["created"] == 2
    assert numbers(report)["read"] == 102, "three more, one gone"
    assert (numbers(report)["drifted"], numbers(report, PRODUCTS)["drifted"]) == (1, 1)

    requests, lines = sandbox.trakor.traffic.total, books.lines
    await bridge.backfill()
    assert (sandbox.trakor.traffic.total, bridge.in_order().lines) == (requests, lines)

    sandbox.contacts.change_email(changed, sandbox.trakor.parties.entries()[0].text)
    sandbox.contacts.set_active(archived, active=True)
    await bridge.backfill()
    assert bridge.books.contact(archived).marks == frozenset()


async def test_a_rename_may_make_a_second_party_where_the_user_says_so(bridge: Bridge) -> None:
    await bridge.backfill()
    renamed = bridge.sandbox.contacts.id_at(1)
    first = bridge.books.contact(renamed).ids
    bridge.sandbox.contacts.rename(renamed, "Zora Zimmer")
    bridge.changes["contacts"]["on_rename"] = "create"
    report = await bridge.backfill()
    known = bridge.in_order().contact(renamed)
    assert known.state == "delivered"
    assert known.ids == (*first, bridge.sandbox.trakor.parties["Zora Zimmer"].id)
    assert numbers(report)["created"] == 1


async def test_a_stream_that_is_not_run_is_absent_and_left_alone(bridge: Bridge) -> None:
    report = await bridge.backfill(PRODUCTS)
    assert set(report.connections["default"].streams) == {"products"}
    assert bridge.sandbox.salestrekker.traffic.kinds["contacts"] == 0
    assert len(bridge.sandbox.trakor.parties) == 0
    bridge.changes["products"] = {"enabled": False}
    report = await bridge.backfill()
    assert set(report.connections["default"].streams) == {"contacts"}
    bridge.in_order()


async def test_nothing_at_all_is_done_when_there_is_nothing(start_sandbox: Start, tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, await start_sandbox(Options(contacts=0, products=0)))
    report = await bridge.backfill()
    assert (report.exit_status, shown(report)) == (0, {})
    assert bridge.sandbox.trakor.traffic.total == 0
    assert report.connections["default"].complete


# Interrupted


async def test_an_interrupted_backfill_goes_on_where_it_was(bridge: Bridge) -> None:
    sandbox = bridge.sandbox
    first = await stopped_at(bridge, 50)
    assert (first.exit_status, first.connections["default"].complete) == (130, False)
    assert numbers(first)["read"] == 50
    assert numbers(first, PRODUCTS)["read"] == 0

    sandbox.salestrekker.traffic.clear()
    second = await bridge.backfill()
    assert min(offsets(sandbox)) == 50, "what was read is not read again"
    assert numbers(second)["read"] == 50 + numbers(first)["pending"]
    assert numbers(first)["created"] + numbers(second)["created"] == len(sandbox.trakor.parties)
    assert second.connections["default"].complete
    bridge.in_order()


async def test_a_backfill_stopped_in_mid_sending_sends_the_rest_later(bridge: Bridge) -> None:
    sandbox, stop = bridge.sandbox, asyncio.Event()
    sandbox.trakor.latency = 0.005
    running = asyncio.create_task(bridge.backfill(stop=stop))
    await sandbox.trakor.wait_for(lambda: len(sandbox.trakor.parties) >= 40)
    stop.set()
    first = await running
    assert first.exit_status == 130
    assert numbers(first)["pending"] > 0
    assert numbers(first)["created"] == len(sandbox.trakor.parties)
    assert {known.attempts for known in bridge.books.known.values() if known.state == "pending"} == {0}
    second = await bridge.backfill()
    assert numbers(second)["created"] == len(sandbox.trakor.parties) - numbers(first)["created"]
    bridge.in_order()


async def test_restart_reads_from_the_beginning(bridge: Bridge) -> None:
    await stopped_at(bridge, 50)
    bridge.sandbox.salestrekker.traffic.clear()
    report = await bridge.backfill(restart=True)
    assert offsets(bridge.sandbox)[0] == 0
    assert numbers(report)["read"] == 100
    bridge.in_order()


async def test_a_finished_backfill_is_not_gone_on_with(bridge: Bridge) -> None:
    await bridge.backfill()
    bridge.sandbox.salestrekker.traffic.clear()
    await bridge.backfill()
    assert offsets(bridge.sandbox)[0] == 0


async def test_what_an_interruption_hid_is_not_taken_for_gone(bridge: Bridge) -> None:
    """Removed while it stood still, three records moved three others out of the sight of the second half."""
    await bridge.backfill()
    await stopped_at(bridge, 50)
    removed = [bridge.sandbox.contacts.id_at(at) for at in (4, 6, 9)]
    for one in removed:
        bridge.sandbox.contacts.remove(one)
    await bridge.backfill()
    there = {row["id"] for row in bridge.sandbox.contacts}
    books = bridge.books
    assert [one for one in there if "gone" in books.contact(one).marks] == []
    await bridge.backfill()
    books = bridge.in_order()
    assert {one for one in books.ids(CONTACTS) if "gone" in books.contact(one).marks} == set(removed)


async def test_what_was_put_in_front_during_an_interruption_is_no_repetition(bridge: Bridge) -> None:
    """A list that shows the newest first moves what was read already to where reading goes on."""
    sandbox = bridge.sandbox
    await stopped_at(bridge, 50)
    seen = list(sandbox.contacts)
    for row in seen:
        sandbox.contacts.remove(row["id"])
    fresh = [sandbox.contacts.add(f"Newest {number}") for number in range(55)]
    for row in seen:
        sandbox.contacts.insert(row)
    report = await bridge.backfill()
    assert not report.connections["default"].problems
    await bridge.backfill()
    books = bridge.in_order()
    assert set(fresh) <= books.ids(CONTACTS, "delivered")


# Reading goes wrong


async def test_a_record_that_cannot_be_read_whole_is_reported_and_never_gone(bridge: Bridge) -> None:
    await bridge.backfill()
    broken = bridge.sandbox.contacts.id_at(60)
    lines = bridge.books.lines
    bridge.sandbox.salestrekker.world.break_field(
        BrokenField(stream="contacts", path="person.contact.email", id=broken)
    )
    report = await bridge.backfill()
    of_it = report.connections["default"]
    assert report.exit_status == 1
    assert not of_it.complete
    assert [problem.refusal for problem in of_it.problems] == [False]
    assert "1 contacts could not be read" in of_it.problems[0].message
    assert broken in of_it.problems[0].message
    assert numbers(report)["read"] == 99
    books = bridge.in_order()
    assert (books.contact(broken).marks, books.lines) == (frozenset(), lines)
    assert books.sweeps[-2:] == [(CONTACTS, True, False), (PRODUCTS, True, True)]
    bridge.sandbox.salestrekker.world.mend_fields()
    assert numbers(await bridge.backfill())["read"] == 100


async def test_a_record_broken_before_an_interruption_is_not_gone_after_it(bridge: Bridge) -> None:
    await bridge.backfill()
    broken = bridge.sandbox.contacts.id_at(10)
    bridge.sandbox.salestrekker.world.break_field(
        BrokenField(stream="contacts", path="person.contact.email", id=broken)
    )
    await stopped_at(bridge, 50, broken=1)
    await bridge.backfill()
    assert bridge.in_order().contact(broken).marks == frozenset()


async def test_no_permission_for_a_stream_leaves_the_other_one_its_way(bridge: Bridge) -> None:
    bridge.sandbox.salestrekker.world.break_field(BrokenField(stream="contacts", path="person"))
    report = await bridge.backfill()
    assert report.exit_status in {1, 4}
    assert report.connections["default"].problems
    assert numbers(report, PRODUCTS)["created"] == len(bridge.sandbox.trakor.products) > 0
    assert {known.marks for known in bridge.books.known.values()} == {frozenset()}


@pytest.mark.parametrize("style", list(AuthErrorStyle))
async def test_reading_refused_in_the_middle_delivers_what_was_read(
    start_sandbox: Start, tmp_path: Path, style: AuthErrorStyle
) -> None:
    sandbox = await start_sandbox(Options(contacts=100, products=40, auth_error_style=style))
    bridge = Bridge(tmp_path, sandbox, {"contacts": {"page_size": 25}})
    gate = hold_reading_at(sandbox, 50)
    running = asyncio.create_task(bridge.backfill())
    await sandbox.salestrekker.wait_for(lambda: 50 in offsets(sandbox))
    sandbox.salestrekker.revoke_key()
    gate.set()
    report = await running
    of_it = report.connections["default"]
    assert (report.exit_status, of_it.complete) == (4, False)
    (problem,) = of_it.problems
    assert problem.refusal
    assert problem.advice
    assert problem.message.startswith("reading contacts and products: "), "told once for both"
    assert sandbox.salestrekker.traffic.kinds["authenticate"] == 2, "credentials are not tried over and over"
    assert numbers(report)["pending"] == 0
    assert numbers(report)["created"] == len(sandbox.trakor.parties) > 30
    assert numbers(report, PRODUCTS)["read"] == 0
    assert {known.marks for known in bridge.books.known.values()} == {frozenset()}
    sandbox.salestrekker.restore_key()
    report = await bridge.backfill()
    assert report.connections["default"].complete
    bridge.in_order()


@pytest.mark.parametrize("style", list(AuthErrorStyle))
async def test_a_token_that_ends_in_mid_sweep_is_renewed_once(
    start_sandbox: Start, tmp_path: Path, style: AuthErrorStyle
) -> None:
    sandbox = await start_sandbox(Options(contacts=100, products=40, auth_error_style=style))
    bridge = Bridge(tmp_path, sandbox, {"contacts": {"page_size": 25}})
    gate = hold_reading_at(sandbox, 50)
    running = asyncio.create_task(bridge.backfill())
    await sandbox.salestrekker.wait_for(lambda: 50 in offsets(sandbox))
    sandbox.salestrekker.revoke_tokens()
    gate.set()
    report = await running
    assert report.connections["default"].complete
    assert numbers(report)["read"] == 100
    assert sandbox.salestrekker.traffic.kinds["authenticate"] == 2
    bridge.in_order()


async def test_one_log_in_does_for_a_whole_backfill(bridge: Bridge) -> None:
    await bridge.backfill()
    assert bridge.sandbox.salestrekker.traffic.kinds["authenticate"] == 1


# Sending goes wrong


async def test_sending_refused_stops_reading_and_is_gone_on_with_once_it_is_over(bridge: Bridge) -> None:
    sandbox = bridge.sandbox
    gate = hold_reading_at(sandbox, 75)
    running = asyncio.create_task(bridge.backfill())
    await sandbox.trakor.wait_for(lambda: len(sandbox.trakor.parties) >= 40)
    sandbox.trakor.freeze()
    report = await running
    gate.set()
    assert (report.exit_status, report.connections["default"].complete) == (4, False)
    (problem,) = report.connections["default"].problems
    assert problem.message.startswith("sending contacts: ")
    assert "403" in problem.message
    assert problem.advice
    assert numbers(report)["pending"] > 0
    assert numbers(report)["rejected"] == 0
    assert PRODUCTS not in {stream for _, stream, _ in bridge.books.known}
    requests = sandbox.trakor.traffic.total
    assert (await bridge.backfill()).exit_status == 4
    assert sandbox.trakor.traffic.total - requests <= 16 + 1, "those under way, and one probe"
    sandbox.trakor.unfreeze()
    report = await bridge.backfill()
    assert report.exit_status == 3
    assert report.connections["default"].complete
    bridge.in_order()


async def test_an_outage_of_trakor_in_the_middle_is_waited_out(bridge: Bridge) -> None:
    sandbox = bridge.sandbox
    running = asyncio.create_task(bridge.backfill())
    await sandbox.trakor.wait_for(lambda: len(sandbox.trakor.parties) >= 40)
    outage = sandbox.trakor.faults.add(Fault(reset=True, commit=True, times=None))
    await sandbox.trakor.wait_for(lambda: outage.hits >= 20)
    sandbox.trakor.faults.clear()
    report = await running
    assert report.connections["default"].complete
    assert numbers(report)["created"] + numbers(report)["existing"] == len(sandbox.trakor.parties)
    books = bridge.in_order()
    assert {known.origin for known in books.known.values()} == {"created", "unclear", ""}


async def test_a_mended_map_reaches_what_trakor_would_not_take(bridge: Bridge) -> None:
    """Twenty rejections in a row mark nothing, and their remedy is not to be sent the old words again."""
    sandbox = bridge.sandbox
    sandbox.trakor.faults.add(
        Fault(where=lambda one: "wrong" in str(one.content), status=400, body={"error": "no"}, times=None)
    )
    bridge.changes["contacts.map"] = {"contact_info": "'wrong'"}
    report = await bridge.backfill(CONTACTS)
    assert report.exit_status == 4
    assert re.search(
        r"turned down \d\d different contacts", report.connections["default"].problems[0].message
    )
    assert numbers(report)["rejected"] == 0
    assert len(sandbox.trakor.parties) == 0
    bridge.changes["contacts.map"] = {"contact_info": "'right'"}
    report = await bridge.backfill(CONTACTS)
    assert report.exit_status in {0, 3}
    assert {entry.text for entry in sandbox.trakor.parties.entries()} == {"right"}
    assert bridge.books.ids(CONTACTS, "pending", "rejected: refused-by-trakor") == set()


# What was there before


async def test_parties_that_were_there_are_adopted_and_many_of_them_are_warned_of(
    start_sandbox: Start, tmp_path: Path
) -> None:
    other = await start_sandbox(Options(contacts=100, products=40))
    for folder in ("lost", "fresh"):
        (tmp_path / folder).mkdir()
    await Bridge(tmp_path / "lost", other).backfill()
    bridge = Bridge(tmp_path / "fresh", other)
    report = await bridge.backfill()
    held = bridge.books.ids(CONTACTS, "held: existing")
    assert held, "of two that want one name nobody knows whose party it is"
    assert numbers(report)["existing"] == len(other.trakor.parties) - len(held)
    assert numbers(report)["created"] == 0
    assert len(report.connections["default"].warnings) == 2
    assert "restore its backup" in report.connections["default"].warnings[0]
    books = bridge.in_order()
    assert {known.origin for known in books.known.values()} == {"existing", ""}


@pytest.mark.parametrize("few", [3, 15])
async def test_a_few_that_were_there_are_no_reason_to_warn(bridge: Bridge, few: int) -> None:
    """No more than ten, or no more than a fifth of all."""
    sandbox = bridge.sandbox
    for number in range(few):
        sandbox.contacts.add(f"Ada {number}")
        sandbox.trakor.parties.put(f"Ada {number}")
    sandbox.trakor.parties.put("Somebody Else")
    report = await bridge.backfill()
    assert numbers(report)["existing"] == few
    assert report.connections["default"].warnings == []
    bridge.in_order(also_there=["Somebody Else"])


async def test_parties_that_were_there_are_held_where_the_user_says_so(bridge: Bridge) -> None:
    sandbox = bridge.sandbox
    sandbox.trakor.parties.put("Ada Ashby", "as somebody entered it")
    ada = sandbox.contacts.add("Ada Ashby", email="ada@example.com")
    bridge.changes["contacts"]["on_existing"] = "hold"
    report = await bridge.backfill()
    assert report.exit_status == 3
    known = bridge.in_order().contact(ada)
    assert known.state == "held: existing"
    assert known.ids == (sandbox.trakor.parties["Ada Ashby"].id,)
    requests = sandbox.trakor.traffic.total
    await bridge.backfill()
    assert sandbox.trakor.traffic.total == requests


@pytest.mark.parametrize(
    ("matching", "status"),
    [(Matching.EXACT, 200), (Matching.TRIMMED, 201), (Matching.CASE_INSENSITIVE, 200)],
)
async def test_however_trakor_reads_names_no_two_records_are_merged_in_silence(
    start_sandbox: Start, tmp_path: Path, matching: Matching, status: int
) -> None:
    sandbox = await start_sandbox(
        Options(contacts=100, products=40, matching=matching, existing_status=status)
    )
    bridge = Bridge(tmp_path, sandbox)
    report = await bridge.backfill()
    books = bridge.in_order()
    _every_record_has_a_reason(books, sandbox, CONTACTS)
    assert numbers(report)["existing"] == 0
    assert sandbox.trakor.traffic.total == len(sandbox.trakor.parties) + len(sandbox.trakor.products)


async def test_who_is_given_another_ones_party_is_held(bridge: Bridge) -> None:
    """A Trakor that reads names more loosely than we do: with accents left away, say."""
    sandbox = bridge.sandbox
    await bridge.backfill()
    first = sandbox.contacts.add("Zoe Zimmer", email="zoe@example.com")
    await bridge.backfill()
    entry = sandbox.trakor.parties["Zoe Zimmer"]
    answer = {"id": entry.id, "name": entry.name, "created": False}
    sandbox.trakor.faults.add(Fault(name="Zoë Zimmer", status=200, body=answer, times=None))
    second = sandbox.contacts.add("Zoë Zimmer", email="other@example.com")
    report = await bridge.backfill()
    books = bridge.books
    assert (books.contact(first).state, books.contact(second).state) == ("delivered", "held: same-party")
    assert (books.contact(first).ids, books.contact(second).ids) == ((entry.id,), ())
    assert report.exit_status == 3


# The rules change


async def test_another_map_makes_no_drift_and_no_second_party(bridge: Bridge) -> None:
    sandbox = bridge.sandbox
    await bridge.backfill()
    delivered = bridge.books.ids(CONTACTS, "delivered")
    requests = sandbox.trakor.traffic.total
    bridge.changes["contacts.map"] = {"contact_info": "id"}
    report = await bridge.backfill()
    assert sandbox.trakor.traffic.total == requests
    assert numbers(report)["drifted"] == 0
    assert numbers(report)["unchanged"] == len(delivered)
    books = bridge.in_order()
    assert {books.contact(one).story[-1] for one in delivered} == {"remapped"}
    assert {frozenset(books.contact(one).marks) for one in delivered} == {frozenset({"remapped"})}

    bridge.changes["contacts.map"]["name"] = "join(' ', ['Client', id])"
    report = await bridge.backfill()
    books = bridge.in_order()
    assert {books.contact(one).state for one in delivered} == {"held: remapped"}
    del bridge.changes["contacts.map"]["name"]
    await bridge.backfill()
    assert bridge.in_order().ids(CONTACTS, "delivered") >= delivered


# Between the two


async def test_a_record_that_may_be_made_keeps_its_name_through_a_refusal(bridge: Bridge) -> None:
    """A success whose body was lost is a refusal, but Trakor may have that name by now."""
    sandbox = bridge.sandbox
    sandbox.contacts.add("Zora Zimmer", identity="zora")
    lost = Fault(name="Zora Zimmer", status=201, body="<html>", commit=True)
    sandbox.trakor.faults.add(lost)
    sandbox.trakor.faults.add(Fault(name="Zora Zimmer", status=401))
    assert (await bridge.backfill()).exit_status == 4
    sandbox.contacts.rename("zora", "Zora Zander")
    await bridge.backfill()
    known = bridge.in_order().contact("zora")
    assert (known.state, known.origin) == ("held: renamed", "unclear")
    assert "Zora Zander" not in sandbox.trakor.parties.names()


async def test_what_is_gone_before_it_was_sent_keeps_no_run_from_its_end(
    start_sandbox: Start, tmp_path: Path
) -> None:
    sandbox = await start_sandbox(Options(contacts=0, products=0))
    sandbox.contacts.add("Ada Ashby", identity="ada")
    sandbox.contacts.add("Bea Brown", identity="bea")
    bridge = Bridge(tmp_path, sandbox)
    sandbox.trakor.freeze()
    await bridge.backfill()
    sandbox.trakor.unfreeze()
    sandbox.contacts.remove("ada")
    report = await bridge.backfill()
    assert shown(report) == {"read": 2, "created": 1, "skipped": 1}
    assert (report.exit_status, report.connections["default"].complete) == (0, True)
    assert shown(await bridge.backfill()) == {"read": 1, "unchanged": 1}
    assert bridge.books.contact("ada").marks == {"gone"}
    sandbox.contacts.add("Ada Ashby", identity="ada")
    assert shown(await bridge.backfill()) == {"read": 2, "unchanged": 1, "created": 1}
