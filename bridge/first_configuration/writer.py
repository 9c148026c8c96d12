"""Writes the first configuration and its secret files, and copies the shipped queries.

The file is made from config.example.toml, so that it explains every key. Secrets go into separate files, so
that the configuration can be shown to somebody who helps.
"""

from __future__ import annotations

import os
import re
import secrets
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge.errors import UserError
from bridge.salestrekker.query_files import shipped_queries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.first_configuration.connection_trial import SourceAnswers, TargetAnswers

__all__ = ["copy_queries", "write"]

SECRETS: Final = "secrets"
"""The folder beside the configuration that holds the secret files."""


HEADER: Final = (
    "# The configuration of trakor-bridge, made by `trakor-bridge init`. Every key is explained in",
    "# docs/configuration.md; the secrets are in the folder secrets/ beside this file.",
)


def write(
    path: Path, source: SourceAnswers, target: TargetAnswers, *, allow_insecure: bool = False
) -> list[Path]:
    """Write the configuration and its secret files, each with mode 0600.

    Args:
        path: Of the configuration. Nothing that is there is overwritten.
        source: Where records come from.
        target: Where they go.
        allow_insecure: Take plain http addresses of other machines.

    Returns:
        The files made, the configuration last: it is only there once all others are.

    Raises:
        UserError: A file is there already, or cannot be written.
    """
    contents = dict(_secret_files(source, target))
    files = [path.parent / SECRETS / name for name in contents]
    for file in (*files, path):
        if file.exists():
            raise UserError(
                f"{file} already exists: nothing was written",
                advice="edit it, or give another path with --config",
            )
    text = _configuration(_values(source, target, allow_insecure=allow_insecure))
    _make_folder(path.parent / SECRETS)
    for file in files:
        _write_new(file, f"{contents[file.name]}\n")
    _write_new(path, text)
    return [*files, path]


def _secret_files(source: SourceAnswers, target: TargetAnswers) -> Iterator[tuple[str, str]]:
    if source.api_key:
        yield "salestrekker-api-key", source.api_key
    else:
        yield "salestrekker-password", source.password
    yield "trakor-api-key", target.api_key
    yield "ledger-key", secrets.token_hex(32)
    yield "webhook-token", secrets.token_urlsafe(32)


def _values(
    source: SourceAnswers, target: TargetAnswers, *, allow_insecure: bool
) -> dict[tuple[str, str], list[str]]:
    """The lines that take the place of the example's, by section and key."""
    if source.api_key:
        login = [_line("api_key_file", f"{SECRETS}/salestrekker-api-key")]
    else:
        login = [_line("email", source.email), _line("password_file", f"{SECRETS}/salestrekker-password")]
    values = {
        ("salestrekker", "url"): [_line("url", source.url)],
        ("salestrekker", "api_key"): login,
        ("salestrekker", "organization"): [_line("organization", source.organization)],
        ("trakor", "url"): [_line("url", target.url)],
        ("trakor", "api_key"): [_line("api_key_file", f"{SECRETS}/trakor-api-key")],
        ("webhooks", "token"): [_line("token_file", f"{SECRETS}/webhook-token")],
        ("ledger", "key"): [_line("key_file", f"{SECRETS}/ledger-key")],
    }
    if allow_insecure:
        values |= {
            (section, "allow_insecure"): ["allow_insecure = true"] for section in ("salestrekker", "trakor")
        }
    return values


def _write_new(file: Path, text: str) -> None:
    """Write a file that is not there yet, for its owner only, and see it on the disk."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as opened:  # noqa: PTH123 - a descriptor, not a path
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from error


def _configuration(values: dict[tuple[str, str], list[str]]) -> str:
    """The example with these values in it, and without its advice to copy it."""
    section, lines = "", []
    for line in _example().partition("\n\n")[2].splitlines():
        if line.startswith("["):
            section = line[1:].partition("]")[0]
        key = line.removeprefix("# ").partition("=")[0].strip()  # what has no default is a comment there
        lines += values.get((section, key), [line])
    return "\n".join([*HEADER, "", *lines, ""])


def _line(key: str, value: str) -> str:
    quoted = re.sub(r'(["\\])', r"\\\1", value)
    return f'{key} = "{quoted}"'


def _example() -> str:
    """config.example.toml, from inside the wheel or from the checkout beside the package."""
    package = Path(str(resources.files("bridge")))
    in_wheel = package / "_shipped" / "config.example.toml"
    file = in_wheel if in_wheel.is_file() else package.parent / "config.example.toml"
    return file.read_text(encoding="utf-8")


def copy_queries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Copy the shipped queries beside the configuration, for changing.

    Args:
        folder: Of the configuration; they go into its folder ``queries``.

    Returns:
        Those copied, and those left alone because a file of that name is there.
    """
    target = folder / "queries"
    _make_folder(target)
    copied, kept = [], []
    for file in sorted(shipped_queries().glob("*.graphql")):
        copy = target / file.name
        if copy.exists():
            kept.append(copy)
        else:
            _write_new(copy, file.read_text(encoding="utf-8"))
            copied.append(copy)
    return copied, kept


def _make_folder(folder: Path) -> None:
    """Make a folder for its owner only, if there is none."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be made: {error.strerror}",
            advice="let this user write there, or choose --config",
        ) from error
