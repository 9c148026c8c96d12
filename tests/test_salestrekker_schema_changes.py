"""The live schema: asked for, saved, compared; a server's complaints taken back to the files; likenesses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from graphql import build_schema, introspection_from_schema, parse, validate
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import QueryFileError, Transient
from bridge.salestrekker.graphql_errors import parse_result
from bridge.salestrekker.query_files import load_document, query_folders, shipped_queries
from bridge.salestrekker.schema.changes import find_changes
from bridge.salestrekker.schema.corrections import format_corrections, make_corrections
from bridge.salestrekker.schema.introspection import (
    MARK,
    LiveSchema,
    SchemaUnavailable,
    read_introspection,
    read_saved_schema,
)
from bridge.salestrekker.schema.server_error_sentences import find_server_mismatches
from bridge.salestrekker.schema.similar_fields import likeness, nearest, path_likeness
from bridge.sandbox.shapes import Paged, ShapeKind, shape_of

if TYPE_CHECKING:
    from pathlib import Path

    from graphql import GraphQLError

SDL = shape_of(ShapeKind.OFFSET, Paged()).sdl
DOCUMENTS = [
    load_document(name, [shipped_queries()])
    for name in ("contacts.graphql", "contact.graphql", "products.graphql", "ticket.graphql")
]


def live(sdl: str = SDL) -> LiveSchema:
    return LiveSchema(build_schema(sdl))


# -- asked for and saved --------------------------------------------------------------------------


def test_the_schema_is_what_introspection_tells() -> None:
    data: dict[str, Any] = dict(introspection_from_schema(build_schema(SDL)))
    found = read_introspection(parse_result(data, None))
    assert found.graphql.query_type
    assert {"contacts", "organizations"} <= found.graphql.query_type.fields.keys()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (None, {"message": "GraphQL introspection is not allowed", "extensions": {"code": "X"}}),
        (None, {"message": "Introspection is disabled", "extensions": {"code": "INTROSPECTION_DISABLED"}}),
        (None, {"message": "Cannot query field '__schema' on type 'Query'."}),
        (None, {"message": "query too deep"}),
        ({"__schema": None}, None),
        ({"__schema": {}}, None),
        ({"__schema": {"types": [{"kind": "OBJECT"}], "queryType": {"name": "Q"}}}, None),
        ({}, None),
    ],
)
def test_a_schema_that_is_not_given_or_not_understood_is_no_error(data: object, error: object) -> None:
    with pytest.raises(SchemaUnavailable):
        read_introspection(parse_result(data, error))


@pytest.mark.parametrize("code", ["RATE_LIMITED", "INTERNAL_SERVER_ERROR", "503"])
def test_a_server_that_fails_for_the_moment_is_not_taken_for_one_without_introspection(code: str) -> None:
    with pytest.raises(Transient):
        read_introspection(parse_result(None, {"message": "no", "extensions": {"code": code}}))


def test_what_is_saved_says_when_and_from_where_and_can_be_read_again(tmp_path: Path) -> None:
    """The host only: an address could hold more than it should."""
    text = live().as_file("https://app.example.com:8443/graphql/secret", "2026-11-22 10:00 UTC")
    assert text.startswith(f"{MARK} on 2026-11-22 10:00 UTC from app.example.com.\n#")
    assert "secret" not in text.partition("type ")[0]
    (tmp_path / "schema.graphql").write_text(text)
    found = read_saved_schema(tmp_path / "schema.graphql")
    assert found
    assert find_changes(found, live(), DOCUMENTS).elsewhere == 0


def test_where_none_was_saved_there_is_none(tmp_path: Path) -> None:
    assert read_saved_schema(tmp_path / "schema.graphql") is None


@pytest.mark.parametrize("content", [b"type Query {", b"type A { b: C }", b"\xff\xfe", b"", b"query { a }"])
def test_a_saved_file_that_is_no_schema_is_told_by_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "schema.graphql").write_bytes(content)
    with pytest.raises(QueryFileError, match=r"schema\.graphql: is no schema") as caught:
        read_saved_schema(tmp_path / "schema.graphql")
    assert "schema pull" in caught.value.advice


def test_the_saved_schema_is_never_taken_for_a_query_or_a_fragment(tmp_path: Path) -> None:
    """Not even where it is the only file of the folder, or has a fragment's name in it."""
    folder = tmp_path / "queries"
    folder.mkdir()
    (folder / "schema.graphql").write_text(live().as_file("https://x.example", "now"))
    document = load_document("contacts.graphql", query_folders(tmp_path))
    assert document.file == str(shipped_queries() / "contacts.graphql")
    with pytest.raises(QueryFileError, match="holds no query"):
        load_document("schema.graphql", query_folders(tmp_path))


# -- what has changed -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "familyName: String",
            "lastName: String",
            "PersonInformation.familyName is gone; new there is lastName",
        ),
        ("isActive: Boolean", "isActive: String", "Contact.isActive was Boolean and is String"),
        ("lender: [Lender!]!", "lender: Lender!", "HomeLoanProduct.lender was [Lender!]! and is Lender!"),
        (
            "contact(id: ID!)",
            "contact(id: ID!, brand: Int!)",
            "Query.contact now needs the argument brand: Int!",
        ),
        (
            "contacts(limit",
            "contacts(take",
            "Query.contacts takes no argument limit any more; new there is take",
        ),
        ("contact(id: ID!)", "contact(id: Int!)", "Query.contact: id was ID! and is Int!"),
    ],
)
def test_what_breaks_a_query_is_told(old: str, new: str, said: str) -> None:
    assert old in SDL
    found = find_changes(live(), live(SDL.replace(old, new, 1)), DOCUMENTS)
    assert found.breaking == (said,)
    assert found.elsewhere > 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dateOfBirth: String", "dateOfBirth: Int"),  # not read
        ("email: String secondary", "email: String! secondary"),  # only surer than before
        ("abn: String", "abn: String acn: String"),
        ("workflow(id: ID!)", "workflow(id: ID!, x: Int!)"),
    ],
)
def test_what_no_query_uses_is_only_counted(old: str, new: str) -> None:
    assert old in SDL
    found = find_changes(live(), live(SDL.replace(old, new, 1)), DOCUMENTS)
    assert found.breaking == ()
    assert found.elsewhere > 0


