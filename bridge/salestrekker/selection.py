"""What a query document reads, as dotted paths: for the disclosure, and to hold maps against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphql import SelectionSetNode

    from bridge.salestrekker.documents import QueryDocument

__all__ = ["fields_read"]


def fields_read(document: QueryDocument) -> tuple[str, ...]:
    """Every field without a selection of its own that a document reads.

    Args:
        document: The query with its fragments.

    Returns:
        Paths from the root of the answer, with dots and by the schema's names (not aliases), each once,
        in the order of the document: ``contacts.person.information.firstName``.
    """
    return tuple(dict.fromkeys(_leaves(document, document.operation.selection_set, ())))


def _leaves(
    document: QueryDocument, selections: SelectionSetNode | None, above: tuple[str, ...]
) -> Iterator[str]:
    for field in document.fields(selections):
        path = (*above, field.name.value)
        if field.selection_set:
            yield from _leaves(document, field.selection_set, path)
        else:
            yield ".".join(path)
