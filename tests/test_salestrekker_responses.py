"""What Salestrekker's answers mean: pure functions over status, headers and body."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BridgeError, QueryFileError, Refused, Transient
from bridge.salestrekker.graphql_errors import ErrorKind, parse_result
from bridge.salestrekker.list_query import load_list_query
from bridge.salestrekker.query_files import shipped_queries
from bridge.salestrekker.responses import (
    HttpResponse,
    PoisonItem,
    TokenRefused,
    interpret_response,
    read_items,
    read_token,
)

if TYPE_CHECKING:
    from bridge.salestrekker.responses import ListItems

QUERY = load_list_query("contacts.graphql", [shipped_queries()])
REFUSAL = Refused("not accepted")
JSON = "application/json; charset=utf-8"
NOW = 1_800_000_000.0


def http(status: int, body: object = None, content_type: str = JSON, **headers: str) -> HttpResponse:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, {"Content-Type": content_type} | named, raw)


def error(message: str = "", *path: str | int, code: object = None) -> dict[str, object]:
    made: dict[str, object] = {"message": message}
    if path:
        made["path"] = list(path)
    return made | ({"extensions": {"code": code}} if code is not None else {})


def listed(contacts: object, *errors: dict[str, object]) -> ListItems:
    return read_items(parse_result({"contacts": contacts}, list(errors)), QUERY)


@pytest.mark.parametrize("status", [200, 201, 400, 422])
def test_a_graphql_document_is_taken_as_the_answer(status: int) -> None:
    """Servers put query errors beside 200, 400 or 422."""
    document = {"errors": [error("Cannot query field")]}
    assert interpret_response(http(status, document), NOW) == document


@pytest.mark.parametrize(
    "answer",
    [
        http(401, {"errors": [error("no")]}),
        http(401, b"<html>", "text/html"),
        http(403, b"", "text/plain"),
        http(403, {"errors": [error("Forbidden", code="FORBIDDEN")]}),
        http(500, {"errors": [error("Context creation failed: jwt expired", code="INTERNAL_SERVER_ERROR")]}),
    ],
)
def test_a_refused_token_is_recognised(answer: HttpResponse) -> None:
    assert type(interpret_response(answer, NOW)) is TokenRefused


def test_a_403_with_paths_is_about_fields_not_the_token() -> None:
    document = {"data": {"contacts": []}, "errors": [error("no", "contacts", 0, "person", code="FORBIDDEN")]}
    assert interpret_response(http(403, document), NOW) == document


@pytest.mark.parametrize(
    "answer",
    [
        http(302, b"", "text/html", Location="https://u:p@login.example.com/in?token=canary-1#x"),
        http(307, b"", "text/html", Location="http://[::broken"),
        http(200, b"<!DOCTYPE html><p>canary-1", "text/html"),
        http(200, b"canary-1", "text/plain"),
        http(200, {"message": "canary-1"}),
        http(200, [1, 2]),
        http(404, b"<html>canary-1", "text/html"),
        http(404, {"errors": [error("canary-1")]}),
        http(405, {"error": "canary-1"}),
        http(204, b"", ""),
    ],
)
def test_what_no_salestrekker_address_answers_is_refused_without_its_body(answer: HttpResponse) -> None:
    """Status, content type and what to do are told; what the page said is not."""
    meaning = interpret_response(answer, NOW)
    assert type(meaning) is Refused
    assert str(answer.status) in str(meaning)
    assert (answer.content_type or "no content type") in str(meaning)
    assert "url" in meaning.advice
    assert "canary" not in str(meaning)


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://u:p@sfg.example.com/graphql?key=canary", "https://sfg.example.com"),
        ("https://lmg.example.com/canary", "https://lmg.example.com"),
        ("https://canary.example.net/", "another host"),
        ("/clients/canary", "another path"),
        ("canary:canary", "another path"),
        ("https://[canary", "what is no address"),
    ],
)
def test_a_redirect_names_its_target_only_if_that_cannot_be_forged(location: str, told: str) -> None:
    headers = {"Content-Type": "text/html", "Location": location}
    meaning = str(interpret_response(HttpResponse(301, headers, b"", "https://sfg.example.com/graphql"), NOW))
    assert meaning.endswith(f"text/html, redirected to {told}")
    assert "canary" not in meaning


@pytest.mark.parametrize("content_type", ["application/x-canary", "canary", "text/html canary"])
def test_a_content_type_that_nobody_knows_is_not_repeated(content_type: str) -> None:
    meaning = str(interpret_response(http(404, b"", content_type), NOW))
    assert "another content type" in meaning
    assert "canary" not in meaning


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520])
def test_a_fault_that_may_pass_is_transient_with_its_retry_after(status: int) -> None:
    meaning = interpret_response(http(status, b"<html>", "text/html", Retry_After="7"), NOW)
    assert isinstance(meaning, Transient)
    assert meaning.retry_after == 7.0


@pytest.mark.parametrize("body", [b"", b'{"data": {"contacts": [', b'{"data": \xff}'])
def test_broken_json_is_transient(body: bytes) -> None:
    assert isinstance(interpret_response(http(200, body), NOW), Transient)


@pytest.mark.parametrize(
    ("written", "read"),
    [(rb'"Sue \ud83d"', "Sue \ud83d"), (rb'"\udca9"', "\udca9"), (b"1e400", float("inf"))],
)
def test_one_record_that_strict_json_refuses_takes_no_list_down(written: bytes, read: object) -> None:
    """A server in JavaScript cuts an emoji in two: 300 contacts after that one were never read."""
    found = interpret_response(http(200, b'{"data": {"contacts": [{"a": %s}, {"a": 1}]}}' % written), NOW)
    assert found == {"data": {"contacts": [{"a": read}, {"a": 1}]}}


def test_what_is_nested_too_deeply_for_both_is_broken() -> None:
    assert isinstance(interpret_response(http(200, b'{"data": ' + b"[" * 200_000), NOW), Transient)


@given(st.integers(100, 599), st.binary(max_size=60), st.sampled_from([JSON, "text/html", ""]))
def test_every_http_answer_has_a_meaning(status: int, body: bytes, content_type: str) -> None:
    """Whatever comes, it is a document or one of our errors."""
    meaning = interpret_response(HttpResponse(status, {"Content-Type": content_type}, body), NOW)
    assert isinstance(meaning, dict | BridgeError)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["message", "path", "extensions", "code", "contacts", "status", "http"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON_VALUES, JSON_VALUES)
def test_every_graphql_answer_has_a_meaning(data: object, errors: object) -> None:
    """No shape of data and errors escapes as anything but one of our errors, and null is never empty."""
    try:
        found = read_items(parse_result(data, errors), QUERY)
    except BridgeError:
        return
    assert isinstance(data, dict)
    assert len(found.items) == len(data["contacts"])


@pytest.mark.parametrize(
    ("message", "code", "path", "kind"),
    [
        ("", "UNAUTHENTICATED", (), ErrorKind.TOKEN),
        ("", "unauthenticated", ("contacts",), ErrorKind.TOKEN),
        ("", 401, (), ErrorKind.TOKEN),
        ("Unauthorized", None, (), ErrorKind.TOKEN),
        ("You are not authenticated.", None, ("contacts",), ErrorKind.TOKEN),
        ("jwt expired", "INTERNAL_SERVER_ERROR", (), ErrorKind.TOKEN),
        ("Invalid token", None, (), ErrorKind.TOKEN),
        ("Token has expired", None, (), ErrorKind.TOKEN),
        ("The token is missing, expired or revoked.", None, (), ErrorKind.TOKEN),
        ("", "FORBIDDEN", ("contacts",), ErrorKind.PERMISSION),
        ("", "FORBIDDEN", (), ErrorKind.PERMISSION),
        ("Unauthorized", "FORBIDDEN", ("contacts",), ErrorKind.PERMISSION),
        ("", "UNAUTHENTICATED", ("contacts", 3, "person"), ErrorKind.PERMISSION),
        ("You do not have permission", None, ("contacts", 3), ErrorKind.PERMISSION),
        ('Cannot query field "x" on type "Contact".', None, (), ErrorKind.QUERY),
        ("Syntax Error: Unexpected Name, invalid token", None, (), ErrorKind.QUERY),
        ("", "GRAPHQL_VALIDATION_FAILED", (), ErrorKind.QUERY),
        ("Too many requests", None, (), ErrorKind.BUSY),
        ("boom", "INTERNAL_SERVER_ERROR", (), ErrorKind.INTERNAL),
        ("boom", None, ("contacts", 1), ErrorKind.INTERNAL),
    ],
)
def test_errors_are_sorted_by_code_then_by_wording(
    message: str, code: object, path: tuple[str | int, ...], kind: ErrorKind
) -> None:
    (sorted_,) = parse_result(None, [error(message, *path, code=code)]).errors
    assert sorted_.kind is kind


@pytest.mark.parametrize(
    "extensions",
    [{"status": 401}, {"http": {"status": 401}}, {"response": {"statusCode": 401}}, {"statusCode": "401"}],
)
def test_a_status_among_the_extensions_stands_for_a_code(extensions: object) -> None:
    (sorted_,) = parse_result(None, [{"message": "x", "extensions": extensions}]).errors
    assert sorted_.kind is ErrorKind.TOKEN


def test_a_list_without_errors_is_given_as_it_is() -> None:
    assert listed([{"id": "1"}, {"id": "2"}]).items == ({"id": "1"}, {"id": "2"})
    assert listed([]).items == ()


def test_items_with_an_error_inside_are_told_apart_from_whole_ones() -> None:
    """The field and the code are told, the server's words are not: they may be about the person."""
    found = listed(
        [{"id": "1"}, {"id": "2"}, None],
        error("Jane Doe is odd", "contacts", 1, "person", "contact", "email", code="ODD"),
        error("gone", "contacts", 2),
    )
    assert found.item_errors.keys() == {1, 2}
    assert "at person.contact.email" in found.item_errors[1]
    assert "Jane" not in found.item_errors[1]


