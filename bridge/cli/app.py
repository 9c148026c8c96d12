"""The application with all its commands, and its errors: a message, advice, an exit status."""

from __future__ import annotations

import errno
import os
import sys
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

from bridge import __version__
from bridge.cli import (
    alerts,
    backfill,
    check,
    connections,
    demo,
    disclose,
    init,
    ledger,
    pause,
    queries,
    records,
    run,
    sandbox,
    schema,
    status,
    sync,
    webhooks,
)
from bridge.cli.output import tell
from bridge.errors import BridgeError, LedgerError, Refused, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typer._click.core import Command, Context

__all__ = ["application", "main"]

ABOUT: Final = """\
Keeps a Trakor organisation in step with a Salestrekker organisation: contacts become parties,
products become products, each exactly once.

Trakor's API can create but not update, and identifies records by name. The bridge therefore keeps
a ledger of what it read, decided and sent, and asks you if two names or a change conflict.

\b
First steps, with nothing to configure:
  trakor-bridge demo       shows the bridge at work on two simulated systems
  trakor-bridge sandbox    runs two simulated systems to try things out on

\b
With an organisation of your own:
  trakor-bridge init       asks for both systems, writes config.toml
  trakor-bridge check      checks everything first, and shows what to do
  trakor-bridge backfill   sends everything to Trakor, once
  trakor-bridge run        the daemon: keeps both systems in step
  trakor-bridge status     shows the state, and what needs a decision
"""

NO_ACCESS: Final = 4
UNEXPECTED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


class _Commands(TyperGroup):
    """Passes a closed pipe on to ``_run``; Typer would exit with status 1."""

    def invoke(self, ctx: Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise BrokenPipeError from None  # without the errno by which Typer recognises it


@cache
def application() -> Command:
    """All commands, as one; made once in a process."""
    app = typer.Typer(
        name="trakor-bridge",
        cls=_Commands,
        help=ABOUT,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # they would show local variables, among them secrets
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options_before_the_command)
    backfill.add_to(app)
    status.add_to(app)
    sync.add_to(app)
    records.add_to(app)
    ledger.add_to(app)
    check.add_to(app)
    schema.add_to(app)
    queries.add_to(app)
    connections.add_to(app)
    demo.add_to(app)
    disclose.add_to(app)
    init.add_to(app)
    pause.add_to(app)
    run.add_to(app)
    sandbox.add_to(app)
    webhooks.add_to(app)
    alerts.add_to(app)
    return get_command(app)


def _show_version(given: bool) -> None:  # noqa: FBT001 - as the library calls it
    if given:
        typer.echo(f"trakor-bridge {__version__}")
        raise typer.Exit


def _options_before_the_command(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and stop."),
    ] = False,
) -> None:
    del version  # its callback has printed it


def main() -> None:
    """Run the command line and exit with its status."""
    sys.exit(_run())


def _run() -> int:
    try:
        _refuse_bytes(sys.argv)
        status = application()(prog_name="trakor-bridge", standalone_mode=False)
    except typer.TyperException as error:
        # Typer raises what can show itself, but promises no more than the base class.
        error.message = error.message.replace("Value error, ", "")  # pydantic puts this before a message
        getattr(error, "show", partial(typer.echo, str(error), err=True))()
        return getattr(error, "exit_code", USAGE)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads the output any more: end without an error.
        _drop_output()
        return 0
    except BridgeError as error:
        return _report_error(error)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _drop_output()
        return _report_error(BridgeError("the disk is full"))
    return status if isinstance(status, int) else 0


def _refuse_bytes(arguments: Sequence[str]) -> None:
    """Refuse arguments that are not UTF-8: Python passes their bytes on as halves of surrogate pairs."""
    try:
        "".join(arguments).encode()
    except UnicodeEncodeError:
        raise UserError("an argument is not text in UTF-8", advice="type it, or copy it again") from None


def _drop_output() -> None:
    """Discard what is left to be written, so that Python prints no error at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report_error(error: BridgeError) -> int:
    """Print an error and its advice, and return its exit status (the public interface)."""
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    tell(str(error), after=len("error: "), hanging=7, err=True)
    if advice := getattr(error, "advice", ""):
        tell(f"what to do: {advice}", hanging=4, err=True)
    if isinstance(error, Refused):
        return NO_ACCESS
    return USAGE if isinstance(error, UserError) and not isinstance(error, LedgerError) else UNEXPECTED
