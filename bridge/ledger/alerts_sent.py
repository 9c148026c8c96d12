"""The alerts that were sent to each address, so that none is sent twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import bindparam, delete, insert, select

from bridge.ledger.schema import alerts_sent

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Connection

__all__ = ["AlertSent", "AlertTopic", "delete_unlisted_addresses", "load_alerts_sent", "save_alerts_sent"]


class AlertTopic(NamedTuple):
    """What an alert is about. Two alerts with one topic are the same alert, repeated.

    Attributes:
        kind: The alert's word.
        connection: The connection's name; empty for the process as a whole.
        stream: The stream; empty if the alert is not about one stream.
        detail: What else distinguishes it, for example the reason for which records wait.
    """

    kind: str
    connection: str = ""
    stream: str = ""
    detail: str = ""


class AlertSent(NamedTuple):
    """When a topic was last reported, and the number in that message if it has one."""

    at: int
    number: int = 0


_DELETE_OF_ADDRESS = delete(alerts_sent).where(alerts_sent.c.address == bindparam("of_address"))


def load_alerts_sent(connection: Connection) -> dict[str, dict[AlertTopic, AlertSent]]:
    """Load all alerts that were sent, by address. The address is hashed, because it contains secrets."""
    found: dict[str, dict[AlertTopic, AlertSent]] = {}
    for row in connection.execute(select(alerts_sent)):
        topic = AlertTopic(row.kind, row.connection, row.stream, row.detail)
        found.setdefault(row.address, {})[topic] = AlertSent(row.at, row.number)
    return found


def save_alerts_sent(connection: Connection, address: str, topics: Mapping[AlertTopic, AlertSent]) -> None:
    """Store which alerts one address has received, replacing what was stored before.

    Args:
        connection: Inside a writing transaction.
        address: The hash of the address.
        topics: All alerts that it received and that are not over.
    """
    connection.execute(_DELETE_OF_ADDRESS, {"of_address": address})
    rows = [{"address": address, **topic._asdict(), **sent._asdict()} for topic, sent in topics.items()]
    if rows:
        connection.execute(insert(alerts_sent), rows)


def delete_unlisted_addresses(connection: Connection, addresses: Collection[str]) -> None:
    """Delete the alerts of addresses that are no longer configured."""
    connection.execute(delete(alerts_sent).where(alerts_sent.c.address.not_in(sorted(addresses))))