def test_null_for_the_list_is_an_error_not_an_empty_list() -> None:
    with pytest.raises(Transient, match="null"):
        listed(None)


def test_null_for_everything_is_an_error() -> None:
    with pytest.raises(Transient):
        read_items(parse_result(None, None), QUERY)


def test_something_else_in_the_place_of_the_list_is_the_querys_fault() -> None:
    with pytest.raises(QueryFileError, match="is not a list"):
        listed({"id": "1"})


def test_one_item_that_takes_all_with_it_is_named_by_its_place() -> None:
    """Null bubbles up to ``data`` where the schema allows none below (``[Contact!]!``)."""
    bubbled = [
        error("x", "contacts", 5, "name", code="INTERNAL_SERVER_ERROR"),
        error("x", "contacts", 3, "name", code="INTERNAL_SERVER_ERROR"),
    ]
    with pytest.raises(PoisonItem, match=r"name \(INTERNAL_SERVER_ERROR\)") as caught:
        read_items(parse_result(None, bubbled), QUERY)
    assert caught.value.index == 3


@pytest.mark.parametrize("data", [None, {"contacts": [{"id": "1"}]}])
def test_a_token_error_wins_over_any_data(data: object) -> None:
    with pytest.raises(TokenRefused):
        read_items(parse_result(data, [error("jwt expired", "contacts")]), QUERY)


