"""`trakor-bridge backfill`."""

from __future__ import annotations

import asyncio
import signal
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.session import (
    ConfigOption,
    ConnectionOption,
    JsonOption,
    LogFormatOption,
    LogLevelOption,
    begin,
    print_json,
)
from bridge.errors import UserError

if TYPE_CHECKING:
    from bridge.backfill import Report, Watch
    from bridge.cli.session import Session

__all__ = ["add_to"]

HELP = """\
Read everything from Salestrekker, deliver what Trakor lacks, and end.

Can be repeated at any time: what Trakor has is not sent again, and an interrupted backfill goes on
where it was.

\b
Examples:
  trakor-bridge backfill                   contacts and products of all connections
  trakor-bridge backfill products          only products
  trakor-bridge backfill --restart         read from the beginning after an interruption
  trakor-bridge backfill --json > run.json

\b
Exit status:
  0   done
  1   something failed, or records are still pending after 30 minutes without one success
  2   wrong usage or configuration
  3   done, but records are held or rejected: `trakor-bridge records list --state held,rejected`
  4   stopped by a refusal: nothing is lost, run it again when that is resolved
  130 interrupted: run it again to go on
"""


class StreamName(StrEnum):
    """What can be named on the command line."""

    CONTACTS = "contacts"
    PRODUCTS = "products"


def add_to(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("backfill", help=HELP, short_help="Read everything, deliver what Trakor lacks, end.")(
        _backfill
    )


def _backfill(  # noqa: PLR0913 - one parameter for each option
    streams: Annotated[
        list[StreamName] | None, typer.Argument(help="Which streams.", show_default="all that are enabled")
    ] = None,
    *,
    restart: Annotated[bool, typer.Option("--restart", help="Read from the beginning.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", hidden=True)] = False,
    limit: Annotated[int | None, typer.Option("--limit", hidden=True)] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> int:
    for option, given in (("--dry-run", dry_run), ("--limit", limit is not None)):
        if given:
            raise UserError(f"`backfill {option}` is not built yet", advice="it comes in a later version")
    terminal = sys.stderr.isatty()
    session = begin(config, connection, log_level or ("warning" if terminal else None), log_format)
    report = _with_progress(session, streams or list(StreamName), restart=restart, visible=terminal)
    if json:
        print_json(report.as_json())
    _tell(report, tables=not json)
    return report.exit_status


def _with_progress(session: Session, streams: list[StreamName], *, restart: bool, visible: bool) -> Report:
    from bridge.cli.progress import progress  # noqa: PLC0415 - see the package

    with progress(visible=visible) as watch:
        return asyncio.run(_until_stopped(session, streams, restart=restart, watch=watch))


async def _until_stopped(
    session: Session, streams: list[StreamName], *, restart: bool, watch: Watch
) -> Report:
    """Run the backfill; the first signal stops it in order, the second one at once."""
    from bridge.backfill import backfill  # noqa: PLC0415 - see the package
    from bridge.records import Stream  # noqa: PLC0415 - see the package

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop_in_order(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop_in_order, number)
    return await backfill(
        session.settings,
        streams=[Stream(stream) for stream in streams],
        connections=session.connections,
        restart=restart,
        stop=stop,
        watch=watch,
    )


def _tell(report: Report, *, tables: bool) -> None:
    from bridge.cli.render import show_report  # noqa: PLC0415 - see the package

    show_report(report, tables=tables)
