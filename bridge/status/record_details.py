"""One record in detail: what its state means, how its fields compare, what happened, what can be done.

The words come from ``vocabulary``. The functions here fill in names, ids and fields, and read nothing.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.records import Origin, Reason, State
from bridge.status.timestamps import age
from bridge.status.vocabulary import (
    AT_NEXT_READ,
    EVENTS,
    FIELD_TITLES,
    IDENTIFIERS,
    MARKS,
    NOT_COMPARED,
    ORIGINS,
    SHARED_MEANINGS,
    situation_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bridge.ledger.read_model import FieldChange, RecordSummary
    from bridge.ledger.record_relations_and_history import HistoryLine, RecordRelations

__all__ = [
    "COMPARED",
    "FieldComparison",
    "FieldText",
    "PossibleAction",
    "RecordComparison",
    "SuggestedCommand",
    "also_changed",
    "automatic_step",
    "choices",
    "difference",
    "event",
    "in_trakor",
    "meaning",
    "other_of",
    "sides",
    "the_other",
    "ways",
]

RULES: Final = "rules"
"""Stands for all fields of a record if nobody can tell which of them differ."""

DISMISS: Final = "leave it as it is in Trakor, and don't report it again until it changes in Salestrekker"
DISMISS_GONE: Final = (
    "it is done: either deleted in Trakor by hand or meant to stay there. Don't report it again unless it is "
    "back in Salestrekker and has changed"
)
FORGET_GONE: Final = "erase what is known of it, and never send it again, even if it comes back"
LEAVE: Final = "leave Trakor as it is, and don't report this record again"

COMPARED: Final = frozenset({Reason.SAME_NAME, Reason.SAME_PERSON, Reason.SAME_PARTY})
"""Reasons for which a record is held because of another one."""

PARTS: Final = " | "
"""Between the parts of a party's ``contact_info``."""

LONGEST: Final = 80
"""Characters of a text in a list; a record's own page shows the whole text."""

UNKNOWN: Final = "unknown"
EMPTY: Final = "empty"


@dataclass(frozen=True, slots=True)
class SuggestedCommand:
    """A command for a record.

    Attributes:
        command: The exact command line.
        effect: What it does.
    """

    command: str
    effect: str


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
    if _shared(record, standing):
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


def _shared(record: RecordSummary, standing: RecordRelations) -> bool:
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
            stays = "the other record there" if _shared(record, standing) else "the old record there"
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
    if _shared(record, standing) and standing.claimant is not None:
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


class FieldText(NamedTuple):
    """A text, or a word about it: ``empty``, ``unknown``, ``the same``, ``something else``."""

    text: str
    known: bool = True

    @classmethod
    def of(cls, text: str | None) -> FieldText:
        """A text of a record; None: it is unknown."""
        if text is None:
            return cls(UNKNOWN, known=False)
        return cls(text) if text else cls(EMPTY, known=False)


@dataclass(frozen=True, slots=True)
class FieldComparison:
    """One field.

    Attributes:
        name: Its technical name.
        title: Its name for readers.
        trakor: Its text in Trakor; None if Trakor has no such record.
        now: Its text when it was last read; None if that is not stored.
        other: Its text in the other record; None if there is none.
        differs: Whether Trakor has something else.
    """

    name: str
    title: str
    trakor: FieldText | None
    now: FieldText | None
    other: FieldText | None
    differs: bool


@dataclass(frozen=True, slots=True)
class RecordComparison:
    """All fields of one record.

    Attributes:
        fields: The fields.
        now_head: The heading above the texts when it was last read.
        has_trakor: Whether Trakor has the record.
        has_now: Whether its text is stored, and differs from what Trakor has.
        has_other: Whether there is another record to compare it with.
    """

    fields: tuple[FieldComparison, ...]
    now_head: str
    has_trakor: bool
    has_now: bool
    has_other: bool


def other_of(record: RecordSummary, standing: RecordRelations) -> RecordSummary | None:
    """The record that an operator compares a held one with."""
    return standing.other if record.state == State.HELD and record.reason in COMPARED else None


def in_trakor(record: RecordSummary, standing: RecordRelations) -> bool:
    """Whether Trakor has a party or product of a record, its own or a shared one."""
    shared = record.state == State.MERGED and standing.claimant is not None and standing.claimant.trakor_id
    return bool(standing.trakor_ids or shared)


def sides(record: RecordSummary, standing: RecordRelations) -> RecordComparison:
    """Compare a record field by field."""
    has_trakor = in_trakor(record, standing)
    differs = {change.field for change in record.changes} | {*record.fields}
    if "qualifier" in differs:
        differs.add("name")
    other = other_of(record, standing)
    current = _current_texts(record, standing)
    fields = tuple(
        FieldComparison(
            name=name,
            title=FIELD_TITLES[name],
            trakor=_of_trakor(record, standing, name, differs=name in differs) if has_trakor else None,
            now=FieldText.of(current.get(name)) if current else None,
            other=FieldText.of(standing.other_text.get(name)) if other else None,
            differs=has_trakor and name in differs,
        )
        for name in record.feed.stream.spec.payload.FIELDS
    )
    return RecordComparison(
        fields,
        now_head="To be sent" if record.state == State.PENDING else "Salestrekker, when last read",
        has_trakor=has_trakor,
        has_now=bool(current) and (not has_trakor or bool(differs) or record.state == State.PENDING),
        has_other=other is not None,
    )


def _current_texts(record: RecordSummary, standing: RecordRelations) -> Mapping[str, str]:
    """What is to be sent of a pending record, else its texts when it was last read."""
    if record.state == State.PENDING and standing.draft is not None:
        return {**standing.draft.payload.fields(), "name": record.name or standing.draft.payload.name}
    return standing.now


def _of_trakor(record: RecordSummary, standing: RecordRelations, name: str, *, differs: bool) -> FieldText:
    """A field's text in Trakor; if it is not stored, whether it differs."""
    shared = record.state == State.MERGED and not standing.trakor_ids
    has = standing.other_text if shared else standing.sent
    if name in has:
        return FieldText.of(has[name])
    if has or shared or record.origin == Origin.EXISTING:
        return FieldText.of(None)
    return FieldText("something else" if differs else "the same", known=False)


def difference(change: FieldChange) -> tuple[FieldText, FieldText]:
    """A field's text in Trakor and now, short enough for a list.

    Contact details are reduced to the parts that differ, if both sides have such parts.
    """
    old, new = change.old, change.new
    if change.field == "contact_info" and old and new:
        parts, now = old.split(PARTS), new.split(PARTS)
        less = PARTS.join(part for part in parts if part not in now)
        more = PARTS.join(part for part in now if part not in parts)
        old, new = (less, more) if less and more else (old, new)
    return _short(old), _short(new)


def _short(text: str | None) -> FieldText:
    if text is None or len(text) <= LONGEST:
        return FieldText.of(text)
    return FieldText(f"{text[: LONGEST - 1]}…")
