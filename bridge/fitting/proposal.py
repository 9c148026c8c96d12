"""What would make a stream fit a schema: its list, its query files, its map, and why. Pure.

::

    LiveSchema ──propose──> Proposal(files: contacts.graphql …, map, where, reasons, doubts)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeGuard

from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLUnionType, get_named_type, is_leaf_type

from bridge.fitting.field_meanings import rate_fields
from bridge.fitting.query_text import by_id_query_text, fragment_text, list_query_text, single_query_text
from bridge.fitting.record_fields import record_fields, words_of
from bridge.fitting.record_ids import find_ids
from bridge.fitting.record_map import find_contact_point, propose_map
from bridge.fitting.schema_lists_and_records import find_by_id, find_lists
from bridge.fitting.stream_meanings import STREAM_MEANINGS
from bridge.records import DEAL_CONTACTS
from bridge.salestrekker.schema.similar_fields import is_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql import GraphQLField, GraphQLSchema

    from bridge.fitting.field_meanings import Meaning
    from bridge.fitting.record_fields import RecordField, RecordType
    from bridge.fitting.record_map import ProposedMap
    from bridge.fitting.schema_lists_and_records import RecordById, RecordList
    from bridge.records import Stream

__all__ = ["Proposal", "RankedList", "propose", "propose_deal_query", "rank_lists"]

DEALS: Final = frozenset(
    ["ticket", "deal", "opportunity", "lead", "file", "case", "matter", "application", "loan"]
)
"""Words of a deal's name, the surest first in a schema that has several."""

FRAGMENT: Final = ".fragment.graphql"

PARTS: Final = frozenset(
    [
        "aggregate",
        "recent",
        "mine",
        "favourite",
        "favorite",
        "archived",
        "deleted",
        "duplicate",
        "search",
        "suggestion",
        "latest",
        "starred",
    ]
)
"""Words of lists that have only a part of the records, if there is another list."""

SAYS_NOTHING: Final = frozenset("list all search find get query collection connection page by".split())  # noqa: SIM905
EXTRA_WORD_COSTS: Final = 0.05
"""For each word in a list's name that is not the stream's: ``birthdayContacts`` has not all contacts."""

CLOSE: Final = 0.3
"""Two lists whose ratings differ by less than this are both possible."""


@dataclass(frozen=True, slots=True)
class RankedList:
    """A list, and how likely it is the one of a stream."""

    listing: RecordList
    score: float
    why: str


@dataclass(slots=True)
class Proposal:
    """What would make a stream fit.

    Attributes:
        stream: The stream.
        ranked: The lists that it can be, the most likely first.
        listing: The one that is taken.
        files: File name -> text.
        proposed: Its map.
        by_id: How one record is read; None if the schema has no way.
        keeps_map: Only the way to the records changes; fields, map and `where` stay as they are.
    """

    stream: Stream
    ranked: Sequence[RankedList]
    listing: RecordList
    files: dict[str, str]
    proposed: ProposedMap
    by_id: RecordById | None
    keeps_map: bool = False

    @property
    def changed_files(self) -> dict[str, str]:
        """The files that it needs."""
        if not self.keeps_map:
            return self.files
        return {file: text for file, text in self.files.items() if not file.endswith(FRAGMENT)}


def rank_lists(schema: GraphQLSchema, stream: Stream) -> list[RankedList]:
    """The lists that a stream can be, the most likely first."""
    rated = [_rate(listing, schema, stream) for listing in find_lists(schema)]
    return sorted([one for one in rated if one.score > 0], key=lambda one: -one.score)


def propose(schema: GraphQLSchema, stream: Stream, ranked: Sequence[RankedList]) -> Proposal:
    """Propose query files and a map for a stream.

    Args:
        schema: The live schema.
        stream: The stream.
        ranked: The lists that it can be; the first one is taken.
    """
    listing = ranked[0].listing
    proposed = propose_map(stream, record_fields(listing.record, schema))
    many, one = str(stream).capitalize(), stream.spec.singular.capitalize()
    fragment = f"{one}Fields"
    by_id = _find_by_id(schema, listing)
    spec = stream.spec
    files = {
        spec.list_query: list_query_text(listing, many, fragment),
        f"{one.lower()}{FRAGMENT}": fragment_text(
            fragment,
            listing.record.name,
            proposed.selection.text(),
            is_union=isinstance(listing.record, GraphQLUnionType),
        ),
    }
    if by_id:
        files[spec.query_by_id] = by_id_query_text(by_id, one, fragment)
    return Proposal(stream, ranked, listing, files, proposed, by_id)


def propose_deal_query(schema: GraphQLSchema, contacts: RecordList) -> tuple[str, str] | None:
    """Propose the query for the contacts of a deal.

    Args:
        schema: The live schema.
        contacts: The list of contacts: it has the type of a contact.

    Returns:
        The query's text, and why; None if the schema has no way.
    """
    clients = _Clients(contacts.record, schema)
    for found in find_by_id(schema):
        if not DEALS & set(words_of(found.name)) or not isinstance(found.record, GraphQLObjectType):
            continue
        key, selection = _key_of(found.record, schema), clients.selection(found.record)
        if key and selection:
            text = single_query_text(found, "Ticket", [key, selection])
            return text, f"`{found.name}` names its contacts"
    return None


