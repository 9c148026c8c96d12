"""Whatever is logged, by whom and however, no secret shows, and each line can be read by a machine."""

from __future__ import annotations

import io
import json
import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bridge import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CANARY = "canary-5f0c-ÄÖ \"quoted\" \\back & 'single'"
KEY = "sk_live_canary0123456789"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOjF9.c2lnbmF0dXJlLWNhbmFyeQ"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging belongs to the process: each test puts it back."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    levels = {name: logging.getLogger(name).level for name in logs.HELD_AT_WARNING}
    yield
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in before[0]:
        root.addHandler(handler)
    root.setLevel(before[1])
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


@contextmanager
def lines(level: str = "debug", form: str = "json", secrets: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """Everything that is logged inside, line by line."""
    stream = io.StringIO()
    logs.configure(level, form, stream, secrets)
    found: list[str] = []
    yield found
    found += stream.getvalue().splitlines()


def only(found: list[str]) -> dict[str, Any]:
    assert len(found) == 1, found
    event = json.loads(found[0])
    assert isinstance(event, dict)
    return event


def test_an_event_is_one_json_line_with_level_logger_and_time_in_utc() -> None:
    with lines() as found, structlog.contextvars.bound_contextvars(connection="north"):
        structlog.get_logger("bridge.sync").info("page read", received=3)
    event = only(found)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "page read",
        "received": 3,
        "connection": "north",
        "level": "info",
        "logger": "bridge.sync",
    }


def test_a_record_of_the_standard_library_takes_the_same_way() -> None:
    with lines() as found:
        logging.getLogger("aiohttp.server").warning("from %s", "aiohttp", extra={"peer": "127.0.0.1"})
    event = only(found)
    assert (event["event"], event["level"], event["logger"]) == ("from aiohttp", "warning", "aiohttp.server")
    assert event["peer"] == "127.0.0.1"
    assert event["timestamp"].endswith("Z")


@pytest.mark.parametrize("name", [*logs.HELD_AT_WARNING, "gql.transport.aiohttp", "apscheduler.scheduler"])
def test_loggers_that_tell_too_much_are_held_at_warning_even_at_debug(name: str) -> None:
    with lines("debug") as found:
        logging.getLogger(name).info("variables and headers")
        logging.getLogger(name).warning("kept")
    assert only(found)["event"] == "kept"


def test_the_level_counts_for_both_kinds_and_for_held_loggers() -> None:
    with lines("error") as found:
        structlog.get_logger("a").warning("no")
        logging.getLogger("b").warning("no")
        logging.getLogger("gql").warning("no")
        structlog.get_logger("a").error("yes")
    assert only(found)["event"] == "yes"


@pytest.mark.parametrize(("form", "is_json"), [("auto", False), ("console", False), ("json", True)])
def test_a_terminal_gets_the_console_form_unless_json_is_asked_for(form: str, is_json: bool) -> None:  # noqa: FBT001
    stream = Terminal()
    logs.configure("info", form, stream)
    structlog.get_logger("a").info("hello")
    assert stream.getvalue().startswith("{") is is_json


def test_without_a_terminal_auto_is_json() -> None:
    with lines(form="auto") as found:
        structlog.get_logger("a").info("hello")
    assert only(found)["event"] == "hello"


def test_configuring_again_replaces_what_was_there() -> None:
    log = structlog.get_logger("a")
    with lines() as first:
        log.info("one")
    with lines() as second:
        log.info("two")
    assert (only(first)["event"], only(second)["event"]) == ("one", "two")


@dataclass
class Carrier:
    """An object whose repr tells."""

    content: str


