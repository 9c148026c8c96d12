"""The foreign schemas: each is served, and its truth is what its lists give when they are paged by hand."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from bridge.sandbox import Options
from schemas import SCHEMAS, ForeignSandbox, TrueContact, TrueProduct, cursor, relay
from schemas.invented import loans, national, people, tidy
from schemas.reading import Reader, all_pages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    import aiohttp

    Page = Callable[[Reader, Any], Awaitable[tuple[list[dict[str, Any]], Any]]]


@pytest.fixture(params=SCHEMAS)
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[ForeignSandbox]:
    async with ForeignSandbox(SCHEMAS[request.param]()) as running:
        yield running


@pytest.fixture
def reader(http: aiohttp.ClientSession, sandbox: ForeignSandbox) -> Reader:
    return Reader(http, sandbox)


def compact(phone: Mapping[str, Any] | None) -> tuple[str, ...]:
    """A phone that has code and number apart, in the truth's form."""
    if phone is None:
        return ()
    code, number = phone["countryCode"].lstrip("+"), "".join(filter(str.isdigit, phone["number"]))
    return (f"+{code}{number.removeprefix('0')}",)


def dialled(phone: str | None) -> tuple[str, ...]:
    """A phone as people write it, in the truth's form."""
    digits = "".join(filter(str.isdigit, phone or ""))
    return given(f"+61{digits[1:]}" if digits.startswith("0") else digits and f"+{digits}")


def given(*values: str | None) -> tuple[str, ...]:
    return tuple(filter(None, values))


def named(*parts: str | None) -> str:
    return tidy(" ".join(given(*parts)))


PEOPLE = """query ($after: String) { people(first: 100, after: $after) {
  edges { node {
    id kind firstName lastName businessName emailAddress archivedAt
    phones { kind countryCode number preferred }
  } }
  pageInfo { hasNextPage endCursor } totalCount } }"""
LOANS = """query ($after: String) { loanProducts(first: 100, after: $after) {
  edges { node { id name archivedAt lender { name shortName } applicationFee { amount currency } } }
  pageInfo { hasNextPage endCursor } totalCount } }"""


async def relay_page(reader: Reader, text: str, field: str, mark: str) -> tuple[list[dict[str, Any]], Any]:
    found = (await reader.ask(text, after=mark or None))[field]
    info = found["pageInfo"]
    return [edge["node"] for edge in found["edges"]], info["endCursor"] if info["hasNextPage"] else None


def relay_contact(row: Mapping[str, Any]) -> TrueContact:
    assert (row["kind"] == "BUSINESS") == (row["businessName"] is not None)
    return TrueContact(
        id=row["id"],
        names=(row["businessName"] or named(row["firstName"], row["lastName"]),),
        emails=given(row["emailAddress"]),
        phones=tuple(number for phone in row["phones"] if phone["preferred"] for number in compact(phone)),
        active=row["archivedAt"] is None,
    )


def relay_product(row: Mapping[str, Any]) -> TrueProduct:
    fee, lender = row["applicationFee"], row["lender"]
    return TrueProduct(
        id=row["id"],
        name=row["name"],
        lenders=(lender["name"], lender["shortName"]),
        price=None if fee is None else Decimal(str(fee["amount"])),
        active=row["archivedAt"] is None,
    )


CONTACTS = """query ($skip: Int!) { me { organization { contacts(input: {page: {skip: $skip, take: 100}}) {
  total records { id fullName isArchived email mobile phone fax } } } } }"""
PRODUCTS = """query ($skip: Int!) { me { organization { products(input: {page: {skip: $skip, take: 100}}) {
  total records { id title isActive lender { name code } price } } } } }"""


async def nested_page(reader: Reader, text: str, field: str, mark: int) -> tuple[list[dict[str, Any]], Any]:
    page = (await reader.ask(text, skip=mark))["me"]["organization"][field]
    read = mark + len(page["records"])
    return page["records"], read if read < page["total"] else None


def nested_contact(row: Mapping[str, Any]) -> TrueContact:
    return TrueContact(
        id=row["id"],
        names=(tidy(row["fullName"]),),
        emails=given(row["email"]),
        phones=dialled(row["mobile"]) + dialled(row["phone"]),
        active=not row["isArchived"],
    )


def nested_product(row: Mapping[str, Any]) -> TrueProduct:
    return TrueProduct(
        id=row["id"],
        name=row["title"],
        lenders=(row["lender"]["name"], row["lender"]["code"]),
        price=None if row["price"] is None else Decimal(row["price"]),
        active=row["isActive"],
    )


