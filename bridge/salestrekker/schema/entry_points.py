"""Where a schema gives lists of records, and single records by their ids, at the root or below. Pure.

::

    type Query { me: Me }  type Me { organization: Organization }
    type Organization { contacts(page: PageInput): ContactPage   contact(id: ID!): Contact }
                        ───┬──── ──────┬─────────  ────┬─────    ───────┬─────────────────
                           │           │               │                └─ SchemaRecord
                           │           │               └─ records { … } total, nextCursor: steps and facts
                           │           └─ page.skip, page.take: the paging arguments
                           └─ SchemaList: me.organization.contacts
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from graphql import (
    GraphQLInputObjectType,
    GraphQLScalarType,
    get_named_type,
    is_leaf_type,
    is_non_null_type,
    is_required_argument,
)

from bridge.salestrekker.list_facts import DEEPEST as INFO_DEEPEST
from bridge.salestrekker.list_facts import Fact, fact_of
from bridge.salestrekker.paging_variables import Role, argument_role, may_hold_paging
from bridge.salestrekker.record_path import WRAPPERS
from bridge.salestrekker.schema.similar_fields import is_list, object_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphql import GraphQLArgument, GraphQLField, GraphQLInputField

    from bridge.salestrekker.schema.similar_fields import ObjectType

    Input: TypeAlias = GraphQLArgument | GraphQLInputField

__all__ = [
    "SchemaList",
    "SchemaRecord",
    "find_schema_lists",
    "find_schema_records",
    "is_mandatory",
    "placeholder",
]

MOVERS: Final = (Role.CURSOR, Role.OFFSET, Role.PAGE)
"""What moves through a list, the safest first: with a cursor, nothing is lost if records come and go
meanwhile."""

KEY_ENDINGS: Final = ("no", "number", "code", "key", "ref", "reference")
"""How the name of an id can end that is not called an id: ``clientNo``."""

DEEPEST: Final = 3
"""Levels below a list's field where its records are looked for, and levels of objects above it."""

MOST_FIELDS: Final = 5000
"""Maximum number of fields that are looked at: schemas refer to themselves without end."""


@dataclass(frozen=True, slots=True)
class SchemaList:
    """A list of the live schema.

    Attributes:
        path: The names of the fields from the root down to the one that takes the paging arguments.
        definition: That field.
        steps: Fields from there down to one record: ``("edges", "node")``; none for a plain list.
        record: The type of a record.
        paging: Role -> path to the argument with that role (several names inside input objects), and the
            argument.
        facts: What the schema has about the list -> names of the fields from ``definition`` down to it.
    """

    path: tuple[str, ...]
    definition: GraphQLField
    steps: tuple[str, ...]
    record: ObjectType
    paging: Mapping[Role, tuple[tuple[str, ...], Input]]
    facts: Mapping[Fact, tuple[str, ...]]

    @property
    def root(self) -> str:
        """The name of the field that takes the paging arguments."""
        return self.path[-1]

    @property
    def paging_variable(self) -> Role | None:
        """The argument that moves through the list; None if there is none."""
        usable = [role for role in MOVERS if role in self.paging]
        if Role.CURSOR in usable and not self.cursor_facts:
            usable.remove(Role.CURSOR)
        return usable[0] if usable else None

    @property
    def cursor_facts(self) -> tuple[tuple[str, ...], ...]:
        """The fields that say where the list goes on. Relay's ``endCursor`` needs ``hasNextPage`` too."""
        cursor, more = self.facts.get(Fact.CURSOR), self.facts.get(Fact.MORE)
        if cursor is None or (cursor[-1] == "endCursor" and more is None):
            return ()
        return (more, cursor) if more else (cursor,)


