"""Fields that a schema has elsewhere: which goes where, and the selection to write for them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from bridge.salestrekker.schema.suggestions import place_of
from bridge.salestrekker.schema.type_paths import Found, best_leaf

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphql import FieldNode

    from bridge.salestrekker.schema.type_paths import Fielded

__all__ = ["Taken", "assigned", "keyed", "merged", "nested"]

Taken: TypeAlias = "dict[tuple[str, ...], str]"
"""Path below a type that is read already -> its name in the answer."""


def assigned(
    parent: Fielded, wanted: Sequence[tuple[str, ...]], taken: Taken
) -> dict[tuple[str, ...], Found]:
    """What below a type each of some missing paths most likely is; those that nothing is like are left out.

    Two of them share a field only where they end in the same name, and under one name there is one field: a
    company's e-mail address is where the person's has moved to.

    Args:
        parent: The type to look below.
        wanted: The paths, from there on.
        taken: What is read already and is no candidate.
    """
    found = {path: _again(path[-1], taken) or best_leaf(parent, path, taken) for path in wanted}
    rated = sorted(
        ((path, one) for path, one in found.items() if one), key=lambda pair: pair[1].score, reverse=True
    )
    names: dict[tuple[str, ...], str] = {}
    paths: dict[str, tuple[str, ...]] = {}
    agreed = {
        path: one
        for path, one in rated
        if names.setdefault(one.path, path[-1]) == path[-1]
        and paths.setdefault(path[-1], one.path) == one.path
    }
    return {path: agreed[path] for path in wanted if path in agreed}


def _again(name: str, taken: Taken) -> Found | None:
    """Where another missing field of this name has been found."""
    path = next((path for path, key in taken.items() if key == name and path != (name,)), None)
    return Found(path, 1.0) if path else None


def nested(path: Sequence[str]) -> str:
    """A path as a selection: ``a { b { c } }``."""
    text = path[-1]
    for name in reversed(path[:-1]):
        text = f"{name} {{ {text} }}"
    return text


def keyed(name: str, key: str) -> str:
    """A field under the name that it is to have in the answer."""
    return name if name == key else f"{key}: {name}"


def merged(paths: Iterable[tuple[str, ...]], node: FieldNode) -> str:
    """Paths as selections, as far in as a node that they stand in the place of; what begins alike is one."""
    indent = " " * (place_of(node).column - 1)
    return f"\n{indent}".join(f"{first}{_braced(rest)}" for first, rest in _grouped(paths).items())


def _braced(paths: Iterable[tuple[str, ...]]) -> str:
    inner = " ".join(f"{first}{_braced(rest)}" for first, rest in _grouped(paths).items())
    return f" {{ {inner} }}" if inner else ""


def _grouped(paths: Iterable[tuple[str, ...]]) -> dict[str, list[tuple[str, ...]]]:
    """Paths by their first names."""
    grouped: dict[str, list[tuple[str, ...]]] = {}
    for path in paths:
        if path:
            grouped.setdefault(path[0], []).append(path[1:])
    return grouped
