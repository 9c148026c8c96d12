"""Explains from the ledger why each record is where it is, by outcome and with an example by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bridge import names
from bridge.demo import simulated_record_fields
from bridge.ledger.database import reading
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.ledger.record_relations_and_history import load_history, load_relations
from bridge.records import Origin, Reason, State, Stream
from bridge.status import choices

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from bridge.demo.narrator_protocol import Narrator, TextPart
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
class _ExplainedRecord:
    """One record, as the ledger and both systems have it.

    Attributes:
        found: The ledger's summary.
        details: Event of the history -> its last detail.
        choices: The commands for a decision, if one is needed.
        row: The record in Salestrekker.
        in_trakor: The name of its party or product; empty if it has none of its own.
    """

    found: RecordSummary
    details: Mapping[str, str]
    choices: Sequence[SuggestedCommand]
    row: Mapping[str, Any]
    in_trakor: str

    @property
    def outcome(self) -> str:
        """The record's state, or ``created`` if the bridge created its Trakor record."""
        created = self.found.state == State.DELIVERED and self.found.origin == Origin.CREATED
        return CREATED if created else self.found.state

    @property
    def name(self) -> str:
        """The name in Salestrekker."""
        return names.tidy(simulated_record_fields.name_of(self.row))

    @property
    def qualified(self) -> bool:
        """Whether a qualifier was added to its name."""
        return self.details.get("pending", "").startswith("qualified")


def explain(
    narrator: Narrator,
    ledger: Path,
    text_storage: TextStorage | None,
    sandbox: Sandbox,
    *,
    first: Collection[str],
) -> None:
    """Print where every record is, and why.

    Args:
        narrator: Prints it.
        ledger: The ledger's file.
        text_storage: Opens its sealed text: the printed commands contain names.
        sandbox: Both simulated systems.
        first: Ids of the records that are preferred as examples.
    """
    every = _load_records(ledger, text_storage, sandbox)
    every.sort(key=lambda record: record.found.id not in first)
    narrator.chapter(f"Where all {len(every):,} records are now, and why")
    for outcome in sorted({record.outcome for record in every}, key=_rank):
        _explain_outcome(narrator, outcome, [record for record in every if record.outcome == outcome])
    narrator.text(_reconcile(every, sandbox))


def _explain_outcome(narrator: Narrator, outcome: str, records: Sequence[_ExplainedRecord]) -> None:
    """Print how many records have an outcome, why, one example, and the next command."""
    why, describe = STORIES.get(outcome, (_reasons, _name_only))
    command, effect = _next_command(records[0])
    text: list[TextPart] = [f"{why(records)}\ne.g. {describe(records[0])}\n", (command, "bold")]
    text += [(f"\n{effect}", "italic")] if effect else []
    narrator.outcome([outcome, f"{len(records):,}"], outcome, text)


def _reconcile(every: Sequence[_ExplainedRecord], sandbox: Sandbox) -> str:
    """Compare the ledger's count with the counts of both systems."""
    total, source_size = len(every), len(sandbox.contacts) + len(sandbox.products)
    counted = "each in exactly one of these" if total == source_size else f"Salestrekker has {source_size:,}"
    linked = {record.found.trakor_id for record in every}
    unknown = sum(entry.id not in linked for entry in _entries(sandbox))
    parties, products = len(sandbox.trakor.parties), len(sandbox.trakor.products)
    return (
        f"{total:,} records, {counted}. Trakor has {parties:,} parties and {products:,} products,"
        f" {f'{unknown:,} of them' if unknown else 'none'} unknown to the ledger."
    )


def _entries(sandbox: Sandbox) -> list[Entry]:
    return [*sandbox.trakor.parties.entries(), *sandbox.trakor.products.entries()]


def _load_records(ledger: Path, text_storage: TextStorage | None, sandbox: Sandbox) -> list[_ExplainedRecord]:
    names = {entry.id: entry.name for entry in _entries(sandbox)}
    streams = {Stream.CONTACTS: sandbox.contacts, Stream.PRODUCTS: sandbox.products}
    with reading(ledger, text_storage) as connection:
        return [
            _ExplainedRecord(
                found=found,
                details={line.event: line.detail for line in load_history(connection, found.number)},
                choices=choices(found, load_relations(connection, found)) if found.state in DECIDABLE else [],
                row=streams[found.feed.stream].get(found.id) or {},
                in_trakor=names.get(found.trakor_id, ""),
            )
            for found in find_records(connection, RecordQuery())
        ]


