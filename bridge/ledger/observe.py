"""Decides on the records that were read, and writes the decisions: one page, one transaction, its checkpoint.

::

    ids and inputs ──survey──> unchanged: not even mapped
                               the others ──mapping──> drafts ──observe──> decided, written
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import bindparam, case, func, select, text, update

from bridge.decision import decide, is_comparable, is_decided, is_stale
from bridge.ledger.bulk_sql import execute_many, fetch_all, row_value
from bridge.ledger.canary_payloads import choose_canaries, store_canaries
from bridge.ledger.damage_conditions import is_sound
from bridge.ledger.decision_writer import DecisionWriter
from bridge.ledger.row_mapping import KNOWN, KnownRow, is_in, to_ledger_row, to_sql
from bridge.ledger.row_writes import load_or_add_rules, observation_key
from bridge.ledger.schema import records, rules, sweeps
from bridge.records import Draft, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection

    from bridge.ledger.feeds import Feed
    from bridge.records import LedgerRow, Payload, Policy, Rules, Unsendable

__all__ = ["Observation", "ObserveResult", "SurveyResult", "observe", "survey"]


# Statements are built once: to build one costs ten times as much as to run it for one row.

_KNOWN = KNOWN.where(records.c.feed == bindparam("of_feed"), is_in(records.c.source_id, "ids"))
# What a decision compares, and a list shows, must be sound, or the record is decided on again. To check the
# rest of the row, its claim and its link here would cost a tenth of the whole survey.
_COMPARED = ("key", "sent_key", "sent", "seen", "identifiers", "read_at", "since_at", "merged_by")
_READABLE = to_sql(is_sound(records.alias("r"), *_COMPARED))
# A merged record is skipped only while what it shares is in Trakor, or its own feed will send it.
_SHARED = (
    "EXISTS (SELECT 1 FROM records AS into_ WHERE into_.number = r.merged_into"
    " AND (into_.trakor_id IS NOT NULL"
    " OR (into_.state = 'pending' AND into_.gone = 0 AND into_.feed = r.feed)))"
)
_SURVEY = text(
    "SELECT r.source_id AS id, r.rules AS rules,"  # noqa: S608 - constants
    " r.input = :of_rules || ':' || json_extract(seen.value, '$[1]')"
    f" AND r.state IN ('delivered', 'merged', 'skipped') AND r.gone = 0 AND r.retry = 0 AND {_READABLE}"
    f" AND (r.state <> 'merged' OR {_SHARED})"
    " AS unchanged FROM json_each(:seen) AS seen"
    " CROSS JOIN records AS r ON r.feed = :of_feed AND r.source_id = json_extract(seen.value, '$[0]')"
)
_MAPS = select(rules.c.number, rules.c.map, rules.c.text)


def _seen(value: Callable[[str], ColumnElement[Any]]) -> dict[str, ColumnElement[Any]]:
    """Return what is noted of each record that was seen, from values that a statement gets."""
    return {
        "run": case((value("of_run") > 0, value("of_run")), else_=records.c.run),
        "sweep": case((value("of_sweep") > 0, value("of_sweep")), else_=records.c.sweep),
    }


def _latest_read(value: Callable[[str], ColumnElement[Any]]) -> ColumnElement[Any]:
    return case(
        (records.c.read_at > value("at"), value("began_at")),
        else_=func.max(records.c.read_at, value("began_at")),
    )


_SEEN_CHANGED = (
    update(records)
    .where(records.c.feed == bindparam("of_feed"), is_in(records.c.source_id, "ids"))
    .values(_seen(bindparam))
)
_SEEN_UNCHANGED = _SEEN_CHANGED.values(read_at=_latest_read(bindparam))
_SEEN_MAPPED = (
    update(records)
    .where(records.c.number == row_value("row_number"))
    .values(
        **_seen(row_value),
        read_at=_latest_read(row_value),
        input=row_value("read_as"),
        rules=case((row_value("by_rules") > 0, row_value("by_rules")), else_=records.c.rules),
    )
)
_MOVE = (
    update(sweeps)
    .where(sweeps.c.number == bindparam("of_sweep"))
    .values(
        position=func.coalesce(bindparam("to_position"), sweeps.c.position),
        moved_at=bindparam("at"),
        read=sweeps.c.read + bindparam("more"),
    )
)


@dataclass(frozen=True, slots=True)
class SurveyResult:
    """What is known of records that were read, before they are mapped.

    Attributes:
        unchanged: Ids of records that are as last observed, by exactly these rules: they need no draft. A
            few are left out if the ledger lacks canaries, which are made from drafts.
        maps: Id -> the text of the map that the record was last observed with, if it is another map.
    """

    unchanged: frozenset[str] = frozenset()
    maps: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observation:
    """The run and the sweep in which records were read.

    Attributes:
        run: Number of the run, 0 for none.
        sweep: Number of the sweep, 0 if records were read by id.
        position: The sweep's checkpoint once this is written; None: no change.
        unchanged: Ids of records of the same read that ``survey`` found unchanged.
        began_at: When the read of those began.
    """

    run: int = 0
    sweep: int = 0
    position: str | None = None
    unchanged: frozenset[str] = frozenset()
    began_at: int = 0


@dataclass(frozen=True, slots=True)
class ObserveResult:
    """What a page contained.

    Attributes:
        fresh: How many of its records this sweep had not seen yet.
        pending: How many are to be sent because of it.
    """

    fresh: int
    pending: int


def survey(
    connection: Connection, feed: Feed, seen: Sequence[tuple[str, str]], made_by: Rules
) -> SurveyResult:
    """Find the records that need no mapping, and those that an older map has to map too.

    Args:
        connection: Inside a writing transaction.
        feed: The feed of these records.
        seen: Id and keyed hash of each record as it was read.
        made_by: The present rules.
    """
    number = load_or_add_rules(connection, made_by)
    asked = {"of_feed": feed.number, "of_rules": number, "seen": orjson.dumps(seen).decode()}
    found = connection.execute(_SURVEY, asked).all()
    others = {row.rules for row in found if isinstance(row.rules, int)} - {number, 0}
    texts: dict[int, str] = {}
    if others:
        known = connection.execute(_MAPS.where(is_in(rules.c.number, sorted(others)), is_sound(rules)))
        texts = {row.number: row.text for row in known if row.map != made_by.map}
    unchanged = frozenset(row.id for row in found if row.unchanged)
    return SurveyResult(
        unchanged - choose_canaries(connection, feed, unchanged),
        {row.id: texts[row.rules] for row in found if row.rules in texts},
    )


def observe(
    connection: Connection,
    feed: Feed,
    seen: Sequence[Draft | Unsendable],
    observation: Observation,
    *,
    policy: Policy,
    now: int,
) -> ObserveResult:
    """Decide on the records that were read, in order, and write the decisions and the sweep's checkpoint.

    Args:
        connection: Inside a writing transaction.
        feed: The feed of these records.
        seen: A page as mapping made it, without unchanged records. If an id occurs twice, the last one
            counts.
        observation: The run and the sweep, and the unchanged records of the read.
        policy: What the user chose for this stream.
        now: The time to note.

    Returns:
        What the page contained.
    """
    page = list({one.id: one for one in seen}.values())
    asked = {"of_feed": feed.number, "ids": [one.id for one in page]}
    found = [KnownRow._make(row) for row in fetch_all(connection, _KNOWN, asked)]
    rows = {row.source_id: _with_valid_read_time(to_ledger_row(row), now) for row in found}
    batch = DecisionWriter(connection, feed, policy, now)
    batch.expect(_expected_names(page, rows))
    fresh = _count_new(connection, feed, found, len(page), observation)
    pending = 0
    mapped: dict[str, LedgerRow] = {}
    for one in page:
        known = rows.get(one.id)
        row = None if known is None else batch.current(known)
        decision = decide(one, row, batch.holder_of, policy)
        if decision is not None:
            pending += batch.carry_out(decision, one, row).state is State.PENDING
        elif row is not None and not is_stale(one, row):
            mapped[one.id] = row
    batch.writes.flush()
    _mark_seen(connection, feed, page, mapped, observation, now)
    if rows or observation.unchanged:
        store_canaries(
            connection, feed, _known_payloads(page, rows), now=now, unchanged=observation.unchanged
        )
    if observation.sweep:
        moved = {"of_sweep": observation.sweep, "to_position": observation.position, "at": now, "more": fresh}
        connection.execute(_MOVE, moved)
    return ObserveResult(fresh, pending)


def _count_new(
    connection: Connection, feed: Feed, found: Sequence[KnownRow], size: int, observation: Observation
) -> int:
    """Count the records of the page that are new to this sweep."""
    if not observation.sweep:
        return size + len(observation.unchanged)
    again = sum(row.sweep == observation.sweep for row in found)
    if observation.unchanged:
        seen_already = select(func.count()).where(
            records.c.feed == feed.number,
            records.c.sweep == observation.sweep,
            is_in(records.c.source_id, list(observation.unchanged)),
        )
        again += int(connection.scalar(seen_already) or 0)
    return int(size + len(observation.unchanged) - again)


def _with_valid_read_time(row: LedgerRow, now: int) -> LedgerRow:
    """Return the row, without a read time in the future: then the clock was set back since.

    Nothing is older than such a time, so it must not prevent decisions on what is read now.
    """
    return row if row.read_at <= now else row._replace(read_at=0)


def _known_payloads(
    page: Sequence[Draft | Unsendable], rows: dict[str, LedgerRow]
) -> Iterator[tuple[int, str, Payload]]:
    """Return the payloads of known records, by their plain names."""
    for one in page:
        row = rows.get(one.id)
        if row is not None and isinstance(one, Draft) and not is_stale(one, row):
            yield row.number, one.key, one.payload


def _expected_names(page: Sequence[Draft | Unsendable], rows: dict[str, LedgerRow]) -> list[str]:
    """Return the names whose holders a page probably needs: all but those of records that Trakor has."""
    names = []
    for one in page:
        row = rows.get(one.id)
        if isinstance(one, Draft) and (row is None or (not row.answered and row.key != one.key)):
            names += [one.key, one.qualified_key]
        if row is not None and row.merged_into is not None:
            names.append(row.sent_key)
    return names


def _mark_seen(
    connection: Connection,
    feed: Feed,
    page: Sequence[Draft | Unsendable],
    mapped: dict[str, LedgerRow],
    observation: Observation,
    now: int,
) -> None:
    """Note that the page was seen: when it was read, its input, its rules, its sweep and run."""
    where = {"of_run": observation.run, "of_sweep": observation.sweep}
    if observation.unchanged:
        of_all = {
            "of_feed": feed.number,
            "ids": list(observation.unchanged),
            "began_at": observation.began_at,
            "at": now,
        }
        connection.execute(_SEEN_UNCHANGED, where | of_all)
    if mapped:
        number = load_or_add_rules(connection, page[0].rules)
        rows = [
            where
            | {"at": now, "row_number": row.number, "began_at": one.read_at}
            | _read_marks(number, one, row)
            for one in page
            if (row := mapped.get(one.id)) is not None
        ]
        execute_many(connection, _SEEN_MAPPED, rows)
    changed = [one.id for one in page if one.id not in mapped]
    if changed and (observation.run or observation.sweep):
        connection.execute(_SEEN_CHANGED, {**where, "of_feed": feed.number, "ids": changed})


def _read_marks(number: int, seen: Draft | Unsendable, row: LedgerRow) -> dict[str, Any]:
    """Return the rules that a record is compared by from now on, and what it was observed with."""
    decided = is_decided(seen, row.last_seen, row.state)
    return {
        "by_rules": number if is_comparable(seen, row.last_seen, row.state) else 0,
        "read_as": observation_key(number, seen.input) if decided else "",
    }
