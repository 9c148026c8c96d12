"""Whatever value of whatever row is damaged: nothing stumbles over it, others go on, and it is found."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from books import KEEPING, KEY, Book, empty_ledger
from bridge.admin.lists import item_of, waiting_of
from bridge.errors import LedgerError
from bridge.ledger.alerts_sent import AlertSent, AlertTopic, load_alerts_sent, save_alerts_sent
from bridge.ledger.canary_payloads import open_canaries, store_canaries
from bridge.ledger.connection_organizations import KnownOrganizations, load_known, save_known
from bridge.ledger.connection_organizations import TrakorIdentity as Joined
from bridge.ledger.database import reading
from bridge.ledger.integrity import check_ledger
from bridge.ledger.observe import Observation, observe, survey
from bridge.ledger.open import migrate, verify_key
from bridge.ledger.read_model import (
    AttentionKind,
    RecordQuery,
    find_page,
    find_records,
    last_rejections,
    list_feeds,
)
from bridge.ledger.record_relations_and_history import load_history, load_relations
from bridge.ledger.runs_and_sweeps import (
    Sweep,
    begin_run,
    begin_sweep,
    count_run,
    end_run,
    end_sweep,
    list_runs,
)
from bridge.ledger.scheduled_jobs import load_scheduled_jobs, request_job
from bridge.ledger.stored_pauses import Direction, set_pause
from bridge.ledger.token_and_alive_times import TimestampName, set_timestamp
from bridge.ledger.webhook_queue import find_due_webhooks, list_webhooks, store_webhooks
from bridge.records import Job, ReceivedWebhook, Stream
from bridge.records.webhooks import WebhookAction
from bridge.status import take
from bridge.status.possible_actions import choices
from bridge.status.record_comparison import other_of, sides
from bridge.status.record_explanation import event, meaning
from bridge.status.snapshot import figures
from builders import answered, draft, filtered, later, made_by, not_taken, unmapped
from damaging import VALUES, Place, places, put, wrong

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bridge.records import Draft, Outcome, Payload, Unsendable, WorkItem

NOW = 2_000_000
HEADS = frozenset({"alembic_version", "facts", "feeds", "spaces", "organizations"})
"""Tables without which there is no ledger: what is damaged in them may stop all, in one sentence."""


def source(contact: str = "", at: int = 10) -> list[Draft | Unsendable]:
    """What Salestrekker says: of one in each state."""
    return [
        draft("Ann", contact, id="delivered", same_as="a", at=at),
        draft("Bo", "0499" if contact else "", id="drifted", at=at),
        draft("Ann", id="merged", same_as="a", at=at),
        draft("Bo", id="namesake", same_as="b", at=at),
        draft("Bo", id="qualified", qualifier="bo@example.com", same_as="c", at=at),
        filtered(id="skipped", at=at),
        unmapped(id="unmapped", at=at),
        draft("Fay", contact, id="refused", at=at),
        draft("Gus", contact, id="adopted", at=at),
        draft("Hal", contact, id="tried", at=at),
    ]


def write_all(book: Book) -> None:
    """A small ledger that has something in each table."""
    sweep = book.write(lambda c: begin_sweep(c, book.feed, "query", restart=True, now=book.now))
    run = book.write(lambda c: begin_run(c, "default", "backfill", [book.feed], now=book.now))
    book.see(*source(), observation=Observation(run=run, sweep=sweep.number, position="1"))
    work = {one.payload.name: one for one in book.claim()}
    said: list[Outcome] = [answered(work[name]) for name in ("Ann", "Bo", "Bo (bo@example.com)")]
    said += [answered(work["Gus"], created=False), not_taken(work["Fay"]), later(work["Hal"])]
    book.settle(*said, run=run)
    book.see(draft("Bo", "0499", id="drifted", at=20), draft("Ivy", id="pending", at=20))
    products = Book(book.path, stream=Stream.PRODUCTS)
    products.see(draft("Loan", "terms", id="p1", product=True, price="1.50"))
    products.settle(*(answered(one, sku="SKU-1") for one in products.claim()))

    def others(c: Connection) -> None:
        store_canaries(c, book.feed, [_taken(work["Ann"])], now=NOW)
        end_sweep(c, Sweep(sweep.number, ""), complete=True, now=NOW)
        end_run(c, run, complete=True, counts={"contacts": {"read": 3}}, now=NOW)
        received = ReceivedWebhook("default", WebhookAction.CONTACT_UPDATED, "delivered", NOW, None, "")
        store_webhooks(c, [received, ReceivedWebhook("default", "odd", "", NOW, "what", "unreadable")])
        set_pause(c, "default", Direction.SENDING, reason="401", now=NOW)
        request_job(c, "default", Job.CONTACTS, now=NOW)
        set_timestamp(c, "default", TimestampName.TOKEN_EXPIRES, NOW)
        save_alerts_sent(c, "address", {AlertTopic("kind", "default"): AlertSent(NOW, 1)})
        save_known(c, KnownOrganizations("default", "source", Joined("address", "key", "scope")))
        verify_key(c, KEY)

    book.write(others)


def _taken(work: WorkItem) -> tuple[int, str, Payload]:
    return work.number, work.key, work.payload


def live(path: Path) -> str:
    """All that a bridge does with a ledger in an hour; gives the state of a record that came meanwhile."""
    migrate(path, KEEPING)
    book = Book(path, now=NOW)
    book.write(lambda c: verify_key(c, KEY))
    seen = [*source("0411", at=NOW), draft("Ivy", "0411", id="pending", at=NOW)]
    known = [(one.id, one.input) for one in seen]
    book.write(lambda c: survey(c, book.feed, known, made_by("rules 2")))
    sweep = book.write(lambda c: begin_sweep(c, book.feed, "query", restart=True, now=book.now))
    page = [draft("Zoe", id="newcomer", at=NOW), *seen, draft("Yve", id="another", at=NOW)]
    observation = Observation(sweep=sweep.number, position="2")
    book.write(lambda c: observe(c, book.feed, page, observation, policy=book.policy, now=book.now))
    found: list[WorkItem] = book.claim()
    book.settle(*(answered(one, f"new {one.number}") for one in found))
    book.write(lambda c: store_canaries(c, book.feed, map(_taken, found), now=book.now))
    book.see(*source("0412", at=NOW + 1))
    book.write(lambda c: end_sweep(c, sweep, complete=True, now=book.now))
    return book.stands("newcomer")


def look(path: Path) -> list[str]:
    """All that is shown of a ledger; gives the records that are listed as damaged."""
    damaged = []
    take(path, {"default": list(Stream)}, ("default",), NOW).as_json()
    figures(path, NOW)
    with reading(path, KEEPING) as c:
        for record in find_records(c, RecordQuery()):
            standing = load_relations(c, record)
            assert meaning(record, standing, NOW)
            choices(record, standing)
            assert all(map(event, load_history(c, record.number)))
            item_of(record, NOW)
            sides(record, standing)
            other_of(record, standing)
            damaged += [record.id] * (record.reason == "damaged")
        for one in waiting_of(c):
            kind = AttentionKind(one.feed.number, one.state, one.reason)
            last_rejections(c, [record.number for record in find_page(c, [kind]).records])
        for feed in list_feeds(c):
            count_run(c, feed, 1)
            open_canaries(c, feed)
        list_runs(c, "default", 9)
        list_webhooks(c, ("default",), 9)
        find_due_webhooks(c, "default", before=NOW, now=NOW, limit=9)
        load_scheduled_jobs(c, "default")
        load_alerts_sent(c)
        load_known(c, "default")
    return damaged


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger that is as it must be."""
    folder = tmp_path_factory.mktemp("whole")
    write_all(Book(empty_ledger(folder / "template.db", folder / "ledger.db")))
    return folder / "ledger.db"


