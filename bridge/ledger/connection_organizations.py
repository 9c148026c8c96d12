"""Which two organisations each connection joins, and why a connection that seems to join others is stopped.

::

    a login        ──check_source──────────> recorded at the first · as recorded · another: stopped
    address, key   ──canaries──────────────> recorded at the first · as recorded · another: canaries first
    an operator    ──confirm_organizations─> what was found is right, and recorded

Everything is stored as keyed hashes. A connection is stopped by a mismatch in the ledger and by two pauses.
If someone ends the pauses or restarts the process, the mismatch still stops it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from sqlalchemy import func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.decision.canary_verdict import CanaryAnswer, may_have_been_created
from bridge.errors import LedgerError
from bridge.ledger.schema import feeds, organizations, records
from bridge.ledger.stored_pauses import Direction, clear_pause, set_pause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

__all__ = [
    "OTHER_SOURCE",
    "OTHER_TRAKOR",
    "AskedCanary",
    "KnownOrganizations",
    "OrganizationMismatch",
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
"""Why a connection is stopped, as pauses and reports show it."""

_PUT_BACK: Final = {
    OTHER_SOURCE: "put the right log-in, or [salestrekker] organization, back",
    OTHER_TRAKOR: "put the right [trakor] url and api_key back",
}
"""What to do if what was found is not the right one."""

_KNOWN: Final = select(feeds.c.number).limit(1)


class TrakorIdentity(NamedTuple):
    """Where a connection sends to, as keyed hashes; empty texts if that was never recorded."""

    address: str = ""
    key: str = ""
    scope: str = ""

    def is_same_trakor(self, other: TrakorIdentity) -> bool:
        """Return whether address and key are the same, so that nothing has to be proved."""
        return (self.address, self.key) == (other.address, other.key)


class AskedCanary(NamedTuple):
    """One canary that was posted to another Trakor.

    Attributes:
        answer: What came of it.
        not_before: When a lost one may be sent again, milliseconds since the epoch.
        tries: How often it was sent.
        name: Its name, sealed, for an operator who may have to delete it; empty once it was forgotten.
    """

    answer: CanaryAnswer
    not_before: int = 0
    tries: int = 1
    name: str = ""


@dataclass(frozen=True, slots=True)
class OrganizationMismatch:
    """What speaks against a connection, stored as JSON in the column ``refused``.

    Attributes:
        source: The other Salestrekker organisation of a login; empty if there was none.
        trakor: The other Trakor that is, or was, asked; empty if there is none.
        asked: Its canaries, by the hash of the name.
        another: It was judged to be another organisation.
        strays: What may have been created in a Trakor that is no longer configured: hash of the name -> the
            sealed name.
        unproven: Address or key changed, and no canary could prove that it is the same organisation.
    """

    source: str = ""
    trakor: TrakorIdentity = field(default_factory=TrakorIdentity)
    asked: Mapping[str, AskedCanary] = field(default_factory=dict)
    another: bool = False
    strays: Mapping[str, str] = field(default_factory=dict)
    unproven: bool = False

    @property
    def made(self) -> dict[str, str]:
        """All names that may have been created in another organisation, to be deleted there, sealed."""
        fresh = {key: one.name for key, one in self.asked.items() if may_have_been_created(one.answer)}
        return {**self.strays, **fresh}

    def without_trial(self) -> OrganizationMismatch:
        """Return the mismatch after a trial of another Trakor ended; names that it may have created stay."""
        return replace(self, trakor=TrakorIdentity(), asked={}, another=False, strays=self.made)

    def without_name(self, key: str) -> OrganizationMismatch:
        """Return the mismatch without a forgotten name. It stays known that there is something to delete."""
        asked = {one: it._replace(name="") if one == key else it for one, it in self.asked.items()}
        strays = {one: "" if one == key else name for one, name in self.strays.items()}
        return replace(self, asked=asked, strays=strays)

    def encoded(self) -> str:
        """Return it as the ledger stores it; empty if nothing speaks against the connection."""
        if self == OrganizationMismatch():
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
    def decoded(cls, text: str) -> OrganizationMismatch:
        """Parse what ``encoded`` returned.

        Raises:
            LedgerError: It cannot be read, so that nobody knows which organisations are joined.
        """
        try:
            return cls._decoded(text)
        except (ValueError, TypeError, AttributeError) as error:
            raise LedgerError(
                "the ledger no longer shows which organisations it joins: its file is damaged",
                advice="restore the last backup; `trakor-bridge ledger check` examines the file",
            ) from error

    @classmethod
    def _decoded(cls, text: str) -> OrganizationMismatch:
        if not text:
            return cls()
        stored: dict[str, Any] = orjson.loads(text)
        asked = {
            key: AskedCanary(CanaryAnswer(word), *others)
            for key, (word, *others) in stored.get("asked", {}).items()
        }
        return cls(
            source=stored.get("source", ""),
            trakor=TrakorIdentity(*stored.get("place", ())),
            asked=asked,
            another=stored.get("another", False),
            strays=stored.get("strays", {}),
            unproven=stored.get("unproven", False),
        )


@dataclass(frozen=True, slots=True)
class KnownOrganizations:
    """What is recorded of a connection.

    Attributes:
        name: The connection's name.
        source: Salestrekker's organisation; empty if not read yet.
        trakor: Its Trakor; empty texts if not recorded yet.
        mismatch: What speaks against it.
    """

    name: str
    source: str = ""
    trakor: TrakorIdentity = field(default_factory=TrakorIdentity)
    mismatch: OrganizationMismatch = field(default_factory=OrganizationMismatch)

    @property
    def stopped(self) -> bool:
        """Whether nothing is read or sent until an operator has resolved the mismatch."""
        return bool(self.mismatch.source) or self.mismatch.another


def load_known(connection: Connection, name: str) -> KnownOrganizations:
    """Load what is recorded of a connection."""
    row = connection.execute(select(organizations).where(organizations.c.connection == name)).one_or_none()
    if row is None:
        return KnownOrganizations(name)
    return KnownOrganizations(
        name,
        row.source,
        TrakorIdentity(row.address, row.key, row.scope),
        OrganizationMismatch.decoded(row.refused),
    )


def find_stop_reason(connection: Connection, name: str) -> str:
    """Return why a connection is stopped, as a clause; empty if it is not."""
    return _stop_reason(load_known(connection, name))


def _stop_reason(noted: KnownOrganizations) -> str:
    if noted.mismatch.source:
        return OTHER_SOURCE
    return OTHER_TRAKOR if noted.mismatch.another else ""


def save_known(connection: Connection, noted: KnownOrganizations) -> None:
    """Store what is recorded of a connection, replacing what was."""
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
    """Check that a login is for the organisation that the connection has read before; record the first.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        source: Hash of the organisation that the token is for.
        now: The time to note.

    Returns:
        Whether it is the same organisation. If not, reading and sending are stopped.
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
    """Pause a connection that is stopped, even if someone has ended its pauses.

    Returns:
        Why it is stopped; empty if it is not.
    """
    why = find_stop_reason(connection, name)
    if why:
        for direction in Direction:
            set_pause(connection, name, direction, reason=f"{why}; {recovery_advice(name, why)}", now=now)
    return why


