"""The data of one Salestrekker organisation, and which of its fields are broken."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import GraphQLError

from bridge.sandbox.collection import Collection, ContactCollection, ProductCollection
from bridge.sandbox.data import EPOCH, LABELS, Numbering, Row

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BrokenField", "SimulatedOrganization", "World"]

SEED_DISTANCE = 1_000_003
"""Between the seeds of two organisations."""

STAGES = ("New lead", "Appointment", "Lodged", "Approved", "Settled")


class SimulatedOrganization(NamedTuple):
    """An organisation that the log-in belongs to."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenField:
    """A field that is answered with an error instead of its value.

    Attributes:
        stream: ``contacts`` or ``products``.
        path: From the record downwards, with dots: ``person.contact.email``. Empty: the record itself.
        id: Only of this record; empty: of all.
        code: ``extensions.code`` of the error, ``FORBIDDEN`` for example; empty: none.
        message: The error's message.
        only_by_id: Only where the record is asked for by its id; lists have it as it should be.
        times: How many records it strikes; None: all, until it is mended.
    """

    stream: str
    path: str
    id: str = ""
    code: str = "FORBIDDEN"
    message: str = "You are not allowed to see this."
    only_by_id: bool = False
    times: int | None = None

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError("times is at least 1")
        if self.stream not in ("contacts", "products"):
            raise ValueError(f"there are contacts and products; no {self.stream}")

    def error(self) -> GraphQLError:
        """The error that takes the place of the value."""
        return GraphQLError(self.message, extensions={"code": self.code} if self.code else None)

    def concerns(self, stream: str, *, by_id: bool) -> bool:
        """Whether it may be seen in such an answer."""
        return self.stream == stream and (by_id or not self.only_by_id)

    def apply(self, row: Row) -> Row | GraphQLError:
        """The record with the error in the field's place: graphql-core reports it with its path."""
        changed: Row | GraphQLError = (
            _with_errors(row, self.path.split("."), self.error()) if self.path else self.error()
        )
        return changed


class World:
    """The data of one organisation.

    Args:
        contacts: How many.
        products: How many.
        seed: Makes them.
        organizations: Names of those that the log-in belongs to, the one logged in to first.
        home: Whose data this is.
    """

    def __init__(
        self, contacts: int, products: int, seed: int, organizations: tuple[str, ...], home: int
    ) -> None:
        ids = Numbering(seed, "organization")
        self.seed = seed
        self.user = Numbering(seed, "user").id_of(0)
        self.organizations = [
            SimulatedOrganization(ids.id_of(i), name) for i, name in enumerate(organizations)
        ]
        self.home = self.organizations[home]
        self.contacts = ContactCollection(contacts, seed)
        self.products = ProductCollection(products, seed)
        self.workflows = [
            _workflow(seed, index, name) for index, name in enumerate(("Home loans", "Refinance"))
        ]
        self.labels = [
            {"id": Numbering(seed, "label").id_of(i), "name": name} for i, name in enumerate(LABELS)
        ]
        self.tickets = Collection(contacts, Numbering(seed, "ticket"), self._ticket)
        self.broken: list[BrokenField] = []
        self._hits: Counter[BrokenField] = Counter()

    def elsewhere(self, place: int, contacts: int = 0, products: int = 0) -> World:
        """The data of another organisation that the same log-in belongs to: other people, other ids.

        Args:
            place: Which one of ``organizations``.
            contacts: How many.
            products: How many.
        """
        names = tuple(organization.name for organization in self.organizations)
        world = World(contacts, products, self.seed + SEED_DISTANCE * (place + 1), names, place)
        world.user, world.organizations = self.user, self.organizations
        world.home = self.organizations[place]
        return world

    def break_field(self, broken: BrokenField) -> None:
        """Answer a field with an error from now on."""
        self.broken.append(broken)

    def fail_by_id(self, identity: str, stream: str = "contacts", times: int | None = None) -> BrokenField:
        """Let the resolver fail when this record is asked for by its id; gives what ``mend_field`` takes.

        Args:
            identity: Its id.
            stream: ``contacts`` or ``products``.
            times: How often; None: until it is mended.
        """
        code, message = "INTERNAL_SERVER_ERROR", "Something went wrong."
        broken = BrokenField(
            stream=stream, path="", id=identity, code=code, message=message, only_by_id=True, times=times
        )
        self.break_field(broken)
        return broken

    def mend_field(self, broken: BrokenField) -> None:
        """Answer one field as it should be."""
        self.broken = [field for field in self.broken if field != broken]
        del self._hits[broken]

    def mend_fields(self) -> None:
        """Answer all fields as they should be."""
        self.broken.clear()
        self._hits.clear()

    def shown(self, stream: str, rows: Iterable[Row], *, by_id: bool = False) -> list[Any]:
        """The records as they are answered: as they are, or with what is broken in them."""
        broken = [field for field in self.broken if field.concerns(stream, by_id=by_id)]
        return [self._with_errors(row, broken) for row in rows] if broken else list(rows)

    def _with_errors(self, row: Row, broken: list[BrokenField]) -> Row | GraphQLError:
        for field in broken:
            if field.id in ("", row["id"]) and self._strikes(field):
                changed = field.apply(row)
                if isinstance(changed, GraphQLError):
                    return changed
                row = changed
        return row

    def _strikes(self, field: BrokenField) -> bool:
        """Count one record that is struck; a field that has struck often enough is mended."""
        if field.times is None or field not in self.broken:
            return field in self.broken
        self._hits[field] += 1
        if self._hits[field] >= field.times:
            self.mend_field(field)
        return True

    def _ticket(self, index: int) -> Row:
        workflow = self.workflows[index % len(self.workflows)]
        contact = Numbering(self.seed, "contact").id_of(index)
        return {
            "id": Numbering(self.seed, "ticket").id_of(index),
            "name": f"Deal {index + 1}",
            "timeStamp": EPOCH.isoformat(),
            "idOwner": self.user,
            "idWorkflow": workflow["id"],
            "idStage": workflow["stages"][index % len(STAGES)]["id"],
            "idLabels": [],
            "idClients": [contact],
            "ticketClientTypes": [{"idContact": contact, "idLabel": self.labels[0]["id"]}],
            "values": {"onceOff": 250_000.0 + index % 100 * 5000},
        }


def _workflow(seed: int, index: int, name: str) -> Row:
    stages = Numbering(seed, f"stage-{index}")
    return {
        "id": Numbering(seed, "workflow").id_of(index),
        "name": name,
        "description": None,
        "timeStamp": EPOCH.isoformat(),
        "type": {"name": "LOAN"},
        "stages": [{"id": stages.id_of(place), "name": stage} for place, stage in enumerate(STAGES)],
    }


def _with_errors(row: Row, path: list[str], error: GraphQLError) -> Row:
    """A copy with the error at the path; unchanged where the record has nothing there."""
    name, *rest = path
    if not rest:
        return row | {name: error}
    below = row.get(name)
    return row | {name: _with_errors(below, rest, error)} if isinstance(below, dict) else row
