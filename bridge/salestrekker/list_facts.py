"""What a query selects about a list itself: the next cursor, whether there is more, totals, the last page.

::

    contacts { totalCount nextCursor items { id … } }
               ───┬────── ───┬──────
                  │          └─ cursor: where the list goes on, null at its end
                  └─ total: how many records there are

    contacts { edges { node { id … } } pageInfo { hasNextPage endCursor } }
                                                  ─────┬───── ───┬─────
                                                       └─ more   └─ cursor

These fields stand beside the list, or beside a field above it, up to the one with the paging arguments. They
stand alone or in an object, and are known by their names. A number that is only called ``count`` may count
one page, and so is no total.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from bridge.salestrekker.paging_variables import (
    PAGING_ROLES,
    argument_role,
    leaf_arguments,
    role_of,
    variables_used_in,
)
from bridge.salestrekker.record_path import response_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphql import FieldNode

    from bridge.salestrekker.query_files import QueryDocument

__all__ = ["FACT_NAMES", "OF_ONE_ITEM", "Fact", "InfoField", "ListInfo", "fact_of", "find_list_info"]


class Fact(StrEnum):
    """What a field says about a list."""

    CURSOR = "cursor"
    MORE = "more"
    DONE = "done"
    TOTAL = "total"
    LAST_PAGE = "last page"


FACT_NAMES: Final[Mapping[Fact, tuple[str, ...]]] = {
    Fact.CURSOR: (
        "endCursor",
        "nextCursor",
        "nextPageCursor",
        "nextToken",
        "nextPageToken",
        "continuationToken",
        "nextContinuationToken",
        "afterCursor",
        "scrollId",
        "nextBookmark",
        "bookmark",
        "next",
        "after",
        "cursor",
    ),
    Fact.MORE: ("hasNextPage", "hasMore", "hasNext", "hasMorePages", "hasMoreItems", "more", "moreAvailable"),
    Fact.DONE: ("isLast", "isLastPage", "last", "done"),
    Fact.TOTAL: (
        "total",
        "totalCount",
        "totalItems",
        "totalRecords",
        "totalResults",
        "totalElements",
        "totalRows",
    ),
    Fact.LAST_PAGE: ("lastPage", "totalPages", "pageCount", "pages", "numPages", "numberOfPages"),
}
"""The names of such fields, the surest first. Case and underscores do not matter."""

OF_ONE_ITEM: Final = frozenset({"edges"})
"""Below these fields, everything is about one item."""

DEEPEST: Final = 2
"""Levels of objects that may stand around such a field: ``meta { pagination { total } }``."""


@dataclass(frozen=True, slots=True)
class InfoField:
    """A plain field about a list.

    Attributes:
        above: The fields from the root field down to it.
        node: The field.
    """

    above: tuple[FieldNode, ...]
    node: FieldNode

    @property
    def path(self) -> tuple[str, ...]:
        """Response keys from the root of the response's ``data``."""
        return tuple(response_key(step) for step in (*self.above, self.node))

    @property
    def name(self) -> str:
        """Its name in the schema."""
        return self.node.name.value


@dataclass(frozen=True, slots=True)
class ListInfo:
    """What a query selects about its list.

    Attributes:
        fields: The field for each fact.
        item_cursor: The cursor of each item, as in Relay's ``edges { cursor }``. None if it is not selected.
    """

    fields: Mapping[Fact, InfoField]
    item_cursor: InfoField | None = None

    @property
    def cursor(self) -> InfoField | None:
        """The field with the next cursor: one for the list, else that of the last item."""
        return self.fields.get(Fact.CURSOR) or self.item_cursor

    def field(self, fact: Fact) -> InfoField | None:
        """The field for a fact, or None if it is not selected."""
        return self.fields.get(fact)

    @property
    def more(self) -> InfoField | None:
        """The field that says whether the list goes on, in so many words or by its opposite."""
        return self.fields.get(Fact.MORE) or self.fields.get(Fact.DONE)


def fact_of(name: str) -> Fact | None:
    """What a field with this name says about a list, or None."""
    return _FACTS.get(_plain(name))


def find_list_info(document: QueryDocument, steps: Sequence[FieldNode]) -> ListInfo:
    """Find what a query selects about its list.

    Args:
        document: The query.
        steps: The fields from the root down to a record.
    """
    found: dict[Fact, InfoField] = {}
    for field in _info_fields(document, steps):
        fact = fact_of(field.name)
        if fact and (fact not in found or _rank(field.name) < _rank(found[fact].name)):
            found[fact] = field
    return ListInfo(found, _item_cursor(document, steps))


def _item_cursor(document: QueryDocument, steps: Sequence[FieldNode]) -> InfoField | None:
    """The cursor that is selected beside each record."""
    for count, step in enumerate(steps[:-1], 1):
        if step.name.value in OF_ONE_ITEM:
            above = tuple(steps[:count])
            fields = (InfoField(above, field) for field in document.fields(step.selection_set))
            return next((field for field in fields if fact_of(field.name) is Fact.CURSOR), None)
    return None


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


_FACTS: Final = {_plain(name): fact for fact, names in FACT_NAMES.items() for name in names}
_RANKS: Final = {_plain(name): rank for names in FACT_NAMES.values() for rank, name in enumerate(names)}


def _rank(name: str) -> int:
    return _RANKS[_plain(name)]


def _info_fields(document: QueryDocument, steps: Sequence[FieldNode]) -> Iterator[InfoField]:
    """The plain fields beside each field above a record, the nearest to the record first."""
    for count in range(len(steps) - 1, _list_field(steps), -1):
        if steps[count - 1].name.value not in OF_ONE_ITEM:
            yield from _below(document, tuple(steps[:count]), steps[count], DEEPEST)


def _list_field(steps: Sequence[FieldNode]) -> int:
    """The place of the field that takes the paging arguments, or 0. Totals above are about something else."""
    for place, step in enumerate(steps):
        names = variables_used_in(step.arguments or ())
        roles = {argument_role(path) for path, _ in leaf_arguments(step.arguments or ())}
        if not roles.union(map(role_of, names)).isdisjoint(PAGING_ROLES):
            return place
    return 0


def _below(
    document: QueryDocument, above: tuple[FieldNode, ...], but: FieldNode | None, levels: int
) -> Iterator[InfoField]:
    for field in document.fields(above[-1].selection_set):
        if but and response_key(field) == response_key(but):
            continue
        if field.selection_set is None:
            yield InfoField(above, field)
        elif levels:
            yield from _below(document, (*above, field), None, levels - 1)