def recovery_advice(name: str, why: str) -> str:
    """Return what an operator can do about a stopped connection, as a clause: the safe option first."""
    return f"{_PUT_BACK[why]}; if it is the right one: `trakor-bridge connections confirm {name}`"


def resume_if_clear(connection: Connection, noted: KnownOrganizations) -> None:
    """End the pauses of a connection that is no longer stopped; an operator's pauses stay."""
    if not noted.stopped:
        for direction in Direction:
            clear_pause(connection, noted.name, direction)


def is_new_connection(connection: Connection, name: str) -> bool:
    """Return whether the ledger knows nothing of a connection, neither its organisations nor any list."""
    return (
        load_known(connection, name) == KnownOrganizations(name)
        and connection.scalar(_KNOWN.where(feeds.c.connection == name)) is None
    )


def list_doubts(connection: Connection, name: str, trakor: TrakorIdentity) -> list[str]:
    """Return what ``confirm_organizations`` would confirm, as clauses; empty if nothing is in doubt.

    Args:
        connection: Inside any transaction.
        name: The connection's name.
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
    """Count the records that Trakor has, if it may not be the Trakor of last time; otherwise 0.

    Args:
        connection: Inside any transaction.
        name: The connection's name.
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
    """Confirm for an operator that what was found is right.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        trakor: Its Trakor as configured: the right one from now on, whatever was recorded before.

    Returns:
        What is confirmed, as clauses; empty if nothing was in doubt.
    """
    doubts, noted = list_doubts(connection, name, trakor), load_known(connection, name)
    settled = KnownOrganizations(name, noted.mismatch.source or noted.source, trakor)
    save_known(connection, settled)
    resume_if_clear(connection, settled)
    return doubts
