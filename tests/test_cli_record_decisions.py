"""`records accept`, `dismiss`, `drop` and `retry`: decisions that reach the ledger."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
from typing import TYPE_CHECKING

import orjson
import pytest

from books import kept
from bridge.ledger.database import reading, writing
from bridge.ledger.open import lock_ledger
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.ledger.schema import history, records
from bridge.sandbox import Fault, Options
from desk import Desk, configured, into_another_connection, listed, run_backfill, stands
from forking import program

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.sandbox import Sandbox


def test_a_rename_that_is_accepted_will_be_sent(desk: Desk, ids: dict[str, str]) -> None:
    ran = desk("records", "accept", ids["renamed"])
    assert ran.status == 0
    assert ran.out == f"Contact {ids['renamed']} will be sent as “Jane Smythe” by the next backfill.\n"
    assert stands(desk, ids["renamed"]).state == "pending"


def test_what_a_running_daemon_sends_at_once_is_not_left_to_a_backfill(
    desk: Desk, ids: dict[str, str]
) -> None:
    """There is no time to take it back, and it says so."""
    with lock_ledger(desk.folder / "ledger.db", "trakor-bridge run"):
        ran = desk("records", "accept", ids["renamed"])
    assert (
        ran.out == f"Contact {ids['renamed']} will be sent as “Jane Smythe” at once, by the running daemon.\n"
    )


def test_what_a_running_daemon_does_by_itself_is_not_left_to_a_backfill(
    desk: Desk, ids: dict[str, str]
) -> None:
    """That would be refused: the ledger is in use."""
    assert "\n  trakor-bridge backfill\n" in desk("records", "show", ids["mapping"]).out
    with lock_ledger(desk.folder / "ledger.db", "trakor-bridge run"):
        out = desk("records", "show", ids["mapping"]).out
    assert "trakor-bridge backfill" not in out
    assert (
        "As soon as it is corrected in Salestrekker or in the configuration, it is sent automatically." in out
    )


def test_a_retry_says_the_same_each_time(desk: Desk, ids: dict[str, str]) -> None:
    """The name is still another one's: nothing about it has to be read first."""
    for _ in range(3):
        ran = desk("records", "retry", ids["same-name"])
        assert ran.out == f"Contact {ids['same-name']} is held: same-name.\n"
        assert not stands(desk, ids["same-name"]).retry
    assert "An operator asked for a new check: held, " in desk("records", "show", ids["same-name"]).out


def test_a_name_can_be_given(desk: Desk, ids: dict[str, str]) -> None:
    ran = desk("records", "accept", ids["same-name"], "--as", "  Jane  Smith\t(Perth) ")
    assert "will be sent as “Jane Smith (Perth)”" in ran.out
    assert listed(desk, "--name", "jane smith (perth)") == {ids["same-name"]}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("Bruce WAYNE", "is taken"),
        (" ", "visible characters"),
        ("\u200b", "visible characters"),
    ],
)
def test_a_given_name_must_be_free_and_visible(
    desk: Desk, ids: dict[str, str], name: str, fault: str
) -> None:
    ran = desk("records", "accept", ids["same-name"], "--as", name)
    assert ran.status in {1, 2}
    assert fault in ran.err
    assert stands(desk, ids["same-name"]).state == "held"


def test_what_cannot_be_accepted_is_said_once_with_what_to_do(desk: Desk, ids: dict[str, str]) -> None:
    ran = desk("records", "accept", ids["same-name"])
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.count(ids["same-name"]) == 1
    assert 'what to do: give it one: `trakor-bridge records accept ID --as "NAME"`' in ran.err


def test_a_drift_is_accepted_by_name(desk: Desk, ids: dict[str, str]) -> None:
    ran = desk("records", "accept", "--name", "Bruce Wayne")
    assert ran.out == f"Contact {ids['drifted']} counts as delivered.\n"


def test_a_dropped_record_can_be_taken_back(desk: Desk, ids: dict[str, str]) -> None:
    assert desk("records", "drop", ids["refused"]).out == f"Contact {ids['refused']} will not be sent.\n"
    assert stands(desk, ids["refused"]).state == "dropped"
    ran = desk("records", "retry", ids["refused"])
    assert ran.out == f"Contact {ids['refused']} is checked again when it is next read from Salestrekker.\n"
    assert stands(desk, ids["refused"]).retry


