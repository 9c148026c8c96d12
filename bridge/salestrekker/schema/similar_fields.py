"""How alike two names are, and which field below a type is most like a missing one. Pure.

::

    familyName ──words──> family, name ──meaning──> last, name ─┐
    surname    ──words──> surname      ──meaning──> last, name ─┴─> 1.0

A likeness is a number of [0, 1]. Spelling finds typing errors, meaning finds the words that another schema
uses for the same thing.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from graphql import GraphQLField, GraphQLOutputType, GraphQLSchema

__all__ = [
    "LIKELY",
    "ROOT_LIKELY",
    "FieldMatch",
    "MergedUnion",
    "ObjectType",
    "best_match",
    "is_list",
    "leaves_below",
    "likeness",
    "match_score",
    "nearest",
    "object_type",
    "path_likeness",
    "possible_types",
    "rate_object_field",
    "selectable_fields",
    "spelt_alike",
]

LIKELY: Final = 0.6
"""From this likeness on, a name is offered as the one that was meant."""

ROOT_LIKELY: Final = 0.35
"""The same for a root field: few of them return records, and their contents are compared too."""

SPELT_ALIKE: Final = 0.75
"""From this likeness on, two names count as one with a typing error."""

PATH_WEIGHT: Final = 0.51
"""The weight of the words on the path to a field: a little more than its own name, to break ties."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_SAME: Final = (
    ("first name", "given name", "forename", "firstname", "givenname", "first", "given"),
    ("last name", "family name", "surname", "lastname", "familyname", "last", "family"),
    ("middle name", "second name", "middlename", "other names", "middle"),
    ("mail", "email", "e mail", "email address", "e mail address", "mail address"),
    ("phone", "telephone", "mobile", "cell", "primary", "tel", "phonenumber"),
    ("phone", "phone number", "mobile number", "telephone number", "mobile phone"),
    ("home", "landline", "fixed", "home phone", "home number", "landline number", "fixed number"),
    ("code", "prefix", "country", "country code", "dialling code", "area code"),
    ("client", "contact", "customer", "applicant", "borrower", "party"),
    ("company", "business", "organisation", "organization", "entity", "corporate"),
    ("person", "individual", "natural", "people"),
    ("active", "enabled", "is active", "is enabled", "live"),
    ("fee", "charge", "cost"),
    ("value", "amount", "price"),
    ("lender", "bank", "funder", "provider"),
    ("name", "title", "label"),
    ("trading name", "trade as", "trading as", "trade name"),
    ("company name", "legal name", "business name"),
    ("note", "comment", "remark", "description"),
    ("id", "uid", "uuid", "guid", "identifier"),
    ("ticket", "deal", "opportunity", "lead"),
    ("type", "kind", "category"),
    ("limit", "take", "size"),
    ("offset", "skip"),
    ("abbr", "abbreviation", "short name", "shortname"),
    ("initial", "intro", "introductory", "starting"),
    ("max", "maximum", "highest"),
    ("min", "minimum", "lowest"),
    ("repayment", "payment"),
    ("residential", "home loan", "loan detail"),
    ("information", "info", "detail", "profile", "data", "particulars"),
)
"""Names for the same thing. The first stands for all."""

_GENERIC: Final = frozenset({"information", "is", "the", "of", "node", "item", "edge", "client"})
"""Words that do not describe what a field holds."""

_MEANINGS: Final = {tuple(spelling.split()): tuple(group[0].split()) for group in _SAME for spelling in group}
_LONGEST: Final = max(map(len, _MEANINGS))


@lru_cache(maxsize=65_536)
def likeness(wanted: str, found: str) -> float:
    """How likely ``found`` is the name that ``wanted`` was meant to be."""
    if wanted == found:
        return 1.0
    spelling = _spelling(wanted, found)
    return max(_overlap(_meaning(wanted), _meaning(found)), spelling if spelling >= SPELT_ALIKE else 0.0)


def spelt_alike(one: str, other: str) -> bool:
    """Whether two names differ only by a typing error."""
    return _spelling(one, other) >= SPELT_ALIKE


def _spelling(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other.lower()).ratio()


def path_likeness(wanted: Sequence[str], found: Sequence[str]) -> float:
    """How likely one path of fields leads to what another one led to.

    The last name counts (also together with the one before it: ``mobile.number``), and so do the words on the
    path: ``company.name`` is ``companyName``.
    """
    words = [frozenset(word for name in path for word in _meaning(name)) for path in (wanted, found)]
    record_path = _overlap(words[0] - _GENERIC or words[0], words[1] - _GENERIC or words[1])
    names = [found[-1], "_".join(found[-2:])]
    return (1 - PATH_WEIGHT) * max(likeness(wanted[-1], name) for name in names) + PATH_WEIGHT * record_path


def nearest(wanted: str, known: Iterable[str], least: float = LIKELY) -> str:
    """The name that is most like the wanted one, or empty text."""
    rated = [(likeness(wanted, name), name) for name in known]
    best = max(rated, key=lambda pair: pair[0], default=(0.0, ""))
    return best[1] if best[0] >= least else ""


def _overlap(one: Collection[str], other: Collection[str]) -> float:
    """Twice the shared words over all words (Dice coefficient)."""
    total = len(one) + len(other)
    return 2 * len(set(one) & set(other)) / total if total else 0.0


