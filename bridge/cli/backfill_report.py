"""The report of a backfill, as tables and sentences for a person at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from bridge.backfill.problem_wording import group_line
from bridge.cli.output import COLOURS, console, escape, width_of, wrap

if TYPE_CHECKING:
    from rich.console import Console

    from bridge.backfill import ConnectionReport, Report

__all__ = ["numbers_table", "show_report"]

DONE: Final = 0
NEEDS_OPERATOR: Final = 3
"""Exit statuses (the public interface)."""


def show_report(report: Report, *, tables: bool) -> None:
    """Show the report of a backfill.

    Args:
        report: The report.
        tables: Show the numbers on standard output. Problems go to standard error in any case.
    """
    for name, of_connection in report.connections.items():
        if tables:
            title = name if len(report.connections) > 1 else ""
            out = console()
            outcome, style = _outcome(of_connection)
            out.print(numbers_table(of_connection, title))
            out.print(Text(wrap(outcome, width_of(out.file)), style=style))
            _show_groups(out, of_connection)
        _show_problems(of_connection)
    rehearsed = any(
        of_connection.dry_run and not of_connection.interrupted
        for of_connection in report.connections.values()
    )
    if rehearsed and tables:
        limit = next(iter(report.connections.values())).limit
        part = "" if limit is None else f" --limit {limit}"
        _point("Record by record:", f"trakor-bridge backfill --dry-run{part} --csv")
    elif tables and report.exit_status in {DONE, NEEDS_OPERATOR} and report.waiting:
        listed = f"trakor-bridge records list --state {','.join(report.waiting)}"
        _point("Some records need a decision:", listed)


def _show_groups(out: Console, report: ConnectionReport) -> None:
    """Show the groups of records, such as merged or held ones; example names only on a terminal."""
    width = width_of(out.file)
    for stream, groups in report.groups.items():
        for group in groups:
            few = ", ".join(map(escape, group.examples)) if width is not None else ""
            line = f"  {group_line(stream, group)}{f', e.g. {few}' if few else ''}"
            out.print(Text(wrap(line, width, hanging=4)), soft_wrap=True)
    for line in report.burst_lines:
        out.print(Text(wrap(line, width, hanging=4), style="dark_orange3"), soft_wrap=True)


def _point(words: str, command: str) -> None:
    """Print a command to copy, on a line of its own if both do not fit on one."""
    out = console()
    width = width_of(out.file)
    narrow = width is not None and len(f"{words} {command}") > width
    out.print(Text.assemble(words, "\n  " if narrow else " ", (command, "bold")))


def numbers_table(report: ConnectionReport, title: str = "") -> Table:
    """The numbers of one connection: a row for each stream, without columns that are all zeros.

    Args:
        report: The connection's report.
        title: The table's title; empty for none.
    """
    table = Table(title=title or None, box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    words = [
        word
        for word in next(iter(report.streams.values()), {})
        if word == "read" or any(numbers[word] for numbers in report.streams.values())
    ]
    for word in words:
        table.add_column(Text(word, style=COLOURS.get(word, "")), justify="right", no_wrap=True)
    for stream, numbers in report.streams.items():
        cells = [_number(word, numbers[word]) for word in words]
        table.add_row(Text(stream, style="bold"), *cells)
    return table


def _number(word: str, number: int) -> Text:
    return Text(f"{number:,}", style=COLOURS.get(word, "") if number else "dim")


def _outcome(report: ConnectionReport) -> tuple[str, str]:
    """How it ended: a sentence, and its colour."""
    took = f"in {report.seconds:,.1f} s"
    if report.interrupted:
        return f"Interrupted after {report.seconds:,.1f} s: {_what_then(report)}", "dark_orange3"
    if report.problems or report.unsent:
        return f"Not complete, stopped {took}.", "red3"
    if report.dry_run:
        part = " of the part that was read" if report.limited else ""
        return f"Dry run, {took}: what is pending{part} would be sent. Nothing was kept.", "green4"
    if report.limited:
        return f"Complete for the part that was to be read, {took}.", "green4"
    return f"Complete, {took}.", "green4"


def _what_then(report: ConnectionReport) -> str:
    if report.dry_run:
        return "nothing was kept; the next dry run starts from the beginning."
    if report.limited:
        return "what was read is kept; a run with --limit starts from the beginning."
    return "run it again to continue."


def _show_problems(report: ConnectionReport) -> None:
    for problem in report.problems:
        _print_problem("stopped: " if problem.refusal else "error: ", "bold red3", problem.message)
        if problem.advice:
            _print_problem("what to do: ", "", problem.advice)
    for warning in report.warnings:
        _print_problem("warning: ", "bold dark_orange3", warning)


def _print_problem(head: str, style: str, text: str) -> None:
    stderr = console(error=True)
    wrapped = wrap(escape(text, keep="\n"), width_of(stderr.file), after=len(head), hanging=4)
    stderr.print(Text.assemble((head, style), wrapped))
