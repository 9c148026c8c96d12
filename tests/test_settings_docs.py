"""The models, docs/configuration.md and config.example.toml say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import SecretStr

from bridge import settings
from bridge.mapping.built_in_maps import DEFAULTS
from bridge.records import Stream
from bridge.settings.model import ConnectionDocument, Document
from bridge.settings.setting_names import FILE_SUFFIX, document_keys, dotted, secret_keys

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "configuration.md").read_text()
EXAMPLE = ROOT / "config.example.toml"
ROW = re.compile(r"^\| `([a-z_.]+)` \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)

KNOWN = document_keys(Document)
KEYS = {dotted(path): field for path, field in KNOWN.items()}
ROWS = {match[1]: (match[2], match[3], match[4]) for match in ROW.finditer(PAGE)}


def flat(table: dict[str, object], above: str = "") -> dict[str, object]:
    """Each key with its value; a table that is a key's value stays one."""
    found: dict[str, object] = {}
    for name, value in table.items():
        is_table = isinstance(value, dict) and above + name not in KEYS
        found |= flat(value, f"{above}{name}.") if is_table else {above + name: value}  # type: ignore[arg-type]
    return found


def test_the_page_names_every_key_there_is_and_no_other() -> None:
    assert ROWS.keys() == KEYS.keys()
    assert len(ROW.findall(PAGE)) == len(ROWS), "a key is named twice"


def test_the_page_says_which_one_value_is_not_supported_yet() -> None:
    assert [key for key in KEYS if "**not supported yet**" in ROWS[key][2]] == ["ledger.url"]


@pytest.mark.parametrize("key", sorted(key for key in KEYS if not key.endswith(FILE_SUFFIX)))
def test_the_page_gives_each_default(key: str) -> None:
    field, default = KEYS[key], ROWS[key][1].strip("`")
    if field.is_required():
        assert default == "required"
    elif field.default is None:
        assert default in {"none", "as shipped"} or (key, default) == ("salestrekker.api_key", "required")
    else:
        written = tomllib.loads(f"x = {default}")["x"]
        assert written == (list(field.default) if isinstance(field.default, tuple) else field.default)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_the_page_gives_the_bounds_and_the_words_of_each_key(key: str) -> None:
    kind, field = ROWS[key][0], KEYS[key]
    bounds = {type(limit).__name__: limit for limit in field.metadata if type(limit).__name__ in {"Ge", "Le"}}
    if bounds and not key.endswith(FILE_SUFFIX):
        assert kind == f"{bounds['Ge'].ge} to {bounds['Le'].le}"
    for word in (
        re.findall(r"'([a-z]+)'", str(field.annotation)) if "Literal" in str(field.annotation) else []
    ):
        assert f"`{word}`" in kind


def test_every_secret_can_come_from_a_file() -> None:
    secrets = {dotted(path) for path in secret_keys(KNOWN)}
    assert {
        "salestrekker.api_key",
        "salestrekker.password",
        "trakor.api_key",
        "webhooks.token",
        "admin.password",
        "ledger.key",
        "ledger.url",
        "alerts.urls",
        "alerts.heartbeat_url",
    } == secrets
    assert {key for key in KEYS if key.endswith(FILE_SUFFIX)} == {key + FILE_SUFFIX for key in secrets}


def test_a_connection_file_has_the_keys_of_the_main_file_or_fewer() -> None:
    assert document_keys(ConnectionDocument).keys() < KNOWN.keys()


def test_the_example_loads_and_each_of_its_lines_says_the_default() -> None:
    given = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in flat(tomllib.loads(EXAMPLE.read_text())).items()
    }
    loaded = settings.load(EXAMPLE, {})
    assert loaded.ledger.path == ROOT / "ledger.db"
    filled_in = {"salestrekker.api_key", "trakor.url", "trakor.api_key"}
    assert {key: value for key, value in given.items() if value != KEYS[key].default}.keys() == filled_in


def test_the_example_has_every_key_that_works_and_no_other() -> None:
    """Maps stand there as comments, ``X_file`` only in a sentence: both replace another key."""
    text = EXAMPLE.read_text()
    given = (
        flat(tomllib.loads(text)).keys()
        | flat(tomllib.loads(re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE))).keys()
    )
    assert {key for key in KEYS if not key.endswith(FILE_SUFFIX)} == given


def test_the_example_with_its_comments_taken_away_loads_too(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    text = re.sub(r"^# (?=\[|\w+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    file.write_text(re.sub(r'^api_key = "your-sales.*\n', "", text, flags=re.MULTILINE))  # one or the other
    connection = settings.load(file, {}).connections["default"]
    assert connection.salestrekker.email
    # The maps that stand there are the shipped ones: whoever takes the comment away changes nothing.
    assert connection.stream(Stream.CONTACTS).map == DEFAULTS[Stream.CONTACTS]
    assert connection.stream(Stream.PRODUCTS).map == DEFAULTS[Stream.PRODUCTS]


def test_the_examples_secrets_do_not_show_either() -> None:
    loaded = settings.load(EXAMPLE, {})
    assert isinstance(loaded.connections["default"].trakor.api_key, SecretStr)
    for secret in loaded.secrets():
        assert secret not in repr(loaded)
        assert secret not in str(loaded.connections)
