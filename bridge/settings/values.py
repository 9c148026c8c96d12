"""The kinds of value that a setting can have: what is accepted, and what is said where it is not.

Each parser takes what the document holds and gives the plain value that the rest works with
(durations as seconds), or raises ``fault(sentence)``. A sentence never holds the value: a secret that
was put under the wrong key must not end in a log.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import AfterValidator, BeforeValidator, PlainValidator, SecretStr
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ApiKey",
    "Duration",
    "Email",
    "Expressions",
    "FilledText",
    "Folder",
    "LedgerKey",
    "NamedText",
    "OptionalQueryFile",
    "Password",
    "QueryFile",
    "Text",
    "TimeZone",
    "TokenPair",
    "fault",
    "flattened",
    "json_list",
    "parse_duration",
    "seconds_of",
    "within",
]

MIN_SECRET = 32
"""Characters: what is guessed against, unseen, has to be long."""

MAX_TEXT = 10_000
MAX_NAME = 100
MAX_EXPRESSIONS = 20

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d|w)")
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")
_VISIBLE = re.compile(r"[!-~]+")
_QUERY_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}\.graphql")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")


def fault(sentence: str, *, at: str = "") -> PydanticCustomError:
    """What a parser raises: the sentence that is shown after the place.

    ``at`` names another key of the same table as the place.
    """
    return PydanticCustomError("bridge", "{sentence}", {"sentence": sentence, "at": at})


def seconds_of(text: str) -> float | None:
    """``500ms``, ``5s``, ``15m``, ``1h``, ``2d``, ``1w`` -> seconds; None for what is no duration."""
    match = _DURATION.fullmatch(text)
    return None if match is None else float(match[1]) * _UNITS[match[2]]


def parse_duration(value: object) -> float:
    """``"500ms"``, ``"5s"``, ``"15m"``, ``"1h"``, ``"2d"``, ``"1w"`` -> seconds."""
    seconds = seconds_of(value) if isinstance(value, str) else None
    if seconds is None:
        raise fault('must be a duration in quotes: a number and one of ms, s, m, h, d, w, such as "30s"')
    return seconds


def within(low: str, high: str) -> AfterValidator:
    """Bounds of a duration, both included, written as a duration is."""
    least, most = parse_duration(low), parse_duration(high)

    def check(seconds: float) -> float:
        if not least <= seconds <= most:
            raise fault(f'must be a duration from "{low}" to "{high}"')
        return seconds

    return AfterValidator(check)


def _limited(limit: int) -> Callable[[str], str]:
    def check(value: str) -> str:
        if len(value) > limit:
            raise fault(f"must have at most {limit} characters")
        return value

    return check


def _one_line(value: str) -> str:
    if value != value.strip() or not value.isprintable():
        raise fault("must be one line of text, without spaces at its ends")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise fault("must not be empty")
    return value


def _email(value: str) -> str:
    if _EMAIL.fullmatch(value) is None:
        raise fault("must be an e-mail address")
    return value


def _folder(value: str) -> str:
    if not value.isprintable():
        raise fault("must be the path of a folder")
    return value


def _query_file(value: str) -> str:
    if _QUERY_FILE.fullmatch(value) is None:
        raise fault('must be a file name that ends in .graphql, such as "contacts.graphql", without a folder')
    return value


def _optional_query_file(value: str) -> str:
    return value and _query_file(value)


def _time_zone(value: str) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - costs, and is seldom asked for

    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Australia" is a folder
        raise fault('must be a time zone that this machine knows, such as "Australia/Sydney"') from None
    return value


def _bare_key(value: SecretStr) -> SecretStr:
    """An API key goes into a header: anything but visible ASCII would break the request."""
    _filled(value)
    if _VISIBLE.fullmatch(value.get_secret_value()) is None:
        raise fault("must not hold spaces, line breaks or non-ASCII characters: copy the key again")
    return value


def _filled(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().strip():
        raise fault("must not be empty")
    return value


def _long_or_empty(value: SecretStr) -> SecretStr:
    if 0 < len(value) < MIN_SECRET:
        raise fault(f"must have at least {MIN_SECRET} characters, or be empty")
    return value


def _token_pair(value: object) -> tuple[SecretStr, ...]:
    """One token, or a list of two while one replaces the other (in the environment: a JSON list)."""
    given = json_list(value)
    items = given if isinstance(given, list | tuple) else [given]
    texts = [item for item in items if isinstance(item, str)]
    if not 1 <= len(items) <= 2 or len(texts) != len(items):  # noqa: PLR2004 - the old one and the new one
        raise fault("must be a text, or a list of two texts while one replaces the other")
    if any(len(text) < MIN_SECRET or _TOKEN.fullmatch(text) is None for text in texts):
        raise fault(f"must have at least {MIN_SECRET} characters, only letters, digits and - . _ ~")
    if len(set(texts)) != len(texts):
        raise fault("must not name the same token twice")
    return tuple(SecretStr(text) for text in texts)


def _expressions(value: object) -> str | dict[str, str]:
    """One expression, or a table of named ones."""
    given = list(value.values()) if isinstance(value, dict) else [value]
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) != len(given):
        raise fault("must be text in quotes, or a table of such texts")
    if any(len(text) > MAX_TEXT for text in texts):
        raise fault(f"must have at most {MAX_TEXT} characters")
    if isinstance(value, dict) and len(value) > MAX_EXPRESSIONS:
        raise fault(f"must have at most {MAX_EXPRESSIONS} entries")
    return value  # type: ignore[return-value]  # checked above, name by name by the map itself


def flattened(key: str, value: str | dict[str, str]) -> dict[str, str]:
    """One expression under its key, each of several under a key of its own: ``same_as.email``.

    A table without entries is an empty text: nothing is made.
    """
    if isinstance(value, str):
        return {key: value}
    if not value:
        return {key: ""}
    return {f"{key}.{name}": text for name, text in value.items()}


def json_list(value: object) -> object:
    """A list of secrets as the environment gives it, in JSON; anything else as it is."""
    if not isinstance(value, str) or not value.startswith("["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


Text: TypeAlias = Annotated[str, AfterValidator(_limited(MAX_TEXT))]
FilledText: TypeAlias = Annotated[Text, AfterValidator(_not_blank)]
Expressions: TypeAlias = Annotated[str | dict[str, str], PlainValidator(_expressions)]
NamedText: TypeAlias = Annotated[str, AfterValidator(_limited(MAX_NAME)), AfterValidator(_one_line)]
Email: TypeAlias = Annotated[str, AfterValidator(_limited(MAX_NAME)), AfterValidator(_email)]
Folder: TypeAlias = Annotated[Text, AfterValidator(_folder)]
QueryFile: TypeAlias = Annotated[str, AfterValidator(_query_file)]
OptionalQueryFile: TypeAlias = Annotated[str, AfterValidator(_optional_query_file)]
TimeZone: TypeAlias = Annotated[str, AfterValidator(_limited(MAX_NAME)), AfterValidator(_time_zone)]
Duration: TypeAlias = Annotated[float, BeforeValidator(parse_duration)]
ApiKey: TypeAlias = Annotated[SecretStr, AfterValidator(_bare_key)]
Password: TypeAlias = Annotated[SecretStr, AfterValidator(_filled)]
LedgerKey: TypeAlias = Annotated[SecretStr, AfterValidator(_long_or_empty)]
TokenPair: TypeAlias = Annotated[tuple[SecretStr, ...], BeforeValidator(_token_pair)]
