"""What the newest runs of a connection came to, for those who look back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import select

from bridge.ledger.schema import runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

__all__ = ["Run", "runs_of"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run: a backfill, or one job of the daemon.

    Attributes:
        number: The ledger's number of it.
        command: What ran, e.g. ``backfill``.
        streams: What it reads.
        began_at: When it began.
        ended_at: When it ended; None while it goes on, or where it was interrupted.
        complete: All was read to its end.
        counts: Of each stream, a number for each word of ``sweeps.COUNTS``; empty until it has ended.
    """

    number: int
    command: str
    streams: Sequence[str]
    began_at: int
    ended_at: int | None
    complete: bool
    counts: Mapping[str, Mapping[str, int]]


def runs_of(connection: Connection, name: str, most: int) -> list[Run]:
    """The newest runs of a connection, newest first.

    Args:
        connection: Inside any transaction.
        name: The connection's name.
        most: How many at most.
    """
    found = connection.execute(
        select(runs).where(runs.c.connection == name).order_by(runs.c.number.desc()).limit(most)
    )
    return [
        Run(
            row.number,
            row.command,
            row.streams.split(","),
            row.began_at,
            row.ended_at,
            bool(row.complete),
            _counts(row.counts),
        )
        for row in found
    ]


def _counts(text: str) -> Mapping[str, Mapping[str, int]]:
    """The numbers of a run; none where they are damaged."""
    try:
        found = orjson.loads(text) if text else {}
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        stream: {word: number for word, number in of.items() if isinstance(number, int)}
        for stream, of in found.items()
        if isinstance(of, dict)
    }
