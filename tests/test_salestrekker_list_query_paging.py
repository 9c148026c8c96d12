"""What is read off a list query: style, variables, where the records are, what a request sends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from graphql import build_schema, parse, validate
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import QueryFileError
from bridge.salestrekker.graphql_errors import parse_result
from bridge.salestrekker.list_facts import FACT_NAMES, Fact
from bridge.salestrekker.list_query import ListQuery, Paging, Position, load_list_query
from bridge.salestrekker.paging_variables import (
    DATE_TYPES,
    NUMBER_NAMES,
    OVERLAP,
    TIME_TYPES,
    VARIABLE_NAMES,
    Role,
)
from bridge.salestrekker.responses import NextPage, read_items, read_next_page
from bridge.sandbox.shapes import Paged, ShapeKind, shape_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Load = Callable[[str], ListQuery]

INFO = "pageInfo { hasNextPage endCursor }"


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a list query of this text."""

    def load(text: str) -> ListQuery:
        (tmp_path / "q.graphql").write_text(text, encoding="utf-8")
        return load_list_query("q.graphql", [tmp_path])

    return load


# What docs/paging.md says

PAGE = (Path(__file__).parent.parent / "docs" / "paging.md").read_text(encoding="utf-8")


def test_the_page_names_every_variable_and_type_there_is() -> None:
    lines = PAGE.splitlines()
    rows = [re.findall(r"`\$(\w+)`", line) for line in lines if re.match(r"\| `\$\w+` \| `", line)]
    assert {
        row[0]: set(row[1 : len(names)]) for row, names in zip(rows, VARIABLE_NAMES.values(), strict=True)
    } == {names[0]: set(names[1:]) for names in VARIABLE_NAMES.values()}
    types = [line.split("|")[1] for line in lines if line.startswith(("| `String`", "| `Date`"))]
    assert [set(re.findall(r"\w+", line)) for line in types] == [TIME_TYPES, DATE_TYPES]


def test_the_queries_of_the_page_are_read_as_their_sections_say(load: Load) -> None:
    styles = {
        "By offset": Paging.OFFSET,
        "By page number": Paging.PAGE,
        "By cursor": Paging.CURSOR,
        "The whole list": Paging.PLAIN,
        "What has changed": Paging.OFFSET,
    }
    sections = (section.partition("\n") for section in PAGE.split("\n## "))
    blocks = {title: re.search(r"```graphql\n(.*?)```", text, re.DOTALL) for title, _, text in sections}
    found = {title: load(block[1]) for title, block in blocks.items() if block}
    assert {title: query.paging for title, query in found.items()} == styles
    assert [title for title, query in found.items() if query.is_incremental] == ["What has changed"]


def test_the_page_says_where_records_are(load: Load) -> None:
    rows = re.findall(r"^\| `(\w+ \{.*\})` \| `([\w.]+)` \|$", PAGE, re.MULTILINE)
    assert len(rows) == 5
    declared = "query Q($skip: Int = 0)"
    texts = [f"{declared if '$' in selection else ''} {{ {selection} }}" for selection, _ in rows]
    assert [".".join(load(text).path) for text in texts] == [path for _, path in rows]


# Style


@pytest.mark.parametrize(
    ("declared", "style"),
    [
        ("($offset: Int, $limit: Int)", Paging.OFFSET),
        ("($skip: Int, $take: Int)", Paging.OFFSET),
        ("($page: Int, $pageSize: Int)", Paging.PAGE),
        ("($pageNumber: Int, $perPage: Int)", Paging.PAGE),
        ("($page_number: Int, $per_page: Int)", Paging.PAGE),
        ("($after: String, $first: Int)", Paging.CURSOR),
        ("($cursor: ID, $size: Int)", Paging.CURSOR),
        ("($label: ID = 5)", Paging.PLAIN),
        ("($since: String)", Paging.PLAIN),
    ],
)
def test_the_style_shows_in_the_variables(load: Load, declared: str, style: Paging) -> None:
    passed = re.sub(r"\$(\w+): \w+( = \d+)?", r"\1: $\1", declared)
    query = load(f"query Q{declared} {{ list{passed} {{ items {{ id }} {INFO} }} }}")
    assert query.paging is style
    assert query.has_page_size is (declared.count("$") > 1)
    assert query.is_incremental is ("since" in declared)


