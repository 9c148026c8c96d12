"""What each address was told: kept by address, replaced as a whole, forgotten with the address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from books import empty_ledger, kept
from bridge.ledger.daemon_state import Said, Topic, all_said, forget_all_but, keep_said
from bridge.ledger.database import writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

DISK = Topic("disk")
LATE = Topic("sweep-late", "north", "contacts")
HELD = Topic("waiting", "north", "contacts", "same-name")


@pytest.fixture
def ledger(tmp_path: Path, ledger_template: Path) -> Iterator[Connection]:
    with writing(
        empty_ledger(ledger_template, tmp_path / "ledger.db"),
        kept(empty_ledger(ledger_template, tmp_path / "ledger.db")),
    ) as connection:
        yield connection


def test_what_is_kept_is_found_again(ledger: Connection) -> None:
    keep_said(ledger, "one", {DISK: Said(10), HELD: Said(20, 3)})
    keep_said(ledger, "two", {LATE: Said(30)})
    assert all_said(ledger) == {"one": {DISK: Said(10), HELD: Said(20, 3)}, "two": {LATE: Said(30)}}


def test_what_is_kept_later_replaces_all_that_the_address_knew_and_nothing_else(ledger: Connection) -> None:
    for address in ("one", "two"):
        keep_said(ledger, address, {DISK: Said(10), LATE: Said(10)})
    keep_said(ledger, "one", {LATE: Said(50)})
    keep_said(ledger, "two", {})
    assert all_said(ledger) == {"one": {LATE: Said(50)}}


def test_an_address_that_is_not_configured_any_more_is_forgotten(ledger: Connection) -> None:
    for address in ("one", "two"):
        keep_said(ledger, address, {DISK: Said(10)})
    forget_all_but(ledger, ["two"])
    assert list(all_said(ledger)) == ["two"]
    forget_all_but(ledger, [])
    assert all_said(ledger) == {}
