"""Logging in: by key or e-mail, always to the same organisation, and without a secret in any error."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from bridge.errors import BridgeError, Refused, Transient
from bridge.records import Stream
from bridge.retry import RetryPolicy
from bridge.salestrekker.client import SalestrekkerClient
from bridge.salestrekker.list_query import load_list_query
from bridge.salestrekker.login import (
    AmbiguousOrganization,
    DifferentOrganization,
    LoginCredentials,
    SalestrekkerOrganization,
    choose_organization,
)
from bridge.salestrekker.query_files import shipped_queries
from bridge.sandbox import AuthErrorStyle, BrokenField, Fault, Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.sandbox.salestrekker import Visitor

    Start = Callable[[Options], Awaitable[Sandbox]]

CONTACTS = load_list_query("contacts.graphql", [shipped_queries()])
PASSWORD = "canary-pass-77"
THREE = Options(
    contacts=7, products=0, organizations=("Head Office", "Sydney", "Perth"), home=1, password=PASSWORD
)


def client_of(sandbox: Sandbox, **changes: Any) -> SalestrekkerClient:  # noqa: ANN401 - of several types
    arguments: dict[str, Any] = {
        "url": sandbox.salestrekker_url,
        "email": sandbox.options.email,
        "password": sandbox.options.password,
        "requests_per_minute": 0,
        "timeout": 5.0,
        "retries": RetryPolicy(attempts=2, total=20.0, first=0.01, longest=0.02),
    } | changes
    return SalestrekkerClient(**arguments)


async def read(client: SalestrekkerClient) -> list[str]:
    pages = client.read_pages(
        CONTACTS, stream=Stream.CONTACTS, identify=lambda data: str(data["id"]), page_size=50
    )
    return [record.id async for page in pages for record in page.records]


def ids(sandbox: Sandbox) -> list[str]:
    return [row["id"] for row in sandbox.contacts]


def kinds(sandbox: Sandbox) -> Counter[str]:
    return Counter(exchange.kind for exchange in sandbox.salestrekker.traffic.exchanges)


def everything_said(error: BaseException) -> str:
    """All that a log or a debugger could show of an error and of those behind it."""
    words, waiting = [], [error]
    while waiting:
        one = waiting.pop()
        words += [str(one), repr(one), repr(one.args), repr(vars(one))]
        waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
    return "\n".join(words)


async def test_email_and_password_read_as_a_key_does(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        assert await read(client) == ids(sandbox)
    assert kinds(sandbox)["authenticate"] == 1


@pytest.mark.parametrize("wanted", ["Sydney", "sydney", "  SYDNEY "])
async def test_the_configured_organisation_is_read(start_sandbox: Start, wanted: str) -> None:
    """Whatever the case and the spaces; the log-in begins in another one."""
    sandbox = await start_sandbox(THREE)
    async with client_of(sandbox, organization=wanted) as client:
        assert await read(client) == ids(sandbox)
        assert client.organization == sandbox.salestrekker.world.home.id


async def test_an_id_will_do_and_so_will_a_key(start_sandbox: Start) -> None:
    sandbox = await start_sandbox(THREE)
    wanted = sandbox.salestrekker.world.home.id
    access = {"api_key": sandbox.options.api_key, "email": "", "password": ""}
    async with client_of(sandbox, organization=wanted, **access) as client:
        assert await read(client) == ids(sandbox)


async def test_of_several_organisations_one_has_to_be_named(start_sandbox: Start) -> None:
    """Nothing is read: nobody can guess whose clients are wanted."""
    sandbox = await start_sandbox(THREE)
    async with client_of(sandbox) as client:
        with pytest.raises(AmbiguousOrganization, match="3 organisations") as caught:
            await read(client)
    assert "Head Office (id " in str(caught.value)
    assert kinds(sandbox) == {"authenticate": 1, "organizations": 1}


async def test_the_only_organisation_needs_no_name(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        await client.authenticate()
        assert client.organization == sandbox.salestrekker.world.home.id
    assert kinds(sandbox) == {"authenticate": 1, "organizations": 1}


async def test_where_no_list_is_given_the_tokens_word_counts(sandbox: Sandbox) -> None:
    body = {"data": None, "errors": [{"message": "no", "extensions": {"code": "FORBIDDEN"}}]}
    sandbox.salestrekker.faults.add(Fault(kind="organizations", status=200, body=body, times=None))
    async with client_of(sandbox) as client:
        assert await read(client) == ids(sandbox)
        assert client.organization == sandbox.salestrekker.world.home.id


async def test_each_login_is_held_before_its_token_is_used(sandbox: Sandbox) -> None:
    """Also a renewal; what is refused reads nothing."""
    held: list[str] = []

    async def hold(organization: str) -> None:
        held.append(organization)
        if len(held) > 1:
            raise DifferentOrganization("another one")

    now = time.time()
    home = sandbox.salestrekker.world.home.id
    async with client_of(sandbox, hold=hold, clock=lambda: now) as client:
        assert await read(client) == ids(sandbox)
        sandbox.salestrekker.traffic.clear()
        now += 15 * 86_400
        with pytest.raises(DifferentOrganization):
            await read(client)
    assert held == [home, home]
    assert kinds(sandbox)["contacts"] == 0


async def test_the_organisation_that_the_login_begins_in_needs_no_second_token(start_sandbox: Start) -> None:
    sandbox = await start_sandbox(THREE)
    first = sandbox.salestrekker.world.organizations[0].id
    async with client_of(sandbox, organization=first) as client:
        await client.authenticate()
    assert kinds(sandbox) == {"authenticate": 1}


async def test_each_renewal_goes_to_the_same_organisation(
    start_sandbox: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a later log-in begins elsewhere: its user looked at another one."""
    sandbox = await start_sandbox(THREE)
    now = time.time()
    async with client_of(sandbox, organization="Sydney", clock=lambda: now) as client:
        before = await read(client)
        settled = client.organization
        give = sandbox.salestrekker.tokens.issue
        perth = sandbox.salestrekker.world.organizations[2].id
        visitors: list[Visitor] = []

        def elsewhere(visitor: Visitor) -> str:
            visitors.append(visitor)
            return give(visitor._replace(organization=perth) if len(visitors) == 1 else visitor)

        monkeypatch.setattr(sandbox.salestrekker.tokens, "issue", elsewhere)
        now += 13 * 86_400
        assert await read(client) == before
        assert client.organization == settled
    assert [visitor.organization for visitor in visitors[1:]] == [settled]
    assert kinds(sandbox)["organizations"] == 1  # asked once, not at each renewal


