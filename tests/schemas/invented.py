"""Invented people, companies and loans, with all that makes real data awkward. The same ones each time.

Each schema gives them a form and names of its own. Telephone numbers are those that regulators keep free for
fiction: the Australian ones as in ``bridge.sandbox.names``, the British ones of Ofcom.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from bridge.sandbox import names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Loan", "Someone", "international", "loans", "national", "people", "tidy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Someone:
    """A person, or a company if ``company`` is not empty.

    Attributes:
        number: Its place among all.
        first: First name.
        middle: Middle name; empty for most.
        family: Family name; empty for a person with one name only.
        company: The company's name; a person has none.
        email: The main address; empty if there is none.
        other_email: Another one; empty for most.
        mobile: In the form ``+61491570006``; empty if there is none.
        landline: Likewise.
        fax: Likewise; nobody can be called there.
        archived: Whether the organisation has put it away.
    """

    number: int
    first: str = ""
    middle: str = ""
    family: str = ""
    company: str = ""
    email: str = ""
    other_email: str = ""
    mobile: str = ""
    landline: str = ""
    fax: str = ""
    archived: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The full names that are right: with and without the middle name."""
        if self.company:
            return (tidy(self.company),)
        short, long = f"{self.first} {self.family}", f"{self.first} {self.middle} {self.family}"
        return tuple(dict.fromkeys((tidy(short), tidy(long))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """A loan product.

    Attributes:
        number: Its place among all.
        name: Without its lender.
        lender: The lender's name.
        short: The lender's short name.
        price: The application fee in dollars; None if there is none.
        rate: Interest in per cent.
        withdrawn: Whether it is no longer offered.
    """

    number: int
    name: str
    lender: str
    short: str
    price: Decimal | None
    rate: Decimal
    withdrawn: bool


def tidy(text: str) -> str:
    """A text as people read it: composed (NFC), without spaces at its ends or twice."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def national(phone: str) -> str:
    """``+61491570006`` as ``0491 570 006``; a number of another country stays as it is."""
    if not phone.startswith("+61"):
        return phone
    digits = "0" + phone.removeprefix("+61")
    if digits.startswith("04"):
        return f"{digits[:4]} {digits[4:7]} {digits[7:]}"
    return f"({digits[:2]}) {digits[2:6]} {digits[6:]}"


def international(phone: str) -> str:
    """``+61491570006`` as ``+61 491 570 006``."""
    code, rest = phone[:3], phone[3:]
    return " ".join(part for part in (code, rest[:3], rest[3:6], rest[6:]) if part)


def people(count: int, *, from_number: int = 0) -> list[Someone]:
    """Invented people and companies.

    Args:
        count: How many.
        from_number: Where to begin, so that two schemas have different people.
    """
    return [_awkward(_someone(number)) for number in range(from_number, from_number + count)]


def _someone(number: int) -> Someone:
    first = names.FIRST_NAMES[number * 37 % len(names.FIRST_NAMES)]
    family = _family(number)
    domain = names.EMAIL_DOMAINS[number % len(names.EMAIL_DOMAINS)]
    mobile = names.MOBILES[number % len(names.MOBILES)].replace(" ", "").removeprefix("0")
    return Someone(
        number=number,
        first=first,
        family=family,
        email=f"{first}.{family}.{number}@{domain}".lower(),
        mobile=f"+61{mobile}",
    )


def _family(number: int) -> str:
    start = names.FAMILY_STARTS[number * 11 % len(names.FAMILY_STARTS)]
    return start + names.FAMILY_ENDS[number * 7 % len(names.FAMILY_ENDS)]


def _landline(number: int) -> str:
    area = names.AREA_CODES[number % len(names.AREA_CODES)].removeprefix("0")
    return f"+61{area}{names.LANDLINE_STARTS[0]}{number:04d}"


def _awkward(someone: Someone) -> Someone:
    """Change it in each of the ways that its number asks for."""
    number = someone.number
    for (every, place), change in _AWKWARD.items():
        if number % every == place:
            someone = change(someone)
    return someone


def _company(someone: Someone) -> Someone:
    end = names.COMPANY_ENDS[someone.number % len(names.COMPANY_ENDS)]
    email = f"office.{someone.number}@example.com.au"
    landline = _landline(someone.number)
    return replace(
        someone, first="", family="", company=f"{someone.family} {end}", email=email, landline=landline
    )


def _accented(someone: Someone) -> Someone:
    first = names.ACCENTED_NAMES[someone.number % len(names.ACCENTED_NAMES)]
    return replace(someone, first=first, family=f"O'{someone.family}-Łoś")


def _right_to_left(someone: Someone) -> Someone:
    return replace(someone, first=names.RIGHT_TO_LEFT_NAMES[someone.number % len(names.RIGHT_TO_LEFT_NAMES)])


def _namesake(someone: Someone) -> Someone:
    """Another person with the name of the one before."""
    before = _awkward(_someone(someone.number - 1))
    return replace(someone, first=before.first, family=before.family)


_AWKWARD: Mapping[tuple[int, int], Callable[[Someone], Someone]] = {
    (8, 7): _accented,
    (16, 12): _right_to_left,
    (40, 22): lambda one: replace(one, family=""),
    (40, 34): lambda one: replace(one, first=f" {unicodedata.normalize('NFD', 'Zoë')}  "),
    (50, 21): _namesake,
    (9, 4): lambda one: replace(one, middle="Maria-José"),
    (10, 3): _company,
    (6, 1): lambda one: replace(one, landline=_landline(one.number)),
    (7, 2): lambda one: replace(one, other_email=f"second.{one.number}@example.org"),
    (13, 9): lambda one: replace(one, mobile=f"+447700900{one.number:03d}"),
    (5, 2): lambda one: replace(one, fax=_landline(5000 + one.number)),
    # Without an e-mail address the number must be nobody else's: two with one number would be one person.
    (10, 6): lambda one: replace(one, email="", other_email="", mobile="", landline=_landline(one.number)),
    (10, 8): lambda one: replace(one, mobile="", landline=""),
    (50, 28): lambda one: replace(one, email="", other_email=""),
    (11, 5): lambda one: replace(one, archived=True),
}
"""Every so many, at which place -> how those are changed."""


def loans(count: int, *, from_number: int = 0) -> list[Loan]:
    """Invented loan products; arguments as in ``people``."""
    return [_loan(number) for number in range(from_number, from_number + count)]


def _loan(number: int) -> Loan:
    lender, short = names.LENDERS[number % len(names.LENDERS)]
    series = names.SERIES[number // len(names.LENDERS) % len(names.SERIES)]
    price = None if number % 12 == 5 else Decimal(195 + number % 9 * 50) + Decimal(number % 4 * 25) / 100
    return Loan(
        number=number,
        name=f"{series} {names.RATES[number * 3 % len(names.RATES)]}",
        lender=lender,
        short=short,
        price=price,
        rate=Decimal(549 + number * 7 % 140) / 100,
        withdrawn=number % 10 == 7,
    )
