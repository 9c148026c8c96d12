"""The admin listener over real sockets: what it tells, to whom, and under which name."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from bridge.admin import AdminServer, HealthReport
from bridge.admin.guess_limits import MOST_OF_ONE, TRIES, WITHIN, WrongPasswords
from bridge.admin.passwords import BasicPassword
from bridge.admin.server import is_loopback, is_meant
from bridge.errors import LedgerError, UserError
from bridge.ledger.runs_and_sweeps import LastSweep
from bridge.records import State, Stream
from bridge.status import ConnectionStatus, Flow, Snapshot, StreamStatus, WebhookStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    import aiohttp

NOW = 1_795_000_000_000
PASSWORD = "a pässword: with colon"
CONTACTS = StreamStatus(
    states=dict.fromkeys(State, 0) | {State.DELIVERED: 7, State.HELD: 2},
    marks={"gone": 1, "filtered": 0},
    last_sweep=LastSweep(1, NOW - 9000, NOW - 8000, NOW - 7000, complete=True, read=9, missing=40),
    complete_at=NOW - 7000,
    next_sweep_at=NOW + 900_000,
)
SYDNEY = ConnectionStatus(
    'syd"ney',
    {Stream.CONTACTS: CONTACTS, Stream.PRODUCTS: StreamStatus(sending=Flow("paused", NOW))},
    reading=Flow("paused", NOW, "the log-in was refused", None),
    token_expires_at=NOW + 86_400_000,
    token_failing_since=NOW,
    webhooks=WebhookStatus(received=12, waiting=3, last_at=NOW - 500, unreadable=1),
    lag_seconds=2.5,
)
SNAPSHOT = Snapshot(NOW, Path("ledger.db"), 4096, {'syd"ney': SYDNEY}, version="1.2.3", alive=True)


class World:
    """What the listener is handed, and an address to ask it at."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | Exception = SNAPSHOT
        self.health = HealthReport(ok=True)
        self.ready = HealthReport(ok=True)
        self.looks = 0
        self.looking = asyncio.Event()
        self.may_look = asyncio.Event()
        self.may_look.set()
        self.url = ""

    async def look(self) -> Snapshot:
        self.looks += 1
        self.looking.set()
        await self.may_look.wait()
        if isinstance(self.snapshot, Exception):
            raise self.snapshot
        return self.snapshot

    async def is_ready(self) -> HealthReport:
        return self.ready

    held_for = 0.001

    seconds = 0.0

    hosts: tuple[str, ...] = ()

    def server(self, password: str = "", answers: Callable[[], Mapping[int, int]] = dict) -> AdminServer:
        return AdminServer(
            self.look,
            lambda: self.health,
            self.is_ready,
            password=password,
            hosts=self.hosts,
            answers=answers,
            wrong_passwords=WrongPasswords(self.held_for, lambda: self.seconds),
        )

    @asynccontextmanager
    async def served(
        self, password: str = "", answers: Callable[[], Mapping[int, int]] = dict, host: str = "127.0.0.1"
    ) -> AsyncIterator[AdminServer]:
        server = self.server(password, answers)
        _, port = await server.start(host, 0)
        self.url = f"http://127.0.0.1:{port}"
        try:
            yield server
        finally:
            await server.stop()


Ask = Any


@pytest.fixture
async def world() -> World:
    return World()


@pytest.fixture
def ask(http: aiohttp.ClientSession, world: World) -> Ask:
    """``ask(path, **headers)`` gives status, headers and text."""

    async def send(
        path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> tuple[int, Any, str]:
        async with http.request(method, world.url + path, headers=headers) as answer:
            return answer.status, answer.headers, await answer.text()

    return send


def basic(password: str, user: str = "anybody") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


# -- health -----------------------------------------------------------------------------------------


async def test_health_and_readiness_are_told_to_all_and_say_why_not(world: World, ask: Ask) -> None:
    async with world.served(PASSWORD):
        for path in ("/healthz", "/readyz"):
            assert (await ask(path))[::2] == (200, "ok\n")
        world.health = HealthReport(ok=False, why="the ledger has not answered for 40 seconds")
        assert (await ask("/healthz"))[::2] == (503, "the ledger has not answered for 40 seconds\n")
        assert (await ask("/readyz"))[0] == 200
        world.ready = HealthReport(ok=False, why="the disk is full")
        assert (await ask("/readyz"))[::2] == (503, "the disk is full\n")


async def test_what_a_request_expects_is_not_repeated(world: World, ask: Ask) -> None:
    """The library's own refusal was "Unknown Expect:", and what had been sent."""
    async with world.served():
        assert (await ask("/healthz", {"Expect": "a canary"}))[::2] == (417, "")
        assert (await ask("/healthz", {"Expect": "100-Continue"}))[0] == 200


async def test_what_is_not_there_is_not_found_and_nothing_is_changed(world: World, ask: Ask) -> None:
    async with world.served():
        assert (await ask("/api/other"))[0] == 404
        assert (await ask("/api/status", method="POST"))[0] == 405
        assert (await ask("/healthz", method="HEAD"))[0] == 200


# -- the password -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/metrics", "/api/status"])
async def test_the_state_is_told_to_who_knows_the_password_only(world: World, ask: Ask, path: str) -> None:
    async with world.served(PASSWORD):
        status, headers, text = await ask(path)
        assert (status, headers["WWW-Authenticate"][:5]) == (401, "Basic")
        assert "syd" not in text
        assert (await ask(path, basic("another")))[0] == 401
        assert (await ask(path, basic(PASSWORD)))[0] == 200


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Bearer YTpi",
        "Basic é",
    ],
)
def test_a_header_that_says_no_password_is_no_password(header: str | None) -> None:
    """Not even where it is compared with an empty one: no password set means that none is asked for."""
    assert not BasicPassword("secret").fits(header)
    assert BasicPassword("").fits(header)


