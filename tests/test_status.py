"""The whole truth in one value and a few sentences, and each record's story without a word left raw."""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bridge
from books import Book, kept
from bridge.errors import LedgerError
from bridge.ledger.database import writing
from bridge.ledger.feeds import Feed
from bridge.ledger.open import lock_ledger
from bridge.ledger.read_model import RecordSummary, list_feeds
from bridge.ledger.record_relations_and_history import HistoryLine, RecordRelations
from bridge.ledger.runs_and_sweeps import ONLY_A_PART, LastSweep, begin_sweep, end_sweep
from bridge.ledger.scheduled_jobs import set_next_due
from bridge.ledger.schema import pauses, records, sweeps
from bridge.ledger.stored_pauses import set_pause
from bridge.ledger.token_and_alive_times import TimestampName, set_timestamp
from bridge.ledger.webhook_queue import store_webhooks
from bridge.records import Job, Reason, ReceivedWebhook, State, Stream
from bridge.status import (
    ConnectionStatus,
    Flow,
    Snapshot,
    StreamStatus,
    age,
    choices,
    event,
    headline,
    iso,
    local_time,
    meaning,
    short_age,
    take,
)
from bridge.status.snapshot import WebhookStatus
from bridge.status.vocabulary import EVENTS, SITUATIONS
from builders import answered, draft
from desk import Organisation, organisation

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

SECOND = 1000
NOW = 1_795_000_000_000
BOTH: Mapping[str, Collection[Stream]] = {"default": list(Stream)}
STATES_WITH_REASONS = {
    State.SKIPPED: (Reason.FILTERED, Reason.NO_NAME),
    State.HELD: (Reason.SAME_NAME, Reason.RENAMED, Reason.REMAPPED, Reason.SAME_PARTY, Reason.EXISTING),
    State.REJECTED: (Reason.MAPPING, Reason.REFUSED, Reason.SERVER_ERROR),
}


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    return asyncio.run(organisation(tmp_path_factory.mktemp("organisation")))


@pytest.fixture
def ledger(left: Organisation, tmp_path: Path) -> Path:
    """A copy of the organisation's ledger."""
    shutil.copytree(left.folder, tmp_path, dirs_exist_ok=True)
    return tmp_path / "ledger.db"


def look(
    ledger: Path,
    streams: Mapping[str, Collection[Stream]] = BOTH,
    configured: Collection[str] = ("default",),
) -> Snapshot:
    return take(ledger, streams, configured, NOW)


def stream(
    in_trakor: int = 0, *, swept: bool = True, complete: bool = True, problem: str = "", **states: int
) -> StreamStatus:
    found = dict.fromkeys(State, 0) | {State(state): number for state, number in states.items()}
    sweep = LastSweep(1, NOW - 9000, NOW - 3000, NOW - 2000, complete, sum(found.values()), problem=problem)
    return StreamStatus(
        states=found,
        in_trakor=in_trakor,
        to_send=found[State.PENDING],
        last_sweep=sweep if swept else None,
    )


def sentences(contacts: StreamStatus, products: StreamStatus) -> list[str]:
    streams = {Stream.CONTACTS: contacts, Stream.PRODUCTS: products}
    return headline(ConnectionStatus("default", streams), NOW)


def test_a_bridge_that_never_ran_is_no_error(tmp_path: Path) -> None:
    """Nothing yet: every state is there with 0, and what to do is said."""
    snapshot = look(tmp_path / "ledger.db")
    (status,) = snapshot.connections.values()
    assert snapshot.size is None
    assert status.as_json()["streams"]["contacts"]["states"] == dict.fromkeys(map(str, State), 0)
    assert headline(status, NOW) == [
        "Nothing yet: `trakor-bridge backfill` sends everything in Salestrekker to Trakor."
    ]


