"""The sandbox's GraphQL engine: the fast path answers as graphql-core does, whatever is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from answering import answers_of, selections, session_of
from bridge.sandbox.graphql_engine import ApiShape, Engine, shipped_sdl
from bridge.sandbox.salestrekker_organization import BrokenField
from bridge.sandbox.shapes import offset_shape

if TYPE_CHECKING:
    from bridge.sandbox.salestrekker import RequestContext

ENGINE = Engine(offset_shape())


def make_session() -> RequestContext:
    return session_of(offset_shape())


def both_ways(session: RequestContext, text: str, **variables: object) -> tuple[Any, Any]:
    return answers_of(ENGINE, session, text, **variables)


FAST = {
    "page": "{ contacts(limit: 120) { id isActive idLabels person { information { familyName } } } }",
    "variables and defaults": "query ($n: Int = 7, $o: Int) { contacts(limit: $n, offset: $o) { id } }",
    "aliases of one field": "{ a: contacts(limit: 2) { id } b: contacts(offset: 3, limit: 2) { x: id } }",
    "companies beside persons": "{ contacts { company { information { name } contact { email } } } }",
    "nulls at each level": "{ contacts(offset: 90) { person { contact { home mailingAddress { city } } } } }",
    "typename": "{ contacts(limit: 3) { __typename t: __typename person { __typename } } }",
    "fragments": """query { contacts(limit: 30) { ...Who ... on Contact { isActive } ... { timeStamp } } }
        fragment Who on Contact { id person { ...Name } }
        fragment Name on Person { information { firstName } }""",
    "merged fields": "{ contacts(limit: 9) { person { contact { email } } person { contact { home } } } }",
    "lists in lists": "{ products(limit: 40) { name lender { name turnaround } fee { type value } } }",
    "floats": "{ products { residential { initialRate lvrMax } fee { value } } }",
    "not found": '{ contact(id: "nobody") { id } product(id: "nothing") { id } }',
    "small ones": "{ labels { name } workflows { type { name } stages { id } } organizations { id } }",
}


@pytest.mark.parametrize("text", FAST.values(), ids=FAST)
def test_fast_path_answers_as_graphql_core(text: str) -> None:
    assert ENGINE.plan(text, None).steps is not None
    fast, exact = both_ways(make_session(), text)
    assert fast == exact
    assert list(fast["data"]) == list(exact["data"])


def test_many_records_by_id_in_one_operation() -> None:
    session = make_session()
    ids = [session.world.contacts.id_at(place) for place in range(25)]
    fields = " ".join(
        f"c{place}: contact(id: $i{place}) {{ id person {{ contact {{ email }} }} }}" for place in range(25)
    )
    text = f"query ({' '.join(f'$i{place}: ID!' for place in range(25))}) {{ {fields} }}"
    fast, exact = both_ways(session, text, **{f"i{place}": one for place, one in enumerate(ids)})
    assert ENGINE.plan(text, None).steps is not None
    assert fast == exact
    assert [fast["data"][f"c{place}"]["id"] for place in range(25)] == ids


SLOW = {
    "introspection": "{ __schema { queryType { name } } }",
    "typename of the query": "{ __typename }",
    "skip": "query ($no: Boolean = true) { contacts(limit: 2) { id timeStamp @skip(if: $no) } }",
    "include on a fragment": "{ contacts(limit: 2) { id ... @include(if: false) { timeStamp } } }",
    "directive at the top": "{ contacts(limit: 2) @include(if: true) { id } }",
}


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW)
def test_what_is_unusual_is_left_to_graphql_core(text: str) -> None:
    assert ENGINE.plan(text, None).steps is None
    fast, exact = both_ways(make_session(), text)
    assert fast == exact
    assert "errors" not in fast


ERRORS: dict[str, tuple[str, dict[str, object]]] = {
    "null where none may be": ("{ products(offset: 40) { id name } }", {}),
    "null where none may be, by id": ('{ product(id: "nameless") { name } labels { name } }', {}),
    "bad variable": ("query ($n: Int!) { contacts(limit: $n) { id } }", {"n": "many"}),
    "missing variable": ("query ($n: Int!) { contacts(limit: $n) { id } }", {}),
    "negative limit": ("{ contacts(limit: -1) { id } }", {}),
}


@pytest.mark.parametrize(("text", "variables"), ERRORS.values(), ids=ERRORS)
def test_errors_come_out_as_graphql_core_has_them(text: str, variables: dict[str, object]) -> None:
    session = make_session()
    session.world.products.insert({"id": "nameless", "name": None, "lender": [], "fee": []})
    fast, exact = both_ways(session, text, **variables)
    assert fast == exact
    assert fast["errors"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_selection_gives_the_same_answer_both_ways(data: st.DataObject) -> None:
    root = data.draw(st.sampled_from(["contacts", "products"]))
    offset = data.draw(st.integers(0, 110))
    text = f"{{ {root}(limit: 10, offset: {offset}) {data.draw(selections(ENGINE, root))} }}"
    assert ENGINE.plan(text, None).steps is not None
    fast, exact = both_ways(make_session(), text)
    assert fast == exact


def test_a_broken_field_is_null_with_its_path_and_the_rest_is_there() -> None:
    session = make_session()
    session.world.break_field(BrokenField(stream="contacts", path="person.contact.email"))
    plan = ENGINE.plan("{ contacts(limit: 2) { id person { contact { email home } } } }", None)
    answer = ENGINE.execute(plan, session, {}, exact=True)
    assert [error["path"] for error in answer["errors"]] == [
        ["contacts", place, "person", "contact", "email"] for place in range(2)
    ]
    assert answer["errors"][0]["extensions"] == {"code": "FORBIDDEN"}
    assert answer["data"]["contacts"][0]["person"]["contact"]["email"] is None
    assert answer["data"]["contacts"][0]["person"]["contact"]["home"]


def test_a_broken_record_by_id_is_null_beside_its_neighbours() -> None:
    session = make_session()
    good, bad = (session.world.contacts.id_at(place) for place in (0, 1))
    session.world.break_field(BrokenField(stream="contacts", path="", id=bad, code="", message="Oops"))
    plan = ENGINE.plan(
        "query ($a: ID!, $b: ID!) { a: contact(id: $a) { id } b: contact(id: $b) { id } }", None
    )
    answer = ENGINE.execute(plan, session, {"a": good, "b": bad}, exact=True)
    assert answer["data"] == {"a": {"id": good}, "b": None}
    assert [(error["message"], error["path"]) for error in answer["errors"]] == [("Oops", ["b"])]


def test_a_text_is_planned_once() -> None:
    text = "{ labels { id } }"
    assert ENGINE.plan(text, None) is ENGINE.plan(text, None)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("{ contacts(limit: 1) { nmae } }", None, "Cannot query field 'nmae'"),
        ("{ contacts {", None, "Syntax Error"),
        ("query A { labels { id } } query B { labels { id } }", None, "more than one"),
        ("query A { labels { id } }", "B", "named 'B'"),
    ],
)
def test_a_faulty_query_says_why(text: str, name: str | None, message: str) -> None:
    plan = ENGINE.plan(text, name)
    assert any(message in error.message for error in plan.errors)
    assert plan.steps is None


def test_a_shape_must_answer_every_root_field() -> None:
    with pytest.raises(ValueError, match="contacts"):
        Engine(ApiShape(shipped_sdl(), {}, {}))
