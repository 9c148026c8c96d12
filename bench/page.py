"""Measures how long each page of the status page takes on a ledger with a million records.

    python bench/page.py [--records 1000000] [--visits 40]

SQL makes the ledger: one record in ten is held, one in fifty rejected, one in fifty drifted. The others are
delivered, each with its claim, its link, its encrypted content and a line of history. This process serves the
pages and requests them over HTTP, one at a time. The time that 19 of 20 visits take counts, from the request
to the last byte. Exit status 1: a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from webhooks import Line, percentile, require

from bridge.admin import AdminServer, HealthReport
from bridge.admin.context import PageContext
from bridge.admin.routes import Pages
from bridge.encryption import Sealer
from bridge.ledger.database import writing
from bridge.ledger.feeds import load_or_add_feed
from bridge.ledger.open import open_ledger, read_or_make_key
from bridge.ledger.sealed_texts import pack, to_texts
from bridge.names import Hasher, fit
from bridge.records import Draft, Party, Policy, Stream
from bridge.status import take

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy import Connection

    from bridge.ledger.database import Ledger
    from bridge.status import Snapshot

TARGET: Final = 200.0
"""Milliseconds that a page may take."""

NAMED: Final = "Somebody Known"
NOW: Final = time.time_ns() // 1_000_000

SCRIPT: Final = """
INSERT INTO records (number, feed, source_id, state, reason, key, read_at, since_at)
WITH RECURSIVE n (v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < :many)
SELECT v, :feed, 'c' || v,
    CASE WHEN v % 10 = 0 THEN 'held' WHEN v % 50 = 1 THEN 'rejected' WHEN v % 50 = 2 THEN 'drifted'
    ELSE 'delivered' END,
    CASE WHEN v % 10 = 0 THEN 'same-name' WHEN v % 50 = 1 THEN 'mapping' END,
    printf('k%015d', v), :now, :now - v
FROM n;

UPDATE records SET key = :name_key WHERE number = :known;

UPDATE records SET sent_key = key, sent = '2;contact_info=aaaaaaaa;name=bbbbbbbb',
    seen = CASE state WHEN 'drifted' THEN '2;contact_info=cccccccc;name=bbbbbbbb' END,
    trakor_id = 't' || number, origin = 'created'
WHERE state IN ('delivered', 'drifted');

INSERT INTO claims (space, key, record, answered)
SELECT :space, key, number, 1 FROM records WHERE sent_key != '';

INSERT INTO links (space, trakor_id, record, at, key, sent, origin)
SELECT :space, trakor_id, number, :now, key, sent, origin FROM records WHERE sent_key != '';

INSERT INTO contents (space, trakor_id, body)
SELECT :space, trakor_id, sealed(source_id) FROM records WHERE sent_key != '';

INSERT INTO history (record, at, event, detail)
SELECT number, :now, iif(sent_key != '', 'delivered', state),
    CASE state WHEN 'rejected' THEN 'price: gives a negative number' WHEN 'held' THEN 'c1 has the name'
    ELSE 'created' END
FROM records;

INSERT INTO waiting (record, slot, body, meta)
SELECT number, 0, sealed(source_id), :meta FROM records WHERE state IN ('held', 'drifted');

