"""How alike two names are: what a field that is not there is most likely called. Pure.

::

    familyName ──words──> family, name ──meaning──> last, name ─┐
    surname    ──words──> surname      ──meaning──> last, name ─┴─> 1.0

A likeness is a number of [0, 1]. Spelling finds slips of the pen, meaning finds the words that another
schema uses for the same thing.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

__all__ = ["LIKELY", "ROOT_LIKELY", "likeness", "nearest", "path_likeness", "spelt_alike"]

LIKELY: Final = 0.6
"""From here on a name is offered as the one that was meant."""

ROOT_LIKELY: Final = 0.35
"""The same for a root field: there are few that give records, and what they give is compared too."""

SPELT_ALIKE: Final = 0.75
"""From here on two names count as one with a slip of the pen."""

WAY: Final = 0.51
"""What the words on the way to a field weigh; a little more than its own name, so that they break a tie."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_SAME: Final = (
    ("first name", "given name", "forename", "firstname", "givenname", "first", "given"),
    ("last name", "family name", "surname", "lastname", "familyname", "last", "family"),
    ("middle name", "second name", "middlename", "other names", "middle"),
    ("mail", "email", "e mail", "email address", "e mail address", "mail address"),
    ("phone", "telephone", "mobile", "cell", "primary", "tel", "phonenumber"),
    ("phone", "phone number", "mobile number", "telephone number", "mobile phone"),
    ("home", "landline", "fixed", "home phone", "home number", "landline number", "fixed number"),
    ("code", "prefix", "country", "country code", "dialling code", "area code"),
    ("client", "contact", "customer", "applicant", "borrower", "party"),
    ("company", "business", "organisation", "organization", "entity", "corporate"),
    ("person", "individual", "natural", "people"),
    ("active", "enabled", "is active", "is enabled", "live"),
    ("fee", "charge", "cost"),
    ("value", "amount", "price"),
    ("lender", "bank", "funder", "provider"),
    ("name", "title", "label"),
    ("trading name", "trade as", "trading as", "trade name"),
    ("company name", "legal name", "business name"),
    ("note", "comment", "remark", "description"),
    ("id", "uid", "uuid", "guid", "identifier"),
    ("ticket", "deal", "opportunity", "lead"),
    ("type", "kind", "category"),
    ("limit", "take", "size"),
    ("offset", "skip"),
    ("abbr", "abbreviation", "short name", "shortname"),
    ("initial", "intro", "introductory", "starting"),
    ("max", "maximum", "highest"),
    ("min", "minimum", "lowest"),
    ("repayment", "payment"),
    ("residential", "home loan", "loan detail"),
    ("information", "info", "detail", "profile", "data", "particulars"),
)
"""What is called by several names; the first stands for all."""

_GENERIC: Final = frozenset({"information", "is", "the", "of", "node", "item", "edge", "client"})
"""Words that say nothing of what a field holds."""

_MEANINGS: Final = {tuple(spelling.split()): tuple(group[0].split()) for group in _SAME for spelling in group}
_LONGEST: Final = max(map(len, _MEANINGS))


@lru_cache(maxsize=65_536)
def likeness(wanted: str, found: str) -> float:
    """How likely it is that ``found`` is what ``wanted`` was meant to be."""
    if wanted == found:
        return 1.0
    spelling = _spelling(wanted, found)
    return max(_overlap(_meaning(wanted), _meaning(found)), spelling if spelling >= SPELT_ALIKE else 0.0)


def spelt_alike(one: str, other: str) -> bool:
    """Whether two names are one with a slip of the pen."""
    return _spelling(one, other) >= SPELT_ALIKE


def _spelling(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other.lower()).ratio()


def path_likeness(wanted: Sequence[str], found: Sequence[str]) -> float:
    """How likely it is that one path of fields leads to what another one led to.

    The last name counts (also together with the one before it: ``mobile.number``), and so do the words on the
    way: ``company.name`` is ``companyName``.
    """
    words = [frozenset(word for name in path for word in _meaning(name)) for path in (wanted, found)]
    way = _overlap(words[0] - _GENERIC or words[0], words[1] - _GENERIC or words[1])
    names = [found[-1], "_".join(found[-2:])]
    return (1 - WAY) * max(likeness(wanted[-1], name) for name in names) + WAY * way


def nearest(wanted: str, known: Iterable[str], least: float = LIKELY) -> str:
    """The name that is most like the wanted one; empty where none is like it."""
    rated = [(likeness(wanted, name), name) for name in known]
    best = max(rated, key=lambda pair: pair[0], default=(0.0, ""))
    return best[1] if best[0] >= least else ""


def _overlap(one: Collection[str], other: Collection[str]) -> float:
    """Twice the shared words over all words (Dice)."""
    total = len(one) + len(other)
    return 2 * len(set(one) & set(other)) / total if total else 0.0


@lru_cache(maxsize=4096)
def _meaning(name: str) -> frozenset[str]:
    """The words of a name, each replaced by the one that stands for it."""
    words = [_singular(word.lower()) for word in _WORD.findall(name)]
    meaning: list[str] = []
    while words:
        length = next((n for n in range(_LONGEST, 0, -1) if tuple(words[:n]) in _MEANINGS), 0)
        meaning += _MEANINGS[tuple(words[:length])] if length else words[:1]
        words = words[length or 1 :]
    return frozenset(meaning) or frozenset({name.lower()})


def _singular(word: str) -> str:
    many = len(word) > len("gas") and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if many else word
