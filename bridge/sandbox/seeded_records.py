"""Generates seeded data: any number of contacts and loan products, each from its index and on request.

Nothing is stored, so a million contacts take no memory. The same seed and index give the same record. The
oddities of real data are at fixed places in every hundred contacts and every twenty products. So even a small
sandbox has all of them, and a test can name the place. ``odd_records.py`` has the tables ``CONTACT_ODDITIES``
and ``PRODUCT_ODDITIES``; docs/sandbox.md lists the oddities for users.
"""

from __future__ import annotations

import hashlib
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from bridge.sandbox import names

Row: TypeAlias = dict[str, Any]
"""One object as GraphQL returns it: field name of the schema -> value."""

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_MASK = 2**48 - 1
_ODD = 0x5DEECE66D
_INVERSE = pow(_ODD, -1, 2**48)
_STEP = 100_003  # a prime, so that all combinations of names come before one is repeated


def digest(seed: int, kind: str, index: int) -> bytes:
    """Return 32 bytes that look random, and are the same for the same arguments."""
    return hashlib.blake2b(f"{seed}:{kind}:{index}".encode(), digest_size=32).digest()


class Numbering:
    """Makes ids that look like UUIDs and contain their index, so that no map of a million ids is needed.

    Args:
        seed: The seed of the data set.
        kind: The kind of record. Each kind has other ids.
    """

    def __init__(self, seed: int, kind: str) -> None:
        self.seed = seed
        self.kind = kind

    def id_of(self, index: int) -> str:
        """Return the id of the record with this index."""
        text = digest(self.seed, self.kind, index).hex()
        low = (index * _ODD + self.seed) & _MASK
        return f"{text[:8]}-{text[8:12]}-4{text[12:15]}-a{text[15:18]}-{low:012x}"

    def index_of(self, identity: str) -> int | None:
        """Return the index of the record with this id; None if this numbering did not make the id."""
        try:
            low = int(identity[24:], 16)
        except ValueError:
            return None
        index = (low - self.seed) * _INVERSE & _MASK
        return index if self.id_of(index) == identity else None


