"""`records`: lists for people, scripts and spreadsheets; stories; and decisions that reach the ledger."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson
import pytest

from books import kept
from bridge.cli import main, record_output
from bridge.cli.output import escape, escape_cell
from bridge.ledger.database import reading, writing
from bridge.ledger.open import lock_ledger
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.ledger.schema import contents, feeds, history, records
from bridge.sandbox import Fault, Options
from desk import FORMULA, Desk, Organisation, configured, organisation, run_backfill

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bridge.ledger.read_model import RecordSummary
    from bridge.sandbox import Sandbox


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    return asyncio.run(organisation(tmp_path_factory.mktemp("organisation")))


@pytest.fixture
def ids(left: Organisation) -> dict[str, str]:
    """Salestrekker's id of the one record that each word says."""
    return left.ids


@pytest.fixture
def desk(
    left: Organisation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    return Desk(tmp_path, monkeypatch, capsys).copy(left)


def stands(desk: Desk, identity: str) -> RecordSummary:
    """A record as the ledger has it now."""
    with reading(desk.folder / "ledger.db") as connection:
        (found,) = find_records(connection, RecordQuery(either=identity))
    return found


def listed(desk: Desk, *arguments: str) -> set[str]:
    return {record["id"] for record in desk("records", "list", "--json", *arguments).json["records"]}


# -- list -------------------------------------------------------------------------------------------


def test_the_list_is_a_table_of_what_is_known(desk: Desk, ids: dict[str, str]) -> None:
    ran = desk("records", "list")
    assert ran.status == 0
    assert ran.out.splitlines()[0].split() == ["state", "name", "stream", "id", "since"]
    assert re.search(rf"drifted: contact_info +Bruce Wayne +contacts  {ids['drifted']}", ran.out)
    assert re.search(rf"delivered \[gone\] +Gone Away +contacts  {ids['gone']}", ran.out)
    assert ran.out.splitlines()[-1] == "16 records. `trakor-bridge records show ID` explains one."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--state", "held"), {"renamed", "same-name", "existing", "formula-twin"}),
        (("--state", "drifted,rejected"), {"drifted", "refused", "mapping"}),
        (("--state", "drifted", "--state", "rejected"), {"drifted", "refused", "mapping"}),
        (("--reason", "renamed, existing"), {"renamed", "existing"}),
        (("--state", "rejected", "--stream", "products"), {"mapping"}),
        (("--state", "dropped"), set()),
        (("--name", "JANE  smythe"), {"renamed"}),
        (("--name", "Pat Lee"), {"delivered", "merged", "qualified"}),
        (("--name", "Pat Lee (other.pat@example.org)"), {"qualified"}),
        (("--name", "Pat"), set()),
        (("--name", "Old Friend", "--state", "pending"), set()),
        (("--mark", "gone"), {"gone"}),
        (("--mark", "gone,filtered", "--state", "skipped"), set()),
        (("--field", "contact_info"), {"drifted", "renamed"}),
        (("--field", "name,price"), {"renamed"}),
        (("--field", "contact_info", "--state", "drifted", "--since", "1h"), {"drifted"}),
        (("--since", "1h", "--reason", "renamed"), {"renamed"}),
    ],
)
def test_a_list_can_be_narrowed(
    desk: Desk, ids: dict[str, str], arguments: tuple[str, ...], words: set[str]
) -> None:
    assert listed(desk, *arguments) == {ids[word] for word in words}


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--state", "hold"), "--state hold: there is no such state; did you mean held?"),
        (("--reason", "renamd"), "--reason renamd: there is no such reason; did you mean renamed?"),
        (("--stream", "deals"), "--stream deals: there is no such stream\n"),
        (("--state", "held,\x1b[31m"), "--state \\x1b[31m: there is no such state\n"),
        (("--mark", "remaped"), "--mark remaped: there is no such mark; did you mean remapped?"),
        (
            ("--field", "contact-info"),
            "--field contact-info: there is no such field; did you mean contact_info?",
        ),
    ],
)
def test_an_unknown_word_is_a_usage_error_that_names_those_there_are(
    desk: Desk, arguments: tuple[str, ...], fault: str
) -> None:
    ran = desk("records", "list", *arguments)
    assert ran.status == 2
    assert fault in ran.err
    assert "what to do: there are: " in ran.err


