"""``trakor-bridge run`` in a process of its own: signals, exit statuses, who may work beside it, secrets."""

from __future__ import annotations

import asyncio
import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bridge.ledger.database import reading
from bridge.ledger.statistics import load_webhook_counts
from bridge.records import Stream
from bridge.sandbox import Fault, Options, Sandbox
from bridges import Bridge
from daemons import TOKEN, daemon_settings
from processes import LONG, commands

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import aiohttp

    from processes import Begin, Ended, Process

    Start = Callable[[Options], Awaitable[Sandbox]]
    RunToEnd = Callable[..., Awaitable[Ended]]

pytestmark = pytest.mark.acceptance

CONTACTS = Stream.CONTACTS
DAEMON = ("run", "--log-format", "json")
IN_ORDER = 10.0
"""Seconds within which a stopped daemon ends, as its --help says."""


@pytest.fixture
async def begin(tmp_path: Path) -> AsyncIterator[Begin]:
    """``begin("run")`` starts the command in the test's folder; ended with the test."""
    async with commands(tmp_path) as begin:
        yield begin


@pytest.fixture
def run(begin: Begin) -> RunToEnd:
    """Likewise, but waits for the end and gives what the command left behind."""

    async def to_its_end(*arguments: str, **more: str) -> Ended:
        return await (await begin(*arguments, **more)).ended()

    return to_its_end


@pytest.fixture
async def bridge(start_sandbox: Start, tmp_path: Path) -> Bridge:
    """300 contacts and 20 products; the daemon's configuration is in the test's folder."""
    sandbox = await start_sandbox(Options(contacts=300, products=20))
    found = Bridge(tmp_path, sandbox, daemon_settings())
    assert found.settings.connections
    return found


async def at_work(begin: Begin, *arguments: str) -> tuple[Process, str]:
    """A daemon that has started, and the address that webhooks are posted to."""
    process = await begin(*DAEMON, *arguments)
    port = await process.listens("listening for webhooks")
    await process.said('"event": "started"')
    return process, f"http://127.0.0.1:{port}/webhooks/{TOKEN}"


async def all_delivered(bridge: Bridge, process: Process) -> None:
    """Wait until all that is in Salestrekker is known, and nothing waits to be sent."""
    there = {Stream.CONTACTS: bridge.sandbox.contacts, Stream.PRODUCTS: bridge.sandbox.products}

    def done() -> bool:
        books = bridge.books
        known = all({row["id"] for row in rows} <= books.ids(stream) for stream, rows in there.items())
        return known and not any(books.ids(stream, "pending") for stream in there)

    await process.until(done)


async def post(http: aiohttp.ClientSession, address: str, action: str, contact: str) -> int:
    """Post a webhook; gives the status."""
    async with http.post(f"{address}/{action}", json={"id": contact}) as answer:
        return answer.status


def kept(bridge: Bridge) -> int:
    """How many webhooks the ledger has."""
    with reading(bridge.folder / "ledger.db") as connection:
        return sum(one.received for one in load_webhook_counts(connection).values())


# Strangers


async def test_idle_connections_to_the_status_page_keep_no_webhook_out(
    bridge: Bridge, begin: Begin, http: aiohttp.ClientSession
) -> None:
    """1,140 of them stopped all webhooks, and filled the log with 72 MB in 75 s."""
    process, address = await at_work(begin)
    admin = int(next(line["port"] for line in process.log if line["event"] == "listening for status"))
    crowd = [await asyncio.open_connection("127.0.0.1", admin) for _ in range(400)]
    try:
        for number in range(20):
            assert await post(http, address, "contact-created", f"c{number}") == 202
        async with http.get(f"http://127.0.0.1:{admin}/healthz") as answer:
            assert answer.status == 200
    finally:
        for _, writer in crowd:
            writer.close()
    process.signal(signal.SIGTERM)
    ended = await process.ended(within=IN_ORDER)
    assert ended.status == 0
    assert "Traceback" not in ended.err
    assert ended.err.count("\n") < 100, "no line for each of them"
    assert kept(bridge) == 20


# Remotes


