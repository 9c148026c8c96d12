"""An operator's decisions on records, carried out a few records at a time; and forgetting one record."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import replace
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
from bridge.status.vocabulary import ACTIONS, AFTER_DECISION, CHECKED_AGAIN, LEFT_AS_IT_IS, NEEDS_DECISION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bridge.cli.command_setup import Session
    from bridge.cli.record_selection import Selection
    from bridge.ledger.erasure import ErasureResult
    from bridge.ledger.feeds import Feed
    from bridge.ledger.operator_actions import ActionResult
    from bridge.ledger.read_model import Reader, RecordSummary

__all__ = ["decide", "forget_one", "forgotten_as_json", "show_forgotten"]

ADVICE: Final = {
    OperatorAction.ACCEPT: "held and drifted records can be accepted; "
    "`trakor-bridge records retry` checks a rejected one again",
    OperatorAction.DISMISS: "drifted records, those held for what Trakor has, and those with `--mark gone` "
    "can be dismissed; `records drop` is for all others",
}
"""What to do instead, if a decision is not possible for records in a state."""

WITH_MARKS: Final = {OperatorAction.ACCEPT: {"remapped"}, OperatorAction.DISMISS: {"remapped", "gone"}}
"""The marks with which delivered records can be decided on too."""

EACH: Final = "each"
"""Stands for the record, if one reason is reported for many."""

NAMED: Final = 5
"""How many of the records that share a reason are named."""

AT_ONCE_BY_DAEMON: Final = "at once, by the running daemon"
"""Replaces "by the next backfill" while a daemon runs."""


def decide(
    session: Session,
    action: OperatorAction,
    selection: Selection,
    *,
    given_name: str = "",
    yes: bool = False,
    json: bool = False,
) -> int:
    """Carry out a decision, and print its results.

    Args:
        session: The command's configuration.
        action: What is to be done.
        selection: The records to do it to.
        given_name: A name to send one record under; empty: its own.
        yes: Don't ask before many records are changed.
        json: Print JSON.

    Returns:
        The exit status: 1 if it could not be done to all records.

    Raises:
        UserError: It is not clear which records are meant, or many are and nobody confirmed.
    """
    _require_valid(action, selection, given_name)
    path, text_storage = session.ledger, session.text_storage
    query = _find(session, action, selection, yes=yes)
    if query is None:
        return 1
    report = _DecisionReport(action, json=json, daemon=is_daemon_running(path))
    remaining = iter(query.numbers)
    while some := tuple(islice(remaining, AT_ONCE)):
        with writing(path, text_storage) as connection:
            results = apply_to_each(
                connection,
                action,
                replace(query, numbers=some),
                lambda feed: _policy(session, feed),
                now=time.time_ns() // 1_000_000,
                name=_claim(session, connection, given_name),
                by="on the command line",
            )
        report.add(results)
    return report.finish()


def _find(session: Session, action: OperatorAction, selection: Selection, *, yes: bool) -> RecordQuery | None:
    """The records that are meant, by number; None if the user does not confirm."""
    with reading(session.ledger, session.text_storage) as connection:
        if selection.single:
            return RecordQuery(numbers=[the_one(session, connection, selection).number])
        query = selection.wanted(connection, None)
        query = replace(query, numbers=find_record_numbers(connection, query))
    number = len(query.numbers)
    return query if not number or yes or _is_confirmed(action, number) else None


def _require_valid(action: OperatorAction, selection: Selection, given_name: str) -> None:
    """Check that it is clear which records are meant, and that the decision is possible for them.

    Raises:
        UserError: It is not.
    """
    if selection.single and (selection.narrowed or selection.since):
        raise UserError(
            "one record or many?",
            advice="give an id or --name for one; --state, --reason, --mark, --field or --since for many",
        )
    if not selection.single and not selection.narrowed:
        raise UserError(
            "which records?",
            advice='give an id or --name "exact name"; for many, --state, --reason, --mark or --field, and '
            "--yes",
        )
    marked = {*selection.marks} & WITH_MARKS.get(action, set())
    if action in ADVICE and selection.states and not {*selection.states} & _states_for(action) and not marked:
        states = " and ".join(selection.states)
        raise UserError(f"{states} records cannot be {ACTIONS[action].reported}", advice=ADVICE[action])
    if given_name and not selection.single:
        raise UserError("--as gives a name to one record", advice="give the id of the record")


def _states_for(action: OperatorAction) -> set[State]:
    """The states in which records can wait for this decision."""
    return {state for (state, _), words in NEEDS_DECISION.items() if action in words.effects}


def _is_confirmed(action: OperatorAction, number: int) -> bool:
    """Ask whether this is to be done to so many records."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UserError(
            f"`records {action}` for {_records(number)} needs to be confirmed",
            advice="add --yes; nothing was changed",
        )
    return ask_yes_no(f"{str(action).capitalize()} {_records(number)}?")


def _claim(session: Session, connection: Reader, name: str) -> NameClaim | None:
    """The name that the user gave, in the form that Trakor accepts."""
    if not name:
        return None
    whole = fit(name)
    if not whole:
        raise UserError("--as: a name needs visible characters")
    return NameClaim(whole, hasher_of(session, connection).name_key(whole))


def _policy(session: Session, feed: Feed) -> Policy:
    configured = session.settings.connections.get(feed.connection)
    if configured is None:
        raise UserError(
            f"its connection {escape(feed.connection)!r} is no longer configured",
            advice="restore the connection; only then can its records be decided on",
        )
    return configured.stream(feed.stream).policy()


