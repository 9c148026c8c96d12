"""Records by id, from the simulated Salestrekker: many in one request, around what takes a request down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from graphql import build_schema, parse, validate

from bridge.errors import BridgeError, QueryFileError, Refused, Transient
from bridge.records import Stream
from bridge.retry import RetryPolicy
from bridge.salestrekker.by_id_query import (
    build_batch_request,
    deal_contacts,
    load_by_id_query,
    load_deal_query,
    read_batch_response,
)
from bridge.salestrekker.client import SalestrekkerClient
from bridge.salestrekker.graphql_errors import parse_result
from bridge.salestrekker.query_files import shipped_queries
from bridge.sandbox import AuthErrorStyle, BrokenField, Fault, Options, Sandbox
from bridge.sandbox.graphql_engine import shipped_sdl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bridge.salestrekker.by_id_query import ByIdQuery
    from bridge.salestrekker.pages import RecordsById
    from bridge.sandbox.request_log import Exchange

QUICK = RetryPolicy(attempts=3, total=5.0, first=0.001, longest=0.002)
CONTACT = load_by_id_query("contact.graphql", [shipped_queries()])
PRODUCT = load_by_id_query("product.graphql", [shipped_queries()])
TICKET = load_deal_query("ticket.graphql", [shipped_queries()])
SCHEMA = build_schema(shipped_sdl())


def identify(data: Mapping[str, object]) -> str | None:
    found = data.get("id")
    return found if isinstance(found, str) else None


def client_of(sandbox: Sandbox, **changes: Any) -> SalestrekkerClient:  # noqa: ANN401 - of several types
    arguments: dict[str, Any] = {
        "url": sandbox.salestrekker_url,
        "api_key": sandbox.options.api_key,
        "requests_per_minute": 0,
        "timeout": 5.0,
        "retries": QUICK,
    } | changes
    return SalestrekkerClient(**arguments)


async def read(
    client: SalestrekkerClient, ids: list[str], size: int = 25, query: ByIdQuery = CONTACT
) -> RecordsById:
    return await client.read_by_id(
        query, ids, stream=Stream.CONTACTS, identify=identify, ids_per_request=size
    )


def contact_ids(sandbox: Sandbox, count: int) -> list[str]:
    return [sandbox.contacts.id_at(place) for place in range(count)]


def asked(exchange: Exchange) -> list[str]:
    """The ids that a request was for."""
    return list((exchange.content.get("variables") or {}).values())


def sizes(sandbox: Sandbox, kind: str = "contact") -> list[int]:
    """How many ids each request was for, in order."""
    found = sandbox.salestrekker.traffic.exchanges
    return [len(asked(exchange)) for exchange in found if exchange.kind == kind]


def with_id(*ids: str) -> Callable[[Exchange], bool]:
    return lambda exchange: not set(ids).isdisjoint(asked(exchange))


def more_than(most: int) -> Callable[[Exchange], bool]:
    return lambda exchange: len(asked(exchange)) > most


def ids_of(found: RecordsById) -> set[str]:
    return {record.id for record in found.records}


def query_of(folder: Path, text: str, load: Callable[..., ByIdQuery] = load_by_id_query) -> ByIdQuery:
    (folder / "one.graphql").write_text(text)
    return load("one.graphql", [folder])


# What is sent


@pytest.mark.parametrize("query", [CONTACT, PRODUCT, TICKET], ids=lambda query: query.document.name)
@pytest.mark.parametrize("count", [1, 2, 200])
def test_any_number_of_ids_makes_one_valid_operation(query: ByIdQuery, count: int) -> None:
    ids = [f"id-{place}" for place in range(count)]
    text, variables = build_batch_request(query, ids)
    document = parse(text)
    assert validate(SCHEMA, document) == []
    assert list(variables.values()) == ids
    assert text.count("fragment ") == query.document.text.count("fragment ")


def test_a_single_id_is_asked_for_with_the_query_as_it_stands() -> None:
    assert build_batch_request(CONTACT, ["a"]) == (CONTACT.document.text, {"id": "a"})


def test_the_operation_of_a_number_of_ids_is_made_once() -> None:
    assert build_batch_request(CONTACT, ["a", "b"])[0] is build_batch_request(CONTACT, ["c", "d"])[0]


def test_what_else_the_query_declares_and_passes_stays(tmp_path: Path) -> None:
    query = query_of(
        tmp_path,
        "query Q($id: ID!, $deep: Boolean = true) {"
        " c: contact(id: $id, where: {id: {eq: $id}}) @include(if: $deep) { id } }",
    )
    text, variables = build_batch_request(query, ["a", "b"])
    assert variables == {"id0": "a", "id1": "b"}
    assert "($id0: ID!, $id1: ID!, $deep: Boolean = true)" in text
    assert "r1: contact(id: $id1, where: {id: {eq: $id1}}) @include(if: $deep)" in text.replace(
        "{ id: { eq: $id1 } }", "{id: {eq: $id1}}"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{ contact(id: 1) { id } }", r"one\.graphql:1:1: declares no variable \$id"),
        ("query ($id: ID!) { contact { id } }", r"one\.graphql:1:20: is not given \$id"),
        ("query ($id: ID!) { contact(id: $id) { name } }", r"the record `contact` does not select `id`"),
        ("query ($id: ID!) { a: contact(id: $id) { id } b: contact(id: $id) { id } }", "has 2 root fields"),
        ("query ($id: ID!) { contact(id: $id) { id note(of: $id) } }", r"1:8: \$id is also used outside of"),
        ("query ($id: ID!, $x: Int!) { contact(id: $id, x: $x) { id } }", r"\$x needs a value"),
        ("query ($id: ID!) { ...F } fragment F on Query { contact(id: $id) { id } }", "a fragment in place"),
        ("mutation ($id: ID!) { contact(id: $id) { id } }", "a mutation is not a query"),
    ],
)
def test_a_query_that_cannot_ask_by_id_is_refused_with_its_place(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(QueryFileError, match=said) as caught:
        query_of(tmp_path, text)
    assert caught.value.advice


def test_a_ticket_query_without_the_contacts_is_refused(tmp_path: Path) -> None:
    text = "query ($id: ID!) { ticket(id: $id) { id ticketClientTypes { idLabel } } }"
    with pytest.raises(QueryFileError, match="does not ask for the contacts of the deal"):
        query_of(tmp_path, text, load_deal_query)


@pytest.mark.parametrize("inner", ["idClients", "ticketClientTypes { idContact }"])
def test_either_way_of_naming_the_contacts_is_enough(tmp_path: Path, inner: str) -> None:
    text = f"query ($id: ID!) {{ ticket(id: $id) {{ id {inner} }} }}"
    assert query_of(tmp_path, text, load_deal_query).file.endswith("one.graphql")


# What an answer means


def test_what_an_answer_does_not_mention_is_not_absent() -> None:
    with pytest.raises(Transient, match="does not hold all"):
        read_batch_response(parse_result({"r0": None}, None), CONTACT, ["a", "b"], 0)
    with pytest.raises(Transient, match="null, and no error"):
        read_batch_response(parse_result(None, None), CONTACT, ["a"], 0)


def test_what_another_record_took_down_is_unread() -> None:
    """Where the schema allows no null, one record's error leaves no data at all."""
    error = {"message": "boom", "path": ["r1", "person"]}
    answered = read_batch_response(parse_result(None, [error]), CONTACT, ["a", "b", "c"], 7)
    assert (set(answered.item_errors), answered.unread, answered.retryable) == ({"b"}, ("a", "c"), ("b",))


