"""Two brokerages are never mixed: nothing is read from or sent to another organisation than before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, select

from bridge.errors import UserError
from bridge.ledger.connection_organizations import confirm_organizations
from bridge.ledger.database import reading, writing
from bridge.ledger.schema import canaries, feeds
from bridge.ledger.stored_pauses import list_pauses
from bridge.names import Hasher
from bridge.sandbox import Fault, Options
from bridge.wiring.ledger_and_key import ledger_key, ledger_path
from bridge.wiring.organization_identity import hash_trakor
from bridges import Bridge, configuration_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bridge.backfill import Report
    from bridge.sandbox import Sandbox

    Start = Callable[[Options], Awaitable[Sandbox]]

TWO = Options(contacts=20, products=4, organizations=("North", "South"))


@pytest.fixture
async def bridge(start_sandbox: Start, tmp_path: Path) -> Bridge:
    """A bridge to one of two organisations of a log-in, all delivered."""
    made = Bridge(tmp_path, await start_sandbox(TWO))
    made.changes["salestrekker"] = {"organization": "North"}
    made.changes["trakor"] = {"unanswered_wait": "50ms"}
    assert (await made.backfill()).exit_status in {0, 3}
    return made


def other_key(bridge: Bridge) -> Any:  # noqa: ANN401 - the sandbox's Tenant
    """The key of another Trakor organisation stands in the configuration."""
    tenant = bridge.sandbox.trakor.add_organization("the other brokerage")
    bridge.changes["trakor"]["api_key"] = tenant.api_key
    return tenant


def told(report: Report) -> str:
    return "\n".join(
        f"{one.message} {one.advice}" for each in report.connections.values() for one in each.problems
    )


def say_it_is_right(bridge: Bridge, name: str = "default") -> None:
    settings = bridge.settings
    hasher = Hasher(ledger_key(settings, make=False))
    with writing(ledger_path(settings)) as connection:
        assert confirm_organizations(connection, name, hash_trakor(settings.connections[name], hasher))


async def test_the_key_of_another_organisation_stops_all_before_it_begins(bridge: Bridge) -> None:
    """Three names go there, to find out; they are listed for deletion, and nothing is read meanwhile."""
    tenant = other_key(bridge)
    bridge.sandbox.contacts.add("Newly Come")
    bridge.sandbox.salestrekker.traffic.clear()
    report = await bridge.backfill()
    assert report.exit_status == 4
    assert tenant.size == 3
    assert bridge.sandbox.salestrekker.traffic.total == 0
    assert "connections confirm default" in told(report)
    for name in [*tenant.parties.names(), *tenant.products.names()]:
        assert name in told(report)

    again = await bridge.backfill()
    assert (again.exit_status, tenant.size) == (4, 3), "and not a request more"

    bridge.changes["trakor"].pop("api_key")
    assert (await bridge.backfill()).exit_status in {0, 3}, "the right key is put back"
    assert "Newly Come" in bridge.sandbox.trakor.parties


@pytest.mark.parametrize("keep", ["sealed", "hashes"])
async def test_a_ledger_of_before_has_canaries_after_one_unchanged_backfill(
    bridge: Bridge, keep: str
) -> None:
    """Its migration leaves none: then another organisation's key could not be told."""
    bridge.changes["ledger"] = {"keep": keep}
    with writing(ledger_path(bridge.settings)) as connection:
        connection.execute(delete(canaries))
    await bridge.backfill()
    tenant = other_key(bridge)
    bridge.sandbox.contacts.add("Newly Come")
    assert (await bridge.backfill()).exit_status == 4
    assert "Newly Come" not in tenant.parties


@pytest.mark.parametrize("change", ["map", "source"])
async def test_a_change_of_all_records_at_once_hides_no_other_organisation(
    bridge: Bridge, change: str
) -> None:
    """It left no canary: new clients went to the other brokerage, and all was well."""
    if change == "map":
        bridge.changes["contacts.map"] = {"contact_info": "join_present(' / ', [id, 'x'])"}
        bridge.changes["products.map"] = {"description": "'x'"}
    else:
        for row in bridge.sandbox.contacts:
            bridge.sandbox.contacts.change_phone(row["id"], "0491 570 156")
    await bridge.backfill()
    with reading(ledger_path(bridge.settings)) as connection:
        streams = {
            *connection.scalars(select(feeds.c.stream).join(canaries, canaries.c.feed == feeds.c.number))
        }
    assert "contacts" not in streams
    tenant = other_key(bridge)
    bridge.sandbox.contacts.add("Newly Come")
    assert (await bridge.backfill()).exit_status == 4
    assert "Newly Come" not in tenant.parties


async def test_a_person_says_that_it_is_the_right_organisation(bridge: Bridge) -> None:
    tenant = other_key(bridge)
    bridge.sandbox.contacts.add("Newly Come")
    await bridge.backfill()
    say_it_is_right(bridge)
    assert (await bridge.backfill()).exit_status in {0, 3}
    assert "Newly Come" in tenant.parties