def _rate(listing: RecordList, schema: GraphQLSchema, stream: Stream) -> RankedList:
    fields = record_fields(listing.record, schema)
    present = [_has(fields, group) for group in STREAM_MEANINGS[stream].values]
    own = {*words_of(listing.name), *words_of(listing.record.name)}
    named = bool(own & STREAM_MEANINGS[stream].names)
    against = (
        bool(set(words_of(listing.name)) & STREAM_MEANINGS[stream].against)
        and not set(words_of(listing.name)) & STREAM_MEANINGS[stream].names
    )
    if not present[0] or not any(present[1:]) or against or not find_ids(fields):
        return RankedList(listing, 0.0, "")
    score = sum(present) / len(present) + (1.0 if named else 0.0) + (0.2 if listing.mover else 0.0)
    if any(PARTS & set(words_of(step.name)) for step in listing.steps):
        score -= 0.5
    more = set(words_of(listing.name)) - STREAM_MEANINGS[stream].names - SAYS_NOTHING
    score -= EXTRA_WORD_COSTS * len(more)
    words = [
        group[0].name for group, there in zip(STREAM_MEANINGS[stream].values, present, strict=True) if there
    ]
    return RankedList(listing, score, f"its records have {', '.join(words)}")


def _has(fields: Sequence[RecordField], group: Sequence[Meaning]) -> bool:
    return any(rate_fields(fields, meaning) or find_contact_point(fields, meaning) for meaning in group)


def _find_by_id(schema: GraphQLSchema, listing: RecordList) -> RecordById | None:
    """The best way to read one record of a list: beside the list, of its very type, named like it."""
    wanted = _names_of(listing.record, schema)
    above = [step.name for step in listing.steps]

    ids = {one.path[0] for one in find_ids(record_fields(listing.record, schema))} | {"id"}

    def rate(found: RecordById) -> tuple[int, int, int, int]:
        exact = found.record.name == listing.record.name
        shared = sum(1 for one, other in zip(found.steps, above, strict=False) if one.name == other)
        alike = len(set(words_of(found.name)) & set(words_of(listing.name)))
        return (int(found.argument.path[-1] in ids), int(exact), alike, shared)

    fitting = [one for one in find_by_id(schema) if wanted <= _names_of(one.record, schema)]
    return max(fitting, key=rate, default=None)


def _names_of(kind: RecordType, schema: GraphQLSchema) -> set[str]:
    """The names of the types that a record can have."""
    if isinstance(kind, GraphQLObjectType):
        return {kind.name}
    return {member.name for member in schema.get_possible_types(kind)}


def _key_of(kind: RecordType, schema: GraphQLSchema) -> str:
    """The selection of a record's id, under that name; empty if nothing looks like an id."""
    ids = find_ids(record_fields(kind, schema))
    if not ids:
        return ""
    texts = [_aliased_id(one) for one in ids]
    if not ids[0].on:
        return texts[0]
    return " ".join(f"... on {one.on} {{ {text} }}" for one, text in zip(ids, texts, strict=True))


def _aliased_id(one: RecordField) -> str:
    return "id" if one.path == ("id",) else f"id: {one.path[0]}"


class _Clients:
    """Finds the contacts that a deal names.

    Args:
        contact: The type of a contact.
        schema: The schema.
    """

    def __init__(self, contact: RecordType, schema: GraphQLSchema) -> None:
        self._types = {contact.name, *_names_of(contact, schema)}
        self._schema = schema

    def selection(self, deal: GraphQLObjectType) -> str:
        """What to select of a deal, under the names that the bridge knows; empty if it names no contacts.

        Ids come first, then contacts, then what stands between: ``participants { person { id } }``.
        """
        lists = {name: field for name, field in deal.fields.items() if is_list(field.type)}
        ids = next((name for name, field in lists.items() if _is_id_of_contact(name, field)), "")
        if ids:
            return f"idClients: {ids}"
        for name, definition in lists.items():
            kind = get_named_type(definition.type)
            if self._is_contact(kind):
                return f"idClients: {name} {{ {_key_of(kind, self._schema)} }}"
            if isinstance(kind, GraphQLObjectType) and (inner := self._between(kind)):
                return f"ticketClientTypes: {name} {{ idContact: {inner} }}"
        return ""

    def _between(self, kind: GraphQLObjectType) -> str:
        """The contact, or its id, in an object that stands between a deal and its contacts."""
        for name, definition in kind.fields.items():
            inner = get_named_type(definition.type)
            if not is_list(definition.type) and self._is_contact(inner):
                return f"{name} {{ {_key_of(inner, self._schema)} }}"
            if _is_id_of_contact(name, definition):
                return str(name)
        return ""

    def _is_contact(self, kind: object) -> TypeGuard[RecordType]:
        return (
            isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType)
            and kind.name in self._types
        )


def _is_id_of_contact(name: str, definition: GraphQLField) -> bool:
    words = set(words_of(name))
    return (
        is_leaf_type(get_named_type(definition.type))
        and "id" in words
        and bool(words & STREAM_MEANINGS[DEAL_CONTACTS].names)
    )
