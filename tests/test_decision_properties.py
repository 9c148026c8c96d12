"""Whatever is seen of whatever record, whoever holds the names: what `decide` never does."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

from hypothesis import assume, event, given
from hypothesis import strategies as st

from bridge.decision import decide
from bridge.ledger.decision_writer import apply_to_row
from bridge.records import (
    Decision,
    Draft,
    DraftAction,
    LedgerRow,
    MergedBy,
    NameHolder,
    Origin,
    Policy,
    Reason,
    State,
    Unsendable,
)
from bridge.records.source_record import NO_RULES
from builders import as_seen, draft, filtered, identified, nobody, of, unmapped, unnamed

NAMES = ("Ann", "ann", "Bo")
REASONS: dict[State, tuple[Reason | None, ...]] = {
    State.SKIPPED: (Reason.FILTERED, Reason.NO_NAME),
    State.HELD: (
        Reason.SAME_NAME,
        Reason.SAME_PERSON,
        Reason.RENAMED,
        Reason.REMAPPED,
        Reason.SAME_PARTY,
        Reason.EXISTING,
    ),
    State.REJECTED: (Reason.MAPPING, Reason.REFUSED, Reason.SERVER_ERROR, Reason.DAMAGED),
}
IDENTIFIERS = [{}, {"": "s1"}, {"": "s2"}, {"email": "e1"}, {"email": "e1", "phone": "p1"}, {"phone": "p2"}]


@cache
def made_of(name: str, contact: str, identifiers: int, qualifier: str, rules: str, query: str) -> Draft:
    """Such a draft, made once: hashing takes longer than what is tested."""
    return draft(
        name, contact, same_as=IDENTIFIERS[identifiers], qualifier=qualifier, rules=rules, query=query
    )


def made() -> st.SearchStrategy[Draft]:
    """What mapping could make, without what an older map makes of it."""
    parts = st.builds(
        made_of,
        st.sampled_from(NAMES),
        st.sampled_from(["", "p1", "p2"]),
        st.integers(0, len(IDENTIFIERS) - 1),
        st.sampled_from(["", "q1", "q2"]),
        st.sampled_from(["rules 1", "rules 2"]),
        st.sampled_from(["query 1", "query 1", "query 2"]),
    )
    return st.builds(lambda one, at: replace(one, read_at=at), parts, st.integers(8, 12))


former = st.one_of(st.none(), made(), st.builds(unnamed), st.builds(partial(unmapped, "name")))
drafts = st.builds(lambda one, before: replace(one, before=before), made(), former)
unsendables = st.one_of(
    st.builds(filtered, at=st.integers(8, 12)),
    st.builds(unnamed, at=st.integers(8, 12)),
    st.builds(partial(unmapped, "name"), at=st.integers(8, 12)),
)
sights: st.SearchStrategy[Draft | Unsendable] = st.one_of(drafts, drafts, unsendables)
policies = st.builds(
    Policy,
    on_same_name=st.sampled_from(["qualify", "hold", "merge"]),
    on_rename=st.sampled_from(["hold", "create"]),
    on_change=st.sampled_from(["report", "ignore"]),
    on_existing=st.sampled_from(["adopt", "hold"]),
)


@st.composite
def rows(draw: st.DrawFn) -> LedgerRow:
    """Any row that the ledger can hold: its state, reason, name, attempts and link fit each other."""
    state = draw(st.sampled_from(State))
    reason = draw(st.sampled_from(REASONS.get(state, (None,))))
    what = draw(drafts)
    keys = [what.key, *filter(None, [what.qualified_key]), of("given by a person")]
    answered = state in {State.DELIVERED, State.DRIFTED} or reason in {Reason.EXISTING, Reason.REMAPPED}
    tried = reason is Reason.SERVER_ERROR or (
        not answered and state in {State.PENDING, State.DROPPED, State.SKIPPED} and draw(st.booleans())
    )
    first = draw(st.booleans())  # of an older ledger
    shares = state is State.MERGED or reason is Reason.SAME_PARTY
    return LedgerRow(
        number=1,
        id="c1",
        state=state,
        reason=reason,
        key=what.key,
        sent_key=draw(st.sampled_from(keys)),
        sent=what.first_hashes if first else what.hashes,
        identifiers=what.identifiers,
        rules=NO_RULES if first else what.rules,
        first=first,
        read_at=draw(st.integers(8, 12)),
        content=draw(st.sampled_from([{}, what.hashes])) if answered and not first else {},
        attempts=2 if tried else int(answered),
        tried=what.hashes if tried else {},
        stored=tried and draw(st.booleans()),
        trakor_id="t1" if answered else None,
        origin=Origin.CREATED if answered else None,
        merged_into=7 if shares else None,
        merged_by=draw(st.sampled_from(MergedBy)) if shares else None,
        seen=draw(st.none() | drafts.map(lambda one: one.first_hashes if first else one.hashes)),
        gone=draw(st.booleans()),
        filtered=draw(st.booleans()),
        remapped=answered and not first and draw(st.booleans()),
        dismissed=state in {State.DELIVERED, State.MERGED} and draw(st.booleans()),
        given=draw(st.booleans()),
        retry=draw(st.booleans()),
    )


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, NameHolder]:
    """Who holds which name; record 1 itself among them."""
    keys = [of(name) for name in ("Ann", "Bo", "Ann (q1)", "Bo (q2)", "given by a person")]
    holder = st.builds(
        NameHolder,
        number=st.sampled_from([1, 2, 3, 7]),
        id=st.just("c"),
        group=st.lists(st.sampled_from([identified(one) for one in IDENTIFIERS]), min_size=1).map(tuple),
        merged_into=st.sampled_from([None, 7, 9]),
        answered=st.booleans(),
        linked=st.booleans(),
        represents=st.booleans(),
        attempts=st.integers(0, 2),
        sent=drafts.map(lambda one: one.hashes),
        origin=st.sampled_from([None, *Origin]),
        adopted_at=st.sampled_from([0, 5]),
        mergeable=st.booleans(),
    )
    return draw(st.dictionaries(st.sampled_from(keys), holder))


def owned(row: LedgerRow, world: dict[str, NameHolder]) -> dict[str, NameHolder]:
    """The same world where the record has the claim that its state says it has."""
    if row.state is State.PENDING or row.answered or row.unanswered:
        return world | {
            row.sent_key: NameHolder(
                1, "c1", (row.identifiers,), answered=row.answered, linked=row.answered, attempts=row.attempts
            )
        }
    return world


cases = st.tuples(sights, rows(), worlds(), policies)


@given(sights, st.none() | rows(), worlds(), policies)
def test_it_decides_on_anything(
    seen: Draft | Unsendable, row: LedgerRow | None, world: dict[str, NameHolder], policy: Policy
) -> None:
    decision = decide(seen, row, world.get, policy)
    assert row is not None or decision is not None
    if decision is not None:
        assert decision.reason in REASONS.get(decision.state, (None,))
        event(f"{row.state if row else 'nothing'} -> {decision.state}")


@given(cases)
def test_it_never_claims_what_another_holds(
    case: tuple[Draft | Unsendable, LedgerRow, dict[str, NameHolder], Policy],
) -> None:
    seen, row, world, policy = case
    world = owned(row, world)
    decision = decide(seen, row, world.get, policy)
    if decision is not None and decision.claim is not None:
        holder = world.get(decision.claim.key)
        assert holder is None or holder.number == row.number


@given(cases)
def test_it_takes_the_place_of_none_that_stands(
    case: tuple[Draft | Unsendable, LedgerRow, dict[str, NameHolder], Policy],
) -> None:
    """And of none but the holder of the name that is its own from now on."""
    seen, row, world, policy = case
    world = owned(row, world)
    decision = decide(seen, row, world.get, policy)
    if decision is not None and decision.succeeds is not None:
        holder = world[decision.merged_under]
        assert (holder.number, holder.represents) == (decision.succeeds, False)
        assert holder.number != row.number


@given(cases)
def test_it_never_gives_back_what_trakor_has_or_may_have(
    case: tuple[Draft | Unsendable, LedgerRow, dict[str, NameHolder], Policy],
) -> None:
    seen, row, world, policy = case
    decision = decide(seen, row, owned(row, world).get, policy)
    if decision is not None and decision.release:
        assert not row.answered
        assert not row.unanswered


@given(cases)
def test_what_trakor_has_or_may_have_goes_out_under_another_name_by_policy_alone(
    case: tuple[Draft | Unsendable, LedgerRow, dict[str, NameHolder], Policy],
) -> None:
    """Unless a person accepted it before: then it was held because the new name was taken."""
    seen, row, world, policy = case
    assume(row.answered or row.unanswered)
    assume(row.reason is not Reason.SAME_NAME)
    decision = decide(seen, row, owned(row, world).get, policy)
    if decision is not None and decision.claim is not None and decision.claim.key != row.sent_key:
        assert policy.on_rename == "create"
        assert not (row.unanswered and row.stored), "what was tried is sent first"


@given(cases)
def test_a_dropped_record_stays_so_until_a_person_wants_it_retried(
    case: tuple[Draft | Unsendable, LedgerRow, dict[str, NameHolder], Policy],
) -> None:
    seen, row, world, policy = case
    assume(not row.retry)
    dropped = row._replace(state=State.DROPPED, reason=None)
    decision = decide(seen, dropped, world.get, policy)
    assert decision is None or decision.state is State.DROPPED


@given(cases)
def test_a_record_on_its_way_keeps_name_and_payload(
    case: tuple[Draft | Unsendable, LedgerRow, dict[str, NameHolder], Policy],
) -> None:
    seen, row, world, policy = case
    under_way = row._replace(state=State.PENDING, reason=None, attempts=1, trakor_id=None, merged_into=None)
    decision = decide(seen, under_way, owned(under_way, world).get, policy)
    if decision is not None:
        assert decision.state is State.PENDING
        assert (decision.claim, decision.release) == (None, False)
        assert decision.sent is None or row.first, "an older ledger's hashes are written anew"
        assert decision.draft_action in {DraftAction.KEEP, DraftAction.NOTE, DraftAction.UNNOTE}


@given(cases)
def test_an_old_read_changes_nothing(
    case: tuple[Draft | Unsendable, LedgerRow, dict[str, NameHolder], Policy],
) -> None:
    seen, row, world, policy = case
    later = row._replace(read_at=seen.read_at + 1)
    assert decide(seen, later, world.get, policy) is None


def carried_out(
    decision: Decision, seen: Draft | Unsendable, row: LedgerRow | None, world: dict[str, NameHolder]
) -> tuple[LedgerRow, dict[str, NameHolder]]:
    """The row and the holders as the ledger leaves them."""
    known = row or LedgerRow(1, seen.id, decision.state)
    now = apply_to_row(decision, seen, known, just_seen=True)
    holders = dict(world)
    if decision.release and row is not None:
        holders.pop(row.sent_key, None)
    if decision.claim is not None:
        holders[decision.claim.key] = NameHolder(1, now.id, (now.identifiers,))
    if decision.succeeds is not None:
        former = holders[now.sent_key]
        holders[now.sent_key] = replace(former, number=1, id=now.id, merged_into=None, represents=True)
        now = now._replace(attempts=former.attempts, trakor_id="t1" if former.linked else None)
    return now, holders


@given(sights, st.none() | rows(), worlds(), policies)
def test_the_same_sight_twice_decides_nothing_the_second_time(
    seen: Draft | Unsendable, row: LedgerRow | None, world: dict[str, NameHolder], policy: Policy
) -> None:
    """A sweep without changes writes nothing: each decision is one that stands."""
    if row is None:
        world = {key: holder for key, holder in world.items() if holder.number != 1}
    else:
        world = owned(row, world)
        assume(seen.read_at >= row.read_at)
    decision = decide(seen, row, world.get, policy)
    assume(decision is not None)
    assert decision is not None
    now, holders = carried_out(decision, seen, row, world)
    assert decide(seen, now, holders.get, policy) is None


@st.composite
def in_trakor(draw: st.DrawFn) -> tuple[Draft, LedgerRow]:
    """A record that Trakor has and that is compared at a sight, and what is seen of it."""
    what, says = draw(made()), draw(st.none() | made())
    state = draw(st.sampled_from([State.DELIVERED, State.DELIVERED, State.DRIFTED, State.HELD]))
    reason = draw(st.sampled_from([Reason.RENAMED, Reason.REMAPPED])) if state is State.HELD else None
    row = LedgerRow(
        number=1,
        id="c1",
        state=state,
        reason=reason,
        key=what.key,
        sent_key=draw(st.sampled_from([what.key, what.qualified_key or what.key])),
        sent=what.hashes,
        content=draw(st.sampled_from([{}, what.hashes])),
        seen=None if says is None else says.hashes,
        identifiers=what.identifiers,
        rules=what.rules,
        attempts=1,
        trakor_id="t1",
        origin=Origin.CREATED,
        dismissed=state is State.DELIVERED and draw(st.booleans()),
        filtered=draw(st.booleans()),
    )
    before = draw(st.sampled_from([None, what, says]) | made())
    return replace(draw(made()), before=before), row


def says_by_the_map_of_then(seen: Draft, row: LedgerRow) -> Draft | None:
    """What the map that the record was last compared by makes of it now."""
    if seen.rules.map == row.rules.map:
        return seen
    return seen.before if isinstance(seen.before, Draft) else None


@given(in_trakor(), policies)
def test_a_change_at_the_source_is_never_passed_over(case: tuple[Draft, LedgerRow], policy: Policy) -> None:
    """Whatever changed with it: where Trakor has something else, a person is told, or the policy says so."""
    seen, row = case
    was = says_by_the_map_of_then(seen, row)
    assume(row.fields_between(row.last_seen, seen.hashes))
    assume(row.fields_between(row.content or row.sent, seen.hashes))
    if was is not None:
        changed = {*row.fields_between(row.last_seen, was.hashes)} & {
            *row.fields_between(row.sent, was.hashes)
        }
        assume(changed & {*row.fields_between(row.sent, seen.hashes)})
    now = as_seen(row, seen, policy=policy)
    event(f"{row.state} -> {now.state}")
    if now.state is State.PENDING:
        assert policy.on_rename == "create"
        assert now.sent_key == seen.key
    elif policy.on_change == "ignore" and now.state is State.DELIVERED:
        assert now.differing
    else:
        assert now.state in {State.DRIFTED, State.HELD}


@given(in_trakor(), policies, st.booleans())
def test_what_the_map_alone_changed_makes_no_second_party(
    case: tuple[Draft, LedgerRow],
    policy: Policy,
    comparable: bool,  # noqa: FBT001
) -> None:
    """Also where renames are sent: a new map would make a party of every contact."""
    seen, row = case
    sent = row._replace(seen=None if row.state is not State.HELD else row.seen)
    says_what_it_said = draft_of(sent)
    by_new_map = replace(
        seen,
        before=says_what_it_said if comparable else None,
        rules=replace(seen.rules, map="rules 3", query=row.rules.query),
    )
    assume(row.fields_between(row.last_seen, by_new_map.hashes) and sent.reason is not Reason.RENAMED)
    decision = decide(by_new_map, sent, nobody, policy)
    assert decision is None or decision.claim is None


def draft_of(row: LedgerRow) -> Draft:
    """What a record said last, seen again."""
    return replace(draft(), key=row.key, hashes=row.last_seen, identifiers=row.identifiers, rules=row.rules)


@given(cases)
def test_no_sight_says_that_trakor_has_something_else_than_was_sent(
    case: tuple[Draft | Unsendable, LedgerRow, dict[str, NameHolder], Policy],
) -> None:
    """But of an older ledger, which did not know what was sent: it is learnt where nothing differs."""
    seen, row, world, policy = case
    decision = decide(seen, row, owned(row, world).get, policy)
    if decision is not None and not row.first:
        assert decision.content is None
