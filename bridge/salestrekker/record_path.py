"""The path from the root of a response to one record, and the fields that a query selects there.

::

    contacts { pageInfo { hasNextPage endCursor } edges { node { id … } } }
    ────┬───                                      ──┬──   ──┬─
        │                                           │       └─ the record: it selects its id
        └───────────────────────────────────────────┴─ steps of the path

Without the schema, the query does not show which step is the list. The response does
(``responses.read_items``). Selected fields are given as dotted paths, for the disclosure statement and to
compare maps with them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, VariableNode, print_ast

from bridge.salestrekker.paging_variables import (
    PAGING_ROLES,
    argument_role,
    leaf_arguments,
    role_of,
    variables_used_in,
)
from bridge.salestrekker.query_files import error_at

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from graphql import ArgumentNode, DirectiveNode, SelectionSetNode

    from bridge.errors import QueryFileError
    from bridge.salestrekker.query_files import QueryDocument

__all__ = [
    "WRAPPERS",
    "RecordPath",
    "find_record_path",
    "find_single_record_path",
    "fingerprint_record_fields",
    "record_fields",
    "response_key",
    "selected_fields",
]

WRAPPERS: Final = frozenset(
    {"items", "nodes", "results", "records", "data", "rows", "entries", "list", "objects", "edges", "node"}
    | {"content", "elements"}
)
"""Fields that may stand between the root field and a record, whatever else is selected beside them."""

ABOUT_THE_LIST: Final = re.compile(
    r"__typename|(total|next|prev|page|last|has_?(next|more|prev)).*|.*(count|cursor|token)"
    r"|offset|skip|limit|take|size|perpage|current_?page|per_page",
    re.IGNORECASE,
)
"""Names of plain fields that describe the list, not a record."""

LIST_INFO_FIELDS: Final = frozenset(
    {"pageInfo", "page_info", "paginatorInfo", "pagination", "paging", "meta", "metadata"}
)
"""Names of objects that describe the list, not a record."""

ID_KEYS: Final = frozenset({"id", "_id", "uuid", "guid"})

SHORTEST_STEM: Final = 3
"""Fewest letters of a word that may stand with ``Id`` in the name of an id: ``clientId`` in ``clients``."""


@dataclass(frozen=True, slots=True)
class RecordPath:
    """The path to one record.

    Attributes:
        steps: The fields from the root field down to the one whose selection is the record's.
    """

    steps: tuple[FieldNode, ...]

    @property
    def path(self) -> tuple[str, ...]:
        """Response keys of the steps."""
        return tuple(response_key(step) for step in self.steps)


def find_record_path(document: QueryDocument) -> RecordPath:
    """Find the path to the records of a list.

    The first selection with an id is the record, unless the variable that moves through the list is passed to
    a field below it: ``organization { id contacts(offset: $offset) { id } }``.

    Args:
        document: The query.

    Raises:
        QueryFileError: There is not exactly one root field, or no selection below it has an ``id``.
    """
    root = _only_root(document, "list")
    steps = _down(document, (root,))
    moved = _carrier(document, root, _is_moved_by_name)
    if moved is None and steps is None:
        moved = _carrier(document, root, _is_moved_by_argument)
    if moved and (steps is None or moved[: len(steps)] == steps):
        steps = _down(document, moved)
    if steps is None:
        raise _no_id((moved or (root,))[-1], "list")
    return RecordPath(steps)


def find_single_record_path(document: QueryDocument, variable: str) -> RecordPath:
    """Find the path to the record of a query by id.

    Args:
        document: The query.
        variable: The variable with the id. The record is at or below the field that it is passed to.

    Raises:
        QueryFileError: There is not exactly one root field, or no selection below has an ``id``.
    """
    root = _only_root(document, "record")
    given = _carrier(document, root, lambda field: variable in variables_used_in(field.arguments or ()))
    steps = _down(document, given or (root,))
    if steps is None:
        raise _no_id((given or (root,))[-1], "record")
    return RecordPath(steps)


def _only_root(document: QueryDocument, what: str) -> FieldNode:
    fields = document.fields(document.operation.selection_set)
    roots = [node for node in fields if node.name.value != "__typename"]
    if len(roots) != 1:
        raise error_at(
            document.operation,
            f"has {len(roots)} root fields",
            f"A {what} query asks for one {what}. If your schema keeps people and companies apart, "
            "only one of them can be read.",
        )
    return roots[0]


def _no_id(field: FieldNode, what: str) -> QueryFileError:
    return error_at(
        field,
        f"the {what} `{field.name.value}` does not select `id`",
        "Add `id` to its fields: a record without an id cannot be recognised. If your schema "
        "calls it something else, write `id: itsName`.",
    )


def _carrier(
    document: QueryDocument, root: FieldNode, carries: Callable[[FieldNode], bool]
) -> tuple[FieldNode, ...] | None:
    """The path to the nearest field that ``carries`` accepts, or None."""
    waiting: list[tuple[FieldNode, ...]] = [(root,)]
    while waiting:
        path = waiting.pop(0)
        if carries(path[-1]):
            return path
        waiting += [(*path, field) for field in document.fields(path[-1].selection_set)]
    return None


def _is_moved_by_name(field: FieldNode) -> bool:
    """Whether a variable is passed to it whose name says that it moves through a list."""
    return any(role_of(name) in PAGING_ROLES for name in variables_used_in(field.arguments or ()))


def _is_moved_by_argument(field: FieldNode) -> bool:
    """Whether a variable is passed to an argument whose name says that it moves through a list."""
    return any(
        isinstance(node.value, VariableNode) and argument_role(path) in PAGING_ROLES
        for path, node in leaf_arguments(field.arguments or ())
    )


def response_key(node: FieldNode) -> str:
    """The name under which the response holds a field."""
    return node.alias.value if node.alias else node.name.value


def _down(document: QueryDocument, steps: tuple[FieldNode, ...]) -> tuple[FieldNode, ...] | None:
    """The steps extended to the record's step, or None if there is no id below."""
    selected = list(document.fields(steps[-1].selection_set))
    if any(_is_id(response_key(field), steps) for field in selected if not field.selection_set):
        return steps
    named = {step.name.value for step in steps}
    ways = (_down(document, (*steps, field)) for field in _wrappers(selected, named))
    return next((record_path for record_path in ways if record_path), None)


