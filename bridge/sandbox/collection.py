"""Lists of records that are generated on request, and can be changed while the sandbox runs.

Only changed and added records are stored. The order is that of the indexes, with added records last. So
offset paging behaves as over a table that is ordered by creation: a removal moves all later records one place
forward. A record that is added first moves all others one place back, as in a list with the newest on top.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from bridge.sandbox import odd_records
from bridge.sandbox.seeded_records import EPOCH, Loans, Numbering, People, Row, fee

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Collection", "ContactCollection", "Family", "ProductCollection", "merged"]


def merged(old: Row, changes: Mapping[str, Any]) -> Row:
    """Return a copy of ``old`` with ``changes`` merged in, object by object. Lists are replaced."""
    new = dict(old)
    for name, value in changes.items():
        was = old.get(name)
        new[name] = merged(was or {}, value) if isinstance(value, dict) else value
    return new


class Collection:
    """The list of one kind of record.

    Args:
        size: How many seeded records there are at first.
        numbering: Gives ids to indexes.
        make: Makes the seeded record with an index.
    """

    def __init__(self, size: int, numbering: Numbering, make: Callable[[int], Row]) -> None:
        self._numbering = numbering
        self._make = make
        self._order = array("i", range(size))
        self._next = size
        self._before = -1
        self._changed: dict[int, Row] = {}
        self._named: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, identity: object) -> bool:
        return isinstance(identity, str) and self._index_of(identity) is not None

    def __iter__(self) -> Iterator[Row]:
        return (self._at(index) for index in self._order)

    def id_at(self, position: int) -> str:
        """Return the id of the record that is at this position now."""
        return str(self[position]["id"])

    def __getitem__(self, position: int) -> Row:
        return self._at(self._order[position])

    def get(self, identity: str) -> Row | None:
        """Return the record with this id, or None. Don't change it: see ``update``."""
        index = self._index_of(identity)
        return None if index is None else self._at(index)

    def order(self) -> Sequence[int]:
        """Return the indexes of the records, in ascending order, for ``at``."""
        return self._order

    def at(self, index: int) -> Row:
        """Return the record with an index from ``order``."""
        return self._at(index)

    def changed_since(self, since: datetime) -> Sequence[int]:
        """Return the indexes of the records whose time stamp is not before ``since``, in their order."""
        # Seeded records have time stamps one second apart, so they need not be generated.
        oldest = max(0, math.ceil((since - EPOCH).total_seconds()))
        seeded = self._order[bisect_left(self._order, oldest) :]
        changed = (index for index, row in self._changed.items() if _stamp(row) >= since)
        return sorted({index for index in seeded if index not in self._changed}.union(changed))

    def insert(self, row: Row, *, first: bool = False) -> str:
        """Add a record at the end, or before all others, and return its id. A missing ``id`` is generated.

        Raises:
            ValueError: A record has that id already.
        """
        index = self._before if first else self._next
        identity = row.get("id") or self._numbering.id_of(index)
        if identity in self:
            raise ValueError(f"there is a {self._numbering.kind} {identity} already")
        self._named[identity] = index
        self._changed[index] = row | {"id": identity}
        self._order.insert(0 if first else len(self._order), index)
        self._before, self._next = (index - 1, self._next) if first else (self._before, index + 1)
        return str(identity)

    def update(self, identity: str, changes: Mapping[str, Any]) -> None:
        """Change a record. The changes have the schema's field names.

        Raises:
            KeyError: There is no such record.
        """
        index = self._known(identity)
        stamp = {"timeStamp": _now()} if "timeStamp" in self._at(index) else {}
        self._changed[index] = merged(self._at(index), {**stamp, **changes})

    def remove(self, identity: str) -> None:
        """Remove a record.

        Raises:
            KeyError: There is no such record.
        """
        index = self._known(identity)
        del self._order[bisect_left(self._order, index)]
        self._changed.pop(index, None)
        self._named.pop(identity, None)

    def _known(self, identity: str) -> int:
        index = self._index_of(identity)
        if index is None:
            raise KeyError(f"there is no {self._numbering.kind} {identity}")
        return index

    def _index_of(self, identity: str) -> int | None:
        index = self._named.get(identity)
        if index is None:
            index = self._numbering.index_of(identity)
        if index is None:
            return None
        place = bisect_left(self._order, index)
        found = place < len(self._order) and self._order[place] == index
        return index if found and self._has_id(index, identity) else None

    def _has_id(self, index: int, identity: str) -> bool:
        changed = self._changed.get(index)
        return changed is None or changed["id"] == identity

    def _at(self, index: int) -> Row:
        return self._changed.get(index) or self._make(index)


