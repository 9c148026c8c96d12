"""The sandbox's data: the same for a seed, without end, odd where it says so, and changeable."""

from __future__ import annotations

import ast
import tracemalloc
import unicodedata
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bridge.sandbox
from bridge.sandbox.collection import ContactCollection, ProductCollection

if TYPE_CHECKING:
    from bridge.sandbox.seeded_records import Row


def full_name(row: Row) -> str:
    if row["company"]:
        return str(row["company"]["information"]["name"])
    information = row["person"]["information"] if row["person"] else {}
    parts = (information.get("firstName"), information.get("familyName"))
    return " ".join(part for part in parts if part is not None)


def squeezed(name: str) -> str:
    return " ".join(name.split())


def test_same_seed_same_data() -> None:
    assert list(ContactCollection(300, 7)) == list(ContactCollection(300, 7))
    assert list(ProductCollection(60, 7)) == list(ProductCollection(60, 7))


def test_other_seed_other_people() -> None:
    here, there = ContactCollection(100, 1), ContactCollection(100, 2)
    assert not {row["id"] for row in here} & {row["id"] for row in there}
    assert full_name(here[0]) != full_name(there[0])


def test_ids_are_found_again_and_foreign_ids_are_not() -> None:
    contacts, products = ContactCollection(500, 3), ProductCollection(10, 3)
    for row in contacts:
        assert contacts.get(row["id"]) == row
    for foreign in (
        "",
        "x",
        "zzzzzzzz-zzzz-4zzz-azzz-zzzzzzzzzzzz",
        products.id_at(0),
        ContactCollection(501, 3).id_at(500),
    ):
        assert contacts.get(foreign) is None
        assert foreign not in contacts


def test_three_in_a_hundred_have_the_name_of_another_person() -> None:
    names = Counter(full_name(row) for row in ContactCollection(10_000, 1) if full_name(row).strip())
    same_person_twice = 100
    assert names.total() - len(names) == 300 + same_person_twice


def test_namesakes_are_different_people() -> None:
    contacts = ContactCollection(400, 1)
    for one, other in ((30, 31), (162, 263), (196, 297), (196, 397)):
        assert full_name(contacts[one]) == full_name(contacts[other])
        details = [contacts[place]["person"]["contact"] for place in (one, other)]
        assert details[0]["email"] != details[1]["email"]


@pytest.mark.parametrize(
    ("place", "same_once"),
    [(12, str.casefold), (22, squeezed), (42, lambda name: unicodedata.normalize("NFC", name))],
)
def test_spelling_twins_differ_only_in_spelling(place: int, same_once: object) -> None:
    contacts = ContactCollection(200, 1)
    assert callable(same_once)
    for index in (place, place + 100):
        name, twin = full_name(contacts[index]), full_name(contacts[index - 1])
        assert name != twin
        assert same_once(name) == same_once(twin)


def test_the_same_person_twice_has_one_address_and_two_ids() -> None:
    contacts = ContactCollection(100, 1)
    assert contacts[79]["person"] == contacts[80]["person"]
    assert contacts[79]["id"] != contacts[80]["id"]


def test_long_names_are_too_long_in_characters_or_only_in_utf16_units() -> None:
    contacts = ContactCollection(100, 1)
    assert len(full_name(contacts[55])) > 255
    assert full_name(contacts[55])[:255] == full_name(contacts[56])[:255]
    assert full_name(contacts[55]) != full_name(contacts[56])
    kangaroos = full_name(contacts[57])
    assert len(kangaroos) < 255 < len(kangaroos.encode("utf-16-le")) // 2


def test_every_hundred_contacts_have_what_is_missing_inactive_or_strange() -> None:
    contacts = ContactCollection(100, 1)
    assert sum(not row["isActive"] for row in contacts) == 4
    assert sum(row["company"] is not None for row in contacts) == 8
    assert contacts[99]["person"] is contacts[99]["company"] is contacts[98]["person"]["contact"] is None
    assert contacts[50]["person"]["information"]["familyName"] is None
    assert contacts[88]["person"]["contact"]["email"] is None
    assert contacts[90]["person"]["contact"]["email"] is contacts[90]["person"]["contact"]["primary"] is None
    assert "<b>" in full_name(contacts[87])
    assert unicodedata.bidirectional(full_name(contacts[86])[0]) == "AL"
    assert "\u200d" in full_name(contacts[85])


