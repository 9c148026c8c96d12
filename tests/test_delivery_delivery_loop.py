"""Delivery between a real ledger and the simulated Trakor, over real sockets, in all that goes wrong."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from bridge.delivery import OutgoingStream
from bridge.delivery.result_writer import ResultWriter
from bridge.errors import Refused
from bridge.ledger.observe import Observation, observe
from bridge.ledger.send_queue import claim_work
from bridge.records import Policy, Retry
from bridge.sandbox import Fault
from builders import draft
from rigs import CONTACTS, PRODUCTS, QUICK, WatchedLedger, details, names, now, some_turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.records import Outcome, Payload, TrakorAnswer
    from bridge.sandbox import Sandbox
    from bridge.sandbox.request_log import Exchange
    from bridge.trakor import TrakorClient
    from rigs import Rig

    Breaking = Callable[[Sandbox], None]


# In good times


async def test_all_that_is_pending_is_delivered_each_once(rig: Rig) -> None:
    await rig.want(names(150))
    await rig.want(names(70, "Loan"), PRODUCTS)
    await rig.deliver()
    await rig.all_is_delivered(220)
    assert rig.trakor.traffic.total == 220
    rows = await rig.rows()
    assert {(row.origin, row.attempts, row.failures, row.answered_run) for row in rows.values()} == {
        ("created", 1, 0, 1)
    }
    await rig.deliver()
    assert rig.trakor.traffic.total == 220, "what Trakor has costs no request"


@pytest.mark.parametrize("bound", [1, 5, 40])
async def test_as_many_are_in_flight_as_allowed_and_no_more(rig: Rig, bound: int) -> None:
    rig.trakor.latency = 0.002
    await rig.want(names(bound * 4))
    await rig.deliver(max_in_flight=bound)
    assert rig.trakor.traffic.max_in_flight == bound
    await rig.all_is_delivered(bound * 4)


async def test_the_ledger_is_written_in_batches(rig: Rig) -> None:
    rig.trakor.latency = 0.01
    await rig.want(names(600))
    await rig.deliver(max_in_flight=60)
    assert isinstance(rig.ledger, WatchedLedger)
    assert rig.ledger.calls["claim"] <= 30
    assert rig.ledger.calls["settle"] <= 30
    await rig.all_is_delivered(600)


async def test_no_more_requests_a_second_than_allowed(rig: Rig) -> None:
    await rig.want(names(30))
    await rig.deliver(requests_per_second=100)
    arrivals = [exchange.at for exchange in rig.trakor.traffic.of("parties")]
    assert arrivals[-1] - arrivals[0] >= 0.8 * 29 / 100
    await rig.all_is_delivered(30)


async def test_what_becomes_pending_meanwhile_is_sent_too(rig: Rig) -> None:
    delivery = rig.delivery()
    running = asyncio.create_task(delivery.run())
    await rig.want(names(3))
    delivery.wake()
    await rig.trakor.wait_for(lambda: len(rig.trakor.parties) == 3)
    await rig.want(names(3, "Loan"), PRODUCTS)
    delivery.wake()
    await rig.trakor.wait_for(lambda: len(rig.trakor.products) == 3)
    delivery.finish()
    await running
    await rig.all_is_delivered(6)


async def test_waiting_for_answers_keeps_no_processor_busy(rig: Rig) -> None:
    gate = asyncio.Event()
    rig.trakor.faults.add(Fault(gate=gate, times=None))
    await rig.want(names(100))
    running = asyncio.create_task(rig.deliver())
    await rig.trakor.wait_for(lambda: rig.trakor.traffic.in_flight == 8)
    await rig.rests()
    gate.set()
    await running
    await rig.all_is_delivered(100)


async def test_waiting_for_an_outage_to_end_keeps_no_processor_busy(rig: Rig) -> None:
    rig.trakor.faults.add(Fault(status=500, times=None))
    await rig.want(names(100))
    running = asyncio.create_task(rig.deliver(probe_first=60.0, probe_max=60.0))
    await rig.trakor.wait_for(lambda: rig.trakor.traffic.statuses[500] == 8)
    await rig.rests()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert rig.trakor.traffic.total == 8


# Answers


async def test_what_was_there_before_is_linked_as_existing(rig: Rig) -> None:
    entry, _ = rig.trakor.parties.put("Ada 0001")
    await rig.want(names(3))
    await rig.deliver()
    rows = await rig.rows()
    assert [row.origin for row in rows.values()] == ["created", "existing", "created"]
    assert rows["Ada 0001"].trakor_id == entry.id


@pytest.mark.parametrize("error", [{"reset": True}, {"status": 500}, {"status": 504, "body": "<html>"}])
async def test_taken_with_the_answer_lost_is_one_party_of_unclear_origin(
    rig: Rig, error: dict[str, Any]
) -> None:
    rig.trakor.faults.add(Fault(name="Ada 0002", commit=True, **error))
    await rig.want(names(20))
    await rig.deliver()
    rows = await rig.rows()
    assert Counter(row.origin for row in rows.values()) == {"created": 19, "unclear": 1}
    assert rows["Ada 0002"].origin == "unclear"
    await rig.all_is_delivered(20)


async def test_a_few_rejected_ones_are_told_apart_and_only_they(rig: Rig) -> None:
    bad = {f"Ada {index:04}" for index in (0, 7, 20, 58, 59)}
    error = Fault(
        where=lambda exchange: exchange.name in bad,
        status=422,
        body={"error": "name: Ada 0007 is not allowed"},
        times=None,
    )
    rig.trakor.faults.add(error)
    await rig.want(names(60))
    await rig.deliver()
    states = await rig.states()
    assert states["rejected: refused-by-trakor"] == bad
    assert len(states["delivered"]) == 55
    assert rig.trakor.traffic.total == 60, "what is rejected is not sent again"
    told = await rig.ledger.call(details)
    assert told["Ada 0007"] == "Trakor answered 422"


@pytest.mark.parametrize("number", [1, 19])
async def test_rejected_ones_with_nobody_to_compare_with_are_rejected(rig: Rig, number: int) -> None:
    rig.trakor.faults.add(Fault(status=400, times=None))
    await rig.want(names(number))
    await rig.deliver()
    assert await rig.states() == {"rejected: refused-by-trakor": set(names(number))}
    assert rig.trakor.traffic.total == number


async def test_twenty_rejected_in_a_row_stop_their_stream_and_mark_none(rig: Rig) -> None:
    error = rig.trakor.faults.add(Fault(kind="parties", status=400, times=None))
    await rig.want(names(60))
    await rig.want(names(60, "Loan"), PRODUCTS)
    delivery = await rig.deliver()
    assert set(delivery.refusals) == {CONTACTS}
    assert re.search(r"turned down 4\d different contacts", str(delivery.refusals[CONTACTS]))
    assert await rig.states() == {"pending": set(names(60)), "delivered": set(names(60, "Loan"))}
    assert {row.attempts for name, row in (await rig.rows()).items() if name in names(60)} == {0}
    assert rig.trakor.traffic.kinds["parties"] <= 20 + QUICK["max_in_flight"] + 20
    rig.trakor.faults.remove(error)
    await rig.deliver()
    await rig.all_is_delivered(120)


# Refusals


def _redirect(sandbox: Sandbox) -> None:
    sandbox.trakor.faults.add(Fault(status=302, headers={"Location": "http://127.0.0.1:9/"}, times=None))


def _not_found(sandbox: Sandbox) -> None:
    sandbox.trakor.faults.add(Fault(status=404, times=None))


def _portal(sandbox: Sandbox) -> None:
    sandbox.trakor.faults.add(Fault(status=200, body="<html>Log in</html>", times=None))


def _revoke(sandbox: Sandbox) -> None:
    sandbox.trakor.revoke_key()


def _freeze(sandbox: Sandbox) -> None:
    sandbox.trakor.freeze()


@pytest.mark.parametrize("refuse", [_revoke, _freeze, _not_found, _redirect, _portal])
async def test_a_refusal_stops_the_flow_and_not_the_data(rig: Rig, refuse: Breaking) -> None:
    rig.trakor.latency = 0.001
    await rig.want(names(100))
    await rig.want(names(20, "Loan"), PRODUCTS)
    running = asyncio.create_task(rig.deliver())
    await rig.trakor.wait_for(lambda: len(rig.trakor.parties) >= 30)
    refuse(rig.sandbox)
    before = rig.trakor.traffic.total
    delivery = await running
    assert set(delivery.refusals) == {CONTACTS, PRODUCTS}
    assert rig.trakor.traffic.total - before <= 2 * QUICK["max_in_flight"]
    states = await rig.states()
    assert set(states) == {"delivered", "pending"}
    assert len(states["delivered"]) == len(rig.trakor.parties) + len(rig.trakor.products)
    rows = await rig.rows()
    assert {rows[name].attempts for name in states["pending"]} == {0}, "a refusal uses up no attempt"
    assert {rows[name].claimed_until for name in states["pending"]} == {0}
    rig.trakor.restore_key()
    rig.trakor.unfreeze()
    rig.trakor.faults.clear()
    await rig.deliver()
    await rig.all_is_delivered(120)
    assert {row.origin for row in (await rig.rows()).values()} == {"created"}


async def test_after_a_refusal_nothing_begins_that_waited_for_its_turn(rig: Rig) -> None:
    rig.trakor.freeze()
    await rig.want(names(40))
    delivery = await rig.deliver(requests_per_second=40)
    assert set(delivery.refusals) == {CONTACTS, PRODUCTS}
    assert rig.trakor.traffic.total <= 2
    assert {row.attempts for row in (await rig.rows()).values()} == {0}


# Failures: a poisoned record or an outage


async def test_a_poisoned_record_is_rejected_and_its_neighbours_go_on(rig: Rig) -> None:
    rig.trakor.faults.add(Fault(name="Ada 0003", status=500, times=None))
    await rig.want(names(200))
    delivery = await rig.deliver()
    states = await rig.states()
    assert states["rejected: server-error"] == {"Ada 0003"}
    assert len(states["delivered"]) == 199
    assert not delivery.refusals
    requests = Counter(exchange.name for exchange in rig.trakor.traffic.exchanges)
    assert requests["Ada 0003"] == 8
    told = await rig.ledger.call(details)
    assert told["Ada 0003"] == "failed 8 times while others passed: Trakor answered 500"


async def test_the_successor_of_a_rejected_record_is_sent_by_the_same_run(rig: Rig) -> None:
    """It becomes pending when the rejection is written, after all else was sent."""
    rig.trakor.faults.add(Fault(name="Twin", status=500, times=None))
    twins = [draft("Twin", id=one, same_as="same") for one in ("first", "second")]
    seen = [*twins, *(draft(name, id=name) for name in names(12))]
    await rig.ledger.call(observe, rig.feeds[CONTACTS], seen, Observation(), policy=Policy(), now=now())
    await rig.deliver()
    states = await rig.states()
    assert states["rejected: server-error"] == {"first", "second"}, "nothing is left pending"


@pytest.mark.parametrize("error", [{"status": 500}, {"reset": True}])
async def test_poisoned_records_left_alone_are_rejected_and_not_waited_for(
    rig: Rig, error: dict[str, Any]
) -> None:
    """More of them than failures that make an outage: only a witness can tell the two apart."""
    bad = set(names(12, "Bad"))
    rig.trakor.faults.add(Fault(where=lambda exchange: exchange.name in bad, times=None, **error))
    await rig.want(names(30))
    await rig.want(bad)
    delivery = await rig.deliver()
    assert await rig.states() == {"rejected: server-error": bad, "delivered": set(names(30))}
    assert not delivery.gave_up
    assert rig.trakor.traffic.total < 12 * 8 * 3


async def test_a_record_with_which_nothing_can_be_compared_is_not_rejected(rig: Rig) -> None:
    """A request that makes nothing passes where nothing new is taken, too."""
    rig.trakor.faults.add(Fault(name="Ada 0000", status=500, times=None))
    await rig.want(names(1))
    delivery = await rig.deliver(give_up_after=0.3)
    assert delivery.gave_up
    assert await rig.states() == {"pending": {"Ada 0000"}}
    await rig.want(names(1, "Bea"))
    await rig.deliver()
    assert await rig.states() == {"rejected: server-error": {"Ada 0000"}, "delivered": {"Bea 0000"}}


async def test_a_witness_that_is_not_taken_any_more_is_replaced(rig: Rig) -> None:
    """Else it would be asked for ever, and tell nothing of the record in doubt."""
    asked: Counter[str] = Counter()

    def is_the_witness(exchange: Exchange) -> bool:
        asked[exchange.name] += 1
        return exchange.name == "Ada 0000" and asked[exchange.name] > 1

    rig.trakor.faults.add(Fault(where=is_the_witness, status=400, times=None))
    rig.trakor.faults.add(Fault(name="Bad", status=500, times=None))
    await rig.want(["Ada 0000", "Bad"])
    await rig.deliver(max_in_flight=1)
    assert await rig.states() == {"rejected: server-error": {"Bad"}, "delivered": {"Ada 0000"}}
    assert asked["Ada 0000"] == 2


OUTAGES = [
    {"status": 500},
    {"status": 502, "body": "<html>Bad gateway</html>"},
    {"status": 500, "commit": True},
    {"reset": True},
    {"reset": True, "commit": True},
    {"status": 503, "headers": {"Retry-After": "0"}},
    {"status": 429},
]


@pytest.mark.parametrize("error", OUTAGES)
async def test_an_outage_in_mid_work_loses_nothing_doubles_nothing_rejects_nothing(
    rig: Rig, error: dict[str, Any]
) -> None:
    rig.trakor.latency = 0.001
    await rig.want(names(120))
    running = asyncio.create_task(rig.deliver(probe_first=0.05, probe_max=0.05))
    await rig.trakor.wait_for(lambda: len(rig.trakor.parties) >= 30)
    began = time.monotonic()
    outage = rig.trakor.faults.add(Fault(times=None, **error))
    await rig.trakor.wait_for(lambda: outage.hits >= QUICK["max_in_flight"] + 4)
    probes = (time.monotonic() - began) / (0.05 / 2)
    assert outage.hits <= 8 + 2 * QUICK["max_in_flight"] + probes
    rig.trakor.faults.remove(outage)
    delivery = await running
    assert not delivery.refusals
    await rig.all_is_delivered(120)


async def test_an_outage_costs_a_handful_of_probes(rig: Rig) -> None:
    rig.trakor.faults.add(Fault(status=500, times=None))
    await rig.want(names(200))
    delivery = await rig.deliver(probe_first=0.05, probe_max=0.4, give_up_after=1.0)
    assert delivery.gave_up
    assert await rig.states() == {"pending": set(names(200))}
    assert rig.trakor.traffic.total <= 8 + 8 + 8
    assert {row.failures for row in (await rig.rows()).values()} == {0}


async def test_each_probe_takes_another_record(rig: Rig) -> None:
    """One poisoned record at the head of the queue cannot keep a destination down that is up."""
    outage = rig.trakor.faults.add(Fault(status=500, times=None))
    await rig.want(names(40))
    running = asyncio.create_task(rig.deliver())
    await rig.trakor.wait_for(lambda: outage.hits >= 20)
    probes = [exchange.name for exchange in rig.trakor.traffic.of("parties")][8:]
    assert len(set(probes)) == len(probes)
    rig.trakor.faults.clear()
    await running
    await rig.all_is_delivered(40)


async def test_a_wait_that_is_asked_for_is_kept_by_the_whole_connection(rig: Rig) -> None:
    rig.trakor.latency = 0.001
    await rig.want(names(60))
    await rig.want(names(20, "Loan"), PRODUCTS)
    rig.trakor.faults.add(
        Fault(where=lambda _: len(rig.trakor.parties) >= 10, status=503, headers={"Retry-After": "1"})
    )
    await rig.deliver()
    arrivals = [exchange.at for exchange in rig.trakor.traffic.exchanges]
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    assert max(gaps) >= 0.95
    await rig.all_is_delivered(80)


async def test_nothing_taken_for_too_long_is_given_up_with_all_still_pending(rig: Rig) -> None:
    rig.trakor.faults.add(Fault(reset=True, times=None))
    await rig.want(names(5))
    delivery = await rig.deliver(give_up_after=0.2, retry_max=10.0, probe_first=10.0, probe_max=10.0)
    assert delivery.gave_up
    assert await rig.states() == {"pending": set(names(5))}
    rig.trakor.faults.clear()
    await rig.deliver()
    await rig.all_is_delivered(5)


# The end before the end


async def test_when_stopped_what_is_in_flight_is_answered_and_written(rig: Rig) -> None:
    gate = asyncio.Event()
    await rig.want(names(100))
    rig.trakor.faults.add(Fault(where=lambda _: len(rig.trakor.parties) >= 20, gate=gate, times=None))
    running = asyncio.create_task(rig.deliver())
    await rig.trakor.wait_for(lambda: rig.trakor.traffic.in_flight == 8)
    running.cancel()
    await some_turns()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    states = await rig.states()
    assert states["delivered"] == set(rig.trakor.parties.names())
    rows = await rig.rows()
    assert {(row.attempts, row.claimed_until) for row in rows.values() if row.state == "pending"} == {(0, 0)}
    assert {row.attempts for row in rows.values() if row.state == "delivered"} == {1}
    await rig.deliver()
    await rig.all_is_delivered(100)


async def test_when_stopped_for_a_second_time_it_ends_at_once(rig: Rig) -> None:
    gate = asyncio.Event()
    await rig.want(names(30))
    rig.trakor.faults.add(Fault(where=lambda _: len(rig.trakor.parties) >= 10, gate=gate, times=None))
    running = asyncio.create_task(rig.deliver())
    await rig.trakor.wait_for(lambda: rig.trakor.traffic.in_flight == 8)
    running.cancel()
    await some_turns()
    assert not running.done()
    running.cancel()
    async with asyncio.timeout(2):
        with suppress(asyncio.CancelledError):
            await running
    gate.set()
    rig.trakor.faults.clear()
    await rig.deliver()
    await rig.all_is_delivered(30)


async def test_what_is_kept_is_written_to_the_last_when_sending_ends(rig: Rig) -> None:
    """In several batches: else attempts that never began would count."""
    feed = rig.feeds[CONTACTS]
    await rig.want(names(250))
    works = await rig.ledger.call(claim_work, feed, 250, now=now(), until=now() + 60_000)
    settled: list[Outcome] = []
    writer = ResultWriter(
        rig.ledger,
        {CONTACTS: OutgoingStream(feed, Policy())},
        1,
        now,
        lambda batch, _, __: settled.extend(batch),
    )
    writer.add([Retry(work, 0, begun=False) for work in works])
    await writer.drain()
    assert len(settled) == 250
    assert writer.is_empty
    assert {row.attempts for row in (await rig.rows()).values()} == {0}


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


async def test_an_unexpected_error_of_a_sender_ends_the_run_and_loses_nothing(rig: Rig) -> None:
    rig.trakor.latency = 0.005
    await rig.want(names(50))
    delivery = rig.delivery(Unexpected(rig.client, "Ada 0020"))
    with pytest.raises(RuntimeError, match="nobody thought of this"):
        await delivery.run()
    states = await rig.states()
    assert states["delivered"] == set(rig.trakor.parties.names())
    assert set(states) == {"delivered", "pending"}
    await rig.deliver()
    await rig.all_is_delivered(50)


@pytest.mark.parametrize("broken", ["claim_for_feeds", "settle"])
async def test_a_ledger_that_cannot_be_written_ends_the_run_with_its_error(rig: Rig, broken: str) -> None:
    assert isinstance(rig.ledger, WatchedLedger)
    rig.trakor.latency = 0.005
    await rig.want(names(50))
    running = asyncio.create_task(rig.deliver())
    await rig.trakor.wait_for(lambda: rig.trakor.traffic.in_flight == 8)
    rig.ledger.broken = broken
    with pytest.raises(OSError, match="No space left"):
        await running
    assert rig.trakor.traffic.in_flight == 0, "nothing is left running behind"
    rig.ledger.broken = ""
    await rig.deliver()
    await rig.all_is_delivered(50)


async def test_a_ledger_that_breaks_while_stopping_is_not_passed_over(rig: Rig) -> None:
    assert isinstance(rig.ledger, WatchedLedger)
    gate = asyncio.Event()
    rig.trakor.faults.add(Fault(gate=gate, times=None))
    await rig.want(names(30))
    running = asyncio.create_task(rig.deliver())
    await rig.trakor.wait_for(lambda: rig.trakor.traffic.in_flight == 8)
    rig.ledger.broken = "settle"
    running.cancel()
    await some_turns()
    gate.set()
    with pytest.raises(OSError, match="No space left"):
        await running


async def test_a_refusal_tells_what_to_do(rig: Rig) -> None:
    rig.trakor.revoke_key()
    await rig.want(names(1))
    delivery = await rig.deliver()
    refusal = delivery.refusals[CONTACTS]
    assert isinstance(refusal, Refused)
    assert "401" in str(refusal)
    assert "API key" in refusal.advice
