"""Canonical forms: spellings of one thing are one, different things stay different."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.names import canonical, canonical_field, tidy
from bridge.names.phones import international

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
TYPED_NUMBERS = st.text(st.sampled_from("0123456789 ()-.+/"), max_size=24)
EMAILS = st.from_regex(r"[A-Za-z0-9._%|+-]{1,20}@[A-Za-z0-9.-]{1,20}", fullmatch=True)
WORDS = ANY_TEXT | TYPED_NUMBERS | EMAILS | st.emails()

MOBILES = st.from_regex(r"4[0-9]{8}", fullmatch=True)
LANDLINES = st.from_regex(r"[2378][0-9]{8}", fullmatch=True)


@given(WORDS)
def test_a_canonical_form_is_its_own(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


@given(st.lists(WORDS, max_size=4).map(" | ".join), st.sampled_from(["contact_info", "description", "name"]))
def test_a_canonical_field_is_its_own(text: str, field: str) -> None:
    assert canonical_field(field, canonical_field(field, text)) == canonical_field(field, text)


@given(MOBILES | LANDLINES, st.sampled_from(["0{}", "{}", "+61{}", "61{}", "+61(0){}", "001161{}"]))
def test_all_spellings_of_one_number_are_one(number: str, written: str) -> None:
    """However its digits are grouped; as the map's `phone` shows it."""
    shown = international("61", number)
    assert shown.startswith("+61 ")
    compact = written.format(number)
    grouped = " ".join(compact[at : at + 3] for at in range(0, len(compact), 3))
    assert canonical(compact) == canonical(grouped) == canonical(shown) == shown
    assert canonical(f"({number[:2]}) {number[2:5]}-{number[5:]}") == shown


@pytest.mark.parametrize("region", ["AU", "NZ", "GB", "IN", "US", "DE", "IT", "AR", "MX", "CI", "BR"])
def test_a_number_of_any_country_is_known_by_the_form_that_phone_gives(region: str) -> None:
    example = phonenumbers.example_number(region)
    assert example is not None
    shown = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    assert canonical(shown) == canonical(shown.replace(" ", "-")) == shown
    assert international("", shown) == shown


@given(EMAILS, EMAILS)
def test_two_addresses_are_one_only_where_case_alone_tells_them_apart(one: str, other: str) -> None:
    assert (canonical(one) == canonical(other)) is (one.lower() == other.lower())
    assert canonical(one.swapcase()) == canonical(one)


@given(MOBILES, MOBILES)
def test_two_numbers_are_never_one(one: str, other: str) -> None:
    assert (canonical(f"0{one}") == canonical(f"+61 {other}")) is (one == other)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (" RAVI@Acme.in\u200b", "ravi@acme.in"),
        ("0412 345 678", "+61 412 345 678"),
        ("+91-98765-43210", "+91 98765 43210"),
        ("9123 4567", "91234567"),
        ("(9123)4567", "91234567"),
        ("+999 123 4567", "+9991234567"),
        ("12 345 678 901", "12345678901"),
        ("Unit 12", "Unit 12"),
        ("12", "12"),
        ("12-34", "12-34"),
        ("Unit  12,\tKing St\n", "Unit 12, King St"),
        ("12/34567", "12/34567"),
        ("2026-11-30", "2026-11-30"),
        ("1.12.2026", "1.12.2026"),
        ("600000.50", "600000.50"),
        ("0412 345 678 (wife)", "0412 345 678 (wife)"),
        ("ask for me@work or home", "ask for me@work or home"),
        ("King's Road", "King's Road"),
        ("", ""),
        (" \u200b", ""),
    ],
)
def test_what_is_compared(text: str, form: str) -> None:
    assert canonical(text) == form


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.12.2026", "11.2.2026"),
        ("1-12-2026", "11-2-2026"),
        ("1234.56", "12345.6"),
        ("+999 123 4567", "999 123 4567"),
        ("Unit 12", "Unit 1 2"),
        ("9123 4567", "9123 4568"),
        ("a@b.au", "a@b.com"),
        ("King St", "king st"),
    ],
)
def test_different_things_stay_different(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@given(ANY_TEXT)
def test_a_name_and_a_price_are_compared_as_they_are(text: str) -> None:
    assert canonical_field("name", text) == canonical_field("price", text) == text


def test_a_joined_contact_info_is_taken_part_by_part() -> None:
    assert (
        canonical_field("contact_info", "Ravi  Kumar | 0412345678 | RAVI@acme.in | Unit 12")
        == "Ravi Kumar | +61 412 345 678 | ravi@acme.in | Unit 12"
    )
    assert canonical_field("description", "Fee | 0412345678") == "Fee | 0412345678"


def test_a_long_text_is_only_tidied() -> None:
    text = "x " * 4000
    assert canonical(text) == tidy(text)
    assert canonical("1" * 300) == "1" * 300
