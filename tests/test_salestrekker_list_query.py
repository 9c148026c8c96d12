"""Query files: what ships fits the schema; what a user writes is understood, or refused with its place."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from graphql import build_schema, parse, validate

from bridge.errors import QueryFileError
from bridge.salestrekker.list_query import Paging, Position, load_list_query
from bridge.salestrekker.query_files import load_document, query_folders, shipped_queries

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = Path(__file__).parent.parent / "bridge" / "sandbox" / "schema.graphql"
SHIPPED = ("contacts.graphql", "contact.graphql", "products.graphql", "product.graphql", "ticket.graphql")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes files into a user's own folder of queries, and gives the folder."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            (tmp_path / f"{name.replace('__', '.')}.graphql").write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_queries_are_valid_in_the_schema(name: str) -> None:
    """Each query that ships asks only for what the reconstructed schema has."""
    document = load_document(name, [shipped_queries()])
    assert validate(build_schema(SCHEMA.read_text()), parse(document.text)) == []


def test_every_shipped_file_is_a_known_query_or_its_fragments() -> None:
    """No stray file ships, and all fragments do."""
    names = {path.name for path in shipped_queries().iterdir()}
    assert names == {*SHIPPED, "contact.fragment.graphql", "product.fragment.graphql"}


@pytest.mark.parametrize(
    ("one", "many", "fields"),
    [
        ("contact.graphql", "contacts.graphql", "ContactFields"),
        ("product.graphql", "products.graphql", "ProductFields"),
    ],
)
def test_one_record_is_read_with_the_same_fields_as_the_list(one: str, many: str, fields: str) -> None:
    """Else each reading would undo what the other has seen."""
    folders = [shipped_queries()]
    first, second = load_document(one, folders), load_document(many, folders)
    assert first.fragments[fields] == second.fragments[fields]


@pytest.mark.parametrize(
    ("name", "root"), [("contacts.graphql", "contacts"), ("products.graphql", "products")]
)
def test_shipped_lists_page_by_offset(name: str, root: str) -> None:
    query = load_list_query(name, [shipped_queries()])
    assert (query.path, query.paging) == ((root,), Paging.OFFSET)
    assert query.page_variables(Position(200), 100) == {"offset": 200, "limit": 100}


def test_the_users_own_file_comes_first_and_borrows_shipped_fragments(tmp_path: Path) -> None:
    """A user may copy one file, change it, and still spread the fragments that ship."""
    own = tmp_path / "queries"
    own.mkdir()
    text = (shipped_queries() / "contacts.graphql").read_text()
    (own / "contacts.graphql").write_text(text.replace("...ContactFields", "timeStamp ...ContactFields"))
    query = load_list_query("contacts.graphql", query_folders(tmp_path))
    assert query.file == str(own / "contacts.graphql")
    assert "timeStamp" in query.document.text
    assert "familyName" in query.document.text


def test_fragments_of_the_own_folder_win(tmp_path: Path) -> None:
    """Copying only the fragment file changes what is read."""
    own = tmp_path / "queries"
    own.mkdir()
    shutil.copy(shipped_queries() / "contacts.graphql", own)
    (own / "contact.fragment.graphql").write_text("fragment ContactFields on Contact { id timeStamp }")
    document = load_list_query("contacts.graphql", query_folders(tmp_path)).document
    assert set(document.fragments) == {"ContactFields"}
    assert "timeStamp" in document.text


def test_the_fingerprint_follows_the_text_and_not_its_layout(write: Callable[..., Path]) -> None:
    folder = write(
        a="query Q($offset: Int) { list(offset: $offset) { id name } }",
        b="# why\nquery Q($offset: Int)\n{ list(offset: $offset) {\n id,\n name # the name\n } }\n",
        c="query Q($offset: Int) { list(offset: $offset) { id name mail } }",
    )
    same, laid_out, other = (load_list_query(f"{name}.graphql", [folder]).fingerprint for name in "abc")
    assert same == laid_out != other


FIELDS = "id person { name contact { email } } fee(kind: UPFRONT, most: 2) { value }"
SAME_OF_A_RECORD = [
    f"query Other($limit: Int, $offset: Int) {{ contacts(limit: $limit, offset: $offset) {{ {FIELDS} }} }}",
    f"query Q {{ contacts(status: ACTIVE) {{ {FIELDS} }} }}",
    f"# why\nquery Q {{ them: contacts {{\n  {FIELDS} # these\n }} }}",
    "query Q { contacts { fee(most: 2, kind: UPFRONT) { value } person { contact { email } name } id } }",
    f"query Q {{ contacts {{ ...F }} }} fragment F on Contact {{ {FIELDS} }}",
    f"query Q {{ contacts {{ ... {{ {FIELDS} }} id }} }}",
    (
        "query Q { contacts { id person { name } person { contact { email } } fee(kind: UPFRONT, most: 2) "
        "{ value: value } } }"
    ),
]
OTHERS_OF_A_RECORD = [
    FIELDS.replace("email", "email phone"),
    FIELDS.replace("email", "mail: email"),
    FIELDS.replace("email", "email @include(if: true)"),
    FIELDS.replace("most: 2", "most: 3"),
    FIELDS.replace("person {", "... on Client { person {") + " }",
    FIELDS.replace("name contact { email }", "contact { name email }"),
    FIELDS.replace("person", "...@include(if: true) { person") + " }",
]


@pytest.mark.parametrize("text", SAME_OF_A_RECORD)
def test_what_is_selected_of_a_record_does_not_follow_layout_paging_or_names(
    write: Callable[..., Path], text: str
) -> None:
    """A query that was only written otherwise makes no record incomparable."""
    folder = write(a=f"query Q {{ contacts {{ {FIELDS} }} }}", b=text)
    one, other = (load_list_query(f"{name}.graphql", [folder]).record_fingerprint for name in "ab")
    assert one == other
    assert len(one) == 12


@pytest.mark.parametrize("fields", OTHERS_OF_A_RECORD)
def test_what_is_selected_of_a_record_follows_each_change_of_it(
    write: Callable[..., Path], fields: str
) -> None:
    folder = write(a=f"query Q {{ contacts {{ {FIELDS} }} }}", b=f"query Q {{ contacts {{ {fields} }} }}")
    one, other = (load_list_query(f"{name}.graphql", [folder]).record_fingerprint for name in "ab")
    assert one != other


def test_the_fingerprint_follows_the_fragments(write: Callable[..., Path]) -> None:
    text = "query Q($offset: Int) { list(offset: $offset) { ...F } }"
    before = load_list_query("q.graphql", [write(q=text, f__fragment="fragment F on T { id }")])
    after = load_list_query("q.graphql", [write(f__fragment="fragment F on T { id name }")])
    assert before.fingerprint != after.fingerprint


def test_a_list_may_stand_in_a_wrapper(write: Callable[..., Path]) -> None:
    text = "query Q($offset: Int) { all: contacts(offset: $offset) { total rows: items { id: uuid } } }"
    query = load_list_query("q.graphql", [write(q=text)])
    assert query.path == ("all", "rows")


def test_a_query_without_a_limit_only_moves_the_offset(write: Callable[..., Path]) -> None:
    query = load_list_query("q.graphql", [write(q="query Q($offset: Int) { list(offset: $offset) { id } }")])
    assert query.page_variables(Position(7), 50) == {"offset": 7}
    assert not query.has_page_size


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("query Q($offset: Int) {\n  list(offset: $offset) {", ":2:26", "Expected Name"),
        (
            "query Q($after: ID) { list(after: $after) { edges { node { id } } } }",
            ":1:23",
            "whether and where",
        ),
        (
            "query Q($after: ID) { list(a: $after) { nodes { id } pageInfo { endCursor } } }",
            ":1:54",
            "whether and where",
        ),
        ("query Q($after: ID!) { list(a: $after) { id } }", ":1:9", "cannot be null"),
        ("query Q($since: Date!, $skip: Int) { list(a: $since, b: $skip) { id } }", ":1:9", "cannot be null"),
        ("query Q($since: Long) { list(a: $since) { id } }", ":1:9", "of the type Long"),
        ("query Q($page: Int, $skip: Int) { list(p: $page, s: $skip) { id } }", ":1:9", "both move"),
        ("query Q($limit: Int, $first: Int) { list(l: $limit, f: $first) { id } }", ":1:22", "both mean"),
        ("query Q($page: Int) { list { id } }", ":1:9", "passed to nothing"),
        ("query Q($limit: Int) { list(limit: $limit) { id } }", ":1:29", "only a part"),
        ("{ list(first: 100) { id } }", ":1:8", "only a part"),
        ("{ list(last: 100) { id } }", ":1:8", "only a part"),
        ("query Q($o: Old) { list(paging: {page_size: 9, old: $o}) { id } }", ":1:34", "only a part"),
        ("query Q($nr: Int) { list(seite: $nr) { id } }", ":1:9", "neither its name nor `seite` shows"),
        ("query Q { list(max: 9) { id } }", ":1:16", "only a part"),
        ("query Q($in: Input!) { list(in: $in) { id } }", ":1:9", "$in needs"),
        ("query Q($after: ID) { list(after: $after, page: 2) { id } }", ":1:43", "cuts the list"),
        ("query Q($offset: Int) {\n list(offset: $offset) { name lender { id } } }", ":2:2", "select `id`"),
        ("query Q($offset: Int) { a(o: $offset) { id } b { id } }", ":1:1", "2 root fields"),
        ("query Q($offset: Int, $who: ID!) { list(o: $offset, w: $who) { id } }", ":1:23", "$who needs"),
        ("mutation M($offset: Int) { list(o: $offset) { id } }", ":1:1", "mutation is not a query"),
        ("query A { a { id } }\nquery B { b { id } }", ":2:1", "second operation"),
        ("fragment F on T { id }", "", "holds no query"),
        ("query Q($offset: Int) { list(o: $offset) {\n ...Nowhere } }", ":2:2", "Nowhere"),
        (
            "query Q($offset: Int) { list(o: $offset) { ...F } }\nfragment F on T { id below { ...F } }",
            ":2:30",
            "holds itself",
        ),
        (
            "query Q($offset: Int) { list { ...F } }\nfragment F on T { id }\nfragment F on T { name }",
            ":3:1",
            "is also at",
        ),
    ],
)
def test_a_document_that_cannot_be_used_is_refused_with_its_place(
    write: Callable[..., Path], text: str, place: str, says: str
) -> None:
    """File, line and column, what is wrong, and what to do."""
    folder = write(q=text)
    with pytest.raises(QueryFileError, match=re.escape(f"{folder / 'q.graphql'}{place}: ")) as caught:
        load_list_query("q.graphql", [folder])
    assert says in str(caught.value)
    assert caught.value.advice


def test_an_error_in_a_fragment_file_names_that_file(write: Callable[..., Path]) -> None:
    folder = write(
        q="query Q($offset: Int) { list(offset: $offset) { ...F } }",
        f__fragment="fragment F on T { id }\nquery Stray { a }",
    )
    with pytest.raises(QueryFileError, match=r"f\.fragment\.graphql:2:1: only fragments"):
        load_list_query("q.graphql", [folder])


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(QueryFileError, match="no such query file") as caught:
        load_list_query("mine.graphql", query_folders(tmp_path))
    assert str(tmp_path / "queries") in str(caught.value)
    assert str(shipped_queries()) in str(caught.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q.graphql").write_bytes(b"\xff\xfe\x00q")
    with pytest.raises(QueryFileError, match="not UTF-8"):
        load_list_query("q.graphql", [tmp_path])