def test_an_error_that_says_that_there_is_too_much_to_do_concerns_all() -> None:
    error = {"message": "slow down", "path": ["r1"], "extensions": {"code": "RATE_LIMITED"}}
    with pytest.raises(Transient) as caught:
        read_batch_response(parse_result({"r0": {"id": "a"}, "r1": None}, [error]), CONTACT, ["a", "b"], 0)
    assert caught.value.busy


def test_a_list_where_one_record_is_asked_for_is_the_querys_fault() -> None:
    with pytest.raises(QueryFileError, match="answers with a list"):
        read_batch_response(parse_result({"contact": [{"id": "a"}, {"id": "b"}]}, None), CONTACT, ["a"], 0)


def test_no_words_of_the_server_about_a_record_are_repeated() -> None:
    error = {"message": "Ada Ashby is broken", "path": ["r0", "person"], "extensions": {"code": "X"}}
    answered = read_batch_response(parse_result({"r0": None, "r1": None}, [error]), CONTACT, ["a", "b"], 0)
    assert answered.item_errors["a"] == "Salestrekker reports an error at person"


@pytest.mark.parametrize(
    ("deal", "contacts"),
    [
        ({"idClients": ["a", "b"], "ticketClientTypes": [{"idContact": "b"}, {"idContact": "c"}]}, "a b c"),
        ({"idClients": None, "ticketClientTypes": None}, ""),
        ({"idClients": [7, None, ""], "ticketClientTypes": [None, {}]}, "7"),
    ],
)
def test_a_deal_names_each_of_its_contacts_once(deal: Mapping[str, object], contacts: str) -> None:
    assert deal_contacts(deal) == tuple(contacts.split())


