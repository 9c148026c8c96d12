"""`trakor-bridge disclose`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bridge.cli.command_setup import (
    ConfigOption,
    ConnectionOption,
    JsonOption,
    LogFormatOption,
    LogLevelOption,
    begin,
)
from bridge.cli.output import print_json, width_of, wrap

if TYPE_CHECKING:
    import typer

__all__ = ["add_to"]

HELP = """\
Print the data-flow statement that an aggregator asks for before it approves an API key.

The statement is generated from the configuration, the query files and the maps, so it is always up
to date.

\b
Examples:
  trakor-bridge disclose > data-flow.md
  trakor-bridge disclose --connection north --json
"""


def add_to(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("disclose", help=HELP, short_help="The data-flow statement for an aggregator.")(_disclose)


def _disclose(
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    from bridge.disclosure import disclose, markdown  # noqa: PLC0415 - see the package

    session = begin(config, connection, log_level, log_format)
    statement = disclose(session.settings, session.connections)
    if json:
        print_json(statement.as_json())
    else:
        print(_for_reading(markdown(statement)), end="")  # noqa: T201 - a document, not a log


def _for_reading(document: str) -> str:
    """Wrap the long lines of the document on a terminal. Headings stay whole, so it is still Markdown."""
    width = width_of(sys.stdout)
    return "\n".join(
        line if line.startswith("#") else wrap(line, width, hanging=2 if line.startswith("- ") else 0)
        for line in document.split("\n")
    )
