"""The simulated Trakor: to the letter of its public page, and going wrong as it is told to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from bridge.sandbox import Fault, Matching, Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    Post = Callable[..., Coroutine[Any, Any, tuple[int, Any]]]
    Start = Callable[[Options], Awaitable[Sandbox]]


async def test_a_party_is_created_once_and_then_given_back(sandbox: Sandbox, post: Post) -> None:
    status, first = await post(sandbox, "parties", {"name": "Acme", "contact_info": "Ravi | 1"})
    assert (status, first["name"], first["created"]) == (201, "Acme", True)
    status, again = await post(sandbox, "parties", {"name": "Acme", "contact_info": "changed"})
    assert (status, again) == (200, first | {"created": False})
    assert sandbox.trakor.parties["Acme"].text == "Ravi | 1"


async def test_a_party_that_is_renamed_by_hand_keeps_its_id(sandbox: Sandbox, post: Post) -> None:
    _, first = await post(sandbox, "parties", {"name": "Ada Ashby"})
    sandbox.trakor.parties.rename("Ada Ashby", "Ada Brown")
    _, again = await post(sandbox, "parties", {"name": "Ada Brown"})
    _, other = await post(sandbox, "parties", {"name": "Ada Ashby"})
    assert (again["id"], again["created"], other["created"]) == (first["id"], False, True)


async def test_a_product_has_a_number_and_a_default_price(sandbox: Sandbox, post: Post) -> None:
    _, rod = await post(sandbox, "products", {"name": "Rod"})
    _, bar = await post(sandbox, "products", {"name": "Bar", "price": 450.5, "description": "Steel"})
    assert (rod["sku"], bar["sku"]) == ("PRD-00001", "PRD-00002")
    kept = [(entry.name, entry.text, entry.price) for entry in sandbox.trakor.products.entries()]
    assert kept == [("Rod", "", 0), ("Bar", "Steel", 450.5)]


async def test_parties_and_products_do_not_share_names(sandbox: Sandbox, post: Post) -> None:
    _, party = await post(sandbox, "parties", {"name": "Same"})
    _, product = await post(sandbox, "products", {"name": "Same"})
    assert party["created"]
    assert product["created"]
    assert "sku" not in party


async def test_what_exists_can_be_answered_with_201(start_sandbox: Start, post: Post) -> None:
    sandbox = await start_sandbox(Options(contacts=0, products=0, existing_status=201))
    await post(sandbox, "parties", {"name": "Acme"})
    status, again = await post(sandbox, "parties", {"name": "Acme"})
    assert (status, again["created"]) == (201, False)


@pytest.mark.parametrize(
    ("matching", "same"),
    [
        (Matching.EXACT, ["Acme"]),
        (Matching.TRIMMED, ["Acme", " Acme "]),
        (Matching.CASE_INSENSITIVE, ["Acme", " Acme ", "ACME"]),
    ],
)
async def test_which_names_are_the_same(
    start_sandbox: Start, post: Post, matching: Matching, same: list[str]
) -> None:
    sandbox = await start_sandbox(Options(contacts=0, products=0, matching=matching))
    await post(sandbox, "parties", {"name": "Acme"})
    answers = {
        name: (await post(sandbox, "parties", {"name": name}))[1] for name in ("Acme", " Acme ", "ACME")
    }
    assert [name for name, answer in answers.items() if not answer["created"]] == same


@pytest.mark.parametrize(
    ("stream", "body"),
    [
        ("parties", b"{"),
        ("parties", b""),
        ("parties", []),
        ("parties", {}),
        ("parties", {"name": None}),
        ("parties", {"name": 5}),
        ("parties", {"name": " "}),
        ("parties", {"name": "x" * 256}),
        ("parties", {"name": "🦘" * 128}),
        ("parties", {"name": "A", "contact_info": None}),
        ("products", {"name": "A", "description": 1}),
        ("products", {"name": "A", "price": "12.50"}),
        ("products", {"name": "A", "price": True}),
        ("products", b'{"name": "A", "price": NaN}'),
    ],
)
async def test_what_the_schema_does_not_allow_is_400(
    sandbox: Sandbox, post: Post, stream: str, body: object
) -> None:
    status, answer = await post(sandbox, stream, body)
    assert status == 400
    assert answer["error"]
    assert not sandbox.trakor.parties.names() + sandbox.trakor.products.names()


@pytest.mark.parametrize("name", ["x" * 255, "🦘" * 127 + "x"])
async def test_255_utf16_units_are_allowed(sandbox: Sandbox, post: Post, name: str) -> None:
    assert (await post(sandbox, "parties", {"name": name, "unknown": 1}))[0] == 201


@pytest.mark.parametrize("key", ["", "sk_live_wrong"])
async def test_the_key_comes_before_the_body(sandbox: Sandbox, post: Post, key: str) -> None:
    assert (await post(sandbox, "parties", {}, key=key))[0] == 401
    assert (await post(sandbox, "parties", {}))[0] == 400


async def test_revoked_and_frozen_until_it_is_over(sandbox: Sandbox, post: Post) -> None:
    sandbox.trakor.freeze()
    assert (await post(sandbox, "parties", {}))[0] == 403
    sandbox.trakor.revoke_key()
    assert (await post(sandbox, "parties", {}))[0] == 401
    sandbox.trakor.restore_key()
    sandbox.trakor.unfreeze()
    assert (await post(sandbox, "parties", {"name": "Acme"}))[0] == 201


async def test_no_other_path_and_no_other_method(
    sandbox: Sandbox, post: Post, http: aiohttp.ClientSession
) -> None:
    assert (await post(sandbox, "invoices", {}))[0] == 404
    assert (await post(sandbox, "parties/1", {}))[0] == 404
    async with http.get(f"{sandbox.trakor_url}/parties") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_a_status_for_the_next_requests_then_all_is_well(sandbox: Sandbox, post: Post) -> None:
    armed = sandbox.trakor.faults.add(Fault(status=503, times=2))
    statuses = [(await post(sandbox, "parties", {"name": "Acme"}))[0] for _ in range(4)]
    assert statuses == [503, 503, 201, 200]
    assert (armed.hits, armed.spent, len(sandbox.trakor.faults)) == (2, True, 0)


async def test_headers_and_body_are_those_of_the_fault(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    sandbox.trakor.faults.add(Fault(status=429, headers={"Retry-After": "7"}, body={"error": "slow down"}))
    sandbox.trakor.faults.add(Fault(status=502, body="<html>Bad gateway</html>"))
    sandbox.trakor.faults.add(Fault(status=302, headers={"Location": "http://127.0.0.1:1/"}))
    url = f"{sandbox.trakor_url}/parties"
    async with http.post(url) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
        assert await answer.json() == {"error": "slow down"}
    async with http.post(url) as answer:
        assert (answer.status, answer.content_type) == (502, "text/html")
    async with http.post(url, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "http://127.0.0.1:1/")


async def test_a_poisoned_name_and_every_third_request(sandbox: Sandbox, post: Post) -> None:
    trakor = sandbox.trakor
    poisoned = trakor.faults.add(Fault(status=500, name="Poison", times=None))
    third = trakor.faults.add(Fault(status=503, kind="products", every=3, times=None))
    names = ["Poison", "A", "Poison", "B"]
    assert [(await post(sandbox, "parties", {"name": name}))[0] for name in names] == [500, 201, 500, 201]
    assert [(await post(sandbox, "products", {"name": "A"}))[0] for _ in range(6)] == [
        201,
        200,
        503,
        200,
        200,
        503,
    ]
    trakor.faults.remove(poisoned)
    assert (await post(sandbox, "parties", {"name": "Poison"}))[0] == 201
    assert third.hits == 2


async def test_a_fault_for_what_a_condition_picks(sandbox: Sandbox, post: Post) -> None:
    sandbox.trakor.faults.add(Fault(status=418, where=lambda one: "x@" in one.content["contact_info"]))
    assert (await post(sandbox, "parties", {"name": "A", "contact_info": "y@example.com"}))[0] == 201
    assert (await post(sandbox, "parties", {"name": "B", "contact_info": "x@example.com"}))[0] == 418


@pytest.mark.parametrize("commit", [False, True])
async def test_a_reset_before_or_after_it_was_taken(sandbox: Sandbox, post: Post, *, commit: bool) -> None:
    sandbox.trakor.faults.add(Fault(reset=True, commit=commit))
    with pytest.raises(aiohttp.ClientOSError):
        await post(sandbox, "parties", {"name": "Acme"})
    assert ("Acme" in sandbox.trakor.parties) is commit
    assert sandbox.trakor.traffic.exchanges[-1].status == 0


async def test_commit_then_500(sandbox: Sandbox, post: Post) -> None:
    sandbox.trakor.faults.add(Fault(status=500, commit=True))
    assert (await post(sandbox, "parties", {"name": "Acme"}))[0] == 500
    status, answer = await post(sandbox, "parties", {"name": "Acme"})
    assert (status, answer["created"]) == (200, False)


async def test_a_gate_holds_requests_and_the_traffic_shows_them(sandbox: Sandbox, post: Post) -> None:
    gate = asyncio.Event()
    trakor = sandbox.trakor
    trakor.faults.add(Fault(gate=gate, times=3))
    tasks = [asyncio.create_task(post(sandbox, "parties", {"name": name})) for name in "ABC"]
    await trakor.wait_for(lambda: trakor.traffic.in_flight == 3)
    assert not trakor.parties.names()
    gate.set()
    assert {status for status, _ in await asyncio.gather(*tasks)} == {201}
    assert trakor.traffic.max_in_flight == 3
    assert sorted(one.name for one in trakor.traffic.of("parties")) == ["A", "B", "C"]
    assert trakor.traffic.summary()["statuses"] == {"201": 3}


async def test_waiting_in_vain_says_what_was_seen(sandbox: Sandbox, post: Post) -> None:
    await post(sandbox, "parties", {"name": "A"})
    with pytest.raises(TimeoutError, match=r"'parties': 1"):
        await sandbox.trakor.wait_for(lambda: len(sandbox.trakor.parties) == 2, timeout=0.01)


async def test_delay_latency_and_a_stalled_body_take_their_time(sandbox: Sandbox, post: Post) -> None:
    """At least as long as was said, and the answer is the true one."""
    sandbox.trakor.latency = 0.02
    sandbox.trakor.faults.add(Fault(delay=0.03, stall=0.05))
    status, answer = await post(sandbox, "parties", {"name": "Acme"})
    assert (status, answer["name"]) == (201, "Acme")
    assert sandbox.trakor.traffic.exchanges[-1].seconds >= 0.099


async def test_counters_can_be_started_afresh(sandbox: Sandbox, post: Post) -> None:
    await post(sandbox, "parties", {"name": "A"})
    sandbox.trakor.traffic.clear()
    assert (sandbox.trakor.traffic.total, len(sandbox.trakor.traffic.exchanges)) == (0, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"times": 0, "status": 500},
        {"every": 0, "status": 500},
        {"delay": 1.0, "commit": True},
        {"delay": 1.0, "late": True},
        {"reset": True, "commit": True, "late": True},
        {"reset": True, "late_after": 1.0},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at least|does nothing|needs|handled once"):
        Fault(**fields)


async def test_it_ends_at_once_though_requests_are_held(post: Post) -> None:
    """Nothing of the sandbox is left running."""
    before = asyncio.all_tasks()
    async with Sandbox(Options(contacts=0, products=0)) as sandbox:
        sandbox.trakor.faults.add(Fault(gate=asyncio.Event()))
        held = asyncio.create_task(post(sandbox, "parties", {"name": "A"}))
        await sandbox.trakor.wait_for(lambda: sandbox.trakor.traffic.in_flight == 1)
    with pytest.raises(aiohttp.ClientError):
        await held
    assert asyncio.all_tasks() <= before
