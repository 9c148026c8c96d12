"""List queries: what the client must know of a query document, read off the document itself.

Salestrekker shows its schema only after log-in, and a list's paging arguments are not public. So the
queries are files that a user can change, and nothing of them is hard-coded here::

    QueryDocument ──> ListQuery
                       ├─ way        where a record sits in the answer          way.py
                       ├─ variables  which of them move through the list        variables.py
                       ├─ paging     the style, which the variables show
                       └─ stepping   the same list without its records (Relay)

docs/paging.md says it for users.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    NameNode,
    ObjectFieldNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    print_ast,
)

from bridge.salestrekker.query_files import QueryDocument, fault_at, load_document
from bridge.salestrekker.selection import fingerprint_of_a_record
from bridge.salestrekker.variables import NAMES, Role, Variables, role_of, used_in, variables_of
from bridge.salestrekker.way import Way, way_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from graphql import ArgumentNode

    from bridge.salestrekker.positions import Position

__all__ = ["ListQuery", "Paging", "list_query", "load_list"]


class Paging(StrEnum):
    """How a list query moves through its list."""

    OFFSET = "offset"
    PAGE = "page"
    RELAY = "relay"
    PLAIN = "plain"


MOVERS: Final[Mapping[Role, Paging]] = {
    Role.OFFSET: Paging.OFFSET,
    Role.PAGE: Paging.PAGE,
    Role.CURSOR: Paging.RELAY,
}
"""The variable that moves through a list shows its style; without one the whole list is asked for at once."""

CUTTING: Final = frozenset({"last", "top"})
"""More arguments that bound a list; no variable of the bridge is passed to them."""


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A query that lists records.

    Attributes:
        document: What is sent.
        way: Where a record sits in the answer, and what is said there about the next page.
        variables: What the bridge fills in.
        paging: How the list is walked.
        stepping: Asks where the page after this one begins, without reading a record; None except for
            cursors.
    """

    document: QueryDocument
    way: Way
    variables: Variables
    paging: Paging
    stepping: QueryDocument | None = None

    @property
    def file(self) -> str:
        """The file it is from, as messages name it."""
        return self.document.file

    @property
    def path(self) -> tuple[str, ...]:
        """Response keys from the root of the answer's ``data`` to one record; one of them is the list."""
        return self.way.path

    @property
    def fingerprint(self) -> str:
        """Of its text, see ``QueryDocument``."""
        return self.document.fingerprint

    @property
    def record_fingerprint(self) -> str:
        """Of what it selects of one record, see ``selection.fingerprint_of_a_record``."""
        return fingerprint_of_a_record(self.document, self.way)

    @property
    def sizes_pages(self) -> bool:
        """Whether the query lets the bridge choose how many records a page has."""
        return Role.SIZE in self.variables

    @property
    def incremental(self) -> bool:
        """Whether the query can be asked for what has changed since a time."""
        return Role.SINCE in self.variables

    @property
    def mover(self) -> str:
        """The name of the variable that moves through the list; empty for a plain list."""
        return next((self.variables.name(role) for role in MOVERS if role in self.variables), "")

    def page_variables(self, at: Position, size: int, since: int | None = None) -> dict[str, object]:
        """The variables of the request for one page.

        Args:
            at: Where the page begins.
            size: How many records it has at most.
            since: Only what has changed since then, milliseconds since the epoch; None: all.
        """
        wanted = {
            Role.SIZE: size,
            Role.OFFSET: at.read,
            Role.PAGE: at.page,
            Role.CURSOR: at.cursor,
            Role.SINCE: None if since is None or not self.incremental else self.variables.moment(since),
        }
        return self.variables.values(wanted)

    def checkpoint(self, page_size: int, since: int | None = None) -> str:
        """What a position in this list belongs to: the query's text, and variables that change its meaning.

        Args:
            page_size: Records per page; another size gives the numbers of pages another meaning.
            since: As in ``page_variables``.
        """
        sized = page_size if self.paging is Paging.PAGE else None
        meaning = orjson.dumps([self.fingerprint, sized, since if self.incremental else None])
        return hashlib.sha256(meaning).hexdigest()[:16]


