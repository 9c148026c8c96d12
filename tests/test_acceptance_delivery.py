"""The installed command against an odd Trakor: twins, one record that starves all, many rejections."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from bridge.records import Stream
from bridge.sandbox import Fault, Options, Sandbox
from bridge.sandbox.firewall import Blocked
from bridges import Bridge
from daemons import TOKEN, daemon_settings
from processes import LONG, commands

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    import aiohttp

    from processes import Begin, Process

    Start = Callable[[Options], Awaitable[Sandbox]]

pytestmark = pytest.mark.acceptance

CONTACTS, REFUSED = Stream.CONTACTS, "rejected: refused-by-trakor"
WAIT = 1.0
"""Seconds for which a name is not sent again in these tests."""

PAGE = "<!doctype html><html><body>Oops</body></html>"


@pytest.fixture
async def begin(tmp_path: Path) -> AsyncIterator[Begin]:
    """``begin("run")`` starts the command in the test's folder; ended with the test."""
    async with commands(tmp_path) as begin:
        yield begin


@pytest.fixture
async def bridge(start_sandbox: Start, tmp_path: Path) -> Bridge:
    """40 contacts that nobody needs to look at."""
    sandbox = await start_sandbox(Options(contacts=0, products=0))
    for number in range(40):
        sandbox.contacts.add(f"Ada {number:02} Quill", email=f"ada{number}@example.com")
    return Bridge(tmp_path, sandbox, daemon_settings())


def configure(bridge: Bridge, **trakor: object) -> None:
    """Write the configuration, with these changes of Trakor's."""
    bridge.changes["trakor"] = trakor
    assert bridge.settings.connections


def sent(bridge: Bridge) -> Counter[str]:
    """How often each name was sent."""
    return Counter(one.name for one in bridge.sandbox.trakor.traffic.exchanges if one.name)


async def daemon(begin: Begin) -> tuple[Process, str]:
    """A daemon at work, and the address that webhooks are posted to."""
    process = await begin("run", "--log-format", "json")
    port = await process.listens("listening for webhooks")
    return process, f"http://127.0.0.1:{port}/webhooks/{TOKEN}/contact-created"


async def arrives(bridge: Bridge, http: aiohttp.ClientSession, address: str, name: str) -> None:
    """A new contact, told by a webhook, is in Trakor soon."""
    new = bridge.sandbox.contacts.add(name, email=f"{name.split(maxsplit=1)[0].lower()}@example.com")
    async with http.post(address, json={"id": new}) as answer:
        assert answer.status == 202
    await bridge.sandbox.trakor.wait_for(lambda: name in bridge.sandbox.trakor.parties, timeout=LONG)


# Twins


async def test_requests_that_were_cut_and_go_on_make_no_twins(bridge: Bridge, begin: Begin) -> None:
    """Trakor cuts 12 connections and stores what they asked for a little later: it looks up, then inserts."""
    trakor = bridge.sandbox.trakor
    configure(bridge, unanswered_wait=f"{WAIT}s")
    trakor.behave(lookup="fails")
    trakor.faults.add(Fault(reset=True, late=True, late_after=WAIT / 2, times=12))
    ended = await (await begin("backfill", "--json", "--log-format", "json")).ended()
    assert ended.status == 0
    assert len(trakor.parties.names()) == len(set(trakor.parties.names())) == 40
    assert not trakor.overlaps.late
    assert not trakor.overlaps.requests
    assert "Trakor may still be storing" in ended.err
    bridge.in_order()


async def test_after_a_kill_and_a_restart_at_once_no_name_overlaps(bridge: Bridge, begin: Begin) -> None:
    """What was in flight goes on at Trakor; its names are not sent again before their time."""
    trakor, gate = bridge.sandbox.trakor, asyncio.Event()
    configure(bridge, unanswered_wait=f"{WAIT}s")
    trakor.behave(lookup="fails")
    trakor.faults.add(Fault(where=lambda _: len(trakor.parties) >= 10, gate=gate, between=True, times=16))
    process = await begin("backfill", "--json")
    await trakor.wait_for(lambda: trakor.traffic.in_flight == 16, timeout=LONG)
    process.signal(signal.SIGKILL)
    await process.ended()
    asyncio.get_running_loop().call_later(WAIT / 2, gate.set)
    again = await begin("backfill", "--json")
    assert (await again.ended()).status == 0
    assert len(trakor.parties.names()) == len(set(trakor.parties.names())) == 40
    assert not trakor.overlaps.requests
    at: dict[str, list[float]] = {}
    for one in trakor.traffic.exchanges:
        at.setdefault(one.name, []).append(one.at)
    gaps = [later - earlier for times in at.values() for earlier, later in pairwise(times)]
    assert len(gaps) >= 16
    assert min(gaps) >= WAIT * 0.9
    bridge.in_order()


