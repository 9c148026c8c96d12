"""A row of the ledger is damaged: it stops only itself, and is told of."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from stories import Story

pytestmark = pytest.mark.acceptance


async def test_a_damaged_row_is_rejected_and_stops_nobody(story: Story) -> None:
    contacts, trakor = story.sandbox.contacts, story.sandbox.trakor
    damaged = contacts.add("Dora Damaged", email="dora@example.com")
    for letter in "abcdef":
        contacts.add(f"Bystander {letter}", email=f"{letter}@example.com")
    await story.backfill()
    path = story.bridge.folder / "ledger.db"
    damage(path, damaged)
    check = await story.run("ledger", "check")
    assert check.status == 1
    assert damaged in check.out + check.err

    contacts.change_phone(damaged, "0491 570 110")
    new = [contacts.add(f"Newcomer {letter}", email=f"new{letter}@example.com") for letter in "abcde"]
    numbers = await story.backfill()
    stands = await story.records()
    assert {stands[one].state for one in new} == {"delivered"}
    assert numbers["created"] == len(new)
    assert stands[damaged].state != "delivered", "what Trakor has of it is not known any more"
    assert trakor.parties.names().count("Dora Damaged") == 1
    assert (await story.run("ledger", "check")).status == 0, "it was decided anew"

    key = story.bridge.folder / "ledger.key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    assert (await story.run("ledger", "check")).status != 0, "another ledger's key"


def damage(path: Path, source_id: str) -> None:
    """As a disk does it, or a hand: what was sent cannot be read."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE records SET sent = 'broken {' WHERE source_id = ?", (source_id,))
    connection.close()
