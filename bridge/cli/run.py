"""``trakor-bridge run``: the daemon, and the signals that it takes."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from typing import TYPE_CHECKING, Final

import typer

from bridge.cli.command_setup import (
    ConfigOption,
    ConnectionOption,
    LogFormatOption,
    LogLevelOption,
    begin,
)
from bridge.cli.output import escape

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.cli.command_setup import Session
    from bridge.settings import Settings

__all__ = ["add_to"]

HELP: Final = """\
Run the daemon, which keeps both organisations in step until you stop it.

It renews Salestrekker's token, reads the lists by the [schedule], accepts webhooks, and sends what
Trakor lacks. If Salestrekker or Trakor refuses access or is out of reach, the daemon pauses that side,
loses nothing, tries again at intervals, and continues.

\b
SIGTERM, SIGINT   stop the daemon within 10 seconds, exit status 0;
                  a second signal stops it at once
SIGHUP            reloads configuration, secrets, queries and maps

\b
Examples:
  trakor-bridge run
  trakor-bridge run --log-format json 2>> bridge.log
  curl http://127.0.0.1:9090/readyz       is it ready to take webhooks?
  trakor-bridge status                    show the state, while it runs
"""

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)

UNEXPECTED: Final = 1

SIGNALLED: Final = 128
"""Added to a signal's number, the exit status of a process that the signal has ended."""


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
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # without a handler it would end the process
    session = begin(config, connection, log_level, log_format)

    def load() -> Settings:
        return begin(config, connection, log_level, log_format).settings

    try:
        asyncio.run(_until_stopped(session, load))
    except BaseExceptionGroup as errors:
        return _died(errors)
    return 0


async def _until_stopped(session: Session, load: Callable[[], Settings]) -> None:
    """Run the daemon. The first signal stops it in an orderly way, a second one at once."""
    from bridge.daemon import Signals, run  # noqa: PLC0415 - see the package

    # A backfill also collects garbage less often. The daemon does not: over months, memory matters more than
    # speed.
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


def _died(errors: BaseExceptionGroup) -> int:
    """Report an unexpected error that has ended the daemon."""
    import structlog  # noqa: PLC0415 - see the package

    structlog.get_logger(__name__).critical("died", exc_info=errors)
    error = _first(errors)
    typer.echo(
        f"error: the daemon ended unexpectedly: {type(error).__name__}: {escape(str(error))}", err=True
    )
    return UNEXPECTED


def _first(error: BaseException) -> BaseException:
    """The first error inside nested groups of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