async def test_an_unknown_organisation_lists_those_that_exist(start_sandbox: Start) -> None:
    sandbox = await start_sandbox(THREE)
    async with client_of(sandbox, organization="Melbourne") as client:
        with pytest.raises(Refused, match="no organisation Melbourne") as caught:
            await read(client)
    for one in sandbox.salestrekker.world.organizations:
        assert f"{one.name} (id {one.id})" in str(caught.value)
    assert "[salestrekker] organization" in caught.value.advice
    assert kinds(sandbox)["contacts"] == 0


async def test_an_organisation_that_lets_nobody_in_is_named(start_sandbox: Start) -> None:
    sandbox = await start_sandbox(THREE)
    body = {
        "data": {"organizations": None},
        "errors": [{"message": "no", "extensions": {"code": "FORBIDDEN"}}],
    }
    sandbox.salestrekker.faults.add(Fault(kind="organizations", status=200, body=body))
    async with client_of(sandbox, organization="no-such-id") as client:
        with pytest.raises(Refused, match="no-such-id"):
            await client.authenticate()


async def test_a_list_of_organisations_that_fails_for_a_moment_is_asked_for_again(
    start_sandbox: Start,
) -> None:
    sandbox = await start_sandbox(THREE)
    sandbox.salestrekker.faults.add(Fault(kind="organizations", status=503))
    async with client_of(sandbox, organization="Sydney") as client:
        assert await read(client) == ids(sandbox)