async def test_an_answer_of_fifty_megabytes_costs_neither_memory_nor_a_webhook(
    bridge: Bridge, begin: Begin, http: aiohttp.ClientSession
) -> None:
    """Sixty megabytes of ``{}`` took 3.4 GB, and webhooks waited for more than 30 s."""
    body = '{"data": {"contacts": [' + "{}," * 16_000_000 + "{}]}}"
    bridge.sandbox.salestrekker.faults.add(Fault(kind="contacts", status=200, body=body, times=None))
    process, address = await at_work(begin)
    waits: list[float] = []
    async with asyncio.timeout(LONG):
        while not any(line["event"] == "sweep failed" for line in process.log):
            began = time.monotonic()
            assert await post(http, address, "contact-created", f"c{len(waits) % 20}") == 202
            waits.append(time.monotonic() - began)
    assert max(waits) < 3, "seconds; and a tenth of one where the machine does nothing else"
    told = next(line for line in process.log if line["event"] == "sweep failed")
    assert "more than 100,000 records in one answer" in str(told)
    assert highest(process) < 200_000_000


def highest(process: Process) -> int:
    """The most memory that it has had, in bytes."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_in_the_middle_of_work_ends_it_in_order_with_0(
    bridge: Bridge, begin: Begin, http: aiohttp.ClientSession, number: signal.Signals
) -> None:
    """What is in flight is answered and written, webhooks that were taken are kept, the next life goes on."""
    sandbox = bridge.sandbox
    sandbox.trakor.latency = 0.02
    process, address = await at_work(begin)
    new = sandbox.contacts.add("Nora Newcomer", email="nora@example.com")
    assert await post(http, address, "contact-created", new) == 202
    await sandbox.trakor.wait_for(lambda: len(sandbox.trakor.parties) >= 50, timeout=LONG)
    process.signal(number)
    ended = await process.ended(within=IN_ORDER)
    assert ended.status == 0
    assert "Traceback" not in ended.err
    assert '"event": "stopped"' in ended.err
    books = bridge.books
    parties = sandbox.trakor.parties
    assert {entry.id for entry in parties.entries()} == set(books.linked["default", CONTACTS])
    assert len(parties) < 250, "it was in the middle"
    assert kept(bridge) == 1
    sandbox.trakor.latency = 0.0
    process, _ = await at_work(begin)
    await all_delivered(bridge, process)
    process.signal(number)
    assert (await process.ended(within=IN_ORDER)).status == 0
    assert bridge.in_order().contact(new).state == "delivered"


async def test_a_signal_is_no_outage_for_long_where_nobody_answers(bridge: Bridge, begin: Begin) -> None:
    """Also while requests hang on both sides it ends within its time, and what was asked is tried again."""
    sandbox, gate = bridge.sandbox, asyncio.Event()
    sandbox.trakor.faults.add(Fault(where=lambda _: len(sandbox.trakor.parties) >= 20, gate=gate, times=None))
    bridge.changes["trakor"] = bridge.changes["salestrekker"] = {"timeout": "60s"}
    assert bridge.settings.connections
    process, _ = await at_work(begin)
    await sandbox.trakor.wait_for(lambda: sandbox.trakor.traffic.in_flight == 16, timeout=LONG)
    process.signal(signal.SIGTERM)
    assert (await process.ended(within=IN_ORDER)).status == 0
    gate.set()
    sandbox.trakor.faults.clear()
    process, _ = await at_work(begin)
    await all_delivered(bridge, process)
    process.signal(signal.SIGTERM)
    await process.ended()
    bridge.in_order()


@pytest.mark.parametrize(
    ("first", "second"), [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT)]
)
async def test_a_second_signal_ends_it_at_once(
    bridge: Bridge, begin: Begin, first: signal.Signals, second: signal.Signals
) -> None:
    """In order it would wait eight seconds for the answers; to a shell the end is that of a signal."""
    sandbox, gate = bridge.sandbox, asyncio.Event()
    sandbox.trakor.faults.add(Fault(where=lambda _: len(sandbox.trakor.parties) >= 20, gate=gate, times=None))
    process, _ = await at_work(begin)
    await sandbox.trakor.wait_for(lambda: sandbox.trakor.traffic.in_flight == 16, timeout=LONG)
    process.signal(first)
    await process.said('"event": "stopping"')
    process.signal(second)
    ended = await process.ended(within=4)
    assert ended.status == 128 + second
    assert "Traceback" not in ended.err
    gate.set()


async def test_a_faulty_file_is_told_at_sighup_and_the_old_one_stays_at_work(
    bridge: Bridge, begin: Begin, http: aiohttp.ClientSession
) -> None:
    """It says where the fault is, and webhooks are still processed; a good file is taken over after it."""
    trakor = bridge.sandbox.trakor
    process, address = await at_work(begin)
    await all_delivered(bridge, process)
    good = (bridge.folder / "config.toml").read_text()
    (bridge.folder / "config.toml").write_text(f"{good}[contacts]\non_renam = 'hold'\n")
    process.signal(signal.SIGHUP)
    await process.said('"event": "configuration not taken over"')
    told = next(line for line in process.log if line["event"] == "configuration not taken over")
    assert "on_renam" in told["problem"]
    new = bridge.sandbox.contacts.add("Nora Newcomer", email="nora@example.com")
    assert await post(http, address, "contact-created", new) == 202
    await trakor.wait_for(lambda: "Nora Newcomer" in trakor.parties, timeout=LONG)
    (bridge.folder / "config.toml").write_text(good)
    process.signal(signal.SIGHUP)
    await process.said('"event": "configuration taken over"')
    process.signal(signal.SIGTERM)
    assert (await process.ended(within=IN_ORDER)).status == 0


# What keeps it from starting, and what ends it


@pytest.mark.parametrize("listener", ["webhooks", "admin"])
async def test_a_port_that_is_taken_is_2_and_says_which(bridge: Bridge, run: RunToEnd, listener: str) -> None:
    """Nothing was begun: no request went out."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        bridge.changes[listener]["port"] = port
        assert bridge.settings.connections
        ended = await run(*DAEMON)
    assert ended.status == 2
    assert f"{port}" in ended.err.splitlines()[-2] + ended.err.splitlines()[-1]
    assert f"[{listener}]" in ended.err
    assert "Traceback" not in ended.err
    assert bridge.sandbox.salestrekker.traffic.total == 0


