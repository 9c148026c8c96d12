"""Bytes of the ledger's file are flipped under a running daemon: it goes on, or it ends and says why.

``make fuzz`` damages two hundred ledgers.
"""

from __future__ import annotations

import os
import random
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohttp
import pytest

from besieged import besieged
from bridge.sandbox import Options, Sandbox
from processes import commands

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from besieged import Besieged

SEED = int(os.environ.get("FUZZ_SEED", "1"))
LEDGERS = int(os.environ.get("FUZZ_LEDGERS", "2"))
PAGE = 4096


@pytest.mark.acceptance
@pytest.mark.timeout(120 + 60 * LEDGERS)
async def test_flipped_bytes_in_the_ledger_end_a_daemon_in_order_or_not_at_all(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]], tmp_path: Path
) -> None:
    sandbox = await start_sandbox(Options(contacts=60, products=5))
    damaged = 0
    for number in range(LEDGERS):
        folder = tmp_path / str(number)
        folder.mkdir()
        chance = random.Random(f"ledger:{SEED}:{number}")  # noqa: S311 - to be had again
        soon = {"debounce": "20ms"}
        async with commands(folder) as begin, besieged(folder, sandbox, begin, webhooks=soon) as daemon:
            await daemon.process.said('"event": "done"')
            flip(folder / "ledger.db", chance)
            assert await answers_after(daemon) <= {202, 503, None}, f"ledger {number} of seed {SEED}"
            with suppress(TimeoutError):
                await daemon.process.ended(within=2)  # what it was told of is read, and written
            with suppress(ProcessLookupError):
                daemon.process.signal(signal.SIGTERM)
            ended = await daemon.process.ended()
            checked = await (await begin("ledger", "check")).ended()
        damaged += checked.status == 1
        assert checked.status in {0, 1}
        assert "Traceback" not in checked.err, f"ledger {number} of seed {SEED}: {checked.err[-4000:]}"
        assert ended.status in {0, 1}, f"ledger {number} of seed {SEED}: {ended.err[-2000:]}"
        assert "Traceback" not in ended.err, f"ledger {number} of seed {SEED}: {ended.err[-4000:]}"
    assert damaged, "nothing was hit that anybody would miss"


def flip(ledger: Path, chance: random.Random) -> None:
    """Write random bytes to random places behind the first page: that one has SQLite's own words."""
    size = ledger.stat().st_size
    with ledger.open("r+b") as opened:
        for _ in range(chance.choice((20, 200, 2_000))):
            opened.seek(chance.randrange(PAGE, size))
            opened.write(bytes([chance.randrange(256)]))


async def answers_after(daemon: Besieged) -> set[int | None]:
    """What webhooks are answered; None: nobody listens any more."""
    found: set[int | None] = set()
    for place in range(50):
        try:
            found.add(await daemon.post("contact-updated", daemon.sandbox.contacts.id_at(place)))
        except aiohttp.ClientError:
            found.add(None)
    return found
