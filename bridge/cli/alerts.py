"""`trakor-bridge alerts test`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import typer

from bridge.cli.command_setup import ConfigOption, ConnectionOption, LogFormatOption, LogLevelOption, begin
from bridge.cli.output import escape
from bridge.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["add_to"]

HELP: Final = """\
Alerts: messages when something stops or needs a decision.
"""
TEST: Final = """\
Send a test message to each address in [alerts] urls, and show which ones accepted it.

Only the service and the host of an address are shown, because the rest contains secrets. The exit
status is 1 if an address did not accept the message.

\b
Example:
  trakor-bridge alerts test
"""
TITLE: Final = "trakor-bridge: a test"
BODY: Final = "Alerts of trakor-bridge arrive here. Nothing is wrong."

FAILED: Final = 1


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    alerts = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=HELP)
    alerts.command("test", help=TEST, short_help="Send a test message to each address.")(_test)
    app.add_typer(alerts, name="alerts", short_help="Send a test message to the alert addresses.")


def _test(
    *,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> int:
    session = begin(config, connection, log_level, log_format)
    urls = [url.get_secret_value() for url in session.settings.alerts.urls]
    if not urls:
        raise UserError(
            "no alerts are sent: [alerts] urls has no address",
            advice='set it to a list such as ["mailto://…"]; see docs/operations.md',
        )
    results = asyncio.run(_try_all(urls))
    for sentence, _ in results:
        typer.echo(sentence)
    return 0 if all(worked for _, worked in results) else FAILED


async def _try_all(urls: Sequence[str]) -> list[tuple[str, bool]]:
    """For each address, a sentence with the result, and whether it accepted the message."""
    return await asyncio.gather(*(_try(url, number) for number, url in enumerate(urls, 1)))


async def _try(url: str, number: int) -> tuple[str, bool]:
    from bridge.alerts import Message, address_of  # noqa: PLC0415 - see the package

    try:
        address = address_of(url, number)
    except UserError as error:
        return f"{number}. {escape(str(error))}; {error.advice}", False
    if await address.send(Message(TITLE, BODY, grave=False)):
        return f"{number}. {escape(address.shown)}: accepted", True
    advice = "check that the address is complete and correct, and that this machine can reach it"
    return f"{number}. {escape(address.shown)}: not accepted; {advice}", False