def test_a_list_can_begin_at_a_time(desk: Desk, ids: dict[str, str]) -> None:
    """Without a zone a time is this machine's, as people are shown times; with one it is that zone's."""
    since = datetime.fromtimestamp(stands(desk, ids["drifted"]).since_at / 1000, UTC)
    wanted = ("--reason", "mapping", "--state", "drifted")
    for first, found in ((since, {ids["drifted"]}), (since + timedelta(milliseconds=2), set())):
        for text in (first.isoformat(), first.astimezone().replace(tzinfo=None).isoformat()):
            assert listed(desk, "--state", "drifted", "--since", text) == found
    assert listed(desk, *wanted, "--since", "0s") == set()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("yesterday", "--since yesterday: neither a duration nor a time"),
        ("2d ", ""),
        ("2 d", "neither a duration nor a time"),
        ("9999-01-01", "that time is in the future"),
        ("99999d", ""),
        (f"{'9' * 400}d", "neither a duration nor a time"),
    ],
)
def test_what_is_no_time_is_a_usage_error(desk: Desk, text: str, fault: str) -> None:
    ran = desk("records", "list", "--since", text)
    assert ran.status == (2 if fault else 0)
    assert fault in ran.err


@pytest.mark.parametrize("sort", ["since", "id", "name"])
def test_a_list_can_be_put_in_order(desk: Desk, sort: str) -> None:
    document = desk("records", "list", "--json", "--sort", sort).json["records"]
    values = [record[sort] for record in document]
    assert len(values) == 16
    if sort == "name":
        assert values[-1] is None, "what has no name stands at the end"
        values = [value.casefold() for value in values if value]
    assert values == sorted(values, reverse=sort == "since")
    least = desk("records", "list", "--json", "--sort", sort, "--limit", "3").json["records"]
    assert least == document[:3], "the first ones of all, not some that are in order"


def test_too_many_to_be_put_in_order_by_name_are_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_output, "MOST_SORTED", 15)
    ran = desk("records", "list", "--sort", "name")
    assert (ran.status, ran.out) == (2, "")
    assert "more than 15 records match: too many to put them in order by name" in ran.err
    assert desk("records", "list", "--sort", "name", "--stream", "products").status == 0


def test_csv_has_what_trakor_has_beside_what_is_now(desk: Desk, ids: dict[str, str]) -> None:
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(desk("records", "list", "--csv").out))}
    drifted, renamed = rows[ids["drifted"]], rows[ids["renamed"]]
    assert drifted["old_contact_info"].endswith("bruce@example.org")
    assert drifted["new_contact_info"].endswith("bruce@example.com")
    assert (drifted["old_price"], drifted["new_price"]) == ("", "")
    assert (renamed["trakor_name"], renamed["name"]) == ("Jane Smith", "Jane Smythe")
    assert rows[ids["delivered"]]["old_contact_info"] == ""


def test_csv_says_what_is_not_known(desk: Desk) -> None:
    """What Trakor has is not kept any more: empty would mean that it has nothing."""
    with writing(desk.folder / "ledger.db", kept(desk.folder / "ledger.db")) as connection:
        connection.execute(contents.delete())
    (row,) = csv.DictReader(io.StringIO(desk("records", "list", "--csv", "--state", "drifted").out))
    assert row["old_contact_info"] == "(unknown)"
    assert row["new_contact_info"].endswith("bruce@example.com")


def test_an_id_that_was_cut_in_a_table_is_understood(desk: Desk, ids: dict[str, str]) -> None:
    cut = f"{ids['drifted'][:12]}…"
    assert desk("records", "show", cut, "--json").json["id"] == ids["drifted"]
    ran = desk("records", "show", "…")
    assert (ran.status, ran.out) == (1, ""), "an id of which nothing is left is none"


def test_the_json_list_is_as_the_interface_says(desk: Desk, ids: dict[str, str]) -> None:
    document = desk("records", "list", "--json", "--reason", "renamed").json
    (record,) = document["records"]
    assert document["total"] == 1
    assert list(record) == [
        "connection", "stream", "id", "state", "reason", "marks", "origin", "trakor_id", "sku", "fields",
        "since", "name",
    ]  # fmt: skip
    assert (record["connection"], record["stream"], record["id"]) == ("default", "contacts", ids["renamed"])
    assert (record["state"], record["reason"], record["marks"]) == ("held", "renamed", [])
    assert (record["origin"], record["sku"], record["name"]) == ("created", None, "Jane Smythe")
    assert "name" in record["fields"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["since"])


def test_a_limit_shortens_the_list_and_not_the_total(desk: Desk) -> None:
    document = desk("records", "list", "--json", "--limit", "2").json
    assert (len(document["records"]), document["total"]) == (2, 16)
    assert desk("records", "list", "--json", "--limit", "0").json == {"records": [], "total": 16}
    assert "2 of 16 records: --limit N lists more" in desk("records", "list", "--limit", "2").out


