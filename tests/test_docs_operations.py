"""docs/operations.md against the program: each metric explained, each rule about metrics that exist."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.admin import overview_content
from bridge.admin.metrics import Metrics
from bridge.alerts import AlertKind
from bridge.ledger.runs_and_sweeps import LastSweep
from bridge.records import Reason, State, Stream
from bridge.status import ConnectionStatus, Snapshot, StreamStatus, WebhookStatus
from documentation import blocks, section

if TYPE_CHECKING:
    from prometheus_client import Metric

PAGE = (Path(__file__).parent.parent / "docs" / "operations.md").read_text("utf-8")
ROW = re.compile(r"^\| `(\w+)` \|([^|]*)\| (.+) \|$", re.MULTILINE)
NAME = re.compile(r"\btrakor_bridge_\w+")
RULES = "".join(block.text for block in blocks(section(PAGE, "Alert rules for Prometheus")))
LABELS = {"connection", "stream", "state", "status", "mark", "version"}
NOW = 1_795_000_000_000

SWEPT = StreamStatus(
    last_sweep=LastSweep(1, NOW, NOW, NOW, complete=True, read=1), complete_at=NOW, next_sweep_at=NOW
)
EVERYTHING = Snapshot(
    NOW,
    Path("ledger.db"),
    1,
    {
        "default": ConnectionStatus(
            "default",
            {Stream.CONTACTS: SWEPT},
            token_expires_at=NOW,
            token_failing_since=NOW,
            webhooks=WebhookStatus(1, 1, NOW, 1),
        )
    },
)
"""A snapshot in which nothing is unknown, so that each metric has a sample."""


def metrics() -> dict[str, Metric]:
    """Each metric by the name that its samples have."""
    body, _ = Metrics(lambda: {202: 1}).render(EVERYTHING)
    families = text_string_to_metric_families(body.decode())
    return {family.samples[0].name: family for family in families}


def test_the_page_explains_every_metric_and_no_other() -> None:
    rows = ROW.findall(section(PAGE, "Metrics"))
    assert sorted(name for name, _, _ in rows) == sorted(metrics())


def test_the_page_names_the_labels_of_each() -> None:
    named = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels, _ in ROW.findall(PAGE)}
    assert named == {name: set(family.samples[0].labels) for name, family in metrics().items()}


def test_every_metric_says_what_it_is() -> None:
    for name, family in metrics().items():
        assert family.documentation.endswith("."), name


def test_the_rules_ask_for_metrics_that_there_are() -> None:
    assert len(set(NAME.findall(RULES))) > 8
    assert set(NAME.findall(RULES)) <= metrics().keys()


def test_the_rules_name_states_that_there_are() -> None:
    (states,) = re.findall(r'state=~"([^"]*)"', RULES)
    assert set(states.split("|")) == {State.HELD, State.REJECTED, State.DRIFTED}


@pytest.mark.parametrize("rule", re.split(r"^ +- alert: ", RULES, flags=re.MULTILINE)[1:])
def test_a_rule_tells_of_labels_that_its_metrics_have(rule: str) -> None:
    """A label that is not there would be an empty place in the message at night."""
    known = set.intersection(*(set(metrics()[name].samples[0].labels) for name in NAME.findall(rule)), LABELS)
    assert set(re.findall(r"\$labels\.(\w+)", rule)) <= known


def test_the_page_says_of_every_alert_what_to_do_and_of_no_other() -> None:
    """The word in brackets of a message leads to its place."""
    assert re.findall(r"^### `(.+)`$", section(PAGE, "Alerts that the daemon sends"), re.MULTILINE) == [
        *AlertKind
    ]


TO_DO = section(PAGE, "What do I do when …")


def entries(table: str) -> list[str]:
    """The first column of a table, a word each."""
    (rows,) = re.findall(rf"^\| {table} \| do \|\n\|---\|---\|\n((?:\|.*\n?)+)", TO_DO, re.MULTILINE)
    return [word for row in rows.splitlines() for word in re.findall(r"`([\w-]+)`", row.split(" | ")[0])]


def test_the_page_says_what_to_do_about_every_state_reason_and_mark() -> None:
    assert entries("state") == [*State]
    assert sorted(entries("reason")) == sorted(Reason)
    assert sorted(entries("mark")) == sorted(StreamStatus().marks)


def test_the_page_says_what_to_do_about_every_rule() -> None:
    assert sorted(entries("alert")) == sorted(re.findall(r"alert: (\w+)", RULES))


def test_the_page_says_what_to_do_about_every_word_of_the_status_page() -> None:
    source = inspect.getsource(overview_content)
    badges = re.findall(r'Badge\(Tone\.\w+, "([^"]+)"\)', source)
    assert len(badges) > 5
    assert [word for word in badges if word not in TO_DO] == []
