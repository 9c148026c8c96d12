"""``trakor-bridge run``: the daemon, and the signals that it takes."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from typing import TYPE_CHECKING, Final

import typer

from bridge.cli.output import escape
from bridge.cli.session import (
    ConfigOption,
    ConnectionOption,
    LogFormatOption,
    LogLevelOption,
    begin,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.cli.session import Session
    from bridge.settings import Settings

__all__ = ["add_to"]

HELP: Final = """\
Keep both organisations in step, until it is stopped: the daemon.

It renews Salestrekker's token, sweeps by the [schedule], takes webhooks, and sends what Trakor lacks.
Where Salestrekker or Trakor refuses or is out of reach it pauses that side, loses nothing, finds out
by itself when that is over, and goes on.

\b
SIGTERM, SIGINT   ends in order within 10 seconds, exit status 0;
                  a second one ends at once
SIGHUP            reads configuration, secrets, queries and maps anew

\b
Examples:
  trakor-bridge run
  trakor-bridge run --log-format json 2>> bridge.log
  curl http://127.0.0.1:9090/readyz       is it ready to take webhooks?
  trakor-bridge status                    what is where, beside it
"""

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)

UNEXPECTED: Final = 1

SIGNALLED: Final = 128
"""A shell's exit status for a process that a signal has ended, less the signal's number."""


def add_to(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("run", help=HELP, short_help="The daemon: schedule, webhooks, delivery.")(_run)


def _run(
    *,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> int:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it is listened to it would end the process
    session = begin(config, connection, log_level, log_format)

    def load() -> Settings:
        return begin(config, connection, log_level, log_format).settings

    try:
        asyncio.run(_until_stopped(session, load))
    except BaseExceptionGroup as faults:
        return _died(faults)
    return 0


async def _until_stopped(session: Session, load: Callable[[], Settings]) -> None:
    """Run the daemon; the first signal stops it in order, the second one at once."""
    from bridge.daemon import Signals, run  # noqa: PLC0415 - see the package

    # As a backfill does, but garbage is looked for as often as ever: this one lives for months, and memory
    # counts more than the last bit of speed.
    gc.freeze()
    signals = Signals()
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        if signals.stop.is_set():
            os._exit(SIGNALLED + number)
        signals.stop.set()

    for number in STOPPING:
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGHUP, signals.reload.set)
    await run(session.settings, session.connections, load, signals)


def _died(faults: BaseExceptionGroup) -> int:
    """An unexpected error of one of its tasks: all was wound up, and the last line says why."""
    import structlog  # noqa: PLC0415 - see the package

    structlog.get_logger(__name__).critical("died", exc_info=faults)
    fault = _first(faults)
    typer.echo(f"error: the daemon stopped by itself: {type(fault).__name__}: {escape(str(fault))}", err=True)
    return UNEXPECTED


def _first(fault: BaseException) -> BaseException:
    """The first error inside of groups of errors."""
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return fault
