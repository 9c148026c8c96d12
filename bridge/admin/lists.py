"""Lists of the records that need a decision, or have a mark, with their filters."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from aiohttp import web

from bridge.admin.overview_content import TimeText
from bridge.ledger.database import reading
from bridge.ledger.operator_actions import OperatorAction
from bridge.ledger.read_model import AttentionKind, find_page, last_rejections, list_feeds
from bridge.ledger.record_relations_and_history import load_relations
from bridge.ledger.statistics import count_states
from bridge.records import State, Stream
from bridge.status.record_comparison import COMPARED, FieldText, difference
from bridge.status.record_explanation import the_other
from bridge.status.vocabulary import (
    ACTIONS,
    DECISIONS,
    FIELD_TITLES,
    MARKS,
    NEEDS_DECISION,
    name_fields,
    situation_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bridge.admin.context import PageContext
    from bridge.admin.rendering import Templates
    from bridge.ledger.database import Ledger
    from bridge.ledger.feeds import Feed
    from bridge.ledger.read_model import Reader, RecordListPage, RecordSummary
    from bridge.status.vocabulary import MarkWords, Situation

__all__ = ["LISTED_MARKS", "Filter", "Item", "ListPage", "RecordGroup", "item_of", "verbs_of", "waiting_of"]

LISTED_MARKS: Final = {mark: words for mark, words in MARKS.items() if words.why}
"""The marks that have a list of their own."""

MOST: Final = 50
"""Records on a page."""

MOST_DIGITS: Final = 18
"""The most digits of a record's number in the ledger."""

_SENT: Final = frozenset({State.DELIVERED, State.DRIFTED})
"""The states in which a mark can be decided on."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records a list shows; empty means any."""

    connection: str = ""
    stream: str = ""
    state: str = ""
    reason: str = ""
    mark: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filter:
        """Parse the query of an address.

        Raises:
            HTTPNotFound: There is no such list.
        """
        names = ("connection", "stream", "state", "reason", "mark")
        wanted = cls(**{name: query.get(name, "") for name in names})
        if wanted.mark:
            known = wanted.mark in LISTED_MARKS and not (wanted.state or wanted.reason)
        else:
            known = any(wanted.covers(state, reason) for state, reason in NEEDS_DECISION)
        if not known or wanted.stream not in {"", *Stream}:
            raise web.HTTPNotFound(text="There is no such list.")
        return wanted

    def covers(self, state: str, reason: str) -> bool:
        """Whether it includes a state with a reason."""
        return self.state in {"", state} and self.reason in {"", reason}

    def takes(self, feed: Feed) -> bool:
        """Whether it includes a stream of a connection."""
        return self.connection in {"", feed.connection} and self.stream in {"", feed.stream}

    def pairs(self) -> dict[str, str]:
        """Its values, for an address or a form."""
        every = {
            "connection": self.connection, "stream": self.stream, "state": self.state, "reason": self.reason,
            "mark": self.mark,
        }  # fmt: skip
        return {name: value for name, value in every.items() if value}

    def href(self, **more: object) -> str:
        """The address of the list."""
        query = urlencode(self.pairs() | more)
        return f"/records?{query}" if query else "/records"