def test_the_document_has_what_the_interface_says(ledger: Path) -> None:
    document = look(ledger).as_json()
    assert document["version"] == bridge.__version__
    connection = document["connections"]["default"]
    assert set(connection) == {
        "reading", "sending", "token_expires_at", "streams", "webhooks", "lag_seconds",
    }  # fmt: skip
    assert connection["reading"] == {"state": "ok", "since": None, "reason": None, "next_try": None}
    assert connection["webhooks"] == {"received": 0, "waiting": 0, "last_at": None, "unreadable": 0}
    assert connection["token_expires_at"] is None
    contacts = connection["streams"]["contacts"]
    assert set(contacts) == {"states", "marks", "last_sweep", "next_sweep_at"}
    assert contacts["states"] == {
        "pending": 1, "delivered": 4, "merged": 1, "skipped": 2,
        "held": 4, "rejected": 1, "drifted": 1, "dropped": 0,
    }  # fmt: skip
    assert contacts["marks"] == {"gone": 1, "filtered": 0, "remapped": 0, "dismissed": 0}
    assert contacts["last_sweep"]["complete"] is True
    assert contacts["last_sweep"]["read"] == 13
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", contacts["last_sweep"]["ended_at"])


def test_a_sweep_that_did_not_end_is_told(ledger: Path) -> None:
    with writing(ledger, kept(ledger)) as connection:
        connection.execute(sweeps.update().values(ended_at=None, complete=0))
    sweep = look(ledger).as_json()["connections"]["default"]["streams"]["products"]["last_sweep"]
    assert (sweep["ended_at"], sweep["complete"], sweep["read"]) == (None, False, 2)
    (told,) = [one for one in headline(look(ledger).connections["default"], NOW) if "products" in one][1:]
    assert told.startswith("Not all products have been read yet: 2 so far")


def test_the_lag_is_that_of_the_record_that_waits_longest(ledger: Path) -> None:
    with writing(ledger, kept(ledger)) as connection:
        connection.execute(
            records.update().where(records.c.state == "pending").values(since_at=NOW - 90 * SECOND)
        )
    assert look(ledger).connections["default"].lag_seconds == 90.0


def test_a_record_that_is_gone_before_it_was_sent_is_not_waited_for(ledger: Path) -> None:
    """It is pending for ever: neither still to be sent nor a lag, but left out."""
    with writing(ledger, kept(ledger)) as connection:
        connection.execute(records.update().where(records.c.state == "pending").values(gone=1))
    status = look(ledger).connections["default"]
    contacts = status.streams[Stream.CONTACTS]
    assert (contacts.to_send, contacts.left_out, status.lag_seconds) == (0, 3, 0.0)


def test_a_pause_is_told_with_its_reason_and_the_next_try(ledger: Path) -> None:
    pause = {
        "connection": "default",
        "direction": "sending",
        "since_at": NOW - 60 * SECOND,
        "reason": "Trakor answered 403",
        "next_try_at": NOW + 120 * SECOND,
    }
    with writing(ledger, kept(ledger)) as connection:
        connection.execute(pauses.insert().values(pause))
    status = look(ledger).connections["default"]
    assert status.as_json()["sending"] == {
        "state": "paused",
        "since": iso(NOW - 60 * SECOND),
        "reason": "Trakor answered 403",
        "next_try": iso(NOW + 120 * SECOND),
    }
    assert status.reading == Flow()
    (told,) = [sentence for sentence in headline(status, NOW) if "paused" in sentence]
    assert told.endswith("Trakor answered 403. The next backfill tries it."), "where no daemon runs"
    (told,) = [sentence for sentence in headline(status, NOW, alive=True) if "paused" in sentence]
    assert told.startswith("Sending to Trakor is paused since ")
    assert told.endswith("(1 minute ago): Trakor answered 403. The next try is due in 2 minutes.")


def test_connections_that_are_not_configured_any_more_are_not_kept_silent(ledger: Path) -> None:
    snapshot = look(ledger, {"sydney": [Stream.CONTACTS]}, ("sydney",))
    assert set(snapshot.connections) == {"sydney"}
    assert snapshot.others == {"default": 16}


def test_one_connection_may_be_asked_for_without_losing_the_others(ledger: Path) -> None:
    """--connection sydney does not make of the other one a stranger."""
    assert look(ledger, {"sydney": [Stream.CONTACTS]}, ("default", "sydney")).others == {}


def test_a_stream_that_is_switched_off_still_shows_what_it_left(ledger: Path) -> None:
    status = look(ledger, {"default": [Stream.CONTACTS]}).connections["default"]
    assert status.streams[Stream.PRODUCTS].states[State.DELIVERED] == 1


