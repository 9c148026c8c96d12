"""Fires hostile requests at a listener, many at once, and looks at all that comes back.

::

    attack ──from one of 200 addresses──> listener ──bytes──> answers_of ──> Shot: statuses, and what is wrong
                                                                                       └──> Tally

An answer is wrong if its status is none that docs/operations.md has for that listener, if it is not HTTP,
if it tells what program answers, or if it repeats what was sent.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from documentation import section
from hostile_requests import MARK, Attack, Listener, attack_of
from hostile_wire import Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hostile_requests import Target

__all__ = ["Answer", "Shot", "Tally", "answers_of", "documented", "fire", "fire_all"]

PATIENCE = 40.0
"""Seconds after which a connection hangs: a form is waited for 10, on a busy machine for longer."""

SOURCES = tuple(f"127.0.0.{number}" for number in range(2, 202))
"""Addresses of this machine that attacks come from."""

MOST_KEPT = 4 * 2**20
"""Bytes of answers on one connection that are looked at."""

AT_ONCE = 48
"""Connections at once: less than either listener has room for."""

_HEAD = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_SERVER = re.compile(rb"\r\nserver: *([^\r\n]*)\r\n", re.IGNORECASE)
_OPERATIONS = Path(__file__).parent.parent / "docs" / "operations.md"
_NO_BODY = frozenset({204, 304})


def documented() -> Mapping[Listener, frozenset[int]]:
    """The statuses that each listener may answer with, as docs/operations.md has them."""
    rows = re.findall(
        r"^\| (\d{3}) \| (.+?) \| (.+?) \|$", section(_OPERATIONS.read_text("utf-8"), _TITLE), re.MULTILINE
    )
    return {
        listener: frozenset(int(row[0]) for row in rows if row[column] != "never")
        for column, listener in enumerate((Listener.WEBHOOKS, Listener.ADMIN), start=1)
    }


_TITLE = "What the listeners answer"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of HTTP/1.1."""

    status: int
    head: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Shot:
    """What came of one attack.

    Attributes:
        attack: What was sent.
        answers: What was answered, in order; informational answers (1xx) left out.
        wrong: What must not be, in a sentence; empty where nothing is.
    """

    attack: Attack
    answers: tuple[Answer, ...] = ()
    wrong: str = ""


@dataclass
class Tally:
    """What came of many.

    Attributes:
        outcomes: (listener, status) -> how many connections had it as their first answer; 0: none.
        kinds: (listener, kind) -> how many.
        wrong: The first shots with something wrong.
        faults: How many had something wrong.
    """

    outcomes: Counter[tuple[Listener, int]] = field(default_factory=Counter)
    kinds: Counter[tuple[Listener, str]] = field(default_factory=Counter)
    wrong: list[Shot] = field(default_factory=list)
    faults: int = 0

    def note(self, shot: Shot) -> None:
        """Count one."""
        listener = shot.attack.listener
        self.kinds[listener, shot.attack.kind] += 1
        self.outcomes[listener, shot.answers[0].status if shot.answers else 0] += 1
        if shot.wrong:
            self.faults += 1
            if len(self.wrong) < 20:
                self.wrong.append(shot)

    def of(self, listener: Listener) -> int:
        """How many went to a listener."""
        return sum(number for (one, _), number in self.outcomes.items() if one is listener)

    def share(self, listener: Listener, *statuses: int) -> float:
        """The share of a listener's connections whose first answer has one of these statuses."""
        return sum(self.outcomes[listener, one] for one in statuses) / max(1, self.of(listener))

    def table(self) -> str:
        """The outcomes as lines of text."""
        lines = []
        for (listener, status), number in sorted(
            self.outcomes.items(), key=lambda one: (one[0][0].value, one[0][1])
        ):
            outcome = str(status) if status else "closed"
            lines.append(f"{listener.value:<10}{outcome:>7}{number:>10,}{number / self.of(listener):>8.1%}")
        return "\n".join(lines)


def answers_of(raw: bytes) -> tuple[tuple[Answer, ...], str]:
    """The answers on a connection, and what is wrong with their form.

    What follows a head at once as another head is the next answer: the one to a HEAD has no body.
    """
    found: list[Answer] = []
    at = 0
    while at < len(raw):
        if len(raw) >= MOST_KEPT:
            return tuple(found), ""  # as much as is looked at
        match = _HEAD.match(raw, at)
        end = raw.find(b"\r\n\r\n", at)
        if match is None or end < 0:
            return tuple(found), f"what is no answer of HTTP: {raw[at : at + 60]!r}"
        head, at = raw[at : end + 4], end + 4
        status = int(match[1])
        if status < 200:
            continue
        length = _LENGTH.search(head)
        if length is None and status not in _NO_BODY and at < len(raw) and not _HEAD.match(raw, at):
            return tuple(found), f"an answer that does not say how long it is: {head!r}"
        size = 0 if length is None or status in _NO_BODY or _HEAD.match(raw, at) else int(length[1])
        body, at = raw[at : at + size], min(len(raw), at + size)
        found.append(Answer(status, head, body))
    return tuple(found), ""