def test_no_match_is_said_and_is_no_error(desk: Desk) -> None:
    ran = desk("records", "list", "--state", "dropped")
    assert (ran.status, ran.out) == (0, "No record matches.\n")


def test_csv_is_rfc_4180_and_harmless_to_a_spreadsheet(desk: Desk, ids: dict[str, str]) -> None:
    ran = desk("records", "list", "--csv")
    lines = ran.out.split("\r\n")
    assert (len(lines), lines[-1]) == (18, "")
    assert "\n" not in "".join(lines)
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(ran.out, newline=""))}
    assert rows[ids["formula-twin"]]["name"] == f"'{FORMULA}"
    assert rows[ids["gone"]]["marks"] == "gone"
    assert rows[ids["product"]]["sku"].startswith("PRD-")
    assert rows[ids["no-name"]]["trakor_id"] == ""


@pytest.mark.parametrize("first", list("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"))
def test_what_begins_like_a_formula_is_text(first: str) -> None:
    assert escape_cell(f"{first}1") == f"'{first}1"


def test_everything_else_is_left_as_it_is() -> None:
    assert escape_cell("Ann = Lee") == "Ann = Lee"
    assert escape_cell("") == ""


def test_csv_and_json_exclude_each_other(desk: Desk) -> None:
    assert desk("records", "list", "--csv", "--json").status == 2


def test_nothing_from_outside_steers_the_terminal(desk: Desk, ids: dict[str, str]) -> None:
    """Control characters, bidirectional overrides and Rich's own markup are shown, not obeyed."""
    evil = "x\x1b]0;pwned\x07\u202e[bold]"
    with writing(desk.folder / "ledger.db", kept(desk.folder / "ledger.db")) as connection:
        connection.execute(
            records.update().where(records.c.source_id == ids["refused"]).values(source_id=evil)
        )
        number = find_records(connection, RecordQuery(either=evil))[0].number
        line = {"record": number, "at": 1, "event": "rejected", "detail": f"400: {evil}"}
        connection.execute(history.insert().values(line))
    shown = "x\\x1b]0;pwned\\x07\\u202e[bold]"
    for ran in (desk("records", "list"), desk("records", "show", evil), desk("records", "drop", evil)):
        assert shown in ran.out
        assert not set(ran.out) & {"\x1b", "\x07", "\u202e"}
    refused = desk("records", "accept", evil)
    assert shown in refused.err
    assert not set(refused.err) & {"\x1b", "\x07", "\u202e"}


def test_names_of_all_scripts_stay_as_they_are() -> None:
    assert escape("Łukasz 山田 שרה 👩") == "Łukasz 山田 שרה 👩"
    assert escape("a\nb\tc", keep="\n") == "a\nb\\tc"


def test_without_a_ledger_there_is_nothing_to_list(desk: Desk) -> None:
    (desk.folder / "ledger.db").unlink()
    ran = desk("records", "list")
    assert ran.status == 1
    assert "there is no ledger at" in ran.err
    assert not (desk.folder / "ledger.db").exists()


def test_a_name_is_not_looked_for_with_another_ledgers_key(desk: Desk) -> None:
    """With a wrong key no name would ever be found: better to say so."""
    (desk.folder / "ledger.key").write_text("0" * 64)
    ran = desk("records", "list", "--name", "Pat Lee")
    assert ran.status == 1
    assert "the ledger's key is not the one" in ran.err


# -- show -------------------------------------------------------------------------------------------


def test_a_story_has_state_meaning_choices_and_history(desk: Desk, ids: dict[str, str]) -> None:
    ran = desk("records", "show", ids["renamed"])
    assert ran.status == 0
    assert ran.out.startswith(f"Contact {ids['renamed']} · Jane Smythe\n")
    assert "held: renamed" in ran.out
    assert "Trakor still has the old name." in ran.out
    assert f"  trakor-bridge records accept {ids['renamed']}\n" in ran.out
    happened = ran.out.partition("What happened\n")[2].splitlines()
    told = [re.sub(r"^\S+ \S+ \S+ +", "", line).rstrip() for line in happened]
    assert told == [
        "To be sent to Trakor.",
        "Delivered: Trakor created it.",
        "Held: renamed in Salestrekker, and Trakor cannot rename it.",
    ]


def test_a_record_is_found_by_every_id_it_has(desk: Desk, ids: dict[str, str]) -> None:
    shown = desk("records", "show", ids["product"], "--json").json
    assert shown["sku"].startswith("PRD-")
    for other in (shown["trakor_id"], shown["sku"]):
        assert desk("records", "show", other, "--json").json["id"] == ids["product"]


