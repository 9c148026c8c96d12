"""`sync`: the running daemon reads the lists now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridges import Bridge
from daemons import Daemon, daemon_settings
from forking import at_a_terminal
from processes import commands

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.sandbox import Sandbox
    from processes import Begin


async def run(begin: Begin, *arguments: str) -> tuple[int, str]:
    """A command's exit status, and all that it printed."""
    ended = await (await begin(*arguments)).ended()
    return ended.status, ended.text


async def test_a_new_contact_is_sent_before_its_time(sandbox: Sandbox, tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, sandbox)
    async with Daemon(bridge) as daemon, commands(tmp_path) as begin:
        await daemon.said("done", job="reconcile")
        sandbox.contacts.add("Zoe Newcomer")
        status, said = await run(begin, "sync", "contacts", "--wait")
        assert status == 0, said
        assert "default: contacts will be read now." in said
        assert "default: contacts: 201 read." in said
        assert "products" not in said
        await daemon.settled()
    assert "Zoe Newcomer" in sandbox.trakor.parties.names()


async def test_without_wait_it_returns_while_the_list_is_read(sandbox: Sandbox, tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, sandbox)
    async with Daemon(bridge) as daemon, commands(tmp_path) as begin:
        await daemon.said("done", job="reconcile")
        before = len(sandbox.salestrekker.traffic.of("contacts"))
        sandbox.salestrekker.hold(kind="contacts", times=1)
        assert await run(begin, "sync") == (0, "default: contacts and products will be read now.\n")
        await sandbox.salestrekker.wait_for(lambda: len(sandbox.salestrekker.traffic.of("contacts")) > before)
        sandbox.salestrekker.release()
        await daemon.said("done", job="contacts")


async def test_without_a_daemon_it_says_what_to_do(sandbox: Sandbox, tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, sandbox)
    async with commands(tmp_path) as begin:
        await bridge.backfill()
        status, said = await run(begin, "sync")
        assert status == 1
        assert "no daemon is running" in said
        assert "trakor-bridge backfill" in said


async def test_while_reading_is_paused_the_request_waits(sandbox: Sandbox, tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, sandbox)
    async with Daemon(bridge) as daemon, commands(tmp_path) as begin:
        await daemon.said("done", job="reconcile")
        assert (await run(begin, "pause", "--reading"))[0] == 0
        for more in ([], ["--wait"]):
            status, said = await run(begin, "sync", *more)
            assert status == 4
            assert "reading is paused" in said
        assert (await run(begin, "resume", "--reading"))[0] == 0
        await daemon.said("done", job="contacts")


async def test_a_daemon_that_ends_ends_the_waiting(sandbox: Sandbox, tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, sandbox)
    async with commands(tmp_path) as begin:
        async with Daemon(bridge) as daemon:
            await daemon.said("done", job="reconcile")
            before = len(sandbox.salestrekker.traffic.of("contacts"))
            sandbox.salestrekker.hold(kind="contacts", times=1)
            waiting = await begin("sync", "contacts", "--wait")
            await sandbox.salestrekker.wait_for(
                lambda: len(sandbox.salestrekker.traffic.of("contacts")) > before
            )
        ended = await waiting.ended()
        assert ended.status == 1
        assert "the daemon has stopped" in ended.err


async def test_a_disabled_list_cannot_be_requested(sandbox: Sandbox, tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, sandbox, {"products": {"enabled": False}})
    async with Daemon(bridge) as daemon, commands(tmp_path) as begin:
        await daemon.said("done", job="reconcile")
        status, said = await run(begin, "sync", "products")
        assert status == 2
        assert "not enabled" in said


async def test_a_backfill_beside_a_daemon_names_sync(sandbox: Sandbox, tmp_path: Path) -> None:
    Bridge(tmp_path, sandbox, daemon_settings()).settings  # noqa: B018 - it writes the file
    async with commands(tmp_path) as begin:
        daemon = await begin("run")
        await daemon.said('"job": "reconcile"')
        status, said = await run(begin, "backfill")
        assert status == 1
        assert "trakor-bridge sync" in said


async def test_progress_is_one_line_that_goes_at_the_end(sandbox: Sandbox, tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, sandbox)
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
        status, shown = await at_a_terminal(["sync", "--wait"], tmp_path, {}, 80)
    assert status == 0
    assert shown.rstrip().endswith("40 read.")
