"""What every command begins with: common options, configuration, logging, connections."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from bridge.errors import UserError

if TYPE_CHECKING:
    from bridge.ledger.database import TextStorage
    from bridge.settings import Settings

__all__ = [
    "ConfigOption",
    "ConnectionOption",
    "JsonOption",
    "LogFormatOption",
    "LogLevelOption",
    "Session",
    "begin",
    "collect_seldom",
]

ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="PATH",
        help="The configuration file. Default: $TRAKOR_BRIDGE_CONFIG, else ./config.toml.",
        show_default=False,
    ),
]


ConnectionOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--connection", metavar="NAME", help="Only this connection.", show_default="all"),
]


LogLevelOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--log-level", metavar="LEVEL", help="debug, info, warning or error.", show_default="as configured"
    ),
]


LogFormatOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--log-format", metavar="FORMAT", help="console, json or auto.", show_default="as configured"
    ),
]


JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print exactly one JSON document on standard output.")
]


@dataclass(frozen=True, slots=True)
class Session:
    """A command's configuration.

    Attributes:
        settings: All of it.
        connections: The names of the connections that the command works on.
    """

    settings: Settings
    connections: tuple[str, ...]

    @property
    def text_storage(self) -> TextStorage | None:
        """What decrypts the ledger's sealed text; None if there is no ledger yet."""
        from bridge.wiring.ledger_and_key import make_text_storage  # noqa: PLC0415 - see the package

        return make_text_storage(self.settings)

    @property
    def ledger(self) -> Path:
        """The ledger's file, which exists and is of this version.

        Raises:
            LedgerError: It does not exist, or is of another version.
        """
        from bridge.ledger.open import require_current  # noqa: PLC0415 - see the package
        from bridge.wiring.ledger_and_key import ledger_path  # noqa: PLC0415 - see the package

        path = ledger_path(self.settings)
        require_current(path)
        return path


def begin(
    config: Path | None, connection: str | None, log_level: str | None, log_format: str | None
) -> Session:
    """Load the configuration and set up logging.

    Args:
        config: ``--config``.
        connection: ``--connection``.
        log_level: ``--log-level``; None: as configured.
        log_format: ``--log-format``; None: as configured.

    Raises:
        UserError: The configuration cannot be used, or an option is wrong.
    """
    from bridge import logs  # noqa: PLC0415 - see the package
    from bridge.settings import load  # noqa: PLC0415 - see the package

    _one_of("--log-level", log_level, ("debug", "info", "warning", "error"))
    _one_of("--log-format", log_format, ("console", "json", "auto"))
    settings = load(config, os.environ)
    logs.configure(
        log_level or settings.log.level, log_format or settings.log.format, secrets=settings.secrets()
    )
    return Session(settings, _chosen(settings, connection))


def _one_of(option: str, value: str | None, words: tuple[str, ...]) -> None:
    if value is not None and value not in words:
        raise UserError(f"{option} {value}: must be one of {', '.join(words)}")


def _chosen(settings: Settings, connection: str | None) -> tuple[str, ...]:
    known = tuple(settings.connections)
    if connection is None:
        return known
    if connection not in known:
        near = get_close_matches(connection, known, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise UserError(
            f"there is no connection {connection!r}{meant}", advice=f"configured are: {', '.join(known)}"
        )
    return (connection,)


COLLECT_AFTER: Final = 20_000
"""New objects after which Python looks through the youngest for garbage, in place of 700.

A request creates hundreds of objects, and nearly all of them go without that: to look after each few requests
took a fourteenth of a backfill's time.
"""


def collect_seldom() -> None:
    """Let Python look for garbage less often, once a process has loaded its code.

    What is loaded by now is never looked through again. Otherwise each full collection would stop everything
    for a tenth of a second, and answers would wait.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
