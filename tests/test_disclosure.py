"""The data-flow statement is read off what is configured: whatever is changed there shows in it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from bridge.disclosure import disclose, markdown
from bridge.records import WebhookAction
from bridge.salestrekker.query_files import shipped_queries
from bridge.settings import AlertsSettings, ScheduleSettings, load, parse_timing, per_day

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.settings import Settings

CANARY = "canary-of-a-secret-0123456789"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A configuration with secrets in it and an own map for the name."""
    (tmp_path / "config.toml").write_text(
        f"""
        [salestrekker]
        url = "https://sfg.salestrekker.com/graphql"
        api_key = "{CANARY}"
        requests_per_minute = 30
        [trakor]
        url = "https://trakor.example/api/public/v1"
        api_key = "{CANARY}"
        [contacts.map]
        name = "person.information.familyName"
        [products]
        enabled = false
        """
    )
    return load(tmp_path / "config.toml", {})


def test_it_names_what_is_read_what_is_sent_and_where(settings: Settings) -> None:
    """Fields by the schema's names, Trakor's fields with the expression that makes them, both hosts."""
    (flow,) = disclose(settings, ("default",)).connections
    (contacts,) = flow.streams
    assert (flow.source, flow.destination) == ("sfg.salestrekker.com", "trakor.example")
    assert "contacts.person.contact.email" in contacts.fields_read
    assert contacts.fields_sent["name"] == "person.information.familyName"
    assert set(contacts.fields_sent) == {"name", "contact_info"}
    assert contacts.endpoint == "POST /parties"


def test_it_names_who_is_told_by_service_and_host_and_no_secret_of_theirs(settings: Settings) -> None:
    """docs/privacy.md says that it says the same about your own configuration: these were left out."""
    assert disclose(settings, ("default",)).told == ("none: `[alerts]` has no addresses",)
    urls = [
        f"mailtos://robot:{CANARY}@mail.example?to=ops@broker.example",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        f"nonsense://{CANARY}",
    ]
    heartbeat = f"https://ping.example/{CANARY}"
    alerts = AlertsSettings.model_validate({"urls": urls, "heartbeat_url": heartbeat})
    statement = disclose(replace(settings, alerts=alerts), ("default",))
    messages, asked = statement.told
    assert "`mailtos://mail.example`, `slack://…`, `nonsense://…`" in messages
    assert "`ping.example`" in asked
    text = markdown(statement)
    assert messages in text
    assert asked in text
    assert statement.as_json()["told"] == statement.told
    for secret in (CANARY, "robot", "TIiajkdnlazkcOXrIdevi7FQ", "A1BRTD4JD"):
        assert secret not in text


def test_it_names_the_key_where_the_configuration_has_it(settings: Settings) -> None:
    """After `init` there is no `ledger.key`."""
    assert "`ledger.key`: the key" in markdown(disclose(settings, ("default",)))
    given = replace(settings, ledger=replace(settings.ledger, key=SecretStr("0" * 64)))
    text = markdown(disclose(given, ("default",)))
    assert "`ledger.key`" not in text
    assert "`[ledger] key`: the key of the hashes" in text
    assert "0" * 64 not in text


def test_a_field_added_to_a_query_appears(settings: Settings) -> None:
    """The statement follows the query file that is really used."""
    own = settings.folder / "queries"
    shutil.copytree(shipped_queries(), own)
    fragment = own / "contact.fragment.graphql"
    fragment.write_text(fragment.read_text().replace("familyName", "familyName\n      dateOfBirth"))
    ((contacts,),) = (flow.streams for flow in disclose(settings, ("default",)).connections)
    assert "contacts.person.information.dateOfBirth" in contacts.fields_read
    assert "dateOfBirth" in markdown(disclose(settings, ("default",)))


def test_the_number_of_calls_is_an_upper_bound_that_follows_from_the_configuration(
    settings: Settings,
) -> None:
    """30 a minute is 43,200 a day at most; a list of nothing takes two empty pages."""
    (flow,) = disclose(settings, ("default",)).connections
    assert flow.requests_per_day_at_most == 43_200
    assert [stream.requests_per_sweep for stream in flow.streams] == [2]


