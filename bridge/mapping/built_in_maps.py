"""Maps: the built-in ones, completing a user's map with them, and a map as text that can be read again.

A key that a user sets replaces that one expression. A key that is set to empty text is never filled.
docs/mapping.md explains each expression; a test compares the page with the built-in maps.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bridge.errors import QueryFileError
from bridge.mapping.conversion import IDENTIFIER
from bridge.records import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = [
    "DEFAULTS",
    "DEFAULT_WHERE",
    "IDENTIFIERS",
    "SPELT_OUT",
    "complete_map",
    "map_as_text",
    "map_from_text",
]

DEFAULT_WHERE: Final = "isActive != `false`"
"""For all streams: a record whose activity is unknown is included."""

# A person's first and family name, as Trakor's users know a client. A company's name, else its trading name.
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
"""The beginning of a map's key that names one of several identifiers: ``same_as.email``."""

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
    # A product without its own name has none: the lender alone would be the name of all its products.
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
"""The same maps, with each field named by its whole path, to be rewritten if a schema has it elsewhere."""


_REQUIRED: Final = ("id", "name")
_SAME_AS: Final = "same_as"


def complete_map(stream: Stream, given: Mapping[str, str]) -> dict[str, str]:
    """Complete a user's map with the built-in expressions.

    Args:
        stream: The stream of the map.
        given: Key -> JMESPath, as the user gave it. ``same_as``, or one key for each identifier such as
            ``same_as.email``, replaces all identifiers of the built-in map.

    Raises:
        QueryFileError: The stream has no such key, or a required one is empty.
    """
    for key in given:
        _check_key(stream, key)
    if _SAME_AS in given and any(key.startswith(IDENTIFIERS) for key in given):
        raise QueryFileError(
            f"{stream}.map.same_as: stands beside named identifiers", advice="Keep one of the two."
        )
    own = any(map(_identifies, given))
    kept = {key: text for key, text in DEFAULTS[stream].items() if not (own and _identifies(key))}
    texts = {**kept, **given}
    for key in _REQUIRED:
        if not texts[key].strip():
            raise QueryFileError(
                f"{stream}.map.{key}: empty, but no record can do without it",
                advice="Leave the key out to use its default.",
            )
    return texts


def _identifies(key: str) -> bool:
    return key == _SAME_AS or key.startswith(IDENTIFIERS)


def _check_key(stream: Stream, key: str) -> None:
    known = [name for name in DEFAULTS[stream] if not _identifies(name)] + [_SAME_AS]
    if key.startswith(IDENTIFIERS):
        if not IDENTIFIER.fullmatch(key.removeprefix(IDENTIFIERS)):
            raise QueryFileError(
                f"{stream}.map.{key}: an identifier cannot be called so",
                advice="Use up to 32 letters, digits, - and _, such as same_as.email.",
            )
    elif key not in known:
        near = get_close_matches(key, known, n=1) or [", ".join(known)]
        raise QueryFileError(f"{stream}.map.{key}: no such key", advice=f"Did you mean {near[0]}?")


def map_as_text(texts: Mapping[str, str]) -> str:
    """A whole map as one text, for ``map_from_text``."""
    return json.dumps(dict(sorted(texts.items())), ensure_ascii=False, separators=(",", ":"))


def map_from_text(stream: Stream, text: str) -> dict[str, str]:
    """A whole map from its text. A key that is newer than the text is never filled.

    Raises:
        QueryFileError: The text was not made by ``map_as_text``.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise QueryFileError(
            f"the earlier map of {stream} cannot be read",
            advice="Check it with `trakor-bridge ledger check`.",
        )
    empty = dict.fromkeys((key for key in DEFAULTS[stream] if not _identifies(key)), "")
    return empty | ({} if any(map(_identifies, found)) else {_SAME_AS: ""}) | found
