"""The check of the webhook port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.checks.report import Check, failed
from bridge.errors import LedgerError, UserError
from bridge.ledger.open import is_daemon_running
from bridge.serving import PortTaken
from bridge.webhooks import open_webhook_sockets
from bridge.wiring.ledger_and_key import ledger_path

if TYPE_CHECKING:
    from collections.abc import Collection

    from bridge.settings import Settings

__all__ = ["webhook_port"]

NAME: Final = "webhooks.port"


async def webhook_port(settings: Settings, connections: Collection[str]) -> Check | None:
    """Whether the webhook port can be listened on; a running daemon may be the one who does.

    Args:
        settings: The configuration.
        connections: Names of the connections that are checked.

    Returns:
        The step; None if none of them has a token, so that nobody listens.
    """
    if not any(settings.connections[name].webhook_tokens for name in connections):
        return None
    host, port = settings.webhooks.host, settings.webhooks.port
    try:
        sockets = await open_webhook_sockets(host, port)
    except PortTaken as error:
        detail = f"the daemon (`trakor-bridge run`) is running and listens on {host}, port {port}"
        return Check(NAME, ok=True, detail=detail) if _daemon_runs(settings) else failed(NAME, error)
    except UserError as error:
        return failed(NAME, error)
    for one in sockets:
        one.close()
    return Check(NAME, ok=True, detail=f"{host}, port {port} can be listened on; {_addresses(settings)}")


def _addresses(settings: Settings) -> str:
    if settings.webhooks.public_url is None:
        return "for addresses to paste, set [webhooks] public_url to how Salestrekker reaches it"
    return "`trakor-bridge webhooks urls` prints what to paste"


def _daemon_runs(settings: Settings) -> bool:
    """Whether a daemon uses the ledger now; a backfill does not listen."""
    try:
        return is_daemon_running(ledger_path(settings))
    except LedgerError:
        return False
