"""What an expression reads of a record, compared with what a query selects, before any record is read.

If a map reads a field that the query does not select, it gives null for every record, without an error. So
each
expression is evaluated over the shape of a record instead of a record::

    person.contact.emial  over  {person: {contact: {email}}}   ──>  Misread(person.contact.emial)
    lender.name           over  {lender: [{name}]}             ──>  Misread(lender.name, a list)

Nothing is reported about what cannot be known: the result of a function, or a shape that the schema does not
give.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import jmespath

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from jmespath.visitor import _TreeNode

__all__ = ["Misread", "RecordShape", "find_misreads", "fix_list_access", "rewrite_paths"]

IMPLIED: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {"fee": (("value",), ("name", "type"))}
"""What our functions read of each element by themselves. One field of each group is needed."""

_CHAIN: Final = re.compile(
    r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\""  # quoted: left as it is
    r"|(?<![\w.])(?P<names>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?![\w(]|\.[A-Za-z_]|\s*:)"
)
"""A chain of names such as ``person.contact``, from its beginning.

A function's name is not part of one, nor is the key of an object that is made (``{email: mail}``).
"""


@dataclass(frozen=True, slots=True)
class RecordShape:
    """What a query selects at one place of a record.

    Attributes:
        fields: By their names in the response. Empty for a plain value.
        many: Whether it is a list of such. None: not known.
    """

    fields: Mapping[str, RecordShape] = field(default_factory=dict)
    many: bool | None = None


@dataclass(frozen=True, slots=True)
class Misread:
    """A place that an expression reads and that gives null for every record.

    Attributes:
        path: Names of the fields down to it.
        why: Empty if the query does not select it, else what is wrong with how it is read.
    """

    path: tuple[str, ...]
    why: str = ""

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in the shape of a record.

    Attributes:
        path: Names of the fields down to it.
        shape: What is selected there. None if it is not selected.
        single: Whether an index or a projection has taken one item of its list.
    """

    path: tuple[str, ...]
    shape: RecordShape | None
    single: bool = False

    @property
    def many(self) -> bool | None:
        """Whether it is a list as it stands. None: not known."""
        return False if self.single else self.shape.many if self.shape else None

    def inner(self) -> _Place:
        """One item of its list."""
        return _Place(self.path, self.shape, single=True)

    def listed(self) -> _Place:
        """A list of such items."""
        return _Place(self.path, self.shape and RecordShape(self.shape.fields, many=True))


def find_misreads(expression: str, record: RecordShape) -> tuple[Misread, ...]:
    """The places that an expression reads and no record will have, each once.

    Args:
        expression: JMESPath that compiles. Empty text reads nothing.
        record: What the query selects of a record.
    """
    if not expression.strip():
        return ()
    reader = _Reader()
    reader.visit(jmespath.compile(expression).parsed, [_Place((), record)])
    return tuple(misread for misread in dict.fromkeys(reader.found) if not reader.goes_beyond(misread))


