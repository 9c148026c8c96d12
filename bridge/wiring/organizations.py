"""What a configured connection is known by: its Trakor and its scope, hashed with the ledger's key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.ledger.organizations import Place
from bridge.ledger.renaming import Identity, note_configured, refuse_renamed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.ledger.reading import Reader
    from bridge.ledger.rows import Feed
    from bridge.naming import Hasher
    from bridge.records import Payload
    from bridge.settings import Connection, Settings

__all__ = ["begin_with", "canaries_of", "identities_of", "place_of", "source_hash"]


def source_hash(hasher: Hasher, organization: str) -> str:
    """The hash of the id of an organisation in Salestrekker."""
    return hasher.value("organization", organization)


def place_of(connection: Connection, hasher: Hasher) -> Place:
    """A connection's Trakor, hashed."""
    trakor = connection.trakor
    return Place(
        hasher.value("address", trakor.url),
        hasher.value("key", trakor.api_key.get_secret_value()),
        hasher.value("scope", connection.scope),
    )


def identities_of(settings: Settings, hasher: Hasher) -> dict[str, Identity]:
    """What each configured connection is known by."""
    return {name: Identity(one.scope, place_of(one, hasher)) for name, one in settings.connections.items()}


def begin_with(transaction: Reader, configured: dict[str, Identity]) -> None:
    """Begin to work with a configuration: none of its connections may be another one under a new name.

    Raises:
        UserError: One may be; it says what to do.
    """
    refuse_renamed(transaction, configured)
    note_configured(transaction, configured)


def canaries_of(transaction: Reader, feed: Feed) -> Sequence[Payload]:
    """What Trakor took lately of a stream."""
    del transaction, feed
    return ()
