"""What one record's state means, what was done to it, and what a person can do: in sentences.

Three tables, in the order of the page that ``records show`` prints: ``MEANINGS`` of states, what can be
done (``choices``), and ``EVENTS``, the words of the ledger's history.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bridge.records import Origin, Reason, State
from bridge.status.fields import other_of
from bridge.status.timestamps import age

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.ledger.read_model import RecordSummary
    from bridge.ledger.record_details import HistoryLine, RecordRelations

__all__ = [
    "EVENTS",
    "MEANINGS",
    "PossibleAction",
    "SuggestedCommand",
    "also_changed",
    "by_itself",
    "choices",
    "event",
    "meaning",
    "the_other",
    "ways",
]

QUALIFIED: Final = r"qualified: (.+) has the name"

EVENTS: Final = (
    ("pending", "", "To be sent to Trakor."),
    ("pending", QUALIFIED, "To be sent under its qualified name: {0} has the plain one."),
    ("replaced", "", "Changed at the source before it was sent: the newer content is sent."),
    ("merged", r"into (.+), by person", "A person said that it is one with {0}: both share a record."),
    ("merged", r"into (.+), by policy", "Shares the record of {0}: so the configuration says of one name."),
    ("merged", r"into (.+)", "The same as {0}: they share one record in Trakor."),
    ("skipped", "", "Skipped: not wanted, or without a name."),
    ("skipped", r"(.+)", "Skipped: {0}."),
    ("held", "", "Held: Trakor had a record of this name before."),
    ("held", "renamed", "Held: renamed at the source, and Trakor cannot rename."),
    ("held", "remapped", "Held: the configuration now gives it another name."),
    ("held", r"(.+) has the name(?:, and was dropped.*)?", "Held: the name is taken by {0}."),
    ("held", r"perhaps (.+)", "Held: perhaps the same person as {0}."),
    ("held", r"not as like (.+) as before", "Held: changed, so that it may be another person than {0}."),
    ("held", r"(Trakor answered with .+)", "Held: {0}."),
    ("held", r"(.+)", "Held: {0}."),
    ("rejected", "", "Rejected."),
    ("rejected", r"(.+)", "Rejected: {0}"),
    ("noted", "", "It changed in Salestrekker again; that is decided once what is open is answered."),
    ("noted", r"(.+)", "It changed in Salestrekker again ({0}); decided once what is open is answered."),
    ("delivered", "created", "Delivered: Trakor created it."),
    ("delivered", "existing", "Delivered: Trakor had a record of this name, and it was taken as this one's."),
    ("delivered", "unclear", "Delivered: Trakor has it, perhaps from an earlier request without an answer."),
    ("drifted", r"its row was damaged", "Its row was damaged: what Trakor has of it is not known any more."),
    ("drifted", r"(created|existing|unclear): (.+)", "Trakor has it, with something else in {1}."),
    ("drifted", r"(.+)", "Trakor has something else ({0}), and its API cannot update."),
    ("kept", r"its scope became one.*", "Another record has its name, too. It keeps its own in Trakor."),
    ("as-sent", "", "It is again as it was sent."),
    ("remapped", r"(.*)", "The configuration makes something else now ({0}); Trakor has the older."),
    ("keeper", r"in the place of (.+)", "Its party in Trakor is this one's now, in the place of {0}."),
    ("kept", r"(.+)", "Its record in Trakor stays its own: {0}."),
    ("dismissed", "", "A person left it as it is in Trakor, until the source changes again."),
    ("filtered", "", "The configuration does not want it any more. It stays in Trakor as it is."),
    ("gone", r"(.+)", "Marked gone: {0}. Nothing is deleted in Trakor."),
    ("seen-again", "", "Back in Salestrekker's list, or wanted again: the mark was taken away."),
    ("answered", r"(.+)", "Trakor took it {0}: the request was under way."),
    ("accepted", "", "A person accepted it as it is."),
    ("accepted", "pending", "A person accepted it: to be sent."),
    ("accepted", "under a given name", "A person gave it a name: to be sent under that one."),
    ("accepted", QUALIFIED, "A person accepted it: to be sent under its qualified name."),
    ("accepted", r"into (.+), by person", "A person accepted it: it shares the record of {0}."),
    ("accepted", r"into (.+)", "A person accepted it: it shares the record of {0}."),
    ("accepted", r"(.+) has the name", "A person accepted it, but the new name is taken by {0}: held again."),
    ("accepted", r"(.+)", "A person accepted it: {0}."),
    ("dropped", "", "A person dropped it: never sent."),
    ("forgotten", "", "Forgotten on request: nothing else is known of it, and it does not come back."),
    ("retry", r"(.+)", "A person asked for a new decision: {0}."),
    ("retried", "", "A person asked for a new decision: to be sent."),
    ("retried", QUALIFIED, "A person asked for a new decision: to be sent under its qualified name."),
    ("retried", r"into (.+)", "A person asked for a new decision: it shares the record of {0}."),
    ("retried", r"(.+) has the name", "A person asked for a new decision: held, the name is taken by {0}."),
    ("retried", r"perhaps (.+)", "A person asked for a new decision: held, perhaps the same person as {0}."),
    ("retried", "taken as it is", "A person asked for a new decision: it is the one that Trakor had."),
)  # fmt: skip
"""The history's words: event, pattern of the whole detail, sentence with what the pattern found."""