@lru_cache(maxsize=4096)
def _meaning(name: str) -> frozenset[str]:
    """The words of a name, each replaced by the one that stands for it."""
    words = [_singular(word.lower()) for word in _WORD.findall(name)]
    meaning: list[str] = []
    while words:
        length = next((n for n in range(_LONGEST, 0, -1) if tuple(words[:n]) in _MEANINGS), 0)
        meaning += _MEANINGS[tuple(words[:length])] if length else words[:1]
        words = words[length or 1 :]
    return frozenset(meaning) or frozenset({name.lower()})


def _singular(word: str) -> str:
    if len(word) > len("ties") and word.endswith("ies"):
        return f"{word[:-3]}y"
    many = len(word) > len("gas") and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if many else word


ObjectType: TypeAlias = GraphQLObjectType | GraphQLInterfaceType
"""A type with fields of its own."""

MAX_DEPTH: Final = 4
MAX_FIELDS: Final = 3000
"""Maximum number of fields to search for a missing one: schemas refer to themselves without end."""

CONTENT_WEIGHT: Final = 0.75
"""The score if everything below an object fits although its name is no evidence."""

STEP_COSTS: Final = 0.02
"""Of two fields that are equally alike, the nearer one wins."""


@dataclass(frozen=True, slots=True)
class FieldMatch:
    """A plain field somewhere below a type.

    Attributes:
        path: Names of the fields down to it.
        score: How like it is to the wanted one, in [0, 1].
    """

    path: tuple[str, ...]
    score: float


class MergedUnion(GraphQLObjectType):
    """A union as a type with the fields of all its members. A query may select them in inline fragments only.

    Args:
        union: The union.

    Attributes:
        union: The union.
    """

    def __init__(self, union: GraphQLUnionType) -> None:
        fields = {name: one for member in reversed(union.types) for name, one in member.fields.items()}
        super().__init__(union.name, fields)
        self.union = union


@lru_cache(maxsize=256)
def _merged(union: GraphQLUnionType) -> MergedUnion:
    """The same object each time."""
    return MergedUnion(union)


def object_type(kind: GraphQLOutputType | None) -> ObjectType | None:
    """The type with fields that a field leads to, through lists and non-null marks. A union is merged."""
    named = get_named_type(kind) if kind is not None else None
    if isinstance(named, GraphQLUnionType):
        return _merged(named)
    return named if isinstance(named, GraphQLObjectType | GraphQLInterfaceType) else None


def possible_types(schema: GraphQLSchema, kind: ObjectType) -> tuple[GraphQLObjectType, ...]:
    """The types that an object of this type can have: its own, or those of a union or an interface."""
    if isinstance(kind, MergedUnion):
        return tuple(kind.union.types)
    if isinstance(kind, GraphQLInterfaceType):
        return tuple(schema.get_possible_types(kind))
    return (kind,)


def is_list(kind: GraphQLOutputType) -> bool:
    """Whether it is a list, non-null or not."""
    return is_list_type(get_nullable_type(kind))


def selectable_fields(parent: ObjectType) -> Iterator[tuple[str, GraphQLField]]:
    """The fields of a type that can be selected without an argument's value."""
    for name, definition in parent.fields.items():
        if not any(is_required_argument(argument) for argument in definition.args.values()):
            yield name, definition


def leaves_below(parent: ObjectType) -> Iterator[tuple[str, ...]]:
    """Paths to plain fields below a type, the nearest first. None goes through a list or a cycle."""
    waiting: deque[tuple[tuple[str, ...], ObjectType, tuple[str, ...]]] = deque(
        [((), parent, (parent.name,))]
    )
    looked_at = 0
    while waiting and looked_at < MAX_FIELDS:
        path, kind, through = waiting.popleft()
        for name, definition in selectable_fields(kind):
            looked_at += 1
            inner = object_type(definition.type)
            if is_leaf_type(get_named_type(definition.type)):
                yield (*path, name)
            elif (
                inner and not is_list(definition.type) and inner.name not in through and len(path) < MAX_DEPTH
            ):
                waiting.append(((*path, name), inner, (*through, inner.name)))


@lru_cache(maxsize=256)
def _leaves(parent: ObjectType) -> tuple[tuple[str, ...], ...]:
    """The same, looked up once for each type."""
    return tuple(leaves_below(parent))


def best_match(
    parent: ObjectType, wanted: Sequence[str], taken: Iterable[tuple[str, ...]] = ()
) -> FieldMatch | None:
    """The plain field below a type that is most like a missing path, or None.

    Args:
        parent: The type to search.
        wanted: The path as the query has it, from ``parent`` on.
        taken: Paths that are used for something else, with all below them.
    """
    taken = set(taken)
    rated = (
        FieldMatch(path, path_likeness(wanted, path) - STEP_COSTS * len(path))
        for path in _leaves(parent)
        if not any(path[:length] in taken for length in range(1, len(path) + 1))
    )
    best = max(rated, key=lambda found: found.score, default=None)
    return best if best is not None and best.score + STEP_COSTS * len(best.path) >= LIKELY else None


def match_score(parent: ObjectType, wanted: Sequence[Sequence[str]]) -> float:
    """How well some paths match fields below a type: the mean likeness of their best matches."""
    found = (best_match(parent, path) for path in wanted)
    return sum(one.score for one in found if one) / len(wanted) if wanted else 0.0


def rate_object_field(name: str, candidate: str, kind: ObjectType, wanted: Sequence[Sequence[str]]) -> float:
    """How likely a field of an object type is what a field with these paths below it was.

    Its contents count as much as its name, and are enough by themselves: ``information`` may be ``name``.
    """
    # Everything has an id: it is no evidence.
    fit = match_score(kind, [path for path in wanted if path != ("id",)] or wanted)
    return max((likeness(name, candidate) + fit) / 2, CONTENT_WEIGHT * fit)