UNION = """query ($cursor: String) { contacts(limit: 100, cursor: $cursor) { nextCursor items {
  ... on Person { id status givenName familyName email phone { countryCode number } }
  ... on Company { id status legalName companyEmail: email companyPhone: phone } } } }"""
INTERFACE = """query ($cursor: String) { products(limit: 100, cursor: $cursor) { nextCursor items {
  id status name applicationFeeCents lender { company { name abbreviation } } } } }"""


async def cursor_page(reader: Reader, text: str, field: str, mark: str) -> tuple[list[dict[str, Any]], Any]:
    page = (await reader.ask(text, cursor=mark or None))[field]
    return page["items"], page["nextCursor"]


def cursor_contact(row: Mapping[str, Any]) -> TrueContact:
    if "legalName" in row:
        name, email, phones = row["legalName"], row["companyEmail"], dialled(row["companyPhone"])
    else:
        name, email = named(row["givenName"], row["familyName"]), row["email"]
        phones = compact(row["phone"])
    active = row["status"] == "ACTIVE"
    return TrueContact(id=row["id"], names=(name,), emails=given(email), phones=phones, active=active)


def cursor_product(row: Mapping[str, Any]) -> TrueProduct:
    company, cents = row["lender"]["company"], row["applicationFeeCents"]
    return TrueProduct(
        id=row["id"],
        name=row["name"],
        lenders=(company["name"], company["abbreviation"]),
        price=None if cents is None else Decimal(cents) / 100,
        active=row["status"] == "ACTIVE",
    )


BY_HAND: dict[str, tuple[Any, Any, Any, tuple[str, str], tuple[str, str]]] = {
    "relay": (relay_page, relay_contact, relay_product, (PEOPLE, "people"), (LOANS, "loanProducts")),
    "nested": (nested_page, nested_contact, nested_product, (CONTACTS, "contacts"), (PRODUCTS, "products")),
    "cursor": (cursor_page, cursor_contact, cursor_product, (UNION, "contacts"), (INTERFACE, "products")),
}
FIRST = {"relay": "", "nested": 0, "cursor": ""}
SIZES = {
    "relay": ([20, 20, 20, 5], [20, 20]),
    "nested": ([25, 25, 25, 5], [25, 25]),
    "cursor": ([15, 15, 15, 15], [15, 15, 10]),
}


async def read(reader: Reader, name: str, place: int) -> tuple[list[dict[str, Any]], list[int]]:
    page, (text, field) = BY_HAND[name][0], BY_HAND[name][3 + place]
    return await all_pages(lambda mark: page(reader, text, field, mark), FIRST[name])


async def test_truth_about_contacts_is_what_the_list_gives(sandbox: ForeignSandbox, reader: Reader) -> None:
    name, truth = sandbox.schema.name, sandbox.schema.truth
    rows, sizes = await read(reader, name, 0)
    assert sizes == SIZES[name][0]
    found = [BY_HAND[name][1](row) for row in rows]
    for one, true in zip(found, truth.contacts, strict=True):
        assert one.names[0] in true.names
    assert [(one.id, set(one.emails), set(one.phones), one.active) for one in found] == [
        (one.id, set(one.emails), set(one.phones), one.active) for one in truth.contacts
    ]


async def test_truth_about_products_is_what_the_list_gives(sandbox: ForeignSandbox, reader: Reader) -> None:
    name = sandbox.schema.name
    rows, sizes = await read(reader, name, 1)
    assert sizes == SIZES[name][1]
    assert [BY_HAND[name][2](row) for row in rows] == sandbox.schema.truth.products


RECORD = {
    "relay": ("person(id: $id) { id }", "loanProduct(id: $id) { id }"),
    "nested": (
        "me { organization { contact(id: $id) { id } } }",
        "me { organization { product(id: $id) { id } } }",
    ),
    "cursor": ("contact(id: $id) { ... on Person { id } ... on Company { id } }", "product(id: $id) { id }"),
}


