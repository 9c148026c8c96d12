"""One odd record stops only itself, and a Trakor that takes nothing new marks none."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from bridge.sandbox import Fault
from bridge.sandbox.firewall import Blocked
from rigs import CONTACTS, QUICK, details, names

if TYPE_CHECKING:
    from rigs import Rig

BAD = "Ada 0000 union select"
PAGE = "<!doctype html><html><body>Oops</body></html>"


@pytest.mark.parametrize("answer", list(Blocked))
@pytest.mark.parametrize("place", ["first", "last"])
async def test_a_record_that_a_firewall_dislikes_is_rejected_and_all_others_pass(
    rig: Rig, answer: Blocked, place: str
) -> None:
    rig.trakor.firewall.block("union select", answer)
    wanted = [BAD, *names(40, "Bea")] if place == "first" else [*names(40, "Bea"), BAD]
    await rig.want(wanted)
    delivery = await rig.deliver()
    assert await rig.states() == {
        "delivered": set(names(40, "Bea")),
        "rejected: refused-by-trakor": {BAD},
    }
    assert not delivery.refusals
    assert Counter(one.name for one in rig.trakor.traffic.exchanges)[BAD] == 2


async def test_many_that_a_firewall_dislikes_are_told_one_by_one(rig: Rig) -> None:
    rig.trakor.firewall.block("union select")
    bad = {f"Ada {n:04} union select" for n in range(12)}
    await rig.want([name for pair in zip(sorted(bad), names(12, "Bea"), strict=True) for name in pair])
    await rig.deliver()
    assert await rig.states() == {
        "delivered": set(names(12, "Bea")),
        "rejected: refused-by-trakor": bad,
    }


async def test_one_page_of_html_in_a_good_run_is_one_more_failure(rig: Rig) -> None:
    rig.trakor.faults.add(Fault(name="Ada 0020", status=200, body=PAGE))
    await rig.want(names(60))
    delivery = await rig.deliver()
    assert not delivery.refusals
    await rig.all_is_delivered(60)


async def test_while_whose_fault_it_is_is_found_out_nothing_else_is_sent(rig: Rig) -> None:
    """Those under way end, then one request that makes nothing, then one that is known to pass."""
    rig.trakor.latency = 0.002
    await rig.want(names(40))
    rig.trakor.faults.add(Fault(name="Ada 0030", status=403))
    await rig.deliver()
    seen = list(rig.trakor.traffic.exchanges)
    probe = next(n for n, one in enumerate(seen) if not one.name)
    assert [seen[probe].in_flight, seen[probe + 1].in_flight] == [1, 1]
    assert seen[probe + 1].name in {one.name for one in seen[:probe]}, "a canary"
    await rig.all_is_delivered(40)


async def test_where_the_canary_is_refused_too_all_stops_and_nothing_is_marked(rig: Rig) -> None:
    await rig.want(names(30))
    rig.trakor.faults.add(
        Fault(where=lambda one: bool(one.name) and len(rig.trakor.parties) >= 10, status=403, times=None)
    )
    delivery = await rig.deliver()
    assert delivery.refused is not None
    assert set(await rig.states()) == {"delivered", "pending"}
    rig.trakor.faults.clear()
    await rig.deliver()
    await rig.all_is_delivered(30)


async def test_a_refused_key_is_never_a_records_fault(rig: Rig) -> None:
    await rig.want(names(30))
    rig.trakor.faults.add(Fault(name="Ada 0020", status=401))
    delivery = await rig.deliver()
    assert delivery.refused is not None
    assert "rejected" not in str(await rig.states())


async def test_alone_with_a_refused_record_a_run_ends_as_refused_and_marks_nothing(rig: Rig) -> None:
    """Nothing was taken that it could be compared with."""
    rig.trakor.firewall.block("union select")
    await rig.want([BAD])
    delivery = await rig.deliver()
    assert set(delivery.refusals) == {CONTACTS}
    assert await rig.states() == {"pending": {BAD}}


# -- a Trakor that takes nothing new


@pytest.mark.parametrize("status", [400, 403])
async def test_a_plans_limit_marks_none_and_one_more_place_lets_all_go_on(rig: Rig, status: int) -> None:
    rig.trakor.behave(limit=10, limit_status=status)
    await rig.want(names(60))
    delivery = await rig.deliver()
    assert re.search(r"turned down 4\d different contacts", str(delivery.refusals[CONTACTS]))
    assert set(await rig.states()) == {"delivered", "pending"}
    await rig.deliver()  # the next run knows that these were turned down, and that none was taken since
    assert set(await rig.states()) == {"delivered", "pending"}
    rig.trakor.behave(limit=None)
    await rig.deliver()
    await rig.all_is_delivered(60)


async def test_what_is_tried_while_a_stream_is_stopped_is_another_one_each_time(rig: Rig) -> None:
    await rig.want(names(60))
    rig.trakor.faults.add(Fault(status=400, times=None))
    delivery = await rig.deliver()
    tried = [one.name for one in rig.trakor.traffic.of("parties") if one.name]
    assert Counter(tried).most_common(1)[0][1] == 1
    assert len(tried) <= 20 + QUICK["max_in_flight"] + 20
    assert set(delivery.refusals) == {CONTACTS}


async def test_a_newcomer_goes_first_and_ends_it_and_the_bad_ones_are_told_by_themselves(rig: Rig) -> None:
    bad = set(names(25, "Bad"))
    rig.trakor.faults.add(Fault(where=lambda one: one.name in bad, status=400, times=None))
    await rig.want(sorted(bad))
    delivery = rig.delivery(trial_every=0.05, most_trials=10_000)
    running = asyncio.create_task(delivery.run())
    async with asyncio.timeout(20):
        while not delivery.stopped:
            await rig.trakor.wait_for(lambda: rig.trakor.traffic.statuses[400] >= 20)
            await asyncio.sleep(0)
        seen = rig.trakor.traffic.total
        await rig.want(["Healthy"])
        delivery.wake()
        await rig.trakor.wait_for(lambda: "Healthy" in rig.trakor.parties)
        assert rig.trakor.traffic.total - seen <= QUICK["max_in_flight"] + 2
        delivery.finish()
        await running
    assert await rig.states() == {"delivered": {"Healthy"}, "rejected: refused-by-trakor": bad}


async def test_twenty_five_poison_records_among_good_ones_are_told_one_by_one(rig: Rig) -> None:
    bad = {f"Ada {n:04}" for n in range(0, 50, 2)}
    rig.trakor.faults.add(Fault(where=lambda one: one.name in bad, status=400, times=None))
    await rig.want(names(60))
    delivery = await rig.deliver()
    assert not delivery.refusals
    assert (await rig.states())["rejected: refused-by-trakor"] == bad


@pytest.mark.parametrize("answer", [400, *Blocked])
async def test_bad_ones_at_the_end_are_rejected_by_the_run_that_takes_another_one(
    rig: Rig, answer: int | Blocked
) -> None:
    """Each run began with nothing known of them, so that they were `pending` for ever."""
    if isinstance(answer, Blocked):
        rig.trakor.firewall.block("select", answer)
    else:
        rig.trakor.faults.add(Fault(where=lambda one: "select" in one.name, status=answer, times=None))
    bad = set(names(25, "select"))
    await rig.want([*names(12), *sorted(bad)])
    for _ in range(2):
        refusal = (await rig.deliver()).refusals[CONTACTS]
        assert "turned down 25 different contacts" in str(refusal)
        assert "frozen" not in str(refusal)
        assert "records list --state pending" in refusal.advice
        assert await rig.states() == {"delivered": set(names(12)), "pending": bad}
    assert ("while one that it knows passes" in str(refusal)) is isinstance(answer, Blocked)
    await rig.want(["Nora Newcomer"])
    delivery = await rig.deliver()
    assert not delivery.refusals
    assert (await rig.states())["rejected: refused-by-trakor"] == bad
    told = await rig.ledger.call(details)
    assert not [name for name in bad if "frozen" in told[name]]


# -- what had no answer


async def test_names_without_an_answer_are_never_sent_twice_at_one_time(rig: Rig) -> None:
    """Trakor looks up, then inserts, and stores what was cut a little later."""
    rig.trakor.behave(lookup="fails")
    rig.trakor.faults.add(Fault(reset=True, late=True, late_after=0.2, times=12))
    await rig.want(names(12))
    await rig.deliver(unanswered_wait=0.5)
    assert sorted(rig.trakor.parties.names()) == names(12)
    assert not rig.trakor.overlaps.requests
    origins = {row.origin for row in (await rig.rows()).values()}
    assert "unclear" in origins
    assert origins <= {"unclear", "created"}, "a probe may have been cut in a record's place"


async def test_in_an_outage_where_all_is_unanswered_the_probe_makes_nothing(rig: Rig) -> None:
    rig.trakor.faults.add(Fault(where=lambda one: bool(one.name), reset=True, times=8))
    await rig.want(names(8))
    running = asyncio.create_task(rig.deliver(unanswered_wait=0.5))
    await rig.trakor.wait_for(lambda: any(not one.name for one in rig.trakor.traffic.exchanges))
    await running
    sent = Counter(one.name for one in rig.trakor.traffic.exchanges if one.name)
    assert set(sent.values()) == {2}
    assert len(await rig.states()) == 1


async def test_with_a_limit_what_is_unanswered_is_left_pending(rig: Rig) -> None:
    rig.trakor.faults.add(Fault(name="Ada 0003", reset=True, times=None))
    await rig.want(names(10))
    delivery = rig.delivery(unanswered_wait=100)
    delivery.finish(waits_for_unanswered=False)
    async with asyncio.timeout(10):
        await delivery.run()
    assert (await rig.states())["pending"] == {"Ada 0003"}
    assert not delivery.gave_up
