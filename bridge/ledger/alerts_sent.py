"""What each address was told already: a restart neither repeats an alert nor forgets that it is not over."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import bindparam, delete, insert, select

from bridge.ledger.schema import said

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Connection

__all__ = ["Said", "Topic", "all_said", "forget_all_but", "keep_said"]


class Topic(NamedTuple):
    """What an alert is about; two alerts of one topic are the same one, said again.

    Attributes:
        kind: The alert's word.
        connection: The connection's name; empty for the process as a whole.
        stream: The stream; empty where it is about no one stream.
        detail: What else tells it from others, e.g. the reason that records wait for.
    """

    kind: str
    connection: str = ""
    stream: str = ""
    detail: str = ""


class Said(NamedTuple):
    """When a topic was told last, and the number that was told with it, where it has one."""

    at: int
    number: int = 0


_OF_ADDRESS = delete(said).where(said.c.address == bindparam("of_address"))


def all_said(connection: Connection) -> dict[str, dict[Topic, Said]]:
    """All that was said, by address (its hash: an address holds secrets)."""
    found: dict[str, dict[Topic, Said]] = {}
    for row in connection.execute(select(said)):
        topic = Topic(row.kind, row.connection, row.stream, row.detail)
        found.setdefault(row.address, {})[topic] = Said(row.at, row.number)
    return found


def keep_said(connection: Connection, address: str, topics: Mapping[Topic, Said]) -> None:
    """Note what one address knows, in place of what was noted before.

    Args:
        connection: Inside a writing transaction.
        address: The hash of the address.
        topics: All that it was told and that is not over.
    """
    connection.execute(_OF_ADDRESS, {"of_address": address})
    rows = [{"address": address, **topic._asdict(), **told._asdict()} for topic, told in topics.items()]
    if rows:
        connection.execute(insert(said), rows)


def forget_all_but(connection: Connection, addresses: Collection[str]) -> None:
    """Forget what was said to addresses that are not configured any more."""
    connection.execute(delete(said).where(said.c.address.not_in(sorted(addresses))))