def innermost(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    while isinstance(value, dict) and len(value) == 1 and "id" not in value:
        (value,) = value.values()
    return value


async def test_each_record_is_found_by_its_id_and_no_other(sandbox: ForeignSandbox, reader: Reader) -> None:
    truth = sandbox.schema.truth
    ids = ([one.id for one in truth.contacts], [one.id for one in truth.products])
    for field, of_stream in zip(RECORD[sandbox.schema.name], ids, strict=True):
        text = f"query ($id: ID!) {{ {field} }}"
        for identity in (of_stream[0], of_stream[3], of_stream[-1]):
            assert innermost(await reader.ask(text, id=identity)) == {"id": identity}
        assert innermost(await reader.ask(text, id="nobody")) is None


DEALS = {
    "relay": "opportunity(id: $id) { participants { person { id } } }",
    "nested": "me { organization { deal(id: $id) { contactIds } } }",
    "cursor": "file(id: $id) { clients { ... on Person { id } ... on Company { id } } }",
}


async def test_deals_name_their_contacts(sandbox: ForeignSandbox, reader: Reader) -> None:
    for deal in sandbox.schema.truth.deals:
        found = innermost(
            await reader.ask(f"query ($id: ID!) {{ {DEALS[sandbox.schema.name]} }}", id=deal.id)
        )
        assert tuple(
            one if isinstance(one, str) else innermost(one.get("person", one))["id"] for one in found
        ) == (deal.contacts)


async def test_global_ids_lead_to_any_object(http: aiohttp.ClientSession) -> None:
    async with ForeignSandbox(relay.schema()) as sandbox:
        text = "query ($id: ID!) { node(id: $id) { id ... on LoanProduct { name } __typename } }"
        product = sandbox.schema.truth.products[2]
        found = (await Reader(http, sandbox).ask(text, id=product.id))["node"]
        assert found == {"id": product.id, "name": product.name, "__typename": "LoanProduct"}


async def test_nothing_is_answered_without_a_token(reader: Reader) -> None:
    status, answer = await reader.post("{ organizations { id } }", {})
    assert (status, answer["errors"][0]["extensions"]) == (401, {"code": "UNAUTHENTICATED"})


async def test_the_log_in_belongs_to_one_organisation(reader: Reader) -> None:
    found = await reader.ask("{ organizations { id organization { name } } }")
    assert [one["organization"]["name"] for one in found["organizations"]] == ["Sandbox Finance"]


@pytest.mark.parametrize("introspection", [True, False])
async def test_the_schema_can_be_hidden(http: aiohttp.ClientSession, *, introspection: bool) -> None:
    async with ForeignSandbox(cursor.schema(), Options(introspection=introspection)) as sandbox:
        reader = Reader(http, sandbox)
        await reader.ask("{ __typename }")
        status, _ = await reader.post("{ __schema { queryType { name } } }", {}, reader.token)
        assert status == (200 if introspection else 400)


async def test_fields_of_two_types_cannot_stand_side_by_side(http: aiohttp.ClientSession) -> None:
    async with ForeignSandbox(cursor.schema()) as sandbox:
        reader = Reader(http, sandbox)
        await reader.ask("{ __typename }")
        text = "{ contacts { items { ... on Person { email } ... on Company { email } } } }"
        status, answer = await reader.post(text, {}, reader.token)
        assert (status, "conflict" in answer["errors"][0]["message"]) == (400, True)


@pytest.mark.parametrize(("start", "count"), [(0, 65), (100, 80), (200, 60)])
def test_invented_people_are_awkward_in_every_way(start: int, count: int) -> None:
    found = people(count, from_number=start)
    names = [one.names[0] for one in found]
    assert 0 < len(names) - len(set(names)) <= 2, "a few namesakes"
    for awkward in (
        [one for one in found if one.company],
        [one for one in found if not one.email and one.landline],
        [one for one in found if one.email and not (one.mobile or one.landline)],
        [one for one in found if one.mobile and one.landline],
        [one for one in found if one.fax],
        [one for one in found if one.archived],
        [one for one in found if one.middle],
        [one for one in found if one.first and not one.family],
        [one for one in found if not one.first.isascii()],
        [one for one in found if one.first != tidy(one.first)],
        [one for one in found if unicodedata.bidirectional(one.first[:1] or "a") in ("R", "AL")],
    ):
        assert awkward
    reached = [(one.email, one.mobile or one.landline) for one in found if one.mobile or one.landline]
    assert len(set(reached)) == len(reached), "nobody is taken for somebody else"


def test_invented_loans_are_told_apart_by_lender_and_name() -> None:
    found = loans(60)
    assert len({(one.lender, one.name) for one in found}) == 60
    assert any(one.price is None for one in found)
    assert any(one.withdrawn for one in found)


@pytest.mark.parametrize(
    ("phone", "shown"),
    [
        ("+61491570006", "0491 570 006"),
        ("+61255500007", "(02) 5550 0007"),
        ("+447700900123", "+447700900123"),
    ],
)
def test_numbers_are_shown_as_people_write_them(phone: str, shown: str) -> None:
    assert national(phone) == shown
