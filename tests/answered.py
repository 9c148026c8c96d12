"""One hostile answer to one call of a client: what came of it, and what must not be."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bridge.errors import BridgeError
from bridge.records import Draft, Party, Product, Stream, Unsendable
from bridge.retry import RetryPolicy
from bridge.salestrekker.by_id_query import load_by_id_query, load_deal_query
from bridge.salestrekker.client import SalestrekkerClient
from bridge.salestrekker.list_query import load_list_query
from bridge.salestrekker.login import WrongOrganization
from bridge.salestrekker.query_files import shipped_queries
from bridge.trakor import TrakorClient
from hostile_answers import spoiled
from hostile_wire import MARK
from mappers import mapper
from tampering import Tampering

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.sandbox import Sandbox
    from hostile_answers import Good, Spoiled

__all__ = ["Heard", "ask_salestrekker", "ask_trakor", "told_too_much"]

SHIPPED = [shipped_queries()]
CONTACTS, PRODUCTS = (
    load_list_query("contacts.graphql", SHIPPED),
    load_list_query("products.graphql", SHIPPED),
)
CONTACT, TICKET = load_by_id_query("contact.graphql", SHIPPED), load_deal_query("ticket.graphql", SHIPPED)
MAPPERS = {stream: mapper(stream) for stream in Stream}
TIMEOUT = 1.0
"""Seconds that a client waits for an answer."""

HANGS = 60.0
"""Seconds after which a call hangs: it is not tried a second time, and a list has few pages."""

AT_ONCE = 16


@dataclass
class Heard:
    """What came of many hostile answers.

    Attributes:
        outcomes: The kind of error, or "a result" -> how often.
        kinds: What was wrong with the answers -> how often.
        wrong: What must not be: the first ones, each with its number and the answer.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def fault(self, number: int, what: str, said: Spoiled | None) -> None:
        """Note what must not be."""
        if len(self.wrong) < 20:
            raw = b"" if said is None else said.raw
            self.wrong.append(f"{number}: {what}; {said and said.kind}: {raw[:400]!r} [{len(raw)}]")

    def table(self) -> str:
        """The outcomes as lines of text."""
        return "\n".join(f"{outcome:<30}{number:>10,}" for outcome, number in sorted(self.outcomes.items()))


def told_too_much(error: BaseException) -> str:
    """What of an answer stands in an error or its causes; empty where nothing does.

    What Trakor says of a record that it rejects is kept apart (``Rejected.words``) and sealed.
    """
    seen: BaseException | None = error
    while seen is not None:
        said = " ".join([str(seen), repr(seen.args), getattr(seen, "advice", ""), getattr(seen, "seen", "")])
        if MARK in said.lower():
            return said[:300]
        seen = seen.__cause__ or seen.__context__
    return ""


async def _met(heard: Heard, number: int, call: Awaitable[None], said: list[Spoiled]) -> None:
    """Wait for a call, and note what came of it."""
    try:
        async with asyncio.timeout(HANGS):
            await call
    except BridgeError as error:
        heard.outcomes[type(error).__name__] += 1
        # The organisations of a log-in are listed for whoever has to choose one.
        if (told := told_too_much(error)) and not isinstance(error, WrongOrganization):
            heard.fault(number, f"{type(error).__name__} tells {told}", said[0] if said else None)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
        heard.fault(number, f"{error!r:.400}", said[0] if said else None)
    else:
        heard.outcomes["a result"] += 1
    heard.kinds.update(one.kind for one in said)


