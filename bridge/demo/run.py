"""Runs the demonstration from beginning to end.

::

    sandbox, temporary folder ──> backfill ──> backfill ──> four changes ──> backfill ──┐
                                     └── NaiveSync: the same data, posted item by item ─┤
    comparison <── explanation <── backfill <── the daemon, and what happens to it <────┘

The demonstration reads nothing of the user's: no configuration and no environment variable. All its files
are in one temporary folder. The folder is deleted at the end, unless the demonstration succeeds and ``keep``
is set.
"""

from __future__ import annotations

import asyncio
import secrets
import shlex
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge import names, settings
from bridge.backfill import backfill
from bridge.demo import simulated_record_fields
from bridge.demo.daemon import Daemon
from bridge.demo.daemon_scenes import Scenes
from bridge.demo.explain_outcomes import explain
from bridge.demo.naive_sync import BREAKS, NaiveSync
from bridge.errors import BridgeError
from bridge.ledger.database import reading
from bridge.ledger.statistics import load_webhook_counts
from bridge.records import Stream
from bridge.sandbox import Options, Sandbox
from bridge.wiring.ledger_and_key import make_text_storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.demo.narrator_protocol import Narrator

__all__ = ["demonstrate", "next_steps"]

CONNECTION: Final = "default"
OPTIONS: Final = Options(contacts=400, products=40, latency=0.02)
"""Large enough to contain every oddity several times, and slow enough to show progress."""

LISTENERS: Final = "daemon.toml"
"""The part of the configuration that does not depend on the addresses of the sandbox."""

RESTART_COMMANDS: Final = (
    f"trakor-bridge sandbox --contacts {OPTIONS.contacts} --products {OPTIONS.products} > sandbox.toml &",
    "until [ -s sandbox.toml ]; do sleep 1; done",
    f"cat sandbox.toml {LISTENERS} > config.toml",
)
"""Commands that start both systems again in their first state, and write the configuration for them."""

RENAMED, NAMESAKE, MOVED, PRICED = 0, 7, 8, 0
"""Positions of ordinary records in the simulated lists (docs/sandbox.md lists the odd ones)."""

NEW_FAMILY: Final = "Sato"  # not among those that the simulated names are made of
RISE: Final = 50


BACKFILLS: Final = (
    ("A first backfill", "All that Salestrekker has is read, and what Trakor lacks is sent."),
    ("A second backfill", "Nothing has changed in between, so nothing is sent."),
    ("A third backfill", "What is safe to send is sent. The rest waits for a decision."),
    ("A last backfill", "It reads everything once more, and finds that the daemon missed nothing."),
)
"""The title and the purpose of each backfill."""


async def demonstrate(narrator: Narrator, *, keep: bool) -> None:
    """Run the demonstration; it takes about half a minute.

    Args:
        narrator: Prints each step, and the progress of each backfill.
        keep: Leave configuration and ledger behind.

    Raises:
        BridgeError: A backfill or the daemon did not do what it should.
    """
    with _folder(keep=keep) as folder:
        async with Sandbox(OPTIONS) as sandbox:
            await _Demonstration(sandbox, folder, narrator).run()
    narrator.closing(next_steps(folder if keep else None))


def next_steps(kept: Path | None) -> tuple[str, ...]:
    """Return the last lines, which say what to do next."""
    if kept is None:
        return (
            "Nothing of this is left behind. To keep it, and try these commands on it:",
            "  trakor-bridge demo --keep",
        )
    return (
        "Configuration and ledger are still there. To try these commands on them:",
        f"  cd {shlex.quote(str(kept))}",
        "  trakor-bridge status",
        "Both systems have ended. To start them and the daemon again:",
        *(f"  {line}" for line in RESTART_COMMANDS),
        "  trakor-bridge connections confirm default",
        "  trakor-bridge run",
        "Trakor is then empty again: `connections confirm` says that this is right.",
        "While the daemon runs, it sends at once what you accept.",
    )


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    """Make a temporary folder for its owner only; keep it only if everything succeeded."""
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
# From a demonstration. The simulated systems have ended; the ledger beside this file can still be read.
[salestrekker]
url = "{sandbox.salestrekker_url}"
api_key = "{sandbox.options.api_key}"
requests_per_minute = 60000 # the simulated system has no limit
probe_first = "500ms" # the default of 30 s is long for a demonstration
probe_max = "1s"

