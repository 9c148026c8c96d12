"""Problems and warnings of a backfill: when there is one, and how it is worded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bridge.errors import Refused, Transient
from bridge.ledger.statistics import QUALIFIED, SHARED
from bridge.records import Stream
from bridge.salestrekker.login import AmbiguousOrganization
from bridge.status import burst_line, burst_note
from bridge.status.vocabulary import situation_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from bridge.errors import BridgeError
    from bridge.ledger.send_queue import AwaitedNames
    from bridge.ledger.statistics import RunGroup
    from bridge.sync import SweepResult

__all__ = [
    "Problem",
    "burst_lines",
    "find_suspicions",
    "group_line",
    "lost_ledger_warning",
    "reading_problems",
    "stop_problem",
    "sweep_warnings",
    "waiting_for",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that kept a run from being complete.

    Attributes:
        message: What happened.
        advice: What to do about it, may be empty.
        refusal: Whether it was a refusal: nothing is lost, and the run can be repeated once it is resolved.
        usage: Whether the configuration must say more before anything can be read.
    """

    message: str
    advice: str = ""
    refusal: bool = False
    usage: bool = False


MANY_EXISTING: Final = 0.2
"""If Trakor already had this share of a run's records, the ledger may have been lost."""


FEW_EXISTING: Final = 10
"""Up to this number of existing records there is no suspicion."""


NEARLY_ALL: Final = 0.9
"""If this share of a stream has no name, the map is suspected, not the data."""


TRY_AGAIN_ADVICE: Final = (
    "`trakor-bridge check` shows what is wrong. Then run this again: it goes on where it was"
)
"""What to do if a system did not answer."""


OF_QUALIFIED: Final = "sent with a distinguishing text after the name"
"""What it means that a group was qualified."""


FEW_NAMELESS: Final = 3
"""Fewer records without a name than this prove nothing."""


def waiting_for(awaited: AwaitedNames) -> str:
    """What a backfill waits for if it can send nothing else."""
    until = datetime.fromtimestamp(awaited.until // 1000, UTC).astimezone().strftime("%H:%M:%S")
    records = "1 record" if awaited.number == 1 else f"{awaited.number:,} records"
    return f"waiting until {until} for {records} that Trakor may still be storing"


def stop_problem(doing: str, streams: Collection[Stream], error: BridgeError) -> Problem:
    """Why reading or sending some streams stopped.

    Args:
        doing: ``reading`` or ``sending``.
        streams: Which streams.
        error: Why.
    """
    message = f"{doing} {' and '.join(streams)}: {error}"
    advice = getattr(error, "advice", "") or (TRY_AGAIN_ADVICE if isinstance(error, Transient) else "")
    if isinstance(error, AmbiguousOrganization):
        return Problem(str(error), advice, usage=True)
    return Problem(message, advice, refusal=isinstance(error, Refused))


def reading_problems(
    failures: Mapping[Stream, BridgeError], swept: Mapping[Stream, SweepResult]
) -> Iterator[Problem]:
    """What kept streams from being read whole. What stopped several streams alike is reported once.

    Args:
        failures: Why the sweep of a stream stopped.
        swept: The results of the others.
    """
    alike: dict[str, list[Stream]] = {}
    for stream, error in failures.items():
        alike.setdefault(str(error), []).append(stream)
    for streams in alike.values():
        yield stop_problem("reading", streams, failures[streams[0]])
    for stream, one in swept.items():
        if one.broken:
            yield Problem(
                f"{one.broken} {stream} could not be read: {'; '.join(one.broken_shown[:3])}",
                "all others were; see what Salestrekker says of these, and run this again",
            )
        if one.doubt and one.doubt.shown:
            yield Problem(f"not all {stream} were read: {one.doubt.reason}", one.doubt.advice)


def sweep_warnings(swept: Mapping[Stream, SweepResult]) -> Iterator[str]:
    """What is suspicious about lists that were read."""
    for stream, one in swept.items():
        if one.doubt and not one.doubt.shown:
            yield f"{stream}: {one.doubt.reason}. None is marked gone. {one.doubt.advice.rstrip('.')}"
        if one.unsure:
            yield (
                f"{one.unsure} {stream} are not in Salestrekker's list, and could not be read by their ids: "
                "none of these is marked gone. The next run looks again"
            )
        if one.narrowed:
            yield (
                f"Salestrekker's list of {stream} does not show {one.missing} that are still there: its "
                "query shows fewer than before, so none is marked gone. They are not looked for again "
                "until the query changes"
            )
        elif one.missing:
            yield (
                f"Salestrekker's list of {stream} lacks {one.missing} that it had before: more than "
                "[schedule] gone_limit allows, so none is marked gone. Has the query, or the login's "
                "permission, changed?"
            )


def burst_lines(connection: str, swept: Mapping[Stream, SweepResult], *, dry_run: bool) -> Iterator[str]:
    """What changed alike, in one line for each stream. After a dry run there is nothing to list."""
    for stream, one in swept.items():
        if one.burst is not None:
            yield burst_line(stream, one.burst) if dry_run else burst_note(connection, stream, one.burst)


def group_line(stream: str, group: RunGroup) -> str:
    """What the records of a group have in common, in one line."""
    noun = Stream(stream).spec.singular if group.number == 1 else stream
    if group.kind == SHARED:
        names = "1 name" if group.names == 1 else f"{group.names:,} names"
        return f"{group.number:,} {noun} share {names}"
    state, _, reason = group.kind.partition(": ")
    why = OF_QUALIFIED if group.kind == QUALIFIED else situation_of(state, reason).summary
    return f"{group.number:,} {group.kind}" + (f" ({why})" if why else "")


def lost_ledger_warning(left: Path) -> str:
    """The warning before a new ledger is made in a place where there was one before.

    Args:
        left: What the earlier ledger left behind.
    """
    return (
        f"there is no ledger, but {left.name} of one is here: this run makes a new one, which knows nothing. "
        "If it was lost, stop this now and restore the newest backup"
    )


def find_suspicions(
    stream: Stream, numbers: Mapping[str, int], nameless: int, *, suspected: bool = False
) -> Iterator[str]:
    """What is suspicious of the numbers of a stream.

    Args:
        stream: Which.
        numbers: As ``ledger.runs_and_sweeps.count_run`` gives them.
        nameless: How many of those skipped have no name.
        suspected: The first answers were suspicious already.
    """
    if suspected or numbers["existing"] > max(FEW_EXISTING, MANY_EXISTING * numbers["read"]):
        yield (
            f"Trakor had {numbers['existing']} of {numbers['read']} {stream} already. If this ledger "
            "took the place of a lost one, restore its backup instead: which of two equal names "
            "came first cannot be determined any more"
        )
    wanted = numbers["read"] - numbers["skipped"] + nameless
    if nameless >= max(FEW_NAMELESS, NEARLY_ALL * wanted):
        yield (
            f"{nameless} of {wanted} {stream} have no name, so they are not sent. Is there a mistake in "
            f"[{stream}.map] name? Run `trakor-bridge check`: it shows what is made of one record"
        )
