"""docs/reasons.md against the program: every word is explained, every command offered can be carried out."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from books import kept
from bridge import decision
from bridge.errors import UserError
from bridge.ledger.database import reading, writing
from bridge.ledger.feeds import Feed
from bridge.ledger.operator_actions import OperatorAction, apply_to_each
from bridge.ledger.read_model import MARKS, RecordQuery, RecordSummary, iterate_records
from bridge.ledger.record_relations_and_history import RecordRelations
from bridge.records import Draft, LedgerRow, NameClaim, Origin, Party, Policy, Reason, State, Stream
from bridge.sandbox import Fault, Options, Sandbox, configuration
from bridge.status.possible_actions import choices
from desk import run_backfill
from documentation import section

PAGE = (Path(__file__).parent.parent / "docs" / "reasons.md").read_text("utf-8")

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
NO_REASON: tuple[Reason | None, ...] = (None,)
STANDINGS = [(state, reason) for state in State for reason in REASONS.get(state, NO_REASON)]
"""Each state with each reason that it can have."""

ANSWERED = {State.DELIVERED, State.DRIFTED}
ANSWERED_REASONS = {Reason.RENAMED, Reason.REMAPPED, Reason.EXISTING}
STORED = {State.HELD, State.REJECTED, State.PENDING}


def page_of(state: State, reason: Reason | None) -> str:
    """What the page says of a state, or of one of its reasons."""
    of_state = section(PAGE, f"`{state}`")
    return of_state if reason is None else section(of_state, f"`{reason}`")


def offered(text: str) -> set[str]:
    return set(re.findall(r"trakor-bridge records (accept|dismiss|drop|retry) ID\b", text))


def row_of(state: State, reason: Reason | None) -> LedgerRow:
    answered = state in ANSWERED or reason in ANSWERED_REASONS
    merged = state is State.MERGED or reason is Reason.SAME_PARTY
    return LedgerRow(
        number=1,
        id="c1",
        state=state,
        reason=reason,
        key="k",
        sent_key="k",
        trakor_id="t1" if answered else None,
        merged_into=2 if merged else None,
    )


def draft() -> Draft:
    return Draft("c1", Party("Jane Smith"), "n", "Perth", "Jane Smith (Perth)", "q", {}, {}, 7)


def nobody(_key: str) -> None:
    """Holds any name."""


def carried_out(verb: str, state: State, reason: Reason | None) -> None:
    """Decide as a person; raises where that cannot be done to a record in this state."""
    row = row_of(state, reason)
    stored = draft() if state in STORED and reason is not Reason.MAPPING else None
    if verb == "accept":
        given = NameClaim("Jane Smith (Perth)", "q") if reason is Reason.SAME_NAME else None
        decision.accept(row, stored, nobody, Policy(), name=given)
    elif verb == "dismiss":
        decision.dismiss(row)
    elif verb == "drop":
        decision.drop(row)
    elif state is not State.PENDING:  # which is sent again without a decision
        decision.retry(row, stored, nobody, Policy())


def test_each_state_and_each_of_its_reasons_has_its_place() -> None:
    headings = re.findall(r"^(##+) `([a-z-]+)`$", PAGE, re.MULTILINE)
    states = [word for level, word in headings if level == "##"]
    assert states == [*State]
    expected = [str(reason) for state in State for reason in REASONS.get(state, ())]
    assert [word for level, word in headings if level == "###"] == [*expected, *MARKS]
    assert {*expected} == {*Reason}


def test_the_table_has_each_state_and_says_which_need_a_person() -> None:
    rows = re.findall(r"^\| \[`([a-z]+)`\]\(#\1\) \|.*\| (.+) \|$", PAGE, re.MULTILINE)
    assert [word for word, _ in rows] == [*State]
    assert {word for word, says in rows if says == "**yes**"} == {State.HELD, State.REJECTED, State.DRIFTED}


def test_each_origin_is_explained() -> None:
    assert re.findall(r"^\| `([a-z]+)` \|", page_of(State.DELIVERED, None), re.MULTILINE) == [*Origin]


@pytest.mark.parametrize(("state", "reason"), STANDINGS)
def test_what_it_offers_is_what_the_program_offers(state: State, reason: Reason | None) -> None:
    """All that `records show` offers is on the page, and all that is on the page can be done."""
    found = RecordSummary(
        1,
        Feed(1, "default", Stream.CONTACTS, 1),
        "c1",
        state,
        str(reason or ""),
        (),
        "",
        "",
        "",
        (),
        0,
        "x",
        retry=False,
    )
    standing = RecordRelations(0, 0, None, (), "", "Jane Smith (Perth)", "", ())
    shown = {
        match[1]
        for choice in choices(found, standing)
        if (match := re.match(r"trakor-bridge records (\w+)", choice.command))
    }
    on_page = offered(page_of(state, reason))
    assert shown <= on_page
    for verb in on_page:
        carried_out(verb, state, reason)


@pytest.mark.parametrize("verb", ["accept", "drop"])
def test_what_cannot_be_done_is_found(verb: str) -> None:
    """The check above is one that can fail."""
    with pytest.raises(UserError):
        carried_out(verb, State.DELIVERED, None)


async def test_a_party_renamed_by_hand_in_trakor_is_not_made_twice(tmp_path: Path) -> None:
    """Rename it there to exactly the new name, accept, run a backfill: as "Keep the one party" says."""
    async with Sandbox(Options(contacts=0, products=0)) as sandbox:
        unhurried = configuration(sandbox).replace("[trakor]", "requests_per_minute = 6000\n[trakor]")
        (tmp_path / "config.toml").write_text(unhurried, "utf-8")
        identity = sandbox.contacts.add("Jane Smith", email="jane@example.org")
        await run_backfill(tmp_path)
        sandbox.contacts.rename(identity, "Jane Jones")
        await run_backfill(tmp_path)
        party = sandbox.trakor.parties["Jane Smith"]
        as_it_stands = {"id": party.id, "name": "Jane Jones", "created": False}
        sandbox.trakor.faults.add(Fault(name="Jane Jones", status=200, body=as_it_stands))  # renamed by hand
        with writing(tmp_path / "ledger.db", kept(tmp_path / "ledger.db")) as connection:
            wanted = RecordQuery(either=identity)
            apply_to_each(
                connection, OperatorAction.ACCEPT, wanted, lambda _: Policy(), now=time.time_ns() // 1_000_000
            )
        await run_backfill(tmp_path)
        assert len(sandbox.trakor.parties) == 1
    with reading(tmp_path / "ledger.db") as connection:
        (record,) = iterate_records(connection, RecordQuery())
    assert (record.state, record.trakor_id, record.origin) == (State.DRIFTED, party.id, Origin.UNCLEAR)
    assert record.fields == ("contact_info",), "which holds the name, too, and was not corrected by hand"
