"""`connections list|rename|confirm` and what they mend, through the installed command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.ledger.open import lock_ledger
from bridge.sandbox import Options, Sandbox
from bridges import Bridge, configuration_of
from processes import commands

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from processes import Begin, Ended

    Start = Callable[[Options], Awaitable[Sandbox]]
    RunToEnd = Callable[..., Awaitable[Ended]]

pytestmark = pytest.mark.acceptance


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[RunToEnd]:
    """``run("backfill", "--json")`` runs the command in the test's folder to its end."""
    async with commands(tmp_path) as begin:
        yield _to_its_end(begin)


def _to_its_end(begin: Begin) -> RunToEnd:
    async def to_its_end(*arguments: str) -> Ended:
        return await (await begin(*arguments)).ended()

    return to_its_end


@pytest.fixture
async def bridge(start_sandbox: Start, tmp_path: Path) -> Bridge:
    """Two brokerages of one log-in, of which North is read."""
    sandbox = await start_sandbox(Options(contacts=30, products=4, organizations=("North", "South")))
    made = Bridge(tmp_path, sandbox)
    made.changes["salestrekker"] = {"organization": "North"}
    made.changes["trakor"] = {}
    assert made.settings.connections
    return made


async def test_another_brokerages_key_is_refused_listed_and_confirmed(bridge: Bridge, run: RunToEnd) -> None:
    """Fault 18: five new contacts went there, the rest counted as unchanged, exit 0."""
    assert (await run("backfill")).status in {0, 3}
    tenant = bridge.sandbox.trakor.add_organization("South's")
    bridge.changes["trakor"]["api_key"] = tenant.api_key
    for number in range(5):
        bridge.sandbox.contacts.add(f"Newly Come {number}")
    assert bridge.settings.connections

    refused = await run("backfill", "--log-format", "json")
    assert refused.status == 4
    made = [*tenant.parties.names(), *tenant.products.names()]
    assert len(made) == 3
    said = " ".join(line for line in refused.err.splitlines() if not line.startswith("{"))
    logged = " ".join(line for line in refused.err.splitlines() if line.startswith("{"))
    for shown in (said, (await run("status")).out, (await run("check")).out):
        assert all(name in " ".join(shown.split()) for name in made)
    assert not any(name in logged for name in made)
    listed = (await run("connections", "list", "--json")).document["connections"]
    assert [(one["name"], one["owner"], one["state"]) for one in listed] == [("default", None, "refused")]
    assert listed[0]["since"]
    assert (await run("check")).status == 1

    assert "right Trakor organisation" in (await run("connections", "confirm", "default")).out
    assert (await run("backfill")).status in {0, 3}
    assert "Newly Come 4" in tenant.parties
    assert (await run("check")).status == 0
    assert "ok" in (await run("connections", "list")).out


async def test_another_organisation_of_the_log_in_is_refused(bridge: Bridge, run: RunToEnd) -> None:
    """Fault 18: 194 clients of another brokerage were sent to this one's Trakor."""
    assert (await run("backfill")).status in {0, 3}
    before = len(bridge.sandbox.trakor.parties)
    bridge.changes["salestrekker"]["organization"] = "South"
    bridge.sandbox.salestrekker.world_of("South").contacts.add("Not Ours")
    assert bridge.settings.connections
    refused = await run("backfill")
    assert refused.status == 4
    assert "connections confirm default" in " ".join(refused.err.split())
    assert len(bridge.sandbox.trakor.parties) == before


async def test_a_log_in_of_two_organisations_names_one(bridge: Bridge, run: RunToEnd) -> None:
    """Fault 18: the first one was taken. The daemon ends likewise."""
    bridge.changes["salestrekker"] = {}
    bridge.changes["webhooks"] = {"port": 0}
    bridge.changes["admin"] = {"port": 0}
    assert bridge.settings.connections
    for command in (("backfill", "--json"), ("run",)):
        ended = await run(*command)
        assert ended.status == 2
        assert "South (id " in " ".join(ended.err.split())
    assert bridge.sandbox.salestrekker.traffic.kinds["contacts"] == 0
    checked = await run("check")
    assert (checked.status, "South (id " in " ".join(checked.out.split())) == (1, True)


