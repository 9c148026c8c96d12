"""Names fit for Trakor, keys and keyed hashes: what must hold for any text, and the known awkward ones."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import names
from bridge.errors import LedgerError
from bridge.names import Hasher

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=400)  # lone surrogates too
LONG_TEXT = st.text(st.sampled_from("aé👩\u0301\u200d ـش🏽"), min_size=200, max_size=600)
KEY = b"0123456789abcdef"

# Format characters that print: the number and verse signs of Arabic, Syriac and Kaithi.
PRINTING_FORMATS = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@given(ANY_TEXT | LONG_TEXT)
def test_a_fit_name_is_short_enough_composed_trimmed_and_stays_as_it_is(text: str) -> None:
    name = names.fit(text)
    assert units(name) <= 255
    assert unicodedata.is_normalized("NFC", name)
    assert name == " ".join(name.split())
    assert names.fit(name) == name


@given(ANY_TEXT)
def test_a_name_is_the_same_however_its_text_was_composed_or_spaced(text: str) -> None:
    assert names.fit(f"\t {unicodedata.normalize('NFD', names.tidy(text))} \r\n") == names.fit(text)


def test_the_invisible_characters_are_those_of_unicode() -> None:
    """All control, format and surrogate characters of this Python's tables vanish or separate words."""
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        if unicodedata.category(character) in {"Cc", "Cf", "Cs"} and number not in PRINTING_FORMATS:
            expected = "a b" if character.isspace() else "ab"
            assert names.tidy(f"a{character}b") == expected, hex(number)


def test_visible_characters_stay() -> None:
    """Letters, numbers, punctuation, symbols and marks are kept, but for fillers and variation selectors."""
    lost = [
        number
        for number in range(sys.maxunicode + 1)
        if unicodedata.category(chr(number))[0] in "LNPS" and not names.tidy(chr(number))
    ]
    assert lost == [0x115F, 0x1160, 0x3164, 0xFFA0]
    assert all(names.tidy(chr(number)) for number in PRINTING_FORMATS)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("  Ravi\t\n Kumar ", "Ravi Kumar"),
        ("Rene\u0301e", "Renée"),
        ("Ra\u200bvi\ufeff", "Ravi"),
        ("\u202eRavi\u202c", "Ravi"),
        ("Ravi\x00 \x07Kumar", "Ravi Kumar"),
        ("Ra\u00advi", "Ravi"),
        ("Anna\u00a0Li", "Anna Li"),
        ("a \u200b b", "a b"),
        ("\ud800Ravi\udc00", "Ravi"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\U0001f469\U0001f467"),
        ("❤\ufe0f", "❤"),
        ("می\u200cخواهم", "میخواهم"),  # noqa: RUF001 - Persian
        ("\u3164\u200b", ""),
        ("e\u200b\u0301", "é"),
    ],
)
def test_what_becomes_of_awkward_names(text: str, name: str) -> None:
    assert names.fit(text) == name


def test_a_name_of_255_units_is_whole_and_one_more_is_cut() -> None:
    assert names.fit("x" * 255) == "x" * 255
    cut = names.fit("x" * 256)
    assert cut[:245] == "x" * 245
    assert cut[245:247] == "… "
    assert len(cut) == 255


def test_the_ending_of_a_cut_name_never_changes() -> None:
    """The digits are in names that Trakor has: another hash would make every long name another one."""
    assert names.fit("x" * 256)[-8:] == "85e62acd"


def test_long_names_that_differ_at_the_end_stay_different() -> None:
    assert names.fit("x" * 300 + "a") != names.fit("x" * 300 + "b")


def test_length_is_counted_in_utf16_units() -> None:
    assert names.fit("👩" * 127) == "👩" * 127
    assert units(names.fit("👩" * 128)) <= 255
    assert names.fit("👩" * 128).startswith("👩" * 122 + "… ")


@pytest.mark.parametrize("follower", ["\u0301", "\u0651", "🏽"])
def test_a_cut_never_parts_a_character_from_what_is_drawn_onto_it(follower: str) -> None:
    cut = names.fit("x" * 244 + "ش" + follower + "y" * 50)
    assert cut.startswith("x" * 244 + "… ")


def test_a_text_of_marks_alone_is_cut_all_the_same() -> None:
    assert units(names.fit("\u0301" * 1000)) == 255


