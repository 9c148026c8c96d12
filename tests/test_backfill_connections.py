"""A backfill of two connections: apart, into one Trakor, and stopped between the two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.records import Stream
from bridge.sandbox import Options, Sandbox
from bridges import Bridge, configuration_of, numbers, stopped_at

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Start = Callable[[Options], Awaitable[Sandbox]]


async def test_two_pairs_of_organisations_are_kept_apart(start_sandbox: Start, tmp_path: Path) -> None:
    here = await start_sandbox(Options(contacts=60, products=20))
    there = await start_sandbox(Options(contacts=30, products=20, seed=2))
    bridge = Bridge(tmp_path, here, others={"second": configuration_of(there, there, {})})
    report = await bridge.backfill()
    assert list(report.connections) == ["default", "second"]
    assert (numbers(report)["read"], numbers(report, connection="second")["read"]) == (60, 30)
    bridge.in_order()
    assert len(there.trakor.parties) == numbers(report, connection="second")["created"]
    there.trakor.freeze()
    there.contacts.add("Zora Zimmer")
    here.contacts.add("Zora Zimmer")
    report = await bridge.backfill()
    assert report.exit_status == 4
    assert report.connections["default"].complete
    assert not report.connections["second"].complete
    assert bridge.in_order().ids(Stream.CONTACTS, "pending", connection="second") == {
        there.contacts.id_at(30)
    }


async def test_two_sources_of_one_trakor_never_share_a_party_in_silence(
    start_sandbox: Start, tmp_path: Path
) -> None:
    here = await start_sandbox(Options(contacts=0, products=0))
    there = await start_sandbox(Options(contacts=0, products=0, seed=2))
    people: list[tuple[str, dict[str, Any]]] = [
        ("Ada Ashby", {"email": "ada@example.com"}),
        ("Bea Brown", {"email": "bea@example.com"}),
        ("Cem Cole", {}),
    ]
    for name, reach in people:
        here.contacts.add(name, identity=f"here {name}", **reach)
    there.contacts.add("ada ashby", email="ADA@example.com", identity="there Ada")
    there.contacts.add("Bea Brown", email="other@example.com", identity="there Bea")
    there.contacts.add("Cem Cole", identity="there Cem")
    shared: dict[str, dict[str, object]] = {"trakor": {"scope": "the one Trakor"}}
    bridge = Bridge(tmp_path, here, shared, {"second": configuration_of(there, here, shared)})
    report = await bridge.backfill()
    books = bridge.books
    assert books.contact("there Ada", "second").merged_into == "here Ada Ashby"
    assert books.contact("there Bea", "second").state == "delivered"
    assert books.contact("there Cem", "second").state == "held: same-name"
    assert sorted(here.trakor.parties.names()) == [
        "Ada Ashby",
        "Bea Brown",
        "Bea Brown (other@example.com)",
        "Cem Cole",
    ]
    assert len(there.trakor.parties) == 0
    assert report.exit_status == 3


async def test_a_stop_between_two_connections_leaves_the_second_for_later(
    start_sandbox: Start, tmp_path: Path
) -> None:
    here = await start_sandbox(Options(contacts=60, products=20))
    there = await start_sandbox(Options(contacts=30, products=20, seed=2))
    bridge = Bridge(
        tmp_path,
        here,
        changes={"contacts": {"page_size": 20}},
        others={"second": configuration_of(there, there, {})},
    )
    report = await stopped_at(bridge, 40)
    assert report.exit_status == 130
    assert list(report.connections) == ["default"]
    assert there.salestrekker.traffic.total == 0
    report = await bridge.backfill()
    assert report.exit_status == 3
    assert len(there.trakor.parties) > 0
