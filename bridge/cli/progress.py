"""Progress bars of a backfill, on a terminal only."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text
from rich.theme import Theme

from bridge.cli.output import tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType
    from rich.progress import Task, TaskID

    from bridge.backfill import ProgressListener
    from bridge.records import Stream

__all__ = ["progress"]

THEME: Final = Theme(
    {
        "bar.back": "grey50",
        "bar.complete": "turquoise4",
        "bar.finished": "green4",
        "bar.pulse": "turquoise4",
        "progress.elapsed": "none",
        "progress.spinner": "turquoise4",
    }
)
"""Colours that can be read on black and on white."""


def _warn(connection: str, warning: str) -> None:
    of = "" if connection == "default" else f"{connection}: "
    tell(f"warning: {of}{warning}", hanging=4, err=True)


class _Silent:
    """Shows no progress: for anything but a terminal."""

    def reading(self, connection: str, stream: Stream, read: int) -> None:
        """Nothing."""

    def all_read(self, connection: str, stream: Stream) -> None:
        """Nothing."""

    def pending(self, connection: str, number: int) -> None:
        """Nothing."""

    def settled(self, connection: str, number: int) -> None:
        """Nothing."""

    def waiting(self, connection: str, what: str) -> None:
        """Nothing."""

    def warned(self, connection: str, warning: str) -> None:
        """Print the warning in any case."""
        _warn(connection, warning)


class _Shown:
    """A line for each stream that is read, and a bar for what is sent."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._read: dict[str, int] = {}
        self._to_send: dict[str, int] = {}
        self._lines: dict[tuple[str, str], TaskID] = {}

    def _line(self, connection: str, what: str) -> TaskID:
        key = (connection, what)
        if key not in self._lines:
            name = what if connection == "default" else f"{connection}: {what}"
            self._lines[key] = self._bars.add_task(name, total=None, note="", stopped=False)
        return self._lines[key]

    def reading(self, connection: str, stream: Stream, read: int) -> None:
        """Show how many records of a stream are read."""
        self._bars.update(self._line(connection, f"reading {stream}"), note=f"{read:,} read")

    def all_read(self, connection: str, stream: Stream) -> None:
        """Mark the line of a stream as done."""
        self._bars.update(self._line(connection, f"reading {stream}"), total=1, completed=1)

    def pending(self, connection: str, number: int) -> None:
        """Add records that are to be sent."""
        line = self._line(connection, "sending")
        self._to_send[connection] = self._to_send.get(connection, 0) + number
        self._bars.update(line, total=self._to_send[connection])

    def settled(self, connection: str, number: int) -> None:
        """Add records that were sent."""
        line = self._line(connection, "sending")
        self._bars.update(line, advance=number)
        done = int(self._bars.tasks[line].completed)
        self._bars.update(line, note=f"{done:,} of {self._to_send.get(connection, done):,} sent")

    def waiting(self, connection: str, what: str) -> None:
        """Show what sending waits for."""
        self._bars.update(self._line(connection, "sending"), note=what)

    def warned(self, connection: str, warning: str) -> None:
        """Print the warning above the lines."""
        _warn(connection, warning)

    def end(self) -> None:
        """Mark the lines that are not done as stopped."""
        for task in self._bars.tasks:
            if not task.finished:
                self._bars.update(task.id, total=task.total or 1, stopped=True)


class _Mark(SpinnerColumn):
    """The symbol before a line: a spinner, then whether the work was completed."""

    def __init__(self) -> None:
        super().__init__(finished_text="✓")

    def render(self, task: Task) -> RenderableType:
        """The symbol for a task."""
        return Text("■") if task.fields["stopped"] else super().render(task)


@contextmanager
def progress(*, visible: bool, indent: int = 0) -> Iterator[ProgressListener]:
    """Show the progress that a backfill reports.

    Args:
        visible: Show it on standard error.
        indent: Empty columns before it.
    """
    if not visible:
        yield _Silent()
        return
    margin = (TextColumn(" " * (indent - 1)),) if indent else ()  # rich puts one more between columns
    columns = (
        *margin,
        _Mark(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True, theme=THEME)
    # Other output keeps its own stream: a list goes to standard output.
    bars = Progress(*columns, TimeElapsedColumn(), console=console, redirect_stdout=False)
    with bars:
        shown = _Shown(bars)
        try:
            yield shown
        finally:
            shown.end()