MEANINGS: Final = {
    (State.PENDING, ""): "It is to be sent to Trakor.",
    (State.DELIVERED, ""): "Trakor has it.",
    (State.MERGED, ""): "It has no record of its own in Trakor: it shares that of {claimant}.",
    (
        State.SKIPPED,
        Reason.FILTERED,
    ): "It is left out: the configuration does not want it, for example because it is not active.",
    (State.SKIPPED, Reason.NO_NAME): "It is left out: it has no name, and Trakor knows records by name.",
    (
        State.HELD,
        Reason.SAME_NAME,
    ): "It was not sent: {holder} has the same name{renamed}, and Trakor knows records by their names alone.",
    (
        State.HELD,
        Reason.SAME_PERSON,
    ): "It was not sent: {holder} has the same name{renamed}, and may be the same person.{likeness}",
    (
        State.HELD,
        Reason.RENAMED,
    ): "Its name changed in Salestrekker after it was sent. Trakor's API cannot rename: there it still has "
    "the old name.",
    (
        State.HELD,
        Reason.REMAPPED,
    ): "The configuration was changed and now gives it another name. In Trakor it still has the old name.",
    (
        State.HELD,
        Reason.SAME_PARTY,
    ): "Trakor answered with the record that {claimant} has already: to Trakor both "
    "names are one. A person has to say whether they are.",
    (
        State.HELD,
        Reason.EXISTING,
    ): "Trakor had a record of this name before. A person has to say whether it is this one.",
    (
        State.REJECTED,
        Reason.MAPPING,
    ): "It was not sent: one of its fields could not be made from what Salestrekker says, or cannot be "
    "right, such as a price below zero. It is checked again whenever it is read.",
    (State.REJECTED, Reason.REFUSED): "Trakor refused it as it is.",
    (State.REJECTED, Reason.SERVER_ERROR): "Trakor failed on it again and again while it took others.",
    (State.REJECTED, Reason.DAMAGED): "What the ledger had stored of it is damaged. It is decided again when "
    "it is next read from Salestrekker.",
    (State.DRIFTED, ""): "Trakor has something else than Salestrekker says now ({fields}), and Trakor's API "
    "cannot update.",
    (State.DROPPED, ""): "A person decided that it is not sent.",
}
"""What a state, with its reason, means."""

OF_SHARED: Final = {
    Reason.RENAMED: "Its name changed in Salestrekker. It has no record of its own in Trakor: it shared that "
    "of {claimant}, which keeps its name there.",
    Reason.REMAPPED: "The configuration was changed and now gives it another name. It has no record of its "
    "own in Trakor: it shared that of {claimant}, which keeps its name there.",
}
"""The same of one that is held for its name, and was merged into another one."""

AT_NEXT_READ: Final = {
    (State.PENDING, ""): ("send what is pending", "It is sent by itself."),
    (State.SKIPPED, Reason.FILTERED): (
        "send it, once the configuration wants it",
        "Once the configuration wants it, for example when it is active again, it is sent by itself.",
    ),
    (State.SKIPPED, Reason.NO_NAME): (
        "send it, once it has a name in Salestrekker",
        "Once it has a name in Salestrekker, it is sent by itself.",
    ),
    (State.REJECTED, Reason.MAPPING): (
        "send it, once it is corrected in Salestrekker or in the configuration",
        "Once it is corrected in Salestrekker or in the configuration, it is sent by itself.",
    ),
    (State.REJECTED, Reason.DAMAGED): (
        "decide it again from what Salestrekker says",
        "It is decided again when it is next read from Salestrekker.",
    ),
}
"""What is done about a record without anybody's decision: by a backfill, and as a sentence."""

