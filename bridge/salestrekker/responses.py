"""What Salestrekker's responses mean. Pure: no socket, no clock.

::

    HttpResponse ──interpret_response──> GraphQL document ──parse_result──> GraphqlResult
                     │                                 ListItems <──read_items─┤
                     │                                 the token <──read_token─┘
                     └─> Transient | Refused | TokenRefused

The form of an authentication error is not public, so each known form is recognised: HTTP 401, 403 without a
path, and GraphQL errors of the kind TOKEN (``graphql_errors``). A ``FORBIDDEN`` with a path is something
else: a field that this user may not read.

The server's text is quoted only if it rejects a query, and then only in the query's own words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from bridge.errors import BridgeError, QueryFileError, Refused, Transient
from bridge.event_loop_turns import run_to_end
from bridge.retry import retry_after
from bridge.salestrekker.graphql_errors import (
    CODES,
    ErrorKind,
    code_suffix,
    describe_errors,
    dotted_path,
    longest_retry_after,
    parse_result,
)
from bridge.salestrekker.large_lists import LongList
from bridge.salestrekker.list_facts import Fact
from bridge.salestrekker.response_limits import ERRORS_READ, INCOMPLETE_JSON, decode

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from bridge.salestrekker.graphql_errors import GraphqlResult, ServerError
    from bridge.salestrekker.list_facts import InfoField, ListInfo
    from bridge.salestrekker.list_query import ListQuery

__all__ = [
    "NO_SIGNS",
    "HttpResponse",
    "ListItems",
    "ListSigns",
    "NextPage",
    "PoisonItem",
    "TokenRefused",
    "error_from",
    "interpret_response",
    "read_items",
    "read_items_in_steps",
    "read_next_page",
    "read_signs",
    "read_token",
]

Document: TypeAlias = "dict[str, object]"
"""A decoded GraphQL response: an object with ``data`` or ``errors``."""

ADDRESS_ADVICE = (
    "Check [salestrekker] url: it is https://<your aggregator's subdomain>.salestrekker.com/graphql"
)
_NAMED_TYPES: Final = frozenset(
    {
        "no content type",
        "application/graphql-response+json",
        "application/json",
        "application/xhtml+xml",
        "application/xml",
        "text/html",
        "text/plain",
        "text/xml",
    }
)
"""The content types that messages name. Whoever answers may make up any other."""

KEY_ADVICE = (
    "Check [salestrekker] api_key (or email and password): copy the key again from Settings/API in "
    "Salestrekker, and see there that it has not been revoked. Nothing is lost: run again when it is "
    "put right."
)


class TokenRefused(Refused):
    """The token was not accepted. The client catches this error and renews the token once."""


class PoisonItem(Transient):
    """One item that makes its whole list fail, because the schema allows no null in its place.

    Args:
        message: What happened.
        index: The place of the item in the list.
        request_error: The error to raise if this item is not the only cause.
    """

    def __init__(self, message: str, index: int, request_error: BridgeError) -> None:
        super().__init__(message)
        self.index = index
        self.request_error = request_error


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An HTTP response.

    Attributes:
        status: HTTP status.
        headers: By name, in any case.
        body: If the status is not a success, only its beginning.
        requested_url: The address that was requested.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | bytearray
    requested_url: str = ""

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case. Empty if there is none."""
        return self.header("content-type").partition(";")[0].strip().lower()

    def header(self, name: str) -> str:
        """The value of a header, or empty text."""
        return next((value for key, value in self.headers.items() if key.lower() == name), "")


@dataclass(frozen=True, slots=True)
class NextPage:
    """Whether the list goes on, and after which cursor.

    Attributes:
        more: Whether it goes on.
        cursor: The next cursor. None if the server gives none.
        explicit: Whether the server says in so many words that the list goes on, as Relay's ``hasNextPage``
            does. Otherwise only the cursor shows it, and a page in the middle may be empty.
    """

    more: bool
    cursor: str | None
    explicit: bool = True


@dataclass(frozen=True, slots=True)
class ListSigns:
    """What the server says about the list beside its items. None: it does not say.

    Attributes:
        total: How many items the whole list has.
        last_page: The number of the last page, or of all pages.
        more: Whether the list goes on.
        cursor: Whether it gives a next cursor.
    """

    total: int | None = None
    last_page: int | None = None
    more: bool | None = None
    cursor: bool | None = None


NO_SIGNS: Final = ListSigns()
"""The server says nothing about the list."""


@dataclass(frozen=True, slots=True)
class ListItems:
    """The items of a list, and which of them were not read whole.

    Attributes:
        items: As decoded, in the server's order. An item may be null. A long list is not decoded yet.
        item_errors: Index -> what went wrong inside that item, without personal data.
        more: Whether and where the list goes on. None if the style of paging does not say.
        signs: What else the server says about the list.
        depth: How many steps of the record path lead to the list.
    """

    items: tuple[object, ...] | LongList
    item_errors: Mapping[int, str]
    more: NextPage | None = None
    signs: ListSigns = NO_SIGNS
    depth: int = 0


