"""The installed command in a process of its own: exit statuses, documents, signals, kills, secrets, files."""

from __future__ import annotations

import asyncio
import random
import resource
import signal
import stat
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest

from bridge.records import Stream
from bridge.sandbox import BrokenField, Fault, Options, Sandbox
from bridges import Bridge
from processes import COMMAND, LONG, commands

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from processes import Begin, Ended

    Start = Callable[[Options], Awaitable[Sandbox]]
    Run = Begin
    RunToEnd = Callable[..., Awaitable[Ended]]

pytestmark = pytest.mark.acceptance

CONTACTS, PRODUCTS = Stream.CONTACTS, Stream.PRODUCTS


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Run]:
    """``start("backfill", "--json")`` starts the command in the test's folder; ended with the test."""
    async with commands(tmp_path) as begin:
        yield begin


@pytest.fixture
def run(start: Run) -> RunToEnd:
    """Likewise, but waits for the end and gives what the command left behind."""

    async def to_its_end(*arguments: str, **more: str) -> Ended:
        return await (await start(*arguments, **more)).ended()

    return to_its_end


@pytest.fixture
async def bridge(start_sandbox: Start, tmp_path: Path) -> Bridge:
    """300 contacts and 20 products; the configuration is in the test's folder."""
    sandbox = await start_sandbox(Options(contacts=300, products=20))
    found = Bridge(tmp_path, sandbox)
    assert found.settings.connections
    return found


@pytest.fixture
async def plain(start_sandbox: Start, tmp_path: Path) -> Bridge:
    """Two contacts and a product that nobody needs to look at."""
    sandbox = await start_sandbox(Options(contacts=0, products=0))
    sandbox.contacts.add("Ada Quillfeather", email="ada.quillfeather@example.com")
    sandbox.contacts.add("Bea Birdwhistle", phone="0491 570 156")
    sandbox.products.add("Basic Quokkaloan", lender="Bank", price=450.5)
    found = Bridge(tmp_path, sandbox)
    assert found.settings.connections
    return found


# Exit statuses and documents


async def test_all_done_is_0_with_one_document(plain: Bridge, run: RunToEnd) -> None:
    ended = await run("backfill", "--json")
    assert ended.status == 0
    of_it = ended.document["connections"]["default"]
    assert (of_it["complete"], sorted(of_it["streams"])) == (True, ["contacts", "products"])
    assert of_it["seconds"] > 0
    nothing = dict.fromkeys(
        ("existing", "unchanged", "merged", "skipped", "held", "rejected", "drifted", "pending"), 0
    )
    assert ended.numbers["contacts"] == {"read": 2, "created": 2, **nothing}
    plain.in_order()


async def test_without_json_a_person_can_read_it(plain: Bridge, run: RunToEnd) -> None:
    ended = await run("backfill", "contacts")
    assert ended.status == 0
    assert "contacts" in ended.out
    assert "products" not in ended.out
    assert "\x1b" not in ended.out + ended.err, "no colours and no progress where nobody looks"
    assert plain.sandbox.salestrekker.traffic.kinds["products"] == 0


async def test_what_needs_a_person_is_3(bridge: Bridge, run: RunToEnd) -> None:
    ended = await run("backfill", "--json")
    assert ended.status == 3
    assert ended.document["connections"]["default"]["complete"] is True
    assert sum(numbers["held"] + numbers["rejected"] for numbers in ended.numbers.values()) > 0
    assert ended.numbers["contacts"]["read"] == 300
    bridge.in_order()


async def test_a_wrong_configuration_is_2_and_says_where(plain: Bridge, run: RunToEnd) -> None:
    with (plain.folder / "config.toml").open("a") as file:
        file.write("on_renam = 'hold'\n")
    ended = await run("backfill", "--json")
    assert (ended.status, ended.out) == (2, "")
    assert "on_renam" in ended.err
    assert "Traceback" not in ended.err
    assert plain.sandbox.salestrekker.traffic.total == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("backfill", "deals"),
        ("backfill", "--jason"),
        ("backfill", "--connection", "nowhere"),
        ("backfill", "--config", "nowhere.toml"),
        ("backfil",),
    ],
)
async def test_wrong_usage_is_2_and_does_nothing(
    plain: Bridge, run: RunToEnd, arguments: tuple[str, ...]
) -> None:
    ended = await run(*arguments)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.strip()
    assert "Traceback" not in ended.err
    assert not (plain.folder / "ledger.db").exists()


async def test_a_record_that_cannot_be_read_is_1_with_a_document(plain: Bridge, run: RunToEnd) -> None:
    plain.sandbox.salestrekker.world.break_field(BrokenField(stream="products", path="notes"))
    ended = await run("backfill", "--json")
    assert ended.status == 1
    assert ended.document["connections"]["default"]["complete"] is False
    assert ended.numbers["contacts"]["created"] == 2
    assert "1 products could not be read" in ended.err


