"""An operator's decisions on records, carried out a few records at a time; and forgetting one record."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

import typer

from bridge.cli.output import ask_yes_no, escape, tell
from bridge.cli.record_output import JsonList
from bridge.cli.record_selection import hasher_of, the_one
from bridge.errors import UserError
from bridge.ledger.database import reading, writing
from bridge.ledger.erasure import forget_record
from bridge.ledger.open import is_daemon_running
from bridge.ledger.operator_actions import AT_ONCE, OperatorAction, apply_to_each
from bridge.ledger.read_model import RecordQuery, find_record_numbers
from bridge.names import fit
from bridge.records import NameClaim, Policy, State
from bridge.status.vocabulary import ACTIONS, AFTER_DECISION, CHECKED_AGAIN, LEFT_AS_IT_IS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bridge.cli.record_selection import Selection
    from bridge.cli.session import Session
    from bridge.ledger.erasure import ErasureResult
    from bridge.ledger.operator_actions import ActionResult
    from bridge.ledger.read_model import Reader, RecordSummary
    from bridge.ledger.row_mapping import Feed

__all__ = ["DecisionRequest", "decide", "forget_one", "forgotten_as_json", "show_forgotten"]

OF_STATES: Final = {
    OperatorAction.ACCEPT: (
        {State.HELD, State.DRIFTED},
        "accepted",
        "held and drifted ones can; `trakor-bridge records retry` decides on a rejected one again",
    ),
    OperatorAction.DISMISS: (
        {State.HELD, State.DRIFTED},
        "dismissed",
        "drifted ones can, those held for what Trakor has, and `--mark gone`; `records drop` ends others",
    ),
}
"""The states whose records wait for a decision, how it is called there, and what can be done instead."""

WITH_MARKS: Final = {OperatorAction.ACCEPT: {"remapped"}, OperatorAction.DISMISS: {"remapped", "gone"}}
"""The marks with which delivered ones can be decided on, too."""

EACH: Final = "each"
"""Stands for the record where one reason is told of many."""

NAMED: Final = 5
"""So many records that share a reason are named."""

AT_ONCE_BY_DAEMON: Final = "at once, by the running daemon"
"""When a daemon works on the ledger there is no next backfill to wait for."""


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """What a person has decided.

    Attributes:
        verb: What is to be done.
        selection: To which records.
        given_name: A name to send one record under; empty: its own.
        yes: Do it to many without asking.
        json: Tell it as JSON.
    """

    verb: OperatorAction
    selection: Selection
    given_name: str = ""
    yes: bool = False
    json: bool = False


def decide(session: Session, order: DecisionRequest) -> int:
    """Carry an order out, and say what came of it.

    Returns:
        The exit status: 1 where it could not be done to all.

    Raises:
        UserError: It is not clear which records are meant, or many are and nobody said yes.
    """
    path = session.ledger
    chosen = _chosen(session, path, order)
    if chosen is None:
        return 1
    text_storage = session.text_storage
    told = _DecisionReport(order, daemon=is_daemon_running(path))
    remaining = iter(chosen.numbers)
    while some := tuple(islice(remaining, AT_ONCE)):
        with writing(path, text_storage) as connection:
            decided = apply_to_each(
                connection,
                order.verb,
                replace(chosen, numbers=some),
                lambda feed: _policy(session, feed),
                now=time.time_ns() // 1_000_000,
                name=_claim(session, connection, order.given_name),
                by="on the command line",
            )
        told.of(decided)
    return told.end()


def _chosen(session: Session, path: Path, order: DecisionRequest) -> RecordQuery | None:
    """The records that are meant, by number; None where nobody wants it after all."""
    selection = order.selection
    _require_sense(order)
    with reading(path, session.text_storage) as connection:
        if selection.single:
            return RecordQuery(numbers=[the_one(session, connection, selection).number])
        wanted = selection.wanted(connection, None)
        chosen = replace(wanted, numbers=find_record_numbers(connection, wanted))
    return chosen if not chosen.numbers or _agreed(order, len(chosen.numbers)) else None


def _require_sense(order: DecisionRequest) -> None:
    """Refuse an order that does not say which records are meant, or says what cannot be done.

    Raises:
        UserError: It is so.
    """
    selection = order.selection
    if selection.single and (selection.narrowed or selection.since):
        raise UserError(
            "one record or many?",
            advice="give an id or --name; or --state, --reason, --mark, --field and --since for many",
        )
    if not selection.single and not selection.narrowed:
        raise UserError(
            "which records?",
            advice='give an id or --name "exact name"; for many --state, --reason, --mark or --field, and '
            "--yes",
        )
    possible, called, advice = OF_STATES.get(order.verb, ({*State}, "", ""))
    marked = {*selection.marks} & WITH_MARKS.get(order.verb, set())
    if selection.states and not {*selection.states} & possible and not marked:
        raise UserError(f"{' and '.join(selection.states)} records cannot be {called}", advice=advice)
    if order.given_name and not selection.single:
        raise UserError("--as gives a name to one record", advice="give its id")


def _agreed(order: DecisionRequest, number: int) -> bool:
    """Whether the user wants this to be done to so many records."""
    if order.yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UserError(
            f"`records {order.verb}` for {_records(number)} needs a yes",
            advice="add --yes; nothing was changed",
        )
    return ask_yes_no(f"{str(order.verb).capitalize()} {_records(number)}?")


def _claim(session: Session, connection: Reader, name: str) -> NameClaim | None:
    """The name that a person gave, made fit."""
    if not name:
        return None
    whole = fit(name)
    if not whole:
        raise UserError("--as: a name needs characters that can be seen")
    return NameClaim(whole, hasher_of(session, connection).name_key(whole))


def _policy(session: Session, feed: Feed) -> Policy:
    configured = session.settings.connections.get(feed.connection)
    if configured is None:
        raise UserError(
            f"its connection {escape(feed.connection)!r} is not configured any more",
            advice="put the connection back; only then can its records be decided on",
        )
    return configured.stream(feed.stream).policy()


class _DecisionReport:
    """What came of an order, told as it goes on: JSON record by record, else sums and refusals."""

    def __init__(self, order: DecisionRequest, *, daemon: bool) -> None:
        self._order = order
        self._daemon = daemon
        self._next: Counter[tuple[str, str]] = Counter()
        self._last: RecordSummary | None = None
        self._document = JsonList()
        self._total = 0
        self._refused: list[dict[str, str]] = []
        self._alike: dict[tuple[str, str], list[RecordSummary]] = {}

    def of(self, decided: Sequence[ActionResult]) -> None:
        """These were decided on."""
        for one in decided:
            if one.refusal is None:
                self._last = one.record
                self._next[self._what_next(one.record)] += 1
            else:
                self._refuse(one.record, one.refusal)
            if self._order.json:
                self._document.add(one.record)
                self._total += 1

    def _refuse(self, record: RecordSummary, refusal: UserError) -> None:
        said = {"connection": record.feed.connection, "stream": str(record.feed.stream), "id": record.id}
        self._refused.append({**said, "error": str(refusal), "advice": refusal.advice})
        reason = str(refusal).replace(f"record {record.id}", EACH)
        self._alike.setdefault((reason, refusal.advice), []).append(record)

    def end(self) -> int:
        """That was all: sums, and once for all what to do about the refusals."""
        for (reason, _), refused in self._alike.items():
            typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
            tell(_complaint(reason, refused), after=len("error: "), hanging=4, err=True)
        for advice in dict.fromkeys(advice for _, advice in self._alike if advice):
            tell(f"what to do: {advice}", hanging=4, err=True)
        if self._order.json:
            self._document.end(failed=self._refused, total=self._total)
        else:
            for sentence in self._sentences():
                tell(sentence, hanging=4)
        return 1 if self._refused else 0

    def _sentences(self) -> Iterator[str]:
        done = self._next.total()
        if done == 1 and self._last is not None:
            one, _ = self._what_next(self._last)
            name = (
                f" as “{escape(self._last.name)}”"
                if self._last.name and self._last.state == "pending"
                else ""
            )
            yield f"{_name_of(self._last)} {one.replace('will be sent', 'will be sent' + name)}."
            return
        if done or not self._refused:
            yield f"{_records(done).capitalize()} {ACTIONS[self._order.verb].reported}."
        for (one, many), number in self._next.most_common():
            yield f"  {number:,} {one if number == 1 else many}"

    def _what_next(self, record: RecordSummary) -> tuple[str, str]:
        one, many = _what_next(record)
        if self._daemon:
            one, many = (said.replace("by the next backfill", AT_ONCE_BY_DAEMON) for said in (one, many))
        return one, many


def _complaint(reason: str, refused: Sequence[RecordSummary]) -> str:
    """Why something was not done: to one record that is named, or to many of which some are."""
    if len(refused) == 1:
        one = refused[0]
        named = reason.replace(EACH, f"record {one.id}")
        return escape(named if one.id in named else f"{_name_of(one)}: {named}")
    more = len(refused) - NAMED
    ids = ", ".join(one.id for one in refused[:NAMED]) + (f" and {more:,} more" if more > 0 else "")
    return escape(f"{len(refused):,} records: {reason} ({ids})")


def _what_next(record: RecordSummary) -> tuple[str, str]:
    """What happens next to a record, said of one and said of several."""
    if record.retry:
        return CHECKED_AGAIN
    if "dismissed" in record.marks:
        return LEFT_AS_IT_IS
    if State(record.state) in AFTER_DECISION:
        return AFTER_DECISION[State(record.state)]
    now = ": ".join(part for part in (record.state, record.reason) if part)
    return f"is {now}", f"are {now}"


def _name_of(record: RecordSummary) -> str:
    return escape(f"{str(record.feed.stream).removesuffix('s').capitalize()} {record.id}")


def _records(number: int) -> str:
    return f"{number:,} record{'s' if number != 1 else ''}" if number else "no record"


def forget_one(session: Session, selection: Selection, *, yes: bool) -> tuple[RecordSummary, ErasureResult]:
    """Forget one record, once the user has said yes.

    Args:
        session: The command's configuration.
        selection: Which record.
        yes: The user has said so already.

    Raises:
        UserError: It is not clear which is meant, nobody said yes, or it is being sent just now.
    """
    path = session.ledger
    text_storage = session.text_storage
    with reading(path, text_storage) as connection:
        found = the_one(session, connection, selection)
    if not yes:
        _ask_to_forget(found)
    policy = _policy_or_default(session, found.feed)
    with writing(path, text_storage) as connection:
        return found, forget_record(connection, found.number, now=time.time_ns() // 1_000_000, policy=policy)


def _policy_or_default(session: Session, feed: Feed) -> Policy:
    """What the user chose for a stream; a record of a connection that is not configured is forgotten, too."""
    configured = session.settings.connections.get(feed.connection)
    return Policy() if configured is None else configured.stream(feed.stream).policy()


def _ask_to_forget(found: RecordSummary) -> None:
    if not sys.stdin.isatty():
        raise UserError(
            f"forgetting {escape(found.id)} cannot be undone, and nobody is there to ask", advice="add --yes"
        )
    if not ask_yes_no(f"Forget {escape(found.id)} of {found.feed.stream}? That cannot be undone."):
        raise typer.Exit(1)


def forgotten_as_json(found: RecordSummary, forgotten: ErasureResult) -> dict[str, object]:
    """What `records forget --json` prints."""
    return {
        "connection": found.feed.connection,
        "stream": str(found.feed.stream),
        "id": forgotten.id,
        "delete_in_trakor": list(forgotten.trakor_ids),
        "maybe_in_trakor": forgotten.maybe_in_trakor,
        "merged": list(forgotten.merged),
        "kept": [{"trakor_id": trakor_id, "id": keeper} for trakor_id, keeper in forgotten.kept],
        "namesakes": list(forgotten.namesakes),
    }


def show_forgotten(found: RecordSummary, forgotten: ErasureResult) -> None:
    """Say what was done, and what is left to do by hand."""
    tell(f"Forgotten: {forgotten.id} of {found.feed.stream}. It will not be sent again.", hanging=2)
    name = escape(found.trakor_name or found.name)  # said once more: whoever deletes it looks for the name
    for trakor_id in forgotten.trakor_ids:
        known_as = f", “{name}”" if name and trakor_id == found.trakor_id else ""
        tell(f"Delete in Trakor by hand: {trakor_id}{known_as}", hanging=2)
    if forgotten.maybe_in_trakor:
        sought = f"“{name}”" if name else "its name"
        tell(f"It was sent, and no answer came: look for {sought} in Trakor, and delete it there.", hanging=2)
    for trakor_id, keeper in forgotten.kept:
        tell(f"Not to be deleted: {trakor_id} is the record of {keeper} now.", hanging=2)
    for other in forgotten.merged:
        tell(f"Shared its name: {other}. If that is the same person, forget it too.", hanging=2)
    for other in forgotten.namesakes:
        tell(f"Held because of its name, and stays held: {other}", hanging=2)
    if forgotten.namesakes:
        tell("Delete the forgotten one in Trakor first, or Trakor answers with that one.", hanging=2)
        tell("Then `trakor-bridge records accept ID` or `trakor-bridge records retry ID`.", hanging=2)
    tell("What was kept of it leaves the ledger's file within an hour. Backups still hold it.", hanging=2)
