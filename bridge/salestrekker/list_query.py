"""List queries: everything that the client needs to know of a query, read off the document itself.

Salestrekker shows its schema only after login, and a list's paging arguments are not public. So the queries
are files that a user can change, and nothing of them is hard-coded here::

    QueryDocument ──> ListQuery
                       ├─ record_path      where a record is in the response       record_path.py
                       ├─ variables        which of them move through the list     paging_variables.py
                       ├─ info             what is selected about the list itself  list_facts.py
                       ├─ paging           the style, which the variables show
                       └─ next_page_query  the same list without its records (by cursor)

Most variables come from the ``Position``: how far the list is read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    print_ast,
)

from bridge.salestrekker.list_facts import InfoField, ListInfo, find_list_info
from bridge.salestrekker.paging_variables import (
    NUMBER_NAMES,
    PAGING_ROLES,
    VARIABLE_NAMES,
    PagingVariables,
    Role,
    argument_role,
    find_paging_variables,
    leaf_arguments,
    role_of,
    variables_used_in,
)
from bridge.salestrekker.query_files import QueryDocument, error_at, load_document
from bridge.salestrekker.record_path import RecordPath, find_record_path, fingerprint_record_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from graphql import ArgumentNode, ObjectFieldNode


__all__ = ["ListQuery", "Paging", "Position", "load_list_query", "parse_list_query"]


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


class Paging(StrEnum):
    """How a list query moves through its list."""

    OFFSET = "offset"
    PAGE = "page"
    CURSOR = "cursor"
    PLAIN = "plain"


STYLES: Final[Mapping[Role, Paging]] = {
    Role.OFFSET: Paging.OFFSET,
    Role.PAGE: Paging.PAGE,
    Role.CURSOR: Paging.CURSOR,
}
"""The role that moves through a list shows its style. Without one, the whole list is requested at once."""

LIMIT_NAMES: Final = frozenset({"last", *NUMBER_NAMES[Role.SIZE]})
"""Further names of arguments that limit a list."""


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A query that lists records.

    Attributes:
        document: The document to send.
        record_path: Where a record is in the response.
        variables: The variables that the bridge fills in.
        paging: How the bridge moves through the list.
        info: What the query selects about the list itself.
        next_page_query: Asks where the next page begins, without reading a record. None without cursors.
    """

    document: QueryDocument
    record_path: RecordPath
    variables: PagingVariables
    paging: Paging
    info: ListInfo
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
            Role.CURSOR: self.variables.cursor_value(at.cursor),
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
        # The style too: a newer version of the bridge may understand the same text in another way.
        meaning = [self.fingerprint, self.paging, sized, since if self.is_incremental else None]
        return hashlib.sha256(orjson.dumps(meaning)).hexdigest()[:16]


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
    record_path = find_record_path(document)
    variables = find_paging_variables(document, record_path.steps)
    paging = _paging(variables)
    for step in record_path.steps:
        _refuse_a_part(step, paging, variables)
    info = find_list_info(document, record_path.steps)
    if paging is not Paging.CURSOR:
        return ListQuery(document, record_path, variables, paging, info)
    cursor = _require_cursor(record_path, info)
    stepping = _stepping(document, [info.more, cursor] if info.more else [cursor])
    return ListQuery(document, record_path, variables, paging, info, stepping)


def _paging(variables: PagingVariables) -> Paging:
    movers = [role for role in PAGING_ROLES if role in variables]
    if len(movers) > 1:
        first, second = (variables.name(role) for role in movers[:2])
        raise error_at(
            variables.by_role[movers[1]],
            f"${first} and ${second} both move through the list",
            "Keep the one that your schema's list takes.",
        )
    return STYLES[movers[0]] if movers else Paging.PLAIN


def _refuse_a_part(step: FieldNode, paging: Paging, variables: PagingVariables) -> None:
    """Refuse a query that reads only a part of a list: all other records would seem to be gone."""
    for path, argument in leaf_arguments(step.arguments or ()):
        role = argument_role(path)
        bounds = role is Role.SIZE or path[-1].lower() in LIMIT_NAMES
        if (bounds and paging is Paging.PLAIN) or (
            role in PAGING_ROLES and _given(argument, variables) is not role
        ):
            raise error_at(
                argument,
                f"`{path[-1]}` cuts the list, and nothing moves on from there: only a part would be read",
                f"{_how_to_page(role)} If your schema's list has no paging, remove the argument.",
            )


def _given(argument: ArgumentNode | ObjectFieldNode, variables: PagingVariables) -> Role | None:
    """The role of the variable passed to an argument, or None for a value written in the query."""
    if not isinstance(argument.value, VariableNode):
        return None
    name = argument.value.name.value
    return variables.role(name) or role_of(name)


def _how_to_page(role: Role | None) -> str:
    if role is None or role is Role.SIZE:
        names = ", ".join(f"${VARIABLE_NAMES[mover][0]}" for mover in PAGING_ROLES)
        return f"Declare the variable that moves through the list too, one of {names}."
    return f"Pass a variable to it that is called ${VARIABLE_NAMES[role][0]}."


def _require_cursor(record_path: RecordPath, info: ListInfo) -> InfoField:
    """The field with the next cursor.

    Relay's ``endCursor`` is there on the last page too, so ``hasNextPage`` must be selected with it. Any
    other cursor is null at the end of the list.
    """
    cursor = info.cursor
    if cursor and (info.more or cursor.name != "endCursor"):
        return cursor
    raise error_at(
        cursor.above[-1] if cursor else info.more.above[-1] if info.more else _connection(record_path),
        "pages by cursor, but does not select whether and where the list goes on",
        "Select the field with the next cursor, as your schema names it: `nextCursor` beside the list, or "
        "`pageInfo { hasNextPage endCursor }` beside `edges` or `nodes`.",
    )


def _connection(record_path: RecordPath) -> FieldNode:
    """The field that the next cursor is to be selected in: the one above the list."""
    *above, _ = record_path.steps
    return next((step for step in reversed(above) if step.name.value != "edges"), record_path.steps[0])


def _stepping(document: QueryDocument, infos: Sequence[InfoField]) -> QueryDocument:
    """The same list with only the next cursor selected: a way past an item that cannot be read."""
    selected = _merged([(*info.above, info.node) for info in infos])
    used = variables_used_in(selected)
    operation = OperationDefinitionNode(
        operation=document.operation.operation,
        name=document.operation.name,
        variable_definitions=tuple(
            node for node in document.operation.variable_definitions or () if node.variable.name.value in used
        ),
        directives=(),
        selection_set=SelectionSetNode(selections=selected),
    )
    text = print_ast(DocumentNode(definitions=(operation,)))
    return QueryDocument(document.file, text, document.fingerprint, operation, {})


def _merged(paths: Iterable[Sequence[FieldNode]]) -> tuple[FieldNode, ...]:
    """Paths of fields as one selection. Common beginnings are merged."""
    grouped: dict[int, tuple[FieldNode, list[Sequence[FieldNode]]]] = {}
    for first, *rest in paths:
        grouped.setdefault(id(first), (first, []))[1].append(rest)
    return tuple(_selecting(field, [rest for rest in below if rest]) for field, below in grouped.values())


def _selecting(field: FieldNode, below: Sequence[Sequence[FieldNode]]) -> FieldNode:
    return FieldNode(
        alias=field.alias,
        name=field.name,
        arguments=field.arguments,
        directives=(),
        selection_set=SelectionSetNode(selections=_merged(below)) if below else None,
    )
