"""What a simulated Trakor organisation stores, and how it compares names and behaves as configured."""

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
        price: Of a product; 0 if none was sent.
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
        self._add(entry)
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
        self._key = _name_key(matching)
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
            self._add(entry._replace(name=new) if entry is renamed else entry)

    def clear(self) -> None:
        """Empty it."""
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
    """How Trakor behaves until it is changed; see ``Trakor.behave``.

    Attributes:
        lookup: How it finds out whether a name exists. Unless it is ``unique``, the name is looked up when
            the request arrives, and the record is inserted after the latency.
        matching: Which names are the same.
        trims: Names are trimmed before they are compared and stored; the answer has the trimmed name.
        existing_status: 200 or 201: how a name that exists is answered.
        limit: An organisation takes no more than this many parties and products together; None: any number.
        limit_status: How a new record is refused that goes beyond it: 400 or 403.
        html_for_unknown: An unknown path is answered with status 200 and an HTML page, not with 404.

    Raises:
        ValueError: A value is not one of those.
    """

    lookup: Lookup = Lookup.UNIQUE
    matching: Matching = Matching.EXACT
    trims: bool = False
    existing_status: int = 200
    limit: int | None = None
    limit_status: int = 403
    html_for_unknown: bool = False

    def __post_init__(self) -> None:
        # From JSON they come as plain texts.
        object.__setattr__(self, "lookup", Lookup(self.lookup))
        object.__setattr__(self, "matching", Matching(self.matching))
        if self.existing_status not in (200, 201):
            raise ValueError("existing_status is 200 or 201")
        if self.limit_status not in (400, 403):
            raise ValueError("limit_status is 400 or 403")


class Tenant:
    """One organisation of Trakor.

    Args:
        name: What the sandbox calls it.
        api_key: Its first key.
        seed: Makes the ids.
        matching: Which names are the same.

    Attributes:
        keys: All keys that are its own; ``api_key`` is the first.
        frozen: Every request is answered 403.
        revoked: All its keys are revoked: every request is answered 401.
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
        """How many parties and products it has."""
        return len(self.parties) + len(self.products)

    @property
    def api_key(self) -> str:
        """Its first key."""
        return self.keys[0]

    def match(self, matching: Matching) -> None:
        """Compare names in another way from now on."""
        self.parties.match(matching)
        self.products.match(matching)

    def empty(self) -> None:
        """Take all parties and products away."""
        self.parties.clear()
        self.products.clear()