@dataclass(frozen=True, slots=True)
class SchemaRecord:
    """A field of the live schema that gives one record by its id.

    Attributes:
        path: The names of the fields from the root down to it.
        definition: The field.
        argument: The names of the argument that takes the id: several inside input objects.
        kind: The argument's type, as text.
        record: The type of the record.
        steps: Fields from there down to the record, such as ``data``.
    """

    path: tuple[str, ...]
    definition: GraphQLField
    argument: tuple[str, ...]
    kind: str
    record: ObjectType
    steps: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the field is at the root, takes the id itself, and gives the record itself."""
        return len(self.path) == len(self.argument) == 1 and not self.steps


def find_schema_lists(query: ObjectType) -> tuple[SchemaList, ...]:
    """All lists of records that can be read, those near the root first.

    Args:
        query: The schema's root type.
    """
    best: dict[tuple[str, ...], SchemaList] = {}
    for path, definition in _reachable(query):
        found = _as_list(path, definition)
        if found:
            whole = (*found.path, *found.steps)
            best[whole] = max(best.get(whole, found), found, key=_fitness)
    return tuple(best.values())


def _fitness(found: SchemaList) -> tuple[bool, bool, int]:
    """How well a list's field is chosen: it takes the paging arguments, or is right above a wrapper."""
    wraps = bool(found.steps) and found.steps[0] in WRAPPERS
    return bool(found.paging), wraps, len(found.path)


def find_schema_records(query: ObjectType) -> tuple[SchemaRecord, ...]:
    """All fields that give one record by its id, those near the root first.

    Args:
        query: The schema's root type.
    """
    return tuple(
        found for path, definition in _reachable(query) if (found := _as_record(path, definition)) is not None
    )


def is_mandatory(one: Input) -> bool:
    """Whether an argument, or a field of an input object, must be given."""
    return is_required_argument(one)  # type: ignore[arg-type]  # both have the same attributes


def placeholder(one: Input) -> str:
    """What stands for the value of a mandatory input until the user writes it: an object may be empty."""
    kind = get_named_type(one.type)
    fields = kind.fields.values() if isinstance(kind, GraphQLInputObjectType) else None
    return "WRITE_ITS_VALUE" if fields is None or any(map(is_mandatory, fields)) else "{}"


def _reachable(query: ObjectType) -> Iterator[tuple[tuple[str, ...], GraphQLField]]:
    """The fields of the root type, and of the objects below that can be selected without an argument."""
    waiting: deque[tuple[tuple[str, ...], ObjectType]] = deque([((), query)])
    known, looked_at = {query.name}, 0
    while waiting and looked_at < MOST_FIELDS:
        above, kind = waiting.popleft()
        for name, definition in kind.fields.items():
            looked_at += 1
            path = (*above, name)
            yield path, definition
            inner = object_type(definition.type)
            opens = inner is not None and not is_list(definition.type) and inner.name not in known
            if inner and opens and len(path) <= DEEPEST and not _needs_value(definition):
                known.add(inner.name)
                waiting.append((path, inner))


def _needs_value(definition: GraphQLField) -> bool:
    return any(is_required_argument(argument) for argument in definition.args.values())


def _as_list(path: tuple[str, ...], definition: GraphQLField) -> SchemaList | None:
    found = _down(definition, ())
    if found is None or not _has_id(found[1]):
        return None
    steps, record = found
    facts = _facts(definition) if steps else {}
    return SchemaList(path, definition, steps, record, _paging(definition), facts)


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
    """Fields that may lead to the list: those with a known name, else the only list of what has an id."""
    known = [name for name in kind.fields if name in WRAPPERS and name != "node"]
    known.sort(key=lambda name: name != "edges")
    lists = [
        name
        for name, field in kind.fields.items()
        if is_list(field.type) and (item := object_type(field.type)) and _has_id(item)
    ]
    return known or (lists if len(lists) == 1 else [])


def _facts(definition: GraphQLField) -> dict[Fact, tuple[str, ...]]:
    """What the objects beside a list say about it, the nearest first."""
    kind = object_type(definition.type)
    found: dict[Fact, tuple[str, ...]] = {}
    for path in _info_leaves(kind, ()) if kind else ():
        fact = fact_of(path[-1])
        if fact:
            found.setdefault(fact, path)
    return found


