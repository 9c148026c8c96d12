"""An answer proves the name and the id, no more: what Trakor has is what was sent at that time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stories import Story

pytestmark = pytest.mark.acceptance


BYSTANDERS = tuple(f"Bystander {letter}" for letter in "abcdefghijkl")


async def test_what_trakor_was_never_sent_is_listed_however_the_name_came_back(story: Story) -> None:
    """Renamed by hand and accepted; A, B and A again; failed eight times and edited; dropped and retried.

    Each of them has another telephone number by the end, which Trakor was never sent.
    """
    contacts, trakor = story.sandbox.contacts, story.sandbox.trakor
    hanna, back, eight, dropped = names = ("Hanna Old", "Back First", "Eight Times", "Dropped Once")
    ids = {name: contacts.add(name, email=f"{name[:4]}@example.com", phone="0491 570 006") for name in names}
    for name in BYSTANDERS:
        contacts.add(name, email=f"{name[-1]}@example.com")
    for name in (eight, dropped):
        story.fail(name, status=500, body={"error": "stored, and then it failed"}, commit=True, times=None)
    assert (await story.backfill())["rejected"] == 2
    trakor.faults.clear()
    await story.decide("drop", ids[dropped])

    contacts.rename(ids[hanna], "Hanna New")
    contacts.rename(ids[back], "Back Second")
    for name in (hanna, eight, dropped):
        contacts.change_phone(ids[name], "0491 570 110")
    assert (await story.backfill())["held"] == 2
    trakor.parties.rename(hanna, "Hanna New")
    await story.decide("accept", "--reason", "renamed", "--yes")
    await story.decide("retry", "--state", "rejected,dropped", "--yes")
    await story.backfill()

    contacts.rename(ids[back], back)
    contacts.change_phone(ids[back], "0491 570 110")
    await story.backfill()
    await story.decide("accept", ids[back])
    await story.backfill()

    stands = await story.records()
    for name, one in ids.items():
        assert (stands[one].state, stands[one].fields) == ("drifted", ("contact_info",)), name
        party = story.party(stands[one])
        assert party is not None, name
        assert "570 110" not in party.text, name
    wanted = {"Hanna New", "Back First", "Back Second", eight, dropped, *BYSTANDERS}
    assert sorted(trakor.parties.names()) == sorted(wanted)
