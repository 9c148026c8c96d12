"""`trakor-bridge connections list|rename|confirm`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bridge.cli.command_setup import (
    ConfigOption,
    ConnectionOption,
    JsonOption,
    LogFormatOption,
    LogLevelOption,
    begin,
)
from bridge.cli.output import ask_yes_no, escape, print_json, tell
from bridge.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bridge.cli.command_setup import Session
    from bridge.ledger.read_model import Reader
    from bridge.status import ConnectionHealth

__all__ = ["add_to", "tell_strays"]

HELP: Final = """\
List the connections, rename one, or confirm its organisations.

A connection is defined by the two organisations that it joins, not by the name of its file. The ledger
stores hashes of Salestrekker's organisation, and of Trakor's address and key. If another organisation
appears, nothing is read or sent.
"""
LIST: Final = """\
List the connections with their state, and the process that works on each.

\b
ok              works
paused          reading or sending is paused: see `trakor-bridge status`
refused         it seems to join other organisations than before:
                confirm it, or correct the configuration
new             the ledger has no records of it yet
not configured  only the ledger knows it

\b
Examples:
  trakor-bridge connections list
  trakor-bridge connections list --json
"""
RENAME: Final = """\
Move the ledger's records of a connection to another name, including its default scope.

Rename the connection's file first, then run this command. In between, nothing is read or sent, because
names would be claimed twice. The command is refused while OLD is still configured: OLD would start
from scratch and send everything again. It is also refused while a backfill or the daemon runs.

\b
Example:
  mv connections.d/north.toml connections.d/melbourne.toml
  trakor-bridge connections rename north melbourne
"""
CONFIRM: Final = """\
Confirm that a connection joins the right organisations.

For a connection that is refused because its log-in, or Trakor's address or key, is of another
organisation than before, and for a new one that seems to be an old one under another name. Before you
confirm, make sure that no other brokerage's records get mixed with these. A running daemon goes on
within a second.

It says what is taken as right from now on. Where that is "a new connection" while the ledger has records
of one that is not configured any more, it asks first: a renamed one is not new, and everything would be
sent once more.

\b
Example:
  trakor-bridge connections confirm north
