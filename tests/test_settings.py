"""What a configuration means: where it is found, what takes precedence, and what it gives."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path

import pytest

from bridge import settings
from bridge.errors import ConfigurationError
from bridge.records import Policy, Stream
from bridge.settings import Crontab, Every, validation_errors
from configurations import PAIR, SOURCE, TARGET, TOKEN, errors_of, load, only_error


@pytest.fixture
def everything_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each announced feature were there: what the model says can be seen alone."""
    monkeypatch.setattr(validation_errors, "UNSUPPORTED_SCHEMES", {})


# Where it is found, and what wins


def test_the_named_file_comes_before_the_variable_and_that_before_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("config.toml", "variable.toml", "named.toml"), start=1):
        (tmp_path / name).write_text(PAIR + f"max_in_flight = {number}\n")
    named, environ = tmp_path / "named.toml", {"TRAKOR_BRIDGE_CONFIG": str(tmp_path / "variable.toml")}
    loaded = [settings.load(path, env) for path, env in ((None, {}), (None, environ), (named, environ))]
    assert [given.connections["default"].trakor.max_in_flight for given in loaded] == [1, 2, 3]


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_named_file_that_is_missing_is_a_fault_whatever_the_environment_says(
    tmp_path: Path, *, by_variable: bool
) -> None:
    file = tmp_path / "other.toml"
    environ = {"TRAKOR_BRIDGE_TRAKOR__TIMEOUT": "5s"} | (
        {"TRAKOR_BRIDGE_CONFIG": str(file)} if by_variable else {}
    )
    with pytest.raises(ConfigurationError) as caught:
        settings.load(None if by_variable else file, environ)
    (only,) = caught.value.errors
    assert only.startswith("other.toml: there is no configuration file")
    assert str(file) in only
    assert "trakor-bridge sandbox" in only


def test_no_file_is_needed_where_the_environment_says_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text("st-key\n")
    loaded = settings.load(
        None,
        {
            "TRAKOR_BRIDGE_SALESTREKKER__API_KEY_FILE": "key",
            "TRAKOR_BRIDGE_TRAKOR__URL": "https://trakor.example",
            "TRAKOR_BRIDGE_TRAKOR__API_KEY": "123456",
            "HOME": "/nowhere",
        },
    )
    assert loaded.folder == tmp_path
    assert loaded.secrets() == {"st-key", "123456"}


def test_without_file_and_environment_one_fault_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        settings.load(None, {})
    (only,) = caught.value.errors
    assert str(tmp_path / "config.toml") in only
    assert "config.example.toml" in only


def test_an_environment_that_says_half_is_told_the_other_half_and_where_a_file_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        settings.load(None, {"TRAKOR_BRIDGE_TRAKOR__URL": "https://trakor.example"})
    places = [text.rsplit(": ", 1)[0] for text in caught.value.errors[1:]]
    assert caught.value.errors[0].startswith("config.toml: there is no configuration file")
    assert places == [
        "environment: TRAKOR_BRIDGE_SALESTREKKER__API_KEY",
        "environment: TRAKOR_BRIDGE_TRAKOR__API_KEY",
    ]


def test_the_environment_comes_before_the_file_key_by_key(tmp_path: Path) -> None:
    trakor = (
        load(
            tmp_path,
            PAIR + 'timeout = "7s"\nmax_in_flight = 7\n',
            TRAKOR='{"timeout": "8s", "max_in_flight": 8}',
            TRAKOR__TIMEOUT="9s",
        )
        .connections["default"]
        .trakor
    )
    assert (trakor.timeout, trakor.max_in_flight) == (9.0, 8)
    assert trakor.api_key.get_secret_value() == "sk_live_1"


@pytest.mark.usefixtures("everything_supported")
def test_every_kind_of_value_can_come_from_the_environment(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        CONTACTS__ENABLED="false",
        CONTACTS__PAGE_SIZE="50",
        CONTACTS__MAP__NAME="lastName",
        PRODUCTS__MAP='{"price": "fee"}',
        SCHEDULE__GONE_LIMIT="0.5",
        SCHEDULE__CONTACTS="1h",
        SCHEDULE__PRODUCTS="0 3 * * 0",
        WEBHOOKS__ALLOW_FROM='["203.0.113.0/24"]',
        WEBHOOKS__TOKEN="1" * 32,
        ALERTS__URLS='["slack://a/b/c"]',
        TRAKOR__SCOPE="42",
        LOG__LEVEL="debug",
    )
    connection = loaded.connections["default"]
    assert (connection.stream(Stream.CONTACTS).enabled, connection.stream(Stream.CONTACTS).page_size) == (
        False,
        50,
    )
    assert (connection.stream(Stream.CONTACTS).map, connection.stream(Stream.PRODUCTS).map) == (
        {"name": "lastName"},
        {"price": "fee"},
    )
    assert connection.schedule.gone_limit == 0.5
    assert connection.schedule.contacts == Every(3600.0)
    assert connection.schedule.products == Crontab("0", "3", "*", "*", "sun")
    assert connection.scope == "42"
    assert loaded.webhooks.allow_from == (ip_network("203.0.113.0/24"),)
    assert loaded.secrets() == {"st-key", "sk_live_1", "1" * 32, "slack://a/b/c"}
    assert loaded.log.level == "debug"


