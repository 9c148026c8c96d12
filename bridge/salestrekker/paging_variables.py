"""The variables that the bridge fills in while it reads a list: what each of them does, and its value.

::

    query ($offset: Int = 0, $limit: Int) ──roles──> PagingVariables ──values──> {"offset": 200, "limit": 100}

A variable's name shows its role. If the name says nothing, the name of the argument that it is passed to
does. A variable without a value is left out of the request. If the document gives it a default value, null
is sent instead, which overrides the default (GraphQL specification, section 6.4.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from graphql import (
    IntValueNode,
    NamedTypeNode,
    NonNullTypeNode,
    ObjectValueNode,
    VariableNode,
    Visitor,
    visit,
)

from bridge.salestrekker.query_files import error_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphql import ArgumentNode, FieldNode, Node, ObjectFieldNode, VariableDefinitionNode

    from bridge.salestrekker.query_files import QueryDocument

__all__ = [
    "DATE_TYPES",
    "MOST_OBJECTS",
    "NUMBER_NAMES",
    "NUMBER_TYPES",
    "OVERLAP",
    "PAGING_ROLES",
    "TIME_TYPES",
    "VARIABLE_NAMES",
    "PagingVariables",
    "Role",
    "argument_role",
    "count_uses",
    "find_paging_variables",
    "leaf_arguments",
    "may_hold_paging",
    "refuse_unfilled_variable",
    "role_of",
    "type_name",
    "variables_used_in",
]

OVERLAP: Final = 5 * 60 * 1000
"""Milliseconds by which an incremental read starts before the requested time. Clocks differ, and a record may
appear in a list some time after its timestamp."""


class Role(StrEnum):
    """What a variable does while a list is read."""

    SIZE = "size"
    OFFSET = "offset"
    PAGE = "page"
    CURSOR = "cursor"
    SINCE = "since"


VARIABLE_NAMES: Final[Mapping[Role, tuple[str, ...]]] = {
    Role.SIZE: (
        "limit",
        "take",
        "first",
        "pageSize",
        "perPage",
        "size",
        "pageLimit",
        "itemsPerPage",
        "recordsPerPage",
        "resultsPerPage",
        "maxResults",
        "batchSize",
    ),
    Role.OFFSET: ("offset", "skip", "startIndex", "startRow", "firstResult"),
    Role.PAGE: ("page", "pageNumber", "pageNo", "pageNum", "pageIndex", "currentPage"),
    Role.CURSOR: (
        "after",
        "cursor",
        "afterCursor",
        "nextCursor",
        "pageToken",
        "nextToken",
        "nextPageToken",
        "continuationToken",
        "startingAfter",
        "scrollId",
        "bookmark",
    ),
    Role.SINCE: (
        "updatedSince",
        "modifiedSince",
        "changedSince",
        "updatedAfter",
        "modifiedAfter",
        "changedAfter",
        "since",
    ),
}
"""The names of the variables, the usual one first. Case and underscores do not matter: ``page_size``."""

NUMBER_NAMES: Final[Mapping[Role, tuple[str, ...]]] = {
    Role.SIZE: ("count", "top", "max", "rows"),
    Role.OFFSET: ("start", "startAt", "from", "position"),
}
"""Names with another meaning elsewhere, such as the start of a period. They count for whole numbers only."""

NUMBER_TYPES: Final = frozenset(
    {"Int", "Long", "Short", "BigInt", "bigint", "Int64", "UnsignedInt", "PositiveInt", "NonNegativeInt"}
)
"""Types that take a whole number."""

FILTERS: Final = frozenset({"filter", "filters", "where", "criteria", "condition", "conditions", "sort"})
"""Names of input objects that select or sort records. What they hold does not page."""

MOST_OBJECTS: Final = 3
"""An input object inside of so many others is not looked into: ``input: {page: {skip, take}}``."""

PAGING_ROLES: Final = (Role.OFFSET, Role.PAGE, Role.CURSOR)
"""The roles that move through a list."""

TIME_TYPES: Final = frozenset(
    {"String", "DateTime", "ISO8601DateTime", "AWSDateTime", "Instant", "timestamptz"}
)
"""Types that take a time as ISO 8601 text in UTC."""

NO_CURSOR_TYPES: Final = frozenset(
    {"Boolean", "Float", "Date", "LocalDate", "DateTime", "Instant", "timestamptz"}
)
"""Types that no cursor has: ``after`` is also the beginning of a period."""

DATE_TYPES: Final = frozenset({"Date", "LocalDate", "ISO8601Date", "AWSDate"})
"""Types that take a day."""


@dataclass(frozen=True, slots=True)
class PagingVariables:
    """The variables that a document declares for the bridge, by their roles.

    Attributes:
        by_role: Their definitions.
    """

    by_role: Mapping[Role, VariableDefinitionNode]

    def __contains__(self, role: Role) -> bool:
        return role in self.by_role

    def name(self, role: Role) -> str:
        """The name of a declared variable, without the dollar sign."""
        return self.by_role[role].variable.name.value

    def default(self, role: Role) -> int | None:
        """The whole number that a variable has as its default value, or None."""
        node = self.by_role[role].default_value if role in self else None
        return int(node.value) if isinstance(node, IntValueNode) else None

    def role(self, name: str) -> Role | None:
        """The role of the variable with this name, or None if it has none."""
        return next((role for role in self.by_role if self.name(role) == name), None)

    def cursor_value(self, cursor: str | None) -> object:
        """A cursor as the variable's type takes it: a number if that is a number."""
        if cursor is None or Role.CURSOR not in self or not cursor.isdecimal():
            return cursor
        return int(cursor) if type_name(self.by_role[Role.CURSOR]) in NUMBER_TYPES else cursor

    def values(self, wanted: Mapping[Role, object]) -> dict[str, object]:
        """The variables of a request.

        Args:
            wanted: The value of each role. None or absent: not given. Undeclared roles are ignored.
        """
        given: dict[str, object] = {}
        for role, node in self.by_role.items():
            value = wanted.get(role)
            if value is not None or node.default_value is not None:
                given[self.name(role)] = value
        return given

    def time_value(self, since: int) -> object:
        """A time, earlier by the overlap, as the incremental variable's type takes it.

        Args:
            since: Milliseconds since the epoch.

        Returns:
            Whole seconds for ``Int`` (milliseconds would not fit its 32 bits), the day before for a day, else
                ISO 8601 text.
        """
        kind = type_name(self.by_role[Role.SINCE])
        time_value = datetime.fromtimestamp((since - OVERLAP) / 1000, UTC)
        if kind == "Int":
            return int(time_value.timestamp())
        if kind in DATE_TYPES:
            # The time zone of the date is unknown: a day earlier is early enough anywhere.
            return (time_value - timedelta(days=1)).date().isoformat()
        return time_value.isoformat(timespec="seconds").replace("+00:00", "Z")