async def test_a_refusal_is_4_and_nothing_is_lost(bridge: Bridge, run: RunToEnd) -> None:
    bridge.sandbox.trakor.freeze()
    ended = await run("backfill", "--json")
    assert ended.status == 4
    assert ended.document["connections"]["default"]["complete"] is False
    assert "what to do" in ended.err
    assert ended.numbers["contacts"]["rejected"] == 0
    bridge.sandbox.trakor.unfreeze()
    assert (await bridge.backfill()).exit_status == 3
    bridge.in_order()


async def test_salestrekkers_refusal_is_4_too(plain: Bridge, run: RunToEnd) -> None:
    plain.sandbox.salestrekker.revoke_key()
    ended = await run("backfill", "--json")
    assert ended.status == 4
    assert ended.document["connections"]["default"]["complete"] is False
    assert "API key" in ended.err
    assert plain.sandbox.trakor.traffic.total == 0


# Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_it_in_order_with_130_and_a_document(
    bridge: Bridge, start: Run, number: signal.Signals
) -> None:
    trakor = bridge.sandbox.trakor
    trakor.latency = 0.01
    process = await start("backfill", "--json")
    await trakor.wait_for(lambda: len(trakor.parties) >= 50, timeout=LONG)
    process.signal(number)
    ended = await process.ended()
    assert ended.status == 130
    assert ended.document["connections"]["default"]["complete"] is False
    assert ended.numbers["contacts"]["created"] == len(trakor.parties), "what was in flight is answered"
    assert "Traceback" not in ended.err
    trakor.latency = 0.0
    assert (await bridge.backfill()).exit_status == 3
    bridge.in_order()


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
async def test_a_second_signal_ends_it_at_once(
    bridge: Bridge, start: Run, first: signal.Signals, second: signal.Signals
) -> None:
    """In order it would wait eight seconds for the answers. To a shell both ends are 128 and a bit."""
    sandbox, gate = bridge.sandbox, asyncio.Event()
    sandbox.trakor.faults.add(Fault(where=lambda _: len(sandbox.trakor.parties) >= 20, gate=gate, times=None))
    sandbox.salestrekker.faults.add(
        Fault(kind="contacts", where=lambda one: one.content["variables"]["offset"] >= 200, gate=gate)
    )
    process = await start("backfill", "--json")
    await sandbox.trakor.wait_for(lambda: sandbox.trakor.traffic.in_flight == 16, timeout=LONG)
    await sandbox.salestrekker.wait_for(lambda: sandbox.salestrekker.traffic.in_flight > 0, timeout=LONG)
    process.signal(first)
    await process.said('"event": "swept"')
    process.signal(second)
    ended = await process.ended(within=6)
    assert ended.status == (130 if second is signal.SIGINT else -signal.SIGTERM)
    assert ended.out == ""
    assert "Traceback" not in ended.err
    gate.set()
    sandbox.trakor.faults.clear()
    sandbox.salestrekker.faults.clear()
    assert (await bridge.backfill()).exit_status == 3
    bridge.in_order()


# Kills


async def test_killed_in_the_middle_again_and_again_it_ends_as_if_it_never_was(
    start_sandbox: Start, tmp_path: Path, start: Run, run: RunToEnd
) -> None:
    undisturbed = await start_sandbox(Options(contacts=400, products=20))
    (tmp_path / "undisturbed").mkdir()
    reference = Bridge(tmp_path / "undisturbed", undisturbed)
    await reference.backfill()

    sandbox = await start_sandbox(Options(contacts=400, products=20))
    bridge = Bridge(tmp_path, sandbox, {"contacts": {"page_size": 40}, "trakor": {"max_in_flight": 8}})
    assert bridge.settings.connections
    sandbox.trakor.latency = 0.004
    for _ in range(4):
        process = await start("backfill", "--json")
        moment = sandbox.trakor.traffic.total + random.randrange(1, 90)  # noqa: S311 - any
        await sandbox.trakor.wait_for(partial(_has_come, sandbox, moment), timeout=LONG)
        process.signal(signal.SIGKILL)
        assert (await process.ended()).status == -signal.SIGKILL
        await sandbox.trakor.wait_for(lambda: sandbox.trakor.traffic.in_flight == 0)
    ended = await run("backfill", "--json")
    assert ended.status == 3
    assert ended.document["connections"]["default"]["complete"] is True
    assert ended.numbers["contacts"]["pending"] == ended.numbers["products"]["pending"] == 0

    assert set(sandbox.trakor.parties.names()) == set(undisturbed.trakor.parties.names())
    assert set(sandbox.trakor.products.names()) == set(undisturbed.trakor.products.names())
    books, expected = bridge.in_order(), reference.in_order()
    for stream in Stream:
        assert books.ids(stream) == expected.ids(stream), "no record is lost"
    for record, known in books.known.items():
        as_expected = expected.known[record]
        assert (known.state, known.merged_into) == (as_expected.state, as_expected.merged_into)
        assert len(known.ids) == len(as_expected.ids), "one name for each source record"
    requests = sandbox.trakor.traffic.total
    await bridge.backfill()
    assert sandbox.trakor.traffic.total == requests


