"""Maps for a schema's records: expressions that read what a proposed query selects. Pure.

::

    phones[] { kind: PhoneKind  preferred: Boolean  countryCode  number }
        ──>  phone(CHOSEN.countryCode, CHOSEN.number), where CHOSEN is
             ((phones[?kind != 'FAX' && preferred] | [0]) || (phones[?kind != 'FAX'] | [0]))

docs/mapping.md has the expressions of the shipped maps, which these follow.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bridge.fitting.field_meanings import (
    COMPANY_NAME,
    EMAIL,
    FIRST_NAME,
    FULL_NAME,
    LAST_NAME,
    LENDER,
    PHONE,
    PRICE,
    PRODUCT_NAME,
    TRADING_NAME,
    Meaning,
    is_about_company,
    rate_fields,
)
from bridge.fitting.record_fields import RecordField, words_of
from bridge.fitting.record_ids import find_ids
from bridge.fitting.record_selection import ProposedSelection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bridge.records import Stream

__all__ = ["MapChoice", "ProposedMap", "find_contact_point", "propose_map", "where_not_in_use"]

DEEPEST_NAME: Final = 3
"""Steps down to a company's name: ``company.information.name``."""

MOST: Final = 3
"""Values of one meaning that are read, one after the other until one is there."""

CLEARLY: Final = 0.25
"""A value is no second choice if it is less likely than the first by this."""

INACTIVE: Final = frozenset(
    [
        "archived",
        "archive",
        "deleted",
        "inactive",
        "disabled",
        "removed",
        "withdrawn",
        "closed",
        "discontinued",
        "retired",
        "hidden",
        "trashed",
        "discarded",
        "deactivated",
        "obsolete",
        "expired",
        "dormant",
        "lapsed",
        "ceased",
        "terminated",
        "former",
        "superseded",
        "unavailable",
    ]
)
ACTIVE: Final = frozenset(["active", "enabled", "live", "current", "available"])
STATUS: Final = frozenset(["status", "state", "lifecycle", "stage", "availability"])
OF_THE_RECORD: Final = frozenset(
    "is was has record contact client customer party person product loan value".split()  # noqa: SIM905
)
"""Words that may stand beside the word for a status."""

AMBIGUOUS: Final = frozenset({"retired", "expired", "closed", "former", "lapsed", "current", "live"})
"""Words that say something else of a person than that the record is out of use."""

WHEN: Final = frozenset(["at", "on", "date", "time"])
PERSON: Final = frozenset(["person", "individual", "natural", "human"])
FLAGS: Final = frozenset(["primary", "preferred", "default", "main"])
FAXES: Final = ("fax", "Fax", "FAX")
"""How text says that a number is no phone number."""

CHANNELS: Final = {
    EMAIL.name: ("email", "mail"),
    PHONE.name: ("mobile", "cell", "cellphone", "phone", "telephone", "tel", "home", "landline", "work"),
}
"""Words of an enum's values that mean a way to reach somebody, the best first."""

VALUES: Final = frozenset({"value", "address", "detail", "text", "number", "content", "data"})
KINDS: Final = frozenset(["kind", "type", "label", "category", "use", "usage", "channel", "medium"])
CENTS: Final = frozenset(["cent", "minor"])


@dataclass(frozen=True, slots=True)
class MapChoice:
    """Why a key of a map reads what it reads.

    Attributes:
        key: The key of the map, or ``where``.
        found: What it reads, as a person finds it in the schema.
        why: The evidence.
    """

    key: str
    found: str
    why: str


@dataclass(slots=True)
class ProposedMap:
    """A map, the selection that it needs, and why.

    Attributes:
        selection: What the query must select of a record.
        texts: Key of the map -> expression.
        where: Which records are wanted.
        status: Where the status is if it is text, whose words only real records show; empty if it is not.
        reasons: Why each expression reads what it reads.
        missing: What the schema does not seem to have.
    """

    selection: ProposedSelection = field(default_factory=ProposedSelection)
    texts: dict[str, str] = field(default_factory=dict)
    where: str = ""
    status: str = ""
    reasons: list[MapChoice] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ContactPoint:
    """A list of all ways to reach somebody: ``contactPoints { channel value isPrimary }``.

    Attributes:
        value: The address or number.
        kind: An enum that says what it is.
        words: The values of the enum that have a meaning, the best first.
        flag: Whether it is the preferred one; None: nothing says so.
    """

    value: RecordField
    kind: RecordField
    words: tuple[str, ...]
    flag: RecordField | None


