"""Whose party it is: lost answers, parties that were there before, a lost ledger, a name that was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.sandbox import Fault

if TYPE_CHECKING:
    from stories import Story

pytestmark = pytest.mark.acceptance


async def test_early_failures_are_no_reason_to_take_what_was_there_before(story: Story) -> None:
    """`on_existing` is hold, and twenty requests draw 503.

    Beside them one was stored, its answer lost, and its repeat draws 400: a stranger of that name is no heir.
    """
    contacts, trakor = story.sandbox.contacts, story.sandbox.trakor
    story.configure(contacts={"on_existing": "hold"})
    existing = [f"Known {letter}" for letter in "abcdefghijklmnopqrst"]
    for name in existing:
        trakor.parties.insert(name, f"{name} | of somebody else")
    held = [contacts.add(name, email=f"{name[-1]}@example.com") for name in existing]
    for letter in "abcdefghijkl":
        contacts.add(f"Bystander {letter}", email=f"by{letter}@example.com")
    trakor.faults.add(Fault(status=503, times=20, where=lambda one: one.name.startswith("Known")))
    stored = contacts.add("Sam Stone", email="first@example.com")
    story.fail("Sam Stone", reset=True, commit=True)
    story.fail("Sam Stone", status=400, body={"error": "no"}, times=None)
    await story.backfill()
    stands = await story.records()
    assert {stands[one].state for one in held} == {"held: existing"}
    assert stands[stored].state == "rejected: refused-by-trakor"

    trakor.faults.clear()
    stranger = contacts.add("Sam Stone", email="stranger@example.com", phone="0491 570 110")
    await story.backfill()
    stands = await story.records()
    assert "first@example.com" in trakor.parties["Sam Stone"].text
    assert stands[stranger].trakor_id != trakor.parties["Sam Stone"].id
    assert story.parties_of("stranger@example.com") == ["Sam Stone (stranger@example.com)"]


async def test_after_a_lost_ledger_nobody_has_another_ones_party(story: Story) -> None:
    """Two Johns, and two Anns of whom one was given a name; the list's order is another one by then."""
    contacts = story.sandbox.contacts
    first = contacts.add("John Doe", email="first@example.com")
    second = contacts.add("John Doe", email="second@example.com")
    contacts.add("Ann Lee", email="ann@example.com")
    other = contacts.add("Ann Lee")
    for letter in "abcdefghijkl":
        contacts.add(f"Bystander {letter}", email=f"by{letter}@example.com")
    await story.backfill()
    assert (await story.records())[other].state == "held: same-name"

    await story.decide("accept", other, "--as", "Ann Lee of Perth")
    contacts.change_email(other, "perth@example.com")
    await story.backfill()
    assert story.parties_of("perth@example.com") == ["Ann Lee of Perth"], "a name that a person gave stays"
    assert (await story.records())[other].state == "delivered"

    for file in story.bridge.folder.glob("ledger.db*"):
        file.unlink()
    contacts.remove(first)
    contacts.add("John Doe", email="first@example.com", identity=first)
    await story.backfill()
    stands = await story.records()
    own = {first: "first@example.com", second: "second@example.com"}
    for one, email in own.items():
        found = stands[one]
        party = story.party(found)
        assert found.state == "held: existing" or (party is not None and email in party.text), one
    assert "held: existing" in {stands[one].state for one in own}
