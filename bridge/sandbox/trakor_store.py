"""Stores the records of a simulated Trakor organisation, and compares names as configured."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Behaviour", "Entry", "Lookup", "Matching", "RecordStore", "Tenant"]


class Matching(StrEnum):
    """Which names are the same in Trakor. Its page does not say."""

    EXACT = "exact"
    TRIMMED = "trimmed"
    CASE_INSENSITIVE = "case-insensitive"  # and trimmed: the loosest


class Entry(NamedTuple):
    """A party or product as Trakor stores it.

    Attributes:
        id: An id that looks like a UUID.
        name: The name as it was first sent.
        text: The ``contact_info`` of a party, or the ``description`` of a product.
        price: The price of a product; 0 if none was sent.
        sku: The SKU of a product; empty for a party.
    """

    id: str
    name: str
    text: str
    price: float
    sku: str


class RecordStore:
    """The parties, or the products, of one organisation.

    Args:
        seed: The seed of the ids.
        matching: Which names are the same.
        sku: The prefix of the SKUs; empty if the records have none.
    """

    def __init__(self, seed: int, matching: Matching, sku: str = "") -> None:
        self._random = random.Random(seed)  # noqa: S311 - ids of a simulation
        self._key = _name_key(matching)
        self._sku = sku
        self._all: list[Entry] = []
        self._found: dict[str, list[Entry]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._key(name) in self._found

    def __getitem__(self, name: str) -> Entry:
        return self._found[self._key(name)][0]

    def entries(self) -> list[Entry]:
        """Return all entries, oldest first."""
        return list(self._all)

    def names(self) -> list[str]:
        """Return the names of all entries, oldest first."""
        return [entry.name for entry in self._all]

    def find(self, name: str) -> list[Entry]:
        """Return all entries with that name, oldest first."""
        return list(self._found.get(self._key(name), ()))

    def twins(self) -> dict[str, int]:
        """Return the names that several entries have, with the number of those entries."""
        return {same[0].name: len(same) for same in self._found.values() if len(same) > 1}

    def insert(self, name: str, text: str = "", price: float = 0) -> Entry:
        """Create an entry, even if another one has that name."""
        sku = f"{self._sku}-{len(self._all) + 1:05d}" if self._sku else ""
        identity = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        entry = Entry(identity, name, text, price, sku)
        self._add(entry)
        return entry

    def put(self, name: str, text: str = "", price: float = 0) -> tuple[Entry, bool]:
        """Create an entry, or find the one with that name. Return the entry, and whether it is new."""
        found = self._found.get(self._key(name))
        return (found[0], False) if found else (self.insert(name, text, price), True)

    def change(self, changed: Entry) -> None:
        """Change an entry as by hand: its name, text or price. Unknown ids are ignored."""
        self._rebuild([changed if entry.id == changed.id else entry for entry in self._all])

    def remove(self, identity: str) -> None:
        """Delete an entry as by hand."""
        self._rebuild([entry for entry in self._all if entry.id != identity])

    def match(self, matching: Matching) -> None:
        """Change how names are compared."""
        self._key = _name_key(matching)
        self._rebuild(self.entries())

    def rename(self, name: str, new: str) -> None:
        """Rename an entry as by hand. Only its name changes.

        Raises:
            KeyError: No entry has that name.
        """
        renamed = self[name]
        entries = self.entries()
        self.clear()
        for entry in entries:
            self._add(entry._replace(name=new) if entry is renamed else entry)

    def clear(self) -> None:
        """Remove all entries."""
        self._all.clear()
        self._found.clear()

    def _rebuild(self, entries: list[Entry]) -> None:
        self.clear()
        for entry in entries:
            self._add(entry)

    def _add(self, entry: Entry) -> None:
        self._all.append(entry)
        self._found.setdefault(self._key(entry.name), []).append(entry)


def _name_key(matching: Matching) -> Callable[[str], str]:
    if matching is Matching.EXACT:
        return str
    if matching is Matching.TRIMMED:
        return str.strip
    return lambda name: name.strip().casefold()


class Lookup(StrEnum):
    """How Trakor finds out whether a name exists."""

    UNIQUE = "unique"  # one step under a unique key: a name exists once, whatever happens
    FAILS = "fails"  # looks up, then inserts; a look-up that finds several entries is a 500
    INSERTS = "inserts"  # looks up, then inserts; a look-up that finds several counts as finding none


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How Trakor behaves; see ``SimulatedTrakor.behave``.

    Attributes:
        lookup: How Trakor finds out whether a name exists. Unless this is ``unique``, the name is looked up
            when the request arrives, and the record is inserted after the latency.
        matching: Which names are the same.
        trims: Whether names are trimmed before they are compared and stored. If so, the answer has the
            trimmed name.
        existing_status: The status, 200 or 201, if the name exists.
        limit: How many parties and products together an organisation takes; None means any number.
        limit_status: The status, 400 or 403, of a new record beyond that limit.
        html_for_unknown: Whether an unknown path is answered with 200 and an HTML page, not with 404.

    Raises:
        ValueError: A value is not allowed.
    """

    lookup: Lookup = Lookup.UNIQUE
    matching: Matching = Matching.EXACT
    trims: bool = False
    existing_status: int = 200
    limit: int | None = None
    limit_status: int = 403
    html_for_unknown: bool = False

    def __post_init__(self) -> None:
        # Values from JSON are plain texts.
        object.__setattr__(self, "lookup", Lookup(self.lookup))
        object.__setattr__(self, "matching", Matching(self.matching))
        if self.existing_status not in (200, 201):
            raise ValueError("existing_status is 200 or 201")
        if self.limit_status not in (400, 403):
            raise ValueError("limit_status is 400 or 403")


class Tenant:
    """One organisation of Trakor.

    Args:
        name: The organisation's name in the sandbox.
        api_key: The organisation's first key.
        seed: The seed of the ids.
        matching: Which names are the same.

    Attributes:
        keys: All keys of the organisation. ``api_key`` is the first.
        frozen: Whether every request is answered with 403.
        revoked: Whether all keys are revoked, so that every request is answered with 401.
    """

    def __init__(self, name: str, api_key: str, seed: int, matching: Matching) -> None:
        self.name = name
        self.keys = [api_key]
        self.frozen = False
        self.revoked = False
        self.parties = RecordStore(seed, matching)
        self.products = RecordStore(seed + 1, matching, sku="PRD")

    @property
    def size(self) -> int:
        """The number of parties and products together."""
        return len(self.parties) + len(self.products)

    @property
    def api_key(self) -> str:
        """The first key."""
        return self.keys[0]

    def match(self, matching: Matching) -> None:
        """Change how names are compared."""
        self.parties.match(matching)
        self.products.match(matching)

    def empty(self) -> None:
        """Remove all parties and products."""
        self.parties.clear()
        self.products.clear()