def role_of(name: str, kind: str = "") -> Role | None:
    """The role that a name shows, or None if it has nothing to do with paging.

    Args:
        name: The name of a variable or argument.
        kind: The name of its type. Empty: not known, so that only names with one meaning count.
    """
    plain = _plain(name)
    role = _ROLES.get(plain) or (_NUMBER_ROLES.get(plain) if kind in NUMBER_TYPES else None)
    return None if role is Role.CURSOR and kind in NO_CURSOR_TYPES else role


def argument_role(path: Sequence[str], kind: str = "") -> Role | None:
    """The role that an argument's name shows, or None.

    Args:
        path: The names down to it: several inside an input object, such as ``page``, ``number``.
        kind: As in ``role_of``.
    """
    role = role_of(path[-1], kind)
    if role or len(path) < 2:  # noqa: PLR2004 - one name has none above it
        return role
    above = "page" if path[-2].lower().startswith("pag") else path[-2]
    return role_of(f"{above}_{path[-1]}", kind)


def may_hold_paging(path: Sequence[str]) -> bool:
    """Whether an input object may hold paging: not one that filters, nor another one inside of an object.

    Args:
        path: The names of the arguments down to it.
    """
    is_paging = path[-1].lower().startswith("pag")
    return (len(path) == 1 and _plain(path[-1]) not in FILTERS) or (len(path) < MOST_OBJECTS and is_paging)


def leaf_arguments(
    nodes: Iterable[ArgumentNode | ObjectFieldNode], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], ArgumentNode | ObjectFieldNode]]:
    """The arguments of a field with their paths, including those inside input objects."""
    for node in nodes:
        path = (*above, node.name.value)
        if isinstance(node.value, ObjectValueNode):
            yield from leaf_arguments(node.value.fields or (), path)
        else:
            yield path, node


def find_paging_variables(document: QueryDocument, steps: Sequence[FieldNode]) -> PagingVariables:
    """Find the variables that the bridge fills in.

    Args:
        document: The query.
        steps: The fields from the root down to a record. Arguments of other fields show no roles.

    Raises:
        QueryFileError: Two of them have the same role, one is not used, one has a type that the bridge cannot
            fill in, or another variable needs a value.
    """
    used = variables_used_in([document.operation.selection_set, *document.fragments.values()])
    found: dict[Role, VariableDefinitionNode] = {}
    nameless: list[VariableDefinitionNode] = []
    for node in document.operation.variable_definitions or ():
        name = node.variable.name.value
        role = role_of(name, type_name(node))
        if role is None:
            nameless.append(node)
            continue
        if role in found:
            other = found[role].variable.name.value
            raise error_at(node, f"${name} and ${other} both mean the {role}", "Keep one of them.")
        if name not in used:
            raise error_at(
                node,
                f"${name} is declared, but passed to nothing",
                f"Pass it to the list's argument for it, for example `{name}: ${name}`.",
            )
        _refuse_unfit(role, node)
        found[role] = node
    _add_by_argument(found, nameless, steps)
    return PagingVariables(found)


