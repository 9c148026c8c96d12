"""The fields that a proposed query selects of a record, and how an expression names each of them. Pure.

::

    add(Person: email)    ──>  ... on Person { email }                   email
    add(Company: email!)  ──>  ... on Company { companyEmail: email }    companyEmail

Two types of a union can have fields of one name that no query may select side by side: of another type, or
of the same type but not always there (GraphQL specification, 5.3.2). The second one gets an alias.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.fitting.record_fields import FieldStep, RecordField

__all__ = ["ProposedSelection", "SelectedPath"]


@dataclass(frozen=True, slots=True)
class SelectedPath:
    """Where a selected value is in a record of the response.

    Attributes:
        keys: The response keys down to it.
        lists: For each key, whether several values are there.
    """

    keys: tuple[str, ...]
    lists: tuple[bool, ...]


@dataclass(slots=True)
class _Node:
    name: str
    type_name: str
    below: dict[str, _Node] = field(default_factory=dict)


@dataclass(slots=True)
class ProposedSelection:
    """Collects the fields to select.

    Attributes:
        by_type: Type that a record must have (empty: any) -> response key -> the field.
    """

    by_type: dict[str, dict[str, _Node]] = field(default_factory=lambda: {"": {}})

    def add(self, wanted: RecordField, alias: str = "") -> SelectedPath:
        """Select a value, once.

        Args:
            wanted: The value.
            alias: The response key of its first field, if that must not be its name.

        Returns:
            Where it is in a record of the response.
        """
        level, keys = self.by_type.setdefault(wanted.on, {}), []
        for depth, step in enumerate(wanted.steps):
            key = step.name if depth else alias or self._key(wanted.on, step)
            node = level.setdefault(key, _Node(step.name, step.type_name))
            keys.append(key)
            level = node.below
        return SelectedPath(tuple(keys), tuple(step.is_list for step in wanted.steps))

    def text(self, indent: str = "  ") -> str:
        """The selection, a field on each line, without the braces around it."""
        lines = list(_lines(self.by_type[""], indent))
        for on, fields in self.by_type.items():
            if on and fields:
                lines += [f"{indent}... on {on} {{", *_lines(fields, f"{indent}  "), f"{indent}}}"]
        return "\n".join(lines)

    def _key(self, on: str, step: FieldStep) -> str:
        """The response key of a field of a record: its name, if no other type's field has that already."""
        for other, fields in self.by_type.items():
            node = fields.get(step.name)
            if node and other != on and node.type_name != step.type_name:
                return f"{on[:1].lower()}{on[1:]}{step.name[:1].upper()}{step.name[1:]}"
        return step.name


def _lines(fields: dict[str, _Node], indent: str) -> Iterator[str]:
    for key, node in fields.items():
        text = node.name if key == node.name else f"{key}: {node.name}"
        if node.below:
            yield f"{indent}{text} {{"
            yield from _lines(node.below, f"{indent}  ")
            yield f"{indent}}}"
        else:
            yield f"{indent}{text}"
