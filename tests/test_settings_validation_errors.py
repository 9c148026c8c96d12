"""How the errors of a configuration read, and what is refused because it is not supported yet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from bridge import settings
from bridge.settings import validation_errors
from configurations import PAIR, TARGET, TOKEN, errors_of, load, only_error

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def everything_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each announced feature were there: what the model says can be seen alone."""
    monkeypatch.setattr(validation_errors, "UNSUPPORTED_SCHEMES", {})


# How faults read


@pytest.mark.usefixtures("everything_supported")
@pytest.mark.parametrize(
    ("extra", "place", "says"),
    [
        ('timeout = "5"', "trakor.timeout", 'a number and one of ms, s, m, h, d, w, such as "30s"'),
        ("timeout = 5", "trakor.timeout", "must be a duration in quotes"),
        ('timeout = "-5s"', "trakor.timeout", "must be a duration"),
        ('timeout = "\u0665s"', "trakor.timeout", "must be a duration"),
        ('timeout = "1d"', "trakor.timeout", 'from "100ms" to "10m"'),
        ("max_in_flight = 0", "trakor.max_in_flight", "must be at least 1"),
        ("max_in_flight = 513", "trakor.max_in_flight", "must be at most 512"),
        ('max_in_flight = "4"', "trakor.max_in_flight", "must be a whole number"),
        ("max_in_flight = 1.5", "trakor.max_in_flight", "must be a whole number"),
        ("max_in_flight = true", "trakor.max_in_flight", "must be a whole number"),
        ("requests_per_second = nan", "trakor.requests_per_second", "must be a finite number"),
        ("requests_per_second = -1", "trakor.requests_per_second", "must be at least 0"),
        ('retry_first = "10m"', "trakor.retry_max", "must not be less than retry_first"),
        ('probe_max = "1s"', "trakor.probe_max", "must not be less than probe_first"),
        ("scope = 5", "trakor.scope", "must be text in quotes"),
        ('scope = " a"', "trakor.scope", "one line of text"),
        ('allow_insecure = "yes"', "trakor.allow_insecure", "must be true or false"),
        ('[contacts]\non_rename = "merge"', "contacts.on_rename", "must be one of 'hold' or 'create'"),
        ("[contacts]\npage_size = 1001", "contacts.page_size", "must be at most 1000"),
        ('[contacts]\nlist_query = "../x.graphql"', "contacts.list_query", "without a folder"),
        ('[contacts]\none_query = "../x.graphql"', "contacts.one_query", "without a folder"),
        ('[contacts]\nlist_query = ""', "contacts.list_query", "must be a file name"),
        ("[contacts]\nwhere = false", "contacts.where", "must be text in quotes"),
        ('[contacts.map]\nid = ""', "contacts.map.id", "must not be empty"),
        ("[contacts]\nmap = 5", "contacts.map", "must be a table"),
        ("[schedule]\ngone_limit = 1.1", "schedule.gone_limit", "must be at most 1"),
        ('[schedule]\ntimezone = "Sydney"', "schedule.timezone", "must be a time zone"),
        ('[schedule]\ntimezone = "Australia"', "schedule.timezone", "must be a time zone"),
        ('[schedule]\ntimezone = "../x"', "schedule.timezone", "must be a time zone"),
        ('[schedule]\ncontacts = "sometimes"', "schedule.contacts", "an interval such as"),
        ('[schedule]\ncontacts = "500ms"', "schedule.contacts", 'from "1s" to "31d"'),
        ('[schedule]\ncontacts = "60 * * * *"', "schedule.contacts", "its minute must be * or 0 to 59"),
        ('[schedule]\ncontacts = "* * * * 8"', "schedule.contacts", "its weekday must be * or 0 to 7"),
        ('[schedule]\ncontacts = "*/0 * * * *"', "schedule.contacts", "its minute must be"),
        ('[schedule]\ncontacts = "5-1 * * * *"', "schedule.contacts", "its minute must be"),
        ('[schedule]\ncontacts = "0 0 31 2 *"', "schedule.contacts", "a day that exists"),
        ('[schedule]\ncontacts = "0 0 1 * 1"', "schedule.contacts", "not restrict both"),
        (f'[webhooks]\ntoken = ["{TOKEN}", "{TOKEN}"]', "webhooks.token", "the same token twice"),
        ('[webhooks]\ntoken = "short"', "webhooks.token", "at least 32 characters"),
        (f'[webhooks]\ntoken = "{TOKEN}/"', "webhooks.token", "only letters, digits"),
        ("[webhooks]\ntoken = []", "webhooks.token", "a text, or a list of two"),
        ('[webhooks]\nallow_from = "10.0.0.0/8"', "webhooks.allow_from", "must be a list of networks"),
        ('[webhooks]\nallow_from = ["10.0.0.1/8"]', "webhooks.allow_from", "bits after its mask"),
        ('[webhooks]\npublic_url = "http://bridge.example"', "webhooks.public_url", "must be https://"),
        ("[webhooks]\nport = 65536", "webhooks.port", "must be at most 65535"),
        ('[admin]\nhost = "0.0.0.0"', "admin.password", "is required, since host is not a loopback"),
        ('[ledger]\nurl = "sqlite://"', "ledger.url", 'must be "sqlite:///file.db"'),
        ('[ledger]\nurl = "sqlite:///:memory:"', "ledger.url", "has to outlive the process"),
        ('[ledger]\nurl = "postgresql://db.example"', "ledger.url", "must name host and database"),
        ('[ledger]\nkey = "short"', "ledger.key", "at least 32 characters"),
        ('[alerts]\nurls = ["nonsense"]', "alerts.urls", "must be a list of Apprise addresses"),
        ('[alerts]\nheartbeat_url = "http://h.example/x"', "alerts.heartbeat_url", "must be https://"),
        ('[log]\nlevel = "INFO"', "log.level", "must be one of 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_wrong_value_is_named_by_its_place_and_told_what_is_allowed(
    tmp_path: Path, extra: str, place: str, says: str
) -> None:
    only = only_error(tmp_path, f"{PAIR}{extra}\n")
    assert only.startswith(f"config.toml: {place}: ")
    assert says in only


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://trakor.example", "must be https://"),
        ("http://127.0.0.1.example", "must be https://"),
        ("ftp://trakor.example", "must be an address"),
        ("trakor.example/api", "must be an address"),
        ("https://", "must be an address"),
        ("https://user:pass@trakor.example", "user name or password"),
        ("https://trakor.example/?key=1", "query or fragment"),
        ("https://trakor.example/#x", "query or fragment"),
        ("https://trakor.example:99999", "must be an address"),
        ("https://[::1", "must be an address"),
        ("https://trakor.exa\\nmple", "must be an address"),
        ("https://trakor.example/a b", "must be an address"),
        ("", "must be an address"),
    ],
)
def test_an_address_that_could_leak_or_mislead_is_refused(tmp_path: Path, url: str, says: str) -> None:
    only = only_error(tmp_path, PAIR.replace("https://trakor.example/api/public/v1", url))
    assert only.startswith("config.toml: trakor.url: ")
    assert says in only