class _DecisionReport:
    """The results of a decision: JSON record by record, or totals and errors at the end."""

    def __init__(self, action: OperatorAction, *, json: bool, daemon: bool) -> None:
        self._action = action
        self._json = json
        self._daemon = daemon
        self._next: Counter[tuple[str, str]] = Counter()
        self._last: RecordSummary | None = None
        self._document = JsonList()
        self._total = 0
        self._refused: list[dict[str, str]] = []
        self._alike: dict[tuple[str, str], list[RecordSummary]] = {}

    def add(self, results: Sequence[ActionResult]) -> None:
        """Add the results of one transaction."""
        for one in results:
            if one.refusal is None:
                self._last = one.record
                self._next[self._what_next(one.record)] += 1
            else:
                self._refuse(one.record, one.refusal)
            if self._json:
                self._document.add(one.record)
                self._total += 1

    def _refuse(self, record: RecordSummary, refusal: UserError) -> None:
        identity = {"connection": record.feed.connection, "stream": str(record.feed.stream), "id": record.id}
        self._refused.append({**identity, "error": str(refusal), "advice": refusal.advice})
        reason = str(refusal).replace(f"record {record.id}", EACH)
        self._alike.setdefault((reason, refusal.advice), []).append(record)

    def finish(self) -> int:
        """Print totals, errors and the advice on them, and return the exit status."""
        for (reason, _), refused in self._alike.items():
            typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
            tell(_complaint(reason, refused), after=len("error: "), hanging=4, err=True)
        for advice in dict.fromkeys(advice for _, advice in self._alike if advice):
            tell(f"what to do: {advice}", hanging=4, err=True)
        if self._json:
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
            yield f"{_records(done).capitalize()} {ACTIONS[self._action].reported}."
        for (one, many), number in self._next.most_common():
            yield f"  {number:,} {one if number == 1 else many}"

    def _what_next(self, record: RecordSummary) -> tuple[str, str]:
        one, many = _what_next(record)
        if self._daemon:
            one, many = (text.replace("by the next backfill", AT_ONCE_BY_DAEMON) for text in (one, many))
        return one, many


def _complaint(reason: str, refused: Sequence[RecordSummary]) -> str:
    """Why a decision was not possible for one record, or for several of which some are named."""
    if len(refused) == 1:
        one = refused[0]
        named = reason.replace(EACH, f"record {one.id}")
        return escape(named if one.id in named else f"{_name_of(one)}: {named}")
    more = len(refused) - NAMED
    ids = ", ".join(one.id for one in refused[:NAMED]) + (f" and {more:,} more" if more > 0 else "")
    return escape(f"{len(refused):,} records: {reason} ({ids})")


def _what_next(record: RecordSummary) -> tuple[str, str]:
    """What happens next to a record: the words for one, and for several."""
    if record.retry:
        return CHECKED_AGAIN
    if "dismissed" in record.marks:
        return LEFT_AS_IT_IS
    if State(record.state) in AFTER_DECISION:
        return AFTER_DECISION[State(record.state)]
    now = ": ".join(part for part in (record.state, record.reason) if part)
    return f"is {now}", f"are {now}"


def _name_of(record: RecordSummary) -> str:
    return escape(f"{record.feed.stream.spec.singular.capitalize()} {record.id}")


def _records(number: int) -> str:
    return f"{number:,} record{'s' if number != 1 else ''}" if number else "no record"


def forget_one(session: Session, selection: Selection, *, yes: bool) -> tuple[RecordSummary, ErasureResult]:
    """Forget one record after the user has confirmed it.

    Args:
        session: The command's configuration.
        selection: Which record.
        yes: Don't ask.

    Raises:
        UserError: It is not clear which record is meant, nobody confirmed it, or it is being sent now.
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
    """The policy of a stream; the default if its connection is no longer configured."""
    configured = session.settings.connections.get(feed.connection)
    return Policy() if configured is None else configured.stream(feed.stream).policy()


def _ask_to_forget(found: RecordSummary) -> None:
    if not sys.stdin.isatty():
        raise UserError(
            f"forgetting {escape(found.id)} cannot be undone, and there is no terminal to confirm it",
            advice="add --yes",
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
    """Print what was done, and what is left to do by hand."""
    tell(f"Forgotten: {forgotten.id} of {found.feed.stream}. It will not be sent again.", hanging=2)
    name = escape(found.trakor_name or found.name)  # the operator who deletes it looks for the name
    for trakor_id in forgotten.trakor_ids:
        known_as = f", “{name}”" if name and trakor_id == found.trakor_id else ""
        tell(f"Delete in Trakor by hand: {trakor_id}{known_as}", hanging=2)
    if forgotten.maybe_in_trakor:
        sought = f"“{name}”" if name else "its name"
        tell(
            f"It was sent, but Trakor did not answer. Look for {sought} in Trakor, and delete it there.",
            hanging=2,
        )
    for trakor_id, keeper in forgotten.kept:
        tell(f"Do not delete {trakor_id}: it now belongs to {keeper}.", hanging=2)
    for other in forgotten.merged:
        tell(f"{other} had the same name. If it is the same person, forget it too.", hanging=2)
    for other in forgotten.namesakes:
        tell(f"Held because of its name, and still held: {other}", hanging=2)
    if forgotten.namesakes:
        tell("Delete the forgotten one in Trakor first. Otherwise Trakor answers with that one.", hanging=2)
        tell("Then run `trakor-bridge records accept ID` or `trakor-bridge records retry ID`.", hanging=2)
    tell(
        "Its stored data is overwritten in the ledger's file within an hour. Backups still have it.",
        hanging=2,
    )
