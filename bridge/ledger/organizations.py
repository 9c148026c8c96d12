"""Which two organisations each connection joins, and why one is stopped that seems to join others.

::

    a log-in       ──hold_source──> noted at the first · as noted · another: stopped
    address, key   ──trials──────> noted at the first · as noted · another: canaries, then noted or stopped
    a person       ──confirm─────> what was found is right, and noted

Everything is kept as keyed hashes. A connection is stopped by the ledger's word and by two pauses: whoever
ends the pauses, or restarts the process, still meets the word.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from sqlalchemy import func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.decision.canaries import CanaryAnswer, may_have_been_created
from bridge.errors import LedgerError
from bridge.ledger.pauses import Direction, clear_pause, set_pause
from bridge.ledger.schema import feeds, organizations, records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

__all__ = [
    "OTHER_SOURCE",
    "OTHER_TRAKOR",
    "AskedCanary",
    "KnownOrganizations",
    "Mismatch",
    "TrakorIdentity",
    "check_source",
    "confirm_organizations",
    "count_sent_before",
    "find_stop_reason",
    "is_new_connection",
    "list_doubts",
    "load_known",
    "pause_if_stopped",
    "recovery_advice",
    "resume_if_clear",
    "save_known",
]

OTHER_SOURCE: Final = "Salestrekker's log-in is for another organisation than before"
OTHER_TRAKOR: Final = (
    "Trakor's address or key is that of another organisation than before, or of one that was emptied"
)
"""Why a connection is stopped, as pauses and reports say it."""

_PUT_BACK: Final = {
    OTHER_SOURCE: "put the right log-in, or [salestrekker] organization, back",
    OTHER_TRAKOR: "put the right [trakor] url and api_key back",
}
"""What to do where what was found is not the right one."""

_KNOWN: Final = select(feeds.c.number).limit(1)


class TrakorIdentity(NamedTuple):
    """Where a connection sends to, as keyed hashes; empty texts where that was never noted."""

    address: str = ""
    key: str = ""
    scope: str = ""

    def is_same_trakor(self, other: TrakorIdentity) -> bool:
        """Whether address and key are the same: then nothing has to be proved."""
        return (self.address, self.key) == (other.address, other.key)


class AskedCanary(NamedTuple):
    """One canary of a trial.

    Attributes:
        answer: What became of it.
        not_before: When a lost one may be sent again, milliseconds since the epoch.
        tries: How often it was sent.
        name: Sealed, for a person who may have to delete it; empty once it was forgotten.
    """

    answer: CanaryAnswer
    not_before: int = 0
    tries: int = 1
    name: str = ""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What speaks against a connection, kept as JSON in the column ``refused``.

    Attributes:
        source: The other Salestrekker organisation that a log-in was for; empty: none was.
        trakor: The other Trakor that is, or was, asked; empty: none is.
        asked: Its canaries, by the hash of the name.
        another: It was judged: another organisation.
        strays: What may have been made in a Trakor that is not configured any more: hash of the name -> the
            name, sealed.
        unproven: Address or key changed, and there was no canary to prove that it is the same organisation.
    """

    source: str = ""
    trakor: TrakorIdentity = field(default_factory=TrakorIdentity)
    asked: Mapping[str, AskedCanary] = field(default_factory=dict)
    another: bool = False
    strays: Mapping[str, str] = field(default_factory=dict)
    unproven: bool = False

    @property
    def made(self) -> dict[str, str]:
        """All that may have been made in another organisation, to be deleted there: likewise."""
        fresh = {key: one.name for key, one in self.asked.items() if may_have_been_created(one.answer)}
        return {**self.strays, **fresh}

    def without_trial(self) -> Mismatch:
        """The same once the other Trakor is not asked any more; what may be made there is kept."""
        return replace(self, trakor=TrakorIdentity(), asked={}, another=False, strays=self.made)

    def without_name(self, key: str) -> Mismatch:
        """The same without a name that was forgotten: that there is something to delete stays known."""
        asked = {one: it._replace(name="") if one == key else it for one, it in self.asked.items()}
        strays = {one: "" if one == key else name for one, name in self.strays.items()}
        return replace(self, asked=asked, strays=strays)

    def encoded(self) -> str:
        """As the ledger keeps it; empty for no doubt."""
        if self == Mismatch():
            return ""
        asked = {key: list(one) for key, one in self.asked.items()}
        values = {
            "source": self.source,
            "place": list(self.trakor),
            "asked": asked,
            "another": self.another,
            "strays": dict(self.strays),
            "unproven": self.unproven,
        }
        return orjson.dumps({name: value for name, value in values.items() if value}).decode()

    @classmethod
    def decoded(cls, text: str) -> Mismatch:
        """The doubt that ``encoded`` made the text of.

        Raises:
            LedgerError: It cannot be read, so that nobody knows which organisations are joined.
        """
        try:
            return cls._decoded(text)
        except (ValueError, TypeError, AttributeError) as error:
            raise LedgerError(
                "the ledger does not tell any more which organisations it joins: its file is damaged",
                advice="restore the last backup; `trakor-bridge ledger check` looks through the file",
            ) from error

    @classmethod
    def _decoded(cls, text: str) -> Mismatch:
        if not text:
            return cls()
        said: dict[str, Any] = orjson.loads(text)
        asked = {
            key: AskedCanary(CanaryAnswer(word), *others)
            for key, (word, *others) in said.get("asked", {}).items()
        }
        return cls(
            source=said.get("source", ""),
            trakor=TrakorIdentity(*said.get("place", ())),
            asked=asked,
            another=said.get("another", False),
            strays=said.get("strays", {}),
            unproven=said.get("unproven", False),
        )