def test_every_twenty_products_have_the_odd_prices() -> None:
    values = [value["value"] for row in ProductCollection(20, 1) for value in row["fee"]]
    assert {-150.0, 1e13, 1e12, None, 0.0, 2.675, 199.994999999} <= set(values)
    assert [len(row["lender"]) for row in ProductCollection(20, 1)][8:10] == [0, 2]


def test_all_contact_details_are_fictitious() -> None:
    for row in ContactCollection(500, 1):
        details = (row["person"] or row["company"] or {}).get("contact") or {}
        domain = (details.get("email") or "@example.com").rpartition("@")[2]
        assert domain.startswith("example.") or domain == "NOT AN ADDRESS"
        assert details.get("home") is None or details["home"][5:9] in ("5550", "7010")


def test_a_million_contacts_take_next_to_no_memory() -> None:
    tracemalloc.start()
    try:
        contacts = ContactCollection(1_000_000, 1)
        assert len([contacts.at(index) for index in contacts.order()[999_900:]]) == 100
        assert contacts.get(contacts.id_at(777_777)) == contacts[777_777]
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_names_stay_apart_beyond_the_first_round_of_combinations() -> None:
    contacts = ContactCollection(1_000_000, 1)
    places = [1000 * block for block in range(1000)]
    assert len({full_name(contacts[place]) for place in places}) == len(places)


def test_an_added_contact_stands_at_the_end_and_is_found() -> None:
    contacts = ContactCollection(3, 1)
    identity = contacts.add("Ada Ashby Brown", email="ada@example.com", phone="0491 570 006")
    assert contacts.id_at(3) == identity
    row = contacts.get(identity)
    assert row is not None
    assert row["person"]["information"]["firstName"] == "Ada Ashby"
    assert row["person"]["information"]["familyName"] == "Brown"
    assert row["person"]["contact"]["primaryCode"] == "61"


def test_an_id_can_be_chosen_once() -> None:
    contacts = ContactCollection(3, 1)
    assert contacts.add("Acme", company=True, identity="mine") == "mine"
    assert contacts[3]["company"]["information"] == {"name": "Acme"}
    with pytest.raises(ValueError, match="contact mine already"):
        contacts.add("Other", identity="mine")


def test_a_chosen_id_hides_the_invented_one() -> None:
    """The id that the record would have had is nobody's."""
    contacts = ContactCollection(3, 1)
    contacts.add("Ada", identity="mine")
    assert contacts.get(ContactCollection(4, 1).id_at(3)) is None


def test_changes_are_seen_and_nothing_else_changes() -> None:
    contacts = ContactCollection(20, 1)
    before = contacts[7]
    contacts.rename(before["id"], "New Name")
    contacts.change_email(before["id"], "new@example.com")
    contacts.change_phone(before["id"], None, None)
    contacts.set_active(before["id"], active=False)
    after = contacts[7]
    assert full_name(after) == "New Name"
    assert after["person"]["contact"]["email"] == "new@example.com"
    assert after["person"]["contact"]["home"] == before["person"]["contact"]["home"]
    assert after["isActive"] is False
    assert after["timeStamp"] != before["timeStamp"]
    assert contacts[8] == ContactCollection(20, 1)[8]


def test_a_company_is_renamed_as_a_company() -> None:
    contacts = ContactCollection(20, 1)
    contacts.rename(contacts.id_at(5), "Acme & Sons")
    assert contacts[5]["company"]["information"]["name"] == "Acme & Sons"
    assert contacts[5]["person"] is None


def test_a_removal_moves_the_rest_forward() -> None:
    contacts = ContactCollection(5, 1)
    gone, next_one = contacts.id_at(1), contacts.id_at(2)
    contacts.remove(gone)
    assert contacts.id_at(1) == next_one
    assert len(contacts) == 4
    assert contacts.get(gone) is None
    with pytest.raises(KeyError, match="no contact"):
        contacts.remove(gone)


def test_products_can_be_changed() -> None:
    products = ProductCollection(2, 1)
    identity = products.add("Basic", lender="Wattle Bank", price=12.5)
    products.rename(identity, "Better")
    products.change_price(identity, 13.25)
    row = products.get(identity)
    assert row is not None
    assert row["name"] == "Better"
    assert [one["value"] for one in row["fee"]] == [13.25]
    products.change_price(identity, None)
    assert products[2]["fee"] == []


def test_it_shares_no_code_with_what_it_checks() -> None:
    """Of ours, the sandbox imports itself and the errors only."""
    for path in Path(bridge.sandbox.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            ours = [module for module in modules if module.split(".")[0] == "bridge"]
            assert all(module == "bridge.errors" or module.startswith("bridge.sandbox") for module in ours), (
                path
            )
