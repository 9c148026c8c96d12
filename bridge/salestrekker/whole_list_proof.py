"""Whether a list that is read in one request is whole, as far as that can be known.

A query that leaves out a list's paging reads its first page, and all other records would seem to be gone. So
one response proves nothing: the list must have no paging that the query could have left out::

    the schema, type by type ──find_offers──> what the list has for paging, and the query does not use
      └─ not available ──probes──> the server is asked with the usual names of arguments and fields
                                     ├─ it knows none of them: the list is whole
                                     └─ it knows one, or its errors do not show it: doubt

Without a schema, only the usual names can be tried. A server that gives neither its schema nor errors that
name what it does not know leaves a doubt, and then nothing is marked as gone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from bridge.salestrekker.list_facts import FACT_NAMES, OF_ONE_ITEM, Fact, fact_of
from bridge.salestrekker.name_probes import ProbeGroup, probe_text
from bridge.salestrekker.pages import Doubt
from bridge.salestrekker.paging_variables import (
    MOST_OBJECTS,
    NUMBER_NAMES,
    NUMBER_TYPES,
    PAGING_ROLES,
    VARIABLE_NAMES,
    Role,
    argument_role,
    leaf_arguments,
    may_hold_paging,
    role_of,
)
from bridge.salestrekker.record_path import WRAPPERS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from bridge.salestrekker.graphql_errors import GraphqlResult
    from bridge.salestrekker.list_query import ListQuery

__all__ = [
    "AskServer",
    "FieldShape",
    "TypeShape",
    "UnknownType",
    "WholeListProof",
    "find_offers",
    "is_unknown_name",
    "offers_doubt",
    "page_levels",
]

INFO_OBJECTS: Final = frozenset(
    {"pageinfo", "paginatorinfo", "pagination", "paging", "meta", "metadata", "cursor", "cursors"}
)
"""Names of objects that may hold fields about the list."""

SCALARS: Final = frozenset({"Int", "Float", "String", "Boolean", "ID"})
LIST_ROLES: Final = (Role.SIZE, *PAGING_ROLES)
PROOF_LIFE: Final = 24 * 60 * 60 * 1000
"""Milliseconds for which a result counts: a schema seldom changes."""

MOST_TYPES: Final = 40
"""Maximum number of types that are requested for one list."""


@dataclass(frozen=True, slots=True)
class FieldShape:
    """A field of a type in the schema.

    Attributes:
        kind: The name of its type, without list and non-null marks.
        many: Whether it is a list.
        arguments: The type's name of each argument.
    """

    kind: str
    many: bool = False
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TypeShape:
    """A type of the schema.

    Attributes:
        fields: The fields of an output type, none for others.
        inputs: The type's name of each field of an input object.
    """

    fields: Mapping[str, FieldShape] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)


class UnknownType(Exception):  # noqa: N818 - not an error: the type is requested
    """A type that ``find_offers`` needs and does not know.

    Args:
        name: Its name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def find_offers(query: ListQuery, root: str, shapes: Mapping[str, TypeShape]) -> tuple[str, ...] | None:
    """What a list has for paging, and a query without paging does not use.

    Args:
        query: The query. It reads its list in one request.
        root: The name of the schema's query type.
        shapes: The types that are known.

    Returns:
        The names of arguments and fields, or None if the schema does not have what the query requests.

    Raises:
        UnknownType: Another type must be known first.
    """
    offers: dict[str, None] = {}
    kind, above = root, [root]
    for step in query.record_path.steps:
        found = _known(shapes, kind).fields.get(step.name.value)
        if found is None:
            return None
        given = frozenset(path for path, _ in leaf_arguments(step.arguments or ()))
        offers |= dict.fromkeys(_offered_arguments(found.arguments, shapes, given))
        if found.many:
            break
        kind = found.kind
        above.append(kind)
    names = [step.name.value for step in query.record_path.steps]
    for level in page_levels(names, len(above)):
        offers |= dict.fromkeys(_offered_facts(_known(shapes, above[level]), query, shapes))
    return tuple(offers)


def page_levels(names: list[str], depth: int) -> range:
    """The steps whose object may say something about the list: the one above it, and the one above a wrapper.

    Args:
        names: The names of the fields from the root to a record.
        depth: How many of them lead to the list.

    Returns:
        The places of these fields, counted from 1. None is the root.
    """
    deepest = depth - 1
    wraps = deepest > 1 and names[deepest - 1] in WRAPPERS
    return range(max(1, deepest - wraps), deepest + 1) if deepest else range(0)


def offers_doubt(query: ListQuery, offers: tuple[str, ...]) -> Doubt:
    """The doubt about a list with paging that the query does not use."""
    named = ", ".join(f"`{name}`" for name in offers[:NAMED])
    more = " and more" if len(offers) > NAMED else ""
    return Doubt(
        f"the list has {named}{more}, which {query.file} does not use, so a part of it may be missing",
        "Let the query move through the list, and select its total if it has one (docs/paging.md). "
        "`trakor-bridge check` shows what to write, if the schema is available.",
    )


NAMED: Final = 5
"""So many offers are named."""


