"""Seals text: encrypts it with a key derived from the ledger's key, and binds it to its place.

::

    texts ──JSON──> AES-256-GCM (key for this use only, random nonce, place) ──> version · nonce · text · tag

Somebody who has the ledger's file without its key sees the length of a text, and nothing else. Sealed text
that was moved to another place, or changed in a single bit, cannot be opened. docs/adr/0017 has the reasons.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

import orjson

from bridge.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["OVERHEAD", "Sealer"]

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
"""96 bits (NIST SP 800-38D, 8.2). Nonces are random, so one key is good for 2^32 texts (8.3)."""

_NONCES_PER_DRAW: Final = 256
"""How many nonces are drawn at once. For each draw, Python releases the interpreter's lock and waits."""

_TAG_BYTES: Final = 16

OVERHEAD: Final = len(_VERSION) + _NONCE_BYTES + _TAG_BYTES
"""How many bytes sealing adds to the texts in JSON."""


class Sealer:
    """Seals texts, and opens sealed ones.

    Args:
        ledger_key: The ledger's key, 16 to 64 bytes.

    Raises:
        ValueError: The key is longer than 64 bytes.
    """

    def __init__(self, ledger_key: bytes) -> None:
        # Loading the library takes 40 ms. Commands that seal and open nothing do without.
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see above

        derived = hashlib.blake2b(digest_size=32, key=ledger_key, person=b"trakor-sealing").digest()
        self._cipher = AESGCM(derived)
        self._invalid_tag: type[Exception] = InvalidTag
        self._nonces: list[bytes] = []
        self._process = os.getpid()

    def seal(self, texts: Sequence[str], place: str) -> bytes:
        """Encrypt some texts.

        Args:
            texts: The texts. Halves of surrogate pairs, which cannot be stored, become ``?``.
            place: Where the texts will be stored, such as connection, stream and source id. The texts can be
                opened only with the same place.
        """
        nonce = self._nonce()
        return _VERSION + nonce + self._cipher.encrypt(nonce, _json(texts), _bound_to(place))

    def _nonce(self) -> bytes:
        """Return a nonce that was never used. Any thread may call this: ``pop`` returns each item once."""
        if self._process != os.getpid():  # after a fork, both processes would use the same nonces
            self._process = os.getpid()
            self._nonces.clear()
        while True:
            try:
                return self._nonces.pop()
            except IndexError:
                drawn = os.urandom(_NONCE_BYTES * _NONCES_PER_DRAW)
                self._nonces += [drawn[at : at + _NONCE_BYTES] for at in range(0, len(drawn), _NONCE_BYTES)]

    def open(self, sealed: bytes | None, place: str) -> list[str]:
        """Decrypt sealed texts.

        Args:
            sealed: The result of ``seal``. None counts as damaged.
            place: The place that ``seal`` got.

        Raises:
            LedgerError: The key or the place is another one, or the bytes are damaged.
        """
        if sealed is None or sealed[:1] != _VERSION or len(sealed) < OVERHEAD:
            raise _unsealing_error()
        nonce, content = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return _texts(self._cipher.decrypt(nonce, content, _bound_to(place)))
        except self._invalid_tag:
            raise _unsealing_error() from None


def _json(texts: Sequence[str]) -> bytes:
    try:
        return orjson.dumps(texts)
    except TypeError:
        return orjson.dumps([text.encode(errors="replace").decode() for text in texts])


def _texts(content: bytes) -> list[str]:
    texts: list[str] = orjson.loads(content)  # the tag has proved that ``seal`` made this
    return texts


def _bound_to(place: str) -> bytes:
    return _VERSION + place.encode(errors="surrogatepass")


def _unsealing_error() -> LedgerError:
    return LedgerError(
        "The ledger holds sealed text that cannot be opened: it is damaged, or was sealed with another key.",
        advice="Check it with `trakor-bridge ledger check`, and restore the last backup with its key.",
    )