# One record that starves all


@pytest.mark.parametrize("answer", [Blocked.FORBIDDEN, Blocked.PAGE])
async def test_one_contact_that_a_firewall_dislikes_stops_only_itself(
    bridge: Bridge, begin: Begin, http: aiohttp.ClientSession, answer: Blocked
) -> None:
    trakor = bridge.sandbox.trakor
    bad = bridge.sandbox.contacts.add("Bobby Union Select", email="bobby@example.com")
    trakor.firewall.block("union select", answer)
    configure(bridge)
    process, address = await daemon(begin)
    await trakor.wait_for(lambda: len(trakor.parties) == 40, timeout=LONG)
    for number in range(10):
        await arrives(bridge, http, address, f"New{number} Comer")
    await process.until(lambda: bad in bridge.books.ids(CONTACTS, REFUSED))
    assert sent(bridge)["Bobby Union Select"] <= 10


async def test_a_backfill_with_one_such_contact_delivers_the_others_and_lists_it(
    bridge: Bridge, begin: Begin
) -> None:
    bridge.sandbox.contacts.add("Bobby Union Select", email="bobby@example.com")
    bridge.sandbox.trakor.firewall.block("union select")
    configure(bridge)
    ended = await (await begin("backfill", "--json")).ended()
    assert ended.status == 3
    numbers = ended.numbers["contacts"]
    assert (numbers["created"], numbers["rejected"], numbers["pending"]) == (40, 1, 0)


async def test_one_page_of_html_in_the_middle_of_a_good_run_is_no_refusal(
    bridge: Bridge, begin: Begin
) -> None:
    bridge.sandbox.trakor.faults.add(Fault(name="Ada 20 Quill", status=200, body=PAGE))
    configure(bridge)
    ended = await (await begin("backfill", "--json")).ended()
    assert (ended.status, ended.numbers["contacts"]["created"]) == (0, 40)


# Twenty-five rejections


def _reject(bridge: Bridge) -> None:
    for number in range(25):
        bridge.sandbox.contacts.add(f"Bad {number:02} Record", email=f"bad{number}@example.com")
    where = lambda one: one.name.startswith("Bad")  # noqa: E731 - of one use
    bridge.sandbox.trakor.faults.add(Fault(where=where, status=400, body={"error": "no"}, times=None))


async def test_twenty_five_rejections_keep_no_newcomer_waiting(
    start_sandbox: Start, tmp_path: Path, begin: Begin, http: aiohttp.ClientSession
) -> None:
    sandbox = await start_sandbox(Options(contacts=0, products=0))
    bridge = Bridge(tmp_path, sandbox, daemon_settings())
    _reject(bridge)
    configure(bridge, probe_first="1s", probe_max="1h")
    process, address = await daemon(begin)
    await process.said("turned down 20 different contacts")
    assert not bridge.books.ids(CONTACTS, REFUSED)
    before = sandbox.trakor.traffic.total
    await arrives(bridge, http, address, "Nora Newcomer")
    assert sandbox.trakor.traffic.total - before <= 16 + 4
    await process.until(lambda: len(bridge.books.ids(CONTACTS, REFUSED)) == 25)


async def test_a_backfill_tells_twenty_five_bad_ones_by_themselves(
    start_sandbox: Start, tmp_path: Path, begin: Begin
) -> None:
    bridge = Bridge(tmp_path, await start_sandbox(Options(contacts=0, products=0)))
    _reject(bridge)
    for number in range(40):
        bridge.sandbox.contacts.add(f"Ada {number:02} Quill", email=f"ada{number}@example.com")
    configure(bridge)
    ended = await (await begin("backfill", "--json")).ended()
    numbers = ended.numbers["contacts"]
    assert numbers["created"] == 40
    assert (ended.status, numbers["rejected"], numbers["pending"]) == (3, 25, 0)


async def test_a_backfill_of_bad_ones_alone_marks_none_and_ends_as_refused(
    start_sandbox: Start, tmp_path: Path, begin: Begin
) -> None:
    bridge = Bridge(tmp_path, await start_sandbox(Options(contacts=0, products=0)))
    _reject(bridge)
    configure(bridge)
    ended = await (await begin("backfill", "--json")).ended()
    assert (ended.status, ended.numbers["contacts"]["pending"]) == (4, 25)
    assert "none of them is marked" in ended.err
