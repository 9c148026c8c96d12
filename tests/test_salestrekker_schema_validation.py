"""Queries held against schemas: what is wrong, where, and the whole lines that make it right. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from graphql import GraphQLSchema, build_schema, validate
from graphql import parse as parse_graphql

from bridge.first_configuration import copy_queries
from bridge.salestrekker.list_query import parse_list_query
from bridge.salestrekker.query_files import load_document, shipped_queries
from bridge.salestrekker.schema.corrections import format_corrections, make_corrections
from bridge.salestrekker.schema.introspection import LiveSchema
from bridge.salestrekker.schema.validation import find_mismatches
from bridge.sandbox.shapes import Paged, ShapeKind, shape_of

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.salestrekker.query_files import QueryDocument
    from bridge.salestrekker.schema.corrections import QueryMismatch

LISTS = ("contacts.graphql", "products.graphql")
ALL = {name: name in LISTS for name in (*LISTS, "contact.graphql", "product.graphql", "ticket.graphql")}


def live_of(sdl: str) -> LiveSchema:
    return LiveSchema(build_schema(sdl))


def written(folder: Path, text: str, name: str = "q.graphql") -> QueryDocument:
    (folder / name).write_text(text)
    return load_document(name, [folder])


def found(folder: Path, text: str, sdl: str, *, listing: bool = False) -> tuple[QueryMismatch, ...]:
    return find_mismatches(written(folder, text), live_of(sdl), listing=listing)


def lines(found: tuple[QueryMismatch, ...]) -> str:
    return format_corrections(make_corrections(found), lambda file: file.rpartition("/")[2])


def correct(found: tuple[QueryMismatch, ...]) -> None:
    """Write the lines into the files, in the order in which they are given."""
    for one in make_corrections(found):
        with open(one.file, encoding="utf-8") as file:  # noqa: PTH123 - the name is a text
            old = file.read().split("\n")
        with open(one.file, "w", encoding="utf-8") as file:  # noqa: PTH123 - likewise
            file.write("\n".join([*old[: one.first - 1], *one.lines, *old[one.last :]]))


SMALL = """
type Query { contact(id: ID!): Contact }
type Contact { id: ID! firstName: String lastName: String emailAddress: String lender: [Lender!]! name: Name }
type Name { full: String short: String }
type Lender { id: ID! title: String }
"""


def test_what_fits_is_not_complained_of(tmp_path: Path) -> None:
    assert found(tmp_path, "query Q($id: ID!) {\n  contact(id: $id) {\n    id\n  }\n}", SMALL) == ()


@pytest.mark.parametrize("kind", list(ShapeKind))
@pytest.mark.parametrize("name", list(ALL))
def test_the_shipped_queries_can_be_corrected_for_each_shape(
    tmp_path: Path, kind: ShapeKind, name: str
) -> None:
    """Once the printed lines are written the document is valid, and the bridge can walk the list."""
    copy_queries(tmp_path)
    folders = [tmp_path / "queries"]
    live = live_of(shape_of(kind, Paged()).sdl)
    correct(find_mismatches(load_document(name, folders), live, listing=ALL[name]))
    document = load_document(name, folders)
    assert find_mismatches(document, live, listing=ALL[name]) == ()
    assert validate(live.graphql, parse_graphql(document.text)) == []
    if ALL[name]:
        assert parse_list_query(document).path[-1] in (
            "contacts",
            "products",
            "items",
            "node",
            "clients",
            "objects",
        )


def test_a_field_with_another_name_gets_an_alias_so_that_the_map_still_finds_it(tmp_path: Path) -> None:
    """With file, line, column, the nearest field, and the whole line with its comment."""
    text = "query Q($id: ID!) {\n  contact(id: $id) {\n    id\n    familyName # of a person\n  }\n}"
    (one,) = all_of = found(tmp_path, text, SMALL)
    assert (one.place.line, one.place.column) == (4, 5)
    assert one.place.file.endswith("q.graphql")
    assert one.what == "`familyName` is no field of Contact; most like it is `lastName`"
    assert lines(all_of) == "q.graphql, line 4: write\n    familyName: lastName # of a person"


def test_an_alias_that_is_there_is_kept(tmp_path: Path) -> None:
    text = "query Q($id: ID!) {\n  contact(id: $id) {\n    id\n    mail: email\n  }\n}"
    assert lines(found(tmp_path, text, SMALL)).endswith("write\n    mail: emailAddress")


def test_all_faults_of_a_line_are_corrected_in_it_together(tmp_path: Path) -> None:
    text = "query Q($id: ID!) {\n  contact(id: $id) { id familyName email shoeSize }\n}"
    mismatch = found(tmp_path, text, SMALL)
    assert len(mismatch) == 3
    assert lines(mismatch) == (
        "q.graphql, line 2: write\n  contact(id: $id) { id familyName: lastName email: emailAddress  }"
    )


def test_what_nothing_is_like_is_taken_out_and_the_type_is_told(tmp_path: Path) -> None:
    text = "query Q($id: ID!) {\n  contact(id: $id) {\n    id\n    shoeSize {\n      eu\n    }\n  }\n}"
    (one,) = all_of = found(tmp_path, text, SMALL)
    assert "nothing there is like it (it has id, firstName, lastName" in one.what
    assert lines(all_of) == "q.graphql, lines 4 to 6: take them out"


@pytest.mark.parametrize("field", ["brokerTools", "assetFinance", "vehicleFinance"])
def test_what_the_vendor_says_is_not_in_the_api_is_said(tmp_path: Path, field: str) -> None:
    text = f"query Q($id: ID!) {{\n  contact(id: $id) {{\n    id\n    {field}\n  }}\n}}"
    (one,) = found(tmp_path, text, SMALL)
    assert '"Broker tools and Asset Finance tools are not accessible via API"' in one.what


def test_two_missing_fields_are_never_taken_for_the_same_one(tmp_path: Path) -> None:
    text = "query Q($id: ID!) {\n  contact(id: $id) {\n    id\n    familyName\n    surname\n  }\n}"
    written_lines = lines(found(tmp_path, text, SMALL))
    assert written_lines.count("lastName") == 1


def test_a_value_that_became_an_object_is_opened(tmp_path: Path) -> None:
    text = "query Q($id: ID!) {\n  contact(id: $id) {\n    id\n    name\n  }\n}"
    (one,) = all_of = found(tmp_path, text, SMALL)
    assert "say which of its fields are wanted (full, short)" in one.what
    assert lines(all_of) == "q.graphql, line 4: write\n    name { full }"


def test_an_object_that_became_a_value_is_closed(tmp_path: Path) -> None:
    text = "query Q($id: ID!) {\n  contact(id: $id) {\n    id\n    firstName {\n      given\n    }\n  }\n}"
    all_of = found(tmp_path, text, SMALL)
    assert lines(all_of) == "q.graphql, lines 4 to 6: write\n    firstName"


def test_a_field_that_moved_below_another_one_is_found_there(tmp_path: Path) -> None:
    sdl = """type Query { contact(id: ID!): Contact }
    type Contact { id: ID! reach: Reach } type Reach { phone: Phone mail: String }
    type Phone { number: String }
    """
    text = "query Q($id: ID!) {\n  contact(id: $id) {\n    id\n    email\n  }\n}"
    assert lines(found(tmp_path, text, sdl)) == "q.graphql, line 4: write\n    reach { email: mail }"


def test_fields_that_moved_up_take_the_place_of_what_held_them(tmp_path: Path) -> None:
    text = (
        "query Q($id: ID!) {\n  contact(id: $id) {\n    id\n    person {\n      information {\n"
        "        firstName\n        familyName\n      }\n    }\n  }\n}"
    )
    assert lines(found(tmp_path, text, SMALL)) == (
        "q.graphql, lines 4 to 9: write\n    firstName\n    familyName: lastName"
    )


def test_below_a_field_that_was_guessed_the_search_goes_on(tmp_path: Path) -> None:
    """One run tells all."""
    text = (
        "query Q($id: ID!) {\n  contact(id: $id) {\n    id\n    bank {\n      id\n      name\n    }\n  }\n}"
    )
    assert lines(found(tmp_path, text, SMALL)) == (
        "q.graphql, line 4: write\n    bank: lender {\nq.graphql, line 6: write\n      name: title"
    )


def test_what_is_left_empty_goes_with_its_fields(tmp_path: Path) -> None:
    text = "query Q($id: ID!) {\n  contact(id: $id) {\n    id\n    lender {\n      xyzzy\n    }\n  }\n}"
    assert lines(found(tmp_path, text, SMALL)) == "q.graphql, lines 4 to 6: take them out"


def test_a_fragment_is_put_on_the_type_that_it_is_spread_on(tmp_path: Path) -> None:
    """And is checked there, in its own file."""
    (tmp_path / "c.fragment.graphql").write_text("fragment F on Person {\n  id\n  familyName\n}")
    text = "query Q($id: ID!) {\n  contact(id: $id) {\n    ...F\n  }\n}"
    assert lines(found(tmp_path, text, SMALL)) == (
        "c.fragment.graphql, line 1: write\nfragment F on Contact {\n"
        "c.fragment.graphql, line 3: write\n  familyName: lastName"
    )


def test_a_fragment_that_is_spread_twice_is_checked_once_and_nothing_around_it_is_lost(
    tmp_path: Path,
) -> None:
    sdl = "type Query { a: Two } type Two { one: Reach other: Reach } type Reach { mail: String }"
    text = "query Q {\n  a {\n    one { ...R }\n    other { ...R }\n  }\n}\nfragment R on Reach {\n  email\n}"
    assert lines(found(tmp_path, text, sdl)) == "q.graphql, line 8: write\n  email: mail"


def test_an_argument_with_another_name_is_renamed(tmp_path: Path) -> None:
    sdl = "type Query { client(clientId: ID!): Client } type Client { id: ID! }"
    text = "query Q($id: ID!) {\n  contact(id: $id) {\n    id\n  }\n}"
    assert lines(found(tmp_path, text, sdl)) == (
        "q.graphql, line 2: write\n  contact: client(clientId: $id) {"
    )


def test_a_variable_takes_the_type_of_its_argument(tmp_path: Path) -> None:
    sdl = "type Query { contact(id: Int!): Contact } type Contact { id: Int! }"
    text = "query Q($id: ID!) {\n  contact(id: $id) {\n    id\n  }\n}"
    assert lines(found(tmp_path, text, sdl)) == "q.graphql, line 1: write\nquery Q($id: Int!) {"


def test_an_argument_that_is_needed_is_told(tmp_path: Path) -> None:
    sdl = "type Query { contact(id: ID!, brand: String!): Contact } type Contact { id: ID! }"
    (one,) = found(tmp_path, "query Q($id: ID!) {\n  contact(id: $id) {\n    id\n  }\n}", sdl)
    assert "`contact` needs the argument `brand: String!`" in one.what
    assert one.edits == ()


def test_what_no_rule_of_ours_knows_is_left_to_the_specification(tmp_path: Path) -> None:
    text = "query Q($id: ID!, $unused: ID) {\n  contact(id: $id) {\n    id\n  }\n}"
    (one,) = found(tmp_path, text, SMALL)
    assert "$unused" in one.what
    assert (one.place.line, one.place.column) == (1, 19)


def test_a_query_by_id_that_nothing_is_like_is_not_taken_out(tmp_path: Path) -> None:
    """No query would be left."""
    sdl = "type Query { labels: [Label!]! } type Label { colour: String }"
    (one,) = found(tmp_path, "query Q($id: ID!) {\n  contact(id: $id) {\n    id\n  }\n}", sdl)
    assert (one.edits, one.offered) == ((), False)


@pytest.mark.parametrize(
    ("arguments", "kind", "expected"),
    [
        ("(offset: Int, limit: Int)", "[C!]!", "contacts(offset: $offset, limit: $limit) {"),
        ("(page: Int!, perPage: Int!)", "[C!]!", "contacts(page: $page, perPage: $perPage) {"),
        ("(paging: P)", "[C!]!", "contacts(paging: {offset: $offset, limit: $limit}) {"),
        ("(after: ID, first: Int)", "Conn!", "    pageInfo { hasNextPage endCursor }"),
        ("(after: ID, first: Int)", "[C!]!", "query L {"),  # a cursor that nobody tells is of no use
        ("(first: Int!)", "[C!]!", "query L {"),
    ],
)
def test_a_list_is_asked_for_as_the_schema_pages_it(
    tmp_path: Path, arguments: str, kind: str, expected: str
) -> None:
    sdl = f"""type Query {{ contacts{arguments}: {kind} }} type C {{ id: ID! name: String }}
    input P {{ offset: Int limit: Int }} type Edge {{ cursor: String! node: C! }}
    type Conn {{ edges: [Edge!]! pageInfo: Info! }} type Info {{ hasNextPage: Boolean! endCursor: String }}"""
    text = (
        "query L($skip: Int, $take: Int) {\n  contacts(skip: $skip, take: $take) {\n    id\n    name\n  }\n}"
    )
    all_of = found(tmp_path, text, sdl, listing=True)
    assert expected in lines(all_of)
    assert "id\n" in lines(all_of)


def test_a_list_in_pages_that_the_query_does_not_walk_is_found(tmp_path: Path) -> None:
    """Only its first page would be read, and all other records would seem gone."""
    sdl = "type Query { contacts(offset: Int, limit: Int): [C!]! } type C { id: ID! }"
    (one,) = found(tmp_path, "query L {\n  contacts {\n    id\n  }\n}", sdl, listing=True)
    assert "comes in pages (offset, limit): the query reads one" in one.what
    assert "$offset: Int = 0" in one.edits[0].text


def test_an_argument_that_narrows_a_list_down_is_kept(tmp_path: Path) -> None:
    sdl = "type Query { contacts(owner: ID, page: Int): [C!]! } type C { id: ID! }"
    text = 'query L($offset: Int) {\n  contacts(offset: $offset, owner: "7") {\n    id\n  }\n}'
    assert 'contacts(owner: "7", page: $page) {' in lines(found(tmp_path, text, sdl, listing=True))


def test_a_list_that_the_schema_has_nothing_like_names_what_there_is(tmp_path: Path) -> None:
    sdl = "type Query { labels: [Label!]! } type Label { id: ID! colour: String }"
    text = "query L {\n  contacts {\n    id\n    person { firstName familyName }\n  }\n}"
    (one,) = found(tmp_path, text, sdl, listing=True)
    assert "no list `contacts`, nor one like it (it has labels)" in one.what


def test_a_very_large_schema_that_refers_to_itself_is_walked_in_good_time() -> None:
    """Every type leads to every other one."""
    types = [f"T{number}" for number in range(60)]
    fields = " ".join(f"f{kind}: {kind}" for kind in types)
    sdl = "type Query { contacts: [T0!]! }" + "".join(
        f"type {kind} {{ id: ID! x{kind}: String {fields} }}" for kind in types
    )
    schema: GraphQLSchema = build_schema(sdl)
    document = load_document("contacts.graphql", [shipped_queries()])
    assert find_mismatches(document, LiveSchema(schema), listing=True)
