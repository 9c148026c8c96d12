"""Oddities of real data, at fixed places in every hundred contacts and every twenty products.

``contact 142`` has index 142, so place 42: the Unicode twin of contact 141. Each function makes an odd record
from an ordinary one. The two tables at the end assign the functions to places.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, TypeAlias

from bridge.sandbox import names
from bridge.sandbox.seeded_records import Loans, People, Row, digest, fee, landline

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["contact", "product"]

ContactOddity: TypeAlias = "Callable[[People, int], Row]"
ProductOddity: TypeAlias = "Callable[[Loans, int], Row]"


def contact(people: People, index: int) -> Row:
    """Return the contact with this index, ordinary or odd."""
    return CONTACT_ODDITIES.get(index % 100, People.person)(people, index)


def product(loans: Loans, index: int) -> Row:
    """Return the product with this index, ordinary or odd."""
    return PRODUCT_ODDITIES.get(index % 20, Loans.product)(loans, index)


def _with_name(people: People, index: int, first: str | None, family: str | None) -> Row:
    row = people.person(index)
    row["person"]["information"].update(firstName=first, familyName=family)
    return row


def _with_contact(**changes: str | None) -> ContactOddity:
    def change(people: People, index: int) -> Row:
        row = people.person(index)
        row["person"]["contact"].update(changes)
        return row

    return change


def _name_oddity(first: str | None, family: str | None) -> ContactOddity:
    return lambda people, index: _with_name(people, index, first, family)


def _decorate_name(before: str, after: str) -> ContactOddity:
    def decorate(people: People, index: int) -> Row:
        first, family = people.name(index)
        return _with_name(people, index, before + first, family + after)

    return decorate


def _namesake(back: int) -> ContactOddity:
    """Return a namesake of the contact ``back`` places earlier, or at the beginning of the one before."""

    def copy(people: People, index: int) -> Row:
        return _with_name(people, index, *people.name(index - back if index >= back else index - 1))

    return copy


def _shared_name(people: People, index: int) -> Row:
    """Return a person with a name that three share: that of place 96 in the block with half the number."""
    return _with_name(people, index, *people.name(index // 100 // 2 * 100 + 96))


def _other_case(people: People, index: int) -> Row:
    first, family = people.name(index - 1)
    return _with_name(people, index, first.upper(), family.upper())


def _other_spacing(people: People, index: int) -> Row:
    first, family = people.name(index - 1)
    return _with_name(people, index, f" {first} ", f"\u00a0{family}\t")


def _accented_name(people: People, index: int) -> tuple[str, str]:
    first, family = people.name(index)
    return f"{names.ACCENTED_NAMES[index // 100 % len(names.ACCENTED_NAMES)]}-{first}", family


def _accented(people: People, index: int) -> Row:
    return _with_name(people, index, *_accented_name(people, index))


def _decomposed(people: People, index: int) -> Row:
    first, family = _accented_name(people, index - 1)
    return _with_name(people, index, unicodedata.normalize("NFD", first), family)


def _long(ending: str) -> ContactOddity:
    """Make a name of over 255 characters. Two such names in a block differ only at the end."""

    def lengthen(people: People, index: int) -> Row:
        first, family = people.name(index // 100 * 100 + 55)
        return _with_name(people, index, " ".join([first] * 60), f"{family} {ending}")

    return lengthen


def _long_in_units(people: People, index: int) -> Row:
    """Make a name of under 255 characters and over 255 UTF-16 code units."""
    return _with_name(people, index, " ".join(people.name(index)), "🦘" * 130)


def _mononym(people: People, index: int) -> Row:
    return _with_name(people, index, None, "".join(people.name(index)))


def _right_to_left(people: People, index: int) -> Row:
    """Make a name with one word for each digit of the hundred's number, so that no two are the same."""
    first, *rest = (names.RIGHT_TO_LEFT_NAMES[int(digit)] for digit in f"{index // 100:02d}")
    return _with_name(people, index, first, " ".join(rest))


def _same_person(people: People, index: int) -> Row:
    row = people.person(index - 1)
    return row | {"id": people.numbering.id_of(index)}


def _inactive(people: People, index: int) -> Row:
    return people.person(index) | {"isActive": False}


