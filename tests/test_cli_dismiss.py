"""What Trakor has otherwise: shown old beside new, corrected by hand or left as it is, one or many."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from books import kept
from bridge.ledger.database import reading, writing
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.ledger.record_relations_and_history import load_history, load_relations
from bridge.ledger.schema import contents
from bridge.status.record_comparison import sides
from changed import WORDS, Left, changed_organisation
from desk import Desk

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.ledger.read_model import RecordSummary

LEFT = "stays as it is in Trakor, and is not reported again until it changes in Salestrekker."


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    return asyncio.run(
        changed_organisation(tmp_path_factory.mktemp("changed"), tmp_path_factory.mktemp("remapped"))
    )


@pytest.fixture
def ids(left: Left) -> dict[str, str]:
    """Salestrekker's id of the one record that each word says."""
    return left.changed.ids


@pytest.fixture
def desk(
    left: Left, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    return Desk(tmp_path, monkeypatch, capsys).copy(left.changed)


@pytest.fixture
def remapped(
    left: Left, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    """After a change of the map."""
    return Desk(tmp_path, monkeypatch, capsys).copy(left.remapped)


def stands(desk: Desk, identity: str) -> RecordSummary:
    """A record as the ledger has it now."""
    with reading(desk.folder / "ledger.db", kept(desk.folder / "ledger.db")) as connection:
        (found,) = find_records(connection, RecordQuery(either=identity))
    return found


def how(desk: Desk, identity: str) -> tuple[str, str, tuple[str, ...]]:
    found = stands(desk, identity)
    return found.state, found.reason, found.marks


def events(desk: Desk, identity: str) -> list[str]:
    with reading(desk.folder / "ledger.db") as connection:
        return [line.event for line in load_history(connection, stands(desk, identity).number)]


# -- dismiss ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "state"),
    [("ann", "delivered"), ("product", "delivered"), ("renamed", "delivered"), ("existing", "delivered")],
)
def test_what_trakor_has_can_be_left_as_it_is(desk: Desk, ids: dict[str, str], word: str, state: str) -> None:
    ran = desk("records", "dismiss", ids[word])
    kind = "Product" if word == "product" else "Contact"
    assert ran.out == f"{kind} {ids[word]} {LEFT}\n"
    assert (ran.status, how(desk, ids[word])) == (0, (state, "", ("dismissed",)))
    assert events(desk, ids[word])[-1] == "dismissed"


@pytest.mark.parametrize("word", ["son", "refused", "delivered"])
def test_what_was_never_sent_or_does_not_differ_cannot(desk: Desk, ids: dict[str, str], word: str) -> None:
    before = how(desk, ids[word])
    ran = desk("records", "dismiss", ids[word])
    assert (ran.status, how(desk, ids[word])) == (1, before)
    assert "has nothing to dismiss" in ran.err
    assert "records drop" in ran.err


@pytest.mark.parametrize(("verb", "marks"), [("accept", ()), ("dismiss", ("dismissed",))])
def test_a_group_is_decided_on_together_and_each_has_its_own_line(
    desk: Desk, ids: dict[str, str], verb: str, marks: tuple[str, ...]
) -> None:
    """A burst of one change, such as new telephone numbers: not what drifted in another field."""
    group = ("--state", "drifted", "--field", "contact_info", "--since", "1d")
    asked = desk("records", verb, *group)
    assert asked.status == 2
    assert f"`records {verb}` for 2 records needs to be confirmed" in asked.err
    ran = desk("records", verb, *group, "--yes")
    assert (ran.status, ran.out.splitlines()[0]) == (0, f"2 records {verb}ed.")
    for word in ("ann", "bo"):
        assert how(desk, ids[word]) == ("delivered", "", marks)
        assert events(desk, ids[word])[-1] == f"{verb}ed"
    assert how(desk, ids["product"])[0] == "drifted"


def test_a_group_of_another_time_is_left_alone(desk: Desk, ids: dict[str, str]) -> None:
    ran = desk("records", "dismiss", "--field", "contact_info", "--since", "0s", "--yes")
    assert (ran.status, ran.out) == (0, "No record dismissed.\n")
    assert how(desk, ids["ann"])[0] == "drifted"


@pytest.mark.parametrize("verb", ["accept", "dismiss", "drop", "retry"])
@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--since", "1d", "--yes"), "which records?"),
        (("some-id", "--mark", "gone"), "one record or many?"),
        (("some-id", "--field", "name"), "one record or many?"),
        (("some-id", "--since", "1d"), "one record or many?"),
    ],
)
def test_it_must_be_clear_which_are_meant(
    desk: Desk, verb: str, arguments: tuple[str, ...], fault: str
) -> None:
    """A time alone would mean everything that happened since."""
    ran = desk("records", verb, *arguments)
    assert ran.status == 2
    assert fault in ran.err


def test_what_a_person_dismissed_is_not_said_to_be_ignored_by_a_setting(
    desk: Desk, ids: dict[str, str]
) -> None:
    desk("records", "dismiss", ids["ann"], "--yes")
    shown = desk("records", "show", ids["ann"]).out
    assert "It now differs in Salestrekker (contact_info)." in shown
    assert "on_change" not in shown


def test_a_state_that_cannot_be_dismissed_is_said_before_anybody_is_asked(desk: Desk) -> None:
    ran = desk("records", "dismiss", "--state", "rejected", "--yes")
    assert ran.status == 2
    assert "rejected records cannot be dismissed" in ran.err


