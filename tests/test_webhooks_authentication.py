"""Who may post a webhook: whose token it is, and who really sent it."""

from __future__ import annotations

import hmac
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.webhooks.authentication import SenderFilter, TokenRegistry

if TYPE_CHECKING:
    from collections.abc import Sequence

A, B, C = "a" * 32, "b" * 32, "c" * 40


def senders(
    allowed: Sequence[str] = ("203.0.113.0/24", "2001:db8::/32"), proxies: Sequence[str] = ()
) -> SenderFilter:
    return SenderFilter([ip_network(one) for one in allowed], [ip_network(one) for one in proxies])


def test_each_token_of_each_connection_is_known() -> None:
    tokens = TokenRegistry({"north": [A, B], "south": [C]})
    assert [tokens.connection_of(given) for given in (A, B, C)] == ["north", "north", "south"]


@pytest.mark.parametrize("given", ["", A[:-1], A + "a", A.upper(), "d" * 32, "é" * 32, "\ud800", C[:32]])
def test_any_other_text_is_nobodys(given: str) -> None:
    assert TokenRegistry({"north": [A], "south": [B, C]}).connection_of(given) is None
    assert TokenRegistry({}).connection_of(given) is None


def test_a_look_compares_as_much_whatever_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the time that an answer takes tells how near a guess is."""
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def compare(known: bytes, given: bytes) -> bool:
        compared.append((len(known), len(given)))
        return real(known, given)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    tokens = TokenRegistry({"north": [A, B], "south": [C]})
    for text in (A, C, "", A[:-1], "x" * 8000):
        tokens.connection_of(text)
        assert compared == [(32, 32)] * 3
        compared.clear()


@pytest.mark.parametrize("peer", ["203.0.113.9", "::ffff:203.0.113.9", "2001:db8::1"])
def test_a_sender_of_an_allowed_network_is_taken(peer: str) -> None:
    assert senders().allows(peer, [])


@pytest.mark.parametrize("peer", ["203.0.114.9", "2001:db9::1", "", "fe80::1%eth0", "localhost"])
def test_any_other_sender_is_not_taken(peer: str) -> None:
    assert not senders().allows(peer, [])
    assert senders(allowed=[]).allows(peer, [])


def test_a_forwarded_address_is_not_believed_of_a_stranger() -> None:
    """Anybody can write the header."""
    assert not senders().allows("198.51.100.7", ["203.0.113.9"])
    assert not senders(proxies=["10.0.0.0/8"]).allows("198.51.100.7", ["203.0.113.9"])


@pytest.mark.parametrize(
    "forwarded",
    [
        ["203.0.113.9"],
        ["203.0.113.9:4711"],
        ["[2001:db8::5]:4711"],
        ["1.2.3.4, 203.0.113.9"],  # what was there before the proxy added its line is anybody's word
        ["rubbish", "203.0.113.9"],
        ["203.0.113.9, 10.0.0.2", "10.0.0.3"],
        ["203.0.113.9,10.0.0.2"],
    ],
)
def test_behind_proxies_the_nearest_that_is_none_of_them_is_the_sender(forwarded: list[str]) -> None:
    assert senders(proxies=["10.0.0.0/8"]).allows("10.0.0.1", forwarded)


@pytest.mark.parametrize(
    "forwarded",
    [
        ["203.0.113.9, 198.51.100.7"],  # forged by 198.51.100.7, which the proxy saw
        ["203.0.113.9", "198.51.100.7"],
        ["203.0.113.9, 198.51.100.7, 10.0.0.2"],
        ["203.0.113.9, unknown"],
        ["203.0.113.9, "],
        ["203.0.113.9, 2001:db8::5::"],
        [""],
        [],
        ["10.0.0.2"],
    ],
)
def test_a_forged_or_unreadable_header_lets_nobody_in(forwarded: list[str]) -> None:
    assert not senders(proxies=["10.0.0.0/8"]).allows("10.0.0.1", forwarded)


@given(
    peer=st.ip_addresses().map(str) | st.text(max_size=20),
    forwarded=st.lists(st.text(max_size=40) | st.ip_addresses().map(str), max_size=4),
)
def test_no_header_is_too_strange_and_none_helps_a_stranger(peer: str, forwarded: list[str]) -> None:
    """Without a proxy that is believed, only the connection's other end counts."""
    guard = senders(allowed=["203.0.113.0/24"])
    assert guard.allows(peer, forwarded) == guard.allows(peer, [])
    senders(allowed=["203.0.113.0/24"], proxies=["0.0.0.0/0", "::/0"]).allows(peer, forwarded)
