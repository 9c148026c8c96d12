"""The ledger is one file with one lock and one log, whatever way leads to it, whatever happens to them."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from bridge.errors import LedgerError, LedgerReplacedError
from bridge.ledger.database import reading
from bridge.ledger.open import derive_key, lock_ledger, open_ledger
from bridge.ledger.schema import events
from bridge.ledger.webhook_queue import store_webhooks
from bridge.records import ReceivedWebhook
from bridge.sandbox import Options, Sandbox
from bridge.wiring.ledger_and_key import ledger_key, ledger_path
from bridges import Bridge
from daemons import Daemon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Start = Callable[[Options], Awaitable[Sandbox]]

KEY = derive_key("the tests' key")
EVENT = ReceivedWebhook("default", "contact-updated", "c1", 1, None, "")
BESIDE = ["-wal", "-shm", ".lock", ""]
"""What lies beside a ledger while it is open; the last is its own file."""


@pytest.fixture
async def bridge(start_sandbox: Start, tmp_path: Path) -> Bridge:
    """A bridge from ten contacts to an empty Trakor."""
    return Bridge(tmp_path, await start_sandbox(Options(contacts=10, products=0)))


def events_in(path: Path) -> int:
    with reading(path) as connection:
        return len(connection.execute(select(events.c.number)).all())


async def test_a_daemon_finds_the_lock_by_whatever_way_it_comes(bridge: Bridge) -> None:
    """Two daemons on one ledger, of which one came by a symbolic link, posted 43 of 571 names twice."""
    async with Daemon(bridge):
        link = bridge.folder / "elsewhere" / "other.db"
        link.parent.mkdir()
        link.symlink_to(bridge.folder / "ledger.db")
        bridge.changes["ledger"] = {"url": f"sqlite:///{link}"}
        path = ledger_path(bridge.settings)
        with pytest.raises(LedgerError, match="in use"), lock_ledger(path, "a second one"):
            raise AssertionError
        assert ledger_key(bridge.settings, make=False)


def test_a_key_that_an_earlier_version_made_beside_the_link_is_found(bridge: Bridge) -> None:
    before = ledger_key(bridge.settings, make=True)
    target = bridge.folder / "volume" / "ledger.db"
    target.parent.mkdir()
    with open_ledger(target, before, "test"):
        pass
    (bridge.folder / "ledger.db").symlink_to(target)
    assert ledger_key(bridge.settings, make=False) == before


def test_a_lock_that_is_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "another.lock").touch()
    (tmp_path / "ledger.db.lock").symlink_to(tmp_path / "another.lock")
    with pytest.raises(LedgerError, match="symbolic link"), lock_ledger(tmp_path / "ledger.db", "test"):
        raise AssertionError


def test_a_ledger_of_two_names_is_not_opened(tmp_path: Path) -> None:
    """Each name would have a lock and a log of its own."""
    with open_ledger(tmp_path / "ledger.db", KEY, "test"):
        pass
    os.link(tmp_path / "ledger.db", tmp_path / "other.db")
    with pytest.raises(LedgerError, match="second name"), lock_ledger(tmp_path / "other.db", "test"):
        raise AssertionError


@pytest.mark.parametrize("suffix", BESIDE)
async def test_what_is_written_beside_a_file_that_was_removed_is_not_acknowledged(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / "ledger.db"
    with open_ledger(path, KEY, "test") as ledger:
        await ledger.call_first(store_webhooks, [EVENT])
        path.with_name(f"{path.name}{suffix}").unlink()
        with pytest.raises(LedgerReplacedError, match="removed"):
            await ledger.call_first(store_webhooks, [EVENT])
        with pytest.raises(LedgerReplacedError, match="removed"):
            await ledger.changed_elsewhere()
    if suffix:  # all of it is moved into the file at the end
        assert events_in(path) == 2


async def test_a_file_that_was_replaced_is_not_written_as_if_it_were_the_one_that_was_opened(
    tmp_path: Path,
) -> None:
    """Somebody puts a backup in the place of the ledger that is in use."""
    path, backup = tmp_path / "ledger.db", tmp_path / "backup.db"
    with open_ledger(backup, KEY, "test"):
        pass
    with open_ledger(path, KEY, "test") as ledger:
        await ledger.call(store_webhooks, [EVENT])
        backup.replace(path)
        with pytest.raises(LedgerReplacedError, match=r"ledger\.db was removed, replaced"):
            await ledger.call(store_webhooks, [EVENT])


async def test_a_daemon_whose_log_is_removed_ends_and_has_lost_nothing_that_it_acknowledged(
    bridge: Bridge,
) -> None:
    """It answered 202 to 60 more webhooks and said that it was ready; all 80 were lost with it."""
    path = bridge.folder / "ledger.db"
    daemon = await Daemon(bridge).__aenter__()
    await daemon.said("done", job="reconcile")
    kept = [await daemon.webhook("contact-updated", {"id": f"c{number}"}) for number in range(20)]
    assert set(kept) == {202}
    path.with_name("ledger.db-wal").unlink()
    assert await daemon.webhook("contact-updated", {"id": "late"}) == 503
    await asyncio.wait({daemon.task}, timeout=20)
    with pytest.raises(LedgerReplacedError, match=r"ledger\.db-wal was removed"):
        await daemon.__aexit__(None, None, None)
    assert events_in(path) >= 20
    async with Daemon(bridge) as daemon:
        assert await daemon.webhook("contact-updated", {"id": "late"}) == 202