@pytest.mark.parametrize(
    ("role", "name"), [(role, name) for role, names in VARIABLE_NAMES.items() for name in names]
)
def test_every_documented_spelling_is_known(load: Load, role: Role, name: str) -> None:
    kind = "String" if role in (Role.CURSOR, Role.SINCE) else "Int"
    paging_variable = ", $page: Int" if role is Role.SIZE else ""
    passed = f"{name}: ${name}" + (", page: $page" if paging_variable else "")
    query = load(
        f"query Q(${name}: {kind}{paging_variable}) {{ list({passed}) {{ items {{ id }} {INFO} }} }}"
    )
    assert query.variables.name(role) == name


def test_a_variable_may_be_passed_inside_an_input_object(load: Load) -> None:
    query = load("query Q($page: Int, $size: Int) { list(paging: {number: $page, size: $size}) { id } }")
    assert (query.paging, query.paging_variable) == (Paging.PAGE, "page")


@pytest.mark.parametrize(
    ("declared", "passed", "sent"),
    [
        ("$a: Int, $b: Int", "skip: $a, take: $b", {"a": 30, "b": 10}),
        ("$von: Int = 0, $n: Int!", "input: {page: {skip: $von, take: $n}}", {"von": 30, "n": 10}),
        ("$a: Int, $b: Int", "page: {number: $a, size: $b}", {"a": 4, "b": 10}),
        ("$a: Int, $b: Int", "paging: {index: $a, SIZE: $b}", {"a": 4, "b": 10}),
        ("$from: Int, $count: Int", "x: $from, y: $count", {"from": 30, "count": 10}),
        ("$Page_No: Int, $page_size: Int", "a: $Page_No, b: $page_size", {"Page_No": 4, "page_size": 10}),
        ("$first: Int, $skip: Int", "first: $first, skip: $skip", {"first": 10, "skip": 30}),
        ("$x: ID, $first: Int", "startingAfter: $x, first: $first", {"x": "c", "first": 10}),
    ],
)
def test_names_of_any_spelling(load: Load, declared: str, passed: str, sent: dict[str, object]) -> None:
    """The variable's name shows its role, else the name of its argument."""
    query = load(f"query Q({declared}) {{ list({passed}) {{ items {{ id }} nextCursor }} }}")
    at = {
        Paging.OFFSET: Position(30),
        Paging.PAGE: Position(30, page=4, base=1),
        Paging.CURSOR: Position(30, cursor="c"),
    }
    assert query.page_variables(at[query.paging], 10) == sent


@pytest.mark.parametrize(
    "text",
    [
        'query Q($from: DateTime = "2020-01-01") { list(from: $from) { id } }',
        "query Q($n: Int = 5) { list { id phones(first: $n, skip: 0) { number } } }",
        "query Q($n: Int = 5) { list(label: $n) { id } }",
    ],
)
def test_a_variable_of_another_meaning_keeps_its_default(load: Load, text: str) -> None:
    query = load(text)
    assert (query.paging, query.page_variables(Position(), 10)) == (Paging.PLAIN, {})


def test_the_page_names_what_may_be_a_number_of_another_meaning() -> None:
    assert all(f"`${name}`" in PAGE for names in NUMBER_NAMES.values() for name in names)


def test_the_page_names_every_cursor() -> None:
    assert all(f"`{name}`" in PAGE for name in FACT_NAMES[Fact.CURSOR])


# Where the records are


