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
from bridge.status.times import age

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.ledger.reading import Found, Line, Standing

__all__ = ["EVENTS", "MEANINGS", "Choice", "Way", "by_itself", "choices", "event", "meaning", "ways"]

QUALIFIED: Final = r"qualified: (.+) has the name"

EVENTS: Final = (
    ("pending", "", "To be sent to Trakor."),
    ("pending", QUALIFIED, "To be sent under its qualified name: {0} has the plain one."),
    ("replaced", "", "Changed at the source before it was sent: the newer content is sent."),
    ("merged", r"into (.+)", "Merged into {0}: one record in Trakor stands for both."),
    ("skipped", "", "Skipped: not wanted, or without a name."),
    ("skipped", r"(.+)", "Skipped: {0}."),
    ("held", "", "Held: Trakor had a record of this name before."),
    ("held", "renamed", "Held: renamed at the source, and Trakor cannot rename."),
    ("held", "remapped", "Held: the map or the query now gives another name."),
    ("held", r"(.+) has the name(?:, and was dropped.*)?", "Held: {0} has the same name."),
    ("held", r"perhaps (.+)", "Held: perhaps the same person as {0}."),
    ("held", r"(Trakor answered with .+)", "Held: {0}."),
    ("held", r"(.+)", "Held: {0}."),
    ("rejected", "", "Rejected."),
    ("rejected", r"(.+)", "Rejected: {0}"),
    ("noted", "", "Seen to be changed; that is decided on once the open question is settled."),
    ("noted", r"(.+)", "Seen to be changed ({0}); that is decided on once the open question is settled."),
    ("delivered", "created", "Delivered: Trakor created it."),
    ("delivered", "existing", "Delivered: Trakor had a record of this name, and it was taken as this one's."),
    ("delivered", "unclear", "Delivered: Trakor has it, perhaps from an earlier request without an answer."),
    ("drifted", r"its row was damaged", "Its row was damaged: what Trakor has of it is not known any more."),
    ("drifted", r"(created|existing|unclear): (.+)", "Trakor has it, with something else in {1}."),
    ("drifted", r"(.+)", "Changed at the source ({0}), and Trakor cannot update."),
    ("kept", r"(.+)", "It keeps its party without a claim on its name: {0}."),
    ("as-sent", "", "The source is again as it was sent."),
    ("remapped", r"(.*)", "The map gives another value now ({0}); Trakor has what the older map made."),
    ("keeper", r"in the place of (.+)", "Its party in Trakor is this one's now, in the place of {0}."),
    ("kept", r"(.+)", "Its record in Trakor stays its own: {0}."),
    ("dismissed", "", "A person left it as it is in Trakor, until the source changes again."),
    ("filtered", "", "The `where` of its stream now says no: marked filtered, nothing is done in Trakor."),
    ("gone", r"(.+)", "Marked gone: {0}. Nothing is deleted in Trakor."),
    ("seen-again", "", "Back in Salestrekker's list, or wanted again: the mark was taken away."),
    ("answered", r"(.+)", "Trakor took it {0}: the request was under way."),
    ("accepted", "", "A person accepted it as it is."),
    ("accepted", "pending", "A person accepted it: to be sent."),
    ("accepted", "under a given name", "A person gave it a name: to be sent under that one."),
    ("accepted", QUALIFIED, "A person accepted it: to be sent under its qualified name."),
    ("accepted", r"into (.+)", "A person accepted it: merged into {0}."),
    ("accepted", r"(.+) has the name", "A person accepted it, but {0} has the new name: held again."),
    ("accepted", r"(.+)", "A person accepted it: {0}."),
    ("dropped", "", "A person dropped it: never sent."),
    ("forgotten", "", "Forgotten on request: nothing else is known of it, and it does not come back."),
    ("retry", r"(.+)", "A person asked for a new decision: {0}."),
    ("retried", "", "A person asked for a new decision: to be sent."),
    ("retried", QUALIFIED, "A person asked for a new decision: to be sent under its qualified name."),
    ("retried", r"into (.+)", "A person asked for a new decision: merged into {0}."),
    ("retried", r"(.+) has the name", "A person asked for a new decision: held, {0} has the same name."),
    ("retried", r"perhaps (.+)", "A person asked for a new decision: held, perhaps the same person as {0}."),
    ("retried", "taken as it is", "A person asked for a new decision: it is the one that Trakor had."),
)  # fmt: skip
"""The history's words: event, pattern of the whole detail, sentence with what the pattern found."""