def find_contact_point(fields: Sequence[RecordField], meaning: Meaning) -> ContactPoint | None:
    """Where a record lists e-mail addresses and phone numbers side by side, or None.

    Args:
        fields: All values of a record.
        meaning: E-mail address or phone number.
    """
    wanted = CHANNELS.get(meaning.name, ())
    alone = {rated.field.path[:-1] for rated in rate_fields(fields, meaning)}
    for one in fields:
        if one.path[:-1] in alone:  # a list of nothing else
            continue
        if not one.steps[:-1] or not one.steps[-2].is_list or not VALUES & set(one.last_words) or one.values:
            continue
        beside = [other for other in fields if other.on == one.on and other.path[:-1] == one.path[:-1]]
        for kind in beside:
            known = [
                (wanted.index(word), value)
                for value in kind.values
                for word in words_of(value.lower())
                if word in wanted
            ]
            if known:
                flag = next(
                    (o for o in beside if o.kind.name == "Boolean" and FLAGS & set(o.last_words)), None
                )
                return ContactPoint(one, kind, tuple(value for _, value in sorted(known)), flag)
    return None


def propose_map(stream: Stream, fields: Sequence[RecordField]) -> ProposedMap:
    """Propose a map for a stream.

    Args:
        stream: Contacts or products.
        fields: All values of a record.
    """
    made = _MapWriter(fields)
    made.identify()
    if stream.spec.is_personal:
        made.contact()
    else:
        made.product()
    made.filter()
    return made.proposed