# Against the server


async def test_many_records_share_few_requests(sandbox: Sandbox) -> None:
    ids = contact_ids(sandbox, 60)
    before = time.time() * 1000
    async with client_of(sandbox) as client:
        found = await read(client, [*ids, ids[0]])
    assert (ids_of(found), found.absent, found.broken) == (set(ids), [], [])
    assert sizes(sandbox) == [25, 25, 10]
    assert before - 1 <= found.read_at <= min(record.read_at for record in found.records)


async def test_no_ids_cost_no_request(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        found = await read(client, [])
    assert (found.records, found.absent, found.broken) == ([], [], [])
    assert sizes(sandbox) == []


async def test_requests_of_one_call_run_side_by_side_as_the_gate_lets_them(sandbox: Sandbox) -> None:
    sandbox.salestrekker.latency = 0.05
    async with client_of(sandbox, max_in_flight=3) as client:
        await read(client, contact_ids(sandbox, 20), size=2)
    assert sandbox.salestrekker.traffic.max_in_flight == 3


async def test_a_record_reads_the_same_by_id_as_in_the_list(sandbox: Sandbox) -> None:
    ids = contact_ids(sandbox, 3)
    async with client_of(sandbox) as client:
        together = {record.id: record.data for record in (await read(client, ids)).records}
        alone = {one: (await read(client, [one])).records[0].data for one in ids}
    assert together == alone


async def test_a_deleted_record_is_absent_and_its_neighbours_are_read(sandbox: Sandbox) -> None:
    first, second, third = contact_ids(sandbox, 3)
    sandbox.contacts.remove(second)
    async with client_of(sandbox) as client:
        found = await read(client, [first, second, third])
    assert (ids_of(found), found.absent, found.broken) == ({first, third}, [second], [])


@pytest.mark.parametrize("path", ["person.contact.email", "id", ""])
async def test_a_record_with_an_error_is_broken_and_no_other(sandbox: Sandbox, path: str) -> None:
    sandbox.salestrekker.world.break_field(
        BrokenField(stream="contacts", path=path, id=contact_ids(sandbox, 3)[1])
    )
    ids = contact_ids(sandbox, 3)
    async with client_of(sandbox) as client:
        found = await read(client, ids)
    assert ids_of(found) == {ids[0], ids[2]}
    assert [(one.position, one.id) for one in found.broken] == [(1, ids[1])]
    assert "FORBIDDEN" in found.broken[0].message
    assert found.absent == []


async def test_a_fault_of_one_record_that_may_pass_is_looked_at_once_more(sandbox: Sandbox) -> None:
    ids = contact_ids(sandbox, 3)
    answer = {
        "data": {"r0": {"id": ids[0]}, "r1": None, "r2": {"id": ids[2]}},
        "errors": [{"message": "boom", "path": ["r1"], "extensions": {"code": "INTERNAL_SERVER_ERROR"}}],
    }
    sandbox.salestrekker.faults.add(Fault(kind="contact", status=200, body=answer))
    async with client_of(sandbox) as client:
        found = await read(client, ids)
    assert (ids_of(found), found.broken) == (set(ids), [])
    assert sizes(sandbox) == [3, 1]


async def test_a_fault_of_one_record_that_lasts_makes_it_broken(sandbox: Sandbox) -> None:
    ids = contact_ids(sandbox, 3)
    broken = BrokenField(stream="contacts", path="", id=ids[1], code="INTERNAL_SERVER_ERROR")
    sandbox.salestrekker.world.break_field(broken)
    async with client_of(sandbox) as client:
        found = await read(client, ids)
    assert (ids_of(found), [one.id for one in found.broken]) == ({ids[0], ids[2]}, [ids[1]])
    assert sizes(sandbox) == [3, 1]


REFUSALS = [
    Fault(kind="contact", status=413, body="<html>too large</html>", times=None),
    Fault(kind="contact", status=400, body="<html>bad request</html>", times=None),
    Fault(
        kind="contact",
        status=400,
        body={
            "errors": [
                {"message": "Aliases limit exceeded", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}
            ]
        },
        times=None,
    ),
    Fault(kind="contact", status=200, body={"errors": [{"message": "Query is too complex"}]}, times=None),
    Fault(
        kind="contact",
        status=200,
        body={"data": None, "errors": [{"message": "m", "extensions": {"code": "MAX_COST"}}]},
        times=None,
    ),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=["413", "400", "aliases", "complexity", "cost"])
async def test_a_server_that_refuses_large_requests_is_asked_for_less_from_then_on(
    sandbox: Sandbox, refusal: Fault
) -> None:
    """All are read, by the first call already; and later calls try no large request again."""
    ids = contact_ids(sandbox, 20)
    limited = Fault(kind="contact", where=more_than(6), status=refusal.status, body=refusal.body, times=None)
    sandbox.salestrekker.faults.add(limited)
    async with client_of(sandbox) as client:
        found = await read(client, ids)
        assert (ids_of(found), found.broken) == (set(ids), [])
        assert sizes(sandbox) == [20, 10, 5, 5, 10, 5, 5]
        assert ids_of(await read(client, ids)) == set(ids)
        assert sizes(sandbox)[7:] == [5] * 4


async def test_a_server_that_takes_one_at_a_time_is_asked_so(sandbox: Sandbox) -> None:
    ids = contact_ids(sandbox, 4)
    sandbox.salestrekker.faults.add(
        Fault(kind="contact", where=more_than(1), status=413, body="<html>", times=None)
    )
    async with client_of(sandbox) as client:
        assert ids_of(await read(client, ids)) == set(ids)
        assert ids_of(await read(client, ids)) == set(ids)
    assert sizes(sandbox)[-4:] == [1] * 4


async def test_no_words_of_the_server_are_repeated_where_it_does_not_say_which_record_they_are_of(
    sandbox: Sandbox,
) -> None:
    """They go into the log, and may be what a record says."""
    body = {"errors": [{"message": "Jane Doe of 12 Main Street is odd"}]}
    sandbox.salestrekker.faults.add(Fault(kind="contact", status=400, body=body, times=None))
    async with client_of(sandbox) as client:
        with pytest.raises(Transient, match=r"^Salestrekker reports an error$"):
            await read(client, contact_ids(sandbox, 1))


@pytest.mark.parametrize("poisoned", [[0], [7], [2, 3], [0, 7]])
@pytest.mark.parametrize("status", [500, 400])
async def test_a_poisoned_id_stops_only_itself(sandbox: Sandbox, status: int, poisoned: list[int]) -> None:
    ids = contact_ids(sandbox, 8)
    bad = [ids[place] for place in poisoned]
    sandbox.salestrekker.faults.add(
        Fault(kind="contact", where=with_id(*bad), status=status, body="<html>no</html>", times=None)
    )
    async with client_of(sandbox) as client:
        found = await read(client, ids)
        assert [one.id for one in found.broken] == bad
        assert ids_of(found) == set(ids) - set(bad)
        sandbox.salestrekker.faults.clear()
        await read(client, ids)
    assert sizes(sandbox)[-1] == 8, "it was not their number"


async def test_many_poisoned_ids_side_by_side_stop_only_themselves(sandbox: Sandbox) -> None:
    """More than may be doubted in a row: what has passed once tells that it is they."""
    ids = contact_ids(sandbox, 12)
    bad = ids[:5]
    async with client_of(sandbox) as client:
        await read(client, ids[-1:])
        sandbox.salestrekker.faults.add(Fault(kind="contact", where=with_id(*bad), status=500, times=None))
        found = await read(client, ids)
    assert [one.id for one in found.broken] == bad
    assert ids_of(found) == set(ids) - set(bad)


async def test_ids_that_fail_all_reading_do_not_come_first_for_ever(sandbox: Sandbox) -> None:
    """Nothing has passed yet that could tell that it is they: the next reading begins with others."""
    ids = contact_ids(sandbox, 12)
    bad = ids[:5]
    sandbox.salestrekker.faults.add(Fault(kind="contact", where=with_id(*bad), status=500, times=None))
    async with client_of(sandbox) as client:
        with pytest.raises(Transient):
            await read(client, ids)
        found = await read(client, ids)
    assert sorted(one.id for one in found.broken) == sorted(bad)
    assert ids_of(found) == set(ids) - set(bad)


async def test_an_id_that_the_server_does_not_take_is_broken_where_others_were_taken(
    sandbox: Sandbox,
) -> None:
    body = {
        "errors": [{"message": 'Variable "$id" got invalid value', "extensions": {"code": "BAD_USER_INPUT"}}]
    }
    good = contact_ids(sandbox, 1)
    sandbox.salestrekker.faults.add(
        Fault(kind="contact", where=with_id("rubbish"), status=400, body=body, times=None)
    )
    async with client_of(sandbox) as client:
        with pytest.raises(QueryFileError):
            await read(client, ["rubbish"])
        await read(client, good)
        found = await read(client, ["rubbish"])
    assert [one.id for one in found.broken] == ["rubbish"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(kind="contact", status=502, times=None), Transient),
        (Fault(kind="contact", reset=True, times=None), Transient),
        (Fault(kind="contact", status=404, body="<html>", times=None), Refused),
    ],
    ids=["502", "reset", "404"],
)
async def test_where_nothing_passes_no_record_is_at_fault(
    sandbox: Sandbox, fault: Fault, kind: type[BridgeError]
) -> None:
    """And an outage is not made worse: the parts are asked for once, and not all of them."""
    sandbox.salestrekker.faults.add(fault)
    async with client_of(sandbox) as client:
        with pytest.raises(kind):
            await read(client, contact_ids(sandbox, 25))
    assert len(sizes(sandbox)) <= 3 + 8


