"""Asking for a yes, on standard error alone."""

from __future__ import annotations

import sys

import typer

__all__ = ["agreed"]


def agreed(question: str) -> bool:
    """Ask on the terminal; anything but a yes is a no, which is said.

    Not ``typer.confirm``: that writes a blank to standard output, which is the document's alone.
    """
    typer.echo(f"{question} [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return True
    typer.echo("Nothing was changed.", err=True)
    return False
