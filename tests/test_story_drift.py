"""Drift that is none is not listed; drift that is can be worked, alone and by the hundred."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stories import Story

pytestmark = pytest.mark.acceptance


NUMBER = 30


async def test_another_spelling_is_no_drift_and_a_burst_is_told_once(story: Story) -> None:
    """First e-mails and numbers are typed otherwise; then all have another number, and one a new name."""
    contacts, trakor = story.sandbox.contacts, story.sandbox.trakor
    ids = [
        contacts.add(f"Client {number}", email=f"client{number}@example.com", phone=f"9{number:03} 4321")
        for number in range(100, 100 + NUMBER)
    ]
    await story.backfill()
    for number, one in enumerate(ids, 100):
        contacts.change_email(one, f"Client{number}@Example.COM")
        contacts.change_phone(one, f"9{number:03}-43 21")
    numbers = await story.backfill()
    assert (numbers["unchanged"], numbers["drifted"]) == (NUMBER, 0)

    for number, one in enumerate(ids, 100):
        contacts.change_phone(one, f"9{number:03} 8765")
    contacts.rename(ids[0], "Clara Renamed")
    ended = await story.run("backfill", "contacts")
    assert ended.status == 3
    assert (
        f"{NUMBER - 1} contacts: contact_info changed at the same time: trakor-bridge records list"
        in ended.out
    )
    assert "--state drifted --field contact_info --since " in ended.out
    assert ended.out.count("changed at the same time") == 1
    assert f"{NUMBER - 1} contacts: contact_info changed at the same time" in (await story.run("status")).out

    shown = (await story.run("records", "show", ids[0])).out
    assert "Client 100" in shown, "the name under which Trakor has it"
    assert "9100 4321" in shown, "what Trakor has"
    assert "9100 8765" in shown, "what Salestrekker says"
    listed = (await story.run("records", "list", "--state", "drifted")).out
    assert "Client 101" in listed
    [options] = re.findall(r"records list (.+) \(accept and dismiss", ended.out)
    await story.decide("dismiss", *options.split(), "--yes")
    stands = await story.records()
    assert {(stands[one].state, stands[one].marks) for one in ids[1:]} == {("delivered", ("dismissed",))}
    assert "in one sweep" not in (await story.run("status")).out
    assert len(trakor.parties) == NUMBER