def test_a_list_that_may_not_be_read_is_refused_and_names_the_field() -> None:
    with pytest.raises(Refused, match="read contacts") as caught:
        listed(None, error("no", "contacts", code="FORBIDDEN"))
    assert "contacts.graphql" in caught.value.advice


def test_a_field_that_may_be_read_of_no_record_is_refused_and_named() -> None:
    closed = [error("no", "contacts", index, "person", "contact", code="FORBIDDEN") for index in range(2)]
    with pytest.raises(Refused, match=r"read contacts\.person\.contact"):
        listed([{"id": "1"}, {"id": "2"}], *closed)


def test_one_closed_record_among_others_is_just_broken() -> None:
    found = listed([{"id": "1"}, {"id": "2"}], error("no", "contacts", 0, code="FORBIDDEN"))
    assert found.item_errors.keys() == {0}


def test_a_query_that_does_not_fit_the_schema_names_its_file_and_the_servers_reason() -> None:
    complaint = [error('Cannot query field "shoe" on type "Contact".')]
    with pytest.raises(QueryFileError, match=r'contacts\.graphql: .*Cannot query field "shoe"'):
        read_items(parse_result(None, complaint, "query Q { contacts { shoe } }"), QUERY)


def test_an_error_beside_the_data_but_outside_of_the_list_leaves_it_unread() -> None:
    """It may mean that the list is not whole: nothing is concluded from such a page."""
    with pytest.raises(Transient, match=r"^Salestrekker reports an error$"):
        listed([{"id": "1"}], error("something broke"))


