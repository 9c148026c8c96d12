"""What one Salestrekker organisation holds, and which of its fields are broken at the moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import GraphQLError

from bridge.sandbox.collection import Collection, Contacts, Products
from bridge.sandbox.data import EPOCH, LABELS, Numbering, Row

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BrokenField", "Organization", "World"]

STAGES = ("New lead", "Appointment", "Lodged", "Approved", "Settled")


class Organization(NamedTuple):
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
    """

    stream: str
    path: str
    id: str = ""
    code: str = "FORBIDDEN"
    message: str = "You are not allowed to see this."

    def __post_init__(self) -> None:
        if self.stream not in ("contacts", "products"):
            raise ValueError(f"there are contacts and products; no {self.stream}")

    def error(self) -> GraphQLError:
        """The error that takes the place of the value."""
        return GraphQLError(self.message, extensions={"code": self.code} if self.code else None)

    def spoil(self, row: Row) -> Row | GraphQLError:
        """The record with the error in the field's place: graphql-core reports it with its path."""
        if self.id not in ("", row["id"]):
            return row
        spoilt: Row | GraphQLError = (
            _spoilt(row, self.path.split("."), self.error()) if self.path else self.error()
        )
        return spoilt


class World:
    """The data of one organisation.

    Args:
        contacts: How many.
        products: How many.
        seed: Makes them.
        organizations: Names of those that the log-in belongs to, the one logged in to first.
        home: Which of them has the data; the others are empty.
    """

    def __init__(
        self, contacts: int, products: int, seed: int, organizations: tuple[str, ...], home: int
    ) -> None:
        ids = Numbering(seed, "organization")
        self.seed = seed
        self.user = Numbering(seed, "user").id_of(0)
        self.organizations = [Organization(ids.id_of(i), name) for i, name in enumerate(organizations)]
        self.home = self.organizations[home]
        self.contacts = Contacts(contacts, seed)
        self.products = Products(products, seed)
        self.workflows = [
            _workflow(seed, index, name) for index, name in enumerate(("Home loans", "Refinance"))
        ]
        self.labels = [
            {"id": Numbering(seed, "label").id_of(i), "name": name} for i, name in enumerate(LABELS)
        ]
        self.tickets = Collection(contacts, Numbering(seed, "ticket"), self._ticket)
        self.broken: list[BrokenField] = []

    @classmethod
    def empty(cls, other: World) -> World:
        """The same organisations seen from one without data."""
        names = tuple(organization.name for organization in other.organizations)
        return cls(0, 0, other.seed, names, other.organizations.index(other.home))

    def break_field(self, broken: BrokenField) -> None:
        """Answer a field with an error from now on."""
        self.broken.append(broken)

    def mend_fields(self) -> None:
        """Answer all fields as they should be."""
        self.broken.clear()

    def shown(self, stream: str, rows: Iterable[Row]) -> list[Any]:
        """The records as they are answered: as they are, or with what is broken in them."""
        broken = [field for field in self.broken if field.stream == stream]
        return [_spoil_all(row, broken) for row in rows] if broken else list(rows)

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


def _spoil_all(row: Row, broken: list[BrokenField]) -> Row | GraphQLError:
    for field in broken:
        spoilt = field.spoil(row)
        if isinstance(spoilt, GraphQLError):
            return spoilt
        row = spoilt
    return row


def _spoilt(row: Row, path: list[str], error: GraphQLError) -> Row:
    """A copy with the error at the path; unchanged where the record has nothing there."""
    name, *rest = path
    if not rest:
        return row | {name: error}
    below = row.get(name)
    return row | {name: _spoilt(below, rest, error)} if isinstance(below, dict) else row
