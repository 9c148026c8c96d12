"""Alerts over real sockets: who is told what, what a restart knows, and that no log holds a secret."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from books import KEEPING, empty_ledger
from bridge import logs
from bridge.alerts import Disk, Heartbeat, Message, Notifier, address_of
from bridge.alerts.conditions import DAY, HOUR, MINUTE
from bridge.alerts.notifier import SURELY_OVER
from bridge.errors import LedgerError, UserError
from bridge.ledger.database import Ledger
from bridge.ledger.runs_and_sweeps import SweepProgress
from bridge.records import Stream
from bridge.status import ConnectionStatus, Flow, Snapshot, StreamStatus
from desk import Desk
from messengers import CANARY, Service, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

NOW = 1_795_000_000_000
ROOM = Disk(2**40, 2**39)
MESSAGE = Message("a title", "a line\nanother line", grave=True)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as one:
        yield one


class World:
    """What the task is handed, and can be changed under it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.now = NOW
        self.status = ConnectionStatus("sydney", {Stream.CONTACTS: StreamStatus()})
        self.disk = ROOM
        self.fault: LedgerError | None = None

    async def snapshot(self) -> Snapshot:
        if self.fault:
            raise self.fault
        return Snapshot(self.now, self.ledger.path, 1, {"sydney": self.status}, alive=True)

    def alerts(self, *services: Service, heartbeat: Heartbeat | None = None) -> Notifier:
        """The task as the daemon makes it at each start."""
        return Notifier(
            self.snapshot,
            self.ledger,
            {f"key-{one.port}": address_of(one.address, number) for number, one in enumerate(services, 1)},
            overdue_at=lambda *_: None,
            clock=lambda: self.now,
            heartbeat=heartbeat,
            disk=lambda: self.disk,
        )

    def pause(self) -> None:
        self.status = replace(self.status, reading=Flow("paused", self.now - HOUR, "why"))

    def resume(self) -> None:
        self.status = replace(self.status, reading=Flow())

    async def looks(self, alerts: Notifier, times: int) -> None:
        for _ in range(times):
            self.now += MINUTE
            await alerts.check()


@pytest.fixture
def world(tmp_path: Path, ledger_template: Path) -> Iterator[World]:
    ledger = Ledger(empty_ledger(ledger_template, tmp_path / "ledger.db"), KEEPING)
    yield World(ledger)
    ledger.close()


@pytest.fixture
def log() -> io.StringIO:
    """All that is logged, at the most talkative level, with no secret known to the redaction."""
    lines = io.StringIO()
    logs.configure("debug", "json", lines)
    return lines


def events(log: io.StringIO) -> list[str]:
    return [json.loads(line)["event"] for line in log.getvalue().splitlines()]


# -- once, again after a day, once more at the end


async def test_a_pause_is_said_once_then_after_a_day_then_that_it_is_over(
    world: World, service: Service
) -> None:
    alerts = world.alerts(service)
    world.pause()
    await world.looks(alerts, 3)
    assert service.titles == ["trakor-bridge: reading-paused"]
    world.now += DAY
    await world.looks(alerts, 2)
    assert len(service.titles) == 2
    world.resume()
    await world.looks(alerts, SURELY_OVER - 1)
    assert len(service.titles) == 2
    await world.looks(alerts, 5)
    assert service.titles[2:] == ["trakor-bridge: reading-paused is over"]


async def test_what_comes_and_goes_is_one_alert(world: World, service: Service) -> None:
    alerts = world.alerts(service)
    for _ in range(3):
        world.disk = Disk(1, 0)
        await world.looks(alerts, 1)
        world.disk = ROOM
        await world.looks(alerts, SURELY_OVER - 1)
    assert service.titles == ["trakor-bridge: disk"]


async def test_a_restart_neither_repeats_nor_forgets(world: World, service: Service) -> None:
    world.pause()
    await world.looks(world.alerts(service), 1)
    await world.looks(world.alerts(service), 1)
    assert len(service.titles) == 1
    world.resume()
    await world.looks(world.alerts(service), SURELY_OVER)
    assert service.titles[1:] == ["trakor-bridge: reading-paused is over"]
    await world.looks(world.alerts(service), SURELY_OVER)
    assert len(service.titles) == 2


async def test_the_digest_survives_a_restart_too(world: World, service: Service) -> None:
    def wait(number: int) -> None:
        stream = StreamStatus(waiting={"same-name": number})
        world.status = replace(world.status, streams={Stream.CONTACTS: stream})

    wait(3)
    await world.looks(world.alerts(service), 1)
    wait(4)
    await world.looks(world.alerts(service), 1)
    assert len(service.messages) == 1
    world.now += HOUR
    await world.looks(world.alerts(service), 1)
    assert [message["message"].splitlines()[0] for message in service.messages] == [
        "[waiting] sydney: new decisions needed: 3 contacts (same-name). 3 in all.",
        "[waiting] sydney: new decisions needed: 1 contact (same-name). 4 in all.",
    ]


