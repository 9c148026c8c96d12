"""What each address was told: kept by address, replaced as a whole, forgotten with the address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from books import empty_ledger, kept
from bridge.ledger.alerts_sent import (
    AlertSent,
    AlertTopic,
    delete_unlisted_addresses,
    load_alerts_sent,
    save_alerts_sent,
)
from bridge.ledger.database import writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

DISK = AlertTopic("disk")
LATE = AlertTopic("sweep-late", "north", "contacts")
HELD = AlertTopic("waiting", "north", "contacts", "same-name")


@pytest.fixture
def ledger(tmp_path: Path, ledger_template: Path) -> Iterator[Connection]:
    with writing(
        empty_ledger(ledger_template, tmp_path / "ledger.db"),
        kept(empty_ledger(ledger_template, tmp_path / "ledger.db")),
    ) as connection:
        yield connection


def test_what_is_kept_is_found_again(ledger: Connection) -> None:
    save_alerts_sent(ledger, "one", {DISK: AlertSent(10), HELD: AlertSent(20, 3)})
    save_alerts_sent(ledger, "two", {LATE: AlertSent(30)})
    assert load_alerts_sent(ledger) == {
        "one": {DISK: AlertSent(10), HELD: AlertSent(20, 3)},
        "two": {LATE: AlertSent(30)},
    }


def test_what_is_kept_later_replaces_all_that_the_address_knew_and_nothing_else(ledger: Connection) -> None:
    for address in ("one", "two"):
        save_alerts_sent(ledger, address, {DISK: AlertSent(10), LATE: AlertSent(10)})
    save_alerts_sent(ledger, "one", {LATE: AlertSent(50)})
    save_alerts_sent(ledger, "two", {})
    assert load_alerts_sent(ledger) == {"one": {LATE: AlertSent(50)}}


def test_an_address_that_is_not_configured_any_more_is_forgotten(ledger: Connection) -> None:
    for address in ("one", "two"):
        save_alerts_sent(ledger, address, {DISK: AlertSent(10)})
    delete_unlisted_addresses(ledger, ["two"])
    assert list(load_alerts_sent(ledger)) == ["two"]
    delete_unlisted_addresses(ledger, [])
    assert load_alerts_sent(ledger) == {}