class Family(NamedTuple):
    """The ids of a family; see ``ContactCollection.add_family``."""

    father: str
    son: str
    mother: str


class ContactCollection(Collection):
    """Salestrekker's contacts: persons and companies."""

    def __init__(self, size: int, seed: int) -> None:
        people = People(seed)
        super().__init__(size, people.numbering, lambda index: odd_records.contact(people, index))

    def add(
        self,
        name: str,
        *,
        email: str | None = None,
        phone: str | None = None,
        company: bool = False,
        active: bool = True,
        identity: str | None = None,
        first: bool = False,
    ) -> str:
        """Add a person or company, and return the id. The last word of a person's name is the family name."""
        kind = "company" if company else "person"
        information = {"name": name} if company else _split(name)
        details = {"email": email, "primary": phone, "primaryCode": "61" if phone else None}
        half: Row = {"information": information, "contact": details, "employments": []}
        row = {"id": identity, "isActive": active, "timeStamp": _now(), "person": None, "company": None}
        return self.insert(row | {kind: half}, first=first)

    def add_family(self, name: str, mother: str, *, email: str) -> Family:
        """Add a father and a son with one name, and the mother, with one e-mail address and three numbers.

        Args:
            name: The name of father and son.
            mother: The mother's name.
            email: The family's e-mail address.
        """
        names, phones = (name, name, mother), ("0491 570 006", "0491 570 156", "0491 570 157")
        members = zip(names, phones, strict=True)
        return Family(*(self.add(who, email=email, phone=phone) for who, phone in members))

    def rename(self, identity: str, name: str) -> None:
        """Give a contact another name."""
        kind = self._kind(identity)
        information = {"name": name} if kind == "company" else _split(name)
        self.update(identity, {kind: {"information": information}})

    def change_email(self, identity: str, email: str | None) -> None:
        """Give a contact another e-mail address, or none."""
        self.update(identity, {self._kind(identity): {"contact": {"email": email}}})

    def change_phone(self, identity: str, phone: str | None, code: str | None = "61") -> None:
        """Give a contact another main telephone number (and calling code), or none."""
        self.update(identity, {self._kind(identity): {"contact": {"primary": phone, "primaryCode": code}}})

    def set_active(self, identity: str, *, active: bool) -> None:
        """Archive a contact, or make it active again."""
        self.update(identity, {"isActive": active})

    def _kind(self, identity: str) -> str:
        return "company" if self._at(self._known(identity))["company"] else "person"


class ProductCollection(Collection):
    """Salestrekker's home-loan products."""

    def __init__(self, size: int, seed: int) -> None:
        self._loans = Loans(seed)
        super().__init__(size, self._loans.numbering, lambda index: odd_records.product(self._loans, index))

    def add(
        self,
        name: str,
        *,
        lender: str | None = None,
        price: float | None = None,
        notes: str | None = None,
        identity: str | None = None,
    ) -> str:
        """Add a product of one lender with an application fee, and return the id."""
        lenders = [{"id": f"lender-{lender}", "name": lender}] if lender else []
        fees = [] if price is None else [fee("APPLICATION", price)]
        row = {"id": identity, "name": name, "notes": notes, "isActive": True, "lender": lenders, "fee": fees}
        return self.insert(row)

    def rename(self, identity: str, name: str) -> None:
        """Give a product another name."""
        self.update(identity, {"name": name})

    def change_price(self, identity: str, price: float | None) -> None:
        """Replace a product's fees by one application fee of this value, or by no fee."""
        self.update(identity, {"fee": [] if price is None else [fee("APPLICATION", price)]})


def _split(name: str) -> Row:
    first, _, family = name.rpartition(" ")
    return {"firstName": first or None, "middleName": None, "familyName": family}


def _stamp(row: Row) -> datetime:
    stamp = row.get("timeStamp")
    return datetime.fromisoformat(stamp) if stamp else datetime.max.replace(tzinfo=UTC)


def _now() -> str:
    return datetime.now(UTC).isoformat()
