"""List queries: what the client must know of a query document, read off the document itself.

Salestrekker shows its schema only after log-in, and a list's paging arguments are not public. So the
queries are files that a user can change, and nothing of them is hard-coded here::

    QueryDocument ──> ListQuery
                       ├─ path     where the list sits in the answer
                       └─ paging   which variables move through it

Offset paging is built; the other styles are recognised and refused with a sentence that says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from graphql import NonNullTypeNode

from bridge.salestrekker.documents import QueryDocument, fault_at, load_document

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graphql import FieldNode, Node

    from bridge.errors import QueryFileError

__all__ = ["ListQuery", "Paging", "list_query", "load_list"]

WRAPPERS = frozenset({"items", "nodes", "results", "records", "data", "rows", "entries", "list"})
"""Fields that may stand between the root field and its list, where a schema wraps its lists."""


class Paging(StrEnum):
    """How a list query moves through its list."""

    OFFSET = "offset"
    PAGE = "page"
    RELAY = "relay"
    PLAIN = "plain"


NOT_BUILT = {
    Paging.PAGE: "pages by number ($page)",
    Paging.RELAY: "pages by cursor ($after, pageInfo)",
    Paging.PLAIN: "declares no $offset, so it asks for the whole list at once",
}


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A query that lists records, page by page.

    Attributes:
        document: What is sent.
        path: Response keys from the root of the answer's ``data`` to the list.
        paging: How the list is walked.
    """

    document: QueryDocument
    path: tuple[str, ...]
    paging: Paging

    @property
    def file(self) -> str:
        """The file it is from, as messages name it."""
        return self.document.file

    @property
    def fingerprint(self) -> str:
        """Of its text, see ``QueryDocument``."""
        return self.document.fingerprint

    @property
    def sizes_pages(self) -> bool:
        """Whether the query lets the bridge choose how many records a page has."""
        return "limit" in self.document.variables

    def page_variables(self, offset: int, limit: int) -> dict[str, int]:
        """The variables that ask for up to ``limit`` records from the place ``offset`` on."""
        return {"offset": offset} | ({"limit": limit} if self.sizes_pages else {})


def load_list(name: str, folders: Sequence[Path]) -> ListQuery:
    """Load a list query from its file.

    Args:
        name: File name, as the configuration's ``list_query`` gives it.
        folders: Where to look, first match wins (``documents.query_folders``).

    Raises:
        QueryFileError: As ``load_document`` and ``list_query``; names file, line and column.
    """
    return list_query(load_document(name, folders))


def list_query(document: QueryDocument) -> ListQuery:
    """Read off a document how its list is found and walked.

    Raises:
        QueryFileError: It has not exactly one root field, its list does not select ``id``, a variable
            needs a value that the bridge does not have, or it pages in a way that is not built.
    """
    root = _root(document)
    style = _style(document, root)
    if style is not Paging.OFFSET:
        raise _not_built(document.operation, style)
    _refuse_unknown_variables(document)
    return ListQuery(document, (_key(root), *_below(document, root)), style)


def _root(document: QueryDocument) -> FieldNode:
    fields = document.fields(document.operation.selection_set)
    roots = [node for node in fields if node.name.value != "__typename"]
    if len(roots) != 1:
        raise fault_at(document.operation, f"has {len(roots)} root fields", "A list query asks for one list.")
    return roots[0]


def _style(document: QueryDocument, root: FieldNode) -> Paging:
    names = document.variables
    below = {_key(node) for node in document.fields(root.selection_set)}
    if below & {"edges", "pageInfo"} or names & {"after", "cursor"}:
        return Paging.RELAY
    if "offset" in names:
        return Paging.OFFSET
    return Paging.PAGE if names & {"page", "pageSize"} else Paging.PLAIN


def _below(document: QueryDocument, root: FieldNode) -> tuple[str, ...]:
    """The way from the root field to the list: none, or one wrapper."""
    if _selects_id(document, root):
        return ()
    wrappers = WRAPPERS | {root.name.value}
    for node in document.fields(root.selection_set):
        if node.name.value in wrappers and _selects_id(document, node):
            return (_key(node),)
    raise fault_at(
        root,
        f"the list `{root.name.value}` does not select `id`",
        "Add `id` to its fields: a record without an id cannot be told from another.",
    )


def _selects_id(document: QueryDocument, node: FieldNode) -> bool:
    return any(_key(leaf) == "id" for leaf in document.fields(node.selection_set))


def _refuse_unknown_variables(document: QueryDocument) -> None:
    for variable in document.operation.variable_definitions or ():
        name = variable.variable.name.value
        needs_value = isinstance(variable.type, NonNullTypeNode) and variable.default_value is None
        if needs_value and name not in {"offset", "limit"}:
            raise fault_at(
                variable,
                f"${name} needs a value that the bridge does not have",
                "Give it a default value, or write the value into the query.",
            )


def _not_built(node: Node, style: Paging) -> QueryFileError:
    return fault_at(
        node,
        f"{NOT_BUILT[style]}: reading such a list is not built yet",
        "Where the schema allows it, declare $offset and $limit and pass them to the list.",
    )


def _key(node: FieldNode) -> str:
    """The name under which the answer holds the field."""
    return node.alias.value if node.alias else node.name.value
