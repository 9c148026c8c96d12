"""`trakor-bridge schema pull`: saves Salestrekker's schema beside the queries."""

from __future__ import annotations

import asyncio

import typer

from bridge.cli.command_setup import (
    ConfigOption,
    ConnectionOption,
    LogFormatOption,
    LogLevelOption,
    begin,
)

__all__ = ["add_to"]

PULL = """\
Save Salestrekker's schema as it is now, as queries/schema.graphql beside the configuration.

Read it when you change a query. From then on `trakor-bridge check` shows what has changed in the schema.

\b
Example:
  trakor-bridge schema pull
"""


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    schema = typer.Typer(help="Salestrekker's schema.", no_args_is_help=True, rich_markup_mode=None)
    schema.command("pull", help=PULL, short_help="Save the schema beside the queries.")(_pull)
    app.add_typer(schema, name="schema", short_help="Save Salestrekker's schema beside the queries.")


def _pull(
    *,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    from datetime import UTC, datetime  # noqa: PLC0415 - see the package

    from bridge.checks import pull  # noqa: PLC0415 - see the package

    session = begin(config, connection, log_level or "error", log_format)
    chosen = session.settings.connections[session.connections[0]]
    saved_at = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    path = asyncio.run(pull(session.settings, chosen, saved_at))
    of = f" (of the connection {chosen.name})" if len(session.settings.connections) > 1 else ""
    typer.echo(f"saved {path}{of}")
