"""How far a walk through a list is: the checkpoint of a sweep, whatever the list's style of paging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

__all__ = ["Position"]


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a list, between two of its items.

    Its text is what the ledger keeps: ``200``, ``200 page 3 from 1``, ``200 after CURSOR``, ``200 end``.

    Attributes:
        read: How many items stand before it, as far as this walk has met them.
        page: The number of the page that begins here; None where pages have no numbers, or at the very
            beginning, when the number of the first page is not known yet.
        base: The number of the list's first page, 0 or 1; goes with ``page``.
        cursor: The server's mark of the item before it; None at the beginning, or without cursors.
        end: Nothing comes after it.
    """

    read: int = 0
    page: int | None = None
    base: int = 0
    cursor: str | None = None
    end: bool = False

    @classmethod
    def of(cls, text: str) -> Self:
        """The position of a text; the empty one is the beginning.

        Raises:
            ValueError: It is none.
        """
        read, _, rest = text.partition(" ")
        word, _, mark = rest.partition(" ")
        if word == "page":
            page, _, base = mark.partition(" from ")
            return cls(int(read), page=int(page), base=int(base))
        if word == "after":
            return cls(int(read), cursor=mark)
        if word not in ("", "end"):
            raise ValueError(f"{word} is no word of a position")
        return cls(int(read or 0), end=word == "end")

    def __str__(self) -> str:
        if self.end:
            return f"{self.read} end"
        if self.page is not None:
            return f"{self.read} page {self.page} from {self.base}"
        return str(self.read) if self.cursor is None else f"{self.read} after {self.cursor}"