def test_a_whole_ledger_is_found_to_be_whole(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(whole, tmp_path / "ledger.db"))
    assert [one for one in check_ledger(path, lambda: KEY) if not one.ok] == []
    assert look(path) == []
    assert live(path) == "delivered"
    assert [one for one in check_ledger(path, lambda: KEY) if not one.ok] == []


@given(data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_damaged_value_stops_nobody_and_is_found(
    data: st.DataObject, whole: Path, tmp_path: Path
) -> None:
    """Any column of any row of any table, as anything that a file can hold."""
    place = data.draw(st.sampled_from(places(whole)))
    damaged = damaged_copy(whole, tmp_path, place, data.draw(st.sampled_from([*VALUES])))
    assume(damaged is not None)
    assert damaged is not None
    stumbles_over_nothing(damaged, place)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("records", "sent", "the same bytes as a blob"),
        ("records", "since_at", "a text"),
        ("records", "source_id", "NULL"),
        ("records", "feed", "bytes that are no text"),
        ("records", "number", "a huge number"),
        ("records", "merged_into", "a number"),
        ("claims", "record", "a huge number"),
        ("claims", "tried", "the same bytes as a blob"),
        ("links", "trakor_id", "a blob"),
        ("waiting", "meta", "a number"),
        ("waiting", "body", "NULL"),
        ("history", "detail", "NULL"),
        ("tallies", "state", "a text"),
        ("feeds", "stream", "a text"),
        ("feeds", "number", "a number"),
        ("rules", "text", "a blob"),
    ],
)
def test_what_was_seen_to_stop_all_stops_nobody(
    whole: Path, tmp_path: Path, table: str, column: str, value: str
) -> None:
    place = Place(table, column, 0)
    damaged = damaged_copy(whole, tmp_path, place, value)
    assert damaged is not None
    stumbles_over_nothing(damaged, place)


def damaged_copy(whole: Path, folder: Path, place: Place, value: str) -> Path | None:
    """A ledger with one value damaged; None where no file can hold that."""
    for file in folder.glob("ledger.db*"):
        file.unlink()
    path = Path(shutil.copy(whole, folder / "ledger.db"))
    return path if put(path, place, VALUES[value]) else None


def stumbles_over_nothing(path: Path, place: Place) -> None:
    """It is looked at, worked with, and looked at again; what cannot be right is found before."""
    is_wrong = wrong(path, place)
    try:
        found = [one.name for one in check_ledger(path, lambda: KEY) if not one.ok]
        damaged = look(path)
        assert live(path) == "delivered"
        look(path)
    except LedgerError:
        if place.table not in HEADS:
            raise
        return
    assert found or damaged or not is_wrong
