"""What expressions can call, the prices they make, and expressions that cannot be used."""

from __future__ import annotations

import json
import math
import re

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import QueryFileError, UserError
from bridge.names.phones import international
from bridge.records import Draft, Party, Product, Reason, Stream, Unsendable
from mappers import drafted, mapper, record, refused, repr_or_type

CONTACT = {"id": "c1", "person": {"information": {"firstName": "Ravi", "familyName": "Kumar"}}}


def evaluated(expression: str, **data: object) -> str:
    """What an expression gives as contact_info."""
    draft = drafted({"id": "1", **data}, mapper(name="'x'", contact_info=expression))
    return draft.payload.fields()["contact_info"]


class TestPrices:
    @pytest.mark.parametrize(
        ("value", "price"),
        [
            (600, "600.00"),
            (600.0, "600.00"),
            (2.675, "2.68"),
            (1.005, "1.01"),
            (0.125, "0.13"),
            (0.004, "0.00"),
            (0.1 + 0.2, "0.30"),
            (-0.0, "0.00"),
            (1e12, "1000000000000.00"),
            (1e-320, "0.00"),
            ("600", "600.00"),
            (" 12.345 ", "12.35"),
            ("+5.", "5.00"),
            ("-0", "0.00"),
        ],
    )
    def test_a_price_is_exact_to_the_cent_rounded_half_up(self, value: object, price: str) -> None:
        draft = drafted(
            {"id": "1", "p": value}, mapper(Stream.PRODUCTS, name="'x'", price="p"), Stream.PRODUCTS
        )
        assert draft.payload.fields()["price"] == price

    @pytest.mark.parametrize("value", [None, "", "  "])
    def test_nothing_is_no_price(self, value: object) -> None:
        made = mapper(Stream.PRODUCTS, name="'x'", price="p")
        assert drafted({"id": "1", "p": value}, made, Stream.PRODUCTS).payload == Product("x")

    @pytest.mark.parametrize(
        ("value", "why"),
        [
            (-0.01, "negative"),
            ("-5", "negative"),
            (math.nan, "not finite"),
            (math.inf, "not finite"),
            (-math.inf, "not finite"),
            (1e12 + 0.01, "above"),
            ("1000000000000.001", "above"),
            (10**400, "above"),
            (10**5000, "above"),
            (True, "true or false"),
            ([600], "an array"),
            ({"amount": 600}, "an object"),
            ("1,200.00", "plain decimal"),
            ("$600", "plain decimal"),
            ("1e3", "plain decimal"),
            ("NaN", "plain decimal"),
            ("٦٠٠", "plain decimal"),
            ("9" * 5000, "plain decimal"),
        ],
        ids=repr_or_type,
    )
    def test_what_is_no_price_is_rejected_with_the_reason(self, value: object, why: str) -> None:
        made = mapper(Stream.PRODUCTS, name="'x'", price="p")(
            record({"id": "1", "p": value}, Stream.PRODUCTS)
        )
        assert isinstance(made, Unsendable)
        assert (made.reason, made.field) == (Reason.MAPPING, "price")
        assert why in made.detail

    @given(st.integers(0, 10**14))
    def test_every_price_that_json_can_write_in_cents_comes_through(self, cents: int) -> None:
        written = f"{cents // 100}.{cents % 100:02}"
        made = mapper(Stream.PRODUCTS, name="'x'", price="p")
        draft = drafted({"id": "1", "p": json.loads(written)}, made, Stream.PRODUCTS)
        assert draft.payload.fields()["price"] == written


