"""Backfills of schemas that the bridge has never seen, with hand-written queries and maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.records import Stream
from bridges import Bridge
from schemas import SCHEMAS, ForeignSandbox
from schemas.comparison import compare

if TYPE_CHECKING:
    from pathlib import Path

PERSON = "... on Person { id status givenName familyName email phone { countryCode number } }"
COMPANY = "... on Company { id status legalName companyEmail: email call: phone }"
LOAN = "id name status lender { company { name } } applicationFeeCents"
FLAT = "id fullName isArchived email mobile phone"
OFFER = "id title isActive price lender { name }"


def below_me(name: str, field: str, selected: str) -> dict[str, str]:
    """A list below ``me { organization { … } }``, and a record by its id."""
    paged = f"{field}s(input: {{page: {{skip: $skip, take: $take}}}}) {{ records {{ {selected} }} total }}"
    listed = f"query L($skip: Int! = 0, $take: Int! = 10) {{ me {{ organization {{ id {paged} }} }} }}"
    single = f"{field}(id: $id) {{ {selected} }}"
    one = f"query One($id: ID!) {{ me {{ organization {{ id {single} }} }} }}"
    return {f"{name}s.graphql": listed, f"{name}.graphql": one}


def by_cursor(name: str, selected: str) -> dict[str, str]:
    """A list by a next cursor, and a record by its id."""
    paged = f"{name}s(cursor: $cursor, limit: $limit) {{ items {{ {selected} }} nextCursor }}"
    return {
        f"{name}s.graphql": f"query L($cursor: String, $limit: Int) {{ {paged} }}",
        f"{name}.graphql": f"query One($id: ID!) {{ {name}(id: $id) {{ {selected} }} }}",
    }


QUERIES = {
    "nested": below_me("contact", "contact", FLAT)
    | below_me("product", "product", OFFER)
    | {
        "ticket.graphql": """query T($id: ID!) {
            me { organization { deal(id: $id) { id idClients: contactIds } } } }"""
    },
    "cursor": by_cursor("contact", f"{PERSON} {COMPANY}")
    | by_cursor("product", LOAN)
    | {
        "ticket.graphql": """query T($id: ID!) {
            file(id: $id) { id idClients: clients { ... on Person { id } ... on Company { id } } } }"""
    },
}
NAME = "first_present([join_present(' ', [givenName, familyName]), legalName])"
PHONE = "first_present([phone(phone.countryCode, phone.number), call])"
EMAIL = "first_present([email, companyEmail])"
MAPS: dict[str, dict[str, dict[str, object]]] = {
    "nested": {
        "contacts": {"where": "isArchived != `true`", "page_size": 7},
        "contacts.map": {
            "name": "fullName",
            "contact_info": "join_present(' | ', [fullName, first_present([mobile, phone]), email])",
            "same_as": "",
            "qualifier": "email",
        },
        "products": {"where": "isActive != `false`"},
        "products.map": {
            "name": "join_present(' ', [lender.name, title])",
            "description": "",
            "price": "price",
        },
    },
    "cursor": {
        "contacts": {"where": "status == 'ACTIVE'"},
        "contacts.map": {
            "name": NAME,
            "contact_info": f"join_present(' | ', [{NAME}, {PHONE}, {EMAIL}])",
            "same_as": "",
            "qualifier": EMAIL,
        },
        "products": {"where": "status == 'ACTIVE'"},
        "products.map": {
            "name": "join_present(' ', [lender.company.name, name])",
            "description": "",
            "price": "applicationFeeCents",
        },
    },
}


def write(folder: Path, queries: dict[str, str]) -> None:
    (folder / "queries").mkdir(exist_ok=True)
    for name, text in queries.items():
        (folder / "queries" / name).write_text(text)


@pytest.mark.parametrize("name", QUERIES)
async def test_each_record_arrives_once(tmp_path: Path, name: str) -> None:
    """Twice: the second backfill sends nothing."""
    write(tmp_path, QUERIES[name])
    async with ForeignSandbox(SCHEMAS[name]()) as sandbox:
        bridge = Bridge(tmp_path, sandbox, MAPS[name])
        report = await bridge.backfill()
        again = await bridge.backfill()
        found = compare(sandbox, sandbox.schema.truth)
    assert report.connections["default"].problems == again.connections["default"].problems == []
    assert found.contacts.exact, found.contacts
    assert set(found.products.wrong.values()) <= ({("price",)} if name == "cursor" else set())
    for stream in ("contacts", "products"):
        assert again.connections["default"].streams[stream]["created"] == 0
    assert {complete for _, _, complete in bridge.books.sweeps} == {True}


async def test_a_cursor_that_was_left_out_ends_the_backfill_with_a_problem(tmp_path: Path) -> None:
    """After a whole one: 15 of 40 are read, the others stay as they are, and the reason is shown."""
    write(tmp_path, QUERIES["cursor"])
    async with ForeignSandbox(SCHEMAS["cursor"]()) as sandbox:
        bridge = Bridge(tmp_path, sandbox, MAPS["cursor"])
        await bridge.backfill(Stream.PRODUCTS)
        before = bridge.books
        cut = f"query L {{ products {{ items {{ {LOAN} }} }} }}"
        write(tmp_path, {"products.graphql": cut})
        for _ in range(2):
            report = await bridge.backfill(Stream.PRODUCTS)
        after = bridge.books
    (problem,) = report.connections["default"].problems
    assert report.exit_status == 1
    assert problem.message.startswith(
        "not all products were read: the list has `limit`, `cursor`, `nextCursor`"
    )
    assert "move through the list" in problem.advice
    assert not any("gone" in known.marks for known in after.known.values())
    assert after.known.keys() == before.known.keys()
    assert [complete for _, _, complete in after.sweeps] == [True, False, False]
