"""Decides by identifiers whether two records with one name are one person ("Who is the same person")."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.records import FieldHashes

__all__ = ["UNNAMED", "Likeness", "conflicts", "equal_and_different", "likeness"]

UNNAMED: Final = ""
"""The name of an identifier that was given as one text: it may equal any other identifier."""


class Likeness(Enum):
    """How two records with one name relate to each other."""

    SAME = "same"
    PERHAPS = "perhaps"
    OTHER = "other"


def likeness(identifiers: FieldHashes, group: Iterable[FieldHashes]) -> Likeness:
    """Compare a record with those that share a party or product.

    One equal identifier and no conflict: the same person. One equal and another conflicting: perhaps the
    same, like father and son who share an e-mail address. Otherwise they are two persons. An identifier
    that one of them lacks is no conflict.

    Args:
        identifiers: Of the record: name -> keyed hash.
        group: Those of the claimant, and of all records merged into it.
    """
    members = list(group)
    equal = any(_equal(identifiers, member) for member in members)
    if not equal:
        return Likeness.OTHER
    return Likeness.PERHAPS if conflicts(identifiers, members) else Likeness.SAME


def conflicts(identifiers: FieldHashes, group: Iterable[FieldHashes]) -> bool:
    """Return whether an identifier of a record differs from the same identifier of a group's member."""
    return any(_conflict(identifiers, member) for member in group)


def equal_and_different(
    identifiers: FieldHashes, group: Iterable[FieldHashes]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the identifiers that a record shares with a group, and of those that differ.

    Args:
        identifiers: Of the record: name -> keyed hash.
        group: Those of the claimant, and of all records merged into it.
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
