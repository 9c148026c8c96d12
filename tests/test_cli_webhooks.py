"""`webhooks urls|list|replay`: what to paste, what came, and what is to be read once more."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

from books import kept
from bridge.ledger.database import reading, writing
from bridge.ledger.open import migrate, read_or_make_key
from bridge.ledger.schema import events
from bridge.ledger.webhook_queue import find_due_webhooks, finish_webhooks, store_webhooks
from bridge.records.webhooks import ReceivedWebhook, WebhookAction
from desk import Desk

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND, NORTH = "first-canary-" * 3, "second-canary-" * 3, "north-canary-" * 3
PAIR = """\
[salestrekker]
api_key = "a-key-of-salestrekker"
[trakor]
url = "http://127.0.0.1:{port}/api"
api_key = "sk_live_0123456789abcdef"
"""
WEBHOOKS = f'[webhooks]\npublic_url = "https://bridge.example.com/"\ntoken = ["{FIRST}", "{SECOND}"]\n'
NOW = time.time_ns() // 1_000_000


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A configured bridge, whose main pair has two tokens."""
    (tmp_path / "config.toml").write_text(PAIR.format(port=1) + WEBHOOKS)
    return Desk(tmp_path, monkeypatch, capsys)


@pytest.fixture
def two(desk: Desk) -> Desk:
    """The same with a second connection."""
    config = desk.folder / "config.toml"
    config.write_text('connections_dir = "more"\n' + config.read_text())
    (desk.folder / "more").mkdir()
    (desk.folder / "more" / "north.toml").write_text(PAIR.format(port=2) + f'[webhooks]\ntoken = "{NORTH}"\n')
    return desk


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger that got four webhooks: one waits, one is done, two could not be understood."""
    path = tmp_path_factory.mktemp("events") / "ledger.db"
    read_or_make_key(path.with_name("ledger.key"))
    migrate(path, kept(path))
    with writing(path, kept(path)) as connection:
        store_webhooks(
            connection,
            [
                ReceivedWebhook("default", "contact-updated", "c1", NOW - 5000),
                ReceivedWebhook("north", "deal-created", "d1", NOW - 4000),
                ReceivedWebhook("default", "contact-created", "", NOW - 3000, "no \x1b[1m id", "unreadable"),
                ReceivedWebhook("default", "lender-created", "l1", NOW - 2000, "{}", "unknown-action"),
            ],
        )
        finish_webhooks(connection, [1], "read", NOW - 1000)
    return path


@pytest.fixture
def received(two: Desk, ledger: Path) -> Desk:
    for name in ("ledger.db", "ledger.key"):
        shutil.copy(ledger.with_name(name), two.folder / name)
    return two


def test_each_action_has_an_address_with_the_first_token(desk: Desk) -> None:
    ran = desk("webhooks", "urls")
    assert ran.status == 0
    lines = [line.split() for line in ran.out.splitlines()]
    assert lines == [
        [action, f"https://bridge.example.com/webhooks/{FIRST}/{action}"] for action in WebhookAction
    ]
    assert ran.err == "default has two tokens: these addresses have the first.\n"


def test_each_connection_has_addresses_of_its_own(two: Desk) -> None:
    document = two("webhooks", "urls", "--json").json["connections"]
    assert document.keys() == {"default", "north"}
    assert document["north"]["deal-deleted"] == f"https://bridge.example.com/webhooks/{NORTH}/deal-deleted"
    assert two("webhooks", "urls").out.count(":\n") == 2
    only = two("webhooks", "urls", "--connection", "north")
    assert FIRST not in only.out
    assert only.out.count(NORTH) == len(WebhookAction)


@pytest.mark.parametrize(
    ("kept", "said"),
    [("public_url", "no token for webhooks is set for default"), ("token", "public_url, the address")],
)
def test_what_is_missing_for_an_address_is_said(desk: Desk, kept: str, said: str) -> None:
    lines = [line for line in WEBHOOKS.splitlines() if line.startswith(("[", kept))]
    (desk.folder / "config.toml").write_text("\n".join([PAIR.format(port=1), *lines]))
    ran = desk("webhooks", "urls")
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    assert "what to do: set " in ran.err


def test_what_came_is_listed_the_newest_first(received: Desk) -> None:
    ran = received("webhooks", "list")
    rows = [line.split() for line in ran.out.splitlines()]
    assert rows[0] == ["number", "connection", "action", "id", "received", "result"]
    assert [row[:4] for row in rows[1:]] == [
        ["4", "default", "lender-created", "l1"],
        ["3", "default", "contact-created", "-"],
        ["2", "north", "deal-created", "d1"],
        ["1", "default", "contact-updated", "c1"],
    ]
    assert [row[-1] for row in rows[1:]] == ["unknown-action", "unreadable", "waiting", "read"]


def test_the_list_can_be_of_some_only(received: Desk) -> None:
    def numbers(*options: str) -> list[int]:
        events = received("webhooks", "list", "--json", *options).json["events"]
        return [event["number"] for event in events]

    assert numbers() == [4, 3, 2, 1]
    assert numbers("--waiting") == [2]
    assert numbers("--problems") == [4, 3]
    assert numbers("--limit", "1") == [4]
    assert numbers("--connection", "north") == [2]
    assert received("webhooks", "list", "--waiting", "--connection", "default").out == "No webhook matches.\n"


def test_where_none_ever_came_the_way_here_is_told(received: Desk) -> None:
    path = received.folder / "ledger.db"
    with writing(path, kept(path)) as connection:
        connection.execute(events.delete())
    said = received("webhooks", "list").out
    assert said.startswith("No webhook has arrived yet. `trakor-bridge webhooks urls`")
    assert received("webhooks", "list", "--problems").out == "No webhook matches.\n"


def test_the_document_has_what_was_sent_only_where_nobody_could_read_it(received: Desk) -> None:
    _, unreadable, waits, done = received("webhooks", "list", "--json").json["events"]
    assert (unreadable["body"], unreadable["problem"], unreadable["id"]) == (
        "no \x1b[1m id",
        "unreadable",
        None,
    )
    assert (waits["body"], waits["done_at"], waits["outcome"], waits["problem"]) == (None, None, None, None)
    assert (done["outcome"], done["id"], done["connection"]) == ("read", "c1", "default")
    assert done["received_at"].endswith("Z")


def test_a_replayed_webhook_waits_again(received: Desk) -> None:
    ran = received("webhooks", "replay", "1", "2")
    assert ran.status == 0
    assert "1: contact-updated of c1 is waiting again." in ran.out
    with reading(received.folder / "ledger.db") as connection:
        due = find_due_webhooks(connection, "default", before=NOW + 10**9, now=NOW + 10**9, limit=10)
    assert [(group.id, group.numbers) for group in due.groups] == [("c1", (1,))]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("1", "99"), "there is no event 99"),
        (("1", "3"), "event 3 cannot be processed: no id could be read from it"),
        (("1", "2", "--connection", "default"), "event 2 is of the connection north"),
    ],
)
def test_where_one_cannot_be_replayed_none_is(received: Desk, arguments: tuple[str, ...], said: str) -> None:
    ran = received("webhooks", "replay", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    assert len(received("webhooks", "list", "--waiting", "--json").json["events"]) == 1


def test_without_a_ledger_there_is_nothing_to_list(desk: Desk) -> None:
    ran = desk("webhooks", "list")
    assert ran.status == 1
    assert "there is no ledger at" in ran.err
