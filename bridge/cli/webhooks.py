"""`trakor-bridge webhooks urls|list|replay`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.command_setup import (
    ConfigOption,
    ConnectionOption,
    JsonOption,
    LogFormatOption,
    LogLevelOption,
    begin,
)
from bridge.cli.output import escape, print_json, tell
from bridge.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bridge.cli.command_setup import Session
    from bridge.ledger.webhook_queue import StoredWebhook

__all__ = ["add_to"]

HELP = """\
Salestrekker's webhooks: their addresses, those received, and reading their records again.
"""
URLS = """\
Print the address to paste into Salestrekker's Settings/API for each action.

Each address contains the connection's token. With the token one can make the bridge read records, but
nothing else. Open an address in a browser to check that it works while `trakor-bridge run` runs.

\b
Examples:
  trakor-bridge webhooks urls
  trakor-bridge webhooks urls --connection north --json
"""
LIST = """\
List the webhooks received, the newest first.

The body of a webhook that could not be understood is kept: --json prints it as `body`.

\b
Examples:
  trakor-bridge webhooks list
  trakor-bridge webhooks list --waiting
  trakor-bridge webhooks list --problems --json
"""
REPLAY = """\
Process webhooks again, by the numbers that `webhooks list` shows: their records are read again.

\b
Example:
  trakor-bridge webhooks replay 1207 1208
