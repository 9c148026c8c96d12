"""`trakor-bridge alerts test`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import typer

from bridge.cli.output import escape
from bridge.cli.session import ConfigOption, ConnectionOption, LogFormatOption, LogLevelOption, begin
from bridge.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["add_to"]

HELP: Final = """\
Alerts: who is told when something stands still or waits for a person.
"""
TEST: Final = """\
Send a test message to each address of [alerts] urls, and say which took it.

Of an address only the service and its host are shown: the rest holds secrets. Exit status 1 where one
did not take it.

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
    app.add_typer(alerts, name="alerts", short_help="Who is told; a test message.")


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
            "nobody is told: [alerts] urls has no address",
            advice='set it to a list such as ["mailto://…"]; docs/operations.md says more',
        )
    said = asyncio.run(_try_all(urls))
    for sentence, _ in said:
        typer.echo(sentence)
    return 0 if all(worked for _, worked in said) else FAILED


async def _try_all(urls: Sequence[str]) -> list[tuple[str, bool]]:
    """Of each address what came of it, and whether that was good."""
    return await asyncio.gather(*(_try(url, number) for number, url in enumerate(urls, 1)))


async def _try(url: str, number: int) -> tuple[str, bool]:
    from bridge.alerts import Message, address_of  # noqa: PLC0415 - see the package

    try:
        address = address_of(url, number)
    except UserError as fault:
        return f"{number}. {escape(str(fault))}; {fault.advice}", False
    if await address.send(Message(TITLE, BODY, grave=False)):
        return f"{number}. {escape(address.shown)}: took it", True
    advice = "is the address complete and right, and can this machine reach it?"
    return f"{number}. {escape(address.shown)}: did not take it; {advice}", False
