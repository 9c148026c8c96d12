"""Ways through a schema's types: what lies below one, and what there is most like what is wanted. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
)

from bridge.salestrekker.schema.similarity import LIKELY, likeness, path_likeness

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from graphql import GraphQLField, GraphQLOutputType

__all__ = [
    "Fielded",
    "Found",
    "below",
    "best_leaf",
    "fielded",
    "fits",
    "is_list",
    "leaves_below",
    "rate_object",
]

Fielded: TypeAlias = GraphQLObjectType | GraphQLInterfaceType
"""A type with fields of its own."""

DEEPEST: Final = 4
MOST_LOOKED_AT: Final = 3000
"""So many fields are looked at for one that is missing: schemas refer to themselves without end."""

ALONE: Final = 0.75
"""What it is worth that all below an object fits, where its name tells nothing."""

STEP_COSTS: Final = 0.02
"""Of two that are equally alike, the nearer one."""


@dataclass(frozen=True, slots=True)
class Found:
    """A field without fields of its own, somewhere below a type.

    Attributes:
        path: Names of the fields down to it.
        score: How like it is to what was wanted, of [0, 1].
    """

    path: tuple[str, ...]
    score: float


def fielded(kind: GraphQLOutputType | None) -> Fielded | None:
    """The type with fields that a field leads to, through lists and what says that it is never null."""
    named = get_named_type(kind) if kind is not None else None
    return named if isinstance(named, GraphQLObjectType | GraphQLInterfaceType) else None


def is_list(kind: GraphQLOutputType) -> bool:
    """Whether it is a list, be it never null."""
    return is_list_type(get_nullable_type(kind))


def below(parent: Fielded) -> Iterator[tuple[str, GraphQLField]]:
    """The fields of a type that can be selected without knowing an argument's value."""
    for name, definition in parent.fields.items():
        if not any(is_required_argument(argument) for argument in definition.args.values()):
            yield name, definition


def leaves_below(parent: Fielded) -> Iterator[tuple[str, ...]]:
    """Paths to what can be read below a type, the nearest first; none through a list or a circle."""
    waiting: deque[tuple[tuple[str, ...], Fielded, tuple[str, ...]]] = deque([((), parent, (parent.name,))])
    looked_at = 0
    while waiting and looked_at < MOST_LOOKED_AT:
        path, kind, through = waiting.popleft()
        for name, definition in below(kind):
            looked_at += 1
            inner = fielded(definition.type)
            if is_leaf_type(get_named_type(definition.type)):
                yield (*path, name)
            elif inner and not is_list(definition.type) and inner.name not in through and len(path) < DEEPEST:
                waiting.append(((*path, name), inner, (*through, inner.name)))


@lru_cache(maxsize=256)
def _leaves(parent: Fielded) -> tuple[tuple[str, ...], ...]:
    """The same, looked up once for a type."""
    return tuple(leaves_below(parent))


def best_leaf(parent: Fielded, wanted: Sequence[str], taken: Iterable[tuple[str, ...]] = ()) -> Found | None:
    """What below a type is most like a path that is not there; None where nothing is.

    Args:
        parent: The type to look below.
        wanted: The path as the query has it, from ``parent`` on.
        taken: What is something else already, and so is all below it.
    """
    taken = set(taken)
    rated = (
        Found(path, path_likeness(wanted, path) - STEP_COSTS * len(path))
        for path in _leaves(parent)
        if not any(path[:length] in taken for length in range(1, len(path) + 1))
    )
    best = max(rated, key=lambda found: found.score, default=None)
    return best if best is not None and best.score + STEP_COSTS * len(best.path) >= LIKELY else None


def fits(parent: Fielded, wanted: Sequence[Sequence[str]]) -> float:
    """How well some paths are to be found below a type: of each the likeness of what is most like it."""
    found = (best_leaf(parent, path) for path in wanted)
    return sum(one.score for one in found if one) / len(wanted) if wanted else 0.0


def rate_object(name: str, candidate: str, kind: Fielded, wanted: Sequence[Sequence[str]]) -> float:
    """How likely it is that a field of an object type is what a field with these paths below it was.

    What is below counts as much as the name, and is enough by itself: ``information`` may be ``name``.
    """
    # Everything has an id: it tells nothing.
    fit = fits(kind, [path for path in wanted if path != ("id",)] or wanted)
    return max((likeness(name, candidate) + fit) / 2, ALONE * fit)
