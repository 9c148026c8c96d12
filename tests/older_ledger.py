"""A ledger of revision 0004 in all its states, how it was made, and the source that it was made from.

tests/fixtures/ has the ledger with its key. It was made by running this file with the code of commit
161bad2 (see tests/fixtures/README.md); the tests only use ``source`` and ``later_source``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.backfill import backfill
from bridge.ledger import operator_actions
from bridge.ledger.database import reading, writing
from bridge.ledger.erasure import forget_record
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.records import Policy, Stream
from bridge.sandbox import Fault, Options, Sandbox
from bridge.settings import load
from bridges import Silent, configuration_of, write_configuration

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CHANGES", "EXPECTED", "MAP", "later_source", "source"]

MAP = "first_present([company.information.tradingName, company.information.name, {person}])".replace(
    "{person}", "join_present(' ', [person.information.firstName, person.information.familyName])"
)
"""The map of the name in the last runs: a company goes by its trading name."""

TRADES_AS = "Wombat Traders"

EXPECTED = {
    "created": "delivered",
    "adopted": "delivered",
    "phoned": "drifted",
    "renamed": "held: renamed",
    "two-names": "delivered",
    "remapped": "held: remapped",
    "namesake": "delivered",
    "namesake-2": "held: same-name",
    "cousin": "delivered",
    "cousin-2": "delivered",
    "twin": "delivered",
    "twin-2": "merged",
    "accented": "held: same-party",
    "existing": "held: existing",
    "refused": "rejected: refused-by-trakor",
    "failing": "rejected: server-error",
    "dropped": "dropped",
    "forgotten": "dropped",
    "left": "delivered",
    "archived": "delivered",
    "inactive": "skipped: filtered",
    "nameless": "skipped: no-name",
    "tried": "pending",
    "tried-2": "merged",
    "untried": "pending",
    "priced": "rejected: mapping",
    "product": "delivered",
}
"""State of each record, by its id in Salestrekker."""

NUMBERS = {
    "renamed": "0491 570 156",
    "two-names": "0491 570 157",
    "cousin": "0491 570 158",
    "cousin-2": "0491 570 159",
    "twin": "0491 570 110",
    "twin-2": "0491 570 110",
    "tried": "0491 570 313",
    "tried-2": "0491 570 313",
    "archived": "0491 570 737",
}
"""Numbers that the Australian authority keeps free for fiction."""


def source(sandbox: Sandbox, *, deleted: bool = True) -> None:
    """What Salestrekker said when the ledger was written last.

    Args:
        sandbox: Of no seeded records.
        deleted: Without the record that was deleted in the end.
    """
    people = {
        "created": "Wombat Aardvark",
        "adopted": "Wombat Bilby",
        "phoned": "Wombat Cassowary",
        "renamed": "Wombat Dingo",
        "two-names": "Wombat Echidna",
        "namesake": "Wombat Falcon",
        "namesake-2": "Wombat Falcon",
        "cousin": "Wombat Galah",
        "cousin-2": "Wombat Galah",
        "twin": "Wombat Heron",
        "twin-2": "Wombat Heron",
        "accented": "Wombat Áardvark",
        "existing": "Wombat Ibis",
        "refused": "Wombat Jackdaw",
        "failing": "Wombat Kookaburra",
        "dropped": "Wombat Lorikeet",
        "forgotten": "Wombat Magpie",
        "archived": "Wombat Numbat",
        "inactive": "Wombat Osprey",
        "nameless": "",
        "tried": "Wombat Possum",
        "tried-2": "Wombat Possum",
        "untried": "Wombat Quokka",
    }
    for identity, name in people.items():
        sandbox.contacts.add(
            name,
            phone=NUMBERS.get(identity),
            email=f"{identity.removesuffix('-2')}@example.com" if identity in {"tried", "tried-2"} else None,
            active=identity != "inactive",
            identity=identity,
        )
    sandbox.contacts.add("Wombat Holdings Pty Ltd", company=True, identity="remapped")
    if not deleted:
        sandbox.contacts.add("Wombat Rosella", identity="left")
    sandbox.products.add("Wombat Plus", lender="Marsupial Bank", price=600.0, identity="product")
    sandbox.products.add("Wombat Less", lender="Marsupial Bank", price=-1.0, identity="priced")


def later_source(sandbox: Sandbox) -> None:
    """What of it had changed by then, since the records were first read."""
    sandbox.contacts.change_phone("phoned", "0491 570 006")
    sandbox.contacts.rename("renamed", "Wombat Dunnart")
    sandbox.contacts.rename("two-names", "Wombat Emu")
    sandbox.contacts.update("remapped", {"company": {"information": {"tradingName": TRADES_AS}}})
    sandbox.contacts.set_active("archived", active=False)
    sandbox.contacts.change_phone("tried", "0491 570 314")


CHANGES: dict[str, dict[str, object]] = {"contacts.map": {"name": MAP}}
"""What the configuration of the last runs had beside the defaults."""


class Maker:
    """Makes the ledger, run by run.

    Args:
        folder: Where it is made.
        sandbox: With what ``source`` gives.
    """

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self._folder = folder
        self._sandbox = sandbox

    async def run(
        self, changes: dict[str, dict[str, object]], *, until: Callable[[], bool] | None = None
    ) -> None:
        """Run a backfill, to its end or until something has happened."""
        stop = asyncio.Event()
        text = configuration_of(self._sandbox, self._sandbox, changes)
        running = asyncio.ensure_future(
            backfill(
                load(write_configuration(self._folder, text), {}),
                streams=tuple(Stream),
                connections=["default"],
                restart=False,
                stop=stop,
                watch=Silent(),
            )
        )
        while until is not None and not (until() or running.done()):  # noqa: ASYNC110 - run by hand
            await asyncio.sleep(0.01)
        if until is not None:
            stop.set()
        await running

    def decide(self, verb: Callable[..., object], identity: str) -> None:
        """A person decides."""
        path = self._folder / "ledger.db"
        with reading(path) as connection:
            (found,) = find_records(connection, RecordQuery(either=identity))
        with writing(path) as connection:
            verb(connection, found.feed, found.number, Policy(), now=found.since_at + 1)

    def forget(self, identity: str) -> None:
        """A record is forgotten on request."""
        self.decide(
            lambda connection, _, number, __, now: forget_record(connection, number, now=now), identity
        )


def _fails(name: str, status: int, body: object, times: int | None = None) -> Fault:
    return Fault(kind="parties", name=name, status=status, body=body, times=times)


async def make(folder: Path) -> None:
    """Make the ledger in a folder."""
    async with Sandbox(Options(contacts=0, products=0)) as sandbox:
        source(sandbox, deleted=False)
        for held_back in ("tried", "tried-2", "accented", "existing"):
            sandbox.contacts.set_active(held_back, active=False)
        trakor = sandbox.trakor
        trakor.parties.put("Wombat Bilby")
        trakor.parties.put("Wombat Ibis")
        for name in ("Wombat Jackdaw", "Wombat Quokka"):
            trakor.faults.add(_fails(name, 400, {"error": "name: it is not liked"}))
        trakor.faults.add(_fails("Wombat Kookaburra", 500, {"error": "it cannot be kept"}))
        maker = Maker(folder, sandbox)
        await maker.run({})
        sandbox.contacts.update("remapped", {"company": {"information": {"tradingName": TRADES_AS}}})
        sandbox.contacts.set_active("existing", active=True)
        await maker.run({"contacts": {"on_existing": "hold"}, **CHANGES})
        later_source(sandbox)
        sandbox.contacts.change_phone("tried", NUMBERS["tried"])
        sandbox.contacts.rename("dropped", "Wombat Lapwing")
        sandbox.contacts.remove("left")
        answer = {"id": trakor.parties["Wombat Aardvark"].id, "name": "Wombat Aardvark", "created": False}
        trakor.faults.add(_fails("Wombat Áardvark", 200, answer))
        sandbox.contacts.set_active("accented", active=True)
        await maker.run(CHANGES)
        maker.decide(operator_actions.accept, "two-names")
        maker.decide(operator_actions.drop, "dropped")
        maker.forget("forgotten")
        sandbox.contacts.rename("dropped", "Wombat Lorikeet")
        await maker.run(CHANGES)
        outage = trakor.faults.add(
            Fault(kind="parties", name="Wombat Possum", status=503, delay=0.2, times=None)
        )
        one_at_a_time: dict[str, dict[str, object]] = {"trakor": {"max_in_flight": 1}, **CHANGES}
        for held_back in ("tried", "tried-2"):
            sandbox.contacts.set_active(held_back, active=True)
        await maker.run(one_at_a_time, until=lambda: outage.hits > 0)
        sandbox.contacts.change_phone("tried", "0491 570 314")
        before = outage.hits
        await maker.run(one_at_a_time, until=lambda: outage.hits > before)
        maker.decide(operator_actions.retry, "untried")


if __name__ == "__main__":
    asyncio.run(make(Path(sys.argv[1])))
