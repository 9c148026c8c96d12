"""A connection's records go on under another name only where a person says so."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from books import Book
from bridge.errors import UserError
from bridge.ledger.connection_and_scope_renames import (
    ConnectionIdentity,
    find_rename,
    find_unconfigured_feeds,
    note_configured,
    refuse_if_renamed,
    rename_connection,
)
from bridge.ledger.connection_organizations import TrakorIdentity, check_source, confirm_organizations
from bridge.ledger.schema import feeds, metadata, namespaces
from bridge.ledger.stored_pauses import list_pauses, set_pause
from bridge.ledger.trakor_identity_check import next_step
from bridge.records import Stream
from builders import answered, draft, of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

NORTH, OTHER = TrakorIdentity("north.example", "k1", "s"), TrakorIdentity("other.example", "k2", "s")


@pytest.fixture
def old(book: Book) -> Book:
    """A connection with one delivered contact in its own, default scope."""
    made = Book(book.path, connection="old", scope="old")
    made.see(draft("Ann"))
    made.settle(*(answered(work) for work in made.claim()))
    return made


def note(book: Book, trakor: TrakorIdentity) -> None:
    book.write(lambda connection: next_step(connection, "old", trakor, lambda _: [], now=1, wait=1))


def found(book: Book, **configured: ConnectionIdentity) -> tuple[str, str] | None:
    configured["default"] = ConnectionIdentity("default", OTHER)
    return book.write(lambda connection: find_rename(connection, configured))


def _names_in(connection: Connection, table: Table) -> list[str]:
    return list(connection.scalars(select(table.c.connection)))


def renamed(book: Book, new: str = "new", scope: str = "new", configured: tuple[str, ...] = ("new",)) -> int:
    return book.write(lambda connection: rename_connection(connection, "old", new, scope, configured))


def test_a_new_file_to_the_same_trakor_is_asked_about(old: Book) -> None:
    note(old, NORTH)
    assert found(old, new=ConnectionIdentity("new", NORTH)) == ("new", "old")
    assert found(old, new=ConnectionIdentity("new", NORTH._replace(address="moved.example"))) == (
        "new",
        "old",
    )
    assert found(old, new=ConnectionIdentity("old", OTHER)) == ("new", "old"), "its scope is the old one's"
    with pytest.raises(UserError, match="was old renamed"):
        old.write(lambda connection: refuse_if_renamed(connection, {"new": ConnectionIdentity("new", NORTH)}))


def test_a_connection_of_other_organisations_is_just_new(old: Book) -> None:
    note(old, NORTH)
    assert found(old, new=ConnectionIdentity("new", OTHER)) is None


def test_while_the_old_one_is_configured_nothing_was_renamed(old: Book) -> None:
    note(old, NORTH)
    assert found(old, new=ConnectionIdentity("new", NORTH), old=ConnectionIdentity("old", NORTH)) is None


def test_of_an_older_ledger_nothing_is_noted_and_default_scopes_may_be_one(old: Book) -> None:
    assert found(old, new=ConnectionIdentity("new", OTHER)) == ("new", "old")
    assert found(old, new=ConnectionIdentity("elsewhere", OTHER)) is None


def test_a_person_says_that_it_is_new(old: Book) -> None:
    note(old, NORTH)
    assert old.write(lambda connection: confirm_organizations(connection, "new", NORTH))
    assert found(old, new=ConnectionIdentity("new", NORTH)) is None


def test_all_of_a_connection_goes_on_under_the_new_name(old: Book) -> None:
    """Whatever table knows its name; the names that it has stay taken, now in the new default scope."""
    note(old, NORTH)
    old.write(lambda connection: check_source(connection, "old", "x", now=1))
    old.write(lambda connection: set_pause(connection, "old", "sending", reason="r", now=1, by_person=True))
    assert renamed(old) == 1
    for table in metadata.sorted_tables:
        if "connection" in table.c:
            left = old.write(partial(_names_in, table=table))
            assert "old" not in left, table.name
    new = Book(old.path, connection="new", scope="new", now=old.now)
    assert new.stands() == "delivered"
    new.see(draft("Ann", id="c2"))
    assert new.stands("c2") == "held: same-name"
    scopes = new.write(lambda connection: set(connection.scalars(select(namespaces.c.scope))))
    assert "old" not in scopes
    assert [pause.connection for pause in new.write(list_pauses)] == ["new"]


def test_a_scope_that_another_connection_names_stays(old: Book) -> None:
    sharing = Book(old.path, connection="b", scope="old", now=old.now)
    renamed(old)
    sharing.see(draft("Ann", id="b1"))
    assert sharing.stands("b1") == "held: same-name"
    assert Book(old.path, connection="new", scope="new", now=old.now).claimed()[of("Ann")] == old.number("c1")


def test_a_new_name_without_records_gives_way(old: Book) -> None:
    """It was tried once, and read nothing."""
    Book(old.path, connection="new", scope="new")
    assert renamed(old) == 1
    assert Book(old.path, connection="new", scope="new", now=old.now).stands() == "delivered"


@pytest.mark.parametrize("new", ["b", "old"])
def test_two_connections_never_become_one(old: Book, new: str) -> None:
    Book(old.path, connection="b", scope="b").see(draft("Bo", id="b1"))
    with pytest.raises(UserError, match="already"):
        renamed(old, new)
    assert old.stands() == "delivered"


@pytest.mark.parametrize("configured", [("old",), ("old", "new")])
def test_while_the_old_name_is_configured_nothing_is_renamed(old: Book, configured: tuple[str, ...]) -> None:
    """It would begin anew, and send everything once more."""
    with pytest.raises(UserError, match="configured") as caught:
        renamed(old, configured=configured)
    assert "connections.d/old.toml" in caught.value.advice
    assert old.stands() == "delivered"


def test_a_file_that_is_away_may_come_back_under_another_name(old: Book) -> None:
    """The other order: renamed in the ledger first, while neither name is configured."""
    note(old, NORTH)
    assert renamed(old, configured=("default",)) == 1
    assert found(old, new=ConnectionIdentity("new", NORTH)) is None
    assert Book(old.path, connection="new", scope="new", now=old.now).stands() == "delivered"


def test_an_unknown_name_lists_those_that_are_known(old: Book) -> None:
    with pytest.raises(UserError, match="no records of a connection odl") as caught:
        old.write(lambda connection: rename_connection(connection, "odl", "new", "new", ["new"]))
    assert "old" in caught.value.advice


def test_feeds_of_a_connection_that_is_not_configured_are_told(old: Book) -> None:
    assert old.write(find_unconfigured_feeds) == frozenset(), "before anything was noted"
    old.write(lambda connection: note_configured(connection, ["default"]))
    assert old.write(find_unconfigured_feeds) == {old.feed.number}
    old.write(lambda connection: note_configured(connection, ["default", "old"]))
    assert old.write(find_unconfigured_feeds) == frozenset()


def test_products_are_renamed_with_the_contacts(old: Book) -> None:
    Book(old.path, connection="old", scope="old", stream=Stream.PRODUCTS)
    renamed(old)
    names = old.write(lambda connection: set(connection.scalars(select(feeds.c.connection))))
    assert "old" not in names
