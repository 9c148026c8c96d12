"""`trakor-bridge records list|show|accept|dismiss|retry|drop|forget`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeAlias

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
from bridge.cli.record_selection import (
    FIELDS,
    FieldOption,
    MarkOption,
    NameOption,
    ReasonOption,
    Selection,
    SinceOption,
    StateOption,
    StreamOption,
    hasher_of,
    parse_since,
    parse_words,
    the_one,
)
from bridge.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bridge.cli.command_setup import Session
    from bridge.ledger.read_model import RecordSummary

__all__ = ["add_to"]

HELP = """\
List records, show one, and decide on those that need a decision.

An id is Salestrekker's, Trakor's, or a product's SKU.
"""
LIST = """\
List records, the oldest first.

With --csv, each field that differs has two columns: its value in Trakor, and its value now.

\b
Examples:
  trakor-bridge records list --state held,rejected,drifted
  trakor-bridge records list --state drifted --field contact_info --since 2d
  trakor-bridge records list --mark remapped --sort name
  trakor-bridge records list --reason same-name --stream contacts
  trakor-bridge records list --name "Jane Smith"
  trakor-bridge records list --csv > records.csv
  trakor-bridge records list --state pending --json
"""
SHOW = """\
Show everything about one record: its state, what that means, what you can do, what happened.

\b
Examples:
  trakor-bridge records show 5f0e9c1a-8f0c-4c2b-9a57-0a1b2c3d4e5f
  trakor-bridge records show PRD-00042
  trakor-bridge records show --name "Jane Smith"
"""
RETRY = """\
Check a record again: at once if its text is still stored, otherwise when it is next read.

\b
Examples:
  trakor-bridge records retry 5f0e9c1a-8f0c-4c2b-9a57-0a1b2c3d4e5f
  trakor-bridge records retry --state rejected --reason mapping --yes
"""
ACCEPT = """\
Accept what the bridge proposes for a record.

A renamed or remapped record is sent under its new name. If its name is taken, it is sent under its
qualified name, or under the one that you give. A same-person record shares the party of the other
record; with --as the two are different people. Same-party and existing records are linked to what
Trakor has. A drifted record, or one with the mark remapped, counts as corrected in Trakor by hand.

\b
Examples:
  trakor-bridge records accept 5f0e9c1a-8f0c-4c2b-9a57-0a1b2c3d4e5f
  trakor-bridge records accept 5f0e9c1a-8f0c-4c2b-9a57-0a1b2c3d4e5f \\
      --as "Jane Smith (Perth)"
  trakor-bridge records accept --state drifted --yes
  trakor-bridge records accept --mark remapped --yes
"""
DISMISS = """\
Leave a record as it is in Trakor.

Nothing is sent, and the record is not reported again until it changes in Salestrekker. This is for
records that Trakor has: drifted ones, those held as renamed, remapped, existing or same-party, those
with the mark remapped, and those that are gone from Salestrekker and settled in Trakor. For a record
that was never sent, use `records drop`.

\b
Examples:
  trakor-bridge records dismiss 5f0e9c1a-8f0c-4c2b-9a57-0a1b2c3d4e5f
  trakor-bridge records dismiss --field contact_info --since 1d --yes
  trakor-bridge records dismiss --mark gone --yes
  trakor-bridge records dismiss --mark remapped --yes
"""
DROP = """\
Don't send a record, and stop asking. `records retry` undoes that.

\b
Examples:
  trakor-bridge records drop 5f0e9c1a-8f0c-4c2b-9a57-0a1b2c3d4e5f
  trakor-bridge records drop --reason same-name --yes
"""

FORGET = """\
Erase what the ledger knows of one record, if the person asks for it.

Two things stay: its id in Salestrekker, so that it does not come back, and a keyed hash of a name that
Trakor may have, so that nobody else gets its party. Trakor's API cannot delete. The command prints the
ids that you delete there by hand. This cannot be undone, and does not change backups.

\b
Examples:
  trakor-bridge records forget 5f0e9c1a-8f0c-4c2b-9a57-0a1b2c3d4e5f
  trakor-bridge records forget --name "Jane Smith" --yes