async def test_an_outage_that_begins_in_the_middle_breaks_no_record(sandbox: Sandbox) -> None:
    """The first half passes, then nothing: what was not read is not broken."""
    ids = contact_ids(sandbox, 2)
    faults = sandbox.salestrekker.faults
    faults.add(Fault(kind="contact", where=more_than(1), status=500, times=None))
    faults.add(Fault(kind="contact", where=with_id(ids[1]), status=500, times=None))
    faults.add(Fault(kind="contact", where=with_id(ids[0]), status=500, every=2, times=None))
    async with client_of(sandbox) as client:
        with pytest.raises(Transient):
            await read(client, ids)


async def test_too_many_requests_is_no_reason_for_more_of_them(sandbox: Sandbox) -> None:
    sandbox.salestrekker.faults.add(Fault(kind="contact", status=429, times=None))
    async with client_of(sandbox) as client:
        with pytest.raises(Transient):
            await read(client, contact_ids(sandbox, 25))
    assert set(sizes(sandbox)) == {25}


async def test_a_passing_fault_is_not_noticed(sandbox: Sandbox) -> None:
    ids = contact_ids(sandbox, 5)
    sandbox.salestrekker.faults.add(Fault(kind="contact", status=503, times=2))
    async with client_of(sandbox) as client:
        assert ids_of(await read(client, ids)) == set(ids)
    assert sizes(sandbox) == [5, 5, 5]


