"""`check` over the sandbox: what is right, what is wrong and helps, and a newcomer who only follows it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from bridge.checks import Check, run
from bridge.ledger.open import lock_ledger, open_ledger
from bridge.sandbox import AuthErrorStyle, BrokenField, Fault, Options, Sandbox, configuration
from bridge.sandbox.graphql_engine import Engine
from bridge.sandbox.shapes import ShapeKind, offset_shape
from bridge.settings import load
from bridge.wiring.ledger_and_key import ledger_key
from checked import SMALL, Checked, configured
from desk import run_backfill
from newcomer import Newcomer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Start = Callable[[Options], Awaitable[Sandbox]]

# -- a newcomer -----------------------------------------------------------------------------------


async def delivered(folder: Path, sandbox: Sandbox) -> tuple[dict[str, str], dict[str, tuple[str, float]]]:
    """What a backfill makes of an organisation: names with what else Trakor then has of them."""
    await run_backfill(folder)
    parties = {entry.name: entry.text for entry in sandbox.trakor.parties.entries()}
    products = {entry.name: (entry.text, entry.price) for entry in sandbox.trakor.products.entries()}
    return parties, products


@pytest.mark.parametrize("kind", list(ShapeKind))
async def test_a_newcomer_gets_to_a_correct_backfill_by_following_only_what_check_prints(
    start_sandbox: Start, tmp_path: Path, kind: ShapeKind
) -> None:
    """For each shape of schema; correct is what the shipped queries make of the schema that they are for."""
    folders = [tmp_path / name for name in ("as_shipped", "newcomer")]
    for folder in folders:
        folder.mkdir()
    plain = await start_sandbox(SMALL)
    configured(folders[0], plain)
    other = await start_sandbox(Options(contacts=60, products=12, shape=kind))
    checked = configured(folders[1], other)
    newcomer = Newcomer(folders[1])
    for _ in range(10):
        steps = await checked.all()
        if all(step.ok for step in steps.values()):
            break
        assert newcomer.follow(list(steps.values())), "nothing says what to do"
    else:
        pytest.fail("it does not come to an end")
    assert await delivered(folders[1], other) == await delivered(folders[0], plain)


# -- all is well ----------------------------------------------------------------------------------


async def test_where_all_is_well_every_step_says_so_in_a_newcomers_order(
    checked: Checked, small: Sandbox
) -> None:
    """And nothing was made: no party, no ledger, no key."""
    steps = await checked.all()
    assert list(steps) == [
        "configuration",
        "ledger",
        "ledger.key",
        "salestrekker.address",
        "salestrekker.auth",
        "salestrekker.organization",
        "salestrekker.schema",
        "contacts.list_query",
        "contacts.one_query",
        "products.list_query",
        "products.one_query",
        "contacts.ticket_query",
        "contacts.read",
        "contacts.map",
        "contacts.record",
        "products.read",
        "products.map",
        "products.record",
        "trakor.auth",
        "trakor.organization",
    ]
    assert [step.name for step in steps.values() if not step.ok] == []
    assert len(small.trakor.parties) == 0
    assert [file.name for file in checked.folder.iterdir()] == ["config.toml"]


async def test_no_secret_and_no_name_is_in_any_step(checked: Checked, small: Sandbox) -> None:
    said = repr([step.as_json() for step in (await checked.all()).values()])
    row = small.contacts.get(small.contacts.id_at(0))
    assert row
    information = row["person"]["information"]
    for private in (
        small.options.api_key,
        small.options.trakor_key,
        information["firstName"],
        information["familyName"],
        row["person"]["contact"]["email"],
        row["person"]["contact"]["primary"],
    ):
        assert private not in said
    assert row["id"] in said


async def test_asked_for_the_record_is_shown_as_it_is(checked: Checked, small: Sandbox) -> None:
    row = small.contacts.get(small.contacts.id_at(0))
    assert row
    shown = (await checked.all(show=True))["contacts.record"]
    assert row["person"]["information"]["familyName"] in shown.detail
    assert row["person"]["contact"]["email"] in shown.detail
    assert shown.advice == ""


async def test_a_stream_that_is_not_enabled_is_not_looked_at(checked: Checked) -> None:
    (checked.folder / "config.toml").write_text(f"{checked.text}\n[contacts]\nenabled = false\n")
    assert [name for name in await checked.all() if name.startswith("contacts")] == []


async def test_with_several_connections_each_step_says_whose_it_is(
    start_sandbox: Start, small: Sandbox, checked: Checked
) -> None:
    other = await start_sandbox(Options(contacts=1, products=1))
    (checked.folder / "connections.d").mkdir()
    (checked.folder / "connections.d" / "perth.toml").write_text(
        configuration(other).replace("[trakor]", "requests_per_minute = 60000\n[trakor]")
    )
    (checked.folder / "config.toml").write_text(f'connections_dir = "connections.d"\n{checked.text}')
    small.trakor.freeze()
    steps = await checked.all()
    assert [name for name, step in steps.items() if not step.ok] == ["default.trakor.auth"]
    assert steps["perth.contacts.record"].ok
    assert "ledger" in steps


# -- the ledger -----------------------------------------------------------------------------------


async def test_a_ledger_that_is_there_and_in_use_is_told_and_is_no_fault(checked: Checked) -> None:
    settings = load(checked.folder / "config.toml", {})
    path = checked.folder / "ledger.db"
    with open_ledger(path, ledger_key(settings, make=True), "trakor-bridge backfill"):
        steps = await checked.all()
    assert steps["ledger"].ok
    assert "in use now: `trakor-bridge backfill` (process" in steps["ledger"].detail
    assert "the key of this ledger" in steps["ledger.key"].detail
    with lock_ledger(path, "another"):
        pass  # the check has not kept the lock


async def test_a_key_that_is_another_ledgers_is_found(
    checked: Checked,
) -> None:
    settings = load(checked.folder / "config.toml", {})
    with open_ledger(checked.folder / "ledger.db", ledger_key(settings, make=True), "x"):
        pass
    (checked.folder / "ledger.key").write_text("another-key-" * 6)
    bad = await checked.bad()
    assert list(bad) == ["ledger.key"]
    assert "put back the ledger.key" in bad["ledger.key"].advice
    (checked.folder / "ledger.key").unlink()
    bad = await checked.bad()
    assert list(bad) == ["ledger.key"]
    assert "restore both from a backup" in bad["ledger.key"].advice


async def test_without_its_key_the_ledger_says_nothing_of_organisations(checked: Checked) -> None:
    """Nothing can be compared: the log-in the same as before was called another one."""
    await run_backfill(checked.folder)
    (checked.folder / "ledger.key").rename(checked.folder / "away")
    steps = await checked.all()
    assert [name for name, step in steps.items() if not step.ok and step.tried] == ["ledger.key"]
    assert steps["salestrekker.organization"].ok
    assert "not compared" in steps["salestrekker.organization"].detail
    assert steps["trakor.organization"].detail == "not tried: ledger.key failed"
    (checked.folder / "away").rename(checked.folder / "ledger.key")
    assert "the same as before" in (await checked.all())["salestrekker.organization"].detail


async def test_a_key_without_its_ledger_is_warned_of(checked: Checked) -> None:
    """A new ledger knows nothing: that is to be said before anything is sent."""
    await run_backfill(checked.folder)
    assert not (await checked.all())["ledger"].caution
    for file in checked.folder.glob("ledger.db*"):
        file.unlink()
    ledger = (await checked.all())["ledger"]
    assert (ledger.ok, ledger.caution) == (True, True)
    assert "was the ledger lost?" in ledger.detail
    assert "backup" in ledger.advice


async def test_another_key_of_trakors_is_told_with_what_a_backfill_does(
    checked: Checked, small: Sandbox
) -> None:
    """Before it does it."""
    await run_backfill(checked.folder)
    checked.change(small.options.trakor_key, small.trakor.add_organization("another").api_key)
    found = (await checked.all())["trakor.organization"]
    assert (found.ok, found.caution) == (True, True)
    assert "restore the right one" in found.advice
    assert "up to three names" in found.advice
    assert "delete by hand" in found.advice


async def test_a_file_that_is_no_ledger_and_a_folder_that_cannot_be_are_told(checked: Checked) -> None:
    (checked.folder / "ledger.db").write_text("not a database, but long enough to be looked at")
    bad = await checked.bad()
    assert "cannot be read as a ledger" in bad["ledger"].detail
    (checked.folder / "ledger.db").unlink()
    (checked.folder / "file").write_text("")
    (checked.folder / "config.toml").write_text(
        f'{checked.text}\n[ledger]\nurl = "sqlite:///file/ledger.db"\n'
    )
    bad = await checked.bad()
    assert list(bad) == ["ledger"]
    assert "another path" in bad["ledger"].advice


# -- Salestrekker's door --------------------------------------------------------------------------


@pytest.mark.parametrize("style", list(AuthErrorStyle))
async def test_a_key_that_is_not_accepted_stops_all_that_needs_it_and_nothing_else(
    start_sandbox: Start, tmp_path: Path, style: AuthErrorStyle
) -> None:
    sandbox = await start_sandbox(Options(contacts=1, products=1, auth_error_style=style))
    checked = configured(tmp_path, sandbox)
    checked.change(sandbox.options.api_key, "canary-wrong-key")
    steps = await checked.all()
    assert "did not accept the API key" in steps["salestrekker.auth"].detail
    assert "Settings/API" in steps["salestrekker.auth"].advice
    untried = [name for name, step in steps.items() if step.detail == "not tried: salestrekker.auth failed"]
    assert untried[0] == "salestrekker.organization"
    assert {"contacts.list_query", "products.record"} <= set(untried)
    assert steps["trakor.auth"].ok
    assert "canary" not in repr(steps)


THREE = Options(contacts=5, products=2, organizations=("Head Office", "Sydney", "Perth"), home=1)


async def test_of_several_organisations_all_are_listed_until_one_is_named(
    start_sandbox: Start, tmp_path: Path
) -> None:
    sandbox = await start_sandbox(THREE)
    checked = configured(tmp_path, sandbox)
    steps = await checked.all()
    step = steps["salestrekker.organization"]
    _, sydney, perth = sandbox.salestrekker.world.organizations
    assert not step.ok
    assert f"Sydney (id {sydney.id}), Perth (id {perth.id})" in step.detail
    assert "organization = " in step.advice
    assert steps["contacts.read"].detail == "not tried: salestrekker.organization failed"
    checked.change("requests_per_minute", 'organization = "Sydney"\nrequests_per_minute')
    steps = await checked.all()
    assert steps["salestrekker.organization"].detail == f"Sydney (id {sydney.id})"
    assert "the first 5 contacts were read" in steps["contacts.read"].detail


async def test_an_organisation_that_the_login_does_not_have_lists_those_that_it_has(
    start_sandbox: Start, tmp_path: Path
) -> None:
    """The credentials are good, and are said to be."""
    checked = configured(tmp_path, await start_sandbox(THREE))
    checked.change("requests_per_minute", 'organization = "Melbourne"\nrequests_per_minute')
    steps = await checked.all()
    assert steps["salestrekker.auth"].ok
    assert not steps["salestrekker.organization"].ok
    assert "Perth (id " in steps["salestrekker.organization"].detail
    assert steps["contacts.read"].detail == "not tried: salestrekker.organization failed"


async def test_email_and_password_will_do(checked: Checked, small: Sandbox) -> None:
    checked.change(
        f'api_key = "{small.options.api_key}"',
        f'email = "{small.options.email}"\npassword = "{small.options.password}"',
    )
    assert await checked.bad() == {}


# -- queries, maps and records --------------------------------------------------------------------


def with_query(checked: Checked, name: str, old: str, new: str) -> None:
    """Change a query as its user would."""
    Newcomer(checked.folder).follow([Check("x", ok=False, detail="", advice="trakor-bridge init --queries")])
    file = checked.folder / "queries" / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


async def test_a_field_that_is_not_in_the_schema_is_told_with_place_and_line(
    checked: Checked,
) -> None:
    with_query(checked, "contact.fragment.graphql", "familyName", "surname")
    bad = await checked.bad()
    assert bad["contacts.list_query"].detail == (
        "queries/contact.fragment.graphql:18:7: `surname` is no field of PersonInformation; "
        "most like it is `familyName`"
    )
    assert bad["contacts.list_query"].advice == (
        "queries/contact.fragment.graphql, line 18: write\n      surname: familyName"
    )
    said = "queries/contact.graphql: see the errors of its fragments above"
    assert bad["contacts.one_query"].detail == said


DEALS_CONTACTS = "idClients\n    ticketClientTypes {\n      idContact\n    }"


@pytest.mark.parametrize(
    ("file", "old", "new", "step", "said"),
    [
        ("contact.graphql", "...ContactFields", "id", "contacts.one_query", "does not read what"),
        ("contact.graphql", "Contact($id", "Contact($key", "contacts.one_query", "declares no variable $id"),
        ("ticket.graphql", DEALS_CONTACTS, "", "contacts.ticket_query", "does not ask for the contacts"),
        ("product.graphql", "(id: $id)", "", "products.one_query", "is not given $id"),
    ],
)
async def test_a_query_by_id_that_cannot_serve_webhooks_is_told(
    checked: Checked, file: str, old: str, new: str, step: str, said: str
) -> None:
    with_query(checked, file, old, new)
    bad = await checked.bad()
    assert bad.keys() == {step}
    assert said in bad[step].detail
    assert bad[step].advice


async def test_a_query_file_that_cannot_be_read_stops_only_what_needs_it(checked: Checked) -> None:
    with_query(checked, "contacts.graphql", "{\n  contacts(", "{\n  contacts((")
    steps = await checked.all()
    assert "queries/contacts.graphql:9:" in steps["contacts.list_query"].detail
    assert steps["contacts.record"].detail == "not tried: contacts.list_query failed"
    assert steps["products.record"].ok


async def test_a_map_that_reads_what_is_not_selected_is_told_where_to_add_it(checked: Checked) -> None:
    (checked.folder / "config.toml").write_text(
        f'{checked.text}\n[contacts.map]\nqualifier = "person.contact.secondaryEmail"\n'
    )
    bad = await checked.bad()
    assert list(bad) == ["contacts.map"]
    assert bad["contacts.map"].detail == (
        "person.contact.secondaryEmail, read by qualifier: the query does not select it"
    )
    assert bad["contacts.map"].advice.endswith(
        "queries/contact.fragment.graphql, line 41: write\n  home\n  secondaryEmail"
    )
    assert Newcomer(checked.folder).follow(list(bad.values()))
    assert await checked.bad() == {}


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ('name = "person.information.fristName"', 'name = "person.information.firstName"'),
        ('name = "company.name"', 'name = "company.information.name"'),
        (
            'same_as = { mail = "person.contact.emial" }',
            '(add that line if it is missing), write:\nsame_as.mail = "person.contact.email"',
        ),
        ('qualifier = "person.shoeSize"', "Correct qualifier below [contacts.map] by hand"),
    ],
)
async def test_a_slip_in_a_map_is_told_with_the_line_that_reads_what_is_there(
    checked: Checked, line: str, advice: str
) -> None:
    (checked.folder / "config.toml").write_text(f"{checked.text}\n[contacts.map]\n{line}\n")
    bad = await checked.bad()
    assert list(bad) == ["contacts.map"]
    assert advice in bad["contacts.map"].advice


async def test_a_list_read_as_one_value_gets_its_index(checked: Checked) -> None:
    (checked.folder / "config.toml").write_text(f'{checked.text}\n[products.map]\nname = "lender.name"\n')
    bad = await checked.bad()
    assert 'name = "lender[0].name"' in bad["products.map"].advice


async def test_an_expression_that_cannot_be_compiled_is_told(checked: Checked) -> None:
    (checked.folder / "config.toml").write_text(f'{checked.text}\n[contacts.map]\nname = "phoen(a, b)"\n')
    bad = await checked.bad()
    assert "Did you mean phone()?" in bad["contacts.map"].advice


async def test_every_field_that_may_not_be_read_is_named(checked: Checked, small: Sandbox) -> None:
    for path in ("isActive", "person.contact.email"):
        small.salestrekker.world.break_field(BrokenField(stream="contacts", path=path))
    bad = await checked.bad()
    assert list(bad) == ["contacts.read"]
    lines = bad["contacts.read"].detail.split("\n")
    assert set(lines[1:]) == {"contacts.isActive", "contacts.person.contact.email"}
    assert "permissions" in bad["contacts.read"].advice


async def test_a_record_that_cannot_be_read_is_told_and_is_no_fault(checked: Checked, small: Sandbox) -> None:
    victim = small.contacts.id_at(3)
    small.salestrekker.world.break_field(
        BrokenField(stream="contacts", path="isActive", id=victim, code="INTERNAL_SERVER_ERROR")
    )
    steps = await checked.all()
    assert steps["contacts.read"].ok
    assert victim in steps["contacts.read"].detail
    assert steps["contacts.record"].ok


async def test_a_map_that_makes_no_name_of_any_record_is_a_fault(checked: Checked) -> None:
    (checked.folder / "config.toml").write_text(f"{checked.text}\n[contacts.map]\nname = \"clean('')\"\n")
    bad = await checked.bad()
    assert bad["contacts.record"].detail.startswith("0 of 60 contacts would be sent")
    assert "[contacts.map]" in bad["contacts.record"].advice


async def test_a_query_by_id_that_the_schema_does_not_offer_is_no_fault(
    checked: Checked, monkeypatch: pytest.MonkeyPatch, small: Sandbox
) -> None:
    engine = Engine(offset_shape())  # its own: others share theirs
    monkeypatch.setattr(small.salestrekker, "engine", engine)
    query = engine.schema.query_type
    assert query
    monkeypatch.delitem(query.fields, "ticket")
    steps = await checked.all()
    assert steps["contacts.ticket_query"].ok
    assert "only needed for webhooks" in steps["contacts.ticket_query"].detail


# -- introspection switched off -------------------------------------------------------------------


async def test_without_introspection_each_query_is_tried_with_a_page_of_one(
    start_sandbox: Start, tmp_path: Path
) -> None:
    sandbox = await start_sandbox(Options(contacts=10, products=5, introspection=False))
    checked = configured(tmp_path, sandbox)
    steps = await checked.all()
    assert [name for name, step in steps.items() if not step.ok] == []
    assert "not available" in steps["salestrekker.schema"].detail
    tried = [one.content["variables"] for one in sandbox.salestrekker.traffic.of("contacts")]
    assert tried[0] == {"offset": 0, "limit": 1}


async def test_without_introspection_what_the_server_says_leads_to_the_line(
    start_sandbox: Start, tmp_path: Path
) -> None:
    sandbox = await start_sandbox(Options(contacts=10, products=5, introspection=False))
    checked = configured(tmp_path, sandbox)
    with_query(checked, "contact.fragment.graphql", "familyName", "familyNam")
    bad = await checked.bad()
    assert "queries/contact.fragment.graphql:18:7: Cannot query field" in bad["contacts.list_query"].detail
    assert bad["contacts.list_query"].advice.startswith(
        "queries/contact.fragment.graphql, line 18: write\n      familyName\n"
    )


@pytest.mark.parametrize("kind", [ShapeKind.PAGE, ShapeKind.RELAY, ShapeKind.PLAIN])
async def test_without_introspection_the_ways_to_ask_for_a_list_are_told(
    start_sandbox: Start, tmp_path: Path, kind: ShapeKind
) -> None:
    """The right one among them."""
    sandbox = await start_sandbox(Options(contacts=1, products=1, introspection=False, shape=kind))
    bad = await configured(tmp_path, sandbox).bad()
    step = bad["contacts.list_query"]
    assert "queries/contacts.graphql:9:12: Unknown argument 'offset'" in step.detail
    for way in (
        "(page: $page, pageSize: $pageSize) { items",
        "(first: $first, after: $after)",
        "contacts { …",
    ):
        assert way in step.advice


async def test_without_introspection_a_first_page_does_not_pass_for_the_whole_list(
    start_sandbox: Start, tmp_path: Path
) -> None:
    """The server understands the query, and knows arguments that the query leaves out."""
    sandbox = await start_sandbox(Options(contacts=10, products=5, introspection=False))
    checked = configured(tmp_path, sandbox)
    with_query(checked, "contacts.graphql", "(offset: $offset, limit: $limit)", "")
    with_query(checked, "contacts.graphql", "($offset: Int = 0, $limit: Int = 100)", "")
    bad = await checked.bad()
    assert (
        "the first 10 contacts were read, but the list has `limit`, `offset`" in bad["contacts.read"].detail
    )
    assert "no record is marked gone" in bad["contacts.read"].advice


async def test_a_schema_that_fails_for_the_moment_is_not_taken_for_switched_off(
    checked: Checked, small: Sandbox
) -> None:
    small.salestrekker.faults.add(Fault(kind="__schema", status=503, times=None))
    bad = await checked.bad()
    assert "503" in bad["salestrekker.schema"].detail


# -- Trakor ---------------------------------------------------------------------------------------


async def test_a_frozen_organisation_and_a_key_that_is_no_good_are_told_apart(
    checked: Checked, small: Sandbox
) -> None:
    small.trakor.freeze()
    bad = await checked.bad()
    assert "the organisation is frozen" in bad["trakor.auth"].detail
    assert "thawed" in bad["trakor.auth"].advice
    small.trakor.unfreeze()
    small.trakor.revoke_key()
    bad = await checked.bad()
    assert "the API key is missing, invalid or revoked" in bad["trakor.auth"].detail
    assert "Settings → API Keys" in bad["trakor.auth"].advice
    assert len(small.trakor.parties) == 0


@pytest.mark.parametrize("path", ["/api/public", "", "/api/public/v2"])
async def test_a_wrong_path_of_trakors_is_told(checked: Checked, path: str) -> None:
    checked.change("/api/public/v1", path)
    bad = await checked.bad()
    assert "/api/public/v1" in bad["trakor.auth"].advice


def test_a_step_in_json_has_the_interfaces_keys() -> None:
    document: Any = Check("a", ok=False, detail="b", advice="c").as_json()
    assert document == {"name": "a", "ok": False, "detail": "b", "advice": "c"}


async def test_who_stops_listening_leaves_nothing_open(checked: Checked) -> None:
    """`check | head` ends in the middle of a step: its connections are closed, no task is left behind."""
    before = asyncio.all_tasks()
    settings = load(checked.folder / "config.toml", {})
    async with aclosing(run(settings, ["default"], {}, show=False)) as steps:
        async for step in steps:
            if step.name == "contacts.read":
                break
    assert asyncio.all_tasks() == before
