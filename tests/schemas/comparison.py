"""Compares what Trakor has after a backfill with the truth, whatever query files and maps were used.

::

    each party ──as which contact? by its name──> e-mail and phone in contact_info ──> right | what is wrong
                     └─ none that is active ──> archived | unknown
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import phonenumbers

from schemas.invented import tidy
from schemas.truth import TrueContact, TrueProduct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bridge.sandbox import Sandbox
    from bridge.sandbox.trakor_store import Entry
    from schemas.truth import Truth

__all__ = ["Comparison", "Tally", "compare", "contact_faults", "product_faults"]

DIGITS_OF_A_PHONE = 6
"""Fewer are no telephone number."""

R = TypeVar("R", TrueContact, TrueProduct)


@dataclass(slots=True)
class Tally:
    """How well one kind of record has arrived.

    Attributes:
        expected: How many there should be: the active ones.
        right: How many of them are right in every respect.
        wrong: The others: id -> what is wrong.
        archived: Names in Trakor of records that are archived.
        unknown: Names in Trakor that belong to no record.
    """

    expected: int
    right: int = 0
    wrong: dict[str, tuple[str, ...]] = field(default_factory=dict)
    archived: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Which part of the expected ones is right, from 0 to 1."""
        return self.right / self.expected

    @property
    def exact(self) -> bool:
        """Whether all are right, and nothing else is there."""
        return not (self.wrong or self.archived or self.unknown)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Parties and products, compared with the truth."""

    contacts: Tally
    products: Tally


def compare(sandbox: Sandbox, truth: Truth) -> Comparison:
    """Compare Trakor's parties and products with the truth.

    Args:
        sandbox: Whose Trakor it is.
        truth: Of the schema that was read.
    """
    trakor = sandbox.trakor
    return Comparison(
        _Matching(truth.contacts, contact_faults).tally(trakor.parties.entries()),
        _Matching(truth.products, product_faults).tally(trakor.products.entries()),
    )


class _Matching(Generic[R]):
    """Which entry of Trakor is which record.

    Args:
        records: All records of one kind.
        faults: What is wrong with an entry as this record; empty if it is right, None if it is another's.
    """

    def __init__(self, records: Sequence[R], faults: Callable[[R, Entry], tuple[str, ...] | None]) -> None:
        self._records: Sequence[R] = records
        self._faults: Callable[[R, Entry], tuple[str, ...] | None] = faults

    def tally(self, entries: Iterable[Entry]) -> Tally:
        """Count them. Right ones are found first, so that no namesake is taken for them."""
        left = list(entries)
        active = [record for record in self._records if record.active]
        tally = Tally(len(active))
        wrong = [record for record in active if not self._take(record, left, right=True)]
        tally.right = len(active) - len(wrong)
        for record in wrong:
            tally.wrong[record.id] = self._take(record, left) or ("missing",)
        for record in self._records:
            if not record.active:
                tally.archived += [entry.name for entry in left if self._faults(record, entry) is not None]
        tally.unknown = [entry.name for entry in left if entry.name not in tally.archived]
        return tally

    def _take(self, record: R, left: list[Entry], *, right: bool = False) -> tuple[str, ...]:
        """Remove the entry that suits a record best; gives what is wrong with it, ``right`` if nothing is."""
        suiting = [(faults, entry) for entry in left if (faults := self._faults(record, entry)) is not None]
        if right:
            suiting = [(faults, entry) for faults, entry in suiting if not faults]
        if not suiting:
            return ()
        faults, entry = min(suiting, key=lambda one: len(one[0]))
        left.remove(entry)
        return faults or ("right",)


def contact_faults(contact: TrueContact, party: Entry) -> tuple[str, ...] | None:
    """What of a party is wrong, if it is this contact: ``e-mail``, ``phone``. None: it is another contact.

    A name may be followed by what tells two people of one name apart.
    """
    name = tidy(party.name)
    if not any(name == right or name.startswith(f"{right} (") for right in contact.names):
        return None
    parts = [part.strip() for part in party.text.split("|")]
    emails = {part.casefold() for part in parts if "@" in part}
    phones = {_dialled(part) for part in parts if "@" not in part} - {""}
    right = {"e-mail": _fits(emails, contact.emails), "phone": _fits(phones, contact.phones)}
    return tuple(what for what, fits in right.items() if not fits)


def _fits(found: set[str], right: Sequence[str]) -> bool:
    """Whether something right was found, and nothing that is wrong; nothing, if nothing is right."""
    return found <= {one.casefold() for one in right} and bool(found) == bool(right)


def _dialled(text: str) -> str:
    """A telephone number in the form ``+61491570006``; empty if the text is none."""
    if sum(map(str.isdigit, text)) < DIGITS_OF_A_PHONE:
        return ""
    try:
        number = phonenumbers.parse(text, "AU")
    except phonenumbers.NumberParseException:
        return text
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def product_faults(product: TrueProduct, entry: Entry) -> tuple[str, ...] | None:
    """What of an entry is wrong, if it is this product: ``lender``, ``price``. None: it is another product.

    A lender may be named in the name or in the description.
    """
    if not _names(entry.name, product.name):
        return None
    text = f"{entry.name} | {entry.text}"
    right = {
        "lender": any(_names(text, lender) for lender in product.lenders),
        "price": round(entry.price * 100) == round((product.price or 0) * 100),
    }
    return tuple(what for what, fits in right.items() if not fits)


def _names(text: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(tidy(words))}(?!\w)", tidy(text), re.IGNORECASE) is not None
