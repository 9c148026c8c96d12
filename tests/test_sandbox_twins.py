"""The simulated Trakor as it may be: look-ups before inserts, late work, firewalls, plans, organisations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from bridge.sandbox import Behaviour, Blocked, Fault, Lookup, Matching, Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Post = Callable[..., Coroutine[Any, Any, tuple[int, Any]]]

ADA = {"name": "Ada Ashby"}


@pytest.fixture(params=[Lookup.FAILS, Lookup.INSERTS])
def hasty(request: pytest.FixtureRequest, sandbox: Sandbox) -> Lookup:
    """A Trakor that looks up and then inserts, in both variants."""
    lookup: Lookup = request.param
    sandbox.trakor.behave(lookup=lookup)
    return lookup


async def post_twice_at_once(sandbox: Sandbox, post: Post, *, between: bool = True) -> list[tuple[int, Any]]:
    """Two requests for one name, both held until both have arrived."""
    trakor = sandbox.trakor
    trakor.hold(between=between, times=2)
    tasks = [asyncio.create_task(post(sandbox, "parties", ADA)) for _ in range(2)]
    await trakor.wait_for(lambda: trakor.traffic.in_flight == 2)
    trakor.release()
    return list(await asyncio.gather(*tasks))


@pytest.mark.usefixtures("hasty")
async def test_two_requests_at_once_make_two_parties(sandbox: Sandbox, post: Post) -> None:
    answers = await post_twice_at_once(sandbox, post)
    assert [(status, answer["created"]) for status, answer in answers] == [(201, True)] * 2
    assert len({answer["id"] for _, answer in answers}) == 2
    assert sandbox.trakor.parties.twins() == {"Ada Ashby": 2}


@pytest.mark.usefixtures("hasty")
async def test_one_after_the_other_makes_one_party(sandbox: Sandbox, post: Post) -> None:
    answers = [await post(sandbox, "parties", ADA) for _ in range(2)]
    assert [(status, answer["created"]) for status, answer in answers] == [(201, True), (200, False)]
    assert sandbox.trakor.parties.twins() == {}


@pytest.mark.usefixtures("hasty")
async def test_held_before_the_look_up_one_is_made(sandbox: Sandbox, post: Post) -> None:
    answers = await post_twice_at_once(sandbox, post, between=False)
    assert sorted(answer["created"] for _, answer in answers) == [False, True]


async def test_under_a_unique_key_one_is_made_whatever_overlaps(sandbox: Sandbox, post: Post) -> None:
    answers = await post_twice_at_once(sandbox, post)
    assert sorted(answer["created"] for _, answer in answers) == [False, True]
    assert sandbox.trakor.parties.names() == ["Ada Ashby"]


@pytest.mark.usefixtures("hasty")
async def test_the_latency_lies_between_look_up_and_insert(sandbox: Sandbox, post: Post) -> None:
    sandbox.trakor.latency = 0.05
    await asyncio.gather(*(post(sandbox, "parties", ADA) for _ in range(2)))
    assert sandbox.trakor.parties.twins() == {"Ada Ashby": 2}


async def test_afterwards_each_look_up_fails_or_inserts_again(
    sandbox: Sandbox, post: Post, hasty: Lookup
) -> None:
    """Both variants of trakor.md; other names are answered as before."""
    await post_twice_at_once(sandbox, post)
    answers = [await post(sandbox, "parties", ADA) for _ in range(2)]
    if hasty is Lookup.FAILS:
        assert {status for status, _ in answers} == {500}
        assert "multiple" in answers[0][1]["error"]
        assert sandbox.trakor.parties.twins() == {"Ada Ashby": 2}
    else:
        assert [answer["created"] for _, answer in answers] == [True, True]
        assert sandbox.trakor.parties.twins() == {"Ada Ashby": 4}
    assert (await post(sandbox, "parties", {"name": "Ben Birch"}))[0] == 201


# -- work that goes on ----------------------------------------------------------------------------


@pytest.mark.usefixtures("hasty")
async def test_a_cut_request_is_stored_later_and_meanwhile_its_name_is_taken(
    sandbox: Sandbox, post: Post
) -> None:
    trakor = sandbox.trakor
    trakor.faults.add(Fault(reset=True, late=True))
    with pytest.raises(aiohttp.ClientOSError):
        await post(sandbox, "parties", ADA)
    assert (trakor.parties.names(), len(trakor.late)) == ([], 1)
    assert (await post(sandbox, "parties", ADA))[1]["created"]
    assert trakor.late.finish_all() == 1
    assert (trakor.parties.twins(), len(trakor.late)) == ({"Ada Ashby": 2}, 0)


async def test_under_a_unique_key_late_work_finds_what_is_there(sandbox: Sandbox, post: Post) -> None:
    sandbox.trakor.faults.add(Fault(status=504, late=True))
    assert (await post(sandbox, "parties", ADA))[0] == 504
    await post(sandbox, "parties", ADA)
    sandbox.trakor.late.finish_all()
    assert sandbox.trakor.parties.names() == ["Ada Ashby"]


async def test_late_work_is_done_after_its_seconds_and_once(sandbox: Sandbox, post: Post) -> None:
    trakor = sandbox.trakor
    trakor.faults.add(Fault(reset=True, late=True, late_after=0.02, times=2))
    for name in ("A", "B"):
        with pytest.raises(aiohttp.ClientOSError):
            await post(sandbox, "parties", {"name": name})
    await trakor.wait_for(lambda: len(trakor.parties) == 2)
    assert trakor.late.finish_all() == 0
    assert trakor.parties.names() == ["A", "B"]


async def test_late_work_ends_with_the_sandbox(post: Post) -> None:
    async with Sandbox(Options(contacts=0, products=0)) as sandbox:
        sandbox.trakor.faults.add(Fault(status=502, late=True, late_after=60.0))
        await post(sandbox, "parties", ADA)
    assert (sandbox.trakor.late.finish_all(), sandbox.trakor.parties.names()) == (0, [])


# -- who overlaps, who sends ----------------------------------------------------------------------


async def test_requests_for_one_name_at_one_time_are_counted(sandbox: Sandbox, post: Post) -> None:
    await post(sandbox, "parties", ADA)
    await post(sandbox, "parties", ADA)
    assert not sandbox.trakor.overlaps.requests
    await post_twice_at_once(sandbox, post)
    assert {tuple(sent): times for sent, times in sandbox.trakor.overlaps.requests.items()} == {
        ("Sandbox Finance", "parties", "ada ashby"): 1
    }
    sandbox.trakor.overlaps.clear()
    assert sandbox.trakor.overlaps.summary() == {"requests": [], "late": []}


async def test_different_names_or_streams_do_not_overlap_but_spellings_do(
    sandbox: Sandbox, post: Post
) -> None:
    trakor = sandbox.trakor
    trakor.hold(times=None)
    sent = [("parties", "Ada"), ("products", "Ada"), ("parties", "Ben"), ("parties", " ADA ")]
    tasks = [asyncio.create_task(post(sandbox, stream, {"name": name})) for stream, name in sent]
    await trakor.wait_for(lambda: trakor.traffic.in_flight == 4)
    trakor.release()
    await asyncio.gather(*tasks)
    assert {one.kind: times for one, times in trakor.overlaps.requests.items()} == {"parties": 1}


async def test_a_request_while_late_work_is_due_is_counted_apart(sandbox: Sandbox, post: Post) -> None:
    trakor = sandbox.trakor
    trakor.faults.add(Fault(status=502, late=True))
    await post(sandbox, "parties", ADA)
    await post(sandbox, "parties", {"name": "ada  ashby"})
    trakor.late.finish_all()
    await post(sandbox, "parties", ADA)
    assert (trakor.overlaps.requests.total(), trakor.overlaps.late.total()) == (0, 1)


async def test_organisations_have_parties_of_their_own(sandbox: Sandbox, post: Post) -> None:
    other = sandbox.trakor.add_organization("Other Finance")
    _, here = await post(sandbox, "parties", ADA)
    _, there = await post(sandbox, "parties", ADA, key=other.api_key)
    assert (here["created"], there["created"]) == (True, True)
    assert here["id"] != there["id"]
    assert (sandbox.trakor.parties.names(), other.parties.names()) == (["Ada Ashby"], ["Ada Ashby"])
    assert sandbox.trakor.senders() == {"Ada Ashby": {"Sandbox Finance": 1, "Other Finance": 1}}
    assert [one.credential for one in sandbox.trakor.traffic.exchanges] == [
        sandbox.options.trakor_key,
        other.api_key,
    ]
    assert not sandbox.trakor.overlaps.requests


async def test_a_second_key_of_an_organisation_sees_the_same_parties(sandbox: Sandbox, post: Post) -> None:
    key = sandbox.trakor.add_key()
    await post(sandbox, "parties", ADA)
    assert not (await post(sandbox, "parties", ADA, key=key))[1]["created"]
    sandbox.trakor.api_key = "sk_live_new"
    assert (await post(sandbox, "parties", ADA, key=key))[0] == 401
    assert not (await post(sandbox, "parties", ADA, key="sk_live_new"))[1]["created"]


async def test_one_organisation_is_frozen_or_emptied_and_the_other_is_not(
    sandbox: Sandbox, post: Post
) -> None:
    other = sandbox.trakor.add_organization("Other Finance")
    sandbox.trakor.freeze("Other Finance")
    assert (await post(sandbox, "parties", ADA, key=other.api_key))[0] == 403
    assert (await post(sandbox, "parties", ADA))[0] == 201
    sandbox.trakor.empty("Other Finance")
    assert len(sandbox.trakor.parties) == 1
    sandbox.trakor.empty()
    assert (await post(sandbox, "parties", ADA))[1]["created"]


async def test_keys_and_organisations_are_there_once(sandbox: Sandbox) -> None:
    sandbox.trakor.add_organization("Other Finance")
    with pytest.raises(ValueError, match="already"):
        sandbox.trakor.add_organization("Other Finance")
    with pytest.raises(ValueError, match="another one's"):
        sandbox.trakor.add_organization("Third", sandbox.options.trakor_key)
    with pytest.raises(KeyError, match="Nowhere"):
        sandbox.trakor.freeze("Nowhere")


# -- what the page leaves open --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matching", "same"),
    [(Matching.EXACT, ["Acme", " Acme "]), (Matching.CASE_INSENSITIVE, ["Acme", " Acme ", "ACME"])],
)
async def test_names_are_trimmed_before_they_are_compared_and_stored(
    sandbox: Sandbox, post: Post, matching: Matching, same: list[str]
) -> None:
    sandbox.trakor.behave(trims=True, matching=matching)
    _, first = await post(sandbox, "parties", {"name": "  Acme\t"})
    answers = {
        name: (await post(sandbox, "parties", {"name": name}))[1] for name in ("Acme", " Acme ", "ACME")
    }
    assert first["name"] == "Acme"
    assert [name for name, answer in answers.items() if not answer["created"]] == same


async def test_names_are_compared_in_another_way_from_now_on(sandbox: Sandbox, post: Post) -> None:
    await post(sandbox, "parties", ADA)
    sandbox.trakor.behave(matching=Matching.CASE_INSENSITIVE, existing_status=201)
    status, answer = await post(sandbox, "parties", {"name": "ADA ASHBY"})
    assert (status, answer["created"]) == (201, False)


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        (Blocked.FORBIDDEN, 403, "text/html"),
        (Blocked.PAGE, 200, "text/html"),
        (Blocked.NOT_FOUND, 404, "text/html"),
        (Blocked.REDIRECT, 302, "text/html"),
    ],
)
async def test_a_firewall_blocks_a_text_and_lets_all_else_pass(
    sandbox: Sandbox, http: aiohttp.ClientSession, post: Post, answer: Blocked, status: int, kind: str
) -> None:
    rule = sandbox.trakor.firewall.block("Union Select", answer)
    body = {"name": "Ada", "contact_info": "the union SELECT committee"}
    url, headers = f"{sandbox.trakor_url}/parties", {"X-API-KEY": sandbox.options.trakor_key}
    async with http.post(url, json=body, headers=headers, allow_redirects=False) as got:
        assert (got.status, got.content_type) == (status, kind)
        assert ("Location" in got.headers) is (answer is Blocked.REDIRECT)
    assert (await post(sandbox, "parties", {"name": "Ada"}))[0] == 201
    assert (await post(sandbox, "parties", {}))[0] == 400
    sandbox.trakor.firewall.clear()
    assert (await post(sandbox, "parties", body))[0] == 200
    assert rule.hits == 1


async def test_a_firewall_comes_before_the_key_and_knows_nested_texts(sandbox: Sandbox, post: Post) -> None:
    sandbox.trakor.firewall.block("bad", Blocked.FORBIDDEN)
    sandbox.trakor.revoke_key()
    with pytest.raises(ValueError, match="Expecting value"):
        await post(sandbox, "parties", {"name": "A", "more": [{"deep": "bad"}]})
    assert (await post(sandbox, "parties", {"name": "A"}))[0] == 401
    with pytest.raises(ValueError, match="everything"):
        sandbox.trakor.firewall.block("")


@pytest.mark.parametrize("status", [400, 403])
async def test_a_full_plan_takes_nothing_new_and_still_knows_what_it_has(
    sandbox: Sandbox, post: Post, status: int
) -> None:
    sandbox.trakor.behave(limit=2, limit_status=status)
    await post(sandbox, "parties", ADA)
    await post(sandbox, "products", {"name": "Loan"})
    assert (await post(sandbox, "parties", {"name": "Ben"}))[0] == status
    assert (await post(sandbox, "products", {"name": "Other"}))[0] == status
    assert (await post(sandbox, "parties", ADA))[0] == 200
    sandbox.trakor.behave(limit=None)
    assert (await post(sandbox, "parties", {"name": "Ben"}))[0] == 201


async def test_an_unknown_path_is_html_and_200_where_that_is_chosen(
    sandbox: Sandbox, http: aiohttp.ClientSession, post: Post
) -> None:
    assert (await post(sandbox, "nowhere", {}))[0] == 404
    sandbox.trakor.behave(html_for_unknown=True)
    async with http.post(f"{sandbox.trakor_url}/nowhere", json=ADA) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
    assert (await post(sandbox, "parties", ADA))[0] == 201


def test_options_say_how_trakor_begins() -> None:
    chosen: dict[str, Any] = {"lookup": Lookup.FAILS, "trims": True, "html_for_unknown": True}
    chosen |= {"limit": 7, "limit_status": 400}
    sandbox = Sandbox(Options(contacts=0, products=0, **chosen))
    assert sandbox.trakor.behaviour == Behaviour(**chosen)


@pytest.mark.parametrize(
    "fields", [{"lookup": "sometimes"}, {"matching": "x"}, {"existing_status": 204}, {"limit_status": 402}]
)
def test_a_behaviour_that_there_is_not_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"valid|is 200|is 400"):
        Behaviour(**fields)
