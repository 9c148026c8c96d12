"""Records by id that are not at the root, or not under the usual names: many share one request there too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from graphql import GraphQLError

from bridge.errors import QueryFileError, Transient
from bridge.salestrekker.by_id_query import build_batch_request, load_by_id_query, load_deal_query
from bridge.sandbox import Fault
from foreign_lists import ROWS, client_of, read_ids, serve
from schemas.foreign import below, by_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bridge.salestrekker.by_id_query import ByIdQuery
    from schemas import ForeignSandbox

    Load = Callable[[str], ByIdQuery]

ITEM = "type Item { id: ID! name: String }"
NESTED = f"""type Query {{ me: Me }} {ITEM}
type Me {{ id: ID! team(name: String): Team }} type Team {{ id: ID! title: String contact(id: ID!): Item }}"""
BELOW = """query Q($id: ID!, $of: String = "A", $x: Boolean = true) {
  me { id them: team(name: $of) { id title @include(if: $x) contact(id: $id) { id name } } } }"""


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a query by id of this text."""

    def load(text: str) -> ByIdQuery:
        (tmp_path / "one.graphql").write_text(text, encoding="utf-8")
        return load_by_id_query("one.graphql", [tmp_path])

    return load


def team(answer: Any = None, **more: Any) -> Callable[..., object]:  # noqa: ANN401 - what the team holds
    contact = below(answer or by_id(ROWS))
    content = {"id": "t", "title": "T", "contact": contact} | more
    return lambda _: {"id": "m", "team": below(lambda _: content)}


def sizes(sandbox: ForeignSandbox, kind: str = "me") -> list[int]:
    """How many variables each request had."""
    exchanges = sandbox.salestrekker.traffic.exchanges
    return [len(one.content["variables"]) for one in exchanges if one.kind == kind]


IDS = ["r3", "r0", "gone", "r39"]


@pytest.mark.parametrize("count", [1, 4])
async def test_records_below_the_root_share_one_request(load: Load, count: int) -> None:
    query = load(BELOW)
    async with serve(NESTED, me=team()) as sandbox:
        found = await read_ids(sandbox, query, IDS[:count])
        assert sizes(sandbox) == [count]
    assert {one.id for one in found.records} == set(IDS[:count]) - {"gone"}
    assert found.absent == [one for one in IDS[:count] if one == "gone"]
    assert found.broken == []
    assert query.above == ("me", "them")


def test_the_fields_beside_the_way_are_not_repeated(load: Load) -> None:
    """Nor the variables that only they use."""
    text, variables = build_batch_request(load(BELOW), ["a", "b"])
    assert list(variables) == ["id0", "id1"]
    assert "title" not in text
    assert "$x" not in text
    assert text.count("them: team(name: $of)") == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"me": None}, "me.them with null, and no error"),
        ({"me": {"them": None}}, "me.them with null, and no error"),
    ],
)
async def test_nothing_above_the_records_proves_no_record_absent(
    load: Load, data: dict[str, Any], says: str
) -> None:
    async with serve(NESTED, me=team()) as sandbox:
        sandbox.salestrekker.faults.add(Fault(kind="me", status=200, body={"data": data}, times=None))
        with pytest.raises(Transient, match=says):
            await read_ids(sandbox, load(BELOW), IDS)


async def test_an_error_inside_one_record_concerns_that_record_alone(load: Load) -> None:
    def one(arguments: Mapping[str, Any]) -> object:
        if arguments["id"] == "r0":
            raise GraphQLError("broken", extensions={"code": "FORBIDDEN"})
        return by_id(ROWS)(arguments)

    async with serve(NESTED, me=team(one)) as sandbox:
        found = await read_ids(sandbox, load(BELOW), IDS)
    assert {record.id for record in found.records} == {"r3", "r39"}
    assert [(broken.id, found.absent) for broken in found.broken] == [("r0", ["gone"])]


async def test_an_error_that_takes_all_of_them_along_is_found_by_halving(load: Load) -> None:
    """``contact`` allows no null, so one failure leaves nothing of the team."""

    def one(arguments: Mapping[str, Any]) -> object:
        if arguments["id"] == "r0":
            raise GraphQLError("broken", extensions={"code": "INTERNAL_SERVER_ERROR"})
        return by_id(ROWS)(arguments)

    sdl = NESTED.replace("contact(id: ID!): Item", "contact(id: ID!): Item!")
    async with serve(sdl, me=team(one)) as sandbox:
        found = await read_ids(sandbox, load(BELOW), ["r3", "r0", "r39"])
    assert {record.id for record in found.records} == {"r3", "r39"}
    assert [broken.id for broken in found.broken] == ["r0"]


@pytest.mark.parametrize(
    ("declared", "passed"),
    [
        ("$contactId: ID!", "id: $contactId"),
        ("$uuid: ID!", "id: $uuid"),
        ("$who: ID!", "id: $who"),
        ("$which: ID!, $id0: Boolean = true", "id: $which"),
        ("$id: ID!, $id0: Boolean = true", "id: $id"),
    ],
)
async def test_the_variable_may_have_any_name(load: Load, declared: str, passed: str) -> None:
    flag = " @include(if: $id0)" if "id0" in declared else ""
    query = load(f"query Q({declared}) {{ item({passed}) {{ id name{flag} }} }}")
    async with serve(f"type Query {{ item(id: ID!): Item }} {ITEM}", item=by_id(ROWS)) as sandbox:
        found = await read_ids(sandbox, query, IDS)
    assert {one.id for one in found.records} == {"r3", "r0", "r39"}


