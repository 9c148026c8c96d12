"""What a backfill tells a person beside its numbers: suspicions, what waits, and where it stopped."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from books import kept
from bridge.backfill import ConnectionReport, Report, rehearse
from bridge.backfill.problem_wording import (
    Problem,
    find_suspicions,
    reading_problems,
    stop_problem,
    sweep_warnings,
)
from bridge.cli.backfill_report import show_report
from bridge.cli.progress import progress
from bridge.delivery.batch_result import BatchResult
from bridge.delivery.lost_ledger_detector import LostLedgerDetector
from bridge.errors import Transient, UserError
from bridge.ledger.database import reading, writing
from bridge.ledger.runs_and_sweeps import COUNTS
from bridge.ledger.stored_pauses import Direction, list_pauses, set_pause
from bridge.records import Stream
from bridge.salestrekker.pages import Doubt
from bridge.sandbox import Fault, Options
from bridge.status import headline, take
from bridge.sync import SweepResult
from bridges import Bridge, Silent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bridge.sandbox import Sandbox

    Start = Callable[[Options], Awaitable[Sandbox]]


@pytest.fixture
async def bridge(start_sandbox: Start, tmp_path: Path) -> Bridge:
    """Thirty contacts and ten products."""
    return Bridge(tmp_path, await start_sandbox(Options(contacts=30, products=10)))


def numbers(**those: int) -> dict[str, int]:
    """A stream's numbers; what is not given is nought."""
    return dict.fromkeys(COUNTS, 0) | {"read": sum(those.values())} | those


# Lists that may not be whole


@pytest.mark.parametrize("shown", [True, False])
def test_a_list_that_may_not_be_whole_is_a_problem_if_something_shows_it(*, shown: bool) -> None:
    """Otherwise a warning: only the proof is missing."""
    swept = {Stream.PRODUCTS: SweepResult(read=15, doubt=Doubt("the list has `cursor`", "Use it.", shown))}
    problems, warnings = list(reading_problems({}, swept)), list(sweep_warnings(swept))
    assert [one.message for one in problems] == (
        ["not all products were read: the list has `cursor`"] if shown else []
    )
    assert warnings == ([] if shown else ["products: the list has `cursor`. None is marked gone. Use it"])


# Pauses


@pytest.mark.parametrize("direction", [Direction.SENDING, Direction.READING])
async def test_what_a_person_has_paused_is_left_alone(bridge: Bridge, direction: Direction) -> None:
    """Nothing is read or sent; exit 4, with the command that ends it. A dry run only decides."""
    await bridge.backfill(Stream.PRODUCTS)
    with writing(bridge.folder / "ledger.db", kept(bridge.folder / "ledger.db")) as ledger:
        set_pause(ledger, "default", direction, reason="a person paused it", now=1, by_person=True)
    report = await bridge.backfill()
    (problem,) = report.connections["default"].problems
    assert report.exit_status == 4
    assert "trakor-bridge resume" in problem.advice
    assert ("--reading" in problem.advice) == (direction == Direction.READING)
    assert report.connections["default"].streams == {}
    with reading(bridge.folder / "ledger.db") as ledger:
        assert [pause.direction for pause in list_pauses(ledger)] == [direction]


async def test_what_had_stopped_by_itself_is_over_once_all_went_well(bridge: Bridge) -> None:
    """No daemon may be there to find it out: `status` would tell of it for ever."""
    await bridge.backfill(Stream.PRODUCTS)
    with writing(bridge.folder / "ledger.db", kept(bridge.folder / "ledger.db")) as ledger:
        for direction in (*Direction, "sending contacts"):
            set_pause(ledger, "default", direction, reason="Trakor does not answer", now=1)
    assert (await bridge.backfill()).connections["default"].complete
    with reading(bridge.folder / "ledger.db") as ledger:
        assert list_pauses(ledger) == []


# A map that finds no names


async def test_a_slip_in_the_map_that_leaves_all_without_a_name_is_warned_of(bridge: Bridge) -> None:
    bridge.changes["contacts.map"] = {"name": "person.information.middleName"}
    of_default = (await bridge.backfill()).connections["default"]
    (warning,) = of_default.warnings
    assert "contacts have no name" in warning
    assert "[contacts.map] name" in warning
    assert "trakor-bridge check" in warning


async def test_seeded_oddities_are_no_slip_in_the_map(bridge: Bridge) -> None:
    assert (await bridge.backfill()).connections["default"].warnings == []


@pytest.mark.parametrize(
    ("found", "nameless", "warned"),
    [
        (numbers(skipped=9, created=1), 9, True),
        (numbers(skipped=8, created=2), 8, False),
        (numbers(skipped=100), 3, True),  # all others are filtered
        (numbers(skipped=100), 0, False),
        (numbers(skipped=2), 2, False),
    ],
)
def test_nearly_all_of_what_is_wanted_must_lack_a_name(
    found: dict[str, int], nameless: int, *, warned: bool
) -> None:
    assert bool(list(find_suspicions(Stream.CONTACTS, found, nameless))) == warned