def test_a_decision_as_json_shows_the_record_as_it_stands(desk: Desk, ids: dict[str, str]) -> None:
    document = desk("records", "retry", ids["refused"], "--json").json
    assert (document["total"], document["failed"]) == (1, [])
    assert document["records"][0]["state"] == "pending"
    failed = desk("records", "drop", ids["delivered"], "--json")
    assert failed.status == 1
    assert failed.json["records"][0]["state"] == "delivered"
    assert failed.json["failed"][0]["id"] == ids["delivered"]
    assert "nothing to drop" in failed.json["failed"][0]["error"]


def test_many_need_a_yes(desk: Desk, ids: dict[str, str]) -> None:
    """Without a terminal nobody can be asked: refused, saying how many."""
    ran = desk("records", "drop", "--state", "held,rejected")
    assert ran.status == 2
    assert "`records drop` for 6 records needs to be confirmed" in ran.err
    assert stands(desk, ids["refused"]).state == "rejected"


def test_many_at_once_go_on_past_those_that_cannot_be_done(desk: Desk, ids: dict[str, str]) -> None:
    ran = desk("records", "accept", "--state", "held,drifted", "--yes")
    assert ran.status == 1
    assert ran.out.splitlines() == [
        "3 records accepted.",
        "  2 count as delivered",
        "  1 will be sent by the next backfill",
    ]
    assert all(ids[word] in ran.err for word in ("same-name", "formula-twin"))
    assert ran.err.count("what to do: ") == 1
    assert stands(desk, ids["existing"]).state == "delivered"


def test_one_reason_is_told_once_however_many_have_it(desk: Desk) -> None:
    """Some of them are named, the others counted."""
    with reading(desk.folder / "ledger.db") as ledger:
        delivered = len(find_records(ledger, RecordQuery(states=("delivered",))))
    ran = desk("records", "drop", "--state", "delivered", "--yes")
    assert ran.status == 1
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {delivered} records: each is delivered: there is nothing to drop (")


def test_what_never_can_be_accepted_is_said_before_anybody_is_asked(desk: Desk) -> None:
    ran = desk("records", "accept", "--state", "rejected", "--yes")
    assert (ran.status, ran.out) == (2, "")
    assert "rejected records cannot be accepted" in ran.err
    assert "`trakor-bridge records retry`" in ran.err


def test_a_record_that_is_dropped_already_can_be_taken_back(desk: Desk, ids: dict[str, str]) -> None:
    """Trakor does not have it: there is nothing to remove there."""
    desk("records", "drop", ids["refused"])
    ran = desk("records", "drop", ids["refused"])
    assert ran.status == 1
    assert "is dropped already" in ran.err
    assert "`trakor-bridge records retry ID` takes that back" in ran.err
    assert "Trakor" not in ran.err


@pytest.mark.parametrize(("answer", "status", "state"), [("y", 0, "dropped"), ("n", 1, "rejected")])
def test_on_a_terminal_it_asks(desk: Desk, ids: dict[str, str], answer: str, status: int, state: str) -> None:
    """How many is said before anything is done, and no means no; standard output stays the document's."""
    ours, terminal = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        command = [*program(), "records", "drop", "--state", "rejected", "--json"]
        config = ["--config", str(desk.folder / "config.toml")]
        ended = subprocess.run(  # noqa: S603 - our own command
            [*command, *config],
            stdin=terminal,
            stderr=terminal,
            stdout=subprocess.PIPE,
            timeout=60,
            check=False,
        )
        shown = os.read(ours, 4096).decode()
    finally:
        os.close(ours)
        os.close(terminal)
    assert "Drop 2 records? [y/N]" in shown
    assert ended.returncode == status
    assert (ended.stdout != b"") == (status == 0)
    assert stands(desk, ids["refused"]).state == state


def test_the_reason_and_the_stream_narrow_the_many(desk: Desk, ids: dict[str, str]) -> None:
    assert desk("records", "drop", "--state", "rejected", "--stream", "products", "--yes").status == 0
    assert stands(desk, ids["mapping"]).state == "dropped"
    assert stands(desk, ids["refused"]).state == "rejected"


def test_more_than_one_transaction_full_are_all_done(desk: Desk, ids: dict[str, str]) -> None:
    """A thousand records, and not one twice: what was decided no longer matches."""
    with writing(desk.folder / "ledger.db", kept(desk.folder / "ledger.db")) as connection:
        model = connection.execute(records.select().where(records.c.source_id == ids["mapping"])).one()
        copies = [model._asdict() | {"number": 1000 + n, "source_id": f"copy-{n}"} for n in range(1000)]
        connection.execute(records.insert(), copies)
    ran = desk("records", "drop", "--reason", "mapping", "--yes", "--json")
    assert ran.status == 0
    assert (len({one["id"] for one in ran.json["records"]}), ran.json["total"]) == (1001, 1001)
    assert {one["state"] for one in ran.json["records"]} == {"dropped"}
    with reading(desk.folder / "ledger.db") as connection:
        events = connection.execute(history.select().where(history.c.event == "dropped")).all()
    assert len(events) == 1001


def test_none_that_match_is_no_error(desk: Desk) -> None:
    ran = desk("records", "drop", "--reason", "server-error", "--yes")
    assert (ran.status, ran.out) == (0, "No record dropped.\n")
    assert desk("records", "retry", "--reason", "server-error", "--json").json == {
        "records": [], "failed": [], "total": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ((), "which records?"),
        (("--stream", "contacts", "--yes"), "which records?"),
        (("some-id", "--state", "held"), "one record or many?"),
        (("--state", "held", "--as", "Jo", "--yes"), "--as gives a name to one record"),
    ],
)
def test_it_must_be_clear_which_records_are_meant(desk: Desk, arguments: tuple[str, ...], fault: str) -> None:
    ran = desk("records", "accept", *arguments)
    assert ran.status == 2
    assert fault in ran.err