[trakor]
url = "{sandbox.trakor_url}"
api_key = "{sandbox.options.trakor_key}"
probe_first = "500ms"
probe_max = "1s"
"""


def _listeners(token: str) -> str:
    """Return the part for the daemon, which also fits a sandbox at other addresses."""
    return f"""\

[webhooks]
host = "127.0.0.1"
port = 0 # any free port, which the log shows
token = "{token}"
debounce = "100ms"

[admin]
port = 0

[schedule] # the demonstration reads only after webhooks
timezone = "UTC"
contacts = "1d"
products = "1d"
reconcile = "1d"
"""


class _Demonstration:
    """One demonstration."""

    def __init__(self, sandbox: Sandbox, folder: Path, narrator: Narrator) -> None:
        self._sandbox = sandbox
        self._narrator = narrator
        self._naive_sync = NaiveSync()
        self._backfills = iter(BACKFILLS)
        self._token = secrets.token_hex(16)
        pair, listeners = _pair(sandbox), _listeners(self._token)
        file = _write_private(folder / "config.toml", pair + listeners)
        _write_private(folder / LISTENERS, listeners)
        self._settings = settings.load(file, {})
        self._ledger = folder / "ledger.db"

    async def run(self) -> None:
        """Run all steps in order."""
        self._introduce()
        await self._backfill()
        await self._backfill()
        changed = self._change_source()
        await self._backfill()
        await self._run_daemon()
        await self._backfill()
        text_storage = make_text_storage(self._settings)
        explain(self._narrator, self._ledger, text_storage, self._sandbox, first=changed)
        self._compare()

    def _introduce(self) -> None:
        contacts, products = self._sandbox.contacts, self._sandbox.products
        keys = [names.key(simulated_record_fields.name_of(contact)) for contact in contacts]
        named = [key for key in keys if key]
        self._narrator.heading((("trakor-bridge demo", "bold"), ": both systems simulated on this machine."))
        self._narrator.chapter(
            "Two systems",
            f"Salestrekker has {len(contacts):,} contacts and {len(products):,} products, made up but like"
            f" real ones: {len(named) - len(set(named))} contacts have the name of another one,"
            f" {len(keys) - len(named)} have none. Trakor is empty. It identifies everything by"
            " its name alone, and can create, but neither rename nor update.",
        )

    async def _backfill(self) -> None:
        """Run a backfill, then the naive sync over the same data."""
        self._narrator.chapter(*next(self._backfills))
        before = self._sandbox.trakor.traffic.total
        with self._narrator.progress() as watch:
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
        self._naive_sync.run(self._sandbox.contacts, self._sandbox.products)
        self._narrator.counts(of_connection)
        requests = _count(self._sandbox.trakor.traffic.total - before, "request")
        self._narrator.text(("Trakor saw ", (requests, "bold"), f". It took {of_connection.seconds:.1f} s."))

    async def _run_daemon(self) -> None:
        """Run the daemon through all scenes. The naive sync knows no webhooks."""
        debounce = self._settings.webhooks.debounce
        self._narrator.chapter(
            "The daemon",
            (
                ("trakor-bridge run", "bold"),
                (
                    ": the same, unattended. Salestrekker posts webhooks to the daemon, which reads each"
                    f" record {debounce * 1000:.0f} ms after its first webhook."
                ),
            ),
        )
        requests, created = self._sandbox.trakor.traffic.total, _size(self._sandbox)
        async with Daemon(self._settings, self._token) as daemon:
            await Scenes(self._sandbox, daemon, self._narrator).play()
        requests = self._sandbox.trakor.traffic.total - requests
        created = _size(self._sandbox) - created
        self._narrator.text(
            (
                (
                    f"After the stop signal, the daemon ended in {daemon.stopped_in * 1000:.0f} ms. Of"
                    f" {daemon.webhooks:,} webhooks {self._waiting()}. Trakor saw "
                ),
                (f"{requests:,} requests", "bold"),
                f": {created:,} made a party, {requests - created:,} were refused or probes.",
            )
        )

    def _waiting(self) -> str:
        with reading(self._ledger) as connection:
            waiting = load_webhook_counts(connection)[CONNECTION].waiting
        return f"{waiting:,} still wait" if waiting else "none waits"

    def _change_source(self) -> tuple[str, ...]:
        """Change four records in Salestrekker after the second backfill, and return their ids."""
        changes = (self._rename(), self._add_namesake(), self._change_email(), self._raise_price())
        self._narrator.chapter("Then Salestrekker changes")
        self._narrator.table([(what, details) for _, what, details in changes])
        return tuple(identity for identity, _, _ in changes)

    def _rename(self) -> tuple[str, str, str]:
        contacts = self._sandbox.contacts
        identity, name = contacts.id_at(RENAMED), simulated_record_fields.name_of(contacts[RENAMED])
        new = f"{name.partition(' ')[0]} {NEW_FAMILY}"
        contacts.rename(identity, new)
        return identity, "a contact is renamed", f"{name}, now {new}"

    def _add_namesake(self) -> tuple[str, str, str]:
        contacts = self._sandbox.contacts
        first = contacts[NAMESAKE]
        name, email = (
            simulated_record_fields.name_of(first),
            _mailbox(simulated_record_fields.name_of(first), "example.net"),
        )
        identity = contacts.add(name, email=email)
        return identity, "a new contact", f"another {name}, {email}"

    def _change_email(self) -> tuple[str, str, str]:
        contacts = self._sandbox.contacts
        identity, contact = contacts.id_at(MOVED), contacts[MOVED]
        email = _mailbox(simulated_record_fields.name_of(contact), "example.com")
        contacts.change_email(identity, email)
        return identity, "a new e-mail", f"{simulated_record_fields.name_of(contact)}, now {email}"

    def _raise_price(self) -> tuple[str, str, str]:
        products = self._sandbox.products
        identity, product = products.id_at(PRICED), products[PRICED]
        price = (simulated_record_fields.application_fee(product) or 0) + RISE
        products.change_price(identity, price)
        return identity, "a new price", f"{simulated_record_fields.name_of(product)}, now {price:,.2f}"

    def _compare(self) -> None:
        """Print what the naive sync made of the same data, in a run after each backfill."""
        naive, ours = self._naive_sync, self._sandbox.trakor.traffic.total
        self._narrator.chapter(
            "And without the bridge",
            "Trakor's own example is a loop that posts every item by its name. Run after each of the four"
            " backfills, on the same data and a Trakor of its own, the loop had these results:",
        )
        twins = f"parties twice, if Trakor looks up, then inserts: 1 connection in {BREAKS} broke"
        results = (
            (len(naive.lost), "clients lost: Trakor answered with their namesake's party"),
            (len(naive.refused), "clients and products refused: their names are too long"),
            (len(naive.duplicates), "clients who are two parties since they were renamed"),
            (len(naive.vanished), "changes that never arrived, without any error"),
            (naive.twins, twins),
            (naive.failed, "requests since then that such a Trakor answered with an error"),
            (naive.requests, f"requests; the bridge sent {ours:,}"),
        )
        self._narrator.table([(f"{number:,}", what) for number, what in results], numbers=True)


def _write_private(file: Path, text: str) -> Path:
    """Write a file that only its owner can read: it contains a secret."""
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    return file


def _size(sandbox: Sandbox) -> int:
    return len(sandbox.trakor.parties) + len(sandbox.trakor.products)


def _mailbox(name: str, domain: str) -> str:
    """Return an address made of the name alone; those of the seeded contacts contain a number."""
    return f"{'.'.join(name.lower().split())}@{domain}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