def _known(shapes: Mapping[str, TypeShape], name: str) -> TypeShape:
    if name in SCALARS:
        return TypeShape()
    if name not in shapes:
        raise UnknownType(name)
    return shapes[name]


def _offered_arguments(
    arguments: Mapping[str, str],
    shapes: Mapping[str, TypeShape],
    given: Collection[tuple[str, ...]],
    above: tuple[str, ...] = (),
) -> Iterator[str]:
    """The arguments that limit a list or move through it, including those in input objects.

    A number whose name says nothing may do that too, unless the query gives it, if only as null. In an object
    that filters, or in one inside of another, only numbers count whose names page: a needless doubt is
    cheaper than a false proof.
    """
    for name, kind in arguments.items():
        path = (*above, name)
        inner = _known(shapes, kind).inputs if len(path) < MOST_OBJECTS else {}
        if inner:
            yield from _offered_arguments(inner, shapes, given, path)
        elif not above or all(may_hold_paging(path[:count]) for count in range(1, len(path))):
            if argument_role(path, kind) in LIST_ROLES or (path not in given and _may_page(path, kind)):
                yield ".".join(path)
        elif kind in NUMBER_TYPES and role_of(name, kind) in LIST_ROLES and _pages_below(path):
            yield ".".join(path)


def _pages_below(path: tuple[str, ...]) -> bool:
    """Whether an object that filters, or one for options in an object, may hold paging."""
    return len(path) == 2 or _plain(path[-2]) in {"options", "paging", "page", "pagination"}  # noqa: PLR2004


def _may_page(path: tuple[str, ...], kind: str) -> bool:
    """Whether an argument may be a page's number or size by its type: a number that is no id, and no time."""
    is_known = path[-1].lower().endswith("id") or argument_role(path, kind) is Role.SINCE
    return kind in NUMBER_TYPES and not is_known


def _offered_facts(
    shape: TypeShape, query: ListQuery, shapes: Mapping[str, TypeShape], inside: str = ""
) -> Iterator[str]:
    """The fields about the list that the query does not select. One field for each fact is enough."""
    used = query.info.fields.keys()
    for name, found in shape.fields.items():
        fact = fact_of(name)
        is_info = not inside and _plain(name) in INFO_OBJECTS and not found.many
        inner = _known(shapes, found.kind) if is_info else TypeShape()
        if inner.fields:
            yield from _offered_facts(inner, query, shapes, f"{name}.")
        elif fact and not found.many and _family(fact).isdisjoint(used):
            yield f"{inside}{name}"


def _family(fact: Fact) -> frozenset[Fact]:
    """The facts that say the same."""
    return frozenset({Fact.MORE, Fact.DONE}) if fact in (Fact.MORE, Fact.DONE) else frozenset({fact})


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


class AskServer(Protocol):
    """Sends a query and returns the response, or None if there is none that can be used."""

    async def __call__(
        self, text: str, name: str, variables: Mapping[str, object], /
    ) -> GraphqlResult | None:
        """Send a query.

        Args:
            text: The GraphQL document.
            name: The name of its operation.
            variables: Their values.
        """


ROOT_QUERY: Final = "query Root { __schema { queryType { name } } }"
TYPE_QUERY: Final = """
query Shape($name: String!) {
  __type(name: $name) {
    fields(includeDeprecated: true) {
      name type { ...T } args(includeDeprecated: true) { name type { ...T } }
    }
    inputFields(includeDeprecated: true) { name type { ...T } }
  }
}
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }
"""


OLDER_TYPE_QUERY: Final = TYPE_QUERY.replace("args(includeDeprecated: true)", "args").replace(
    "inputFields(includeDeprecated: true)", "inputFields"
)


