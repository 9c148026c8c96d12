"""Whatever strangers send or a remote system answers: documented outcomes only, then it goes on as before.

``make fuzz`` sends a million requests and a hundred thousand answers, and prints what came of them. The same
``FUZZ_SEED`` makes the same ones again.
"""

from __future__ import annotations

import ctypes
import gc
import io
import os
import sys
import time
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import pytest
import structlog

from answered import Heard, ask_salestrekker, ask_trakor, told_too_much
from besieged import besieged, too_much
from bridge import logs
from bridge.errors import Refused, Rejected, Transient
from bridge.records import Stream
from bridge.sandbox import Options, Sandbox
from fuzzing import Tally, answers_of, documented, fire_all, looked_at
from hostile_answers import kinds_of_answers
from hostile_requests import MARK, Attack, Listener, Target, attack_of, kinds_of
from hostile_wire import Draft, Ending
from processes import commands
from tampering import Tampering
from weather import Weather

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from besieged import Besieged
    from bridges import Bridge
    from processes import Begin

SEED = int(os.environ.get("FUZZ_SEED", "1"))
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "10000"))
ANSWERS = int(os.environ.get("FUZZ_ANSWERS", "1000"))

MORE_MEMORY = 40.0
"""MiB that the process may hold more at the end than after the first tenth. The allocator keeps what a large
body took, and the ledger its pages: 10 to 20 more, whether 60,000 requests come or a million."""

MORE_DESCRIPTORS = 10
"""More than before: connections of its own to both systems, and files of the ledger."""


def progress(text: str) -> None:
    """For whoever watches ``make fuzz``; pytest keeps it for a failure otherwise."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def held() -> float:
    """MiB that this process holds, without what the allocator keeps of large answers for the next ones."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another system's
        ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_info().rss / 2**20


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


# -- answers ----------------------------------------------------------------------------------------


@pytest.mark.timeout(300 + ANSWERS / 20)
@pytest.mark.parametrize("ask", [ask_salestrekker, ask_trakor])
async def test_whatever_is_answered_a_client_gives_a_result_or_an_error_of_ours(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]],
    ask: Callable[[int, range, Sandbox, Heard], Awaitable[None]],
) -> None:
    """No other exception comes of it, nothing hangs, nothing of an answer stands in error or log."""
    number = ANSWERS // 2
    progress(f"\nFUZZ_SEED={SEED}: {number:,} answers to {ask.__name__}")
    sandbox = await start_sandbox(Options(contacts=60, products=20))
    heard, ours, written = Heard(), psutil.Process(), io.StringIO()
    memory, descriptors = 0.0, 0
    logs.configure("debug", "json", written)
    try:
        for tenth in range(10):
            await ask(SEED, range(number * tenth // 10, number * (tenth + 1) // 10), sandbox, heard)
            memory, descriptors = memory or held(), descriptors or ours.num_fds()
            progress(f"{number * (tenth + 1) // 10:>10,}: {held():.0f} MiB")
    finally:
        structlog.reset_defaults()
    progress(heard.table())
    assert heard.wrong == []
    assert MARK not in written.getvalue().lower()
    assert held() - memory <= MORE_MEMORY
    assert ours.num_fds() <= descriptors + MORE_DESCRIPTORS
    assert heard.kinds.keys() == kinds_of_answers()
    for outcome in ("a result", "Refused", "Transient"):
        assert heard.outcomes[outcome] > number / 50, "answers of all sorts were given"


@pytest.mark.acceptance
@pytest.mark.timeout(300 + ANSWERS / 20)
async def test_once_both_systems_answer_well_again_everything_is_delivered_once(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]], tmp_path: Path
) -> None:
    """A daemon that is started, swept and posted to while half of all answers are hostile."""
    number = ANSWERS // 10
    progress(f"\nFUZZ_SEED={SEED}: {number:,} answers to a daemon")
    sandbox = await start_sandbox(Options(contacts=80, products=10))
    async with AsyncExitStack() as stack:
        weather = Weather(SEED, number)
        source, destination = [
            await stack.enter_async_context(Tampering(urlsplit(url).port or 0, weather.tamper))
            for url in (sandbox.salestrekker_url, sandbox.trakor_url)
        ]
        begin = await stack.enter_async_context(commands(tmp_path))
        changes = {
            "salestrekker": {"url": f"http://127.0.0.1:{source.port}/graphql", "timeout": "1s"},
            "trakor": {"url": f"http://127.0.0.1:{destination.port}/api/public/v1", "timeout": "1s"},
            "webhooks": {"debounce": "20ms"},
        }
        daemon = await stack.enter_async_context(besieged(tmp_path, sandbox, begin, **changes))
        await weather.passes(daemon)
        await everything_is_delivered(daemon, begin)
        progress(f"{weather.hostile:,} of {weather.all:,} answers were hostile")
        await daemon.stops()


async def everything_is_delivered(daemon: Besieged, begin: Begin) -> None:
    """What was turned down meanwhile is tried again by a person; then nothing waits, and nothing is twice."""
    bridge = daemon.bridge
    await daemon.delivers_a_newcomer()
    await daemon.until(
        lambda: bridge.books.ids(Stream.PRODUCTS) >= {row["id"] for row in bridge.sandbox.products}
    )
    while bridge.books.ids(Stream.CONTACTS, *TURNED_DOWN) | bridge.books.ids(Stream.PRODUCTS, *TURNED_DOWN):
        retried = await (await begin("records", "retry", "--state", "rejected", "--yes")).ended()
        assert retried.status == 0, retried.err
        await daemon.until(lambda: not _waiting(bridge))
    await daemon.until(lambda: not _waiting(bridge))
    books = bridge.in_order()
    assert all(len(known.ids) <= 1 for known in books.known.values()), "two names for one source record"
    assert not bridge.sandbox.trakor.parties.twins()


TURNED_DOWN = ("rejected: refused-by-trakor", "rejected: server-error")
"""What comes of a record whose requests are answered so again and again while others are taken."""


def _waiting(bridge: Bridge) -> set[str]:
    return bridge.books.ids(Stream.CONTACTS, "pending") | bridge.books.ids(Stream.PRODUCTS, "pending")


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


@pytest.mark.parametrize(
    "error",
    [
        Transient(f"Salestrekker said {MARK}"),
        Refused("no", advice=MARK.upper()),
        Refused("no", seen=MARK),
    ],
)
def test_an_error_that_repeats_an_answer_is_found(error: Exception) -> None:
    assert told_too_much(error)
    outer = ValueError("no")
    outer.__cause__ = error
    assert told_too_much(outer)
    assert not told_too_much(Rejected("Trakor answered 400", words=MARK))


def test_trouble_that_fills_the_log_is_found() -> None:
    assert too_much([{"event": "trouble"}] * 40, 60) == ["40 times 'trouble'"]
    assert too_much([{"event": "trouble"}] * 20, 60) == []


def test_each_listener_has_its_statuses_documented() -> None:
    assert {202, 404, 405, 413, 503} <= documented()[Listener.WEBHOOKS]
    assert {200, 401, 421, 503} <= documented()[Listener.ADMIN]
    assert 202 not in documented()[Listener.ADMIN]
    assert not {500, 504} & (documented()[Listener.WEBHOOKS] | documented()[Listener.ADMIN])