async def test_five_wrong_passwords_a_minute_are_looked_at_from_an_address(world: World, ask: Ask) -> None:
    """By Basic it was 120 a minute, of the password that the log-in gives away five times a minute."""
    async with world.served(PASSWORD):
        answers = [
            (await ask("/metrics", basic(f"guess {n}", user=f"user {n}")))[0] for n in range(TRIES + 2)
        ]
        assert answers == [401] * TRIES + [429] * 2
        status, headers, _ = await ask("/api/status", basic(PASSWORD))
        assert (status, headers["Retry-After"]) == (429, f"{WITHIN:.0f}"), "else it would be found out"
        assert (await ask("/metrics"))[0] == 401, "who gives none guesses nothing"
        world.seconds += WITHIN
        assert (await ask("/metrics", basic(PASSWORD)))[0] == 200


async def test_of_guesses_at_once_no_more_are_looked_at(world: World, ask: Ask) -> None:
    async with world.served(PASSWORD):
        answers = await asyncio.gather(*(ask("/metrics", basic(f"guess {n}")) for n in range(60)))
        seen = [status for status, _, _ in answers]
        assert 0 < seen.count(401) <= TRIES
        assert seen.count(429) == 60 - seen.count(401)


async def test_who_was_right_before_is_answered_while_others_are_locked_out(world: World, ask: Ask) -> None:
    """And its own wrong ones are bounded as well: its user name is no secret."""
    right = basic(PASSWORD, user="prometheus")
    async with world.served(PASSWORD):
        assert (await ask("/metrics", right))[0] == 200
        others = [(await ask("/metrics", basic(f"guess {n}", user="x")))[0] for n in range(TRIES + 1)]
        assert others == [401] * TRIES + [429]
        assert [(await ask("/metrics", right))[0] for _ in range(10)] == [200] * 10
        own = [(await ask("/metrics", basic(f"guess {n}", user="prometheus")))[0] for n in range(TRIES + 1)]
        assert own == [401] * TRIES + [429]
        world.seconds += WITHIN
        assert (await ask("/metrics", right))[0] == 200


async def test_wrong_passwords_are_one_line_a_minute_that_counts_them(world: World, ask: Ask) -> None:
    async with world.served(PASSWORD):
        with capture_logs() as logs:
            for n in range(TRIES):
                await ask("/metrics", basic(f"guess {n}"))
            world.seconds += WITHIN
            await ask("/metrics", basic("one more"))
    told = [entry for entry in logs if entry["event"] == "wrong password for the admin listener"]
    assert [entry["since_last_logged"] for entry in told] == [1, TRIES]
    assert {entry["address"] for entry in told} == {"127.0.0.1"}


async def test_many_guesses_at_once_find_nothing_out(world: World, ask: Ask) -> None:
    """While wrong ones are held even the right one is not looked at: else it would be found among many."""
    world.held_for = 0.1
    async with world.served(PASSWORD):
        wrong = [asyncio.create_task(ask("/metrics", basic(f"guess {n}"))) for n in range(MOST_OF_ONE)]
        async with asyncio.timeout(5):
            while (await ask("/metrics", basic(PASSWORD)))[0] != 429:
                pass
        await asyncio.gather(*wrong)
        assert (await ask("/metrics", basic(PASSWORD)))[0] == 200


