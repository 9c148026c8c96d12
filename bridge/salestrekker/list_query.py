"""List queries: everything that the client needs to know of a query, read off the document itself.

Salestrekker shows its schema only after login, and a list's paging arguments are not public. So the queries
are files that a user can change, and nothing of them is hard-coded here::

    QueryDocument ──> ListQuery
                       ├─ record_path      where a record is in the response       record_path.py
                       ├─ variables        which of them move through the list
                       ├─ paging           the style, which the variables show
                       └─ next_page_query  the same list without its records (Relay)

The bridge knows the variables that it fills in by their names (docs/paging.md)::

    query ($offset: Int = 0, $limit: Int) ──roles──> PagingVariables ──values──> {"offset": 200, "limit": 100}

A variable without a value is left out of the request. If the document gives it a default value, null is sent
instead, which overrides the default (GraphQL specification, section 6.4.1). Most variables come from the
``Position``: how far the list is read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    IntValueNode,
    NamedTypeNode,
    NameNode,
    NonNullTypeNode,
    ObjectFieldNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    print_ast,
    visit,
)

from bridge.salestrekker.query_files import QueryDocument, error_at, load_document
from bridge.salestrekker.record_path import RecordPath, find_record_path, fingerprint_record_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from graphql import ArgumentNode, Node, VariableDefinitionNode


__all__ = [
    "DATE_TYPES",
    "OVERLAP",
    "TIME_TYPES",
    "VARIABLE_NAMES",
    "ListQuery",
    "Paging",
    "PagingVariables",
    "Position",
    "Role",
    "find_paging_variables",
    "load_list_query",
    "parse_list_query",
    "refuse_unfilled_variable",
    "role_of",
    "variables_used_in",
]


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a list, between two of its items.

    The ledger keeps its text: ``200``, ``200 page 3 from 1``, ``200 after CURSOR``, ``200 end``.

    Attributes:
        read: The number of items before it, as far as this reading has met them.
        page: The number of the page that begins here. None if pages have no numbers, or at the beginning of a
            list whose first page number is not known yet.
        base: The number of the list's first page, 0 or 1. It goes with ``page``.
        cursor: The server's cursor of the item before it. None at the beginning, or without cursors.
        end: Whether nothing comes after it.
    """

    read: int = 0
    page: int | None = None
    base: int = 0
    cursor: str | None = None
    end: bool = False

    @classmethod
    def of(cls, text: str) -> Self:
        """Parse a position's text. Empty text is the beginning.

        Raises:
            ValueError: The text is not a position.
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
"""The names of the variables, the usual one first. Case and underscores do not matter: ``page_size``."""

TIME_TYPES: Final = frozenset(
    {"String", "DateTime", "ISO8601DateTime", "AWSDateTime", "Instant", "timestamptz"}
)
"""Types that take a time as ISO 8601 text in UTC."""

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
        kind = _type_name(self.by_role[Role.SINCE])
        time_value = datetime.fromtimestamp((since - OVERLAP) / 1000, UTC)
        if kind == "Int":
            return int(time_value.timestamp())
        if kind in DATE_TYPES:
            # The time zone of the date is unknown: a day earlier is early enough anywhere.
            return (time_value - timedelta(days=1)).date().isoformat()
        return time_value.isoformat(timespec="seconds").replace("+00:00", "Z")


def role_of(name: str) -> Role | None:
    """The role of a variable or argument with this name, or None if it has nothing to do with paging."""
    return _ROLES.get(_plain(name))


def find_paging_variables(document: QueryDocument) -> PagingVariables:
    """Find the variables that the bridge fills in.

    Raises:
        QueryFileError: Two of them have the same role, one is not used, one has a type that the bridge cannot
            fill in, or another variable needs a value.
    """
    used = variables_used_in([document.operation.selection_set, *document.fragments.values()])
    found: dict[Role, VariableDefinitionNode] = {}
    for node in document.operation.variable_definitions or ():
        name = node.variable.name.value
        role = role_of(name)
        if role is None:
            refuse_unfilled_variable(node)
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
    return PagingVariables(found)


def variables_used_in(nodes: Iterable[Node]) -> frozenset[str]:
    """The names of the variables that occur anywhere below these nodes."""
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


_ROLES: Final = {_plain(name): role for role, names in VARIABLE_NAMES.items() for name in names}


def refuse_unfilled_variable(node: VariableDefinitionNode) -> None:
    """Refuse a variable that needs a value which the bridge does not have.

    Raises:
        QueryFileError: The variable may not be null and has no default value.
    """
    if isinstance(node.type, NonNullTypeNode) and node.default_value is None:
        raise error_at(
            node,
            f"${node.variable.name.value} needs a value that the bridge does not have",
            "Give it a default value, or write the value into the query.",
        )


def _refuse_unfit(role: Role, node: VariableDefinitionNode) -> None:
    name, kind = node.variable.name.value, _type_name(node)
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


def _type_name(node: VariableDefinitionNode) -> str:
    """The type's name without its non-null mark, or empty text for a list."""
    kind = node.type.type if isinstance(node.type, NonNullTypeNode) else node.type
    return kind.name.value if isinstance(kind, NamedTypeNode) else ""


