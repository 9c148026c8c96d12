"""The kinds of shapes, and the options of their paging."""

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
    """How a server that numbers its pages from 1 answers a request for page 0."""

    REFUSED = "refused"  # an error that says why, BAD_USER_INPUT
    FAULT = "fault"  # an error that does not, INTERNAL_SERVER_ERROR: a database's negative offset
    EMPTY = "empty"  # a page without records
    FIRST = "first"  # the first page


@dataclass(frozen=True, slots=True)
class Paged:
    """The options of a list's pages.

    Attributes:
        most: How many records the server returns at once, at most; None means any number.
        first: The number of the first page, 0 or 1.
        before_first: How the server answers a request for a page before the first.
    """

    most: int | None = None
    first: int = 1
    before_first: BeforeFirst = BeforeFirst.REFUSED

    def __post_init__(self) -> None:
        if self.first not in (0, 1):
            raise ValueError("the first page is 0 or 1")

    def bounded(self, size: int) -> int:
        """Return how many records a page has if a request asks for this size."""
        return size if self.most is None else min(size, self.most)