def test_a_newer_ledger_is_refused(ledger: Path) -> None:
    with writing(ledger, kept(ledger)) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerError, match="newer version"):
        look(ledger)


def test_the_truth_first_when_all_is_well() -> None:
    said = sentences(stream(4312, delivered=4310, merged=2), stream(118, delivered=118))
    assert said == ["All 4,312 contacts and 118 products are in Trakor."]


def test_a_renamed_record_is_in_trakor_and_waits_for_a_person() -> None:
    said = sentences(stream(3, delivered=2, held=1), stream(1, delivered=1))
    assert said[0] == "All 3 contacts and 1 product are in Trakor."
    assert said[1] == "1 needs a decision: trakor-bridge records list --state held"


def test_what_is_missing_is_counted_against_what_is_wanted() -> None:
    """Skipped and dropped records are not wanted, so they are no part of the whole."""
    contacts = stream(5, delivered=5, pending=2, rejected=1, skipped=3, dropped=1)
    assert sentences(contacts, stream(2, delivered=2)) == [
        "5 of 8 contacts and all 2 products are in Trakor.",
        "2 are still to be sent: trakor-bridge backfill",
        "1 needs a decision: trakor-bridge records list --state rejected",
        "4 are left out: trakor-bridge records list --state skipped,dropped",
    ]


def test_a_stream_of_which_nothing_is_wanted_is_not_counted() -> None:
    """`All 0 products` says nothing; the others are told, or that there are none."""
    assert sentences(stream(2, delivered=2), stream(0))[0] == "All 2 contacts are in Trakor."
    assert sentences(stream(1, delivered=1, pending=1), stream(0))[0] == "1 of 2 contacts are in Trakor."
    left_out = "There is nothing to send: every known record is left out."
    assert sentences(stream(0, skipped=2), stream(0))[0] == left_out
    assert sentences(stream(0), stream(0))[0].endswith("Salestrekker has shown no record yet.")


def test_what_webhooks_brought_is_a_sentence_and_strange_ones_are_pointed_to() -> None:
    """Where none ever came nothing is said of them."""
    streams = {Stream.CONTACTS: stream(2, delivered=2)}
    came = WebhookStatus(received=12, waiting=3, last_at=NOW - 120_000, unreadable=1)
    assert headline(ConnectionStatus("default", streams, webhooks=came), NOW)[1:] == [
        "12 webhooks received, the last one 2 minutes ago; 3 not processed yet.",
        "1 not understood: trakor-bridge webhooks list --problems",
    ]
    assert headline(ConnectionStatus("default", streams), NOW)[1:] == []


def test_an_unread_stream_and_one_read_in_part_are_said_to_be() -> None:
    broken = stream(1, complete=False, problem="1 could not be read", delivered=1)
    said = sentences(broken, stream(swept=False))
    assert said[1:] == [
        "Some contacts could not be read 2 seconds ago: trakor-bridge backfill contacts",
        "The products have never been read: trakor-bridge backfill products",
    ]


def test_what_was_only_to_be_read_in_part_did_not_fail() -> None:
    said = sentences(
        stream(1, complete=False, problem=ONLY_A_PART, delivered=1), stream(1, complete=False, delivered=1)
    )
    assert said[1:] == [
        "Only a part of the contacts was read, as --limit asked: trakor-bridge backfill contacts"
    ], "and what was gone on with after an interruption was read to its end"


def test_who_shares_what_trakor_does_not_have_is_not_in_trakor(book: Book) -> None:
    """A merged record counts once the one that it shares has an answer."""
    book.see(draft("Ann", same_as="ann@example.org"), draft("ann", id="c2", same_as="ann@example.org"))
    assert book.stands("c2") == "merged"
    before = look(book.path).connections["default"]
    assert before.streams[Stream.CONTACTS].in_trakor == 0
    assert headline(before, NOW)[0] == "0 of 2 contacts are in Trakor."
    book.settle(*(answered(work) for work in book.claim()))
    assert look(book.path).connections["default"].streams[Stream.CONTACTS].in_trakor == 2