class _MapWriter:
    """Writes one map.

    Args:
        fields: All values of a record.
    """

    def __init__(self, fields: Sequence[RecordField]) -> None:
        self._fields = fields
        self.proposed = ProposedMap()

    def identify(self) -> None:
        """Select the id, under that name whatever it is called."""
        for one in find_ids(self._fields):
            self.proposed.selection.add(one, "id")
            if one.path != ("id",):
                self.proposed.reasons.append(
                    MapChoice("id", str(one), "it is always there, and named like an id")
                )
        self.proposed.texts["id"] = "id"

    def contact(self) -> None:
        """The map of contacts."""
        texts = self.proposed.texts
        texts["name"] = name = self._contact_name()
        phone = self._phone()
        email = self._first(EMAIL, "contact_info", clean=True)
        reach = [text for text in (phone, email) if text]
        texts["contact_info"] = f"join_present(' | ', [{', '.join([name, *reach])}])"
        if email:
            texts["same_as.email"] = self._first(EMAIL, "same_as", clean=True, most=1)
        if phone:
            texts["same_as.phone"] = self._phone(most=1)
        if not reach:
            texts["same_as"] = ""
        texts["qualifier"] = " || ".join([text for text in (email, phone) if text])

    def product(self) -> None:
        """The map of products."""
        texts = self.proposed.texts
        name = self._first(PRODUCT_NAME, "name", most=1)
        lender = self._first(LENDER, "name", most=2)
        texts["name"] = f"clean({name}) && join_present(' ', [{lender}, {name}])" if lender and name else name
        texts["description"] = self._description()
        texts["price"] = self._price()
        texts["same_as"] = ""
        texts["qualifier"] = texts["id"]

    def filter(self) -> None:
        """Which records are wanted: those that are not archived, however the schema says so."""
        parts = [part for one in self._fields if (part := self._active(one))]
        self.proposed.where = " && ".join(dict.fromkeys(parts))
        if not parts:
            texts = [one for one in self._fields if _is_status_text(one)]
            self.proposed.status = self._element(texts[0]) if texts else ""

    def _contact_name(self) -> str:
        """The name of whatever a contact turns out to be: a person of any type, a company."""
        parts = []
        for on in self._types():
            first, last = self._best(FIRST_NAME, on), self._best(LAST_NAME, on)
            full = self._best(FULL_NAME, on)
            if first and last:
                self._because("name", [first, last], "a person's first and family name")
                parts.append(f"join_present(' ', [{self._element(first)}, {self._element(last)}])")
            elif full and not is_about_company(full):
                self._because("name", [full], "a full name")
                parts.append(self._element(full))
        companies = self._company_names()
        if companies:
            self._because("name", companies, "a company's name")
        parts += [self._element(one) for one in companies]
        if not parts:
            self.proposed.missing.append("a name")
        if len(parts) > 1:
            return f"first_present([{', '.join(parts)}])"
        return f"clean({''.join(parts) or 'name'})"

    def _types(self) -> list[str]:
        """The types that a record can have; the empty one is for what each has."""
        return list(dict.fromkeys(["", *(one.on for one in self._fields)]))

    def _company_names(self) -> list[RecordField]:
        named = [
            one
            for one in self._candidates(COMPANY_NAME)
            if not (LENDER.needs & set(one.words) or PERSON & set(words_of(one.on)))
        ]
        named += [
            one
            for one in self._fields
            if is_about_company(one)
            and one.last_words[-1:] in {("name",), ("title",)}
            and len(one.steps) <= DEEPEST_NAME
        ]
        trading = self._candidates(TRADING_NAME)
        proper = [one for one in dict.fromkeys(named) if one not in trading]
        return [*_of_each_type(proper, 2), *_of_each_type(trading, 1)]

    def _phone(self, most: int = MOST) -> str:
        rated = [rated.field for rated in rate_fields(self._fields, PHONE)]
        coded = [one for one in self._fields if any(_is_own_code(code, one) for code in self._fields)]
        fields = list(dict.fromkeys([*(one for one in coded if FLAGS & set(one.last_words)), *rated, *coded]))
        texts = [self._phone_of(one) for one in _of_each_type(fields, most)]
        if point := self._contact_point(PHONE):
            texts.insert(0, f"phone('', {point})")
        if fields:
            self._because("contact_info", _of_each_type(fields, most), "a phone number")
        elif texts:
            self._because("contact_info", [], "a way to reach somebody that is called a phone")
        else:
            self.proposed.missing.append("a phone number")
        return " || ".join(dict.fromkeys(texts))

    def _phone_of(self, number: RecordField) -> str:
        code = next((one for one in self._fields if _is_code_of(one, number)), None)
        if code is None:
            return f"phone('', {self._element(number)})"
        return f"phone({self._element(code)}, {self._element(number)})"

    def _contact_point(self, meaning: Meaning) -> str:
        """The expression for a value in a list of all ways to reach somebody; empty if there is none."""
        found = find_contact_point(self._fields, meaning)
        if found is None:
            return ""
        selected = [self.proposed.selection.add(one) for one in (found.value, found.kind)]
        if found.flag:
            self.proposed.selection.add(found.flag)
        whole, (value, kind) = ".".join(selected[0].keys[:-1]), (one.keys[-1] for one in selected)
        named = [f"{kind} == '{word}'" for word in found.words]
        some = [f"({whole}[?{one}] | [0])" for one in named]
        if found.flag:
            flag = found.flag.path[-1]
            some = [f"({whole}[?({' || '.join(named)}) && {flag}] | [0])", *some]
        return f"({' || '.join(some)}).{value}" if len(some) > 1 else f"{some[0]}.{value}"

    def _first(self, meaning: Meaning, key: str, *, clean: bool = False, most: int = MOST) -> str:
        """The expression for the first value of a meaning that is there; empty if there is none."""
        fields = _of_each_type(self._candidates(meaning), most)
        texts = [self._element(one) for one in fields]
        if point := self._contact_point(meaning):
            texts.insert(0, point)
        if not texts:
            self.proposed.missing.append(f"a {meaning.name}")
            return ""
        if fields:
            self._because(key, fields, f"its name means {meaning.name}")
        if len(texts) > 1:
            return f"first_present([{', '.join(texts)}])"
        return f"clean({texts[0]})" if clean else texts[0]

    def _candidates(self, meaning: Meaning) -> list[RecordField]:
        """The values of a meaning that are about as likely as the best one, for each type of a union."""
        rated = rate_fields(self._fields, meaning)
        best: dict[str, float] = {}
        for one in rated:
            best.setdefault(one.field.on, one.score)
        return [one.field for one in rated if one.score >= best[one.field.on] - CLEARLY]

    def _best(self, meaning: Meaning, on: str | None = None) -> RecordField | None:
        found = self._candidates(meaning)
        return next((one for one in found if on is None or one.on == on), None)

    def _element(self, one: RecordField) -> str:
        """A value as an expression names it; of a list, the preferred element, else the first."""
        selected = self.proposed.selection.add(one)
        depth = next((index for index, many in enumerate(selected.lists) if many), None)
        if depth is None:
            return ".".join(selected.keys)
        whole = ".".join(selected.keys[: depth + 1])
        rest = "".join(f".{key}" for key in selected.keys[depth + 1 :])
        if depth + 1 == len(selected.keys):
            return f"{whole}[0]"
        return f"{self._chosen(one, depth, whole)}{rest}"

    def _chosen(self, one: RecordField, depth: int, whole: str) -> str:
        """The element of a list to read: no fax number, and the preferred one if one is."""
        inside = [other for other in self._fields if other.on == one.on and _is_inside(other, one, depth)]
        flag = next((o for o in inside if o.kind.name == "Boolean" and FLAGS & set(o.last_words)), None)
        kind = next((o for o in inside if KINDS & set(o.last_words) and o.kind.name != "Boolean"), None)
        words = (kind.values or FAXES) if kind else ()
        faxes = [value for value in words if "fax" in words_of(value.lower())]
        conditions = [f"{kind.path[-1]} != '{value}'" for value in faxes] if kind else []
        if kind and faxes:
            self.proposed.selection.add(kind)
        some = f"({whole}[?{' && '.join(conditions)}] | [0])" if conditions else f"{whole}[0]"
        if flag is None:
            return some
        self.proposed.selection.add(flag)
        return f"(({whole}[?{' && '.join([*conditions, flag.path[-1]])}] | [0]) || {some})"

    def _price(self) -> str:
        found = self._best(PRICE)
        if found is None:
            self.proposed.missing.append("a price")
            return ""
        if listed := self._fees(found):
            return listed
        text = self._element(found)
        in_cents = found.kind.name == "Int" and (
            bool(CENTS & set(found.words)) or "in cents" in found.description.lower()
        )
        self._because(
            "price", [found], "its name means a fee; it is in cents" if in_cents else "its name means a fee"
        )
        return f"cents({text})" if in_cents else f"decimal({text})"

    def _fees(self, found: RecordField) -> str:
        """The fee for an application in a list of all fees; empty if they have no kind or name."""
        depth = next((index for index, step in enumerate(found.steps) if step.is_list), None)
        if depth is None:
            return ""
        inside = [one for one in self._fields if one.on == found.on and _is_inside(one, found, depth)]
        named = [one for one in inside if {"name", "type", "kind", "title", "label"} & set(one.last_words)]
        if not named or depth + 1 == len(found.steps):
            return ""
        keys = self.proposed.selection.add(found).keys
        texts = [self.proposed.selection.add(one).keys[-1] for one in named]
        what = f"join_present(' ', [{', '.join(texts)}])" if len(texts) > 1 else texts[0]
        self._because("price", [found], "the fee that is called application, establishment or upfront")
        listed = f"{'.'.join(keys[: depth + 1])}[].{{name: {what}, value: {'.'.join(keys[depth + 1 :])}}}"
        return f"fee({listed}, ['application', 'establishment', 'upfront'])"

    def _description(self) -> str:
        parts = []
        for one in self._fields:
            if one.steps[2:] or one.list_steps or LENDER.needs & set(one.words):
                continue
            if one.last_words in {("rate",), ("interest", "rate"), ("initial", "rate"), ("variable", "rate")}:
                parts.append(self._rate(one))
            elif one.last_words in {
                ("rate", "type"),
                ("repayment", "type"),
                ("note",),
                ("description",),
                ("summary",),
            }:
                parts.append(self._element(one))
        if not parts:
            return ""
        self._because("description", [], f"{len(parts)} fields that describe a product")
        return f"join_present(', ', [{', '.join(dict.fromkeys(parts))}])"

    def _rate(self, one: RecordField) -> str:
        """A rate with its percent sign, which text may have by itself."""
        path = self._element(one)
        return path if one.kind.name == "String" else f"wrap('', {path}, '%')"

    def _active(self, one: RecordField) -> str:
        """The condition that a value sets for a record to be wanted; empty if it says nothing of that."""
        words = {*one.words} if one.last_words[-1:] == ("value",) else {*one.last_words}
        if len(one.steps) > 1 + (one.last_words == ("value",)) or one.list_steps:
            return ""
        if words - INACTIVE - ACTIVE - STATUS - WHEN - OF_THE_RECORD:
            return ""  # of something else: an employment, a last deal
        return self._out_of_use(one, words)

    def _out_of_use(self, one: RecordField, words: set[str]) -> str:
        if one.kind.name == "Boolean" and words & (ACTIVE - AMBIGUOUS):
            return self._condition(one, "{} != `false`", "false means that it is out of use")
        if one.kind.name == "Boolean" and words & (INACTIVE - AMBIGUOUS):
            return self._condition(one, "{} != `true`", "true means that it is out of use")
        if words & (INACTIVE - AMBIGUOUS) and words & WHEN:
            return self._condition(one, "!{}", "a time means that it is out of use")
        gone = [value for value in one.values if set(words_of(value.lower())) & INACTIVE]
        if words & STATUS and gone:
            text = " && ".join(f"{{}} != '{value}'" for value in gone)
            return self._condition(one, text, f"{' or '.join(gone)} means that it is out of use")
        return ""

    def _condition(self, one: RecordField, text: str, why: str) -> str:
        path = self._element(one)
        self.proposed.reasons.append(MapChoice("where", str(one), why))
        return text.replace("{}", path)

    def _because(self, key: str, fields: Iterable[RecordField], why: str) -> None:
        found = ", ".join(map(str, fields))
        self.proposed.reasons.append(MapChoice(key, found, why))