@given(ANY_TEXT | LONG_TEXT, ANY_TEXT)
def test_a_qualified_name_ends_with_its_whole_qualifier_or_is_not_made(name: str, qualifier: str) -> None:
    qualified = names.qualify(name, qualifier)
    if qualified:
        assert qualified.endswith(f" ({names.tidy(qualifier)})")
        assert names.fit(qualified) == qualified
    else:
        whole, told_apart_by = names.tidy(name), names.tidy(qualifier)
        assert not whole or not told_apart_by or units(f"{whole} ({told_apart_by})") > 255


def test_a_short_name_is_qualified_whole() -> None:
    assert names.qualify("Ravi  Kumar", " ravi@acme.in ") == "Ravi Kumar (ravi@acme.in)"


def test_a_long_name_is_cut_for_its_qualifier_with_the_hash_of_the_whole() -> None:
    whole = "x" * 250
    qualified = names.qualify(whole, "ravi@acme.in")
    assert units(qualified) == 255
    assert names.fit(whole + "x" * 50)[-8:] != qualified[-23:-15] != names.qualify(whole + "y", "z")[-12:-4]
    assert names.qualify(whole + "a", "q") != names.qualify(whole + "b", "q")


@pytest.mark.parametrize(("name", "qualifier"), [("", "x"), ("Ravi", " \u200b"), ("x" * 40, "q" * 221)])
def test_what_cannot_be_qualified(name: str, qualifier: str) -> None:
    assert names.qualify(name, qualifier) == ""


def test_a_name_that_fits_beside_a_long_qualifier_is_qualified() -> None:
    assert names.qualify("Ravi", "q" * 240) == f"Ravi ({'q' * 240})"
    assert names.qualify("x" * 40, "q" * 220) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ravi Kumar", "RAVI  KUMAR "),
        ("Straße", "STRASSE"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("ﬁsh", "Fish"),
        ("René", "RENE\u0301"),
        ("Ra\u200bvi", "ravi"),
    ],
)
def test_spellings_of_one_name_have_one_key(one: str, other: str) -> None:
    assert names.key(one) == names.key(other)


@pytest.mark.parametrize(("one", "other"), [("Ravi", "Rávi"), ("Ravi K", "RaviK"), ("Ravi", "Ravi.")])
def test_different_names_have_different_keys(one: str, other: str) -> None:
    assert names.key(one) != names.key(other)


@given(ANY_TEXT | LONG_TEXT)
def test_a_name_and_its_fit_form_have_one_key(text: str) -> None:
    assert names.key(names.fit(text)) == names.key(text)


def test_hashes_need_the_key_and_tell_purposes_apart() -> None:
    one, other = Hasher(KEY), Hasher(KEY[::-1])
    assert one.name_key("Ravi") == one.name_key("RAVI ") != other.name_key("Ravi")
    assert one.same_as("A@B.au") == one.same_as("a@b.au") != one.name_key("a@b.au")
    assert one.value("name", "x") != one.value("contact_info", "x")
    assert one.value("name", "x") != one.value("name", "X")
    assert one.value("ab", "c") != one.value("a", "bc")


def test_hashes_have_the_documented_lengths_and_survive_text_that_nothing_can_store() -> None:
    hasher = Hasher(KEY)
    assert [len(hasher.name_key("x")), len(hasher.same_as("x")), len(hasher.value("f", "x\ud800"))] == [
        16,
        16,
        8,
    ]


def test_empty_text_has_no_hash() -> None:
    hasher = Hasher(KEY)
    assert hasher.name_key(" \u200b") == hasher.same_as("") == hasher.value("name", "") == ""


def test_hashes_never_change_under_the_same_rules() -> None:
    """They are in ledgers: a change without a new RULES would make every record drift."""
    hasher = Hasher(KEY)
    made = (hasher.name_key("Renée"), hasher.same_as("a@b.au"), hasher.value("name", "Renée"))
    assert (names.RULES, *made) == (2, "YfNIeGtTguTOff6Y", "Uffgr3uOhL_3jUUB", "0hP9gliu")
    assert hasher.value("contact_info", CONTACT_INFO) == "SoE3Riko"
    assert hasher.input_of({"id": "c1", "person": None}) == "FpUwMoVN7uq-"


CONTACT_INFO = "Ravi Kumar | +61 412 345 678 | Ravi@Acme.in"


def test_the_hashes_of_older_ledgers_can_still_be_made() -> None:
    """The expected ones are from the version that knew revision 1 alone."""
    hasher = Hasher(KEY)
    assert hasher.first_value("name", "Renée") == "0hP9gliu"
    assert hasher.first_value("contact_info", CONTACT_INFO) == "wZ_OdR0O"
    assert hasher.first_value("qualifier", "Ravi@acme.in") == "u9XkBSyV"
    assert hasher.first_value("price", "600.01") == "BG0qhi1I"
    assert hasher.first_value("description", "two\nlines  here") == "vILjqeTj"