EMAIL = {"same_as.email": "clean(email)"}


@pytest.mark.parametrize(
    ("written", "expressions"),
    [
        ('same_as = "email"', {"same_as": "email"}),
        ('same_as = ""', {"same_as": ""}),
        ("same_as = {}", {"same_as": ""}),
        ('same_as = { email = "clean(email)" }', EMAIL),
        ('same_as.email = "clean(email)"', EMAIL),
        ('[contacts.map.same_as]\nemail = "clean(email)"', EMAIL),
        ('same_as = { email = "a", phone = "" }', {"same_as.email": "a", "same_as.phone": ""}),
    ],
)
def test_identifiers_are_one_expression_or_a_table_of_named_ones(
    tmp_path: Path, written: str, expressions: dict[str, str]
) -> None:
    loaded = load(tmp_path, f"{PAIR}[contacts.map]\n{written}\n")
    assert loaded.connections["default"].stream(Stream.CONTACTS).map == expressions


@pytest.mark.parametrize(
    ("variables", "expressions"),
    [
        ({"CONTACTS__MAP__SAME_AS": "email"}, {"same_as": "email"}),
        ({"CONTACTS__MAP__SAME_AS": '"e-mail"'}, {"same_as": '"e-mail"'}),
        ({"CONTACTS__MAP__SAME_AS": "{mail: email}"}, {"same_as": "{mail: email}"}),
        ({"CONTACTS__MAP__SAME_AS": '{"email": "clean(email)"}'}, EMAIL),
        ({"CONTACTS__MAP": '{"same_as": {"email": "clean(email)"}}'}, EMAIL),
        ({"CONTACTS__MAP__SAME_AS__EMAIL": "clean(email)"}, EMAIL),
        (
            {"CONTACTS__MAP__SAME_AS": '{"abn": "abn"}', "CONTACTS__MAP__SAME_AS__EMAIL": "clean(email)"},
            {"same_as.abn": "abn", **EMAIL},
        ),
    ],
)
def test_identifiers_come_from_the_environment_too(
    tmp_path: Path, variables: dict[str, str], expressions: dict[str, str]
) -> None:
    """An expression that makes an object is not taken for JSON."""
    text = f'{PAIR}[contacts.map]\nsame_as = "of the file"\n'
    assert load(tmp_path, text, **variables).connections["default"].stream(Stream.CONTACTS).map == expressions


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("1", "must be text in quotes, or a table of such texts"),
        ("{ email = 1 }", "must be text in quotes, or a table of such texts"),
        ("{ email = { a = 'x' } }", "must be text in quotes, or a table of such texts"),
        (f"'{'x' * 10_001}'", "must have at most 10000 characters"),
        (f"{{ email = '{'x' * 10_001}' }}", "must have at most 10000 characters"),
        (f"{{ {', '.join(f'a{number} = 1' for number in range(2))} }}", "must be text"),
        (
            f"""{{ {", ".join(f"a{number} = 'x'" for number in range(21))} }}""",
            "must have at most 20 entries",
        ),
    ],
)
def test_identifiers_that_are_none_are_refused(tmp_path: Path, written: str, says: str) -> None:
    only = only_error(tmp_path, f"{PAIR}[contacts.map]\nsame_as = {written}\n")
    assert only.startswith(f"config.toml: contacts.map.same_as: {says}")
    assert only_error(tmp_path, CONTACTS__MAP__SAME_AS='{"email": 1}').startswith(
        "environment: TRAKOR_BRIDGE_CONTACTS__MAP__SAME_AS: must be text"
    )


