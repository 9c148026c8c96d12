"""What `queries fit` must never do: mix up records, leave clients out, show a secret, write half of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from graphql import build_schema

from bridge.errors import UserError
from bridge.fitting.files import FileChange, StreamEdit, edit_configuration, write_changes
from bridge.fitting.proposal import Proposal, propose, rank_lists
from bridge.mapping.expressions import Expressions
from bridge.records import Stream

if TYPE_CHECKING:
    from pathlib import Path

PERSON = "firstName: String lastName: String email: String"


def proposed(types: str, stream: Stream = Stream.CONTACTS) -> Proposal:
    schema = build_schema(types)
    return propose(schema, stream, rank_lists(schema, stream))


def of_contacts(fields: str) -> Proposal:
    return proposed(f"type Query {{ contacts: [Contact!]! }} type Contact {{ {fields} {PERSON} }}")


@pytest.mark.parametrize(
    "other", ["tenantId: ID!", "ownerId: ID!", "phoneNumber: String!", "externalId: ID!"]
)
def test_a_key_of_something_else_is_no_id(other: str) -> None:
    fragment = of_contacts(f"{other} contactId: ID!").files["contact.fragment.graphql"]
    assert "id: contactId" in fragment


def test_every_type_of_a_union_keeps_its_name_and_address() -> None:
    types = [f"Kind{n}" for n in range(6)]
    written = " ".join(f"type {name} {{ id: ID! {PERSON} }}" for name in types)
    found = proposed(f"type Query {{ contacts: [Any!]! }} union Any = {' | '.join(types)} {written}")
    fragment = found.files["contact.fragment.graphql"]
    assert fragment.count("firstName") == fragment.count("email") == len(types)


@pytest.mark.parametrize(
    "field",
    [
        "employmentStatus: Work",
        "isRetired: Boolean",
        "lastDealClosedAt: String",
        "visaExpiredOn: String",
        "currentResident: Boolean",
        "employmentStatus: String",
    ],
)
def test_what_is_said_of_a_person_leaves_nobody_out(field: str) -> None:
    types = f"enum Work {{ RETIRED }} type Query {{ contacts: [Contact!]! }} type Contact {{ id: ID! {field}"
    found = proposed(f"{types} {PERSON} }}").proposed
    assert (found.where, found.status) == ("", "")


@pytest.mark.parametrize(
    ("fee", "price"),
    [
        ('"In dollars and cents." applicationFee: Float', "595.0"),
        ('"In cents." applicationFee: Int', "5.95"),
        ("applicationFeeCents: Int", "5.95"),
    ],
)
def test_only_whole_numbers_are_cents(fee: str, price: str) -> None:
    types = (
        f"type Query {{ products: [Product!]! }} type Product {{ id: ID! name: String lender: String {fee} }}"
    )
    text = proposed(types, Stream.PRODUCTS).proposed.texts["price"]
    value = {"applicationFee": 595, "applicationFeeCents": 595}
    assert float(str(Expressions({"p": text}, {"p": "p"}).value("p", value))) == float(price)


def test_a_list_of_some_contacts_is_not_taken_for_all() -> None:
    schema = build_schema(
        "type Query { birthdayContacts: [Contact!]! contacts: [Contact!]! }"
        f"type Contact {{ id: ID! {PERSON} }}"
    )
    assert rank_lists(schema, Stream.CONTACTS)[0].listing.name == "contacts"


def test_the_record_by_its_id_is_not_looked_up_by_a_telephone_number() -> None:
    found = proposed(
        "type Query { contacts: [Contact!]!"
        " client(id: ID!): Contact contactByPhone(phoneNumber: String!): Contact }"
        f"type Contact {{ id: ID! {PERSON} }}"
    )
    assert "client(id: $id)" in found.files["contact.graphql"]


def test_a_difference_of_the_configuration_shows_no_line_beside_it(tmp_path: Path) -> None:
    before = '[trakor]\napi_key = "made-up-secret"\n'
    change = FileChange(tmp_path / "config.toml", before, f"{before}[contacts]\nwhere = ''\n")
    assert "made-up-secret" not in change.diff("config.toml")
    assert "+where" in change.diff("config.toml")


def test_a_section_on_one_line_is_refused_with_what_to_do() -> None:
    edits = {"contacts": StreamEdit({"where": ""}, {"name": "name"})}
    with pytest.raises(UserError, match="on one line"):
        edit_configuration("contacts = {enabled = true}\n", edits)


def test_comments_inside_a_map_stay() -> None:
    before = "[contacts.map]\n# mine\nname = 'a'\nqualifier = 'b' # and mine\n\n[trakor] # not its own\n"
    after = edit_configuration(before, {"contacts": StreamEdit({}, {"name": "c", "qualifier": "d"})})
    assert [line for line in ("# mine", "# and mine", "[trakor] # not its own") if line not in after] == []
    assert '"c"' in after or "'c'" in after


def test_a_file_that_cannot_be_replaced_leaves_all_as_it_was(tmp_path: Path) -> None:
    first, second = tmp_path / "contacts.graphql", tmp_path / "config.toml"
    first.write_text("old", "utf-8")
    second.mkdir()
    changes = [FileChange(first, "old", "new"), FileChange(second, None, "new")]
    with pytest.raises(UserError, match="Nothing was changed"):
        write_changes(changes, "now")
    assert first.read_text("utf-8") == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"contacts.graphql", "config.toml"}


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "config.toml"
    real.write_text("old", "utf-8")
    link.symlink_to(real)
    write_changes([FileChange(link, "old", "new")], "now")
    assert link.is_symlink()
    assert real.read_text("utf-8") == "new"
