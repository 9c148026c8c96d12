"""The simulated Salestrekker as it may be: several brokerages, throttles, moving lists, families."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from bridge.sandbox import BrokenField, Fault, Options, Sandbox, ShapeKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    Ask = Callable[..., Coroutine[Any, Any, tuple[int, Any]]]
    Start = Callable[[Options], Awaitable[Sandbox]]
    LogIn = Callable[[Sandbox], Awaitable[str]]

PAGE = "query ($n: Int, $o: Int) { contacts(limit: $n, offset: $o) { id } }"
ONE = "query ($id: ID!) { contact(id: $id) { id } }"
TWO = "query ($a: ID!, $b: ID!) { a: contact(id: $a) { id } b: contact(id: $b) { id } }"
SWITCH = "mutation ($id: ID!) { authenticateInDifferentOrganization(id: $id) { token } }"


def ids_of(answer: tuple[int, Any]) -> list[str]:
    return [row["id"] for row in answer[1]["data"]["contacts"]]


async def test_each_organisation_has_contacts_of_its_own(
    start_sandbox: Start, ask: Ask, log_in: LogIn
) -> None:
    sandbox = await start_sandbox(
        Options(contacts=3, products=1, organizations=("First", "Second", "Third"), contacts_elsewhere=2)
    )
    token = await log_in(sandbox)
    second = sandbox.salestrekker.world_of("Second")
    new = second.contacts.add("Nora Newcomer")
    _, answer = await ask(sandbox, SWITCH, token, id=second.home.id)
    other = answer["data"]["authenticateInDifferentOrganization"]["token"]
    here, there = ids_of(await ask(sandbox, PAGE, token)), ids_of(await ask(sandbox, PAGE, other))
    assert (len(here), len(there), there[-1]) == (3, 3, new)
    assert not set(here) & set(there)
    assert (await ask(sandbox, ONE, other, id=here[0]))[1]["data"]["contact"] is None
    assert sandbox.salestrekker.world_of(second.home.id) is second
    assert sandbox.salestrekker.world_of() is sandbox.salestrekker.world_of("First")
    assert len(sandbox.salestrekker.world_of("Third").contacts) == 2
    with pytest.raises(KeyError, match="Fourth"):
        sandbox.salestrekker.world_of("Fourth")


async def test_all_organisations_are_listed_from_each(start_sandbox: Start, ask: Ask, log_in: LogIn) -> None:
    sandbox = await start_sandbox(Options(contacts=1, products=0, organizations=("First", "Second"), home=1))
    query, token = "{ organizations { id organization { name } } }", await log_in(sandbox)
    _, answer = await ask(sandbox, SWITCH, token, id=sandbox.salestrekker.world_of("Second").home.id)
    other = answer["data"]["authenticateInDifferentOrganization"]["token"]
    assert (await ask(sandbox, query, token))[1] == (await ask(sandbox, query, other))[1]
    assert len(ids_of(await ask(sandbox, PAGE, other))) == 1


async def test_a_throttle_is_200_and_says_how_long_to_wait(sandbox: Sandbox, ask: Ask, log_in: LogIn) -> None:
    token = await log_in(sandbox)
    armed = sandbox.salestrekker.throttle(5, times=2, kind="contacts")
    status, answer = await ask(sandbox, PAGE, token)
    assert (status, answer["data"]) == (200, None)
    assert answer["errors"][0]["extensions"] == {"code": "THROTTLED", "retryAfter": 5}
    assert "errors" not in (await ask(sandbox, "{ labels { id } }", token))[1]
    assert "errors" in (await ask(sandbox, PAGE, token))[1]
    assert "errors" not in (await ask(sandbox, PAGE, token))[1]
    assert armed.hits == 2


async def test_a_record_removed_between_two_pages_hides_a_living_one(
    sandbox: Sandbox, ask: Ask, log_in: LogIn
) -> None:
    token, contacts = await log_in(sandbox), sandbox.contacts
    gone, hidden = contacts.id_at(0), contacts.id_at(100)

    def is_second(exchange: Any) -> bool:  # noqa: ANN401 - an Exchange
        return bool(exchange.content["variables"].get("o") == 100)

    sandbox.salestrekker.faults.add(
        Fault(kind="contacts", where=is_second, before=lambda: contacts.remove(gone))
    )
    read = [one for offset in (0, 100) for one in ids_of(await ask(sandbox, PAGE, token, n=100, o=offset))]
    assert gone in read
    assert hidden not in read
    assert hidden in contacts


async def test_a_record_added_first_between_two_pages_is_not_read_and_shows_another_twice(
    sandbox: Sandbox, ask: Ask, log_in: LogIn
) -> None:
    token, contacts = await log_in(sandbox), sandbox.contacts
    first = ids_of(await ask(sandbox, PAGE, token, n=100, o=0))
    new = contacts.add("Nora Newcomer", first=True)
    newer = contacts.add("Nora Newest", first=True)
    second = ids_of(await ask(sandbox, PAGE, token, n=100, o=100))
    assert second[:2] == first[98:]
    assert ids_of(await ask(sandbox, PAGE, token, n=2, o=0)) == [newer, new]
    assert (await ask(sandbox, ONE, token, id=new))[1]["data"]["contact"] == {"id": new}
    contacts.rename(new, "Nora Known")
    contacts.remove(newer)
    assert contacts.id_at(0) == new
    assert (len(contacts), newer in contacts) == (201, False)


async def test_a_record_added_first_is_paged_by_cursor_too(
    start_sandbox: Start, ask: Ask, log_in: LogIn
) -> None:
    sandbox = await start_sandbox(Options(contacts=3, products=0, shape=ShapeKind.RELAY))
    new = sandbox.contacts.add("Nora Newcomer", first=True)
    query = "query ($a: String) { contacts(first: 1, after: $a) { nodes { id } pageInfo { endCursor } } }"
    token = await log_in(sandbox)
    page = (await ask(sandbox, query, token))[1]["data"]["contacts"]
    assert page["nodes"] == [{"id": new}]
    _, after = await ask(sandbox, query, token, a=page["pageInfo"]["endCursor"])
    assert after["data"]["contacts"]["nodes"] == [{"id": sandbox.contacts.id_at(1)}]


async def test_requests_are_held_until_they_are_let_go(sandbox: Sandbox, ask: Ask, log_in: LogIn) -> None:
    """What is removed meanwhile is not in the page any more."""
    token, salestrekker = await log_in(sandbox), sandbox.salestrekker
    salestrekker.hold(kind="contacts", times=None)
    task = asyncio.create_task(ask(sandbox, PAGE, token, n=10))
    await salestrekker.wait_for(lambda: salestrekker.traffic.in_flight == 1)
    gone = sandbox.contacts.id_at(0)
    sandbox.contacts.remove(gone)
    salestrekker.release()
    assert gone not in ids_of(await task)
    assert len(salestrekker.faults) == 0


async def test_one_id_fails_for_a_while_and_its_neighbours_and_lists_do_not(
    sandbox: Sandbox, ask: Ask, log_in: LogIn
) -> None:
    token, world = await log_in(sandbox), sandbox.salestrekker.world
    bad, good = world.contacts.id_at(0), world.contacts.id_at(1)
    broken = world.fail_by_id(bad)
    _, answer = await ask(sandbox, TWO, token, a=bad, b=good)
    assert answer["data"] == {"a": None, "b": {"id": good}}
    assert [(one["path"], one["extensions"]["code"]) for one in answer["errors"]] == [
        (["a"], "INTERNAL_SERVER_ERROR")
    ]
    assert bad in ids_of(await ask(sandbox, PAGE, token))
    world.mend_field(broken)
    assert (await ask(sandbox, ONE, token, id=bad))[1] == {"data": {"contact": {"id": bad}}}


async def test_one_id_fails_so_many_times(sandbox: Sandbox, ask: Ask, log_in: LogIn) -> None:
    token, world = await log_in(sandbox), sandbox.salestrekker.world
    bad = world.contacts.id_at(0)
    world.fail_by_id(bad, times=2)
    await ask(sandbox, PAGE, token)
    failed = ["errors" in (await ask(sandbox, ONE, token, id=bad))[1] for _ in range(3)]
    assert (failed, world.broken) == ([True, True, False], [])


def test_a_field_is_broken_once_at_least() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        BrokenField(stream="contacts", path="id", times=0)


def test_a_family_has_one_address_and_father_and_son_one_name() -> None:
    sandbox = Sandbox(Options(contacts=0, products=0))
    family = sandbox.contacts.add_family("Otto Ashby", "Olive Ashby", email="ashby@example.com")
    rows = [sandbox.contacts.get(identity) for identity in family]
    people = [row["person"] for row in rows if row]
    names = [(one["information"]["firstName"], one["information"]["familyName"]) for one in people]
    assert names == [("Otto", "Ashby"), ("Otto", "Ashby"), ("Olive", "Ashby")]
    assert {one["contact"]["email"] for one in people} == {"ashby@example.com"}
    assert len({one["contact"]["primary"] for one in people}) == 3