def interpret_response(answer: HttpResponse, now: float) -> Document | BridgeError:
    """Interpret an HTTP response.

    Args:
        answer: The response.
        now: Wall clock in seconds, for a ``Retry-After`` that is a date.

    Returns:
        The GraphQL document, or the error that says what to do: Transient for 408, 425, 429, 5xx and broken
            JSON, ``TokenRefused`` for 401 and 403, Refused for what no Salestrekker address answers.
    """
    document = _document(answer.body)
    if document is not None and _speaks_graphql(answer.status, document):
        return document
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or _about_token(document):
        return TokenRefused(f"Salestrekker refused the token (HTTP {answer.status})", advice=KEY_ADVICE)
    if _may_pass(answer.status):
        wait = retry_after(answer.header("retry-after"), now)
        if wait is None and document is not None:
            wait = longest_retry_after(_some_errors(document))
        busy = answer.status == HTTPStatus.TOO_MANY_REQUESTS
        return Transient(f"Salestrekker answered HTTP {answer.status}", retry_after=wait, busy=busy)
    if _is_broken_json(answer):
        return Transient(INCOMPLETE_JSON)
    return Refused(_not_graphql(answer), advice=ADDRESS_ADVICE)


def read_items(result: GraphqlResult, query: ListQuery) -> ListItems:
    """The items of the list that ``query`` asks for. Raises as ``read_items_in_steps``."""
    return run_to_end(read_items_in_steps(result, query))


def read_items_in_steps(result: GraphqlResult, query: ListQuery) -> Generator[None, None, ListItems]:
    """As ``read_items``, to be run in slices if there may be very many errors.

    A list that is null is never taken as empty.

    Raises:
        TokenRefused: The token is not accepted.
        Refused: This user may not read a field.
        QueryFileError: The query does not fit the schema.
        PoisonItem: One item made the whole list fail.
        Transient: Anything else left the list unread.
    """
    urgent = [error for error in result.errors if error.kind in (ErrorKind.TOKEN, ErrorKind.BUSY)]
    if urgent:
        raise error_from(urgent, query.file)
    found, depth = _list_on(query.path, result.data)
    if isinstance(found, LongList | list):
        items: tuple[object, ...] | LongList = (
            found
            if isinstance(found, LongList)
            else tuple(_value_at(item, query.path[depth:]) for item in found)
        )
        listed = yield from _listed(items, result.errors, query)
        more, signs = _more(result.data, query), read_signs(result.data, query.info)
        if isinstance(found, LongList):
            found.below(query.path[depth:])
        return replace(listed, more=more, signs=signs, depth=depth)
    if found is not None:
        raise _no_list(query, depth)
    if not result.errors:
        raise Transient(f"Salestrekker answered {'.'.join(query.path)} with null, and no error")
    raise _find_poison_item(result.errors, query) or error_from(result.errors, query.file)


def read_next_page(result: GraphqlResult, query: ListQuery) -> NextPage:
    """Where the list goes on, from a response to ``query.next_page_query``.

    Raises:
        BridgeError: As ``read_items``.
    """
    more = None if result.errors else _more(result.data, query)
    if more is None:
        raise (
            error_from(result.errors, query.file)
            if result.errors
            else Transient("Salestrekker did not say where the list goes on")
        )
    return more


def read_signs(data: object, info: ListInfo) -> ListSigns:
    """What a response says about its list. What has another form than expected is left out.

    Args:
        data: The response's ``data``.
        info: What the query selects about the list.
    """
    more = _info_value(data, info.more) if info.more else None
    found = {fact: _info_value(data, field) for fact, field in info.fields.items()}
    total, last = (_number(found.get(fact)) for fact in (Fact.TOTAL, Fact.LAST_PAGE))
    cursor = found.get(Fact.CURSOR, MISSING)
    return ListSigns(
        total,
        last,
        more != (Fact.MORE not in info.fields) if isinstance(more, bool) else None,
        None if cursor is MISSING else cursor not in (None, ""),
    )