def test_a_record_of_a_connection_that_is_gone_is_left_alone(desk: Desk, ids: dict[str, str]) -> None:
    into_another_connection(desk, ids["refused"], "stranger")
    ran = desk("records", "retry", "stranger")
    assert ran.status == 1
    assert "its connection 'sydney' is no longer configured" in ran.err
    assert stands(desk, "stranger").state == "rejected"


async def test_a_decision_beside_a_running_backfill_disturbs_it_not_and_is_carried_out(
    desk: Desk, start_sandbox: Callable[[Options], Awaitable[Sandbox]]
) -> None:
    """A backfill has the ledger, and a request under way: it or the next one sends what a person decides."""
    sandbox = await start_sandbox(Options(contacts=0, products=0))
    begin_anew(desk, sandbox)
    sandbox.contacts.add("Jane Smith")
    twin = sandbox.contacts.add("Jane Smith")
    gate = asyncio.Event()
    sandbox.trakor.faults.add(Fault(name="Jane Smith", gate=gate))
    running = asyncio.create_task(run_backfill(desk.folder))
    await sandbox.trakor.wait_for(lambda: sandbox.trakor.traffic.in_flight)
    ran = await asyncio.to_thread(desk, "records", "accept", twin, "--as", "Jane Smith (Perth)")
    gate.set()
    report = await asyncio.wait_for(running, 30)
    assert (ran.status, report.connections["default"].problems) == (0, [])
    await run_backfill(desk.folder)
    assert sorted(sandbox.trakor.parties.names()) == ["Jane Smith", "Jane Smith (Perth)"]
    assert stands(desk, twin).state == "delivered"


def begin_anew(desk: Desk, sandbox: Sandbox) -> None:
    """Forget the organisation; another one is in the sandbox."""
    for file in desk.folder.iterdir():
        file.unlink()
    (desk.folder / "config.toml").write_text(configured(sandbox))


async def test_what_was_decided_is_what_the_next_backfill_does(
    desk: Desk, start_sandbox: Callable[[Options], Awaitable[Sandbox]]
) -> None:
    """Held twins: one is given a name, the other dropped; then Trakor has the one and not the other."""
    sandbox = await start_sandbox(Options(contacts=0, products=0))
    begin_anew(desk, sandbox)
    sandbox.contacts.add("Jane Smith")
    named, dropped = sandbox.contacts.add("Jane Smith"), sandbox.contacts.add("Jane Smith")
    await run_backfill(desk.folder)
    assert desk("records", "accept", named, "--as", "Jane Smith (Perth)").status == 0
    assert desk("records", "drop", dropped).status == 0
    await run_backfill(desk.folder)
    assert sorted(sandbox.trakor.parties.names()) == ["Jane Smith", "Jane Smith (Perth)"]
    assert (stands(desk, named).state, stands(desk, dropped).state) == ("delivered", "dropped")
    assert orjson.loads(desk("status", "--json").out)["connections"]["default"]["lag_seconds"] == 0.0
