"""What was given, before it is checked: a TOML file, and what the environment lays over it.

Each value knows where it came from, so that a fault can begin with its place. Nothing here raises for
what the user wrote: errors are collected, to be shown all at once.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge.settings.keys import (
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
"""A configuration is a page or two; a file of gigabytes is a mistake that must not fill the memory."""

_PLACEHOLDER = "-" * 64
"""For a secret that could not be read, so that what depends on its presence is not at fault as well."""

_POSITION = re.compile(r"\(at (?:line (\d+), column (\d+)|end of document)\)$")
_SYNTAX = {
    "Cannot overwrite": "a key is given twice",
    "Cannot declare": "a table is declared twice",
    "Cannot redefine": "a table is declared twice",
    "Cannot mutate": "a table that is already complete is added to",
    "Duplicate inline": "a key is given twice",
    "Unterminated string": "a quoted text is not closed",
    "Illegal character": "a character that must not stand here (a quoted text that is not closed?)",
    "Invalid value": "no value that TOML knows (text needs quotes)",
    "Expected '='": "a key without = after it",
    "Expected ']'": "a bracket is not closed",
    "Invalid initial character": "a key that begins with a character that must be quoted",
    "Unclosed": "a list or table is not closed",
    "Expected newline": "more than one thing on a line",
    "Unescaped '\\'": "a backslash in a text: write it twice, or use single quotes",
}


@dataclass
class ConfigurationSource:
    """One document before it is checked.

    Attributes:
        label: The file's name in messages.
        folder: What relative paths are relative to.
        data: The tables and values.
        exists: Whether there is a file at all.
        main: Whether the environment counts for it.
        readable: Whether it could be read: what cannot is not checked any further.
        variables: Where a value is from the environment: its key, and the variable's name.
        files: Where a secret was read from ``X_file``: the secret's key, and that of the path.
        unreadable_secrets: Secrets whose file could not be read: not to be called missing or wrong as well.
        errors: What is already known to be wrong with it.
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
        """The value at a path; None if there is none."""
        value: object = self.data
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def error_at(self, path: Path, sentence: str) -> str:
        """One fault as it is shown: its place, then what is wrong there."""
        return f"{self.location(path)}: {sentence}"

    def location(self, path: Path) -> str:
        """Where a key's value is from, or where it would belong."""
        path = self.files.get(path, path)
        for length in range(len(path), 0, -1):
            name = self.variables.get(path[:length])
            if name:
                return f"environment: {name}"
        if not self.exists:
            return f"environment: {variable_name(path)}"
        return f"{self.label}: {dotted(path)}"


def read_toml(path: FilePath, label: str) -> tuple[dict[str, object], list[str]]:
    """A file's tables, and what kept it from being read: then the tables are empty."""
    text, problem = _read_text(path)
    if problem:
        return {}, [f"{label}: {problem} ({printable(str(path), MAX_PATH)})"]
    try:
        return tomllib.loads(text.removeprefix("\ufeff")), []
    except RecursionError:
        problem = "lists or tables are nested too deeply"
    except ValueError as error:  # also a number of more digits than Python takes
        problem = _describe_syntax_error(str(error), text)
    return {}, [f"{label}: {problem}"]


def read_secrets(source: ConfigurationSource, known: Mapping[Path, FieldInfo]) -> None:
    """Replaces each ``X_file`` by the secret ``X`` that it names; errors go to the source."""
    for path in secret_keys(known):
        table = source.get(path[:-1])
        file_key = (*path[:-1], path[-1] + FILE_SUFFIX)
        if not isinstance(table, dict) or file_key[-1] not in table:
            continue
        name = table.pop(file_key[-1])
        if table.get(path[-1]):
            source.errors.append(source.error_at(file_key, f"stands beside {path[-1]}: give one of the two"))
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
    """A small file as text; else why not, without anything that is in it."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return "", f"cannot be read: {error.strerror or 'unknown error'}"
    except ValueError:  # a NUL in the path
        return "", "cannot be read: that is no path"
    if len(content) > MAX_FILE_BYTES:
        return "", f"is larger than {MAX_FILE_BYTES} bytes"
    try:
        return content.decode(), ""
    except UnicodeDecodeError as error:
        place = content.count(b"\n", 0, error.start) + 1
    return "", f"is not UTF-8 text (line {place})"


def _describe_syntax_error(message: str, text: str) -> str:
    """Describe a syntax error in our words: tomllib's own can show the character or the key."""
    reason = next((ours for theirs, ours in _SYNTAX.items() if message.startswith(theirs)), "not valid TOML")
    match = _POSITION.search(message)
    if match is None:
        return reason
    if match[1]:
        return f"line {match[1]}, column {match[2]}: {reason}"
    return f"line {text.count(chr(10)) + 1}, at the end: {reason}"
