"""Sentences for a terminal of any width: broken between words, and nowhere else than on a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import typer

from bridge.cli.sanitize import plain

if TYPE_CHECKING:
    from typing import IO

__all__ = ["folded", "tell", "width_of"]

NARROWEST: Final = 20
"""Columns: where there are fewer, the terminal itself may break what it likes."""


def width_of(stream: IO[str]) -> int | None:
    """The columns of the terminal that a stream goes to; None where it goes elsewhere.

    ``COLUMNS`` in the environment goes before what the terminal says, as everywhere.
    """
    if not stream.isatty():
        return None
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except OSError:  # a terminal that does not tell
        return None


def folded(text: str, width: int | None, *, after: int = 0, hanging: int = 0) -> str:
    """A text with line breaks between its words, so that no line is longer than the terminal is wide.

    A word that is longer than a line stays whole: it may be an address or a command to copy.

    Args:
        text: Each of its lines is folded by itself.
        width: Of the terminal; None: nothing is folded.
        after: How many columns of the first line are taken already.
        hanging: How far every line but the first is indented.
    """
    first, *others = text.split("\n")
    indent = " " * hanging
    if width is None or width < max(NARROWEST, 2 * hanging):
        return f"\n{indent}".join([first, *others])
    parts = [_broken(first, width, after, hanging)]
    parts += [_broken(line, width, hanging, hanging) for line in others]
    return f"\n{indent}".join(parts)


def _broken(line: str, width: int, after: int, hanging: int) -> str:
    from rich.cells import cell_len  # noqa: PLC0415 - see the package

    said, column, empty = "", after, True
    for word in line.split(" "):
        length = cell_len(word)
        if not empty and column + 1 + length > width:
            said, column = f"{said.rstrip(' ')}\n{' ' * hanging}{word}", hanging + length
        else:
            gap = 0 if empty else 1
            said, column = f"{said}{' ' * gap}{word}", column + gap + length
        empty = False
    return said


def tell(
    text: str,
    *,
    after: int = 0,
    hanging: int = 0,
    err: bool = False,
    fg: str | None = None,
    bold: bool = False,
) -> None:
    """Print a text, which may be from outside, and end the line.

    Args:
        text: Its line breaks stay; what would steer a terminal is shown instead.
        after: How many columns of the line are taken already.
        hanging: How far every line but the first is indented.
        err: On standard error.
        fg: Its colour.
        bold: Whether it is bold.
    """
    width = width_of(sys.stderr if err else sys.stdout)
    shown = folded(plain(text, keep="\n"), width, after=after, hanging=hanging)
    typer.secho(shown, fg=fg, bold=bold or None, err=err)
