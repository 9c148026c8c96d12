"""A ledger whose pages are damaged is not written, and whoever asks is told that webhooks cannot be kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from books import empty_ledger
from bridge.errors import LedgerError
from bridge.ledger.database import writing
from bridge.ledger.open import derive_key, open_ledger, require_undamaged
from bridge.ledger.webhook_queue import store_webhooks
from bridge.records import ReceivedWebhook
from bridge.sandbox import Options, Sandbox
from bridges import Bridge, without
from daemons import Daemon
from damaging import Place, put

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Start = Callable[[Options], Awaitable[Sandbox]]

KEY = derive_key("the tests' key")


@pytest.fixture
def path(ledger_template: Path, tmp_path: Path) -> Path:
    """A ledger with one webhook."""
    path = empty_ledger(ledger_template, tmp_path / "ledger.db")
    with writing(path) as connection:
        store_webhooks(connection, [ReceivedWebhook("default", "contact-updated", "c1", 1, None, "")])
    with closing(sqlite3.connect(path)) as driver:
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def blot_out(path: Path, table: str) -> None:
    """The first page of a table becomes nothing but zeros, as an unlucky disk leaves it."""
    with closing(sqlite3.connect(path)) as driver:
        (size,) = driver.execute("PRAGMA page_size").fetchone()
        (page,) = driver.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))


@pytest.mark.parametrize("table", ["events", "records", "history"])
def test_a_ledger_with_a_damaged_page_is_not_opened_and_not_written(path: Path, table: str) -> None:
    """Webhooks got 503 for as long as it ran, which nobody was told."""
    blot_out(path, table)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=r"ledger\.db is damaged"), open_ledger(path, KEY, "test"):
        raise AssertionError
    assert path.read_bytes() == before


def test_a_damaged_value_is_no_reason_not_to_begin(path: Path) -> None:
    """It stops its own record and no other."""
    assert put(path, Place("events", "received_at", 0), "NULL")
    with open_ledger(path, KEY, "test"):
        pass


def test_a_start_looks_for_damage_for_some_seconds_and_no_longer(path: Path) -> None:
    blot_out(path, "history")
    require_undamaged(path, at_most=-1)


async def test_the_daemon_is_ready_only_while_webhooks_can_be_kept(
    start_sandbox: Start, tmp_path: Path
) -> None:
    """It wrote elsewhere and said that it was, fifteen times."""
    bridge = Bridge(tmp_path, await start_sandbox(Options(contacts=1, products=0)))
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
        with without(bridge, "events"):
            assert (await daemon.ask("/readyz"))[0] == 503
            assert await daemon.webhook("contact-updated", {"id": "c1"}) == 503
        assert (await daemon.ask("/readyz"))[0] == 200
        assert await daemon.webhook("contact-updated", {"id": "c1"}) == 202
