"""Records on the command line: as a table, as CSV, as JSON, and one record in full."""

from __future__ import annotations

import csv
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import orjson
from rich.table import Table
from rich.text import Text

from bridge.cli.output import (
    COLOURS,
    NO_TERMINAL_WIDTH,
    console,
    escape,
    escape_cell,
    print_sentence,
)
from bridge.errors import UserError
from bridge.ledger.read_model import RecordSort, iterate_records
from bridge.status import age, also_changed, choices, event, iso, local_time, meaning, short_age
from bridge.status.possible_actions import automatic_step
from bridge.status.record_comparison import other_of, sides

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bridge.ledger.read_model import Reader, RecordQuery, RecordSummary
    from bridge.ledger.record_relations_and_history import HistoryLine, RecordRelations
    from bridge.status.record_comparison import FieldText as Value

__all__ = [
    "JsonList",
    "as_json",
    "listed",
    "show_record",
    "show_table",
    "state_of",
    "write_csv",
    "write_json",
]

COLUMNS: Final = (
    "connection", "stream", "id", "state", "reason", "marks", "origin", "trakor_id", "sku", "fields", "since",
    "name",
)  # fmt: skip
"""The values of each record, in CSV in this order."""

OLD_AND_NEW: Final = ("contact_info", "description", "price", "qualifier")
"""Fields with two columns in CSV: the value in Trakor, and the value now."""

MORE_COLUMNS: Final = ("trakor_name", *(f"{age}_{name}" for name in OLD_AND_NEW for age in ("old", "new")))
"""Further columns, in CSV only."""

NOT_KNOWN: Final = "(unknown)"
"""Stands in CSV for a value that differs and is not stored."""

BY_NAME: Final = "name"
"""The order that the database cannot give."""

MOST_SORTED: Final = 10_000
"""The most records that are sorted by name: each name has to be decrypted first."""

SPACE: Final = 2
"""Empty columns after each column of a table."""

WIDEST: Final = {"state": 36, "name": 60}
"""The widest columns of a table: longer text is wrapped or cut."""

CUT: Final = frozenset({"name", "id"})
"""The columns that are cut. Commands accept an id that is cut, with its `…`."""

TIGHTENED: Final = (
    ("id", 36), ("state", 22), ("name", 19), ("id", 13), ("since", 0), ("name", 10), ("id", 9),
)  # fmt: skip
"""Which columns shrink, in this order and down to this width, if a table is too wide; 0: it is left out."""

TIGHTENED_AROUND_IDS: Final = (("since", 0), ("name", 0), ("state", 10))
"""The same for records of one name, whose ids are to be copied and therefore stay whole."""


def as_json(record: RecordSummary) -> dict[str, Any]:
    """A record as in the public interface, with null for what it does not have."""
    return {
        "connection": record.feed.connection,
        "stream": str(record.feed.stream),
        "id": record.id,
        "state": record.state,
        "reason": record.reason or None,
        "marks": list(record.marks),
        "origin": record.origin or None,
        "trakor_id": record.trakor_id or None,
        "sku": record.sku or None,
        "fields": list(record.fields),
        "since": iso(record.since_at),
        "name": record.name or None,
    }


class JsonList:
    """A JSON document that begins with a list of records, written one by one."""

    def __init__(self) -> None:
        self._between = '{"records": [\n  '

    def add(self, record: RecordSummary) -> None:
        """Write one more record."""
        sys.stdout.write(self._between + orjson.dumps(as_json(record)).decode())
        self._between = ",\n  "

    def end(self, **more: object) -> None:
        """Write the other values of the document, and its end."""
        begun = self._between.startswith(",")
        parts = [f'"{name}": {orjson.dumps(value).decode()}' for name, value in more.items()]
        sys.stdout.write(("\n" if begun else '{"records": [') + ", ".join(["]", *parts]) + "}\n")
        sys.stdout.flush()


def write_json(records: Iterable[RecordSummary], total: int) -> None:
    """Write the one JSON document of a list, record by record."""
    document = JsonList()
    for record in records:
        document.add(record)
    document.end(total=total)


