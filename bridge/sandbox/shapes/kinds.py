"""Which shapes there are, and what of their paging can be chosen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["BeforeFirst", "Paged", "ShapeKind"]


class ShapeKind(StrEnum):
    """The schemas that the server can have."""

    OFFSET = "offset"
    PAGE = "page"
    RELAY = "relay"
    PLAIN = "plain"
    RENAMED = "renamed"


class BeforeFirst(StrEnum):
    """What a server that counts its pages from 1 answers for page 0."""

    REFUSED = "refused"  # an error that says why, BAD_USER_INPUT
    FAULT = "fault"  # an error that does not, INTERNAL_SERVER_ERROR: a database's negative offset
    EMPTY = "empty"  # a page without records
    FIRST = "first"  # the first page


@dataclass(frozen=True, slots=True)
class Paged:
    """How the pages of a list are.

    Attributes:
        most: The server gives no more at once, however much is asked for; None: no bound.
        first: The number of the first page, 0 or 1.
        before_first: What it answers for a page before that.
    """

    most: int | None = None
    first: int = 1
    before_first: BeforeFirst = BeforeFirst.REFUSED

    def __post_init__(self) -> None:
        if self.first not in (0, 1):
            raise ValueError("the first page is 0 or 1")

    def bounded(self, size: int) -> int:
        """How many records a page of this size has."""
        return size if self.most is None else min(size, self.most)
