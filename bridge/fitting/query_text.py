"""The query files for a list of records, for one record by id and for a deal, as text. Pure.

::

    RecordList(me > organization > contacts(input) > records[])
        ──>  query Contacts($skip: Int! = 0, $take: Int! = 100) {
               me { organization { contacts(input: {page: {skip: $skip, take: $take}}) {
                 total
                 records { ...ContactFields }
               } } }
             }
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from graphql import GraphQLInputObjectType, get_named_type, get_nullable_type, print_ast

from bridge.salestrekker.list_facts import Fact
from bridge.salestrekker.paging_variables import VARIABLE_NAMES, Role, role_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.fitting.schema_lists_and_records import Argument, PathStep, RecordById, RecordList

__all__ = ["by_id_query_text", "fragment_text", "list_query_text", "single_query_text"]

DEFAULTS: Final = {Role.OFFSET: "0", Role.SIZE: "100"}

SELECTED_FACTS: Final = {
    Role.CURSOR: (Fact.CURSOR, Fact.MORE, Fact.DONE, Fact.TOTAL),
    Role.OFFSET: (Fact.TOTAL, Fact.MORE, Fact.DONE),
    Role.PAGE: (Fact.TOTAL, Fact.LAST_PAGE, Fact.MORE, Fact.DONE),
    None: (Fact.TOTAL, Fact.CURSOR, Fact.MORE, Fact.DONE),
}
"""What a query selects about its list, by what moves through it."""


@dataclass(frozen=True, slots=True)
class _Given:
    """What a request gives to an argument."""

    argument: Argument
    variable: str
    declared: str


def list_query_text(listing: RecordList, name: str, fragment: str) -> str:
    """The query for a list.

    Args:
        listing: The list in the schema.
        name: The operation's name.
        fragment: The name of the fragment with the fields of a record.
    """
    paging = listing.paging
    roles = [role for role in (listing.mover, Role.SIZE) if role and role in paging]
    if listing.mover is None:
        roles = []
    given: dict[int, list[_Given]] = {}
    for role in roles:
        index, argument = paging[role]
        given.setdefault(index, []).append(_paging_variable(role, argument))
    beside: dict[int, list[tuple[str, ...]]] = {}
    for fact in SELECTED_FACTS[listing.mover]:
        if fact in listing.facts:
            index, path = listing.facts[fact]
            beside.setdefault(index, []).append(path)
    return _operation(name, listing.steps, given, beside, fragment)


def by_id_query_text(found: RecordById, name: str, fragment: str) -> str:
    """The query for one record by its id; the arguments are those of ``list_query_text``."""
    return single_query_text(found, name, [f"...{fragment}"])


def single_query_text(found: RecordById, name: str, selection: Sequence[str]) -> str:
    """A query for one record by its id, with the lines of what it selects."""
    kind = get_nullable_type(found.argument.definition.type)
    given = {found.index: [_Given(found.argument, "id", f"$id: {kind}!")]}
    return _operation(name, found.steps, given, {}, "", selection)


def fragment_text(name: str, kind: str, selection: str, *, is_union: bool) -> str:
    """The fragment with the fields of a record."""
    first = "  __typename\n" if is_union else ""
    return f"fragment {name} on {kind} {{\n{first}{selection}\n}}\n"


def _paging_variable(role: Role, argument: Argument) -> _Given:
    own = argument.path[-1]
    name = own if role_of(own) is role else VARIABLE_NAMES[role][0]
    kind = argument.definition.type
    if role is Role.CURSOR:
        return _Given(argument, name, f"${name}: {get_nullable_type(kind)}")
    literal = argument.definition.default.literal if argument.definition.default else None
    default = print_ast(literal) if literal and role is Role.PAGE else DEFAULTS.get(role, "")
    return _Given(argument, name, f"${name}: {kind}{f' = {default}' if default else ''}")


def _operation(
    name: str,
    steps: Sequence[PathStep],
    given: Mapping[int, Sequence[_Given]],
    beside: Mapping[int, Sequence[tuple[str, ...]]],
    fragment: str,
    selection: Sequence[str] = (),
) -> str:
    declared = ", ".join(one.declared for some in given.values() for one in some)
    lines = [f"query {name}{f'({declared})' if declared else ''} {{"]
    for index, step in enumerate(steps):
        indent = "  " * (index + 1)
        lines.append(f"{indent}{step.name}{_arguments(step, given.get(index, ()))} {{")
        lines += [f"{indent}  {line}" for line in _nested(beside.get(index, ()))]
    indent = "  " * (len(steps) + 1)
    lines += [f"{indent}{line}" for line in selection or [f"...{fragment}"]]
    lines += ["  " * depth + "}" for depth in range(len(steps), -1, -1)]
    return "\n".join(lines) + "\n"


def _nested(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """Paths as selections, common beginnings once: ``pageInfo { hasNextPage endCursor }``."""
    grouped: dict[str, list[tuple[str, ...]]] = {}
    for path in paths:
        grouped.setdefault(path[0], []).extend([path[1:]] if len(path) > 1 else [])
    return [f"{name} {{ {' '.join(_nested(below))} }}" if below else name for name, below in grouped.items()]


def _arguments(step: PathStep, given: Sequence[_Given]) -> str:
    """The arguments of a field: what is given, and each input object that must be there."""
    tree: dict[str, Any] = {}
    for required in step.required:
        if isinstance(get_named_type(required.definition.type), GraphQLInputObjectType):
            _put(tree, required.path, {})
        elif not required.role and required.fixed_value:
            _put(tree, required.path, required.fixed_value)
    for one in given:
        _put(tree, one.argument.path, f"${one.variable}")
    return f"({', '.join(f'{name}: {_literal(value)}' for name, value in tree.items())})" if tree else ""


def _put(tree: dict[str, Any], path: Sequence[str], value: object) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    if not isinstance(tree.get(path[-1]), dict) or not isinstance(value, dict):
        tree[path[-1]] = value


def _literal(value: object) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_literal(inner)}' for name, inner in value.items())}}}"
    return str(value)
