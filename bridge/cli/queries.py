"""`trakor-bridge queries fit`."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bridge.cli.check import show_check
from bridge.cli.command_setup import ConfigOption, ConnectionOption, LogFormatOption, LogLevelOption, begin
from bridge.cli.output import tell
from bridge.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bridge.cli.command_setup import Session
    from bridge.fitting import Fit, RankedList, StreamFit
    from bridge.records import Stream
    from bridge.settings import Settings

__all__ = ["add_to"]

HELP = """\
Propose the query files and maps that fit your organisation's Salestrekker.

Reads the schema, finds the lists of contacts and products, and proposes a query for each list, for one
record by its id and for the contacts of a deal, with a map and `where`. Tries the proposal on real
records, and shows it as a difference, with the reason for each part. Streams that fit already are left
as they are.

Without --write nothing is changed. With --write the files are written beside the configuration, a copy
of each replaced file is kept, and comments of the configuration stay.

\b
Examples:
  trakor-bridge queries fit
  trakor-bridge queries fit --write

\b
Exit status:
  0   everything fits, or would with what is proposed
  1   something could not be found out
  2   wrong usage or configuration
  4   Salestrekker refuses access
"""

INCOMPLETE: Final = 1
PASSED_ON: Final = ("contacts.record", "products.record")
"""The checks that show a real record."""


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    queries = typer.Typer(help="The queries for Salestrekker.", no_args_is_help=True, rich_markup_mode=None)
    queries.command("fit", help=HELP, short_help="Propose queries and maps that fit the schema.")(_fit)
    app.add_typer(queries, name="queries", short_help="Fit queries and maps to your Salestrekker.")


def _fit(
    *,
    write: Annotated[bool, typer.Option("--write", help="Write what is proposed.")] = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> int:
    from bridge.fitting import fit  # noqa: PLC0415 - see the package

    session = begin(config, connection, log_level or "error", log_format)
    name = _only_one(session)
    file = _configuration_file(config, name)
    found = asyncio.run(fit(session.settings, name, file, os.environ, _choose))
    for one in found.streams:
        _show_stream(one)
    if found.deals:
        tell(f"deals: {found.deals}")
    if not found.changes:
        return 0 if found.is_complete else INCOMPLETE
    if write:
        return _write(found, config, name)
    _show_changes(found, session.settings)
    for check in found.checks:
        if check.name in PASSED_ON and check.ok:
            show_check(check)
    tell("\nNothing was written. To write it: trakor-bridge queries fit --write")
    return 0 if found.is_complete else INCOMPLETE


def _only_one(session: Session) -> str:
    if len(session.connections) > 1:
        raise UserError(
            "there are several connections", advice=f"choose one: --connection {session.connections[0]}"
        )
    return session.connections[0]


def _configuration_file(config: Path | None, connection: str) -> Path | None:
    """The file that configures a connection; None if the environment does."""
    from bridge.settings import connection_file  # noqa: PLC0415 - see the package

    return connection_file(config, os.environ, connection)


def _choose(stream: Stream, lists: Sequence[RankedList]) -> RankedList | None:
    """Ask which list is meant; None without a terminal."""
    if not sys.stdin.isatty():
        return None
    tell(f"Several lists could be the {stream}:", err=True)
    for number, one in enumerate(lists, 1):
        tell(f"  {number}  {one.listing} ({one.why})", err=True)
    answer = typer.prompt("Which one (0: none of them)", type=int, default=1, err=True)
    return lists[answer - 1] if 0 < answer <= len(lists) else None


def _show_stream(one: StreamFit) -> None:
    if one.fits:
        tell(f"{one.stream}: query files and map fit as they are")
        return
    if one.proposal:
        ranked = one.proposal.ranked[0]
        typer.secho(f"{one.stream}", bold=True, nl=False)
        tell(f": from `{ranked.listing}`: {ranked.why}", after=len(one.stream))
        if one.proposal.keeps_map:
            tell("  only the way to the records changes: its fields, its map and `where` fit", hanging=4)
        for reason in one.proposal.proposed.reasons if not one.proposal.keeps_map else ():
            found = f"`{reason.found}`: " if reason.found else ""
            tell(f"  {reason.key}: {found}{reason.why}", hanging=4)
        for key, count in one.evidence.items():
            tell(f"  {key} has a value in {count} records that were read", hanging=4)
        for missing in one.proposal.proposed.missing if not one.proposal.keeps_map else ():
            tell(f"  the schema seems to have nothing that is {missing}", hanging=4)
        if not one.proposal.by_id:
            tell("  one record cannot be read by its id: webhooks and deletions wait for the list", hanging=4)
    if one.problem:
        typer.secho(f"✗ {one.stream} ", fg="red", bold=True, nl=False)
        tell(f" {one.problem}", after=len(one.stream) + 2, hanging=4)


def _show_changes(found: Fit, settings: Settings) -> None:
    for change in found.changes:
        typer.echo("")
        name = os.path.relpath(change.path, settings.folder)
        for line in change.diff(name).splitlines():
            colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
            typer.secho(line, fg=colour)
    typer.echo("")


def _write(found: Fit, config: Path | None, name: str) -> int:
    """Write the files if every part is sure, and check again."""
    from datetime import UTC, datetime  # noqa: PLC0415 - see the package

    from bridge.cli.check import check_again  # noqa: PLC0415 - see the package
    from bridge.fitting import write_changes  # noqa: PLC0415 - see the package

    if not found.is_complete:
        tell("Nothing was written, because a part is not sure.")
        return INCOMPLETE
    copies = write_changes(found.changes, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    for change in found.changes:
        typer.echo(f"wrote {change.path}")
    for copy in copies:
        typer.echo(f"kept what it replaced: {copy}")
    typer.echo("")
    return check_again(config, name)
