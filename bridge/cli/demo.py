"""`trakor-bridge demo`: runs the demonstration."""

from __future__ import annotations

import asyncio
import io
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bridge.cli.demo_output import TerminalNarrator

if TYPE_CHECKING:
    from bridge.demo import Narrator

__all__ = ["add_to"]

HELP = """\
Show what the bridge does, on two simulated systems and with nothing to configure.

Runs backfills of made-up data with changes in between, then the daemon with webhooks, a revoked token
and a frozen Trakor, and shows where each record ended and why. Takes about half a minute, reads no
configuration, and leaves nothing behind.

\b
Examples:
  trakor-bridge demo
  trakor-bridge demo --keep    keep its configuration and ledger
"""


INTERRUPTED: Final = 130


def add_to(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("demo", help=HELP, short_help="Show what the bridge does, on simulated systems.")(_demo)


def _demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the configuration and the ledger.")] = False,
) -> int:
    from bridge import logs  # noqa: PLC0415 - see the package

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # for names that it cannot show
    logs.configure("error", "auto")  # the daemon's warnings are part of the scenes
    try:
        asyncio.run(_until_stopped(TerminalNarrator(), keep=keep))
    except (KeyboardInterrupt, asyncio.CancelledError):
        typer.echo("Interrupted: the demonstration's files were removed.", err=True)
        return INTERRUPTED
    return 0


async def _until_stopped(narrator: Narrator, *, keep: bool) -> None:
    """Run the demonstration. Every signal to end it works like Ctrl-C, so that nothing is left behind."""
    from bridge.demo import demonstrate  # noqa: PLC0415 - see the package

    own = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if own is not None:
            loop.add_signal_handler(number, own.cancel)
    await demonstrate(narrator, keep=keep)