def _add_by_argument(
    found: dict[Role, VariableDefinitionNode],
    nameless: Iterable[VariableDefinitionNode],
    steps: Sequence[FieldNode],
) -> None:
    """Add the variables whose role only their arguments show.

    Raises:
        QueryFileError: A variable has no role, and needs a value or may be one that moves through the list.
    """
    shown = _shown_by_arguments(steps)
    for node in nameless:
        path = shown.get(node.variable.name.value, ())
        role = argument_role(path, type_name(node)) if path else None
        if role is None or role in found:
            refuse_unfilled_variable(node)
            _refuse_unknown_number(node, path)
        else:
            _refuse_unfit(role, node)
            found[role] = node


def _refuse_unknown_number(node: VariableDefinitionNode, path: Sequence[str]) -> None:
    """Refuse a number without a value that the list takes: it may be the number of the page."""
    if path and node.default_value is None and type_name(node) in NUMBER_TYPES:
        name = node.variable.name.value
        raise error_at(
            node,
            f"${name} has no value, and neither its name nor `{path[-1]}` shows what it does",
            "If it moves through the list, call it $offset, $page or $after. Call it $limit if it is the "
            "size of a page. If it filters the list, give it a default value: "
            f"`${name}: {type_name(node)} = null`.",
        )


def _shown_by_arguments(steps: Sequence[FieldNode]) -> dict[str, tuple[str, ...]]:
    """The path of the argument that each variable is passed to first."""
    shown: dict[str, tuple[str, ...]] = {}
    for step in steps:
        for path, node in leaf_arguments(step.arguments or ()):
            if isinstance(node.value, VariableNode):
                shown.setdefault(node.value.name.value, path)
    return shown


def variables_used_in(nodes: Iterable[Node]) -> frozenset[str]:
    """The names of the variables that occur anywhere below these nodes."""
    return frozenset(_uses(nodes))


def count_uses(nodes: Iterable[Node], name: str) -> int:
    """How often a variable occurs below these nodes."""
    return _uses(nodes).count(name)


def _uses(nodes: Iterable[Node]) -> list[str]:
    """The names of variables below these nodes, as often as they occur."""
    finder = _Finder()
    for node in nodes:
        visit(node, finder)
    return finder.names


class _Finder(Visitor):
    """Collects the names of variables."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.names.append(node.name.value)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


_ROLES: Final = {_plain(name): role for role, names in VARIABLE_NAMES.items() for name in names}
_NUMBER_ROLES: Final = {_plain(name): role for role, names in NUMBER_NAMES.items() for name in names}


def refuse_unfilled_variable(node: VariableDefinitionNode) -> None:
    """Refuse a variable that needs a value which the bridge does not have.

    Raises:
        QueryFileError: The variable may not be null and has no default value.
    """
    if isinstance(node.type, NonNullTypeNode) and node.default_value is None:
        raise error_at(
            node,
            f"${node.variable.name.value} needs a value that the bridge does not have",
            "Give it a default value, or write the value into the query. If it is an input object, write the "
            "object there, with variables that the bridge knows: `(input: {skip: $skip, take: $take})`.",
        )


def _refuse_unfit(role: Role, node: VariableDefinitionNode) -> None:
    name, kind = node.variable.name.value, type_name(node)
    if role in (Role.CURSOR, Role.SINCE) and isinstance(node.type, NonNullTypeNode):
        when = "the first page" if role is Role.CURSOR else "the whole list"
        raise error_at(
            node, f"${name} cannot be null: {when} is asked for without it", f"Write `${name}: {kind}`."
        )
    if role is Role.SINCE and kind not in TIME_TYPES | DATE_TYPES | {"Int"}:
        raise error_at(
            node,
            f"${name} is of the type {kind}: how a time is written for it is not known",
            f"Known types are {', '.join(sorted(TIME_TYPES | DATE_TYPES))} and Int (seconds). "
            f"Without ${name} all is read.",
        )


def type_name(node: VariableDefinitionNode) -> str:
    """The type's name without its non-null mark, or empty text for a list."""
    kind = node.type.type if isinstance(node.type, NonNullTypeNode) else node.type
    return kind.name.value if isinstance(kind, NamedTypeNode) else ""
