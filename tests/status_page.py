"""A status page on a loopback port, on a copy of a ledger that has a record in each state.

::

    organisation's ledger ──> Ledger ──> Desk ──> Pages ──> AdminServer ──> Browser (HTTP with cookies)

What only a daemon can give is given by the test: ``says`` is what Salestrekker says of an id now.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import TYPE_CHECKING, Any

from bridge.admin import AdminServer, HealthReport
from bridge.admin.context import PageContext
from bridge.admin.routes import Pages
from bridge.ledger.database import reading
from bridge.ledger.open import open_ledger, read_or_make_key
from bridge.ledger.operator_actions import record_version
from bridge.ledger.read_model import RecordQuery, RecordSummary, find_records
from bridge.ledger.record_relations_and_history import HistoryLine, load_history
from bridge.names import Hasher
from bridge.records import Policy, Stream
from bridge.status import take

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    import aiohttp

    from bridge.errors import BridgeError
    from bridge.ledger.database import Ledger
    from bridge.status import Snapshot

__all__ = ["NOW", "Answer", "Browser", "StatusPage", "served"]

NOW = 1_795_000_000_000


@dataclass
class StatusPage:
    """The page, and what stands behind it."""

    ledger: Ledger
    key: bytes
    url: str = ""
    policy: Policy = field(default_factory=Policy)
    says: dict[str, Mapping[str, str] | BridgeError] = field(default_factory=dict)
    asked: list[tuple[str, Stream, str]] = field(default_factory=list)
    problem: str = ""
    decided: int = 0
    fault: BridgeError | None = None
    now: int = NOW

    async def snapshot(self) -> Snapshot:
        """The state of everything, read anew, unless a fault is to come of it."""
        if self.fault is not None:
            raise self.fault
        return await asyncio.to_thread(
            take, self.ledger.path, {"default": list(Stream)}, ("default",), self.now
        )

    async def read_now(self, connection: str, stream: Stream, source_id: str) -> Mapping[str, str] | None:
        """What Salestrekker says of a record at this moment."""
        self.asked.append((connection, stream, source_id))
        said = self.says.get(source_id)
        if isinstance(said, Exception):
            raise said
        return said

    def on_decided(self) -> None:
        """Something may be to be sent."""
        self.decided += 1

    def context(self) -> PageContext:
        """What the pages are handed."""
        return PageContext(
            ledger=self.ledger,
            snapshot=self.snapshot,
            policy_of=lambda _: self.policy,
            name_key=Hasher(self.key).name_key,
            read_now=self.read_now,
            app_of=lambda _: "https://app.salestrekker.example",
            problem=lambda: self.problem,
            on_decided=self.on_decided,
            clock=lambda: self.now,
        )

    def record(self, source_id: str) -> RecordSummary:
        """A record as it stands on disk."""
        with reading(self.ledger.path, self.ledger.text_storage) as connection:
            return find_records(connection, RecordQuery(either=source_id))[0]

    def shown(self, source_id: str) -> str:
        """What a form of its page says of how it stands."""
        with reading(self.ledger.path, self.ledger.text_storage) as connection:
            return record_version(connection, self.record(source_id).number)

    def history(self, source_id: str) -> list[HistoryLine]:
        """Its history."""
        with reading(self.ledger.path, self.ledger.text_storage) as connection:
            return load_history(connection, self.record(source_id).number)


@asynccontextmanager
async def served(folder: Path, *, password: str = "", cost: int = 2) -> AsyncIterator[StatusPage]:
    """Serve the page of the ledger in a folder, until the block is left."""
    key = read_or_make_key(folder / "ledger.key", make=False)
    with open_ledger(folder / "ledger.db", key, "a test") as ledger:
        page = StatusPage(ledger, key)
        health = HealthReport(ok=True)

        async def is_ready() -> HealthReport:
            return health

        server = AdminServer(
            page.snapshot,
            lambda: health,
            is_ready,
            password=password,
            pages=Pages(page.context(), password=password, cost=cost),
        )
        _, port = await server.start("127.0.0.1", 0)
        page.url = f"http://127.0.0.1:{port}"
        try:
            yield page
        finally:
            await server.stop()


@dataclass(frozen=True)
class Answer:
    """An answer, whole."""

    status: int
    headers: Mapping[str, str]
    text: str
    url: str

    @property
    def words(self) -> str:
        """What there is to read, without tags, its white space as single blanks."""
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", self.text)).split())

    def hidden(self, name: str) -> str:
        """The value of the first hidden field of that name."""
        found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', self.text)
        assert found, f"the page has no hidden field {name}"
        return unescape(found[1])


class Browser:
    """An HTTP client that keeps cookies and follows redirections, as a browser without scripts does."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url

    async def get(self, path: str, **how: Any) -> Answer:  # noqa: ANN401 - handed on
        """Ask for a page."""
        async with self.http.get(self.url + path, **how) as answer:
            return Answer(answer.status, dict(answer.headers), await answer.text(), answer.url.raw_path_qs)

    async def post(self, path: str, data: Mapping[str, str], **how: Any) -> Answer:  # noqa: ANN401 - handed on
        """Send a form, to the letter."""
        async with self.http.post(self.url + path, data=data, **how) as answer:
            return Answer(answer.status, dict(answer.headers), await answer.text(), answer.url.raw_path_qs)

    async def send(self, page: Answer, path: str, **fields: str) -> Answer:
        """Send a form of a page, with what it has of itself."""
        own = {"shown": page.hidden("shown")} if 'name="shown"' in page.text else {}
        return await self.post(path, {"csrf": page.hidden("csrf"), **own, **fields})