# -- the mark remapped ------------------------------------------------------------------------------


def test_the_remapped_are_counted_and_listed(remapped: Desk, ids: dict[str, str]) -> None:
    document = remapped("records", "list", "--mark", "remapped", "--state", "delivered", "--json").json
    assert {record["id"] for record in document["records"]} >= {ids["delivered"]}
    streams = remapped("status", "--json").json["connections"]["default"]["streams"]
    number = streams["contacts"]["marks"]["remapped"]
    assert remapped("records", "list", "--mark", "remapped", "--json").json["total"] == number > 0
    said = remapped("status").out
    assert f"{number} are in Trakor as an older configuration made them: " in said
    assert "trakor-bridge records list --mark remapped" in said
    assert re.search(rf"of these remapped +{number} ", said)


@pytest.mark.parametrize(("verb", "marks"), [("accept", ()), ("dismiss", ("dismissed",))])
def test_the_remapped_can_be_corrected_or_left(
    remapped: Desk, ids: dict[str, str], verb: str, marks: tuple[str, ...]
) -> None:
    assert how(remapped, ids["delivered"]) == ("delivered", "", ("remapped",))
    ran = remapped("records", verb, "--mark", "remapped", "--state", "delivered", "--yes")
    assert (ran.status, ran.err) == (0, "")
    assert how(remapped, ids["delivered"]) == ("delivered", "", marks)


def test_a_remapped_record_shows_what_each_map_made(remapped: Desk, ids: dict[str, str]) -> None:
    out = remapped("records", "show", ids["delivered"]).out
    assert "Trakor has the older version." in out
    assert re.search(r"Contact details +Pat Lee \| pat@example\.org +pat@example\.org", out)
    assert f"records accept {ids['delivered']}" in out
    assert f"records dismiss {ids['delivered']}" in out


# -- one record -------------------------------------------------------------------------------------


def test_old_stands_beside_new(desk: Desk, ids: dict[str, str]) -> None:
    out = desk("records", "show", ids["ann"]).out
    assert re.search(r"in Trakor +Salestrekker, when last read", out)
    assert re.search(r"Contact details +Ann Drift \| ann@example\.org +Ann Drift \| ann@example\.com", out)


def test_the_name_that_trakor_has_is_told(desk: Desk, ids: dict[str, str]) -> None:
    """Whoever corrects it by hand has to find it there."""
    out = desk("records", "show", ids["renamed"]).out
    assert out.startswith(f"Contact {ids['renamed']} · Cy Green\n")
    assert re.search(r"in Trakor +“Cy Brown” \S+\n", out)
    assert re.search(r"Name +Cy Brown +Cy Green\s", out)


def test_what_is_not_kept_is_unknown_and_not_empty(desk: Desk, ids: dict[str, str]) -> None:
    with writing(desk.folder / "ledger.db", kept(desk.folder / "ledger.db")) as connection:
        connection.execute(contents.delete())
    out = desk("records", "show", ids["ann"]).out
    assert re.search(r"Name +\(the same\)", out)
    assert re.search(r"Contact details +\(something else\) +Ann Drift \| ann@example\.com", out)


def test_what_was_there_before_is_unknown(desk: Desk, ids: dict[str, str]) -> None:
    desk("records", "accept", ids["existing"])
    out = desk("records", "show", ids["existing"]).out
    assert re.search(r"Name +Old Friend", out)
    assert re.search(r"Contact details +\(unknown\)", out)


def test_trakors_own_words_are_told(desk: Desk, ids: dict[str, str]) -> None:
    assert re.search(rf"Trakor answered: “.*{WORDS}.*”", desk("records", "show", ids["refused"]).out)


def test_who_the_other_one_is_stands_beside_it(desk: Desk, ids: dict[str, str]) -> None:
    """Father and son: what tells them apart is what a person decides by."""
    out = desk("records", "show", ids["son"]).out
    assert re.search(rf"other record +“Sam Poe” {ids['father']}, delivered", out)
    line = next(line for line in out.splitlines() if line.startswith("Contact details"))
    assert re.search(r"570 156.* {2,}.*570 006", line), "his own number, then his father's"


def test_they_are_one_person_or_two(desk: Desk, ids: dict[str, str], left: Left) -> None:
    ran = desk("records", "accept", ids["son"])
    assert "shares another record's party or product" in ran.out
    assert how(desk, ids["son"]) == ("merged", "", ())
    desk.copy(left.changed)
    ran = desk("records", "accept", ids["son"], "--as", "Sam Poe junior")
    assert "will be sent as “Sam Poe junior”" in ran.out
    assert how(desk, ids["son"]) == ("pending", "", ())


def test_of_a_merged_record_what_trakor_has_is_the_other_ones(desk: Desk, ids: dict[str, str]) -> None:
    desk("records", "accept", ids["son"])
    found = stands(desk, ids["son"])
    with reading(desk.folder / "ledger.db", kept(desk.folder / "ledger.db")) as connection:
        compared = sides(found, load_relations(connection, found))
    assert compared.has_trakor
    (info,) = [field.trakor for field in compared.fields if field.name == "contact_info"]
    assert info is not None
    assert "570 006" in info.text, "the father's, which is the one that was sent"
