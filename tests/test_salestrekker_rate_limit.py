"""A throttle of GraphQL's own: HTTP 200, and an error that says how long to wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from bridge.errors import Transient
from bridge.records import Stream
from bridge.retry import RetryPolicy
from bridge.salestrekker.by_id_query import load_by_id_query
from bridge.salestrekker.client import SalestrekkerClient
from bridge.salestrekker.graphql_errors import parse_result
from bridge.salestrekker.list_query import load_list_query
from bridge.salestrekker.query_files import shipped_queries
from bridge.salestrekker.responses import HttpResponse, error_from, interpret_response, read_items
from bridge.sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.sandbox import Sandbox

CONTACTS = load_list_query("contacts.graphql", [shipped_queries()])
ONE = load_by_id_query("contact.graphql", [shipped_queries()])


def throttled(**extensions: object) -> dict[str, Any]:
    return {"message": "Slow down.", "extensions": {"code": "THROTTLED", **extensions}}


@pytest.mark.parametrize(
    ("extensions", "seconds"),
    [
        ({"retryAfter": 7}, 7.0),
        ({"retry_after": 0.5}, 0.5),
        ({"retryAfter": "7"}, 7.0),
        ({"retryAfter": "1500ms"}, 1.5),
        ({"retryAfter": "2s"}, 2.0),
        ({"retryAfter": 2500}, 2.5),
        ({"retryAfterMs": 250}, 0.25),
        ({"retryAfterSeconds": 1200}, 1200.0),
        ({"retryAfter": "7200s"}, 3600.0),
        ({"retryAfter": 10**14}, 3600.0),
        ({"retryAfter": "soon"}, None),
        ({"retryAfter": True}, None),
        ({"retryAfter": -1}, None),
        ({"retryAfter": float("nan")}, None),
        ({"retryAfter": [3]}, None),
        ({}, None),
    ],
)
def test_the_wait_is_read_in_seconds_or_milliseconds_and_is_an_hour_at_most(
    extensions: dict[str, object], seconds: float | None
) -> None:
    result = parse_result(None, [throttled(**extensions)])
    assert result.retry_after == (None if seconds is None else pytest.approx(seconds))
    fault = error_from(result.errors, "contacts.graphql")
    assert isinstance(fault, Transient)
    assert fault.busy
    assert fault.retry_after == result.retry_after


def test_only_a_throttle_asks_for_a_wait() -> None:
    """Another error's extensions may say what they like."""
    error = {"message": "No.", "extensions": {"code": "FORBIDDEN", "retryAfter": 7}}
    assert parse_result(None, [error]).retry_after is None


def test_a_throttle_with_429_and_no_header_is_waited_for_too() -> None:
    body = b'{"errors": [{"message": "x", "extensions": {"code": "THROTTLED", "retryAfter": 9}}]}'
    meaning = interpret_response(HttpResponse(429, {"Content-Type": "application/json"}, body), 0.0)
    assert isinstance(meaning, Transient)
    assert meaning.retry_after == 9.0


def test_a_throttle_inside_an_item_is_one_of_the_request() -> None:
    """The item is not broken: it says nothing of itself."""
    error = {**throttled(retryAfter=3), "path": ["contacts", 0, "person"]}
    result = parse_result({"contacts": [{"id": "a", "person": None}]}, [error])
    with pytest.raises(Transient) as caught:
        read_items(result, CONTACTS)
    assert (caught.value.busy, caught.value.retry_after) == (True, 3.0)


def identify(data: Mapping[str, object]) -> str | None:
    return str(data["id"])


def client_of(sandbox: Sandbox, **retries: Any) -> SalestrekkerClient:  # noqa: ANN401 - of several types
    return SalestrekkerClient(
        url=sandbox.salestrekker_url,
        api_key=sandbox.options.api_key,
        requests_per_minute=0,
        timeout=5.0,
        retries=RetryPolicy(**({"attempts": 3, "total": 5.0, "first": 0.001, "longest": 0.002} | retries)),
    )


async def test_a_throttle_is_waited_out_by_the_whole_connection(sandbox: Sandbox) -> None:
    """Who was not throttled himself waits too: nothing is asked before the time has come."""
    async with client_of(sandbox, attempts=1) as client:
        await client.authenticate()
        sandbox.salestrekker.throttle(1, times=1, kind="contact")
        ids = [sandbox.contacts.id_at(0)]
        with pytest.raises(Transient):
            await client.read_by_id(ONE, ids, stream=Stream.CONTACTS, identify=identify, ids_per_request=25)
        began = time.monotonic()
        await client.probe()
        assert time.monotonic() - began > 0.5


async def test_what_was_throttled_is_asked_again_by_itself(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        sandbox.salestrekker.throttle(0.05, times=2, kind="contact")
        ids = [sandbox.contacts.id_at(0)]
        found = await client.read_by_id(
            ONE, ids, stream=Stream.CONTACTS, identify=identify, ids_per_request=25
        )
    assert [one.id for one in found.records] == ids


async def test_a_throttle_that_lasts_longer_than_a_retry_is_handed_on(sandbox: Sandbox) -> None:
    """Its caller pauses the reading, which says so; no request is made before."""
    async with client_of(sandbox, total=0.2) as client:
        await client.authenticate()
        sandbox.salestrekker.throttle(30, times=1)
        with pytest.raises(Transient) as caught:
            await client.probe()
        before = sandbox.salestrekker.traffic.total
        assert caught.value.retry_after == 30.0
        with pytest.raises(Transient) as again:
            await client.probe()
    assert again.value.retry_after == pytest.approx(30.0, abs=5)
    assert sandbox.salestrekker.traffic.total == before


async def test_a_throttled_log_in_is_no_refusal(sandbox: Sandbox) -> None:
    answer = {"data": None, "errors": [throttled(retryAfter="10ms")]}
    sandbox.salestrekker.faults.add(Fault(kind="authenticate", status=200, body=answer, times=2))
    async with client_of(sandbox) as client:
        await client.authenticate()
