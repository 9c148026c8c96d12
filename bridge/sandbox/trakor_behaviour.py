"""What Trakor's public page leaves open, and how the simulated Trakor fills it in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bridge.sandbox.trakor_store import Matching

__all__ = ["Behaviour", "Lookup"]


class Lookup(StrEnum):
    """How Trakor finds out whether a name exists."""

    UNIQUE = "unique"  # one step under a unique key: a name exists once, whatever happens
    FAILS = "fails"  # looks up, then inserts; a look-up that finds several entries is a 500
    INSERTS = "inserts"  # looks up, then inserts; a look-up that finds several counts as finding none


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How Trakor behaves until told otherwise; see ``Trakor.behave``.

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