MARKED: Final = {
    "gone": "It is no longer in Salestrekker's list.",
    "filtered": "The configuration does not want it any more, for example because it is not active.",
    "remapped": "The configuration was changed since. Trakor has what the older one made of it.",
    "dismissed": "A person left it as it is in Trakor. It is listed when it changes in Salestrekker again.",
}
"""What the marks beside a state mean."""

ORIGINS: Final = {
    Origin.EXISTING: "Trakor had it before; what else its record there says was left as it was.",
    Origin.UNCLEAR: "Whether Trakor had it before cannot be told: an earlier request went unanswered.",
}
"""What is to be said of an origin other than `created`."""


RULES: Final = "rules"
"""Stands for all fields, of a record of which nobody can tell what differs."""

NOT_COMPARED: Final = (
    "What Trakor has cannot be compared with what Salestrekker says now: the configuration was changed too "
    "much, or what was stored of it was damaged. Compare the two by hand."
)

IDENTIFIERS: Final = {"email": "e-mail address", "phone": "telephone number"}
"""What a reader calls what identifies a person, by the names of the default `same_as`."""


DISMISS: Final = "leave it as it is in Trakor, and say nothing until it changes in Salestrekker again"
DISMISS_GONE: Final = (
    "it is dealt with, deleted in Trakor by hand or meant to stay there: say nothing until it is back in "
    "Salestrekker and has changed"
)
FORGET_GONE: Final = "erase all that is known of it, and never send it again, even if it comes back"
LEAVE: Final = "leave Trakor as it is, and never report this record again"


@dataclass(frozen=True, slots=True)
class SuggestedCommand:
    """One thing that a person can do about a record.

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
            said = sentence.format(*found.groups())
            # What a decision leads to for other records has its place noted, too, and is not told with it.
            return (
                f"{said.removesuffix('.')} ({line.by})." if line.by and said.startswith("A person") else said
            )
    return f"{line.event}: {line.detail}" if line.detail else line.event


def meaning(record: RecordSummary, standing: RecordRelations, now: int) -> list[str]:
    """What the state that a record is in means, in sentences."""
    if record.forgotten:
        return ["It was forgotten on request: its id is kept, so that it does not come back."]
    known = MEANINGS.get((State(record.state), record.reason), f"It is {record.state} {record.reason}.")
    if record.state == State.DRIFTED and RULES in record.fields:
        known = NOT_COMPARED
    if _shared(record, standing):
        known = OF_SHARED[Reason(record.reason)]
    words = {
        "holder": standing.name_holder or "Another record",
        "claimant": standing.claimant.id if standing.claimant else "another record",
        "renamed": " in Trakor, though it was renamed in Salestrekker since"
        if standing.holder_renamed
        else "",
        "likeness": _likeness(standing),
        "fields": ", ".join(record.fields) or "what is not sent any more",
    }
    return [known.format(**words), *_more(record, standing, now)]


def also_changed(record: RecordSummary) -> tuple[str, ...]:
    """The fields that changed in Salestrekker of a record whose name another configuration changed."""
    remapped = record.state == State.HELD and record.reason == Reason.REMAPPED
    return tuple(name for name in record.fields if name not in {"name", RULES}) if remapped else ()


def _shared(record: RecordSummary, standing: RecordRelations) -> bool:
    """Whether it is held for a name, and what Trakor has of it is another record's."""
    held = record.state == State.HELD and record.reason in OF_SHARED
    return held and standing.claimant is not None and not standing.trakor_ids


def _likeness(standing: RecordRelations) -> str:
    """What is equal and what differs, of what identifies the two, behind a sentence; empty for nothing."""
    if not (standing.equal and standing.different):
        return ""
    equal, different = (
        " and ".join(map(_identifier, names)) for names in (standing.equal, standing.different)
    )
    return f" The same: {equal}. Different: {different}."