class Renamed:
    """A text in disguise."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"<{self.text}>"


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "carry",
    [
        lambda secret: secret,
        lambda secret: f"before {secret} after",
        lambda secret: [secret],
        lambda secret: {"deep": [{"er": (secret,)}]},
        lambda secret: {secret: 1},
        lambda secret: {secret},
        lambda secret: secret.encode(),
        Carrier,
        Renamed,
        ValueError,
        lambda secret: json.dumps({"x": secret}),
        lambda secret: repr({"x": secret}),
        lambda secret: [[[[[[[[secret]]]]]]]],
    ],
)
def test_a_known_secret_never_shows_whatever_carries_it(form: str, carry: Callable[[str], object]) -> None:
    with lines(form=form, secrets=(CANARY,)) as found:
        structlog.get_logger("a").info("event", value=carry(CANARY))
        logging.getLogger("b").warning("event %s", carry(CANARY))
        logging.getLogger("c").warning("event", extra={"value": carry(CANARY)})
    text = "\n".join(found)
    assert text.count("event") >= 3
    assert text.count(logs.REDACTED) >= 3
    assert "canary" not in text


def raise_deeply(secret: str) -> None:
    hidden = secret.upper()  # a local variable: what a rich traceback would print
    try:
        int(secret)
    except ValueError as error:
        raise RuntimeError(f"wrapped {len(hidden)}") from error


@pytest.mark.parametrize("form", ["json", "console"])
def test_tracebacks_are_whole_but_show_neither_locals_nor_secrets(form: str) -> None:
    with lines(form=form, secrets=(CANARY,)) as found:
        try:
            raise_deeply(CANARY)
        except RuntimeError:
            structlog.get_logger("a").exception("one")
            logging.getLogger("b").exception("two")
    text = "\n".join(found)
    assert text.count("wrapped") >= 2
    assert text.count("raise_deeply") >= 2
    assert "canary-5f0c" not in text.lower()


@pytest.mark.parametrize(
    "name", ["api_key", "token", "password", "authorization", "x-api-key", "X-API-KEY", "trakor_api_key"]
)
def test_a_key_named_like_a_secret_hides_its_value_at_any_depth(name: str) -> None:
    with lines() as found:
        structlog.get_logger("a").info("event", **{name: "canary"}, headers={name: "canary"}, port=80)
    event = only(found)
    assert event[name] == event["headers"][name] == logs.REDACTED
    assert event["port"] == 80


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("POST /webhooks/canary0123/contact-created", "/contact-created"),
        ("https://bridge.example/webhooks/canary?x=1", "?x=1"),
        ("postgresql://user:canary@host/db", "@host/db"),
        ("Authorization: Bearer canary.can-ary", "Authorization: "),
        ("{'X-API-KEY': 'canary'}", "X-API-KEY"),
        ('{"apiKey": "canary", "n": 1}', '"n": 1'),
        ('{\\"password\\": \\"canary\\"}', "password"),
        ("api_key=canary&limit=5", "&limit=5"),
        (f"answered {JWT}", "answered "),
        (f"used {KEY}.", "used "),
    ],
)
def test_what_looks_like_a_secret_is_hidden_though_nobody_named_it(text: str, left: str) -> None:
    with lines() as found:
        structlog.get_logger("a").info(text)
    event = only(found)["event"]
    assert "canary" not in event
    assert logs.REDACTED in event
    assert left in event


@pytest.mark.parametrize(
    "text", ["the token is renewed", "page 3 of https://host.example/graphql", "e@x.example"]
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    with lines(secrets=("", "abc")) as found:
        structlog.get_logger("a").info(text, count=1, ratio=0.5, flag=True, nothing=None, abc="abc")
    event = only(found)
    assert event["event"] == text
    assert (event["count"], event["ratio"], event["flag"], event["nothing"]) == (1, 0.5, True, None)


def test_a_line_that_cannot_be_written_is_reported_without_its_content(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with lines(secrets=(CANARY,)) as found:
        logging.getLogger("b").warning("%d", CANARY)
    assert found == ["a log line of b could not be written: TypeError"]
    assert capsys.readouterr() == ("", "")


def test_a_closed_stream_ends_no_one(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    stream.close()
    structlog.get_logger("a").warning("nobody hears this")
    assert capsys.readouterr() == ("", "")


@given(secret=st.text(min_size=logs.MIN_SECRET, max_size=40).filter(lambda text: not text.isspace()))
def test_no_spelling_of_any_secret_survives(secret: str) -> None:
    """Except where the secret is a part of what stands for it."""
    redactor = logs.Redactor([secret])
    for spelled in (secret, repr(secret), json.dumps(secret), f"x {secret} y"):
        scrubbed = redactor.text(spelled).replace(logs.REDACTED, "")
        assert secret not in scrubbed
        assert redactor.text(spelled) != spelled
