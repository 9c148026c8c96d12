"""The data of one simulated Salestrekker organisation, and its broken fields."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import GraphQLError

from bridge.sandbox.collection import Collection, ContactCollection, ProductCollection
from bridge.sandbox.seeded_records import EPOCH, LABELS, Numbering, Row

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BrokenField", "OrganizationState", "SimulatedOrganization"]

SEED_DISTANCE = 1_000_003
"""The difference between the seeds of two organisations."""

STAGES = ("New lead", "Appointment", "Lodged", "Approved", "Settled")


class SimulatedOrganization(NamedTuple):
    """An organisation that the log-in belongs to."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenField:
    """A field that is answered with an error instead of its value.

    Attributes:
        stream: ``contacts`` or ``products``. path: The path from the record, with dots:
        ``person.contact.email``. Empty means the record itself. id: The id of the record; empty means all
        records. code: ``extensions.code`` of the error, such as ``FORBIDDEN``; empty means none. message: The
        error's message. only_by_id: Whether the field is broken only if the record is read by its id. Lists
        then have the value. times: How many records are affected; None means all, until the field is
        repaired.
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
            raise ValueError(f"stream is contacts or products, not {self.stream}")

    def error(self) -> GraphQLError:
        """Return the error that replaces the value."""
        return GraphQLError(self.message, extensions={"code": self.code} if self.code else None)

    def concerns(self, stream: str, *, by_id: bool) -> bool:
        """Whether the field is broken in answers of this kind."""
        return self.stream == stream and (by_id or not self.only_by_id)

    def apply(self, row: Row) -> Row | GraphQLError:
        """Return the record with the error in the field's place. graphql-core reports it with its path."""
        changed: Row | GraphQLError = (
            _with_errors(row, self.path.split("."), self.error()) if self.path else self.error()
        )
        return changed


class OrganizationState:
    """The data of one organisation.

    Args:
        contacts: The number of contacts.
        products: The number of products.
        seed: The seed of the data.
        organizations: The names of the log-in's organisations. A log-in begins in the first.
        home: The position of the organisation with this data.
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

    def elsewhere(self, place: int, contacts: int = 0, products: int = 0) -> OrganizationState:
        """Return the data of another organisation of the same log-in, with other people and other ids.

        Args:
            place: The organisation's position in ``organizations``.
            contacts: The number of contacts.
            products: The number of products.
        """
        names = tuple(organization.name for organization in self.organizations)
        world = OrganizationState(contacts, products, self.seed + SEED_DISTANCE * (place + 1), names, place)
        world.user, world.organizations = self.user, self.organizations
        world.home = self.organizations[place]
        return world

    def break_field(self, broken: BrokenField) -> None:
        """Answer a field with an error from now on."""
        self.broken.append(broken)

    def fail_by_id(self, identity: str, stream: str = "contacts", times: int | None = None) -> BrokenField:
        """Make the resolver fail if this record is read by its id; see ``mend_field``.

        Args:
            identity: The record's id.
            stream: ``contacts`` or ``products``.
            times: How often the resolver fails; None means until the field is repaired.
        """
        code, message = "INTERNAL_SERVER_ERROR", "Something went wrong."
        broken = BrokenField(
            stream=stream, path="", id=identity, code=code, message=message, only_by_id=True, times=times
        )
        self.break_field(broken)
        return broken

    def mend_field(self, broken: BrokenField) -> None:
        """Repair one field."""
        self.broken = [field for field in self.broken if field != broken]
        del self._hits[broken]

    def mend_fields(self) -> None:
        """Repair all fields."""
        self.broken.clear()
        self._hits.clear()

    def shown(self, stream: str, rows: Iterable[Row], *, by_id: bool = False) -> list[Any]:
        """Return the records as they are answered, with errors in broken fields."""
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
        """Whether a broken field affects a record now. After ``times`` records, the field is repaired."""
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
    """Return a copy with the error at the path; unchanged if the record has nothing there."""
    name, *rest = path
    if not rest:
        return row | {name: error}
    below = row.get(name)
    return row | {name: _with_errors(below, rest, error)} if isinstance(below, dict) else row