async def test_another_key_of_the_same_organisation_costs_one_request(bridge: Bridge) -> None:
    bridge.changes["trakor"]["api_key"] = bridge.sandbox.trakor.add_key()
    bridge.sandbox.trakor.traffic.clear()
    assert (await bridge.backfill()).exit_status in {0, 3}
    assert bridge.sandbox.trakor.traffic.total == 1
    await bridge.backfill()
    assert bridge.sandbox.trakor.traffic.total == 1, "noted"


async def test_a_name_that_is_there_under_another_id_proves_nothing(bridge: Bridge) -> None:
    """Another brokerage has clients of the same names."""
    tenant = other_key(bridge)
    for entry in bridge.sandbox.trakor.parties.entries():
        tenant.parties.put(entry.name)
    before = tenant.size
    report = await bridge.backfill()
    assert report.exit_status == 4
    assert tenant.size == before
    assert "delete" not in told(report), "nothing was made there"


async def test_an_answer_that_is_lost_is_waited_for_and_asked_again(bridge: Bridge) -> None:
    bridge.changes["trakor"]["api_key"] = bridge.sandbox.trakor.add_key()
    bridge.sandbox.trakor.faults.add(Fault(commit=True, reset=True, times=3))
    assert (await bridge.backfill()).exit_status in {0, 3}


async def test_who_dies_after_a_lost_answer_never_takes_its_own_name_for_proof(bridge: Bridge) -> None:
    tenant = other_key(bridge)
    bridge.sandbox.trakor.faults.add(Fault(commit=True, reset=True, delay=0.3))
    stop = asyncio.Event()
    running = asyncio.create_task(bridge.backfill(stop=stop))
    await bridge.sandbox.trakor.wait_for(lambda: tenant.size)
    stop.set()
    assert (await running).exit_status == 130
    report = await bridge.backfill()
    assert (report.exit_status, tenant.size) == (4, 3)


async def test_another_organisation_of_the_log_in_is_not_read(bridge: Bridge) -> None:
    bridge.changes["salestrekker"]["organization"] = "South"
    bridge.sandbox.salestrekker.traffic.clear()
    bridge.sandbox.trakor.traffic.clear()
    report = await bridge.backfill()
    assert report.exit_status == 4
    assert "confirm default" in told(report)
    assert bridge.sandbox.salestrekker.traffic.kinds["contacts"] == 0
    assert bridge.sandbox.trakor.traffic.total == 0
    bridge.changes["salestrekker"]["organization"] = "North"
    assert (await bridge.backfill()).exit_status in {0, 3}


async def test_what_waits_is_not_sent_while_another_organisation_is_logged_in_to(bridge: Bridge) -> None:
    bridge.sandbox.contacts.add("Newly Come")
    bridge.sandbox.trakor.faults.add(Fault(kind="parties", status=401))
    assert (await bridge.backfill()).exit_status == 4
    bridge.sandbox.trakor.traffic.clear()
    bridge.changes["salestrekker"]["organization"] = "South"
    assert (await bridge.backfill()).exit_status == 4
    bridge.sandbox.salestrekker.faults.add(Fault(kind="authenticate", status=401))
    assert (await bridge.backfill()).exit_status == 4
    assert bridge.sandbox.trakor.traffic.total == 0, "nor while nobody can log in to find out"


async def test_a_log_in_of_several_organisations_names_one(start_sandbox: Start, tmp_path: Path) -> None:
    sandbox = await start_sandbox(TWO)
    report = await Bridge(tmp_path, sandbox).backfill()
    assert report.exit_status == 2
    assert "North (id " in told(report)
    with reading(tmp_path / "ledger.db") as connection:
        assert list_pauses(connection) == [], "it is for the configuration to say, and nothing to wait for"
    assert sandbox.salestrekker.traffic.kinds["contacts"] == 0
    assert sandbox.trakor.traffic.total == 0


async def test_a_renamed_connection_is_asked_about_before_anything_is_done(
    bridge: Bridge, start_sandbox: Start
) -> None:
    """Else its records are merged into those of a connection that is no more."""
    other = await start_sandbox(Options(contacts=5, products=0))
    text = configuration_of(other, other, {"trakor": {"scope": "fixed"}})
    bridge.others = {"old": text}
    assert (await bridge.backfill()).exit_status in {0, 3}
    other.salestrekker.traffic.clear()
    bridge.others = {"new": text}
    (bridge.folder / "connections.d" / "old.toml").unlink()
    with pytest.raises(UserError, match="was old renamed") as caught:
        await bridge.backfill()
    assert "connections rename old new" in caught.value.advice
    assert other.salestrekker.traffic.total == 0
    say_it_is_right(bridge, "new")
    assert (await bridge.backfill()).exit_status in {0, 3}, "a person says that it is new"
