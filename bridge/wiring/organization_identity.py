"""Identifies a connection's organisations by hashes with the ledger's key, and makes the guards over them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bridge.ledger.connection_and_scope_renames import ConnectionIdentity, note_configured, refuse_if_renamed
from bridge.ledger.connection_organizations import TrakorIdentity
from bridge.organization_guard import GuardedConnection, SalestrekkerGuard, TrakorGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from bridge.ledger.database import Ledger
    from bridge.ledger.feeds import Feed
    from bridge.ledger.read_model import Reader
    from bridge.names import Hasher
    from bridge.settings import ConnectionSettings, Settings
    from bridge.trakor import TrakorClient

__all__ = [
    "check_and_note_connections",
    "hash_organization",
    "hash_trakor",
    "identify_connections",
    "make_salestrekker_guard",
    "make_trakor_guard",
]


def hash_organization(hasher: Hasher, organization: str) -> str:
    """Hash the id of an organisation in Salestrekker."""
    return hasher.value("organization", organization)


def hash_trakor(connection: ConnectionSettings, hasher: Hasher) -> TrakorIdentity:
    """Hash what identifies a connection's Trakor: address, key and scope."""
    trakor = connection.trakor
    return TrakorIdentity(
        hasher.value("address", trakor.url),
        hasher.value("key", trakor.api_key.get_secret_value()),
        hasher.value("scope", connection.scope),
    )


def identify_connections(settings: Settings, hasher: Hasher) -> dict[str, ConnectionIdentity]:
    """Return the identity of each configured connection."""
    return {
        name: ConnectionIdentity(one.scope, hash_trakor(one, hasher))
        for name, one in settings.connections.items()
    }


def check_and_note_connections(transaction: Reader, configured: dict[str, ConnectionIdentity]) -> None:
    """Store the identities of the configured connections, unless one seems to be renamed.

    Raises:
        UserError: A connection may have been renamed. The message says what to do.
    """
    refuse_if_renamed(transaction, configured)
    note_configured(transaction, configured)


def make_salestrekker_guard(
    connection: ConnectionSettings,
    ledger: Ledger,
    hasher: Hasher,
    *,
    clock: Callable[[], int],
    on_stopped: Callable[[], None] = lambda: None,
) -> SalestrekkerGuard:
    """Return the guard that compares the organisation of each log-in with the connection's earlier one."""
    return SalestrekkerGuard(
        ledger, connection.name, partial(hash_organization, hasher), clock=clock, on_stopped=on_stopped
    )


def make_trakor_guard(
    connection: ConnectionSettings,
    ledger: Ledger,
    hasher: Hasher,
    feeds: Collection[Feed],
    destination: TrakorClient,
    *,
    clock: Callable[[], int],
) -> TrakorGuard:
    """Return the guard that proves that a connection still sends to the same Trakor organisation."""
    guarded = GuardedConnection(
        connection.name,
        hash_trakor(connection, hasher),
        tuple(feeds),
        hasher.name_key,
        int(connection.trakor.unanswered_wait * 1000),
    )
    return TrakorGuard(ledger, guarded, destination, clock=clock)
