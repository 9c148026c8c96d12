"""One person twice in Salestrekker: whatever becomes of the first, the second is told of."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from bridge.sandbox import Fault, Options, Sandbox
from bridges import Bridge
from processes import LONG, commands
from stories import Story

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.acceptance

BEGUN = 30
"""So many requests are enough to know that sending goes on."""


@pytest.fixture
async def story(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]], tmp_path: Path
) -> AsyncIterator[Story]:
    """Twelve contacts that nothing is the matter with."""
    sandbox = await start_sandbox(Options(contacts=0, products=0))
    for letter in "abcdefghijkl":
        sandbox.contacts.add(f"Bystander {letter}", email=f"{letter}@example.com")
    async with commands(tmp_path) as begin:
        found = Story(Bridge(tmp_path, sandbox), begin)
        found.configure()
        yield found


def twins(story: Story, name: str) -> tuple[str, str]:
    """One person under two ids."""
    email = f"{name.replace(' ', '.').lower()}@example.com"
    add = story.sandbox.contacts.add
    return add(name, email=email), add(name, email=email)


async def in_vain(story: Story) -> None:
    """A backfill of which Trakor takes nothing, stopped by hand: each record was tried."""
    trakor = story.sandbox.trakor
    trakor.faults.add(Fault(status=503, times=None))
    process = await story.begin("backfill", "contacts")
    await trakor.wait_for(lambda: len(trakor.traffic.of("parties")) >= BEGUN, timeout=LONG)
    process.signal(signal.SIGINT)
    assert (await process.ended()).status == 130
    trakor.faults.clear()


async def test_the_second_is_sent_where_the_first_never_will_be(story: Story) -> None:
    """The first draws 503 and is deleted; has failed eight times; is dropped; is forgotten."""
    contacts, trakor = story.sandbox.contacts, story.sandbox.trakor
    pairs = {name: twins(story, name) for name in ("Deleted Duck", "Forgotten Frog")}
    await in_vain(story)
    assert len(trakor.parties) == 0
    contacts.remove(pairs["Deleted Duck"][0])
    await story.decide("forget", pairs["Forgotten Frog"][0], "--yes")

    pairs |= {name: twins(story, name) for name in ("Failed Fox", "Dropped Dog")}
    story.fail("Failed Fox", status=500, body={"error": "no"}, times=None)
    taken = trakor.parties.insert("Somebody Else")
    body = {"id": taken.id, "name": "Dropped Dog", "created": False}
    contacts.add("Somebody Else", email="else@example.com")
    gate = asyncio.Event()
    story.fail("Dropped Dog", status=201, body=body, gate=gate)
    process = await story.begin("backfill", "contacts")
    await story.answered("Somebody Else")
    gate.set()
    assert (await process.ended()).status == 3
    stands = await story.records()
    assert stands[pairs["Dropped Dog"][0]].state == "held: same-party"
    assert stands[pairs["Failed Fox"][1]].state == "rejected: server-error", (
        "it was sent in the first one's place"
    )
    trakor.faults.clear()
    await story.decide("drop", pairs["Dropped Dog"][0])
    await story.decide("retry", pairs["Failed Fox"][1])
    await story.backfill()

    stands = await story.records()
    for name, (_, second) in pairs.items():
        assert name in trakor.parties, f"{name} is in Trakor"
        assert stands[second].state == "delivered", name
        assert stands[second].trakor_id == trakor.parties[name].id, name
    assert len(trakor.parties) == 12 + 1 + len(pairs)
    assert "All" not in await story.headline(), "the one that failed is not in Trakor by itself"


async def test_the_second_is_told_of_where_the_first_is_there_no_more(story: Story) -> None:
    """The first is deleted; made inactive; deleted and entered again; forgotten; renamed and sent anew."""
    contacts, trakor = story.sandbox.contacts, story.sandbox.trakor
    names = ("Deleted Duck", "Inactive Ibis", "Entered Eel", "Forgotten Frog", "Renamed Rat")
    pairs = {name: twins(story, name) for name in names}
    story.configure(contacts={"on_rename": "create"})
    await story.backfill()
    assert len(trakor.parties) == 12 + len(names)
    first = {name: one for name, (one, _) in pairs.items()}

    contacts.remove(first["Deleted Duck"])
    contacts.set_active(first["Inactive Ibis"], active=False)
    contacts.remove(first["Entered Eel"])
    again = contacts.add("Entered Eel", email="entered.eel@example.com")
    await story.decide("forget", first["Forgotten Frog"], "--yes")
    contacts.rename(first["Renamed Rat"], "Another Name")
    await story.backfill()
    requests = len(trakor.traffic.of("parties"))

    for _, second in pairs.values():
        contacts.change_phone(second, "0491 570 110")
    numbers = await story.backfill()
    stands = await story.records()
    for name, (_, second) in pairs.items():
        found = stands[second]
        assert (found.state, found.fields) == ("drifted", ("contact_info",)), name
        assert found.trakor_id == trakor.parties[name].id, f"{name} keeps the party"
    assert numbers["drifted"] == len(pairs)
    assert stands[again].state in {"merged", "held: same-person"}
    assert len(trakor.traffic.of("parties")) == requests, "nobody is sent twice"
    assert len(trakor.parties) == 12 + len(names) + 1
