"""Reads a page of real records: what may not be read, and one record mapped and shown, masked by default."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bridge.checks.queries import first_page
from bridge.checks.report import Check, failed
from bridge.errors import BridgeError, Refused
from bridge.records import Draft, Reason
from bridge.salestrekker.graphql_errors import ErrorKind, dotted_path
from bridge.salestrekker.list_query import Paging

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from bridge.mapping import Mapper
    from bridge.records import Record, Stream, Unsendable
    from bridge.salestrekker.client import SalestrekkerClient
    from bridge.salestrekker.list_query import ListQuery
    from bridge.salestrekker.pages import Doubt, Page

__all__ = ["Sample", "mapped", "masked", "read_sample"]

_PHONE: Final = re.compile(r"(\+\d{1,3} ?)?\(?(\d)[\d ()-]{4,}")
_SEPARATOR: Final = " | "
_FEW_DIGITS: Final = 3


def masked(text: str) -> str:
    """Mask a name, a phone number, an e-mail address, or several of them: only their beginnings stay."""
    return _SEPARATOR.join(_part(part) for part in text.split(_SEPARATOR))


def _part(part: str) -> str:
    phone = _PHONE.fullmatch(part.strip())
    if phone:
        return f"{phone[1] or ''}{phone[2]}…"
    return " ".join(_word(word) for word in part.split())


def _word(word: str) -> str:
    if "@" in word:
        return f"{word[0]}…@…"
    if sum(character.isdigit() for character in word) > _FEW_DIGITS:
        return "…"
    return f"{word[0]}…"


SIZE: Final = 100
"""Records of the sample."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The first records of a list; none if they could not be read."""

    records: tuple[Record, ...] = ()


async def read_sample(
    name: str, stream: Stream, query: ListQuery, mapper: Mapper, client: SalestrekkerClient
) -> tuple[Check, Sample]:
    """Read the beginning of a list, and report what may not be read.

    Args:
        name: The name of the check.
        stream: The stream.
        query: The list query.
        mapper: Finds a record's id.
        client: The client to read with.
    """
    try:
        pages = client.read_pages(query, stream=stream, identify=mapper.identify, page_size=SIZE)
        async with aclosing(pages) as walk:
            page = await anext(walk)
            found = tuple(page.records[:SIZE])
            doubt = await _doubt(query, page, walk)
    except Refused as error:
        fields = await _closed_fields(query, client)
        return (_closed(name, fields) if fields else failed(name, error)), Sample()
    except BridgeError as error:
        return failed(name, error), Sample()
    if doubt:
        return _doubtful(name, stream, len(found), doubt), Sample(found)
    return _read(name, stream, page, query), Sample(found)


async def _doubt(query: ListQuery, page: Page, walk: AsyncGenerator[Page]) -> Doubt | None:
    """Why a list that is read in one request may not be whole. Other lists show it only at their end."""
    if query.paging is not Paging.PLAIN:
        return None
    return (page if page.last else await anext(walk)).doubt


def _doubtful(name: str, stream: Stream, read: int, doubt: Doubt) -> Check:
    detail = f"the first {read} {stream} were read, but {doubt.reason}"
    advice = f"{doubt.advice} Until then, no record is marked gone."
    return Check(name, ok=not doubt.shown, detail=detail, advice=advice, caution=not doubt.shown)


def _read(name: str, stream: Stream, page: Page, query: ListQuery) -> Check:
    read = f"the first {len(page.records)} {stream} were read"
    if not page.records and not page.broken:
        return Check(
            name,
            ok=True,
            detail=f"the organisation has no {stream} that can be read",
            advice="If it should have some, check the organisation, and what the query filters.",
        )
    if not page.broken and query.has_page_size and len(page.records) > SIZE:
        return Check(
            name,
            ok=True,
            detail=f"{read}, although {SIZE} were requested",
            advice="All are read, in parts. Either the query does not pass the page size to the argument of "
            "your schema, or the server ignores it: see docs/paging.md.",
        )
    if not page.broken:
        return Check(name, ok=True, detail=read)
    first = page.broken[0]
    return Check(
        name,
        ok=bool(page.records),
        detail=f"{read}, {len(page.broken)} could not be: {first.message} ({first.id or 'no id'})",
        advice="They are reported and left out. If there are many, ask Salestrekker's support.",
    )


async def _closed_fields(query: ListQuery, client: SalestrekkerClient) -> tuple[str, ...]:
    """The fields that this log-in may not read."""
    try:
        result = await client.ask(query.document.text, query.document.name, first_page(query, SIZE))
    except BridgeError:
        return ()
    closed = (dotted_path(error.path) for error in result.errors if error.kind is ErrorKind.PERMISSION)
    return tuple(dict.fromkeys(field for field in closed if field))


def _closed(name: str, fields: Sequence[str]) -> Check:
    listed = "\n".join(fields)
    return Check(
        name,
        ok=False,
        detail=f"Salestrekker does not let this log-in read:\n{listed}",
        advice="Ask for these permissions (an API key has all of them; a log-in has its user's), or remove "
        "the fields from the query and from the map.",
    )


def mapped(name: str, stream: Stream, sample: Sample, mapper: Mapper, *, show: bool) -> Check:
    """Map the records, and show one of them in full.

    Args:
        name: The name of the check.
        stream: The stream.
        sample: The records.
        mapper: Makes drafts of them.
        show: Don't mask personal data.
    """
    made = [mapper(record) for record in sample.records]
    drafts = [draft for draft in made if isinstance(draft, Draft)]
    others = [other for other in made if not isinstance(other, Draft)]
    summary = _summary(stream, drafts, others)
    if not sample.records:
        return Check(name, ok=True, detail=f"there are no {stream} to map")
    if drafts:
        open_ = show or not stream.spec.is_personal
        shown = _shown(drafts[0], str if open_ else masked)
        advice = "" if open_ else "`trakor-bridge check --show` shows it unmasked."
        return Check(name, ok=True, detail=f"{summary}\n{shown}", advice=advice)
    filtered = all(other.reason is Reason.FILTERED for other in others)
    advice = f"Check [{stream}] where: it leaves out all of them." if filtered else _map_advice(stream)
    return Check(name, ok=filtered, detail=summary, advice=advice)


def _map_advice(stream: Stream) -> str:
    return (
        f"Check [{stream}.map]: its expressions must read what the query selects "
        "(docs/mapping.md; `trakor-bridge check --show` shows what is read)."
    )


def _summary(stream: Stream, drafts: Sequence[Draft], others: Sequence[Unsendable]) -> str:
    """How many would be sent, and why the others would not be."""
    reasons = Counter(
        f"{other.reason}{f' ({other.field}: {other.detail})' if other.detail else ''}" for other in others
    )
    parts = [f"{len(drafts)} of {len(drafts) + len(others)} {stream} would be sent"]
    return ", ".join([*parts, *(f"{number} {reason}" for reason, number in reasons.most_common(5))])


def _shown(draft: Draft, shape: Callable[[str], str]) -> str:
    fields = {field: value for field, value in draft.payload.fields().items() if value}
    lines = [f"  {field}: {shape(value)}" for field, value in fields.items()]
    return "\n".join([f"for example {draft.id}:", *lines])