class Paging(StrEnum):
    """How a list query moves through its list."""

    OFFSET = "offset"
    PAGE = "page"
    RELAY = "relay"
    PLAIN = "plain"


PAGING_ROLES: Final[Mapping[Role, Paging]] = {
    Role.OFFSET: Paging.OFFSET,
    Role.PAGE: Paging.PAGE,
    Role.CURSOR: Paging.RELAY,
}
"""The role that moves through a list shows its style. Without one, the whole list is requested at once."""

LIMIT_ARGUMENTS: Final = frozenset({"last", "top"})
"""Further arguments that limit a list. The bridge passes no variable to them."""


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A query that lists records.

    Attributes:
        document: The document to send.
        record_path: Where a record is in the response, and where the response describes the next page.
        variables: The variables that the bridge fills in.
        paging: How the bridge moves through the list.
        next_page_query: Asks where the next page begins, without reading a record. None without cursors.
    """

    document: QueryDocument
    record_path: RecordPath
    variables: PagingVariables
    paging: Paging
    next_page_query: QueryDocument | None = None

    @property
    def file(self) -> str:
        """The file that the query comes from, for messages."""
        return self.document.file

    @property
    def path(self) -> tuple[str, ...]:
        """Response keys from the root of the response's ``data`` to one record. One of them is the list."""
        return self.record_path.path

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the query's text, see ``QueryDocument``."""
        return self.document.fingerprint

    @property
    def record_fingerprint(self) -> str:
        """The fingerprint of what the query selects of one record, see ``fingerprint_record_fields``."""
        return fingerprint_record_fields(self.document, self.record_path)

    @property
    def has_page_size(self) -> bool:
        """Whether the bridge can choose how many records a page has."""
        return Role.SIZE in self.variables

    @property
    def is_incremental(self) -> bool:
        """Whether the query can ask only for what has changed since a time."""
        return Role.SINCE in self.variables

    @property
    def paging_variable(self) -> str:
        """The name of the variable that moves through the list, or empty text for a list without pages."""
        return next((self.variables.name(role) for role in PAGING_ROLES if role in self.variables), "")

    def page_variables(self, at: Position, size: int, since: int | None = None) -> dict[str, object]:
        """The variables of the request for one page.

        Args:
            at: Where the page begins.
            size: The maximum number of records on it.
            since: Only what has changed since then, milliseconds since the epoch. None: everything.
        """
        wanted = {
            Role.SIZE: size,
            Role.OFFSET: at.read,
            Role.PAGE: at.page,
            Role.CURSOR: at.cursor,
            Role.SINCE: None
            if since is None or not self.is_incremental
            else self.variables.time_value(since),
        }
        return self.variables.values(wanted)

    def checkpoint(self, page_size: int, since: int | None = None) -> str:
        """Fingerprint what a position in this list depends on.

        Args:
            page_size: Records per page. With another size, page numbers have another meaning.
            since: As in ``page_variables``.
        """
        sized = page_size if self.paging is Paging.PAGE else None
        meaning = orjson.dumps([self.fingerprint, sized, since if self.is_incremental else None])
        return hashlib.sha256(meaning).hexdigest()[:16]


def load_list_query(name: str, folders: Sequence[Path]) -> ListQuery:
    """Load a list query from its file.

    Args:
        name: File name, from the key ``list_query``.
        folders: Folders to search. The first match counts (``query_files.query_folders``).

    Raises:
        QueryFileError: As ``load_document`` and ``parse_list_query``. It names file, line and column.
    """
    return parse_list_query(load_document(name, folders))


