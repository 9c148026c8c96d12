"""The types of value that a setting can have: what each accepts, and the message if a value is refused.

Each parser takes what the document holds and returns the plain value that the rest works with: a duration
becomes seconds, and two spellings of one address become equal. A parser that refuses a value raises
``invalid_value(sentence)``. The sentence never contains the value: a secret under the wrong key must not
reach a log.
"""

from __future__ import annotations

import ipaddress
import json
import re
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainValidator, SecretStr
from pydantic_core import PydanticCustomError

from bridge.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AlertUrls",
    "ApiKey",
    "BaseUrl",
    "Duration",
    "Email",
    "Expressions",
    "FilledText",
    "Folder",
    "HeartbeatUrl",
    "HostNames",
    "HttpUrl",
    "LedgerKey",
    "LedgerUrl",
    "NamedText",
    "Network",
    "Networks",
    "OptionalQueryFile",
    "Password",
    "QueryFile",
    "Text",
    "TimeZone",
    "TokenPair",
    "checked_url",
    "flatten_expressions",
    "invalid_value",
    "is_loopback",
    "is_plain_and_remote",
    "json_list",
    "parse_duration",
    "seconds_or_none",
    "sqlite_file",
    "within",
]

MIN_SECRET_LENGTH = 32
"""In characters. Anybody can try to guess such a secret unnoticed, so it has to be long."""

MAX_TEXT = 10_000
MAX_NAME = 100
MAX_EXPRESSIONS = 20

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d|w)")
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")
_VISIBLE = re.compile(r"[!-~]+")
_QUERY_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}\.graphql")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")


def invalid_value(sentence: str, *, at: str = "") -> PydanticCustomError:
    """Return the error for a parser to raise.

    Args:
        sentence: What is wrong. The message shows this after the place.
        at: Another key of the same table, if that key is the place.
    """
    return PydanticCustomError("bridge", "{sentence}", {"sentence": sentence, "at": at})


def seconds_or_none(text: str) -> float | None:
    """Parse ``500ms``, ``5s``, ``15m``, ``1h``, ``2d`` or ``1w`` to seconds; None if it is not a duration."""
    match = _DURATION.fullmatch(text)
    return None if match is None else float(match[1]) * _UNITS[match[2]]


def parse_duration(value: object) -> float:
    """Parse ``"500ms"``, ``"5s"``, ``"15m"``, ``"1h"``, ``"2d"`` or ``"1w"`` to seconds."""
    seconds = seconds_or_none(value) if isinstance(value, str) else None
    if seconds is None:
        raise invalid_value(
            'must be a duration in quotes: a number and one of ms, s, m, h, d, w, such as "30s"'
        )
    return seconds


def within(low: str, high: str) -> AfterValidator:
    """Return a validator for the bounds of a duration. Both are durations, and both are allowed values."""
    least, most = parse_duration(low), parse_duration(high)

    def check(seconds: float) -> float:
        if not least <= seconds <= most:
            raise invalid_value(f'must be a duration from "{low}" to "{high}"')
        return seconds

    return AfterValidator(check)


def _max_length(limit: int) -> Callable[[str], str]:
    def check(value: str) -> str:
        if len(value) > limit:
            raise invalid_value(f"must have at most {limit} characters")
        return value

    return check


def _one_line(value: str) -> str:
    if value != value.strip() or not value.isprintable():
        raise invalid_value("must be one line of text, without spaces at its ends")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise invalid_value("must not be empty")
    return value


def _email(value: str) -> str:
    if _EMAIL.fullmatch(value) is None:
        raise invalid_value("must be an e-mail address")
    return value


def _folder(value: str) -> str:
    if not value.isprintable():
        raise invalid_value("must be the path of a folder")
    return value


def _query_file(value: str) -> str:
    if _QUERY_FILE.fullmatch(value) is None:
        raise invalid_value(
            'must be a file name that ends in .graphql, such as "contacts.graphql", without a folder'
        )
    return value


def _optional_query_file(value: str) -> str:
    return value and _query_file(value)


def _time_zone(value: str) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - slow to import, and seldom needed

    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Australia" is a folder
        raise invalid_value(
            'must be a time zone that this machine knows, such as "Australia/Sydney"'
        ) from None
    return value


def _bare_key(value: SecretStr) -> SecretStr:
    """Refuse what is not visible ASCII: an API key goes into a header, and would break the request."""
    _filled(value)
    if _VISIBLE.fullmatch(value.get_secret_value()) is None:
        raise invalid_value("must not contain spaces, line breaks or non-ASCII text: copy the key again")
    return value


