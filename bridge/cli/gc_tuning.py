"""How often processes that work for long look for garbage."""

from __future__ import annotations

import gc
from typing import Final

__all__ = ["collect_seldom"]

OFTEN_ENOUGH: Final = 20_000
"""New objects after which the youngest are looked through, in place of 700. A request is made of hundreds,
and nearly all go without that: to look after each few requests took a fourteenth of a backfill's time."""


def collect_seldom() -> None:
    """Set Python's garbage collector for a process that has loaded what it needs and begins its work.

    What is loaded by now stays: were it looked through at each full collection, nothing else would be done
    for a tenth of a second, and answers would wait.
    """
    gc.freeze()
    gc.set_threshold(OFTEN_ENOUGH)
