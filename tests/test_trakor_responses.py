"""What an answer of Trakor means: pure functions."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BridgeError, Refusal, Refused, Rejected, Transient, Unanswered
from bridge.records import TrakorAnswer
from bridge.trakor import interpret_response
from bridge.trakor.responses import LONGEST_WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = 1_800_000_000.0
JSON = {"content-type": "application/json"}
HTML = {"content-type": "text/html; charset=utf-8"}


def said(status: int, body: object, /, **headers: str) -> TrakorAnswer | BridgeError:
    """What an answer with a JSON body is taken for."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return interpret_response(status, JSON | named, content, NOW)


# Taken


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("created", [True, False])
def test_an_answer_with_id_and_created_is_one_whatever_the_status(status: int, created: bool) -> None:  # noqa: FBT001
    body = {"id": "p-1", "name": "Ada Ashby", "created": created}
    assert said(status, body) == TrakorAnswer("p-1", "Ada Ashby", created)


def test_a_product_has_an_article_number() -> None:
    body = {"id": 17, "sku": "PRD-00017", "name": "Basic", "created": True}
    assert said(201, body) == TrakorAnswer("17", "Basic", created=True, sku="PRD-00017")


@pytest.mark.parametrize("odd", [None, 5, ["Ada"]])
def test_an_odd_name_or_number_is_none(odd: object) -> None:
    assert said(201, {"id": "p-1", "name": odd, "sku": odd, "created": True}) == TrakorAnswer(
        "p-1", "", created=True
    )


@pytest.mark.parametrize(
    "body",
    [
        {"created": True},
        {"id": "", "created": True},
        {"id": None, "created": True},
        {"id": "p-1"},
        {"id": "p-1", "created": "yes"},
        {"error": "maintenance"},
        ["p-1"],
        None,
        "p-1",
    ],
)
def test_a_good_status_without_an_id_is_an_answer_and_tried_again(body: object) -> None:
    assert type(said(200, body)) is Transient


# Half an answer, or another place's


@pytest.mark.parametrize("body", [b'{"id": "p-1", "created": tr', b""])
@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "text/json"])
def test_half_of_a_json_answer_is_none_however_its_kind_is_spelled(kind: str, body: bytes) -> None:
    found = interpret_response(201, {"content-type": kind}, body, NOW)
    assert type(found) is Unanswered
    assert not found.timed_out


@pytest.mark.parametrize("headers", [{"content-type": "text/html; charset=utf-8"}, {}])
def test_a_page_instead_of_json_is_another_place(headers: Mapping[str, str]) -> None:
    found = interpret_response(200, headers, b"<html>Welcome</html>", NOW)
    assert type(found) is Refused
    assert "/api/public/v1" in found.advice


@pytest.mark.parametrize(
    ("status", "body", "unsure"),
    [(200, b"<html>Log in</html>", False), (200, b"", True), (201, b"<html>", True), (204, b"", True)],
)
def test_a_success_that_tells_nothing_may_have_made_the_record(
    status: int,
    body: bytes,
    unsure: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    found = interpret_response(status, {"content-type": "text/html"}, body, NOW)
    assert isinstance(found, Refused)
    assert found.unsure is unsure


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("text/html; charset=Ada", "with an HTML page instead of JSON"),
        ("TEXT/HTML", "with an HTML page instead of JSON"),
        ("text/plain", "with plain text instead of JSON"),
        ("", "with nothing instead of JSON"),
        ("text/ada-ashby", "with something that is not JSON"),
        ("text/" + "x" * 8000, "with something that is not JSON"),
    ],
)
def test_only_known_content_types_are_named(kind: str, words: str) -> None:
    assert str(interpret_response(200, {"content-type": kind}, b"<html>", NOW)).endswith(
        f"answered 200 {words}"
    )


# Refused


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (401, Refusal.KEY, "API key"),
        (403, Refusal.FROZEN, "thawed"),
        (404, Refusal.ADDRESS, "url"),
        (405, Refusal.ADDRESS, "url"),
        (402, Refusal.OTHER, "url"),
        (407, Refusal.OTHER, "url"),
        (410, Refusal.OTHER, "url"),
        (301, Refusal.REDIRECT, "redirect"),
        (302, Refusal.REDIRECT, "redirect"),
        (304, Refusal.REDIRECT, "redirect"),
        (307, Refusal.REDIRECT, "redirect"),
        (308, Refusal.REDIRECT, "redirect"),
    ],
)
def test_a_refusal_says_what_was_refused_and_what_to_do(status: int, kind: Refusal, advice: str) -> None:
    found = said(status, {"error": "no"})
    assert isinstance(found, Refused)
    assert found.kind is kind
    assert str(status) in str(found)
    assert advice in found.advice
    assert not found.unsure


