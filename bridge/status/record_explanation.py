"""One record in words: what its state means, and what happened to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bridge.records import Origin, Reason, State
from bridge.status.record_comparison import other_of
from bridge.status.timestamps import age
from bridge.status.vocabulary import (
    AT_NEXT_READ,
    EVENTS,
    IDENTIFIERS,
    MARKS,
    NOT_COMPARED,
    ORIGINS,
    SHARED_MEANINGS,
    situation_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.ledger.read_model import RecordSummary
    from bridge.ledger.record_relations_and_history import HistoryLine, RecordRelations

__all__ = ["also_changed", "event", "is_shared", "meaning", "the_other"]

RULES: Final = "rules"
"""Stands for all fields of a record if nobody can tell which of them differ."""


def event(line: HistoryLine) -> str:
    """One line of a record's history as a sentence."""
    for word, pattern, sentence in EVENTS:
        if word == line.event and (found := re.fullmatch(pattern, line.detail, re.DOTALL)):
            text = sentence.format(*found.groups())
            # Consequences for other records have the same place noted; their sentences leave it out.
            return (
                f"{text.removesuffix('.')} ({line.by})."
                if line.by and text.startswith("An operator")
                else text
            )
    return f"{line.event}: {line.detail}" if line.detail else line.event


def meaning(record: RecordSummary, standing: RecordRelations, now: int) -> list[str]:
    """What the state of a record means, in sentences."""
    if record.forgotten:
        return ["It was forgotten on request. Its id is kept, so that it does not come back."]
    known = situation_of(record.state, record.reason).meaning
    if record.state == State.DRIFTED and RULES in record.fields:
        known = NOT_COMPARED
    if is_shared(record, standing):
        known = SHARED_MEANINGS[Reason(record.reason)]
    words = {
        "holder": standing.name_holder or "Another record",
        "claimant": standing.claimant.id if standing.claimant else "another record",
        "renamed": " in Trakor, although it was renamed in Salestrekker later"
        if standing.holder_renamed
        else "",
        "likeness": _likeness(standing),
        "fields": ", ".join(record.fields) or "a field that is no longer sent",
    }
    return [known.format(**words), *_more(record, standing, now)]


def also_changed(record: RecordSummary) -> tuple[str, ...]:
    """The fields that also changed in Salestrekker, if a record is held as renamed by the configuration."""
    remapped = record.state == State.HELD and record.reason == Reason.REMAPPED
    return tuple(name for name in record.fields if name not in {"name", RULES}) if remapped else ()


def is_shared(record: RecordSummary, standing: RecordRelations) -> bool:
    """Whether it is held for its name, and shared another record's party or product."""
    held = record.state == State.HELD and record.reason in SHARED_MEANINGS
    return held and standing.claimant is not None and not standing.trakor_ids


def _likeness(standing: RecordRelations) -> str:
    """Which identifiers of the two are equal and which differ, as a sentence; empty if nothing is known."""
    if not (standing.equal and standing.different):
        return ""
    equal, different = (
        " and ".join(map(_identifier, names)) for names in (standing.equal, standing.different)
    )
    return f" The same: {equal}. Different: {different}."


def the_other(record: RecordSummary, standing: RecordRelations) -> str:
    """The record that a held one is compared with, and how they differ; empty if there is none."""
    other = other_of(record, standing)
    if other is None:
        return ""
    named = f"“{other.name}” ({other.id})" if other.name else other.id
    return f"The other record is {named}.{_likeness(standing)}"


def _identifier(name: str) -> str:
    return IDENTIFIERS.get(name, name)


def _more(record: RecordSummary, standing: RecordRelations, now: int) -> Iterator[str]:
    if record.state == State.PENDING:
        yield from _on_its_way(record, standing, now)
    if record.state == State.DELIVERED and "gone" not in record.marks:
        yield _since_delivered(record)
    if record.origin in ORIGINS:
        yield ORIGINS[Origin(record.origin)]
    if fields := also_changed(record):
        yield f"Also changed in Salestrekker: {', '.join(fields)}. That is not listed after you dismiss it."
    if record.reason in {Reason.SAME_NAME, Reason.SAME_PERSON}:
        yield from _why_not_qualified(standing)
    if record.state == State.REJECTED and record.reason in {Reason.REFUSED, Reason.SERVER_ERROR}:
        yield _when_sent_again(standing)
    yield from (words.meaning for mark, words in MARKS.items() if mark in record.marks)
    if record.retry:
        yield AT_NEXT_READ
    if standing.merged_here:
        yield f"Its record in Trakor is shared by {', '.join(standing.merged_here)}."


def _since_delivered(record: RecordSummary) -> str:
    if not record.fields:
        return "Nothing that was sent has changed in Salestrekker since."
    fields = ", ".join(record.fields)
    if "dismissed" in record.marks:
        return f"It now differs in Salestrekker ({fields})."
    return f"It now differs in Salestrekker ({fields}). `on_change` in [{record.feed.stream}] ignores that."


def _why_not_qualified(standing: RecordRelations) -> Iterator[str]:
    if standing.holder_renamed:
        yield "That name stays taken: Trakor cannot rename its record, which keeps the old name."
    if not standing.qualified_name:
        yield "Nothing distinguishes the two, such as an e-mail address that could be added to the name."
    elif standing.qualified_holder:
        yield f"The name “{standing.qualified_name}” is also taken, by {standing.qualified_holder}."
    else:
        yield f"The name “{standing.qualified_name}” is free."


def _when_sent_again(standing: RecordRelations) -> str:
    """When a rejected record is sent again: not without a decision if it may have reached Trakor."""
    if standing.attempts:
        return "Trakor may still have stored it, so it is sent again only if an operator asks for that."
    return "It is sent again when it has changed in Salestrekker."


def _on_its_way(record: RecordSummary, standing: RecordRelations, now: int) -> Iterator[str]:
    if "gone" in record.marks:
        yield "It is not sent while it is missing in Salestrekker."
    elif standing.attempts:
        times = "once" if standing.attempts == 1 else f"{standing.attempts} times"
        yield f"It was tried {times}, and Trakor did not answer."
    if standing.next_try_at > now:
        yield f"The next try is due {age(standing.next_try_at, now)}."
