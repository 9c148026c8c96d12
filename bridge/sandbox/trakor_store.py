"""The parties, or the products, of one Trakor organisation, found by their names."""

from __future__ import annotations

import random
import uuid
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Entry", "Matching", "RecordStore"]


class Matching(StrEnum):
    """Which names Trakor takes for the same; its page does not say."""

    EXACT = "exact"
    TRIMMED = "trimmed"
    CASE_INSENSITIVE = "case-insensitive"  # and trimmed: the loosest


class Entry(NamedTuple):
    """A party or a product as Trakor keeps it.

    Attributes:
        id: Looks like a UUID.
        name: As it was first sent.
        text: The ``contact_info`` of a party, the ``description`` of a product.
        price: Of a product; 0 where none was sent.
        sku: Of a product; empty for a party.
    """

    id: str
    name: str
    text: str
    price: float
    sku: str


class RecordStore:
    """The parties, or the products, of one organisation.

    Args:
        seed: Makes the ids.
        matching: Which names are the same.
        sku: Prefix of the article number; empty for none.
    """

    def __init__(self, seed: int, matching: Matching, sku: str = "") -> None:
        self._random = random.Random(seed)  # noqa: S311 - ids of a simulation
        self._key = _key_of(matching)
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
        """All of them, oldest first."""
        return list(self._all)

    def names(self) -> list[str]:
        """Their names, oldest first."""
        return [entry.name for entry in self._all]

    def find(self, name: str) -> list[Entry]:
        """All entries of that name, oldest first."""
        return list(self._found.get(self._key(name), ()))

    def twins(self) -> dict[str, int]:
        """The names that several entries have, with the number of those entries."""
        return {same[0].name: len(same) for same in self._found.values() if len(same) > 1}

    def insert(self, name: str, text: str = "", price: float = 0) -> Entry:
        """Create an entry, whether or not there is one of that name."""
        sku = f"{self._sku}-{len(self._all) + 1:05d}" if self._sku else ""
        identity = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        entry = Entry(identity, name, text, price, sku)
        self._keep(entry)
        return entry

    def put(self, name: str, text: str = "", price: float = 0) -> tuple[Entry, bool]:
        """Create an entry, or give back the one of that name unchanged; says whether it was created."""
        found = self._found.get(self._key(name))
        return (found[0], False) if found else (self.insert(name, text, price), True)

    def change(self, changed: Entry) -> None:
        """Somebody corrects an entry by hand: its name, its text or its price. Unknown ids are left alone."""
        self._rebuild([changed if entry.id == changed.id else entry for entry in self._all])

    def remove(self, identity: str) -> None:
        """Somebody deletes an entry by hand."""
        self._rebuild([entry for entry in self._all if entry.id != identity])

    def match(self, matching: Matching) -> None:
        """Compare names in another way from now on."""
        self._key = _key_of(matching)
        self._rebuild(self.entries())

    def rename(self, name: str, new: str) -> None:
        """Somebody renames an entry by hand: it keeps its id and all else.

        Raises:
            KeyError: There is none of that name.
        """
        renamed = self[name]
        entries = self.entries()
        self.clear()
        for entry in entries:
            self._keep(entry._replace(name=new) if entry is renamed else entry)

    def clear(self) -> None:
        """Empty it."""
        self._all.clear()
        self._found.clear()

    def _rebuild(self, entries: list[Entry]) -> None:
        self.clear()
        for entry in entries:
            self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        self._all.append(entry)
        self._found.setdefault(self._key(entry.name), []).append(entry)


def _key_of(matching: Matching) -> Callable[[str], str]:
    if matching is Matching.EXACT:
        return str
    if matching is Matching.TRIMMED:
        return str.strip
    return lambda name: name.strip().casefold()