def load_list(name: str, folders: Sequence[Path]) -> ListQuery:
    """Load a list query from its file.

    Args:
        name: File name, as the configuration's ``list_query`` gives it.
        folders: Where to look, first match wins (``query_files.query_folders``).

    Raises:
        QueryFileError: As ``load_document`` and ``list_query``; names file, line and column.
    """
    return list_query(load_document(name, folders))


def list_query(document: QueryDocument) -> ListQuery:
    """Read off a document how its list is found and walked.

    Raises:
        QueryFileError: It has not exactly one root field, its list does not select ``id``, a variable
            cannot be filled in, two of them move through the list, or only a part of it would be read.
    """
    variables = variables_of(document)
    paging = _paging(variables)
    way = way_of(document)
    for step in way.steps:
        _refuse_a_part(step, paging)
    if paging is not Paging.RELAY:
        return ListQuery(document, way, variables, paging)
    _require_page_info(way)
    return ListQuery(document, way, variables, paging, _stepping(document, way))


def _paging(variables: Variables) -> Paging:
    movers = [role for role in MOVERS if role in variables]
    if len(movers) > 1:
        first, second = (variables.name(role) for role in movers[:2])
        raise fault_at(
            variables.by_role[movers[1]],
            f"${first} and ${second} both move through the list",
            "Keep the one that your schema's list takes.",
        )
    return MOVERS[movers[0]] if movers else Paging.PLAIN


def _refuse_a_part(step: FieldNode, paging: Paging) -> None:
    """A part of a list taken for the whole would make all others seem gone."""
    for argument in _arguments(step.arguments or ()):
        name = argument.name.value
        role = role_of(name)
        bounds = role is Role.SIZE or name.lower() in CUTTING
        if (bounds and paging is Paging.PLAIN) or (role in MOVERS and _given(argument) is not role):
            raise fault_at(
                argument,
                f"`{name}` cuts the list, and nothing moves on from there: only a part would be read",
                f"{_how_to_page(role)} Where your schema's list has no paging, take the argument out.",
            )


def _given(argument: ArgumentNode | ObjectFieldNode) -> Role | None:
    """What the variable does that is passed to an argument; None for a value that stands in the query."""
    return role_of(argument.value.name.value) if isinstance(argument.value, VariableNode) else None


def _how_to_page(role: Role | None) -> str:
    if role is None or role is Role.SIZE:
        names = ", ".join(f"${NAMES[mover][0]}" for mover in MOVERS)
        return f"Declare the variable that moves through the list too, one of {names}."
    return f"Pass a variable to it that is called ${NAMES[role][0]}."


def _arguments(nodes: Iterable[ArgumentNode | ObjectFieldNode]) -> Iterator[ArgumentNode | ObjectFieldNode]:
    """The arguments of a field, those inside input objects too."""
    for node in nodes:
        yield node
        if isinstance(node.value, ObjectValueNode):
            yield from _arguments(node.value.fields or ())


def _require_page_info(way: Way) -> None:
    info = way.info
    if info is not None and info.more and info.cursor:
        return
    raise fault_at(
        info.node if info else _connection(way),
        "pages by cursor, but does not ask whether and where the list goes on",
        "Select `pageInfo { hasNextPage endCursor }` beside the list (beside `edges` or `nodes`).",
    )


def _connection(way: Way) -> FieldNode:
    """The field that `pageInfo` belongs into: the one above the list."""
    *above, _ = way.steps
    return next((step for step in reversed(above) if step.name.value != "edges"), way.steps[0])


def _stepping(document: QueryDocument, way: Way) -> QueryDocument:
    """The same list with nothing selected but ``pageInfo``: passes an item that cannot be read."""
    info = way.info
    if info is None:
        raise ValueError("without pageInfo there is no way on")
    leaves = [("hasNextPage", info.more), ("endCursor", info.cursor)]
    inner = _selecting(info.node, [_leaf(name, key) for name, key in leaves])
    for step in reversed(way.steps[: info.below]):
        inner = _selecting(step, [inner])
    used = used_in([inner])
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