class _Reader:
    """Evaluates an expression over places instead of values."""

    def __init__(self) -> None:
        self.found: list[Misread] = []

    def goes_beyond(self, misread: Misread) -> bool:
        """Whether something below a missing place is read too: that is the better message."""
        depth = len(misread.path)
        return not misread.why and any(
            len(other.path) > depth and other.path[:depth] == misread.path for other in self.found
        )

    def visit(self, node: _TreeNode, places: list[_Place]) -> list[_Place]:
        """The places that the result of a node comes from. None if they are not known."""
        method = getattr(self, f"_{node['type']}", None)
        if method is not None:
            result: list[_Place] = method(node, places)
            return result
        for child in _children(node):
            self.visit(child, places)
        return []

    def _field(self, node: _TreeNode, places: list[_Place]) -> list[_Place]:
        return [found for place in places for found in self._step(place, node["value"])]

    def _step(self, place: _Place, name: str) -> Iterator[_Place]:
        path = (*place.path, name)
        if place.many:
            self.found.append(Misread(path, f"{'.'.join(place.path)} is a list: take one of it with [0]"))
        elif place.shape is None or name not in place.shape.fields:
            self.found.append(Misread(path))
            yield _Place(path, None)
        else:
            yield _Place(path, place.shape.fields[name])

    def _current(self, _node: _TreeNode, places: list[_Place]) -> list[_Place]:
        return places

    _identity = _current

    def _subexpression(self, node: _TreeNode, places: list[_Place]) -> list[_Place]:
        for child in _children(node):
            places = self.visit(child, places)
        return places

    _pipe = _subexpression
    _index_expression = _subexpression

    def _index(self, _node: _TreeNode, places: list[_Place]) -> list[_Place]:
        return [taken for place in places for taken in self._one_of(place)]

    _slice = _current

    def _one_of(self, place: _Place) -> Iterator[_Place]:
        if place.many is False and place.shape is not None:
            self.found.append(Misread(place.path, "is no list: read it without [ ]"))
        else:
            yield place.inner()

    def _flatten(self, node: _TreeNode, places: list[_Place]) -> list[_Place]:
        return self.visit(node["children"][0], places)

    def _projection(self, node: _TreeNode, places: list[_Place]) -> list[_Place]:
        source, right, *conditions = _children(node)
        each = [taken for place in self.visit(source, places) for taken in self._one_of(place)]
        for condition in conditions:
            self.visit(condition, each)
        return [place.listed() for place in self.visit(right, each)]

    _filter_projection = _projection

    def _value_projection(self, node: _TreeNode, places: list[_Place]) -> list[_Place]:
        self.visit(node["children"][0], places)
        return []

    def _or_expression(self, node: _TreeNode, places: list[_Place]) -> list[_Place]:
        return [found for child in _children(node) for found in self.visit(child, places)]

    def _and_expression(self, node: _TreeNode, places: list[_Place]) -> list[_Place]:
        left, right = _children(node)
        self.visit(left, places)
        return self.visit(right, places)

    def _function_expression(self, node: _TreeNode, places: list[_Place]) -> list[_Place]:
        plain = [child for child in _children(node) if child["type"] != "expref"]
        given = [self.visit(child, places) for child in plain]
        each = [place.inner() for place in given[0]] if given else []
        for child in _children(node):
            if child["type"] == "expref":
                self.visit(child["children"][0], each)
        for group in IMPLIED.get(node["value"], ()):
            self._implied(group, each)
        return []

    def _implied(self, group: Sequence[str], places: list[_Place]) -> None:
        for place in places:
            if place.shape and place.shape.fields and not any(name in place.shape.fields for name in group):
                self.found.append(Misread((*place.path, group[0])))


def _children(node: _TreeNode) -> list[_TreeNode]:
    return list(node["children"])


def rewrite_paths(
    expression: str, moved: Mapping[tuple[str, ...], tuple[str, ...]], record: RecordShape
) -> str:
    """The expression with moved fields read from their new places, or empty text if guessing is not safe.

    Args:
        expression: JMESPath that compiles.
        moved: Path that is read -> path that is selected.
        record: What the query selects of a record. Whatever is still missing was missing before.
    """
    lost = {misread.path[-1] for misread in find_misreads(expression, record) if misread.path not in moved}
    for text in (_replaced(expression, _by_prefix(moved)), _replaced(expression, moved)):
        if text != expression and not any(_is_new(misread, lost) for misread in _misreads(text, record)):
            return text
    return ""


def fix_list_access(expression: str, misread: Misread) -> str:
    """The expression that reads a list as a list, or a plain value as a plain value.

    Args:
        expression: JMESPath that compiles.
        misread: One of its misreads with a ``why``.
    """
    if misread.why.startswith("is no list"):
        chain = str(misread)
        return re.sub(rf"(?<![\w.]){re.escape(chain)}\[(?:\d*|\*)\]", chain, expression)
    above = misread.path[:-1]
    return _replaced(expression, {above: (*above[:-1], f"{above[-1]}[0]")})


def _misreads(text: str, record: RecordShape) -> tuple[Misread, ...]:
    try:
        return find_misreads(text, record)
    except jmespath.exceptions.JMESPathError:
        return (Misread((), "cannot be read"),)


def _is_new(misread: Misread, lost: Collection[str]) -> bool:
    return bool(misread.why) or misread.path[-1] not in lost


def _by_prefix(moved: Mapping[tuple[str, ...], tuple[str, ...]]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """What stood before the names that are equal in both. Empty if one place has become several."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for old, new in moved.items():
        same = 0
        while same < min(len(old), len(new)) and old[-1 - same] == new[-1 - same]:
            same += 1
        before, after = old[: len(old) - same], new[: len(new) - same]
        if found.setdefault(before, after) != after:
            return {}
    return {before: after for before, after in found.items() if before}


def _replaced(expression: str, renames: Mapping[tuple[str, ...], tuple[str, ...]]) -> str:
    """Rename chains of names outside quoted text."""

    def chain(match: re.Match[str]) -> str:
        if match["names"] is None:
            return match[0]
        names = tuple(match["names"].split("."))
        for length in range(len(names), 0, -1):
            if names[:length] in renames:
                return ".".join((*renames[names[:length]], *names[length:])) or "@"
        return match[0]

    return _CHAIN.sub(chain, expression)
