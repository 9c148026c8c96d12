"""`trakor-bridge backfill`."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bridge.cli.command_setup import (
    ConfigOption,
    ConnectionOption,
    JsonOption,
    LogFormatOption,
    LogLevelOption,
    begin,
    collect_seldom,
)
from bridge.cli.output import print_json
from bridge.errors import UserError
from bridge.records import Stream

if TYPE_CHECKING:
    from bridge.backfill import ProgressListener, Report
    from bridge.cli.command_setup import Session
    from bridge.ledger.database import Ledger

__all__ = ["add_to"]

STOPPING: Final = (signal.SIGINT, signal.SIGTERM)
HELP = """\
Read everything from Salestrekker, deliver what Trakor lacks, and end.

You can repeat it at any time: what Trakor has is not sent again, and an interrupted backfill
continues where it stopped.

\b
Examples:
  trakor-bridge backfill                  contacts and products
  trakor-bridge backfill products         only products
  trakor-bridge backfill --restart        read from the beginning
  trakor-bridge backfill --dry-run        show what would be sent
  trakor-bridge backfill --dry-run --csv  the same, record by record
  trakor-bridge backfill --limit 5        five records of each stream
  trakor-bridge backfill --json > run.json

\b
Exit status:
  0   done
  1   something failed, or Trakor accepted nothing for 30 minutes
  2   wrong usage or configuration
  3   done, but records are held or rejected: see `trakor-bridge status`
  4   stopped because access was refused: nothing is lost, run it again later
  130 interrupted: run it again to continue
"""


def add_to(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("backfill", help=HELP, short_help="Read everything, deliver what Trakor lacks, end.")(
        _backfill
    )


def _backfill(  # noqa: PLR0913 - one parameter for each option
    streams: Annotated[
        list[Stream] | None, typer.Argument(help="The streams to read.", show_default="all that are enabled")
    ] = None,
    *,
    restart: Annotated[bool, typer.Option("--restart", help="Read from the beginning.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Decide on a copy of the ledger; send and keep nothing.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Read N records of each stream.", show_default="all"),
    ] = None,
    csv: Annotated[
        bool,
        typer.Option("--csv", help="With --dry-run: list what would be sent or need a decision."),
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> int:
    if csv and (json or not dry_run):
        raise UserError("--csv needs --dry-run, and excludes --json")
    from bridge.cli.backfill_report import show_report  # noqa: PLC0415 - see the package

    terminal = sys.stderr.isatty()
    session = begin(config, connection, log_level or ("warning" if terminal else None), log_format)
    order = BackfillOptions(tuple(streams or Stream), restart=restart, dry_run=dry_run, limit=limit, csv=csv)
    report = _with_progress(session, order, visible=terminal)
    if json:
        print_json(report.as_json())
    show_report(report, tables=not (json or csv))
    return report.exit_status


@dataclass(frozen=True, slots=True)
class BackfillOptions:
    """The options of a backfill."""

    streams: tuple[Stream, ...]
    restart: bool
    dry_run: bool
    limit: int | None
    csv: bool


def _with_progress(session: Session, order: BackfillOptions, *, visible: bool) -> Report:
    from bridge.cli.progress import progress  # noqa: PLC0415 - see the package

    with progress(visible=visible) as watch:
        return asyncio.run(_until_stopped(session, order, watch))


async def _until_stopped(session: Session, order: BackfillOptions, watch: ProgressListener) -> Report:
    """Run the backfill. The first signal stops it in an orderly way, a second one at once."""
    from bridge.backfill import backfill, rehearse  # noqa: PLC0415 - see the package

    collect_seldom()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop_in_order() -> None:
        stop.set()
        for number in STOPPING:  # the second one, of either kind, ends the process
            loop.remove_signal_handler(number)

    for number in STOPPING:
        loop.add_signal_handler(number, stop_in_order)
    run = (
        partial(rehearse, look=_list_changes if order.csv else _ignore)
        if order.dry_run
        else partial(backfill, restart=order.restart)
    )
    return await run(
        session.settings,
        streams=order.streams,
        connections=session.connections,
        stop=stop,
        watch=watch,
        limit=order.limit,
    )


def _ignore(_: Ledger) -> None:
    """Do nothing: the report's numbers are enough."""


def _list_changes(copy: Ledger) -> None:
    """List what a dry run would send, and what would need a decision."""
    from bridge.cli.record_output import write_csv  # noqa: PLC0415 - see the package
    from bridge.ledger.database import reading  # noqa: PLC0415 - see the package
    from bridge.ledger.read_model import RecordQuery, iterate_records  # noqa: PLC0415 - see the package

    with reading(copy.path, copy.text_storage) as connection:
        write_csv(iterate_records(connection, RecordQuery(states=("pending", "held", "rejected", "drifted"))))
