"""What a brokerage lives through, told with the installed command: what it is told, and what Trakor has.

::

    story = Story(Bridge(tmp_path, sandbox), begin)
    ada = sandbox.contacts.add("Ada Ashby", email="ada@example.com")
    await story.backfill()
    assert (await story.records())[ada].state == "delivered"

Nothing here looks into the ledger: only what the commands say, and what the sandbox's Trakor holds.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import forking
from bridge.sandbox import Fault
from processes import LONG

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from bridge.sandbox import Sandbox
    from bridge.sandbox.trakor_store import Entry
    from bridges import Bridge
    from processes import Begin, Ended

__all__ = ["Listed", "Story", "at_a_terminal"]


class Listed(NamedTuple):
    """One record as ``records list --json`` has it.

    Attributes:
        state: Its state, with the reason after a colon where it has one.
        marks: Its marks.
        fields: Which fields differ.
        name: Its name.
        trakor_id: Trakor's id; empty while it has none.
    """

    state: str
    marks: tuple[str, ...]
    fields: tuple[str, ...]
    name: str
    trakor_id: str


@dataclass(frozen=True, slots=True)
class Story:
    """A bridge that is worked with by commands alone.

    Attributes:
        bridge: Its folder, configuration and sandbox.
        begin: Starts the command in that folder.
    """

    bridge: Bridge
    begin: Begin

    @property
    def sandbox(self) -> Sandbox:
        """Both systems."""
        return self.bridge.sandbox

    def configure(self, **changes: dict[str, object]) -> None:
        """Write the configuration, with these tables changed from now on."""
        for table, values in changes.items():
            self.bridge.changes[table] = {**self.bridge.changes.get(table, {}), **values}
        assert self.bridge.settings.connections

    async def run(self, *arguments: str) -> Ended:
        """Run a command to its end."""
        return await (await self.begin(*arguments)).ended()

    async def backfill(self, *, statuses: Collection[int] = (0, 3)) -> dict[str, int]:
        """Backfill the contacts; returns their numbers."""
        ended = await self.run("backfill", "contacts", "--json")
        assert ended.status in statuses, ended.err[-2000:]
        return ended.numbers["contacts"]

    async def records(self, *arguments: str) -> Mapping[str, Listed]:
        """What is known of each record, by its id."""
        ended = await self.run("records", "list", "--json", *arguments)
        assert ended.status == 0, ended.err[-2000:]
        return {str(one["id"]): _listed(one) for one in ended.document["records"]}

    async def decide(self, *arguments: str) -> None:
        """A person decides: `records …`."""
        ended = await self.run("records", *arguments)
        assert ended.status == 0, ended.err[-2000:]

    async def headline(self) -> str:
        """The first sentence of `status`."""
        return (await self.run("status")).out.splitlines()[0]

    def fail(self, name: str, **fault: Any) -> None:  # noqa: ANN401 - the fields of Fault
        """What goes wrong with the requests for one name."""
        self.sandbox.trakor.faults.add(Fault(kind="parties", name=name, **fault))

    async def answered(self, name: str) -> None:
        """Wait until Trakor has answered a request for a name."""
        trakor = self.sandbox.trakor
        await trakor.wait_for(
            lambda: any(one.status and one.name == name for one in trakor.traffic.exchanges), timeout=LONG
        )

    def party(self, one: Listed) -> Entry | None:
        """The party that a record is said to have."""
        entries = self.sandbox.trakor.parties.entries()
        return next((entry for entry in entries if entry.id == one.trakor_id), None)

    def parties_of(self, text: str) -> list[str]:
        """The names of Trakor's parties whose contact details have this text."""
        return [entry.name for entry in self.sandbox.trakor.parties.entries() if text in entry.text]


async def at_a_terminal(folder: Path, *arguments: str) -> str:
    """What a command shows to somebody who sits at a terminal."""
    async with asyncio.timeout(LONG):
        status, shown = await forking.at_a_terminal(arguments, folder, os.environ, 120)
    assert status in {0, 3}
    return shown


def _listed(one: Mapping[str, Any]) -> Listed:
    state = f"{one['state']}: {one['reason']}" if one["reason"] else str(one["state"])
    return Listed(
        state, tuple(one["marks"]), tuple(one["fields"]), one.get("name") or "", one["trakor_id"] or ""
    )