async def test_a_refusal_is_told_by_status_too(bridge: Bridge) -> None:
    """It said: not all read yet, start it."""
    bridge.sandbox.trakor.freeze()
    report = await bridge.backfill()
    (problem,) = report.connections["default"].problems
    said = status_of(bridge)
    assert any("Sending to Trakor is paused since" in one and "403" in one for one in said)
    assert any(one.endswith("The next backfill tries it.") for one in said)
    assert problem.refusal
    bridge.sandbox.trakor.unfreeze()
    await bridge.backfill()
    assert not any("paused" in one for one in status_of(bridge))


async def test_a_refused_log_in_is_told_by_status_too(bridge: Bridge) -> None:
    bridge.sandbox.salestrekker.revoke_key()
    assert (await bridge.backfill()).exit_status == 4
    said = status_of(bridge)
    assert any("Reading from Salestrekker is paused since" in one for one in said)
    assert not any("0 so far" in one for one in said)


def status_of(bridge: Bridge) -> list[str]:
    """What `status` says, in sentences."""
    now = time.time_ns() // 1_000_000
    snapshot = take(bridge.folder / "ledger.db", {"default": list(Stream)}, ("default",), now)
    return headline(snapshot.connections["default"], now)


# A lost ledger


def lose(bridge: Bridge, *, key: bool) -> None:
    """The ledger is gone, with its key or without."""
    for file in bridge.folder.glob("ledger.*" if key else "ledger.db*"):
        file.unlink()


async def test_a_lost_ledger_is_said_as_soon_as_it_shows(bridge: Bridge) -> None:
    """While the run can still be stopped: a renamed contact gets a second party in it."""
    await bridge.backfill()
    lose(bridge, key=True)
    gate, watch = asyncio.Event(), Silent()
    late = bridge.sandbox.trakor.faults.add(Fault(kind="parties", where=_after(25), gate=gate))
    running = asyncio.create_task(bridge.backfill(watch=watch))
    async with asyncio.timeout(20):
        await watch.suspicious.wait()
    assert not running.done()
    gate.set()
    report = (await running).connections["default"]
    assert late.hits
    (warned,) = watch.warnings
    assert "contacts already" in warned
    assert "stop it now and restore the newest backup" in warned
    assert any("Trakor had" in warning for warning in report.warnings), "and again at the end"


def _after(number: int) -> Callable[[Any], bool]:
    """Holds for each request after so many."""
    seen = iter(range(number))
    return lambda _: next(seen, None) is None


async def test_a_key_without_its_ledger_is_said_before_anything_is_sent(bridge: Bridge) -> None:
    await bridge.backfill()
    lose(bridge, key=False)
    sent: list[int] = []
    watch = Silent(on_warning=lambda: sent.append(bridge.sandbox.trakor.traffic.total))
    bridge.sandbox.trakor.traffic.clear()
    await bridge.backfill(watch=watch)
    assert sent[0] == 0
    assert "ledger.key" in watch.warnings[0]


async def test_a_first_backfill_warns_of_nothing(bridge: Bridge) -> None:
    watch = Silent()
    await bridge.backfill(watch=watch)
    await bridge.backfill(watch=watch)
    assert watch.warnings == []


@pytest.mark.parametrize(
    ("created", "existing", "suspicious"), [(16, 4, False), (15, 5, True), (10, 9, False), (0, 20, True)]
)
def test_more_than_a_fifth_of_at_least_twenty_is_suspicious_and_said_once(
    created: int, existing: int, *, suspicious: bool
) -> None:
    knew = LostLedgerDetector()
    answers = ((Stream.CONTACTS, True),) * created + ((Stream.CONTACTS, False),) * existing
    found = [*knew.check(BatchResult(first_answers=answers)), *knew.check(BatchResult())]
    assert len(found) == suspicious


@pytest.mark.parametrize("visible", [False, True])
def test_a_warning_goes_to_standard_error_also_without_a_terminal(
    capsys: pytest.CaptureFixture[str], *, visible: bool
) -> None:
    with progress(visible=visible) as watch:
        watch.warned("north", "look here")
    said = capsys.readouterr()
    assert (said.out, "warning: north: look here" in said.err) == ("", True)


@pytest.mark.parametrize(
    ("limit", "command"), [(None, "--dry-run --csv"), (20, "--dry-run --limit 20 --csv")]
)
def test_a_dry_runs_next_command_reads_what_it_read(
    capsys: pytest.CaptureFixture[str], limit: int | None, command: str
) -> None:
    show_report(Report({"default": ConnectionReport(limit=limit, dry_run=True)}), tables=True)
    assert f"Record by record: trakor-bridge backfill {command}" in capsys.readouterr().out


