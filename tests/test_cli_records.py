"""`records`: lists for people, scripts and spreadsheets; stories; and decisions that reach the ledger."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from books import kept
from bridge.cli import main, record_output
from bridge.cli.output import escape, escape_cell
from bridge.ledger.database import writing
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.ledger.schema import contents, history, records
from desk import FORMULA, Desk, into_another_connection, listed, stands
from forking import program

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


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["records", "list"]])
def test_a_full_disk_is_a_sentence(desk: Desk, command: list[str]) -> None:
    """As in ``status > file``: exit 1, no traceback."""
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(  # noqa: S603 - our own command
            [*program(), *command, "--config", str(desk.folder / "config.toml")],
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
    command = [*program(), "records", "list", *form]
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
