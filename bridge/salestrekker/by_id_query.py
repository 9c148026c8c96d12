"""Queries for one record by its id, and many ids in one request. Pure.

::

    query ($id: ID!) { contact(id: $id) { …F } }                                     one id: as it stands
    query ($id0: ID!, $id1: ID!) { r0: contact(id: $id0) { …F }  r1: contact(…) }    many: by aliases
    query ($id0: ID!, …) { me { team { r0: contact(id: $id0) { …F }  r1: … } } }     likewise below the root

    ByIdQuery ──build_batch_request──> text, variables ──the server──> GraphqlResult
                                     ByIdResponse <──read_batch_response──┘

An error with a path concerns the record under that alias and no other. An error without a path concerns the
request. ``by_id_batches`` finds out whether one of the ids, their number, or the query caused it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    NameNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    print_ast,
    visit,
)

from bridge.errors import BridgeError, QueryFileError, Transient
from bridge.salestrekker.graphql_errors import CODES, ErrorKind, describe_errors
from bridge.salestrekker.paging_variables import (
    NUMBER_TYPES,
    count_uses,
    refuse_unfilled_variable,
    type_name,
    variables_used_in,
)
from bridge.salestrekker.query_files import error_at, load_document
from bridge.salestrekker.record_path import find_single_record_path, response_key
from bridge.salestrekker.response_limits import find_excess
from bridge.salestrekker.responses import error_from

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bridge.salestrekker.graphql_errors import GraphqlResult, ServerError
    from bridge.salestrekker.query_files import QueryDocument
    from bridge.salestrekker.record_path import RecordPath

__all__ = [
    "ID",
    "BatchRefused",
    "ByIdQuery",
    "ByIdResponse",
    "build_batch_request",
    "deal_contacts",
    "load_by_id_query",
    "load_deal_query",
    "parse_by_id_query",
    "parse_deal_query",
    "read_batch_response",
]

ID: Final = "id"
"""The usual name of the variable that holds the record's id."""

ID_ENDINGS: Final = ("id", "uuid", "guid", "key", "identifier")
"""How the names of other variables with an id end."""

CLIENTS: Final = "idClients"
CLIENT_TYPES: Final = "ticketClientTypes"
CONTACT: Final = "idContact"
"""Where a deal names its contacts (vendor's schema): ``idClients``, ``ticketClientTypes { idContact }``."""


