"""Output for a person at a terminal: escaped, wrapped between words, in colours, and yes-or-no questions.

Text goes to standard output, or with ``err=True`` to standard error. Nothing is wrapped or coloured outside a
terminal. rich is imported where a table or a colour needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from typing import IO

    from rich.console import Console


__all__ = [
    "COLOURS",
    "NO_TERMINAL_WIDTH",
    "ask_yes_no",
    "console",
    "escape",
    "escape_cell",
    "print_json",
    "print_sentence",
    "tell",
    "width_of",
    "wrap",
]

COLOURS: Final = {
    "created": "green4",
    "existing": "green4",
    "unchanged": "green4",
    "delivered": "green4",
    "merged": "turquoise4",
    "skipped": "dim",
    "dropped": "dim",
    "held": "dark_orange3",
    "drifted": "dark_orange3",
    "pending": "royal_blue1",
    "rejected": "red3",
}
"""The colour of each state and of each number of a report.

All are from the palette of 256, which no theme changes. Each can be read on black and on white, and where a
terminal has only 16 colours, so can the nearest of those.
"""

NARROWEST: Final = 20
"""Columns of the narrowest terminal for which text is wrapped."""

NO_TERMINAL_WIDTH: Final = 160
"""Columns of a table that goes into a file or a pipe."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection")."""

_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that steer a terminal, or reorder what it shows."""


def escape(text: str, *, keep: str = "") -> str:
    r"""Make control characters visible, as ``\x1b``, so that a text from outside cannot steer the terminal.

    Args:
        text: Any text.
        keep: Characters to leave as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        one.encode("unicode_escape").decode()
        if unicodedata.category(one) in _INVISIBLE and one not in keep
        else one
        for one in text
    )


def escape_cell(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def width_of(stream: IO[str]) -> int | None:
    """The columns of the terminal that a stream goes to; None if it goes elsewhere.

    ``COLUMNS`` in the environment takes precedence over the terminal's own answer, as in other programs.
    """
    if not stream.isatty():
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except OSError:  # the terminal does not know its size
        return None


def wrap(text: str, width: int | None, *, after: int = 0, hanging: int = 0) -> str:
    """Break a text between words, so that no line is longer than the terminal is wide.

    A word that is longer than a line stays whole: it may be an address or a command to copy.

    Args:
        text: Each of its lines is wrapped separately.
        width: Columns of the terminal; None: nothing is wrapped.
        after: How many columns of the first line are taken already.
        hanging: How far every line but the first is indented.
    """
    first, *others = text.split("\n")
    indent = " " * hanging
    if width is None or width < max(NARROWEST, 2 * hanging):
        return f"\n{indent}".join([first, *others])
    parts = [_wrap_line(first, width, after, hanging)]
    parts += [_wrap_line(line, width, hanging, hanging) for line in others]
    return f"\n{indent}".join(parts)


def _wrap_line(line: str, width: int, after: int, hanging: int) -> str:
    from rich.cells import cell_len  # noqa: PLC0415 - see the package

    wrapped, column, empty = "", after, True
    for word in line.split(" "):
        length = cell_len(word)
        if not empty and column + 1 + length > width:
            wrapped, column = f"{wrapped.rstrip(' ')}\n{' ' * hanging}{word}", hanging + length
        else:
            gap = 0 if empty else 1
            wrapped, column = f"{wrapped}{' ' * gap}{word}", column + gap + length
        empty = False
    return wrapped


def tell(
    text: str,
    *,
    after: int = 0,
    hanging: int = 0,
    err: bool = False,
    fg: str | None = None,
    bold: bool = False,
) -> None:
    """Print a text and end the line. The text may come from outside: control characters are escaped.

    Args:
        text: What to print; its line breaks stay.
        after: How many columns of the line are taken already.
        hanging: How far every line but the first is indented.
        err: Print to standard error.
        fg: The colour.
        bold: Print in bold.
    """
    width = width_of(sys.stderr if err else sys.stdout)
    shown = wrap(escape(text, keep="\n"), width, after=after, hanging=hanging)
    typer.secho(shown, fg=fg, bold=bold or None, err=err)


def ask_yes_no(question: str) -> bool:
    """Ask for a yes on standard error; anything else counts as a no, and "Nothing was changed." is printed.

    ``typer.confirm`` would write a blank to standard output, which belongs to the document alone.
    """
    typer.echo(f"{question} [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return True
    typer.echo("Nothing was changed.", err=True)
    return False


def console(*, error: bool = False, widest: int | None = None) -> Console:
    """A console for standard output or standard error.

    Args:
        error: Write to standard error.
        widest: Wrap lines at this column, or at the terminal's last one; None leaves that to the terminal.
    """
    from rich.console import Console  # noqa: PLC0415 - see the package

    class PipeConsole(Console):
        """Reports a closed pipe to the caller, instead of exiting."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    made = PipeConsole(stderr=error, highlight=False, soft_wrap=widest is None)
    if widest is not None:
        made.width = min(made.width, widest)
    return made


def print_sentence(out: Console, sentence: str, *, style: str = "", hanging: int = 0) -> None:
    """Print a sentence that may hold text from outside, wrapped between words on a terminal.

    Args:
        out: Where to print it.
        sentence: What to print.
        style: The style of all of it.
        hanging: How far every line but the first is indented.
    """
    from rich.text import Text  # noqa: PLC0415 - see the package

    shown = wrap(escape(sentence), width_of(out.file), hanging=hanging)
    out.print(Text(shown, style=style), soft_wrap=True)


def print_json(document: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    """Print the one JSON document of a command."""
    import orjson  # noqa: PLC0415 - see the package

    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
    sys.stdout.flush()
