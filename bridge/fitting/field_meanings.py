"""Which value of a record is its e-mail address, which its price: by names, types and neighbours. Pure.

::

    RecordField(emailAddresses[] > address: String)  ──EMAIL──>  0.97
    RecordField(owner > email: String)               ──EMAIL──>  0     (somebody else's)

A meaning is a list of spellings, the best first. A value is rated by the spelling that ends its path, and by
words that speak against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphql import GraphQLEnumType

from bridge.fitting.record_fields import OTHERS, RecordField, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "COMPANY_NAME",
    "COMPANY_WORDS",
    "EMAIL",
    "FIRST_NAME",
    "FULL_NAME",
    "LAST_NAME",
    "LENDER",
    "PHONE",
    "PRICE",
    "PRODUCT_NAME",
    "TRADING_NAME",
    "Meaning",
    "Rated",
    "is_about_company",
    "rate_fields",
]

COMPANY_WORDS: Final = frozenset(
    [
        "company",
        "business",
        "organisation",
        "organization",
        "entity",
        "corporate",
        "trust",
        "enterprise",
        "firm",
    ]
)

NEVER_TEXT: Final = frozenset({"Boolean", "Int", "Float"})
CONTAINERS: Final = frozenset({"value", "display", "text", "content", "raw"})
VALUE_WORDS: Final = frozenset(
    {"value", "number", "address", "text", "international", "formatted", "full", "raw"}
)
DEPTH_COSTS: Final = 0.01
FOR_EYES: Final = (("display", "value"), ("formatted", "value"))
FOR_EYES_COSTS: Final = 0.3
"""What is shown to people is a second choice beside the value itself."""

LIST_COSTS: Final = 0.02
RANK_COSTS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a value can mean.

    Attributes:
        name: What it is called when it is explained to a person.
        spellings: Ends of a path that mean it, the best first.
        against: Words anywhere on the path that speak against it.
        needs: Words of which the path must have one; none: no matter.
        takes_numbers: It may be a number.
        scalars: Words in the name of a scalar that is made for such values: ``EmailAddress``.
        inside: Words below which anything that is called a value or a number is meant.
    """

    name: str
    spellings: tuple[str, ...]
    against: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    takes_numbers: bool = False
    scalars: frozenset[str] = frozenset()
    inside: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rated:
    """A value, and how likely it has a meaning, from 0 to 1."""

    field: RecordField
    score: float


_SELDOM: Final = frozenset(
    [
        "fax",
        "secondary",
        "alternate",
        "alternative",
        "other",
        "billing",
        "previous",
        "former",
        "maiden",
        "old",
        "middle",
        "second",
        "preferred",
        "nick",
        "known",
        "verified",
        "opt",
        "consent",
        "count",
        "domain",
        "template",
        "signature",
        "type",
        "kind",
        "status",
        "label",
        "note",
        "url",
        "link",
        "format",
        "extension",
        "code",
        "prefix",
        "country",
    ]
)
_NOT_A_PERSON: Final = COMPANY_WORDS | frozenset(
    {"street", "suburb", "state", "bank", "lender", "label", "file"}
)

