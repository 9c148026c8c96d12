"""Mapping: the default maps, what a draft holds, and records that nobody would expect."""

from __future__ import annotations

import json
import math
import re
import tomllib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import names
from bridge.errors import QueryFileError
from bridge.mapping import DEFAULT_WHERE, DEFAULTS, FUNCTION_NAMES, Mapper
from bridge.mapping.conversion import LONGEST_TEXT
from bridge.records import Draft, Party, Policy, Product, Reason, Record, Stream, Unsendable
from mappers import HASHER, drafted, mapper, record, refused, repr_or_type

if TYPE_CHECKING:
    from collections.abc import Mapping

GUIDE = (Path(__file__).parents[1] / "docs" / "mapping.md").read_text(encoding="utf-8")
TOML_BLOCKS = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)]

CONTACT = json.loads("""{
  "id": "c1", "isActive": true, "company": null,
  "person": {
    "information": {"firstName": "Ravi", "middleName": "K", "familyName": "Kumar"},
    "contact": {"email": "Ravi@acme.in", "primaryCode": "91", "primary": "9876543210",
                "homeCode": null, "home": null}}
}""")
COMPANY = json.loads("""{
  "id": "c2", "isActive": null, "person": null,
  "company": {
    "information": {"name": " ", "tradingName": "Acme Home Loans"},
    "contact": {"email": "", "primaryCode": "", "primary": "", "homeCode": "61", "home": "(02) 9123 4567"}}
}""")
PRODUCT = json.loads("""{
  "id": "p1", "isActive": true, "name": "Simplicity Plus", "notes": "No offset\\naccount",
  "lender": [{"id": "l1", "name": "ANZ", "abbr": "anz"}],
  "residential": {"rateType": "Variable", "repaymentType": "Interest only", "propertyUse": "Investment",
                  "initialRate": 6.19, "lvrMax": 80.0, "loanMin": 50000.0, "loanMax": 2000000},
  "fee": [{"type": "Ongoing", "name": "Annual fee", "value": 395},
          {"type": "Upfront", "name": "Loan APPLICATION fee", "value": 600.005}]
}""")


def dotted(table: Mapping[str, Any]) -> dict[str, str]:
    """A map whose identifiers have keys of their own."""
    named = table.get("same_as")
    own = {f"same_as.{name}": text for name, text in named.items()} if isinstance(named, dict) else {}
    return {key: text for key, text in table.items() if not (own and key == "same_as")} | own


def contact_info(text: str) -> str:
    draft = drafted({"id": "1", "t": text}, mapper(name="'x'", contact_info="t"))
    return draft.payload.fields()["contact_info"]


def party(data: Mapping[str, object]) -> Party:
    return cast("Party", drafted(data).payload)


def product(**changes: object) -> Product:
    return cast("Product", drafted({**PRODUCT, **changes}, stream=Stream.PRODUCTS).payload)