@pytest.mark.parametrize(
    ("at", "said", "short"),
    [
        (NOW, "just now", "0 s"),
        (NOW - 1 * SECOND, "1 second ago", "1 s"),
        (NOW - 59 * SECOND, "59 seconds ago", "59 s"),
        (NOW - 60 * SECOND, "1 minute ago", "1 min"),
        (NOW - 7200 * SECOND, "2 hours ago", "2 h"),
        (NOW - 400 * 86400 * SECOND, "400 days ago", "400 d"),
        (NOW + 90 * SECOND, "in 1 minute", "1 min"),
    ],
)
def test_ages(at: int, said: str, short: str) -> None:
    assert age(at, NOW) == said
    assert short_age(at, NOW) == short


def test_moments_name_their_time_zone() -> None:
    assert iso(1_700_000_000_999) == "2023-11-14T22:13:20Z"
    assert re.fullmatch(r"2023-11-1\d \d\d:\d3:20 \S+", local_time(1_700_000_000_999))


# -- one record -------------------------------------------------------------------------------------


HELD = RecordSummary(
    number=1, feed=Feed(1, "default", Stream.CONTACTS, 1), id="c1", state="held", reason="", marks=(),
    origin="", trakor_id="", sku="", fields=(), since_at=NOW, name="", retry=False,
)  # fmt: skip
ALONE = RecordRelations(
    attempts=0, next_try_at=0, claimant=None, merged_here=(), name_holder="", qualified_name="",
    qualified_holder="", trakor_ids=(),
)  # fmt: skip


def record(state: State, reason: str = "") -> RecordSummary:
    return replace(HELD, state=str(state), reason=reason)


def commands(one: RecordSummary, standing: RecordRelations = ALONE, options: str = "") -> list[str]:
    return [choice.command for choice in choices(one, standing, options)]


def words_of_the_history() -> set[str]:
    """Every word that the code can write into the history, read off its source."""
    sources = [file.read_text() for file in (Path(bridge.__file__).parent).rglob("*.py")]
    written = re.compile(
        r'\bevent ?= ?([^\n]+)|(?:\.line|_add_history)\([^"()]*, ("[a-z-]+")|"event": ("[a-z-]+")'
    )
    found = {
        word
        for source in sources
        for groups in written.findall(source)
        for word in re.findall(r'"([a-z-]+)"', "".join(groups))
    }
    return found | {"skipped", "rejected"}  # event=str(state), where a record is set aside


def test_every_word_of_the_history_has_its_sentence() -> None:
    words = words_of_the_history()
    assert {"pending", "delivered", "retry", "gone"} < words  # the search finds what there is
    assert words == {word for word, _, _ in EVENTS}


@pytest.mark.parametrize(
    ("word", "detail", "sentence"),
    [
        (
            "pending",
            "qualified: c9 has the name",
            "To be sent under its qualified name: c9 has the plain name.",
        ),
        ("held", "c9 has the name", "Held: c9 has the name."),
        ("held", "renamed", "Held: renamed in Salestrekker, and Trakor cannot rename it."),
        ("rejected", "400: {braces} stay", "Rejected: 400: {braces} stay"),
        ("rejected", "two\nlines", "Rejected: two\nlines"),
        ("accepted", "under a given name", "An operator gave it a name: to be sent under that name."),
        ("retried", "into c9", "An operator asked for a new check: it shares the record of c9."),
        ("retried", "perhaps c9", "An operator asked for a new check: held, possibly the same person as c9."),
        (
            "retried",
            "taken as it is",
            "An operator asked for a new check: it is the one that Trakor had.",
        ),
        ("invented", "later", "invented: later"),
        ("invented", "", "invented"),
    ],
)
def test_a_line_of_history_reads_as_a_sentence(word: str, detail: str, sentence: str) -> None:
    assert event(HistoryLine(NOW, word, detail)) == sentence


@pytest.mark.parametrize(
    ("state", "reason"),
    [(state, reason) for state in State for reason in STATES_WITH_REASONS.get(state, ("",))],
)
def test_every_state_is_explained(state: State, reason: str) -> None:
    """No state without a meaning of its own, and none that leaves a placeholder."""
    assert (state, reason) in SITUATIONS
    said = meaning(record(state, reason), ALONE, NOW)
    assert said[0].endswith(".")
    assert "{" not in " ".join(said)


