"""`trakor-bridge demo`: tells what the demonstration does as it does it."""

from __future__ import annotations

import asyncio
import io
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from bridge.demo import Audience

__all__ = ["add_to"]

HELP = """\
Show what the bridge does, with both systems simulated and nothing to configure.

Backfills of made-up data with changes between them, the daemon with webhooks, a revoked token and a
frozen Trakor, and where each record ended and why. Takes about half a minute, reads no configuration, leaves
nothing behind.

\b
Examples:
  trakor-bridge demo
  trakor-bridge demo --keep    leave its configuration and ledger
"""

INTERRUPTED: Final = 130


def add_to(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("demo", help=HELP, short_help="What the bridge does, on simulated systems.")(_demo)


def _demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave configuration and ledger behind.")] = False,
) -> int:
    from bridge import logs  # noqa: PLC0415 - see the package
    from bridge.cli.demo_output import Teller  # noqa: PLC0415 - see the package

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name that the terminal cannot show ends no demonstration
    logs.configure("error", "auto")  # what the daemon warns of is told as a scene
    try:
        asyncio.run(_until_stopped(Teller(), keep=keep))
    except (KeyboardInterrupt, asyncio.CancelledError):
        typer.echo("Interrupted: what the demonstration had made is removed.", err=True)
        return INTERRUPTED
    return 0


async def _until_stopped(audience: Audience, *, keep: bool) -> None:
    """Give the demonstration; a signal to end stops it as Ctrl-C does, so that nothing is left behind."""
    from bridge.demo import demonstrate  # noqa: PLC0415 - see the package

    own = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if own is not None:
            loop.add_signal_handler(number, own.cancel)
    await demonstrate(audience, keep=keep)
