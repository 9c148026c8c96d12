"""A configuration of a sandbox, and what `check` then says of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge.checks import run
from bridge.sandbox import Options, configuration
from bridge.settings import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bridge.checks import Check
    from bridge.sandbox import Sandbox

__all__ = ["SMALL", "Checked", "configured"]

SMALL = Options(contacts=60, products=12)


@dataclass
class Checked:
    """A folder with a configuration, and what a check of it says.

    Attributes:
        folder: Where config.toml is.
        environ: The environment.
    """

    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The configuration."""
        return (self.folder / "config.toml").read_text()

    def change(self, old: str, new: str) -> None:
        """Change the configuration."""
        assert old in self.text
        (self.folder / "config.toml").write_text(self.text.replace(old, new))

    async def all(self, *, show: bool = False) -> dict[str, Check]:
        """Every step by its name, in order."""
        settings = load(self.folder / "config.toml", {})
        async with asyncio.timeout(60):
            steps = [
                step async for step in run(settings, list(settings.connections), self.environ, show=show)
            ]
        assert len({step.name for step in steps}) == len(steps)
        return {step.name: step for step in steps}

    async def bad(self) -> dict[str, Check]:
        """The steps that failed, without those that were not tried."""
        steps = await self.all()
        return {name: step for name, step in steps.items() if not step.ok and "not tried" not in step.detail}


def configured(folder: Path, sandbox: Sandbox) -> Checked:
    """Write the sandbox's configuration, without its rate limit, into a folder."""
    source, trakor, rest = configuration(sandbox).partition("[trakor]")
    (folder / "config.toml").write_text(f"{source}requests_per_minute = 60000\n\n{trakor}{rest}")
    return Checked(folder)