@pytest.mark.parametrize("state", [State.DELIVERED, State.MERGED])
def test_where_nothing_can_be_done_nothing_is_offered(state: State) -> None:
    assert commands(record(state)) == []


def test_a_free_qualified_name_is_offered_a_taken_one_not() -> None:
    held = record(State.HELD, Reason.SAME_NAME)
    qualified = replace(ALONE, qualified_name="Jo (jo@x)")
    accept = "trakor-bridge records accept c1"
    assert accept in commands(held, qualified)
    assert accept not in commands(held, replace(qualified, qualified_holder="c9"))
    assert accept not in commands(held)
    assert f'{accept} --as "NAME"' in commands(held)


def test_commands_can_be_pasted_whatever_the_id() -> None:
    dropped = record(State.DROPPED)
    assert commands(replace(dropped, id="a b'c")) == ["""trakor-bridge records retry 'a b'"'"'c'"""]
    assert commands(replace(dropped, id="-7"), ALONE, "--connection x") == [
        "trakor-bridge records retry --connection x -- -7"
    ]


def test_what_else_is_to_be_said_of_a_record() -> None:
    one = replace(record(State.PENDING), marks=("filtered",), retry=True)
    tried = replace(ALONE, attempts=2, next_try_at=NOW + 60 * SECOND, merged_here=("c2", "c3"))
    assert meaning(one, tried, NOW) == [
        "It will be sent to Trakor.",
        "It was tried 2 times, and Trakor did not answer.",
        "The next try is due in 1 minute.",
        "The configuration now excludes it. It may be inactive, for example.",
        "An operator asked for it to be checked again when it is next read.",
        "Its record in Trakor is shared by c2, c3.",
    ]


def test_a_delivered_record_says_whether_the_source_has_changed() -> None:
    """With on_change = "ignore" a change is no drift, and no secret either."""
    delivered = record(State.DELIVERED)
    assert "Nothing that was sent has changed" in meaning(delivered, ALONE, NOW)[1]
    changed = meaning(replace(delivered, fields=("contact_info",)), ALONE, NOW)[1]
    assert changed.startswith("It now differs in Salestrekker (contact_info)")


def test_the_claimant_is_named() -> None:
    shared = replace(ALONE, claimant=replace(record(State.DELIVERED), id="c9"))
    said = meaning(record(State.MERGED), shared, NOW)
    assert said == ["It has no record of its own in Trakor: it shares the record of c9."]


# -- beside a daemon --------------------------------------------------------------------------------


def noted_by_a_daemon(ledger: Path) -> None:
    """What a daemon writes for those who look beside it."""
    with writing(ledger, kept(ledger)) as connection:
        set_timestamp(connection, "default", TimestampName.TOKEN_EXPIRES, NOW + 86_400 * SECOND)
        set_timestamp(connection, "default", TimestampName.TOKEN_FAILING_SINCE, NOW - 60 * SECOND)
        set_timestamp(connection, "sydney", TimestampName.TOKEN_EXPIRES, NOW)
        set_next_due(connection, "default", Job.CONTACTS, NOW + 900 * SECOND)
        set_next_due(connection, "default", Job.PRODUCTS, NOW + 7200 * SECOND)
        set_next_due(connection, "default", Job.RECONCILE, NOW + 3600 * SECOND)


def test_what_a_daemon_noted_is_told_while_it_runs(ledger: Path) -> None:
    """The next sweep of a stream is its own or that of all, whichever comes first."""
    noted_by_a_daemon(ledger)
    with lock_ledger(ledger, "trakor-bridge run"):
        snapshot = look(ledger)
    status = snapshot.connections["default"]
    assert snapshot.alive
    assert status.as_json()["token_expires_at"] == iso(NOW + 86_400 * SECOND)
    assert status.token_failing_since == NOW - 60 * SECOND
    assert {name: one.next_sweep_at for name, one in status.streams.items()} == {
        Stream.CONTACTS: NOW + 900 * SECOND,
        Stream.PRODUCTS: NOW + 3600 * SECOND,
    }


def test_a_stream_that_is_switched_off_has_no_next_sweep(ledger: Path) -> None:
    noted_by_a_daemon(ledger)
    with lock_ledger(ledger, "trakor-bridge run"):
        status = look(ledger, {"default": [Stream.CONTACTS]}).connections["default"]
    assert status.streams[Stream.PRODUCTS].next_sweep_at is None


