"""Lists and records by id as well-known kinds of servers have them: the shipped queries are led to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from graphql import build_schema

from bridge.first_configuration import copy_queries
from bridge.salestrekker.by_id_query import load_by_id_query
from bridge.salestrekker.list_query import load_list_query
from bridge.salestrekker.query_files import load_document
from bridge.salestrekker.schema.corrections import make_corrections
from bridge.salestrekker.schema.introspection import LiveSchema
from bridge.salestrekker.schema.validation import find_mismatches

if TYPE_CHECKING:
    from pathlib import Path

FLAT = "{ id: ID! firstName: String lastName: String email: String phone: String }"
SCHEMAS = {
    "database": f"""scalar uuid schema {{ query: query_root }}
    type query_root {{
      contacts(limit: Int, offset: Int, where: contacts_bool_exp): [contacts!]!
      contacts_aggregate(limit: Int, offset: Int): contacts_aggregate! contacts_by_pk(id: uuid!): contacts }}
    input contacts_bool_exp {{ _and: [contacts_bool_exp!] id: uuid_exp }} input uuid_exp {{ _eq: uuid }}
    type contacts {FLAT.replace("ID!", "uuid!")}
    type contacts_aggregate {{ aggregate: Numbers nodes: [contacts!]! }} type Numbers {{ count: Int! }}""",
    "paginator": f"""type Query {{
      clients(first: Int! = 15, page: Int): ClientPaginator client(id: ID!): Client }}
    type ClientPaginator {{ paginatorInfo: PaginatorInfo! data: [Client!]! }} type Client {FLAT}
    type PaginatorInfo {{ count: Int! lastPage: Int! hasMorePages: Boolean! total: Int! }}""",
    "token": f"""type Query {{
      listContacts(filter: F, limit: Int, nextToken: String): Found getContact(id: ID!): Contact }}
    input F {{ id: ID first: Int }} type Contact {FLAT}
    type Found {{ items: [Contact]! nextToken: String }}""",
    "attributes": f"""type Query {{
      contacts(pagination: PaginationArg = {{}}): Collection contact(id: ID): Entity }}
    input PaginationArg {{ page: Int pageSize: Int start: Int limit: Int }}
    type Collection {{ data: [Item!]! meta: Meta! }} type Entity {{ data: Item }}
    type Meta {{ pagination: Pages! }} type Pages {{ total: Int! pageCount: Int! }}
    type Item {{ id: ID! attributes: Attributes }} type Attributes {FLAT}""",
    "collection": f"""type Query {{ CRM: CRM! }}
    type CRM {{ contact_collection(limit: Int, offset: Int): Collection
      contact(uniqueIdentifierValue: String!): Contact }}
    type Collection {{ items: [Contact!]! total: Int! hasMore: Boolean! }} type Contact {FLAT}""",
    "search": """type Query { clientSearch(pageNumber: Int! = 1, pageSize: Int, criteria: Criteria!): Result!
      clientById(clientId: Int!): Client }
    input Criteria { name: String } type Result { results: [Client!]! lastPage: Int! totalCount: Int! }
    type Client { clientId: Int! given_name: String family_name: String emailAddress: String }""",
    "parties": """type Query { parties(paging: PagingInput!): Parties! party(input: PartyInput!): Party }
    input PagingInput { index: Int! size: Int! } input PartyInput { key: Key! } input Key { id: ID! }
    type Parties { content: [Party!]! totalElements: Int! last: Boolean! }
    interface Party { id: ID! displayName: String! }
    type Person implements Party { id: ID! displayName: String! }""",
}
LISTS = {
    "database": "contacts(offset: $offset, limit: $limit) {",
    "paginator": "clients(page: $page, first: $first) {",
    "token": "listContacts(nextToken: $nextToken, limit: $limit) {",
    "attributes": "contacts(pagination: {start: $offset, limit: $limit}) {",
    "collection": "contact_collection(offset: $offset, limit: $limit) {",
    "search": "clientSearch(criteria: {}, pageNumber: $pageNumber, pageSize: $pageSize) {",
    "parties": "parties(paging: {index: $page, size: $size}) {",
}
RECORDS = {
    "database": ("$id: uuid!", "contacts_by_pk(id: $id) {", "contact"),
    "paginator": ("$id: ID!", "client(id: $id) {", "contact"),
    "token": ("$id: ID!", "getContact(id: $id) {", "contact"),
    "attributes": ("$id: ID", "contact(id: $id) {", "contact.data"),
    "collection": ("$id: String!", "contact(uniqueIdentifierValue: $id) {", "CRM.contact"),
    "search": ("$id: Int!", "clientById(clientId: $id) {", "clientById"),
    "parties": ("$id: ID!", "party(input: {key: {id: $id}}) {", "party"),
}


def corrected(folder: Path, file: str, name: str, *, listing: bool) -> str:
    """The file once the printed lines were written, as often as there are any."""
    live = LiveSchema(build_schema(SCHEMAS[name]))
    for _ in range(2):
        for one in make_corrections(find_mismatches(load_document(file, [folder]), live, listing=listing)):
            path = folder / one.file.rpartition("/")[2]
            old = path.read_text().split("\n")
            path.write_text("\n".join([*old[: one.first - 1], *one.lines, *old[one.last :]]))
    assert find_mismatches(load_document(file, [folder]), live, listing=listing) == ()
    return (folder / file).read_text()


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_shipped_list_is_led_to_the_servers_own(tmp_path: Path, name: str) -> None:
    copy_queries(tmp_path)
    folder = tmp_path / "queries"
    assert LISTS[name] in corrected(folder, "contacts.graphql", name, listing=True)
    assert load_list_query("contacts.graphql", [folder]).paging_variable


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_shipped_query_by_id_is_led_to_the_servers_own(tmp_path: Path, name: str) -> None:
    copy_queries(tmp_path)
    folder = tmp_path / "queries"
    declared, field, path = RECORDS[name]
    text = corrected(folder, "contact.graphql", name, listing=False)
    assert declared in text
    assert field in text
    assert ".".join(load_by_id_query("contact.graphql", [folder]).record_path.path) == path


def test_a_moved_field_does_not_take_the_name_of_one_beside_it(tmp_path: Path) -> None:
    """`lender { name }` is `lenderName` here, and a product has a name of its own."""
    (tmp_path / "q.graphql").write_text(
        "query Q($id: ID!) {\n  a(id: $id) {\n    id\n    name\n    lender { name }\n  }\n}"
    )
    live = LiveSchema(
        build_schema("type Query { a(id: ID!): A } type A { id: ID! name: String lenderName: String }")
    )
    (one,) = find_mismatches(load_document("q.graphql", [tmp_path]), live, listing=False)
    assert [edit.text for edit in one.edits] == ["lenderName"]
