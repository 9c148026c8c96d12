r"""Names made fit for Trakor, the keys by which two names are one, and keyed hashes of both.

Trakor knows a party or product by its name alone, so the name is made with care::

    text ──tidy──> whole ──fit──> name, at most 255 UTF-16 code units ──key──> what a claim is on
                     └───qualify──> Name (qualifier), likewise bounded

*Tidy*: characters that nobody can see go, white space becomes single spaces, the rest is put into
Unicode's composed form (NFC). "Nobody can see" is meant without exception, because two names that
look alike must be one: lone surrogates, control characters (those that separate words, such as
tabs and line ends, count as white space), soft hyphens, zero-width spaces, byte order marks, marks of
writing direction, variation selectors, fillers, tags, and also the two joiners. The price is small and
known: an emoji joined from several falls into its parts, an emoji flag of a region becomes a black
flag, and Persian or Indic text loses a joining hint that people leave out as often as not.

*Same*: two names are the same when their keys are equal. A key is the name after Unicode case
folding, the loosest reading of "the same name" that the destination may apply; its documentation
does not say which it applies.

Nothing here reads a clock, a file or a setting. ``RULES`` counts the rules: it is part of what makes a
draft's fingerprint and of stored hashes, so that new rules do not look like changes at the source.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Final

from bridge.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "LONGEST",
    "OTHER_RULES",
    "RULES",
    "Hasher",
    "decode",
    "encode",
    "fit",
    "key",
    "qualify",
    "tidy",
]

RULES: Final = 1
"""Which rules made a name, a key or a hash. Raised whenever one of them would come out differently."""

LONGEST: Final = 255
"""What Trakor takes in a name, counted as JavaScript counts: in UTF-16 code units."""

OTHER_RULES: Final = "?"
"""The one field of hashes that other rules made: equal to no field of ours, so they never compare equal."""

_ENDING_LENGTH: Final = len("… 01234567")
_LEAST_OF_A_NAME: Final = 32
"""A qualifier must leave a name this many code units, or the name, or that much of it would be unreadable."""

# Spelled out instead of asked of `unicodedata`, so that each Python version gives the same names. It is the
# general categories Cc, Cf and Cs and the property Default_Ignorable_Code_Point, without what separates
# words (white space) and without the seven groups of Arabic, Syriac and Kaithi number signs, which are
# "format" characters that print. A test holds it against the running Python's tables.
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


def tidy(text: str) -> str:
    """The whole of a name in its tidy form, of any length; empty when nothing visible is in it."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    visible = _INVISIBLE.sub("", text)
    return unicodedata.normalize("NFC", " ".join(visible.split()))


def fit(text: str) -> str:
    """A name that Trakor takes: tidy, at most 255 UTF-16 code units; empty when there is no name.

    A longer one is cut and ended with ``… `` and eight hexadecimal digits of a hash of the whole,
    so that long names that differ at the end stay different. The same text always gives the same
    name, and a name that is fit stays as it is.
    """
    return _shorten(tidy(text), LONGEST)


def qualify(name: str, qualifier: str) -> str:
    """``Name (qualifier)``, fit for Trakor; where that is too long the name is cut, never the qualifier.

    Args:
        name: The name as mapped, not yet cut: the hash at the end of a cut name is of the whole.
        qualifier: What tells two of one name apart.

    Returns:
        The qualified name; empty when either part is, or when the qualifier leaves a name that has to
        be cut fewer than 32 code units: such a record cannot be qualified.
    """
    whole, told_apart_by = tidy(name), tidy(qualifier)
    if not whole or not told_apart_by:
        return ""
    room = LONGEST - _units(f" ({told_apart_by})")
    if room < _LEAST_OF_A_NAME and room < _units(whole):
        return ""
    return f"{_shorten(whole, room)} ({told_apart_by})"


def key(name: str) -> str:
    """What two names have in common when they are the same: the fit name, case folded, composed again."""
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
    # A text of marks alone has no such place: it is cut between two of them.
    return text[: end or fitting].rstrip()


def _extends(character: str) -> bool:
    """Whether a character is drawn onto the one before it: a combining mark, or an emoji's skin tone."""
    return unicodedata.category(character).startswith("M") or character in _SKIN_TONES


class Hasher:
    """Keyed hashes: they can be compared, and without the ledger's key nothing can be tried against them.

    Each purpose has its own domain (BLAKE2's personalisation), so a name's hash never equals the hash
    of the same text as a field. Empty text has no hash: it gives empty text.

    Args:
        ledger_key: The ledger's key, 16 to 64 bytes.

    Raises:
        ValueError: The key is shorter or longer.
    """

    def __init__(self, ledger_key: bytes) -> None:
        if not hashlib.blake2b.MAX_KEY_SIZE >= len(ledger_key) >= 16:  # noqa: PLR2004 - said in the message
            raise ValueError(f"the ledger's key must have 16 to 64 bytes, it has {len(ledger_key)}")
        # Made once and copied for each text: a third of the cost of making it each time.
        self._name = hashlib.blake2b(digest_size=12, key=ledger_key, person=b"trakor-name")
        self._same_as = hashlib.blake2b(digest_size=12, key=ledger_key, person=b"trakor-same-as")
        self._value = hashlib.blake2b(digest_size=6, key=ledger_key, person=b"trakor-value")

    def name_key(self, text: str) -> str:
        """The hash of a name's key, 96 bits as 16 characters: equal for all spellings of one name."""
        return _digest(self._name, key(text))

    def same_as(self, text: str) -> str:
        """The hash of what makes two records one person, 96 bits as 16 characters; case does not count."""
        return _digest(self._same_as, key(text))

    def value(self, field: str, text: str) -> str:
        """The hash of one field's text, 48 bits as 8 characters; equal texts of two fields differ."""
        return _digest(self._value, text, f"{field}\0")


def _digest(state: hashlib.blake2b, text: str, before: str = "") -> str:
    if not text:
        return ""
    copy = state.copy()
    copy.update(f"{before}{text}".encode(errors="surrogatepass"))
    return urlsafe_b64encode(copy.digest()).decode()


def encode(hashes: Mapping[str, str]) -> str:
    """Field hashes as one short text, ``1;contact_info=…;name=…``; empty for none.

    The number is that of the rules. Fields stand in alphabetical order, those without a hash are left out.
    """
    present = sorted(f"{field}={digest}" for field, digest in hashes.items() if digest)
    return ";".join([str(RULES), *present]) if present else ""


def decode(text: str) -> dict[str, str]:
    """The field hashes of a stored text.

    Returns:
        Field -> hash. Hashes that other rules made come back as ``{OTHER_RULES: their number}``, which is
        equal to no hashes of today's rules.

    Raises:
        LedgerError: The text is not one that ``encode`` made.
    """
    if not text:
        return {}
    version, *fields = text.split(";")
    if version != str(RULES) and version.isdecimal():
        return {OTHER_RULES: version}
    pairs = [field.partition("=") for field in fields]
    if not version.isdecimal() or not all(name and digest for name, _, digest in pairs):
        raise LedgerError(
            "The ledger holds field hashes that cannot be read.",
            advice="Check it with `trakor-bridge ledger check`, and restore the last backup.",
        )
    return {name: digest for name, _, digest in pairs}
