"""A server's own errors about a query, for a server that does not give its schema. Pure.

::

    'Cannot query field "familyName" on type "Person". Did you mean "lastName"?'
         └──────────────> contact.fragment.graphql, line 18: write `familyName: lastName`

The sentences are those of graphql-js, which most servers use and others imitate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphql import (
    ArgumentNode,
    FieldNode,
    FragmentDefinitionNode,
    VariableDefinitionNode,
    Visitor,
    parse,
    visit,
)

from bridge.salestrekker.graphql_errors import ErrorKind
from bridge.salestrekker.schema.corrections import QueryMismatch, location_of, rename_edit, replace_edit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphql import Node

    from bridge.salestrekker.graphql_errors import ServerError
    from bridge.salestrekker.query_files import QueryDocument
    from bridge.salestrekker.schema.corrections import Edit

__all__ = ["find_server_mismatches"]

_NAME: Final = r"[\"'`](?P<{}>\$?[\w.\[\]!]+)[\"'`]"
_MEANT: Final = r"(?:.*?Did you mean " + _NAME.format("meant") + r")?"


@dataclass(frozen=True, slots=True)
class _Sentence:
    """One kind of error sentence.

    Attributes:
        pattern: Finds the ``name`` that the error is about, and what is ``meant`` if the server says it.
        kind: The kind of node that has such a name.
    """

    pattern: re.Pattern[str]
    kind: type[Node]


def _sentence(words: str, kind: type[Node], meant: str = _MEANT) -> _Sentence:
    return _Sentence(re.compile(words.format(name=_NAME.format("name")) + meant, re.IGNORECASE), kind)


SENTENCES: Final = (
    _sentence(r"cannot query field {name}", FieldNode),
    _sentence(r"unknown argument {name}", ArgumentNode),
    _sentence(r"unknown type {name}", FragmentDefinitionNode),
    _sentence(
        r"variable {name} of type \S+ used in position expecting type",
        VariableDefinitionNode,
        r" " + _NAME.format("meant"),
    ),
    _sentence(r"variable {name}", VariableDefinitionNode),
    _sentence(r"field {name}", FieldNode),
)
"""The first sentence that matches counts."""


def find_server_mismatches(
    document: QueryDocument, errors: Sequence[ServerError]
) -> tuple[QueryMismatch, ...]:
    """The errors of a response that are about the query itself, each with its place in the file.

    Args:
        document: The query.
        errors: The errors of the response. Those of other kinds are ignored.
    """
    places = _Places(document)
    found = (
        mismatch
        for error in errors
        if error.kind is ErrorKind.QUERY
        for mismatch in _mismatches(error, places)
    )
    return tuple(dict.fromkeys(found))


class _Places:
    """Finds the nodes of the files by their place in the text that was sent, or by their names.

    Args:
        document: The document. Its text is printed from its nodes, so both have the same nodes in one order.
    """

    def __init__(self, document: QueryDocument) -> None:
        self.operation = document.operation
        self._nodes = _all_nodes(document.operation, *document.fragments.values())
        self._sent = _all_nodes(*parse(document.text).definitions)

    def named(self, name: str, kind: type[Node], error: ServerError) -> list[Node]:
        """The nodes that an error is about."""
        for sent, node in zip(self._sent, self._nodes, strict=True):
            if error.at and isinstance(node, kind) and _name(node) == name and _start(sent) == error.at:
                return [node]
        return [node for node in self._nodes if isinstance(node, kind) and _name(node) == name]


def _mismatches(error: ServerError, places: _Places) -> Iterator[QueryMismatch]:
    for sentence in SENTENCES:
        match = sentence.pattern.search(error.message)
        if match:
            meant = match.groupdict().get("meant") or ""
            nodes = places.named(match["name"].lstrip("$"), sentence.kind, error)
            yield from (
                QueryMismatch(location_of(node), error.message, _edits(node, meant), bool(meant))
                for node in nodes
            )
            if nodes:
                return
    yield QueryMismatch(location_of(places.operation), error.message, offered=False)


def _edits(node: Node, meant: str) -> tuple[Edit, ...]:
    if not meant:
        return ()
    if isinstance(node, FieldNode):
        return rename_edit(node, meant)
    if isinstance(node, ArgumentNode):
        return replace_edit(node.name, meant)
    if isinstance(node, FragmentDefinitionNode):
        return replace_edit(node.type_condition, meant)
    return replace_edit(node.type, meant) if isinstance(node, VariableDefinitionNode) else ()


def _name(node: Node) -> str:
    """The name that an error uses for a node. A fragment is named by its type."""
    if isinstance(node, FragmentDefinitionNode):
        return node.type_condition.name.value
    if isinstance(node, VariableDefinitionNode):
        return node.variable.name.value
    return node.name.value if isinstance(node, FieldNode | ArgumentNode) else ""


def _start(node: Node) -> tuple[int, int]:
    """Line and column at which a server reports an error in a node."""
    inner = node.type_condition if isinstance(node, FragmentDefinitionNode) else node
    place = location_of(inner)
    return place.line, place.column


class _Collector(Visitor):
    """Collects every node of the kinds that an error can be about, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[Node] = []

    def enter(self, node: Node, *_: object) -> None:
        if isinstance(node, FieldNode | ArgumentNode | FragmentDefinitionNode | VariableDefinitionNode):
            self.nodes.append(node)


def _all_nodes(*definitions: Node) -> list[Node]:
    collector = _Collector()
    for definition in definitions:
        visit(definition, collector)
    return collector.nodes
