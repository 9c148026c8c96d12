"""Whatever happens, in whatever order, the promises hold: decision, ledger and delivery in one state machine.

Each step is one thing that can happen in the source, at Trakor, on the way there, to the process, or by a
person. After each the promises (``promises``) are looked for in the tables and in Trakor; at the end all
faults end, time passes, everything comes to rest, and one more sweep sends and changes nothing.

``make machine MINUTES=10`` runs it for as long as asked.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bridge.records import Policy
from bridge.sandbox.trakor_store import Behaviour, Lookup, Matching
from machine import FAILING, IDS, NOBODY, QUERIES, Rules, World
from machine_trakor import POISONS, WEATHERS
from promises import ALWAYS, Tables, kept_at_rest, nothing_is_in_clear, undated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MINUTES = float(os.environ.get("MACHINE_MINUTES", "0"))
EXAMPLES = 18
STEPS = 60

FIRST = ("Zanna", "Zanna", "Zanna", "zanna", " Zanna ", "Zbert", None, {"odd": 1})
LAST = ("Zquill", "Zquill", "Zquill", "Zquillo", None)
NAMES = ("Zanna Zquill", "Zbert Zquill", "Zcyril", "Zanna Zquill (one@zq.example)")

people = st.fixed_dictionaries(
    {
        "first": st.sampled_from(FIRST),
        "last": st.sampled_from(LAST),
        "email": st.sampled_from([None, "one@zq.example", "ONE@zq.example", "two@zq.example"]),
        "phone": st.sampled_from([None, "0491570156", "0491 570 156", "0491570157"]),
        "note": st.sampled_from([None, None, None, None, *POISONS]),
        "price": st.sampled_from([None, 1, 2.5]),
        "more": st.sampled_from([None, 1]),
        "isActive": st.sampled_from([True, True, True, False]),
    }
)
policies = st.builds(
    Policy,
    on_same_name=st.sampled_from(["qualify", "qualify", "hold", "merge"]),
    on_rename=st.sampled_from(["hold", "hold", "create"]),
    on_change=st.sampled_from(["report", "report", "ignore"]),
    on_existing=st.sampled_from(["adopt", "adopt", "hold"]),
)
behaviours = st.builds(
    Behaviour,
    lookup=st.sampled_from(Lookup),
    matching=st.sampled_from(Matching),
    trims=st.booleans(),
)
ids = st.sampled_from(IDS)
letters = st.sampled_from("ab")


class Machine(RuleBasedStateMachine):
    """Drives a world, and looks at it after each step."""

    world: World
    steps = 0

    @initialize(
        policy=policies,
        behaviour=behaviours,
        there_before=st.lists(st.sampled_from(NAMES), max_size=1),
        stops_after=st.sampled_from([2, 20, 20]),
    )
    def begin(self, policy: Policy, behaviour: Behaviour, there_before: list[str], stops_after: int) -> None:
        rules = Rules(policy)
        self.world = World(behaviour, {"a": rules, "b": rules}, stops_after)
        for name in there_before:
            self.world.site.trakor.parties.put(name, "typed by hand")

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                if sys.exc_info()[0] is None:  # else a promise is broken already
                    self.come_to_rest()
            finally:
                self.world.close()

    # -- the source

    @rule(source_id=ids, data=people)
    def enter(self, source_id: str, data: dict[str, object]) -> None:
        """A record is entered, entered again, or is quite another one; a webhook comes."""
        self.world.source[source_id] = data
        self.world.see([source_id])

    @rule(first=ids, second=ids, data=people)
    def enter_twice(self, first: str, second: str, data: dict[str, object]) -> None:
        """Somebody enters one person twice."""
        self.world.source[first], self.world.source[second] = dict(data), dict(data)
        self.world.see(sorted({first, second}))

    @rule(first=ids, second=ids, data=people, other=people)
    def enter_a_family(
        self, first: str, second: str, data: dict[str, object], other: dict[str, object]
    ) -> None:
        """Father and son have one name and one e-mail address."""
        shared = {part: data[part] for part in ("first", "last", "email")}
        self.world.source[first], self.world.source[second] = dict(data), {**other, **shared}
        self.world.see(sorted({first, second}))

    @precondition(lambda self: any(self.world.source.values()))
    @rule(
        source_id=ids,
        data=people,
        part=st.sampled_from(["first", "last", "email", "phone", "note"]),
        seen=st.booleans(),
    )
    def edit(self, source_id: str, data: dict[str, object], part: str, *, seen: bool) -> None:
        """One field changes: a rename, another number, a text that a firewall dislikes."""
        before = self.world.source.get(source_id)
        if before is not None:
            self.world.source[source_id] = {**before, part: data[part]}
        if seen:
            self.world.see([source_id])

    @rule(source_id=ids, active=st.booleans())
    def deactivate(self, source_id: str, *, active: bool) -> None:
        before = self.world.source.get(source_id)
        if before is not None:
            self.world.source[source_id] = {**before, "isActive": active}
            self.world.see([source_id])

    @rule(source_id=ids, told=st.booleans())
    def delete(self, source_id: str, *, told: bool) -> None:
        if self.world.source.get(source_id) is not None:
            self.world.delete(source_id, told=told)

    @rule(letter=letters, size=st.integers(1, 3), pause=st.sampled_from([0.0, 0.0, 1.0, 20.0]))
    def sweep(self, letter: str, size: int, pause: float) -> None:
        self.world.sweep(letter, size=size, pause=pause)

    @rule(letter=letters)
    def sweep_again(self, letter: str) -> None:
        """Once names that were given up have found those that wait for them, a sweep has nothing to say."""
        self.world.end()
        self.world.open(sending=False)
        for _ in range(3):
            self.world.sweep(letter)
        before = undated(self.world)
        self.world.sweep(letter)
        assert undated(self.world) == before, Tables(self.world).story()
        self.world.restart()

    @rule(letter=letters)
    def read_a_page(self, letter: str) -> None:
        """A page is read, and observed some time later."""
        self.world.connections[letter].pages += self.world.read(letter, IDS)

    @precondition(lambda self: any(one.pages for one in self.world.connections.values()))
    @rule(letter=letters)
    def observe_a_page(self, letter: str) -> None:
        if self.world.connections[letter].pages:
            self.world.observe(letter, self.world.connections[letter].pages.pop(0))

    # -- Trakor and the way there

    @rule(seconds=st.sampled_from([0.1, 0.3, 1.0, 5.0, 40.0, 170.0, 400.0, 4000.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(weather=st.lists(st.sampled_from(WEATHERS), min_size=1, max_size=4))
    def have_weather(self, weather: list[str]) -> None:
        self.world.site.weather.extend(weather)

    @rule(error=st.sampled_from(["down", "frozen", "revoked", "limit", "none", "none"]))
    def fall_ill(self, error: str) -> None:
        trakor = self.world.site.trakor
        self.world.site.clear_up()
        self.world.site.down = error == "down"
        if error == "frozen":
            trakor.freeze()
        if error == "revoked":
            trakor.revoke_key()
        if error == "limit":
            trakor.behave(limit=len(trakor.parties) + len(trakor.products))

    @rule(name=st.sampled_from(NAMES))
    def type_into_trakor(self, name: str) -> None:
        """Somebody makes a party by hand, unless it is there."""
        if not self.world.site.is_at_work:
            self.world.site.trakor.parties.put(name, "typed by hand")

    # -- persons

    @rule(source_id=ids, verb=st.sampled_from(["accept", "accept", "dismiss", "drop", "retry"]))
    def decide(self, source_id: str, verb: str) -> None:
        self.world.decide(source_id, verb)

    @rule(verb=st.sampled_from(["accept", "accept", "dismiss", "drop", "retry"]), which=st.integers(0, 9))
    def decide_what_waits(self, verb: str, which: int) -> None:
        waits = self._waiting()
        if waits:
            self.world.decide(waits[which % len(waits)], verb)

    @rule(name=st.sampled_from(NAMES), which=st.integers(0, 9))
    def give_a_name(self, name: str, which: int) -> None:
        waits = self._waiting()
        if waits:
            self.world.decide(waits[which % len(waits)], "accept", name)

    @rule(source_id=ids, delete=st.booleans())
    def forget(self, source_id: str, *, delete: bool) -> None:
        self.world.forget(source_id, delete=delete)

    def _waiting(self) -> list[str]:
        asked = {"held", "rejected", "drifted"}
        return [row["source_id"] for row in self.world.book.rows("records") if row["state"] in asked]

    # -- the process

    @rule(after=st.sampled_from([0.0, 0.1, 0.25, 3.0]))
    def be_killed(self, after: float) -> None:
        self.world.pass_time(after)
        self.world.restart(killed=True)

    @rule(letter=letters, number=st.sampled_from(range(FAILING)))
    def change_the_map(self, letter: str, number: int) -> None:
        self._configure(letter, map=number)

    @rule(letter=letters, number=st.sampled_from(range(len(QUERIES))))
    def change_the_query(self, letter: str, number: int) -> None:
        self._configure(letter, query=number)

    @rule(letter=letters, number=st.sampled_from(range(NOBODY)))
    def change_where(self, letter: str, number: int) -> None:
        self._configure(letter, where=number)

    @precondition(lambda self: self._in_trakor())
    @rule(
        which=st.integers(0, 9),
        changes=st.sampled_from([{"where": NOBODY}, {"map": FAILING}, {"map": 1}, {"query": 2}]),
        verb=st.sampled_from(["", "accept", "dismiss"]),
        data=people,
        part=st.sampled_from(["first", "phone", "note"]),
    )
    def change_for_one_sweep(
        self, which: int, changes: dict[str, int], verb: str, data: dict[str, object], part: str
    ) -> None:
        """A rule changes and comes back to the letter; a person decides, and a field is edited in between."""
        found = self._in_trakor()
        source_id = found[which % len(found)]
        letter = source_id[0]
        known = self.world.connections[letter].rules
        self._configure(letter, **changes)
        if verb:
            self.world.sweep(letter)
            self.world.decide(source_id, verb)
        self.edit(source_id, data, part, seen=False)
        self.world.sweep(letter)
        self._configure(letter, **{name: getattr(known, name) for name in changes})
        self.world.sweep(letter)

    def _in_trakor(self) -> list[str]:
        """Records that Trakor has, and that are in the source."""
        rows = self.world.book.rows("records", "WHERE trakor_id IS NOT NULL AND gone = 0")
        return [row["source_id"] for row in rows if self.world.source.get(row["source_id"])]

    def _configure(self, letter: str, **changes: Any) -> None:  # noqa: ANN401 - fields of Rules
        rules: Mapping[str, Rules] = {letter: replace(self.world.connections[letter].rules, **changes)}
        self.world.restart(rules)

    @rule()
    def back_up(self) -> None:
        self.world.back_up()

    @precondition(lambda self: self.world.copied is not None)
    @rule()
    def restore(self) -> None:
        self.world.restore()

    @precondition(lambda self: not (self.world.site.is_at_work or self.world.site.awaits))
    @rule(hours=st.sampled_from([-24, -1, 1, 24]))
    def set_the_clock(self, hours: int) -> None:
        self.world.set_clock(hours)

    # -- what must hold

    @invariant()
    def the_promises_hold(self) -> None:
        now = Tables(self.world)
        for promise in ALWAYS:
            try:
                promise(now)
            except AssertionError as broken:
                broken.add_note(now.story())
                raise
        self.steps += 1
        if self.steps % 10 == 0:
            nothing_is_in_clear(now)

    def come_to_rest(self) -> None:
        """All faults end, time passes: everything settles, and one more sweep sends and changes nothing."""
        world = self.world
        world.site.clear_up()
        for round_ in range(60):
            if self._pending():
                self._newcomers(f"new{round_}")
            before, arrivals = undated(world), len(world.site.arrivals)
            for letter in world.connections:
                world.sweep(letter)
            world.pass_time(600.0)
            self.the_promises_hold()
            if not self._pending() and undated(world) == before:
                break
        kept_at_rest(Tables(world))
        nothing_is_in_clear(Tables(world))
        sent = world.site.arrivals[arrivals:]
        assert not sent, f"at rest, and yet sent: {sent}\n{Tables(world).story()}"
        assert undated(world) == before, f"never at rest\n{Tables(world).story()}"

    def _pending(self) -> list[Mapping[str, Any]]:
        now = Tables(self.world)
        return [
            row
            for row in now.rows.values()
            if row["state"] == "pending" and (not row["gone"] or now.unanswered(row))
        ]

    def _newcomers(self, name: str) -> None:
        """Some come whom nothing is wrong with: what is poison is told by others that pass."""
        for source_id in (f"ac{name}", f"bc{name}", f"ap{name}"):
            self.world.enter_newcomer(source_id)


@pytest.fixture
def _no_logs() -> Iterator[None]:
    """A log line for each of a hundred thousand deliveries would cost more than they do."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("_no_logs")
@pytest.mark.timeout(60 * MINUTES * 2 + 600)
def test_the_promises_hold_whatever_happens() -> None:
    """The same sequences each time; other ones for as long as asked with ``make machine``."""
    until = time.monotonic() + 60 * MINUTES
    chosen = settings(
        max_examples=100 if MINUTES else EXAMPLES,
        stateful_step_count=STEPS,
        derandomize=not MINUTES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Machine, settings=chosen)
    while time.monotonic() < until:
        run_state_machine_as_test(Machine, settings=chosen)
