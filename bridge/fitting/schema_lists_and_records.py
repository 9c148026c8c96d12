"""Where a schema has lists of records, and single records by id: anywhere below the root. Pure.

::

    Query.me > Organization.contacts(input) > ContactPage.records[]   ──>  RecordList(steps, record: Contact)
    Query.me > Organization.contact(id)                               ──>  RecordField by id

Only what can be asked for is found: each required argument is an id, moves through the list, or is an input
object that has only such values.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeGuard

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLUnionType,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
)

from bridge.fitting.record_fields import words_of
from bridge.salestrekker.list_facts import Fact, fact_of
from bridge.salestrekker.paging_variables import Role, argument_role
from bridge.salestrekker.record_path import LIST_INFO_FIELDS, WRAPPERS
from bridge.salestrekker.schema.similar_fields import is_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphql import GraphQLField, GraphQLInputField, GraphQLSchema

    from bridge.fitting.record_fields import RecordType

__all__ = ["Argument", "PathStep", "RecordById", "RecordList", "find_by_id", "find_lists"]

MAX_DEPTH: Final = 5
MAX_STEPS: Final = 4000
ORDER: Final = frozenset({"sort", "order", "direction", "ordering"})
STEADY: Final = frozenset({"id", "created", "name", "no", "number", "code", "asc", "ascending"})
"""Words of an order in which a record keeps its place while a list is read."""

INCLUDE: Final = frozenset({"include", "with", "all", "show"})
DEEPEST_INPUT: Final = 2
DEEPEST_FACT: Final = 2
KEY_WORDS: Final = frozenset({"id", "uuid", "guid", "no", "number", "code", "key", "ref", "reference"})
NO_ID: Final = frozenset(
    {"phone", "mobile", "fax", "post", "postal", "tax", "tenant", "organization", "owner"}
)
ID_TYPES: Final = frozenset({"ID", "String", "UUID", "uuid", "Guid", "Int", "BigInt", "bigint", "Long"})


@dataclass(frozen=True, slots=True)
class Argument:
    """A value that a request can give.

    Attributes:
        path: Names down to it: two inside an input object.
        definition: The argument, or the field of the input object.
    """

    path: tuple[str, ...]
    definition: GraphQLArgument | GraphQLInputField

    @property
    def role(self) -> Role | None:
        """What it does while a list is read."""
        return argument_role(self.path, get_named_type(self.definition.type).name)

    @property
    def fixed_value(self) -> str:
        """The value to write for what only says in which order, or whether more is included; empty: none."""
        kind, words = get_named_type(self.definition.type), set(words_of(self.path[-1]))
        if isinstance(kind, GraphQLEnumType) and words & ORDER:
            return next((str(value) for value in kind.values if set(words_of(value.lower())) & STEADY), "")
        if isinstance(kind, GraphQLScalarType) and kind.name == "Boolean" and words & INCLUDE:
            return "true"
        return ""


@dataclass(frozen=True, slots=True)
class PathStep:
    """A field on the way to records.

    Attributes:
        name: Its name.
        definition: The field.
    """

    name: str
    definition: GraphQLField

    @property
    def is_list(self) -> bool:
        """Whether it has several values."""
        return bool(is_list(self.definition.type))

    @property
    def required(self) -> list[Argument]:
        """The values that must be given."""
        return [one for one in self.arguments if _is_required(self.definition, one)]

    @property
    def arguments(self) -> list[Argument]:
        """All values that can be given."""
        return list(_arguments(self.definition.args, (), 0))


@dataclass(frozen=True, slots=True)
class RecordList:
    """A list of records.

    Attributes:
        steps: From the root down to one record.
        record: The type of a record.
    """

    steps: tuple[PathStep, ...]
    record: RecordType

    @property
    def name(self) -> str:
        """The name of the list itself: of the last field that no other list has too."""
        return next(
            (step.name for step in reversed(self.steps) if step.name not in WRAPPERS), self.steps[0].name
        )

    @property
    def paging(self) -> Mapping[Role, tuple[int, Argument]]:
        """Role -> index of the step that takes it, and the argument."""
        found: dict[Role, tuple[int, Argument]] = {}
        for index, step in enumerate(self.steps):
            for argument in step.arguments:
                if argument.role and not isinstance(
                    get_named_type(argument.definition.type), GraphQLInputObjectType
                ):
                    found.setdefault(argument.role, (index, argument))
        return found

    @property
    def mover(self) -> Role | None:
        """What moves through the list. A cursor is the safest, if the list says where it goes on."""
        usable = [role for role in (Role.CURSOR, Role.OFFSET, Role.PAGE) if role in self.paging]
        if Role.CURSOR in usable and not self.facts.keys() & {Fact.CURSOR}:
            usable.remove(Role.CURSOR)
        return usable[0] if usable else None

    @property
    def facts(self) -> Mapping[Fact, tuple[int, tuple[str, ...]]]:
        """What the schema says about the list: fact -> index of the step, and the path below it."""
        found: dict[Fact, tuple[int, tuple[str, ...]]] = {}
        for index in range(len(self.steps) - 2, -1, -1):
            step = self.steps[index]
            if step.is_list:
                continue
            for path in _plain_fields(step.definition, 0):
                fact = fact_of(path[-1])
                if fact:
                    found.setdefault(fact, (index, path))
        return found

    def __str__(self) -> str:
        """The path as a person reads it."""
        return " > ".join(step.name for step in self.steps)


@dataclass(frozen=True, slots=True)
class RecordById:
    """A field that gives one record by its id.

    Attributes:
        steps: From the root down to the record.
        index: Of the step that takes the id.
        argument: Takes the id.
        record: Its type.
    """

    steps: tuple[PathStep, ...]
    index: int
    argument: Argument
    record: RecordType

    @property
    def name(self) -> str:
        """The name of the field that takes the id."""
        return self.steps[self.index].name


def find_lists(schema: GraphQLSchema) -> list[RecordList]:
    """All lists of records that have an id, the nearest to the root first."""
    found = []
    for steps in _walk(schema):
        step = steps[-1]
        if step.is_list and (record := _record(steps)) is not None:
            found.append(RecordList(*record))
    return found


def find_by_id(schema: GraphQLSchema) -> list[RecordById]:
    """All fields that give one record by its id, or a response with one; the nearest to the root first."""
    found = []
    for steps in _walk(schema, through_ids=True):
        step, index = steps[-1], len(steps) - 1
        kind = get_named_type(step.definition.type)
        ids = [one for one in step.arguments if _is_id(one) and _is_only_required(step, one)]
        if not ids or step.is_list or not _is_record_type(kind):
            continue
        found.append(RecordById(steps, index, ids[0], kind))
        for name, definition in kind.fields.items() if isinstance(kind, GraphQLObjectType) else ():
            inner, below = get_named_type(definition.type), PathStep(name, definition)
            if _is_record_type(inner) and not below.is_list and not below.required:
                found.append(RecordById((*steps, below), index, ids[0], inner))
    return found


def _walk(schema: GraphQLSchema, *, through_ids: bool = False) -> Iterator[tuple[PathStep, ...]]:
    """The ways down from the root, breadth first, through no type twice."""
    root = schema.query_type
    waiting: deque[tuple[tuple[PathStep, ...], GraphQLObjectType]] = deque()
    if root is not None:
        waiting.append(((), root))
    seen: set[str] = set()
    looked_at = 0
    while waiting and looked_at < MAX_STEPS:
        steps, parent = waiting.popleft()
        for name, definition in parent.fields.items():
            looked_at += 1
            step = PathStep(name, definition)
            if not _can_be_asked(step, through_ids=through_ids):
                continue
            yield (*steps, step)
            kind = get_named_type(definition.type)
            if _leads_on(kind, step) and len(steps) < MAX_DEPTH and kind.name not in seen:
                seen.add(kind.name)
                waiting.append(((*steps, step), kind))


def _leads_on(kind: object, step: PathStep) -> TypeGuard[GraphQLObjectType]:
    """Whether there may be lists below a field: it is one object, and whatever it requires pages a list."""
    return (
        isinstance(kind, GraphQLObjectType)
        and not step.is_list
        and all(one.role or _is_input(one) or one.fixed_value for one in step.required)
    )


def _is_input(argument: Argument) -> bool:
    return isinstance(get_named_type(argument.definition.type), GraphQLInputObjectType)


def _can_be_asked(step: PathStep, *, through_ids: bool) -> bool:
    """Whether each required value can be given."""
    return all(
        one.role or _is_input(one) or one.fixed_value or (through_ids and _is_id(one))
        for one in step.required
    )


def _record(steps: tuple[PathStep, ...]) -> tuple[tuple[PathStep, ...], RecordType] | None:
    """The whole way to one record of the list that these steps end in, and the record's type."""
    kind = get_named_type(steps[-1].definition.type)
    if isinstance(kind, GraphQLObjectType) and "node" in kind.fields and "cursor" in kind.fields:
        node = PathStep("node", kind.fields["node"])
        steps, kind = (*steps, node), get_named_type(node.definition.type)
    return (steps, kind) if _is_record_type(kind) else None


