"""Trakor after a backfill, compared with the truth: what is right, wrong, archived and unknown."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from bridge.sandbox.trakor_store import Entry
from bridges import Bridge
from schemas import ForeignSandbox, TrueContact, TrueProduct, relay
from schemas.comparison import compare, contact_faults, product_faults

if TYPE_CHECKING:
    from pathlib import Path

ADA = TrueContact(id="1", names=("Ada Ashby",), emails=("ada@example.com",), phones=("+61491570006",))
ALONE = TrueContact(id="2", names=("Sofia",))


@pytest.mark.parametrize(
    ("contact", "name", "text", "faults"),
    [
        (ADA, "Ada Ashby", "Ada Ashby | +61 491 570 006 | ADA@example.com", ()),
        (ADA, "Ada Ashby (ada@example.com)", "Ada Ashby | 0491 570 006 | ada@example.com", ()),
        (ADA, "Ada Ashby", "Ada Ashby | +61 491 570 156 | ada@example.com", ("phone",)),
        (ADA, "Ada Ashby", "0491570006 | 0491 570 156 | ada@example.com", ("phone",)),
        (ADA, "Ada Ashby", "Ada Ashby | +61 491 570 006", ("e-mail",)),
        (ADA, "Ada Ashby", "", ("e-mail", "phone")),
        (ADA, "Ada Ashbyson", "Ada Ashbyson | +61 491 570 006 | ada@example.com", None),
        (ALONE, "Sofia", "Sofia", ()),
        (ALONE, "Sofia", "Sofia | 0491 570 006", ("phone",)),
        (ALONE, "Sofia", "Sofia | x@example.com", ("e-mail",)),
    ],
)
def test_a_party_is_compared_by_name_then_by_what_it_says(
    contact: TrueContact, name: str, text: str, faults: tuple[str, ...] | None
) -> None:
    assert contact_faults(contact, Entry("id", name, text, 0, "")) == faults


BASIC = TrueProduct(id="1", name="Basic Variable", lenders=("Tasman & Co", "T&C"), price=Decimal("195.25"))


@pytest.mark.parametrize(
    ("name", "text", "price", "faults"),
    [
        ("Tasman & Co Basic Variable", "", 195.25, ()),
        ("Basic Variable", "By T&C.", 195.25, ()),
        ("Basic Variable", "By T&Co.", 195.25, ("lender",)),
        ("T&C Basic Variable", "", 19525, ("price",)),
        ("T&C Basic Variables", "", 195.25, None),
    ],
)
def test_a_product_is_compared_by_name_then_by_lender_and_price(
    name: str, text: str, price: float, faults: tuple[str, ...] | None
) -> None:
    assert product_faults(BASIC, Entry("id", name, text, price, "")) == faults


async def test_what_is_missing_archived_and_unknown_is_counted() -> None:
    async with ForeignSandbox(relay.schema()) as sandbox:
        truth = sandbox.schema.truth
        archived = next(one for one in truth.contacts if not one.active)
        fine = truth.contacts[0]
        for name in (archived.names[0], "Nobody", fine.names[0]):
            sandbox.trakor.parties.insert(name, f"{name} | {fine.phones[0]} | {fine.emails[0]}")
        tally = compare(sandbox, truth).contacts
    assert (tally.right, tally.archived, tally.unknown) == (1, [archived.names[0]], ["Nobody"])
    assert tally.expected == sum(one.active for one in truth.contacts) == len(tally.wrong) + 1
    assert set(tally.wrong.values()) == {("missing",)}
    assert not tally.exact


NAME = "first_present([join_present(' ', [firstName, lastName]), businessName])"
PHONE = "(phones[?preferred] | [0]) | phone(countryCode, number)"
MAPS: dict[str, dict[str, object]] = {
    "contacts": {"one_query": "", "where": "archivedAt == `null`"},
    "contacts.map": {
        "name": NAME,
        "contact_info": f"join_present(' | ', [{NAME}, {PHONE}, emailAddress])",
        "same_as": "",
        "qualifier": "emailAddress",
    },
    "products": {"one_query": "", "where": "archivedAt == `null`"},
    "products.map": {
        "name": "join_present(' ', [lender.name, name])",
        "description": "",
        "price": "applicationFee.amount",
    },
}
LIST = """query List($first: Int, $after: String) {{ {field}(first: $first, after: $after) {{
  edges {{ node {{ id archivedAt {fields} }} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
FIELDS = {
    "contacts": (
        "people",
        "firstName lastName businessName emailAddress phones { countryCode number preferred }",
    ),
    "products": ("loanProducts", "name lender { name } applicationFee { amount }"),
}


async def test_a_backfill_of_a_foreign_schema_is_compared_with_the_truth(tmp_path: Path) -> None:
    (tmp_path / "queries").mkdir()
    for stream, (field, fields) in FIELDS.items():
        (tmp_path / "queries" / f"{stream}.graphql").write_text(LIST.format(field=field, fields=fields))
    async with ForeignSandbox(relay.schema()) as sandbox:
        report = await Bridge(tmp_path, sandbox, MAPS).backfill()
        found = compare(sandbox, sandbox.schema.truth)
    assert report.connections["default"].complete
    assert found.contacts.exact, found.contacts
    assert found.products.exact, found.products
    assert (found.contacts.share, found.products.share) == (1, 1)
