"""The interface through which the demonstration prints what it does. The command line implements it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from bridge.backfill import ConnectionReport, ProgressListener

__all__ = ["Narrator", "Paragraph", "TextPart"]

TextPart: TypeAlias = str | tuple[str, str]
"""Text, or text and its style: ``bold`` or ``italic``."""

Paragraph: TypeAlias = "str | Sequence[TextPart]"


class Narrator(Protocol):
    """Prints a demonstration while it runs."""

    def heading(self, paragraph: Paragraph) -> None:
        """Print the first line."""
        ...

    def chapter(self, title: str, *paragraphs: Paragraph) -> None:
        """Print a numbered title and the text below it."""
        ...

    def text(self, paragraph: Paragraph) -> None:
        """Print a paragraph of the current chapter."""
        ...

    def table(self, rows: Sequence[tuple[str, str]], *, numbers: bool = False) -> None:
        """Print two columns. With ``numbers``, the first one is right-aligned and bold."""
        ...

    def counts(self, report: ConnectionReport) -> None:
        """Print the numbers of a backfill."""
        ...

    def outcome(self, label: Sequence[str], state: str, paragraph: Paragraph) -> None:
        """Print an event or a group of records, and what became of it.

        Args:
            label: The lines of the left column; the first is bold.
            state: The outcome, which chooses the colour.
            paragraph: The right column.
        """
        ...

    def closing(self, lines: Sequence[str]) -> None:
        """Print the last lines. One that starts with a space is a command and is not wrapped."""
        ...

    def progress(self) -> AbstractContextManager[ProgressListener]:
        """Show the progress of a backfill."""
        ...
