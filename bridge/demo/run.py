"""The demonstration as it runs.

::

    sandbox, temporary folder ──> backfill ──> backfill ──> four changes ──> backfill ──┐
                                     └── Loop: the same data, posted item by item ──┐   │
    compare <── why <── backfill <── the daemon, and what happens to it <───────────┴───┘

It reads nothing of the user's: neither a configuration nor the environment. What it makes is in one
temporary folder, which is gone at the end, however it ends, unless it ends well and is to be kept.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge import names, settings
from bridge.backfill import backfill
from bridge.demo import source
from bridge.demo.daemon import Daemon
from bridge.demo.explain import explain
from bridge.demo.naive_sync import BREAKS, Loop
from bridge.demo.scenes import Scenes
from bridge.demo.steps import Beginning, Change, Changed, Compared, Ended, Prepared, Ran, Running, Stopped
from bridge.errors import BridgeError
from bridge.ledger.database import reading
from bridge.ledger.statistics import load_webhook_counts
from bridge.records import Stream
from bridge.sandbox import Options, Sandbox
from bridge.wiring.ledger import make_keeping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.demo.steps import Audience

__all__ = ["demonstrate"]

CONNECTION: Final = "default"
OPTIONS: Final = Options(contacts=400, products=40, latency=0.02)
"""Large enough to hold every oddity a few times, slow enough that progress can be seen."""

LISTENERS: Final = "daemon.toml"
"""The part of the configuration that stays right under other addresses."""

AGAIN: Final = (
    f"trakor-bridge sandbox --contacts {OPTIONS.contacts} --products {OPTIONS.products} > sandbox.toml &",
    "until [ -s sandbox.toml ]; do sleep 1; done",
    f"cat sandbox.toml {LISTENERS} > config.toml",
)
"""Brings both systems up again, as they were at first, and makes the configuration that leads there."""

RENAMED, NAMESAKE, MOVED, PRICED = 0, 7, 8, 0
"""Where ordinary records stand in the simulated lists (docs/sandbox.md has the odd ones)."""

NEW_FAMILY: Final = "Sato"  # not among those that the simulated names are made of
RISE: Final = 50


async def demonstrate(audience: Audience, *, keep: bool) -> None:
    """Give the demonstration; takes a few seconds.

    Args:
        audience: Is told each step, and shown how far each backfill is.
        keep: Leave configuration and ledger behind.

    Raises:
        BridgeError: A backfill did not come to its end.
    """
    with _folder(keep=keep) as folder:
        async with Sandbox(OPTIONS) as sandbox:
            await _Story(sandbox, folder, audience).tell()
    audience.tell(Ended(folder, AGAIN) if keep else Ended(None))


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    """A temporary folder, only for its owner; kept only when all went well."""
    path = Path(tempfile.mkdtemp(prefix="trakor-bridge-demo-"))
    try:
        yield path
    except BaseException:
        shutil.rmtree(path)
        raise
    if not keep:
        shutil.rmtree(path)


def _pair(sandbox: Sandbox) -> str:
    return f"""\
# Of a demonstration: the simulated systems ended with it, the ledger beside this file can still be asked.
[salestrekker]
url = "{sandbox.salestrekker_url}"
api_key = "{sandbox.options.api_key}"
requests_per_minute = 60000 # the simulated system answers as fast as it is asked
probe_first = "500ms" # after a refusal; by default 30 s, which is long for an audience
probe_max = "1s"

[trakor]
url = "{sandbox.trakor_url}"
api_key = "{sandbox.options.trakor_key}"
probe_first = "500ms"
probe_max = "1s"
"""


def _listeners(token: str) -> str:
    """What the daemon needs beside the pair: a file of its own goes with other addresses, too."""
    return f"""\

[webhooks]
host = "127.0.0.1"
port = 0 # any free one: the log says which
token = "{token}"
debounce = "100ms"

[admin]
port = 0

