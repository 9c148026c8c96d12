"""Prints what the demonstration does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from rich.console import RenderableType
    from rich.text import Text

    from bridge.backfill import ConnectionReport, ProgressListener
    from bridge.demo.narrator_protocol import Paragraph

__all__ = ["TerminalNarrator"]

WIDEST: Final = 100
"""Columns; longer lines are hard to read."""


INDENT: Final = 3


LABEL_WIDTH: Final = 9
"""Columns for labels, so that all events and outcomes are aligned."""


DURATION: Final = r"\b[\d,.]+ m?s\b"
"""A duration in a sentence."""


class TerminalNarrator:
    """Prints a demonstration on standard output, with progress bars on a terminal."""

    def __init__(self) -> None:
        from bridge.cli.output import console  # noqa: PLC0415 - see the package

        self._console = console(widest=WIDEST)
        self._chapters = 0

    def heading(self, paragraph: Paragraph) -> None:
        """Print the first line."""
        self._console.print(_assemble(paragraph))

    def chapter(self, title: str, *paragraphs: Paragraph) -> None:
        """Print a numbered title and the text below it."""
        from rich.text import Text  # noqa: PLC0415 - see the package

        self._chapters += 1
        self._console.print()
        self._console.print(Text(f"{self._chapters}. {title}", style="bold"))
        self._print(*map(_assemble, paragraphs))

    def text(self, paragraph: Paragraph) -> None:
        """Print a paragraph of the current chapter."""
        self._print("", _assemble(paragraph))

    def table(self, rows: Sequence[tuple[str, str]], *, numbers: bool = False) -> None:
        """Print two columns. With ``numbers``, the first one is right-aligned and bold."""
        from rich.table import Table  # noqa: PLC0415 - see the package

        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right" if numbers else "left", style="bold" if numbers else "")
        for first, second in rows:
            table.add_row(first, _assemble(second))
        self._print(*([""] if numbers else []), table)

    def counts(self, report: ConnectionReport) -> None:
        """Print the numbers of a backfill."""
        from bridge.cli.backfill_report import numbers_table  # noqa: PLC0415 - see the package

        self._print("", numbers_table(report))

    def outcome(self, label: Sequence[str], state: str, paragraph: Paragraph) -> None:
        """Print an event or a group of records, and what became of it."""
        from rich.table import Table  # noqa: PLC0415 - see the package
        from rich.text import Text  # noqa: PLC0415 - see the package

        from bridge.cli.output import COLOURS  # noqa: PLC0415 - see the package

        colour, story = COLOURS.get(state, ""), _assemble(paragraph)
        story.highlight_regex(DURATION, "bold")
        first, *others = label
        left = Text(first, f"bold {colour}")
        left.append("".join(f"\n{line}" for line in others), colour)
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, min_width=LABEL_WIDTH)
        table.add_row(left, story)
        self._print("", table)

    def closing(self, lines: Sequence[str]) -> None:
        """Print the last lines. One that starts with a space is a command and is not wrapped."""
        from rich.text import Text  # noqa: PLC0415 - see the package

        self._console.print()
        for line in lines:
            self._console.print(Text(line), soft_wrap=line.startswith(" "))

    def progress(self) -> AbstractContextManager[ProgressListener]:
        """Show progress bars on a terminal, and nothing elsewhere."""
        from bridge.cli.progress import progress  # noqa: PLC0415 - see the package

        return progress(visible=sys.stderr.isatty(), indent=INDENT)

    def _print(self, *lines: RenderableType) -> None:
        from rich.console import Group  # noqa: PLC0415 - see the package
        from rich.padding import Padding  # noqa: PLC0415 - see the package

        self._console.print(Padding(Group(*lines), (0, 0, 0, INDENT), expand=False))


def _assemble(paragraph: Paragraph) -> Text:
    """Make a styled text, without control characters."""
    from rich.text import Text  # noqa: PLC0415 - see the package

    from bridge.cli.output import escape  # noqa: PLC0415 - see the package

    parts = [paragraph] if isinstance(paragraph, str) else paragraph
    text = Text()
    for part in parts:
        content, style = (part, "") if isinstance(part, str) else part
        text.append("\n".join(map(escape, content.split("\n"))), style)
    return text
