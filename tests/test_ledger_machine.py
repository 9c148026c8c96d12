"""The ledger against a small model of Trakor: whatever happens, in whatever order, the promises hold.

Each step is one thing that can happen: a page is seen (or an old one, late), work is claimed, a request
arrives (or arrives and its answer is lost, or does not arrive), outcomes are settled in any order, a
person decides, the process dies. After each step the promises are checked on the tables themselves; at
the end everything is brought to rest, and what is in Trakor is compared with the source.

``MACHINE_EXAMPLES`` and ``MACHINE_STEPS`` let it run longer, to hunt for the sequence nobody thought of.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.ledger.read_model import MARKS
from bridge.ledger.row_writes import NOTED, TO_SEND
from bridge.records import NoAnswer, Origin, Policy, Reason, Rejection, Retry, State
from builders import of
from ledger_world import IDS, MATCHINGS, NAMES, Content, History, Snapshot, World

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

contents = st.builds(
    Content,
    name=st.sampled_from(NAMES),
    contact=st.sampled_from(["", "", "p1", "p2"]),
    same_as=st.sampled_from(["", "s1", "s2", {"email": "s1"}, {"email": "s1", "phone": "s2"}]),
    qualifier=st.sampled_from(["", "q1", "q2"]),
)
sources = st.one_of(contents, contents, contents, st.sampled_from(["filtered", "unnamed", "unmapped"]))
policies = st.builds(
    Policy,
    on_same_name=st.sampled_from(["qualify", "hold", "merge"]),
    on_rename=st.sampled_from(["hold", "hold", "create"]),
    on_change=st.sampled_from(["report", "report", "ignore"]),
    on_existing=st.sampled_from(["adopt", "adopt", "hold"]),
)
verbs = st.sampled_from(["accept", "accept", "name", "dismiss", "drop", "retry"])
given_names = st.sampled_from(["Cy", "Ann", "Ann (q1)"])

VALID: Mapping[State, set[Reason | None]] = {
    State.PENDING: {None},
    State.DELIVERED: {None},
    State.MERGED: {None},
    State.DRIFTED: {None},
    State.DROPPED: {None},
    State.SKIPPED: {Reason.FILTERED, Reason.NO_NAME},
    State.HELD: {
        Reason.SAME_NAME,
        Reason.SAME_PERSON,
        Reason.RENAMED,
        Reason.REMAPPED,
        Reason.SAME_PARTY,
        Reason.EXISTING,
    },
    State.REJECTED: {Reason.MAPPING, Reason.REFUSED, Reason.SERVER_ERROR},
}
ASKED = {State.HELD, State.REJECTED, State.DRIFTED}


class LedgerMachine(RuleBasedStateMachine):
    """Drives a world, and checks it after each step."""

    world: World

    @initialize(
        policy=policies,
        matching=st.sampled_from(sorted(MATCHINGS)),
        there_before=st.lists(st.sampled_from(NAMES), max_size=1),
    )
    def begin(self, policy: Policy, matching: str, there_before: list[str]) -> None:
        self.world = World(policy, matching, there_before)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.come_to_rest()

    # -- what can happen

    @rule(page=st.dictionaries(st.sampled_from(IDS), sources, min_size=1, max_size=3))
    def change_and_see(self, page: dict[str, Content | str]) -> None:
        for source_id, content in page.items():
            self.world.sources[source_id].latest = content
        at = self.world.tick()
        self.world.observe([self.world.seen(source_id, at) for source_id in page])

    @rule(letter=st.sampled_from("ab"), absent=st.sets(st.sampled_from(IDS), max_size=2))
    def sweep(self, letter: str, absent: set[str]) -> None:
        self.world.sweep(letter, absent)

    @rule(source_id=st.sampled_from(IDS), age=st.integers(1, 200))
    def deleted(self, source_id: str, age: int) -> None:
        """Where it was read after that, it is there again."""
        before = self.world.snapshot().row(source_id)
        self.world.deleted(source_id, age)
        known = self.world.snapshot().row(source_id)
        assert known is None or known.gone or known.read_at > self.world.now - age
        assert known is None or before.gone or not known.gone or known.read_at == self.world.now - age

    @rule()
    def see_all_again(self) -> None:
        self.world.observe_all()

    @rule(source_id=st.sampled_from(IDS), content=contents, age=st.integers(1, 200))
    def see_an_old_page(self, source_id: str, content: Content, age: int) -> None:
        """A read that began before one that was observed already changes nothing."""
        before = self.world.snapshot()
        known = before.row(source_id)
        if known is not None:
            self.world.observe([content.draft(source_id, self.world.rules, known.read_at - age)])
            assert self.world.snapshot() == before

    @rule()
    def change_the_rules(self) -> None:
        self.world.rules += 1

    @rule(letter=st.sampled_from("ab"), limit=st.integers(1, 3))
    def claim(self, letter: str, limit: int) -> None:
        away = self.world.away()
        found = self.world.claim(letter, limit)
        assert away.isdisjoint(work.number for work in found), "sent by two at the same time"

    @precondition(lambda self: self.world.in_flight)
    @rule(which=st.integers(0, 9))
    def answered(self, which: int) -> None:
        self.world.answer(self.world.take(which))

    @precondition(lambda self: self.world.in_flight)
    @rule(which=st.integers(0, 9), arrives=st.booleans(), own=st.booleans(), last=st.booleans())
    def fails(self, which: int, arrives: bool, own: bool, last: bool) -> None:  # noqa: FBT001
        """Carried out without an answer, or answered with 503; the last straw of its own is a rejection."""
        work = self.world.take(which)
        self.world.note_tried(work)
        if arrives:
            self.world.arrive(work)
        no_answer = NoAnswer(self.world.now, 0) if arrives else None
        straw = Rejection(work, "failed 8 times", caused_by_record=False, no_answer=no_answer)
        again = Retry(work, self.world.now, failed=own, no_answer=no_answer)
        self.world.outcomes.append(straw if last else again)

    @precondition(lambda self: self.world.in_flight)
    @rule(which=st.integers(0, 9))
    def never_leaves(self, which: int) -> None:
        self.world.outcomes.append(Retry(self.world.take(which), 0, begun=False))

    @precondition(lambda self: self.world.outcomes)
    @rule(order=st.randoms(use_true_random=False), count=st.integers(1, 5))
    def settle(self, order: Random, count: int) -> None:
        outcomes = self.world.outcomes
        order.shuffle(outcomes)
        batch, self.world.outcomes = outcomes[:count], outcomes[count:]
        self.world.settle(batch)

    @rule()
    def die(self) -> None:
        self.world.die()

    @precondition(lambda self: self.world.there())
    @rule(which=st.integers(0, 9), verb=verbs, name=given_names)
    def a_person_decides(self, which: int, verb: str, name: str) -> None:
        there = self.world.there()
        self.world.decide_by_hand(there[which % len(there)], verb, name)

    @rule(which=st.integers(0, 9), verb=verbs, name=given_names)
    def a_person_decides_what_waits(self, which: int, verb: str, name: str) -> None:
        waits = [row.source_id for row in self.world.snapshot().rows if row.state in ASKED]
        if waits:
            self.world.decide_by_hand(waits[which % len(waits)], verb, name)

    # -- what must hold, always

    @invariant()
    def the_promises_hold(self) -> None:
        now = self.world.snapshot()
        assert sorted(row.source_id for row in now.rows) == self.world.there()
        for row in now.rows:
            is_in_one_valid_state(row)
            holds_its_name(row, now)
            is_stood_for_where_it_is_merged(row, now)
            shares_no_link(row, now)
        counts_are_kept(now)
        assert now.contents <= set(now.links), "text of what nobody is linked to"
        claims_are_held_by_what_is_pending_tried_or_answered(now, self.world.sources)
        drafts_wait_only_with_what_waits(now)
        self.every_name_that_the_bridge_made_is_claimed(now)
        self.one_source_makes_one_party_unless_somebody_said_so()

    def every_name_that_the_bridge_made_is_claimed(self, now: Snapshot) -> None:
        for made, party in self.world.trakor.parties.values():
            if self.world.trakor.made_by[made.trakor_id] != "by hand":
                assert of(party.name) in now.claims, made

    def one_source_makes_one_party_unless_somebody_said_so(self) -> None:
        if self.world.policy.on_rename != "create":
            makers = list(self.world.trakor.made_by.values())
            for source_id, history in self.world.sources.items():
                assert makers.count(source_id) <= 1 + history.consents, source_id

    # -- at rest

    def come_to_rest(self) -> None:
        """Everything that is under way is brought to its end, with a healthy Trakor and all read again."""
        self.world.end_what_is_under_way()
        for _ in range(12):
            before = undated(self.world.snapshot())
            self.world.observe_all()
            delivered = self.world.deliver_all()
            self.the_promises_hold()
            if not delivered and undated(self.world.snapshot()) == before:
                return self.nothing_is_lost_or_stale()
        raise AssertionError("it never comes to rest: sweeps without changes change something")

    def nothing_is_lost_or_stale(self) -> None:
        now = self.world.snapshot()
        by_number = {row.number: row for row in now.rows}
        for row in now.rows:
            assert row.state != State.PENDING, row
            history = self.world.sources[row.source_id]
            if row.state == State.DELIVERED and isinstance(history.latest, Content):
                self.is_as_sent(row, history.latest, history)
            if row.state == State.MERGED and not (row.gone or row.filtered):
                claimant = by_number[row.merged_into]
                listed = claimant.state in {State.HELD, State.REJECTED}
                assert now.claims[row.sent_key].answered or listed, row

    def is_as_sent(self, row: Any, latest: Content, history: History) -> None:  # noqa: ANN401 - any row
        """What Trakor has is what the source says, or is marked as what an older map made of that."""
        assert row.dismissed or latest.draft().key == row.key, row
        known = row.origin == Origin.CREATED and not (history.loose or row.dismissed)
        if known and self.world.policy.on_change == "report":
            maps = {self.world.rules, self.world.rules + 1} if row.remapped else {self.world.rules}
            contacts = {latest.contact_by(number) for number in maps}
            assert self.world.trakor.content(row.trakor_id).contact_info in contacts, row


def is_in_one_valid_state(row: Any) -> None:  # noqa: ANN401 - a row of the table, here and below
    reason = None if row.reason is None else Reason(row.reason)
    assert reason in VALID[State(row.state)], row
    assert row.origin is not None or row.trakor_id is None, row


def holds_its_name(row: Any, now: Snapshot) -> None:  # noqa: ANN401
    """What is pending or answered has the claim on the name that it is sent under, and a draft to send."""
    gone_unsent = row.gone and not now.attempts(row)
    if (row.state == State.PENDING and not gone_unsent) or row.trakor_id is not None:
        assert now.claims[row.sent_key].record == row.number, row
    if row.trakor_id is not None:
        assert now.claims[row.sent_key].answered, row
    if row.state == State.PENDING:
        assert of(now.waiting[row.number, TO_SEND].send_as) == row.sent_key, row


def is_stood_for_where_it_is_merged(row: Any, now: Snapshot) -> None:  # noqa: ANN401
    """It is, or will be, in Trakor: or whoever it is merged into is listed for a person."""
    if row.state == State.MERGED:
        assert row.merged_into not in {None, row.number}, row
        claimant = next(one for one in now.rows if one.number == row.merged_into)
        stands = claimant.state in {State.PENDING, State.DELIVERED, State.DRIFTED, State.MERGED, *ASKED}
        assert row.gone or (row.sent_key in now.claims and stands), (row, claimant)


def shares_no_link(row: Any, now: Snapshot) -> None:  # noqa: ANN401
    """Two records are never linked to one party."""
    if row.trakor_id is not None:
        assert now.links[row.trakor_id] == row.number, row


def counts_are_kept(now: Snapshot) -> None:
    """The numbers of ``status`` are kept by triggers, and are those that counting would give."""
    counted: Counter[tuple[int, str, str, frozenset[str]]] = Counter(
        (row.feed, row.state, row.reason or "", frozenset(mark for mark in MARKS if getattr(row, mark)))
        for row in now.rows
    )
    kept = {(feed, *kind): number for feed, kinds in now.states.items() for kind, number in kinds.items()}
    assert kept == counted


def claims_are_held_by_what_is_pending_tried_or_answered(
    now: Snapshot, sources: Mapping[str, History]
) -> None:
    rows = {row.number: row for row in now.rows}
    for key, one in now.claims.items():
        row = rows[one.record]
        present = row.sent_key == key and (one.attempts > 0 or (row.state == State.PENDING and not row.gone))
        assert one.answered or present or key in sources[row.source_id].tried, (row, one)


def drafts_wait_only_with_what_waits(now: Snapshot) -> None:
    rows = {row.number: row for row in now.rows}
    for number, slot in now.waiting:
        row = rows[number]
        if slot == NOTED:
            asked = row.reason in {Reason.EXISTING, Reason.SAME_PARTY}
            assert asked or (row.state == State.PENDING and row.seen is not None), row
        else:
            assert row.state != State.SKIPPED, row
            assert row.state != State.DELIVERED or row.remapped or row.seen is not None, row


def undated(now: Snapshot) -> list[Any]:
    """All of a snapshot's rows but for when they were read."""
    rows = [{**row._asdict(), "read_at": None} for row in now.rows]
    return [rows, now.claims, now.links, sorted(now.waiting), now.contents, now.states]


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=int(os.environ.get("MACHINE_EXAMPLES", "40")),
    stateful_step_count=int(os.environ.get("MACHINE_STEPS", "30")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
