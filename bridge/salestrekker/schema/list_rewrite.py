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

from typing import TYPE_CHECKING, Final

from graphql import get_nullable_type, print_ast

from bridge.salestrekker.list_facts import Fact
from bridge.salestrekker.list_query import Paging, parse_list_query
from bridge.salestrekker.paging_variables import (
    PAGING_ROLES,
    VARIABLE_NAMES,
    Role,
    find_paging_variables,
    role_of,
)
from bridge.salestrekker.schema.entry_points import find_schema_lists, is_mandatory, placeholder
from bridge.salestrekker.schema.similar_fields import ROOT_LIKELY, is_list, object_type, rate_object_field
from bridge.salestrekker.schema.type_shapes import SchemaShapes
from bridge.salestrekker.whole_list_proof import find_offers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from graphql import FieldNode, GraphQLSchema

    from bridge.salestrekker.query_files import QueryDocument
    from bridge.salestrekker.record_path import RecordPath
    from bridge.salestrekker.schema.entry_points import SchemaList
    from bridge.salestrekker.schema.similar_fields import ObjectType

__all__ = ["build_list_query", "find_list", "find_list_problem", "indented"]

DEFAULTS: Final = {Role.OFFSET: "0", Role.SIZE: "100"}
SELECTED_IF_WHOLE: Final = (Fact.TOTAL, Fact.MORE, Fact.DONE, Fact.CURSOR, Fact.LAST_PAGE)
"""What is selected of a list that is read in one request: each shows if a part is missing."""


def find_list(
    query: ObjectType, record_path: RecordPath, wanted: Sequence[Sequence[str]]
) -> SchemaList | None:
    """The list that a document asks for: the one at its place, else the most similar one.

    Args:
        query: The root type.
        record_path: The path to a record in the document.
        wanted: What the document reads of a record, as paths.
    """
    names = _names(record_path)
    listings = find_schema_lists(query)
    exact = [found for found in listings if found.path == names[: len(found.path)]]
    if exact:
        return max(exact, key=lambda found: len(found.path))
    rated = [(_rate(names, found, wanted), found) for found in listings]
    score, best = max(rated, key=lambda pair: pair[0], default=(0.0, None))
    return best if score >= ROOT_LIKELY else None


def _rate(names: Sequence[str], found: SchemaList, wanted: Sequence[Sequence[str]]) -> float:
    """How likely a list is the one that a document asks for, by any name on its path."""
    likely = max(rate_object_field(name, found.root, found.record, wanted) for name in names)
    return likely - FARTHER_COSTS * len(found.path)


FARTHER_COSTS: Final = 0.01
"""Of two lists that are equally alike, the one nearer to the root wins."""


def _names(record_path: RecordPath) -> tuple[str, ...]:
    return tuple(step.name.value for step in record_path.steps)


def find_list_problem(
    listing: SchemaList, record_path: RecordPath, document: QueryDocument, schema: GraphQLSchema
) -> str:
    """What keeps a document from finding or paging the list as the schema has it, or empty text.

    Args:
        listing: The list in the schema.
        record_path: The path to a record in the document.
        document: The query.
        schema: The schema.
    """
    names, depth = _names(record_path), len(listing.path)
    if names[:depth] != listing.path:
        return f"there is no list `{_dotted(names[:1])}`; most like it is `{_dotted(listing.path)}`"
    if not _leads(listing, names[depth:]):
        to = " { ".join((*listing.path, *listing.steps))
        return f"its records are not at `{' { '.join(names)}`, but at `{to}`"
    given = [argument.name.value for argument in record_path.steps[depth - 1].arguments or ()]
    unknown = [name for name in given if name not in listing.definition.args]
    if unknown:
        takes = ", ".join(listing.definition.args) or "none"
        return f"`{listing.root}` takes no argument `{unknown[0]}` (it takes {takes})"
    declared = find_paging_variables(document, record_path.steps).by_role.keys()
    if listing.paging_variable and declared.isdisjoint(PAGING_ROLES):
        return f"`{listing.root}` comes in pages ({', '.join(listing.definition.args)}): the query reads one"
    return _unused_paging(listing, document, schema)


def _unused_paging(listing: SchemaList, document: QueryDocument, schema: GraphQLSchema) -> str:
    """What a list that is read in one request has for paging, and the query does not use."""
    query = parse_list_query(document)
    if query.paging is not Paging.PLAIN or schema.query_type is None:
        return ""
    offers = find_offers(query, schema.query_type.name, SchemaShapes(schema)) or ()
    named = ", ".join(f"`{name}`" for name in offers)
    unused = f"`{listing.root}` has {named}, which the query does not use: a part may be missing"
    return unused if offers else ""