"""

ROWS = 100
"""Webhooks that are listed without ``--limit``."""

MOST_NUMBER = 2**63 - 1
"""The largest number that the ledger can store."""

NO_PUBLIC_URL = "[webhooks] public_url, the address at which Salestrekker reaches this machine, is not set"
NO_PUBLIC_URL_ADVICE = 'set it to the address of your proxy: public_url = "https://bridge.example.com"'
HOW_TO_SET_ONE = (
    "set [webhooks] token, or token_file, to at least 32 random characters; a connection in connections_dir "
    "has it in its own file. `trakor-bridge init` makes one: secrets/webhook-token"
)


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    commands = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode=None)
    commands.command("urls", help=URLS, short_help="Print the addresses for Salestrekker.")(_urls)
    commands.command("list", help=LIST, short_help="List the webhooks received.")(_list)
    commands.command("replay", help=REPLAY, short_help="Process webhooks again.")(_replay)
    app.add_typer(commands, name="webhooks", short_help="Salestrekker's webhooks.")


def _urls(
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    session = begin(config, connection, log_level, log_format)
    found = _addresses(session)
    if json:
        print_json({"connections": found})
        return
    several = len(session.settings.connections) > 1
    for name, by_action in found.items():
        if several:
            typer.echo(f"{name}:")
        for action, address in by_action.items():
            typer.echo(f"{action:<20}{address}")
    for name in session.connections:
        if len(session.settings.connections[name].webhook_tokens) > 1:
            tell(f"{name} has two tokens: these addresses have the first.", err=True)


def _addresses(session: Session) -> dict[str, Mapping[str, str]]:
    """Connection -> action -> address.

    Raises:
        UserError: The public address is not set, or a connection has no token.
    """
    from bridge.webhooks.receiver import addresses  # noqa: PLC0415 - see the package

    settings = session.settings
    public_url = settings.webhooks.public_url
    if public_url is None:
        raise UserError(NO_PUBLIC_URL, advice=NO_PUBLIC_URL_ADVICE)
    tokens = {name: settings.connections[name].webhook_tokens for name in session.connections}
    without = [name for name, several in tokens.items() if not several]
    if without:
        raise UserError(f"no token for webhooks is set for {', '.join(without)}", advice=HOW_TO_SET_ONE)
    return {name: addresses(public_url, several[0].get_secret_value()) for name, several in tokens.items()}


def _list(
    *,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those not processed yet.")] = False,
    problems: Annotated[
        bool, typer.Option("--problems", help="Only those that could not be understood.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="List at most N.")] = ROWS,
    json: JsonOption = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    from bridge.ledger.database import reading  # noqa: PLC0415 - see the package
    from bridge.ledger.webhook_queue import list_webhooks  # noqa: PLC0415 - see the package

    session = begin(config, connection, log_level, log_format)
    names = session.connections if connection else ()
    with reading(session.ledger, session.text_storage) as ledger:
        events = list_webhooks(ledger, names, limit, only_waiting=waiting, only_problems=problems)
    if json:
        print_json({"events": [_as_json(event) for event in events]})
    elif events:
        _show(events)
    elif waiting or problems or connection:
        typer.echo("No webhook matches.")
    else:
        tell("No webhook has arrived yet. `trakor-bridge webhooks urls` prints their addresses.")


def _as_json(event: StoredWebhook) -> dict[str, Any]:
    from bridge.status import iso  # noqa: PLC0415 - see the package

    return {
        "number": event.number,
        "connection": event.connection,
        "action": event.action,
        "id": event.source_id or None,
        "received_at": iso(event.received_at),
        "status": "waiting" if event.done_at is None else "done",
        "done_at": None if event.done_at is None else iso(event.done_at),
        "outcome": event.outcome or None,
        "problem": event.problem or None,
        "body": event.body,
        "tries": event.tries,
        "next_try_at": iso(event.next_try_at) if _is_tried_again(event) else None,
        "waits_for": event.waits_for or None,
    }


def _is_tried_again(event: StoredWebhook) -> bool:
    """Whether its record could not be read, and will be read again."""
    return event.done_at is None and bool(event.next_try_at)


def _show(events: Sequence[StoredWebhook]) -> None:
    """Print a table, with control characters escaped."""
    from rich.table import Table  # noqa: PLC0415 - see the package
    from rich.text import Text  # noqa: PLC0415 - see the package

    from bridge.cli.output import console  # noqa: PLC0415 - see the package

    now = time.time_ns() // 1_000_000
    several = len({event.connection for event in events}) > 1
    heads = ["number", *(["connection"] if several else []), "action", "id", "received", "result"]
    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for event in events:
        table.add_row(*(Text(escape(text)) for text in _cells(event, now, several=several)))
    console().print(table)


def _cells(event: StoredWebhook, now: int, *, several: bool) -> Iterator[str]:
    from bridge.status import age  # noqa: PLC0415 - see the package

    yield str(event.number)
    if several:
        yield event.connection
    yield event.action
    yield event.source_id or "-"
    yield age(event.received_at, now)
    yield _result_of(event, now)


def _result_of(event: StoredWebhook, now: int) -> str:
    from bridge.status import age  # noqa: PLC0415 - see the package

    if _is_tried_again(event):
        failed = f"{event.tries} {'read' if event.tries == 1 else 'reads'} failed"
        return f"waiting: {event.waits_for}; {failed}, next {age(event.next_try_at, now)}"
    if event.done_at is None:
        return "waiting"
    return event.problem or event.outcome or "done"


def _replay(
    numbers: Annotated[
        list[int],
        typer.Argument(metavar="NUMBER…", min=1, max=MOST_NUMBER, help="As `webhooks list` shows them."),
    ],
    *,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    session = begin(config, connection, log_level, log_format)
    for event in _replayed(session.ledger, numbers, session.connections if connection else ()):
        tell(f"{event.number}: {event.action} of {event.source_id} is waiting again.")
    tell("A running daemon reads their records within seconds; otherwise the next `trakor-bridge run` does.")


def _replayed(path: Path, numbers: Sequence[int], names: Sequence[str]) -> list[StoredWebhook]:
    """Put the webhooks back into the queue: all of them, or none if one is unknown."""
    from bridge.ledger.database import writing  # noqa: PLC0415 - see the package
    from bridge.ledger.webhook_queue import replay_webhook  # noqa: PLC0415 - see the package

    now = time.time_ns() // 1_000_000
    with writing(path) as ledger:
        events = [replay_webhook(ledger, number, now) for number in numbers]
        if foreign := [event for event in events if names and event.connection not in names]:
            raise UserError(f"event {foreign[0].number} is of the connection {foreign[0].connection}")
    return events
