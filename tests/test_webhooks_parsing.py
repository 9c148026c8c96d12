"""Which record a webhook is about, whatever its body looks like."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.records.webhooks import UNKNOWN_ACTION, UNREADABLE, WebhookAction
from bridge.webhooks.parsing import BODY_KEPT, LONGEST_ID, id_of, received

PLACES = (
    "id", "data.id", "contact.id", "deal.id", "ticket.id", "product.id", "idContact", "idTicket",
)  # fmt: skip
SUBJECTS = ("contact", "deal", "product", "")
ID = "5f0e9c1a-8f0c-4c2b-9a57-0a1b2c3d4e5f"


def nested(place: str, value: object) -> dict[str, Any]:
    for name in reversed(place.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def multipart(*fields: tuple[str, str]) -> bytes:
    parts = [
        f'--b0und\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields
    ]
    return "\r\n".join([*parts, "--b0und--\r\n"]).encode()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_an_id_is_found_in_each_place_and_each_form(place: str, subject: str) -> None:
    body = nested(place, ID)
    text = json.dumps(body)
    inner = json.dumps(nested(place.removeprefix("data."), ID))
    bracketed = place.replace(".", "[") + "]" * ("." in place)
    bodies = [
        text.encode(),
        text.encode("utf-8-sig"),
        json.dumps(text).encode(),
        json.dumps({"data": inner}).encode(),
        urlencode({"event": "x", place: ID}).encode(),
        urlencode({bracketed: ID}).encode(),
        urlencode({"data": inner}).encode(),
        multipart(("event", "x"), (place, ID)),
        multipart((bracketed, ID), ("last", "x")),
    ]
    assert [id_of(one, subject) for one in bodies] == [ID] * len(bodies)


@pytest.mark.parametrize(
    ("subject", "body", "found"),
    [
        ("contact", {"id": "other", "contact": {"id": "c"}, "deal": {"id": "d"}}, "c"),
        ("contact", {"id": "other", "idContact": "c", "idTicket": "d"}, "c"),
        ("contact", {"id": "other", "data": {"id": "other", "idContact": "c"}}, "c"),
        ("deal", {"id": "other", "contact": {"id": "c"}, "ticket": {"id": "d"}}, "d"),
        ("deal", {"contact": {"id": "c"}, "id": "d"}, "d"),
        ("deal", {"idContact": "c", "idTicket": "d"}, "d"),
        ("product", {"id": "other", "product": {"id": "p"}}, "p"),
        ("product", {"id": "notification", "data": {"id": "p"}}, "p"),
        ("", {"id": "i", "contact": {"id": "c"}}, "i"),
    ],
)
def test_where_several_ids_are_there_that_of_the_subject_is_taken(
    subject: str, body: object, found: str
) -> None:
    assert id_of(json.dumps(body).encode(), subject) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [(7, "7"), (0, "0"), ("7", "7"), (" a b ", "a b"), ("é", "é"), ("x" * LONGEST_ID, "x" * LONGEST_ID)],
)
def test_an_id_is_a_whole_number_or_text(value: object, found: str) -> None:
    assert id_of(json.dumps({"id": value}).encode(), "contact") == found


@pytest.mark.parametrize(
    "value",
    [None, True, 1.5, 10**30, "", "  ", "a\nb", "\0", "\ud800", "x" * (LONGEST_ID + 1), [1], {"id": 1}],
)
def test_anything_else_is_none_and_the_next_place_is_looked_at(value: object) -> None:
    assert id_of(json.dumps({"id": value}).encode(), "contact") == ""
    if value != "\ud800":  # which spoils the JSON as a whole
        assert id_of(json.dumps({"contact": {"id": value}, "id": "next"}).encode(), "contact") == "next"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b'[{"id": "a"}]', b'"a"', b"7", b"{", b"id", b"\xff\xfe", b"--", b"--b\r\n"),
        b"[" * 100_000,
        b"&".join(b"id=%d" % number for number in range(2000)),
        json.dumps(json.dumps(json.dumps({"id": "a"}))).encode(),
    ],
)
def test_a_body_without_an_id_has_none(body: bytes) -> None:
    assert id_of(body, "contact") == ""


def test_what_is_understood_keeps_no_body() -> None:
    """What else it says is personal data that nobody needs."""
    event = received("north", "deal-stage-changed", b'{"id": "d", "name": "canary"}', 5)
    assert (event.connection, event.action, event.source_id) == (
        "north",
        WebhookAction.DEAL_STAGE_CHANGED,
        "d",
    )
    assert (event.received_at, event.body, event.problem) == (5, None, "")


def test_what_is_not_understood_keeps_the_beginning_of_its_body() -> None:
    event = received("north", "contact-created", b"\0" + b"x" * BODY_KEPT, 5)
    assert event.problem == UNREADABLE
    assert event.body is not None
    assert len(event.body) == BODY_KEPT
    assert "\0" not in event.body  # which PostgreSQL does not take


def test_an_unknown_action_is_kept_with_its_id_and_its_body() -> None:
    event = received("north", "lender-\n" + "x" * 1000, b'{"id": "a"}', 5)
    assert (event.problem, event.source_id, event.body) == (UNKNOWN_ACTION, "a", '{"id": "a"}')
    assert event.action.startswith("lender-?x")
    assert len(event.action) < 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "data", "contact", "deal", "idContact"]) | st.text(), inner, max_size=4
        )
    ),
    max_leaves=8,
)
BODIES = (
    st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | JSON.map(lambda value: json.dumps(json.dumps(value)).encode())
    | st.dictionaries(st.text(), st.text(), max_size=4).map(
        lambda form: urlencode(form, errors="replace").encode()
    )
    | st.binary(max_size=99).map(
        lambda rest: b'--b\r\nContent-Disposition: form-data; name="id"\r\n\r\n' + rest
    )
    | st.binary(max_size=99).map(lambda rest: b"id=" + rest)
)


@given(body=BODIES, action=st.sampled_from([*WebhookAction]) | st.text(max_size=80))
def test_no_body_and_no_action_is_too_strange(body: bytes, action: str) -> None:
    """Whatever comes makes an event that any database can keep, and that says what is wrong with it."""
    event = received("default", action, body, 1)
    for text in (event.action, event.source_id, event.body or ""):
        assert "\0" not in text
        text.encode()  # a lone surrogate could not be
    assert (event.source_id != "") or event.problem
    assert event.source_id == event.source_id.strip()
    assert (event.body is None) == (event.problem == "")
    assert (event.problem == UNKNOWN_ACTION) == (action not in {*WebhookAction})
