"""What a query document reads, as dotted paths: for the disclosure, and to hold maps against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphql import SelectionSetNode

    from bridge.salestrekker.documents import QueryDocument
    from bridge.salestrekker.way import Way

__all__ = ["fields_of_a_record", "fields_read"]


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
