"""A ledger as an organisation leaves it, one record in each state, and the command line to look at it.

``organisation`` is run through the sandbox by real backfills once; each test works on a copy of it::

    first backfill  ──> renamed, changed, gone ──> second backfill ──> one that was refused is retried

The commands run in the test's own process, through ``main``: what they print, and their exit status.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import structlog

from books import kept
from bridge.backfill import backfill
from bridge.cli import main
from bridge.cli.progress import progress
from bridge.ledger.database import reading, writing
from bridge.ledger.operator_actions import OperatorAction, apply_to_each
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.ledger.schema import feeds, records
from bridge.records import Policy, Stream
from bridge.sandbox import Fault, Options, Sandbox, configuration
from bridge.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bridge.backfill import Report
    from bridge.ledger.read_model import RecordSummary

__all__ = ["Desk", "Organisation", "Ran", "configured", "organisation", "run_backfill"]

FORMULA = "=HYPERLINK(1)"


@dataclass(frozen=True)
class Organisation:
    """Where its ledger is, and Salestrekker's id of the one record that each word says."""

    folder: Path
    ids: dict[str, str]


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever JSON can say
        """Its one document."""
        return orjson.loads(self.out)


@dataclass(frozen=True)
class Desk:
    """The command line at a folder with a configuration."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Ran:
        """Run one command."""
        config = ("--config", str(self.folder / "config.toml"))
        self.monkeypatch.setattr(sys, "argv", ["trakor-bridge", *arguments, *config])
        self.capsys.readouterr()
        with _logging_restored(), pytest.raises(SystemExit) as ended:
            main()
        said = self.capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, said.out, said.err)

    def copy(self, of: Organisation) -> Desk:
        """Begin with an organisation's ledger."""
        shutil.copytree(of.folder, self.folder, dirs_exist_ok=True)
        return self


@contextmanager
def _logging_restored() -> Iterator[None]:
    """Logging belongs to the process: each command leaves it as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()


async def run_backfill(folder: Path) -> Report:
    """A backfill of everything, as the command does it."""
    settings = load(folder / "config.toml", {})
    with progress(visible=False) as watch:
        return await backfill(
            settings,
            streams=list(Stream),
            connections=tuple(settings.connections),
            restart=False,
            stop=asyncio.Event(),
            watch=watch,
        )


async def organisation(folder: Path) -> Organisation:
    """Run an organisation through the sandbox until it has a record in each state."""
    async with Sandbox(Options(contacts=0, products=0)) as sandbox:
        (folder / "config.toml").write_text(configured(sandbox))
        ids = _first_day(sandbox)
        await run_backfill(folder)
        _second_day(sandbox, ids)
        await run_backfill(folder)
    with writing(folder / "ledger.db", kept(folder / "ledger.db")) as connection:
        wanted = RecordQuery(either=ids["pending"])
        apply_to_each(
            connection, OperatorAction.RETRY, wanted, lambda _: Policy(), now=time.time_ns() // 1_000_000
        )
    return Organisation(folder, ids)


def configured(sandbox: Sandbox) -> str:
    """A configuration that leads to a sandbox, reads it at full speed, and asks about what was there."""
    source, trakor, rest = configuration(sandbox).partition("[trakor]")
    return f'{source}requests_per_minute = 6000\n\n{trakor}{rest}\n[contacts]\non_existing = "hold"\n'


def _first_day(sandbox: Sandbox) -> dict[str, str]:
    contacts, products = sandbox.contacts, sandbox.products
    sandbox.trakor.parties.put("Old Friend")
    for name in ("Bad Payload", "Late Comer"):
        sandbox.trakor.faults.add(Fault(name=name, status=400, body={"error": "contact_info is odd"}))
    return {
        "renamed": contacts.add("Jane Smith", email="jane@example.org"),
        "same-name": contacts.add("jane  smith"),
        "drifted": contacts.add("Bruce Wayne", email="bruce@example.org"),
        "delivered": contacts.add("Pat Lee", email="pat@example.org"),
        "merged": contacts.add("PAT LEE", email="pat@example.org"),
        "qualified": contacts.add("Pat Lee", email="other.pat@example.org"),
        "no-name": contacts.add("", email="nobody@example.org"),
        "filtered": contacts.add("Not Wanted", active=False),
        "gone": contacts.add("Gone Away"),
        "existing": contacts.add("Old Friend"),
        "refused": contacts.add("Bad Payload"),
        "pending": contacts.add("Late Comer", email="late@example.org"),
        "formula": contacts.add(FORMULA),
        "formula-twin": contacts.add(FORMULA),
        "product": products.add("Basic", lender="Bank", price=10),
        "mapping": products.add("Odd", lender="Bank", price=-1),
    }


def _second_day(sandbox: Sandbox, ids: dict[str, str]) -> None:
    sandbox.contacts.rename(ids["renamed"], "Jane Smythe")
    sandbox.contacts.change_email(ids["drifted"], "bruce@example.com")
    sandbox.contacts.remove(ids["gone"])


def stands(desk: Desk, identity: str) -> RecordSummary:
    """A record as the ledger has it now."""
    with reading(desk.folder / "ledger.db") as connection:
        (found,) = find_records(connection, RecordQuery(either=identity))
    return found


def listed(desk: Desk, *arguments: str) -> set[str]:
    return {record["id"] for record in desk("records", "list", "--json", *arguments).json["records"]}


def into_another_connection(desk: Desk, identity: str, new_identity: str) -> None:
    """Make of a record one of the connection ``sydney``, which is not configured."""
    with writing(desk.folder / "ledger.db", kept(desk.folder / "ledger.db")) as connection:
        feed = {"number": 99, "connection": "sydney", "stream": "contacts", "space": 1}
        connection.execute(feeds.insert().values(feed))
        moved = records.update().where(records.c.source_id == identity)
        connection.execute(moved.values(feed=99, source_id=new_identity))