async def test_who_was_right_before_waits_for_no_guesses_of_others(world: World, ask: Ask) -> None:
    """Six senders of wrong ones made a monitoring system's right one fail in nine of ten."""
    world.held_for = 0.1
    right = basic(PASSWORD, user="prometheus")
    async with world.served(PASSWORD):
        assert (await ask("/metrics", right))[0] == 200
        wrong = [asyncio.create_task(ask("/metrics", basic(f"guess {n}"))) for n in range(MOST_OF_ONE)]
        async with asyncio.timeout(5):
            while (await ask("/metrics", basic(PASSWORD)))[0] != 429:
                pass
        assert [(await ask("/metrics", right))[0] for _ in range(10)] == [200] * 10
        await asyncio.gather(*wrong)


async def test_without_a_password_it_is_shown_on_loopback_only(world: World) -> None:
    with pytest.raises(UserError, match="needs a password"):
        async with world.served(host="0.0.0.0"):  # noqa: S104 - what must not be
            pass


# -- the name it is called by -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/api/status", "/nothing"])
async def test_a_strangers_name_for_this_machine_is_not_answered(world: World, ask: Ask, path: str) -> None:
    """A page from elsewhere whose name was pointed at 127.0.0.1 learns nothing, not even what is there."""
    async with world.served(PASSWORD):
        status, _, text = await ask(path, {"Host": "evil.example:9090"} | basic(PASSWORD))
        assert (status, "syd" in text) == (421, False)


async def test_elsewhere_an_address_will_do_or_a_name_that_is_configured(world: World, ask: Ask) -> None:
    """`Host: evil.example` was served: a page from anywhere could have a browser ask by that name."""
    world.hosts = ("bridge.internal",)
    async with world.served(PASSWORD, host="0.0.0.0"):  # noqa: S104 - a password is set
        for name in ("bridge.internal:9090", "192.0.2.1:9090", "[2001:db8::1]", "localhost"):
            assert (await ask("/healthz", {"Host": name}))[0] == 200
            assert (await ask("/api/status", {"Host": name}))[0] == 401
            assert (await ask("/api/status", {"Host": name} | basic(PASSWORD)))[0] == 200
        for name in ("evil.example", "bridge.internal.evil.example", "192.0.2.1.evil.example"):
            status, _, text = await ask("/healthz", {"Host": name} | basic(PASSWORD))
            assert (status, "[admin] hosts" in text) == (421, True)


async def test_on_a_loopback_address_a_configured_name_will_do(world: World, ask: Ask) -> None:
    """As behind a proxy on the same machine."""
    world.hosts = ("status.example.com",)
    async with world.served(PASSWORD):
        assert (await ask("/healthz", {"Host": "STATUS.example.com."}))[0] == 200
        assert (await ask("/healthz", {"Host": "192.0.2.1"}))[0] == 421


