"""Text from outside made harmless: for a terminal, and for a spreadsheet."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["cell", "plain"]

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection")."""

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""General categories that steer a terminal or reorder what it shows instead of being shown."""


def plain(text: str, *, keep: str = "") -> str:
    r"""A text that a terminal shows as it is: control characters become visible, as ``\x1b``.

    Args:
        text: From outside.
        keep: Characters to leave as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        one.encode("unicode_escape").decode()
        if unicodedata.category(one) in _UNSEEN and one not in keep
        else one
        for one in text
    )


def cell(text: str) -> str:
    """A text that a spreadsheet takes as text: what it would take for a formula is led by an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA) else text
