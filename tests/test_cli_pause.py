"""`pause` and `resume`: what they write and say, and that they only touch what they were asked to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from books import empty_ledger, kept
from bridge.ledger.connection_organizations import (
    KnownOrganizations,
    OrganizationMismatch,
    pause_if_stopped,
    save_known,
)
from bridge.ledger.database import reading, writing
from bridge.ledger.stored_pauses import list_pauses, set_pause
from desk import Desk

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
[salestrekker]
api_key = "a-key-of-salestrekker"
[trakor]
url = "http://127.0.0.1:1/api"
api_key = "sk_live_0123456789abcdef"
"""
NORTH = CONFIG.replace("127.0.0.1:1", "127.0.0.1:2").replace("abcdef", "fedcba")


@pytest.fixture
def desk(
    tmp_path: Path,
    ledger_template: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:
    """Two connections, `default` and `north`, with an empty ledger."""
    (tmp_path / "config.toml").write_text(f'connections_dir = "connections.d"\n{CONFIG}')
    (tmp_path / "connections.d").mkdir()
    (tmp_path / "connections.d" / "north.toml").write_text(NORTH)
    empty_ledger(ledger_template, tmp_path / "ledger.db")
    return Desk(tmp_path, monkeypatch, capsys)


def stopped(desk: Desk) -> dict[tuple[str, str], bool]:
    """What is paused; whether by a person."""
    with reading(desk.folder / "ledger.db") as connection:
        return {(one.connection, one.direction): one.by_person for one in list_pauses(connection)}


def stop_by_itself(desk: Desk, direction: str) -> None:
    """As the daemon does it, two hours ago."""
    now = time.time_ns() // 1_000_000 - 2 * 3_600_000
    with writing(desk.folder / "ledger.db", kept(desk.folder / "ledger.db")) as connection:
        set_pause(connection, "north", direction, reason="Trakor said 403", now=now, next_try_at=now + 60_000)


def test_sending_of_all_connections_is_paused_and_resumed(desk: Desk) -> None:
    ran = desk("pause")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "default: sending is paused until `trakor-bridge resume`. Everything still arrives and waits.",
        "north: sending is paused until `trakor-bridge resume`. Everything still arrives and waits.",
    ]
    assert stopped(desk) == {("default", "sending"): True, ("north", "sending"): True}
    ran = desk("resume")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("default: sending is resumed; an operator had paused it since ")
    assert stopped(desk) == {}


def test_reading_of_one_connection_is_paused_and_nothing_else(desk: Desk) -> None:
    ran = desk("pause", "--reading", "--connection", "north")
    assert ran.out.startswith("north: reading is paused until `trakor-bridge resume --reading`.")
    assert stopped(desk) == {("north", "reading"): True}
    assert desk("resume").out.splitlines() == [
        "default: sending was not paused.",
        "north: sending was not paused.",
    ]
    assert stopped(desk) == {("north", "reading"): True}
    assert "north: reading is resumed" in desk("resume", "--reading").out
    assert stopped(desk) == {}


def test_what_is_paused_already_is_said_with_its_time(desk: Desk) -> None:
    desk("pause")
    ran = desk("pause")
    assert ran.status == 0
    assert ran.out.startswith("default: sending was already paused by an operator since 2")


def test_a_pause_over_a_refusal_says_both_and_the_refusals_time(desk: Desk) -> None:
    stop_by_itself(desk, "sending")
    ran = desk("pause", "--connection", "north")
    assert "had stopped automatically since" in ran.out
    assert ran.out.endswith(
        "(2 hours ago): Trakor said 403. Now it is paused until `trakor-bridge resume`.\n"
    )
    assert stopped(desk) == {("north", "sending"): True}


def test_a_pause_over_a_refusal_forgets_neither(desk: Desk) -> None:
    """Whoever resumes is told why it had stopped, and that it is only tried."""
    stop_by_itself(desk, "sending")
    desk("pause", "--connection", "north")
    reason = desk("status", "--json").json["connections"]["north"]["sending"]["reason"]
    assert "an operator paused it" in reason
    assert reason.endswith("Trakor said 403")
    ran = desk("resume", "--connection", "north")
    assert ran.out.startswith("north: sending is tried at once; an operator had paused it, and before that")
    assert "(2 hours ago): Trakor said 403." in ran.out
    assert stopped(desk) == {}


@pytest.mark.parametrize("paused", [False, True])
def test_resume_says_that_another_organisation_stays_stopped(desk: Desk, *, paused: bool) -> None:
    """It said that sending goes on, which it does not."""
    ledger = desk.folder / "ledger.db"
    with writing(ledger, kept(ledger)) as connection:
        save_known(
            connection, KnownOrganizations("north", "ours", mismatch=OrganizationMismatch(source="theirs"))
        )
        assert pause_if_stopped(connection, "north", now=1)
    if paused:
        desk("pause", "--connection", "north")
    ran = desk("resume", "--connection", "north")
    assert ran.status == 0
    assert "sending stays stopped" in ran.out
    assert "put the right log-in" in ran.out
    assert "connections confirm north" in ran.out
    assert ("the operator's pause is over" in ran.out) == paused
    assert stopped(desk) == {("north", "reading"): False, ("north", "sending"): False}
    assert "put the right log-in" in " ".join(desk("status", "--connection", "north").out.split())


def test_resume_ends_what_stopped_by_itself_too_and_a_single_stream_with_it(desk: Desk) -> None:
    stop_by_itself(desk, "sending")
    stop_by_itself(desk, "sending contacts")
    stop_by_itself(desk, "reading")
    ran = desk("resume", "--connection", "north")
    assert ran.status == 0
    assert "sending is tried at once; it had stopped automatically since" in ran.out
    assert "sending contacts is tried at once" in ran.out
    assert stopped(desk) == {("north", "reading"): False}


def test_status_says_who_paused_it_and_how_it_goes_on(desk: Desk) -> None:
    desk("pause", "--connection", "default")
    sending = desk("status", "--json").json["connections"]["default"]["sending"]
    assert (sending["state"], sending["next_try"]) == ("paused", None)
    assert sending["reason"] == "an operator paused it; `trakor-bridge resume` resumes it"


def test_a_connection_that_is_not_there_is_a_fault_of_usage(desk: Desk) -> None:
    ran = desk("pause", "--connection", "nroth")
    assert ran.status == 2
    assert "did you mean north?" in ran.err
    assert stopped(desk) == {}


def test_without_a_ledger_nothing_is_paused_and_that_is_said(desk: Desk) -> None:
    (desk.folder / "ledger.db").unlink()
    ran = desk("pause")
    assert (ran.status, ran.out) == (1, "")
    assert "ledger" in ran.err
    assert not (desk.folder / "ledger.db").exists()
