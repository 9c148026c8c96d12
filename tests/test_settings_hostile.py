"""Whatever is given, the answer is settings or ``ConfigurationError`` with places, and no secret in it."""

from __future__ import annotations

import json
import os
import string
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bridge import settings
from bridge.errors import ConfigurationError
from bridge.settings.model import Document
from bridge.settings.setting_names import Path as KeyPath
from bridge.settings.setting_names import document_keys, dotted, variable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EXAMPLE = (Path(__file__).parent.parent / "config.example.toml").read_text()
CANARY = "canary5f0c" + "x" * 32
KEYS = sorted(document_keys(Document))
TABLES = sorted({path[:length] for path in KEYS for length in range(1, len(path))})


def shown(error: BaseException) -> str:
    """All that anyone could print of an error, its causes and contexts included."""
    return "\n".join(
        [str(error), repr(error), repr(error.args), repr(vars(error)), *traceback.format_exception(error)]
    )


def chain(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *chain(error.__cause__), *chain(error.__context__)]


def refusal(file: Path | None, environ: Mapping[str, str] | None = None) -> ConfigurationError | None:
    """The error, checked for what holds of every one; None where the configuration is good."""
    try:
        settings.load(file, environ or {})
    except ConfigurationError as refused:
        error = refused
    else:
        return None
    assert error.errors
    assert all(": " in fault and len(fault) < 1000 for fault in error.errors[:100])
    assert all(fault.isprintable() for fault in error.errors)
    assert chain(error) == [error], "a library's error hangs on ours, and its input with it"
    return error


def write(folder: Path, content: str | bytes) -> Path:
    file = folder / "config.toml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def nested(path: KeyPath, value: object) -> dict[str, object]:
    for name in reversed(path):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def toml(table: dict[str, object]) -> str:
    """A document that holds one key: JSON's texts, numbers and lists are TOML's too."""
    return "\n".join(f"{json.dumps(name)} = {inline(value)}" for name, value in table.items())


def inline(value: object) -> str:
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{json.dumps(str(key))} = {inline(item)}" for key, item in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(inline(item) for item in value) + "]"
    return json.dumps(value)


WRONG = (
    CANARY,
    [CANARY],
    [[CANARY]],
    {CANARY: CANARY},
    {"x": {"y": CANARY}},
    [{"a": CANARY}],
    -1,
    10**300,
    True,
)


@pytest.mark.parametrize("path", [*KEYS, *TABLES], ids=dotted)
def test_no_value_of_any_kind_under_any_key_shows_or_breaks_anything(tmp_path: Path, path: KeyPath) -> None:
    for wrong in WRONG:
        error = refusal(write(tmp_path, toml(nested(path, wrong))))
        assert error is not None, "the rest is missing"
        texts = [
            fault for fault in error.errors if not fault.startswith(f"config.toml: {dotted(path)}.canary")
        ]
        assert "canary5f0c" not in "\n".join(texts)
        if not (isinstance(wrong, dict) and CANARY in wrong):  # an unknown key has to be named
            assert "canary5f0c" not in shown(error)


@pytest.mark.parametrize("path", [*KEYS, *TABLES], ids=dotted)
def test_nor_does_any_variable_of_the_environment(tmp_path: Path, path: KeyPath) -> None:
    values = [
        CANARY,
        json.dumps(CANARY),
        json.dumps([CANARY]),
        "{" + CANARY,
        "[" * 50_000 + CANARY,
        "1" * 5000,
    ]
    for value in [*values, "", "null", "NaN", '{"a": ' * 600 + "1" + "}" * 600, "\udcff" + CANARY]:
        error = refusal(write(tmp_path, "a = 1"), {variable_name(path): value})
        assert error is not None
        assert "canary5f0c" not in shown(error)


SECRETS = """
[salestrekker]
api_key = "canary-st-key"
{st}
[trakor]
url = "https://trakor.example"
api_key = "sk_live_canary"
{trakor}
[ledger]
url = "sqlite:///ledger.db"
key = "canary-0123456789-0123456789-0123456789"
{rest}
"""


@pytest.mark.parametrize(
    "broken",
    [
        {"st": "timeout = 5"},
        {"st": 'email = "canary@example.com"\npassword = "canary"'},
        {"trakor": "nonsense = 1"},
        {"trakor": 'url = "https://again.example"'},
        {"trakor": 'api_key = "canary again"'},
        {"trakor": "api_key_file = 'x'"},
        {"trakor": 'scope = "canary\\u0000"'},
        {"rest": "api_key = canary"},
        {"rest": '"unclosed = "canary'},
        {"rest": '[webhooks]\ntoken = "canary"'},
        {"rest": '[webhooks]\ntoken = ["canary", 5]'},
        {"rest": '[webhooks]\nallow_from = ["canary"]'},
        {"rest": '[admin]\nhost = "0.0.0.0"\npassword = 5'},
        {"rest": '[alerts]\nurls = ["canary://user:canary@host", "canary"]\nheartbeat_url = "canary"'},
        {"rest": '[contacts]\nmap = "canary"'},
    ],
)
def test_secrets_stay_out_of_whatever_is_raised(tmp_path: Path, broken: dict[str, str]) -> None:
    parts = {"st": "", "trakor": "", "rest": ""} | broken
    error = refusal(write(tmp_path, SECRETS.format(**parts)))
    assert error is not None
    assert "canary" not in shown(error)


def test_a_password_in_an_address_does_not_show(tmp_path: Path) -> None:
    for url in ("postgresql://u:canary@h", "postgresql://u:canary@h:x/d", "mysql://u:canary@h/d"):
        error = refusal(write(tmp_path, f'[ledger]\nurl = "{url}"'))
        assert error is not None
        assert "canary" not in shown(error)


