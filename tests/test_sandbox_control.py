"""The sandbox as a process of its own: its control requests, its ports, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from bridge.errors import UserError
from bridge.sandbox import Behaviour, Lookup, Options, Sandbox, serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    import aiohttp

    Post = Callable[..., Coroutine[Any, Any, tuple[int, Any]]]
    Ask = Callable[..., Awaitable[tuple[int, Any]]]
    LogIn = Callable[[Sandbox], Awaitable[str]]
    Start = Callable[[Options], Awaitable[Sandbox]]
    Control = Callable[..., Awaitable[tuple[int, Any]]]


def control_of(sandbox: Sandbox, http: aiohttp.ClientSession) -> Control:
    """What sends control requests to this sandbox."""

    async def send(method: str, path: str, /, **body: object) -> tuple[int, Any]:
        async with http.request(method, f"{sandbox.control_url}/{path}", json=body or None) as answer:
            return answer.status, await answer.json()

    return send


@pytest.fixture
def control(sandbox: Sandbox, http: aiohttp.ClientSession) -> Control:
    """``control("POST", "contacts", name=…)`` sends one control request."""
    return control_of(sandbox, http)


async def test_contacts_are_added_changed_and_removed(sandbox: Sandbox, control: Control) -> None:
    status, answer = await control("POST", "contacts", name="Ada Ashby", email="ada@example.com")
    path = f"contacts/{answer['id']}"
    assert status == 201
    assert (await control("PATCH", path, name="Ada Brown", email="b@example.com", active=False))[0] == 200
    row = sandbox.contacts.get(answer["id"])
    assert row is not None
    assert row["person"]["information"]["familyName"] == "Brown"
    assert row["person"]["contact"]["email"] == "b@example.com"
    assert row["isActive"] is False
    assert (await control("DELETE", path))[0] == 200
    assert (await control("DELETE", path))[0] == 404
    assert len(sandbox.contacts) == 200


async def test_products_likewise(sandbox: Sandbox, control: Control) -> None:
    _, answer = await control("POST", "products", name="Basic", lender="Wattle Bank", price=10)
    await control("PATCH", f"products/{answer['id']}", price=12.5)
    row = sandbox.products.get(answer["id"])
    assert row is not None
    assert row["fee"][0]["value"] == 12.5


async def test_the_state_has_counts_and_names_and_exchanges(
    sandbox: Sandbox, control: Control, post: Post
) -> None:
    await post(sandbox, "parties", {"name": "Acme"})
    await post(sandbox, "parties", {"name": "Zeta"})
    _, state = await control("GET", "state?names=1&exchanges=1")
    assert (state["salestrekker"]["contacts"], state["trakor"]["parties"]) == (200, 2)
    assert state["trakor"]["names"] == {"parties": ["Acme", "Zeta"], "products": []}
    assert state["trakor"]["traffic"]["statuses"] == {"201": 2}
    assert [one["name"] for one in state["trakor"]["exchanges"]] == ["Zeta"]
    assert "names" not in (await control("GET", "state"))[1]["trakor"]


async def test_faults_are_set_and_removed(sandbox: Sandbox, control: Control, post: Post) -> None:
    await control("POST", "trakor/faults", status=503, headers={"Retry-After": "1"}, times=None)
    assert (await post(sandbox, "parties", {"name": "A"}))[0] == 503
    await control("DELETE", "trakor/faults")
    assert (await post(sandbox, "parties", {"name": "A"}))[0] == 201
    assert (await control("POST", "salestrekker/latency", seconds=0.25))[0] == 200
    assert sandbox.salestrekker.latency == 0.25


async def test_fields_are_broken_and_mended(
    sandbox: Sandbox, control: Control, ask: Ask, log_in: LogIn
) -> None:
    token, query = await log_in(sandbox), "{ contacts(limit: 1) { isActive } }"
    await control("POST", "salestrekker/broken-fields", stream="contacts", path="isActive")
    assert (await ask(sandbox, query, token))[1]["errors"]
    await control("DELETE", "salestrekker/broken-fields")
    assert "errors" not in (await ask(sandbox, query, token))[1]


async def test_the_verbs_do_what_they_say(sandbox: Sandbox, control: Control, post: Post) -> None:
    for verb, status in (("freeze", 403), ("revoke-key", 401), ("restore-key", 403), ("unfreeze", 400)):
        await control("POST", f"trakor/{verb}")
        assert (await post(sandbox, "parties", {}))[0] == status
    sandbox.salestrekker.log_in({"apiKey": sandbox.options.api_key})
    await control("POST", "salestrekker/revoke-tokens")
    assert len(sandbox.salestrekker.tokens) == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "contacts", {"nmae": "A"}, 400),
        ("PATCH", "contacts/nobody", {"name": "A"}, 404),
        ("PATCH", "contacts/nobody", {"shoe": 43}, 400),
        ("POST", "trakor/faults", {}, 400),
        ("POST", "trakor/faults", {"sttaus": 500}, 400),
        ("POST", "trakor/faults", {"gate": True}, 400),
        ("POST", "trakor/faults", {"status": 502, "late": True, "commit": True}, 400),
        ("POST", "trakor/hold", {"before": 1}, 400),
        ("POST", "trakor/behaviour", {"lookup": "sometimes"}, 400),
        ("POST", "trakor/behaviour", {"lok": 1}, 400),
        ("POST", "trakor/firewall", {"text": "x", "answer": "teapot"}, 400),
        ("POST", "trakor/organizations", {"name": "Sandbox Finance"}, 400),
        ("POST", "trakor/keys", {"organization": "Nowhere"}, 404),
        ("POST", "trakor/throttle", {"retry_after": 1}, 404),
        ("GET", "salestrekker/broken-fields", {}, 404),
        ("POST", "salestrekker/broken-fields", {"stream": "deals", "path": "id"}, 400),
        ("POST", "trakor/explode", {}, 404),
        ("DELETE", "trakor/broken-fields", {}, 404),
        ("POST", "trakor/latency", {}, 404),
        ("GET", "state?exchanges=many", {}, 400),
        ("GET", "nothing", {}, 404),
        ("PUT", "contacts", {}, 404),
    ],
)
async def test_a_mistake_is_explained(
    control: Control, method: str, path: str, body: dict[str, object], status: int
) -> None:
    got, answer = await control(method, path, **body)
    assert got == status
    assert answer["error"]


async def test_a_taken_port_is_named(sandbox: Sandbox) -> None:
    port = int(sandbox.trakor_url.split(":")[2].split("/")[0])
    with pytest.raises(UserError, match=str(port)):
        async with Sandbox(Options(contacts=0, products=0, trakor_port=port)):
            pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serve_announces_its_configuration_and_ends_at_a_signal(
    http: aiohttp.ClientSession, number: signal.Signals
) -> None:
    announced: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(Options(contacts=1, products=0), announced.set_result))
    async with asyncio.timeout(10):
        text = await announced
        configuration = tomllib.loads(text)
        key = {"X-API-KEY": configuration["trakor"]["api_key"]}
        async with http.post(f"{configuration['trakor']['url']}/parties", json={}, headers=key) as answer:
            assert answer.status == 400
        async with http.post(configuration["salestrekker"]["url"], json={}) as answer:
            assert answer.status == 400
        control_url = text.splitlines()[0].split()[-1]
        async with http.get(f"{control_url}/state") as answer:
            assert (await answer.json())["salestrekker"]["contacts"] == 1
        os.kill(os.getpid(), number)
        await task


def test_options_do_not_show_their_secrets() -> None:
    options = Options()
    shown = repr(options)
    assert not any(secret in shown for secret in (options.api_key, options.password, options.trakor_key))


async def test_trakor_behaves_in_another_way(sandbox: Sandbox, control: Control, post: Post) -> None:
    assert (await control("POST", "trakor/behaviour", lookup="fails", trims=True))[0] == 200
    assert sandbox.trakor.behaviour == Behaviour(lookup=Lookup.FAILS, trims=True)
    await control("POST", "trakor/behaviour", limit=1, limit_status=400)
    await post(sandbox, "parties", {"name": " A "})
    assert (await post(sandbox, "parties", {"name": "B"}))[0] == 400
    assert sandbox.trakor.parties.names() == ["A"]


async def test_requests_are_held_overlap_and_are_reported(
    sandbox: Sandbox, control: Control, post: Post
) -> None:
    await control("POST", "trakor/behaviour", lookup="inserts")
    await control("POST", "trakor/hold", between=True, times=2)
    tasks = [asyncio.create_task(post(sandbox, "parties", {"name": "Ada"})) for _ in range(2)]
    await sandbox.trakor.wait_for(lambda: sandbox.trakor.traffic.in_flight == 2)
    await control("POST", "trakor/release")
    await asyncio.gather(*tasks)
    _, state = await control("GET", "state?senders=1")
    overlap = {"organization": "Sandbox Finance", "kind": "parties", "name": "ada", "times": 1}
    assert state["trakor"]["overlaps"] == {"requests": [overlap], "late": []}
    assert state["trakor"]["twins"] == {"parties": {"Ada": 2}, "products": {}}
    assert state["trakor"]["senders"] == {"parties": {"Ada": {"Sandbox Finance": 2}}, "products": {}}


async def test_late_work_is_done_when_it_is_told_to(sandbox: Sandbox, control: Control, post: Post) -> None:
    await control("POST", "trakor/faults", status=502, late=True)
    await post(sandbox, "parties", {"name": "Ada"})
    assert (await control("GET", "state"))[1]["trakor"]["late"] == 1
    assert (await control("POST", "trakor/finish-late"))[1] == {"finished": 1}
    assert sandbox.trakor.parties.names() == ["Ada"]


async def test_a_firewall_is_put_up_and_taken_down(sandbox: Sandbox, control: Control, post: Post) -> None:
    await control("POST", "trakor/firewall", text="ada", answer="forbidden")
    with pytest.raises(ValueError, match="Expecting value"):  # HTML
        await post(sandbox, "parties", {"name": "Ada"})
    await control("DELETE", "trakor/firewall")
    assert (await post(sandbox, "parties", {"name": "Ada"}))[0] == 201


async def test_trakor_has_several_organisations(sandbox: Sandbox, control: Control, post: Post) -> None:
    _, made = await control("POST", "trakor/organizations", name="Other")
    _, more = await control("POST", "trakor/keys", organization="Other", api_key="sk_live_of_the_other")
    assert more == {"api_key": "sk_live_of_the_other"}
    for key in (made["api_key"], more["api_key"]):
        await post(sandbox, "parties", {"name": "Ada"}, key=key)
    _, state = await control("GET", "state?names=1")
    assert state["trakor"]["parties"] == 0
    assert state["trakor"]["organizations"]["Other"]["names"]["parties"] == ["Ada"]
    await control("POST", "trakor/empty?organization=Other")
    assert sandbox.trakor.tenants["Other"].size == 0
    assert (await control("POST", "trakor/freeze?organization=Nowhere"))[0] == 404


async def test_the_data_of_another_organisation_is_changed(
    start_sandbox: Start, http: aiohttp.ClientSession
) -> None:
    sandbox = await start_sandbox(Options(contacts=1, products=0, organizations=("First", "Second")))
    send = control_of(sandbox, http)
    status, made = await send("POST", "contacts?organization=Second", name="Nora Newcomer")
    assert status == 201
    world = sandbox.salestrekker.world_of("Second")
    assert (made["id"] in world.contacts, len(sandbox.contacts)) == (True, 1)
    await send("POST", "salestrekker/broken-fields?organization=Second", stream="contacts", path="", times=1)
    assert (len(world.broken), sandbox.salestrekker.world.broken) == (1, [])
    _, state = await send("GET", "state")
    assert state["salestrekker"]["organizations"] == {
        "Second": {"contacts": 1, "products": 0},
        "First": {"contacts": 1, "products": 0},
    }
    assert (await send("POST", "contacts?organization=Third", name="A"))[0] == 404


async def test_a_family_and_a_throttle(sandbox: Sandbox, control: Control, ask: Ask, log_in: LogIn) -> None:
    status, family = await control(
        "POST", "families", name="Otto Ashby", mother="Olive Ashby", email="ashby@example.com"
    )
    assert (status, set(family)) == (201, {"father", "son", "mother"})
    assert family["son"] in sandbox.contacts
    token = await log_in(sandbox)
    await control("POST", "salestrekker/throttle", retry_after=3)
    _, answer = await ask(sandbox, "{ labels { id } }", token)
    assert answer["errors"][0]["extensions"] == {"code": "THROTTLED", "retryAfter": 3}
    assert "errors" not in (await ask(sandbox, "{ labels { id } }", token))[1]
