"""Whether a Trakor is the one that a connection has sent to before, by what it says to a few names.

A *canary* is a name that Trakor has taken lately. Trakor's API cannot be asked whose a key is, so a few of
them are posted again ("The same two organisations" in docs/guarantees.md)::

    the id that the ledger has   ──> the same organisation: no other one can know it
    all answered, none with it   ──> another organisation, or one that was emptied
    nothing to ask with          ──> it cannot be told
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["MAX_CANARIES", "CanaryAnswer", "CanaryVerdict", "judge_canaries", "may_have_been_created"]

MAX_CANARIES = 3
"""So many names are posted at most: each may be one that somebody has to delete again."""


class CanaryAnswer(StrEnum):
    """What became of one canary.

    ``LOST``: it was sent, or was about to be, and no answer came: it may be made. ``CREATED``: it was
    made. ``KNOWN``: the id that the ledger has. ``STRANGER``: the name was there, under another id: any
    organisation can have a client of that name. ``REJECTED``: the name was not taken.
    """

    LOST = "lost"
    CREATED = "created"
    KNOWN = "known"
    STRANGER = "stranger"
    REJECTED = "rejected"


class CanaryVerdict(StrEnum):
    """What the answers say together."""

    SAME = "same"
    ANOTHER = "another"
    OPEN = "open"
    UNTOLD = "untold"


def judge_canaries(answers: Collection[CanaryAnswer]) -> CanaryVerdict:
    """Judge by the answers so far.

    One known id is proof, whatever else was answered: somebody may have deleted the other parties by hand.
    A name that is there under another id is none, and neither is one that an earlier, lost request may have
    made: to take it for one would mix two brokerages, to refuse it costs a person one command.

    Args:
        answers: One for each canary that there is.

    Returns:
        ``OPEN`` while one that could still prove it has no answer; ``UNTOLD`` where there is no canary.
    """
    if CanaryAnswer.KNOWN in answers:
        return CanaryVerdict.SAME
    if not answers:
        return CanaryVerdict.UNTOLD
    return CanaryVerdict.OPEN if CanaryAnswer.LOST in answers else CanaryVerdict.ANOTHER


def may_have_been_created(answer: CanaryAnswer) -> bool:
    """Whether Trakor may have made a record of a canary, for a person to delete."""
    return answer in {CanaryAnswer.CREATED, CanaryAnswer.LOST}