def _dotted(path: Sequence[str]) -> str:
    return ".".join(path)


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
    kept = _kept_arguments(listing, _given_to(listing, record_path))
    arguments = ", ".join([*kept, *_arguments(listing, used)])
    lines = _nested(listing, f"{listing.root}{f'({arguments})' if arguments else ''}", selection)
    name = f" {document.name}" if document.name else ""
    return "\n".join([f"query{name}{f'({variables})' if variables else ''} {{", *lines, "}"])


def _given_to(listing: SchemaList, record_path: RecordPath) -> FieldNode:
    """The document's field whose arguments filter the list: by its name, else the first that has any."""
    steps = record_path.steps
    named = [step for step in steps if step.name.value == listing.root]
    return next(iter([*named, *(step for step in steps if step.arguments)]), steps[0])


def _leads(listing: SchemaList, steps: Sequence[str]) -> bool:
    """Whether these steps lead from the list's field to the type of a record, through one list."""
    kind, lists = object_type(listing.definition.type), int(is_list(listing.definition.type))
    for step in steps:
        definition = kind.fields.get(step) if kind else None
        if definition is None:
            return False
        kind, lists = object_type(definition.type), lists + is_list(definition.type)
    return kind is not None and kind.name == listing.record.name and lists == 1


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


def _kept_arguments(listing: SchemaList, field: FieldNode) -> Iterator[str]:
    """Arguments that filter the list and that the schema accepts, and a placeholder for each required one."""
    given = {argument.name.value: argument for argument in field.arguments or ()}
    paging = {path[0] for path, _ in listing.paging.values()}
    for name, argument in listing.definition.args.items():
        if name in paging:
            continue
        if name in given:
            yield print_ast(given[name])
        elif is_mandatory(argument):
            yield f"{name}: {placeholder(argument)}"


def _arguments(listing: SchemaList, used: Sequence[Role]) -> Iterator[str]:
    """The paging arguments, those of one input object together."""
    paths = {listing.paging[role][0]: f"${_name(listing, role)}" for role in used}
    yield from (f"{name}: {_value(below)}" for name, below in _grouped(paths).items())


def _grouped(paths: dict[tuple[str, ...], str]) -> dict[str, dict[tuple[str, ...], str]]:
    """Paths by their first names."""
    grouped: dict[str, dict[tuple[str, ...], str]] = {}
    for path, value in paths.items():
        grouped.setdefault(path[0], {})[path[1:]] = value
    return grouped


def _value(below: dict[tuple[str, ...], str]) -> str:
    """A variable, or an input object around some."""
    if () in below:
        return below[()]
    inside = [f"{name}: {_value(inner)}" for name, inner in _grouped(below).items()]
    return f"{{{', '.join(inside)}}}"


def _nested(listing: SchemaList, root: str, selection: str) -> Iterator[str]:
    """The lines from the root field down, with what the query must select about the list beside it."""
    names = [*listing.path[:-1], root, *listing.steps]
    outer, last = names[:-1], names[-1]
    for depth, name in enumerate(outer, 1):
        yield f"{'  ' * depth}{name} {{"
    depth = len(outer) + 1
    yield f"{'  ' * depth}{last} {indented(selection, depth)}"
    for depth in range(len(outer), 0, -1):
        if depth == len(listing.path):
            yield from (f"{'  ' * (depth + 1)}{text}" for text in _selected_facts(listing))
        yield f"{'  ' * depth}}}"


def _selected_facts(listing: SchemaList) -> Iterator[str]:
    """The fields about the list, those of one object together."""
    paths: Iterable[tuple[str, ...]]
    if listing.paging_variable is Role.CURSOR:
        paths = listing.cursor_facts
    elif listing.paging_variable is None:
        paths = tuple(listing.facts[fact] for fact in SELECTED_IF_WHOLE if fact in listing.facts)
    else:
        return
    for name, below in _grouped(dict.fromkeys(paths, "")).items():
        inner = " ".join(".".join(rest) for rest in below if rest)
        yield f"{name} {{ {inner} }}" if inner else name


def indented(selection: str, depth: int) -> str:
    """A selection with its lines indented for their new place.

    Args:
        selection: The selection, with its braces.
        depth: How many braces it is in.
    """
    first, *others = selection.split("\n")
    if not others:
        return first
    shift = 2 * depth - (len(others[-1]) - len(others[-1].lstrip()))
    moved = [
        f"{' ' * shift}{line}" if shift >= 0 else line[min(-shift, len(line) - len(line.lstrip())) :]
        for line in others
    ]
    return "\n".join([first, *moved])