class WholeListProof:
    """Finds out whether lists without paging are whole. It remembers each result for a day.

    Args:
        ask: Sends a query.
        now: Returns milliseconds since the epoch.
    """

    def __init__(self, ask: AskServer, now: Callable[[], int]) -> None:
        self._ask = ask
        self._now = now
        self._depths: dict[str, int] = {}
        self._results: dict[str, tuple[int, Doubt | None]] = {}

    def note_depth(self, query: ListQuery, depth: int) -> None:
        """Note how many steps of the record path lead to the list, as a response showed it."""
        self._depths[query.fingerprint] = depth

    async def doubt(self, query: ListQuery) -> Doubt | None:
        """Why a list that was read in one request may not be whole, or None if it is."""
        at, result = self._results.get(query.fingerprint, (0, None))
        if 0 <= self._now() - at < PROOF_LIFE:
            return result
        offers = await self._by_schema(query)
        if offers is None:
            offers = await self._by_probes(query)
        if offers is None:
            return Doubt(
                "whether the list has more pages is not known: Salestrekker does not give its schema, and "
                "its errors do not show it",
                "If your schema's list has paging, let the query use it (docs/paging.md).",
                shown=False,
            )
        result = offers_doubt(query, offers) if offers else None
        self._results[query.fingerprint] = (self._now(), result)
        return result

    async def _by_schema(self, query: ListQuery) -> tuple[str, ...] | None:
        """What the schema offers, or None if it is not available."""
        root = _root_name(await self._ask(ROOT_QUERY, "Root", {}))
        shapes: dict[str, TypeShape] = {}
        while root and len(shapes) < MOST_TYPES:
            try:
                return find_offers(query, root, shapes)
            except UnknownType as unknown:
                name = {"name": unknown.name}
                shape = _read_shape(await self._ask(TYPE_QUERY, "Shape", name))
                # An older server does not know that arguments can be deprecated.
                shape = shape or _read_shape(await self._ask(OLDER_TYPE_QUERY, "Shape", name))
                if shape is None:
                    return None
                shapes[unknown.name] = shape
        return None

    async def _by_probes(self, query: ListQuery) -> tuple[str, ...] | None:
        """What the server knows of the usual names, or None if its errors do not show it."""
        offers: list[str] = []
        for group in _probe_groups(query, self._depths.get(query.fingerprint) or _likely_depth(query)):
            known = await self._known_names(query, group)
            if known is None:
                return None
            offers += known
        return tuple(dict.fromkeys(offers))

    async def _known_names(self, query: ListQuery, group: ProbeGroup) -> list[str] | None:
        """Which names of a group the server knows.

        Servers report one or all of the names that they do not know. So the rest is sent again, until the
        server reports none.
        """
        rest, understood = list(group.names), False
        while rest:
            result = await self._ask(
                probe_text(query.document, query.record_path.steps, group, rest), "Probe", {}
            )
            if result is None:
                return None
            unknown = {
                name for name in rest if any(is_unknown_name(error.message, name) for error in result.errors)
            }
            if not unknown:
                return rest if understood or not result.errors else None
            understood = True
            rest = [name for name in rest if name not in unknown]
        return []


UNKNOWN: Final = re.compile(
    r"cannot query|unknown|undefined|not defined|(does not|doesn't) (exist|accept|have)|no such|not found",
    re.IGNORECASE,
)
"""How servers say that they do not know a field or an argument."""


def is_unknown_name(message: str, name: str) -> bool:
    """Whether an error says that the server does not know this name."""
    before = re.split(r"did you mean|perhaps you meant", message, flags=re.IGNORECASE)[0]
    return bool(UNKNOWN.search(before) and re.search(rf"[\"'`/]{name}[\"'`\]]", before))


def _likely_depth(query: ListQuery) -> int:
    """How many steps lead to the list, if an earlier process read it and no response shows it."""
    names = [step.name.value for step in query.record_path.steps]
    return next((place for place, name in enumerate(names, 1) if name in OF_ONE_ITEM), len(names))


def _probe_groups(query: ListQuery, depth: int) -> Iterator[ProbeGroup]:
    """The usual names, for the fields beside the list and for the arguments of the fields down to it."""
    names = [step.name.value for step in query.record_path.steps]
    used = query.info.fields.keys()
    facts = [
        name for fact, spellings in FACT_NAMES.items() if _family(fact).isdisjoint(used) for name in spellings
    ]
    for level in page_levels(names, depth):
        yield ProbeGroup(level, tuple(facts + sorted(TRIED_OBJECTS)))
    roles = (*VARIABLE_NAMES.items(), *NUMBER_NAMES.items())
    arguments = [name for role, spellings in roles if role in LIST_ROLES for name in spellings]
    first = min(page_levels(names, depth), default=depth)
    for level in range(first, depth + 1):
        yield ProbeGroup(level, (*arguments, *TRIED_ARGUMENTS), arguments=True)


TRIED_OBJECTS: Final = frozenset({"pageInfo", "paginatorInfo", "pagination", "paging"})
TRIED_ARGUMENTS: Final = ("last", "paging", "pagination")


def _root_name(result: GraphqlResult | None) -> str:
    """The name of the query type, or empty text if introspection is not available."""
    schema = (result.data or {}).get("__schema") if result and not result.errors else None
    kind = schema.get("queryType") if isinstance(schema, dict) else None
    name = kind.get("name") if isinstance(kind, dict) else None
    return name if isinstance(name, str) else ""


def _read_shape(result: GraphqlResult | None) -> TypeShape | None:
    """The type in a response to ``TYPE_QUERY``, or None if it cannot be read."""
    found = (result.data or {}).get("__type") if result and not result.errors else None
    if not isinstance(found, dict):
        return None
    try:
        fields = {
            one["name"]: FieldShape(*_named_type(one["type"]), _types_of(one["args"]))
            for one in found.get("fields") or []
        }
        return TypeShape(fields, _types_of(found.get("inputFields") or []))
    except (KeyError, TypeError, AttributeError):
        return None


def _types_of(arguments: list[dict[str, dict[str, object]]]) -> dict[str, str]:
    return {str(one["name"]): _named_type(one["type"])[0] for one in arguments}


def _named_type(kind: dict[str, object]) -> tuple[str, bool]:
    """A type's name, and whether it is a list."""
    many = False
    while isinstance(inner := kind.get("ofType"), dict):
        many = many or kind.get("kind") == "LIST"
        kind = inner
    return str(kind["name"]), many