@dataclass(frozen=True, slots=True)
class KnownOrganizations:
    """What is noted of a connection.

    Attributes:
        name: The connection's.
        source: Salestrekker's organisation; empty: not read yet.
        trakor: Trakor; empty texts: not noted yet.
        mismatch: What speaks against it.
    """

    name: str
    source: str = ""
    trakor: TrakorIdentity = field(default_factory=TrakorIdentity)
    mismatch: Mismatch = field(default_factory=Mismatch)

    @property
    def stopped(self) -> bool:
        """Nothing is read or sent until a person has seen to it."""
        return bool(self.mismatch.source) or self.mismatch.another


def load_known(connection: Connection, name: str) -> KnownOrganizations:
    """What is noted of a connection."""
    row = connection.execute(select(organizations).where(organizations.c.connection == name)).one_or_none()
    if row is None:
        return KnownOrganizations(name)
    return KnownOrganizations(
        name, row.source, TrakorIdentity(row.address, row.key, row.scope), Mismatch.decoded(row.refused)
    )


def find_stop_reason(connection: Connection, name: str) -> str:
    """Why a connection is stopped, as a sentence has it; empty where it is not."""
    return _stop_reason(load_known(connection, name))


def _stop_reason(noted: KnownOrganizations) -> str:
    if noted.mismatch.source:
        return OTHER_SOURCE
    return OTHER_TRAKOR if noted.mismatch.another else ""


def save_known(connection: Connection, noted: KnownOrganizations) -> None:
    """Write what is noted of a connection, in place of what was."""
    values = {
        "source": noted.source,
        "address": noted.trakor.address,
        "key": noted.trakor.key,
        "scope": noted.trakor.scope,
        "refused": noted.mismatch.encoded(),
    }
    written = upsert(organizations).values(connection=noted.name, **values)
    connection.execute(written.on_conflict_do_update(index_elements=["connection"], set_=values))


