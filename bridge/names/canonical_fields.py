"""Canonical forms: what two spellings of one field have in common, so that a new spelling is no change.

::

    RAVI@Acme.in           ──> ravi@acme.in
    0412 345 678           ──> +61 412 345 678      (the form that the map's `phone` gives)
    9123 4567              ──> 91234567             (lacks its area code: only the digits count)
    Unit  12, King St      ──> Unit 12, King St

A canonical form is compared and never sent. Applying it twice changes nothing.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from bridge.names.phones import dialled
from bridge.names.trakor_names import tidy

__all__ = ["SEPARATOR", "canonical", "canonical_field"]

SEPARATOR: Final = " | "
"""Joins the parts of a party's contact info (vendor's page, "Parties")."""

_EXACT: Final = frozenset({"name", "price"})
"""Names have rules of their own, and a price has exactly one spelling."""

_JOINED: Final = "contact_info"

_MOST_PARTS: Final = 100
"""A joined field with so many parts is treated as one text: each part may be a number to parse, in 0.1 ms."""

_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+")
_LONGEST_EMAIL: Final = 254
"""Characters (RFC 5321, 4.5.3.1.3, with its erratum). A longer text is no address, and no number either."""

_TELEPHONE: Final = re.compile(r"\(?\+?[0-9 ().\-‐‑‒–—]+")  # noqa: RUF001 - the dashes that people type
_SHOWN: Final = re.compile(r"\+61 (?:4[0-9]{2} [0-9]{3} [0-9]{3}|[2378] [0-9]{4} [0-9]{4})")
"""The commonest numbers in canonical form, as the map's `phone` gives them: recognised without parsing."""

_NO_TELEPHONE: Final = re.compile(r"[0-9]+\.[0-9]{1,2}|[0-9]{1,4}([.-])[0-9]{1,2}\1[0-9]{1,4}")
"""An amount, and a date: their punctuation shows what their digits mean."""

_NO_DIGITS: Final = re.compile("[^0-9]+")
_FEWEST_DIGITS: Final = 6
_MOST_DIGITS: Final = 20
"""The longest number has fifteen (E.164), and a prefix for dialling abroad before them."""

_KEPT: Final = 2048
"""Canonical forms that are cached: a record's e-mail and number are needed as identifier, field and
qualifier."""


def canonical(text: str) -> str:
    """What all spellings of one e-mail address, telephone number or other text have in common.

    Args:
        text: A whole field, or one part of a joined one.

    Returns:
        An e-mail address in lower case. A telephone number (only digits and the punctuation of telephone
            numbers, at least six digits) in international form, or its digits if it cannot be dialled as it
            stands. Any other text with its white space collapsed, without invisible characters.
    """
    line = tidy(text)
    return line if len(line) > _LONGEST_EMAIL else _canonical(line)


@lru_cache(maxsize=_KEPT)
def _canonical(line: str) -> str:
    if _EMAIL.fullmatch(line):
        return line.lower() if line.isascii() else unicodedata.normalize("NFC", line.lower())
    if _SHOWN.fullmatch(line):
        return line
    if _TELEPHONE.fullmatch(line) and not _NO_TELEPHONE.fullmatch(line):
        return _number(line) or line
    return line


def _number(line: str) -> str:
    """A telephone number's canonical form, or empty text if it has too few digits."""
    digits = _NO_DIGITS.sub("", line)
    if len(digits) < _FEWEST_DIGITS:
        return ""
    # The plus stays if a number cannot be dialled: without it the digits would be another number.
    compact = f"+{digits}" if "+" in line else digits
    form = dialled(compact) if len(digits) <= _MOST_DIGITS else None
    if form in (None, line):
        return form or compact
    # A number of no country (all zeros) can be formatted differently each time. Its digits stay the same.
    return form if dialled(f"+{_NO_DIGITS.sub('', form)}") == form else compact


def canonical_field(field: str, text: str) -> str:
    """The canonical form of one field of a payload, or of the qualifier.

    Args:
        field: The payload's name of the field. A ``name`` and a ``price`` stay as they are.
        text: Its text. A contact info joined by `` | `` is handled part by part, if it has fewer than 100
            parts.
    """
    if field in _EXACT:
        return text
    if field != _JOINED or text.count(SEPARATOR) >= _MOST_PARTS:
        return canonical(text)
    return SEPARATOR.join(map(canonical, tidy(text).split(SEPARATOR)))