def test_a_plain_address_is_taken_where_the_user_insists(tmp_path: Path) -> None:
    text = PAIR.replace("https:", "http:") + "allow_insecure = true\n"
    assert load(tmp_path, text).connections["default"].trakor.url == "http://trakor.example/api/public/v1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (TARGET, "salestrekker.api_key: is missing"),
        ("[salestrekker]\n" + TARGET, "salestrekker.api_key: is missing"),
        (
            PAIR.replace("[trakor]", 'email = "a@b"\npassword = "p"\n[trakor]'),
            "password: must not be given together with api_key",
        ),
        ('[salestrekker]\nemail = "a@b"\n' + TARGET, "password: must be given together with email"),
        ('[salestrekker]\npassword = "p"\n' + TARGET, "password: needs email"),
        ('[salestrekker]\nemail = "ab"\npassword = "p"\n' + TARGET, "email: must be an e-mail address"),
    ],
)
@pytest.mark.usefixtures("everything_supported")
def test_there_is_exactly_one_way_into_salestrekker(tmp_path: Path, text: str, says: str) -> None:
    assert says in only_error(tmp_path, text)


@pytest.mark.parametrize(
    ("extra", "place", "nearest"),
    [
        ("tiemout = 1", "trakor.tiemout", "trakor.timeout"),
        ("apikey = 1", "trakor.apikey", "trakor.api_key"),
        ("api_key_flie = 1", "trakor.api_key_flie", "trakor.api_key_file"),
        ("page_size = 5", "trakor.page_size", "products.page_size"),
        ("[contacts.map]\nnmae = 'x'", "contacts.map.nmae", "contacts.map.name"),
        ("[trackor]\nx = 1", "trackor", "[trakor]"),
        ("[tracor]\nurl = 1", "tracor", "[trakor]"),
        ("[nonsense]\nx = 1", "nonsense", "contacts.enabled"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(
    tmp_path: Path, extra: str, place: str, nearest: str
) -> None:
    only = only_error(tmp_path, f"{PAIR}{extra}\n")
    assert only == f"config.toml: {place}: is not a known key; the nearest is {nearest}"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("TRAKOR__APIKEY", "TRAKOR__API_KEY"),
        ("TRAKR__API_KEY", "TRAKOR__API_KEY"),
        ("TRAKOR__API_KEY__X", "TRAKOR__API_KEY"),
        ("LOG_LEVEL", "LOG__LEVEL"),
        ("log__level", "LOG__LEVEL"),
        ("CONTACTS__MAP__NMAE", "CONTACTS__MAP__NAME"),
    ],
)
def test_an_unknown_variable_names_the_nearest_known_one(tmp_path: Path, name: str, nearest: str) -> None:
    assert only_error(tmp_path, **{name: "x"}) == (
        f"environment: TRAKOR_BRIDGE_{name}: is not a known key; the nearest is TRAKOR_BRIDGE_{nearest}"
    )


def test_a_wrong_variable_is_the_place_of_its_fault_and_a_table_in_json_names_the_key(tmp_path: Path) -> None:
    assert only_error(tmp_path, TRAKOR__TIMEOUT="x").startswith(
        "environment: TRAKOR_BRIDGE_TRAKOR__TIMEOUT: must be a duration"
    )
    assert only_error(tmp_path, LOG="nonsense").startswith("environment: TRAKOR_BRIDGE_LOG: must be JSON")
    assert only_error(tmp_path, LOG='{"levle": "x"}').startswith(
        "environment: TRAKOR_BRIDGE_LOG: is not a known key"
    )


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    text = (
        "[salestrekker]\ntimeout = 1\nmax_in_flight = 0\n"
        '[trakor]\nurl = "ftp://x"\nx = 1\n[contacts]\non_change = 1\n[log]\nlevel = 1\n[nonsense]\n'
    )
    found = errors_of(tmp_path, text, TRAKOR__Y="1", LOG__FORMAT="x")
    assert len(found) == 11
    assert all(re.match(r"(config\.toml: [a-z_.]+|environment: [A-Z_]+): \S", each) for each in found)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = 1\nb = \n", "line 2, column 5: not a value that TOML knows (text needs quotes)"),
        ('[trakor]\napi_key = "abc\n', "line 2, column 15: a character that is not allowed here"),
        ("a = 1\na = 2\n", "line 2, column 6: a key is given twice"),
        ("[a]\n[a]\n", "line 2, column 3: a table is declared twice"),
        ("a = [1,\n2", "line 2, at the end: "),
        ('a = """x', "line 1, at the end: a quoted text is not closed"),
        ("novalue\n", "line 1, column 8: a key without ="),
        ("a = {b = 1, b = 2}", "a key is given twice"),
    ],
)
def test_a_syntax_error_says_line_and_column_and_nothing_of_the_line(
    tmp_path: Path, text: str, says: str
) -> None:
    only = only_error(tmp_path, text)
    assert only.startswith(f"config.toml: {says}") or says in only
    assert "abc" not in only


def test_a_file_as_windows_editors_write_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbf" + PAIR.replace("\n", "\r\n").encode())
    assert settings.load(file, {}).connections["default"].scope == "default"


# What is not supported yet


def test_a_ledger_on_postgresql_is_not_supported_yet(tmp_path: Path) -> None:
    only = only_error(tmp_path, PAIR + '[ledger]\nurl = "postgresql://u:p@h/d"\n')
    assert only.startswith("config.toml: ledger.url: a ledger on PostgreSQL is not supported yet")


def test_an_empty_value_asks_for_nothing(tmp_path: Path) -> None:
    text = (
        PAIR
        + '[webhooks]\nallow_from = []\n[alerts]\nurls = []\nheartbeat_url = ""\n[admin]\npassword = ""\n'
    )
    assert load(tmp_path, text).alerts.urls == ()


def test_what_is_not_supported_yet_is_checked_like_the_rest(tmp_path: Path) -> None:
    found = errors_of(tmp_path, PAIR + '[ledger]\nurl = "postgresql://u:p@h"\n')
    assert len(found) == 2
    assert found[0].endswith(validation_errors.UNSUPPORTED_SCHEMES["postgresql"])