class _Connection(asyncio.Protocol):
    """One connection of an attacker."""

    def __init__(self, attack: Attack) -> None:
        self.raw = bytearray()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._draft = attack.draft
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        raw, pieces = self._draft.raw, self._draft.pieces
        if pieces == 1:
            transport.write(raw)
            self._end()
        else:
            size = max(1, len(raw) // pieces)
            self._write([raw[at : at + size] for at in range(0, len(raw), size)])

    def _write(self, parts: list[bytes]) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(parts[0])
        if parts[1:]:
            asyncio.get_running_loop().call_soon(self._write, parts[1:])
        else:
            self._end()

    def _end(self) -> None:
        match self._draft.ending:
            case Ending.HALF:
                with suppress(OSError):  # it has been ended by the other side
                    self._transport.write_eof()
            case Ending.CLOSE:
                self._transport.close()
            case Ending.RESET:
                linger = struct.pack("ii", 1, 0)
                self._transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
                self._transport.abort()
            case _:
                pass

    def data_received(self, data: bytes) -> None:
        if len(self.raw) < MOST_KEPT:
            self.raw += data
        if self._draft.ending is Ending.WAIT:
            self._transport.close()

    def eof_received(self) -> None:
        pass

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self.ended.done():
            self.ended.set_result(None)

    def give_up(self) -> None:
        self._transport.abort()


async def fire(attack: Attack, port: int, source: str, allowed: frozenset[int]) -> Shot:
    """One attack.

    Args:
        attack: What is sent.
        port: Of the listener, on 127.0.0.1.
        source: The address that it comes from.
        allowed: Statuses that may be answered.
    """
    loop = asyncio.get_running_loop()
    try:
        _, connection = await loop.create_connection(
            lambda: _Connection(attack), "127.0.0.1", port, local_addr=(source, 0)
        )
    except ConnectionError as error:
        return Shot(attack, wrong=f"no connection could be made: {error}")
    try:
        async with asyncio.timeout(PATIENCE):
            await connection.ended
    except TimeoutError:
        connection.give_up()
        return Shot(attack, wrong=f"neither an answer nor an end within {PATIENCE:.0f} s")
    return looked_at(attack, bytes(connection.raw), allowed)


def looked_at(attack: Attack, raw: bytes, allowed: frozenset[int]) -> Shot:
    """What is to be said of what came back."""
    answers, wrong = answers_of(raw)
    if attack.draft.whole and attack.draft.ending is Ending.HALF and not answers:
        wrong = wrong or "a whole request has no answer"
    for answer in answers:
        wrong = wrong or _fault(attack, answer, allowed)
    return Shot(attack, answers, wrong)


def _fault(attack: Attack, answer: Answer, allowed: frozenset[int]) -> str:
    server = _SERVER.search(answer.head)
    said = (answer.head + answer.body).lower()
    if answer.status not in allowed:
        return f"status {answer.status} stands in no document"
    if server is None or server[1] != b"trakor-bridge":
        return f"it says that it is {None if server is None else server[1]!r}"
    if b"traceback" in said or b"aiohttp" in answer.head.lower():
        return "it tells how it is made"
    if f"<{MARK}".encode() in said or f"<script>{MARK}".encode() in said:
        return "it repeats what was sent as markup"
    if MARK.encode() in said and not attack.draft.echoes:
        return "it repeats what was sent"
    return ""


async def fire_all(
    seed: int,
    numbers: range,
    targets: Sequence[Target],
    port_of: Callable[[Listener], int],
    tally: Tally,
) -> None:
    """Many attacks, some at once.

    Args:
        seed: Of all attacks.
        numbers: Of those to be made.
        targets: The listeners.
        port_of: Listener -> its port.
        tally: What came of them is noted there.
    """
    waiting = iter(numbers)
    allowed = documented()
    turns = count()

    async def work() -> None:
        for number in waiting:
            attack = attack_of(seed, number, targets)
            source = SOURCES[next(turns) % len(SOURCES)]
            tally.note(await fire(attack, port_of(attack.listener), source, allowed[attack.listener]))

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
