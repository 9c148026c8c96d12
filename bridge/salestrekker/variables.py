"""The variables of a list query that the bridge fills in, known by their names (docs/paging.md).

::

    query ($offset: Int = 0, $limit: Int) ──roles──> Variables ──values──> {"offset": 200, "limit": 100}

A variable that has nothing to say is left out of the request; where the document gives it a default value,
null is sent instead, which GraphQL takes for "not this default" (specification, section 6.4.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from graphql import IntValueNode, NamedTypeNode, NonNullTypeNode, VariableNode, Visitor, visit

from bridge.salestrekker.query_files import fault_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphql import Node, VariableDefinitionNode

    from bridge.salestrekker.query_files import QueryDocument

__all__ = [
    "DAYS",
    "MOMENTS",
    "NAMES",
    "OVERLAP",
    "Role",
    "Variables",
    "refuse_without_value",
    "role_of",
    "used_in",
    "variables_of",
]

OVERLAP: Final = 5 * 60 * 1000
"""Milliseconds that an incremental reading goes back before the moment it is given: clocks differ, and a
record may appear in a list a while after the time it was stamped with."""


class Role(StrEnum):
    """What a variable does for the walk through a list."""

    SIZE = "size"
    OFFSET = "offset"
    PAGE = "page"
    CURSOR = "cursor"
    SINCE = "since"


NAMES: Final[Mapping[Role, tuple[str, ...]]] = {
    Role.SIZE: ("limit", "take", "first", "pageSize", "perPage", "size"),
    Role.OFFSET: ("offset", "skip"),
    Role.PAGE: ("page", "pageNumber"),
    Role.CURSOR: ("after", "cursor"),
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
"""What the variables are called, the usual name first. Case and underscores do not matter: ``page_size``."""

MOMENTS: Final = frozenset({"String", "DateTime", "ISO8601DateTime", "AWSDateTime", "Instant", "timestamptz"})
"""Types that take a time as ISO 8601 text in UTC."""

DAYS: Final = frozenset({"Date", "LocalDate", "ISO8601Date", "AWSDate"})
"""Types that take a day."""


@dataclass(frozen=True, slots=True)
class Variables:
    """The variables that a document declares for the bridge, by what they do.

    Attributes:
        by_role: Their definitions.
    """

    by_role: Mapping[Role, VariableDefinitionNode]

    def __contains__(self, role: Role) -> bool:
        return role in self.by_role

    def name(self, role: Role) -> str:
        """The name of a variable that is declared, without the dollar sign."""
        return self.by_role[role].variable.name.value

    def default(self, role: Role) -> int | None:
        """The whole number that a variable has as its default value; None where it has none."""
        node = self.by_role[role].default_value if role in self else None
        return int(node.value) if isinstance(node, IntValueNode) else None

    def values(self, wanted: Mapping[Role, object]) -> dict[str, object]:
        """The variables of a request.

        Args:
            wanted: What each is to be; None, or absent: not given. What is not declared is passed over.
        """
        given: dict[str, object] = {}
        for role, node in self.by_role.items():
            value = wanted.get(role)
            if value is not None or node.default_value is not None:
                given[self.name(role)] = value
        return given

    def moment(self, since: int) -> object:
        """A time, earlier by the overlap, as the incremental variable's type takes it.

        Args:
            since: Milliseconds since the epoch.

        Returns:
            Whole seconds for ``Int`` (milliseconds would not fit its 32 bits), the day before for a day,
            else ISO 8601 text.
        """
        kind = _type_name(self.by_role[Role.SINCE])
        moment = datetime.fromtimestamp((since - OVERLAP) / 1000, UTC)
        if kind == "Int":
            return int(moment.timestamp())
        if kind in DAYS:
            # Whose midnight is meant is not said: a day earlier is early enough anywhere.
            return (moment - timedelta(days=1)).date().isoformat()
        return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def role_of(name: str) -> Role | None:
    """What a variable or argument of this name does; None where it is none of paging's."""
    return _ROLES.get(_plain(name))


def variables_of(document: QueryDocument) -> Variables:
    """Find the variables that are the bridge's to fill in.

    Raises:
        QueryFileError: Two of them do the same, one is passed to nothing, has a type that the bridge cannot
            fill in, or some other variable needs a value.
    """
    used = used_in([document.operation.selection_set, *document.fragments.values()])
    found: dict[Role, VariableDefinitionNode] = {}
    for node in document.operation.variable_definitions or ():
        name = node.variable.name.value
        role = role_of(name)
        if role is None:
            refuse_without_value(node)
            continue
        if role in found:
            other = found[role].variable.name.value
            raise fault_at(node, f"${name} and ${other} both mean the {role}", "Keep one of them.")
        if name not in used:
            raise fault_at(
                node,
                f"${name} is declared, but passed to nothing",
                f"Pass it to the list's argument for it, for example `{name}: ${name}`.",
            )
        _refuse_unfit(role, node)
        found[role] = node
    return Variables(found)


def used_in(nodes: Iterable[Node]) -> frozenset[str]:
    """The names of the variables that stand anywhere below these nodes."""
    finder = _Finder()
    for node in nodes:
        visit(node, finder)
    return frozenset(finder.names)


class _Finder(Visitor):
    """Collects the names of variables."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.names.add(node.name.value)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


_ROLES: Final = {_plain(name): role for role, names in NAMES.items() for name in names}


def refuse_without_value(node: VariableDefinitionNode) -> None:
    """Refuse a variable that the bridge does not fill in, and that must have a value.

    Raises:
        QueryFileError: It may not be null, and has no default value.
    """
    if isinstance(node.type, NonNullTypeNode) and node.default_value is None:
        raise fault_at(
            node,
            f"${node.variable.name.value} needs a value that the bridge does not have",
            "Give it a default value, or write the value into the query.",
        )


def _refuse_unfit(role: Role, node: VariableDefinitionNode) -> None:
    name, kind = node.variable.name.value, _type_name(node)
    if role in (Role.CURSOR, Role.SINCE) and isinstance(node.type, NonNullTypeNode):
        when = "the first page" if role is Role.CURSOR else "the whole list"
        raise fault_at(
            node, f"${name} cannot be null: {when} is asked for without it", f"Write `${name}: {kind}`."
        )
    if role is Role.SINCE and kind not in MOMENTS | DAYS | {"Int"}:
        raise fault_at(
            node,
            f"${name} is of the type {kind}: how a time is written for it is not known",
            f"Known are {', '.join(sorted(MOMENTS | DAYS))} and Int (seconds). Without ${name} all is read.",
        )


def _type_name(node: VariableDefinitionNode) -> str:
    """The type's name, without what says that it cannot be null; empty for a list."""
    kind = node.type.type if isinstance(node.type, NonNullTypeNode) else node.type
    return kind.name.value if isinstance(kind, NamedTypeNode) else ""
