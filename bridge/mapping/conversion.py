"""Turn the result of an expression into text or a price, or reject it with a reason that quotes no data."""

from __future__ import annotations

import math
import re
import unicodedata
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from bridge.errors import Rejected
from bridge.names import tidy

__all__ = [
    "IDENTIFIER",
    "LONGEST_TEXT",
    "json_type",
    "price",
    "price_in_cents",
    "text",
    "to_free_text",
    "to_identifiers",
    "to_line",
]

LONGEST_TEXT: Final = 10_000
"""Maximum number of characters of a free text. Trakor documents no limit. This one keeps a request small."""

IDENTIFIER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
"""The name of an identifier: the ledger stores it between ``;`` and ``=``."""

HIGHEST_PRICE: Final = Decimal(10) ** 12
_MOST_BITS: Final = 1024
"""No float has more bits. Python refuses to print a number with very many digits."""
_CENT: Final = Decimal("0.01")
_PLAIN_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{0,40})?")
_CONTROLS: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]+")
_KINDS: Final = {dict: "an object", list: "an array", bool: "true or false"}


def json_type(value: object) -> str:
    """JSON's name for the type of a value, with its article, for a message."""
    if value is None:
        return "null"
    return _KINDS.get(type(value), "text" if isinstance(value, str) else "a number")


def text(value: object) -> str:
    """A JSON value as text: text as it is, null as empty text, a number in its shortest plain form.

    Raises:
        Rejected: The value is true, false, an array, an object, or a number that is not finite.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Rejected(f"gives {json_type(value)} where text is needed")
    return _plain(value)


def to_line(value: object) -> str:
    """A JSON value as one tidy line of text, see ``names.tidy``.

    Raises:
        Rejected: As ``text`` does.
    """
    return tidy(text(value))


def to_identifiers(value: object) -> dict[str, str]:
    """What identifies a person or product, as name -> text. A single text has the name ``""``.

    Raises:
        Rejected: The value is neither text nor an object of texts, or a name is not valid.
    """
    if not isinstance(value, dict):
        return {"": text(value)}
    if not all(isinstance(name, str) and IDENTIFIER.fullmatch(name) for name in value):
        raise Rejected("names an identifier with something else than up to 32 letters, digits, - and _")
    return {name: text(inner) for name, inner in value.items()}


def _plain(number: float) -> str:
    """``80.0`` as 80, ``6.19`` as 6.19, ``1e16`` as 10000000000000000."""
    if isinstance(number, int) and number.bit_length() > _MOST_BITS:
        raise Rejected("gives a number that is too large")
    if not math.isfinite(number):
        raise Rejected("gives a number that is not finite")
    whole = int(number)
    return str(whole) if whole == number else f"{Decimal(repr(number)):f}"


def to_free_text(value: object) -> str:
    """Text for people: composed (NFC), trimmed, without control characters, with its lines.

    Text longer than ``LONGEST_TEXT`` characters is cut and ends with ``…``.

    Raises:
        Rejected: As ``text`` does.
    """
    given = text(value)
    if not (given.isascii() and given.isprintable()):
        given = given.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
        given = unicodedata.normalize("NFC", _CONTROLS.sub("", given))
    given = given.strip()
    return given if len(given) <= LONGEST_TEXT else f"{given[: LONGEST_TEXT - 1].rstrip()}…"


def price(value: object) -> Decimal | None:
    """A price exact to the cent, rounded half up, or None for null and blank text.

    A float is read as the decimal that it prints as, which is the JSON's own text: 2.675 becomes 2.68,
    although the nearest float is less. Text must be a plain decimal such as ``600`` or ``-12.5``: a comma
    could mean two things.

    Raises:
        Rejected: The value is no number, not finite, negative, or above 1,000,000,000,000.
    """
    amount = _decimal(value)
    if amount is None:
        return None
    if not amount.is_finite():
        raise Rejected("gives a number that is not finite")
    if amount < 0:
        raise Rejected("gives a negative number")
    if amount > HIGHEST_PRICE:
        raise Rejected("gives a number above 1,000,000,000,000")
    return abs(amount.quantize(_CENT, ROUND_HALF_UP))  # abs: -0.0 is no price less than nothing


def price_in_cents(value: object) -> Decimal | None:
    """A price that is given in cents, or None for null and blank text; errors as ``price``."""
    amount = price(value)
    return None if amount is None else (amount / 100).quantize(_CENT, ROUND_HALF_UP)


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, str):
        plain = value.strip()
        if plain and not _PLAIN_DECIMAL.fullmatch(plain):
            raise Rejected("gives text that is not a plain decimal number")
        return Decimal(plain) if plain else None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Rejected(f"gives {json_type(value)} where a number is needed")
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
