"""Judges by a few canaries whether a Trakor is the organisation that the connection has sent to before.

A *canary* is a payload that Trakor took lately. Trakor's API does not say which organisation a key belongs
to, so a few canaries are posted again ("The same two organisations" in docs/guarantees.md)::

    the id that the ledger has   ──> the same organisation: no other one can know that id
    all answered, none with it   ──> another organisation, or one that was emptied
    no canary                    ──> unknown
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["MAX_CANARIES", "CanaryAnswer", "CanaryVerdict", "judge_canaries", "may_have_been_created"]

MAX_CANARIES = 3
"""How many canaries are posted at most: an operator may have to delete each of them by hand."""


class CanaryAnswer(StrEnum):
    """What came of one canary.

    ``LOST``: it was sent, or was about to be, and had no answer: Trakor may have created it. ``CREATED``:
    Trakor created it. ``KNOWN``: Trakor answered with the id that the ledger has. ``STRANGER``: the name
    existed under another id, which proves nothing: any organisation can have a client of that name.
    ``REJECTED``: Trakor did not accept the name.
    """

    LOST = "lost"
    CREATED = "created"
    KNOWN = "known"
    STRANGER = "stranger"
    REJECTED = "rejected"


class CanaryVerdict(StrEnum):
    """What the answers mean together."""

    SAME = "same"
    ANOTHER = "another"
    OPEN = "open"
    UNTOLD = "untold"


def judge_canaries(answers: Collection[CanaryAnswer]) -> CanaryVerdict:
    """Judge by the answers so far.

    One known id is proof, whatever else was answered: someone may have deleted the other parties by hand. A
    name that exists under another id proves nothing, nor does one that an earlier, lost request may have
    created. To accept it would mix two brokerages; to refuse it costs an operator one command.

    Args:
        answers: One for each canary.

    Returns:
        ``OPEN`` while a canary that could prove the organisation has no answer; ``UNKNOWN`` if there is no
        canary.
    """
    if CanaryAnswer.KNOWN in answers:
        return CanaryVerdict.SAME
    if not answers:
        return CanaryVerdict.UNTOLD
    return CanaryVerdict.OPEN if CanaryAnswer.LOST in answers else CanaryVerdict.ANOTHER


def may_have_been_created(answer: CanaryAnswer) -> bool:
    """Return whether Trakor may have created a record from a canary, for an operator to delete."""
    return answer in {CanaryAnswer.CREATED, CanaryAnswer.LOST}
