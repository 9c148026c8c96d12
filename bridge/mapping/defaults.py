"""The maps used where the configuration gives none, over what the shipped queries select.

A key that a user sets replaces that one expression; set to empty text it is never filled.
docs/mapping.md explains each, a test holds the two against each other.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bridge.records import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULTS", "DEFAULT_WHERE", "IDENTIFIERS", "SPELT_OUT"]

DEFAULT_WHERE: Final = "isActive != `false`"
"""For both streams: a record whose activity is unknown is taken."""

# A person as Trakor's users know a client: first and family name. A company: its name, else its trading name.
_CONTACT_NAME: Final = (
    "first_present(["
    "join_present(' ', [person.information.firstName, person.information.familyName]), "
    "company.information.name, company.information.tradingName])"
)
_EMAIL: Final = "clean(email)"
_PHONE: Final = "phone(primaryCode, primary) || phone(homeCode, home)"
_DETAILS: Final = "(person.contact || company.contact)"
_EMAIL_ELSE_PHONE: Final = f"{_DETAILS} | ({_EMAIL} || {_PHONE})"

IDENTIFIERS: Final = "same_as."
"""A map's key that begins so names one of several identifiers: ``same_as.email``."""

_CONTACTS: Final = {
    "id": "id",
    "name": _CONTACT_NAME,
    "contact_info": (
        f"join_present(' | ', [{_CONTACT_NAME}, {_DETAILS}.join_present(' | ', [{_PHONE}, {_EMAIL}])])"
    ),
    "same_as.email": f"{_DETAILS} | {_EMAIL}",
    "same_as.phone": f"{_DETAILS} | ({_PHONE})",
    "qualifier": _EMAIL_ELSE_PHONE,
}

_EVERY_EMAIL: Final = "first_present([person.contact.email, company.contact.email])"
_EVERY_PHONE: Final = " || ".join(
    f"phone({of}.contact.{kind}Code, {of}.contact.{kind})"
    for of in ("person", "company")
    for kind in ("primary", "home")
)
_SPELT_OUT: Final = {
    **_CONTACTS,
    "contact_info": f"join_present(' | ', [{_CONTACT_NAME}, {_EVERY_PHONE}, {_EVERY_EMAIL}])",
    "same_as.email": _EVERY_EMAIL,
    "same_as.phone": _EVERY_PHONE,
    "qualifier": f"{_EVERY_EMAIL} || {_EVERY_PHONE}",
}

_PRODUCTS: Final = {
    "id": "id",
    # Without a name of its own a product has none: the lender alone would be the name of all of them.
    "name": "clean(name) && join_present(' ', [first_present([lender[0].name, lender[0].abbr]), name])",
    "description": (
        "join_present('. ', [residential.join_present(', ', [rateType, repaymentType, propertyUse, "
        "wrap('', initialRate, '%'), wrap('LVR up to ', lvrMax, '%'), "
        "wrap('loan from $', loanMin, ''), wrap('loan to $', loanMax, '')]), notes])"
    ),
    "price": "fee(fee, ['application', 'establishment'])",
    "same_as": "",
    "qualifier": "id",
}

DEFAULTS: Final[Mapping[Stream, Mapping[str, str]]] = MappingProxyType(
    {Stream.CONTACTS: MappingProxyType(_CONTACTS), Stream.PRODUCTS: MappingProxyType(_PRODUCTS)}
)
"""Stream -> key of its map -> JMESPath expression."""

SPELT_OUT: Final[Mapping[Stream, Mapping[str, str]]] = MappingProxyType(
    {Stream.CONTACTS: MappingProxyType(_SPELT_OUT), Stream.PRODUCTS: MappingProxyType(_PRODUCTS)}
)
"""The same maps, each field named by its whole path: what is rewritten where a schema has it elsewhere."""