@pytest.mark.parametrize(
    ("selection", "path"),
    [
        ("contacts { id }", "contacts"),
        ("contacts { objects { id } }", "contacts.objects"),
        ("contacts { items { id name } total }", "contacts.items"),
        ("contacts { edges { cursor node { id } } pageInfo { hasNextPage } }", "contacts.edges.node"),
        ("contacts { pageInfo { endCursor } nodes { id } }", "contacts.nodes"),
        ("contacts { data { contacts { id } } count }", "contacts.data.contacts"),
        ("contacts { result { totalCount page { rows { id } } } }", "contacts.result.page.rows"),
        ("search: contacts { hits: clients { id: uuid } __typename }", "search.hits"),
        ("clients { objects { clientId name } }", "clients.objects"),
        ("loanProducts { objects { productId } }", "loanProducts.objects"),
        ("companies { data { idCompany } }", "companies.data"),
        (
            "contacts { ...P } }\nfragment P on Page { items { ...F } }\nfragment F on C { id",
            "contacts.items",
        ),
        ("contacts { ... on Page { items { ... on Person { id } } } }", "contacts.items"),
        ("me { name team { id contacts(offset: $offset) { id } } }", "me.team.contacts"),
        ("me { name team { title contacts(skip: $n, take: $m) { rows { id } } } }", "me.team.contacts.rows"),
        ("me { id contacts(in: {skip: $offset}) { total x { id } } }", "me.contacts.x"),
        ("contacts(offset: $offset) { id activities(skip: $n) { id } }", "contacts"),
    ],
)
def test_the_way_to_the_records_shows_in_the_selection(load: Load, selection: str, path: str) -> None:
    declared = [f"${name}: Int = 5" for name in ("offset", "n", "m") if f"${name}" in selection]
    variables = f"({', '.join(declared)})" if declared else ""
    assert ".".join(load(f"query Q{variables} {{ {selection} }}").path) == path


@pytest.mark.parametrize(
    "selection",
    [
        "contacts { name }",
        "contacts { name lender { id } }",
        "contacts { idOwner name owner { id } }",
        "contacts { items { name person { id } } }",
        "contacts { items { ownerId name } }",
        "contacts { pageInfo { id } total }",
        "contacts",
    ],
)
def test_records_without_an_id_are_refused(load: Load, selection: str) -> None:
    with pytest.raises(QueryFileError, match=r":1:11: the list `contacts` does not select `id`") as caught:
        load(f"query Q {{ {selection} }}")
    assert "id: itsName" in caught.value.advice


def test_the_list_is_wherever_the_answer_has_it(load: Load) -> None:
    query = load("query Q { a { data { b { id } } } }".replace("b {", "rows {"))
    rows = [{"id": 1}, None]
    above = read_items(parse_result({"a": [{"data": {"rows": row}} for row in rows]}, None), query)
    middle = read_items(parse_result({"a": {"data": [{"rows": row} for row in rows]}}, None), query)
    below = read_items(parse_result({"a": {"data": {"rows": rows}}}, None), query)
    assert above.items == middle.items == below.items == tuple(rows)


# What a request sends


def test_each_style_asks_in_its_own_words(load: Load) -> None:
    offset = load("query Q($skip: Int, $take: Int) { a(b: $skip, c: $take) { id } }")
    page = load("query Q($page: Int, $size: Int) { a(b: $page, c: $size) { id } }")
    relay = load(
        f"query Q($after: ID, $first: Int) {{ a(b: $after, c: $first) {{ nodes {{ id }} {INFO} }} }}"
    )
    plain = load("query Q { a { id } }")
    assert offset.page_variables(Position(30), 10) == {"skip": 30, "take": 10}
    assert page.page_variables(Position(30, page=4, base=1), 10) == {"page": 4, "size": 10}
    assert relay.page_variables(Position(), 10) == {"first": 10}
    assert relay.page_variables(Position(30, cursor="x"), 10) == {"after": "x", "first": 10}
    assert plain.page_variables(Position(), 10) == {}


