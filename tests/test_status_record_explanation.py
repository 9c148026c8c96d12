"""What a record's own page and `records show` say is so, and what they offer can be done."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from books import kept
from bridge.ledger.database import reading
from bridge.ledger.feeds import Feed
from bridge.ledger.read_model import RecordQuery, RecordSummary, find_records
from bridge.ledger.record_relations_and_history import RecordRelations, load_relations
from bridge.records import Reason, State, Stream
from bridge.sandbox import Options, Sandbox
from bridge.status.possible_actions import ways
from bridge.status.record_explanation import meaning, the_other
from bridge.status.vocabulary import EVENTS, MARKS, NEEDS_DECISION, SITUATIONS, MarkWords, Situation
from desk import Desk, configured, run_backfill

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

NOW = 1_000_000
ALONE = RecordRelations(
    attempts=0, next_try_at=0, claimant=None, merged_here=(), name_holder="", qualified_name="",
    qualified_holder="", trakor_ids=(),
)  # fmt: skip
KNOWN = RecordSummary(
    1, Feed(1, "default", Stream.CONTACTS, 1), "c1", "held", "", (), "", "", "", (), NOW, "Ann"
)


@dataclass(frozen=True)
class World:
    """A sandbox, and the command line at a ledger of its records."""

    sandbox: Sandbox
    desk: Desk

    async def backfill(self) -> None:
        await run_backfill(self.desk.folder)

    async def run(self, *arguments: str) -> str:
        """Run a command that must succeed."""
        ran = await asyncio.to_thread(self.desk, *arguments)
        assert ran.status == 0, ran.err
        return ran.out

    def found(self, identity: str) -> tuple[RecordSummary, RecordRelations]:
        ledger = self.desk.folder / "ledger.db"
        with reading(ledger, kept(ledger)) as connection:
            (record,) = find_records(connection, RecordQuery(either=identity))
            return record, load_relations(connection, record)


@pytest.fixture
async def world(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> World:
    sandbox = await start_sandbox(Options(contacts=0, products=0))
    (tmp_path / "config.toml").write_text(configured(sandbox))
    return World(sandbox, Desk(tmp_path, monkeypatch, capsys))


async def test_the_name_of_a_renamed_client_is_said_to_stay_taken(world: World) -> None:
    """Its old record in Trakor keeps the name, so no rename or drop of the other one ever frees it."""
    first = world.sandbox.contacts.add("Jane Smith")
    second = world.sandbox.contacts.add("jane smith")
    await world.backfill()
    world.sandbox.contacts.rename(first, "Jane Walsh")
    await world.backfill()
    await world.run("records", "accept", first)
    await world.backfill()
    out = await world.run("records", "show", second)
    assert f"{first} has the same name in Trakor, although it was renamed in Salestrekker later" in out
    assert "That name stays taken" in out
    assert "once the other one was renamed or dropped" not in out


async def test_what_makes_two_perhaps_one_person_is_said(world: World) -> None:
    father = world.sandbox.contacts.add("Otto Ashby", email="otto@example.org", phone="+61 491 570 006")
    son = world.sandbox.contacts.add("Otto Ashby", email="otto@example.org", phone="+61 491 570 156")
    await world.backfill()
    said = "The same: e-mail address. Different: telephone number."
    assert said in await world.run("records", "show", son)
    record, standing = world.found(son)
    assert the_other(record, standing) == f"The other record is “Otto Ashby” ({father}). {said}"


async def test_one_that_is_gone_can_be_closed_and_comes_back_unless_it_was_forgotten(world: World) -> None:
    """Somebody has deleted it in Trakor by hand: that is noted, and nothing is sent."""
    gone, forgotten = (world.sandbox.contacts.add(f"Gone Away {number}") for number in (1, 2))
    await world.backfill()
    world.sandbox.contacts.remove(gone)
    world.sandbox.contacts.remove(forgotten)
    await world.backfill()
    out = await world.run("records", "show", gone)
    assert f"trakor-bridge records dismiss {gone}" in out
    assert f"trakor-bridge records forget {gone}" in out
    await world.run("records", "dismiss", gone)
    record, standing = world.found(gone)
    assert (record.state, record.marks) == ("delivered", ("gone", "dismissed"))
    assert ways(record, standing) == []
    before = world.found(forgotten)[0].since_at
    await world.run("records", "forget", forgotten, "--yes")
    await world.backfill()
    assert (world.found(gone)[0].marks, len(world.sandbox.trakor.parties)) == (("gone", "dismissed"), 2)
    record, _ = world.found(forgotten)
    assert (record.state, record.since_at > before) == ("dropped", True)


async def test_those_that_are_gone_are_closed_together(world: World) -> None:
    ids = [world.sandbox.contacts.add(f"Gone Away {number}") for number in range(3)]
    await world.backfill()
    for identity in ids[:2]:
        world.sandbox.contacts.remove(identity)
    await world.backfill()
    assert "2 records dismissed." in await world.run("records", "dismiss", "--mark", "gone", "--yes")


async def test_a_wish_for_a_new_decision_is_no_mark(world: World) -> None:
    """What stands in square brackets can be asked for by `--mark`."""
    identity = world.sandbox.contacts.add("Ann Ashby")
    await world.backfill()
    world.sandbox.contacts.rename(identity, "Ann Brown")
    await world.backfill()
    await world.run("records", "retry", identity)
    out = await world.run("records", "list")
    assert "held: renamed (to be checked again)" in out
    assert "[" not in out


@pytest.mark.parametrize(("state", "reason"), NEEDS_DECISION)
def test_a_list_and_a_record_offer_the_same_decisions(state: State, reason: str) -> None:
    """Else a button for all counts records whose own page has no such button."""
    one = replace(KNOWN, state=str(state), reason=str(reason))
    assert {way.verb for way in ways(one, replace(ALONE, qualified_name="Ann (x)"))} == {
        str(verb) for verb in NEEDS_DECISION[state, reason].effects
    }


@pytest.mark.parametrize(("attempts", "when"), [(0, "when it has changed"), (2, "only if an operator asks")])
@pytest.mark.parametrize("reason", [Reason.REFUSED, Reason.SERVER_ERROR])
def test_one_that_trakor_may_have_is_said_to_wait_for_a_person(
    reason: Reason, attempts: int, when: str
) -> None:
    refused = replace(KNOWN, state="rejected", reason=str(reason))
    assert when in " ".join(meaning(refused, replace(ALONE, attempts=attempts), NOW))


def test_what_cannot_be_compared_is_not_said_to_have_changed() -> None:
    said = " ".join(meaning(replace(KNOWN, state="drifted", reason="", fields=("rules",)), ALONE, NOW))
    assert "cannot be compared" in said
    assert not re.search(r"\bchanged in Salestrekker\b|rules", said)


def test_no_sentence_for_people_has_a_word_of_the_field() -> None:
    """Somebody in an office has never seen a map (docs/glossary.md): such words are for the documentation."""
    words: list[Situation | MarkWords] = [*SITUATIONS.values(), *MARKS.values()]
    said = [
        *(text for one in words for text in (one.title, one.meaning, one.why, *one.effects.values())),
        *(text for one in SITUATIONS.values() for text in (one.summary, one.automatic, one.by_backfill)),
        *(mark.phrase for mark in MARKS.values()),
        *(sentence for _, _, sentence in EVENTS),
    ]
    assert [one for one in said if re.search(r"\bmaps?\b|`where`|canar|sweep|\bclaims?\b", one)] == []