# To be tried again


@pytest.mark.parametrize("status", [408, 409, 423, 425, 429, 500, 501, 503])
def test_an_applications_answer_has_ended_what_was_asked(status: int) -> None:
    found = said(status, {"error": "no"})
    assert type(found) is Transient
    assert str(found) == f"Trakor answered {status}"
    assert found.retry_after is None
    assert found.busy == (status in {429, 503})


@pytest.mark.parametrize("status", [408, 409, 423, 425, 429, 503])
def test_these_are_answers_whoever_gives_them(status: int) -> None:
    assert type(interpret_response(status, HTML, b"<html>", NOW)) is Transient


@pytest.mark.parametrize("status", [502, 504, 520, 522, 524, 530, 599])
def test_a_gateways_word_says_nothing_of_what_is_behind_it_whatever_its_form(status: int) -> None:
    found = said(status, {"error": "no"})
    assert type(found) is Unanswered
    assert found.timed_out == (status in {504, 524})


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (HTML, b'{"error": "no"}'),
        ({}, b'{"error": "no"}'),
        (JSON, b"<html>"),
        (JSON, b'{"error": "n'),
        (JSON, b""),
        (JSON, b'["no"]'),
        (JSON, b'"no"'),
        ({"content-type": "application/problem+json"}, b'{"error": "no"}'),
    ],
)
@pytest.mark.parametrize("status", [500, 501, 505, 507])
def test_a_server_error_that_is_not_the_applications_json_is_no_answer(
    status: int, headers: Mapping[str, str], body: bytes
) -> None:
    found = interpret_response(status, headers, body, NOW)
    assert type(found) is Unanswered
    assert not found.timed_out


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0", 0.0), (formatdate(NOW + 90, usegmt=True), 90.0), ("99999999", 3600.0)],
)
@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_the_wait_that_is_asked_for_is_told_in_seconds_or_as_a_date(
    status: int, value: str, seconds: float
) -> None:
    found = said(status, {}, retry_after=value)
    assert isinstance(found, Transient)
    assert found.retry_after == seconds
    assert found.busy, "who asks for a wait blames its load, not the record"


@pytest.mark.parametrize("value", ["soon", "-3", formatdate(NOW - 90, usegmt=True), ""])
def test_a_wait_that_makes_no_sense_is_none(value: str) -> None:
    found = said(500, {}, retry_after=value)
    assert isinstance(found, Transient)
    assert found.retry_after is None


# Rejected


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_wrong_with_one_record_rejects_that_one(status: int) -> None:
    """The words may hold the record, so they are beside the message and not in it."""
    found = said(status, {"error": "contact_info: 'Ada Ashby' is no e-mail"})
    assert isinstance(found, Rejected)
    assert str(found) == f"Trakor answered {status}"
    assert found.words == "contact_info: 'Ada Ashby' is no e-mail"
    assert "Ada" not in repr(found)


@pytest.mark.parametrize(
    "body",
    [
        {"error": "price: Expected number"},
        {"message": "price: Expected number"},
        {"error": {"message": "price: Expected number"}},
        {"error": "  price:\n\tExpected\u200b number  "},
    ],
)
def test_trakors_words_are_found_where_servers_put_them(body: object) -> None:
    found = said(400, body)
    assert isinstance(found, Rejected)
    assert found.words == "price: Expected number"


@pytest.mark.parametrize(
    "body",
    [b"<html>Bad request</html>", b"", {}, {"error": 3}, {"error": ["x"]}, {"error": {"message": 3}}, []],
)
def test_a_rejection_without_words_has_none(body: object) -> None:
    found = said(400, body)
    assert isinstance(found, Rejected)
    assert found.words == ""


def test_no_more_of_the_words_is_kept_than_a_person_reads() -> None:
    found = said(400, {"error": "must not be so long " * 5000})
    assert isinstance(found, Rejected)
    assert len(found.words) == LONGEST_WORDS


# Anything


@given(
    st.integers(100, 599),
    st.binary(max_size=300) | st.just(b'{"error": "canary"}'),
    st.sampled_from(["application/json", "text/html", "", "x/canary"]),
)
def test_any_answer_whatever_means_something(status: int, body: bytes, kind: str) -> None:
    """And no word of it is in the message."""
    found = interpret_response(status, {"content-type": kind}, body, NOW)
    assert isinstance(found, TrakorAnswer | Transient | Refused | Rejected)
    assert "canary" not in str(found)