def check_source(connection: Connection, name: str, source: str, *, now: int) -> bool:
    """Hold a log-in to the organisation that the connection has read before; noted at the first.

    Args:
        connection: Inside a writing transaction.
        name: The connection's.
        source: Hash of the organisation that the token is for.
        now: The time to note.

    Returns:
        Whether it is the one. Where it is not, reading and sending are stopped.
    """
    noted = load_known(connection, name)
    if noted.source not in {"", source}:
        save_known(connection, replace(noted, mismatch=replace(noted.mismatch, source=source)))
        pause_if_stopped(connection, name, now=now)
        return False
    if noted.source and not noted.mismatch.source:
        return True
    settled = replace(noted, source=source, mismatch=replace(noted.mismatch, source=""))
    save_known(connection, settled)
    if noted.mismatch.source:
        resume_if_clear(connection, settled)
    return True


def pause_if_stopped(connection: Connection, name: str, *, now: int) -> str:
    """Keep to it that a connection is stopped, whoever has ended its pauses.

    Returns:
        Why it is; empty where it is not stopped.
    """
    why = find_stop_reason(connection, name)
    if why:
        for direction in Direction:
            set_pause(connection, name, direction, reason=f"{why}; {recovery_advice(name, why)}", now=now)
    return why


def recovery_advice(name: str, why: str) -> str:
    """What a person can do about a connection that is stopped, as a clause: first what is safe."""
    return f"{_PUT_BACK[why]}; where it is the right one: `trakor-bridge connections confirm {name}`"


def resume_if_clear(connection: Connection, noted: KnownOrganizations) -> None:
    """End the pauses of a connection that is not stopped any more; a person's stay."""
    if not noted.stopped:
        for direction in Direction:
            clear_pause(connection, noted.name, direction)


def is_new_connection(connection: Connection, name: str) -> bool:
    """Whether the ledger knows nothing of a connection, neither what it joins nor any list of it."""
    return (
        load_known(connection, name) == KnownOrganizations(name)
        and connection.scalar(_KNOWN.where(feeds.c.connection == name)) is None
    )


def list_doubts(connection: Connection, name: str, trakor: TrakorIdentity) -> list[str]:
    """What ``confirm_organizations`` would confirm, as clauses; empty if nothing is in doubt.

    Args:
        connection: Inside any transaction.
        name: The connection's.
        trakor: Its Trakor as configured.
    """
    noted = load_known(connection, name)
    mismatch = noted.mismatch
    is_another = bool(noted.trakor.address) and not noted.trakor.is_same_trakor(trakor)
    return [
        *(["the log-in is for the right Salestrekker organisation"] if mismatch.source else ()),
        *(["the key is for the right Trakor organisation"] if is_another else ()),
        *(["the changed address or key of Trakor is right"] if mismatch.unproven else ()),
        *(["the names that were listed have been deleted in Trakor"] if mismatch.made else ()),
        *(
            ["it is a new connection, not another one under a new name"]
            if is_new_connection(connection, name)
            else ()
        ),
    ]


def count_sent_before(connection: Connection, name: str, trakor: TrakorIdentity) -> int:
    """How many records count as in Trakor, where that is not known to be the Trakor of last time; else 0.

    Args:
        connection: Inside any transaction.
        name: The connection's.
        trakor: Its Trakor as configured.
    """
    noted = load_known(connection, name)
    if not noted.trakor.address or noted.trakor.is_same_trakor(trakor):
        return 0
    of_connection = select(feeds.c.number).where(feeds.c.connection == name)
    counted = select(func.count()).where(
        records.c.feed.in_(of_connection), records.c.trakor_id.is_not(None), records.c.forgotten == 0
    )
    return int(connection.scalar(counted) or 0)


def confirm_organizations(connection: Connection, name: str, trakor: TrakorIdentity) -> list[str]:
    """A person says that what was found is right.

    Args:
        connection: Inside a writing transaction.
        name: The connection's.
        trakor: Its Trakor as configured: the right one from now on, whatever was asked or noted before.

    Returns:
        What is taken as right from now on, as clauses; empty where nothing was in doubt.
    """
    said, noted = list_doubts(connection, name, trakor), load_known(connection, name)
    settled = KnownOrganizations(name, noted.mismatch.source or noted.source, trakor)
    save_known(connection, settled)
    resume_if_clear(connection, settled)
    return said