def test_a_type_that_is_only_called_otherwise_breaks_nothing_by_itself() -> None:
    found = find_changes(live(), live(SDL.replace("ContactDetails", "Reach")), DOCUMENTS)
    assert found.breaking == ()


# -- a server without introspection ---------------------------------------------------------------


def complained(tmp_path: Path, text: str, sdl: str, *, located: bool = True) -> str:
    """What to write, as worked out from what graphql-core says of the text that is sent."""
    (tmp_path / "q.graphql").write_text(text)
    document = load_document("q.graphql", [tmp_path])
    errors = [
        without_place(error, located=located) for error in validate(build_schema(sdl), parse(document.text))
    ]
    assert errors
    found = find_server_mismatches(document, parse_result(None, errors).errors)
    return format_corrections(make_corrections(found), lambda file: file.rpartition("/")[2])


def without_place(error: GraphQLError, *, located: bool) -> dict[str, Any]:
    told = dict(error.formatted)
    return told if located else {key: value for key, value in told.items() if key != "locations"}


NAMED = """type Query { a(identity: ID, size: Int): A } type A { id: ID name: String lender: B fee: B }
type B { name: String titles: String }"""


def test_a_complaint_is_taken_back_to_its_line(tmp_path: Path) -> None:
    text = "# a comment\nquery Q {\n  a {\n    id # its id\n    nane # its name\n  }\n}"
    assert complained(tmp_path, text, NAMED) == "q.graphql, line 5: write\n    name # its name"


def test_of_two_fields_of_one_name_the_right_one_is_corrected(tmp_path: Path) -> None:
    """By the place that the server tells; `name` is a field of one and none of the other."""
    text = "query Q {\n  a {\n    lender { title }\n    fee { name }\n    title: name\n  }\n}"
    assert complained(tmp_path, text, NAMED) == "q.graphql, line 3: write\n    lender { title: titles }"


@pytest.mark.parametrize("located", [True, False])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("query Q {\n  a(identiti: 1) { id }\n}", "line 2: write\n  a(identity: 1) { id }"),
        (
            "query Q {\n  a { ...F }\n}\nfragment F on AA {\n  id\n}",
            "line 4: write\nfragment F on A {",
        ),
        ("query Q($i: Int) {\n  a(identity: $i) { id }\n}", "line 1: write\nquery Q($i: ID) {"),
    ],
)
def test_arguments_types_and_variables_likewise(
    tmp_path: Path, text: str, expected: str, *, located: bool
) -> None:
    assert complained(tmp_path, text, NAMED, located=located) == f"q.graphql, {expected}"


def test_a_complaint_that_nobody_knows_stands_at_the_query(tmp_path: Path) -> None:
    (tmp_path / "q.graphql").write_text("\nquery Q { a }")
    document = load_document("q.graphql", [tmp_path])
    told = {"message": "too complex", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}
    (one,) = find_server_mismatches(document, parse_result(None, told).errors)
    assert (one.place.line, one.what, one.edits) == (2, "too complex", ())


@given(st.text(max_size=80), st.sampled_from(["", 'Cannot query field "a"', 'Unknown type "']))
def test_no_message_of_a_server_breaks_anything(message: str, head: str) -> None:
    told = {"message": head + message, "extensions": {"code": "BAD_USER_INPUT"}}
    assert find_server_mismatches(DOCUMENTS[0], parse_result(None, told).errors)


# -- likeness -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "known", "found"),
    [
        ("familyName", ["firstName", "lastName", "middleName"], "lastName"),
        ("firstName", ["surname", "givenName"], "givenName"),
        ("familyName", ["forename", "surname"], "surname"),
        ("email", ["emailAddress", "address"], "emailAddress"),
        ("isActive", ["active", "archived"], "active"),
        ("contacts", ["clients", "products"], "clients"),
        ("lvrMax", ["maxLvr", "minLoan", "maxLoan"], "maxLvr"),
        ("value", ["kind", "amount"], "amount"),
        ("firstNmae", ["lastName", "firstName"], "firstName"),
        ("shoeSize", ["firstName", "email"], ""),
        ("id", [], ""),
    ],
)
def test_what_is_meant_is_found_by_spelling_and_by_meaning(wanted: str, known: list[str], found: str) -> None:
    assert nearest(wanted, known) == found


def test_the_way_to_a_field_counts() -> None:
    wanted = ["company", "information", "name"]
    assert path_likeness(wanted, ["companyName"]) > path_likeness(wanted, ["firstName"])
    assert path_likeness(["contact", "home"], ["landline", "number"]) > path_likeness(
        ["contact", "home"], ["mobile", "number"]
    )


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_two_names_can_be_compared(one: str, other: str) -> None:
    assert 0.0 <= likeness(one, other) <= 1.0
    assert likeness(one, one) == 1.0