@pytest.mark.parametrize("text", ["query Q($aId: ID!, $bId: ID!) { item(a: $aId, b: $bId) { id } }"])
def test_of_two_such_variables_none_is_taken(load: Load, text: str) -> None:
    with pytest.raises(QueryFileError, match=r"declares no variable \$id"):
        load(text)


async def test_an_id_may_be_a_number(load: Load) -> None:
    rows = [{"id": number} for number in range(5)]
    query = load("query Q($id: Int!) { item(id: $id) { id } }")
    sdl = "type Query { item(id: Int!): Item } type Item { id: Int! }"
    async with serve(sdl, item=by_id(rows)) as sandbox:
        found = await read_ids(sandbox, query, ["1", "3", "9"])
    assert {one.id for one in found.records} == {"1", "3"}
    assert found.absent == ["9"]


async def test_an_id_may_stand_in_an_input_object_and_filter_a_list(load: Load) -> None:
    """A list with one item is that item, an empty one is none."""
    sdl = f"""type Query {{ items(where: Where): Page! }} {ITEM} type Page {{ total: Int rows: [Item!]! }}
    input Where {{ id: Equals }} input Equals {{ _eq: ID }}"""
    query = load("query Q($id: ID!) { items(where: {id: {_eq: $id}}) { total rows { id name } } }")

    def filtered(arguments: Mapping[str, Any]) -> object:
        return {"rows": [row for row in ROWS if row["id"] == arguments["where"]["id"]["_eq"]]}

    async with serve(sdl, items=filtered) as sandbox:
        found = await read_ids(sandbox, query, IDS)
    assert {one.id for one in found.records} == {"r3", "r0", "r39"}
    assert found.absent == ["gone"]


async def test_a_filter_that_the_server_ignores_is_found_out(load: Load) -> None:
    query = load("query Q($id: ID!) { items(id: $id) { id } }")
    async with serve(f"type Query {{ items(id: ID): [Item!]! }} {ITEM}", items=lambda _: ROWS) as sandbox:
        with pytest.raises(QueryFileError, match="answers with a list where one record is asked for"):
            await read_ids(sandbox, query, ["r0"])


ABSTRACT = """type Query { node(id: ID!): Node } interface Node { id: ID! }
type Item implements Node { id: ID! name: String } type Other implements Node { id: ID! }"""


async def test_a_record_may_be_found_through_an_interface(load: Load) -> None:
    """One of another type has no id that was selected: it is broken, and not absent."""
    query = load("query Q($id: ID!) { node(id: $id) { ... on Item { id name } } }")
    rows = [*ROWS, {"id": "other", "__typename": "Other"}]
    async with serve(ABSTRACT, node=by_id(rows)) as sandbox:
        found = await read_ids(sandbox, query, [*IDS, "other"])
    assert {one.id for one in found.records} == {"r3", "r0", "r39"}
    assert (found.absent, [one.message for one in found.broken]) == (["gone"], ["it has no id"])


def test_a_fragment_between_the_root_and_the_field_is_refused(load: Load) -> None:
    """The field is written again for each id, without what surrounds it."""
    with pytest.raises(QueryFileError, match="`item` is in a fragment") as caught:
        load("query Q($id: ID!) { me { ... on Me { item(id: $id) { id } } } }")
    assert "directly below `me`" in caught.value.advice


@pytest.mark.parametrize(
    ("sdl", "selected", "deal"),
    [
        ("contactIds: [ID!]!", "idClients: contactIds", {"contactIds": ["r1", "r2"]}),
        ("clients: [Item!]!", "idClients: clients { id }", {"clients": ROWS[1:3]}),
        (
            "participants: [Part!]!",
            "ticketClientTypes: participants { idContact: person { id } }",
            {"participants": [{"person": ROWS[1]}, {"person": ROWS[2]}]},
        ),
        (
            "participants: [Part!]!",
            "ticketClientTypes: participants { idContact: personId }",
            {"participants": [{"personId": "r1"}, {"personId": "r2"}]},
        ),
    ],
)
async def test_the_contacts_of_a_deal_may_be_named_by_aliases(
    tmp_path: Path, sdl: str, selected: str, deal: dict[str, Any]
) -> None:
    (tmp_path / "ticket.graphql").write_text(f"query Q($id: ID!) {{ deal(id: $id) {{ id {selected} }} }}")
    query = load_deal_query("ticket.graphql", [tmp_path])
    schema = f"""type Query {{ deal(id: ID!): Deal }} {ITEM} type Deal {{ id: ID! {sdl} }}
    type Part {{ person: Item personId: ID }}"""
    async with serve(schema, deal=by_id([{"id": "d", **deal}])) as sandbox, client_of(sandbox) as client:
        assert await client.read_deal_contacts(query, ["d"], 25) == {"d": ("r1", "r2")}