def _without_mail(people: People, index: int) -> Row:
    row = people.person(index)
    row["person"]["contact"].update(email=None, primaryCode="61", primary=landline(index))
    return row


def _without_details(people: People, index: int) -> Row:
    row = people.person(index)
    row["person"]["contact"] = None
    return row


def _company_without_details(people: People, index: int) -> Row:
    """Make a company without telephone number and e-mail address."""
    row = people.company(index)
    row["company"]["contact"] = None
    return row


def _with_fees(*fees: Row) -> ProductOddity:
    def price(loans: Loans, index: int) -> Row:
        return loans.product(index) | {"fee": [dict(one) for one in fees]}

    return price


def _with_product_name(name: str) -> ProductOddity:
    return lambda loans, index: loans.product(index) | {"name": name}


def _with_lenders(count: int) -> ProductOddity:
    def lend(loans: Loans, index: int) -> Row:
        return loans.product(index) | {"lender": [loans.lender(index + place) for place in range(count)]}

    return lend


def _same_product(loans: Loans, index: int) -> Row:
    twin = loans.product(index - 1)
    return twin | {"id": loans.numbering.id_of(index), "abbr": "V2"}


def _inactive_product(loans: Loans, index: int) -> Row:
    return loans.product(index) | {"isActive": False}


def _with_html(loans: Loans, index: int) -> Row:
    return loans.product(index) | {"notes": "<p>Up to <b>95%</b> LVR</p><script>alert(1)</script>"}


def _varied_establishment(loans: Loans, index: int) -> Row:
    cents = digest(loans.numbering.seed, "fee", index)[0]
    return loans.product(index) | {"fee": [fee("ESTABLISHMENT", 595 + cents / 100), fee("APPLICATION", 10.0)]}


CONTACT_ODDITIES: dict[int, ContactOddity] = {
    3: _inactive,
    5: People.company,
    12: _other_case,  # of 11
    15: People.company,
    17: _inactive,
    22: _other_spacing,  # of 21
    25: People.company,
    31: _namesake(1),  # of 30
    35: People.company,
    41: _accented,
    42: _decomposed,  # of 41
    45: People.company,
    50: _name_oddity(None, None),
    51: _name_oddity("  ", ""),
    52: _mononym,
    55: _long("the Elder"),
    56: _long("the Younger"),
    57: _long_in_units,
    63: _namesake(101),  # of 62 in the hundred before
    64: _inactive,
    65: People.company,
    75: _company_without_details,
    80: _same_person,  # as 79
    83: _inactive,
    84: People.company,
    85: _decorate_name("", " 👩\u200d👩\u200d👧 🏡"),
    86: _right_to_left,
    87: _decorate_name("<b>", "</b> & <i>Co</i>"),
    88: _without_mail,
    89: _with_contact(primary=None, primaryCode=None, home=None, homeCode=None),
    90: _with_contact(email=None, primary=None, primaryCode=None, home=None, homeCode=None),
    91: _with_contact(primary="call after 5pm", primaryCode=None),
    92: _with_contact(primary="000", primaryCode="61"),
    93: _with_contact(primary="021 555 0123", primaryCode="64"),
    94: _decorate_name("\u200b", "\u202e\x07"),
    95: _with_contact(email="NOT AN ADDRESS"),
    97: _shared_name,
    98: _without_details,
    99: lambda people, index: people.base(index),  # neither person nor company
}

PRODUCT_ODDITIES: dict[int, ProductOddity] = {
    1: _varied_establishment,
    3: _with_fees(fee("APPLICATION", 199.994999999)),
    4: _with_fees(fee("APPLICATION", -150.0)),
    5: _with_fees(fee("APPLICATION", 1e13)),
    6: _with_fees(fee("APPLICATION", None)),
    7: _with_fees(),
    8: _with_lenders(0),
    9: _with_lenders(2),
    10: _with_fees(fee("ESTABLISHMENT", 2.675)),
    11: _inactive_product,
    12: _with_html,
    13: _with_fees(fee("APPLICATION", 0.0)),
    14: _with_fees(fee("ANNUAL", 395.0)),
    15: _same_product,  # as 14
    16: _with_product_name("Very " * 60 + "Long Loan"),
    17: _with_product_name("🏡 Eco Loan"),
    18: _with_product_name(""),
    19: _with_fees(fee("APPLICATION", 1e12)),
}