@dataclass(frozen=True, slots=True)
class RecordGroup:
    """The records of one stream with the same state, reason and mark."""

    feed: Feed
    state: State
    reason: str
    number: int
    mark: str = ""

    @property
    def kind(self) -> AttentionKind:
        """The group, as a query of the ledger."""
        return AttentionKind(self.feed.number, self.state, self.reason, self.mark)

    @property
    def words(self) -> Situation | MarkWords:
        """Its words in the vocabulary."""
        return MARKS[self.mark] if self.mark else NEEDS_DECISION[self.state, self.reason]

    @property
    def effects(self) -> Mapping[OperatorAction, str]:
        """The effect of each possible decision; a mark is decided on only if nothing else is open."""
        return self.words.effects if not self.mark or self.state in _SENT else {}


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs: its text in Trakor and its text now, if known."""

    title: str
    old: FieldText
    new: FieldText
    known: bool


@dataclass(frozen=True, slots=True)
class Item:
    """One record of a list."""

    href: str
    id: str
    name: str
    title: str
    state: State
    detail: str
    differences: list[Difference]
    stream: str
    connection: str
    app: str
    since: TimeText | None


@dataclass(frozen=True, slots=True)
class ListData:
    """What the ledger has for a list: the groups, the records of the page, and details of some of them."""

    waiting: list[RecordGroup]
    marked: Mapping[str, list[RecordGroup]]
    page: RecordListPage
    whys: Mapping[int, str]

    def of(self, wanted: Filter) -> list[RecordGroup]:
        """The groups that a filter chooses from."""
        return self.marked[wanted.mark] if wanted.mark else self.waiting


@dataclass(frozen=True, slots=True)
class FilterLink:
    """A link to a filtered list."""

    title: str
    href: str
    number: int
    chosen: bool


def waiting_of(connection: Reader, mark: str = "") -> list[RecordGroup]:
    """The groups that need a decision, in the order of ``NEEDS_DECISION``; or those with a mark."""
    known = {feed.number: feed for feed in list_feeds(connection)}
    counted: dict[tuple[int, State, str], int] = {}
    for number, kinds in count_states(connection).items():
        for (state, reason, marks), many in kinds.items() if number in known else ():
            if mark in marks if mark else state in DECISIONS:
                kind = (number, State(state), reason)
                counted[kind] = counted.get(kind, 0) + many
    order = {kind: place for place, kind in enumerate(NEEDS_DECISION)}
    found = [
        RecordGroup(known[feed], state, reason, many, mark) for (feed, state, reason), many in counted.items()
    ]
    return sorted(found, key=lambda one: (order.get((one.state, one.reason), len(order)), one.feed.number))


def wanted_of(waiting: list[RecordGroup], wanted: Filter) -> list[RecordGroup]:
    """The groups that a filter includes."""
    return [one for one in waiting if wanted.takes(one.feed) and wanted.covers(one.state, one.reason)]


def verbs_of(kinds: list[RecordGroup]) -> dict[OperatorAction, int]:
    """Each possible decision, and to how many of these records it applies."""
    numbers = {verb: sum(one.number for one in kinds if verb in one.effects) for verb in OperatorAction}
    return {verb: number for verb, number in numbers.items() if number}


def item_of(record: RecordSummary, now: int, *, why: str = "", app: str = "") -> Item:
    """A record as a list shows it.

    Args:
        record: The record.
        now: The time.
        why: Why it was rejected, or because of which other record it is held.
        app: The address of Salestrekker's web application; empty: unknown.
    """
    details = [
        *([name_fields(why)] if why else []),
        *(MARKS[mark].phrase for mark in record.marks),
    ]
    return Item(
        href=f"/records/{record.number}",
        id=record.id,
        name=record.name,
        title=situation_of(record.state, record.reason).title,
        state=State(record.state),
        detail=", ".join(details),
        differences=_differences(record),
        stream=record.feed.stream.spec.singular.capitalize(),
        connection=record.feed.connection,
        app=app,
        since=TimeText.of(record.since_at, now),
    )


def _within(title: str) -> str:
    """A title for the middle of a sentence, with a small first letter."""
    return title[:1].lower() + title[1:]


def _differences(record: RecordSummary) -> list[Difference]:
    """The fields that differ. A changed name inside the contact details is not repeated."""
    found: dict[tuple[FieldText, FieldText], Difference] = {}
    for change in record.changes:
        old, new = difference(change)
        known = (change.old, change.new) != (None, None)
        title = FIELD_TITLES.get(change.field, change.field)
        key = (old, new) if known else (FieldText(change.field), FieldText(""))
        found.setdefault(key, Difference(title, old, new, known))
    return list(found.values())


class ListPage:
    """The page that shows a list."""

    def __init__(self, context: PageContext, templates: Templates) -> None:
        self._context = context
        self._templates = templates

    def add_to(self, application: web.Application, guarded: Callable[..., Any]) -> None:
        """Add its route."""
        application.router.add_get("/records", guarded(self._show))

    async def _show(self, request: web.Request) -> web.StreamResponse:
        wanted = Filter.of(request.query)
        after, before = (_number(request.query.get(name, "")) for name in ("after", "before"))
        data = await asyncio.to_thread(_load, self._context.ledger, wanted, after, before)
        waiting, page = data.of(wanted), data.page
        mine = wanted_of(waiting, wanted)
        now = self._context.clock()
        return self._templates.render(
            request,
            "records.html",
            here="records",
            total=sum(one.number for one in mine),
            items=[self._item(record, data, now) for record in page.records],
            kinds=[*_kinds(data, wanted)],
            marked=_within(MARKS[wanted.mark].title) if wanted.mark else "",
            places=[*_places(waiting, wanted)],
            several=len({one.feed.connection for one in waiting}) > 1,
            why=_why(wanted),
            verbs=[(verb, ACTIONS[verb].button, number) for verb, number in verbs_of(mine).items()],
            pairs=wanted.pairs(),
            previous=wanted.href(before=page.records[0].number) if page.records and page.earlier else "",
            following=wanted.href(after=page.records[-1].number) if page.records and page.later else "",
        )

    def _item(self, record: RecordSummary, data: ListData, now: int) -> Item:
        app = self._context.app_of(record.feed.connection)
        return item_of(record, now, why=data.whys.get(record.number, ""), app=app)


def _load(ledger: Ledger, wanted: Filter, after: int, before: int) -> ListData:
    with reading(ledger.path, ledger.text_storage) as connection:
        waiting = waiting_of(connection)
        marked = {mark: waiting_of(connection, mark) for mark in LISTED_MARKS}
        every = marked[wanted.mark] if wanted.mark else waiting
        kinds = [one.kind for one in wanted_of(every, wanted)]
        page = find_page(connection, kinds, after=after, before=before, most=MOST)
        rejected = [record.number for record in page.records if record.state == State.REJECTED]
        whys = {**last_rejections(connection, rejected), **_others(connection, page.records)}
        return ListData(waiting, marked, page, whys)


def _others(connection: Reader, records: Sequence[RecordSummary]) -> dict[int, str]:
    """For each record that is held because of another one: which one, and how the two differ."""
    held = [one for one in records if one.state == State.HELD and one.reason in COMPARED]
    return {one.number: the_other(one, load_relations(connection, one)) for one in held}


def _why(wanted: Filter) -> str:
    """The explanation above a list of one kind."""
    if wanted.mark:
        return MARKS[wanted.mark].why
    known = NEEDS_DECISION.get((State(wanted.state), wanted.reason)) if wanted.state else None
    return known.why if known else ""


def _kinds(data: ListData, wanted: Filter) -> Iterator[FilterLink]:
    """Links to all records, to each kind and to each mark, except for empty ones."""
    here = [one for one in data.waiting if wanted.takes(one.feed)]
    everything = replace(wanted, state="", reason="", mark="")
    yield FilterLink("All", everything.href(), sum(one.number for one in here), chosen=wanted == everything)
    for (state, reason), kind in NEEDS_DECISION.items():
        number = sum(one.number for one in here if (one.state, one.reason) == (state, reason))
        one_kind = replace(everything, state=str(state), reason=str(reason))
        yield from _offered(FilterLink(kind.title, one_kind.href(), number, chosen=one_kind == wanted))
    for mark, words in LISTED_MARKS.items():
        number = sum(one.number for one in data.marked[mark] if wanted.takes(one.feed))
        of_mark = replace(everything, mark=mark)
        yield from _offered(FilterLink(words.title, of_mark.href(), number, chosen=of_mark == wanted))


def _offered(choice: FilterLink) -> Iterator[FilterLink]:
    if choice.number or choice.chosen:
        yield choice


def _places(waiting: list[RecordGroup], wanted: Filter) -> Iterator[list[FilterLink]]:
    """Links to each stream and each connection, if there are several."""
    here = [one for one in waiting if wanted.covers(one.state, one.reason)]
    streams = sorted({str(one.feed.stream) for one in waiting})
    names = sorted({one.feed.connection for one in waiting})
    if len(streams) > 1 or wanted.stream:
        of_streams = [("All types", ""), *((name.capitalize(), name) for name in streams)]
        yield [_place(here, wanted, replace(wanted, stream=name), title) for title, name in of_streams]
    if len(names) > 1 or wanted.connection:
        of_names = [("All connections", ""), *((name, name) for name in names)]
        yield [_place(here, wanted, replace(wanted, connection=name), title) for title, name in of_names]


def _place(here: list[RecordGroup], wanted: Filter, other: Filter, title: str) -> FilterLink:
    number = sum(one.number for one in here if other.takes(one.feed))
    return FilterLink(title, other.href(), number, chosen=other == wanted)


def _number(text: str) -> int:
    """A record's number in an address; 0 if there is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else 0
