"""The configuration: one TOML file, the environment over it, and secrets from files, checked as a whole.

``load`` returns frozen, plain values (durations in seconds, paths absolute), or raises all errors at once.
A secret is a ``pydantic.SecretStr``: only ``get_secret_value()`` shows it. Only the outermost layers read
the settings. Everything below them gets plain values.
"""

from __future__ import annotations

from bridge.settings.interval_or_crontab import Crontab, Every, Timing, parse_timing, per_day
from bridge.settings.load import connection_file, load
from bridge.settings.model import (
    AdminSettings,
    AlertsSettings,
    ConnectionSettings,
    LedgerSettings,
    LogSettings,
    SalestrekkerSettings,
    ScheduleSettings,
    Settings,
    StreamSettings,
    TrakorSettings,
    WebhooksSettings,
)
from bridge.settings.values import Network, checked_url, is_loopback, is_plain_and_remote, parse_duration

__all__ = [
    "AdminSettings",
    "AlertsSettings",
    "ConnectionSettings",
    "Crontab",
    "Every",
    "LedgerSettings",
    "LogSettings",
    "Network",
    "SalestrekkerSettings",
    "ScheduleSettings",
    "Settings",
    "StreamSettings",
    "Timing",
    "TrakorSettings",
    "WebhooksSettings",
    "checked_url",
    "connection_file",
    "is_loopback",
    "is_plain_and_remote",
    "load",
    "parse_duration",
    "parse_timing",
    "per_day",
]
