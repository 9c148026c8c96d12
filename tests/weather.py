"""Half of what both systems answer a daemon is hostile, until there was enough of it."""

from __future__ import annotations

import asyncio
import random
from itertools import count
from typing import TYPE_CHECKING

from hostile_answers import spoiled
from processes import LONG

if TYPE_CHECKING:
    from besieged import Besieged
    from hostile_answers import Good, Spoiled

__all__ = ["Weather"]


class Weather:
    """Decides which answers are spoiled, for both systems together.

    Only such are given as cannot be taken for a good answer that says something else: what a record says is
    believed, whoever says it.

    Args:
        seed: Of the hostile answers.
        enough: After so many of them all answers are good.

    Attributes:
        all: Answers so far.
        hostile: Hostile ones among them.
    """

    def __init__(self, seed: int, enough: int) -> None:
        self._seed = seed
        self._enough = enough
        self._chance = random.Random(f"weather:{seed}")  # noqa: S311 - to be had again
        self._answered = asyncio.Event()
        self.all = 0
        self.hostile = 0

    def tamper(self, _: bytes, good: Good) -> Spoiled | None:
        """What is said instead of a good answer, if anything (``tampering.Tampering``)."""
        self.all += 1
        self._answered.set()
        if self.hostile >= self._enough or self._chance.random() < 0.5:
            return None
        self.hostile += 1
        return spoiled(self._seed, self.hostile, good, only_the_envelope=True)

    async def passes(self, daemon: Besieged) -> None:
        """Let contacts come, each with its webhook, until there was enough."""
        contacts = daemon.sandbox.contacts
        numbers = count(1)
        while self.hostile < self._enough:
            number = next(numbers)
            contact = contacts.add(f"Rainy Day {number}", email=f"rainy{number}@example.com")
            assert await daemon.post("contact-created", contact) == 202
            self._answered.clear()
            async with asyncio.timeout(LONG):
                await self._answered.wait()