class _Turns:
    """Spoils one answer of each call, or all from that one on."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.said: dict[int, list[Spoiled]] = {}
        self._left: dict[int, tuple[int, bool]] = {}

    def begin(self, number: int, place: int, *, always: bool) -> list[Spoiled]:
        """The answer at this place of a call is to be spoiled."""
        self._left[number] = (place, always)
        return self.said.setdefault(number, [])

    def end(self, number: int) -> None:
        """The call is over."""
        del self._left[number], self.said[number]

    def tamper(self, number: int, good: Good) -> Spoiled | None:
        """Whether this answer is the one, and what is said instead."""
        if number not in self._left:
            return None
        place, always = self._left[number]
        self._left[number] = (place - 1, always)
        if place > 0 or (place < 0 and not always):
            return None
        found = spoiled(self._seed, number, good)
        self.said[number].append(found)
        return found


async def ask_salestrekker(seed: int, numbers: range, sandbox: Sandbox, heard: Heard) -> None:
    """Reads of all sorts, each by a client of its own, with a hostile answer at one of its steps."""
    port = urlsplit(sandbox.salestrekker_url).port
    assert port
    ids = [sandbox.contacts.id_at(place) for place in range(3)]
    calls: list[Callable[[SalestrekkerClient], Awaitable[object]]] = [
        lambda client: client.authenticate(),
        lambda client: client.probe(),
        lambda client: client.organizations(),
        lambda client: _read(client, Stream.CONTACTS),
        lambda client: _read(client, Stream.CONTACTS),
        lambda client: _read(client, Stream.PRODUCTS),
        lambda client: _ones(client, ids),
        lambda client: client.read_deal_contacts(TICKET, ids, 2),
    ]
    waiting = iter(numbers)

    async def work() -> None:
        turns = _Turns(seed)
        current = 0

        def tamper(_: bytes, good: Good) -> Spoiled | None:
            return turns.tamper(current, good)

        async with Tampering(port, tamper, remembers=True) as remote:
            for current in waiting:
                chance = random.Random(f"call:{seed}:{current}")  # noqa: S311 - to be had again
                said = turns.begin(
                    current, chance.choice((0, 0, 1, 2, 2, 2, 3)), always=chance.random() < 0.3
                )
                async with SalestrekkerClient(
                    url=f"http://127.0.0.1:{remote.port}/graphql",
                    api_key=sandbox.options.api_key,
                    organization=chance.choice(("", "", "", "Sandbox Finance", "x")),
                    requests_per_minute=0,
                    timeout=TIMEOUT,
                    retries=RetryPolicy(attempts=1, total=0.1, first=0.001, longest=0.002),
                    max_body=4 * 2**20,
                ) as client:
                    call = chance.choice(calls)
                    await _met(heard, current, _whole(call(client)), said)
                turns.end(current)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())


async def _whole(call: Awaitable[object]) -> None:
    await call


def _id_of(data: object) -> str | None:
    return MAPPERS[Stream.CONTACTS].identify(data) if isinstance(data, dict) else None


async def _read(client: SalestrekkerClient, stream: Stream) -> None:
    """Read a list to its end, and make drafts of its records."""
    query = CONTACTS if stream is Stream.CONTACTS else PRODUCTS
    walk = client.read_pages(query, stream=stream, identify=_id_of, page_size=30)
    async with aclosing(walk) as pages:
        async for page in pages:
            for record in page.records:
                assert isinstance(MAPPERS[stream](record), Draft | Unsendable)


async def _ones(client: SalestrekkerClient, ids: list[str]) -> None:
    found = await client.read_by_id(CONTACT, ids, stream=Stream.CONTACTS, identify=_id_of, ids_per_request=2)
    for record in found.records:
        assert isinstance(MAPPERS[Stream.CONTACTS](record), Draft | Unsendable)


async def ask_trakor(seed: int, numbers: range, sandbox: Sandbox, heard: Heard) -> None:
    """Posts, by one client for all, and each second one a good one, which must have an answer of its own."""
    port = urlsplit(sandbox.trakor_url).port
    assert port
    waiting = iter(numbers)
    turns = _Turns(seed)

    def tamper(body: bytes, good: Good) -> Spoiled | None:
        _, _, rest = body.partition(b"Hostile ")
        return turns.tamper(int(rest.partition(b" ")[0]), good) if rest else None

    async with (
        Tampering(port, tamper) as remote,
        TrakorClient(
            f"http://127.0.0.1:{remote.port}/api/public/v1", sandbox.options.trakor_key, timeout=TIMEOUT
        ) as client,
    ):

        async def work() -> None:
            for number in waiting:
                said = turns.begin(number, 0, always=True)
                name = f"Hostile {number} Name"
                payload = Party(name) if number % 3 else Product(name)
                await _met(heard, number, _whole(client.post(payload)), said)
                turns.end(number)
                await _good_one(client, number, heard)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())


async def _good_one(client: TrakorClient, number: int, heard: Heard) -> None:
    """A post in between: its answer is its own, or there is none that counts."""
    name = f"Good {number % 50}"
    try:
        answer = await client.post(Party(name))
    except BridgeError as error:
        heard.outcomes[f"in between: {type(error).__name__}"] += 1
    else:
        heard.outcomes["in between: a result"] += 1
        if answer.name != name:
            heard.fault(number, f"the next one, {name!r}, was given the answer {answer!r}", None)
