"""How the live schema finds and pages a list, and the whole query to write if a document differs. Pure.

::

    type Query { clients(first: Int, after: String): ClientConnection! }
                 ──┬───  ──────────┬─────────────    ───────┬────────
                   │               │                        └─ edges { node }   the path to a record
                   │               └─ $first, $after                            the paging variables
                   └─ most like `contacts`                                      the root field

The selection of a record stays as it is written. Only what surrounds it is written again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphql import (
    GraphQLInputObjectType,
    get_named_type,
    get_nullable_type,
    is_required_argument,
    print_ast,
)

from bridge.salestrekker.paging_variables import VARIABLE_NAMES, Role, role_of
from bridge.salestrekker.record_path import WRAPPERS
from bridge.salestrekker.schema.similar_fields import ROOT_LIKELY, is_list, object_type, rate_object_field

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphql import FieldNode, GraphQLArgument, GraphQLField, GraphQLInputField

    from bridge.salestrekker.query_files import QueryDocument
    from bridge.salestrekker.record_path import RecordPath
    from bridge.salestrekker.schema.similar_fields import ObjectType

__all__ = ["SchemaList", "build_list_query", "find_list", "find_list_problem"]

MOVERS: Final = (Role.CURSOR, Role.OFFSET, Role.PAGE)
"""What moves through a list, the safest first: with a cursor, nothing is lost if records come and go
meanwhile."""

DEFAULTS: Final = {Role.OFFSET: "0", Role.SIZE: "100"}
DEEPEST: Final = 3


@dataclass(frozen=True, slots=True)
class SchemaList:
    """A list of the live schema.

    Attributes:
        root: The name of its root field.
        definition: That field.
        steps: Fields from there down to one record: ``("edges", "node")``; none for a plain list.
        record: The type of a record.
        paging: Role -> path to the argument with that role (two names inside an input object), and the
            argument.
    """

    root: str
    definition: GraphQLField
    steps: tuple[str, ...]
    record: ObjectType
    paging: dict[Role, tuple[tuple[str, ...], GraphQLArgument | GraphQLInputField]]

    @property
    def paging_variable(self) -> Role | None:
        """The argument that moves through the list; None if there is none."""
        usable = [role for role in MOVERS if role in self.paging]
        if Role.CURSOR in usable and not self.has_page_info:
            usable.remove(Role.CURSOR)
        return usable[0] if usable else None

    @property
    def has_page_info(self) -> bool:
        """Whether the list says where it goes on (Relay's cursor connections)."""
        outer = object_type(self.definition.type)
        info = object_type(outer.fields["pageInfo"].type) if outer and "pageInfo" in outer.fields else None
        return info is not None and {"hasNextPage", "endCursor"} <= info.fields.keys()


def find_list(
    query: ObjectType, record_path: RecordPath, wanted: Sequence[Sequence[str]]
) -> SchemaList | None:
    """The list that a document asks for: the one with its name, else the most similar one.

    Args:
        query: The root type.
        record_path: The path to a record in the document.
        wanted: What the document reads of a record, as paths.
    """
    name = record_path.steps[0].name.value
    listings = [found for found in map(_listing, query.fields, query.fields.values()) if found]
    exact = next((found for found in listings if found.root == name), None)
    if exact:
        return exact
    rated = [(rate_object_field(name, found.root, found.record, wanted), found) for found in listings]
    score, best = max(rated, key=lambda pair: pair[0], default=(0.0, None))
    return best if score >= ROOT_LIKELY else None


def find_list_problem(listing: SchemaList, record_path: RecordPath, document: QueryDocument) -> str:
    """What keeps a document from finding or paging the list as the schema has it, or empty text."""
    root = record_path.steps[0]
    if root.name.value != listing.root:
        return f"there is no list `{root.name.value}`; most like it is `{listing.root}`"
    steps = tuple(step.name.value for step in record_path.steps[1:])
    if not _leads(listing, steps):
        to = " { ".join((listing.root, *listing.steps))
        return f"its records are not at `{' { '.join((root.name.value, *steps))}`, but at `{to}`"
    given = [argument.name.value for argument in root.arguments or ()]
    unknown = [name for name in given if name not in listing.definition.args]
    if unknown:
        takes = ", ".join(listing.definition.args) or "none"
        return f"`{listing.root}` takes no argument `{unknown[0]}` (it takes {takes})"
    declared = {role_of(name) for name in document.variables}
    if listing.paging_variable and not declared & set(MOVERS):
        return f"`{listing.root}` comes in pages ({', '.join(listing.definition.args)}): the query reads one"
    return ""


def build_list_query(
    listing: SchemaList, record_path: RecordPath, document: QueryDocument, selection: str
) -> str:
    """Write the operation again around the selection of a record.

    Args:
        listing: The list in the schema.
        record_path: The path to a record in the document.
        document: Gives the name, and the arguments that filter the list.
        selection: The record's selection, with its braces, as it is to be written.
    """
    used = [
        role for role in (Role.SINCE, listing.paging_variable, Role.SIZE) if role and role in listing.paging
    ]
    if Role.SINCE in used and not any(role_of(name) is Role.SINCE for name in document.variables):
        used.remove(Role.SINCE)
    if listing.paging_variable is None and Role.SIZE in used:
        used.remove(Role.SIZE)
    variables = ", ".join(_variable(listing, role) for role in used)
    arguments = ", ".join([*_kept_arguments(listing, record_path.steps[0]), *_arguments(listing, used)])
    lines = _nested(listing, f"{listing.root}{f'({arguments})' if arguments else ''}", selection)
    name = f" {document.name}" if document.name else ""
    return "\n".join([f"query{name}{f'({variables})' if variables else ''} {{", *lines, "}"])


def _listing(root: str, definition: GraphQLField) -> SchemaList | None:
    found = _down(definition, ())
    if found is None or not any("id" in name.lower() for name in found[1].fields):
        return None
    return SchemaList(root, definition, found[0], found[1], _paging(definition))


def _down(definition: GraphQLField, steps: tuple[str, ...]) -> tuple[tuple[str, ...], ObjectType] | None:
    """The path from a field to one record of the list below it."""
    kind = object_type(definition.type)
    if kind is None or len(steps) > DEEPEST:
        return None
    if is_list(definition.type):
        node = kind.fields.get("node")
        inner = object_type(node.type) if node else None
        return ((*steps, "node"), inner) if inner and "cursor" in kind.fields else (steps, kind)
    for name in _wrappers(kind):
        found = _down(kind.fields[name], (*steps, name))
        if found:
            return found
    return None


def _wrappers(kind: ObjectType) -> list[str]:
    """Fields that may lead to the list: those with a known name, else the only list there is."""
    known = [name for name in kind.fields if name in WRAPPERS and name != "node"]
    known.sort(key=lambda name: name != "edges")
    lists = [name for name, field in kind.fields.items() if is_list(field.type) and object_type(field.type)]
    return known or (lists if len(lists) == 1 else [])


def _leads(listing: SchemaList, steps: Sequence[str]) -> bool:
    """Whether these steps lead from the root field to the type of a record, through one list."""
    kind, lists = object_type(listing.definition.type), int(is_list(listing.definition.type))
    for step in steps:
        definition = kind.fields.get(step) if kind else None
        if definition is None:
            return False
        kind, lists = object_type(definition.type), lists + is_list(definition.type)
    return kind is not None and kind.name == listing.record.name and lists == 1


def _paging(
    definition: GraphQLField,
) -> dict[Role, tuple[tuple[str, ...], GraphQLArgument | GraphQLInputField]]:
    found: dict[Role, tuple[tuple[str, ...], GraphQLArgument | GraphQLInputField]] = {}
    for path, argument in _all_arguments(definition):
        role = role_of(path[-1])
        inner = get_named_type(argument.type)
        if role and not isinstance(inner, GraphQLInputObjectType):
            found.setdefault(role, (path, argument))
    return found


def _all_arguments(
    definition: GraphQLField,
) -> Iterator[tuple[tuple[str, ...], GraphQLArgument | GraphQLInputField]]:
    """The arguments, and those inside an input object: ``paging: {page, size}``."""
    for name, argument in definition.args.items():
        yield (name,), argument
        inner = get_named_type(argument.type)
        if isinstance(inner, GraphQLInputObjectType):
            yield from (((name, below), field) for below, field in inner.fields.items())


def _variable(listing: SchemaList, role: Role) -> str:
    argument = listing.paging[role][1]
    name, kind = _name(listing, role), str(argument.type)
    if role in (Role.CURSOR, Role.SINCE):
        return f"${name}: {get_nullable_type(argument.type)}"
    default = argument.default.literal if role is Role.PAGE and argument.default else None
    text = print_ast(default) if default else DEFAULTS.get(role, "")
    return f"${name}: {kind}{f' = {text}' if text else ''}"


def _name(listing: SchemaList, role: Role) -> str:
    """The variable's name: the argument's own if the bridge knows it by that name."""
    own = listing.paging[role][0][-1]
    return own if role_of(own) is role else VARIABLE_NAMES[role][0]


def _kept_arguments(listing: SchemaList, root: FieldNode) -> Iterator[str]:
    """Arguments that filter the list and that the schema accepts, and a placeholder for each required one."""
    given = {argument.name.value: argument for argument in root.arguments or ()}
    paging = {path[0] for path, _ in listing.paging.values()}
    for name, argument in listing.definition.args.items():
        if name in paging:
            continue
        if name in given:
            yield print_ast(given[name])
        elif is_required_argument(argument):
            yield f"{name}: WRITE_ITS_VALUE"


def _arguments(listing: SchemaList, used: Sequence[Role]) -> Iterator[str]:
    grouped: dict[str, list[str]] = {}
    for role in used:
        path, _ = listing.paging[role]
        text = f"{path[-1]}: ${_name(listing, role)}"
        if len(path) == 1:
            yield text
        else:
            grouped.setdefault(path[0], []).append(text)
    yield from (f"{outer}: {{{', '.join(inner)}}}" for outer, inner in grouped.items())


def _nested(listing: SchemaList, root: str, selection: str) -> Iterator[str]:
    """The lines from the root field down, with ``pageInfo`` beside the list if the paging needs it."""
    *outer, last = (root, *listing.steps)
    for depth, name in enumerate(outer, 1):
        yield f"{'  ' * depth}{name} {{"
    depth = len(outer) + 1
    yield f"{'  ' * depth}{last} {_indented(selection, depth)}"
    for depth in range(len(outer), 0, -1):
        if depth == 1 and listing.paging_variable is Role.CURSOR:
            yield "    pageInfo { hasNextPage endCursor }"
        yield f"{'  ' * depth}}}"


def _indented(selection: str, depth: int) -> str:
    """A selection with its lines indented for their new place."""
    first, *others = selection.split("\n")
    if not others:
        return first
    shift = 2 * depth - (len(others[-1]) - len(others[-1].lstrip()))
    moved = [
        f"{' ' * shift}{line}" if shift >= 0 else line[min(-shift, len(line) - len(line.lstrip())) :]
        for line in others
    ]
    return "\n".join([first, *moved])
