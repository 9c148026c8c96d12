"""The words for states, reasons, marks, fields, history and decisions: one table for every interface.

The status page, the command line, the alerts and the backfill's report read their words here, and a test
compares docs/reasons.md with them. The words are for a reader who has never seen a configuration file: a test
keeps terms such as "map" out.

::

    SITUATIONS  (state, reason) ──> title, meaning of one record, of many, effect of each decision on many
    MARKS       mark            ──> the same for what stands beside a state
    ACTIONS     decision        ──> what its button says, and what a report says afterwards
    EVENTS      line of the history ──> a sentence
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bridge.ledger.operator_actions import OperatorAction
from bridge.records import Origin, Reason, State

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ACTIONS", "AFTER_DECISION", "AT_NEXT_READ", "CHECKED_AGAIN", "DECISIONS", "EVENTS", "FIELD_TITLES",
    "IDENTIFIERS", "LEFT_AS_IT_IS", "MARKS", "NEEDS_DECISION", "NOT_COMPARED", "ORIGINS", "SHARED_MEANINGS",
    "SITUATIONS", "ActionWords", "MarkWords", "Situation", "name_fields", "situation_of",
]  # fmt: skip

DECISIONS: Final = (State.HELD, State.REJECTED, State.DRIFTED)
"""The states in which a record needs a decision."""


@dataclass(frozen=True, slots=True)
class Situation:
    """A state with its reason, in words.

    Attributes:
        title: A heading of a few words.
        meaning: What it means for one record. ``{holder}``, ``{claimant}`` and so on are filled in.
        summary: What it means for several records, in a few words after their number; may be empty.
        why: Why records are in such a list, in a sentence or two; empty if none needs a decision.
        effects: For each possible decision, its effect on all records of a list.
        automatic: What the bridge does without a decision, as a sentence; may be empty.
        by_backfill: The same as the effect of the command ``trakor-bridge backfill``; may be empty.
    """

    title: str
    meaning: str
    summary: str = ""
    why: str = ""
    effects: Mapping[OperatorAction, str] = field(default_factory=lambda: MappingProxyType({}))
    automatic: str = ""
    by_backfill: str = ""


@dataclass(frozen=True, slots=True)
class MarkWords:
    """A mark beside a state, in words.

    Attributes:
        title: A heading of a few words.
        phrase: What the records with it are, after "is" or "are".
        meaning: What it means for one record, in a sentence or two.
        why: Why records are in a list of the mark; empty if the status page has no such list.
        effects: For each possible decision, its effect on all records of a list.
    """

    title: str
    phrase: str
    meaning: str
    why: str = ""
    effects: Mapping[OperatorAction, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class ActionWords:
    """A decision, in words.

    Attributes:
        button: What its button says.
        done: What happened to records, after "were", on the status page.
        reported: The same on the command line.
    """

    button: str
    done: str
    reported: str


ACCEPT, DISMISS, DROP, RETRY = (
    OperatorAction.ACCEPT,
    OperatorAction.DISMISS,
    OperatorAction.DROP,
    OperatorAction.RETRY,
)

_NEVER_SENT: Final = "They are not sent, and you are not asked about them again."
_LEFT_FOR_GOOD: Final = "Trakor keeps what it has, and you are not asked about them again."
_LEFT_FOR_NOW: Final = (
    "Each stays as it is in Trakor. It is not reported again until it changes in Salestrekker."
)
_CREATED_AGAIN: Final = "Each is created in Trakor under its new name. The old records stay there."
_CORRECTED: Final = "Each counts as corrected in Trakor by hand. Nothing is sent."
_SENT_AGAIN: Final = "Each is sent once more, unchanged."

SITUATIONS: Final[Mapping[tuple[State, str], Situation]] = MappingProxyType(
    {
        (State.PENDING, ""): Situation(
            "To be sent",
            "It will be sent to Trakor.",
            automatic="It is sent automatically.",
            by_backfill="send what is pending",
        ),
        (State.DELIVERED, ""): Situation("Delivered", "Trakor has it."),
        (State.MERGED, ""): Situation(
            "Merged",
            "It has no record of its own in Trakor: it shares the record of {claimant}.",
            "entered twice: one record stands for both",
        ),
        (State.SKIPPED, Reason.FILTERED): Situation(
            "Left out",
            "It is left out because the configuration excludes it. It may be inactive, for example.",
            automatic="As soon as the configuration includes it, it is sent automatically.",
            by_backfill="send it, as soon as the configuration includes it",
        ),
        (State.SKIPPED, Reason.NO_NAME): Situation(
            "Left out",
            "It is left out because it has no name, and Trakor identifies records by name.",
            automatic="As soon as it has a name in Salestrekker, it is sent automatically.",
            by_backfill="send it, as soon as it has a name in Salestrekker",
        ),
        (State.HELD, Reason.SAME_NAME): Situation(
            "Same name",
            "It was not sent. {holder} has the same name{renamed}, and Trakor identifies records "
            "by name alone.",
            "the name is taken, and nothing distinguishes the two",
            "Another record has the same name. Trakor identifies records by name alone, so it would treat "
            "the two as one.",
            {
                ACCEPT: "Each is sent under a distinct name, such as “Jane Smith "
                "(jane@example.org)”. A record without such details stays in this list.",
                RETRY: "Each is checked again now, for example after the other record was dropped. "
                "A name that Trakor has stays taken.",
                DROP: _NEVER_SENT,
            },
        ),
        (State.HELD, Reason.SAME_PERSON): Situation(
            "Possibly the same person",
            "It was not sent. {holder} has the same name{renamed}, and may be the same person.{likeness}",
            "possibly the same person as another record",
            "Another record has the same name, and only some of what identifies the two is equal. A father "
            "and a son who share an e-mail address are an example.",
            {
                ACCEPT: "Each is the same person as the other: both share one record in Trakor. If they are "
                "two people, open the record and give it another name.",
                RETRY: "Each is checked again now, for example after one of the two was corrected.",
                DROP: _NEVER_SENT,
            },
        ),
        (State.HELD, Reason.RENAMED): Situation(
            "Renamed",
            "Its name changed in Salestrekker after it was sent. Trakor's API cannot rename it: Trakor still "
            "has the old name.",
            "renamed after they were sent",
            "The name changed in Salestrekker after the record was sent. Trakor cannot rename it, so Trakor "
            "still has the old name.",
            {ACCEPT: _CREATED_AGAIN, DISMISS: _LEFT_FOR_NOW, DROP: _LEFT_FOR_GOOD},
        ),
        (State.HELD, Reason.REMAPPED): Situation(
            "Renamed by the configuration",
            "The configuration was changed and now gives it another name. Trakor still has the old name.",
            "the configuration now gives another name",
            "The configuration was changed and now gives the record another name. Trakor still has the old "
            "name.",
            {ACCEPT: _CREATED_AGAIN, DISMISS: _LEFT_FOR_NOW, DROP: _LEFT_FOR_GOOD},
        ),
        (State.HELD, Reason.SAME_PARTY): Situation(
            "Matched to another record",
            "Trakor answered with the record that already belongs to {claimant}: to Trakor, both names are "
            "the same. An operator has to decide whether they are.",
            "Trakor answered with another record's party or product",
            "Trakor answered with a record that already belongs to another one: to Trakor, both names are "
            "the same.",
            {
                ACCEPT: "The two are the same: each shares the record of the other.",
                RETRY: "Each is checked again when it is next read from Salestrekker.",
                DISMISS: _LEFT_FOR_NOW,
                DROP: _NEVER_SENT,
            },
        ),
        (State.HELD, Reason.EXISTING): Situation(
            "Already in Trakor",
            "Trakor already had a record of this name. An operator has to decide whether it is this one.",
            "Trakor already had the name",
            "Trakor already had a record of this name. You decide whether it is the same one.",
            {
                ACCEPT: "They are the same: the record in Trakor now belongs to this one.",
                DISMISS: _LEFT_FOR_NOW,
                DROP: _LEFT_FOR_GOOD,
            },
        ),
        (State.REJECTED, Reason.MAPPING): Situation(
            "Can't be sent: fix in Salestrekker",
            "It was not sent: one of its fields is missing or invalid in Salestrekker, such as a price below "
            "zero. It is checked again each time it is read.",
            "a field is missing or invalid",
            "One of its fields is missing or invalid in Salestrekker, such as a price below zero. Correct it "
            "there: the record is checked again each time it is read.",
            {DROP: _NEVER_SENT},
            automatic="As soon as it is corrected in Salestrekker or in the configuration, it is sent "
            "automatically.",
            by_backfill="send it, as soon as it is corrected in Salestrekker or in the configuration",
        ),
        (State.REJECTED, Reason.REFUSED): Situation(
            "Refused by Trakor",
            "Trakor refused it as it is.",
            "Trakor refused them",
            "Trakor refused it as it is. Correct it in Salestrekker, then try again.",
            {RETRY: _SENT_AGAIN, DROP: _NEVER_SENT},
        ),
        (State.REJECTED, Reason.SERVER_ERROR): Situation(
            "Trakor failed on it",
            "Trakor failed on it repeatedly, while it accepted other records.",
            "Trakor failed on them repeatedly",
            "Trakor failed on it repeatedly, while it accepted other records. Trakor may still have stored "
            "it, so it is sent again only if you ask for that.",
            {RETRY: _SENT_AGAIN, DROP: _NEVER_SENT},
        ),
        (State.REJECTED, Reason.DAMAGED): Situation(
            "Damaged in the ledger",
            "What the ledger stored of it is damaged. It is checked again when it is next read from "
            "Salestrekker.",
            "what the ledger stored of them is damaged",
            "What the bridge stored of it can no longer be read. It is checked again when it is next read "
            "from Salestrekker.",
            {DROP: _NEVER_SENT},
            automatic="It is checked again when it is next read from Salestrekker.",
            by_backfill="check it again from what Salestrekker has",
        ),
        (State.DRIFTED, ""): Situation(
            "Differs from Trakor",
            "It changed in Salestrekker after it was sent ({fields}), and Trakor's API cannot update it.",
            "changed after they were sent",
            "It changed in Salestrekker after it was sent, and Trakor cannot update it. Correct it in Trakor "
            "by hand, then accept it.",
            {ACCEPT: _CORRECTED, DISMISS: _LEFT_FOR_NOW, DROP: _LEFT_FOR_GOOD},
        ),
        (State.DROPPED, ""): Situation("Dropped", "An operator decided not to send it."),
    }
)
"""Each state with each reason that it can have, in the order of the lists."""

NEEDS_DECISION: Final[Mapping[tuple[State, str], Situation]] = MappingProxyType(
    {key: words for key, words in SITUATIONS.items() if key[0] in DECISIONS}
)
"""The situations in which a record needs a decision, in the order in which a page lists them."""

_TITLES: Final = MappingProxyType({State.SKIPPED: "Left out", State.HELD: "Held", State.REJECTED: "Rejected"})

SHARED_MEANINGS: Final = MappingProxyType(
    {
        Reason.RENAMED: "Its name changed in Salestrekker. It has no record of its own in Trakor: it shared "
        "the record of {claimant}, which keeps its name there.",
        Reason.REMAPPED: "The configuration was changed and now gives it another name. It has no record of "
        "its own in Trakor: it shared the record of {claimant}, which keeps its name there.",
    }
)
"""The meaning of these reasons for a record that was merged into another one."""

MARKS: Final[Mapping[str, MarkWords]] = MappingProxyType(
    {
        "gone": MarkWords(
            "No longer in Salestrekker",
            "no longer in Salestrekker",
            "It is no longer in Salestrekker's list.",
        ),
        "filtered": MarkWords(
            "Now excluded",
            "now excluded by the configuration",
            "The configuration now excludes it. It may be inactive, for example.",
        ),
        "remapped": MarkWords(
            "Made by an older configuration",
            "made by an older configuration",
            "The configuration was changed after it was sent. Trakor has the older version.",
            "The configuration was changed and now makes something else of these records. Trakor has the "
            "older version.",
            {ACCEPT: _CORRECTED, DISMISS: _LEFT_FOR_NOW},
        ),
        "dismissed": MarkWords(
            "Left as in Trakor",
            "left as in Trakor by an operator",
            "An operator left it as it is in Trakor. It is listed again when it changes in Salestrekker.",
            "An operator left these records as they are in Trakor. They are listed again when they change in "
            "Salestrekker.",
        ),
    }
)

ACTIONS: Final[Mapping[OperatorAction, ActionWords]] = MappingProxyType(
    {
        ACCEPT: ActionWords("Accept", "accepted", "accepted"),
        DISMISS: ActionWords("Leave as it is", "left as in Trakor", "dismissed"),
        RETRY: ActionWords("Try again", "tried again", "to be retried"),
        DROP: ActionWords("Drop", "dropped", "dropped"),
    }
)

AFTER_DECISION: Final = MappingProxyType(
    {
        State.PENDING: ("will be sent by the next backfill", "will be sent by the next backfill"),
        State.DELIVERED: ("counts as delivered", "count as delivered"),
        State.MERGED: (
            "shares another record's party or product",
            "share other records' parties or products",
        ),
        State.DROPPED: ("will not be sent", "will not be sent"),
    }
)
"""What a decision leads to, for one record and for several, by the state that it puts them in."""

LEFT_AS_IT_IS: Final = (
    "stays as it is in Trakor, and is not reported again until it changes in Salestrekker",
    "stay as they are in Trakor, and are not reported again until they change in Salestrekker",
)
"""The same for records that were dismissed."""

CHECKED_AGAIN: Final = (
    "is checked again when it is next read from Salestrekker",
    "are checked again when they are next read from Salestrekker",
)
"""The same for records that wait for the next read."""

AT_NEXT_READ: Final = "An operator asked for it to be checked again when it is next read."

ORIGINS: Final = MappingProxyType(
    {
        Origin.EXISTING: "Trakor already had it. Other details of its record there were left unchanged.",
        Origin.UNCLEAR: "It is unknown whether Trakor already had it, because an earlier request was not "
        "answered.",
    }
)
"""What there is to say of an origin other than ``created``."""

FIELD_TITLES: Final = MappingProxyType(
    {
        "name": "Name",
        "contact_info": "Contact details",
        "description": "Description",
        "price": "Price",
        "qualifier": "Distinguished by",
        "rules": "What the changed query reads",
    }
)
"""The fields that can differ; ``rules`` means all, if the query changed and nothing can be compared."""

IDENTIFIERS: Final = MappingProxyType({"email": "e-mail address", "phone": "telephone number"})
"""What identifies a person, by the names of the default ``same_as``."""

NOT_COMPARED: Final = (
    "What Trakor has cannot be compared with what Salestrekker has now: the configuration was changed too "
    "much, or the stored text is damaged. Compare the two by hand."
)

_QUALIFIED: Final = r"qualified: (.+) has the name"

EVENTS: Final = (
    ("pending", "", "To be sent to Trakor."),
    ("pending", _QUALIFIED, "To be sent under its qualified name: {0} has the plain name."),
    ("replaced", "", "Changed in Salestrekker before it was sent: the newer version is sent."),
    ("merged", r"into (.+), by person", "An operator decided that it is {0}: both share a record."),
    ("merged", r"into (.+), by policy", "Shares the record of {0}: the configuration merges equal names."),
    ("merged", r"into (.+)", "The same as {0}: they share one record in Trakor."),
    ("skipped", "", "Skipped: excluded, or without a name."),
    ("skipped", r"(.+)", "Skipped: {0}."),
    ("held", "", "Held: Trakor already had a record of this name."),
    ("held", "renamed", "Held: renamed in Salestrekker, and Trakor cannot rename it."),
    ("held", "remapped", "Held: the configuration now gives it another name."),
    ("held", r"(.+) has the name(?:, and was dropped.*)?", "Held: {0} has the name."),
    ("held", r"perhaps (.+)", "Held: possibly the same person as {0}."),
    ("held", r"not as like (.+) as before", "Held: it changed, and may be another person than {0}."),
    ("held", r"(Trakor answered with .+)", "Held: {0}."),
    ("held", r"(.+)", "Held: {0}."),
    ("rejected", "", "Rejected."),
    ("rejected", r"(.+)", "Rejected: {0}"),
    ("noted", "", "It changed in Salestrekker again. That is decided after the answer."),
    ("noted", r"(.+)", "It changed in Salestrekker again ({0}). That is decided after the answer."),
    ("delivered", "created", "Delivered: Trakor created it."),
    ("delivered", "existing", "Delivered: Trakor already had a record of this name, now linked to it."),
    ("delivered", "unclear", "Delivered: Trakor has it, perhaps from an earlier request without an answer."),
    ("drifted", r"its row was damaged", "Its row was damaged: it is unknown what Trakor has of it."),
    ("drifted", r"(created|existing|unclear): (.+)", "Trakor has it, but {1} differs."),
    ("drifted", r"(.+)", "It changed in Salestrekker ({0}), and Trakor's API cannot update it."),
    ("kept", r"its scope became one.*", "Another record has its name too. It keeps its own in Trakor."),
    ("as-sent", "", "It is again as it was sent."),
    ("remapped", r"(.*)", "The configuration now makes something else ({0}). Trakor has the older."),
    ("keeper", r"in the place of (.+)", "It took over the record in Trakor of {0}."),
    ("kept", r"(.+)", "Its record in Trakor stays its own: {0}."),
    ("dismissed", "", "An operator left it as it is in Trakor, until it changes in Salestrekker again."),
    ("filtered", "", "The configuration now excludes it. It stays in Trakor as it is."),
    ("gone", r"(.+)", "Marked gone: {0}. Nothing is deleted in Trakor."),
    ("seen-again", "", "Back in Salestrekker's list, or included again: the mark was removed."),
    ("answered", r"(.+)", "Trakor answered “{0}” to a request that was under way."),
    ("accepted", "", "An operator accepted it as it is."),
    ("accepted", "pending", "An operator accepted it: to be sent."),
    ("accepted", "under a given name", "An operator gave it a name: to be sent under that name."),
    ("accepted", _QUALIFIED, "An operator accepted it: to be sent under its qualified name."),
    ("accepted", r"into (.+), by person", "An operator accepted it: it shares the record of {0}."),
    ("accepted", r"into (.+)", "An operator accepted it: it shares the record of {0}."),
    ("accepted", r"(.+) has the name", "An operator accepted it, but {0} has the new name: held again."),
    ("accepted", r"(.+)", "An operator accepted it: {0}."),
    ("dropped", "", "An operator dropped it: it is not sent."),
    ("forgotten", "", "Forgotten on request: nothing else is known of it, and it does not come back."),
    ("retry", r"(.+)", "An operator asked for a new check: {0}."),
    ("retried", "", "An operator asked for a new check: to be sent."),
    ("retried", _QUALIFIED, "An operator asked for a new check: to be sent under its qualified name."),
    ("retried", r"into (.+)", "An operator asked for a new check: it shares the record of {0}."),
    ("retried", r"(.+) has the name", "An operator asked for a new check: held, {0} has the name."),
    ("retried", r"perhaps (.+)", "An operator asked for a new check: held, possibly the same person as {0}."),
    ("retried", "taken as it is", "An operator asked for a new check: it is the one that Trakor had."),
)  # fmt: skip
"""Lines of the history: event, pattern of the whole detail, sentence with what the pattern found."""


def situation_of(state: str, reason: str) -> Situation:
    """The words for a state with its reason, also for a pair that no version of the bridge should write."""
    known = SITUATIONS.get((State(state), reason)) or SITUATIONS.get((State(state), ""))
    return known or Situation(_TITLES[State(state)], f"It is {state} {reason}.".replace(" .", "."))


def name_fields(sentence: str) -> str:
    """A sentence with the fields' technical names replaced by their titles."""
    return sentence.replace("contact_info", FIELD_TITLES["contact_info"].lower())
