"""Queries that try names, to find out from a server's errors which of them its schema has. Pure.

::

    query { contacts { items { id … } } }  ──>  query Probe { p0: contacts { nextCursor }
                                                              p1: contacts { total } … }      names of fields
                                                query Probe { p0: contacts(limit: 1) { __typename }
                                                              p1: contacts(after: 1) { … } … }  of arguments

The server validates the whole document before it executes anything, and reports the names that it does not
know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphql import FieldNode, print_ast

from bridge.salestrekker.paging_variables import variables_used_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bridge.salestrekker.query_files import QueryDocument

__all__ = ["ProbeGroup", "probe_text"]


@dataclass(frozen=True, slots=True)
class ProbeGroup:
    """Names to try at one place.

    Attributes:
        level: The place: so many steps from the root.
        names: What to try. Each name occurs once, so that an error about it is not ambiguous.
        arguments: Whether they are names of arguments of the last of these steps. Otherwise they are names of
            fields below it.
    """

    level: int
    names: tuple[str, ...]
    arguments: bool = False


def probe_text(
    document: QueryDocument, steps: Sequence[FieldNode], group: ProbeGroup, names: Iterable[str]
) -> str:
    """A query that tries names.

    Args:
        document: The query whose schema is of interest.
        steps: The fields from its root down to a record.
        group: Where to try them.
        names: Those of the group that are to be tried.
    """
    path = steps[: group.level]
    used = variables_used_in([argument for step in path for argument in step.arguments or ()])
    declared = [
        print_ast(node)
        for node in document.operation.variable_definitions or ()
        if node.variable.name.value in used
    ]
    variables = f"({', '.join(declared)})" if declared else ""
    lines = (f"  p{place}: {_branch(path, group, name)}" for place, name in enumerate(names))
    return "\n".join([f"query Probe{variables} {{", *lines, "}"])


def _branch(path: Sequence[FieldNode], group: ProbeGroup, name: str) -> str:
    *above, last = path
    text = (
        f"{_asked(last, f'{name}: 1')} {{ __typename }}"
        if group.arguments
        else f"{_asked(last)} {{ {name} }}"
    )
    for step in reversed(above):
        text = f"{_asked(step)} {{ {text} }}"
    return text


def _asked(step: FieldNode, *more: str) -> str:
    """A field with its arguments and further ones."""
    arguments = ", ".join([*map(print_ast, step.arguments or ()), *more])
    return f"{step.name.value}{f'({arguments})' if arguments else ''}"
