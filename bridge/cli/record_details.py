"""Everything about one record, for a person at a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from bridge.cli.output import console
from bridge.cli.record_table import state_of
from bridge.cli.sanitize import plain
from bridge.cli.wrapping import folded, width_of
from bridge.status import age, choices, event, local_time, meaning
from bridge.status.fields import other_of, sides
from bridge.status.record_details import by_itself

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from bridge.ledger.read_model import RecordSummary
    from bridge.ledger.record_details import HistoryLine, RecordRelations
    from bridge.status.fields import FieldText as Value

__all__ = ["say", "show_record"]

NO_TERMINAL_WIDTH: Final = 160
"""Columns of a table that goes into a file or a pipe."""


def say(out: Console, sentence: str, *, style: str = "", hanging: int = 0) -> None:
    """Print a sentence with text from outside in it, broken between words where there is a terminal.

    Args:
        out: Where to.
        sentence: What.
        style: Of all of it.
        hanging: How far every line but the first is indented.
    """
    out.print(Text(folded(plain(sentence), width_of(out.file), hanging=hanging), style=style), soft_wrap=True)


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
        standing: How it stands to others.
        history: What became of it so far.
        options: What tells it from another one of the same id.
        daemon: A daemon works on the ledger.
    """
    now = time.time_ns() // 1_000_000
    out = console()
    if not out.is_terminal:
        out.width = NO_TERMINAL_WIDTH
    say(out, _title(record), style="bold", hanging=4)
    out.print(_facts(record, standing, now))
    out.print()
    for sentence in meaning(record, standing, now):
        say(out, sentence)
    if standing.trakor_text:
        say(out, f"Trakor answered: “{standing.trakor_text}”")
    if compared := _compared(record, standing):
        out.print()
        out.print(compared)
    if daemon and (next_step := by_itself(record)):
        say(out, next_step)
    possible = choices(record, standing, options, daemon=daemon)
    if possible:
        out.print("\n[bold]What you can do[/bold]")
    for choice in possible:
        out.print(Text(f"  {plain(choice.command)}"))  # whole, to be copied
        say(out, f"      {choice.effect}", style="grey50", hanging=6)
    out.print("\n[bold]What happened[/bold]")
    out.print(_story(history))


def _title(record: RecordSummary) -> str:
    kind = record.feed.stream.spec.singular.capitalize()
    return f"{kind} {plain(record.id)}" + (f" · {plain(record.name)}" if record.name else "")


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
        yield "in Trakor", Text(f"{plain(standing.claimant.trakor_id)}, shared")
    if other := other_of(record, standing):
        named = f"“{plain(other.name)}” " if other.name else ""
        yield "the other one", Text(f"{named}{plain(other.id)}, ").append_text(state_of(other))


def _in_trakor(record: RecordSummary, standing: RecordRelations) -> Iterator[tuple[str, Text]]:
    """Its party or product, then those that it had under earlier names."""
    named = f"“{plain(record.trakor_name)}” " if record.trakor_name else ""
    present = [one for one in standing.trakor_ids if one == record.trakor_id] or standing.trakor_ids
    ids = ", ".join(present) + (f" ({record.sku})" if record.sku else "")
    yield "in Trakor", Text(f"{named}{plain(ids)}")
    if earlier := [one for one in standing.trakor_ids if one not in present]:
        yield "earlier there", Text(plain(", ".join(earlier)))


def _compared(record: RecordSummary, standing: RecordRelations) -> Table | None:
    """The record field by field; None where nothing of it is known."""
    compared = sides(record, standing)
    heads = [
        *(["in Trakor"] if compared.has_trakor else []),
        *([compared.now_head[0].lower() + compared.now_head[1:]] if compared.has_now else []),
        *(["the other one"] if compared.has_other else []),
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
    """A text as it is; a word about it, such as `unknown`, in brackets."""
    if value is None:
        return Text("")
    if not value.known:
        return Text(f"({value.text})", style="grey50")
    return Text(plain(value.text), style="bold" if changed else "")


def _story(history: Sequence[HistoryLine]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="grey50", no_wrap=True)
    table.add_column(overflow="fold")
    for line in history:
        table.add_row(local_time(line.at), Text(plain(event(line))))
    if not history:
        table.add_row("", "Nothing is noted of it any more.")
    return table