async def test_a_renamed_file_is_refused_until_it_is_said(
    bridge: Bridge, run: RunToEnd, start_sandbox: Start, tmp_path: Path
) -> None:
    """Fault 7: its records were merged into those of a connection that is not configured any more."""
    other = await start_sandbox(Options(contacts=20, products=0))
    text = configuration_of(other, other, {"trakor": {"scope": "fixed"}})
    bridge.others = {"north": text}
    assert bridge.settings.connections
    assert (await run("backfill")).status in {0, 3}
    there = len(other.trakor.parties)

    (tmp_path / "connections.d" / "north.toml").rename(tmp_path / "connections.d" / "melbourne.toml")
    for command in ("backfill", "run"):
        refused = await run(command)
        assert refused.status == 2
        assert "was north renamed?" in " ".join(refused.err.split())
    assert "connections" in (await run("check")).out
    states = {
        one["name"]: one["state"]
        for one in (await run("connections", "list", "--json")).document["connections"]
    }
    assert states == {"default": "ok", "melbourne": "new", "north": "not configured"}

    is_new = await run("connections", "confirm", "melbourne")
    assert (is_new.status, "add --yes" in is_new.err) == (2, True), "it would send everything once more"
    assert "rename north melbourne" in " ".join(is_new.err.split())
    assert (await run("backfill")).status == 2, "nothing was confirmed"

    with lock_ledger(tmp_path / "ledger.db", "the tests"):
        busy = await run("connections", "rename", "north", "melbourne")
    assert (busy.status, "in use" in busy.err) == (1, True)
    assert (await run("connections", "rename", "nroth", "melbourne")).status == 2
    assert (await run("connections", "rename", "north", "default")).status == 2
    early = await run("connections", "rename", "default", "main")
    assert (early.status, "still configured" in early.err) == (2, True)
    assert "connections.d/main.toml" in " ".join(early.err.split())
    renamed = await run("connections", "rename", "north", "melbourne")
    assert (renamed.status, "moved to melbourne" in renamed.out) == (0, True)

    other.trakor.traffic.clear()
    after = await run("backfill", "--json")
    assert after.status in {0, 3}
    numbers = after.document["connections"]["melbourne"]["streams"]["contacts"]
    assert numbers["unchanged"] > 0
    assert (numbers["created"], numbers["existing"], len(other.trakor.parties)) == (0, 0, there)
    assert other.trakor.traffic.total == 0


async def test_there_is_nothing_to_confirm_where_nothing_is_in_doubt(bridge: Bridge, run: RunToEnd) -> None:
    assert bridge.settings.connections
    assert (await run("backfill")).status in {0, 3}
    ended = await run("connections", "confirm", "default")
    assert (ended.status, "nothing needed to be confirmed" in ended.out) == (0, True)
    assert (await run("connections", "confirm", "nobody")).status == 2


async def test_a_new_connection_is_confirmed_with_a_yes(bridge: Bridge, run: RunToEnd) -> None:
    """It says what is there under another name, whoever has said yes already."""
    assert bridge.settings.connections
    assert (await run("backfill")).status in {0, 3}
    (bridge.folder / "connections.d").mkdir()
    (bridge.folder / "config.toml").rename(bridge.folder / "connections.d" / "main.toml")
    (bridge.folder / "config.toml").write_text('connections_dir = "connections.d"\n')
    assert (await run("backfill")).status == 2
    ended = await run("connections", "confirm", "main", "--yes")
    assert (ended.status, "it is a new connection" in ended.out) == (0, True)
    assert "records of default, which is no longer configured" in " ".join(ended.err.split())
