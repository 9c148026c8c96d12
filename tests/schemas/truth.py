"""What is true of an organisation's data, whatever its schema calls it: what a backfill is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

__all__ = ["Deal", "TrueContact", "TrueProduct", "Truth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueContact:
    """A person or a company.

    Attributes:
        id: As the list gives it, as text.
        names: The full names that are right for it, the usual one first.
        emails: The e-mail addresses that are right for it: the main one if the schema says which that is,
            else all. Empty if it has none.
        phones: Likewise, in the form ``+61491570006``. A fax number is never right.
        active: False if the organisation has archived it.
    """

    id: str
    names: tuple[str, ...]
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueProduct:
    """A loan product.

    Attributes:
        id: As the list gives it, as text.
        name: Without its lender.
        lenders: The names that are right for its lender: the full one first, then a short one.
        price: In dollars. None if it has none.
        active: False if it is no longer offered.
    """

    id: str
    name: str
    lenders: tuple[str, ...]
    price: Decimal | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class Deal:
    """A deal, and the ids of the contacts that it is about."""

    id: str
    contacts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """All contacts, products and deals of an organisation, in the order of its lists."""

    contacts: Sequence[TrueContact]
    products: Sequence[TrueProduct]
    deals: Sequence[Deal]
