"""What the tests of mapping share: mappers, and what they make of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.mapping import DEFAULT_WHERE, Mapper
from bridge.names import Hasher
from bridge.records import Draft, Policy, Record, Stream, Unsendable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HASHER", "drafted", "mapper", "record", "refused", "repr_or_type"]

HASHER = Hasher(b"0123456789abcdef")


def mapper(
    stream: Stream = Stream.CONTACTS,
    *,
    where: str = DEFAULT_WHERE,
    query: str = "q",
    policy: Policy = Policy(),  # noqa: B008 - frozen
    **expressions: str,
) -> Mapper:
    """A mapper; ``same_as__email`` stands for the key ``same_as.email``."""
    given = {key.replace("__", "."): text for key, text in expressions.items()}
    return Mapper(stream, given, where, HASHER, query, policy)


def record(data: Mapping[str, object], stream: Stream = Stream.CONTACTS) -> Record:
    return Record(stream, str(data["id"]), data, 7)


def drafted(
    data: Mapping[str, object], made: Mapper | None = None, stream: Stream = Stream.CONTACTS
) -> Draft:
    draft = (made or mapper(stream))(record(data, stream))
    assert isinstance(draft, Draft), draft
    return draft


def refused(data: Mapping[str, object], made: Mapper | None = None) -> Unsendable:
    unsendable = (made or mapper())(record(data))
    assert isinstance(unsendable, Unsendable), unsendable
    return unsendable


def repr_or_type(case: object) -> str:
    """A test's name: the case, but for integers too long to be written."""
    return "huge" if isinstance(case, int) and case > 10**99 else repr(case)[:30]