def the_other(record: RecordSummary, standing: RecordRelations) -> str:
    """Who the other record is that a held one is compared with, and how they differ; empty for none."""
    other = other_of(record, standing)
    if other is None:
        return ""
    named = f"“{other.name}” ({other.id})" if other.name else other.id
    return f"The other one is {named}.{_likeness(standing)}"


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
        yield f"Changed in Salestrekker as well: {', '.join(fields)}. Dismissed, that is not listed any more."
    if record.reason in {Reason.SAME_NAME, Reason.SAME_PERSON}:
        yield from _why_not_qualified(standing)
    if record.state == State.REJECTED and record.reason in {Reason.REFUSED, Reason.SERVER_ERROR}:
        yield _when_sent_again(standing)
    yield from (MARKED[mark] for mark in MARKED if mark in record.marks)
    if record.retry:
        yield "It is checked again when it is next read, since a person asked for that."
    if standing.merged_here:
        yield f"Its record in Trakor also stands for {', '.join(standing.merged_here)}."


def _since_delivered(record: RecordSummary) -> str:
    if not record.fields:
        return "Nothing of what was sent has changed in Salestrekker since."
    fields = ", ".join(record.fields)
    if "dismissed" in record.marks:
        return f"In Salestrekker it differs now ({fields})."
    return f"In Salestrekker it differs now ({fields}): `on_change` in [{record.feed.stream}] ignores that."


def _why_not_qualified(standing: RecordRelations) -> Iterator[str]:
    if standing.holder_renamed:
        yield "That name stays taken: Trakor cannot rename, so its record there keeps the old name."
    if not standing.qualified_name:
        yield "Nothing tells the two apart, such as an e-mail address that could be added to the name."
    elif standing.qualified_holder:
        yield f"The name “{standing.qualified_name}” is taken, too, by {standing.qualified_holder}."
    else:
        yield f"The name “{standing.qualified_name}” is free."


def _when_sent_again(standing: RecordRelations) -> str:
    """One that may have reached Trakor keeps its name, and waits for a person."""
    if standing.attempts:
        return "Trakor may have it all the same, so it is sent again only if a person asks for that."
    return "It is sent again when it has changed in Salestrekker."


def _on_its_way(record: RecordSummary, standing: RecordRelations, now: int) -> Iterator[str]:
    if "gone" in record.marks:
        yield "It is not sent while it is gone from Salestrekker."
    elif standing.attempts:
        times = "once" if standing.attempts == 1 else f"{standing.attempts} times"
        yield f"It was tried {times}, and Trakor's answer never came."
    if standing.next_try_at > now:
        yield f"The next try is due {age(standing.next_try_at, now)}."


@dataclass(frozen=True, slots=True)
class PossibleAction:
    """One thing that a person can decide about a record.

    Attributes:
        verb: ``accept``, ``dismiss``, ``retry`` or ``drop``.
        effect: What it does.
        named: A name of one's own goes with it.
    """

    verb: str
    effect: str
    named: bool = False


def ways(record: RecordSummary, standing: RecordRelations) -> list[PossibleAction]:
    """What a person can decide about a record."""
    if record.forgotten:
        return []
    return [*_ways_to_accept(record, standing), *_other_ways(record, standing)]


def by_itself(record: RecordSummary) -> str:
    """What is done about a record without anybody's decision, as a sentence; empty for nothing."""
    return AT_NEXT_READ.get((State(record.state), record.reason), ("", ""))[1]


def choices(
    record: RecordSummary, standing: RecordRelations, options: str = "", *, daemon: bool = False
) -> list[SuggestedCommand]:
    """What a person can do about a record, as exact commands.

    Args:
        record: The record.
        standing: How it stands to others.
        options: Options that tell it from another one of the same id, e.g. ``--connection sydney``.
        daemon: A daemon has the ledger: a backfill would be refused.
    """
    if record.forgotten:
        return []
    at_next_read, _ = ("", "") if daemon else AT_NEXT_READ.get((State(record.state), record.reason), ("", ""))
    return [
        *([SuggestedCommand("trakor-bridge backfill", at_next_read)] if at_next_read else []),
        *(SuggestedCommand(_command(way, record.id, options), way.effect) for way in ways(record, standing)),
        *(
            [SuggestedCommand(_command(PossibleAction("forget", ""), record.id, options), FORGET_GONE)]
            if _is_gone_from_the_source(record)
            else []
        ),
    ]


