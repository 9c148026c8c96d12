"""What the status page shows beside the snapshot: why records wait, what was delivered when, recent runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bridge.ledger.database import reading
from bridge.ledger.open import read_revision, require_current
from bridge.ledger.read_model import list_feeds
from bridge.ledger.statistics import (
    HOUR,
    WebhookCounts,
    count_delivered_since,
    count_states,
    load_webhook_counts,
)
from bridge.ledger.sweeps import Run, list_runs
from bridge.records import State
from bridge.status.snapshot import DECISIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bridge.ledger.read_model import Reader

__all__ = ["DAYS", "HOURS", "Figures", "figures"]

HOURS: Final = 24
"""So many hours are told one by one."""

DAYS: Final = 30
"""So many days are."""

MOST_RUNS: Final = 8
"""So many runs of a connection are listed."""


@dataclass(frozen=True, slots=True)
class Figures:
    """More of one connection.

    Attributes:
        waiting: How many records wait for a person, by state and reason.
        hours: What was delivered in each of the last hours, the present one last.
        days: The same for spans of 24 hours.
        runs: The newest runs, newest first.
        webhooks: What came, by action.
    """

    waiting: Mapping[tuple[State, str], int] = field(default_factory=lambda: MappingProxyType({}))
    hours: Sequence[int] = (0,) * HOURS
    days: Sequence[int] = (0,) * DAYS
    runs: Sequence[Run] = ()
    webhooks: WebhookCounts | None = None


def figures(path: Path, now: int) -> dict[str, Figures]:
    """Read them from the ledger, on one snapshot of it.

    Args:
        path: The ledger's file. Where there is none yet, there are no figures.
        now: The time.

    Returns:
        By the connection's name; one that the ledger does not know is not there.
    """
    if read_revision(path) is None:
        return {}
    require_current(path)
    with reading(path) as connection:
        return _figures(connection, now)


def _figures(connection: Reader, now: int) -> dict[str, Figures]:
    known = {feed.number: feed for feed in list_feeds(connection)}
    waiting: dict[str, dict[tuple[State, str], int]] = {feed.connection: {} for feed in known.values()}
    for number, counted in count_states(connection).items():
        if number not in known:
            continue  # the row that counts them is damaged: `ledger check` tells
        of = waiting[known[number].connection]
        for (state, reason, _), many in counted.items():
            if state in DECISIONS:
                kind = (State(state), reason)
                of[kind] = of.get(kind, 0) + many
    webhooks = load_webhook_counts(connection)
    first = now // HOUR + 1 - HOURS * DAYS
    delivered = count_delivered_since(connection, first)
    spans = {name: _spans(delivered.get(name, {}), first) for name in waiting}
    return {
        name: Figures(kinds, *spans[name], list_runs(connection, name, MOST_RUNS), webhooks.get(name))
        for name, kinds in waiting.items()
    }


def _spans(delivered: Mapping[int, int], first: int) -> tuple[list[int], list[int]]:
    """What was delivered in each of the last hours, and in each of the last days."""
    every = [delivered.get(first + past, 0) for past in range(HOURS * DAYS)]
    days = [sum(every[start : start + HOURS]) for start in range(0, len(every), HOURS)]
    return every[-HOURS:], days
