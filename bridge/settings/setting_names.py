"""Lists the configuration keys that the models define, and names them in messages.

A path identifies a key; messages write the path with dots: ``trakor.api_key``. Every secret ``X`` also has
the key ``X_file``.
"""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING, TypeAlias, get_args, get_origin

from pydantic import BaseModel, SecretStr

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pydantic.fields import FieldInfo

__all__ = [
    "DEPTH",
    "ENV_PREFIX",
    "FILE_SUFFIX",
    "MAX_PATH",
    "Path",
    "document_keys",
    "dotted",
    "holds_list",
    "holds_table",
    "nearest_key",
    "nearest_table",
    "printable",
    "secret_keys",
    "variable_name",
]

Path: TypeAlias = tuple[str, ...]

ENV_PREFIX = "TRAKOR_BRIDGE_"
FILE_SUFFIX = "_file"

DEPTH = 3
"""The depth of the deepest key. Tables below it are wrong, and are not read."""

_CLIP = 60
MAX_PATH = 300


@cache
def document_keys(model: type[BaseModel]) -> Mapping[Path, FieldInfo]:
    """Return each key of a document that holds a value, ``X_file`` included, with its field in the model."""
    keys = dict(_leaves(model, ()))
    files = {(*path[:-1], path[-1] + FILE_SUFFIX): keys[path] for path in secret_keys(keys)}
    return keys | files


def secret_keys(keys: Mapping[Path, FieldInfo]) -> list[Path]:
    """Return the keys whose values are never shown, without their ``X_file``, which are paths."""
    return [
        path
        for path, field in keys.items()
        if SecretStr in _parts(field.annotation) and not path[-1].endswith(FILE_SUFFIX)
    ]


def holds_list(field: FieldInfo) -> bool:
    """Whether a key takes several values. If so, its ``X_file`` has one value on each line."""
    return any(get_origin(part) is tuple for part in _parts(field.annotation))


def holds_table(field: FieldInfo) -> bool:
    """Whether a key takes a text, or a table of texts whose names the user chooses."""
    return any(get_origin(part) is dict for part in _parts(field.annotation))


def dotted(path: Path) -> str:
    """Return a key as messages write it: printable and short, whatever the user called it."""
    return ".".join(printable(part) for part in path)


def variable_name(path: Path) -> str:
    """Return the environment variable of a key."""
    return ENV_PREFIX + "__".join(path).upper()


def nearest_key(path: Path, known: Collection[Path]) -> Path:
    """Return the known key that an unknown one was most likely meant to be, preferably of the same table."""
    siblings = {other[-1]: other for other in known if other[:-1] == path[:-1]}
    match = difflib.get_close_matches(path[-1][:_CLIP], siblings, n=1, cutoff=0.6)
    if match:
        return siblings[match[0]]
    names = {".".join(other): other for other in known}
    return names[difflib.get_close_matches(".".join(path)[:_CLIP], names, n=1, cutoff=0.0)[0]]


def nearest_table(path: Path, known: Collection[Path]) -> str:
    """Return the table that an unknown one was most likely meant to be.

    Empty if the user more likely meant a key outside of all tables.
    """
    if len(path) > 1:
        return ""
    tables = {other[0]: len(other) > 1 for other in known}
    match = difflib.get_close_matches(path[0][:_CLIP], tables, n=1, cutoff=0.6)
    return match[0] if match and tables[match[0]] else ""


def printable(name: str, limit: int = _CLIP) -> str:
    """Return a name from the user in a form that fits into one line of a message."""
    text = name if name.isprintable() else name.encode("ascii", "backslashreplace").decode()
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= limit else text[:limit] + "…"


def _leaves(model: type[BaseModel], above: Path) -> Iterator[tuple[Path, FieldInfo]]:
    for name, field in model.model_fields.items():
        path = (*above, field.alias or name)
        table = _table(field.annotation)
        if table is None:
            yield path, field
        else:
            yield from _leaves(table, path)


def _table(annotation: object) -> type[BaseModel] | None:
    """The model that a field holds, be it optional; None if it is a leaf."""
    for part in _parts(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _parts(annotation: object) -> list[object]:
    """A type and all the types that it is made of."""
    return [annotation, *(inner for part in get_args(annotation) for inner in _parts(part))]