class TestDefaultMaps:
    def test_a_person_becomes_a_party(self) -> None:
        draft = drafted(CONTACT)
        assert draft.payload == Party("Ravi Kumar", "Ravi Kumar | +91 98765 43210 | Ravi@acme.in")
        assert draft.qualified_name == "Ravi Kumar (Ravi@acme.in)"
        assert draft.identifiers["email"] == HASHER.same_as("ravi@acme.in")
        assert draft.identifiers == {
            "email": HASHER.same_as("ravi@acme.in"),
            "phone": HASHER.same_as("+91 98765 43210"),
        }
        assert draft.qualifier == "Ravi@acme.in"
        assert (draft.id, draft.read_at) == ("c1", 7)

    def test_a_company_without_a_name_goes_by_its_trading_name(self) -> None:
        draft = drafted(COMPANY)
        assert draft.payload == Party("Acme Home Loans", "Acme Home Loans | +61 2 9123 4567")
        assert draft.qualified_name == "Acme Home Loans (+61 2 9123 4567)"
        assert draft.identifiers == {"phone": HASHER.same_as("+61 2 9123 4567")}

    def test_a_company_goes_by_its_name_where_it_has_one(self) -> None:
        information = {"name": "Acme Pty Ltd", "tradingName": "Acme Home Loans"}
        data = {**COMPANY, "company": {**COMPANY["company"], "information": information}}
        assert party(data).name == "Acme Pty Ltd"

    def test_what_a_contact_lacks_is_left_out(self) -> None:
        data = {"id": "1", "person": {"information": {"familyName": "Kumar"}, "contact": None}}
        draft = drafted(data)
        assert draft.payload == Party("Kumar", "Kumar")
        assert (draft.qualified_name, draft.qualified_key) == ("", "")
        assert (draft.qualifier, draft.identifiers) == ("", {})
        assert set(draft.hashes) == {"name", "contact_info"}

    def test_a_product_becomes_a_product(self) -> None:
        draft = drafted(PRODUCT, stream=Stream.PRODUCTS)
        assert draft.payload == Product(
            "ANZ Simplicity Plus",
            "Variable, Interest only, Investment, 6.19%, LVR up to 80%, loan from $50000, loan to $2000000. "
            "No offset account",
            Decimal("600.01"),
        )
        assert draft.qualified_name == "ANZ Simplicity Plus (p1)"
        assert draft.identifiers == {}
        assert set(draft.hashes) == {"name", "description", "price", "qualifier"}

    def test_a_lender_without_a_name_goes_by_its_abbreviation(self) -> None:
        assert product(lender=[{"name": None, "abbr": "CBA"}, {"name": "ANZ"}]).name == "CBA Simplicity Plus"
        assert product(lender=[]).name == product(lender=None).name == "Simplicity Plus"

    @pytest.mark.parametrize("name", [None, "", " \u200b"])
    def test_a_product_without_a_name_is_not_named_after_its_lender(self, name: str | None) -> None:
        unsendable = mapper(Stream.PRODUCTS)(record({**PRODUCT, "name": name}, Stream.PRODUCTS))
        assert isinstance(unsendable, Unsendable)
        assert unsendable.reason is Reason.NO_NAME

    @pytest.mark.parametrize("nothing", [None, [], [{"name": "Annual fee", "type": None, "value": 395}]])
    def test_a_product_without_such_a_fee_has_no_price(self, nothing: object) -> None:
        assert product(fee=nothing).price is None

    def test_a_product_of_little_detail_is_described_by_what_there_is(self) -> None:
        assert product(residential=None, notes=None).description == ""
        assert product(residential={"lvrMax": 95}, notes=" ").description == "LVR up to 95%"

    @pytest.mark.parametrize("stream", Stream)
    def test_the_default_map_has_exactly_the_keys_of_the_interface(self, stream: Stream) -> None:
        own = {"contact_info"} if stream is Stream.CONTACTS else {"description", "price"}
        assert {key.partition(".")[0] for key in DEFAULTS[stream]} == {
            "id",
            "name",
            "same_as",
            "qualifier",
        } | own