async def test_an_address_that_is_not_configured_any_more_is_forgotten(
    world: World, service: Service
) -> None:
    world.pause()
    await world.looks(world.alerts(service), 1)
    await world.looks(world.alerts(), 1)
    await world.looks(world.alerts(service), 1)
    assert len(service.titles) == 2


# -- what fails


async def test_an_address_that_fails_is_tried_again_at_growing_distances_and_misses_nothing(
    world: World, service: Service
) -> None:
    async with serving() as other:
        alerts = world.alerts(service, other)
        world.pause()
        service.status = 500
        tries = []
        for _ in range(16):
            before = len(service.asked)
            await world.looks(alerts, 1)
            tries.append(len(service.asked) - before)
        assert tries == [1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]
        assert len(other.titles) == 1
        service.status = 200
        service.messages.clear()
        await world.looks(alerts, 20)
        assert service.titles == ["trakor-bridge: reading-paused"]
        assert len(other.titles) == 1


async def test_what_cannot_be_noted_is_not_said_twice(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is told of, though the ledger on it takes no note of that."""
    alerts = world.alerts(service)
    await alerts.check()
    world.disk = Disk(2**40, 0)

    def full(*_: object) -> None:
        raise LedgerError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("bridge.alerts.notifier.save_alerts_sent", full)
        await world.looks(alerts, 3)
    assert service.titles == ["trakor-bridge: disk"]
    await world.looks(alerts, 1)
    await world.looks(world.alerts(service), 1)
    assert service.titles == ["trakor-bridge: disk"]


async def test_a_ledger_that_cannot_be_read_ends_nothing(
    world: World, service: Service, log: io.StringIO
) -> None:
    alerts = world.alerts(service)
    world.pause()
    world.fault = LedgerError("it is locked")
    await world.looks(alerts, 1)
    assert events(log) == ["alerts cannot look"]
    world.fault = None
    await world.looks(alerts, 1)
    assert len(service.titles) == 1


async def test_a_message_that_takes_too_long_counts_as_failed_and_is_not_joined_by_another(
    service: Service,
) -> None:
    address = address_of(service.address, 1)
    service.may_answer.clear()
    assert not await address.send(MESSAGE, within=0.05)
    assert not await address.send(MESSAGE, within=0.05)
    service.may_answer.set()
    for thread in [one for one in threading.enumerate() if one.name == "alert"]:
        await asyncio.to_thread(thread.join)
    assert len(service.asked) == 1
    assert await address.send(MESSAGE)


async def test_no_secret_of_an_address_is_logged(world: World, service: Service, log: io.StringIO) -> None:
    alerts = world.alerts(service, heartbeat=Heartbeat(service.url))
    world.pause()
    for service.status in (500, 404, 200):
        await world.looks(alerts, 2)
    await world.looks(world.alerts(service), 1)
    with pytest.raises(UserError):
        address_of(f"nosuch://{CANARY}", 1)
    assert {"alert sent", "alert was not taken"} <= {*events(log)}
    assert "canary" not in log.getvalue()


# -- addresses


async def test_a_message_has_a_title_and_lines(service: Service) -> None:
    assert await address_of(service.address, 1).send(MESSAGE)
    (message,) = service.messages
    assert (message["title"], message["message"]) == (MESSAGE.title, MESSAGE.body)
    assert message["type"] == "warning"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"json://{CANARY}:{CANARY}@hooks.example:99/{CANARY}?x={CANARY}", "json://hooks.example"),
        (f"jsons://[::1]:99/{CANARY}", "jsons://::1"),
        (f"mailto://{CANARY}:{CANARY}@mail.example?to={CANARY}@mail.example", "mailto://mail.example"),
        ("tgram://123456789:abcdefg_hijklmnop/lead2gold/", "tgram://…"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/", "slack://…"),
        (f"ntfy://{CANARY}", "ntfys://…"),
    ],
)
def test_an_address_is_shown_without_what_is_secret_in_it(url: str, shown: str) -> None:
    """Of some services the host is the token."""
    assert address_of(url, 1).shown in {shown, shown.replace("mailto:", "mailtos:")}


def test_an_address_that_apprise_does_not_know_is_named_by_its_place() -> None:
    with pytest.raises(UserError, match=r"address 3 of alerts\.urls \(nosuch://…\) is not") as caught:
        address_of(f"nosuch://{CANARY}", 3)
    assert CANARY not in caught.value.advice


async def test_what_lasts_is_not_said_to_be_over_by_a_clock_that_was_set_back(
    world: World, service: Service
) -> None:
    alerts = world.alerts(service)
    world.pause()
    await world.looks(alerts, 1)
    world.now -= 3 * HOUR
    await world.looks(alerts, SURELY_OVER + 1)
    assert service.titles == ["trakor-bridge: reading-paused"]
    world.resume()
    await world.looks(alerts, SURELY_OVER)
    assert service.titles[1:] == ["trakor-bridge: reading-paused is over"]


# -- heartbeat


def good(world: World, at: int) -> None:
    stream = StreamStatus(reached=SweepProgress(NOW, at, 0))
    world.status = replace(world.status, streams={Stream.CONTACTS: stream})


async def test_the_heartbeat_is_asked_after_each_good_sweep(world: World, service: Service) -> None:
    """Not for what an earlier life swept."""
    good(world, NOW)
    alerts = world.alerts(heartbeat=Heartbeat(service.url))
    await world.looks(alerts, 2)
    assert service.asked == []
    for at in (NOW + MINUTE, NOW + HOUR):
        good(world, at)
        await world.looks(alerts, 3)
    assert service.asked == [f"GET /{CANARY}"] * 2


async def test_a_heartbeat_that_fails_is_tried_again_and_said_once(
    world: World, service: Service, log: io.StringIO
) -> None:
    alerts = world.alerts(heartbeat=Heartbeat(service.url))
    await alerts.check()
    good(world, NOW + 1)
    for service.status in (500, 302):
        await world.looks(alerts, 2)
    assert len(service.asked) == 4
    service.status = 204
    await world.looks(alerts, 3)
    assert len(service.asked) == 5
    assert events(log) == ["heartbeat failed", "heartbeat works again"]
    assert "canary" not in log.getvalue()


async def test_a_heartbeat_that_hangs_keeps_nobody_waiting(world: World, service: Service) -> None:
    async with serving() as other:
        alerts = world.alerts(other, heartbeat=Heartbeat(service.url))
        await alerts.check()
        service.may_answer.clear()
        good(world, NOW + 1)
        world.pause()
        look = asyncio.create_task(alerts.check())
        async with asyncio.timeout(5):
            await other.was_asked.wait()
        assert not look.done()
        service.may_answer.set()
        await look


async def test_a_heartbeat_without_an_answer_is_given_up(
    world: World, service: Service, log: io.StringIO
) -> None:
    service.may_answer.clear()
    alerts = world.alerts(heartbeat=Heartbeat(service.url, within=0.05))
    await alerts.check()
    good(world, NOW + 1)
    await alerts.check()
    assert events(log) == ["heartbeat failed"]


# -- the command

CONFIG = """\
[salestrekker]
api_key = "a-key-of-salestrekker"
[trakor]
url = "http://127.0.0.1:1/api"
api_key = "sk_live_0123456789abcdef"
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    (tmp_path / "config.toml").write_text(CONFIG)
    return Desk(tmp_path, monkeypatch, capsys)


def configure(desk: Desk, *urls: str) -> None:
    (desk.folder / "config.toml").write_text(f"{CONFIG}[alerts]\nurls = {json.dumps(urls)}\n")


async def test_the_command_tries_each_address_and_says_which_worked(desk: Desk, service: Service) -> None:
    configure(desk, service.address)
    ran = await asyncio.to_thread(desk, "alerts", "test")
    assert (ran.status, ran.out, ran.err) == (0, "1. json://127.0.0.1: accepted\n", "")
    assert service.titles == ["trakor-bridge: a test"]


async def test_the_command_fails_where_one_address_does(desk: Desk, service: Service) -> None:
    async with serving() as other:
        other.status = 403
        configure(desk, other.address, f"nosuch://{CANARY}", service.address)
        ran = await asyncio.to_thread(desk, "alerts", "test", "--log-level", "debug")
    lines = ran.out.splitlines()
    assert ran.status == 1
    assert lines[0].startswith("1. json://127.0.0.1: not accepted; ")
    assert lines[1].startswith("2. address 2 of alerts.urls (nosuch://…) is not an Apprise address")
    assert lines[2:] == ["3. json://127.0.0.1: accepted"]
    assert "canary" not in ran.out + ran.err


def test_the_command_says_that_nobody_is_told(desk: Desk) -> None:
    ran = desk("alerts", "test")
    assert (ran.status, ran.out) == (2, "")
    assert "no alerts are sent: [alerts] urls has no address" in ran.err