def test_what_is_kept_and_how_long_an_unanswered_name_waits_can_be_chosen(tmp_path: Path) -> None:
    usual = load(tmp_path)
    assert (usual.ledger.keep, usual.connections["default"].trakor.unanswered_wait) == ("sealed", 150.0)
    chosen = load(tmp_path, PAIR + 'unanswered_wait = "0s"\n[ledger]\nkeep = "hashes"\n')
    assert (chosen.ledger.keep, chosen.connections["default"].trakor.unanswered_wait) == ("hashes", 0.0)


@pytest.mark.usefixtures("everything_supported")
def test_two_tokens_come_from_the_environment_as_json_or_from_two_lines_of_a_file(tmp_path: Path) -> None:
    other = "u" * 32
    (tmp_path / "tokens").write_text(f"{TOKEN}\n{other}\n")
    for environ in ({"WEBHOOKS__TOKEN": f'["{TOKEN}", "{other}"]'}, {"WEBHOOKS__TOKEN_FILE": "tokens"}):
        tokens = load(tmp_path, **environ).connections["default"].webhook_tokens
        assert [token.get_secret_value() for token in tokens] == [TOKEN, other]


# What it gives


def test_defaults_are_those_of_the_public_interface(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    connection = loaded.connections["default"]
    source, trakor = connection.salestrekker, connection.trakor
    assert source.url == "https://app.salestrekker.com/graphql"
    assert (source.max_in_flight, source.requests_per_minute) == (4, 120)
    assert (source.timeout, source.renew_before) == (30.0, 2 * 86400.0)
    assert (source.retry_first, source.retry_max) == (1.0, 60.0)
    assert (source.probe_first, source.probe_max) == (30.0, 900.0)
    assert (trakor.max_in_flight, trakor.requests_per_second, trakor.timeout) == (16, 0.0, 30.0)
    assert (trakor.retry_first, trakor.retry_max) == (1.0, 300.0)
    assert (trakor.probe_first, trakor.probe_max) == (30.0, 900.0)
    assert connection.schedule.gone_limit == 0.2
    assert (loaded.log.level, loaded.log.format) == ("info", "auto")
    assert (connection.name, connection.scope) == ("default", "default")


@pytest.mark.parametrize("stream", list(Stream))
def test_a_stream_defaults_to_careful_words_and_maps_only_what_was_given(
    tmp_path: Path, stream: Stream
) -> None:
    given = load(tmp_path).connections["default"].stream(stream)
    assert given.policy() == Policy()
    assert (given.enabled, given.page_size, given.where, given.map) == (True, 100, "isActive != `false`", {})
    assert given.list_query == f"{stream}.graphql"
    assert given.one_query == f"{stream[:-1]}.graphql"


def test_the_policy_is_what_the_user_chose(tmp_path: Path) -> None:
    text = PAIR + (
        '[products]\non_same_name = "merge"\non_rename = "create"\n'
        'on_change = "ignore"\non_existing = "hold"\n'
    )
    connection = load(tmp_path, text).connections["default"]
    assert connection.stream(Stream.PRODUCTS).policy() == Policy("merge", "create", "ignore", "hold")
    assert connection.stream(Stream.CONTACTS).policy() == Policy()


def test_an_empty_where_is_kept_since_it_takes_all(tmp_path: Path) -> None:
    assert load(tmp_path, CONTACTS__WHERE="").connections["default"].stream(Stream.CONTACTS).where == ""


def test_settings_are_frozen_and_their_folder_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    load(tmp_path)
    loaded = settings.load(Path("config.toml"), {})
    assert loaded.folder == tmp_path
    with pytest.raises(ValueError, match="frozen"):
        loaded.log.level = "debug"
    with pytest.raises(AttributeError):
        loaded.folder = tmp_path  # type: ignore[misc]  # the point of the test
    with pytest.raises(TypeError):
        loaded.connections["other"] = loaded.connections["default"]  # type: ignore[index]  # likewise


def test_the_folder_is_that_of_the_link_not_of_what_it_leads_to(tmp_path: Path) -> None:
    """A mounted configuration is a link into a folder that changes with each version."""
    (tmp_path / "data").mkdir()
    load(tmp_path / "data")
    link = tmp_path / "config.toml"
    link.symlink_to(tmp_path / "data" / "config.toml")
    assert settings.load(link, {}).folder == tmp_path


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///ledger.db", "ledger.db"), ("sqlite:///a/b.db", "a/b.db"), ("sqlite:////v/l.db", "/v/l.db")],
)
def test_the_ledger_is_relative_to_the_configuration(tmp_path: Path, url: str, path: str) -> None:
    ledger = load(tmp_path, PAIR + f'[ledger]\nurl = "{url}"\n').ledger
    assert ledger.path == tmp_path / path
    assert ledger.key is None


