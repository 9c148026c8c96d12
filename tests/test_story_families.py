"""Who is one person and who is not, and how a first backfill tells of it."""

from __future__ import annotations

import pytest

from stories import Story, at_a_terminal

pytestmark = pytest.mark.acceptance


async def test_a_family_is_asked_about_and_one_person_twice_is_one_party(story: Story) -> None:
    """Father and son with the family's e-mail; one person twice, once without e-mail."""
    contacts, trakor = story.sandbox.contacts, story.sandbox.trakor
    family = contacts.add_family("Otto Ashby", "Olive Ashby", email="ashby@example.com")
    whole = contacts.add("Twyla Twice", email="twyla@example.com", phone="0491 570 158")
    half = contacts.add("Twyla Twice", phone="0491 570 158")
    john = contacts.add("John Doe", email="john@example.com")
    jack = contacts.add("John Doe", email="jack@example.com")
    seen = await at_a_terminal(story.bridge.folder, "backfill", "contacts", "--dry-run")
    assert "1 held: same-person (possibly the same person as another record), e.g. Otto Ashby" in " ".join(
        seen.split()
    )
    rehearsed = await story.run("backfill", "contacts", "--dry-run")
    ended = await story.run("backfill", "contacts")
    assert (rehearsed.status, ended.status) == (3, 3)
    told = ("6 contacts share 3 names", "1 qualified", "1 merged", "1 held: same-person")
    for text in (rehearsed.out, ended.out):
        assert all(words in text for words in told), text
        assert "Otto" not in text, "names are only shown on a terminal"

    stands = await story.records()
    assert stands[family.father].state == stands[family.mother].state == "delivered"
    assert stands[family.son].state == "held: same-person"
    assert (stands[whole].state, stands[half].state) == ("delivered", "merged")
    assert stands[john].state == stands[jack].state == "delivered"
    assert trakor.parties.names().count("Twyla Twice") == 1


async def test_a_forgotten_fathers_party_is_not_the_sons(story: Story) -> None:
    """A person was told to delete it, and the son was delivered on it, unasked."""
    contacts, trakor = story.sandbox.contacts, story.sandbox.trakor
    family = contacts.add_family("Otto Ashby", "Olive Ashby", email="ashby@example.com")
    await story.backfill()
    fathers = (await story.records())[family.father].trakor_id
    ended = await story.run("records", "forget", family.father, "--yes")
    assert f"Delete in Trakor by hand: {fathers}" in ended.out
    assert f"Held because of its name, and still held: {family.son}" in ended.out
    await story.backfill()
    stands = await story.records()
    assert (stands[family.son].state, stands[family.son].trakor_id) == ("held: same-person", "")
    trakor.parties.remove(fathers)
    await story.decide("accept", family.son)
    await story.backfill()
    son = (await story.records())[family.son]
    assert son.state == "delivered"
    assert son.trakor_id in {one.id for one in trakor.parties.entries()} - {fathers}
