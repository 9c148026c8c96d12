"""Schemas that the bridge has never seen: hand-written queries read all of them, and pass the check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from graphql import build_schema, validate
from graphql import parse as parse_graphql

from bridge.first_configuration import copy_queries
from bridge.salestrekker.by_id_query import load_by_id_query, load_deal_query
from bridge.salestrekker.list_query import load_list_query
from bridge.salestrekker.query_files import load_document
from bridge.salestrekker.schema.corrections import make_corrections
from bridge.salestrekker.schema.entry_points import find_schema_lists, find_schema_records
from bridge.salestrekker.schema.introspection import LiveSchema
from bridge.salestrekker.schema.validation import find_mismatches
from foreign_lists import client_of, doubt_of, ids, read, read_ids
from schemas import SCHEMAS, ForeignSandbox

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.salestrekker.schema.corrections import QueryMismatch
    from schemas import Truth


@dataclass(frozen=True)
class Written:
    """Queries for one schema, as a person writes them.

    Attributes:
        lists: The list of contacts, and that of products.
        ones: A contact by its id, and a product.
        deal: The contacts of a deal.
    """

    lists: tuple[str, str]
    ones: tuple[str, str]
    deal: str


PERSON = "... on Person { id givenName phone { number } } ... on Company { id legalName call: phone }"
LOAN = "id name ... on HomeLoan { maximumLvr }"
PAGE_INFO = "pageInfo { hasNextPage endCursor }"


def relay(field: str, variables: tuple[str, str], selected: str) -> str:
    first, after = variables
    declared, passed = f"${first}: Int, ${after}: String", f"first: ${first}, after: ${after}"
    return f"query Q({declared}) {{ {field}({passed}) {{ edges {{ node {{ {selected} }} }} {PAGE_INFO} }} }}"


def nested(field: str, selected: str) -> str:
    """With fields beside the way to the list, an id among them."""
    listed = f"{field}(input: {{page: {{skip: $skip, take: $take}}}}) {{ records {{ {selected} }} total }}"
    return f"query Q($skip: Int! = 0, $take: Int! = 10) {{ me {{ id organization {{ id abn {listed} }} }} }}"


def by_cursor(field: str, selected: str) -> str:
    passed = f"{field}(cursor: $cursor, limit: $limit)"
    return f"query Q($cursor: String, $limit: Int = 15) {{ {passed} {{ {selected} nextCursor }} }}"


def below_me(selected: str) -> str:
    return f"query Q($id: ID!) {{ me {{ id organization {{ name {selected} }} }} }}"


WRITTEN = {
    "relay": Written(
        (
            relay("people", ("first", "after"), "id firstName"),
            relay("loanProducts", ("n", "from"), "id name"),
        ),
        (
            "query Q($id: ID!) { node(id: $id) { ... on Person { id firstName } } }",
            "query Q($id: ID!) { loanProduct(id: $id) { id name } }",
        ),
        """query Q($id: ID!) { opportunity(id: $id) {
            id ticketClientTypes: participants { idContact: person { id } } } }""",
    ),
    "nested": Written(
        (nested("contacts", "id fullName"), nested("products", "id title")),
        (below_me("contact(id: $id) { id fullName }"), below_me("product(id: $id) { id title }")),
        below_me("deal(id: $id) { id idClients: contactIds }"),
    ),
    "cursor": Written(
        (by_cursor("contacts", f"items {{ {PERSON} }}"), by_cursor("products", f"items {{ {LOAN} }}")),
        (
            f"query Q($id: ID!) {{ contact(id: $id) {{ {PERSON} }} }}",
            f"query Q($id: ID!) {{ product(id: $id) {{ {LOAN} }} }}",
        ),
        """query Q($id: ID!) { file(id: $id) {
            id idClients: clients { ... on Person { id } ... on Company { id } } } }""",
    ),
}


def true_ids(truth: Truth) -> tuple[list[str], list[str]]:
    return [one.id for one in truth.contacts], [one.id for one in truth.products]


def written(folder: Path, text: str) -> Path:
    (folder / "q.graphql").write_text(text)
    return folder


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("size", [7, 100])
async def test_all_contacts_and_products_are_read(tmp_path: Path, name: str, size: int) -> None:
    async with ForeignSandbox(SCHEMAS[name]()) as sandbox:
        for text, expected in zip(WRITTEN[name].lists, true_ids(sandbox.schema.truth), strict=True):
            pages = await read(sandbox, load_list_query("q.graphql", [written(tmp_path, text)]), size)
            assert (ids(pages), doubt_of(pages)) == (expected, "")
            assert not [broken for page in pages for broken in page.broken]


@pytest.mark.parametrize("name", WRITTEN)
async def test_each_is_read_by_its_id_and_absent_ones_are_known(tmp_path: Path, name: str) -> None:
    async with ForeignSandbox(SCHEMAS[name]()) as sandbox:
        for text, expected in zip(WRITTEN[name].ones, true_ids(sandbox.schema.truth), strict=True):
            query = load_by_id_query("q.graphql", [written(tmp_path, text)])
            found = await read_ids(sandbox, query, [*expected, "absent"])
            assert [one.id for one in found.records] == expected
            assert (found.absent, found.broken) == (["absent"], [])


@pytest.mark.parametrize("name", WRITTEN)
async def test_the_contacts_of_a_deal_are_read(tmp_path: Path, name: str) -> None:
    async with ForeignSandbox(SCHEMAS[name]()) as sandbox, client_of(sandbox) as client:
        query = load_deal_query("q.graphql", [written(tmp_path, WRITTEN[name].deal)])
        deals = {deal.id: deal.contacts for deal in sandbox.schema.truth.deals}
        assert await client.read_deal_contacts(query, list(deals), 25) == deals


def live(name: str) -> LiveSchema:
    return LiveSchema(build_schema(SCHEMAS[name]().shape.sdl))


@pytest.mark.parametrize("name", WRITTEN)
def test_what_fits_is_not_complained_of(tmp_path: Path, name: str) -> None:
    every = [(text, True) for text in WRITTEN[name].lists]
    every += [(text, False) for text in (*WRITTEN[name].ones, WRITTEN[name].deal)]
    for text, listing in every:
        document = load_document("q.graphql", [written(tmp_path, text)])
        assert validate(live(name).graphql, parse_graphql(document.text)) == []
        assert find_mismatches(document, live(name), listing=listing) == (), text


LISTS = {
    "relay": {"people": "Person", "loanProducts": "LoanProduct"},
    "nested": {"me.organization.contacts": "Contact", "me.organization.products": "Product"},
    "cursor": {"contacts": "ContactResult", "products": "LendingProduct"},
}
RECORDS = {
    "relay": {"person": "Person", "loanProduct": "LoanProduct", "node": "Node"},
    "nested": {"me.organization.contact": "Contact", "me.organization.product": "Product"},
    "cursor": {"contact": "ContactResult", "product": "LendingProduct"},
}


@pytest.mark.parametrize("name", WRITTEN)
def test_lists_and_records_are_found_wherever_they_are(name: str) -> None:
    query = live(name).graphql.query_type
    assert query is not None
    lists = {".".join(one.path): one for one in find_schema_lists(query)}
    records = {".".join(one.path): one for one in find_schema_records(query)}
    assert {path: lists[path].record.name for path in LISTS[name]} == LISTS[name]
    assert {path: records[path].record.name for path in RECORDS[name]} == RECORDS[name]
    assert all(lists[path].paging_variable for path in LISTS[name])


def corrected(folder: Path, name: str, file: str, *, listing: bool) -> tuple[QueryMismatch, ...]:
    """What is still wrong after the printed lines were written."""
    for one in make_corrections(find_mismatches(load_document(file, [folder]), live(name), listing=listing)):
        path = folder / one.file.rpartition("/")[2]
        old = path.read_text().split("\n")
        path.write_text("\n".join([*old[: one.first - 1], *one.lines, *old[one.last :]]))
    return find_mismatches(load_document(file, [folder]), live(name), listing=listing)


@pytest.mark.parametrize("file", ["contacts.graphql", "products.graphql"])
def test_the_shipped_lists_are_led_to_lists_below_the_root(tmp_path: Path, file: str) -> None:
    copy_queries(tmp_path)
    folder = tmp_path / "queries"
    assert corrected(folder, "nested", file, listing=True) == ()
    query = load_list_query(file, [folder])
    assert query.path[:2] == ("me", "organization")
    assert query.path[-1] == "records"
    assert "page: {skip: $skip, take: $take}" in (folder / file).read_text()


@pytest.mark.parametrize("file", ["contact.graphql", "product.graphql"])
def test_the_shipped_queries_by_id_are_led_to_records_below_the_root(tmp_path: Path, file: str) -> None:
    copy_queries(tmp_path)
    folder = tmp_path / "queries"
    assert corrected(folder, "nested", file, listing=False) == ()
    assert load_by_id_query(file, [folder]).above == ("me", "organization")


def test_a_cursor_that_is_left_out_is_found_by_the_check(tmp_path: Path) -> None:
    """With the whole query that uses it."""
    folder = written(tmp_path, "query Q {\n  products {\n    items {\n      id\n      name\n    }\n  }\n}")
    document = load_document("q.graphql", [folder])
    (one,) = find_mismatches(document, live("cursor"), listing=True)
    assert "`products` comes in pages (limit, cursor): the query reads one" in one.what
    assert "nextCursor" in one.edits[0].text
    assert corrected(folder, "cursor", "q.graphql", listing=True) == ()


def test_a_total_that_is_left_out_is_found_by_the_check(tmp_path: Path) -> None:
    """A list that is read in one request is whole only if its total says so."""
    schema = LiveSchema(
        build_schema("type Query { a: Page! } type Page { items: [A!]! total: Int } type A { id: ID! }")
    )
    document = load_document("q.graphql", [written(tmp_path, "query Q {\n  a {\n    items { id }\n  }\n}")])
    (one,) = find_mismatches(document, schema, listing=True)
    assert one.what == "`a` has `total`, which the query does not use: a part may be missing"
    assert one.edits[0].text == "query Q {\n  a {\n    items { id }\n    total\n  }\n}"


def test_a_number_whose_name_says_nothing_is_left_to_the_user(tmp_path: Path) -> None:
    """It may be the page's number. There is no line to write."""
    schema = LiveSchema(build_schema("type Query { a(seite: Int): [A!]! } type A { id: ID! }"))
    document = load_document("q.graphql", [written(tmp_path, "query Q {\n  a {\n    id\n  }\n}")])
    (one,) = find_mismatches(document, schema, listing=True)
    assert one.what == "`a` has `seite`, which the query does not use: a part may be missing"
    assert one.edits == ()
    given = load_document("q.graphql", [written(tmp_path, "query Q { a(seite: null) { id } }")])
    assert find_mismatches(given, schema, listing=True) == ()


@pytest.mark.parametrize(
    ("selected", "says"),
    [
        ("id", "ContactResult can be one of several types: select its fields in `... on Person { … }`"),
        ("... on Person { id }", "also be of the type Company, of which no id is selected"),
        ("... on Person { id } ... on Company { legalName }", "of the type Company"),
        ("... on Person { id } ... on Company { id shoeSize }", "`shoeSize` is no field of Company"),
        ("... on Person { id } ... on Lender { id }", "`Lender` is no type of the schema"),
    ],
)
def test_what_is_wrong_with_a_union_is_found_by_the_check(tmp_path: Path, selected: str, says: str) -> None:
    text = by_cursor("contacts", f"items {{ {selected} }}")
    document = load_document("q.graphql", [written(tmp_path, text)])
    assert says in find_mismatches(document, live("cursor"), listing=True)[0].what


def test_a_type_that_a_record_can_have_too_is_added(tmp_path: Path) -> None:
    selected = "\n    items {\n      ... on Person { id }\n    }\n"
    folder = written(tmp_path, by_cursor("contacts", selected))
    assert corrected(folder, "cursor", "q.graphql", listing=True) == ()
    assert "      ... on Company { id }\n    }\n" in (tmp_path / "q.graphql").read_text()
