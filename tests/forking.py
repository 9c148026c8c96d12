"""Processes that are forked from one which has imported the bridge: half a second of imports is paid once.

Each is a process of its own, with its own number, signals, folder, environment and output; only its imports
are shared. Half of the time of ``make test`` went into them. What is forked::

    tests ──arguments, folder, environment; two ends of pipes──> server ──fork──> python -m bridge …
      ^                                                             │
      └── its number, and its status when it has ended ─────────────┘

``make soak`` and the tests of the wheel begin with an interpreter of their own.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import importlib
import io
import json
import os
import pkgutil
import pty
import re
import runpy
import selectors
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import termios
import time
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from sqlalchemy.pool import NullPool

import bridge
from bridge.cli.app import application
from bridge.ledger.database import make_engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Forked", "at_a_terminal", "fork", "program", "program_for_shells"]

LIMIT = 2**20
"""Bytes that a line of a command's output may have."""

PROGRAM = Path(__file__).with_name("forked_program.py")

LARGEST = 2**18
"""Bytes of a request to the server: arguments and environment."""


class Forked:
    """A process that was forked: what the tests use of ``asyncio.subprocess.Process``."""

    def __init__(self, pid: int, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self.returncode: int | None = None
        self.watching: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    async def wait(self) -> int:
        """Wait for its end; gives the status, negative for a signal."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    async def watch(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Wait for the status that the server tells."""
        try:
            self.returncode = int(await answers.readline())
        finally:
            writer.close()
            self._ended.set()


async def fork(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Forked:
    """Begin ``trakor-bridge`` with arguments, in a folder, with nothing but this environment."""
    (out, out_end), (err, err_end), nothing = os.pipe(), os.pipe(), os.open(os.devnull, os.O_RDONLY)
    ends = (nothing, out_end, err_end)
    try:
        asking = _ask(arguments, folder, environment, ends)
    finally:
        for end in ends:
            os.close(end)
    return await _forked(asking, await _reader(out), await _reader(err))


async def at_a_terminal(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], columns: int
) -> tuple[int, str]:
    """Run ``trakor-bridge`` at a pseudo-terminal of its own.

    Returns:
        Its exit status, and what it showed, without colours.
    """
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    try:
        asking = _ask(arguments, folder, environment, (theirs,) * 3)
    finally:
        os.close(theirs)
    forked = await _forked(asking, asyncio.StreamReader(), asyncio.StreamReader())
    shown = await asyncio.to_thread(_all_of, ours)
    return await forked.wait(), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r", "")


def program() -> tuple[str, ...]:
    """Stands for ``python -m bridge`` if somebody else begins the command: a shell, ``subprocess``."""
    return (sys.executable, "-S", "-E", str(PROGRAM), _server().encode().hex())


def program_for_shells(folder: Path) -> None:
    """Write a ``trakor-bridge`` into a folder, for scripts that have it on their path."""
    path = folder / "trakor-bridge"
    path.write_text(f'#!/bin/sh\nexec {shlex.join(program())} "$@"\n')
    path.chmod(0o700)


def _ask(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], ends: Sequence[int]
) -> socket.socket:
    """Ask the server for a fork with these three as its standard streams."""
    asked = {"arguments": [*arguments], "folder": str(folder), "environment": {**environment}}
    body = json.dumps(asked).encode()
    asking = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    asking.connect(_server())
    socket.send_fds(asking, [len(body).to_bytes(4, "big")], [*ends])
    asking.sendall(body)
    return asking


async def _forked(asking: socket.socket, out: asyncio.StreamReader, err: asyncio.StreamReader) -> Forked:
    answers, writer = await asyncio.open_unix_connection(sock=asking, limit=LIMIT)
    forked = Forked(int(await answers.readline()), out, err)
    forked.watching = asyncio.create_task(forked.watch(answers, writer))
    return forked


