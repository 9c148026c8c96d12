"""Reads environment variables over the main file, through pydantic-settings.

The library takes some 60 ms to import, so ``load`` imports this module only if a variable with our prefix is
set. The library stops at the first variable that it cannot read, ignores unknown variables, and does not
report which variable a value came from. This module therefore passes one variable at a time.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

from bridge.settings.model import Document
from bridge.settings.setting_names import (
    DEPTH,
    ENV_PREFIX,
    Path,
    holds_table,
    nearest_key,
    printable,
    secret_keys,
    variable_name,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

    from bridge.settings.configuration_source import ConfigurationSource

__all__ = ["apply_environment"]


class _Variables(BaseSettings, Document):  # type: ignore[misc]  # its config has more keys, that is all
    """The main document, from which pydantic-settings learns which keys hold lists or numbers."""


def apply_environment(
    source: ConfigurationSource, environ: Mapping[str, str], known: Mapping[Path, FieldInfo]
) -> None:
    """Replace values of the main file by those of the environment.

    Args:
        source: The main document. It is changed in place, and receives the errors.
        environ: The variables that begin with the prefix. Lists and tables are JSON.
        known: All keys of the document.
    """
    secrets = {variable_name(path): path for path in secret_keys(known)}
    tables = {path for path, field in known.items() if holds_table(field)}
    reader = EnvSettingsSource(
        _Variables, case_sensitive=False, env_prefix=ENV_PREFIX.lower(), env_nested_delimiter="__"
    )
    for name in sorted(environ, key=lambda name: (name.count("__"), name)):
        path = tuple(name.removeprefix(ENV_PREFIX).lower().split("__"))
        if name == name.upper() and (path in tables or path[:-1] in tables):
            _set_table_key(source, path if path in tables else path[:-1], path, environ[name], name)
            continue
        if not _is_known(name, path, known):
            source.errors.append(_unknown_key_error(name, path, known))
            continue
        value = environ[name]
        fragment = _nested(path, value) if name in secrets else _parse_variable(reader, name, value)
        if fragment is None:
            source.errors.append(f'environment: {name}: must be JSON, such as ["a", "b"] or {{"key": 1}}')
        else:
            _merge(source, source.data, fragment, (), name)


def _is_known(name: str, path: Path, known: Mapping[Path, FieldInfo]) -> bool:
    """Whether a variable is in capitals and names a key or a table."""
    return name == name.upper() and any(key[: len(path)] == path for key in known)


def _unknown_key_error(name: str, path: Path, known: Mapping[Path, FieldInfo]) -> str:
    nearest = variable_name(nearest_key(path, known))
    return f"environment: {printable(name)}: is not a known key; the nearest is {nearest}"


def _set_table_key(source: ConfigurationSource, key: Path, path: Path, value: str, name: str) -> None:
    """Set a key that takes a text or a table of texts in JSON, or set one entry of such a table."""
    table: dict[str, object] = source.data
    for part in key[:-1]:
        inner = table.get(part)
        if not isinstance(inner, dict):
            table[part] = inner = {}
        table = inner
    if path == key:
        table[key[-1]] = _parse_table(value)
    else:
        before = table.get(key[-1])
        table[key[-1]] = {**(before if isinstance(before, dict) else {}), path[-1]: value}
    source.variables[key] = name


def _parse_table(value: str) -> object:
    """Parse a table in JSON. Return any other text unchanged: an expression can begin with a brace, too."""
    try:
        found = json.loads(value) if value.lstrip().startswith("{") else value
    except (ValueError, RecursionError):
        return value
    return found


def _nested(path: Path, value: str) -> dict[str, object]:
    """Return a secret as a fragment of the document. It stays text, even if it has only digits."""
    table, key = path
    return {table: {key: value}}


def _parse_variable(reader: EnvSettingsSource, name: str, value: str) -> dict[str, object] | None:
    """Return one variable as a fragment of the document; None if it is not the JSON that its key needs."""
    reader.env_vars = {name.lower(): value}
    try:
        return reader()
    except (SettingsError, ValueError, RecursionError):
        return None


def _merge(
    source: ConfigurationSource,
    target: dict[str, object],
    fragment: Mapping[str, object],
    above: Path,
    name: str,
) -> None:
    for key, value in fragment.items():
        path = (*above, key)
        if isinstance(value, dict) and len(path) < DEPTH:
            inner = target.get(key)
            if not isinstance(inner, dict):
                target[key] = inner = {}
            _merge(source, inner, value, path, name)
        else:
            target[key] = value
            source.variables[path] = name