FIRST_NAME: Final = Meaning(
    "first name",
    ("first name", "given name", "forename", "name first", "name given", "first", "given", "fname"),
    _SELDOM | COMPANY_WORDS,
)
LAST_NAME: Final = Meaning(
    "family name",
    ("last name", "family name", "surname", "name last", "name family", "last", "family", "lname"),
    _SELDOM | COMPANY_WORDS,
)
FULL_NAME: Final = Meaning(
    "full name",
    (
        "full name",
        "name full",
        "display name",
        "contact name",
        "client name",
        "customer name",
        "person name",
        "party name",
        "name display",
        "formatted name",
        "name",
    ),
    _SELDOM
    | _NOT_A_PERSON
    | {
        "first",
        "last",
        "given",
        "family",
        "trading",
        "trade",
        "short",
        "sort",
        "search",
        "index",
        "api",
        "object",
    },
)
COMPANY_NAME: Final = Meaning(
    "company name",
    (
        "company name",
        "business name",
        "organisation name",
        "organization name",
        "legal name",
        "entity name",
        "corporate name",
        "registered name",
        "trust name",
        "company legal name",
        "name legal",
        "company title",
        "company",
    ),
    _SELDOM | {"trading", "first", "last"},
)
TRADING_NAME: Final = Meaning(
    "trading name", ("trading name", "trade name", "trading as", "name trading"), _SELDOM
)
EMAIL: Final = Meaning(
    "e-mail address",
    (
        "primary email",
        "email address",
        "email",
        "mail address",
        "mail",
        "email value",
        "mail value",
        "email address value",
        "e mail",
        "email addr",
    ),
    _SELDOM - {"preferred"} | {"date", "at", "valid"},
    scalars=frozenset({"email"}),
    inside=frozenset({"email", "mail"}),
)
PHONE: Final = Meaning(
    "phone number",
    (
        "mobile phone number",
        "mobile phone",
        "mobile number",
        "mobile no",
        "mobile",
        "primary phone",
        "primary phone number",
        "cell phone",
        "cell",
        "phone number",
        "phone no",
        "phone num",
        "phone",
        "telephone number",
        "telephone no",
        "contact number",
        "contact no",
        "telephone",
        "phone value",
        "mobile value",
        "phone international",
        "phone formatted",
        "tel",
        "tel no",
        "home phone",
        "home phone number",
        "home number",
        "home",
        "landline",
        "work phone",
        "work phone number",
    ),
    _SELDOM - {"preferred"} | {"address", "date", "at", "valid", "loan", "owner", "ownership", "account"},
    takes_numbers=True,
    scalars=frozenset({"phone", "telephone"}),
    inside=frozenset({"phone", "telephone", "mobile"}),
)
PRODUCT_NAME: Final = Meaning(
    "product name",
    (
        "product name",
        "marketing name",
        "name",
        "title",
        "product title",
        "display name",
        "label",
        "product label",
    ),
    frozenset(
        [
            "lender",
            "bank",
            "funder",
            "provider",
            "financier",
            "institution",
            "abbr",
            "code",
            "fee",
            "rate",
            "feature",
            "type",
            "category",
            "company",
            "creditor",
            "issuer",
            "brand",
            "vendor",
            "supplier",
            "short",
        ]
    ),
)
LENDER: Final = Meaning(
    "lender",
    (
        "name",
        "lender name",
        "bank name",
        "display name",
        "full name",
        "trading name",
        "title",
        "legal name",
        "registered name",
        "label",
        "lender",
        "funder",
        "bank",
        "provider",
        "financier",
        "institution",
        "creditor",
        "abbr",
        "abbreviation",
        "short name",
        "code",
    ),
    frozenset({"type", "kind", "status", "country"}),
    needs=frozenset(
        [
            "lender",
            "bank",
            "funder",
            "provider",
            "financier",
            "institution",
            "creditor",
            "issuer",
            "brand",
            "vendor",
            "supplier",
        ]
    ),
)
PRICE: Final = Meaning(
    "price",
    (
        "application fee",
        "establishment fee",
        "upfront fee",
        "setup fee",
        "origination fee",
        "fee application",
        "fee establishment",
        "fee upfront",
        "fee",
        "price",
        "cost",
        "charge",
    ),
    frozenset(
        [
            "rate",
            "type",
            "kind",
            "currency",
            "code",
            "name",
            "label",
            "description",
            "ongoing",
            "annual",
            "monthly",
            "exit",
            "discharge",
            "late",
        ]
    ),
    takes_numbers=True,
)

_UNITS: Final = ("amount", "value", "cent", "minor", "unit", "dollar", "total", "aud", "decimal")
"""What follows the name of an amount of money: ``fee { amount currency }``, ``feeCents``."""


def rate_fields(fields: Iterable[RecordField], meaning: Meaning) -> list[Rated]:
    """The values that can have a meaning, the most likely first.

    Args:
        fields: All values of a record.
        meaning: What is looked for.
    """
    rated = [Rated(field, _score(field, meaning)) for field in fields]
    found = [one for one in rated if one.score > 0]
    return sorted(found, key=lambda one: -one.score)


def is_about_company(field: RecordField) -> bool:
    """Whether only a company has this value: by its type, or a word on its path."""
    return bool(COMPANY_WORDS & {*words_of(field.on), *field.words})


def _score(field: RecordField, meaning: Meaning) -> float:
    words = field.words
    if not _has_fitting_type(field, meaning) or OTHERS & set(words) or field.list_steps > 1:
        return 0.0
    if meaning.needs and not meaning.needs & set(words):
        return 0.0
    words = _without_units(words) if meaning is PRICE else words
    place = _spelling(_without_container(words), meaning.spellings)
    if place is None and (
        meaning.scalars & set(words_of(field.kind.name))
        or (meaning.inside & set(words) and words[-1] in VALUE_WORDS and len(field.steps) > 1)
    ):
        place = len(meaning.spellings)
    if place is None or meaning.against & set(words):
        return 0.0
    costs = DEPTH_COSTS * len(field.steps) + LIST_COSTS * field.list_steps
    if field.last_words in FOR_EYES:
        costs += FOR_EYES_COSTS
    return max(0.01, 1.0 - RANK_COSTS * place - costs)


def _spelling(words: Sequence[str], spellings: Sequence[str]) -> int | None:
    """The place of the spelling that ends the words; the longest one counts. None: there is none."""
    ends = [
        (-len(spelling.split()), place)
        for place, spelling in enumerate(spellings)
        if tuple(words[-len(spelling.split()) :]) == tuple(spelling.split())
    ]
    return min(ends)[1] if ends else None


def _without_container(words: tuple[str, ...]) -> tuple[str, ...]:
    """A path without what only holds a value: ``FirstName { value displayValue }``."""
    while len(words) > 1 and words[-1] in CONTAINERS:
        words = words[:-1]
    return words


def _without_units(words: tuple[str, ...]) -> tuple[str, ...]:
    while len(words) > 1 and words[-1] in (*_UNITS, "in"):
        words = words[:-1]
    return words


def _has_fitting_type(field: RecordField, meaning: Meaning) -> bool:
    if isinstance(field.kind, GraphQLEnumType) or field.kind.name == "Boolean":
        return False
    return meaning.takes_numbers or field.kind.name not in NEVER_TEXT
