"""The data-flow statement is read off what is configured: whatever is changed there shows in it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from bridge.disclosure import disclose, markdown
from bridge.salestrekker.documents import shipped_queries
from bridge.settings import load

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