def _has_come(sandbox: Sandbox, moment: int) -> bool:
    return sandbox.trakor.traffic.total >= moment


# Two at once


async def test_a_second_backfill_on_the_ledger_is_refused_and_told_whose_it_is(
    plain: Bridge, start: Run, run: RunToEnd
) -> None:
    gate = asyncio.Event()
    plain.sandbox.trakor.faults.add(Fault(gate=gate, times=None))
    first = await start("backfill", "--json")
    await plain.sandbox.trakor.wait_for(lambda: plain.sandbox.trakor.traffic.in_flight > 0, timeout=LONG)
    second = await run("backfill", "--json")
    assert (second.status, second.out) == (1, "")
    assert f"process {first.pid}" in second.err
    assert "trakor-bridge backfill" in second.err
    assert "since 20" in second.err
    gate.set()
    assert (await first.ended()).status == 0
    plain.in_order()


# Secrets, personal data, files


def bytes_of(folder: Path) -> dict[str, bytes]:
    """All files but the configuration, which the user wrote."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "config.toml"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def leaks(canaries: list[str], ended: list[Ended], folder: Path) -> list[tuple[str, str]]:
    places = {
        **bytes_of(folder),
        **{f"stdout {number}": one.out.encode() for number, one in enumerate(ended)},
        **{f"stderr {number}": one.err.encode() for number, one in enumerate(ended)},
    }
    return [
        (canary, place)
        for canary in canaries
        for place, content in places.items()
        if canary.encode() in content
    ]


async def test_no_secret_is_in_any_output_or_file(plain: Bridge, run: RunToEnd) -> None:
    sandbox = plain.sandbox
    secrets = [sandbox.options.api_key, sandbox.options.trakor_key, "eyJ"]  # with which every token begins
    debug = ("backfill", "--json", "--log-level", "debug", "--log-format")
    sandbox.trakor.faults.add(Fault(reset=True))
    ended = [await run(*debug, "json")]
    sandbox.contacts.add("Cem Coldwater")
    sandbox.trakor.faults.add(Fault(status=401, body={"error": f"{sandbox.options.trakor_key} is revoked"}))
    ended.append(await run(*debug, "json"))
    sandbox.salestrekker.revoke_key()
    ended.append(await run(*debug, "console"))
    ended.append(await run(*debug, "json", TRAKOR_BRIDGE_TRAKOR__API_KEYS=sandbox.options.trakor_key))
    assert [one.status for one in ended] == [0, 4, 4, 2]
    assert all(one.err for one in ended), "there is something to look through"
    assert leaks(secrets, ended, plain.folder) == []


async def test_what_it_writes_only_its_owner_can_read_and_nobody_what_was_delivered(
    plain: Bridge, start: Run
) -> None:
    gate = asyncio.Event()
    plain.sandbox.trakor.faults.add(Fault(gate=gate, times=None))
    process = await start("backfill", "--log-level", "debug", "--log-format", "json")
    await plain.sandbox.trakor.wait_for(lambda: plain.sandbox.trakor.traffic.in_flight > 0, timeout=LONG)
    while_it_runs = modes(plain.folder)
    gate.set()
    ended = await process.ended()
    assert ended.status == 0
    assert {"ledger.db", "ledger.key", "ledger.db.lock", "ledger.db-wal"} <= set(while_it_runs)
    assert set(while_it_runs.values()) | set(modes(plain.folder).values()) == {0o600}
    canaries = ["uillfeather", "irdwhistle", "0491", "491 570", "uokkaloan"]
    assert leaks(canaries, [ended], plain.folder) == []


def modes(folder: Path) -> dict[str, int]:
    return {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in folder.iterdir()
        if path.is_file() and path.name != "config.toml"
    }


# Speed


def cpu_of(*arguments: str) -> float:
    """Seconds of processor time that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*COMMAND, *arguments], check=True, capture_output=True, timeout=LONG)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.parametrize("arguments", [("--help",), ("backfill", "--help")])
def test_help_answers_at_once(arguments: tuple[str, ...]) -> None:
    """The best of some: what it costs, not what others on the machine do."""
    assert min(cpu_of(*arguments) for _ in range(4)) < 0.5