class TestFunctions:
    @pytest.mark.parametrize(
        ("code", "number", "shown"),
        [
            ("61", "0412 345 678", "+61 412 345 678"),
            ("+61", "412345678", "+61 412 345 678"),
            (None, "0412-345-678", "+61 412 345 678"),
            ("", "(02) 9123 4567", "+61 2 9123 4567"),
            (61, "0291234567", "+61 2 9123 4567"),
            (91, 9876543210, "+91 98765 43210"),
            ("0064", "021 123 4567", "+64 21 123 4567"),
            ("61", "+91 98765 43210", "+91 98765 43210"),
            ("61", "61412345678", "+61 412 345 678"),
            ("", "1300 123 456", "+61 1300 123 456"),
            ("", "0011 91 98765 43210", "+91 98765 43210"),
            ("39", "02 1234 5678", "+39 02 1234 5678"),
            ("61", "9123 4567", "9123 4567"),
            ("61", " 12 ", "12"),
            ("61", "ask for  Bob", "ask for Bob"),
            ("999", "12345678", "999 12345678"),
            ("home", "12345678", "home 12345678"),
            ("61", "4" * 300, "4" * 300),
            ("61", "", ""),
            ("61", None, ""),
        ],
    )
    def test_phone(self, code: object, number: object, shown: str) -> None:
        assert evaluated("phone(c, n)", c=code, n=number) == shown

    def test_phone_gives_null_without_a_number_so_that_another_can_be_tried(self) -> None:
        assert evaluated("phone('61', n) || 'none'", n=" ") == "none"

    def test_the_short_way_for_australian_numbers_is_of_the_librarys_opinion(self) -> None:
        """Each prefix of four digits, with the national zero and without."""
        for prefix in range(10_000):
            for number in (f"{prefix:04}12345", f"0{prefix:04}12345"):
                parsed = phonenumbers.parse(number, "AU")
                theirs = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
                if re.fullmatch("0?[23478].{8}", number):
                    assert international("61", number) == theirs

    @pytest.mark.parametrize(
        ("expression", "result"),
        [
            ("clean(blank) || 'none'", "none"),
            ("clean(spaced)", "a b"),
            ("clean(n)", "80"),
            ("first_present([blank, none, spaced, n])", "a b"),
            ("first_present([blank, none]) || 'none'", "none"),
            ("first_present(none) || 'none'", "none"),
            ("join_present(' | ', [spaced, blank, none, n])", "a b | 80"),
            ("join_present(' | ', none)", ""),
            ("wrap('up to ', n, '%')", "up to 80%"),
            ("wrap('up to ', blank, '%') || 'none'", "none"),
            ("decimal(n)", "80.00"),
            ("decimal(none) || 'none'", "none"),
            ("decimal(sum(fees[].value))", "0.30"),
            ("to_string(fee(fees, ['SECOND']))", "0.2"),
            ("to_string(fee(fees, ['fee']))", "0.1"),
            ("to_string(fee(fees, ['nothing', 'upfront']))", "0.2"),
            ("fee(none, ['fee']) || 'none'", "none"),
            ("fee(odd, ['fee']) || 'none'", "none"),
        ],
    )
    def test_what_the_others_give(self, expression: str, result: str) -> None:
        fees = [{"name": "First fee", "value": 0.1}, {"name": "Second fee", "type": "Upfront", "value": 0.2}]
        data = {"blank": " \u200b", "spaced": " a\n b ", "n": 80.0, "none": None, "fees": fees}
        assert evaluated(expression, **data, odd=[None, 5, "fee", {"name": 5}, {"name": "fee"}]) == result

    @pytest.mark.parametrize(
        ("expression", "why"),
        [
            ("clean(id_list)", "gives an array where text is needed"),
            ("join_present(', ', id)", "gives a function text where it needs an array"),
            ("join_present(', ', [yes])", "gives true or false where text is needed"),
            ("wrap(id_list, id, '')", "wrap() takes string and was given array"),
            ("fee(id_list, [yes])", "fee() takes array-string and was given bool"),
            ("decimal('x')", "gives text that is not a plain decimal number"),
            ("length(yes)", "length() takes string or array or object and was given boolean"),
            ("id < n", "cannot be evaluated over this record (TypeError)"),
        ],
    )
    def test_odd_arguments_reject_the_record_with_a_reason_that_quotes_no_data(
        self, expression: str, why: str
    ) -> None:
        data = {"id": "secret", "id_list": ["secret"], "yes": True, "n": 5}
        unsendable = refused(data, mapper(name="'x'", contact_info=expression))
        assert (unsendable.reason, unsendable.field, unsendable.detail) == (
            Reason.MAPPING,
            "contact_info",
            why,
        )


class TestConfiguration:
    @pytest.mark.parametrize(
        ("expression", "message"),
        [
            ("", "empty, but no record can do without it"),
            ("  ", "empty, but no record can do without it"),
            ("a..b", 'column 3: "." is not expected here'),
            ("join(' ', [a, b)", 'column 16: ")" is not expected here'),
            ("a ||", "column 5: the expression ends too early"),
            ("a == 'b", "column 6: Unclosed"),
            ("name # note", "column 6: Unknown token"),
            ("a[", "column 3: the expression ends too early"),
            ("a == phne(b, c)", "column 6: there is no function phne()"),
            ("phone(a)", "column 1: Expected 2 arguments for function phone(), received 1"),
            ("not_null()", "column 1: Expected 1 argument for function not_null(), received 0"),
            ("a == false", "column 6: false without backticks is the name of a field"),
            ("a == `so`", "column 6: what stands in backticks must be JSON"),
            ("(" * 5000 + "a" + ")" * 5000, "nested too deeply"),
        ],
    )
    def test_an_expression_that_cannot_be_used_is_refused_with_its_place(
        self, expression: str, message: str
    ) -> None:
        with pytest.raises(QueryFileError) as caught:
            mapper(name=expression)
        assert str(caught.value).startswith("contacts.map.name")
        assert message in str(caught.value)
        assert caught.value.advice

    def test_the_place_of_a_filter_is_named_too(self) -> None:
        with pytest.raises(QueryFileError, match=r"^products\.where, column 12: false without backticks"):
            mapper(Stream.PRODUCTS, where="isActive = false".replace("=", "!=")[:11] + "false")

    def test_the_nearest_function_and_key_are_named(self) -> None:
        with pytest.raises(QueryFileError) as caught:
            mapper(name="phne(a, b)")
        assert caught.value.advice == "Did you mean phone()?"
        with pytest.raises(QueryFileError, match=r"^contacts\.map\.contactinfo: no such key") as caught:
            mapper(contactinfo="a")
        assert caught.value.advice == "Did you mean contact_info?"

    def test_a_key_left_out_has_its_default_and_an_empty_one_is_never_filled(self) -> None:
        assert drafted(CONTACT, mapper(name="person.information.familyName")).payload.name == "Kumar"
        draft = drafted(CONTACT, mapper(contact_info="", same_as=" ", qualifier=""))
        assert draft.payload == Party("Ravi Kumar")
        assert (draft.identifiers, draft.qualified_name, set(draft.hashes)) == ({}, "", {"name"})

    @given(st.text("ab.[]*?|&!<=>`'\"\\(){}:,@ 0-9", max_size=30))
    def test_any_expression_works_or_is_refused_properly(self, expression: str) -> None:
        places, results = [], []
        try:
            results.append(mapper(contact_info=expression)(record(CONTACT)))
        except UserError as error:
            places.append(str(error))
        assert all(place.startswith("contacts.map.contact_info") for place in places)
        assert all(isinstance(result, Draft | Unsendable) for result in results)