async def test_a_lasting_fault_is_transient_and_guesses_no_organisation(start_sandbox: Start) -> None:
    sandbox = await start_sandbox(THREE)
    sandbox.salestrekker.faults.add(Fault(kind="organizations", status=503, times=None))
    async with client_of(sandbox, organization="Sydney") as client:
        with pytest.raises(Transient):
            await client.authenticate()
    assert kinds(sandbox)["authenticateInDifferentOrganization"] == 0


@pytest.mark.parametrize("style", list(AuthErrorStyle))
@pytest.mark.parametrize("wrong", [{"password": "canary-wrong"}, {"api_key": "canary-wrong"}])
async def test_no_error_tells_a_secret(
    start_sandbox: Start, style: AuthErrorStyle, wrong: dict[str, str]
) -> None:
    sandbox = await start_sandbox(Options(contacts=1, products=0, password=PASSWORD, auth_error_style=style))
    async with client_of(sandbox, **wrong) as client:
        with pytest.raises(Refused, match="did not accept") as caught:
            await read(client)
    said = everything_said(caught.value) + caught.value.advice
    assert "canary" not in said
    assert sandbox.options.email not in said
    assert "password" in caught.value.advice


async def test_a_refused_switch_tells_no_token(start_sandbox: Start) -> None:
    sandbox = await start_sandbox(THREE)
    sandbox.salestrekker.faults.add(Fault(kind="authenticateInDifferentOrganization", status=401, times=None))
    async with client_of(sandbox, organization="Perth") as client:
        with pytest.raises(Refused, match="does not let this log-in into") as caught:
            await client.authenticate()
    assert "eyJ" not in everything_said(caught.value)


async def test_a_question_that_is_no_list_renews_a_refused_token(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        await client.authenticate()
        sandbox.salestrekker.revoke_tokens()
        result = await client.ask("{ labels { name } }")
    assert result.data
    assert "labels" in result.data
    assert kinds(sandbox)["authenticate"] == 2


async def test_an_answer_with_errors_is_handed_on_as_it_is(sandbox: Sandbox) -> None:
    victim = sandbox.contacts.id_at(0)
    sandbox.salestrekker.world.break_field(BrokenField(stream="contacts", path="isActive"))
    async with client_of(sandbox) as client:
        query = "query One($id: ID!) { contact(id: $id) { id isActive } }"
        result = await client.ask(query, "One", {"id": victim})
    assert result.data == {"contact": {"id": victim, "isActive": None}}
    assert [error.path for error in result.errors] == [("contact", "isActive")]


SYDNEY, OTHER = SalestrekkerOrganization("1", "Sydney"), SalestrekkerOrganization("2", "sydney ")


@pytest.mark.parametrize(
    ("wanted", "known", "found"),
    [
        ("Sydney", [OTHER, SYDNEY], SYDNEY),
        ("2", [SYDNEY, OTHER], OTHER),
        ("SYDNEY", [SYDNEY], SYDNEY),
        ("1", [SalestrekkerOrganization("9", "1"), SYDNEY], SYDNEY),
    ],
)
def test_an_id_goes_before_a_name_and_the_exact_name_before_its_like(
    wanted: str, known: list[SalestrekkerOrganization], found: SalestrekkerOrganization
) -> None:
    assert choose_organization(wanted, known) == found


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ([SYDNEY, OTHER], "2 organisations"),
        ([], "no organisation"),
        ([SalestrekkerOrganization("3", "Perth")], "Perth"),
    ],
)
def test_what_is_not_clear_is_never_guessed(known: list[SalestrekkerOrganization], said: str) -> None:
    found = choose_organization("SYDNEY", known)
    assert isinstance(found, BridgeError)
    assert said in str(found)


def test_a_great_many_organisations_are_not_all_listed() -> None:
    found = choose_organization(
        "x", [SalestrekkerOrganization(str(number), f"Branch {number}") for number in range(500)]
    )
    assert "and 450 more" in str(found)


def test_credentials_do_not_show_themselves() -> None:
    assert "canary" not in repr(LoginCredentials("canary", "canary@x", "canary"))
    assert "canary" not in repr(LoginCredentials("canary").request)