def _command(way: PossibleAction, identity: str, options: str) -> str:
    """The command line, with the id as the shell takes it, and as no option."""
    options = " ".join(part for part in ('--as "NAME"' if way.named else "", options) if part)
    quoted = shlex.quote(identity)
    parts = (options, "--", quoted) if identity.startswith("-") else (quoted, options)
    return " ".join(part for part in ("trakor-bridge", "records", way.verb, *parts) if part)


def _ways_to_accept(record: RecordSummary, standing: RecordRelations) -> Iterator[PossibleAction]:
    match record.state, record.reason:
        case State.DRIFTED, _:
            yield PossibleAction(
                "accept", "once it is corrected in Trakor by hand: it counts as delivered again"
            )
        case State.DELIVERED, _ if "remapped" in record.marks:
            yield PossibleAction("accept", "once it is corrected in Trakor by hand: the mark is taken away")
        case State.HELD, (Reason.SAME_PERSON | Reason.SAME_NAME) if _takes_a_forgotten_name(record, standing):
            yield PossibleAction(
                "accept", "once the forgotten one is deleted in Trakor by hand: send it under this name"
            )
            yield PossibleAction("accept", "send it under a name of your own", named=True)
        case State.HELD, Reason.SAME_PERSON:
            other = standing.name_holder or "the other one"
            yield PossibleAction("accept", f"they are one person: it shares the record of {other}")
            yield PossibleAction("accept", "they are two: send it under a name of your own", named=True)
        case State.HELD, Reason.SAME_NAME:
            if standing.qualified_name and not standing.qualified_holder:
                yield PossibleAction("accept", f"send it as “{standing.qualified_name}”")
            yield PossibleAction("accept", "send it under a name of your own", named=True)
        case State.HELD, Reason.RENAMED | Reason.REMAPPED:
            stays = "that of the other one" if _shared(record, standing) else "the old record there"
            yield PossibleAction("accept", f"create it in Trakor as “{record.name}”; {stays} stays")
            yield PossibleAction("accept", "create it there under a name of your own", named=True)
        case State.HELD, Reason.SAME_PARTY:
            claimant = standing.claimant.id if standing.claimant else "the other record"
            yield PossibleAction("accept", f"they are one: it shares the record of {claimant}")
        case State.HELD, Reason.EXISTING:
            yield PossibleAction("accept", "they are one: the record that Trakor had counts as this one's")


def _takes_a_forgotten_name(record: RecordSummary, standing: RecordRelations) -> bool:
    """Whether accepting sends it under a name that a forgotten record had."""
    qualifies = bool(standing.qualified_name and not standing.qualified_holder)
    forgotten = standing.other is not None and standing.other.forgotten
    return forgotten and not (qualifies and record.reason == Reason.SAME_NAME)


def _other_ways(record: RecordSummary, standing: RecordRelations) -> Iterator[PossibleAction]:
    match record.state, record.reason:
        case State.PENDING, _:
            yield PossibleAction(
                "retry", "send it at the next chance, without the wait after earlier failures"
            )
        case State.DROPPED, _:
            yield PossibleAction("retry", "check it again when it is next read")
        case State.REJECTED, (Reason.REFUSED | Reason.SERVER_ERROR):
            yield PossibleAction("retry", "send it once more as it is")
        case State.HELD, Reason.SAME_PARTY:
            yield PossibleAction(
                "retry", "check it again when it is next read, for example after it was renamed"
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
    """A name that Trakor has answered to is never free again; one that was not sent may be."""
    if record.reason == Reason.SAME_PERSON:
        return "check it again, for example once one of them was corrected"
    if standing.other is not None and standing.other.trakor_id:
        return "check it again, for example once the configuration was changed"
    return "check it again, for example once the other one was dropped"


def _is_gone_from_the_source(record: RecordSummary) -> bool:
    """Whether Trakor has it, and Salestrekker has not any more: what is there is for a person to delete."""
    marks = {*record.marks}
    return record.state == State.DELIVERED and "gone" in marks and "dismissed" not in marks


def _differs_in_trakor(record: RecordSummary) -> bool:
    """Whether Trakor has something else than the source says, which a person can leave so."""
    held = {Reason.RENAMED, Reason.REMAPPED, Reason.EXISTING, Reason.SAME_PARTY}
    remapped = record.state == State.DELIVERED and "remapped" in record.marks
    return record.state == State.DRIFTED or remapped or record.reason in held