def _wrappers(selected: Sequence[FieldNode], named: Collection[str]) -> list[FieldNode]:
    """The fields that may lead to the records.

    These are the fields with a known name or that of a field above, else the only field that is not about the
    list.
    """
    below = [field for field in selected if field.selection_set and field.name.value not in LIST_INFO_FIELDS]
    known = [field for field in below if field.name.value in WRAPPERS.union(named)]
    leaves = (field.name.value for field in selected if not field.selection_set)
    alone = len(below) == 1 and all(ABOUT_THE_LIST.fullmatch(leaf) for leaf in leaves)
    return known or (below if alone else [])


def _is_id(key: str, steps: Sequence[FieldNode]) -> bool:
    """Whether a field is the record's own id: ``id``, or ``clientId`` and ``idClient`` in ``clients``."""
    word = key.lower()
    if word in ID_KEYS:
        return True
    stems = {word.removesuffix("id"), word.removeprefix("id")} - {word, ""}
    records = [_singular(step.name.value.lower()) for step in steps]
    return any(record.endswith(stem) for stem in stems for record in records if len(stem) >= SHORTEST_STEM)


def _singular(word: str) -> str:
    return f"{word[:-3]}y" if word.endswith("ies") else word.removesuffix("s")


def selected_fields(document: QueryDocument) -> tuple[str, ...]:
    """Every plain field that a document reads.

    Args:
        document: The query with its fragments.

    Returns:
        Dotted paths from the root of the response by the schema's names (not aliases), each once, in the
            order of the document: ``contacts.person.information.firstName``.
    """
    return tuple(dict.fromkeys(_leaves(document, document.operation.selection_set, ())))


def record_fields(document: QueryDocument, record_path: RecordPath) -> frozenset[str]:
    """Every plain field that a document reads of one record.

    Args:
        document: The query with its fragments.
        record_path: Where the record is in the response.

    Returns:
        Dotted paths from the record, as the response has them: ``person.information.firstName``, and
        ``email: emailAddress`` if the query gives a field another name.
    """
    return frozenset(_named(document, record_path.steps[-1].selection_set, ""))


def fingerprint_record_fields(document: QueryDocument, record_path: RecordPath) -> str:
    """Fingerprint what a document selects of one record, as twelve characters.

    Comments, layout, the order of fields, the names of files and fragments, and how the list is paged or
    filtered do not matter. Aliases, arguments, directives and inline type conditions do.

    Args:
        document: The query with its fragments.
        record_path: Where the record is in the response.
    """
    selected = sorted(set(_selected(document, record_path.steps[-1].selection_set, "")))
    return hashlib.sha256("\n".join(selected).encode()).hexdigest()[:12]


def _selected(document: QueryDocument, selections: SelectionSetNode | None, above: str) -> Iterator[str]:
    """Each plain field, by its whole path as it is requested."""
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
    """Arguments or directives in a fixed order."""
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