def test_the_json_story_is_the_record_with_its_history(desk: Desk, ids: dict[str, str]) -> None:
    shown = desk("records", "show", "--name", "Bruce Wayne", "--json").json
    assert (shown["id"], shown["state"], shown["fields"]) == (ids["drifted"], "drifted", ["contact_info"])
    assert [(line["event"], line["detail"]) for line in shown["history"]] == [
        ("pending", ""),
        ("delivered", "created"),
        ("drifted", "contact_info"),
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["at"]) for line in shown["history"])


def test_a_held_record_says_who_has_its_name(desk: Desk, ids: dict[str, str]) -> None:
    out = desk("records", "show", ids["same-name"]).out
    assert f"{ids['renamed']} has the same name" in out
    assert "Nothing distinguishes the two, such as an e-mail address" in out


def test_merged_records_name_each_other(desk: Desk, ids: dict[str, str]) -> None:
    merged, claimant = desk("records", "show", ids["merged"]), desk("records", "show", ids["delivered"])
    assert f"it shares the record of {ids['delivered']}." in merged.out
    assert f"Its record in Trakor is shared by {ids['merged']}." in claimant.out
    assert f"{stands(desk, ids['delivered']).trakor_id}, shared" in merged.out


def test_an_unknown_id_is_exit_1(desk: Desk) -> None:
    ran = desk("records", "show", "nobody")
    assert (ran.status, ran.out) == (1, "")
    assert "no record has the id nobody" in ran.err


def test_several_of_one_name_are_listed_with_what_to_do(desk: Desk, ids: dict[str, str]) -> None:
    ran = desk("records", "show", "--name", "pat lee")
    assert (ran.status, ran.out) == (2, "")
    assert all(ids[word] in ran.err for word in ("delivered", "merged", "qualified"))
    assert "3 records have the name “pat lee”" in ran.err
    assert "what to do: give the id of the one that you mean" in ran.err


@pytest.mark.parametrize("arguments", [(), ("some-id", "--name", "Some Name")])
def test_one_record_needs_one_way_of_saying_which(desk: Desk, arguments: tuple[str, ...]) -> None:
    ran = desk("records", "show", *arguments)
    assert ran.status == 2
    assert "which record?" in ran.err


def test_one_id_in_two_connections_is_told_apart_by_the_connection(desk: Desk, ids: dict[str, str]) -> None:
    into_another_connection(desk, ids["merged"], ids["delivered"])
    ran = desk("records", "show", ids["delivered"])
    assert ran.status == 2
    assert "2 records have the id" in ran.err
    assert "what to do: add --connection or --stream" in ran.err
    one = desk("records", "show", ids["delivered"], "--connection", "default", "--json")
    assert one.json["state"] == "delivered"


def into_another_connection(desk: Desk, identity: str, new_identity: str) -> None:
    """Make of a record one of the connection ``sydney``, which is not configured."""
    with writing(desk.folder / "ledger.db", kept(desk.folder / "ledger.db")) as connection:
        feed = {"number": 99, "connection": "sydney", "stream": "contacts", "space": 1}
        connection.execute(feeds.insert().values(feed))
        moved = records.update().where(records.c.source_id == identity)
        connection.execute(moved.values(feed=99, source_id=new_identity))


# -- accept, drop, retry ----------------------------------------------------------------------------


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
        command = [sys.executable, "-m", "bridge", "records", "drop", "--state", "rejected", "--json"]
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


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["records", "list"]])
def test_a_full_disk_is_a_sentence(desk: Desk, command: list[str]) -> None:
    """As in ``status > file``: exit 1, no traceback."""
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "bridge", *command, "--config", str(desk.folder / "config.toml")],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert ended.returncode == 1
    said = "error: the disk is full"
    assert ended.stderr.decode().splitlines() == [said]


def test_a_wrong_word_is_told_without_a_library_s_words(desk: Desk) -> None:
    ran = desk("backfill", "contact")
    assert ran.status == 2
    assert "'contact' is not one of 'contacts', 'products'" in ran.err
    assert "Value error" not in ran.err


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_a_reader_that_has_gone_is_no_failure(desk: Desk, form: list[str]) -> None:
    """As in ``records list --csv | head -1``: nothing more to say, and no complaint."""
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "bridge", "records", "list", *form]
    ended = subprocess.run(  # noqa: S603 - our own command
        [*command, "--config", str(desk.folder / "config.toml")],
        stdout=theirs,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(theirs)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_an_argument_that_is_no_text_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["trakor-bridge", "records", "show", "\udcff"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "not text in UTF-8" in capsys.readouterr().err