async def test_a_task_that_dies_ends_it_with_1_and_a_last_line_that_says_why(
    bridge: Bridge, begin: Begin, http: aiohttp.ClientSession
) -> None:
    """A fault of ours is no outage: whoever supervises the process is told, and starts it anew."""
    process, address = await at_work(begin)
    await all_delivered(bridge, process)
    with closing(sqlite3.connect(bridge.folder / "ledger.db")) as connection:
        connection.execute("DELETE FROM feeds")
        connection.commit()
    new = bridge.sandbox.contacts.add("Nora Newcomer", email="nora@example.com")
    assert await post(http, address, "contact-created", new) == 202
    ended = await process.ended(within=LONG)
    assert ended.status == 1
    last = ended.err.splitlines()[-1]
    assert last.startswith("error: the daemon ended unexpectedly: ")
    assert len(last) > len("error: the daemon ended unexpectedly: "), "it says of what"
    assert kept(bridge) == 1


# Beside it


async def test_run_and_backfill_exclude_each_other(bridge: Bridge, begin: Begin, run: RunToEnd) -> None:
    """Whoever comes second is told who is there since when, and does nothing."""
    daemon, _ = await at_work(begin)
    for command in (("backfill", "--json"), DAEMON):
        second = await run(*command)
        assert (second.status, second.out) == (1, "")
        assert f"`trakor-bridge run` (process {daemon.pid}) has held it since 20" in second.err
        assert "Traceback" not in second.err
    daemon.signal(signal.SIGTERM)
    assert (await daemon.ended(within=IN_ORDER)).status == 0
    gate = asyncio.Event()
    bridge.sandbox.salestrekker.faults.add(Fault(gate=gate, times=None))
    bridge.changes["salestrekker"] = {"timeout": "60s"}
    assert bridge.settings.connections
    first = await begin("backfill", "--json")
    asking = bridge.sandbox.salestrekker
    await asking.wait_for(lambda: asking.traffic.in_flight > 0, timeout=LONG)
    second = await run(*DAEMON)
    assert (second.status, second.out) == (1, "")
    assert f"`trakor-bridge backfill` (process {first.pid}) has held it since 20" in second.err
    gate.set()
    asking.faults.clear()
    assert (await first.ended()).status == 3
    bridge.in_order()


