"""`trakor-bridge ledger backup|check|vacuum`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path  # noqa: TC003 - Typer reads the annotation at run time
from typing import Annotated

import typer

from bridge.cli.command_setup import (
    ConfigOption,
    ConnectionOption,
    JsonOption,
    LogFormatOption,
    LogLevelOption,
    begin,
)
from bridge.cli.output import print_json, tell
from bridge.errors import UserError

__all__ = ["add_to"]

HELP = """\
Back up the ledger, check it, or rebuild its file.

The ledger knows which party or product belongs to which record. Without it, the bridge can only match
records with Trakor by name. Keep backups of the ledger and of ledger.key.
"""
BACKUP = """\
Write a consistent copy of the ledger, also while a backfill runs.

The ledger's key is copied as well, to PATH.key.

\b
Example:
  trakor-bridge ledger backup /backup/ledger-$(date +%F).db
"""
CHECK = """\
Check the whole ledger: the file, its key, each record and each sealed text, and the rules between
records. You can do this while the daemon or a backfill runs.

\b
Examples:
  trakor-bridge ledger check
  trakor-bridge ledger check --json

\b
Exit status 0: no problem was found; 1: there are problems.
"""
VACUUM = """\
Rebuild the ledger's file without its free space. Stop the daemon first, and wait until a backfill has
ended: while one of them uses the ledger, this command fails with exit status 1.

\b
Example:
  trakor-bridge ledger vacuum
"""


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    commands = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode=None)
    commands.command("backup", help=BACKUP, short_help="Write a consistent copy.")(_backup)
    commands.command("check", help=CHECK, short_help="Check all of it.")(_check)
    commands.command("vacuum", help=VACUUM, short_help="Rebuild its file.")(_vacuum)
    commands.command("copy", hidden=True, context_settings=_ANYTHING)(_copy)
    app.add_typer(commands, name="ledger", short_help="Back up the ledger, check it, rebuild its file.")


_ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}


def _backup(
    target: Annotated[Path, typer.Argument(metavar="PATH", help="The copy; must not exist yet.")],
    *,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    from bridge.ledger.maintenance import back_up, copy_key  # noqa: PLC0415 - see the package
    from bridge.wiring.ledger_and_key import ledger_path  # noqa: PLC0415 - see the package

    session = begin(config, connection, log_level, log_format)
    path = ledger_path(session.settings)
    back_up(path, target)
    typer.echo(f"{target}: {target.stat().st_size:,} bytes")
    if session.settings.ledger.key is None:
        copied = copy_key(path.with_name("ledger.key"), target)
        typer.echo(f"{copied}: the ledger's key")
    else:
        typer.echo(
            "Its key is in the configuration ([ledger] key or key_file): keep it together with the copy."
        )


def _check(
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> int:
    from bridge.ledger.integrity import check_ledger  # noqa: PLC0415 - see the package
    from bridge.ledger.open import require_current  # noqa: PLC0415 - see the package
    from bridge.wiring.ledger_and_key import ledger_key, ledger_path  # noqa: PLC0415 - see the package

    session = begin(config, connection, log_level, log_format)
    path = ledger_path(session.settings)
    require_current(path)
    kept = session.settings.ledger.keep == "sealed"
    findings = check_ledger(path, lambda: ledger_key(session.settings, make=False), keep_sent=kept)
    good = all(finding.ok for finding in findings)
    if json:
        rows = [asdict(one) for one in findings]
        print_json({"ok": good, "checks": rows})
    else:
        for finding in findings:
            typer.secho("ok   " if finding.ok else "FAULT", fg="green" if finding.ok else "red", nl=False)
            tell(f" {finding.name}: {finding.detail}", after=5, hanging=6)
        for advice in dict.fromkeys(one.advice for one in findings if one.advice):
            typer.echo(f"what to do: {advice}", err=True)
    return 0 if good else 1


def _vacuum(
    *,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    from bridge.ledger.maintenance import vacuum  # noqa: PLC0415 - see the package
    from bridge.ledger.open import lock_ledger, require_current  # noqa: PLC0415 - see the package
    from bridge.wiring.ledger_and_key import ledger_path  # noqa: PLC0415 - see the package

    session = begin(config, connection, log_level, log_format)
    path = ledger_path(session.settings)
    require_current(path)
    with lock_ledger(path, "trakor-bridge ledger vacuum"):
        before, after = vacuum(path)
    typer.echo(f"{path}: {before:,} bytes before, {after:,} after")


def _copy() -> None:
    raise UserError(
        "`ledger copy` is not available yet", advice="`ledger backup PATH` copies the ledger's file"
    )
