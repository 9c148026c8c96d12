"""Personal data made unreadable, so that what a check prints can be shown to somebody who helps. Pure.

A reader still sees whether the right fields stand in the right places: ``J… S… | +61 4… | j…@…``.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["masked"]

_PHONE: Final = re.compile(r"(\+\d{1,3} ?)?\(?(\d)[\d ()-]{4,}")
_SEPARATOR: Final = " | "
_FEW_DIGITS: Final = 3


def masked(text: str) -> str:
    """A name, a phone number, an e-mail address, or several of them, with only their beginnings left."""
    return _SEPARATOR.join(_part(part) for part in text.split(_SEPARATOR))


def _part(part: str) -> str:
    phone = _PHONE.fullmatch(part.strip())
    if phone:
        return f"{phone[1] or ''}{phone[2]}…"
    return " ".join(_word(word) for word in part.split())


def _word(word: str) -> str:
    if "@" in word:
        return f"{word[0]}…@…"
    if sum(character.isdigit() for character in word) > _FEW_DIGITS:
        return "…"
    return f"{word[0]}…"
