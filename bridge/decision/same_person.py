"""Whether two records of one name are one person, by what identifies them ("The same person")."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.records import FieldHashes

__all__ = ["UNNAMED", "Likeness", "conflicts", "equal_and_different", "likeness"]

UNNAMED: Final = ""
"""The name of an identifier that was given as one text: it may be equal to any other one."""


class Likeness(Enum):
    """How two records of one name stand to each other."""

    SAME = "same"
    PERHAPS = "perhaps"
    OTHER = "other"


def likeness(identifiers: FieldHashes, group: Iterable[FieldHashes]) -> Likeness:
    """Compare a record with those that share a party or product.

    At least one identifier is equal and none conflicts: the same person. One is equal and another conflicts:
    perhaps the same, as father and son with the family's e-mail are. Else they are two persons. An
    identifier that one of them lacks is no conflict.

    Args:
        identifiers: Of the record: name -> keyed hash.
        group: Those of the claimant, and of all that are merged into it.
    """
    members = list(group)
    equal = any(_equal(identifiers, member) for member in members)
    if not equal:
        return Likeness.OTHER
    return Likeness.PERHAPS if conflicts(identifiers, members) else Likeness.SAME


def conflicts(identifiers: FieldHashes, group: Iterable[FieldHashes]) -> bool:
    """Whether an identifier is given for a record and for one of a group, and differs."""
    return any(_conflict(identifiers, member) for member in group)


def equal_and_different(
    identifiers: FieldHashes, group: Iterable[FieldHashes]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the identifiers that a record has in common with a group, and of those that differ.

    Args:
        identifiers: Of the record: name -> keyed hash.
        group: Those of the claimant, and of all that are merged into it.
    """
    members = list(group)
    named = {name: found for name, found in identifiers.items() if name != UNNAMED}
    equal = [name for name, found in named.items() if any(one.get(name) == found for one in members)]
    different = [
        name for name, found in named.items() if any(one.get(name, found) != found for one in members)
    ]
    return tuple(equal), tuple(different)


def _equal(one: FieldHashes, other: FieldHashes) -> bool:
    if UNNAMED in one or UNNAMED in other:
        return not {*one.values()}.isdisjoint(other.values())
    return any(other.get(name) == found for name, found in one.items())


def _conflict(one: FieldHashes, other: FieldHashes) -> bool:
    return any(name in other and other[name] != found for name, found in one.items())
