"""The token: when it is renewed, by how many, and when no more."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Refused, Transient
from bridge.salestrekker.tokens import RenewalPolicy, TokenKeeper, TokenStatus, make_token, read_expiry

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86_400.0


def jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(orjson.dumps(claims)).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{payload}.c2ln"


@dataclass
class Desk:
    """Gives out numbered tokens of 14 days, or what is scripted instead, by a clock that is set by hand."""

    now: float = 1_800_000_000.0
    life: float = 14 * DAY
    asked: int = 0
    looks: int = 0
    script: list[Exception] = field(default_factory=list)
    told: list[TokenStatus | None] = field(default_factory=list)
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def authenticate(self) -> str:
        self.asked += 1
        self.reached.set()
        await self.open.wait()
        if self.script:
            raise self.script.pop(0)
        return jwt(exp=self.now + self.life, number=self.asked)

    def keeper(self, renew_before: float = 2 * DAY, renewing: RenewalPolicy | None = None) -> TokenKeeper:
        keeper = TokenKeeper(
            self.authenticate,
            renew_before=renew_before,
            clock=self.clock,
            renewing=renewing,
            random=lambda: 0.5,
            on_change=lambda: self.told.append(keeper.status),
        )
        return keeper

    def clock(self) -> float:
        self.looks += 1
        self.looked.set()
        return self.now

    def at(self, seconds: float) -> int:
        """A moment as a standing has it."""
        return int(seconds * 1000)


@pytest.mark.parametrize(
    "text",
    ["", "opaque", "a.b", "a.b.c.d", "a.!!!.c", f"a.{'x' * 9}.c", jwt(), jwt(exp="soon"), jwt(exp=True)],
)
def test_a_token_without_a_readable_end_lives_fourteen_days(text: str) -> None:
    assert read_expiry(text) is None
    assert make_token(text, 1000.0, 0.0).expires_at == 1000.0 + 14 * DAY


@given(st.text(max_size=40))
def test_any_text_is_either_read_or_not(text: str) -> None:
    assert read_expiry(f"a.{text}.c") is None or isinstance(read_expiry(f"a.{text}.c"), float)


def test_an_end_that_has_passed_already_is_not_believed() -> None:
    """The clocks differ: a token just received is good."""
    assert make_token(jwt(exp=500), 1000.0, 0.0).expires_at == 1000.0 + 14 * DAY


@pytest.mark.parametrize(
    ("life", "renew_before", "left"),
    [(14 * DAY, 2 * DAY, 2 * DAY), (5.0, 2 * DAY, 1.0), (5 * DAY, 9 * DAY, DAY)],
)
def test_it_is_renewed_with_renew_before_or_a_fifth_left(
    life: float, renew_before: float, left: float
) -> None:
    token = make_token(jwt(exp=1000.0 + life), 1000.0, renew_before)
    assert token.expires_at - token.renew_at == pytest.approx(left)


def test_a_token_does_not_show_itself() -> None:
    assert "canary" not in repr(make_token("canary", 0.0, 0.0))


async def test_one_authenticate_serves_all_who_wait() -> None:
    desk = Desk()
    keeper = desk.keeper()
    tokens = await asyncio.gather(*(keeper.current() for _ in range(50)))
    assert desk.asked == 1
    assert len(set(tokens)) == 1


async def test_one_failed_renewal_serves_all_who_wait() -> None:
    """When authenticating fails for a moment, fifty waiting requests do not try it fifty times."""
    desk = Desk(script=[Transient("down", retry_after=3.0)] * 50)
    desk.open.clear()
    keeper = desk.keeper()
    waiting = [asyncio.create_task(keeper.current()) for _ in range(50)]
    await asyncio.wait_for(desk.reached.wait(), 5)
    desk.open.set()
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert desk.asked == 1
    assert {type(failure) for failure in failures} == {Transient}
    assert {failure.retry_after for failure in failures if isinstance(failure, Transient)} == {3.0}


async def test_a_waiting_request_goes_on_where_the_renewing_one_was_cancelled() -> None:
    desk = Desk()
    desk.open.clear()
    keeper = desk.keeper()
    first, second = (asyncio.create_task(keeper.current()) for _ in range(2))
    await asyncio.wait_for(desk.reached.wait(), 5)
    first.cancel()
    desk.open.set()
    assert (await asyncio.wait_for(second, 5)).text
    assert desk.asked == 2


async def test_while_one_renews_ahead_of_time_the_others_use_the_old_token() -> None:
    desk = Desk()
    keeper = desk.keeper()
    old = await keeper.current()
    desk.now = old.renew_at
    desk.open.clear()
    desk.reached.clear()
    renewing = asyncio.create_task(keeper.current())
    await asyncio.wait_for(desk.reached.wait(), 5)
    assert await asyncio.wait_for(keeper.current(), 5) is old
    desk.open.set()
    assert await asyncio.wait_for(renewing, 5) is not old
    assert await keeper.current() is not old


async def test_a_token_is_used_to_its_end_where_renewing_fails_for_the_moment() -> None:
    """And renewing is not tried again with each request."""
    desk = Desk()
    keeper = desk.keeper()
    old = await keeper.current()
    desk.now, desk.script = old.renew_at, [Transient("down")] * 2
    assert [await keeper.current() for _ in range(5)] == [old] * 5
    assert desk.asked == 2
    desk.now = old.expires_at
    with pytest.raises(Transient):
        await keeper.current()
    assert await keeper.current() is not old


async def test_a_refused_token_is_renewed_once() -> None:
    desk = Desk()
    keeper = desk.keeper()
    bad = await keeper.current()
    renewed = await asyncio.gather(*(keeper.replace(bad) for _ in range(20)))
    assert desk.asked == 2
    assert len(set(renewed)) == 1


async def test_a_refused_replacement_is_not_renewed_again() -> None:
    """Nothing more is asked until someone says so."""
    desk = Desk()
    keeper = desk.keeper()
    second = await keeper.replace(await keeper.current())
    with pytest.raises(Refused):
        await keeper.replace(second)
    with pytest.raises(Refused):
        await keeper.current()
    assert desk.asked == 2
    keeper.reset_refusal()
    assert await keeper.current() is not second
    assert desk.asked == 3


async def test_a_replacement_that_served_once_may_be_renewed() -> None:
    desk = Desk()
    keeper = desk.keeper()
    second = await keeper.replace(await keeper.current())
    keeper.confirm(second)
    assert await keeper.replace(second) is not second


async def test_a_single_request_refused_with_a_proved_token_stops_nobody_else() -> None:
    desk = Desk()
    keeper = desk.keeper()
    second = await keeper.replace(await keeper.current())
    keeper.confirm(second)
    assert "this query" in str(keeper.refused_again(second))
    assert await keeper.current() is second


async def test_refused_credentials_are_tried_once() -> None:
    desk = Desk(script=[Refused("wrong key", advice="look")] * 2)
    keeper = desk.keeper()
    for _ in range(3):
        with pytest.raises(Refused, match="wrong key") as caught:
            await keeper.current()
        assert caught.value.advice == "look"
    assert desk.asked == 1


# Renewing ahead that fails


FAILURES = [Transient("down"), Refused("wrong key", advice="look")]


@pytest.mark.parametrize("fault", FAILURES, ids=["transient", "refused"])
async def test_while_renewal_fails_the_old_token_is_used_to_its_end(fault: Exception) -> None:
    """Also where it is refused: the key may have been revoked, and the token is good still."""
    desk = Desk()
    keeper = desk.keeper()
    old = await keeper.current()
    desk.now, desk.script = old.renew_at, [fault] * 1000
    while desk.now < old.expires_at:
        assert await keeper.current() is old
        desk.now += 600
    assert not keeper.is_refused
    desk.now = old.expires_at
    with pytest.raises(type(fault)):
        await keeper.current()


async def test_it_is_tried_again_at_growing_intervals() -> None:
    """A minute, doubling to an hour, with full jitter: halved by what the test draws."""
    desk = Desk()
    keeper = desk.keeper()
    old = await keeper.current()
    desk.now, desk.script = old.renew_at, [Refused("wrong key")] * 9
    waits = []
    for _ in range(9):
        assert await keeper.current() is old
        standing = keeper.status
        assert standing is not None
        assert standing.next_try_at is not None
        waits.append((standing.next_try_at - desk.at(desk.now)) / 1000)
        desk.now = standing.next_try_at / 1000 + 0.001
    assert [round(wait) for wait in waits] == [30, 60, 120, 240, 480, 960, 1800, 1800, 1800]
    assert desk.asked == 10


async def test_a_wait_that_is_asked_for_is_waited() -> None:
    desk = Desk()
    keeper = desk.keeper()
    old = await keeper.current()
    desk.now, desk.script = old.renew_at, [Transient("busy", retry_after=900.0)]
    await keeper.current()
    standing = keeper.status
    assert standing is not None
    assert standing.next_try_at == desk.at(desk.now + 900)


async def test_how_it_stands_is_told_after_each_change() -> None:
    desk = Desk()
    keeper = desk.keeper()
    assert keeper.status is None
    old = await keeper.current()
    began = desk.now = old.renew_at
    desk.script = [Transient("down"), Refused("wrong key")]
    await keeper.current()
    desk.now += 3600
    await keeper.current()
    desk.now += 3600
    new = await keeper.current()
    ends = (desk.at(old.expires_at), desk.at(old.renew_at))
    assert desk.told == [
        TokenStatus(*ends),
        TokenStatus(*ends, desk.at(began), desk.at(began + 30), "down"),
        TokenStatus(*ends, desk.at(began), desk.at(began + 3600 + 60), "wrong key"),
        TokenStatus(desk.at(new.expires_at), desk.at(new.renew_at)),
    ]


async def test_refused_credentials_leave_no_standing() -> None:
    desk = Desk(script=[Refused("wrong key")])
    keeper = desk.keeper()
    with pytest.raises(Refused):
        await keeper.current()
    assert keeper.status is None
    keeper.reset_refusal()
    await keeper.current()
    assert desk.told[:2] == [None, None]
    assert desk.told[2] is not None


async def test_what_was_not_refused_is_not_given_up_by_forgiving() -> None:
    desk = Desk()
    keeper = desk.keeper()
    old = await keeper.current()
    keeper.reset_refusal()
    assert await keeper.current() is old


async def test_a_clock_that_was_set_back_does_not_put_off_the_next_try() -> None:
    desk = Desk()
    keeper = desk.keeper()
    old = await keeper.current()
    desk.now, desk.script = old.expires_at - 10, [Transient("down")]
    await keeper.current()
    desk.now = old.renew_at
    assert await keeper.current() is not old


# Keeping it where nothing is read


class Kept:
    """A keeper at work, with waits of milliseconds."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.keeper = desk.keeper(renewing=RenewalPolicy(first=0.001, longest=0.002, look=0.001))

    async def __aenter__(self) -> Self:
        await self.keeper.current()
        self._task = asyncio.create_task(self.keeper.keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert not self._task.done(), "it runs for ever"
        self._task.cancel()
        await asyncio.wait([self._task])

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it, looking whenever the keeper looks at the clock."""
        async with asyncio.timeout(5):
            while not condition():
                self.desk.looked.clear()
                await self.desk.looked.wait()


async def test_a_token_is_renewed_although_nothing_is_read() -> None:
    """Found by looking at the clock: which may jump over days, as here."""
    desk = Desk()
    async with Kept(desk) as kept:
        old = await kept.keeper.current()
        desk.now = old.renew_at
        await kept.until(lambda: len(desk.told) == 2)
        assert await kept.keeper.current() is not old


async def test_keeping_goes_on_while_renewing_fails() -> None:
    desk = Desk()
    async with Kept(desk) as kept:
        old = await kept.keeper.current()
        desk.script = [Refused("wrong key"), Transient("down"), Refused("wrong key")]
        desk.now = old.renew_at
        for told in range(2, 6):
            await kept.until(lambda: len(desk.told) == told)  # noqa: B023 - waited for in the loop
            desk.now += 0.01
        standing = kept.keeper.status
        assert standing is not None
        assert standing.failing_since is None
        assert await kept.keeper.current() is not old


async def test_a_token_that_has_ended_is_left_to_the_next_read() -> None:
    """What a read then fails of is told by that read; here nobody would hear it."""
    desk = Desk()
    async with Kept(desk) as kept:
        old = await kept.keeper.current()
        desk.now = old.expires_at
        seen = desk.looks
        await kept.until(lambda: desk.looks >= seen + 5)
        assert desk.asked == 1
        assert await kept.keeper.current() is not old
