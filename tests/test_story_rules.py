"""A rule is changed while the source changes, too: whose doing a difference is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stories import Story

pytestmark = pytest.mark.acceptance

QUERIES = Path(__file__).parent.parent / "queries"


async def test_an_edit_is_listed_whatever_rule_is_changed_with_it(story: Story) -> None:
    """A tweak of the map, of `where`, of the query's text: each comes with one contact's new number."""
    contacts, trakor = story.sandbox.contacts, story.sandbox.trakor
    names = ("Ada Map", "Bea Where", "Cleo Query", "Dora Nothing", "Egon Nothing")
    ids = {name: contacts.add(name, email=f"{name[:3]}@example.com") for name in names}
    await story.backfill()
    requests = len(trakor.traffic.of("parties"))

    fields = "person.information.familyName, person.contact.email, person.contact.primary"
    story.bridge.changes["contacts.map"] = {"contact_info": f"join_present(' / ', [{fields}])"}
    contacts.change_phone(ids["Ada Map"], "0491 570 110")
    story.configure()
    assert (await story.backfill())["drifted"] == 1
    stands = await story.records()
    assert stands[ids["Ada Map"]].state == "drifted"
    assert {stands[ids[name]].marks for name in names[1:]} == {("remapped",)}

    story.configure(contacts={"where": "isActive != `false` && id != 'nobody'"})
    contacts.change_phone(ids["Bea Where"], "0491 570 156")
    assert (await story.backfill())["drifted"] == 2

    own = story.bridge.folder / "queries"
    own.mkdir()
    for name in ("contacts.graphql", "contact.graphql", "contact.fragment.graphql"):
        text = (QUERIES / name).read_text()
        (own / name).write_text(text.replace("  isActive #", "  timeStamp\n  isActive #"))
    contacts.change_phone(ids["Cleo Query"], "0491 570 157")
    await story.backfill()
    stands = await story.records()
    assert {name for name, one in ids.items() if stands[one].state == "drifted"} == {*names[:3]}
    assert len(trakor.traffic.of("parties")) == requests, "nobody is sent again"


async def test_an_edit_that_comes_with_another_map_of_names_is_told(story: Story) -> None:
    """Held like all others for its new name, it was said that it was not the source that changed."""
    ids = [
        story.sandbox.contacts.add(name, email=f"{name[:3]}@example.com") for name in ("Ada Map", "Bea Map")
    ]
    await story.backfill()
    person = "person.information"
    story.bridge.changes["contacts.map"] = {
        "name": f"join_present(' ', [{person}.familyName, {person}.firstName])"
    }
    story.sandbox.contacts.change_phone(ids[0], "0491 570 110")
    story.configure()
    await story.backfill()
    listed = (await story.run("records", "list", "--reason", "remapped")).out
    assert listed.count("held: remapped") == 2
    assert listed.count("held: remapped, contact_info") == 1
    said = [(await story.run("records", "show", one)).out for one in ids]
    assert ["Also changed in Salestrekker: contact_info" in one for one in said] == [True, False]