def test_what_is_not_given_is_left_out_or_null_where_a_default_would_step_in(load: Load) -> None:
    text = f"""query Q($after: ID = "x", $first: Int = 5, $since: Int = 7) {{
        a(b: $after, c: $first, d: $since) {{ nodes {{ id }} {INFO} }} }}"""
    assert load(text).page_variables(Position(), 10) == {"after": None, "first": 10, "since": None}


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("Int", 1_767_225_600),
        ("String", "2026-01-01T00:00:00Z"),
        ("DateTime", "2026-01-01T00:00:00Z"),
        ("AWSDateTime", "2026-01-01T00:00:00Z"),
        ("Date", "2025-12-31"),
    ],
)
def test_a_time_is_written_as_its_type_takes_it_and_earlier_by_the_overlap(
    load: Load, kind: str, written: object
) -> None:
    query = load(f"query Q($updated_since: {kind}) {{ list(s: $updated_since) {{ id }} }}")
    since = 1_767_225_600_000 + OVERLAP
    assert query.page_variables(Position(), 10, since) == {"updated_since": written}
    assert query.page_variables(Position(), 10) == {}


def test_a_time_is_of_no_effect_where_the_query_does_not_take_one(load: Load) -> None:
    query = load("query Q { list { id } }")
    assert not query.is_incremental
    assert query.page_variables(Position(), 10, 5) == {}
    assert query.checkpoint(10) == query.checkpoint(10, 5)


def test_a_checkpoint_goes_with_the_text_the_time_and_the_size_of_numbered_pages(load: Load) -> None:
    offset = load("query Q($offset: Int, $limit: Int) { a(b: $offset, c: $limit) { id } }")
    page = load("query Q($page: Int, $size: Int, $since: Int) { a(b: $page, c: $size, d: $since) { id } }")
    assert offset.checkpoint(10) == offset.checkpoint(20)
    assert len({page.checkpoint(10), page.checkpoint(20), page.checkpoint(10, 5), offset.checkpoint(10)}) == 4


# Stepping over


def test_the_step_over_reads_no_record_and_is_valid_where_the_query_is(load: Load) -> None:
    """A variable that only the records use is not declared any more: GraphQL refuses one that is unused."""
    query = load("""query Q($first: Int, $after: String, $since: DateTime, $deep: Boolean = true) {
        all: contacts(first: $first, after: $after, updatedSince: $since) {
            edges { node { id person @include(if: $deep) { information { familyName } } } }
            ...More } }
        fragment More on ContactConnection { info: pageInfo { more: hasNextPage endCursor } }""")
    assert query.next_page_query is not None
    schema = build_schema(shape_of(ShapeKind.RELAY, Paged()).sdl)
    for document in (query.document, query.next_page_query):
        assert validate(schema, parse(document.text)) == []
    assert query.next_page_query.variables == {"first", "after", "since"}
    assert "id" not in re.findall(r"\w+", query.next_page_query.text)
    answer = {"all": {"info": {"more": True, "endCursor": "x"}}}
    assert read_next_page(parse_result(answer, None), query) == NextPage(more=True, cursor="x")


# Positions


@given(
    st.one_of(
        st.builds(Position, st.integers(0)),
        st.builds(Position, st.integers(0), page=st.integers(0), base=st.integers(0, 1)),
        st.builds(Position, st.integers(0), cursor=st.text(min_size=1)),
        st.builds(Position, st.integers(0), end=st.just(value=True)),
    )
)
def test_a_position_comes_back_from_its_text(position: Position) -> None:
    assert Position.of(str(position)) == position


def test_no_text_is_the_beginning() -> None:
    assert Position.of("") == Position()


@pytest.mark.parametrize("text", ["x", "5 before y", "5 page", "5 page one from 0"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Position.of(text)
