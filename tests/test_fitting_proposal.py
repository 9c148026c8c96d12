"""What `queries fit` proposes for schemas of other kinds: pure, from the schema alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jmespath
import pytest
from graphql import GraphQLSchema, build_schema, parse, validate

from bridge.fitting.fit import doubt_names
from bridge.fitting.proposal import Proposal, propose, propose_deal_query, rank_lists
from bridge.fitting.record_fields import words_of
from bridge.fitting.record_map import where_not_in_use
from bridge.fitting.schema_lists_and_records import find_lists
from bridge.mapping.expressions import Expressions
from bridge.records import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLES = """
schema { query: query_root }
scalar uuid
scalar timestamptz
scalar numeric
type query_root {
  people(limit: Int, offset: Int, order_by: [people_order!], where: people_filter): [people!]!
  people_by_pk(id: uuid!): people
  people_aggregate(where: people_filter): people_aggregate!
  users(limit: Int, offset: Int): [users!]!
  loan_products(limit: Int, offset: Int): [loan_products!]!
  loan_products_by_pk(id: uuid!): loan_products
}
enum people_order { id first_name }
input people_filter { _and: [people_filter!] first_name: String }
type people_aggregate { nodes: [people!]! }
type users { id: uuid! email: String! first_name: String last_name: String }
type people {
  id: uuid! first_name: String last_name: String organisation_name: String
  deleted_at: timestamptz owner: users
  email_addresses(limit: Int): [email_addresses!]! phone_numbers: [phone_numbers!]!
}
type email_addresses { id: uuid! address: String! is_primary: Boolean! person: people! }
type phone_numbers { id: uuid! national_number: String! dial_code: String label: String!
  is_primary: Boolean! }
type lenders { id: uuid! name: String! }
type loan_products { id: uuid! name: String! lender: lenders! establishment_fee: numeric available: Boolean! }
"""

SERVICE = """
scalar Decimal
type Query {
  clientSearch(criteria: ClientCriteria!, pageNumber: Int! = 1, pageSize: Int! = 25): ClientResult!
  client(key: ClientKey!): ClientAnswer
  deal(dealNo: Int!): Deal
  catalogue: Catalogue!
}
input ClientCriteria { text: String }
input ClientKey { clientNo: String! }
enum Lifecycle { CURRENT FORMER }
type Message { code: String! text: String! }
type ClientAnswer { messages: [Message!]! party: Client }
type ClientResult { messages: [Message!]! paging: Paging! parties: [Client!]! }
type Paging { pageNumber: Int! lastPage: Int! total: Int! }
interface Client {
  clientNo: String! externalId: ID sortName: String! lifecycle: Lifecycle! contactPoints: [ContactPoint!]!
}
type Person implements Client {
  clientNo: String! externalId: ID sortName: String! lifecycle: Lifecycle! contactPoints: [ContactPoint!]!
  legalName: PersonName!
}
type Organisation implements Client {
  clientNo: String! externalId: ID sortName: String! lifecycle: Lifecycle! contactPoints: [ContactPoint!]!
  registeredName: String!
}
type PersonName { title: String first: String last: String }
type ContactPoint { channel: Channel! value: String! isPrimary: Boolean! }
enum Channel { FAX EMAIL MOBILE LANDLINE }
type Deal { id: ID! participants: [Participant!]! }
type Participant { role: String! party: Client! }
type Catalogue { products(skip: Int = 0, first: Int! = 10): ProductPage! }
type ProductPage { total: Int! items: [Product!]! }
type Product { productCode: String! marketingName: String! offer: Offer! charges: [Charge!]!
  status: ProductStatus! }