def _filled(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().strip():
        raise invalid_value("must not be empty")
    return value


def _long_or_empty(value: SecretStr) -> SecretStr:
    if 0 < len(value) < MIN_SECRET_LENGTH:
        raise invalid_value(f"must have at least {MIN_SECRET_LENGTH} characters, or be empty")
    return value


def _token_pair(value: object) -> tuple[SecretStr, ...]:
    """Parse one token, or a list of two while one replaces the other (in the environment: a JSON list)."""
    given = json_list(value)
    items = given if isinstance(given, list | tuple) else [given]
    texts = [item for item in items if isinstance(item, str)]
    if not 1 <= len(items) <= 2 or len(texts) != len(items):  # noqa: PLR2004 - the old one and the new one
        raise invalid_value("must be a text, or a list of two texts while one replaces the other")
    if any(len(text) < MIN_SECRET_LENGTH or _TOKEN.fullmatch(text) is None for text in texts):
        raise invalid_value(
            f"must have at least {MIN_SECRET_LENGTH} characters, only letters, digits and - . _ ~"
        )
    if len(set(texts)) != len(texts):
        raise invalid_value("must not name the same token twice")
    return tuple(SecretStr(text) for text in texts)


def _expressions(value: object) -> str | dict[str, str]:
    """Check one expression, or a table of named ones."""
    given = list(value.values()) if isinstance(value, dict) else [value]
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) != len(given):
        raise invalid_value("must be text in quotes, or a table of such texts")
    if any(len(text) > MAX_TEXT for text in texts):
        raise invalid_value(f"must have at most {MAX_TEXT} characters")
    if isinstance(value, dict) and len(value) > MAX_EXPRESSIONS:
        raise invalid_value(f"must have at most {MAX_EXPRESSIONS} entries")
    return value  # type: ignore[return-value]  # checked above; the map checks the names


def flatten_expressions(key: str, value: str | dict[str, str]) -> dict[str, str]:
    """Return one expression under its key, or each of several under its own key: ``same_as.email``.

    An empty table means the same as an empty text: no value.
    """
    if isinstance(value, str):
        return {key: value}
    if not value:
        return {key: ""}
    return {f"{key}.{name}": text for name, text in value.items()}