@pytest.mark.parametrize(
    "name", ["localhost", "LOCALHOST:9090", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:80"]
)
def test_names_of_this_machine(name: str) -> None:
    assert is_meant([name], (), only_here=True)


@pytest.mark.parametrize(
    "names",
    [
        [], [""], ["localhost", "localhost"], ["localhost.evil.example"], ["127.0.0.1.evil.example"],
        ["192.0.2.1"], ["[::2]"], ["localhost:x"], ["user@localhost"], ["localhost/x"], ["::1"],
    ],
)  # fmt: skip
def test_names_of_others(names: list[str]) -> None:
    assert not is_meant(names, (), only_here=True)


def test_loopback_is_an_address_or_localhost() -> None:
    assert [is_loopback(host) for host in ("127.8.8.8", "::1", "localhost", "0.0.0.0", "host")] == [  # noqa: S104
        True, True, True, False, False,
    ]  # fmt: skip


# -- status -----------------------------------------------------------------------------------------


async def test_the_status_is_that_of_the_command(world: World, ask: Ask, http: aiohttp.ClientSession) -> None:
    async with world.served():
        async with http.get(world.url + "/api/status") as answer:
            assert await answer.json() == SNAPSHOT.as_json()
        _, headers, _ = await ask("/api/status")
    assert (headers["Server"], headers["Cache-Control"]) == ("trakor-bridge", "no-store")


@pytest.mark.parametrize("path", ["/metrics", "/api/status"])
async def test_a_ledger_that_cannot_be_read_is_said_to_be(world: World, ask: Ask, path: str) -> None:
    world.snapshot = LedgerError("the ledger is from a newer version")
    async with world.served():
        status, _, text = await ask(path)
    assert (status, "newer version" in text) == (503, True)


async def test_many_who_ask_at_once_cost_one_look(world: World, ask: Ask) -> None:
    async with world.served():
        world.may_look.clear()
        asked = [asyncio.create_task(ask("/api/status")) for _ in range(10)]
        await world.looking.wait()
        assert (await ask("/readyz"))[0] == 200
        world.may_look.set()
        assert {status for status, _, _ in await asyncio.gather(*asked)} == {200}
        assert world.looks <= 2  # one, and another for who came when that had ended
        await ask("/api/status")
        assert world.looks <= 3


async def test_it_ends_while_a_look_is_under_way(world: World, http: aiohttp.ClientSession) -> None:
    world.may_look.clear()
    async with world.served():
        asked = asyncio.create_task(http.get(world.url + "/api/status"))
        await world.looking.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    assert world.looks == 1


async def test_a_port_that_is_taken_is_named(world: World) -> None:
    async with world.served():
        port = int(world.url.rpartition(":")[2])
        with pytest.raises(UserError, match=f"port {port} of 127.0.0.1 is taken"):
            await world.server().start("127.0.0.1", port)


async def test_an_address_that_is_not_there_is_named(world: World) -> None:
    with pytest.raises(UserError, match=r"cannot be shown on 192\.0\.2\.1"):
        await world.server(PASSWORD).start("192.0.2.1", 0)


# -- metrics ----------------------------------------------------------------------------------------


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Each sample by its name, without what they all begin with, and the values of its labels."""
    return {
        (sample.name.removeprefix("trakor_bridge_"), tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scraped(world: World, ask: Ask, **served: Any) -> dict[tuple[str, tuple[str, ...]], float]:  # noqa: ANN401
    async with world.served(**served):
        status, headers, text = await ask("/metrics")
    assert (status, headers["Content-Type"][:10]) == (200, "text/plain")
    return samples(text)


async def test_the_metrics_are_those_of_the_snapshot(world: World, ask: Ask) -> None:
    found = await scraped(world, ask, answers=lambda: {202: 12, 404: 1})
    sydney, second = 'syd"ney', NOW / 1000
    expected: dict[tuple[str, tuple[str, ...]], float] = {
        ("build_info", ("1.2.3",)): 1,
        ("ledger_bytes", ()): 4096,
        ("records", (sydney, "delivered", "contacts")): 7,
        ("records", (sydney, "held", "contacts")): 2,
        ("records", (sydney, "pending", "products")): 0,
        ("marks", (sydney, "gone", "contacts")): 1,
        ("pending_lag_seconds", (sydney,)): 2.5,
        ("reading_paused", (sydney,)): 1,
        ("sending_paused", (sydney, "contacts")): 0,
        ("sending_paused", (sydney, "products")): 1,
        ("token_expires_timestamp_seconds", (sydney,)): second + 86_400,
        ("token_renewal_failing", (sydney,)): 1,
        ("last_complete_sweep_timestamp_seconds", (sydney, "contacts")): second - 7,
        ("next_sweep_timestamp_seconds", (sydney, "contacts")): second + 900,
        ("last_sweep_missing", (sydney, "contacts")): 40,
        ("webhooks_received_total", (sydney,)): 12,
        ("webhooks_unreadable_total", (sydney,)): 1,
        ("webhooks_waiting", (sydney,)): 3,
        ("webhooks_last_timestamp_seconds", (sydney,)): second - 0.5,
        ("webhook_answers_total", ("202",)): 12,
        ("webhook_answers_total", ("404",)): 1,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert found["process_resident_memory_bytes", ()] > 0


async def test_what_is_not_known_is_no_sample(world: World, ask: Ask) -> None:
    """A time of 0 would be 1970, and an alarm."""
    world.snapshot = replace(
        SNAPSHOT, size=None, connections={"a": ConnectionStatus("a", {Stream.CONTACTS: StreamStatus()})}
    )
    found = await scraped(world, ask)
    assert not [name for name, _ in found if "timestamp" in name or name == "ledger_bytes"]
    assert found["records", ("a", "held", "contacts")] == 0


async def test_a_pause_of_all_sending_is_one_of_each_stream(world: World, ask: Ask) -> None:
    paused = replace(SYDNEY, sending=Flow("paused", NOW))
    world.snapshot = replace(SNAPSHOT, connections={"a": replace(paused, name="a")})
    found = await scraped(world, ask)
    assert {key[1]: value for key, value in found.items() if key[0] == "sending_paused"} == {
        ("a", "contacts"): 1,
        ("a", "products"): 1,
    }


async def test_open_metrics_are_given_to_who_asks_for_them(world: World, ask: Ask) -> None:
    async with world.served():
        _, headers, text = await ask("/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


async def test_every_metric_has_the_name_of_the_product(world: World, ask: Ask) -> None:
    async with world.served():
        _, _, text = await ask("/metrics")
    names = [family.name for family in text_string_to_metric_families(text)]
    assert [name for name in names if not name.startswith("trakor_bridge_")] == []
    assert len(names) == len(set(names)) > 20
