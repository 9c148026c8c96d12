"""Why each record is where it is, as the ledger tells it: all records of a kind, and one of them by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bridge import names
from bridge.demo import source
from bridge.demo.steps import Example, Explained, Kind
from bridge.ledger.database import reading
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.ledger.record_details import load_history, load_relations
from bridge.records import Origin, Reason, State, Stream
from bridge.status import choices

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from bridge.ledger.database import TextStorage
    from bridge.ledger.read_model import RecordSummary
    from bridge.sandbox import Sandbox
    from bridge.sandbox.trakor_store import Entry
    from bridge.status import SuggestedCommand

__all__ = ["explain"]

CREATED: Final = "created"
ORDER: Final = (CREATED, State.MERGED, State.HELD, State.DRIFTED, State.REJECTED, State.SKIPPED)
DECIDABLE: Final = frozenset({State.HELD, State.DRIFTED, State.REJECTED})


@dataclass(frozen=True, slots=True)
class _Record:
    """One record: as the ledger knows it, as Salestrekker has it, and its name in Trakor.

    Attributes:
        found: The ledger's word.
        details: Event of its history -> what was said of it last.
        choices: What a person can do, where one is to decide.
        row: Salestrekker's.
        in_trakor: The name of its party or product; empty where it has none of its own.
    """

    found: RecordSummary
    details: Mapping[str, str]
    choices: Sequence[SuggestedCommand]
    row: Mapping[str, Any]
    in_trakor: str

    @property
    def word(self) -> str:
        """Its outcome: its state, but for what was delivered how that came about."""
        created = self.found.state == State.DELIVERED and self.found.origin == Origin.CREATED
        return CREATED if created else self.found.state

    @property
    def name(self) -> str:
        """Its name in Salestrekker."""
        return names.tidy(source.name_of(self.row))

    @property
    def qualified(self) -> bool:
        """Whether something was added to its name."""
        return self.details.get("pending", "").startswith("qualified")


def explain(
    ledger: Path, text_storage: TextStorage | None, sandbox: Sandbox, *, first: Collection[str]
) -> Explained:
    """Where every record is, and why.

    Args:
        ledger: Its file.
        text_storage: What opens its sealed text: the commands that are shown name names.
        sandbox: Both simulated systems, as they are.
        first: Ids of the records that serve as examples before all others.
    """
    every = _every(ledger, text_storage, sandbox)
    every.sort(key=lambda record: record.found.id not in first)
    words = sorted({record.word for record in every}, key=_place)
    kinds = [_kind(word, [record for record in every if record.word == word]) for word in words]
    linked = {record.found.trakor_id for record in every}
    return Explained(
        kinds=tuple(kinds),
        source=len(sandbox.contacts) + len(sandbox.products),
        parties=len(sandbox.trakor.parties),
        products=len(sandbox.trakor.products),
        unknown=sum(entry.id not in linked for entry in _entries(sandbox)),
    )


def _entries(sandbox: Sandbox) -> list[Entry]:
    return [*sandbox.trakor.parties.entries(), *sandbox.trakor.products.entries()]


def _every(ledger: Path, text_storage: TextStorage | None, sandbox: Sandbox) -> list[_Record]:
    names = {entry.id: entry.name for entry in _entries(sandbox)}
    streams = {Stream.CONTACTS: sandbox.contacts, Stream.PRODUCTS: sandbox.products}
    with reading(ledger, text_storage) as connection:
        return [
            _Record(
                found=found,
                details={line.event: line.detail for line in load_history(connection, found.number)},
                choices=choices(found, load_relations(connection, found)) if found.state in DECIDABLE else [],
                row=streams[found.feed.stream].get(found.id) or {},
                in_trakor=names.get(found.trakor_id, ""),
            )
            for found in find_records(connection, RecordQuery())
        ]


def _place(word: str) -> tuple[int, str]:
    return (ORDER.index(word) if word in ORDER else len(ORDER), word)


def _kind(word: str, records: Sequence[_Record]) -> Kind:
    why, said = STORIES.get(word, (_reasons, _its_name))
    return Kind(word, len(records), why(records), Example(said(records[0]), *_way_on(records[0])))


def _way_on(record: _Record) -> tuple[str, str]:
    """The command with which a person decides, else the one that tells all; and what it does."""
    if record.choices:
        return record.choices[0].command, record.choices[0].effect
    return f"trakor-bridge records show {record.found.id}", ""


def _reasons(records: Sequence[_Record]) -> str:
    """For what no story is told about: the ledger's own words."""
    return _listed(f"{count} {reason}" for reason, count in _counted(one.found.reason for one in records))


def _its_name(record: _Record) -> str:
    return f"{record.name}."


def _counted(words: Iterable[str]) -> list[tuple[str, int]]:
    return Counter(words).most_common()


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def _why_created(records: Sequence[_Record]) -> str:
    qualified = sum(record.qualified for record in records)
    return (
        f"Trakor had no such name. {qualified} share theirs with another record, so what tells them apart"
        " was added."
    )


def _said_created(record: _Record) -> str:
    return f'{"another " * record.qualified}{record.name} is "{record.in_trakor}" in Trakor.'


def _why_merged(_: Sequence[_Record]) -> str:
    return "Entered twice: name and e-mail (else telephone) are those of another contact."


def _said_merged(record: _Record) -> str:
    return f"{record.name}, twice with {source.email_of(record.row) or source.phone_of(record.row)}."


def _why_held(records: Sequence[_Record]) -> str:
    return (
        f"For a person to decide ({_reasons(records)}): Trakor cannot rename, and the new name would make"
        " a second party."
    )


def _said_held(record: _Record) -> str:
    return f'{record.name} is still "{record.in_trakor}" in Trakor.'


def _why_drifted(records: Sequence[_Record]) -> str:
    fields = _counted(field for record in records for field in record.found.fields)
    changed = _listed(f"{count} {field}" for field, count in fields)
    return f"Changed since they were sent ({changed}), and Trakor cannot update."


def _said_drifted(record: _Record) -> str:
    if record.found.feed.stream is Stream.CONTACTS:
        return f"{record.name} now has {source.email_of(record.row)}."
    return f"{record.name} now costs {source.application_fee(record.row):,.2f}."


def _why_rejected(records: Sequence[_Record]) -> str:
    faults = _counted(record.details["rejected"].replace(": ", " ", 1) for record in records)
    return f"Not sent: {_listed(f'{fault} ({count})' for fault, count in faults)}."


def _said_rejected(record: _Record) -> str:
    return f"{record.name}, at {source.application_fee(record.row):,.2f}."


def _why_skipped(records: Sequence[_Record]) -> str:
    words = {Reason.FILTERED: "not active", Reason.NO_NAME: "without a name"}
    counted = _counted(record.found.reason for record in records)
    return f"Nothing to send: {_listed(f'{count} {words[Reason(reason)]}' for reason, count in counted)}."


def _said_skipped(record: _Record) -> str:
    return f"{record.name} is not active in Salestrekker."


STORIES: Final[Mapping[str, tuple[Callable[[Sequence[_Record]], str], Callable[[_Record], str]]]] = (
    MappingProxyType(
        {
            CREATED: (_why_created, _said_created),
            State.MERGED: (_why_merged, _said_merged),
            State.HELD: (_why_held, _said_held),
            State.DRIFTED: (_why_drifted, _said_drifted),
            State.REJECTED: (_why_rejected, _said_rejected),
            State.SKIPPED: (_why_skipped, _said_skipped),
        }
    )
)
"""Of each outcome: why its records have it, and what is said of one of them."""
