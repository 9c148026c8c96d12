"""`trakor-bridge status`."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bridge.cli.command_setup import (
    ConfigOption,
    ConnectionOption,
    JsonOption,
    LogFormatOption,
    LogLevelOption,
    begin,
)
from bridge.cli.connections import tell_strays
from bridge.cli.output import print_json
from bridge.errors import UserError

if TYPE_CHECKING:
    from bridge.cli.command_setup import Session
    from bridge.status import Snapshot

__all__ = ["add_to"]

HELP = """\
Show the state of everything, and what needs a decision. You can run it while a backfill or the daemon
runs.

With --watch the output is updated every two seconds, until Ctrl-C.

\b
Examples:
  trakor-bridge status
  trakor-bridge status --watch
  trakor-bridge status --json
"""


NO_CURSOR: Final = {"dumb", "unknown"}
"""Terminals on which nothing can be updated in place."""


def add_to(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("status", help=HELP, short_help="Show the state, and what needs a decision.")(_status)


def _status(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Update the output until Ctrl-C.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    if watch:
        _require_terminal(json=json)
    session = begin(config, connection, log_level, log_format)
    if watch:
        from bridge.cli.status_output import watch_status  # noqa: PLC0415 - see the package

        watch_status(lambda: _take(session))
    snapshot = _take(session)
    if json:
        print_json(snapshot.as_json())
        return
    from bridge.cli.status_output import show_status  # noqa: PLC0415 - see the package

    show_status(snapshot)
    tell_strays(session)


def _require_terminal(*, json: bool) -> None:
    """Check that there is a terminal: a program reads one document at a time."""
    if json:
        raise UserError(
            "--watch and --json exclude each other", advice="call `status --json` as often as needed"
        )
    if not sys.stdout.isatty() or os.environ.get("TERM") in NO_CURSOR:
        raise UserError(
            "--watch needs a terminal",
            advice="without --watch, `trakor-bridge status` prints once, also into a file",
        )


def _take(session: Session) -> Snapshot:
    from bridge.records import Stream  # noqa: PLC0415 - see the package
    from bridge.status import take  # noqa: PLC0415 - see the package
    from bridge.wiring.ledger_and_key import ledger_path  # noqa: PLC0415 - see the package

    settings = session.settings
    streams = {
        name: [stream for stream in Stream if settings.connections[name].stream(stream).enabled]
        for name in session.connections
    }
    return take(ledger_path(settings), streams, tuple(settings.connections), time.time_ns() // 1_000_000)