def test_what_a_daemon_noted_is_not_told_once_it_is_gone(ledger: Path) -> None:
    """A backfill holds no token for anybody, and sweeps by no schedule."""
    noted_by_a_daemon(ledger)
    with lock_ledger(ledger, "trakor-bridge backfill"):
        snapshot = look(ledger)
    status = snapshot.connections["default"]
    assert (snapshot.alive, status.token_expires_at, status.token_failing_since) == (False, None, None)
    assert {one.next_sweep_at for one in status.streams.values()} == {None}


def test_webhooks_are_told_also_while_no_daemon_runs(ledger: Path) -> None:
    came = [
        ReceivedWebhook("default", "contact-created", "c1", NOW - 2 * SECOND, None, ""),
        ReceivedWebhook("default", "contact-updated", "", NOW - SECOND, "{}", "unreadable"),
        ReceivedWebhook("sydney", "contact-created", "c1", NOW, None, ""),
    ]
    with writing(ledger, kept(ledger)) as connection:
        store_webhooks(connection, came)
    assert look(ledger).as_json()["connections"]["default"]["webhooks"] == {
        "received": 2, "waiting": 1, "last_at": iso(NOW - SECOND), "unreadable": 1,
    }  # fmt: skip
    assert look(ledger).connections["default"].webhooks.unreadable_at == NOW - SECOND


def test_what_waits_for_a_person_is_counted_by_why(ledger: Path) -> None:
    """The counts add up to the states in which a record waits for one."""
    contacts = look(ledger).connections["default"].streams[Stream.CONTACTS]
    assert contacts.waiting["drifted"] == 1
    assert contacts.waiting.keys() > {"drifted", str(Reason.SAME_NAME)}
    assert sum(contacts.waiting.values()) == 4 + 1 + 1
    assert contacts.reached is not None
    assert contacts.reached.good_at == contacts.complete_at


def test_a_pause_of_one_stream_leaves_the_other_alone(ledger: Path) -> None:
    with writing(ledger, kept(ledger)) as connection:
        set_pause(connection, "default", "sending contacts", reason="twenty were rejected", now=NOW - SECOND)
    status = look(ledger).connections["default"]
    assert [one.sending.state for one in status.streams.values()] == ["paused", "ok"]
    assert (status.sending.state, status.as_json()["sending"]["reason"]) == ("ok", "twenty were rejected")
    (told,) = [sentence for sentence in headline(status, NOW) if "paused" in sentence]
    assert told.startswith("Sending contacts to Trakor is paused since ")


def test_the_last_complete_sweep_outlasts_one_that_broke_off(ledger: Path) -> None:
    before = look(ledger).connections["default"].streams[Stream.CONTACTS]
    with writing(ledger, kept(ledger)) as connection:
        feed = next(feed for feed in list_feeds(connection) if feed.stream is Stream.CONTACTS)
        sweep = begin_sweep(connection, feed, "query", restart=True, now=NOW)
        end_sweep(connection, sweep, complete=False, now=NOW)
    after = look(ledger).connections["default"].streams[Stream.CONTACTS]
    assert before.last_sweep is not None
    assert after.last_sweep is not None
    assert (after.last_sweep.complete, after.complete_at) == (False, before.last_sweep.ended_at)


def test_beside_a_daemon_nobody_is_told_to_start_a_backfill() -> None:
    streams = {
        Stream.CONTACTS: stream(1, delivered=1, pending=1, complete=False, problem="x"),
        Stream.PRODUCTS: stream(swept=False),
    }
    said = headline(ConnectionStatus("default", streams), NOW, alive=True)
    assert said[1:] == [
        "1 is still to be sent.",
        "Some contacts could not be read 2 seconds ago.",
        "The products have never been read.",
    ]
    reading = replace(
        streams[Stream.CONTACTS], last_sweep=LastSweep(1, NOW, NOW - SECOND, None, complete=False, read=7)
    )
    under_way = headline(ConnectionStatus("default", {Stream.CONTACTS: reading}), NOW, alive=True)
    assert under_way[-1] == "The contacts are being read: 7 so far, the last ones 1 second ago."
