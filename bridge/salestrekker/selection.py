"""What a query document reads, as dotted paths: for the disclosure, and to hold maps against it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, print_ast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphql import ArgumentNode, DirectiveNode, SelectionSetNode

    from bridge.salestrekker.query_files import QueryDocument
    from bridge.salestrekker.way import Way

__all__ = ["fields_of_a_record", "fields_read", "fingerprint_of_a_record"]


def fields_read(document: QueryDocument) -> tuple[str, ...]:
    """Every field without a selection of its own that a document reads.

    Args:
        document: The query with its fragments.

    Returns:
        Paths from the root of the answer, with dots and by the schema's names (not aliases), each once,
        in the order of the document: ``contacts.person.information.firstName``.
    """
    return tuple(dict.fromkeys(_leaves(document, document.operation.selection_set, ())))


def fields_of_a_record(document: QueryDocument, way: Way) -> frozenset[str]:
    """Every field without a selection of its own that a document reads of one record.

    Args:
        document: The query with its fragments.
        way: Where the record sits in the answer.

    Returns:
        Paths from the record, with dots, as the answer has them: ``person.information.firstName``, and
        ``email: emailAddress`` where the query gives a field another name.
    """
    return frozenset(_named(document, way.steps[-1].selection_set, ""))


def fingerprint_of_a_record(document: QueryDocument, way: Way) -> str:
    """Twelve characters, other ones whenever a document selects something else of one record.

    Comments, layout, the order of fields, the names of files and fragments, and how the list is paged or
    narrowed are no part of it. Aliases, arguments, directives and inline type conditions are.

    Args:
        document: The query with its fragments.
        way: Where the record sits in the answer.
    """
    selected = sorted(set(_selected(document, way.steps[-1].selection_set, "")))
    return hashlib.sha256("\n".join(selected).encode()).hexdigest()[:12]


def _selected(document: QueryDocument, selections: SelectionSetNode | None, above: str) -> Iterator[str]:
    """Each field without a selection of its own, by its whole path as it is asked for."""
    for node in selections.selections if selections else ():
        if isinstance(node, FieldNode):
            path = f"{above}.{_asked(node)}"
            yield from _selected(document, node.selection_set, path) if node.selection_set else (path,)
        elif isinstance(node, FragmentSpreadNode):
            inner = document.fragments[node.name.value].selection_set
            yield from _selected(document, inner, above + _printed(node.directives))
        elif isinstance(node, InlineFragmentNode):
            kind = f" on {node.type_condition.name.value}" if node.type_condition else ""
            yield from _selected(document, node.selection_set, above + kind + _printed(node.directives))


def _asked(field: FieldNode) -> str:
    """A field with its alias, arguments and directives, without its selection."""
    alias = f"{field.alias.value}: " if field.alias and field.alias.value != field.name.value else ""
    return f"{alias}{field.name.value}{_printed(field.arguments)}{_printed(field.directives)}"


def _printed(nodes: Iterable[ArgumentNode | DirectiveNode] | None) -> str:
    """Arguments or directives, in one order."""
    return "".join(sorted(f"({print_ast(node)})" for node in nodes or ()))


def _named(document: QueryDocument, selections: SelectionSetNode | None, above: str) -> Iterator[str]:
    for field in document.fields(selections):
        name = f"{field.alias.value}: {field.name.value}" if field.alias else field.name.value
        if field.selection_set:
            yield from _named(document, field.selection_set, f"{above}{name}.")
        elif name != "__typename":
            yield f"{above}{name}"


def _leaves(
    document: QueryDocument, selections: SelectionSetNode | None, above: tuple[str, ...]
) -> Iterator[str]:
    for field in document.fields(selections):
        path = (*above, field.name.value)
        if field.selection_set:
            yield from _leaves(document, field.selection_set, path)
        else:
            yield ".".join(path)