# What waits


@pytest.mark.parametrize(
    ("report", "states"),
    [
        (ConnectionReport(needing_a_person=1), "held,rejected"),
        (
            ConnectionReport(needing_a_person=1, streams={"contacts": numbers(drifted=2)}),
            "held,rejected,drifted",
        ),
        (ConnectionReport(streams={"contacts": numbers(drifted=2)}), "drifted"),
    ],
)
def test_the_hint_names_the_states_in_which_something_waits(
    report: ConnectionReport, states: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_report(Report({"default": report}), tables=True)
    assert capsys.readouterr().out.endswith(
        f"Some records need a decision: trakor-bridge records list --state {states}\n"
    )


def test_where_nothing_waits_there_is_no_hint(capsys: pytest.CaptureFixture[str]) -> None:
    show_report(Report({"default": ConnectionReport(streams={"contacts": numbers(created=2)})}), tables=True)
    assert "need a decision" not in capsys.readouterr().out


# What stopped it


async def test_what_stops_two_streams_is_said_once_and_names_both(bridge: Bridge) -> None:
    bridge.sandbox.salestrekker.revoke_key()
    (problem,) = (await bridge.backfill()).connections["default"].problems
    assert problem.message.startswith("reading contacts and products: ")


def test_a_system_that_does_not_answer_is_told_with_what_to_do() -> None:
    """An error and no refusal; what has advice of its own keeps that."""
    silent = stop_problem("reading", [Stream.CONTACTS], Transient("Salestrekker cannot be reached"))
    assert not silent.refusal
    assert "`trakor-bridge check`" in silent.advice
    assert stop_problem("reading", [Stream.CONTACTS], UserError("odd", advice="mend it")).advice == "mend it"


async def test_a_refused_send_names_what_has_something_waiting(bridge: Bridge) -> None:
    """Contacts are all there already: it is products that cannot be sent."""
    await bridge.backfill(Stream.CONTACTS)
    bridge.sandbox.trakor.freeze()
    (problem,) = (await bridge.backfill()).connections["default"].problems
    assert problem.message.startswith("sending products: ")


def test_a_refusal_says_stopped_once(capsys: pytest.CaptureFixture[str]) -> None:
    refused = ConnectionReport(problems=[Problem("sending products: 403", refusal=True)])
    show_report(Report({"default": refused}), tables=False)
    assert capsys.readouterr().err == "stopped: sending products: 403\n"


# Interrupted


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (ConnectionReport(interrupted=True), "run it again to continue."),
        (ConnectionReport(interrupted=True, dry_run=True), "the next dry run starts from the beginning."),
        (ConnectionReport(interrupted=True, limit=5), "a run with --limit starts from the beginning."),
    ],
)
def test_an_interrupted_run_says_what_comes_of_it(
    report: ConnectionReport, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_report(Report({"default": report}), tables=True)
    assert capsys.readouterr().out.rstrip().endswith(said)


async def test_an_interrupted_line_has_no_mark_of_success(
    bridge: Bridge, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped while contacts are read: their line is not ticked, and it does not turn for ever."""
    gate, stop = asyncio.Event(), asyncio.Event()
    bridge.changes["contacts"] = {"page_size": 10}
    fault = Fault(kind="contacts", where=lambda one: one.content["variables"]["offset"] >= 20, gate=gate)
    armed = bridge.sandbox.salestrekker.faults.add(fault)
    with progress(visible=True) as watch:
        settings = bridge.settings
        running = asyncio.create_task(
            rehearse(
                settings,
                streams=[Stream.CONTACTS],
                connections=["default"],
                stop=stop,
                watch=watch,
                look=print,
            )
        )
        await bridge.sandbox.salestrekker.wait_for(lambda: armed.hits > 0)
        stop.set()
        await running
    gate.set()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("■ reading contacts")


async def test_a_line_is_ticked_when_its_list_is_read_to_its_end(
    bridge: Bridge, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress(visible=True) as watch:
        await rehearse(
            bridge.settings,
            streams=list(Stream),
            connections=["default"],
            stop=asyncio.Event(),
            watch=watch,
            look=print,
        )
    assert [line[:18] for line in capsys.readouterr().err.splitlines()] == [
        "✓ reading contacts",
        "✓ reading products",
    ]


def test_a_line_that_is_done_stays_ticked_when_another_is_stopped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress(visible=True) as watch:
        watch.reading("default", Stream.CONTACTS, 10)
        watch.all_read("default", Stream.CONTACTS)
        watch.pending("default", 3)
        watch.settled("default", 1)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("✓ reading contacts")
    assert second.startswith("■ sending")
