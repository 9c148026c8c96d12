"""SIGHUP: reads the configuration again, and applies what needs no restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from bridge.errors import UserError
from bridge.records import Stream
from bridge.wiring.connection import load_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from bridge.names import Hasher
    from bridge.settings import Settings
    from bridge.wiring.connection import ConnectionPlan

__all__ = ["Reloaded", "load_plans", "reload_configuration"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A valid configuration that was read again.

    Attributes:
        settings: All of it.
        plans: For each connection that is worked on.
        changed: Connections that change: their workers restart.
        needs_restart: What is another now and is only taken over by a restart.
    """

    settings: Settings
    plans: Mapping[str, ConnectionPlan]
    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


def load_plans(settings: Settings, connections: Collection[str], hasher: Hasher) -> dict[str, ConnectionPlan]:
    """Load and compile what connections are read and mapped with.

    Args:
        settings: The configuration.
        connections: Their names.
        hasher: Of the ledger's key.

    Raises:
        UserError: A query or a map cannot be used.
    """
    return {
        name: load_plan(settings, settings.connections[name], list(Stream), hasher) for name in connections
    }


def reload_configuration(
    running: Settings,
    settings: Settings,
    plans: Mapping[str, ConnectionPlan],
    hasher: Hasher,
    load: Callable[[], Settings],
) -> Reloaded | str:
    """Read the configuration again. If it is wrong, the errors are logged and the old one stays.

    Args:
        running: The configuration that the process started with; what needs a restart is compared with it.
        settings: The current configuration.
        plans: The current plans.
        hasher: Uses the ledger's key.
        load: Reads the configuration.

    Returns:
        What changes; or why nothing does, for the status page.
    """
    try:
        fresh = load()
        fresh_plans = load_plans(fresh, [name for name in plans if name in fresh.connections], hasher)
    except UserError as error:
        log.warning("configuration not taken over", problem=str(error), advice=error.advice)
        return str(error)
    restart = (*_restarting(running, fresh), *_added_or_removed(running, fresh))
    kept = {**plans, **fresh_plans}
    debounce = settings.webhooks.debounce != fresh.webhooks.debounce
    changed = tuple(name for name in fresh_plans if debounce or _differs(plans[name], kept[name]))
    return Reloaded(fresh, kept, changed, restart)


def _differs(before: ConnectionPlan, now: ConnectionPlan) -> bool:
    """Whether a connection is read, mapped or sent in another way. Its schedule is taken over by itself."""
    return before.connection != now.connection or _fingerprints(before) != _fingerprints(now)


def _fingerprints(plan: ConnectionPlan) -> list[str]:
    by_id = [one.fingerprint for one in plan.by_id_queries.values()]
    by_id += [plan.ticket.fingerprint] if plan.ticket else []
    return [*(query.fingerprint for query in plan.queries.values()), *by_id, *_of_mappers(plan)]


def _of_mappers(plan: ConnectionPlan) -> list[str]:
    return [mapper.fingerprint for mapper in plan.mappers.values()]


def _restarting(before: Settings, now: Settings) -> list[str]:
    """What belongs to the process: the ledger, and where it listens."""
    context = {
        "[ledger]": (before.ledger, now.ledger),
        "[webhooks]": (_listener(before), _listener(now)),
        "[admin]": (before.admin, now.admin),
        "[alerts]": (before.alerts, now.alerts),
        "[log]": (before.log, now.log),
    }
    return [name for name, (old, new) in context.items() if old != new]


def _listener(settings: Settings) -> tuple[object, ...]:
    """What the listener for webhooks is begun with; tokens are taken over, but not the very first one."""
    listener = settings.webhooks
    listens = any(connection.webhook_tokens for connection in settings.connections.values())
    place = (listens, listener.host, listener.port)
    return *place, listener.allow_from, listener.trusted_proxies, listener.max_body_bytes


def _added_or_removed(before: Settings, now: Settings) -> list[str]:
    """Connections that came or went."""
    return [f"connection {name}" for name in sorted(set(before.connections) ^ set(now.connections))]