def _is_own_code(code: RecordField, one: RecordField) -> bool:
    """Whether a value is named like another with ``Code`` behind it: ``primaryCode`` beside ``primary``."""
    beside = code.on == one.on and code.path[:-1] == one.path[:-1]
    return beside and code.last_words == (*one.last_words, "code") and one.list_steps <= 1


def _of_each_type(fields: Sequence[RecordField], most: int) -> list[RecordField]:
    """The first values for each type that a record can have."""
    counts: Counter[str] = Counter()
    kept = []
    for one in fields:
        counts[one.on] += 1
        if counts[one.on] <= most:
            kept.append(one)
    return kept


def where_not_in_use(status: str, values: Iterable[object]) -> str:
    """The condition for records to be wanted, by the words of their status; empty if they don't show it.

    Args:
        status: The expression for the status.
        values: The status of real records.
    """
    words = sorted({value for value in values if isinstance(value, str)})
    gone = [word for word in words if set(words_of(word)) & INACTIVE]
    return " && ".join(f"{status} != '{word}'" for word in gone if "'" not in word)


def _is_status_text(one: RecordField) -> bool:
    words = {*one.words} if one.last_words == ("value",) else {*one.last_words}
    if words - STATUS - OF_THE_RECORD:
        return False  # of something else, such as an employment
    return (
        len(one.steps) <= 1 + (one.last_words == ("value",))
        and one.kind.name == "String"
        and bool(words & STATUS)
    )


def _is_inside(other: RecordField, one: RecordField, depth: int) -> bool:
    """Whether a value belongs directly to the element of a list that another one is in."""
    return len(other.steps) == depth + 2 and other.path[: depth + 1] == one.path[: depth + 1]


def _is_code_of(one: RecordField, number: RecordField) -> bool:
    """Whether a value is the calling code of a phone number: ``countryCode``, ``mobileCode``."""
    if one.on != number.on or one.path[:-1] != number.path[:-1] or one.values:
        return False
    words = one.last_words
    if words[-1:] not in {("code",), ("prefix",)}:
        return False
    return words[:-1] == number.last_words or bool(
        {"country", "calling", "dialling", "dialing", "dial"} & set(words)
    )