def _info_leaves(kind: ObjectType, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The plain fields of an object, then those of the objects below it."""
    plain = {
        name: one for name, one in kind.fields.items() if not _needs_value(one) and not is_list(one.type)
    }
    for name, definition in plain.items():
        if is_leaf_type(get_named_type(definition.type)):
            yield (*above, name)
    for name, definition in plain.items():
        inner = object_type(definition.type)
        if inner and len(above) < INFO_DEEPEST and name not in WRAPPERS:
            yield from _info_leaves(inner, (*above, name))


def _paging(definition: GraphQLField) -> dict[Role, tuple[tuple[str, ...], Input]]:
    found: dict[Role, tuple[tuple[str, ...], Input]] = {}
    sizes: list[tuple[tuple[str, ...], Input]] = []
    for path, argument in _leaf_inputs(definition):
        role = argument_role(path, get_named_type(argument.type).name)
        if role is Role.SIZE:
            sizes.append((path, argument))
        elif role:
            found.setdefault(role, (path, argument))
    by_page = Role.PAGE in found and found.keys().isdisjoint((Role.OFFSET, Role.CURSOR))
    if sizes:
        # A schema with two styles has a size for each: `limit` goes with `offset`, `pageSize` with `page`.
        found[Role.SIZE] = min(sizes, key=lambda one: ("page" in one[0][-1].lower()) is not by_page)
    return found


def _leaf_inputs(definition: GraphQLField) -> Iterator[tuple[tuple[str, ...], Input]]:
    """The arguments, and those inside input objects, ``input: {page: {skip}}``. Filters are passed over."""
    for name, argument in definition.args.items():
        yield from _leaves_of(argument, (name,))


def _leaves_of(one: Input, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Input]]:
    inner = get_named_type(one.type)
    if not isinstance(inner, GraphQLInputObjectType):
        yield path, one
    elif may_hold_paging(path):
        for name, field in inner.fields.items():
            yield from _leaves_of(field, (*path, name))


def _as_record(path: tuple[str, ...], definition: GraphQLField) -> SchemaRecord | None:
    if is_list(definition.type):
        return None
    inputs = [
        (names, one)
        for name, argument in definition.args.items()
        for names, one in _inputs_below(argument, (name,))
        if _takes_id(one)
    ]
    named = [(names, one) for names, one in inputs if names[-1].lower().endswith(("id", "key", "guid"))]
    required = [(names, one) for names, one in inputs if is_mandatory(one)]
    given = next((some[0] for some in (named, required) if len(some) == 1), None)
    found = _to_record(definition)
    if given is None or found is None:
        return None
    (names, one), (steps, record) = given, found
    return SchemaRecord(path, definition, names, str(one.type), record, steps)


def _inputs_below(one: Input, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Input]]:
    """The plain inputs in an argument, however deep."""
    inner = get_named_type(one.type)
    if not isinstance(inner, GraphQLInputObjectType):
        yield path, one
    elif len(path) < DEEPEST:
        for name, field in inner.fields.items():
            yield from _inputs_below(field, (*path, name))


def _to_record(definition: GraphQLField) -> tuple[tuple[str, ...], ObjectType] | None:
    """The path from a field to the record, and the record's type: the field's own, or that of a wrapper."""
    kind = object_type(definition.type)
    if kind is None or _has_id(kind):
        return None if kind is None else ((), kind)
    records = {
        name: inner
        for name, field in kind.fields.items()
        if not is_list(field.type) and (inner := object_type(field.type)) and _has_id(inner)
    }
    wrapped = [name for name in records if name in WRAPPERS] or (list(records) if len(records) == 1 else [])
    return ((wrapped[0],), records[wrapped[0]]) if wrapped else None


def _has_id(kind: ObjectType) -> bool:
    """Whether a type has an id, or a plain field that is always there and named like one: ``clientNo``."""
    return any("id" in name.lower() or _is_key(name, field) for name, field in kind.fields.items())


def _is_key(name: str, field: GraphQLField) -> bool:
    ends = name.lower().endswith(KEY_ENDINGS) and name.lower() not in KEY_ENDINGS
    return ends and is_non_null_type(field.type) and isinstance(get_named_type(field.type), GraphQLScalarType)


def _takes_id(one: Input) -> bool:
    kind = get_named_type(one.type)
    return isinstance(kind, GraphQLScalarType) and kind.name not in ("Boolean", "Float")