class TestDraft:
    def test_hashes_are_of_each_field_that_has_a_value_and_of_the_qualifier(self) -> None:
        draft = drafted(CONTACT)
        expected = {**draft.payload.fields(), "qualifier": "Ravi@acme.in"}
        assert draft.hashes == {field: HASHER.value(field, text) for field, text in expected.items()}
        assert draft.first_hashes == {
            field: HASHER.first_value(field, text) for field, text in expected.items()
        }

    def test_a_respelt_record_has_the_same_hashes(self) -> None:
        respelt = json.loads(json.dumps(CONTACT).replace("Ravi@acme.in", "RAVI@Acme.in"))
        respelt["person"]["contact"]["primary"] = "98765-43210"
        one, other = drafted(CONTACT), drafted(respelt)
        assert (one.hashes, one.identifiers) == (other.hashes, other.identifiers)
        assert one.input != other.input
        assert one.first_hashes != other.first_hashes
        assert other.payload == Party("Ravi Kumar", "Ravi Kumar | +91 98765 43210 | RAVI@Acme.in")

    def test_keys_are_of_the_plain_and_the_qualified_name(self) -> None:
        draft = drafted(CONTACT)
        assert draft.key == HASHER.name_key("RAVI KUMAR")
        assert draft.qualified_key == HASHER.name_key(draft.qualified_name)

    def test_a_long_name_is_qualified_from_the_whole_of_it(self) -> None:
        draft = drafted({"id": "1", "n": "x" * 300, "q": "ravi@acme.in"}, mapper(name="n", qualifier="q"))
        assert draft.payload.name == names.fit("x" * 300)
        assert draft.qualified_name == names.qualify("x" * 300, "ravi@acme.in")

    def test_the_fingerprint_changes_with_all_that_makes_a_draft(self) -> None:
        made = [
            mapper(),
            mapper(Stream.PRODUCTS),
            mapper(where=""),
            mapper(query="r"),
            mapper(name="id"),
            mapper(contact_info=""),
        ]
        assert len({each.fingerprint for each in made}) == len(made)
        assert {len(each.fingerprint) for each in made} == {12}

    def test_the_fingerprint_changes_with_the_rules_for_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = mapper().fingerprint
        monkeypatch.setattr(names, "RULES", names.RULES + 1)
        assert mapper().fingerprint != before

    def test_the_fingerprint_is_the_same_for_the_same(self) -> None:
        whole = Mapper(Stream.CONTACTS, DEFAULTS[Stream.CONTACTS], DEFAULT_WHERE, HASHER, "q")
        assert mapper().fingerprint == whole.fingerprint
        assert drafted(CONTACT).rules == mapper().rules == refused({"id": "1"}).rules

    def test_free_text_keeps_its_lines_and_loses_its_control_characters(self) -> None:
        assert contact_info(" Calls\r\nafter\tsix\x00\ud800 e\u0301\x9b\n") == "Calls\nafter six é"

    def test_free_text_is_bounded(self) -> None:
        assert contact_info("x" * LONGEST_TEXT) == "x" * LONGEST_TEXT
        assert contact_info("x" * (LONGEST_TEXT + 1)) == "x" * (LONGEST_TEXT - 1) + "…"


class TestIdentifiers:
    DATA: ClassVar = {"id": "1", "n": "Ann", "e": "A@x.au", "p": "0412345678", "o": {"a": "x", "b": None}}

    def identifiers(self, **same_as: str) -> Mapping[str, str]:
        given = {key.replace("__", "."): text for key, text in same_as.items()}
        expressions = {"name": "n", "contact_info": "", "qualifier": ""} | given
        return drafted(self.DATA, Mapper(Stream.CONTACTS, expressions, "", HASHER, "q")).identifiers

    def test_one_expression_gives_one_identifier_without_a_name(self) -> None:
        assert self.identifiers(same_as="e") == {"": HASHER.same_as("a@x.au")}
        assert self.identifiers(same_as="nothing") == self.identifiers(same_as="") == {}

    def test_an_expression_that_gives_an_object_gives_named_ones(self) -> None:
        made = self.identifiers(same_as="{mail: e, phone: phone('', p), none: nothing}")
        assert made == {"mail": HASHER.same_as("a@x.au"), "phone": HASHER.same_as("+61 412 345 678")}
        assert self.identifiers(same_as="o") == {"a": HASHER.same_as("x")}

    def test_a_table_of_expressions_gives_named_ones_and_replaces_those_of_the_default(self) -> None:
        assert self.identifiers(same_as__mail="e", same_as__abn="") == {"mail": HASHER.same_as("a@x.au")}

    @pytest.mark.parametrize(
        "same_as", ["{mail: o}", "[e]", "`true`", "{mail: `[]`}", '{"é": e}', '{"a=b": e}']
    )
    def test_what_is_no_text_identifies_nobody(self, same_as: str) -> None:
        unsendable = refused(self.DATA, mapper(name="n", contact_info="", qualifier="", same_as=same_as))
        assert (unsendable.reason, unsendable.field) == (Reason.MAPPING, "same_as")
        assert "A@x.au" not in unsendable.detail

    def test_a_fault_of_a_named_one_is_told_with_its_name(self) -> None:
        made = mapper(name="n", contact_info="", qualifier="", same_as__mail="o")
        assert refused(self.DATA, made).field == "same_as.mail"

    @pytest.mark.parametrize("name", ["", "é", "a=b", "a;b", "x" * 33, "1"])
    def test_a_name_that_the_ledger_could_not_hold_is_refused(self, name: str) -> None:
        with pytest.raises(QueryFileError, match="cannot be called so"):
            Mapper(Stream.CONTACTS, {f"same_as.{name}": "id"}, "", HASHER, "q")

    def test_the_place_of_a_named_one_that_cannot_be_used_is_told(self) -> None:
        with pytest.raises(QueryFileError, match=r"contacts\.map\.same_as\.mail, column 3"):
            mapper(same_as__mail="a b")

    def test_text_beside_a_table_is_refused(self) -> None:
        with pytest.raises(QueryFileError, match="beside named"):
            mapper(same_as="id", same_as__mail="e")