def _all_of(terminal: int) -> str:
    parts = []
    with os.fdopen(terminal, "rb", buffering=0) as opened, suppress(OSError):  # the other end is closed
        while part := opened.read(4096):
            parts.append(part)
    return b"".join(parts).decode()


async def _reader(end: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(end, "rb", buffering=0)
    )
    return reader


@cache
def _server() -> str:
    """The address of this process's server, which ends with it."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, __file__, str(theirs.fileno())]
    server = subprocess.Popen(command, pass_fds=[theirs.fileno()])  # noqa: S603 - this file
    theirs.close()

    @atexit.register
    def _() -> None:
        ours.close()
        server.wait()

    with ours.dup() as listening:
        return listening.recv(200).decode()


# -- the server, a process of its own --------------------------------------------------------------------


def serve(lifeline: socket.socket) -> dict[str, Any]:
    """Fork for whoever asks, until the other end of the lifeline closes.

    Returns:
        In each fork: what it is to be.
    """
    _import_everything()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind("")  # Linux finds an address that nobody has, and that needs no file
    listening.listen(64)
    address = listening.getsockname()
    lifeline.sendall(address)
    with selectors.DefaultSelector() as selector:
        selector.register(lifeline, selectors.EVENT_READ)
        selector.register(listening, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is lifeline:
                    raise SystemExit
                if key.fileobj is not listening:
                    selector.unregister(key.fileobj)
                    _tell_status(key.fd, *key.data)
                    continue
                asking, _ = listening.accept()
                wanted, ends = _read_request(asking)
                if not (pid := os.fork()):
                    for one in (lifeline, listening, asking):
                        one.close()
                    _take_over(wanted, ends)
                    return wanted
                for end in ends:
                    os.close(end)
                asking.sendall(b"%d\n" % pid)
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, asking))


def _read_request(asking: socket.socket) -> tuple[dict[str, Any], list[int]]:
    head, ends, *_ = socket.recv_fds(asking, 4, 3)
    left, body = int.from_bytes(head, "big"), b""
    while len(body) < left:
        body += asking.recv(min(LARGEST, left - len(body)))
    found: dict[str, Any] = json.loads(body)
    return found, ends


def _tell_status(watched: int, pid: int, asking: socket.socket) -> None:
    os.close(watched)
    _, status = os.waitpid(pid, 0)
    with asking, suppress(OSError):  # whoever asked has gone
        asking.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The bridge's models."""
    for one in model.__subclasses__():
        yield from _below(one)
        if one.__module__.startswith("bridge."):
            yield one


def _import_everything() -> None:
    """What a command imports or makes when it is first needed.

    It is frozen and stays so: a fork that collected it at its end would need five times as long.
    """
    for found in pkgutil.walk_packages(bridge.__path__, "bridge."):
        if "migrations" not in found.name and found.name != "bridge.__main__":
            importlib.import_module(found.name)
    make_engine(partial(sqlite3.connect, ":memory:"), NullPool).dispose()
    application()
    for model in _below(BaseModel):
        model.model_rebuild()
    gc.collect()
    gc.freeze()


def _take_over(wanted: dict[str, Any], ends: Sequence[int]) -> None:
    """Become as an interpreter is that was just begun."""
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    if "umask" in wanted:
        os.umask(wanted["umask"])
    time.tzset()
    for place, end in enumerate(ends):
        os.dup2(end, place)
        os.close(end)
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False), "utf-8")  # noqa: SIM115
    output = open(1, "wb", closefd=False)  # noqa: SIM115
    sys.stdout = io.TextIOWrapper(output, "utf-8", line_buffering=os.isatty(1))
    complaints = open(2, "wb", 0, closefd=False)  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(complaints, "utf-8", "backslashreplace", write_through=True)
    sys.argv = ["trakor-bridge", *wanted["arguments"]]


def main() -> None:
    """The server; and each of its forks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    serve(socket.socket(fileno=int(sys.argv[1])))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    runpy.run_module("bridge", run_name="__main__")


if __name__ == "__main__":
    main()
