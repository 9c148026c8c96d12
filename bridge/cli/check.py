"""`trakor-bridge check`: checks access, queries and maps."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
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
from bridge.cli.output import print_json, tell
from bridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bridge.checks import Check
    from bridge.cli.command_setup import Session

__all__ = ["add_to", "check_again", "show_check"]

HELP = """\
Check everything that a backfill needs, and show what to do about each problem.

Checks the configuration, the ledger, both addresses, the log-in, the organisation, each query against
the live schema, and the maps against the queries. Maps one real record and shows it, with its personal
data masked. Writes nothing, neither here nor in Salestrekker nor in Trakor.

Begin with the first ✗: follow the advice below it, then check again. A ! marks what you should know
before anything is sent; it is not a failure.

\b
Examples:
  trakor-bridge check
  trakor-bridge check --show        don't mask personal data
  trakor-bridge check --json

\b
Exit status:
  0   all checks passed
  1   a check failed
  2   wrong usage or configuration
"""


OF_QUERIES: Final = ("list_query", "one_query", "ticket_query", ".map")
"""How the names of checks end that compare queries and maps with the schema."""

FAILED: Final = 1


UNUSABLE: Final = 2


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check", help=HELP, short_help="Check access, queries and maps, and show what to do.")(_check)


def _check(
    *,
    show: Annotated[
        bool, typer.Option("--show", help="Show the mapped record with its personal data.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> int:
    from bridge.checks import Check, next_step  # noqa: PLC0415 - see the package

    tell = _silent if json else show_check
    try:
        session = begin(config, connection, log_level or "error", log_format)
    except ConfigurationError as error:
        found = [Check("configuration", ok=False, detail=message) for message in error.errors]
        for one in found:
            tell(one)
        status, then = UNUSABLE, ""
    else:
        found = asyncio.run(_all(session, tell, show=show))
        status = 0 if all(one.ok for one in found) else FAILED
        word = "Then" if any(one.caution for one in found) else "Next"
        then = next_step(session.settings, session.connections, word=word)
    if json:
        print_json({"ok": status == 0, "checks": [one.as_json() for one in found]})
    else:
        _conclude(found, then)
    return status


async def _all(session: Session, tell: Callable[[Check], None], *, show: bool) -> list[Check]:
    from bridge.checks import run  # noqa: PLC0415 - see the package

    found = []
    async with aclosing(run(session.settings, session.connections, os.environ, show=show)) as steps:
        async for one in steps:
            tell(one)
            found.append(one)
    return found


def check_again(config: Path | None, connection: str) -> int:
    """Check one connection after its files have changed, and show what was found.

    Returns:
        The command's exit status.
    """
    return _check(config=config, connection=connection)


def _silent(_: Check) -> None:
    """Print nothing: the results are printed as JSON."""


def show_check(one: Check) -> None:
    """Print a line for the check, further findings below it, and the advice indented below those."""
    first, *others = one.detail.split("\n")
    mark, colour = _mark(one)
    typer.secho(f"{mark} ", fg=colour, bold=True, nl=False)
    typer.secho(one.name, bold=True, nl=False)
    tell(f"  {first}", after=len(f"{mark} {one.name}"), hanging=4)
    for line in others:
        tell(f"    {line}", hanging=6 + len(line) - len(line.lstrip()))
    if one.advice:
        for line in one.advice.split("\n"):
            tell(f"    → {line}".rstrip(), hanging=6, fg=None if one.ok and not one.caution else "yellow")


def _mark(one: Check) -> tuple[str, str | None]:
    """The character before a check, and its colour."""
    if one.ok:
        return ("!", "yellow") if one.caution else ("✓", "green")
    return ("✗", "red") if one.tried else ("·", None)


def _conclude(found: list[Check], then: str) -> None:
    """Print the last lines: how many checks failed, or what comes next."""
    failed = sum(not one.ok and one.tried for one in found)
    untried = sum(not one.tried for one in found)
    if failed:
        others = f", and {untried} could not be tried" if untried else ""
        tell(f"\n{failed} of {len(found)} checks failed{others}.")
        tell("Begin with the first ✗, then check again.")
        if any(one.name.endswith(OF_QUERIES) and not one.ok and one.tried for one in found):
            tell("`trakor-bridge queries fit` proposes queries and maps that fit your schema.")
    elif any(one.caution for one in found):
        tell("\nNo check failed, but read the advice below each ! before anything is sent.")
        tell(then)
    else:
        tell(f"\nAll checks passed. {then}")