class TestRules:
    def test_each_fingerprint_changes_with_its_own_part_alone(self) -> None:
        usual = mapper().rules
        for made, changed in (
            (mapper(query="r"), {"query"}),
            (mapper(name="id"), {"map", "text"}),
            (mapper(where=""), {"choices"}),
            (mapper(policy=Policy(on_rename="create")), {"choices"}),
            (mapper(policy=Policy(on_existing="hold")), {"choices"}),
            (mapper(), set()),
        ):
            names = ("query", "map", "choices", "text")
            assert {name for name in names if getattr(made.rules, name) != getattr(usual, name)} == changed

    def test_they_are_short(self) -> None:
        rules = mapper().rules
        assert [len(rules.map), len(rules.choices)] == [12, 12]

    def test_the_two_streams_have_different_ones(self) -> None:
        made = mapper(name="id", same_as="", qualifier="")
        other = mapper(Stream.PRODUCTS, name="id", same_as="", qualifier="")
        assert made.rules.map != other.rules.map

    def test_a_map_given_whole_is_the_same_as_its_default(self) -> None:
        whole = Mapper(Stream.CONTACTS, DEFAULTS[Stream.CONTACTS], DEFAULT_WHERE, HASHER, "q")
        assert whole.rules == mapper().rules

    def test_what_is_made_says_by_which_rules_and_of_what(self) -> None:
        made = mapper()
        for result in (drafted(CONTACT, made), refused({**CONTACT, "isActive": False}, made)):
            assert result.rules == made.rules
            assert len(result.input) == 12
        assert drafted(CONTACT, made).input == made.input_of(record(CONTACT)) == HASHER.input_of(CONTACT)


class TestEarlier:
    @staticmethod
    def old() -> Mapper:
        return mapper(contact_info="person.contact.email", same_as="person.contact.email")

    @pytest.mark.parametrize("stream", Stream)
    def test_an_earlier_map_is_made_again_from_its_text(self, stream: Stream) -> None:
        old = mapper(stream, name="join('', ['x', id])", same_as="id")
        again = mapper(stream).earlier(old.rules.text)
        assert (again.rules, again.fingerprint) == (old.rules, old.fingerprint)
        assert again(record({"id": "1"}, stream)) == old(record({"id": "1"}, stream))

    def test_it_is_applied_with_the_query_the_filter_and_the_policy_of_now(self) -> None:
        now = mapper(where="", query="r", policy=Policy(on_rename="create"))
        again = now.earlier(self.old().rules.text)
        assert (again.rules.query, again.rules.choices) == ("r", now.rules.choices)

    def test_a_draft_says_what_the_earlier_map_makes_of_the_same_record(self) -> None:
        now, old = mapper(), self.old()
        made = now(record(CONTACT), now.earlier(old.rules.text))
        assert made.before == old(record(CONTACT))
        assert replace(made, before=None) == now(record(CONTACT))
        assert isinstance(made.before, Draft)
        assert made.before.payload == Party("Ravi Kumar", "Ravi@acme.in")
        assert made.before.before is None

    def test_what_makes_no_draft_says_it_too(self) -> None:
        now, old = mapper(name="nothing"), mapper()
        made = now(record(CONTACT), now.earlier(old.rules.text))
        assert isinstance(made, Unsendable)
        assert made.before == old(record(CONTACT))

    def test_what_the_filter_says_no_to_is_only_filtered(self) -> None:
        now = mapper()
        made = now(record({**CONTACT, "isActive": False}), now.earlier(self.old().rules.text))
        assert isinstance(made, Unsendable)
        assert (made.reason, made.before) == (Reason.FILTERED, None)

    @pytest.mark.parametrize(
        "text", ["", "x", "[]", '{"name": 1}', '{"id": "id"}', '{"nmae": "id"}', "[" * 100_000]
    )
    def test_a_text_that_cannot_be_used_is_refused(self, text: str) -> None:
        with pytest.raises(QueryFileError):
            mapper().earlier(text)

    def test_a_text_with_a_function_that_there_is_no_more_is_refused(self) -> None:
        with pytest.raises(QueryFileError, match="there is no function"):
            mapper().earlier('{"id": "id", "name": "gone(id)"}')

    def test_a_key_that_came_later_than_the_text_is_never_filled(self) -> None:
        made = mapper().earlier('{"id": "id", "name": "id"}')(record(CONTACT))
        assert isinstance(made, Draft)
        assert (made.payload, made.qualifier, made.identifiers) == (Party("c1", ""), "", {})


