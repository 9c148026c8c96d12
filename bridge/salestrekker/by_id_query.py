"""Queries for one record by its id, and many ids in one request. Pure.

::

    query ($id: ID!) { contact(id: $id) { …F } }                                     one id: as it stands
    query ($id0: ID!, $id1: ID!) { r0: contact(id: $id0) { …F }  r1: contact(…) }    many: by aliases

    ByIdQuery ──build_batch_request──> text, variables ──the server──> GraphqlResult
                                     ByIdResponse <──read_batch_response──┘

An error with a path concerns the record under that alias and no other. An error without a path concerns the
request. ``by_id_batches`` finds out whether one of the ids, their number, or the query caused it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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
from bridge.salestrekker.paging_variables import refuse_unfilled_variable, variables_used_in
from bridge.salestrekker.query_files import error_at, load_document
from bridge.salestrekker.record_path import find_single_record_path
from bridge.salestrekker.response_limits import find_excess
from bridge.salestrekker.responses import error_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
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
"""The name of the variable that holds the record's id."""

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
    """

    document: QueryDocument
    record_path: RecordPath
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

    def keys(self, count: int) -> tuple[str, ...]:
        """The response keys of so many ids, in their order."""
        return self.record_path.path[:1] if count == 1 else tuple(f"r{place}" for place in range(count))


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
    selected = {node.name.value: node for node in document.fields(query.record_path.steps[-1].selection_set)}
    below = selected.get(CLIENT_TYPES)
    inside = document.fields(below.selection_set if below else None)
    if CLIENTS in selected or any(node.name.value == CONTACT for node in inside):
        return query
    raise error_at(
        query.record_path.steps[-1],
        "does not ask for the contacts of the deal",
        f"Select `{CLIENTS}`, or `{CLIENT_TYPES} {{ {CONTACT} }}`, or both.",
    )


def parse_by_id_query(document: QueryDocument) -> ByIdQuery:
    """Read off a document how it asks for one record.

    Raises:
        QueryFileError: There is not exactly one root field, the record's ``id`` is not selected, there is no
            variable ``$id`` that is used for the root field only, or another variable needs a value.
    """
    _refuse_fragments_at_the_root(document)
    record_path = find_single_record_path(document, ID)
    root = record_path.steps[0]
    definition = next((node for node in _definitions(document) if node.variable.name.value == ID), None)
    if definition is None:
        raise error_at(
            document.operation,
            f"declares no variable ${ID}",
            f"Write `query Name($id: ID!) {{ {root.name.value}(id: $id) {{ … }} }}`.",
        )
    if ID not in variables_used_in(root.arguments or ()):
        raise error_at(root, f"is not given ${ID}", f"Write `{root.name.value}(id: $id)`.")
    below = [*(root.directives or ()), *document.fragments.values()]
    if ID in variables_used_in([*below, *([root.selection_set] if root.selection_set else [])]):
        raise error_at(definition, f"${ID} is also used inside the record", "Use it for the root field only.")
    for node in _definitions(document):
        if node is not definition:
            refuse_unfilled_variable(node)
    return ByIdQuery(document, record_path)


def build_batch_request(query: ByIdQuery, ids: Sequence[str]) -> tuple[str, dict[str, object]]:
    """Build one operation for these ids, and its variables.

    Args:
        query: The query for one id.
        ids: At least one, each once.
    """
    if len(ids) == 1:
        return query.text(1), {ID: ids[0]}
    return query.text(len(ids)), {_variable(place): one for place, one in enumerate(ids)}


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
    if result.data is None and not inside:
        raise Transient("Salestrekker answered null, and no error")
    data = result.data or {}
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
    named = list(clients) if isinstance(clients, list) else []
    if isinstance(kinds, list):
        named += [kind.get(CONTACT) for kind in kinds if isinstance(kind, dict)]
    return tuple(dict.fromkeys(str(one) for one in named if isinstance(one, str | int) and str(one).strip()))


def _refuse_fragments_at_the_root(document: QueryDocument) -> None:
    for node in document.operation.selection_set.selections:
        if not isinstance(node, FieldNode):
            raise error_at(node, "a fragment in place of the root field", "Write the field into the query.")


def _definitions(document: QueryDocument) -> Sequence[VariableDefinitionNode]:
    return document.operation.variable_definitions or ()


def _aliased(query: ByIdQuery, count: int) -> str:
    """The operation with the root field repeated, each time with its own variable; the fragments once."""
    document, root = query.document, query.record_path.steps[0]
    operation = OperationDefinitionNode(
        operation=document.operation.operation,
        name=document.operation.name,
        variable_definitions=tuple(_multiplied(_definitions(document), count)),
        directives=document.operation.directives,
        selection_set=SelectionSetNode(
            selections=tuple(_numbered(root, key, place) for place, key in enumerate(query.keys(count)))
        ),
    )
    return print_ast(DocumentNode(definitions=(operation, *document.fragments.values())))


def _multiplied(
    definitions: Iterable[VariableDefinitionNode], count: int
) -> Iterator[VariableDefinitionNode]:
    for node in definitions:
        if node.variable.name.value == ID:
            yield from (visit(node, _Renaming(place)) for place in range(count))
        else:
            yield node


def _numbered(root: FieldNode, key: str, place: int) -> FieldNode:
    return FieldNode(
        alias=NameNode(value=key),
        name=root.name,
        arguments=tuple(visit(node, _Renaming(place)) for node in root.arguments or ()),
        directives=root.directives,
        selection_set=root.selection_set,
    )


def _variable(place: int) -> str:
    return f"{ID}{place}"


class _Renaming(Visitor):
    """Gives the variable ``$id`` its name for one place."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self._place = place

    def enter_variable(self, node: VariableNode, *_: object) -> VariableNode | None:
        if node.name.value != ID:
            return None
        return VariableNode(name=NameNode(value=_variable(self._place)))


def _sorted_by_record(
    errors: Sequence[ServerError], keys: Mapping[str, str], query: ByIdQuery
) -> dict[str, list[ServerError]]:
    """The errors inside each record, by its id. Errors that concern the request are raised."""
    urgent = [error for error in errors if error.kind in (ErrorKind.TOKEN, ErrorKind.BUSY)]
    if urgent:
        raise error_from(urgent, query.file)
    inside: dict[str, list[ServerError]] = {}
    for error in errors:
        one = keys.get(str(error.path[0])) if error.path else None
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


def _follow(data: Any, query: ByIdQuery) -> object:  # noqa: ANN401 - as decoded
    """The record below the value of the root field.

    Raises:
        QueryFileError: There is a list on the path.
    """
    for key in query.record_path.path[1:]:
        data = data.get(key) if isinstance(data, dict) else data
    if isinstance(data, list):
        raise QueryFileError(
            f"{query.file}: Salestrekker answers with a list where one record is asked for",
            advice="Ask for a field that gives one record by its id.",
        )
    return data
