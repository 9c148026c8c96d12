"""The configuration as given, before validation: a TOML file, the environment's values, and secret files.

A source knows where each value came from, so that each error can begin with its place. Mistakes of the user
raise nothing here: the source collects the errors, so that all are reported at once.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge.settings.setting_names import (
    FILE_SUFFIX,
    MAX_PATH,
    Path,
    dotted,
    holds_list,
    printable,
    secret_keys,
    variable_name,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path as FilePath

    from pydantic.fields import FieldInfo

__all__ = ["MAX_FILE_BYTES", "ConfigurationSource", "read_secrets", "read_toml"]

MAX_FILE_BYTES = 1 << 20
"""A configuration has a page or two. A file of gigabytes is a mistake, and must not fill the memory."""

_PLACEHOLDER = "-" * 64
"""Replaces a secret that could not be read, so that other checks do not report the secret as missing."""

_POSITION = re.compile(r"\(at (?:line (\d+), column (\d+)|end of document)\)$")
_SYNTAX = {
    "Cannot overwrite": "a key is given twice",
    "Cannot declare": "a table is declared twice",
    "Cannot redefine": "a table is declared twice",
    "Cannot mutate": "a table that is already complete is added to",
    "Duplicate inline": "a key is given twice",
    "Unterminated string": "a quoted text is not closed",
    "Illegal character": "a character that is not allowed here (is a quoted text not closed?)",
    "Invalid value": "not a value that TOML knows (text needs quotes)",
    "Expected '='": "a key without = after it",
    "Expected ']'": "a bracket is not closed",
    "Invalid initial character": "a key that begins with a character that must be quoted",
    "Unclosed": "a list or table is not closed",
    "Expected newline": "more than one thing on a line",
    "Unescaped '\\'": "a backslash in a text: write it twice, or use single quotes",
}


@dataclass
class ConfigurationSource:
    """One document before validation.

    Attributes:
        label: The file's name in messages.
        folder: The folder that relative paths start from.
        data: The tables and values.
        exists: Whether there is a file.
        main: Whether this is the main file, to which the environment applies.
        readable: Whether the file could be read. If not, it is not validated.
        variables: Key -> the environment variable that its value came from.
        files: Key of a secret -> the key ``X_file`` that its value came from.
        unreadable_secrets: Secrets whose file could not be read. They get no second error.
        errors: The errors found so far, each with its place.
    """

    label: str
    folder: FilePath
    data: dict[str, object] = field(default_factory=dict)
    exists: bool = True
    main: bool = False
    readable: bool = True
    variables: dict[Path, str] = field(default_factory=dict)
    files: dict[Path, Path] = field(default_factory=dict)
    unreadable_secrets: set[Path] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def get(self, path: Path) -> object:
        """Return the value at a path; None if there is none."""
        value: object = self.data
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def error_at(self, path: Path, sentence: str) -> str:
        """Return an error message: the place, then what is wrong there."""
        return f"{self.location(path)}: {sentence}"

    def location(self, path: Path) -> str:
        """Return where a key's value came from, or where the value belongs if it is missing."""
        path = self.files.get(path, path)
        for length in range(len(path), 0, -1):
            name = self.variables.get(path[:length])
            if name:
                return f"environment: {name}"
        if not self.exists:
            return f"environment: {variable_name(path)}"
        return f"{self.label}: {dotted(path)}"


def read_toml(path: FilePath, label: str) -> tuple[dict[str, object], list[str]]:
    """Return a file's tables, and its errors. If there are errors, the tables are empty."""
    text, problem = _read_text(path)
    if problem:
        return {}, [f"{label}: {problem} ({printable(str(path), MAX_PATH)})"]
    try:
        return tomllib.loads(text.removeprefix("\ufeff")), []
    except RecursionError:
        problem = "lists or tables are nested too deeply"
    except ValueError as error:  # also for a number with more digits than Python converts
        problem = _describe_syntax_error(str(error), text)
    return {}, [f"{label}: {problem}"]


def read_secrets(source: ConfigurationSource, known: Mapping[Path, FieldInfo]) -> None:
    """Replace each ``X_file`` by the secret ``X`` in that file. The source receives the errors."""
    for path in secret_keys(known):
        table = source.get(path[:-1])
        file_key = (*path[:-1], path[-1] + FILE_SUFFIX)
        if not isinstance(table, dict) or file_key[-1] not in table:
            continue
        name = table.pop(file_key[-1])
        if table.get(path[-1]):
            source.errors.append(
                source.error_at(file_key, f"is given together with {path[-1]}: give only one")
            )
            continue
        secret, problem = _read_secret(source.folder, name)
        table[path[-1]] = secret.splitlines() if holds_list(known[path]) else secret
        if problem:
            source.errors.append(source.error_at(file_key, problem))
            source.unreadable_secrets.add(path)
        source.files[path] = file_key


def _read_secret(folder: FilePath, name: object) -> tuple[str, str]:
    if not isinstance(name, str) or not name.strip():
        return _PLACEHOLDER, "must be the path of a file that holds the secret"
    text, problem = _read_text(folder / name)
    secret = text.rstrip("\r\n")
    if problem or not secret.strip():
        return _PLACEHOLDER, f"the file of the secret {problem or 'is empty'}"
    return secret, ""


def _read_text(path: FilePath) -> tuple[str, str]:
    """Return a small file as text, or an error that shows nothing of its content."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return "", f"cannot be read: {error.strerror or 'unknown error'}"
    except ValueError:  # a NUL in the path
        return "", "cannot be read: that is not a path"
    if len(content) > MAX_FILE_BYTES:
        return "", f"is larger than {MAX_FILE_BYTES} bytes"
    try:
        return content.decode(), ""
    except UnicodeDecodeError as error:
        place = content.count(b"\n", 0, error.start) + 1
    return "", f"is not UTF-8 text (line {place})"


def _describe_syntax_error(message: str, text: str) -> str:
    """Describe a syntax error without tomllib's message, which can show the character or the key."""
    reason = next((ours for theirs, ours in _SYNTAX.items() if message.startswith(theirs)), "not valid TOML")
    match = _POSITION.search(message)
    if match is None:
        return reason
    if match[1]:
        return f"line {match[1]}, column {match[2]}: {reason}"
    return f"line {text.count(chr(10)) + 1}, at the end: {reason}"