class TestWhere:
    @pytest.mark.parametrize("where", [DEFAULT_WHERE, "", " ", "`0`", "person", "id == 'c1'"])
    def test_a_record_is_wanted_where_jmespath_holds_the_result_true(self, where: str) -> None:
        assert drafted(CONTACT, mapper(where=where)).id == "c1"

    @pytest.mark.parametrize("where", ["nothing", "isActive == `false`", "''", "`[]`", "`{}`"])
    def test_a_record_is_filtered_where_jmespath_holds_the_result_false(self, where: str) -> None:
        assert refused(CONTACT, mapper(where=where)).reason is Reason.FILTERED

    def test_inactive_records_are_filtered_and_those_of_unknown_activity_are_not(self) -> None:
        inactive = refused({**CONTACT, "isActive": False})
        assert (inactive.id, inactive.reason, inactive.field, inactive.detail) == (
            "c1",
            Reason.FILTERED,
            "",
            "",
        )
        assert (inactive.rules, inactive.read_at) == (mapper().rules, 7)
        assert drafted({**CONTACT, "isActive": None}).payload == drafted(CONTACT).payload

    def test_the_filter_comes_before_the_name(self) -> None:
        assert refused({"id": "1", "isActive": False}).reason is Reason.FILTERED

    def test_a_filter_that_fails_rejects_the_record(self) -> None:
        unsendable = refused(CONTACT, mapper(where="contains(isActive, 'x')"))
        assert (unsendable.reason, unsendable.field) == (Reason.MAPPING, "where")


class TestNamesAndIds:
    @pytest.mark.parametrize("name", [None, "", " \t", "\u200b\ud800"])
    def test_a_record_of_which_no_name_is_left_has_none(self, name: str | None) -> None:
        unsendable = refused({"id": "1", "n": name}, mapper(name="n"))
        assert (unsendable.reason, unsendable.field) == (Reason.NO_NAME, "name")

    @pytest.mark.parametrize(
        ("number", "name"), [(5, "5"), (80.0, "80"), (6.19, "6.19"), (1e16, "1" + "0" * 16)]
    )
    def test_a_number_is_a_name_in_its_plain_form(self, number: float, name: str) -> None:
        assert drafted({"id": "1", "n": number}, mapper(name="n")).payload.name == name

    @pytest.mark.parametrize(
        "name", [True, ["Ravi"], {"a": "Ravi"}, math.nan, math.inf, 10**5000], ids=repr_or_type
    )
    def test_what_is_no_text_is_no_name(self, name: object) -> None:
        unsendable = refused({"id": "1", "n": name}, mapper(name="n"))
        assert (unsendable.reason, unsendable.field) == (Reason.MAPPING, "name")

    @pytest.mark.parametrize(
        ("given_id", "found"), [("c1", "c1"), (12, "12"), ("é x", "é x"), ("x" * 255, "x" * 255)]
    )
    def test_an_id_is_text_or_a_whole_number(self, given_id: object, found: str) -> None:
        assert mapper().identify({"id": given_id}) == found

    @pytest.mark.parametrize(
        "bad",
        [None, "", " ", True, 1.0, [], {}, "a\nb", "\ud800", "x" * 256, 10**5000],
        ids=repr_or_type,
    )
    def test_anything_else_is_no_id(self, bad: object) -> None:
        assert mapper().identify({"id": bad}) is None

    def test_an_id_is_found_where_the_map_says(self) -> None:
        assert mapper(id="node.key").identify({"node": {"key": "k"}}) == "k"
        assert mapper(id="abs(id)").identify({"id": "x"}) is None

    def test_a_record_that_gives_another_id_is_rejected(self) -> None:
        unsendable = mapper()(Record(Stream.CONTACTS, "c9", CONTACT, 7))
        assert isinstance(unsendable, Unsendable)
        assert (unsendable.id, unsendable.reason, unsendable.field) == ("c9", Reason.MAPPING, "id")


