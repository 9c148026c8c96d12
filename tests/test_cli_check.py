"""`check` and `schema pull` as they are typed: lines, JSON, exit statuses, and what is masked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.checks.samples import masked
from bridge.ledger.open import lock_ledger, open_ledger, read_or_make_key
from bridge.sandbox import Fault, Options, Sandbox, configuration
from desk import Desk, Ran

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Start = Callable[[Options], Awaitable[Sandbox]]


@pytest.fixture
async def sandbox(start_sandbox: Start) -> Sandbox:
    return await start_sandbox(Options(contacts=20, products=5))


@pytest.fixture
def desk(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    source, trakor, rest = configuration(sandbox).partition("[trakor]")
    (tmp_path / "config.toml").write_text(f"{source}requests_per_minute = 60000\n{trakor}{rest}")
    return Desk(tmp_path, monkeypatch, capsys)


async def typed(desk: Desk, *arguments: str) -> Ran:
    """Run a command while the sandbox answers."""
    async with asyncio.timeout(60):
        return await asyncio.to_thread(desk, *arguments)


async def test_each_step_is_a_line_and_the_next_command_is_told(desk: Desk) -> None:
    ran = await typed(desk, "check")
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].startswith("✓ configuration  ")
    assert [line for line in lines if line.startswith("✗")] == []
    assert lines[-1] == "All checks passed. Next: trakor-bridge backfill"
    assert "\x1b" not in ran.out  # no colours but on a terminal


async def test_what_to_do_stands_below_the_step_and_the_status_says_that_something_failed(
    desk: Desk, sandbox: Sandbox
) -> None:
    sandbox.trakor.freeze()
    ran = await typed(desk, "check")
    assert ran.status == 1
    lines = ran.out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("✗ trakor.auth  "))
    assert "frozen" in lines[at]
    assert lines[at + 1].startswith("    → The organisation is frozen")
    assert lines[-2:] == ["1 of 20 checks failed.", "Begin with the first ✗, then check again."]


async def test_what_a_person_should_know_first_is_no_fault_and_not_kept_silent(desk: Desk) -> None:
    (desk.folder / "ledger.key").write_text("0" * 64)
    ran = await typed(desk, "check")
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("! ")] == ["ledger"]
    assert "All checks passed" not in ran.out
    assert lines[-1] == "Then: trakor-bridge backfill"


async def test_no_backfill_is_proposed_that_would_be_refused(desk: Desk) -> None:
    """A daemon runs, or a person has paused it."""
    path = desk.folder / "ledger.db"
    with open_ledger(path, read_or_make_key(desk.folder / "ledger.key", make=True), "a test"):
        pass
    with lock_ledger(path, "trakor-bridge run"):
        ran = await typed(desk, "check")
    assert ran.status == 0
    assert "trakor-bridge backfill" not in ran.out.splitlines()[-1]
    assert "trakor-bridge status" in ran.out.splitlines()[-1]
    with lock_ledger(path, "trakor-bridge backfill"):
        assert "wait until it has ended" in (await typed(desk, "check")).out.splitlines()[-1]
    assert (await typed(desk, "pause", "--reading")).status == 0
    assert (await typed(desk, "check")).out.splitlines()[-1] == (
        "All checks passed. Reading is paused. Next: trakor-bridge resume --reading"
    )


@pytest.mark.parametrize(
    ("host", "password", "told"),
    [("0.0.0.0", "abc", True), ("0.0.0.0", "x" * 12, False), ("127.0.0.1", "abc", False)],  # noqa: S104 - what is to be told
)
async def test_a_short_password_is_told_where_others_reach_the_page(
    desk: Desk, host: str, password: str, *, told: bool
) -> None:
    with (desk.folder / "config.toml").open("a") as file:
        file.write(f'[admin]\nhost = "{host}"\npassword = "{password}"\n')
    ran = await typed(desk, "check")
    assert ran.status == 0
    assert ("! admin.password  has fewer than 12 characters" in ran.out) is told
    assert "abc" not in ran.out


async def test_what_could_not_be_tried_is_no_fault_of_its_own(desk: Desk, sandbox: Sandbox) -> None:
    """A wrong key is one thing to mend, however much needs it."""
    sandbox.salestrekker.revoke_key()
    lines = (await typed(desk, "check")).out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("✗")] == ["salestrekker.auth"]
    untried = [line for line in lines if line.startswith("· ")]
    assert "· contacts.read  not tried: salestrekker.auth failed" in untried
    assert lines[-2] == f"1 of 20 checks failed, and {len(untried)} could not be tried."


async def test_in_json_there_is_one_document_with_the_interfaces_keys(desk: Desk, sandbox: Sandbox) -> None:
    ran = await typed(desk, "check", "--json")
    assert ran.status == 0
    assert ran.json.keys() == {"ok", "checks"}
    assert ran.json["ok"] is True
    assert all(step.keys() == {"name", "ok", "detail", "advice"} for step in ran.json["checks"])
    assert "salestrekker.auth" in [step["name"] for step in ran.json["checks"]]
    sandbox.salestrekker.revoke_key()
    ran = await typed(desk, "check", "--json")
    assert (ran.status, ran.json["ok"]) == (1, False)


async def test_a_configuration_that_cannot_be_used_is_status_two_with_every_fault(desk: Desk) -> None:
    (desk.folder / "config.toml").write_text('[trakor]\nurl = "nonsense"\nkey = "canary-secret"\n')
    ran = await typed(desk, "check", "--json")
    assert ran.status == 2
    faults = [step["detail"] for step in ran.json["checks"]]
    assert {step["name"] for step in ran.json["checks"]} == {"configuration"}
    assert any("trakor.url" in fault for fault in faults)
    assert any("salestrekker.api_key" in fault for fault in faults)
    assert "canary" not in ran.out
    plain = await typed(desk, "check")
    assert plain.status == 2
    assert all(f"✗ configuration  {fault}" in plain.out for fault in faults)


async def test_personal_data_is_shown_only_where_it_is_asked_for(desk: Desk, sandbox: Sandbox) -> None:
    row = sandbox.contacts.get(sandbox.contacts.id_at(0))
    assert row
    email = row["person"]["contact"]["email"]
    assert email not in (await typed(desk, "check")).out
    assert email in (await typed(desk, "check", "--show")).out


async def test_the_schema_is_saved_and_the_file_named(desk: Desk) -> None:
    ran = await typed(desk, "schema", "pull")
    path = desk.folder / "queries" / "schema.graphql"
    assert (ran.status, ran.out) == (0, f"saved {path}\n")
    assert "type Query {" in path.read_text()
    assert "127.0.0.1" in path.read_text().splitlines()[0]


async def test_a_refusal_while_saving_is_the_interfaces_status(desk: Desk, sandbox: Sandbox) -> None:
    sandbox.salestrekker.revoke_key()
    ran = await typed(desk, "schema", "pull")
    assert ran.status == 4
    assert "did not accept the API key" in ran.err
    assert not (desk.folder / "queries").exists()


async def test_what_a_server_says_cannot_steer_the_terminal(desk: Desk, sandbox: Sandbox) -> None:
    error = {"message": "no \x1b[2J", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}
    sandbox.salestrekker.faults.add(Fault(kind="contacts", status=200, body={"errors": [error]}, times=None))
    ran = await typed(desk, "check")
    assert "✗ contacts" in ran.out
    assert "\x1b" not in ran.out
    assert "[2J" not in ran.out


# -- masking --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Jane Smith", "J… S…"),
        ("Jane Smith | +61 412 345 678 | jane@example.com", "J… S… | +61 4… | j…@…"),
        ("0412 345 678", "0…"),
        ("(02) 9876 5432", "0…"),
        ("Smith & Sons Pty Ltd", "S… &… S… P… L…"),
        ("x", "x…"),
        ("", ""),
        ("王 小明", "王… 小…"),
        ("Unit 12345678", "U… …"),
        ("call jane@example.com now", "c… j…@… n…"),
    ],
)
def test_a_reader_sees_what_stands_where_and_not_whose_it_is(text: str, expected: str) -> None:
    assert masked(text) == expected


@given(st.text(max_size=60))
def test_of_no_word_more_than_its_beginning_is_left(text: str) -> None:
    for word in masked(text).replace("|", " ").split():
        assert word.endswith("…") or len(word) <= 1 or word.startswith("+")


@given(st.from_regex(r"\+?[0-9][0-9 ()-]{5,14}[0-9]", fullmatch=True))
def test_no_phone_number_is_left(text: str) -> None:
    assert sum(character.isdigit() for character in masked(text)) <= 4
