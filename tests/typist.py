"""A shell that is typed into as a reader would, and what a page shows of it.

::

    page ──session──> (command, lines shown) ──Terminal.type──> what it says, held against shown(lines)
"""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from documentation import blocks, typed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AsyncExitStack

TIMEOUT = 60
MARK = "\x01"


class Terminal:
    """One shell, given commands as a reader would type them.

    Args:
        shell: Reads commands from its standard input.
        stack: Ends what is left running in the background.
        errors: Where its standard error goes.
    """

    def __init__(self, shell: asyncio.subprocess.Process, stack: AsyncExitStack, errors: Path) -> None:
        self._shell = shell
        self._stack = stack
        self.errors = errors
        self.status = 0

    async def type(self, command: str) -> str:
        """Run a command to its end, or until it is ready in the background; gives its standard output."""
        if command.endswith("&"):
            return await self._background(command)
        # A subshell sets the status that the command before left, for `echo $?`.
        return await self._exchange(f"(exit {self.status})\n{command}")

    async def _exchange(self, lines: str) -> str:
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.write(f"{lines}\nprintf '{MARK}%s\\n' \"$?\"\n".encode())
        async with asyncio.timeout(TIMEOUT):
            said = await self._shell.stdout.readuntil(MARK.encode())
            self.status = int(await self._shell.stdout.readline())
        return said.decode().removesuffix(MARK)

    async def _background(self, command: str) -> str:
        """What it prints goes where the line says; it is ready once its configuration is whole."""
        words, file = re.fullmatch(r"(.+?) > (\S+) &", command).groups()  # type: ignore[union-attr]  # fails here
        folder = Path((await self._exchange("pwd")).strip())
        process = await asyncio.create_subprocess_exec(*words.split(), cwd=folder, stdout=subprocess.PIPE)
        self._stack.push_async_callback(end, process)
        assert process.stdout
        async with asyncio.timeout(TIMEOUT):
            said = await process.stdout.readuntil(b'api_key = "sk_live_')
            (folder / file).write_bytes(said + await process.stdout.readline())
        return ""


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    async with asyncio.timeout(TIMEOUT):
        await process.wait()


def session(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a page's console blocks, with the lines that are shown as its output."""
    for block in blocks(text):
        if block.language == "console":
            parts = re.split(r"^(?=\$ )", block.text.replace("\\\n", " "), flags=re.MULTILINE)
            for command, part in zip(typed(block), filter(None, parts), strict=True):
                yield command, part.splitlines()[1:]


def shown(lines: list[str]) -> re.Pattern[str]:
    """What is shown, as a pattern: how wide a gap is does not count.

    ``…`` stands for anything, alone on its line for any number of lines.
    """
    patterns = [
        "(?:.*\n)*" if line.strip() == "…" else " *" + " +".join(map(re.escape, line.split())) + " *\n"
        for line in lines
    ]
    return re.compile("".join(patterns).replace("…", ".*"))