def read_token(result: GraphqlResult, refusal: Refused) -> str:
    """The token in a response to a mutation that returns one.

    The server's text is never quoted here, because it may repeat the credentials.

    Args:
        result: The response.
        refusal: The error to raise if there is no token: what was refused, and what to do about it.

    Raises:
        Refused: The credentials are not accepted, or the response holds no token.
        Transient: The server failed, or is too busy.
    """
    kinds = {error.kind: error for error in result.errors}
    if ErrorKind.BUSY in kinds or (
        ErrorKind.INTERNAL in kinds and kinds[ErrorKind.INTERNAL].code in CODES[ErrorKind.INTERNAL]
    ):
        busy = ErrorKind.BUSY in kinds
        raise Transient(
            "Salestrekker could not authenticate just now", retry_after=result.retry_after, busy=busy
        )
    if ErrorKind.QUERY in kinds:
        raise Refused("The server does not know how Salestrekker authenticates", advice=ADDRESS_ADVICE)
    given = [part.get("token") for part in (result.data or {}).values() if isinstance(part, dict)]
    if result.errors or len(given) != 1 or not isinstance(given[0], str) or not given[0]:
        raise refusal
    return given[0]


def error_from(errors: Sequence[ServerError], file: str) -> BridgeError:
    """The one error to raise for errors that concern the whole request: the most serious one.

    Args:
        errors: At least one.
        file: The query's file, for messages.
    """
    error = min(errors, key=lambda error: list(ErrorKind).index(error.kind))
    if error.kind is ErrorKind.TOKEN:
        return TokenRefused("Salestrekker refused the token", advice=KEY_ADVICE)
    if error.kind is ErrorKind.PERMISSION:
        what = dotted_path(error.path) or "what the query asks for"
        return Refused(
            f"Salestrekker does not let this API key read {what}",
            advice=f"Ask for that permission, or take the field out of {file} and out of the map.",
        )
    if error.kind is ErrorKind.QUERY:
        return QueryFileError(
            f"{file}: Salestrekker does not accept the query: {error.safe_message}",
            advice="Compare it with your organisation's schema (Settings/API, playground) and correct it.",
        )
    message = describe_errors(errors) if error.path else f"Salestrekker reports an error{code_suffix(error)}"
    return Transient(message, retry_after=longest_retry_after(errors), busy=error.kind is ErrorKind.BUSY)


def _document(body: bytes | bytearray) -> Document | None:
    try:
        decoded = decode(body)
    except ValueError:
        return None
    return decoded if isinstance(decoded, dict) and decoded.keys() & {"data", "errors"} else None


def _speaks_graphql(status: int, document: Document) -> bool:
    """Whether the document is the response itself, or only accompanies a status that says everything.

    A server may report an invalid query with 400 or 422 (GraphQL over HTTP, section 6.4), and a missing
    permission for one field with 403.
    """
    if status == HTTPStatus.FORBIDDEN:
        return any(error.path for error in _some_errors(document))
    return status < HTTPStatus.MULTIPLE_CHOICES or status in (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    )


def _about_token(document: Document | None) -> bool:
    return document is not None and any(error.kind is ErrorKind.TOKEN for error in _some_errors(document))


def _some_errors(document: Document) -> tuple[ServerError, ...]:
    """The first errors of a response that is no success: they show as much as all do."""
    errors = document.get("errors")
    return parse_result(None, errors[:ERRORS_READ] if isinstance(errors, list) else errors).errors


def _may_pass(status: int) -> bool:
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in (
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    )


def _is_broken_json(answer: HttpResponse) -> bool:
    """Whether a success of the right type cannot be decoded, most likely because it was cut short."""
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES or not answer.content_type.endswith("json"):
        return False
    try:
        decode(answer.body)
    except ValueError:
        return True
    return False


def _not_graphql(answer: HttpResponse) -> str:
    kind = answer.content_type or "no content type"
    kind = kind if kind in _NAMED_TYPES else "another content type"
    text = f"The address does not answer as Salestrekker's GraphQL does: HTTP {answer.status}, {kind}"
    elsewhere = answer.header("location")
    return (
        f"{text}, redirected to {_describe_redirect(elsewhere, answer.requested_url)}" if elsewhere else text
    )


def _describe_redirect(url: str, requested_url: str) -> str:
    """Where a redirect leads: its host, if that is the requested one or belongs to the same domain.

    Whoever answers can make up anything else.
    """
    try:
        there, here = urlsplit(url), urlsplit(requested_url)
    except ValueError:
        return "what is no address"
    if there.scheme in {"http", "https"} and there.hostname and here.hostname:
        domain = here.hostname.partition(".")[2]
        if there.hostname == here.hostname or ("." in domain and there.hostname.endswith(f".{domain}")):
            return f"{there.scheme}://{there.hostname}"
    return "another host" if there.hostname else "another path"


def _value_at(data: object, path: Iterable[str]) -> object:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _list_on(path: Sequence[str], data: object) -> tuple[object, int]:
    """The first list on the path, or what else ends it, and how many steps lead there."""
    for depth, key in enumerate(path):
        if not isinstance(data, dict):
            return data, depth
        data = data.get(key)
    return data, len(path)


MISSING: Final = object()
"""In place of a value that the response does not hold. Null is a value."""


