"""`trakor-bridge pause` and `resume`: an operator stops sending or reading, and resumes it.

Both write to the ledger in one short transaction, whether a daemon runs or not. A running daemon notices
within a second, and a pause outlasts every restart.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from bridge.cli.command_setup import ConfigOption, ConnectionOption, LogFormatOption, LogLevelOption, begin
from bridge.cli.output import escape, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.cli.command_setup import Session
    from bridge.ledger.read_model import Reader
    from bridge.ledger.stored_pauses import Direction, Pause

__all__ = ["add_to"]

PAUSE: Final = """\
Pause sending to Trakor, or with --reading the reading from Salestrekker, until you resume it.

Requests under way are completed, and no new ones begin. Everything still arrives and waits; nothing
is lost. The pause affects a running daemon, and outlasts restarts. A new backfill stops with exit
status 4 while the pause lasts; a running one continues.

\b
Examples:
  trakor-bridge pause
  trakor-bridge pause --reading --connection north
"""
RESUME: Final = """\
Resume sending to Trakor, or with --reading the reading from Salestrekker.

If it stopped automatically, after a refusal or an outage, it is tried at once. A running daemon uses
the key that it has: after you change a key, send it SIGHUP. A connection that seems to join other
organisations than before stays stopped: correct the configuration, or confirm it.

\b
Examples:
  trakor-bridge resume
  trakor-bridge resume --reading --connection north
"""

ReadingOption: TypeAlias = Annotated[
    bool, typer.Option("--reading", help="Reading from Salestrekker instead of sending to Trakor.")
]


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command("pause", help=PAUSE, short_help="Pause sending, or reading; everything waits.")(_pause)
    app.command("resume", help=RESUME, short_help="Resume sending, or reading.")(_resume)


def _pause(
    *,
    reading: ReadingOption = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    _for_each(begin(config, connection, log_level, log_format), _stop, reading=reading)


def _resume(
    *,
    reading: ReadingOption = False,
    config: ConfigOption = None,
    connection: ConnectionOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    _for_each(begin(config, connection, log_level, log_format), _go_on, reading=reading)


def _for_each(session: Session, change: Callable[[Reader, str, Direction], str], *, reading: bool) -> None:
    """Change one direction of each connection in one transaction, and print the results."""
    from bridge.ledger.database import writing  # noqa: PLC0415 - see the package
    from bridge.ledger.stored_pauses import Direction  # noqa: PLC0415 - see the package

    direction = Direction.READING if reading else Direction.SENDING
    with writing(session.ledger) as connection:
        results = [(name, change(connection, name, direction)) for name in session.connections]
    for name, sentence in results:
        tell(f"{name}: {sentence}", hanging=4)


def _stop(connection: Reader, name: str, direction: Direction) -> str:
    """Pause one direction; return a sentence, with the reason of an earlier pause."""
    from bridge.ledger.stored_pauses import EARLIER, load_pause, set_pause  # noqa: PLC0415 - see the package

    before, now = load_pause(connection, name, direction), _now()
    if before is not None and before.by_person:
        return f"{direction} was already paused by an operator{_since(before, now)}."
    option = " --reading" if direction == "reading" else ""
    reason = f"an operator paused it; `trakor-bridge resume{option}` resumes it"
    if before is not None:
        reason += f"{EARLIER}{before.reason}"
    set_pause(connection, name, direction, reason=reason, now=now, by_person=True)
    if before is not None:
        had = f"{direction} had stopped automatically{_since(before, now)}: {escape(before.reason)}."
        return f"{had} Now it is paused until `trakor-bridge resume{option}`."
    return f"{direction} is paused until `trakor-bridge resume{option}`. Everything still arrives and waits."


def _go_on(connection: Reader, name: str, direction: Direction) -> str:
    """End the pauses of one direction, including those of single streams.

    A connection that joins other organisations than before stays stopped; the sentence says so.
    """
    from bridge.ledger.connection_organizations import pause_if_stopped, recovery_advice  # noqa: PLC0415 - see the package
    from bridge.ledger.stored_pauses import clear_pause, list_pauses  # noqa: PLC0415 - see the package

    found = [
        pause
        for pause in list_pauses(connection)
        if pause.connection == name and pause.direction.split()[0] == direction
    ]
    for pause in found:
        clear_pause(connection, name, pause.direction, by_person=True)
    if why := pause_if_stopped(connection, name, now=_now()):
        over = "the operator's pause is over, but " if any(pause.by_person for pause in found) else ""
        sentence = f"{over}{direction} stays stopped, which `resume` does not end: {why}."
        return f"{sentence} To end it, {recovery_advice(name, why)}."
    return " ".join(_resumed(pause) for pause in found) or f"{direction} was not paused."


def _resumed(pause: Pause) -> str:
    from bridge.ledger.stored_pauses import EARLIER  # noqa: PLC0415 - see the package

    now = _now()
    _, _, earlier = pause.reason.partition(EARLIER)
    if pause.by_person and earlier:
        return (
            f"{pause.direction} is tried at once; an operator had paused it, and before that it had stopped "
            f"automatically{_since(pause, now)}: {escape(earlier)}."
        )
    if pause.by_person:
        return f"{pause.direction} is resumed; an operator had paused it{_since(pause, now)}."
    had = f"it had stopped automatically{_since(pause, now)}: {escape(pause.reason)}."
    return f"{pause.direction} is tried at once; {had}"


def _since(pause: Pause, now: int) -> str:
    from bridge.status.timestamps import age, local_time  # noqa: PLC0415 - see the package

    return f" since {local_time(pause.since_at)} ({age(pause.since_at, now)})"


def _now() -> int:
    return time.time_ns() // 1_000_000
