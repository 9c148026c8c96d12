"""What ``load`` gives: the configuration, checked, with every path and reference resolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic import SecretStr

    from bridge.records import Stream
    from bridge.settings.model import (
        AdminSettings,
        AlertsSettings,
        LogSettings,
        SalestrekkerSettings,
        ScheduleSettings,
        StreamSettings,
        TrakorSettings,
        WebhooksSettings,
    )

__all__ = ["ConnectionSettings", "LedgerSettings", "Settings"]


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """One pair of organisations.

    Attributes:
        name: ``default``, or the name of its file in ``connections_dir``.
        salestrekker: Where its records come from.
        trakor: Where they go.
        streams: How each stream is read, mapped and decided.
        schedule: When the daemon reads.
        webhook_tokens: The secret parts of its webhook addresses: none, one, or two while one replaces
            the other.
    """

    name: str
    salestrekker: SalestrekkerSettings
    trakor: TrakorSettings
    streams: Mapping[Stream, StreamSettings]
    schedule: ScheduleSettings
    webhook_tokens: tuple[SecretStr, ...] = ()

    def secrets(self) -> list[SecretStr | None]:
        """What must never be shown, of this connection."""
        source = self.salestrekker
        return [source.api_key, source.password, self.trakor.api_key, *self.webhook_tokens]

    @property
    def scope(self) -> str:
        """The Trakor organisation in which names are claimed."""
        return self.trakor.scope or self.name

    def stream(self, stream: Stream) -> StreamSettings:
        """The settings of one stream."""
        return self.streams[stream]


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """Where the ledger is.

    Attributes:
        url: As given; may hold a password.
        path: Of the file, absolute; None where the ledger is no file.
        key: Of the keyed hashes and of sealed text; None: the file ``ledger.key`` beside the ledger.
        keep_history: Seconds.
        keep: ``sealed``: what was sent stays, encrypted; ``hashes``: only whether it differs.
    """

    url: SecretStr
    path: Path | None
    key: SecretStr | None
    keep_history: float
    keep: str = "sealed"


@dataclass(frozen=True, slots=True)
class Settings:
    """All that was configured, checked.

    Attributes:
        folder: Absolute; of the configuration file: ``queries/`` is looked for here.
        connections: Name -> connection, at least one; ``default`` first, the others by name.
        ledger: Where the ledger is.
        log: How much is logged, and how it looks.
        webhooks: The listener for Salestrekker's webhooks.
        admin: The listener for the status page.
        alerts: Who is told.
    """

    folder: Path
    connections: Mapping[str, ConnectionSettings]
    ledger: LedgerSettings
    log: LogSettings
    webhooks: WebhooksSettings
    admin: AdminSettings
    alerts: AlertsSettings

    def secrets(self) -> frozenset[str]:
        """Every secret value, for what has to keep them out of sight."""
        secrets = [self.admin.password, self.alerts.heartbeat_url, *self.alerts.urls, self.ledger.key]
        for connection in self.connections.values():
            secrets += connection.secrets()
        texts = [secret.get_secret_value() for secret in secrets if secret]
        return frozenset([*texts, *_password(self.ledger.url.get_secret_value())])


def _password(url: str) -> Iterator[str]:
    """The one part of a ledger's address that is secret."""
    user, at, _host = url.partition("://")[2].rpartition("@")
    _name, _colon, password = user.partition(":")
    if at and password:
        yield password