enum ProductStatus { OPEN CLOSED }
type Offer { provider: Provider! }
type Provider { organisation: ProviderOrganisation! }
type ProviderOrganisation { fullName: String! shortName: String }
type Charge { kind: String! amount: Money! }
type Money { value: Decimal! currency: String! }
"""

SCHEMAS = {"tables": build_schema(TABLES), "service": build_schema(SERVICE)}


def proposed(name: str, stream: Stream) -> Proposal:
    schema = SCHEMAS[name]
    return propose(schema, stream, rank_lists(schema, stream))


def reads(proposal: Proposal, record: Mapping[str, object]) -> dict[str, object]:
    """What each expression of a proposed map gives for a record."""
    texts = {**proposal.proposed.texts, "where": proposal.proposed.where}
    expressions = Expressions(texts, {key: key for key in texts})
    return {key: expressions.value(key, record) for key in texts}


@pytest.mark.parametrize("stream", Stream)
@pytest.mark.parametrize("name", SCHEMAS)
def test_each_query_is_valid_and_reads_no_more_than_its_map(name: str, stream: Stream) -> None:
    proposal = proposed(name, stream)
    fragments = [text for file, text in proposal.files.items() if file.endswith(".fragment.graphql")]
    queries = [text for file, text in proposal.files.items() if not file.endswith(".fragment.graphql")]
    assert queries
    for query in queries:
        assert validate(SCHEMAS[name], parse(query + fragments[0])) == []
    assert proposal.proposed.missing == []


def test_of_two_lists_of_the_same_records_the_one_that_can_be_paged_is_taken() -> None:
    found = rank_lists(SCHEMAS["tables"], Stream.CONTACTS)
    assert [str(one.listing) for one in found] == ["people", "people_aggregate > nodes"]


def test_the_preferred_value_is_read_and_no_fax() -> None:
    found = reads(
        proposed("tables", Stream.CONTACTS),
        {
            "id": "1",
            "first_name": "Ann",
            "last_name": "Lee",
            "email_addresses": [
                {"address": "a@example.org", "is_primary": False},
                {"address": "b@example.org", "is_primary": True},
            ],
            "phone_numbers": [
                {"label": "fax", "dial_code": "61", "national_number": "291570006", "is_primary": True},
                {"label": "mobile", "dial_code": "61", "national_number": "491570006", "is_primary": False},
            ],
            "deleted_at": None,
        },
    )
    assert found["name"] == "Ann Lee"
    assert found["same_as.email"] == "b@example.org"
    assert found["same_as.phone"] == "+61 491 570 006"
    assert found["where"] is True


def test_a_list_of_all_ways_to_reach_somebody_is_read_by_its_channels() -> None:
    proposal = proposed("service", Stream.CONTACTS)
    points = [
        {"channel": "FAX", "value": "02 9157 0006", "isPrimary": True},
        {"channel": "LANDLINE", "value": "02 9157 0007", "isPrimary": False},
        {"channel": "EMAIL", "value": "x@example.org", "isPrimary": False},
        {"channel": "MOBILE", "value": "0491 570 006", "isPrimary": False},
    ]
    person = {"legalName": {"first": "Bo", "last": "Lee"}, "lifecycle": "CURRENT", "contactPoints": points}
    company = {"registeredName": "Acme Pty Ltd", "lifecycle": "FORMER", "contactPoints": []}
    assert reads(proposal, person)["contact_info"] == "Bo Lee | +61 491 570 006 | x@example.org"
    assert reads(proposal, company)["contact_info"] == "Acme Pty Ltd"
    assert [reads(proposal, one)["where"] for one in (person, company)] == [True, False]


def test_the_fee_for_an_application_is_chosen_of_all_charges() -> None:
    charges = [
        {"kind": "ANNUAL", "amount": {"value": "395"}},
        {"kind": "APPLICATION", "amount": {"value": "595"}},
    ]
    organisation = {"fullName": "Example Bank"}
    record = {
        "marketingName": "Basic",
        "offer": {"provider": {"organisation": organisation}},
        "charges": charges,
    }
    found = reads(proposed("service", Stream.PRODUCTS), record)
    assert (found["name"], found["price"]) == ("Example Bank Basic", "595")


def test_an_id_of_another_name_is_read_as_id_and_one_from_elsewhere_is_not() -> None:
    fragment = proposed("service", Stream.CONTACTS).files["contact.fragment.graphql"]
    assert "id: clientNo" in fragment
    assert "externalId" not in fragment


def test_what_a_request_must_give_is_given() -> None:
    files = proposed("service", Stream.CONTACTS).files
    assert (
        "clientSearch(criteria: {}, pageNumber: $pageNumber, pageSize: $pageSize)"
        in files["contacts.graphql"]
    )
    assert "client(key: {clientNo: $id}) {\n    party {" in files["contact.graphql"]


def test_a_deal_names_its_contacts_through_what_stands_between() -> None:
    schema = SCHEMAS["service"]
    listing = rank_lists(schema, Stream.CONTACTS)[0].listing
    found = propose_deal_query(schema, listing)
    assert found is not None
    assert "ticketClientTypes: participants { idContact: party { id: clientNo } }" in found[0]


def test_a_schema_without_such_lists_has_no_proposal() -> None:
    schema = build_schema("type Query { notes: [Note!]! } type Note { id: ID! text: String! }")
    assert [str(one) for one in find_lists(schema)] == ["notes"]
    assert [rank_lists(schema, stream) for stream in Stream] == [[], []]


def test_a_schema_that_refers_to_itself_without_end_is_searched_in_good_time() -> None:
    types = "\n".join(
        f"type T{n} {{ id: ID! name: String {' '.join(f'f{m}: T{m} l{m}: [T{m}!]' for m in range(60))} }}"
        for n in range(60)
    )
    schema = build_schema(f"type Query {{ t0: T0! }}\n{types}")
    assert isinstance(schema, GraphQLSchema)
    assert rank_lists(schema, Stream.CONTACTS) == []


HELD = """
type Query { Contacts(first: Int, after: String): Page! }
type Page { pageInfo: Info! edges: [Edge!]! }
type Info { hasNextPage: Boolean! endCursor: String }
type Edge { cursor: String! node: Contact! }
type Contact { Id: ID! ApiName: String!
  FirstName: Text LastName: Text Email: Text MobilePhone: Text Status: Text }
