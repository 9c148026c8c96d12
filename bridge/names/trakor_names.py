r"""Names made fit for Trakor, and the keys by which two names are one.

Trakor knows a party or product by its name alone, so the name is made with care::

    text ──tidy──> whole ──fit──> name, at most 255 UTF-16 code units ──key──> what a claim is on
                     └───qualify──> Name (qualifier), likewise bounded

*Tidy*: characters that nobody can see go, white space becomes single spaces, the rest is put into Unicode's
composed form (NFC). "Nobody can see" is meant without exception, because two names that look alike must be
one: lone surrogates, control characters (those that separate words, such as tabs and line ends, count as
white space), soft hyphens, zero-width spaces, byte order marks, marks of writing direction, variation
selectors, fillers, tags, and also the two joiners. The price is small and known: an emoji joined from several
falls into its parts, an emoji flag of a region becomes a black flag, and Persian or Indic text loses a
joining hint that people leave out as often as not.

*Same*: two names are the same when their keys are equal. A key is the name after Unicode case folding, the
loosest reading of "the same name" that the destination may apply; its documentation does not say which it
applies.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache
from typing import Final

__all__ = ["LONGEST", "fit", "key", "qualify", "tidy"]

LONGEST: Final = 255
"""What Trakor takes in a name, counted as JavaScript counts: in UTF-16 code units."""

_ENDING_LENGTH: Final = len("… 01234567")
_LEAST_OF_A_NAME: Final = 32
"""A qualifier must leave a name this many code units, or the whole name, else the name would be
unreadable."""

# Spelled out instead of read from `unicodedata`, so that each Python version gives the same names. It is the
# general categories Cc, Cf and Cs and the property Default_Ignorable_Code_Point, without what separates
# words (white space) and without the seven groups of Arabic, Syriac and Kaithi number signs, which are
# "format" characters that print. A test compares it with the running Python's tables.
_INVISIBLE: Final = re.compile(
    "["
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # controls, but for tab, line ends and the separators
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff"  # halves of surrogate pairs: JSON can carry one alone, nothing can store it
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "]+"
)
_SKIN_TONES: Final = frozenset(map(chr, range(0x1F3FB, 0x1F400)))


_KEPT: Final = 2048
"""Tidy forms that are cached, of texts no longer than a name: a record's are needed about 25 times."""


def tidy(text: str) -> str:
    """The whole of a name in its tidy form, of any length, or empty text if nothing visible is in it."""
    return _tidied(text) if len(text) > LONGEST else _kept_tidied(text)


@lru_cache(maxsize=_KEPT)
def _kept_tidied(text: str) -> str:
    return _tidied(text)


def _tidied(text: str) -> str:
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    visible = _INVISIBLE.sub("", text)
    return unicodedata.normalize("NFC", " ".join(visible.split()))


def fit(text: str) -> str:
    """A name that Trakor accepts: tidy, at most 255 UTF-16 code units, or empty text if there is no name.

    A longer one is cut and ends with ``… `` and eight hexadecimal digits of a hash of the whole, so that long
    names that differ at the end stay different. The same text always gives the same name, and a fit name
    stays as it is.
    """
    return _shorten(tidy(text), LONGEST)


def qualify(name: str, qualifier: str) -> str:
    """``Name (qualifier)``, fit for Trakor. If that is too long the name is cut, never the qualifier.

    Args:
        name: The name as mapped, not yet cut: the hash at the end of a cut name is of the whole.
        qualifier: What distinguishes two records with one name.

    Returns:
        The qualified name. Empty if either part is empty, or if the qualifier leaves a name that has to be
            cut fewer than 32 code units: such a record cannot be qualified.
    """
    whole, mark = tidy(name), tidy(qualifier)
    if not whole or not mark:
        return ""
    room = LONGEST - _units(f" ({mark})")
    if room < _LEAST_OF_A_NAME and room < _units(whole):
        return ""
    return f"{_shorten(whole, room)} ({mark})"


def key(name: str) -> str:
    """What two equal names have in common: the fit name, case folded, composed again."""
    return unicodedata.normalize("NFC", fit(name).casefold())


def _units(text: str) -> int:
    """The length in UTF-16 code units; the text holds no lone surrogate."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def _shorten(whole: str, longest: int) -> str:
    if _units(whole) <= longest:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{_head(whole, longest - _ENDING_LENGTH)}… {digest}"


def _head(text: str, units: int) -> str:
    """The longest beginning within so many code units that ends between two characters as people see them."""
    used = fitting = 0
    for character in text:
        used += 2 if character > "\uffff" else 1
        if used > units:
            break
        fitting += 1
    end = fitting
    while end and _extends(text[end]):
        end -= 1
    # Text of marks alone has no such place. It is cut between two of them.
    return text[: end or fitting].rstrip()


def _extends(character: str) -> bool:
    """Whether a character is drawn onto the one before it: a combining mark, or an emoji's skin tone."""
    return unicodedata.category(character).startswith("M") or character in _SKIN_TONES
