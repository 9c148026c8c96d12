"""Sending as a service, over real sockets: each error begins in mid-work and ends, also over a restart."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from books import kept
from bridge.delivery import DeliverySupervisor, OutgoingStream
from bridge.ledger.database import writing
from bridge.ledger.pauses import Direction, clear_pause, list_pauses, set_pause
from bridge.ledger.send_queue import release_claims
from bridge.records import Policy
from bridge.sandbox import Fault
from bridge.trakor import TrakorClient
from builders import HASHER
from rigs import PRODUCTS, QUICK, WatchedLedger, names, now, some_turns, trakor_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from bridge.delivery.types import Destination
    from bridge.ledger.pauses import Pause
    from bridge.records import Payload, TrakorAnswer
    from bridge.sandbox import Sandbox
    from bridge.sandbox.traffic import Exchange
    from rigs import Rig

    Change = Callable[[Sandbox], object]

SENDING = Direction.SENDING
IN_FLIGHT = QUICK["max_in_flight"]
NAMES, LOANS = 80, 20
ALL = NAMES + LOANS


class Service:
    """Sending over a rig, as the daemon keeps it: it can be stopped, killed and started again."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.settings: dict[str, Any] = {}
        self.destination: Destination = rig.client
        self.known: dict[str, Pause] = {}
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._sending: DeliverySupervisor | None = None

    async def start(self, **settings: Any) -> None:  # noqa: ANN401 - numbers
        """Start it, as a new process would."""
        self.settings |= settings
        for feed in self.rig.feeds.values():
            await self.rig.ledger.call(release_claims, feed, now=now(), wait=20)
        self._sending = DeliverySupervisor(
            self.rig.ledger,
            {stream: OutgoingStream(feed, Policy()) for stream, feed in self.rig.feeds.items()},
            self.destination,
            trakor_settings(**self.settings),
            name="default",
            key_of=HASHER.name_key,
            clock=now,
            random=random.Random(1).random,  # noqa: S311 - jitter
            on_change=self._changed.set,
        )
        self._running = asyncio.create_task(self._sending.run())

    async def stop(self) -> None:
        """Stop it in order."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def kill(self) -> None:
        """End it without giving anything the time to end."""
        running, self._running = self._running, None
        assert running is not None
        running.cancel()
        await some_turns(3)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    async def ended(self) -> None:
        """Wait until it ends by itself, and let its error show."""
        running, self._running = self._running, None
        assert running is not None
        async with asyncio.timeout(10):
            await running

    def look(self) -> None:
        """Let it know that another process has written."""
        assert self._sending is not None
        self._sending.notice_change()

    def wake(self) -> None:
        """Let it know that more is pending."""
        assert self._sending is not None
        self._sending.wake()

    async def pauses(self) -> dict[str, Pause]:
        """What the ledger has."""
        found = await self.rig.ledger.call(list_pauses)
        return {pause.direction: pause for pause in found}

    async def until(self, condition: Callable[[Mapping[str, Pause]], object]) -> dict[str, Pause]:
        """Wait until this holds of the pauses in the ledger."""
        async with asyncio.timeout(10):
            while True:
                self._changed.clear()
                found = await self.pauses()
                if condition(found):
                    return found
                await self._changed.wait()

    def pause(self) -> None:
        """A person pauses it, in a process of their own."""
        with writing(self.rig.ledger.path, kept(self.rig.ledger.path)) as connection:
            set_pause(connection, "default", SENDING, reason="a person paused it", now=now(), by_person=True)
        self.look()

    def resume(self) -> None:
        """A person resumes it."""
        with writing(self.rig.ledger.path, kept(self.rig.ledger.path)) as connection:
            for direction in (SENDING, "sending contacts", "sending products"):
                clear_pause(connection, "default", direction, by_person=True)
        self.look()

    async def settled_down(self) -> None:
        """Wait until it has looked at the pauses anew, and has nothing to do but to wait."""
        ledger = self.rig.ledger
        assert isinstance(ledger, WatchedLedger)
        begun = ledger.calls["_pauses_of_sending"]
        self.look()
        await ledger.wait_for(lambda: ledger.ended["_pauses_of_sending"] > begun)
        await some_turns()

    async def all_is_delivered(self, number: int) -> None:
        """Nothing is missing, nothing twice, nothing paused."""
        ledger = self.rig.ledger
        assert isinstance(ledger, WatchedLedger)
        settled = ledger.calls["settle"]
        while "pending" in await self.rig.states():
            await ledger.wait_for(partial(_more_than, ledger, settled))
            settled = ledger.calls["settle"]
        await self.until(lambda pauses: not pauses)
        await self.stop()
        await self.rig.all_is_delivered(number)


def _more_than(ledger: WatchedLedger, settled: int) -> bool:
    return ledger.calls["settle"] > settled


@pytest.fixture
async def service(rig: Rig) -> AsyncIterator[Service]:
    """Sending, with records of both streams pending."""
    rig.trakor.latency = 0.001
    await rig.want(names(NAMES))
    await rig.want(names(LOANS, "Loan"), PRODUCTS)
    service = Service(rig)
    try:
        yield service
    finally:
        await service.stop()


async def in_mid_work(service: Service) -> int:
    """Let it get under way; gives how many requests there were."""
    trakor = service.rig.trakor
    await trakor.wait_for(lambda: len(trakor.parties) + len(trakor.products) >= 20)
    return trakor.traffic.total


def _revoke(sandbox: Sandbox) -> None:
    sandbox.trakor.revoke_key()


def _freeze(sandbox: Sandbox) -> None:
    sandbox.trakor.freeze()


def _every(error: Fault) -> Change:
    return lambda sandbox: sandbox.trakor.faults.add(error)


def _mend(sandbox: Sandbox) -> None:
    sandbox.trakor.restore_key()
    sandbox.trakor.unfreeze()
    sandbox.trakor.faults.clear()


REFUSALS = [
    pytest.param(_revoke, "401", id="401"),
    pytest.param(_freeze, "403", id="403"),
    pytest.param(_every(Fault(status=404, times=None)), "404", id="404"),
    pytest.param(_every(Fault(status=302, headers={"Location": "/"}, times=None)), "redirect", id="302"),
]
OUTAGES = [
    pytest.param(_every(Fault(status=500, times=None)), "500", id="500"),
    pytest.param(_every(Fault(reset=True, times=None)), "no answer", id="reset"),
    pytest.param(_every(Fault(reset=True, commit=True, times=None)), "no answer", id="answers lost"),
    pytest.param(_every(Fault(status=503, times=None)), "503", id="503"),
]


# A error of all begins and ends


@pytest.mark.parametrize("ending", ["none", "kill"])
@pytest.mark.parametrize(("breaking", "reason"), [*REFUSALS, *OUTAGES])
async def test_a_fault_that_begins_and_ends_loses_nothing_doubles_nothing_and_costs_few_requests(
    service: Service, breaking: Change, reason: str, ending: str
) -> None:
    trakor = service.rig.trakor
    await service.start()
    before = await in_mid_work(service)
    began = time.monotonic()
    breaking(service.rig.sandbox)
    assert reason in (await service.until(lambda pauses: SENDING in pauses))[SENDING].reason
    if ending == "kill":
        await service.kill()
        await service.start()
    seen = trakor.traffic.total
    await trakor.wait_for(lambda: trakor.traffic.total >= seen + 4)
    probes = (time.monotonic() - began) / (QUICK["probe_first"] / 2)
    assert trakor.traffic.total - before <= 8 + 2 * IN_FLIGHT + probes
    states = await service.rig.states()
    assert set(states) <= {"delivered", "pending"}, "nothing is marked"
    assert len(await service.pauses()) == 1
    _mend(service.rig.sandbox)
    await service.all_is_delivered(ALL)
    assert {row.failures for row in (await service.rig.rows()).values()} == {0}


@pytest.mark.parametrize(("breaking", "reason"), REFUSALS)
async def test_a_refusal_uses_up_no_attempt(service: Service, breaking: Change, reason: str) -> None:
    await service.start(probe_first=100, probe_max=100)
    await in_mid_work(service)
    breaking(service.rig.sandbox)
    await service.until(lambda pauses: reason in pauses[SENDING].reason if pauses else False)
    await service.stop()
    rows = (await service.rig.rows()).values()
    assert {row.attempts for row in rows if row.state == "pending"} == {0}
    assert {row.claimed_until for row in rows} == {0}


@pytest.mark.parametrize(("breaking", "reason"), [*REFUSALS, *OUTAGES])
async def test_a_restart_in_a_fault_begins_with_one_probe_when_it_is_due(
    service: Service, breaking: Change, reason: str
) -> None:
    trakor = service.rig.trakor
    await service.start(probe_first=0.2, probe_max=0.2)
    await in_mid_work(service)
    breaking(service.rig.sandbox)
    await service.until(lambda pauses: SENDING in pauses)
    await service.stop()
    pause = (await service.pauses())[SENDING]
    assert reason in pause.reason
    _mend(service.rig.sandbox)
    trakor.traffic.clear()
    gate = asyncio.Event()
    trakor.faults.add(Fault(gate=gate))
    await service.start()
    await trakor.wait_for(lambda: trakor.traffic.total)
    assert now() >= pause.next_try_at
    assert [exchange.name for exchange in trakor.traffic.exchanges] == [""], "one that makes nothing"
    await some_turns()
    assert trakor.traffic.total == 1
    gate.set()
    await service.all_is_delivered(ALL)
    in_flight = [exchange.in_flight for exchange in trakor.traffic.exchanges]
    assert in_flight[:2] == [1, 1], "what follows the probe is one record"
    assert max(in_flight[2:4]) <= 2


async def test_nobody_at_the_address_is_an_outage_and_over_when_somebody_is(rig: Rig) -> None:
    """Connections are refused, in mid-work and over a restart."""
    door = Door(rig.sandbox)
    await door.open()
    async with TrakorClient(door.url, rig.sandbox.options.trakor_key, timeout=5) as client:
        await rig.want(names(NAMES))
        rig.trakor.latency = 0.001
        service = Service(rig)
        service.destination = client
        await service.start()
        await in_mid_work(service)
        await door.close()
        pauses = await service.until(lambda pauses: SENDING in pauses and pauses[SENDING].tries >= 2)
        assert "Trakor cannot be reached" in pauses[SENDING].reason
        await service.stop()
        await service.start()
        await service.until(lambda pauses: pauses[SENDING].tries >= 5)
        await door.open()
        await service.all_is_delivered(NAMES)
    await door.close()


class Door:
    """An address at which Trakor is, while it is open."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._handle = sandbox.trakor.handle
        self._runner: web.ServerRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/api/public/v1"

    async def open(self) -> None:
        """Answer; at the address of the last time."""
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Be gone: connections are cut, and refused from then on."""
        assert self._runner is not None
        await self._runner.cleanup()


async def test_a_wait_that_is_asked_for_outlasts_a_restart(service: Service) -> None:
    trakor = service.rig.trakor
    await service.start()
    await in_mid_work(service)
    trakor.faults.add(Fault(status=503, headers={"Retry-After": "1"}))
    pauses = await service.until(lambda pauses: pauses)
    assert pauses[SENDING].reason == "Trakor asked to be left alone: Trakor answered 503"
    await service.stop()
    seen = trakor.traffic.total
    await service.start()
    await trakor.wait_for(lambda: trakor.traffic.total > seen)
    assert now() >= pauses[SENDING].next_try_at
    await service.all_is_delivered(ALL)


def _named(exchange: Exchange) -> bool:
    return bool(exchange.name)


async def test_where_the_probe_and_a_canary_pass_not_the_waits_grow_all_the_same(service: Service) -> None:
    """An organisation that is frozen, and answers what is malformed before it says so."""
    trakor = service.rig.trakor
    await service.start()
    await in_mid_work(service)
    await trakor.wait_for(lambda: len(trakor.products) == LOANS and len(trakor.parties) == NAMES)
    trakor.faults.add(Fault(where=_named, status=403, times=None))
    await service.rig.want(names(20, "Bea"))
    seen = trakor.traffic.total
    service.wake()
    pauses = await service.until(lambda pauses: pauses and pauses[SENDING].tries >= 4)
    assert trakor.traffic.total - seen <= IN_FLIGHT + 2 + 4 * (pauses[SENDING].tries + 1)
    assert {row.state for row in (await service.rig.rows()).values()} == {"delivered", "pending"}
    trakor.faults.clear()
    await service.all_is_delivered(ALL + 20)


async def test_without_a_canary_it_goes_on_one_by_one_and_stops_at_twenty(rig: Rig) -> None:
    """Nothing was ever taken: whether these are refused or all would be, nobody knows."""
    await rig.want(names(NAMES))
    rig.trakor.faults.add(Fault(where=_named, status=403, times=None))
    service = Service(rig)
    await service.start(probe_first=100, probe_max=100)
    await service.until(lambda pauses: "sending contacts" in pauses)
    tried = [exchange.name for exchange in rig.trakor.traffic.of("parties") if exchange.name]
    assert (len(tried), len(set(tried))) == (20, 20)
    assert max(exchange.in_flight for exchange in rig.trakor.traffic.exchanges) == 1
    rig.trakor.faults.clear()
    service.resume()
    await service.all_is_delivered(NAMES)


async def test_a_next_try_far_ahead_is_of_a_clock_that_was_set_back(service: Service) -> None:
    with writing(service.rig.ledger.path, kept(service.rig.ledger.path)) as connection:
        year = now() + 365 * 86_400_000
        set_pause(connection, "default", SENDING, reason="401", now=now(), next_try_at=year)
    await service.start()
    await service.all_is_delivered(ALL)


async def test_what_comes_while_it_runs_is_sent(service: Service) -> None:
    await service.start()
    await service.rig.trakor.wait_for(lambda: len(service.rig.trakor.parties) == NAMES)
    await service.rig.want(names(20, "Bea"))
    service.wake()
    await service.all_is_delivered(ALL + 20)


async def test_answers_count_for_the_run_that_read_the_record(service: Service) -> None:
    """One delivery sends what many sweeps have read."""
    await service.start()
    await service.all_is_delivered(ALL)
    assert {row.answered_run - row.run for row in (await service.rig.rows()).values()} == {0}


# Twenty rejected in a row


def _reject_contacts(sandbox: Sandbox) -> None:
    sandbox.trakor.faults.add(Fault(kind="parties", status=400, times=None))


@pytest.mark.parametrize("ending", ["none", "stop", "kill"])
async def test_twenty_rejected_in_a_row_stop_their_stream_until_one_is_taken(
    service: Service, ending: str
) -> None:
    trakor = service.rig.trakor
    await service.start()
    await in_mid_work(service)
    begun = trakor.traffic.kinds["parties"]
    _reject_contacts(service.rig.sandbox)
    pauses = await service.until(lambda pauses: "sending contacts" in pauses)
    assert "turned down 20 different contacts" in pauses["sending contacts"].reason
    if ending != "none":
        await (service.stop() if ending == "stop" else service.kill())
        await service.start()
    await trakor.wait_for(lambda: len(trakor.products) == LOANS)
    tried = await service.until(lambda pauses: pauses["sending contacts"].tries >= 4)
    assert trakor.traffic.kinds["parties"] - begun <= 20 + 2 * IN_FLIGHT + tried["sending contacts"].tries + 1
    tries = [exchange.name for exchange in trakor.traffic.of("parties")][-3:]
    assert len(set(tries)) == 3, "each time another one"
    rows = (await service.rig.rows()).values()
    assert {row.state for row in rows} == {"pending", "delivered"}
    _mend(service.rig.sandbox)
    await service.all_is_delivered(ALL)


async def test_both_streams_can_be_stopped_and_come_back_one_by_one(service: Service) -> None:
    contacts = service.rig.trakor.faults.add(Fault(kind="parties", status=400, times=None))
    service.rig.trakor.faults.add(Fault(kind="products", status=400, times=None))
    await service.start(probe_first=0.5, probe_max=0.5)  # both come to twenty before the first is tried
    await service.until(lambda pauses: {"sending contacts", "sending products"} <= pauses.keys())
    service.rig.trakor.faults.remove(contacts)
    await service.until(lambda pauses: "sending contacts" not in pauses)
    assert "sending products" in await service.pauses()
    service.rig.trakor.faults.clear()
    await service.all_is_delivered(ALL)


async def test_a_stopped_stream_of_which_nothing_waits_keeps_nobody_else_waiting(service: Service) -> None:
    with writing(service.rig.ledger.path, kept(service.rig.ledger.path)) as connection:
        for stream in ("contacts", "products"):
            set_pause(connection, "default", f"sending {stream}", reason="twenty", now=now())
    service.rig.trakor.faults.add(Fault(kind="products", status=422, times=None))
    await service.start()
    await service.until(lambda pauses: "sending contacts" not in pauses)
    await service.rig.trakor.wait_for(lambda: len(service.rig.trakor.parties) == NAMES)
    pauses = await service.until(lambda pauses: pauses["sending products"].tries >= 3)
    assert pauses["sending products"].reason == "twenty"
    assert set((await service.rig.states()).get("rejected", ())) == set()


async def test_a_refusal_while_one_record_is_tried_stops_all(service: Service) -> None:
    with writing(service.rig.ledger.path, kept(service.rig.ledger.path)) as connection:
        set_pause(connection, "default", "sending contacts", reason="twenty", now=now())
    service.rig.trakor.freeze()
    await service.start()
    pauses = await service.until(lambda pauses: SENDING in pauses)
    assert "frozen" in pauses[SENDING].reason
    service.rig.trakor.unfreeze()
    await service.all_is_delivered(ALL)


# A person


async def test_a_persons_pause_lets_those_in_flight_end_and_none_begin(service: Service) -> None:
    trakor = service.rig.trakor
    gate = asyncio.Event()
    trakor.faults.add(Fault(where=lambda _: trakor.traffic.total > 20, gate=gate, times=None))
    await service.start()
    await trakor.wait_for(lambda: trakor.traffic.total == 20 + IN_FLIGHT)
    seen = trakor.traffic.total
    service.pause()
    await service.settled_down()
    gate.set()
    await trakor.wait_for(lambda: not trakor.traffic.in_flight)
    await service.settled_down()
    assert trakor.traffic.total == seen
    rows = (await service.rig.rows()).values()
    assert sum(row.state == "delivered" for row in rows) == seen, "each has its answer"
    assert {row.attempts for row in rows if row.state == "pending"} == {0}
    service.resume()
    await service.all_is_delivered(ALL)


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_a_persons_pause_outlasts_a_restart(service: Service, ending: str) -> None:
    trakor = service.rig.trakor
    await service.start()
    await in_mid_work(service)
    service.pause()
    await (service.stop() if ending == "stop" else service.kill())
    seen = trakor.traffic.total
    await service.start()
    await service.settled_down()
    service.wake()
    await service.settled_down()
    assert trakor.traffic.total == seen
    assert (await service.pauses())[SENDING].by_person
    service.resume()
    await service.all_is_delivered(ALL)


@pytest.mark.parametrize("breaking", [_freeze, _every(Fault(status=500, times=None)), _reject_contacts])
async def test_while_a_persons_pause_stands_nothing_is_probed(service: Service, breaking: Change) -> None:
    trakor = service.rig.trakor
    await service.start()
    await in_mid_work(service)
    breaking(service.rig.sandbox)
    await service.until(lambda pauses: pauses)
    service.pause()
    await service.settled_down()
    await trakor.wait_for(lambda: not trakor.traffic.in_flight)
    await service.settled_down()
    seen = trakor.traffic.total
    for _ in range(5):
        await service.settled_down()
    assert trakor.traffic.total == seen
    assert (await service.pauses())[SENDING].by_person
    _mend(service.rig.sandbox)
    service.resume()
    await service.all_is_delivered(ALL)


@pytest.mark.parametrize(
    "breaking", [_freeze, _every(Fault(status=500, times=None)), _reject_contacts], ids=["403", "500", "400"]
)
@pytest.mark.parametrize("mended", [True, False])
async def test_resume_tries_at_once_what_stopped_by_itself(
    service: Service, breaking: Change, *, mended: bool
) -> None:
    trakor = service.rig.trakor
    await service.start(probe_first=100, probe_max=100)
    await in_mid_work(service)
    breaking(service.rig.sandbox)
    (direction,) = await service.until(lambda pauses: pauses)
    await service.settled_down()
    if mended:
        _mend(service.rig.sandbox)
        service.resume()
        await service.all_is_delivered(ALL)
        return
    if direction != SENDING:
        await trakor.wait_for(lambda: len(trakor.products) == LOANS)
    before, seen = (await service.pauses())[direction], trakor.traffic.total
    service.resume()
    pauses = await service.until(lambda pauses: trakor.traffic.total > seen and direction in pauses)
    assert pauses[direction].since_at > before.since_at
    assert trakor.traffic.total - seen <= (1 if direction == SENDING else 20 + IN_FLIGHT)


# What it says, and what ends it


async def test_one_line_for_each_batch_pause_and_resumption_and_no_name_in_any(service: Service) -> None:
    with capture_logs() as lines:
        await service.start()
        await in_mid_work(service)
        service.rig.trakor.freeze()
        await service.until(lambda pauses: pauses and pauses[SENDING].tries >= 2)
        service.rig.trakor.unfreeze()
        await service.all_is_delivered(ALL)
    told = [line for line in lines if line["log_level"] != "debug"]
    assert [line["event"] for line in told if line["event"] != "delivered"] == ["paused", "resumed"]
    batches = [line for line in told if line["event"] == "delivered"]
    assert sum(line["created"] for line in batches) == ALL
    assert {line["existing"] + line["rejected"] for line in batches} == {0}
    assert {line["connection"] for line in told} == {"default"}
    assert "Ada" not in str(lines)
    assert "Loan" not in str(lines)


class Unexpected:
    """The real client, but for one name that breaks it in a way that nobody thought of."""

    def __init__(self, client: TrakorClient, name: str) -> None:
        self._client = client
        self._name = name

    async def post(self, payload: Payload) -> TrakorAnswer:
        if payload.name == self._name:
            raise RuntimeError("nobody thought of this")
        return await self._client.post(payload)

    async def probe(self) -> None:
        await self._client.probe()


async def test_an_unexpected_error_ends_it_and_loses_nothing(service: Service) -> None:
    service.destination = Unexpected(service.rig.client, "Ada 0040")
    await service.start()
    with pytest.raises(RuntimeError, match="nobody thought of this"):
        await service.ended()
    service.destination = service.rig.client
    await service.start()
    await service.all_is_delivered(ALL)


@pytest.mark.parametrize("broken", ["claim_for_feeds", "settle", "_changed", "_pauses_of_sending"])
async def test_a_ledger_that_cannot_be_written_ends_it_with_its_error(service: Service, broken: str) -> None:
    ledger, trakor = service.rig.ledger, service.rig.trakor
    assert isinstance(ledger, WatchedLedger)
    await service.start()
    await in_mid_work(service)
    await service.rig.want(names(20, "Bea"))
    ledger.broken = broken
    if broken == "_changed":
        trakor.freeze()
    service.look()
    with pytest.raises(OSError, match="No space left"):
        await service.ended()
    assert trakor.traffic.in_flight == 0, "nothing is left running behind"
    ledger.broken = ""
    trakor.unfreeze()
    await service.start()
    await service.all_is_delivered(ALL + 20)