def json_list(value: object) -> object:
    """Parse a list of secrets in JSON, as the environment has it. Return anything else unchanged."""
    if not isinstance(value, str) or not value.startswith("["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


Text: TypeAlias = Annotated[str, AfterValidator(_max_length(MAX_TEXT))]
FilledText: TypeAlias = Annotated[Text, AfterValidator(_not_blank)]
Expressions: TypeAlias = Annotated[str | dict[str, str], PlainValidator(_expressions)]
NamedText: TypeAlias = Annotated[str, AfterValidator(_max_length(MAX_NAME)), AfterValidator(_one_line)]
Email: TypeAlias = Annotated[str, AfterValidator(_max_length(MAX_NAME)), AfterValidator(_email)]
Folder: TypeAlias = Annotated[Text, AfterValidator(_folder)]
QueryFile: TypeAlias = Annotated[str, AfterValidator(_query_file)]
OptionalQueryFile: TypeAlias = Annotated[str, AfterValidator(_optional_query_file)]
TimeZone: TypeAlias = Annotated[str, AfterValidator(_max_length(MAX_NAME)), AfterValidator(_time_zone)]
Duration: TypeAlias = Annotated[float, BeforeValidator(parse_duration)]
ApiKey: TypeAlias = Annotated[SecretStr, AfterValidator(_bare_key)]
Password: TypeAlias = Annotated[SecretStr, AfterValidator(_filled)]
LedgerKey: TypeAlias = Annotated[SecretStr, AfterValidator(_long_or_empty)]
TokenPair: TypeAlias = Annotated[tuple[SecretStr, ...], BeforeValidator(_token_pair)]


Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_PORTS = {"http": 80, "https": 443}
_UNFIT = re.compile(r"[\s\x00-\x20\x7f\\]")
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_APPRISE = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_SQLITE, _POSTGRESQL = "sqlite:///", "postgresql://"
_NO_ADDRESS = 'must be an address such as "https://host.example/path"'


def is_loopback(host: str) -> bool:
    """Whether a host (name or address, without brackets) can only be this machine."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_plain_and_remote(url: str) -> bool:
    """Whether others could read on the way what is sent to a valid address."""
    return url.startswith("http://") and not is_loopback(urlsplit(url).hostname or "")


def checked_url(url: str) -> str:
    """Return an address in the configuration's form, without a slash at its end.

    Raises:
        UserError: The text is not an address, or has a part that is not allowed. The message does not show
            the text.
    """
    try:
        return _without_slash(_http_url(url))
    except PydanticCustomError as error:
        raise UserError(f"the address {error.message()}") from None


def sqlite_file(url: str) -> str | None:
    """Return the path in a valid ledger address; None if the ledger is not a file."""
    return url.removeprefix(_SQLITE) if url.startswith(_SQLITE) else None


class _UrlParts(NamedTuple):
    """The parts of an address."""

    scheme: str
    user: bool
    host: str
    port: int | None
    path: str


def _split_url(url: str) -> _UrlParts | None:
    """Split an address; None if it is not one. Line breaks are refused here: urlsplit silently drops them."""
    if len(url) > MAX_TEXT or _UNFIT.search(url):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    return _UrlParts(parts.scheme, "@" in parts.netloc, host, port, parts.path) if host else None


def _http_url(value: str) -> str:
    parts = _split_url(value)
    if parts is None or parts.scheme not in _PORTS:
        raise invalid_value(_NO_ADDRESS)
    if parts.user:
        raise invalid_value("must not contain a user name or password")
    if "?" in value or "#" in value:
        raise invalid_value('must not have a query or fragment: end the address before the "?" or "#"')
    host = f"[{parts.host}]" if ":" in parts.host else parts.host
    port = "" if parts.port in {None, _PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _without_slash(value: str) -> str:
    return value.rstrip("/")


def _heartbeat_url(value: SecretStr) -> SecretStr:
    """Check a heartbeat address. All of it is secret: anybody who knows the address can prevent the alarm."""
    parts = _split_url(value.get_secret_value())
    if value and (parts is None or parts.scheme not in _PORTS):
        raise invalid_value(_NO_ADDRESS)
    return value


def _ledger_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if url.startswith(_SQLITE):
        _check_file(url.removeprefix(_SQLITE))
    elif url.startswith(_POSTGRESQL):
        _check_database(url)
    else:
        raise invalid_value('must be "sqlite:///file.db" or "postgresql://user:password@host/database"')
    return value


def _check_file(path: str) -> None:
    unfit = not path.isprintable() or "?" in path or len(path) > MAX_TEXT
    if unfit or not path or path.endswith("/") or path == ":memory:":
        raise invalid_value(
            'must name a file, such as "sqlite:///ledger.db": a ledger has to outlive the process'
        )


def _check_database(url: str) -> None:
    parts = _split_url(url)
    if parts is None or not parts.path.strip("/"):
        raise invalid_value('must name host and database: "postgresql://user:password@host/database"')


def _networks(value: object) -> tuple[Network, ...]:
    if not isinstance(value, list | tuple):
        raise invalid_value('must be a list of networks, such as ["203.0.113.0/24", "2001:db8::/32"]')
    return tuple(_network(item) for item in value)


def _network(value: object) -> Network:
    text = value if isinstance(value, str) else ""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise invalid_value(
            'must be a list of networks, such as ["203.0.113.0/24"]: one is wrong, or has bits after its mask'
        ) from None


def _alert_urls(value: object) -> tuple[SecretStr, ...]:
    given = json_list(value)
    items = given if isinstance(given, list | tuple) else [None]
    texts = [item for item in items if isinstance(item, str) and _APPRISE.fullmatch(item)]
    if len(texts) != len(items):
        raise invalid_value('must be a list of Apprise addresses, such as ["mailto://…", "slack://…"]')
    return tuple(SecretStr(text) for text in texts)


HttpUrl: TypeAlias = Annotated[str, AfterValidator(_http_url)]
BaseUrl: TypeAlias = Annotated[HttpUrl, AfterValidator(_without_slash)]
HeartbeatUrl: TypeAlias = Annotated[SecretStr, AfterValidator(_heartbeat_url)]
LedgerUrl: TypeAlias = Annotated[SecretStr, AfterValidator(_ledger_url)]
AlertUrls: TypeAlias = Annotated[tuple[SecretStr, ...], BeforeValidator(_alert_urls)]


def _host_names(given: object) -> tuple[str, ...]:
    """Parse names without a port to lower case. One text is a list of one."""
    found = json_list(given)
    names = [found] if isinstance(found, str) else found
    if not isinstance(names, list | tuple) or not all(isinstance(one, str) for one in names):
        raise invalid_value('must be a list of names such as "status.example.com"')
    lower = tuple(one.strip().lower().removesuffix(".") for one in names)
    if not all(_HOST_NAME.fullmatch(one) for one in lower):
        raise invalid_value('must be names without scheme, port and path, such as "status.example.com"')
    return lower


HostNames: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_host_names)]
"""The names under which clients may address a listener."""

Networks: TypeAlias = Annotated[tuple[Network, ...], BeforeValidator(_networks)]