def listed(
    connection: Reader, wanted: RecordQuery, sort: str | None, limit: int | None
) -> Iterator[RecordSummary]:
    """The records that match, in an order.

    Args:
        connection: Of the ledger.
        wanted: Which.
        sort: ``since``, ``id`` or ``name``; None: those known longest first.
        limit: How many at most; None: all.

    Raises:
        UserError: Too many match to put them in order by name.
    """
    if sort != BY_NAME:
        return iterate_records(connection, wanted, limit, sort=None if sort is None else RecordSort(sort))
    found = list(iterate_records(connection, wanted, MOST_SORTED + 1))
    if len(found) > MOST_SORTED:
        raise UserError(
            f"more than {MOST_SORTED:,} records match: too many to put them in order by name",
            advice="narrow the list by --state or --since, or sort the CSV in a spreadsheet",
        )
    found.sort(key=lambda record: (not record.name, record.name.casefold(), record.number))
    return iter(found[:limit])


def write_csv(records: Iterable[RecordSummary]) -> None:
    """Write CSV by RFC 4180, record by record; no cell is a formula to a spreadsheet."""
    out = csv.writer(sys.stdout)
    out.writerow((*COLUMNS, *MORE_COLUMNS))
    for record in records:
        values = [_text(value) for value in as_json(record).values()]
        out.writerow([escape_cell(value) for value in (*values, record.trakor_name, *_old_and_new(record))])
    sys.stdout.flush()


def _old_and_new(record: RecordSummary) -> Iterator[str]:
    """For each field the value in Trakor and the value now; both are empty if they are equal."""
    changes = {change.field: change for change in record.changes}
    for name in OLD_AND_NEW:
        pair = changes[name][1:] if name in changes else ("", "")
        yield from (NOT_KNOWN if value is None else value for value in pair)


def _text(value: str | list[str] | None) -> str:
    return " ".join(value) if isinstance(value, list) else value or ""


def state_of(record: RecordSummary) -> Text:
    """A record's state and why, in its colour: ``held: same-name``, ``drifted: contact_info, gone``."""
    fields = record.fields if record.state == "drifted" else also_changed(record)
    details = ", ".join(detail for detail in (record.reason, *fields) if detail)
    state = Text(record.state, style=COLOURS.get(record.state, ""))
    state.append(f": {details}" if details else "")
    state.append(f" [{', '.join(record.marks)}]" if record.marks else "", style="grey50")
    return state.append(" (to be checked again)" if record.retry else "", style="grey50")


def show_table(records: Sequence[RecordSummary], *, error: bool = False) -> None:
    """Show records on standard output; or on standard error, with ids that are never cut."""
    out = console(error=error)
    if not out.is_terminal:
        out.width = NO_TERMINAL_WIDTH
    columns = _columns(records, time.time_ns() // 1_000_000)
    if error and len({record.feed.stream for record in records}) == 1:
        del columns["stream"]
    widths = _widths(columns, out.width, TIGHTENED_AROUND_IDS if error else TIGHTENED)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, SPACE, 0, 0))
    for heading, wide in widths.items():
        cut = heading in CUT and not (error and heading == "id")
        table.add_column(heading, width=wide, no_wrap=cut, overflow="ellipsis" if cut else "fold")
    for cells in zip(*(columns[heading] for heading in widths), strict=True):
        table.add_row(*cells)
    out.print(table)


def _columns(records: Sequence[RecordSummary], now: int) -> dict[str, list[Text]]:
    """The columns that are useful for these records: heading -> cells."""
    columns = {
        "state": [state_of(record) for record in records],
        "name": [Text(escape(record.name)) for record in records],
        "connection": [Text(escape(record.feed.connection)) for record in records],
        "stream": [Text(str(record.feed.stream)) for record in records],
        "id": [Text(escape(record.id)) for record in records],
        "since": [Text(short_age(record.since_at, now), style="grey50") for record in records],
    }
    if not any(record.name for record in records):
        del columns["name"]
    if len({record.feed.connection for record in records}) == 1:
        del columns["connection"]
    return columns


def _widths(
    columns: Mapping[str, Sequence[Text]], width: int, tightened: Sequence[tuple[str, int]]
) -> dict[str, int]:
    """The width of each column, so that the table fits; columns without room are left out."""
    widths = {
        heading: min(max(len(heading), *(one.cell_len for one in cells)), WIDEST.get(heading, width))
        for heading, cells in columns.items()
    }
    for heading, least in tightened:
        over = sum(widths.values()) + SPACE * len(widths) - width
        if over <= 0:
            break
        if not least:
            widths.pop(heading, None)
        elif heading in widths:
            widths[heading] = min(widths[heading], max(least, widths[heading] - over))
    return widths


