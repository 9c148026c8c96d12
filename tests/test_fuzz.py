"""Whatever strangers send, the answers are those that are documented, and the next good webhook is delivered.

``make fuzz`` sends a million requests, and prints what came of them; ``FUZZ_SEED`` makes the same ones again.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from besieged import besieged, too_much
from bridge.sandbox import Options, Sandbox
from fuzzing import Tally, answers_of, documented, fire_all, looked_at
from hostile_requests import MARK, Attack, Listener, Target, attack_of, kinds_of
from hostile_wire import Draft, Ending
from processes import commands

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

SEED = int(os.environ.get("FUZZ_SEED", "1"))
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "20000"))

MORE_MEMORY = 40.0
"""MiB that the process may hold more at the end than after the first tenth. The allocator keeps what a large
body took, and the ledger its pages: 10 to 20 more, whether 60,000 requests come or a million."""

MORE_DESCRIPTORS = 10
"""More than before: connections of its own to both systems, and files of the ledger."""


def progress(text: str) -> None:
    """For whoever watches ``make fuzz``; pytest keeps it for a failure otherwise."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


# -- requests ---------------------------------------------------------------------------------------


@pytest.mark.acceptance
@pytest.mark.timeout(300 + REQUESTS / 50)
async def test_whatever_is_sent_to_the_listeners_the_next_good_webhook_is_delivered(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]], tmp_path: Path
) -> None:
    progress(f"\nFUZZ_SEED={SEED}: {REQUESTS:,} requests")
    sandbox = await start_sandbox(Options(contacts=100, products=5))
    slowly = {"requests_per_minute": 300}  # most of what is kept is about nobody
    tally, began = Tally(), time.monotonic()
    async with (
        commands(tmp_path) as begin,
        besieged(tmp_path, sandbox, begin, salestrekker=slowly) as daemon,
    ):
        descriptors, after_a_tenth = daemon.descriptors, 0.0
        for tenth in range(10):
            numbers = range(REQUESTS * tenth // 10, REQUESTS * (tenth + 1) // 10)
            await fire_all(SEED, numbers, daemon.targets, daemon.ports.__getitem__, tally)
            await daemon.is_well()
            after_a_tenth = after_a_tenth or daemon.memory
            progress(
                f"{numbers.stop:>10,}: {numbers.stop / (time.monotonic() - began):,.0f} a second,"
                f" {daemon.memory:.0f} MiB, {daemon.descriptors} descriptors, {daemon.process.lines} lines"
            )
        progress(tally.table())
        assert [(shot.wrong, str(shot.attack)) for shot in tally.wrong] == []
        assert daemon.memory - after_a_tenth <= MORE_MEMORY
        await daemon.rests(descriptors + MORE_DESCRIPTORS)
        await daemon.delivers_a_newcomer()
        await daemon.stops(time.monotonic() - began)
    most_of_it_was_looked_at(tally)


def most_of_it_was_looked_at(tally: Tally) -> None:
    """Limits that keep everything out would make all of this worth nothing."""
    webhooks, admin = Listener.WEBHOOKS, Listener.ADMIN
    assert tally.share(webhooks, 202) > 0.2
    assert tally.share(webhooks, 400) > 0.2
    assert tally.share(admin, 200, 303, 403, 404, 409, 415) > 0.3
    for listener in Listener:
        assert tally.share(listener, 0) < 0.2, (
            "closed without an answer: those that broke off, and few others"
        )
        assert tally.share(listener, 429, 503) < 0.02
        assert {kind for one, kind in tally.kinds if one is listener} == {*kinds_of(listener)}


# -- what finds it: each check can fail ---------------------------------------------------------------

GOOD = b"HTTP/1.1 202 Accepted\r\nServer: trakor-bridge\r\nContent-Length: 0\r\n\r\n"
TARGETS = (
    Target(Listener.WEBHOOKS, token="0" * 32, ids=("one",)),
    Target(Listener.ADMIN, session="a=b", csrf="c", guest="d=e", guest_csrf="f"),
)


def attack(*, whole: bool = False, echoes: bool = False) -> Attack:
    return Attack(1, Listener.WEBHOOKS, "a kind", Draft(b"", Ending.HALF, whole=whole, echoes=echoes))


@pytest.mark.parametrize(
    ("raw", "wrong"),
    [
        (GOOD, ""),
        (GOOD + GOOD, ""),
        (GOOD.replace(b"202 Accepted", b"204 Odd"), "stands in no document"),
        (GOOD.replace(b"trakor-bridge", b"Python/3.11 aiohttp/3"), "it says that it is"),
        (GOOD.replace(b"Server: trakor-bridge\r\n", b""), "it says that it is None"),
        (GOOD.replace(b": 0\r\n\r\n", b": 13\r\n\r\n") + MARK.encode(), "it repeats what was sent"),
        (GOOD.replace(b"Server", f"X: <{MARK}>\r\nServer".encode()), "as markup"),
        (GOOD.replace(b": 0\r\n\r\n", b": 9\r\n\r\nTraceback"), "how it is made"),
        (GOOD + b"x", "no answer of HTTP"),
        (GOOD[:-2], "no answer of HTTP"),
        (b"HTTP/2.0 202 Accepted\r\n\r\n", "no answer of HTTP"),
        (b"", "has no answer"),
    ],
)
def test_an_answer_that_must_not_be_is_found(raw: bytes, wrong: str) -> None:
    shot = looked_at(attack(whole=True), raw, frozenset({202}))
    assert (wrong in shot.wrong) if wrong else not shot.wrong


def test_answers_are_told_apart_by_their_length() -> None:
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nHTTP"
    to_a_head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    answers, wrong = answers_of(b"HTTP/1.1 100 Continue\r\n\r\n" + first + to_a_head + first)
    assert [(one.status, one.body) for one in answers] == [(200, b"HTTP"), (200, b""), (200, b"HTTP")]
    assert not wrong


def test_the_same_seed_makes_the_same_requests() -> None:
    def made(seed: int) -> list[Attack]:
        return [attack_of(seed, number, TARGETS) for number in range(300)]

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_trouble_that_fills_the_log_is_found() -> None:
    assert too_much([{"event": "trouble"}] * 40, 60) == ["40 times 'trouble'"]
    assert too_much([{"event": "trouble"}] * 20, 60) == []


def test_each_listener_has_its_statuses_documented() -> None:
    assert {202, 404, 405, 413, 503} <= documented()[Listener.WEBHOOKS]
    assert {200, 401, 421, 503} <= documented()[Listener.ADMIN]
    assert 202 not in documented()[Listener.ADMIN]
    assert not {500, 504} & (documented()[Listener.WEBHOOKS] | documented()[Listener.ADMIN])
