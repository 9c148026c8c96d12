"""Turns pydantic's errors, and settings that this version does not support yet, into sentences for the user.

The sentences use only an error's type, its place and the bounds of the model, never the input. The input can
be a secret, and pydantic shows it in ``str``, ``repr``, ``errors`` and ``json``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.settings.setting_names import (
    FILE_SUFFIX,
    Path,
    dotted,
    nearest_key,
    nearest_table,
    secret_keys,
    variable_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from bridge.settings.configuration_source import ConfigurationSource

__all__ = ["UNSUPPORTED_SCHEMES", "describe_validation_errors", "find_unsupported_values"]

_SENTENCES = {
    "string_type": "must be text in quotes",
    "string_unicode": "must be text in Unicode",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "is too large",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "model_type": "must be a table",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "bridge": "{sentence}",
}


def describe_validation_errors(
    error: ValidationError, source: ConfigurationSource, known: Mapping[Path, FieldInfo]
) -> Iterator[str]:
    """Yield a message for each error, with its place.

    Args:
        error: The error from pydantic. Its inputs are not read.
        source: The document that was validated.
        known: The keys that this document may have.
    """
    for detail in error.errors(include_url=False, include_input=False):
        path = tuple(str(part) for part in detail["loc"])
        path = (*path[:-1], detail.get("ctx", {}).get("at") or path[-1])
        if path not in source.unreadable_secrets:
            yield source.error_at(path, _sentence(detail, path, source, known))


def _sentence(
    detail: ErrorDetails,
    path: Path,
    source: ConfigurationSource,
    known: Mapping[Path, FieldInfo],
) -> str:
    if detail["type"] == "missing":
        return _missing(path, source, known)
    if detail["type"] == "extra_forbidden":
        table = nearest_table(path, known)
        nearest = f"[{table}]" if table else dotted(nearest_key(path, known))
        return f"is not a known key; the nearest is {nearest}"
    return _SENTENCES.get(detail["type"], "is not valid").format_map(detail.get("ctx", {}))


def _missing(path: Path, source: ConfigurationSource, known: Mapping[Path, FieldInfo]) -> str:
    ways = [f"{path[-1]}{FILE_SUFFIX} with the path of a file"] if path in secret_keys(known) else []
    if source.main and source.exists:
        ways.append(f"{variable_name(path)} in the environment")
    return f"is missing (or give {', or '.join(ways)})" if ways else "is missing"


UNSUPPORTED_SCHEMES: Mapping[str, str] = {
    "postgresql": "a ledger on PostgreSQL is not supported yet: use a file, such as sqlite:///ledger.db",
}
"""Scheme of ``ledger.url`` -> the message for it."""


def find_unsupported_values(source: ConfigurationSource) -> Iterator[str]:
    """Yield an error for each valid value that this version does not support yet."""
    url = source.get(("ledger", "url"))
    scheme = url.partition(":")[0] if isinstance(url, str) else ""
    if scheme in UNSUPPORTED_SCHEMES:
        yield source.error_at(("ledger", "url"), UNSUPPORTED_SCHEMES[scheme])