MEANINGS: Final = {
    (State.PENDING, ""): "It is to be sent to Trakor.",
    (State.DELIVERED, ""): "Trakor has it.",
    (State.MERGED, ""): "It has no record of its own in Trakor: it shares that of {claimant}.",
    (State.SKIPPED, Reason.FILTERED): "It is left out: `where` in [{stream}] of the configuration says no.",
    (State.SKIPPED, Reason.NO_NAME): "It is left out: it has no name, and Trakor knows records by name.",
    (
        State.HELD,
        Reason.SAME_NAME,
    ): "It was not sent: {holder} has the same name, and Trakor knows records by their names alone.",
    (
        State.HELD,
        Reason.SAME_PERSON,
    ): "It was not sent: {holder} has the same name, and perhaps is the same person. One thing that "
    "identifies them is equal, and another differs.",
    (
        State.HELD,
        Reason.RENAMED,
    ): "Its name changed in Salestrekker after it was sent. Trakor's API cannot rename: there it still has "
    "the old name.",
    (
        State.HELD,
        Reason.REMAPPED,
    ): "The map or the query was changed and now gives it another name. In Trakor it still has the old name.",
    (
        State.HELD,
        Reason.SAME_PARTY,
    ): "Trakor took its name for that of {claimant}, and answered with the record "
    "of that one. Whether both are one is for a person to say.",
    (State.HELD, Reason.EXISTING): "Trakor had a record of this name before. Whether that is this one is for "
    "a person to say.",
    (
        State.REJECTED,
        Reason.MAPPING,
    ): "This record could not be turned into something that Trakor accepts. It is checked again whenever it "
    "is read.",
    (State.REJECTED, Reason.REFUSED): "Trakor refused it as it is. It is sent again when it has changed in "
    "Salestrekker.",
    (State.REJECTED, Reason.SERVER_ERROR): "Trakor failed on it again and again while it took others. It is "
    "sent again when it has changed in Salestrekker.",
    (State.REJECTED, Reason.DAMAGED): "What the ledger had stored of it is damaged. It is decided again when "
    "it is next read from Salestrekker.",
    (State.DRIFTED, ""): "It has changed in Salestrekker since it was sent ({fields}). Trakor's API cannot "
    "update: there it still is as it was sent.",
    (State.DROPPED, ""): "A person decided that it is not sent.",
}
"""What a state, with its reason, means."""

INCOMPARABLE: Final = (
    "Nobody can tell whether it has changed in Salestrekker since it was sent: its row in the ledger was "
    "damaged, or the query was changed. Trakor still has it as it was sent. Compare the two by hand."
)
"""What `drifted` means of one whose fields cannot be compared (the field `rules`)."""

AT_NEXT_READ: Final = {
    (State.PENDING, ""): "sends what is pending",
    (State.SKIPPED, Reason.FILTERED): "takes it in, once `where` says yes",
    (State.SKIPPED, Reason.NO_NAME): "takes it in, once it has a name",
    (State.REJECTED, Reason.MAPPING): "takes it in, once it is corrected in Salestrekker, or the map is",
    (State.REJECTED, Reason.DAMAGED): "decides it again from what Salestrekker says",
}
"""What the next backfill does about a record by itself."""

MARKED: Final = {
    "gone": "It is no longer in Salestrekker's list.",
    "filtered": "`where` in [{stream}] of the configuration now says no to it.",
    "remapped": "Trakor has what an older map made of it.",
    "dismissed": "A person left it as it is in Trakor. It is listed when it changes in Salestrekker again.",
}
"""What the marks beside a state mean."""

ORIGINS: Final = {
    Origin.EXISTING: "Trakor had it before; what else its record there says was left as it was.",
    Origin.UNCLEAR: "Whether Trakor had it before cannot be told: an earlier request went unanswered.",
}
"""What is to be said of an origin other than `created`."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that a person can do about a record.

    Attributes:
        command: The exact command line.
        effect: What it does.
    """

    command: str
    effect: str


