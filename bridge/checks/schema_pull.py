"""`trakor-bridge schema pull`: reads the live schema, and saves it beside the queries."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from bridge.errors import Refused, UserError
from bridge.retry import RetryPolicy
from bridge.salestrekker.schema.introspection import (
    MARK,
    SCHEMA_FILE,
    SchemaUnavailable,
    introspection_query,
    read_introspection,
)
from bridge.wiring.connection import make_salestrekker_client

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.salestrekker.client import SalestrekkerClient
    from bridge.salestrekker.schema.introspection import LiveSchema
    from bridge.settings import ConnectionSettings, Settings

__all__ = ["IMPATIENT", "live_schema", "pull", "saved_schema"]

IMPATIENT: Final = RetryPolicy(attempts=2, total=10.0)
"""Few retries, since a user waits for the result."""


async def live_schema(client: SalestrekkerClient) -> LiveSchema:
    """Read the schema from the server.

    Raises:
        Unavailable: The server does not provide it.
        Refused: The server refuses access.
        Transient: The server does not answer now.
    """
    return read_introspection(await client.ask(introspection_query(), "IntrospectionQuery"))


def saved_schema(settings: Settings) -> Path:
    """Where the schema is saved."""
    return settings.folder / "queries" / SCHEMA_FILE


async def pull(settings: Settings, connection: ConnectionSettings, saved_at: str) -> Path:
    """Save the live schema beside the queries, and replace the one saved before.

    Args:
        settings: The configuration.
        connection: The connection whose Salestrekker is read.
        saved_at: The time, for the file's first line.

    Returns:
        The file.

    Raises:
        UserError: Another file has that name, or the file cannot be written.
        Refused: The server does not provide its schema, or refuses access.
        Transient: The server does not answer now.
    """
    path = saved_schema(settings)
    _refuse_anothers(path)
    async with make_salestrekker_client(connection, IMPATIENT) as client:
        try:
            live = await live_schema(client)
        except SchemaUnavailable as reason:
            raise Refused(
                f"Salestrekker does not provide its schema: {reason}",
                advice="`trakor-bridge check` tries each query instead, and needs no schema",
            ) from None
    _write(path, live.as_file(connection.salestrekker.url, saved_at))
    return path


def _refuse_anothers(path: Path) -> None:
    """Refuse to overwrite any other file."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            ours = file.readline().startswith(MARK)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", advice="move it away first") from error
    if not ours:
        raise UserError(
            f"{path} was not saved by this command, so it is not overwritten", advice="move it away first"
        )


def _write(path: Path, text: str) -> None:
    """Write the file atomically."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)  # noqa: PTH105 - says what it does better than Path.replace
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