def parse_list_query(document: QueryDocument) -> ListQuery:
    """Read off a document how its list is found and paged.

    Raises:
        QueryFileError: There is not exactly one root field, the list does not select ``id``, the bridge
            cannot fill in a variable, two variables move through the list, or only a part would be read.
    """
    variables = find_paging_variables(document)
    paging = _paging(variables)
    record_path = find_record_path(document)
    for step in record_path.steps:
        _refuse_a_part(step, paging)
    if paging is not Paging.RELAY:
        return ListQuery(document, record_path, variables, paging)
    _require_page_info(record_path)
    return ListQuery(document, record_path, variables, paging, _stepping(document, record_path))


def _paging(variables: PagingVariables) -> Paging:
    movers = [role for role in PAGING_ROLES if role in variables]
    if len(movers) > 1:
        first, second = (variables.name(role) for role in movers[:2])
        raise error_at(
            variables.by_role[movers[1]],
            f"${first} and ${second} both move through the list",
            "Keep the one that your schema's list takes.",
        )
    return PAGING_ROLES[movers[0]] if movers else Paging.PLAIN


def _refuse_a_part(step: FieldNode, paging: Paging) -> None:
    """Refuse a query that reads only a part of a list: all other records would seem to be gone."""
    for argument in _arguments(step.arguments or ()):
        name = argument.name.value
        role = role_of(name)
        bounds = role is Role.SIZE or name.lower() in LIMIT_ARGUMENTS
        if (bounds and paging is Paging.PLAIN) or (role in PAGING_ROLES and _given(argument) is not role):
            raise error_at(
                argument,
                f"`{name}` cuts the list, and nothing moves on from there: only a part would be read",
                f"{_how_to_page(role)} If your schema's list has no paging, remove the argument.",
            )


def _given(argument: ArgumentNode | ObjectFieldNode) -> Role | None:
    """The role of the variable passed to an argument, or None for a value written in the query."""
    return role_of(argument.value.name.value) if isinstance(argument.value, VariableNode) else None


def _how_to_page(role: Role | None) -> str:
    if role is None or role is Role.SIZE:
        names = ", ".join(f"${VARIABLE_NAMES[paging_variable][0]}" for paging_variable in PAGING_ROLES)
        return f"Declare the variable that moves through the list too, one of {names}."
    return f"Pass a variable to it that is called ${VARIABLE_NAMES[role][0]}."


def _arguments(nodes: Iterable[ArgumentNode | ObjectFieldNode]) -> Iterator[ArgumentNode | ObjectFieldNode]:
    """The arguments of a field, including those inside input objects."""
    for node in nodes:
        yield node
        if isinstance(node.value, ObjectValueNode):
            yield from _arguments(node.value.fields or ())


def _require_page_info(record_path: RecordPath) -> None:
    info = record_path.info
    if info is not None and info.more and info.cursor:
        return
    raise error_at(
        info.node if info else _connection(record_path),
        "pages by cursor, but does not select whether and where the list goes on",
        "Select `pageInfo { hasNextPage endCursor }` beside the list (beside `edges` or `nodes`).",
    )


def _connection(record_path: RecordPath) -> FieldNode:
    """The field that ``pageInfo`` belongs in: the one above the list."""
    *above, _ = record_path.steps
    return next((step for step in reversed(above) if step.name.value != "edges"), record_path.steps[0])


def _stepping(document: QueryDocument, record_path: RecordPath) -> QueryDocument:
    """The same list with only ``pageInfo`` selected: a way past an item that cannot be read."""
    info = record_path.info
    if info is None:
        raise ValueError("without pageInfo there is no way on")
    leaves = [("hasNextPage", info.more), ("endCursor", info.cursor)]
    inner = _selecting(info.node, [_leaf(name, key) for name, key in leaves])
    for step in reversed(record_path.steps[: info.below]):
        inner = _selecting(step, [inner])
    used = variables_used_in([inner])
    operation = OperationDefinitionNode(
        operation=document.operation.operation,
        name=document.operation.name,
        variable_definitions=tuple(
            node for node in document.operation.variable_definitions or () if node.variable.name.value in used
        ),
        directives=(),
        selection_set=SelectionSetNode(selections=(inner,)),
    )
    text = print_ast(DocumentNode(definitions=(operation,)))
    return QueryDocument(document.file, text, document.fingerprint, operation, {})


def _selecting(field: FieldNode, selected: Sequence[FieldNode]) -> FieldNode:
    return FieldNode(
        alias=field.alias,
        name=field.name,
        arguments=field.arguments,
        directives=(),
        selection_set=SelectionSetNode(selections=tuple(selected)),
    )


def _leaf(name: str, key: str | None) -> FieldNode:
    alias = NameNode(value=key) if key and key != name else None
    return FieldNode(alias=alias, name=NameNode(value=name), arguments=(), directives=(), selection_set=None)
