"""What does not fit in a query, where, and the whole lines to write instead. Pure.

::

    QueryMismatch(location, what, edits) ──make_corrections──> Correction(file, lines 12 to 14, "…")
                                                         advice <──format_corrections──┘

An edit replaces a stretch of a file's text. All edits of a line are made together, so that the printed line
is the one to write, whichever of its errors is reported.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from bridge.salestrekker.query_files import shipped_fields
from bridge.salestrekker.schema.similar_fields import FieldMatch, best_match, spelt_alike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from graphql import FieldNode, Node, Source

    from bridge.salestrekker.schema.similar_fields import ObjectType

__all__ = [
    "Correction",
    "Edit",
    "QueryMismatch",
    "SourceLocation",
    "Taken",
    "aliased_field",
    "apply_edits",
    "format_corrections",
    "location_of",
    "make_corrections",
    "match_moved_fields",
    "merged_selection",
    "nested_selection",
    "rename_edit",
    "replace_edit",
]


@dataclass(frozen=True, slots=True, order=True)
class SourceLocation:
    """A place in a file. Lines and columns count from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Edit:
    """A stretch of a file's text, from ``start`` up to ``end``, and what replaces it."""

    source: Source
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class QueryMismatch:
    """Something in a query that does not fit the schema.

    Attributes:
        place: Where it is.
        what: What is wrong, and the most similar thing that there is.
        edits: What makes it fit. None if that cannot be guessed.
        offered: Whether the schema has something that it could be.
    """

    place: SourceLocation
    what: str
    edits: tuple[Edit, ...] = ()
    offered: bool = True


@dataclass(frozen=True, slots=True)
class Correction:
    """Lines of a file, and the lines that replace them. No lines: they are removed."""

    file: str
    first: int
    last: int
    lines: tuple[str, ...]

    @property
    def shifts(self) -> bool:
        """Whether it moves the lines below."""
        return len(self.lines) != self.last - self.first + 1


def location_of(node: Node) -> SourceLocation:
    """Where a node begins."""
    if node.loc is None:
        return SourceLocation("query", 1, 1)
    token = node.loc.start_token
    return SourceLocation(node.loc.source.name, token.line, token.column)


def replace_edit(node: Node, text: str) -> tuple[Edit, ...]:
    """The edit that replaces a node by a text."""
    if node.loc is None:
        return ()
    return (Edit(node.loc.source, node.loc.start, node.loc.end, text),)


def rename_edit(node: FieldNode, found: str) -> tuple[Edit, ...]:
    """The edit that selects another field under the old name, so that the map still finds it.

    If the old name was a typing error for a name in the shipped queries, the name itself is corrected: that
    is the name that the map reads.
    """
    name = node.name.value
    is_typo = spelt_alike(name, found) and found in shipped_fields() and name not in shipped_fields()
    return replace_edit(node.name, found if node.alias or is_typo else f"{name}: {found}")


def apply_edits(edits: Iterable[Edit], body: str, offset: int = 0) -> str:
    """A text with the edits made. Of two edits that overlap, the larger one counts.

    Args:
        edits: All within the text.
        body: The text.
        offset: Where the text begins in the file that the edits refer to.
    """
    for edit in reversed(_outermost(edits)):
        body = body[: edit.start - offset] + edit.text + body[edit.end - offset :]
    return body


def make_corrections(mismatches: Iterable[QueryMismatch]) -> tuple[Correction, ...]:
    """The lines to write, by file. If lines move, a file's corrections go from its end to its beginning."""
    by_file: dict[str, list[Edit]] = defaultdict(list)
    for mismatch in mismatches:
        for edit in mismatch.edits:
            by_file[edit.source.name].append(edit)
    found: list[Correction] = []
    for edits in by_file.values():
        of_file = [_correction(hunk) for hunk in _hunks(_outermost(edits))]
        found += reversed(of_file) if any(one.shifts for one in of_file) else of_file
    return tuple(found)