def plain_letters(text: str) -> str:
    """Return only lower-case ASCII letters, as used in an e-mail address."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "".join(letter for letter in folded if letter.isalnum())


def landline(number: int) -> str:
    """Return one of 80,000 fictitious Australian landlines."""
    area = names.AREA_CODES[number % 4]
    start = names.LANDLINE_STARTS[number // 4 % 2]
    return f"({area}) {start} {number // 8 % 10_000:04d}"


class People:
    """Makes ordinary contacts. Each has another name, e-mail address and telephone number.

    Args:
        seed: The seed of the data set.
    """

    def __init__(self, seed: int) -> None:
        self.numbering = Numbering(seed, "contact")
        self.owners = [Numbering(seed, "user").id_of(index) for index in range(3)]
        self.labels = [Numbering(seed, "label").id_of(index) for index in range(len(LABELS))]
        self._families = [start + end for start in names.FAMILY_STARTS for end in names.FAMILY_ENDS]

    def name(self, index: int) -> tuple[str, str]:
        """Return first and family name. No two indexes share both; from 400,000 on, families are doubled."""
        firsts, families = len(names.FIRST_NAMES), len(self._families)
        turn, place = divmod(index, firsts * families)
        place = (place * _STEP + self.numbering.seed * 7919) % (firsts * families)
        first, family = names.FIRST_NAMES[place % firsts], self._families[place // firsts]
        return first, f"{family}-{self._families[turn]}" if turn else family

    def base(self, index: int) -> Row:
        """Return the fields that persons and companies have in common."""
        random = digest(self.numbering.seed, "contact", index)
        return {
            "id": self.numbering.id_of(index),
            "idOwner": self.owners[random[20] % 3],
            "idLabels": [self.labels[random[21] % len(LABELS)]] if random[21] < 128 else [],  # noqa: PLR2004 - half
            "isActive": True,
            "timeStamp": (EPOCH + timedelta(seconds=index)).isoformat(),
            "person": None,
            "company": None,
        }

    def person(self, index: int) -> Row:
        """Return an ordinary person."""
        first, family = self.name(index)
        random = digest(self.numbering.seed, "person", index)
        row = self.base(index)
        row["person"] = {
            "information": _information(first, family, random),
            "contact": _details(f"{plain_letters(first)}.{plain_letters(family)}.{index}", index, random),
            "employments": [_employment(random)] if random[0] % 3 else [],
        }
        return row

    def company(self, index: int) -> Row:
        """Return an ordinary company."""
        first, family = self.name(index)
        random = digest(self.numbering.seed, "company", index)
        name = f"{first} {family} {names.COMPANY_ENDS[random[0] % len(names.COMPANY_ENDS)]}"
        row = self.base(index)
        row["company"] = {
            "information": {"name": name, "tradingName": family, "abn": f"{index:011d}"},
            "contact": _details(f"office.{plain_letters(family)}.{index}", index, random),
        }
        return row


LABELS = ("Client", "Prospect", "Referrer", "Investor", "First home buyer")


def _information(first: str, family: str, random: bytes) -> Row:
    born = EPOCH - timedelta(days=7000 + int.from_bytes(random[1:3], "big") % 15_000)
    return {
        "firstName": first,
        "middleName": None,
        "familyName": family,
        "dateOfBirth": born.date().isoformat(),
        "idSpouse": None,
        "spouseFirstName": None,
        "spouseFamilyName": None,
    }


def _details(mailbox: str, index: int, random: bytes) -> Row:
    mobile = names.MOBILES[random[3] % len(names.MOBILES)]
    fixed = landline(index)
    written = (mobile, mobile.replace(" ", ""), fixed, mobile[1:])[random[4] % 4]
    return {
        "email": f"{mailbox}@{names.EMAIL_DOMAINS[random[5] % 4]}",
        "secondaryEmail": None,
        "primaryCode": ("61", "+61", None)[random[6] % 3] if written[0] in "0(" else "61",
        "primary": written,
        "homeCode": "61",
        "home": fixed,
        "mailingAddress": _address(random),
    }


def _address(random: bytes) -> Row:
    suburb, state, code = names.SUBURBS[random[7] % len(names.SUBURBS)]
    return {
        "suiteNumber": None,
        "streetNumber": str(random[8] + 1),
        "street": names.STREETS[random[9] % len(names.STREETS)],
        "streetType": names.STREET_TYPES[random[10] % len(names.STREET_TYPES)],
        "suburb": suburb,
        "city": None,
        "state": state,
        "country": "Australia",
        "postCode": code,
    }


def _employment(random: bytes) -> Row:
    return {
        "employerName": names.EMPLOYERS[random[11] % len(names.EMPLOYERS)],
        "role": names.ROLES[random[12] % len(names.ROLES)],
        "type": "Full time",
        "startDate": f"20{random[13] % 24:02d}-02-01",
    }


class Loans:
    """Makes ordinary home-loan products. No two share both lender and name.

    Args:
        seed: The seed of the data set.
    """

    def __init__(self, seed: int) -> None:
        self.numbering = Numbering(seed, "product")

    def lender(self, index: int) -> Row:
        """Return one of the lenders, as a product lists it."""
        name, abbreviation = names.LENDERS[index % len(names.LENDERS)]
        identity = Numbering(self.numbering.seed, "lender").id_of(index % len(names.LENDERS))
        return {"id": identity, "name": name, "abbr": abbreviation, "turnaround": 1 + index % 9}

    def product(self, index: int) -> Row:
        """Return an ordinary product with an application fee."""
        family, rate = divmod(index // len(names.LENDERS), len(names.RATES))
        edition, series = divmod(family, len(names.SERIES))
        name = f"{names.SERIES[series]} {names.RATES[rate]}" + (f" {edition + 1}" if edition else "")
        random = digest(self.numbering.seed, "product", index)
        return {
            "id": self.numbering.id_of(index),
            "abbr": f"{names.SERIES[series][:3].upper()}{rate}",
            "name": name,
            "notes": None if random[0] % 2 else "Available to new customers.",
            "type": "HOME_LOAN",
            "isActive": True,
            "lender": [self.lender(index)],
            "residential": _residential(rate, random),
            "fee": [fee("VALUATION", 220.0), fee("APPLICATION", 100.0 + random[1]), fee("ANNUAL", 395.0)],
        }


def fee(kind: str, value: float | None) -> Row:
    """Return one fee of a product, with a name as lenders use it."""
    return {"type": kind, "name": f"{kind.capitalize()} fee", "description": None, "value": value}


def _residential(rate: int, random: bytes) -> Row:
    return {
        "rateType": "FIXED" if rate else "VARIABLE",
        "repaymentType": "INTEREST_ONLY" if random[2] % 4 == 0 else "PRINCIPAL_AND_INTEREST",
        "propertyUse": "INVESTMENT" if random[3] % 3 == 0 else "OWNER_OCCUPIED",
        "initialRate": 5 + random[4] / 100,
        "lvrMax": float(60 + random[5] % 36),
        "loanMin": 50_000.0,
        "loanMax": 2_500_000.0,
    }