TEXT = "query Q { contacts { person { email } } }"


@pytest.mark.parametrize("code", ["ADA_ASHBY", "FORBIDDEN", "INTERNAL_SERVER_ERROR", ""])
@pytest.mark.parametrize(
    "path", [[], ["contacts"], ["contacts", 0, "Ada Ashby"], ["contacts", 0, "person", "ashby"], ["ada"]]
)
def test_an_error_is_told_by_known_codes_and_the_querys_own_words_alone(path: list[str], code: str) -> None:
    """A server may put what a record says into the path, the code and the message."""
    errors = [{"message": "Ada Ashby broke", "path": path, "extensions": {"code": code}}]
    with pytest.raises(BridgeError) as caught:
        read_items(parse_result(None, errors, TEXT), QUERY)
    assert not {"ada", "ashby", "broke"} & set(re.findall("[a-z]+", str(caught.value).lower()))


def test_of_a_complaint_about_the_query_only_words_of_the_query_are_told() -> None:
    said = 'Cannot query field "email" on type "Ada Ashby": Unexpected Name "person" 4711'
    with pytest.raises(QueryFileError) as caught:
        read_items(parse_result(None, [error(said)], TEXT), QUERY)
    assert str(caught.value).endswith('Cannot query field "email" on type "…": Unexpected Name "person" …')


@pytest.mark.parametrize(
    "secret",
    ["eyJhbGciOiJI.eyJpZCI6MSwi.c2lnbmF0dXJl", "jane@example.com", "+61 412 345 678", "k3y0123456789abcdef"],
)
def test_the_servers_words_are_scrubbed(secret: str) -> None:
    (sorted_,) = parse_result(None, [error(f"could not do it for {secret} today")]).errors
    assert sorted_.message == "could not do it for … today"


def test_the_token_is_taken_from_a_good_answer() -> None:
    assert read_token(parse_result({"authenticate": {"token": "t"}}, None), REFUSAL) == "t"


@pytest.mark.parametrize(
    ("data", "errors", "expected"),
    [
        ({"authenticate": None}, [], Refused),
        ({"authenticate": {"token": ""}}, [], Refused),
        ({"authenticate": {}}, [], Refused),
        (None, [error("The key canary-1 is not valid")], Refused),
        (None, [error("canary-1", "authenticate", code="UNAUTHENTICATED")], Refused),
        (None, [error('Cannot query field "authenticate" canary-1')], Refused),
        (None, [error("canary-1", code="INTERNAL_SERVER_ERROR")], Transient),
        (None, [error("canary-1", code="TOO_MANY_REQUESTS")], Transient),
    ],
)
def test_an_answer_without_a_token_never_repeats_the_servers_words(
    data: object, errors: list[object], expected: type[BridgeError]
) -> None:
    with pytest.raises(expected) as caught:
        read_token(parse_result(data, errors), REFUSAL)
    assert "canary" not in str(caught.value)
