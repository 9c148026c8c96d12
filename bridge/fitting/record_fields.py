"""All values that a schema has for one record, however deep they are, and whatever its type. Pure.

::

    union Client = Person | Company          RecordField(steps: phones[] > number, on: Person)
    Person.phones: [Phone!]!          ──>    RecordField(steps: legalName,         on: Company)

Fields that need an argument are left out, and so is everything about other people: an owner, a spouse.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from graphql import (
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

from bridge.salestrekker.schema.similar_fields import is_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphql import GraphQLField, GraphQLNamedOutputType, GraphQLSchema

__all__ = ["FieldStep", "RecordField", "RecordType", "record_fields", "words_of"]

RecordType: TypeAlias = "GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType"
"""A type that a record can have."""

MAX_DEPTH: Final = 4
MAX_FIELDS: Final = 2000
"""Fields that are looked at: schemas refer to themselves without end."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

OTHERS: Final = frozenset(
    [
        "owner",
        "assigned",
        "assignee",
        "assistant",
        "user",
        "creator",
        "created",
        "updated",
        "modified",
        "author",
        "agent",
        "broker",
        "adviser",
        "advisor",
        "referrer",
        "referral",
        "introducer",
        "spouse",
        "partner",
        "related",
        "relation",
        "dependant",
        "dependent",
        "director",
        "member",
        "staff",
        "team",
        "parent",
        "child",
        "manager",
        "guarantor",
        "accountant",
        "solicitor",
        "employer",
        "emergency",
        "household",
        "guardian",
        "history",
        "audit",
        "previous",
        "former",
        "next",
        "kin",
        "organization",
        "tenant",
        "workspace",
        "branch",
    ]
)
"""Words of fields that are about somebody else than the record."""


def words_of(name: str) -> tuple[str, ...]:
    """The words of a name in lower case, as singulars: ``emailAddresses`` is ``email``, ``address``."""
    found = [_singular(word.lower()) for word in _WORD.findall(name) if not word.isdecimal()]
    return tuple(found) or (name.lower(),)


def _singular(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    many = (word == "ids" or len(word) > len("gas")) and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if many and word not in {"status", "is", "has"} else word


@dataclass(frozen=True, slots=True)
class FieldStep:
    """One field on the way from a record to a value.

    Attributes:
        name: The field's name.
        is_list: It has several values.
        type_name: Its type as the schema writes it, with lists and marks.
        parent: The type that has the field.
    """

    name: str
    is_list: bool
    type_name: str
    parent: GraphQLObjectType | GraphQLInterfaceType


@dataclass(frozen=True, slots=True)
class RecordField:
    """A value somewhere in a record.

    Attributes:
        steps: From the record down to it.
        on: The type that a record must have for it; empty if each record has it.
        kind: The value's type: a scalar or an enum.
        description: What the schema says about it.
    """

    steps: tuple[FieldStep, ...]
    on: str
    kind: GraphQLNamedOutputType
    description: str = ""

    @property
    def path(self) -> tuple[str, ...]:
        """The names of the fields down to it."""
        return tuple(step.name for step in self.steps)

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the whole path, none twice in a row: ``email_addresses.address``."""
        found = [word for step in self.steps for word in words_of(step.name)]
        return tuple(word for index, word in enumerate(found) if not index or word != found[index - 1])

    @property
    def last_words(self) -> tuple[str, ...]:
        """The words of its own name."""
        return words_of(self.steps[-1].name)

    @property
    def values(self) -> tuple[str, ...]:
        """The values that an enum has; none for another type."""
        return tuple(self.kind.values) if isinstance(self.kind, GraphQLEnumType) else ()

    @property
    def list_steps(self) -> int:
        """How many of the steps have several values."""
        return sum(step.is_list for step in self.steps)

    def __str__(self) -> str:
        """The path as a person reads it, ``Person: phones.number``."""
        return f"{self.on}: {'.'.join(self.path)}" if self.on else ".".join(self.path)


def record_fields(kind: RecordType, schema: GraphQLSchema) -> list[RecordField]:
    """All values of a record, the nearest first.

    Args:
        kind: The type of a record.
        schema: Knows the types that an interface or a union stands for.
    """
    found: list[RecordField] = []
    names: set[str] = set()
    if not isinstance(kind, GraphQLUnionType):
        found += _below(kind, "")
        names = {one.path[0] for one in found}
    if not isinstance(kind, GraphQLObjectType):
        for member in schema.get_possible_types(kind):
            found += [one for one in _below(member, member.name) if one.path[0] not in names]
    return found


def _below(kind: GraphQLObjectType | GraphQLInterfaceType, on: str) -> Iterator[RecordField]:
    """Breadth first, and through no type twice on one path."""
    waiting: deque[tuple[tuple[FieldStep, ...], GraphQLObjectType | GraphQLInterfaceType]] = deque(
        [((), kind)]
    )
    looked_at = 0
    while waiting and looked_at < MAX_FIELDS:
        steps, parent = waiting.popleft()
        through = {step.parent.name for step in steps} | {parent.name}
        for name, definition in parent.fields.items():
            looked_at += 1
            if _is_usable(name, definition, steps):
                inner = get_named_type(definition.type)
                step = FieldStep(name, is_list(definition.type), str(definition.type), parent)
                if is_leaf_type(inner):
                    yield RecordField((*steps, step), on, inner, definition.description or "")
                elif (
                    isinstance(inner, GraphQLObjectType | GraphQLInterfaceType)
                    and inner.name not in through
                    and len(steps) < MAX_DEPTH
                ):
                    waiting.append(((*steps, step), inner))


def _is_usable(name: str, definition: GraphQLField, steps: Sequence[FieldStep]) -> bool:
    if any(is_required_argument(argument) for argument in definition.args.values()):
        return False
    return bool(steps) or not OTHERS & set(words_of(name)) or is_leaf_type(get_named_type(definition.type))