@pytest.mark.parametrize(
    ("identifier", "first"),
    [
        ("a@b.au", "Uffgr3uOhL_3jUUB"),
        ("Ravi@acme.in", "9cLKpzENdbJxtc2K"),
        ("+61 412 345 678", "5ChSauRk4clOjoO-"),
        ("+61 2 9123 4567", "7qnCI878x4kt6AOa"),
        ("+91 98765 43210", "y-NbjDtjL6KXaLCp"),
        ("ABN 98 765 432 109", "PItXwZEhnxdkXlNj"),
    ],
)
def test_what_identified_a_person_in_an_older_ledger_still_does(identifier: str, first: str) -> None:
    """An e-mail address as typed, and a number in the form that the map's `phone` gives."""
    assert Hasher(KEY).same_as(identifier) == first


def test_spellings_of_one_identifier_have_one_hash() -> None:
    hasher = Hasher(KEY)
    assert hasher.same_as("0412 345 678") == hasher.same_as("+61 412 345 678")
    assert hasher.same_as("RAVI@acme.in") == hasher.same_as("ravi@Acme.in")


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("contact_info", "Ravi | 0412 345 678 | R@x.in", "Ravi | +61 412 345 678 | r@X.in"),
        ("qualifier", "Ravi@acme.in", "ravi@ACME.in"),
        ("description", "two\n lines", "two lines"),
    ],
)
def test_a_respelt_field_keeps_its_hash_but_not_its_first_one(field: str, one: str, other: str) -> None:
    hasher = Hasher(KEY)
    assert hasher.value(field, one) == hasher.value(field, other)
    assert hasher.first_value(field, one) != hasher.first_value(field, other)


def test_an_input_is_the_same_whatever_the_order_of_its_fields() -> None:
    hasher = Hasher(KEY)
    one = hasher.input_of({"id": "c1", "person": {"a": 1, "b": None}})
    assert one == hasher.input_of({"person": {"b": None, "a": 1}, "id": "c1"})
    assert one != hasher.input_of({"id": "c1", "person": {"a": 1}})
    assert len(one) == 12


@pytest.mark.parametrize("value", ["\ud800", 2**64])
def test_what_cannot_be_written_as_json_has_no_hash_of_its_input(value: object) -> None:
    assert Hasher(KEY).input_of({"id": "c1", "odd": value}) == ""


@pytest.mark.parametrize("size", [0, 15, 65])
def test_a_ledger_key_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"it has {size}"):
        Hasher(b"x" * size)


FIELDS = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
DIGESTS = st.from_regex(r"[A-Za-z0-9_-]{8}", fullmatch=True)


@given(st.dictionaries(FIELDS, DIGESTS))
def test_stored_hashes_come_back(hashes: dict[str, str]) -> None:
    assert names.decode(names.encode(hashes)) == hashes


def test_stored_hashes_are_one_short_text_whatever_their_order() -> None:
    assert names.encode({"name": "a", "contact_info": "b", "price": ""}) == "2;contact_info=b;name=a"
    assert names.encode({}) == names.encode({"price": ""}) == ""


def test_hashes_made_by_unknown_rules_are_equal_to_none_of_ours() -> None:
    assert names.decode("3;name=AAAAAAAA") == {names.OTHER_RULES: "3"}


def test_hashes_of_revision_1_are_read_and_say_that_they_are() -> None:
    stored = names.encode({"name": "0hP9gliu", "qualifier": "u9XkBSyV"}, rules=names.FIRST_RULES)
    assert stored == "1;name=0hP9gliu;qualifier=u9XkBSyV"
    assert names.decode(stored) == {"name": "0hP9gliu", "qualifier": "u9XkBSyV"}


def test_the_rules_of_stored_hashes_are_known() -> None:
    assert [names.revision_of(text) for text in ("", "1;name=a", "2;name=a", "3;x=y")] == [0, 1, 2, 3]
    assert names.revision_of(names.encode({"name": "a"})) == names.RULES
    with pytest.raises(LedgerError, match="cannot be read"):
        names.revision_of("x;name=a")


@pytest.mark.parametrize("text", ["x;name=a", "1;name", "1;=a", ";", "1;name="])
def test_hashes_that_cannot_be_read_are_a_fault_of_the_ledger(text: str) -> None:
    with pytest.raises(LedgerError, match="cannot be read"):
        names.decode(text)