def _rank(word: str) -> tuple[int, str]:
    return (ORDER.index(word) if word in ORDER else len(ORDER), word)


def _next_command(record: _ExplainedRecord) -> tuple[str, str]:
    """Return the command for the decision, or else the one that shows the record, and its effect."""
    if record.choices:
        return record.choices[0].command, record.choices[0].effect
    return f"trakor-bridge records show {record.found.id}", ""


def _reasons(records: Sequence[_ExplainedRecord]) -> str:
    """Count the reasons, with the ledger's names for them."""
    return _listed(f"{count} {reason}" for reason, count in _counted(one.found.reason for one in records))


def _name_only(record: _ExplainedRecord) -> str:
    return f"{record.name}."


def _counted(words: Iterable[str]) -> list[tuple[str, int]]:
    return Counter(words).most_common()


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def _why_created(records: Sequence[_ExplainedRecord]) -> str:
    qualified = sum(record.qualified for record in records)
    return (
        f"Trakor had no such name. {qualified} share theirs with another record, so what distinguishes them"
        " was added."
    )


def _describe_created(record: _ExplainedRecord) -> str:
    return f'{"another " * record.qualified}{record.name} is "{record.in_trakor}" in Trakor.'


def _why_merged(_: Sequence[_ExplainedRecord]) -> str:
    return "Entered twice: name and e-mail (else telephone) are those of another contact."


def _describe_merged(record: _ExplainedRecord) -> str:
    contact_info = simulated_record_fields.email_of(record.row) or simulated_record_fields.phone_of(
        record.row
    )
    return f"{record.name}, twice with {contact_info}."


def _why_held(records: Sequence[_ExplainedRecord]) -> str:
    return (
        f"An operator must decide ({_reasons(records)}): Trakor cannot rename, and the new name would make"
        " a second party."
    )


def _describe_held(record: _ExplainedRecord) -> str:
    return f'{record.name} is still "{record.in_trakor}" in Trakor.'


def _why_drifted(records: Sequence[_ExplainedRecord]) -> str:
    fields = _counted(field for record in records for field in record.found.fields)
    changed = _listed(f"{count} {field}" for field, count in fields)
    return f"Changed since they were sent ({changed}), and Trakor cannot update."


def _describe_drifted(record: _ExplainedRecord) -> str:
    if record.found.feed.stream is Stream.CONTACTS:
        return f"{record.name} now has {simulated_record_fields.email_of(record.row)}."
    return f"{record.name} now costs {simulated_record_fields.application_fee(record.row):,.2f}."


def _why_rejected(records: Sequence[_ExplainedRecord]) -> str:
    errors = _counted(record.details["rejected"].replace(": ", " ", 1) for record in records)
    return f"Not sent: {_listed(f'{error} ({count})' for error, count in errors)}."


def _describe_rejected(record: _ExplainedRecord) -> str:
    return f"{record.name}, at {simulated_record_fields.application_fee(record.row):,.2f}."


def _why_skipped(records: Sequence[_ExplainedRecord]) -> str:
    words = {Reason.FILTERED: "not active", Reason.NO_NAME: "without a name"}
    counted = _counted(record.found.reason for record in records)
    return f"Nothing to send: {_listed(f'{count} {words[Reason(reason)]}' for reason, count in counted)}."


def _describe_skipped(record: _ExplainedRecord) -> str:
    return f"{record.name} is not active in Salestrekker."


STORIES: Final[
    Mapping[str, tuple[Callable[[Sequence[_ExplainedRecord]], str], Callable[[_ExplainedRecord], str]]]
] = MappingProxyType(
    {
        CREATED: (_why_created, _describe_created),
        State.MERGED: (_why_merged, _describe_merged),
        State.HELD: (_why_held, _describe_held),
        State.DRIFTED: (_why_drifted, _describe_drifted),
        State.REJECTED: (_why_rejected, _describe_rejected),
        State.SKIPPED: (_why_skipped, _describe_skipped),
    }
)
"""Outcome -> why its records have it, and the description of one of them."""
