"""By what a stream's list and the values of its records are recognised in a schema that nobody has seen."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bridge.fitting.field_meanings import (
    EMAIL,
    FULL_NAME,
    LAST_NAME,
    LENDER,
    PHONE,
    PRICE,
    PRODUCT_NAME,
)
from bridge.records import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.fitting.field_meanings import Meaning

__all__ = ["STREAM_MEANINGS", "StreamMeaning"]


@dataclass(frozen=True, slots=True)
class StreamMeaning:
    """By what a stream is recognised.

    Attributes:
        names: Words of a list's name, or of its type's, that speak for it.
        against: Words of a list's name that speak against it.
        values: What its records have. The first is needed; each group of alternatives counts once.
    """

    names: frozenset[str]
    against: frozenset[str]
    values: tuple[tuple[Meaning, ...], ...]


STREAM_MEANINGS: Final[Mapping[Stream, StreamMeaning]] = MappingProxyType(
    {
        Stream.CONTACTS: StreamMeaning(
            names=frozenset(
                {
                    "contact",
                    "client",
                    "people",
                    "person",
                    "customer",
                    "party",
                    "applicant",
                    "borrower",
                    "individual",
                    "member",
                }
            ),
            against=frozenset(
                {
                    "user",
                    "staff",
                    "team",
                    "lender",
                    "member",
                    "broker",
                    "adviser",
                    "agent",
                    "employee",
                    "product",
                    "note",
                    "task",
                    "deal",
                    "ticket",
                    "lead",
                    "bank",
                    "funder",
                    "viewer",
                    "owner",
                }
            ),
            values=((LAST_NAME, FULL_NAME), (EMAIL,), (PHONE,)),
        ),
        Stream.PRODUCTS: StreamMeaning(
            names=frozenset(
                {
                    "product",
                    "loan",
                    "offering",
                }
            ),
            against=frozenset(
                {
                    "category",
                    "type",
                    "feature",
                    "application",
                    "deal",
                    "contact",
                    "client",
                    "account",
                }
            ),
            values=((PRODUCT_NAME,), (LENDER,), (PRICE,)),
        ),
    }
)
