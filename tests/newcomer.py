"""A newcomer who knows nothing and does exactly what `check` prints, line by line.

It understands four sentences, each as a person would read it, and nothing else::

    trakor-bridge init --queries                    done
    FILE, line 3: write | FILE, lines 3 to 5: write the lines that follow stand there instead
    FILE, line 3: take it out | lines 3 to 5: …     they are gone
    In the configuration, below [TABLE] …, write:   the lines that follow stand in that table
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.first_configuration import copy_queries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bridge.checks import Check

__all__ = ["Newcomer"]

LINES = re.compile(
    r"(?P<file>\S+), lines? (?P<first>\d+)(?: to (?P<last>\d+))?: (?P<verb>write|take (?:it|them) out)"
)
TABLE = re.compile(r"In the configuration, below \[(?P<table>[\w.]+)\].*write:")
BELOW = re.compile(r".*[Ww]rite below \[(?P<table>[\w.]+)\]:")


@dataclass
class Newcomer:
    """Works in the folder of a configuration called config.toml."""

    folder: Path

    def follow(self, checks: Sequence[Check]) -> bool:
        """Do what the first check that failed, and says what to do, asks for; whether there was anything."""
        todo = next((check for check in checks if not check.ok and check.advice), None)
        if todo is None:
            return False
        lines = todo.advice.split("\n")
        while lines:
            self._obey(lines)
        return True

    def _obey(self, lines: list[str]) -> None:
        """One sentence, with the lines that belong to it."""
        sentence = lines.pop(0)
        if sentence == "trakor-bridge init --queries":
            copy_queries(self.folder)
        elif place := LINES.fullmatch(sentence):
            first, last = int(place["first"]), int(place["last"] or place["first"])
            text = _block(lines) if place["verb"] == "write" else []
            self._replace(place["file"], first, last, text)
        elif table := TABLE.fullmatch(sentence) or BELOW.fullmatch(sentence):
            self._configure(table["table"], _block(lines))

    def _replace(self, name: str, first: int, last: int, text: list[str]) -> None:
        file = self.folder / name
        old = file.read_text().split("\n")
        file.write_text("\n".join([*old[: first - 1], *text, *old[last:]]))

    def _configure(self, table: str, text: list[str]) -> None:
        file = self.folder / "config.toml"
        old = file.read_text().split("\n")
        if f"[{table}]" not in old:
            old += ["", f"[{table}]"]
        keys = {line.partition(" =")[0] for line in text}
        start = old.index(f"[{table}]") + 1
        end = next((i for i in range(start, len(old)) if old[i].startswith("[")), len(old))
        kept = [line for line in old[start:end] if line.partition(" =")[0] not in keys]
        file.write_text("\n".join([*old[:start], *text, *kept, *old[end:]]))


def _block(lines: list[str]) -> list[str]:
    """The lines up to the next sentence that is understood."""
    block = []
    while lines and not any(pattern.fullmatch(lines[0]) for pattern in (LINES, TABLE, BELOW)):
        block.append(lines.pop(0))
    return block