def _is_record_type(kind: object) -> TypeGuard[RecordType]:
    return isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType)


def _is_id(argument: Argument) -> bool:
    named = get_named_type(argument.definition.type).name
    words = words_of(argument.path[-1])
    if NO_ID & set(words):
        return False
    return named in ID_TYPES and (named == "ID" or words[-1] in KEY_WORDS)


def _is_only_required(step: PathStep, argument: Argument) -> bool:
    return not is_list_type(get_nullable_type(argument.definition.type)) and all(
        one.path == argument.path or one.path == argument.path[:-1] for one in step.required
    )


def _is_required(field: GraphQLField, argument: Argument) -> bool:
    """Whether a value must be given: it is required, and so is each input object around it."""
    known = {one.path: one for one in _arguments(field.args, (), 0)}
    around = [argument.path[:length] for length in range(1, len(argument.path) + 1)]
    return all(_must(known[path].definition) for path in around)


def _must(definition: GraphQLArgument | GraphQLInputField) -> bool:
    if isinstance(definition, GraphQLArgument):
        return is_required_argument(definition)
    return is_required_input_field(definition)


def _arguments(
    given: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField], above: tuple[str, ...], depth: int
) -> Iterator[Argument]:
    """Arguments, and what is inside their input objects: ``input: {page: {skip}}``."""
    for name, definition in given.items():
        yield Argument((*above, name), definition)
        inner = get_named_type(definition.type)
        if (
            isinstance(inner, GraphQLInputObjectType)
            and depth < DEEPEST_INPUT
            and not is_list_type(get_nullable_type(definition.type))
        ):
            yield from _arguments(inner.fields, (*above, name), depth + 1)


def _plain_fields(definition: GraphQLField, depth: int) -> Iterator[tuple[str, ...]]:
    """The paths to plain fields beside a list."""
    kind = get_named_type(definition.type)
    for name, field in kind.fields.items() if isinstance(kind, GraphQLObjectType) else ():
        inner = get_named_type(field.type)
        if is_list(field.type):
            continue
        if not isinstance(inner, GraphQLObjectType):
            yield (name,)
        elif depth < DEEPEST_FACT and (
            name in LIST_INFO_FIELDS or "page" in name.lower() or "meta" in name.lower()
        ):
            yield from ((name, *path) for path in _plain_fields(field, depth + 1))
