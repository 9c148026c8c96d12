"""Keyed hashes of a record's content, and the text that field hashes are stored as.

Revision 1 of the rules hashed a field as it was written. Revision 2 hashes its canonical form, so that a new
spelling is no change. Older ledgers hold hashes of revision 1. They stay readable, and ``Hasher.first_value``
makes such hashes of a record's present content, so that the two can be compared.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from typing import TYPE_CHECKING, Final

import orjson

from bridge.errors import LedgerError
from bridge.names.canonical_fields import canonical, canonical_field
from bridge.names.trakor_names import key

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FIRST_RULES", "OTHER_RULES", "RULES", "Hasher", "decode", "encode", "revision_of"]

RULES: Final = 2
"""Which rules make a name, a key or a hash. Raised whenever the result of one of them would change."""

FIRST_RULES: Final = 1
"""The rules that hashed each field as it was written."""

OTHER_RULES: Final = "?"
"""The only field of hashes that unknown rules made: equal to no field of ours, so they never compare
equal."""

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_READABLE: Final = frozenset({str(FIRST_RULES), str(RULES)})


class Hasher:
    """Keyed hashes: they can be compared, and without the ledger's key nobody can try values against them.

    Each purpose has its own domain (BLAKE2's personalisation), so a name's hash never equals the hash of the
    same text as a field. Empty text has no hash: it gives empty text.

    Args:
        ledger_key: The ledger's key, 16 to 64 bytes.

    Raises:
        ValueError: The key is shorter or longer.
    """

    def __init__(self, ledger_key: bytes) -> None:
        if not hashlib.blake2b.MAX_KEY_SIZE >= len(ledger_key) >= 16:  # noqa: PLR2004 - named in the message
            raise ValueError(f"the ledger's key must have 16 to 64 bytes, it has {len(ledger_key)}")
        # Made once and copied for each text, at a third of the cost of making it each time.
        self._name = hashlib.blake2b(digest_size=12, key=ledger_key, person=b"trakor-name")
        self._same_as = hashlib.blake2b(digest_size=12, key=ledger_key, person=b"trakor-same-as")
        self._value = hashlib.blake2b(digest_size=6, key=ledger_key, person=b"trakor-value")
        self._input = hashlib.blake2b(digest_size=9, key=ledger_key, person=b"trakor-input")

    def name_key(self, text: str) -> str:
        """The hash of a name's key, 96 bits as 16 characters: equal for all spellings of one name."""
        return _digest(self._name, key(text))

    def same_as(self, text: str) -> str:
        """The hash of one identifier of a person, 96 bits as 16 characters: equal for all its spellings.

        For an e-mail address, and for a telephone number in international form, it equals the hash of
        revision 1.
        """
        return _digest(self._same_as, key(canonical(text)))

    def value(self, field: str, text: str) -> str:
        """The hash of one field's canonical form, 48 bits as 8 characters; two fields never have the same."""
        return self.first_value(field, canonical_field(field, text))

    def first_value(self, field: str, text: str) -> str:
        """The hash of one field as revision 1 of the rules made it: of the text as it is written."""
        return _digest(self._value, text, f"{field}\0")

    def fields(self, texts: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """The hashes of all fields of a record, without those that have none.

        Returns:
            Those that ``value`` makes, and those that ``first_value`` makes. Most fields are written in their
                canonical form, so that one hash is both.
        """
        now, first = {}, {}
        for field, text in texts.items():
            form = canonical_field(field, text)
            digest = self.first_value(field, text)
            if digest:
                first[field] = digest
            if form != text:
                digest = self.first_value(field, form)
            if digest:
                now[field] = digest
        return now, first

    def input_of(self, data: Mapping[str, object]) -> str:
        """The hash of a record as it was read, 72 bits as 12 characters, whatever the order of its fields.

        Returns:
            The hash, or empty text if the record holds what cannot be written as JSON (half of a surrogate
                pair, a number of more than 64 bits). Only mapping shows whether such a record changed.
        """
        try:
            written = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
        except TypeError:
            return ""
        return _digest_of_bytes(self._input, written)


def _digest(state: hashlib.blake2b, text: str, before: str = "") -> str:
    if not text:
        return ""
    return _digest_of_bytes(state, f"{before}{text}".encode(errors="surrogatepass"))


def _digest_of_bytes(state: hashlib.blake2b, content: bytes) -> str:
    copy = state.copy()
    copy.update(content)
    return b2a_base64(copy.digest(), newline=False).translate(_URL_SAFE).decode()


def encode(hashes: Mapping[str, str], rules: int = RULES) -> str:
    """Field hashes as one short text, ``2;contact_info=…;name=…``, or empty text for none.

    Args:
        hashes: Field -> hash. The text has them in alphabetical order, without those that are empty.
        rules: The rules that made them. The text begins with their number.
    """
    present = sorted(f"{field}={digest}" for field, digest in hashes.items() if digest)
    return ";".join([str(rules), *present]) if present else ""


def decode(text: str) -> dict[str, str]:
    """The field hashes of a stored text, made by revision 1 or 2 of the rules (``revision_of``).

    Returns:
        Field -> hash. Hashes that unknown rules made come back as ``{OTHER_RULES: their number}``, which is
            equal to no hashes of ours.

    Raises:
        LedgerError: The text was not made by ``encode``.
    """
    if not text:
        return {}
    version, *fields = text.split(";")
    if version.isdecimal() and version not in _READABLE:
        return {OTHER_RULES: version}
    pairs = [field.partition("=") for field in fields]
    if not version.isdecimal() or not all(name and digest for name, _, digest in pairs):
        raise _unreadable()
    return {name: digest for name, _, digest in pairs}


def revision_of(text: str) -> int:
    """The rules that made the field hashes of a stored text, or 0 if it holds none.

    Raises:
        LedgerError: The text was not made by ``encode``.
    """
    version = text.partition(";")[0]
    if text and not (version.isascii() and version.isdecimal()):
        raise _unreadable()
    return int(version) if text else 0


def _unreadable() -> LedgerError:
    return LedgerError(
        "The ledger holds field hashes that cannot be read.",
        advice="Check it with `trakor-bridge ledger check`, and restore the last backup.",
    )