async def test_other_commands_work_beside_it_and_it_keeps_to_what_they_write(
    bridge: Bridge, begin: Begin, run: RunToEnd, http: aiohttp.ClientSession
) -> None:
    """What a person wants to know, and to stop, needs no other way than with no daemon there."""
    trakor = bridge.sandbox.trakor
    daemon, address = await at_work(begin)
    await all_delivered(bridge, daemon)
    status = await run("status", "--json")
    assert status.document["connections"]["default"]["sending"]["state"] == "ok"
    listed = await run("records", "list", "--json", "--state", "delivered", "--stream", "contacts")
    assert listed.document["total"] == len(bridge.books.ids(CONTACTS, "delivered"))
    assert (await run("pause")).status == 0
    await daemon.said('"event": "paused"')
    new = bridge.sandbox.contacts.add("Nora Newcomer", email="nora@example.com")
    assert await post(http, address, "contact-created", new) == 202
    await daemon.said('"event": "webhooks processed"')
    events = await run("webhooks", "list", "--json")
    assert [one["outcome"] for one in events.document["events"]] == ["read"]
    status = await run("status", "--json")
    assert status.document["connections"]["default"]["sending"]["state"] == "paused"
    assert "Nora Newcomer" not in trakor.parties
    assert (await run("resume")).status == 0
    await trakor.wait_for(lambda: "Nora Newcomer" in trakor.parties, timeout=LONG)
    daemon.signal(signal.SIGTERM)
    assert (await daemon.ended(within=IN_ORDER)).status == 0
    bridge.in_order()


# Secrets


async def test_no_secret_is_in_its_log_at_any_level(
    bridge: Bridge, begin: Begin, http: aiohttp.ClientSession
) -> None:
    """Keys, tokens and the webhooks' addresses: not when all goes well, not when it is refused or garbled."""
    sandbox = bridge.sandbox
    process, address = await at_work(begin, "--log-level", "debug")
    await all_delivered(bridge, process)
    one = sandbox.contacts.id_at(0)
    assert await post(http, address, "contact-updated", one) == 202
    assert await post(http, address, "contact-explode", one) == 202
    async with http.post(f"{address}/contact-updated", data=b"\xff not JSON") as answer:
        assert answer.status == 202
    assert await post(http, f"{address}0", "contact-updated", one) == 404
    await _garbled(address)
    sandbox.trakor.faults.add(Fault(status=401, body={"error": f"{sandbox.options.trakor_key} is revoked"}))
    sandbox.salestrekker.faults.add(Fault(status=500, body=sandbox.options.api_key))
    new = sandbox.contacts.add("Nora Newcomer", email="nora@example.com")
    assert await post(http, address, "contact-created", new) == 202
    await sandbox.trakor.wait_for(lambda: "Nora Newcomer" in sandbox.trakor.parties, timeout=LONG)
    sandbox.salestrekker.revoke_key()
    sandbox.salestrekker.revoke_tokens()
    assert await post(http, address, "contact-updated", one) == 202
    await process.said('"direction": "reading"')
    process.signal(signal.SIGTERM)
    ended = await process.ended(within=IN_ORDER)
    assert ended.status == 0
    assert '"level": "debug"' in ended.err, "there is something to look through"
    secrets = {sandbox.options.api_key, sandbox.options.trakor_key, TOKEN, "eyJ"}
    assert [secret for secret in secrets if secret in ended.err + ended.out] == []
    assert "ora Newcomer" not in ended.err


async def _garbled(address: str) -> None:
    """A request that is none, with the secret path in it."""
    host, port = address.removeprefix("http://").partition("/")[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST /webhooks/{TOKEN}/contact-updated HTTP/9.9\r\nBad Header\r\n\r\n".encode())
    await reader.read()
    writer.close()
    await writer.wait_closed()
