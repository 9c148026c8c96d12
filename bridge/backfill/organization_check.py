"""A backfill begins only after a check that both organisations are the same as before.

Trakor is checked before anything is read. Salestrekker's login is checked when the first page is read, and
nothing is sent before that. Whatever stops the backfill is a problem in its report.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from bridge.backfill.problem_wording import Problem
from bridge.errors import BridgeError, Refused, Transient
from bridge.ledger.connection_organizations import find_stop_reason
from bridge.organization_guard import OtherTrakor, other_trakor_advice
from bridge.retry import RetryPolicy
from bridge.salestrekker.login import AmbiguousOrganization, DifferentOrganization

if TYPE_CHECKING:
    from bridge.delivery import SendingSettings
    from bridge.ledger.database import Ledger
    from bridge.organization_guard import TrakorGuard

__all__ = ["blocks_sending", "check_trakor"]


async def check_trakor(
    guard: TrakorGuard, name: str, settings: SendingSettings, give_up_after: float, stop: asyncio.Event
) -> Problem | None:
    """Prove that Trakor is the one of before, in spite of faults that pass.

    Args:
        guard: What proves it.
        name: The connection's.
        settings: How long to wait between two tries.
        give_up_after: Seconds after which no more is tried.
        stop: Set when the user wants it to stop.

    Returns:
        What stands against it; None if nothing does, or if the user stopped it.
    """
    proving = asyncio.create_task(_proved(guard, name, settings, give_up_after))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({proving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return proving.result() if proving.done() else None
    finally:
        for task in (proving, stopping):
            task.cancel()
        await asyncio.gather(proving, stopping, return_exceptions=True)


async def _proved(
    guard: TrakorGuard, name: str, settings: SendingSettings, give_up_after: float
) -> Problem | None:
    waits = RetryPolicy(settings.retry.first, settings.probe.longest)
    clock = asyncio.get_running_loop().time
    began, failed = clock(), 0
    while True:
        try:
            await guard.run()
        except OtherTrakor as refusal:
            return Problem(str(refusal), other_trakor_advice(name, await guard.names()), refusal=True)
        except Refused as refusal:
            return Problem(f"sending: {refusal}", refusal.advice, refusal=True)
        except Transient as failure:
            if clock() - began > give_up_after:
                return Problem(f"sending: {failure}", "run this again: it goes on where it was")
            wait = waits.probe_wait(failed, random.random)
            await asyncio.sleep(max(wait, failure.retry_after or 0.0))
            failed += 1
        else:
            return None


async def blocks_sending(ledger: Ledger, name: str, error: BridgeError) -> bool:
    """Whether the error that stopped reading also forbids sending what is pending."""
    if isinstance(error, DifferentOrganization | AmbiguousOrganization):
        return True
    return bool(await ledger.call(find_stop_reason, name))
