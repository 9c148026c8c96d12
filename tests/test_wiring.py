"""From the configuration to queries: what is read by id reads the same as what a list gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge import settings
from bridge.daemon.due_job_recorder import overdue_at
from bridge.errors import QueryFileError
from bridge.names import Hasher
from bridge.records import Stream
from bridge.wiring.connection import load_plan

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from bridge.wiring.connection import ConnectionPlan

PAIR = """
[salestrekker]
api_key = "key-of-salestrekker"
[trakor]
url = "https://trakor.example/api/public/v1"
api_key = "sk_live_x"
"""


def plan(
    folder: Path, streams: Collection[Stream] = tuple(Stream), *, deals: bool = True, more: str = ""
) -> ConnectionPlan:
    file = folder / "config.toml"
    file.write_text(PAIR + more)
    loaded = settings.load(file, {})
    return load_plan(loaded, loaded.connections["default"], streams, Hasher(b"k" * 32), deals=deals)


def put(folder: Path, name: str, text: str) -> None:
    (folder / "queries").mkdir(exist_ok=True)
    (folder / "queries" / name).write_text(text)


def test_the_shipped_queries_make_a_plan(tmp_path: Path) -> None:
    made = plan(tmp_path)
    assert made.by_id_queries.keys() == made.queries.keys() == set(Stream)
    assert made.ticket is not None


def test_without_contacts_no_deal_is_asked_for(tmp_path: Path) -> None:
    made = plan(tmp_path, [Stream.PRODUCTS])
    assert made.by_id_queries.keys() == {Stream.PRODUCTS}
    assert made.ticket is None


def test_a_mapper_knows_what_is_read_and_what_is_decided_by(tmp_path: Path) -> None:
    """Each under a fingerprint of its own: the paging of a list is part of none."""
    before = plan(tmp_path).mappers[Stream.CONTACTS].rules
    put(
        tmp_path,
        "contacts.graphql",
        "query ($limit: Int, $page: Int) { contacts(limit: $limit, page: $page) { ...ContactFields } }",
    )
    assert plan(tmp_path).mappers[Stream.CONTACTS].rules == before
    added = plan(tmp_path, more='[contacts]\non_rename = "create"\n').mappers[Stream.CONTACTS].rules
    assert (added.query, added.map) == (before.query, before.map)
    assert added.choices != before.choices


@pytest.mark.parametrize(
    ("fields", "lacking", "named"),
    [
        ("id isActive note", "contacts.graphql", "note"),
        ("id", "contact.graphql", "company.contact.email, company.contact.home"),
    ],
)
def test_a_query_by_id_that_reads_other_fields_than_the_list_is_refused(
    tmp_path: Path, fields: str, lacking: str, named: str
) -> None:
    """Each would seem to change what the other has read."""
    fields = fields if fields == "id" else f"...ContactFields {fields}"
    put(tmp_path, "contact.graphql", f"query ($id: ID!) {{ contact(id: $id) {{ {fields} }} }}")
    with pytest.raises(
        QueryFileError, match=rf"{lacking}: does not read what \S+ reads of a record: {named}"
    ):
        plan(tmp_path)


def test_a_field_under_another_name_is_another_field(tmp_path: Path) -> None:
    text = "query ($id: ID!) { contact(id: $id) { ...ContactFields isActive: isArchived } }"
    put(tmp_path, "contact.graphql", text)
    with pytest.raises(QueryFileError, match="isActive: isArchived"):
        plan(tmp_path)


def test_what_reads_no_deals_does_not_look_at_their_query(tmp_path: Path) -> None:
    """A backfill goes on working beside a file that it does not use."""
    put(tmp_path, "ticket.graphql", "query ($id: ID!) { ticket(id: $id) { id } }")
    assert plan(tmp_path, deals=False).ticket is None
    with pytest.raises(QueryFileError):
        plan(tmp_path)


def test_a_stream_without_a_query_by_id_is_read_by_its_list_alone(tmp_path: Path) -> None:
    """Nor are deals read, which only lead to single contacts."""
    made = plan(tmp_path, more='[contacts]\none_query = ""\n')
    assert made.by_id_queries.keys() == {Stream.PRODUCTS}
    assert made.ticket is None


# -- when a list is overdue

HOUR = 3_600_000
SIX = 1_795_032_000_000 - 1_795_032_000_000 % (24 * HOUR) + 6 * HOUR
"""Six o'clock in UTC, milliseconds since the epoch."""


def overdue_after(folder: Path, schedule: str, stream: Stream, *, read_at: int = SIX) -> float | None:
    """Hours from when a list was read to its end until it is overdue."""
    file = folder / "config.toml"
    file.write_text(f'{PAIR}[schedule]\ntimezone = "UTC"\n{schedule}\n')
    at = overdue_at(settings.load(file, {}).connections["default"], stream, read_at)
    return None if at is None else (at - read_at) / HOUR


def test_a_list_is_overdue_after_twice_its_interval(tmp_path: Path) -> None:
    assert overdue_after(tmp_path, 'contacts = "15m"', Stream.CONTACTS) == 0.5


def test_a_list_read_by_the_clock_is_overdue_when_it_was_due_twice(tmp_path: Path) -> None:
    schedule = 'products = "0 3 * * *"\nreconcile = "30 2 * * 0"'
    assert overdue_after(tmp_path, schedule, Stream.PRODUCTS) == 45
    twice_a_day = 'products = "0 9-10 * * *"\nreconcile = "30d"'
    assert overdue_after(tmp_path, twice_a_day, Stream.PRODUCTS) == 4


def test_a_stream_that_is_not_enabled_is_never_overdue(tmp_path: Path) -> None:
    assert overdue_after(tmp_path, "[products]\nenabled = false", Stream.PRODUCTS) is None
