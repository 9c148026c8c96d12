"""The sample loop of Trakor's own page: every run posts every item by its name.

The loop runs on a Trakor of its own, so that its results can be compared with the bridge's. It gets every
benefit: it, too, skips records that are inactive or nameless, and puts the lender before a product's name.

The loop also posts all contacts to a Trakor that looks a name up and then inserts it. There, one connection
in ``BREAKS`` breaks while Trakor works on, and the loop posts that name again, as the page allows::

    look up A (none) .. connection breaks        insert A
                            loop: look up A (none), insert A
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from bridge.demo import simulated_record_fields
from bridge.sandbox.simulated_system import Call
from bridge.sandbox.trakor import SimulatedTrakor
from bridge.sandbox.trakor_store import Behaviour, Lookup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["BREAKS", "NaiveSync"]

REFUSED = 400
FAILED = 500
BREAKS: Final = 50
"""One connection in this many breaks."""

KEY = "sk_live_of_the_loop"


class NaiveSync:
    """Posts everything in each run and ignores the answers, which are counted here.

    Attributes:
        lost: Ids of contacts that were answered with another person's party.
        refused: Ids of records that Trakor refused.
        duplicates: Ids of records that Trakor has twice.
        vanished: Ids of records whose change Trakor ignored without an error.
        requests: How many requests were sent.
        failed: How many requests the Trakor that looks up and then inserts answered with an error.
    """

    def __init__(self) -> None:
        self._trakor = SimulatedTrakor(KEY)
        self._hasty = SimulatedTrakor(KEY, behaviour=Behaviour(lookup=Lookup.FAILS))
        self._posted = 0
        self._texts: dict[str, Mapping[str, Any]] = {}
        self._owners: dict[str, str] = {}
        self._known: set[str] = set()
        self.lost: set[str] = set()
        self.refused: set[str] = set()
        self.duplicates: set[str] = set()
        self.vanished: set[str] = set()
        self.requests = 0
        self.failed = 0

    @property
    def twins(self) -> int:
        """The number of names with two parties in the Trakor that looks up and then inserts."""
        return len(self._hasty.parties.twins())

    def run(self, contacts: Iterable[Mapping[str, Any]], products: Iterable[Mapping[str, Any]]) -> None:
        """Post all that is active and has a name."""
        for kind, rows, body in (("parties", contacts, _party), ("products", products, _product)):
            for row in rows:
                if simulated_record_fields.is_active(row) and simulated_record_fields.name_of(row).strip():
                    self._post(kind, row["id"], body(row))

    def _post(self, kind: str, identity: str, body: Mapping[str, Any]) -> None:
        self.requests += 1
        call = Call(kind, body["name"], body, KEY)
        if kind == "parties":
            self._post_hastily(call)
        reply = self._trakor.answer(call)
        if reply.status == REFUSED:
            self.refused.add(identity)
            return
        answer = orjson.loads(reply.body)
        self._classify(kind, identity, body, answer["id"], created=answer["created"])

    def _post_hastily(self, call: Call) -> None:
        """Post to the Trakor that looks up and then inserts. If the connection breaks, post again."""
        self._posted += 1
        first = self._hasty.begin(call)
        if self._posted % BREAKS == 0:
            self._hasty.answer(call)
        self.failed += first().status == FAILED

    def _classify(
        self, kind: str, identity: str, body: Mapping[str, Any], trakor_id: str, *, created: bool
    ) -> None:
        """Record what the answer, which the loop ignores, means for the record."""
        if created:
            self._texts[trakor_id] = body
            self._owners[trakor_id] = identity
            if identity in self._known:
                self.duplicates.add(identity)
            self._known.add(identity)
        elif self._texts[trakor_id] != body:
            if self._owners[trakor_id] == identity:
                self.vanished.add(identity)
            elif kind == "parties":
                self.lost.add(identity)


def _party(contact: Mapping[str, Any]) -> dict[str, Any]:
    details = (simulated_record_fields.phone_of(contact), simulated_record_fields.email_of(contact))
    return {
        "name": simulated_record_fields.name_of(contact),
        "contact_info": " | ".join(filter(None, details)),
    }


def _product(product: Mapping[str, Any]) -> dict[str, Any]:
    fee = simulated_record_fields.application_fee(product)
    body = {"name": simulated_record_fields.name_of(product), "description": product["notes"] or ""}
    return body if fee is None else {**body, "price": fee}