def test_the_settings_themselves_show_no_secret(tmp_path: Path) -> None:
    loaded = settings.load(write(tmp_path, SECRETS.format(st="", trakor="", rest="")), {})
    connection = loaded.connections["default"]
    for thing in (loaded, connection, connection.trakor, connection.salestrekker, loaded.ledger):
        assert "canary" not in repr(thing) + str(thing) + f"{thing}"
    assert "canary" not in connection.trakor.model_dump_json()


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.integers(min_value=0, max_value=len(EXAMPLE)))
def test_a_file_cut_anywhere_is_good_or_refused(tmp_path: Path, cut: int) -> None:
    refusal(write(tmp_path, EXAMPLE[:cut]))


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=400))
@example(b"\x00")
@example(b"\xff\xfea\x00")
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
def test_bytes_of_any_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    assert refusal(write(tmp_path, content)) is not None


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(at=st.integers(min_value=0, max_value=len(EXAMPLE) - 1), put=st.text(string.printable, max_size=3))
def test_a_slip_of_the_keyboard_anywhere_is_good_or_refused(tmp_path: Path, at: int, put: str) -> None:
    refusal(write(tmp_path, EXAMPLE[:at] + put + EXAMPLE[at + 1 :]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(path=st.sampled_from([*KEYS, *TABLES]), value=JSON.map(json.dumps) | st.text(max_size=30))
def test_any_text_or_json_in_any_variable_is_good_or_refused(
    tmp_path: Path, path: KeyPath, value: str
) -> None:
    refusal(write(tmp_path, EXAMPLE), {variable_name(path): value})


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.text(max_size=30))
@example("\udcff")
@example("__")
@example("TRAKOR__")
@example("x" * 100_000)
def test_a_variable_of_any_name_is_refused(tmp_path: Path, name: str) -> None:
    error = refusal(write(tmp_path, EXAMPLE), {f"TRAKOR_BRIDGE_{name}": "1"})
    known = {variable_name(path).removeprefix("TRAKOR_BRIDGE_") for path in KEYS}
    assert (error is None) <= (name in known | {"CONFIG"})


@pytest.mark.parametrize(
    "content",
    [
        "a = " + "[" * 5000,
        "a = " + "[" * 300 + "]" * 300,
        ".".join("a" * 5000) + " = 1",
        "[trakor]\n" + ".".join("a" * 2000) + " = 1",
        "a = " + "9" * 5000,
        "[trakor]\nmax_in_flight = " + "9" * 4000,
        "a = 1\n" * 2,
        "[trakor]\nurl = 1\n[trakor]\nurl = 2\n",
        '"' + "k" * 5000 + '" = 1',
        '"\\u0000\\n\\u202e" = 1',
        "a = 1979-05-27T07:32:00Z",
        "[trakor]\nurl = 1979-05-27\napi_key = 07:32:00",
        '[trakor]\nscope = "' + "x" * 200_000 + '"',
        'connections_dir = "\\u0000"',
        'connections_dir = "' + "x" * 5000 + '"',
        "connections_dir = ['.']",
        'connections_dir = "/dev/null"',
        '[trakor]\napi_key_file = "\\u0000"',
        '[trakor]\napi_key_file = "' + "x" * 5000 + '"',
        '[trakor]\napi_key_file = "/dev/zero"',
        "[[trakor]]\nurl = 1",
        "trakor = []",
        "webhooks = 5",
        "[webhooks.token]\nx = 1",
        "[contacts]\nmap = [1]",
        "x" * 2_000_000,
    ],
    ids=lambda content: repr(content[:30]),
)
def test_monsters_are_refused(tmp_path: Path, content: str) -> None:
    assert refusal(write(tmp_path, content)) is not None


def test_a_great_many_faults_are_cut_short_in_good_time(tmp_path: Path) -> None:
    file = write(tmp_path, "[trakor]\n" + "".join(f"key_{number} = 1\n" for number in range(60_000)))
    begin = time.process_time()
    error = refusal(file)
    assert time.process_time() - begin < 10
    assert error is not None
    assert len(error.errors) == 101
    assert error.errors[-1] == "… and more: correct these first"


def directory(file: Path) -> None:
    file.mkdir()


def broken_link(file: Path) -> None:
    file.symlink_to(file.parent / "nowhere")


def loop(file: Path) -> None:
    file.symlink_to(file)


@pytest.mark.parametrize("make", [directory, broken_link, loop])
def test_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    file = tmp_path / "config.toml"
    make(file)
    error = refusal(file)
    assert error is not None
    assert error.errors[0].startswith("config.toml: cannot be read: ")


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "not/there/config.toml", "", "a\nb\x1b[31m"])
def test_a_name_that_names_nothing_is_refused(tmp_path: Path, name: str) -> None:
    assert refusal(tmp_path / name) is not None
    assert refusal(None, {"TRAKOR_BRIDGE_CONFIG": str(tmp_path / name)}) is not None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, EXAMPLE)
    file.chmod(0)
    assert refusal(file) is not None


def test_files_of_connections_that_are_none_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "connections.d"
    folder.mkdir()
    (folder / "folder.toml").mkdir()
    (folder / "binary.toml").write_bytes(b"\xff\x00")
    (folder / "a\nb.toml").write_text("x = 1")
    error = refusal(write(tmp_path, 'connections_dir = "connections.d"'))
    assert error is not None
    assert {fault.split(": ")[0] for fault in error.errors} == {
        "connections.d/folder.toml",
        "connections.d/binary.toml",
        "connections.d/a\\nb.toml",
    }
