"""What the status page calls things, and what a decision does to many records at once.

The words of the ledger stay words of the ledger (docs/glossary.md): these are their titles, for a reader
who has never seen a configuration file.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bridge.ledger.operator_actions import OperatorAction
from bridge.records import Reason, State
from bridge.status.fields import TITLES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KINDS", "LABELS", "MARKED", "MARKS", "STATES", "Kind", "in_words"]


@dataclass(frozen=True, slots=True)
class Kind:
    """Why records wait for a person, and what a person can do about all of them.

    Attributes:
        title: In a few words.
        why: In a sentence or two.
        effects: What each possible decision does.
    """

    title: str
    why: str
    effects: Mapping[OperatorAction, str]


_NEVER: Final = "They are never sent, and nobody is asked again."
_LEFT: Final = "Trakor keeps what it has, and nobody is asked again."
_DISMISSED: Final = "Each is left as it is in Trakor. Nothing is said until it changes in Salestrekker again."
_NEXT_READ: Final = "Each is checked again when it is next read from Salestrekker."

KINDS: Final[Mapping[tuple[State, str], Kind]] = MappingProxyType(
    {
        (State.HELD, Reason.SAME_NAME): Kind(
            "Same name",
            "Another record has the same name. Trakor knows records by their names alone, so it would take "
            "the two for one.",
            {
                OperatorAction.ACCEPT: "Each is sent under a name that tells it apart, such as “Jane Smith "
                "(jane@example.org)”. One that has nothing to tell it apart stays where it is.",
                OperatorAction.RETRY: "Each is checked again now, for example once the other one was dropped."
                " A name that Trakor has stays taken.",
                OperatorAction.DROP: _NEVER,
            },
        ),
        (State.HELD, Reason.SAME_PERSON): Kind(
            "Perhaps the same person",
            "Another record has the same name. Some of what identifies the two is the same and some is not, "
            "as with father and son who share an e-mail address.",
            {
                OperatorAction.ACCEPT: "Each is the same person as the other: both share one record in "
                "Trakor. For two different people, open the record and give it a name of its own.",
                OperatorAction.RETRY: "Each is checked again now: useful once one of them was corrected.",
                OperatorAction.DROP: _NEVER,
            },
        ),
        (State.HELD, Reason.RENAMED): Kind(
            "Renamed",
            "The name has changed in Salestrekker since it was sent. Trakor cannot rename: there it still "
            "has the old name.",
            {
                OperatorAction.ACCEPT: "Each is created in Trakor under its new name. The old "
                "records there stay.",
                OperatorAction.DISMISS: _DISMISSED,
                OperatorAction.DROP: _LEFT,
            },
        ),
        (State.HELD, Reason.REMAPPED): Kind(
            "Named otherwise by the configuration",
            "The configuration was changed and now gives another name. In Trakor it still has the old one.",
            {
                OperatorAction.ACCEPT: "Each is created in Trakor under its new name. The old "
                "records there stay.",
                OperatorAction.DISMISS: _DISMISSED,
                OperatorAction.DROP: _LEFT,
            },
        ),
        (State.HELD, Reason.SAME_PARTY): Kind(
            "Taken for another",
            "Trakor answered with the record that another one has already: to Trakor both names are one.",
            {
                OperatorAction.ACCEPT: "They are one: each shares the record of the other.",
                OperatorAction.RETRY: _NEXT_READ,
                OperatorAction.DISMISS: _DISMISSED,
                OperatorAction.DROP: _NEVER,
            },
        ),
        (State.HELD, Reason.EXISTING): Kind(
            "In Trakor before",
            "Trakor had a record of this name already. You have to say whether it is the same one.",
            {
                OperatorAction.ACCEPT: "They are the same: the record that Trakor had counts as this one's.",
                OperatorAction.DISMISS: _DISMISSED,
                OperatorAction.DROP: _LEFT,
            },
        ),
        (State.REJECTED, Reason.MAPPING): Kind(
            "Can't be sent: fix in Salestrekker",
            "One of its fields could not be made from what Salestrekker says, or cannot be right, such as "
            "a price below zero. Correct it in Salestrekker: it is checked again whenever it is read.",
            {OperatorAction.DROP: _NEVER},
        ),
        (State.REJECTED, Reason.REFUSED): Kind(
            "Refused by Trakor",
            "Trakor did not take it as it is. Correct it in Salestrekker, then try again.",
            {OperatorAction.RETRY: "Each is sent once more as it is.", OperatorAction.DROP: _NEVER},
        ),
        (State.REJECTED, Reason.SERVER_ERROR): Kind(
            "Trakor failed on it",
            "Trakor failed on it again and again while it took others. Trakor may have it all the same, so "
            "it is sent again only if somebody asks for that.",
            {OperatorAction.RETRY: "Each is sent once more as it is.", OperatorAction.DROP: _NEVER},
        ),
        (State.REJECTED, Reason.DAMAGED): Kind(
            "Damaged in the ledger",
            "What the bridge had stored of it cannot be read any more. It is checked again when it is next "
            "read from Salestrekker.",
            {OperatorAction.DROP: _NEVER},
        ),
        (State.DRIFTED, ""): Kind(
            "Differs from Trakor",
            "Trakor has something else than Salestrekker says now, and Trakor cannot update. Correct it in "
            "Trakor by hand, then accept.",
            {
                OperatorAction.ACCEPT: "Each counts as corrected in Trakor by hand. Nothing is sent.",
                OperatorAction.DISMISS: _DISMISSED,
                OperatorAction.DROP: _LEFT,
            },
        ),
    }
)
"""All that waits for a person, in the order in which a page lists it."""

MARKED: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "remapped": Kind(
            "Made by an older configuration",
            "The configuration was changed and now makes something else. Trakor has what the older one made.",
            {
                OperatorAction.ACCEPT: "Each counts as corrected in Trakor by hand. Nothing is sent.",
                OperatorAction.DISMISS: _DISMISSED,
            },
        ),
        "dismissed": Kind(
            "Left as in Trakor",
            "A person left them as they are in Trakor. Nothing is said until they change in Salestrekker "
            "again.",
            {},
        ),
    }
)
"""What does not wait for a person, and can be looked at: records by their mark."""

MARKS: Final = MappingProxyType(
    {
        "gone": "no longer in Salestrekker",
        "filtered": "not wanted any more by the configuration",
        "remapped": "made by an older configuration",
        "dismissed": "left as in Trakor by a person",
    }
)
"""What is told of a record with a mark, after "is" or "are"."""

STATES: Final = MappingProxyType(
    {
        State.PENDING: "To be sent",
        State.DELIVERED: "Delivered",
        State.MERGED: "Merged",
        State.SKIPPED: "Left out",
        State.HELD: "Held",
        State.REJECTED: "Rejected",
        State.DRIFTED: "Drifted",
        State.DROPPED: "Dropped",
    }
)
"""The titles of states."""

LABELS: Final = MappingProxyType(
    {
        OperatorAction.ACCEPT: "Accept",
        OperatorAction.DISMISS: "Leave as it is",
        OperatorAction.RETRY: "Try again",
        OperatorAction.DROP: "Drop",
    }
)
"""What the buttons say."""


def in_words(sentence: str) -> str:
    """A sentence with the names of fields as a reader says them, who has never seen a map."""
    return sentence.replace("contact_info", TITLES["contact_info"].lower())
