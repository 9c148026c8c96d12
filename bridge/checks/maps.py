"""Checks a map against its query: fields that the query does not select, and what to write instead.

::

    each expression ──misreads──> what is not selected ─┬─ the schema has it there:  a line for the query
                                                        ├─ it is selected elsewhere: a line for the map
                                                        └─ the schema has its like:  a line for the query

The built-in maps have alternatives for companies, other phones and so on. A field that a schema lacks is no
error in them, as long as another alternative of the expression remains.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, TypeAlias

from bridge.checks.report import Check
from bridge.mapping import (
    DEFAULT_WHERE,
    SPELT_OUT,
    RecordShape,
    complete_map,
    find_misreads,
    fix_list_access,
    rewrite_paths,
)
from bridge.salestrekker.schema.similar_fields import LIKELY, path_likeness
from bridge.salestrekker.schema.validation import STATUS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bridge.checks.queries import Files
    from bridge.checks.samples import Sample
    from bridge.mapping import Misread
    from bridge.records import Stream
    from bridge.salestrekker.schema.record_shape import Addition, RecordSelection
    from bridge.settings import StreamSettings

__all__ = ["check_map"]

Path: TypeAlias = tuple[str, ...]

ALIKE: Final = 0.75
"""The similarity, of 1, from which a name counts as a misspelling."""

SURELY: Final = 0.8
"""The similarity that two paths need if their last name is common."""

SAYS_LITTLE: Final = frozenset({"name", "value", "type", "id", "code", "number", "title"})
INACTIVE: Final = ("archived", "inactive", "disabled", "deleted", "closed", "removed", "suspended", "lost")
ACTIVE: Final = ("active", "enabled", "open", "current", "live")
MOST_VALUES: Final = 10
"""A field with more different values than this is not a status."""


@dataclass(frozen=True, slots=True)
class _Expression:
    """One expression of a stream.

    Attributes:
        key: Of the map; or ``where``.
        text: JMESPath.
        own: Whether the user wrote it.
        bad: The fields that it reads but the query does not select.
    """

    key: str
    text: str
    own: bool
    bad: tuple[Misread, ...]


def check_map(
    name: str, stream: Stream, settings: StreamSettings, chosen: RecordSelection, sample: Sample, files: Files
) -> Check:
    """Check a map against its query.

    Args:
        name: The name of the check.
        stream: The stream.
        settings: The stream's settings.
        chosen: The fields that the query selects.
        sample: Real records, for what only values show.
        files: The names of the query files.
    """
    expressions = list(_expressions(stream, settings, chosen.shape))
    missing = list(dict.fromkeys(bad.path for one in expressions for bad in one.bad if not bad.why))
    repair = _Repair(chosen, missing)
    errors = [(one, bad) for one in expressions for bad in one.bad if repair.is_error(one, bad)]
    if not errors:
        return Check(name, ok=True, detail=_all_good(expressions, files.name(chosen.document.file)))
    detail = list(_describe(errors))
    if repair.additions:
        advice = files.advice([addition.mismatch for addition in repair.additions])
    else:
        advice = "\n".join(_lines(stream, errors, repair, chosen, sample))
    return Check(name, ok=False, detail="\n".join(detail), advice=advice)


def _describe(errors: Sequence[tuple[_Expression, Misread]]) -> Iterator[str]:
    """Each error once, with the expressions that have it."""
    keys: dict[Misread, list[str]] = defaultdict(list)
    for one, bad in errors:
        keys[bad].append(one.key)
    for bad, readers in keys.items():
        yield f"{bad}, read by {', '.join(readers)}: {bad.why or 'the query does not select it'}"


def _all_good(expressions: Sequence[_Expression], file: str) -> str:
    """The sentence for a map without errors, with the built-in alternatives that do not apply here."""
    notes = [f"{one.key}: the schema has no {bad}" for one in expressions for bad in one.bad]
    return "\n".join([f"its {len(expressions)} expressions read what {file} selects", *dict.fromkeys(notes)])


def _expressions(stream: Stream, settings: StreamSettings, shape: RecordShape) -> Iterator[_Expression]:
    for key, text in complete_map(stream, settings.map).items():
        yield _Expression(key, text, key in settings.map, find_misreads(text, shape))
    where = settings.where
    yield _Expression("where", where, where != DEFAULT_WHERE, find_misreads(where, shape))


class _Repair:
    """Corrections for the missing paths.

    Args:
        chosen: What the query selects.
        missing: The paths.

    Attributes:
        moved: Those that are selected elsewhere, with where.
        additions: Lines to add to the query for the others.
        status: The field with the status in words, in place of ``isActive``; empty if there is none.
    """

    def __init__(self, chosen: RecordSelection, missing: Sequence[Path]) -> None:
        offered = chosen.additions(missing)
        exact = [addition for addition in offered if addition.found == addition.wanted]
        there = {addition.wanted for addition in exact}
        leaves = list(_leaves(chosen.shape))
        found = {path: _elsewhere(path, leaves, chosen.shape) for path in missing if path not in there}
        self.moved: Mapping[Path, Path] = {path: other for path, other in found.items() if other}
        near = [one for one in offered if one not in exact and one.wanted not in self.moved]
        self.additions: list[Addition] = [*exact, *near]
        self._lost = set(missing) - set(self.moved) - {addition.wanted for addition in self.additions}
        self.status = next((key for key in chosen.shape.fields if key.lower() in STATUS), "")

    def is_error(self, one: _Expression, bad: Misread) -> bool:
        """Whether a misread is an error; otherwise the schema lacks the field, and alternatives remain."""
        if bad.why or one.own or bad.path not in self._lost:
            return True
        if one.key == "where":
            return bool(self.status)
        needed = one.key in ("id", "name")
        return needed and all(
            read.path in self._lost for read in find_misreads(one.text, RecordShape(many=False))
        )


def _leaves(shape: RecordShape, above: Path = ()) -> Iterator[Path]:
    """Paths to the values of a record, none through a list."""
    for name, inner in shape.fields.items():
        if inner.fields and not inner.many:
            yield from _leaves(inner, (*above, name))
        elif not inner.fields:
            yield (*above, name)


def _elsewhere(path: Path, leaves: Sequence[Path], shape: RecordShape) -> Path:
    """Where a missing field is selected instead; empty if nowhere."""
    same = [leaf for leaf in leaves if leaf[-1] == path[-1]]
    least = SURELY if path[-1] in SAYS_LITTLE else LIKELY
    best = max(same, key=lambda leaf: path_likeness(path, leaf), default=())
    if best and path_likeness(path, best) >= least:
        return best
    siblings = shape
    for name in path[:-1]:
        if name not in siblings.fields:
            return ()
        siblings = siblings.fields[name]
    near = get_close_matches(path[-1], siblings.fields, n=1, cutoff=ALIKE)
    return (*path[:-1], near[0]) if near else ()


def _lines(
    stream: Stream,
    errors: Sequence[tuple[_Expression, Misread]],
    repair: _Repair,
    chosen: RecordSelection,
    sample: Sample,
) -> Iterator[str]:
    """The lines of the configuration to write."""
    written = {one.key: _written(stream, one, repair, chosen, sample) for one, _ in errors}
    where = written.pop("where", None)
    if where:
        yield f"In the configuration, below [{stream}], write:\nwhere = {_quoted(where)}"
    elif where is not None:
        yield f"Correct [{stream}] where by hand: write what the query selects (docs/mapping.md)."
    guessed = {key: text for key, text in written.items() if text}
    if guessed:
        lines = "\n".join(f"{key} = {_quoted(text)}" for key, text in guessed.items())
        yield f"In the configuration, below [{stream}.map] (add that line if it is missing), write:\n{lines}"
    for key in written.keys() - guessed.keys():
        yield f"Correct {key} below [{stream}.map] by hand, or let the query select it (docs/mapping.md)."


def _written(
    stream: Stream, one: _Expression, repair: _Repair, chosen: RecordSelection, sample: Sample
) -> str:
    """A corrected expression; empty if it cannot be guessed."""
    if one.key == "where" and repair.status and not one.own:
        return _where(repair.status, sample)
    texts = [one.text] if one.own or one.key == "where" else [one.text, SPELT_OUT[stream][one.key]]
    return next((found for text in texts if (found := _mended(text, repair, chosen.shape))), "")


def _mended(text: str, repair: _Repair, shape: RecordShape) -> str:
    """The expression with lists read as lists, and moved fields at their new place; empty if impossible."""
    listed = text
    for bad in find_misreads(text, shape):
        listed = fix_list_access(listed, bad) if bad.why else listed
    moved = {
        bad.path: repair.moved[bad.path] for bad in find_misreads(listed, shape) if bad.path in repair.moved
    }
    if moved:
        return rewrite_paths(listed, moved, shape)
    return listed if listed != text else ""


def _where(status: str, sample: Sample) -> str:
    """A filter by status, whose words only real records show."""
    values = Counter(record.data.get(status) for record in sample.records)
    if values.keys() <= {True, False, None}:
        return f"{status} != `true`"
    words = [value for value in values if isinstance(value, str)]
    inactive = [word for word in words if word.lower() in INACTIVE]
    if inactive and len(words) <= MOST_VALUES:
        return " && ".join(f"{status} != '{word}'" for word in sorted(inactive))
    active = [word for word in words if word.lower() in ACTIVE]
    return f"{status} == '{active[0]}'" if len(active) == 1 and len(words) <= MOST_VALUES else ""


def _quoted(text: str) -> str:
    """A TOML string (its basic strings are written as JSON's)."""
    return json.dumps(text, ensure_ascii=False)
