"""The sandbox's Trakor as a destination without sockets, in any weather.

::

    post ──> never leaves | cut before | blocked | Trakor: looks up … stores ──> answer
                                                       │                 └────> answer lost, late or another
                                                       └── goes on when the connection, or the bridge, is gone
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from bridge import names
from bridge.errors import BridgeError, NeverSent, Unanswered
from bridge.records import Product
from bridge.sandbox.firewall import Blocked
from bridge.sandbox.simulated_system import Call, Reply, html_reply, json_reply
from bridge.sandbox.trakor import SimulatedTrakor
from bridge.trakor import MALFORMED, build_body, interpret_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.records import Payload, TrakorAnswer
    from bridge.sandbox.trakor_store import Behaviour, RecordStore

__all__ = ["KEY", "LONGEST_WORK", "POISONS", "WEATHERS", "Arrival", "Site", "Window"]

KEY = "sk_live_machine"
LATENCY: Final = 0.2
"""Seconds between a look-up and what follows from it."""

LONGEST_WORK: Final = 150.0
"""Seconds for which a request may be at work (docs/trakor.md)."""

POISONS: Final = ("pox400", "pox500", "pox403", "poxpage")
"""Words that draw the same answer whenever they are sent."""

WEATHERS: Final = (
    "stored, answer lost", "cut", "late 1", "late 30", "late 140", "slow", "500", "500 stored", "429", "503",
    "504 stored", "504", "never sent", "400", "403", "page", "page stored", "half stored",
)  # fmt: skip
"""What the next request can meet."""


@dataclass(frozen=True)
class Arrival:
    """A request that came to Trakor.

    Attributes:
        name: Kind and name, the latter as loosely as any Trakor may read it.
        owner: Id of the record whose claim it was sent under; empty where nobody had one.
        regular: It was sent because it was pending; else it is a canary.
    """

    name: tuple[str, str]
    owner: str
    regular: bool


def reading_of(kind: str, name: str) -> tuple[str, str]:
    """A name as loosely as any Trakor may read it."""
    return kind, names.key(name)


class Site:
    """Trakor and the way to it.

    Args:
        loop: Where it works.
        behaviour: What its page leaves open.
        who: Tells whose claim a payload is sent under, and whether that is pending.

    Attributes:
        trakor: The sandbox's.
        weather: What the next requests meet.
        down: Every connection is cut.
        arrivals: The requests that came, proofs apart.
        turned_down: Ids of records that were ever refused, rejected or failed.
        made_by: Trakor's id -> id of the record that it was made for.
        faults: Promises that were broken on the way, in words.
        told: What became of each request, in words.
        until: Loosely read name -> when it may be sent again, in the loop's time.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        behaviour: Behaviour,
        who: Callable[[Payload], tuple[str, bool]],
    ) -> None:
        self._loop = loop
        self._who = who
        self._works: set[asyncio.Task[None]] = set()
        self._at_work: Counter[tuple[str, str]] = Counter()
        self.trakor = SimulatedTrakor(KEY, behaviour=behaviour)
        self.trakor.firewall.block("pox403", Blocked.FORBIDDEN)
        self.trakor.firewall.block("poxpage", Blocked.PAGE)
        self.weather: deque[str] = deque()
        self.down = False
        self.arrivals: list[Arrival] = []
        self.told: list[str] = []
        self.turned_down: set[str] = set()
        self.made_by: dict[str, str] = {}
        self.faults: list[str] = []
        self.until: dict[tuple[str, str], float] = {}

    @property
    def works(self) -> set[asyncio.Task[None]]:
        """What goes on at Trakor, whatever becomes of the bridge."""
        return set(self._works)

    @property
    def is_at_work(self) -> bool:
        """Whether any request is still being handled."""
        return bool(self._at_work.total())

    @property
    def awaits(self) -> bool:
        """Whether a name must not be sent yet."""
        return any(until > self._loop.time() for until in self.until.values())

    @property
    def shelves(self) -> dict[str, RecordStore]:
        """Parties and products."""
        return {"parties": self.trakor.parties, "products": self.trakor.products}

    def clear_up(self) -> None:
        """All faults end, but for what a record's own text draws."""
        self.weather.clear()
        self.down = False
        self.trakor.unfreeze()
        self.trakor.restore_key()
        self.trakor.behave(limit=None)

    def forget_waits(self) -> None:
        """The clock was set, or the ledger is another one: what it knew of unanswered names is void."""
        self.until.clear()

    async def probe(self) -> None:
        """The request that makes nothing."""
        if self.down:
            await asyncio.sleep(LATENCY)
            raise Unanswered("cut")
        reply = self.trakor.answer(Call("parties", "", orjson.loads(MALFORMED), KEY))
        if reply.status != 400:
            self._read(reply)

    async def post(self, payload: Payload) -> TrakorAnswer:
        """A payload is sent from a process that may die meanwhile."""
        weather = self.weather.popleft() if self.weather else ""
        if weather == "never sent":
            raise NeverSent("connection refused")
        arrival = self._arrive(payload)
        self.turned_down |= {arrival.owner} if weather or self.down else set()
        said: object = None
        try:
            said = answer = self._read(await self._sent(payload, arrival, "cut" if self.down else weather))
        except (Unanswered, asyncio.CancelledError) as fault:  # for all that the bridge knows it goes on
            said = fault
            self._wait(arrival, self._loop.time())
            raise
        except BridgeError as fault:
            said = fault
            self.turned_down.add(arrival.owner)
            raise
        finally:
            self._tell(f"{arrival} {weather}: {said!r}")
        return answer

    async def _sent(self, payload: Payload, arrival: Arrival, weather: str) -> Reply:
        """What comes back to the bridge; what it sets going goes on without it."""
        call = _call(payload)
        if weather == "cut":
            await asyncio.sleep(LATENCY)
            raise Unanswered("cut")
        if reply := self._in_front(call, weather):
            await asyncio.sleep(LATENCY)
            return reply
        replies: list[Reply] = []
        kind, _, seconds = weather.partition(" ")
        late = {"late": float(seconds or 0) if kind == "late" else 0.0, "slow": 60.0, "504": 100.0}.get(
            kind, 0.0
        )
        late = 0.0 if "stored" in weather else late
        work = self._loop.create_task(self._work(call, arrival, late, replies))
        self._works.add(work)
        work.add_done_callback(self._works.discard)
        if kind in {"late", "slow", "504"} and late:
            await asyncio.sleep(30.0 if kind == "slow" else LATENCY)
            raise Unanswered("no answer", timed_out=kind == "slow")
        await asyncio.shield(work)
        if weather in {"stored, answer lost", "504 stored"}:
            raise Unanswered("reset")
        return _garbled(weather) or replies[0]

    async def _work(self, call: Call, arrival: Arrival, late: float, replies: list[Reply]) -> None:
        """Trakor looks the name up, and stores it a while later."""
        self._at_work[arrival.name] += arrival.regular  # a canary's name is there, whatever comes of it
        try:
            finish = self.trakor.begin(call)
            await asyncio.sleep(LATENCY + late)
            reply = finish()
            said = orjson.loads(reply.body) if reply.status in {200, 201} and b"{" in reply.body[:1] else {}
            if said.get("created"):
                self.made_by[said["id"]] = arrival.owner
            replies.append(reply)
        finally:
            self._at_work[arrival.name] -= arrival.regular

    def _in_front(self, call: Call, weather: str) -> Reply | None:
        """What stands in front of Trakor, or in its rules, answers."""
        if call.refusal or self.trakor.firewall.refusal(call.content):
            return self.trakor.firewall.refusal(call.content)
        text = orjson.dumps(call.content).decode().casefold()
        if "pox400" in text or weather == "400":
            return json_reply(400, {"error": "name: Invalid"})
        if "pox500" in text or weather == "500":
            return json_reply(500, {"error": "Internal"})
        scripted = {"403": (403, {}), "429": (429, {"Retry-After": "5"}), "503": (503, {"Retry-After": "20"})}
        if weather in scripted:
            status, headers = scripted[weather]
            return json_reply(status, {"error": weather}, **headers)
        return html_reply(200, "Blocked") if weather == "page" else None

    def _arrive(self, payload: Payload) -> Arrival:
        """A request comes: never while another one for that name is, or may be, at work."""
        kind = "products" if isinstance(payload, Product) else "parties"
        owner, regular = self._who(payload)
        arrival = Arrival(reading_of(kind, payload.name), owner, regular)
        self.arrivals.append(arrival)
        self._tell(f"{arrival} comes: {payload}")
        if not owner:
            self.faults.append(f"sent without a claim: {payload.name}")
        if arrival.regular and self._at_work[arrival.name]:
            self.faults.append(f"sent while another request for it is at work: {payload.name}")
        if regular and self.until.get(arrival.name, 0.0) > self._loop.time() + 0.002:
            self.faults.append(f"sent again too early: {payload.name}")
        return arrival

    def _tell(self, what: str) -> None:
        self.told.append(f"{int(self._loop.time() * 1000)} {what}")

    def _wait(self, arrival: Arrival, since: float) -> None:
        self.until[arrival.name] = since + LONGEST_WORK

    @staticmethod
    def _read(reply: Reply) -> TrakorAnswer:
        headers = {name.lower(): value for name, value in reply.headers.items()}
        said = interpret_response(reply.status, headers, reply.body, 0.0)
        if isinstance(said, BridgeError):
            raise said
        return said


class Window:
    """Trakor as one process sees it.

    Attributes:
        closed: That process is dead: it sends nothing any more.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self.closed = False

    async def post(self, payload: Payload) -> TrakorAnswer:
        """See ``Destination``."""
        self._look()
        return await self._site.post(payload)

    async def probe(self) -> None:
        """See ``Destination``."""
        self._look()
        await self._site.probe()

    def _look(self) -> None:
        if self.closed:
            raise asyncio.CancelledError


def _call(payload: Payload) -> Call:
    kind = "products" if isinstance(payload, Product) else "parties"
    return Call(kind, payload.name, orjson.loads(build_body(payload)), KEY)


def _garbled(weather: str) -> Reply | None:
    """An answer that tells nothing of what was stored."""
    if weather == "500 stored":
        return json_reply(500, {"error": "Internal"})
    if weather == "page stored":
        return Reply(201, b"<html>", {"Content-Type": "text/html"})
    return Reply(201, b'{"id": "', {"Content-Type": "application/json"}) if weather == "half stored" else None
