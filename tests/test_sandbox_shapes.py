"""The five shapes of schema that the sandbox can have: what each answers, both ways alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from answering import answers_of, selections, session_of
from bridge.sandbox.graphql_engine import Engine
from bridge.sandbox.salestrekker_organization import BrokenField
from bridge.sandbox.shapes import BeforeFirst, Paged, ShapeKind, shape_of

if TYPE_CHECKING:
    from bridge.sandbox.salestrekker import RequestContext

SHAPES = {kind: shape_of(kind, Paged()) for kind in ShapeKind}
ENGINES = {kind: Engine(shape) for kind, shape in SHAPES.items()}
ROOTS = dict.fromkeys(ShapeKind, ("contacts", "products")) | {ShapeKind.RENAMED: ("clients", "loanProducts")}


def ask(kind: ShapeKind, text: str, session: RequestContext | None = None, **variables: object) -> Any:  # noqa: ANN401
    """The answer, which must be the same both ways, and of which the fast way must be capable."""
    assert ENGINES[kind].plan(text, None).steps is not None
    fast, exact = answers_of(ENGINES[kind], session or session_of(SHAPES[kind]), text, **variables)
    assert fast == exact
    return fast


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), kind=st.sampled_from(list(ShapeKind)), stream=st.sampled_from([0, 1]))
def test_any_selection_gives_the_same_answer_both_ways(
    data: st.DataObject, kind: ShapeKind, stream: int
) -> None:
    root = ROOTS[kind][stream]
    assert ask(kind, f"{{ {root} {data.draw(selections(ENGINES[kind], root))} }}").keys() <= {
        "data",
        "errors",
    }


PEOPLE = {
    ShapeKind.OFFSET: "{ contacts(limit: 7) { id } }",
    ShapeKind.PAGE: "{ contacts(page: 1, pageSize: 7) { items { id } } }",
    ShapeKind.RELAY: "{ contacts(first: 7) { nodes { id } } }",
    ShapeKind.PLAIN: "{ contacts { id } }",
    ShapeKind.RENAMED: "{ clients(take: 7) { objects { clientId } } }",
}


@pytest.mark.parametrize("kind", ShapeKind)
def test_each_shape_gives_the_same_records_in_the_same_order(kind: ShapeKind) -> None:
    session = session_of(SHAPES[kind])
    found = ask(kind, PEOPLE[kind], session)["data"]
    while isinstance(found, dict):
        (found,) = found.values()
    ids = [next(iter(row.values())) for row in found]
    assert ids[:7] == [session.world.contacts.id_at(place) for place in range(7)]
    assert len(ids) == (120 if kind is ShapeKind.PLAIN else 7)


@pytest.mark.parametrize("first", [0, 1])
def test_pages_are_numbered_from_where_they_begin(first: int) -> None:
    engine = Engine(shape_of(ShapeKind.PAGE, Paged(first=first)))
    session = session_of(SHAPES[ShapeKind.PAGE])
    text = "query ($p: Int) { contacts(page: $p, pageSize: 50) { total items { id } } }"
    pages = [
        answers_of(engine, session, text, p=first + place)[0]["data"]["contacts"]["items"]
        for place in range(4)
    ]
    assert [len(page) for page in pages] == [50, 50, 20, 0]
    assert [row["id"] for page in pages for row in page] == [row["id"] for row in session.world.contacts]
    default = "{ contacts(pageSize: 50) { items { id } } }"
    assert answers_of(engine, session, default)[0]["data"]["contacts"]["items"] == pages[0]


@pytest.mark.parametrize(
    ("before", "count", "code"),
    [
        (BeforeFirst.REFUSED, None, "BAD_USER_INPUT"),
        (BeforeFirst.FAULT, None, "INTERNAL_SERVER_ERROR"),
        (BeforeFirst.EMPTY, 0, None),
        (BeforeFirst.FIRST, 9, None),
    ],
)
def test_a_page_before_the_first_is_answered_as_chosen(
    before: BeforeFirst, count: int | None, code: str | None
) -> None:
    engine = Engine(shape_of(ShapeKind.PAGE, Paged(first=1, before_first=before)))
    text = "{ contacts(page: 0, pageSize: 9) { items { id } } }"
    answer, exact = answers_of(engine, session_of(SHAPES[ShapeKind.PAGE]), text)
    assert answer == exact
    if count is None:
        assert answer["errors"][0]["extensions"] == {"code": code}
    else:
        assert len(answer["data"]["contacts"]["items"]) == count


NEXT = """query ($n: Int, $c: String) {
  contacts(first: $n, after: $c) {
    edges { cursor node { id } } pageInfo { hasNextPage endCursor } totalCount
  }
}"""


def test_cursors_stay_good_when_records_come_and_go() -> None:
    session = session_of(SHAPES[ShapeKind.RELAY])
    contacts = session.world.contacts
    before = [row["id"] for row in contacts]
    first = ask(ShapeKind.RELAY, NEXT, session, n=50)["data"]["contacts"]
    contacts.remove(before[10])
    contacts.remove(before[49])
    late = contacts.add("Ada Late")
    seen, cursor = [edge["node"]["id"] for edge in first["edges"]], first["pageInfo"]["endCursor"]
    while True:
        page = ask(ShapeKind.RELAY, NEXT, session, n=50, c=cursor)["data"]["contacts"]
        seen += [edge["node"]["id"] for edge in page["edges"]]
        cursor = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == [*before, late]


@pytest.mark.parametrize("cursor", ["", "nonsense", "cHJvZHVjdHMgNQ==", "Y29udGFjdHMgeA=="])
def test_a_cursor_of_nowhere_is_refused(cursor: str) -> None:
    answer = ask(ShapeKind.RELAY, NEXT, n=5, c=cursor)
    assert answer["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT"}


SINCE = {
    ShapeKind.PAGE: ("query ($t: Int) { contacts(modifiedSince: $t) { items { id } } }", False),
    ShapeKind.RELAY: ("query ($t: DateTime) { contacts(updatedSince: $t) { items: nodes { id } } }", True),
    ShapeKind.PLAIN: ("query ($t: String) { contacts(changedAfter: $t) { id } }", True),
}


@pytest.mark.parametrize("kind", SINCE)
def test_only_what_has_changed_is_given_where_a_time_is(kind: ShapeKind) -> None:
    """Seeded records are stamped one a second from the first of January 2024 on."""
    session = session_of(SHAPES[kind])
    contacts = session.world.contacts
    ids = [row["id"] for row in contacts]
    contacts.rename(ids[3], "Ada Changed")
    contacts.rename(ids[119], "Bob Changed")
    new = contacts.add("Cora New")
    moment = datetime(2024, 1, 1, 0, 1, 55, tzinfo=UTC)
    text, written = SINCE[kind]
    found = ask(kind, text, session, t=moment.isoformat() if written else int(moment.timestamp()))
    rows = found["data"]["contacts"]
    rows = rows if isinstance(rows, list) else rows["items"]
    assert [row["id"] for row in rows] == [ids[3], *ids[115:], new]


def test_what_is_no_time_is_refused() -> None:
    answer = ask(ShapeKind.PLAIN, '{ contacts(changedAfter: "soon") { id } }')
    assert "no time" in answer["errors"][0]["message"]


def test_no_more_than_a_page_in_any_shape() -> None:
    for kind in set(ShapeKind) - {ShapeKind.PLAIN}:
        engine = Engine(shape_of(kind, Paged(most=5)))
        found = answers_of(engine, session_of(SHAPES[kind]), PEOPLE[kind])[0]["data"]
        while isinstance(found, dict):
            (found,) = found.values()
        assert len(found) == 5


CLIENTS = """{ clients(take: 120) { totalCount objects {
  clientId status personal { givenName surname reach { emailAddress mobile { countryCode number } } }
  business { legalName abn reach { landline { number } } }
} } }"""


def test_other_names_tell_the_same() -> None:
    session = session_of(SHAPES[ShapeKind.RENAMED])
    clients = ask(ShapeKind.RENAMED, CLIENTS, session)["data"]["clients"]
    assert clients["totalCount"] == 120
    for row, client in zip(session.world.contacts, clients["objects"], strict=True):
        assert client["clientId"] == row["id"]
        assert client["status"] == ("ACTIVE" if row["isActive"] else "ARCHIVED")
        person, personal = row["person"], client["personal"]
        assert (person is None) == (personal is None)
        if person:
            assert personal["surname"] == person["information"]["familyName"]
            assert (personal["reach"] or {}).get("emailAddress") == (person["contact"] or {}).get("email")
    assert [client["clientId"] for client in clients["objects"] if client["business"]]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("person.contact.email", ["personal", "reach", "emailAddress"]),
        ("person.contact", ["personal", "reach"]),
        ("person.information", ["personal"]),
        ("person", ["personal"]),
        ("isActive", ["status"]),
        ("", []),
    ],
)
def test_what_is_broken_shows_under_its_other_name(path: str, place: list[str]) -> None:
    session = session_of(SHAPES[ShapeKind.RENAMED])
    victim = session.world.contacts.id_at(1)
    session.world.break_field(BrokenField(stream="contacts", path=path, id=victim))
    plan = ENGINES[ShapeKind.RENAMED].plan(CLIENTS, None)
    answer = ENGINES[ShapeKind.RENAMED].execute(plan, session, {}, exact=True)
    assert [error["path"] for error in answer["errors"]] == [["clients", "objects", 1, *place]]


def test_one_record_by_id_in_the_renamed_shape() -> None:
    session = session_of(SHAPES[ShapeKind.RENAMED])
    text = """query ($c: ID!, $p: ID!) {
      client(clientId: $c) { clientId } loanProduct(productId: $p) { productId }
    }"""
    contact, product = session.world.contacts.id_at(4), session.world.products.id_at(4)
    answer = ask(ShapeKind.RENAMED, text, session, c=contact, p=product)
    assert answer["data"] == {"client": {"clientId": contact}, "loanProduct": {"productId": product}}
    assert ask(ShapeKind.RENAMED, text, session, c="x", p="y")["data"] == {
        "client": None,
        "loanProduct": None,
    }


def test_pages_begin_at_0_or_1() -> None:
    with pytest.raises(ValueError, match="0 or 1"):
        Paged(first=2)