@pytest.mark.parametrize(
    ("timing", "times"),
    [
        ("15m", 96),
        ("7h", 4),
        ("1d", 1),
        ("2d", 1),
        ("0 3 * * *", 1),
        ("*/10 8-17 * * mon-fri", 60),
        ("0,30 6,18 1 * *", 4),
    ],
)
def test_how_often_something_is_due_on_one_day_is_counted_high(timing: str, times: int) -> None:
    """On the day on which it is due most often."""
    assert per_day(parse_timing(timing)) == times


def test_the_calls_of_the_schedule_follow_from_it(settings: Settings) -> None:
    """Each hour and once a night: 25 sweeps a day, of two empty pages while nothing is known."""
    schedule = ScheduleSettings.model_validate({"contacts": "1h", "reconcile": "30 2 * * *"})
    (flow,) = disclose(changed(settings, schedule=schedule), ("default",)).connections
    (contacts,) = flow.streams
    assert (contacts.sweeps_per_day_at_most, contacts.requests_per_day_by_schedule) == (25, 50)
    assert (contacts.schedule, flow.reconciling) == (
        "every hour",
        "at `30 2 * * *` (crontab, Australia/Sydney)",
    )


def changed(settings: Settings, **changes: object) -> Settings:
    """The same configuration, its one connection with these parts."""
    connection = replace(settings.connections["default"], **changes)  # type: ignore[arg-type]  # as given
    return replace(settings, connections={"default": connection})


@pytest.fixture
def with_webhooks(settings: Settings) -> Settings:
    """The same configuration with a token for webhooks."""
    return changed(settings, webhook_tokens=(SecretStr(CANARY),))


def test_without_a_token_nothing_is_received_and_nothing_said_to_be_kept(settings: Settings) -> None:
    text = markdown(disclose(settings, ("default",)))
    assert "no webhooks are received" in text
    assert "records that a list no longer shows are then read by their ids" in text
    assert "ticket" not in text
    assert "of each webhook" not in text


def test_with_webhooks_it_says_what_is_received_what_is_read_then_and_how_long_it_is_kept(
    with_webhooks: Settings,
) -> None:
    statement = disclose(with_webhooks, ("default",))
    (flow,) = statement.connections
    assert flow.webhooks is not None
    assert flow.webhooks.actions == tuple(WebhookAction)
    assert flow.webhooks.ids_per_request == 25
    assert flow.webhooks.fields_of_deals == (
        "ticket.id",
        "ticket.idClients",
        "ticket.ticketClientTypes.idContact",
    )
    text = markdown(statement)
    assert (
        "One by its id, after a webhook or if the list misses it, with `contact.graphql`:\nno other fields."
        in text
    )
    assert all(f"- `{field}`" in text for field in flow.webhooks.fields_of_deals)
    assert "what came of it. How long: 400 days after it was processed" in text
    assert CANARY not in text


def test_a_field_that_is_only_read_by_id_appears(with_webhooks: Settings) -> None:
    own = with_webhooks.folder / "queries"
    shutil.copytree(shipped_queries(), own)
    query = own / "contact.graphql"
    query.write_text(query.read_text().replace("...ContactFields", "...ContactFields\n    dateOfBirth"))
    statement = disclose(with_webhooks, ("default",))
    assert statement.connections[0].streams[0].more_fields_by_id == ("contact.dateOfBirth",)
    assert "the same fields, and `contact.dateOfBirth`." in markdown(statement)


def test_its_sections_stand_in_the_order_of_the_checklist(settings: Settings) -> None:
    """Name, direction, fields, method and frequency, storage, credentials, testing, revocation."""
    text = markdown(disclose(settings, ("default",)))
    places = [
        text.index(words)
        for words in (
            "**Application:**",
            "**Direction of the data flow:**",
            "Fields of contacts",
            "Method and frequency",
            "What is stored",
            "## Credentials",
            "penetration test",
            "How to disconnect at once",
        )
    ]
    assert places == sorted(places)


def test_it_shows_no_secret(settings: Settings) -> None:
    """Neither as a document nor as JSON."""
    statement = disclose(settings, ("default",))
    assert CANARY not in markdown(statement)
    assert CANARY not in repr(statement.as_json())
