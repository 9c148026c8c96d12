"""The state of everything, as sentences and numbers for a person at a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.live import Live
from rich.table import Table
from rich.text import Text

from bridge.cli.output import COLOURS, console, escape, print_sentence
from bridge.ledger.read_model import MARKS
from bridge.records import State
from bridge.status import headline, short_age

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from bridge.ledger.runs_and_sweeps import LastSweep
    from bridge.status import ConnectionStatus, Snapshot

__all__ = ["show_status", "watch_status"]

EVERY: Final = 2.0
"""Seconds between two updates."""


def watch_status(take: Callable[[], Snapshot]) -> None:
    """Show the status again and again in the same place, until interrupted; the last one stays.

    Args:
        take: Takes a snapshot.
    """
    with Live(console=console(), auto_refresh=False, redirect_stdout=False) as live:
        while True:
            live.update(_page(take()), refresh=True)
            time.sleep(EVERY)


def _page(snapshot: Snapshot) -> Text:
    """The whole output, as it looks on this terminal."""
    out = console()  # a second console, since the first one would capture its own output
    with out.capture() as captured:
        _show(snapshot, out)
    return Text.from_ansi(captured.get())


def show_status(snapshot: Snapshot) -> None:
    """Show sentences and numbers for each connection, then the ledger."""
    _show(snapshot, console())


def _show(snapshot: Snapshot, out: Console) -> None:
    for name, status in snapshot.connections.items():
        if len(snapshot.connections) > 1:
            out.print(Text(escape(name), style="bold underline"))
        first, *others = headline(status, snapshot.at, alive=snapshot.alive)
        print_sentence(out, first, style="bold")
        for sentence in others:
            print_sentence(out, sentence)
        out.print()
        if any(stream.known for stream in status.streams.values()):
            out.print(_numbers(status, snapshot.at))
            out.print()
    for name, number in snapshot.others.items():
        print_sentence(out, f"The ledger also has {number:,} records of {name}, which is not configured.")
    out.print(Text("The daemon runs." if snapshot.alive else "No daemon runs.", style="grey50"))
    print_sentence(out, _ledger(snapshot), style="grey50")


def _numbers(status: ConnectionStatus, now: int) -> Table:
    """A column for each stream, a row for each state and mark that occurs."""
    streams = status.streams.values()
    table = Table("", box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in status.streams:
        table.add_column(str(name), justify="right", no_wrap=True)
    for state in State:
        if status.total(state):
            style = COLOURS.get(state, "")
            table.add_row(Text(state, style=style), *(_number(one.states[state], style) for one in streams))
    for mark in MARKS:
        if any(one.marks[mark] for one in streams):
            table.add_row(Text(f"of these {mark}"), *(_number(one.marks[mark]) for one in streams))
    table.add_row("last read", *(_sweep(one.last_sweep, now) for one in streams))
    return table


def _number(number: int, style: str = "") -> Text:
    return Text(f"{number:,}", style=style if number else "grey50")


def _sweep(sweep: LastSweep | None, now: int) -> Text:
    if sweep is None:
        return Text("never", style="dark_orange3")
    if sweep.ended_at is None:
        return Text(f"{sweep.read:,} so far", style="dark_orange3")
    when = f"{short_age(sweep.ended_at, now)} ago"
    return Text(when) if not sweep.problem else Text(f"in part, {when}", style="dark_orange3")


def _ledger(snapshot: Snapshot) -> str:
    size = "none yet" if snapshot.size is None else f"{snapshot.size / 2**20:,.1f} MiB"
    return f"Ledger {snapshot.ledger}: {size}."