[schedule] # nothing is read in the demonstration but for a webhook
timezone = "UTC"
contacts = "1d"
products = "1d"
reconcile = "1d"
"""


class _Story:
    """One demonstration."""

    def __init__(self, sandbox: Sandbox, folder: Path, audience: Audience) -> None:
        self._sandbox = sandbox
        self._audience = audience
        self._loop = Loop()
        self._runs = 0
        self._token = secrets.token_hex(16)
        pair, listeners = _pair(sandbox), _listeners(self._token)
        file = _written(folder / "config.toml", pair + listeners)
        _written(folder / LISTENERS, listeners)
        self._settings = settings.load(file, {})
        self._ledger = folder / "ledger.db"

    async def tell(self) -> None:
        """All of it, in order."""
        self._audience.tell(self._prepared())
        await self._backfill()
        await self._backfill()
        changes = self._change()
        self._audience.tell(Changed(tuple(changes.values())))
        await self._backfill()
        await self._run_daemon()
        await self._backfill()
        text_storage = make_keeping(self._settings)
        self._audience.tell(explain(self._ledger, text_storage, self._sandbox, first=tuple(changes)))
        self._audience.tell(self._compared())

    def _prepared(self) -> Prepared:
        keys = [names.key(source.name_of(contact)) for contact in self._sandbox.contacts]
        named = [key for key in keys if key]
        return Prepared(
            contacts=len(self._sandbox.contacts),
            products=len(self._sandbox.products),
            namesakes=len(named) - len(set(named)),
            nameless=len(keys) - len(named),
        )

    async def _backfill(self) -> None:
        """One backfill, and beside it one run of the loop over the same data."""
        self._runs += 1
        self._audience.tell(Beginning(self._runs))
        before = self._sandbox.trakor.traffic.total
        with self._audience.watch() as watch:
            report = await backfill(
                self._settings,
                streams=list(Stream),
                connections=[CONNECTION],
                restart=False,
                stop=asyncio.Event(),
                watch=watch,
            )
        of_connection = report.connections[CONNECTION]
        for problem in of_connection.problems:
            raise BridgeError(f"the demonstration's backfill stopped: {problem.message}")
        self._loop.run(self._sandbox.contacts, self._sandbox.products)
        requests = self._sandbox.trakor.traffic.total - before
        self._audience.tell(Ran(self._runs, of_connection, requests))

    async def _run_daemon(self) -> None:
        """The daemon, scene by scene; the loop knows no webhooks."""
        trakor = self._sandbox.trakor
        self._audience.tell(Running(self._settings.webhooks.debounce))
        requests, there = trakor.traffic.total, _size(self._sandbox)
        async with Daemon(self._settings, self._token) as daemon:
            scenes = Scenes(self._sandbox, daemon)
            for scene in scenes.in_order:
                self._audience.tell(await scene())
        with reading(self._ledger) as connection:
            waiting = load_webhook_counts(connection)[CONNECTION].waiting
        self._audience.tell(
            Stopped(
                seconds=daemon.stopped_in,
                webhooks=daemon.webhooks,
                waiting=waiting,
                requests=trakor.traffic.total - requests,
                created=_size(self._sandbox) - there,
            )
        )

    def _change(self) -> dict[str, Change]:
        """What happens in Salestrekker after the second backfill: the record's id -> what changed."""
        changes = (self._rename(), self._add_namesake(), self._change_email(), self._raise_price())
        return dict(changes)

    def _rename(self) -> tuple[str, Change]:
        contacts = self._sandbox.contacts
        identity, name = contacts.id_at(RENAMED), source.name_of(contacts[RENAMED])
        new = f"{name.partition(' ')[0]} {NEW_FAMILY}"
        contacts.rename(identity, new)
        return identity, Change("a contact is renamed", f"{name}, now {new}")

    def _add_namesake(self) -> tuple[str, Change]:
        contacts = self._sandbox.contacts
        first = contacts[NAMESAKE]
        name, email = source.name_of(first), _mailbox(source.name_of(first), "example.net")
        identity = contacts.add(name, email=email)
        return identity, Change("a new contact", f"another {name}, {email}")

    def _change_email(self) -> tuple[str, Change]:
        contacts = self._sandbox.contacts
        identity, contact = contacts.id_at(MOVED), contacts[MOVED]
        email = _mailbox(source.name_of(contact), "example.com")
        contacts.change_email(identity, email)
        return identity, Change("a new e-mail", f"{source.name_of(contact)}, now {email}")

    def _raise_price(self) -> tuple[str, Change]:
        products = self._sandbox.products
        identity, product = products.id_at(PRICED), products[PRICED]
        price = (source.application_fee(product) or 0) + RISE
        products.change_price(identity, price)
        return identity, Change("a new price", f"{source.name_of(product)}, now {price:,.2f}")

    def _compared(self) -> Compared:
        loop = self._loop
        return Compared(
            lost=len(loop.lost),
            refused=len(loop.refused),
            duplicates=len(loop.duplicates),
            vanished=len(loop.vanished),
            twins=loop.twins,
            breaks=BREAKS,
            failed=loop.failed,
            requests=loop.requests,
            ours=self._sandbox.trakor.traffic.total,
        )


def _written(file: Path, text: str) -> Path:
    """Write a file that only its owner can read: there is a secret in it."""
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    return file


def _size(sandbox: Sandbox) -> int:
    return len(sandbox.trakor.parties) + len(sandbox.trakor.products)


def _mailbox(name: str, domain: str) -> str:
    """An address made of the name alone: the seeded ones have a number in theirs."""
    return f"{'.'.join(name.lower().split())}@{domain}"
