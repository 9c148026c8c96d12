"""An operator pauses sending and resumes it, over real sockets, also over a restart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bridge.sandbox import Fault
from sending_service import (
    ALL,
    IN_FLIGHT,
    LOANS,
    SENDING,
    SendingService,
    fail_with,
    freeze,
    in_mid_work,
    mend,
    reject_contacts,
)

if TYPE_CHECKING:
    from sending_service import Change


async def test_a_persons_pause_lets_those_in_flight_end_and_none_begin(service: SendingService) -> None:
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
async def test_a_persons_pause_outlasts_a_restart(service: SendingService, ending: str) -> None:
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


@pytest.mark.parametrize("breaking", [freeze, fail_with(Fault(status=500, times=None)), reject_contacts])
async def test_while_a_persons_pause_stands_nothing_is_probed(
    service: SendingService, breaking: Change
) -> None:
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
    mend(service.rig.sandbox)
    service.resume()
    await service.all_is_delivered(ALL)


@pytest.mark.parametrize(
    "breaking", [freeze, fail_with(Fault(status=500, times=None)), reject_contacts], ids=["403", "500", "400"]
)
@pytest.mark.parametrize("mended", [True, False])
async def test_resume_tries_at_once_what_stopped_by_itself(
    service: SendingService, breaking: Change, *, mended: bool
) -> None:
    trakor = service.rig.trakor
    await service.start(probe_first=100, probe_max=100)
    await in_mid_work(service)
    breaking(service.rig.sandbox)
    (direction,) = await service.until(lambda pauses: pauses)
    await service.settled_down()
    if mended:
        mend(service.rig.sandbox)
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
