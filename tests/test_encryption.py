"""Sealed text opens with its key and at its place only, whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.encryption import OVERHEAD, Sealer
from bridge.errors import LedgerError

KEY = b"0123456789abcdef"
SEALER = Sealer(KEY)
PLACE = "default/contacts/c1"
TEXTS = ["Ravi Kumar", "Ravi Kumar | +61 412 345 678 | ravi@acme.in"]

ANY_TEXT = st.text(max_size=60)


@given(st.lists(ANY_TEXT, max_size=5), ANY_TEXT)
def test_what_was_sealed_opens_again(texts: list[str], place: str) -> None:
    assert SEALER.open(SEALER.seal(texts, place), place) == texts


@given(st.lists(ANY_TEXT, max_size=5))
def test_sealing_adds_a_known_number_of_bytes(texts: list[str]) -> None:
    assert len(SEALER.seal(texts, PLACE)) == len(orjson.dumps(texts)) + OVERHEAD
    assert OVERHEAD <= 40


def test_another_sealer_of_the_same_key_opens_it() -> None:
    """It has to outlive the process."""
    assert Sealer(KEY).open(SEALER.seal(TEXTS, PLACE), PLACE) == TEXTS


def test_what_an_earlier_version_sealed_still_opens() -> None:
    """Key derivation, version, nonce, tag and place are fixed for ever: ledgers hold such bytes."""
    sealed = bytes.fromhex(
        "01a0b69f582ef1d4293f2a1bb9a5e7356be6ab4ed3df4de6217b77a4c6468c4db7c817e2c547468c83d4727b4dc9c9b2db5ffdd47e56c24bc4c07ece9259addf4a8f2d073b7de7361b16ab49f6a277915b3af98e89e1a65e49"
    )
    assert SEALER.open(sealed, PLACE) == TEXTS


def test_nothing_of_the_text_is_to_be_seen_and_no_two_are_alike() -> None:
    one, other = SEALER.seal(TEXTS, PLACE), SEALER.seal(TEXTS, PLACE)
    assert one[1:] != other[1:]
    assert not any(part in one for part in (b"Ravi", b"412", b"acme", "Ravi".encode("utf-16-le")))


def test_no_two_threads_seal_with_one_nonce() -> None:
    with ThreadPoolExecutor(4) as threads:
        sealed = [*threads.map(lambda _: SEALER.seal(TEXTS, PLACE), range(4000))]
    assert len({one[1:13] for one in sealed}) == len(sealed)


def test_a_forked_process_seals_with_nonces_of_its_own() -> None:
    """Drawn ahead, they would be used once more there."""
    program = """
import os
from bridge.encryption import Sealer

sealer, (read, write) = Sealer(b"0123456789abcdef"), os.pipe()
sealer.seal([], "")
if not os.fork():
    os.write(write, b"".join(sealer.seal([], "")[1:13] for _ in range(100)))
    os._exit(0)
os.wait()
theirs = os.read(read, 1200)
ours = {sealer.seal([], "")[1:13] for _ in range(300)}
assert len(theirs) == 1200
assert not ours & {theirs[at : at + 12] for at in range(0, 1200, 12)}
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)  # noqa: S603 - our interpreter


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(LedgerError, match="cannot be opened"):
        Sealer(KEY[::-1]).open(SEALER.seal(TEXTS, PLACE), PLACE)


def test_it_does_not_open_at_another_place() -> None:
    """Whoever can write to the ledger cannot pass one person's words off as another's."""
    with pytest.raises(LedgerError, match="cannot be opened"):
        SEALER.open(SEALER.seal(TEXTS, PLACE), "default/contacts/c2")


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_is_found(at: int, change: int) -> None:
    sealed = bytearray(SEALER.seal(TEXTS, PLACE))
    sealed[at % len(sealed)] ^= change
    with pytest.raises(LedgerError, match="cannot be opened"):
        SEALER.open(bytes(sealed), PLACE)


@given(st.binary(max_size=80))
def test_other_bytes_do_not_open(sealed: bytes) -> None:
    with pytest.raises(LedgerError, match="cannot be opened"):
        SEALER.open(sealed, PLACE)


@pytest.mark.parametrize("length", [0, 1, 13, 28, 29])
def test_cut_off_bytes_do_not_open(length: int) -> None:
    with pytest.raises(LedgerError, match="cannot be opened"):
        SEALER.open(SEALER.seal(TEXTS, PLACE)[:length], PLACE)


def test_the_error_says_nothing_of_the_text() -> None:
    with pytest.raises(LedgerError) as caught:
        SEALER.open(SEALER.seal(TEXTS, PLACE), "elsewhere")
    said = f"{caught.value!r} {caught.value} {caught.value.advice} {caught.value.__cause__!r}"
    assert not any(part in said for part in ("Ravi", "elsewhere", PLACE))


def test_text_that_nothing_can_store_is_sealed_all_the_same() -> None:
    assert SEALER.open(SEALER.seal(["a\ud800b"], PLACE), PLACE) == ["a?b"]


def test_the_library_is_loaded_only_by_who_seals() -> None:
    """Loading it takes 40 ms."""
    code = "import sys, bridge.encryption; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - ours