"""

TABLE_ROWS = 100
"""Rows of a table without ``--limit``."""

IdArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="ID", help="Salestrekker's or Trakor's id, or a SKU.", show_default=False),
]


class SortBy(StrEnum):
    """The orders of a list."""

    SINCE = "since"
    ID = "id"
    NAME = "name"


YesOption: TypeAlias = Annotated[
    bool, typer.Option("--yes", help="Don't ask before many records are changed.")
]


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    commands = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode=None)
    commands.command("list", help=LIST, short_help="List records.")(_list)
    commands.command("show", help=SHOW, short_help="Show everything about one record.")(_show)
    commands.command("accept", help=ACCEPT, short_help="Accept what the bridge proposes.")(_accept)
    commands.command("dismiss", help=DISMISS, short_help="Leave a record as it is in Trakor.")(
        _decision("dismiss")
    )
    commands.command("retry", help=RETRY, short_help="Check a record again.")(_decision("retry"))
    commands.command("drop", help=DROP, short_help="Don't send a record, and stop asking.")(_decision("drop"))
    commands.command("forget", help=FORGET, short_help="Erase what is known of one record.")(_forget)
    app.add_typer(commands, name="records", short_help="List records, and decide on them.")


def _selection(  # noqa: PLR0913 - one parameter for each option
    identity: str | None = None,
    *,
    name: str | None = None,
    connection: str | None = None,
    state: list[str] | None = None,
    reason: list[str] | None = None,
    stream: list[str] | None = None,
    mark: list[str] | None = None,
    field: list[str] | None = None,
    since: str | None = None,
) -> Selection:
    from bridge.ledger.read_model import MARKS  # noqa: PLC0415 - see the package
    from bridge.records import Reason, State, Stream  # noqa: PLC0415 - see the package

    return Selection(
        identity=identity or "",
        name=name or "",
        connection=connection or "",
        states=parse_words("--state", state, State),
        reasons=parse_words("--reason", reason, Reason),
        streams=parse_words("--stream", stream, Stream),
        marks=parse_words("--mark", mark, MARKS),
        fields=parse_words("--field", field, FIELDS),
        since=parse_since(since),
    )


def _list(  # noqa: PLR0913 - one parameter for each option
    *,
    state: StateOption = None,
    reason: ReasonOption = None,
    mark: MarkOption = None,
    field: FieldOption = None,
    since: SinceOption = None,
    stream: StreamOption = None,
    name: NameOption = None,
    sort: Annotated[
        SortBy | None,
        typer.Option(
            "--sort",
            help="By the time of their last change of state (newest first), by id, or by name.",
            show_default="the oldest first",
        ),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Write CSV for a spreadsheet.")] = False,
    json: JsonOption = False,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", min=0, metavar="N", help="List at most N.", show_default="100 in a table, else all"
        ),
    ] = None,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    if csv and json:
        raise UserError("--csv and --json exclude each other", advice="give one of them")
    session = begin(config, connection, log_level, log_format)
    selection = _selection(
        name=name,
        connection=connection,
        state=state,
        reason=reason,
        stream=stream,
        mark=mark,
        field=field,
        since=since,
    )
    form = "csv" if csv else "json" if json else "table"
    _write_list(session, selection, form, sort, limit)


def _write_list(
    session: Session, selection: Selection, form: str, sort: SortBy | None, limit: int | None
) -> None:
    from bridge.cli.record_output import listed, write_csv, write_json  # noqa: PLC0415 - see the package
    from bridge.ledger.database import reading  # noqa: PLC0415 - see the package
    from bridge.ledger.read_model import count_records  # noqa: PLC0415 - see the package

    with reading(session.ledger, session.text_storage) as ledger:
        wanted = selection.wanted(ledger, hasher_of(session, ledger) if selection.name else None)
        most = TABLE_ROWS if limit is None and form == "table" else limit
        rows = listed(ledger, wanted, sort, most)
        match form:
            case "csv":
                write_csv(rows)
            case "json":
                write_json(rows, count_records(ledger, wanted))
            case _:
                _show_table(rows, count_records(ledger, wanted))


def _show_table(rows: Iterator[RecordSummary], total: int) -> None:
    from bridge.cli.record_output import show_table  # noqa: PLC0415 - see the package

    shown = list(rows)
    if shown:
        show_table(shown)
    if len(shown) < total:
        tell(f"{len(shown):,} of {total:,} records: --limit N lists more, --csv and --json list all.")
    elif total:
        tell(f"{total:,} record{'s' if total != 1 else ''}. `trakor-bridge records show ID` explains one.")
    else:
        typer.echo("No record matches.")


def _show(
    identity: IdArgument = None,
    *,
    name: NameOption = None,
    stream: StreamOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    session = begin(config, connection, log_level, log_format)
    selection = _selection(identity, name=name, connection=connection, stream=stream)
    _show_all(session, session.ledger, selection, json=json)


def _show_all(session: Session, path: Path, selection: Selection, *, json: bool) -> None:
    from bridge.cli.record_output import as_json, show_record  # noqa: PLC0415 - see the package
    from bridge.ledger.database import reading  # noqa: PLC0415 - see the package
    from bridge.ledger.open import is_daemon_running  # noqa: PLC0415 - see the package
    from bridge.ledger.record_relations_and_history import load_history, load_relations  # noqa: PLC0415 - see the package
    from bridge.status import iso  # noqa: PLC0415 - see the package

    with reading(path, session.text_storage) as ledger:
        record = the_one(session, ledger, selection)
        history = load_history(ledger, record.number)
        standing = load_relations(ledger, record)
    if json:
        lines = [{"at": iso(line.at), "event": line.event, "detail": line.detail} for line in history]
        print_json({**as_json(record), "history": lines})
        return
    several = len(session.settings.connections) > 1
    options = f"--connection {record.feed.connection}" if several else ""
    show_record(record, standing, history, options, daemon=is_daemon_running(path))


def _accept(  # noqa: PLR0913 - one parameter for each option
    identity: IdArgument = None,
    *,
    name: NameOption = None,
    given_name: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="Send one record under this name.", show_default=False),
    ] = None,
    state: StateOption = None,
    reason: ReasonOption = None,
    mark: MarkOption = None,
    field: FieldOption = None,
    since: SinceOption = None,
    stream: StreamOption = None,
    yes: YesOption = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> int:
    if given_name is not None and not given_name.strip():
        raise UserError("--as: a name needs visible characters")
    session = begin(config, connection, log_level, log_format)
    selection = _selection(
        identity,
        name=name,
        connection=connection,
        state=state,
        reason=reason,
        stream=stream,
        mark=mark,
        field=field,
        since=since,
    )
    return _decide(session, "accept", selection, yes=yes, json=json, given_name=given_name or "")


def _decision(action: str) -> Callable[..., int]:
    """The command of a decision that takes no name: ``dismiss``, ``retry`` or ``drop``."""

    def decide_on_records(  # noqa: PLR0913 - one parameter for each option
        identity: IdArgument = None,
        *,
        name: NameOption = None,
        state: StateOption = None,
        reason: ReasonOption = None,
        mark: MarkOption = None,
        field: FieldOption = None,
        since: SinceOption = None,
        stream: StreamOption = None,
        yes: YesOption = False,
        json: JsonOption = False,
        config: ConfigOption = None,
        connection: ConnectionOption = None,
        log_level: LogLevelOption = None,
        log_format: LogFormatOption = None,
    ) -> int:
        session = begin(config, connection, log_level, log_format)
        selection = _selection(
            identity,
            name=name,
            connection=connection,
            state=state,
            reason=reason,
            stream=stream,
            mark=mark,
            field=field,
            since=since,
        )
        return _decide(session, action, selection, yes=yes, json=json)

    return decide_on_records


def _decide(
    session: Session, action: str, selection: Selection, *, yes: bool, json: bool, given_name: str = ""
) -> int:
    from bridge.cli.record_decisions import decide  # noqa: PLC0415 - see the package
    from bridge.ledger.operator_actions import OperatorAction  # noqa: PLC0415 - see the package

    return decide(session, OperatorAction(action), selection, given_name=given_name, yes=yes, json=json)


def _forget(  # noqa: PLR0913 - one parameter for each option
    identity: IdArgument = None,
    *,
    name: NameOption = None,
    stream: StreamOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    from bridge.cli.record_decisions import (  # noqa: PLC0415 - see the package
        forget_one,
        forgotten_as_json,
        show_forgotten,
    )

    session = begin(config, connection, log_level, log_format)
    selection = _selection(identity, name=name, connection=connection, stream=stream)
    found, forgotten = forget_one(session, selection, yes=yes)
    if json:
        print_json(forgotten_as_json(found, forgotten))
    else:
        show_forgotten(found, forgotten)
