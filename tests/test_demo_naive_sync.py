"""What the naive sync loses and doubles, which the demonstration compares with the bridge."""

from __future__ import annotations

import pytest

from bridge.demo.naive_sync import BREAKS, NaiveSync
from bridge.sandbox.collection import ContactCollection, ProductCollection


@pytest.fixture
def contacts() -> ContactCollection:
    """Two ordinary people."""
    people = ContactCollection(0, seed=1)
    people.add("Ada Ashby", email="ada@example.com")
    people.add("Ben Birch", email="ben@example.com")
    return people


NO_PRODUCTS = ProductCollection(0, seed=1)


def found_by(loop: NaiveSync) -> tuple[int, int, int, int]:
    return len(loop.lost), len(loop.refused), len(loop.duplicates), len(loop.vanished)


def test_a_loop_over_what_does_not_change_only_repeats_itself(contacts: ContactCollection) -> None:
    loop = NaiveSync()
    for _ in range(3):
        loop.run(contacts, NO_PRODUCTS)
    assert (found_by(loop), loop.requests) == ((0, 0, 0, 0), 6)


def test_a_loop_loses_a_namesake_but_not_a_person_entered_twice(contacts: ContactCollection) -> None:
    contacts.add("Ada Ashby", email="ada@example.com")
    lost = contacts.add("Ada Ashby", email="another@example.com")
    loop = NaiveSync()
    loop.run(contacts, NO_PRODUCTS)
    assert (loop.lost, found_by(loop)) == ({lost}, (1, 0, 0, 0))


def test_a_loop_doubles_who_is_renamed(contacts: ContactCollection) -> None:
    loop = NaiveSync()
    loop.run(contacts, NO_PRODUCTS)
    contacts.rename(contacts.id_at(0), "Ada Brown")
    loop.run(contacts, NO_PRODUCTS)
    loop.run(contacts, NO_PRODUCTS)
    assert (loop.duplicates, found_by(loop)) == ({contacts.id_at(0)}, (0, 0, 1, 0))


def test_a_loop_does_not_see_its_changes_vanish(contacts: ContactCollection) -> None:
    products = ProductCollection(1, seed=1)
    loop = NaiveSync()
    loop.run(contacts, products)
    contacts.change_email(contacts.id_at(1), "new@example.com")
    products.change_price(products.id_at(0), 1.5)
    loop.run(contacts, products)
    assert loop.vanished == {contacts.id_at(1), products.id_at(0)}
    assert found_by(loop) == (0, 0, 0, 2)


def test_a_loop_is_refused_long_names_and_spared_what_has_none_or_is_not_active(
    contacts: ContactCollection,
) -> None:
    contacts.add(f"Ada {'Ashby' * 60}")
    contacts.add(" ")
    contacts.set_active(contacts.id_at(0), active=False)
    loop = NaiveSync()
    loop.run(contacts, NO_PRODUCTS)
    assert (found_by(loop), loop.requests) == ((0, 1, 0, 0), 2)


def test_a_loop_makes_twins_of_what_it_posts_again_and_gets_errors_ever_after(
    contacts: ContactCollection,
) -> None:
    for place in range(BREAKS - len(contacts) + 1):
        contacts.add(f"Cy Cedar-{place}")
    loop = NaiveSync()
    loop.run(contacts, NO_PRODUCTS)
    assert (loop.twins, loop.failed) == (1, 0)
    loop.run(contacts, NO_PRODUCTS)
    loop.run(contacts, NO_PRODUCTS)
    assert (loop.twins, loop.failed, found_by(loop)) == (1, 2, (0, 0, 0, 0))