def event(line: Line) -> str:
    """One line of a record's history as a sentence."""
    for word, pattern, sentence in EVENTS:
        if word == line.event and (found := re.fullmatch(pattern, line.detail, re.DOTALL)):
            said = sentence.format(*found.groups())
            # What a decision leads to for other records has its place noted, too, and is not told with it.
            return (
                f"{said.removesuffix('.')} ({line.by})." if line.by and said.startswith("A person") else said
            )
    return f"{line.event}: {line.detail}" if line.detail else line.event


def meaning(record: Found, standing: Standing, now: int) -> list[str]:
    """What the state that a record is in means, in sentences."""
    if record.forgotten:
        return ["It was forgotten on request: its id is kept, so that it does not come back."]
    known = MEANINGS.get((State(record.state), record.reason), f"It is {record.state} {record.reason}.")
    if record.state == State.DRIFTED and record.fields == ("rules",):
        known = INCOMPARABLE
    words = {
        "stream": record.feed.stream,
        "holder": standing.name_holder or "Another record",
        "claimant": standing.claimant.id if standing.claimant else "another record",
        "fields": ", ".join(record.fields) or "what is not mapped any more",
    }
    return [known.format(**words), *_more(record, standing, now)]


def _more(record: Found, standing: Standing, now: int) -> Iterator[str]:
    if record.state == State.PENDING:
        yield from _on_its_way(record, standing, now)
    if record.state == State.DELIVERED and "gone" not in record.marks:
        yield _since_delivered(record)
    if record.origin in ORIGINS:
        yield ORIGINS[Origin(record.origin)]
    if record.reason in {Reason.SAME_NAME, Reason.SAME_PERSON}:
        yield _why_not_qualified(standing)
    yield from (MARKED[mark].format(stream=record.feed.stream) for mark in MARKED if mark in record.marks)
    if record.retry:
        yield "It is checked again when it is next read, since a person asked for that."
    if standing.merged_here:
        yield f"Its record in Trakor also stands for {', '.join(standing.merged_here)}."


def _since_delivered(record: Found) -> str:
    if not record.fields:
        return "Nothing of what was sent has changed in Salestrekker since."
    fields = ", ".join(record.fields)
    return f"In Salestrekker it differs now ({fields}): `on_change` in [{record.feed.stream}] ignores that."


def _why_not_qualified(standing: Standing) -> str:
    if not standing.qualified_name:
        return "It has no qualifier, such as an e-mail address, that would tell the two apart."
    if standing.qualified_holder:
        return f"{standing.qualified_holder} has its qualified name “{standing.qualified_name}”, too."
    return f"Its qualified name “{standing.qualified_name}” is free."


def _on_its_way(record: Found, standing: Standing, now: int) -> Iterator[str]:
    if "gone" in record.marks:
        yield "It is not sent while it is gone from Salestrekker."
    elif standing.attempts:
        times = "once" if standing.attempts == 1 else f"{standing.attempts} times"
        yield f"It was tried {times}, and Trakor's answer never came."
    if standing.next_try_at > now:
        yield f"The next try is due {age(standing.next_try_at, now)}."


@dataclass(frozen=True, slots=True)
class Way:
    """One thing that a person can decide about a record.

    Attributes:
        verb: ``accept``, ``dismiss``, ``retry`` or ``drop``.
        effect: What it does.
        named: A name of one's own goes with it.
    """

    verb: str
    effect: str
    named: bool = False


def ways(record: Found, standing: Standing) -> list[Way]:
    """What a person can decide about a record."""
    if record.forgotten:
        return []
    return [*_ways_to_accept(record, standing), *_other_ways(record)]


def by_itself(record: Found) -> str:
    """What is done about a record when it is next read, without anybody's decision; empty for nothing."""
    return AT_NEXT_READ.get((State(record.state), record.reason), "")