def _info_value(data: object, field: InfoField) -> object:
    """The value of a field about the list, or ``MISSING``."""
    for key in field.path:
        if not isinstance(data, dict) or key not in data:
            return MISSING
        data = data[key]
    return data


def _number(value: object) -> int | None:
    """A whole number that is not negative, or None."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if value >= 0 else None


def _more(data: object, query: ListQuery) -> NextPage | None:
    """Whether and where the list goes on, if the query pages by cursor.

    Raises:
        Transient: The response does not say it.
        QueryFileError: The cursor is neither text nor a number.
    """
    cursor_field = query.info.cursor
    if query.next_page_query is None or cursor_field is None:
        return None
    of_item = cursor_field is query.info.item_cursor
    value = _last_cursor(data, cursor_field) if of_item else _info_value(data, cursor_field)
    if isinstance(value, bool | float | list | dict):
        raise QueryFileError(
            f"{query.file}: {'.'.join(cursor_field.path)} is no cursor in Salestrekker's answer",
            advice="Select the field with the next cursor: a text or a whole number.",
        )
    cursor = str(value) if isinstance(value, str | int) else None
    if query.info.more is not None:
        more = read_signs(data, query.info).more
        if more is None:
            raise _without(query.info.more)
        return NextPage(more, cursor)
    if value is MISSING:
        raise _without(cursor_field)
    return NextPage(bool(cursor), cursor, explicit=False)


def _last_cursor(data: object, field: InfoField) -> object:
    """The cursor of the last item: null for an empty list, and ``MISSING`` if the item has none."""
    depth = 0
    for depth, key in enumerate(field.path, 1):  # noqa: B007 - the depth of the list
        data = data.get(key) if isinstance(data, dict) else None
        if isinstance(data, LongList | list):
            break
    if not isinstance(data, LongList | list):
        return MISSING
    if not len(data):
        return None
    last = data.item(len(data) - 1)[0] if isinstance(data, LongList) else data[-1]
    cursor = _value_at(last, field.path[depth:])
    return MISSING if cursor in (None, "") else cursor


def _without(field: InfoField) -> Transient:
    return Transient(f"Salestrekker answered {'.'.join(field.path[:-1])} without {field.name}")


def _no_list(query: ListQuery, depth: int) -> QueryFileError:
    return QueryFileError(
        f"{query.file}: {'.'.join(query.path[:depth])} is not a list in Salestrekker's answer",
        advice="The query must ask for a list of records: correct its root field. If the list is further "
        "down, select no `id` above it.",
    )


def _index(error: ServerError, query: ListQuery) -> int | None:
    """The item of the list that the error is inside of, or None."""
    depth, index = _first_index(error)
    return index if 0 < depth <= len(query.path) and error.path[:depth] == query.path[:depth] else None


def _first_index(error: ServerError) -> tuple[int, int | None]:
    """How many keys lead to the first index of an error's path, and that index, or None."""
    found = ((depth, step) for depth, step in enumerate(error.path) if isinstance(step, int))
    return next(found, (len(error.path), None))


def _inside(error: ServerError, query: ListQuery) -> ServerError:
    """An error inside an item, with a path that begins at the record."""
    depth, _ = _first_index(error)
    rest, below = error.path[depth + 1 :], query.path[depth:]
    return replace(error, path=rest[len(below) :] if rest[: len(below)] == below else rest)


def _listed(
    items: tuple[object, ...] | LongList, errors: Sequence[ServerError], query: ListQuery
) -> Generator[None, None, ListItems]:
    inside: dict[int, list[ServerError]] = {}
    for error in errors:
        index = _index(error, query)
        if index is None:
            raise error_from(errors, query.file)
        inside.setdefault(index, []).append(error)
        yield
    permissions = [error for error in errors if error.kind is ErrorKind.PERMISSION]
    # A single item may be protected. If all of several items are, the field is protected.
    if len(inside) == len(items) > 1 and len(permissions) == len(errors):
        raise error_from(errors, query.file)
    item_errors: dict[int, str] = {}
    for index, found in inside.items():
        item_errors[index] = _describe(found[:ERRORS_READ], query)
        yield
    return ListItems(items, item_errors)


def _find_poison_item(errors: Sequence[ServerError], query: ListQuery) -> PoisonItem | None:
    """The first of the items that made their list fail, or None if the cause was something else."""
    places = [
        _index(error, query) for error in errors if error.kind in (ErrorKind.INTERNAL, ErrorKind.PERMISSION)
    ]
    known = [place for place in places if place is not None]
    if len(known) < len(errors):
        return None
    return PoisonItem(_describe(errors, query), min(known), error_from(errors, query.file))


def _describe(errors: Iterable[ServerError], query: ListQuery) -> str:
    """Describe which fields of a record failed, without the path to the record."""
    return describe_errors([_inside(error, query) for error in errors])