@pytest.mark.usefixtures("everything_supported")
def test_a_ledger_on_postgresql_has_no_path_and_only_its_password_is_a_secret(tmp_path: Path) -> None:
    loaded = load(tmp_path, PAIR + '[ledger]\nurl = "postgresql://me:hunter2@db.example/bridge"\n')
    assert loaded.ledger.path is None
    assert loaded.secrets() == {"st-key", "sk_live_1", "hunter2"}


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("https://Trakor.Example/api/", "https://trakor.example/api"),
        ("HTTPS://trakor.example:443", "https://trakor.example"),
        ("https://trakor.example:8443/x//", "https://trakor.example:8443/x"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_two_spellings_of_an_address_are_one(tmp_path: Path, given: str, normal: str) -> None:
    text = PAIR.replace("https://trakor.example/api/public/v1", given)
    assert load(tmp_path, text).connections["default"].trakor.url == normal


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("100ms", 0.1), ("500ms", 0.5), ("1.5s", 1.5), ("5m", 300.0), ("0.1h", 360.0)],
)
def test_durations_are_seconds(tmp_path: Path, text: str, seconds: float) -> None:
    assert load(tmp_path, TRAKOR__TIMEOUT=text).connections["default"].trakor.timeout == pytest.approx(
        seconds
    )


@pytest.mark.parametrize("text", ["2d", "1w", "0s", "60d"])
def test_long_durations(tmp_path: Path, text: str) -> None:
    seconds = {"2d": 172_800, "1w": 604_800, "0s": 0, "60d": 5_184_000}[text]
    assert (
        load(tmp_path, SALESTREKKER__RENEW_BEFORE=text).connections["default"].salestrekker.renew_before
        == seconds
    )


@pytest.mark.usefixtures("everything_supported")
@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("30 2 * * *", Crontab("30", "2", "*", "*", "*")),
        ("*/15 8-18 * * 1-5", Crontab("*/15", "8-18", "*", "*", "mon,tue,wed,thu,fri")),
        ("0 0 * * 0", Crontab("0", "0", "*", "*", "sun")),
        ("0 0 * * 7", Crontab("0", "0", "*", "*", "sun")),
        ("0 0 * * 5-7", Crontab("0", "0", "*", "*", "sun,fri,sat")),
        ("0 0 * * SAT,mon", Crontab("0", "0", "*", "*", "mon,sat")),
        ("0 0 29 feb *", Crontab("0", "0", "29", "2", "*")),
        ("0 0 1 jan-6/2,DEC *", Crontab("0", "0", "1", "1,3,5,12", "*")),
        ("0 0 1,15 1-6/2 *", Crontab("0", "0", "1,15", "1-6/2", "*")),
        ("90s", Every(90.0)),
    ],
)
def test_a_schedule_is_an_interval_or_a_crontab_line_whose_weekdays_have_names(
    tmp_path: Path, line: str, meant: Crontab | Every
) -> None:
    assert (
        load(tmp_path, PAIR + f'[schedule]\nreconcile = "{line}"\n').connections["default"].schedule.reconcile
        == meant
    )


# Secrets from files


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_comes_from_a_file_without_its_line_break(tmp_path: Path, ending: str) -> None:
    (tmp_path / "secret").write_bytes(b"sk_live_from_file" + ending.encode())
    text = SOURCE + TARGET.replace('api_key = "sk_live_1"', 'api_key_file = "secret"')
    assert (
        load(tmp_path, text).connections["default"].trakor.api_key.get_secret_value() == "sk_live_from_file"
    )


