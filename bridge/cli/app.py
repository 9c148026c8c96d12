"""All commands together, and what becomes of errors: a sentence, advice, an exit status."""

from __future__ import annotations

import errno
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer
from typer.core import TyperGroup

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
    records,
    run,
    sandbox,
    status,
    webhooks,
)
from bridge.cli.output import tell
from bridge.errors import BridgeError, LedgerError, Refused, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typer._click.core import Context

__all__ = ["application", "main"]

ABOUT: Final = """\
Keeps a Trakor organisation in step with a Salestrekker organisation: contacts become parties,
products become products, each exactly once.

Trakor's API can create and cannot update, and its key is the name. So the bridge keeps a ledger of
what it saw, decided, sent and was answered, and asks a person where two names or a change collide.

\b
First steps, with nothing to configure:
  trakor-bridge demo       both systems simulated, and what the bridge does
  trakor-bridge sandbox    both systems to try things out on

\b
With an organisation of your own:
  trakor-bridge init       asks for both systems, writes config.toml
  trakor-bridge check      looks at everything first, says what to do
  trakor-bridge backfill   everything into Trakor, once
  trakor-bridge run        keeps both in step: the daemon
  trakor-bridge status     what is where, and what waits for you
"""

NO_ACCESS: Final = 4
UNEXPECTED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


class _Commands(TyperGroup):
    """All commands; that a reader has gone is for ``_run`` to see, where Typer would end with 1."""

    def invoke(self, ctx: Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise BrokenPipeError from None  # without its number, which is what Typer looks for


def application() -> typer.Typer:
    """The command line's commands."""
    app = typer.Typer(
        name="trakor-bridge",
        cls=_Commands,
        help=ABOUT,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # they show local variables, and so secrets
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options_before_the_command)
    backfill.add_to(app)
    status.add_to(app)
    records.add_to(app)
    ledger.add_to(app)
    check.add_to(app)
    connections.add_to(app)
    demo.add_to(app)
    disclose.add_to(app)
    init.add_to(app)
    pause.add_to(app)
    run.add_to(app)
    sandbox.add_to(app)
    webhooks.add_to(app)
    alerts.add_to(app)
    return app


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
    del version  # its callback has seen to it


def main() -> None:
    """Run the command line and exit with its status."""
    sys.exit(_run())


def _run() -> int:
    try:
        _refuse_bytes(sys.argv)
        status = application()(prog_name="trakor-bridge", standalone_mode=False)
    except typer.TyperException as error:
        # Typer raises what can show itself, but promises no more than the base class.
        error.message = error.message.replace("Value error, ", "")  # pydantic's word for whose error it is
        getattr(error, "show", partial(typer.echo, str(error), err=True))()
        return getattr(error, "exit_code", USAGE)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone: nothing more to say, and no complaint at exit either.
        _drop_output()
        return 0
    except BridgeError as error:
        return _complain(error)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _drop_output()
        return _complain(BridgeError("there is no room left for what is written: the disk is full"))
    return status if isinstance(status, int) else 0


def _refuse_bytes(arguments: Sequence[str]) -> None:
    """Bytes that are no text came as halves of surrogate pairs, which nothing can look for or store."""
    try:
        "".join(arguments).encode()
    except UnicodeEncodeError:
        raise UserError("an argument is not text in UTF-8", advice="type it, or copy it again") from None


def _drop_output() -> None:
    """What is left to be written goes nowhere, so that nothing complains of it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(error: BridgeError) -> int:
    """Say what is wrong and what to do, and give the exit status that the interface has for it."""
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    tell(str(error), after=len("error: "), hanging=7, err=True)
    if advice := getattr(error, "advice", ""):
        tell(f"what to do: {advice}", hanging=4, err=True)
    if isinstance(error, Refused):
        return NO_ACCESS
    return USAGE if isinstance(error, UserError) and not isinstance(error, LedgerError) else UNEXPECTED
