"""`trakor-bridge sync`: asks the running daemon to read the lists now.

The request is a due job in the ledger, as the schedule makes them. The daemon notices it within a second, and
it outlasts a restart.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bridge.cli.command_setup import ConfigOption, ConnectionOption, LogFormatOption, LogLevelOption, begin
from bridge.cli.output import escape, tell
from bridge.errors import LedgerError, UserError
from bridge.records import Stream

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from bridge.cli.command_setup import Session
    from bridge.status import ConnectionStatus

__all__ = ["add_to"]

HELP: Final = """\
Ask the running daemon to read the lists of Salestrekker now, instead of at their next time.

Returns at once; the daemon begins within a second, or after what it is reading now. With --wait it shows
how far each list is read, until all are. Ctrl-C then ends only the waiting.

Without a daemon, `trakor-bridge backfill` reads and sends by itself.

\b
Examples:
  trakor-bridge sync
  trakor-bridge sync contacts --wait

\b
Exit status:
  0   requested; with --wait: read to the end
  1   no daemon is running, or a list could not be read to its end
  2   wrong usage or configuration
  4   reading is paused: the lists are read when it is resumed
"""

LOOK_EVERY: Final = 0.5
"""Seconds between two looks into the ledger."""

FAILED: Final = 1
PAUSED: Final = 4


def add_to(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("sync", help=HELP, short_help="Let the daemon read the lists now.")(_sync)


def _sync(
    streams: Annotated[
        list[Stream] | None, typer.Argument(help="The lists to read.", show_default="all that are enabled")
    ] = None,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until they are read.")] = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> int:
    session = begin(config, connection, log_level, log_format)
    wanted = _wanted(session, streams or list(Stream))
    requests = _request(session.ledger, wanted)
    for name, some in wanted.items():
        tell(f"{name}: {' and '.join(some)} will be read now.", hanging=4)
    return _wait(session, requests, wanted) if wait else _paused(session, wanted)


def _wanted(session: Session, streams: Sequence[Stream]) -> dict[str, list[Stream]]:
    """The enabled ones of these streams, of each connection."""
    configured = session.settings.connections
    found = {
        name: [stream for stream in dict.fromkeys(streams) if configured[name].stream(stream).enabled]
        for name in session.connections
    }
    if not any(found.values()):
        raise UserError(f"{' and '.join(streams)}: not enabled in the configuration")
    return {name: some for name, some in found.items() if some}


def _request(ledger: Path, wanted: dict[str, list[Stream]]) -> dict[tuple[str, Stream], int]:
    """Make the jobs due, if a daemon is there to do them; gives when each was requested."""
    from bridge.ledger.database import writing  # noqa: PLC0415 - see the package
    from bridge.ledger.open import find_owner, is_daemon_running  # noqa: PLC0415 - see the package
    from bridge.ledger.scheduled_jobs import request_job  # noqa: PLC0415 - see the package
    from bridge.records import Job  # noqa: PLC0415 - see the package

    if not is_daemon_running(ledger):
        owner = find_owner(ledger)
        raise LedgerError(
            f"no daemon is running{f': {owner}' if owner else ''}",
            advice="`trakor-bridge backfill` reads and sends without one",
        )
    now = time.time_ns() // 1_000_000
    with writing(ledger) as connection:
        for name, streams in wanted.items():
            for stream in streams:
                request_job(connection, name, Job(stream.value), now=now)
    return {(name, stream): now for name, streams in wanted.items() for stream in streams}


def _paused(session: Session, wanted: Collection[str]) -> int:
    """Say of each connection whose reading is paused that the request waits for its end."""
    found = [one for one in _states(session) if one.name in wanted and one.reading.state != "ok"]
    for one in found:
        tell(f"{one.name}: reading is paused, so the request waits: {escape(one.reading.reason)}", hanging=4)
    return PAUSED if found else 0


def _states(session: Session) -> list[ConnectionStatus]:
    from bridge.status import take  # noqa: PLC0415 - see the package

    settings = session.settings
    streams = {
        name: [stream for stream in Stream if settings.connections[name].stream(stream).enabled]
        for name in session.connections
    }
    snapshot = take(session.ledger, streams, tuple(settings.connections), time.time_ns() // 1_000_000)
    return list(snapshot.connections.values())


def _wait(session: Session, requests: dict[tuple[str, Stream], int], wanted: dict[str, list[Stream]]) -> int:
    """Wait until no request is open, and show the results."""
    shown = ""
    while waiting := _open(session.ledger, requests):
        if status := _paused(session, wanted):
            return status
        _require_daemon(session.ledger)
        shown = _progress(session, waiting, shown)
        time.sleep(LOOK_EVERY)
    _clear(shown)
    problems = [_result(one, stream) for one in _states(session) for stream in wanted.get(one.name, ())]
    return FAILED if any(problems) else 0


def _open(ledger: Path, requests: dict[tuple[str, Stream], int]) -> list[tuple[str, Stream]]:
    """The requests that the daemon has not completed."""
    from bridge.ledger.database import reading  # noqa: PLC0415 - see the package
    from bridge.ledger.scheduled_jobs import load_scheduled_jobs  # noqa: PLC0415 - see the package
    from bridge.records import Job  # noqa: PLC0415 - see the package

    with reading(ledger) as connection:
        jobs = {name: load_scheduled_jobs(connection, name) for name in {name for name, _ in requests}}
    return [(name, stream) for name, stream in requests if jobs[name][Job(stream.value)].wanted_at]


def _require_daemon(ledger: Path) -> None:
    from bridge.ledger.open import is_daemon_running  # noqa: PLC0415 - see the package

    if not is_daemon_running(ledger):
        raise LedgerError(
            "the daemon has stopped: the lists are read when it runs again",
            advice="start it with `trakor-bridge run`",
        )


def _progress(session: Session, waiting: Sequence[tuple[str, Stream]], shown: str) -> str:
    """Show on one line how far the lists are read; on anything but a terminal, show nothing."""
    if not sys.stderr.isatty():
        return ""
    states = {one.name: one for one in _states(session)}
    parts = [
        f"{name} {stream}: {_read(states[name], stream):,} read" for name, stream in waiting if name in states
    ]
    _clear(shown)
    line = ", ".join(parts)[:78]
    typer.echo(line, nl=False, err=True)
    return line


def _clear(shown: str) -> None:
    if shown:
        typer.echo(f"\r{' ' * len(shown)}\r", nl=False, err=True)


def _read(one: ConnectionStatus, stream: Stream) -> int:
    sweep = one.streams[stream].last_sweep
    return sweep.read if sweep and sweep.ended_at is None else 0


def _result(one: ConnectionStatus, stream: Stream) -> str:
    """Show what came of a list; gives the problem."""
    sweep = one.streams[stream].last_sweep
    problem = "it was not read" if sweep is None else sweep.problem
    if problem:
        tell(f"{one.name}: {stream}: {escape(problem)}", hanging=4)
    elif sweep is not None:
        tell(f"{one.name}: {stream}: {sweep.read:,} read.", hanging=4)
    return problem
