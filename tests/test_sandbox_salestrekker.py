"""The simulated Salestrekker over HTTP: log-in, tokens, organisations, refusals."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import time_machine
from graphql import build_client_schema, get_introspection_query

from bridge.sandbox import AuthErrorStyle, BrokenField, Fault, Options, Sandbox
from bridge.sandbox.salestrekker import TokenIssuer, Visitor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import aiohttp

    Ask = Callable[..., Awaitable[tuple[int, Any]]]
    Start = Callable[[Options], Awaitable[Sandbox]]
    LogIn = Callable[[Sandbox], Awaitable[str]]

BY_KEY = "mutation ($key: String) { authenticate(apiKey: $key) { token } }"
BY_MAIL = "mutation ($m: String, $p: String) { authenticate(email: $m, password: $p) { token } }"
PAGE = "query ($n: Int, $o: Int) { contacts(limit: $n, offset: $o) { id } }"


async def test_all_contacts_come_page_by_page(sandbox: Sandbox, ask: Ask, log_in: LogIn) -> None:
    token = await log_in(sandbox)
    ids: list[str] = []
    while page := (await ask(sandbox, PAGE, token, n=90, o=len(ids)))[1]["data"]["contacts"]:
        ids += [row["id"] for row in page]
    assert ids == [row["id"] for row in sandbox.contacts]
    assert sandbox.salestrekker.traffic.kinds == {"authenticate": 1, "contacts": 4}


async def test_the_token_has_the_observed_claims_and_lasts_14_days(sandbox: Sandbox, log_in: LogIn) -> None:
    claims = jwt.decode(await log_in(sandbox), options={"verify_signature": False})
    assert {"id", "idCurrentOrganization", "isAdministrator", "isBroker", "isMentor"} <= claims.keys()
    assert claims["exp"] - claims["iat"] == 1_209_600
    assert claims["isAdministrator"] is True


async def test_a_log_in_by_mail_is_not_an_administrator(sandbox: Sandbox, ask: Ask) -> None:
    options = sandbox.options
    _, answer = await ask(sandbox, BY_MAIL, m=options.email, p=options.password)
    claims = jwt.decode(answer["data"]["authenticate"]["token"], options={"verify_signature": False})
    assert claims["isAdministrator"] is False


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_may_be_written_in_any_case(
    sandbox: Sandbox, http: aiohttp.ClientSession, log_in: LogIn, scheme: str
) -> None:
    headers = {"Authorization": f"{scheme} {await log_in(sandbox)}"}
    async with http.post(sandbox.salestrekker_url, json={"query": PAGE}, headers=headers) as answer:
        assert "errors" not in await answer.json()


@pytest.mark.parametrize(
    ("style", "status", "has_code"),
    [
        (AuthErrorStyle.HTTP, 401, True),
        (AuthErrorStyle.CODE, 200, True),
        (AuthErrorStyle.MESSAGE, 200, False),
    ],
)
async def test_authentication_errors_in_each_style(
    start_sandbox: Start, ask: Ask, style: AuthErrorStyle, status: int, *, has_code: bool
) -> None:
    sandbox = await start_sandbox(Options(contacts=1, products=0, auth_error_style=style))
    wrong = [
        await ask(sandbox, PAGE),
        await ask(sandbox, PAGE, "no.such.token"),
        await ask(sandbox, BY_KEY, key="wrong"),
        await ask(sandbox, BY_KEY),
        await ask(sandbox, BY_MAIL, m=sandbox.options.email, p="wrong"),
    ]
    for got, answer in wrong:
        assert got == status
        assert answer["errors"][0]["message"]
        code = answer["errors"][0].get("extensions", {}).get("code")
        assert code == ("UNAUTHENTICATED" if has_code else None)


async def test_without_a_token_not_even_the_schema_is_shown(sandbox: Sandbox, ask: Ask) -> None:
    assert (await ask(sandbox, get_introspection_query()))[0] == 401
    assert (await ask(sandbox, "{ nonsense }"))[0] == 401


async def test_the_schema_can_be_asked_for_unless_switched_off(
    sandbox: Sandbox, ask: Ask, log_in: LogIn
) -> None:
    token = await log_in(sandbox)
    _, answer = await ask(sandbox, get_introspection_query(), token)
    assert "contacts" in build_client_schema(answer["data"]).query_type.fields  # type: ignore[union-attr] # has one
    sandbox.salestrekker.introspection = False
    status, answer = await ask(sandbox, get_introspection_query(), token)
    assert status == 400
    assert "introspection has been disabled" in answer["errors"][0]["message"]


async def test_revoked_tokens_are_refused_and_new_ones_are_good(
    sandbox: Sandbox, ask: Ask, log_in: LogIn
) -> None:
    token = await log_in(sandbox)
    sandbox.salestrekker.revoke_tokens()
    assert (await ask(sandbox, PAGE, token))[0] == 401
    assert (await ask(sandbox, PAGE, await log_in(sandbox)))[0] == 200


async def test_a_revoked_key_gives_no_token_until_it_is_restored(
    sandbox: Sandbox, ask: Ask, log_in: LogIn
) -> None:
    token = await log_in(sandbox)
    sandbox.salestrekker.revoke_key()
    assert (await ask(sandbox, PAGE, token))[0] == 401
    assert (await ask(sandbox, BY_KEY, key=sandbox.options.api_key))[0] == 401
    sandbox.salestrekker.restore_key()
    assert (await ask(sandbox, PAGE, await log_in(sandbox)))[0] == 200


def test_a_token_is_over_when_its_time_is() -> None:
    tokens = TokenIssuer(3, "user")
    with time_machine.travel(time.time(), tick=False) as clock:
        token = tokens.issue(Visitor("home", by_key=True))
        clock.shift(2)
        assert tokens.visitor(token) == Visitor("home", by_key=True)
        clock.shift(1)
        assert tokens.visitor(token) is None


async def test_only_the_home_organisation_has_the_data(start_sandbox: Start, ask: Ask, log_in: LogIn) -> None:
    sandbox = await start_sandbox(Options(contacts=3, products=2, organizations=("First", "Second"), home=1))
    token = await log_in(sandbox)
    assert (await ask(sandbox, PAGE, token))[1]["data"]["contacts"] == []
    _, answer = await ask(sandbox, "{ organizations { id organization { name } } }", token)
    ids = {one["organization"]["name"]: one["id"] for one in answer["data"]["organizations"]}
    switch = "mutation ($id: ID!) { authenticateInDifferentOrganization(id: $id) { token } }"
    _, answer = await ask(sandbox, switch, token, id=ids["Second"])
    other = answer["data"]["authenticateInDifferentOrganization"]["token"]
    assert len((await ask(sandbox, PAGE, other))[1]["data"]["contacts"]) == 3
    _, answer = await ask(sandbox, switch, token, id="nowhere")
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_faulty_query_is_400_with_its_place(sandbox: Sandbox, ask: Ask, log_in: LogIn) -> None:
    status, answer = await ask(sandbox, "{ contacts { nmae } }", await log_in(sandbox))
    assert status == 400
    assert answer["errors"][0]["locations"] == [{"line": 1, "column": 14}]


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"query": 5}', '{"query": "{ labels { id } }", "variables": []}']
)
async def test_what_is_no_graphql_request_is_400(
    sandbox: Sandbox, http: aiohttp.ClientSession, body: str
) -> None:
    async with http.post(sandbox.salestrekker_url, data=body) as answer:
        assert answer.status == 400
        assert (await answer.json())["errors"]


async def test_no_other_path_and_no_other_method(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    async with http.get(sandbox.salestrekker_url) as answer:
        assert answer.status == 405
    async with http.post(f"{sandbox.salestrekker_url}x") as answer:
        assert answer.status == 404


async def test_a_deal_names_its_contact(sandbox: Sandbox, ask: Ask, log_in: LogIn) -> None:
    query = "query ($id: ID!) { ticket(id: $id) { id idClients idStage } }"
    deal = sandbox.salestrekker.world.tickets.id_at(5)
    _, answer = await ask(sandbox, query, await log_in(sandbox), id=deal)
    assert answer["data"]["ticket"]["idClients"] == [sandbox.contacts.id_at(5)]


async def test_no_more_than_a_page_whatever_is_asked_for(
    start_sandbox: Start, ask: Ask, log_in: LogIn
) -> None:
    sandbox = await start_sandbox(Options(contacts=30, products=0, max_page=20))
    _, answer = await ask(sandbox, PAGE, await log_in(sandbox), n=100)
    assert len(answer["data"]["contacts"]) == 20


async def test_a_forbidden_field_is_null_and_mended_later(sandbox: Sandbox, ask: Ask, log_in: LogIn) -> None:
    query = "{ contacts(limit: 3) { id person { contact { email } } } }"
    token, world = await log_in(sandbox), sandbox.salestrekker.world
    world.break_field(BrokenField(stream="contacts", path="person.contact.email", id=world.contacts.id_at(1)))
    status, answer = await ask(sandbox, query, token)
    assert status == 200
    assert [(one["path"], one["extensions"]) for one in answer["errors"]] == [
        (["contacts", 1, "person", "contact", "email"], {"code": "FORBIDDEN"})
    ]
    assert answer["data"]["contacts"][0]["person"]["contact"]["email"]
    world.mend_fields()
    assert "errors" not in (await ask(sandbox, query, token))[1]


async def test_faults_pick_requests_by_root_field_and_variables(
    sandbox: Sandbox, ask: Ask, log_in: LogIn
) -> None:
    token = await log_in(sandbox)
    faults = sandbox.salestrekker.faults
    faults.add(Fault(status=502, kind="contacts", where=lambda one: one.content["variables"]["o"] == 100))
    pages = [(await ask(sandbox, PAGE, token, n=100, o=offset)) for offset in (0, 100, 100)]
    assert [status for status, _ in pages] == [200, 502, 200]
    assert json.dumps(pages[1][1]) == "null"


async def test_changes_show_in_the_next_answer(sandbox: Sandbox, ask: Ask, log_in: LogIn) -> None:
    query = "query ($id: ID!) { contact(id: $id) { person { information { firstName familyName } } } }"
    token, identity = await log_in(sandbox), sandbox.contacts.id_at(0)
    sandbox.contacts.rename(identity, "Grace Hopwood")
    _, answer = await ask(sandbox, query, token, id=identity)
    assert answer["data"]["contact"]["person"]["information"] == {
        "firstName": "Grace",
        "familyName": "Hopwood",
    }
    sandbox.contacts.remove(identity)
    assert (await ask(sandbox, query, token, id=identity))[1]["data"]["contact"] is None