def test_an_empty_secret_beside_its_file_counts_as_not_given(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("k" * 40)
    ledger = load(tmp_path, PAIR + '[ledger]\nkey = ""\nkey_file = "secret"\n').ledger
    assert ledger.key is not None
    assert ledger.key.get_secret_value() == "k" * 40


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (None, "absent", "cannot be read: No such file"),
        (None, ".", "cannot be read: Is a directory"),
        (b"", "secret", "is empty"),
        (b"\n \n", "secret", "is empty"),
        (b"\xff\xfe", "secret", "is not UTF-8 text"),
        (b"x" * 2_000_000, "secret", "is larger than"),
        (None, "", "must be the path"),
    ],
)
def test_a_secret_file_that_cannot_be_used_is_one_fault_at_its_key(
    tmp_path: Path, content: bytes | None, name: str, says: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    only = only_error(tmp_path, f'[salestrekker]\napi_key_file = "{name}"\n' + TARGET)
    assert only.startswith("config.toml: salestrekker.api_key_file: ")
    assert says in only


def test_a_secret_and_its_file_together_are_a_fault_across_file_and_environment_too(tmp_path: Path) -> None:
    assert only_error(tmp_path, PAIR + 'api_key_file = "x"\n').startswith(
        "config.toml: trakor.api_key_file: is given together with"
    )
    assert only_error(tmp_path, TRAKOR__API_KEY_FILE="x").startswith(
        "environment: TRAKOR_BRIDGE_TRAKOR__API_KEY_FILE: is given together with api_key"
    )


def test_a_wrong_secret_from_a_file_is_blamed_on_the_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("two words")
    text = SOURCE + TARGET.replace('api_key = "sk_live_1"', 'api_key_file = "secret"')
    assert only_error(tmp_path, text).startswith("config.toml: trakor.api_key_file: must not contain spaces")


# Several connections


def north(folder: Path, text: str = PAIR, name: str = "north.toml") -> Path:
    (folder / "connections.d").mkdir(exist_ok=True)
    (folder / "connections.d" / name).write_text(text)
    return folder


DIR = 'connections_dir = "connections.d"\n'


def test_each_file_of_the_folder_is_a_connection_after_the_main_one(tmp_path: Path) -> None:
    for name in ("south.toml", "north.toml", "notes.txt"):
        north(tmp_path, PAIR.replace("sk_live_1", f"sk_{name[0]}"), name)
    loaded = load(tmp_path, DIR + PAIR)
    assert list(loaded.connections) == ["default", "north", "south"]
    assert [each.scope for each in loaded.connections.values()] == ["default", "north", "south"]


def test_the_main_file_needs_no_pair_where_others_have_one(tmp_path: Path) -> None:
    loaded = load(north(tmp_path), DIR + '[ledger]\nurl = "sqlite:///x.db"\n')
    assert list(loaded.connections) == ["north"]


def test_half_a_pair_in_the_main_file_is_missing_the_other_half(tmp_path: Path) -> None:
    assert [text.split(":")[1] for text in errors_of(north(tmp_path), DIR + SOURCE)] == [
        " trakor.url",
        " trakor.api_key",
    ]


def test_a_secret_file_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    north(tmp_path, '[salestrekker]\napi_key_file = "key"\n' + TARGET)
    (tmp_path / "connections.d" / "key").write_text("north-key\n")
    assert "north-key" in load(tmp_path, DIR).secrets()


def test_faults_of_all_files_come_together_each_with_its_file(tmp_path: Path) -> None:
    north(tmp_path, PAIR + "[contacts.map]\nname = 5\n[ledger]\n[webhooks]\nhost = 1\n")
    north(tmp_path, "a = [", "south.toml")
    found = errors_of(tmp_path, DIR + PAIR + "timeout = 5\n")
    assert {re.sub(r": (must|is|line).*", "", text) for text in found} == {
        "config.toml: trakor.timeout",
        "connections.d/north.toml: contacts.map.name",
        "connections.d/north.toml: ledger",
        "connections.d/north.toml: webhooks.host",
        "connections.d/south.toml",
    }


@pytest.mark.parametrize("name", ["default.toml", "North.toml", "a b.toml", "-a.toml", "ü.toml"])
def test_a_connection_has_a_plain_name(tmp_path: Path, name: str) -> None:
    only = only_error(north(tmp_path, name=name), DIR)
    assert only.startswith(
        f"connections.d/{name}: the file's name is also the connection's name: use lower-case"
    )


def test_a_folder_of_connections_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    assert (
        only_error(tmp_path, DIR + PAIR)
        == "config.toml: connections_dir: cannot be read: No such file or directory"
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "good"),
    [("", "", False), ("a", "", False), ("", "a", False), ("a", "b", False), ("a", "a", True)],
)
def test_one_trakor_organisation_takes_two_connections_only_in_one_scope(
    tmp_path: Path, ours: str, theirs: str, *, good: bool
) -> None:
    north(tmp_path, PAIR.replace("example/api", "EXAMPLE/api") + f'scope = "{theirs}"\n')
    text = DIR + PAIR + f'scope = "{ours}"\n'
    if good:
        assert {each.scope for each in load(tmp_path, text).connections.values()} == {"a"}
    else:
        assert only_error(tmp_path, text).startswith(
            "connections.d/north.toml: trakor.scope: must be the same as"
        )
