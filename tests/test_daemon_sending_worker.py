"""Sending as a service, over real sockets: each error begins in mid-work and ends, also over a restart."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from books import kept
from bridge.ledger.database import writing
from bridge.ledger.stored_pauses import set_pause
from bridge.sandbox import Fault
from bridge.trakor import TrakorClient
from rigs import QUICK, WatchedLedger, names, now, some_turns
from sending_service import (
    ALL,
    IN_FLIGHT,
    LOANS,
    NAMES,
    OUTAGES,
    REFUSALS,
    SENDING,
    SendingService,
    in_mid_work,
    mend,
    reject_contacts,
)

if TYPE_CHECKING:
    from bridge.records import Payload, TrakorAnswer
    from bridge.sandbox import Sandbox
    from bridge.sandbox.request_log import Exchange
    from rigs import Rig
    from sending_service import Change

# Everything fails for a while


@pytest.mark.parametrize("ending", ["none", "kill"])
@pytest.mark.parametrize(("breaking", "reason"), [*REFUSALS, *OUTAGES])
async def test_a_fault_that_begins_and_ends_loses_nothing_doubles_nothing_and_costs_few_requests(
    service: SendingService, breaking: Change, reason: str, ending: str
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
    mend(service.rig.sandbox)
    await service.all_is_delivered(ALL)
    assert {row.failures for row in (await service.rig.rows()).values()} == {0}


@pytest.mark.parametrize(("breaking", "reason"), REFUSALS)
async def test_a_refusal_uses_up_no_attempt(service: SendingService, breaking: Change, reason: str) -> None:
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
    service: SendingService, breaking: Change, reason: str
) -> None:
    trakor = service.rig.trakor
    await service.start(probe_first=0.2, probe_max=0.2)
    await in_mid_work(service)
    breaking(service.rig.sandbox)
    await service.until(lambda pauses: SENDING in pauses)
    await service.stop()
    pause = (await service.pauses())[SENDING]
    assert reason in pause.reason
    mend(service.rig.sandbox)
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
        service = SendingService(rig)
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


async def test_a_wait_that_is_asked_for_outlasts_a_restart(service: SendingService) -> None:
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


async def test_where_the_probe_and_a_canary_pass_not_the_waits_grow_all_the_same(
    service: SendingService,
) -> None:
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
    service = SendingService(rig)
    await service.start(probe_first=100, probe_max=100)
    await service.until(lambda pauses: "sending contacts" in pauses)
    tried = [exchange.name for exchange in rig.trakor.traffic.of("parties") if exchange.name]
    assert (len(tried), len(set(tried))) == (20, 20)
    assert max(exchange.in_flight for exchange in rig.trakor.traffic.exchanges) == 1
    rig.trakor.faults.clear()
    service.resume()
    await service.all_is_delivered(NAMES)


async def test_a_next_try_far_ahead_is_of_a_clock_that_was_set_back(service: SendingService) -> None:
    with writing(service.rig.ledger.path, kept(service.rig.ledger.path)) as connection:
        year = now() + 365 * 86_400_000
        set_pause(connection, "default", SENDING, reason="401", now=now(), next_try_at=year)
    await service.start()
    await service.all_is_delivered(ALL)


async def test_what_comes_while_it_runs_is_sent(service: SendingService) -> None:
    await service.start()
    await service.rig.trakor.wait_for(lambda: len(service.rig.trakor.parties) == NAMES)
    await service.rig.want(names(20, "Bea"))
    service.wake()
    await service.all_is_delivered(ALL + 20)


async def test_answers_count_for_the_run_that_read_the_record(service: SendingService) -> None:
    """One delivery sends what many sweeps have read."""
    await service.start()
    await service.all_is_delivered(ALL)
    assert {row.answered_run - row.run for row in (await service.rig.rows()).values()} == {0}


# Twenty rejected in a row


@pytest.mark.parametrize("ending", ["none", "stop", "kill"])
async def test_twenty_rejected_in_a_row_stop_their_stream_until_one_is_taken(
    service: SendingService, ending: str
) -> None:
    trakor = service.rig.trakor
    await service.start()
    await in_mid_work(service)
    begun = trakor.traffic.kinds["parties"]
    reject_contacts(service.rig.sandbox)
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
    mend(service.rig.sandbox)
    await service.all_is_delivered(ALL)


async def test_both_streams_can_be_stopped_and_come_back_one_by_one(service: SendingService) -> None:
    contacts = service.rig.trakor.faults.add(Fault(kind="parties", status=400, times=None))
    service.rig.trakor.faults.add(Fault(kind="products", status=400, times=None))
    await service.start(probe_first=0.5, probe_max=0.5)  # both come to twenty before the first is tried
    await service.until(lambda pauses: {"sending contacts", "sending products"} <= pauses.keys())
    service.rig.trakor.faults.remove(contacts)
    await service.until(lambda pauses: "sending contacts" not in pauses)
    assert "sending products" in await service.pauses()
    service.rig.trakor.faults.clear()
    await service.all_is_delivered(ALL)


async def test_a_stopped_stream_of_which_nothing_waits_keeps_nobody_else_waiting(
    service: SendingService,
) -> None:
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


async def test_a_refusal_while_one_record_is_tried_stops_all(service: SendingService) -> None:
    with writing(service.rig.ledger.path, kept(service.rig.ledger.path)) as connection:
        set_pause(connection, "default", "sending contacts", reason="twenty", now=now())
    service.rig.trakor.freeze()
    await service.start()
    pauses = await service.until(lambda pauses: SENDING in pauses)
    assert "frozen" in pauses[SENDING].reason
    service.rig.trakor.unfreeze()
    await service.all_is_delivered(ALL)


# What it says, and what ends it


async def test_one_line_for_each_batch_pause_and_resumption_and_no_name_in_any(
    service: SendingService,
) -> None:
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


async def test_an_unexpected_error_ends_it_and_loses_nothing(service: SendingService) -> None:
    service.destination = Unexpected(service.rig.client, "Ada 0040")
    await service.start()
    with pytest.raises(RuntimeError, match="nobody thought of this"):
        await service.ended()
    service.destination = service.rig.client
    await service.start()
    await service.all_is_delivered(ALL)


@pytest.mark.parametrize("broken", ["claim_for_feeds", "settle", "_changed", "_pauses_of_sending"])
async def test_a_ledger_that_cannot_be_written_ends_it_with_its_error(
    service: SendingService, broken: str
) -> None:
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
