"""The schedule: each time counts once, whatever the clock on the wall does meanwhile."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, reset_tzpath

import pytest
import time_machine

from bridge import settings
from bridge.daemon.due_job_recorder import make_timers
from bridge.errors import LedgerError, UserError
from bridge.records import Job, Stream
from bridge.schedule import Due, Interval, Scheduler, WallClock
from bridge.settings.interval_or_crontab import parse_timing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from bridge.schedule import JobKey, Timer

SYDNEY = "Australia/Sydney"
ALL = CONTACTS, PRODUCTS, RECONCILE = tuple(("default", job) for job in Job)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = 60_000
WATCHED = 0.01  # seconds: the tests' clocks are looked at often


def at(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def wall(line: str, timezone: str = SYDNEY) -> WallClock:
    timing = parse_timing(line)
    assert isinstance(timing, settings.Crontab)
    return WallClock(timing.minute, timing.hour, timing.day, timing.month, timing.weekday, timezone)


def times(timer: Timer, start: datetime, number: int) -> list[str]:
    """The next times in UTC, each asked for at the one before."""
    found, now = [], at(start)
    for _ in range(number):
        now = timer.after(now)
        found.append(datetime.fromtimestamp(now / 1000, UTC).strftime("%m-%d %H:%M"))
    return found


# -- timers -----------------------------------------------------------------------------------------


def test_an_interval_counts_from_now() -> None:
    assert Interval(900.0).after(at(NOON)) == at(NOON) + 15 * MINUTE


def test_a_wall_clock_never_gives_the_time_that_it_is_asked_at() -> None:
    """Else a job would be due again while it is noted, for a whole second."""
    noon = wall("0 12 * * *", "UTC")
    assert noon.after(at(NOON)) == at(NOON + timedelta(days=1))
    assert noon.after(at(NOON) - 1) == at(NOON)


def test_a_night_without_half_past_two_is_not_left_out() -> None:
    """Summer time begins: 02:30 on 4 October 2026 does not exist, and the job runs at 03:30, once."""
    nights = times(wall("30 2 * * *"), datetime(2026, 10, 2, 12, tzinfo=UTC), 4)
    assert nights == ["10-02 16:30", "10-03 16:30", "10-04 15:30", "10-05 15:30"]


def test_a_night_with_two_half_past_twos_counts_once() -> None:
    """Summer time ends: 02:30 on 5 April 2026 comes twice, at 15:30 and 16:30 UTC; the first one counts."""
    nights = times(wall("30 2 * * *"), datetime(2026, 4, 3, 12, tzinfo=UTC), 4)
    assert nights == ["04-03 15:30", "04-04 15:30", "04-05 16:30", "04-06 16:30"]


def test_a_start_between_the_two_does_not_count_the_second() -> None:
    between = datetime(2026, 4, 4, 16, 0, tzinfo=UTC)
    assert times(wall("30 2 * * *"), between, 1) == ["04-05 16:30"]


def test_the_hour_that_comes_twice_leaves_no_mark_on_later_times() -> None:
    """Half a year later the clock goes forward: that time is not taken for the second of two."""
    within = datetime(2026, 4, 4, 16, 15, tzinfo=UTC)
    assert times(wall("30 2 4 10 *"), within, 1) == ["10-03 16:30"]


def test_every_quarter_of_an_hour_is_one_also_where_the_clock_is_changed() -> None:
    for night in (datetime(2026, 4, 4, 14, tzinfo=UTC), datetime(2026, 10, 3, 14, tzinfo=UTC)):
        quarters = [night + timedelta(minutes=15 * number) for number in range(1, 17)]
        found = times(wall("*/15 * * * *"), night, 16)
        assert found == [quarter.strftime("%m-%d %H:%M") for quarter in quarters]


@pytest.mark.parametrize(
    "line",
    [
        "*/20 * * * *",
        "5 8-18/5 * * 1-5",
        "0 0 1,15 jan-6/2 *",
        "59 23 31 * *",
        "0 12 * * 0",
        "7/13 3 * dec *",
    ],
)
def test_a_line_means_what_crontab_says(line: str) -> None:
    """Held against the fields themselves, minute by minute, in a zone whose clock is never changed."""
    minute, hour, day, month, weekday = (_numbers(field, index) for index, field in enumerate(line.split()))
    now, timer = datetime(2027, 12, 30, 3, 17, tzinfo=UTC), wall(line, "UTC")
    for _ in range(6):
        expected = now + timedelta(minutes=1)
        while not (
            expected.minute in minute
            and expected.hour in hour
            and expected.day in day
            and expected.month in month
            and expected.isoweekday() % 7 in weekday
        ):
            expected += timedelta(minutes=1)
        assert timer.after(at(now)) == at(expected)
        now = expected


def _numbers(field: str, index: int) -> set[int]:
    """What a field of the lines above means, in the plainest way."""
    field = field.replace("jan", "1").replace("dec", "12")
    found: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.replace("*", "0-59").partition("-")
        end = int(last or (59 if step else first))
        found |= set(range(int(first), end + 1, int(step or 1)))
    return found if index != 4 else {number % 7 for number in found}


def test_a_day_that_does_not_exist_is_no_endless_search() -> None:
    with pytest.raises(ValueError, match="no such day"):
        WallClock("0", "0", "31", "2", "*", "UTC").after(at(NOON))


# -- the schedule -----------------------------------------------------------------------------------


class Notes:
    """The ledger's part: all that was noted, and an event for each time."""

    def __init__(self) -> None:
        self.wanted: list[JobKey] = []
        self.next_at: dict[JobKey, int] = {}
        self.fault: Exception | None = None
        self._noted = asyncio.Event()

    async def __call__(self, dues: Sequence[Due]) -> None:
        if self.fault:
            raise self.fault
        self.next_at |= {(due.connection, due.job): due.next_at for due in dues}
        self.wanted += [(due.connection, due.job) for due in dues if due.wanted]
        self._noted.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what holds after one of the next notes."""
        async with asyncio.timeout(5):
            while not condition():
                self._noted.clear()
                await self._noted.wait()

    async def until_wanted(self, number: int) -> list[JobKey]:
        """Wait until so many wishes were noted, then tell which."""
        await self.until(lambda: len(self.wanted) >= number)
        return self.wanted


@asynccontextmanager
async def running(
    timers: Mapping[JobKey, Timer],
    notes: Notes,
    stored: Mapping[JobKey, int] | None = None,
    at_once: Collection[JobKey] = (),
) -> AsyncIterator[Scheduler]:
    """A schedule that has planned what it was given."""
    schedule = Scheduler(timers, notes, watch_every=WATCHED)
    task = asyncio.create_task(schedule.run(stored or {}, at_once))
    try:
        await notes.until(lambda: bool(notes.next_at))
        yield schedule
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_what_is_due_is_wanted_and_then_again() -> None:
    notes = Notes()
    async with running({CONTACTS: Interval(0.02)}, notes):
        assert await notes.until_wanted(3) == [CONTACTS] * 3


async def test_nothing_is_wanted_at_a_start_but_what_has_passed_or_was_never_read() -> None:
    """A time to come stays: a daemon that is restarted every ten minutes reads every fifteen."""
    notes, later = Notes(), at(NOON) + 15 * MINUTE
    with time_machine.travel(NOON, tick=False):
        stored = {CONTACTS: at(NOON) + MINUTE, PRODUCTS: at(NOON) - MINUTE, ("gone", Job.CONTACTS): 1}
        async with running(
            dict.fromkeys(ALL, Interval(900.0)), notes, stored, at_once=[RECONCILE]
        ) as schedule:
            assert notes.wanted == [PRODUCTS, RECONCILE]
            assert notes.next_at == {CONTACTS: at(NOON) + MINUTE, PRODUCTS: later, RECONCILE: later}
            assert schedule.next_at == notes.next_at


async def test_a_time_that_is_not_known_is_none_that_has_passed() -> None:
    notes = Notes()
    async with running({CONTACTS: Interval(900.0)}, notes, {CONTACTS: 0}):
        assert notes.wanted == []


async def test_a_stored_time_later_than_the_timer_says_is_not_waited_for() -> None:
    """The interval was made shorter while nothing ran, or the clock was wrong then."""
    notes = Notes()
    with time_machine.travel(NOON, tick=False):
        async with running({CONTACTS: Interval(60.0)}, notes, {CONTACTS: at(NOON) + 900 * MINUTE}):
            assert notes.next_at == {CONTACTS: at(NOON) + MINUTE}
    assert notes.wanted == []


async def test_what_a_jump_forward_passed_over_is_wanted_once() -> None:
    """Three days at once are 288 quarters of an hour, and one sweep."""
    notes = Notes()
    with time_machine.travel(NOON, tick=False) as clock:
        async with running({CONTACTS: Interval(900.0), PRODUCTS: Interval(2_600_000.0)}, notes):
            clock.shift(timedelta(days=3))
            later = at(NOON + timedelta(days=3)) + 15 * MINUTE
            await notes.until(lambda: notes.next_at[CONTACTS] == later)
    assert notes.wanted == [CONTACTS]


async def test_after_a_jump_back_the_next_time_is_not_days_away() -> None:
    notes = Notes()
    with time_machine.travel(NOON, tick=False) as clock:
        async with running({CONTACTS: Interval(900.0)}, notes):
            clock.shift(timedelta(days=-3))
            earlier = at(NOON - timedelta(days=3)) + 15 * MINUTE
            await notes.until(lambda: notes.next_at[CONTACTS] == earlier)
            assert notes.wanted == []
            clock.shift(timedelta(minutes=16))
            assert await notes.until_wanted(1) == [CONTACTS]


async def test_a_clock_put_right_by_seconds_is_no_jump() -> None:
    """What is due by the clock now is due; what is planned for later is not planned anew."""
    notes = Notes()
    with time_machine.travel(NOON, tick=False) as clock:
        async with running({CONTACTS: Interval(900.0), PRODUCTS: Interval(0.05)}, notes):
            notes.next_at.clear()
            clock.shift(20)
            await notes.until_wanted(1)
    assert (notes.wanted, [*notes.next_at]) == ([PRODUCTS], [PRODUCTS])


async def test_a_reload_keeps_what_stays_the_same_and_ends_what_is_gone() -> None:
    notes, new = Notes(), ("sydney", Job.CONTACTS)
    with time_machine.travel(NOON, tick=False) as clock:
        async with running(dict.fromkeys(ALL, Interval(900.0)), notes) as schedule:
            clock.shift(10)
            now = at(NOON) + 10_000
            timers = {CONTACTS: Interval(900.0), PRODUCTS: Interval(3600.0), new: Interval(60.0)}
            await schedule.replace(timers, at_once=[new])
            planned = {CONTACTS: at(NOON) + 15 * MINUTE, PRODUCTS: now + 60 * MINUTE, new: now + MINUTE}
            assert schedule.next_at == planned
    assert notes.wanted == [new]
    assert notes.next_at == planned | {RECONCILE: 0}


async def test_a_reload_forgets_nothing_that_is_due_at_that_moment() -> None:
    notes = Notes()
    with time_machine.travel(NOON, tick=False) as clock:
        async with running({CONTACTS: Interval(10.0)}, notes) as schedule:
            clock.shift(15)
            await schedule.replace({CONTACTS: Interval(900.0)})
            assert notes.wanted == [CONTACTS]


async def test_a_reload_that_cannot_be_noted_changes_nothing() -> None:
    """Else a job would have a new timer, and nobody who waits for it."""
    notes = Notes()
    with time_machine.travel(NOON, tick=False) as clock:
        async with running({CONTACTS: Interval(900.0), PRODUCTS: Interval(900.0)}, notes) as schedule:
            before = dict(schedule.next_at)
            notes.fault = LedgerError("the disk is full")
            with pytest.raises(LedgerError):
                await schedule.replace({CONTACTS: Interval(7200.0)})
            notes.fault = None
            assert schedule.next_at == before
            clock.shift(timedelta(minutes=16))
            assert await notes.until_wanted(2) == [CONTACTS, PRODUCTS]
            assert notes.next_at[CONTACTS] == at(NOON) + 31 * MINUTE


async def test_what_fires_while_its_timer_is_taken_out_is_ignored() -> None:
    notes = Notes()
    async with running({CONTACTS: Interval(0.02), PRODUCTS: Interval(0.02)}, notes) as schedule:
        await notes.until_wanted(2)
        await schedule.replace({PRODUCTS: Interval(0.02)})
        before = notes.wanted.count(CONTACTS)
        await notes.until_wanted(len(notes.wanted) + 3)
        assert notes.wanted.count(CONTACTS) == before


async def test_a_note_that_fails_ends_the_schedule() -> None:
    """Whoever owns the task sees it, and the stored time is as it was: nothing passes in silence."""

    async def note(_: Sequence[Due]) -> None:
        raise LedgerError("the disk is full")

    with pytest.raises(LedgerError, match="disk is full"):
        await Scheduler({CONTACTS: Interval(1.0)}, note).run({})


# -- from the configuration -------------------------------------------------------------------------


PAIR = """\
[salestrekker]
api_key = "key"
[trakor]
url = "https://app.example/api/public/v1"
api_key = "sk_live_1"
"""


def connection(folder: Path, text: str = "") -> settings.ConnectionSettings:
    (folder / "config.toml").write_text(PAIR + text)
    return settings.load(folder / "config.toml", {}).connections["default"]


def test_each_stream_has_its_timer_and_all_of_them_one(tmp_path: Path) -> None:
    assert make_timers(connection(tmp_path)) == {
        CONTACTS: Interval(900.0),
        PRODUCTS: WallClock("0", "3", "*", "*", "*", SYDNEY),
        RECONCILE: WallClock("30", "2", "*", "*", "*", SYDNEY),
    }


def test_a_stream_that_is_switched_off_is_not_waited_for(tmp_path: Path) -> None:
    off = "[contacts]\nenabled = false\n"
    assert make_timers(connection(tmp_path, off)).keys() == {PRODUCTS, RECONCILE}
    assert make_timers(connection(tmp_path, off + "[products]\nenabled = false\n")) == {}


def test_a_machine_without_time_zones_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default zone is not looked up when the configuration is read: a backfill does without."""
    ours = connection(tmp_path)
    monkeypatch.setitem(sys.modules, "tzdata", None)
    ZoneInfo.clear_cache()
    reset_tzpath([])
    try:
        with pytest.raises(UserError, match=SYDNEY):
            make_timers(ours)
    finally:
        reset_tzpath()


def test_reconcile_reads_both_streams_and_the_others_their_own() -> None:
    read = [[job.reads(stream) for stream in Stream] for job in Job]
    assert read == [[True, False], [False, True], [True, True]]
