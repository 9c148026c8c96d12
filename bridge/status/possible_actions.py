"""What an operator can do about a record, and the commands for it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bridge.records import Reason, State
from bridge.status.record_explanation import is_shared
from bridge.status.vocabulary import (
    situation_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.ledger.read_model import RecordSummary
    from bridge.ledger.record_relations_and_history import RecordRelations

__all__ = ["PossibleAction", "SuggestedCommand", "automatic_step", "choices", "ways"]

DISMISS: Final = "leave it as it is in Trakor, and don't report it again until it changes in Salestrekker"


DISMISS_GONE: Final = (
    "it is done: either deleted in Trakor by hand or meant to stay there. Don't report it again unless it is "
    "back in Salestrekker and has changed"
)


FORGET_GONE: Final = "erase what is known of it, and never send it again, even if it comes back"


LEAVE: Final = "leave Trakor as it is, and don't report this record again"


@dataclass(frozen=True, slots=True)
class SuggestedCommand:
    """A command for a record.

    Attributes:
        command: The exact command line.
        effect: What it does.
    """

    command: str
    effect: str


@dataclass(frozen=True, slots=True)
class PossibleAction:
    """A decision that is possible for a record.

    Attributes:
        verb: ``accept``, ``dismiss``, ``retry`` or ``drop``.
        effect: What it does.
        named: The operator gives a name with it.
    """

    verb: str
    effect: str
    named: bool = False


def ways(record: RecordSummary, standing: RecordRelations) -> list[PossibleAction]:
    """The decisions that are possible for a record."""
    if record.forgotten:
        return []
    return [*_ways_to_accept(record, standing), *_other_ways(record, standing)]


def automatic_step(record: RecordSummary) -> str:
    """What the bridge does about a record without a decision, as a sentence; empty if nothing."""
    return situation_of(record.state, record.reason).automatic


def choices(
    record: RecordSummary, standing: RecordRelations, options: str = "", *, daemon: bool = False
) -> list[SuggestedCommand]:
    """What an operator can do about a record, as exact commands.

    Args:
        record: The record.
        standing: Its relations to other records.
        options: Options that distinguish it from another record with the same id: ``--connection sydney``.
        daemon: A daemon runs, so that a backfill would be refused.
    """
    if record.forgotten:
        return []
    by_backfill = "" if daemon else situation_of(record.state, record.reason).by_backfill
    return [
        *([SuggestedCommand("trakor-bridge backfill", by_backfill)] if by_backfill else []),
        *(SuggestedCommand(_command(way, record.id, options), way.effect) for way in ways(record, standing)),
        *(
            [SuggestedCommand(_command(PossibleAction("forget", ""), record.id, options), FORGET_GONE)]
            if _is_gone_from_the_source(record)
            else []
        ),
    ]


def _command(way: PossibleAction, identity: str, options: str) -> str:
    """The command line, with the id quoted for the shell, and never taken for an option."""
    options = " ".join(part for part in ('--as "NAME"' if way.named else "", options) if part)
    quoted = shlex.quote(identity)
    parts = (options, "--", quoted) if identity.startswith("-") else (quoted, options)
    return " ".join(part for part in ("trakor-bridge", "records", way.verb, *parts) if part)


def _ways_to_accept(record: RecordSummary, standing: RecordRelations) -> Iterator[PossibleAction]:
    match record.state, record.reason:
        case State.DRIFTED, _:
            yield PossibleAction(
                "accept", "after you have corrected it in Trakor by hand: it counts as delivered again"
            )
        case State.DELIVERED, _ if "remapped" in record.marks:
            yield PossibleAction(
                "accept", "after you have corrected it in Trakor by hand: the mark is removed"
            )
        case State.HELD, (Reason.SAME_PERSON | Reason.SAME_NAME) if _takes_a_forgotten_name(record, standing):
            yield PossibleAction(
                "accept", "after the forgotten one is deleted in Trakor by hand: send it under this name"
            )
            yield PossibleAction("accept", "send it under another name", named=True)
        case State.HELD, Reason.SAME_PERSON:
            other = standing.name_holder or "the other record"
            yield PossibleAction("accept", f"they are one person: it shares the record of {other}")
            yield PossibleAction("accept", "they are two people: send it under another name", named=True)
        case State.HELD, Reason.SAME_NAME:
            if standing.qualified_name and not standing.qualified_holder:
                yield PossibleAction("accept", f"send it as “{standing.qualified_name}”")
            yield PossibleAction("accept", "send it under another name", named=True)
        case State.HELD, Reason.RENAMED | Reason.REMAPPED:
            stays = "the other record there" if is_shared(record, standing) else "the old record there"
            yield PossibleAction("accept", f"create it in Trakor as “{record.name}”; {stays} stays")
            yield PossibleAction("accept", "create it there under another name", named=True)
        case State.HELD, Reason.SAME_PARTY:
            claimant = standing.claimant.id if standing.claimant else "the other record"
            yield PossibleAction("accept", f"they are the same: it shares the record of {claimant}")
        case State.HELD, Reason.EXISTING:
            yield PossibleAction("accept", "they are the same: the record in Trakor now belongs to this one")


def _takes_a_forgotten_name(record: RecordSummary, standing: RecordRelations) -> bool:
    """Whether accepting sends it under a name that a forgotten record had."""
    qualifies = bool(standing.qualified_name and not standing.qualified_holder)
    forgotten = standing.other is not None and standing.other.forgotten
    return forgotten and not (qualifies and record.reason == Reason.SAME_NAME)


def _other_ways(record: RecordSummary, standing: RecordRelations) -> Iterator[PossibleAction]:
    match record.state, record.reason:
        case State.PENDING, _:
            yield PossibleAction(
                "retry", "send it at the next opportunity, without waiting after earlier failures"
            )
        case State.DROPPED, _:
            yield PossibleAction("retry", "check it again when it is next read")
        case State.REJECTED, (Reason.REFUSED | Reason.SERVER_ERROR):
            yield PossibleAction("retry", "send it once more, unchanged")
        case State.HELD, Reason.SAME_PARTY:
            yield PossibleAction(
                "retry", "check it again when it is next read, for example after you renamed it"
            )
        case State.HELD, (Reason.SAME_NAME | Reason.SAME_PERSON):
            yield PossibleAction("retry", _why_retry(record, standing))
    if is_shared(record, standing) and standing.claimant is not None:
        yield PossibleAction(
            "dismiss", f"let it share the record of {standing.claimant.id} under the name there"
        )
    elif _differs_in_trakor(record):
        yield PossibleAction("dismiss", DISMISS)
    elif _is_gone_from_the_source(record):
        yield PossibleAction("dismiss", DISMISS_GONE)
    if record.state not in {State.DELIVERED, State.MERGED, State.DROPPED}:
        in_trakor = record.trakor_id and record.reason not in {Reason.EXISTING, Reason.SAME_PARTY}
        yield PossibleAction("drop", LEAVE if in_trakor else "don't send it, and stop asking")


def _why_retry(record: RecordSummary, standing: RecordRelations) -> str:
    """What ``retry`` does: a name that Trakor has is never free again, one that was not sent may be."""
    if record.reason == Reason.SAME_PERSON:
        return "check it again, for example after one of the two was corrected"
    if standing.other is not None and standing.other.trakor_id:
        return "check it again, for example after the configuration was changed"
    return "check it again, for example after the other record was dropped"


def _is_gone_from_the_source(record: RecordSummary) -> bool:
    """Whether Trakor has it and Salestrekker no longer does, so that an operator may delete it there."""
    marks = {*record.marks}
    return record.state == State.DELIVERED and "gone" in marks and "dismissed" not in marks


def _differs_in_trakor(record: RecordSummary) -> bool:
    """Whether Trakor has something else than the source, which an operator can leave as it is."""
    held = {Reason.RENAMED, Reason.REMAPPED, Reason.EXISTING, Reason.SAME_PARTY}
    remapped = record.state == State.DELIVERED and "remapped" in record.marks
    return record.state == State.DRIFTED or remapped or record.reason in held