INSERT INTO deliveries (feed, hour, created, existing)
WITH RECURSIVE n (v) AS (SELECT 0 UNION ALL SELECT v + 1 FROM n WHERE v < 719)
SELECT :feed, :now / 3600000 - v, v, 0 FROM n
"""


def fill(connection: Connection, key: bytes, many: int) -> None:
    """Make the records with their claims, links, contents and history."""
    feed = load_or_add_feed(connection, "default", "bench", Stream.CONTACTS)
    load_or_add_feed(connection, "default", "bench", Stream.PRODUCTS)
    party = Party("Jane Smith", "0491 570 156")
    draft = Draft(
        id="c1",
        payload=party,
        key=f"{1:0>16}",
        qualifier="Perth",
        qualified_name="Jane Smith (Perth)",
        qualified_key=f"{2:0>16}",
        identifiers={},
        hashes={"name": "bbbbbbbb"},
        read_at=NOW,
    )
    sealer, texts = Sealer(key), to_texts(draft, party.name)

    def sealed(source_id: str) -> bytes:
        return sealer.seal(texts, feed.seal_context(source_id))

    driver: Any = connection.connection.driver_connection
    driver.create_function("sealed", 1, sealed)
    values = {
        "feed": feed.number,
        "space": feed.namespace,
        "now": NOW,
        "many": many,
        "meta": pack(draft),
        "name_key": Hasher(key).name_key(fit(NAMED)),
        "known": many - 5,
    }
    for statement in SCRIPT.split(";\n\n"):
        wanted = {word: values[word] for word in re.findall(r":(\w+)", statement)}
        connection.exec_driver_sql(statement, wanted)


def context_of(ledger: Ledger, key: bytes) -> PageContext:
    """The context of the pages, as the daemon makes it; Salestrekker is not asked."""

    async def snapshot() -> Snapshot:
        return await asyncio.to_thread(take, ledger.path, {"default": list(Stream)}, ("default",), NOW)

    async def read_now(_: str, __: Stream, ___: str) -> None:
        return None

    return PageContext(
        ledger=ledger,
        snapshot=snapshot,
        policy_of=lambda _: Policy(),
        name_key=Hasher(key).name_key,
        read_now=read_now,
        app_of=lambda _: "https://app.salestrekker.example",
        problem=str,
        on_decided=lambda: None,
        clock=lambda: NOW,
    )


@asynccontextmanager
async def served(folder: Path, many: int) -> AsyncIterator[str]:
    """Serves the pages of a new ledger with this number of records; yields their address."""
    key = read_or_make_key(folder / "ledger.key")
    path = folder / "ledger.db"
    with open_ledger(path, key, "a bench"):
        pass
    with writing(path) as connection:
        fill(connection, key, many)
    with open_ledger(path, key, "a bench") as ledger:
        context, health = context_of(ledger, key), HealthReport(ok=True)

        async def is_ready() -> HealthReport:
            return health

        server = AdminServer(context.snapshot, lambda: health, is_ready, pages=Pages(context))
        _, port = await server.start("127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            await server.stop()


class Visitor:
    """Requests pages, and measures how long each takes.

    Args:
        http: Keeps cookies.
        url: The address of the pages.
        visits: The number of visits to each page.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str, visits: int) -> None:
        self._http, self._url, self._visits = http, url, visits

    async def text(self, path: str) -> str:
        """Requests a page."""
        async with self._http.get(self._url + path) as answer:
            answer.raise_for_status()
            return await answer.text()

    async def page(self, what: str, path: str) -> Line:
        """Measures how long a page takes."""
        return await self._timed(what, lambda: self.text(path))

    async def search(self, what: str, wanted: str) -> Line:
        """Measures how long a search takes, with or without a result."""
        found = re.search(r'name="csrf" value="([^"]+)"', await self.text("/"))
        form = {"csrf": found[1] if found else "", "wanted": wanted}

        async def sent() -> str:
            async with self._http.post(f"{self._url}/search", data=form) as answer:
                answer.raise_for_status()
                return await answer.text()

        return await self._timed(what, sent)

    async def _timed(self, what: str, ask: Callable[[], Awaitable[str]]) -> Line:
        await ask()
        taken = []
        for _ in range(self._visits):
            begun = time.perf_counter()
            await ask()
            taken.append(1000 * (time.perf_counter() - begun))
        taken.sort()
        note = f"half within {percentile(taken, 0.5):.0f}, longest {taken[-1]:.0f}"
        return Line(f"ms: {what}", percentile(taken, 0.95), TARGET, note=note)


async def run(folder: Path, many: int, visits: int) -> list[Line]:
    """Measures each page."""
    async with (
        served(folder, many) as url,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        visitor = Visitor(http, url, visits)
        require("need a decision" in await visitor.text("/"), "the ledger has nothing that waits")
        return [
            await visitor.page("overview", "/"),
            await visitor.page("its live part", "/live"),
            await visitor.page("list of all that waits", "/records"),
            await visitor.page("list, in the middle", f"/records?after={many // 2}"),
            await visitor.page("list, the last page", f"/records?before={many}"),
            await visitor.page("list of the rejected", "/records?state=rejected"),
            await visitor.page("question about 1 in 10", "/many?state=held&reason=same-name&verb=drop"),
            await visitor.page("a record that is held", "/records/10"),
            await visitor.page("a record that is delivered", f"/records/{many - 5}"),
            await visitor.search("search by Salestrekker's id", f"c{many - 5}"),
            await visitor.search("search by Trakor's id", f"t{many - 5}"),
            await visitor.search("search by name", NAMED),
            await visitor.search("search for what there is not", "Nobody At All"),
            await visitor.page("/metrics", "/metrics"),
        ]


def main() -> int:
    """Print the table; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000, help="number of records in the ledger")
    parser.add_argument("--visits", type=int, default=40, help="visits to each page")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = asyncio.run(run(Path(folder), arguments.records, arguments.visits))
    print(*lines, sep="\n")
    return 0 if all(line.holds for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
