"""docs/decisions.md has every state and reason, no other, and says which policies there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from bridge.decision import accept, dismiss, drop, retry
from bridge.errors import UserError
from bridge.records import LedgerRow, Origin, Policy, Reason, State
from bridge.settings.model import StreamSettings
from builders import delivered, draft, nobody, row

PAGE = (Path(__file__).parent.parent / "docs" / "decisions.md").read_text("utf-8")
WORDS = re.findall(r"`([a-z][a-z-]+)`", PAGE)
FIELDS_AND_POLICIES = {
    "same_as",
    "qualifier",
    "where",
    "qualify",
    "hold",
    "merge",
    "gone",
    "accept",
    "dismissed",
    "rules",
}


@pytest.mark.parametrize("word", [*State, *Reason, *Origin])
def test_every_state_reason_and_origin_is_explained(word: str) -> None:
    assert word in WORDS


def test_no_state_or_reason_is_named_that_does_not_exist() -> None:
    """Each word set as code on the page is a state, a reason, an origin, a mark or a key's value."""
    assert set(WORDS) <= {*State, *Reason, *Origin, *FIELDS_AND_POLICIES}


VALID: dict[State, tuple[Reason | None, ...]] = {
    State.PENDING: (None,),
    State.DELIVERED: (None,),
    State.MERGED: (None,),
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
    State.DRIFTED: (None,),
    State.DROPPED: (None,),
}
KINDS = [(state, reason) for state, reasons in VALID.items() for reason in reasons]


def said_of(command: str) -> set[tuple[State, Reason | None]]:
    """The states and reasons for which the page offers a command."""
    rows = PAGE.split("## What you can decide\n")[1].strip().split("\n\n")[0].splitlines()[2:]
    offered = set()
    current = ""
    for line in rows:
        name, what, _ = (cell.strip() for cell in line.strip("|").split("|"))
        current = name.strip("`") or current
        words = re.findall(r"`([a-z-]+)`", what)
        if current == f"records {command}":
            for state in State:
                named = [reason for reason in VALID[state] if reason in words]
                offered |= {(state, reason) for reason in named or VALID[state] if state in words}
    return offered


def known(state: State, reason: Reason | None) -> LedgerRow:
    """A record in a state, as Trakor has it where that can be."""
    what = draft("Ann Lee", qualifier="q")
    if state in {State.DELIVERED, State.DRIFTED} or reason in {Reason.RENAMED, Reason.EXISTING}:
        return delivered(what, state=state, reason=reason, seen=what.hashes)
    return row(state, reason, key=what.key, sent_key=what.key, sent=what.hashes, merged_into=2)


def can(command: str, state: State, reason: Reason | None) -> bool:
    what = draft("Ann Lee", qualifier="q")
    try:
        if command in {"drop", "dismiss"}:
            {"drop": drop, "dismiss": dismiss}[command](known(state, reason))
        else:
            {"accept": accept, "retry": retry}[command](known(state, reason), what, nobody, Policy())
    except UserError:
        return False
    return True


@pytest.mark.parametrize(("state", "reason"), KINDS)
@pytest.mark.parametrize("command", ["accept", "dismiss", "drop"])
def test_a_command_is_offered_for_just_the_records_that_it_works_on(
    command: str, state: State, reason: Reason | None
) -> None:
    assert ((state, reason) in said_of(command)) == can(command, state, reason)


@pytest.mark.parametrize(("state", "reason"), KINDS)
def test_a_retry_is_offered_for_no_record_that_refuses_it(state: State, reason: Reason | None) -> None:
    assert (state, reason) not in said_of("retry") or can("retry", state, reason)


@pytest.mark.parametrize("key", ["on_same_name", "on_rename", "on_change", "on_existing"])
def test_every_policy_and_each_of_its_values_other_than_plain_waiting_is_on_the_page(key: str) -> None:
    """What a key can be is in its annotation; the page says what each but `report` does."""
    field = StreamSettings.model_fields[key]
    assert key in PAGE
    for value in get_args(field.annotation):
        assert value == "report" or re.search(rf'`"?{value}"?`|"{value}"', PAGE), value