def choices(record: Found, standing: Standing, options: str = "", *, daemon: bool = False) -> list[Choice]:
    """What a person can do about a record, as exact commands.

    Args:
        record: The record.
        standing: How it stands to others.
        options: Options that tell it from another one of the same id, e.g. ``--connection sydney``.
        daemon: A daemon has the ledger: a backfill would be refused.
    """
    if record.forgotten:
        return []
    at_next_read = "" if daemon else by_itself(record)
    return [
        *([Choice("trakor-bridge backfill", at_next_read)] if at_next_read else []),
        *(Choice(_command(way, record.id, options), way.effect) for way in ways(record, standing)),
    ]


def _command(way: Way, identity: str, options: str) -> str:
    """The command line, with the id as the shell takes it, and as no option."""
    options = " ".join(part for part in ('--as "NAME"' if way.named else "", options) if part)
    quoted = shlex.quote(identity)
    parts = (options, "--", quoted) if identity.startswith("-") else (quoted, options)
    return " ".join(part for part in ("trakor-bridge", "records", way.verb, *parts) if part)


def _ways_to_accept(record: Found, standing: Standing) -> Iterator[Way]:
    match record.state, record.reason:
        case State.DRIFTED, _:
            yield Way("accept", "once it is corrected in Trakor by hand: it counts as delivered again")
        case State.DELIVERED, _ if "remapped" in record.marks:
            yield Way("accept", "once it is corrected in Trakor by hand: the mark is taken away")
        case State.HELD, (Reason.SAME_PERSON | Reason.SAME_NAME) if _takes_a_forgotten_name(record, standing):
            yield Way(
                "accept", "once the forgotten one is deleted in Trakor by hand: send it under this name"
            )
            yield Way("accept", "send it under a name of your own", named=True)
        case State.HELD, Reason.SAME_PERSON:
            other = standing.name_holder or "the other one"
            yield Way("accept", f"they are one person: it shares the record of {other}")
            yield Way("accept", "they are two: send it under a name of your own", named=True)
        case State.HELD, Reason.SAME_NAME:
            if standing.qualified_name and not standing.qualified_holder:
                yield Way("accept", f"send it as “{standing.qualified_name}”")
            yield Way("accept", "send it under a name of your own", named=True)
        case State.HELD, Reason.RENAMED | Reason.REMAPPED:
            yield Way("accept", f"create it in Trakor as “{record.name}”; the old record there stays")
            yield Way("accept", "create it there under a name of your own", named=True)
        case State.HELD, Reason.SAME_PARTY:
            claimant = standing.claimant.id if standing.claimant else "the other record"
            yield Way("accept", f"they are one: it shares the record of {claimant}")
        case State.HELD, Reason.EXISTING:
            yield Way("accept", "they are one: the record that Trakor had counts as this one's")


def _takes_a_forgotten_name(record: Found, standing: Standing) -> bool:
    """Whether accepting sends it under a name that a forgotten record had."""
    qualifies = bool(standing.qualified_name and not standing.qualified_holder)
    forgotten = standing.other is not None and standing.other.forgotten
    return forgotten and not (qualifies and record.reason == Reason.SAME_NAME)


def _other_ways(record: Found) -> Iterator[Way]:
    match record.state, record.reason:
        case State.PENDING, _:
            yield Way("retry", "send it at the next chance, without the wait after earlier failures")
        case State.DROPPED, _:
            yield Way("retry", "check it again when it is next read")
        case State.REJECTED, (Reason.REFUSED | Reason.SERVER_ERROR):
            yield Way("retry", "send it once more as it is")
        case State.HELD, (Reason.SAME_NAME | Reason.SAME_PERSON):
            yield Way("retry", "check it again, for example once the other one was renamed or dropped")
    if _differs_in_trakor(record):
        yield Way(
            "dismiss", "leave it as it is in Trakor, and say nothing until it changes in Salestrekker again"
        )
    if record.state not in {State.DELIVERED, State.MERGED, State.DROPPED}:
        yield Way("drop", "don't send it, and stop asking")


def _differs_in_trakor(record: Found) -> bool:
    """Whether Trakor has something else than the source says, which a person can leave so."""
    held = {Reason.RENAMED, Reason.REMAPPED, Reason.EXISTING, Reason.SAME_PARTY}
    remapped = record.state == State.DELIVERED and "remapped" in record.marks
    return record.state == State.DRIFTED or remapped or record.reason in held