type Text { value: String displayValue: String }
"""


def test_values_that_stand_in_objects_are_found() -> None:
    schema = build_schema(HELD)
    proposal = propose(schema, Stream.CONTACTS, rank_lists(schema, Stream.CONTACTS))
    texts = proposal.proposed.texts
    assert texts["name"] == "clean(join_present(' ', [FirstName.value, LastName.value]))"
    assert texts["same_as.email"] == "clean(Email.value)"
    assert proposal.proposed.status == "Status.value"
    assert "id: Id" in proposal.files["contact.fragment.graphql"]


def test_the_words_of_a_status_show_what_is_out_of_use() -> None:
    found = where_not_in_use("Status", ["Active", "Archived", None, "In use", "Closed"])
    assert found == "Status != 'Archived' && Status != 'Closed'"
    assert where_not_in_use("Status", ["Active", "New"]) == ""


@pytest.mark.parametrize(
    ("names", "doubt"),
    [
        (["Contact"] * 20, "20 of 20 contacts have the same name"),
        (["Ann"] * 3 + [""] * 17, "only 3 of 20 contacts have a name"),
        ([f"Name {n}" for n in range(20)], ""),
        (["Ann"] * 3, ""),
    ],
)
def test_a_field_that_cannot_be_the_name_is_doubted(names: list[str], doubt: str) -> None:
    found = doubt_names(Stream.CONTACTS, names)
    assert found.startswith(doubt) if doubt else found == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("emailAddresses", ("email", "address")),
        ("phone_numbers", ("phone", "number")),
        ("isArchived", ("is", "archived")),
        ("contactIds", ("contact", "id")),
        ("mobile1", ("mobile",)),
        ("status", ("status",)),
    ],
)
def test_a_name_is_read_as_its_words(name: str, words: tuple[str, ...]) -> None:
    assert words_of(name) == words


def test_expressions_are_jmespath_too() -> None:
    """But for the functions of the bridge, another reader of JMESPath gives the same."""
    where = proposed("service", Stream.CONTACTS).proposed.where
    assert jmespath.search(where, {"lifecycle": "FORMER"}) is False