def format_corrections(found: Sequence[Correction], name: Callable[[str], str]) -> str:
    """Corrections as a person, or a script, follows them: one after the other, each ``FILE, line N: …``.

    Args:
        found: The corrections.
        name: Shortens a file's path for the reader.
    """
    return "\n".join(_one_as_text(one, name(one.file)) for one in found)


def _one_as_text(one: Correction, file: str) -> str:
    where = f"line {one.first}" if one.first == one.last else f"lines {one.first} to {one.last}"
    if not one.lines:
        return f"{file}, {where}: take {'it' if one.first == one.last else 'them'} out"
    return "\n".join([f"{file}, {where}: write", *one.lines])


def _outermost(edits: Iterable[Edit]) -> list[Edit]:
    """Edits in order, without those that lie within another one."""
    kept: list[Edit] = []
    for edit in sorted(edits, key=lambda edit: (edit.start, -edit.end)):
        if not kept or edit.start >= kept[-1].end:
            kept.append(edit)
    return kept


def _hunks(edits: Sequence[Edit]) -> Iterator[list[Edit]]:
    """Edits that share a line go together."""
    hunk: list[Edit] = []
    for edit in edits:
        if hunk and _line(edit.source, edit.start) > _line(hunk[-1].source, hunk[-1].end):
            yield hunk
            hunk = []
        hunk.append(edit)
    if hunk:
        yield hunk


def _correction(hunk: list[Edit]) -> Correction:
    source = hunk[0].source
    first, last = _line(source, hunk[0].start), _line(source, hunk[-1].end)
    body = source.body
    start = body.rfind("\n", 0, hunk[0].start) + 1
    end = body.find("\n", hunk[-1].end)
    before = body[start : len(body) if end < 0 else end]
    return Correction(source.name, first, last, _lines(before, apply_edits(hunk, before, start)))


def _lines(before: str, after: str) -> tuple[str, ...]:
    """The lines that are left. A line that was emptied goes with its comment."""
    as_they_were = {line.strip() for line in before.split("\n")}
    lines = [line.rstrip() for line in after.split("\n")]
    return tuple(
        line
        for line in lines
        if line.strip() and (not line.lstrip().startswith("#") or line.strip() in as_they_were)
    )


def _line(source: Source, position: int) -> int:
    return source.body.count("\n", 0, position) + 1


Taken: TypeAlias = "dict[tuple[str, ...], str]"
"""Path below a type that is read already -> its name in the response."""


def match_moved_fields(
    parent: ObjectType, wanted: Sequence[tuple[str, ...]], taken: Taken
) -> dict[tuple[str, ...], FieldMatch]:
    """The most similar field below a type for each missing path. Paths without one are left out.

    Two paths share a field only if they end in the same name, and each name has one field: a company's e-mail
    address is where the person's has moved to.

    Args:
        parent: The type to search.
        wanted: The missing paths, from there on.
        taken: What is read already and is no candidate.
    """
    found = {path: _again(path[-1], taken) or best_match(parent, path, taken) for path in wanted}
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


def _again(name: str, taken: Taken) -> FieldMatch | None:
    """Where another missing field of this name was found."""
    path = next((path for path, key in taken.items() if key == name and path != (name,)), None)
    return FieldMatch(path, 1.0) if path else None


def nested_selection(path: Sequence[str]) -> str:
    """A path as a selection: ``a { b { c } }``."""
    text = path[-1]
    for name in reversed(path[:-1]):
        text = f"{name} {{ {text} }}"
    return text


def aliased_field(name: str, key: str) -> str:
    """A field with the name that it is to have in the response."""
    return name if name == key else f"{key}: {name}"


def merged_selection(paths: Iterable[tuple[str, ...]], node: FieldNode) -> str:
    """Paths as selections, indented like the node that they replace. Common beginnings are merged."""
    indent = " " * (location_of(node).column - 1)
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