def show_record(
    record: RecordSummary,
    standing: RecordRelations,
    history: Sequence[HistoryLine],
    options: str,
    *,
    daemon: bool,
) -> None:
    """Show a record: what it is, what that means, what differs, what can be done, what happened.

    Args:
        record: The record.
        standing: Its relations to other records.
        history: Its history.
        options: Options that distinguish it from another record with the same id.
        daemon: A daemon runs.
    """
    now = time.time_ns() // 1_000_000
    out = console()
    if not out.is_terminal:
        out.width = NO_TERMINAL_WIDTH
    print_sentence(out, _title(record), style="bold", hanging=4)
    out.print(_facts(record, standing, now))
    out.print()
    for sentence in meaning(record, standing, now):
        print_sentence(out, sentence)
    if standing.trakor_text:
        print_sentence(out, f"Trakor answered: “{standing.trakor_text}”")
    if compared := _compared(record, standing):
        out.print()
        out.print(compared)
    if daemon and (next_step := automatic_step(record)):
        print_sentence(out, next_step)
    possible = choices(record, standing, options, daemon=daemon)
    if possible:
        out.print("\n[bold]What you can do[/bold]")
    for choice in possible:
        out.print(Text(f"  {escape(choice.command)}"))  # never wrapped, so that it can be copied
        print_sentence(out, f"      {choice.effect}", style="grey50", hanging=6)
    out.print("\n[bold]What happened[/bold]")
    out.print(_story(history))


def _title(record: RecordSummary) -> str:
    kind = record.feed.stream.spec.singular.capitalize()
    return f"{kind} {escape(record.id)}" + (f" · {escape(record.name)}" if record.name else "")


def _facts(record: RecordSummary, standing: RecordRelations, now: int) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="grey50", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _pairs(record, standing, now):
        table.add_row(name, value)
    return table


def _pairs(record: RecordSummary, standing: RecordRelations, now: int) -> Iterator[tuple[str, Text]]:
    yield "state", state_of(record)
    yield "since", Text(f"{local_time(record.since_at)} ({age(record.since_at, now)})")
    yield "connection", Text(record.feed.connection)
    if standing.trakor_ids:
        yield from _in_trakor(record, standing)
    elif standing.claimant and standing.claimant.trakor_id and record.reason in {"", "renamed", "remapped"}:
        yield "in Trakor", Text(f"{escape(standing.claimant.trakor_id)}, shared")
    if other := other_of(record, standing):
        named = f"“{escape(other.name)}” " if other.name else ""
        yield "other record", Text(f"{named}{escape(other.id)}, ").append_text(state_of(other))


def _in_trakor(record: RecordSummary, standing: RecordRelations) -> Iterator[tuple[str, Text]]:
    """Its party or product, then those under earlier names."""
    named = f"“{escape(record.trakor_name)}” " if record.trakor_name else ""
    present = [one for one in standing.trakor_ids if one == record.trakor_id] or standing.trakor_ids
    ids = ", ".join(present) + (f" ({record.sku})" if record.sku else "")
    yield "in Trakor", Text(f"{named}{escape(ids)}")
    if earlier := [one for one in standing.trakor_ids if one not in present]:
        yield "earlier", Text(escape(", ".join(earlier)))


def _compared(record: RecordSummary, standing: RecordRelations) -> Table | None:
    """The record field by field; None if nothing of it is known."""
    compared = sides(record, standing)
    heads = [
        *(["in Trakor"] if compared.has_trakor else []),
        *([compared.now_head[0].lower() + compared.now_head[1:]] if compared.has_now else []),
        *(["other record"] if compared.has_other else []),
    ]
    if record.forgotten or not heads:
        return None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="grey50")
    table.add_column("", style="grey50", no_wrap=True)
    for head in heads:
        table.add_column(head.replace("salestrekker", "Salestrekker"), overflow="fold")
    for field in compared.fields:
        cells = [
            *([_cell(field.trakor)] if compared.has_trakor else []),
            *([_cell(field.now, changed=field.differs)] if compared.has_now else []),
            *([_cell(field.other)] if compared.has_other else []),
        ]
        table.add_row(field.title, *cells)
    return table


def _cell(value: Value | None, *, changed: bool = False) -> Text:
    """A text, or in brackets a word for it, such as `unknown`."""
    if value is None:
        return Text("")
    if not value.known:
        return Text(f"({value.text})", style="grey50")
    return Text(escape(value.text), style="bold" if changed else "")


def _story(history: Sequence[HistoryLine]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="grey50", no_wrap=True)
    table.add_column(overflow="fold")
    for line in history:
        table.add_row(local_time(line.at), Text(escape(event(line))))
    if not history:
        table.add_row("", "Its history has been deleted.")
    return table