ODD_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def shaped(like: object) -> st.SearchStrategy[object]:
    """JSON of a record's shape, in which any value may be any other."""
    if isinstance(like, dict):
        return (
            st.fixed_dictionaries({}, optional={key: shaped(value) for key, value in like.items()}) | ODD_JSON
        )
    if isinstance(like, list):
        return st.lists(shaped(like[0]), max_size=3) | ODD_JSON
    return st.just(like) | ODD_JSON


ODD_EXPRESSIONS = [
    "to_string(@)",
    "sum(*)",
    "max_by(*, &id)",
    "sort(keys(@))",
    "join('', *)",
    "id > person",
    "ceil(id)",
    "to_number(id)",
    "fee[?value > `1`].name | [0]",
    "contains(id, person)",
    "phone(id, fee)",
    "phone(person, id)",
]


class TestHostileRecords:
    @given(shaped({**CONTACT, **PRODUCT}), st.sampled_from(Stream))
    def test_no_record_makes_a_default_map_fail(self, data: object, stream: Stream) -> None:
        self.check(mapper(stream), data)

    @settings(max_examples=50)
    @given(shaped({**CONTACT, **PRODUCT}), st.sampled_from(ODD_EXPRESSIONS))
    def test_no_record_makes_an_odd_map_fail(self, data: object, expression: str) -> None:
        self.check(mapper(name=expression, contact_info=expression, qualifier=expression), data)

    @staticmethod
    def check(made: Mapper, data: object) -> None:
        fields = data if isinstance(data, dict) else {"id": data}
        result = made(Record(Stream.CONTACTS, made.identify(fields) or "unknown", fields, 7))
        if isinstance(result, Draft):
            assert 0 < len(result.payload.name) <= 255
            json.dumps(result.payload.fields()).encode()
            result.payload.fields()["name"].encode()
            assert all(result.hashes.values())
        else:
            assert bool(result.field) is (result.reason is not Reason.FILTERED)

    def test_a_record_nested_beyond_pythons_patience_is_rejected(self) -> None:
        deep: object = "x"
        for _ in range(100_000):
            deep = [deep]
        unsendable = refused({"id": "1", "deep": deep}, mapper(name="to_string(deep)"))
        assert unsendable.detail == "cannot be evaluated over this record (RecursionError)"
        while isinstance(deep, list):  # taken apart by hand: freeing it at once could overflow the stack
            deep = deep.pop()

    def test_a_huge_record_is_only_long(self) -> None:
        draft = drafted({"id": "1", "t": "👩 " * 500_000}, mapper(name="t", contact_info="t", qualifier="t"))
        assert draft.payload.fields()["contact_info"].endswith("👩…")
        assert draft.qualified_name == ""


class TestGuide:
    def test_it_lists_exactly_the_named_functions(self) -> None:
        assert set(re.findall(r"^\| `(\w+)\(", GUIDE, re.MULTILINE)) == FUNCTION_NAMES

    @pytest.mark.parametrize("stream", Stream)
    def test_it_shows_the_default_maps_as_they_are(self, stream: Stream) -> None:
        shown = [
            dotted(block[stream]["map"])
            for block in TOML_BLOCKS
            if "id" in block.get(stream, {}).get("map", {})
        ]
        assert [{key: " ".join(text.split()) for key, text in each.items()} for each in shown] == [
            {key: " ".join(text.split()) for key, text in DEFAULTS[stream].items()}
        ]