@pytest.mark.parametrize("style", list(AuthErrorStyle))
async def test_a_revoked_token_is_renewed(start_sandbox: Callable[..., Any], style: AuthErrorStyle) -> None:
    sandbox = await start_sandbox(Options(contacts=10, products=0, auth_error_style=style))
    ids = contact_ids(sandbox, 4)
    async with client_of(sandbox) as client:
        await read(client, ids)
        sandbox.salestrekker.revoke_tokens()
        assert ids_of(await read(client, ids)) == set(ids)


async def test_a_revoked_key_is_a_refusal_and_nothing_is_broken(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        await read(client, contact_ids(sandbox, 2))
        sandbox.salestrekker.revoke_key()
        with pytest.raises(Refused, match="API key"):
            await read(client, contact_ids(sandbox, 25))
    assert len(sizes(sandbox)) == 2, "the credentials are at fault: no id is asked for by itself"


async def test_a_field_that_the_schema_lacks_is_the_querys_fault(sandbox: Sandbox, tmp_path: Path) -> None:
    query = query_of(tmp_path, "query Q($id: ID!) { contact(id: $id) { id shoeSize } }")
    async with client_of(sandbox) as client:
        with pytest.raises(QueryFileError, match="shoeSize"):
            await read(client, contact_ids(sandbox, 25), query=query)


async def test_an_answer_about_another_record_is_not_believed(sandbox: Sandbox) -> None:
    ids = contact_ids(sandbox, 2)
    body = {"data": {"contact": {"id": ids[1], "isActive": True}}}
    sandbox.salestrekker.faults.add(Fault(kind="contact", status=200, body=body))
    async with client_of(sandbox) as client:
        found = await read(client, ids[:1])
    assert found.records == []
    assert found.broken[0].message == "it has another id than the one that was asked for"


async def test_deals_tell_whose_they_are(sandbox: Sandbox) -> None:
    """One request for all; one that is not there says so, one that cannot be read is left out."""
    tickets = sandbox.salestrekker.world.tickets
    first, second, gone = (tickets.id_at(place) for place in range(3))
    tickets.remove(gone)
    other = sandbox.contacts.id_at(9)
    tickets.update(second, {"ticketClientTypes": [{"idContact": other, "idLabel": None}]})
    async with client_of(sandbox) as client:
        found = await client.read_deal_contacts(TICKET, [first, second, gone], 25)
    assert found == {
        first: (sandbox.contacts.id_at(0),),
        second: (sandbox.contacts.id_at(1), other),
        gone: None,
    }
    assert sizes(sandbox, "ticket") == [3]