@dataclass(frozen=True, slots=True)
class ByIdQuery:
    """A query that returns one record by its id.

    Attributes:
        document: What is sent for one id.
        record_path: Where the record is in the response.
        definition: The variable that holds the id.
        depth: How many steps of the path stand above the field that the variable is passed to.
    """

    document: QueryDocument
    record_path: RecordPath
    definition: VariableDefinitionNode
    depth: int = 0
    _texts: dict[int, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def file(self) -> str:
        """The file that the query comes from, for messages."""
        return self.document.file

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the query's text, see ``QueryDocument``."""
        return self.document.fingerprint

    def text(self, count: int) -> str:
        """The text for so many ids. It is made once for each number of ids."""
        if count == 1:
            return self.document.text
        if count not in self._texts:
            self._texts[count] = _aliased(self, count)
        return self._texts[count]

    @property
    def variable(self) -> str:
        """The name of the variable that holds the id."""
        return self.definition.variable.name.value

    @property
    def above(self) -> tuple[str, ...]:
        """The response keys above the field that the id is passed to."""
        return self.record_path.path[: self.depth]

    def keys(self, count: int) -> tuple[str, ...]:
        """The response keys of so many ids, in their order. They stand below ``above``."""
        own = self.record_path.path[self.depth]
        return (own,) if count == 1 else tuple(f"r{place}" for place in range(count))

    def id_value(self, one: str) -> object:
        """An id as the variable's type takes it: a number if that is a number."""
        is_number = type_name(self.definition) in NUMBER_TYPES and one.isdecimal()
        return int(one) if is_number else one


@dataclass(frozen=True, slots=True)
class ByIdResponse:
    """The response to one request for several ids. Each id is in one of these attributes.

    Attributes:
        read_at: When the request began, milliseconds since the epoch.
        found: Id -> the decoded record.
        absent: Ids answered with null and no error: there is no such record.
        item_errors: Id -> what went wrong inside that record, without personal data.
        retryable: The ids of ``item_errors`` whose errors may pass.
        unread: Ids lost to another id's error, because the schema allows no null in their place.
    """

    read_at: int
    found: Mapping[str, Mapping[str, object]]
    absent: tuple[str, ...] = ()
    item_errors: Mapping[str, str] = field(default_factory=dict)
    retryable: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


class BatchRefused(BridgeError):  # noqa: N818 - caught by `together`, which asks for fewer
    """A request for several records was refused as a whole, perhaps for their number.

    Args:
        request_error: The error to raise if the number was not the cause.
    """

    def __init__(self, request_error: BridgeError) -> None:
        super().__init__(str(request_error))
        self.request_error = request_error


def load_by_id_query(name: str, folders: Sequence[Path]) -> ByIdQuery:
    """Load a query by id from its file.

    Args:
        name: File name, from the key ``one_query``.
        folders: Folders to search. The first match counts (``query_files.query_folders``).

    Raises:
        QueryFileError: As ``load_document`` and ``parse_by_id_query``. It names file, line and column.
    """
    return parse_by_id_query(load_document(name, folders))


def load_deal_query(name: str, folders: Sequence[Path]) -> ByIdQuery:
    """Load the query that reads which contacts a deal is about.

    Raises:
        QueryFileError: As ``load_document`` and ``parse_deal_query``. It names file, line and column.
    """
    return parse_deal_query(load_document(name, folders))


def parse_deal_query(document: QueryDocument) -> ByIdQuery:
    """Read off a document how it asks for a deal.

    Raises:
        QueryFileError: As ``parse_by_id_query``, or the document does not ask for the contacts.
    """
    query = parse_by_id_query(document)
    record = query.record_path.steps[-1]
    selected = {response_key(node): node for node in document.fields(record.selection_set)}
    below = selected.get(CLIENT_TYPES)
    inside = document.fields(below.selection_set if below else None)
    if CLIENTS in selected or any(response_key(node) == CONTACT for node in inside):
        return query
    raise error_at(
        record,
        "does not ask for the contacts of the deal",
        f"Select `{CLIENTS}`, or `{CLIENT_TYPES} {{ {CONTACT} }}`, or both. If your schema calls them "
        f"something else, write `{CLIENTS}: itsName` or `{CLIENT_TYPES}: itsName {{ {CONTACT}: itsName }}`.",
    )


def parse_by_id_query(document: QueryDocument) -> ByIdQuery:
    """Read off a document how it asks for one record.

    Raises:
        QueryFileError: There is not exactly one root field, the record's ``id`` is not selected, there is no
            variable with the id that is used for one field only, or another variable needs a value.
    """
    _refuse_fragments_at_the_root(document)
    definition = _find_id_variable(document)
    name = definition.variable.name.value if definition else ID
    record_path = find_single_record_path(document, name)
    steps = record_path.steps
    if definition is None:
        raise error_at(
            document.operation,
            f"declares no variable ${ID}",
            f"Write `query Name($id: ID!) {{ {steps[0].name.value}(id: $id) {{ … }} }}`.",
        )
    depth = next((place for place, step in enumerate(steps) if _is_given(step, name)), None)
    if depth is None:
        raise error_at(steps[0], f"is not given ${name}", f"Write `{steps[0].name.value}(id: ${name})`.")
    whole = [document.operation.selection_set, *document.fragments.values()]
    if count_uses(whole, name) > count_uses(steps[depth].arguments or (), name):
        raise error_at(
            definition,
            f"${name} is also used outside of `{steps[depth].name.value}(…)`",
            "Use it for that field only.",
        )
    _refuse_fragments_above(steps[: depth + 1])
    for node in _definitions(document):
        if node is not definition:
            refuse_unfilled_variable(node)
    return ByIdQuery(document, record_path, definition, depth)


def _find_id_variable(document: QueryDocument) -> VariableDefinitionNode | None:
    """The variable with the id: ``$id``, else the only one that is named like an id, else the only one.

    Variables with a default value do not count, unless they are called ``$id``.
    """
    every = {node.variable.name.value: node for node in _definitions(document)}
    if ID in every or ID in variables_used_in([document.operation.selection_set]):
        return every.get(ID)
    open_ones = {name: node for name, node in every.items() if node.default_value is None}
    named = [node for name, node in open_ones.items() if name.lower().endswith(ID_ENDINGS)]
    found = named or list(open_ones.values())
    return found[0] if len(found) == 1 else None


def _is_given(step: FieldNode, variable: str) -> bool:
    return variable in variables_used_in(step.arguments or ())


def _refuse_fragments_above(steps: Sequence[FieldNode]) -> None:
    """Refuse fragments between the root and the field with the id: it is written again without them."""
    for outer, inner in pairwise(steps):
        nodes = outer.selection_set.selections if outer.selection_set else ()
        if not any(node is inner for node in nodes):
            raise error_at(
                inner,
                f"`{inner.name.value}` is in a fragment",
                f"Write it into the query, directly below `{outer.name.value}`.",
            )


def build_batch_request(query: ByIdQuery, ids: Sequence[str]) -> tuple[str, dict[str, object]]:
    """Build one operation for these ids, and its variables.

    Args:
        query: The query for one id.
        ids: At least one, each once.
    """
    if len(ids) == 1:
        return query.text(1), {query.variable: query.id_value(ids[0])}
    values = {_numbered_variable(query, place): query.id_value(one) for place, one in enumerate(ids)}
    return query.text(len(ids)), values


def read_batch_response(
    result: GraphqlResult, query: ByIdQuery, ids: Sequence[str], read_at: int
) -> ByIdResponse:
    """Read off a response what it says of each requested id.

    An id that the response does not mention is never taken as absent.

    Raises:
        TokenRefused: The token is not accepted.
        BatchRefused: A request for several ids was refused as a whole, perhaps for their number.
        BridgeError: A request for a single id was refused, or the request failed temporarily.
    """
    keys = dict(zip(query.keys(len(ids)), ids, strict=True))
    inside = _sorted_by_record(result.errors, keys, query)
    data = _data_above(result.data, query)
    if data is None and not inside:
        where = f" {'.'.join(query.above)} with" if query.above else ""
        raise Transient(f"Salestrekker answered{where} null, and no error")
    data = data or {}
    found: dict[str, Mapping[str, object]] = {}
    item_errors = {one: describe_errors(_below(errors, query)) for one, errors in inside.items()}
    absent, unread = [], []
    for key, one in keys.items():
        if one in item_errors:
            continue
        if key not in data:
            unread.append(one)
            continue
        record = _follow(data[key], query)
        if record is None:
            absent.append(one)
        elif isinstance(record, dict):
            # A record that is too large is dropped here: many responses are collected before they are read.
            if excess := find_excess(record):
                item_errors[one] = excess
            else:
                found[one] = record
        else:
            item_errors[one] = "Salestrekker gave no object"
    if unread and not item_errors:
        raise Transient("Salestrekker's answer does not hold all that was asked for")
    retryable = (
        one for one, errors in inside.items() if all(error.kind is ErrorKind.INTERNAL for error in errors)
    )
    return ByIdResponse(read_at, found, tuple(absent), item_errors, tuple(retryable), tuple(unread))


def deal_contacts(deal: Mapping[str, object]) -> tuple[str, ...]:
    """The ids of the contacts that a deal names, each once, in its order."""
    clients, kinds = deal.get(CLIENTS), deal.get(CLIENT_TYPES)
    named = list(clients) if isinstance(clients, list) else [clients]
    if isinstance(kinds, list):
        named += [kind.get(CONTACT) for kind in kinds if isinstance(kind, dict)]
    # A schema may have the contacts themselves in place of their ids.
    found = [one.get(ID) if isinstance(one, dict) else one for one in named]
    return tuple(dict.fromkeys(str(one) for one in found if isinstance(one, str | int) and str(one).strip()))


def _refuse_fragments_at_the_root(document: QueryDocument) -> None:
    for node in document.operation.selection_set.selections:
        if not isinstance(node, FieldNode):
            raise error_at(node, "a fragment in place of the root field", "Write the field into the query.")


def _definitions(document: QueryDocument) -> Sequence[VariableDefinitionNode]:
    return document.operation.variable_definitions or ()


def _aliased(query: ByIdQuery, count: int) -> str:
    """The operation with the field repeated, each time with its own variable; the fragments once."""
    document, steps = query.document, query.record_path.steps
    given = steps[query.depth]
    selections = tuple(_numbered(query, given, key, place) for place, key in enumerate(query.keys(count)))
    for step in reversed(steps[: query.depth]):
        selections = (_holding(step, selections),)
    used = variables_used_in([*selections, *document.fragments.values()])
    operation = OperationDefinitionNode(
        operation=document.operation.operation,
        name=document.operation.name,
        variable_definitions=tuple(_multiplied(query, count, used)),
        directives=document.operation.directives,
        selection_set=SelectionSetNode(selections=selections),
    )
    return print_ast(DocumentNode(definitions=(operation, *document.fragments.values())))


def _holding(step: FieldNode, selections: tuple[FieldNode, ...]) -> FieldNode:
    """A field above, with these fields selected in it and nothing else."""
    return FieldNode(
        alias=step.alias,
        name=step.name,
        arguments=step.arguments,
        directives=step.directives,
        selection_set=SelectionSetNode(selections=selections),
    )


def _multiplied(query: ByIdQuery, count: int, used: Collection[str]) -> Iterator[VariableDefinitionNode]:
    for node in _definitions(query.document):
        if node is query.definition:
            yield from (visit(node, _Renaming(query, place)) for place in range(count))
        elif node.variable.name.value in used:
            yield node


def _numbered(query: ByIdQuery, field: FieldNode, key: str, place: int) -> FieldNode:
    return FieldNode(
        alias=NameNode(value=key),
        name=field.name,
        arguments=tuple(visit(node, _Renaming(query, place)) for node in field.arguments or ()),
        directives=field.directives,
        selection_set=field.selection_set,
    )


def _numbered_variable(query: ByIdQuery, place: int) -> str:
    """The name of the variable for one place. No variable of the query has it."""
    name = f"{query.variable}{place}"
    return f"{query.variable}_{place}" if name in query.document.variables else name


class _Renaming(Visitor):
    """Gives the variable with the id its name for one place."""

    def __init__(self, query: ByIdQuery, place: int) -> None:
        super().__init__()
        self._before = query.variable
        self._after = _numbered_variable(query, place)

    def enter_variable(self, node: VariableNode, *_: object) -> VariableNode | None:
        if node.name.value != self._before:
            return None
        return VariableNode(name=NameNode(value=self._after))


def _sorted_by_record(
    errors: Sequence[ServerError], keys: Mapping[str, str], query: ByIdQuery
) -> dict[str, list[ServerError]]:
    """The errors inside each record, by its id. Errors that concern the request are raised."""
    urgent = [error for error in errors if error.kind in (ErrorKind.TOKEN, ErrorKind.BUSY)]
    if urgent:
        raise error_from(urgent, query.file)
    inside: dict[str, list[ServerError]] = {}
    for error in errors:
        depth = query.depth
        is_inside = len(error.path) > depth and error.path[:depth] == query.above
        one = keys.get(str(error.path[depth])) if is_inside else None
        if one is None:
            raise _of_the_request(errors, query, together=len(keys) > 1)
        inside.setdefault(one, []).append(error)
    return inside


def _of_the_request(errors: Sequence[ServerError], query: ByIdQuery, *, together: bool) -> BridgeError:
    """The error to raise for a request that failed as a whole.

    Each server has its own way to say that a request is too large: a code that no other failure has, or no
    code at all. If the code says that the server is broken, the request is retried first, as usual.
    """
    # An internal error's message may quote the record. A message about the query is for its author.
    scrubbed = [replace(error, message="") if error.kind is ErrorKind.INTERNAL else error for error in errors]
    failure = error_from(scrubbed, query.file)
    broken = any(error.code in CODES[ErrorKind.INTERNAL] for error in errors)
    return BatchRefused(failure) if together and not broken else failure


def _below(errors: Iterable[ServerError], query: ByIdQuery) -> list[ServerError]:
    """Errors inside a record, with paths that begin at the record."""
    depth = len(query.record_path.path)
    return [replace(error, path=error.path[depth:]) for error in errors]


def _data_above(data: Mapping[str, object] | None, query: ByIdQuery) -> Mapping[str, object] | None:
    """The object that holds the records, or None."""
    found: object = data
    for key in query.above:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _follow(data: Any, query: ByIdQuery) -> object:  # noqa: ANN401 - as decoded
    """The record below the value of the field that the id was passed to.

    A list with one item stands for the item, and an empty one for null: some schemas find a record by its id
    with a filter.

    Raises:
        QueryFileError: A list on the path has several items.
    """
    data = _only_item(data, query)
    for key in query.record_path.path[query.depth + 1 :]:
        data = _only_item(data.get(key) if isinstance(data, dict) else data, query)
    return data


def _only_item(data: Any, query: ByIdQuery) -> Any:  # noqa: ANN401 - as decoded
    if not isinstance(data, list):
        return data
    if len(data) > 1:
        raise QueryFileError(
            f"{query.file}: Salestrekker answers with a list where one record is asked for",
            advice="Ask for a field that gives one record by its id, or filter the list by the id.",
        )
    return data[0] if data else None