"""


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    commands = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode=None)
    commands.command("list", help=LIST, short_help="Who works on each, and how it is.")(_list)
    commands.command("rename", help=RENAME, short_help="Go on under another name.")(_rename)
    commands.command("confirm", help=CONFIRM, short_help="Confirm its organisations.")(_confirm)
    app.add_typer(commands, name="connections", short_help="List, rename or confirm connections.")


def _list(
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    from bridge.status import connection_health  # noqa: PLC0415 - see the package
    from bridge.wiring.ledger_and_key import ledger_path  # noqa: PLC0415 - see the package

    session = begin(config, connection, log_level, log_format)
    found = connection_health(ledger_path(session.settings), tuple(session.settings.connections))
    if connection is not None:
        found = [one for one in found if one.name == connection]
    if json:
        print_json({"connections": [one.as_json() for one in found]})
    else:
        _show(found)


def _show(found: list[ConnectionHealth]) -> None:
    from rich.table import Table  # noqa: PLC0415 - see the package
    from rich.text import Text  # noqa: PLC0415 - see the package

    from bridge.cli.output import console  # noqa: PLC0415 - see the package
    from bridge.status.timestamps import short_age  # noqa: PLC0415 - see the package

    table = Table("connection", "state", "for", box=None, pad_edge=False, header_style="bold")
    now = time.time_ns() // 1_000_000
    for one in found:
        since = "" if one.since_at is None else short_age(one.since_at, now)
        table.add_row(Text(escape(one.name), style="bold"), one.state, since)
    console().print(table)
    for one in found:
        if one.reason:
            tell(f"{escape(one.name)}: {escape(one.reason)}", hanging=4)
    for owner in sorted({one.owner for one in found if one.owner}):
        tell(f"Working on them: {escape(owner)}", hanging=4)


def _rename(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The name that the ledger has.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new name.")],
    *,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    from bridge.ledger.connection_and_scope_renames import MAIN, rename_connection  # noqa: PLC0415 - see the package
    from bridge.ledger.database import writing  # noqa: PLC0415 - see the package
    from bridge.ledger.open import lock_ledger  # noqa: PLC0415 - see the package

    session = begin(config, connection, log_level, log_format)
    path, configured = session.ledger, session.settings.connections
    scope = configured[new].scope if new in configured else new
    with lock_ledger(path, "trakor-bridge connections rename"), writing(path) as ledger:
        number = rename_connection(ledger, old, new, scope, configured)
    tell(f"{number:,} records of {escape(old)} moved to {escape(new)}.")
    if new not in configured:
        where = (
            "the main file has its sections"
            if new == MAIN
            else f"its file is connections.d/{escape(new)}.toml"
        )
        tell(f"No connection {escape(new)} is configured yet. Nothing of it is read or sent until {where}.")


def _confirm(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A configured connection.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask whether it is new.")] = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    from bridge.ledger.connection_organizations import confirm_organizations, count_sent_before, list_doubts  # noqa: PLC0415 - see the package
    from bridge.ledger.database import reading, writing  # noqa: PLC0415 - see the package
    from bridge.names import Hasher  # noqa: PLC0415 - see the package
    from bridge.wiring.ledger_and_key import ledger_key  # noqa: PLC0415 - see the package
    from bridge.wiring.organization_identity import hash_trakor  # noqa: PLC0415 - see the package

    session = begin(config, connection, log_level, log_format)
    configured = session.settings.connections
    if name not in configured:
        raise UserError(f"there is no connection {name!r}", advice=f"configured are: {', '.join(configured)}")
    path = session.ledger
    trakor = hash_trakor(configured[name], Hasher(ledger_key(session.settings, make=False)))
    with reading(path) as ledger:
        doubts, left = list_doubts(ledger, name, trakor), _left_behind(ledger, name, configured)
        number = count_sent_before(ledger, name, trakor)
    for clause in doubts:
        tell(f"{escape(name)}: {clause}.", hanging=4)
    if number:
        tell(
            f"{number:,} of its records count as in that organisation from now on, and are not sent again: "
            "right where only its address or key changed. Where it is a new organisation, or was emptied, "
            "begin with a new ledger instead: [ledger] url.",
            hanging=4,
        )
    if left:
        _ask_whether_new(name, left, yes=yes)
    with writing(path) as ledger:
        if confirm_organizations(ledger, name, trakor) != doubts:
            raise UserError(f"{name} changed while this command ran", advice="run the command again")
    if not doubts:
        tell(f"{escape(name)}: nothing needed to be confirmed.")


def _left_behind(ledger: Reader, name: str, configured: Collection[str]) -> dict[str, int]:
    """Unconfigured connections that a new one may be, with their records; empty if it is not new."""
    from bridge.ledger.connection_and_scope_renames import count_unconfigured_records  # noqa: PLC0415 - see the package
    from bridge.ledger.connection_organizations import is_new_connection  # noqa: PLC0415 - see the package

    return count_unconfigured_records(ledger, configured) if is_new_connection(ledger, name) else {}


def _ask_whether_new(name: str, left: Mapping[str, int], *, yes: bool) -> None:
    """Print the consequences, and continue only if the user agrees.

    Raises:
        UserError: There is no terminal to ask on.
    """
    for old, number in left.items():
        tell(
            f"The ledger has {number:,} records of {escape(old)}, which is no longer configured. If "
            f"{escape(name)} is {escape(old)} under another name, it is not new: run `trakor-bridge "
            f"connections rename {escape(old)} {escape(name)}`. A new connection reads and sends everything "
            "again, and earlier decisions do not apply to it.",
            hanging=4,
            err=True,
        )
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError(
            f"confirming that {name} is new cannot be undone, and needs to be agreed to", advice="add --yes"
        )
    if not ask_yes_no(f"Does {escape(name)} join other organisations than these?"):
        raise typer.Exit(1)


def tell_strays(session: Session) -> None:
    """List the names that may exist in another Trakor organisation, for an operator to delete there."""
    for name in session.connections:
        names, forgotten, is_stopped = _strays(session, name)
        if names or forgotten:
            then = (
                ""
                if is_stopped
                else f" (`trakor-bridge connections confirm {escape(name)}` then ends this list)"
            )
            tell(f"{escape(name)}: delete by hand, in the Trakor of the wrong key{then}:", hanging=4)
            for one in names:
                tell(f"    {escape(one)}", hanging=6)
        if forgotten:
            tell(f"    {forgotten} more that were forgotten since", hanging=6)


def _strays(session: Session, name: str) -> tuple[list[str], int, bool]:
    """The names, how many more were forgotten since, and whether the connection is still stopped."""
    from bridge.ledger.connection_organizations import load_known  # noqa: PLC0415 - see the package
    from bridge.ledger.database import reading  # noqa: PLC0415 - see the package
    from bridge.ledger.open import read_revision  # noqa: PLC0415 - see the package
    from bridge.ledger.trakor_identity_check import load_stray_names  # noqa: PLC0415 - see the package
    from bridge.wiring.ledger_and_key import ledger_path  # noqa: PLC0415 - see the package

    path = ledger_path(session.settings)
    if read_revision(path) is None:
        return [], 0, False
    with reading(path) as ledger:
        noted = load_known(ledger, name)
    if not noted.mismatch.made:
        return [], 0, False  # which needs no key
    with reading(path, session.text_storage) as ledger:
        return *load_stray_names(ledger, name), noted.stopped
