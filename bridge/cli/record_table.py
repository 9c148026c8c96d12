"""Records as a table, as CSV and as JSON."""

from __future__ import annotations

import csv
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import orjson
from rich.table import Table
from rich.text import Text

from bridge.cli.output import COLOURS, console
from bridge.cli.sanitize import cell, plain
from bridge.errors import UserError
from bridge.ledger.read_model import RecordSort, iterate_records
from bridge.status import also_changed, iso, short_age

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bridge.ledger.read_model import Reader, RecordQuery, RecordSummary

__all__ = ["JsonList", "as_json", "listed", "show_table", "state_of", "write_csv", "write_json"]

COLUMNS: Final = (
    "connection", "stream", "id", "state", "reason", "marks", "origin", "trakor_id", "sku", "fields", "since",
    "name",
)  # fmt: skip
"""What is told of each record, in CSV in this order."""

OLD_AND_NEW: Final = ("contact_info", "description", "price", "qualifier")
"""The fields of which CSV has the value in Trakor and the value now; the name has columns of its own."""

MORE_COLUMNS: Final = ("trakor_name", *(f"{age}_{name}" for name in OLD_AND_NEW for age in ("old", "new")))
"""What follows in CSV alone."""

NOT_KNOWN: Final = "(unknown)"
"""Stands in CSV for the value of a field that differs and is not kept."""

BY_NAME: Final = "name"
"""The order that the database cannot give."""

MOST_SORTED: Final = 10_000
"""So many records at most are put in order by name: names are sealed, so each has to be opened first."""

SPACE: Final = 2
"""Columns of a terminal that are left free behind each of a table."""

WIDEST: Final = {"state": 36, "name": 60}
"""What is longer is folded, or cut."""

CUT: Final = frozenset({"name", "id"})
"""The columns that are cut; an id that is cut can be given to a command as it stands there, with its `…`."""

TIGHTENED: Final = (
    ("id", 36), ("state", 22), ("name", 19), ("id", 13), ("since", 0), ("name", 10), ("id", 9),
)  # fmt: skip
"""Where a table is wider than its place: what gives way, down to how many columns, one after the other."""

TIGHTENED_AROUND_IDS: Final = (("since", 0), ("name", 0), ("state", 10))
"""The same where the ids are there to be copied: the records have one name, and no id is broken."""

NO_TERMINAL_WIDTH: Final = 160
"""Columns of a table that goes into a file or a pipe."""


def as_json(record: RecordSummary) -> dict[str, Any]:
    """A record as the public interface has it; what there is not is null."""
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
    """A JSON document that begins with a list of records and is written as they come."""

    def __init__(self) -> None:
        self._between = '{"records": [\n  '

    def add(self, record: RecordSummary) -> None:
        """Write one more record."""
        sys.stdout.write(self._between + orjson.dumps(as_json(record)).decode())
        self._between = ",\n  "

    def end(self, **more: object) -> None:
        """Write what else the document has, and its end."""
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
    """Write CSV as RFC 4180 has it, record by record; nothing in it is a formula to a spreadsheet."""
    out = csv.writer(sys.stdout)
    out.writerow((*COLUMNS, *MORE_COLUMNS))
    for record in records:
        values = [_text(value) for value in as_json(record).values()]
        out.writerow([cell(value) for value in (*values, record.trakor_name, *_old_and_new(record))])
    sys.stdout.flush()


def _old_and_new(record: RecordSummary) -> Iterator[str]:
    """Of each field the value in Trakor and the value now; both are empty if they do not differ."""
    changes = {change.field: change for change in record.changes}
    for name in OLD_AND_NEW:
        pair = changes[name][1:] if name in changes else ("", "")
        yield from (NOT_KNOWN if value is None else value for value in pair)


def _text(value: str | list[str] | None) -> str:
    return " ".join(value) if isinstance(value, list) else value or ""


def state_of(record: RecordSummary) -> Text:
    """A record's state and why, in its colour: ``held: same-name``, ``drifted: contact_info, gone``."""
    fields = record.fields if record.state == "drifted" else also_changed(record)
    said = ", ".join(detail for detail in (record.reason, *fields) if detail)
    state = Text(record.state, style=COLOURS.get(record.state, ""))
    state.append(f": {said}" if said else "")
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
    """The columns that say something of these records: heading -> cells."""
    columns = {
        "state": [state_of(record) for record in records],
        "name": [Text(plain(record.name)) for record in records],
        "connection": [Text(plain(record.feed.connection)) for record in records],
        "stream": [Text(str(record.feed.stream)) for record in records],
        "id": [Text(plain(record.id)) for record in records],
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
    """How wide each column is in a table no wider than this; what there is no room for is left out."""
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
