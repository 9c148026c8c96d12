"""GraphQL's ``errors`` (specification, section 7.1.2), classified by what to do about them. Pure.

The form of Salestrekker's errors is not public, so each known form is recognised: by ``extensions.code``, by
a status among the extensions, else by the wording.

The server's text is kept scrubbed, for comparison only, and never shown as it is. Logs and the ledger show
only codes that are known here, and steps of a path that occur in the query's own text. Of an error about the
query, they show the words of that text and the words of GraphQL's own sentences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from bridge.errors import Transient
from bridge.event_loop_turns import run_to_end
from bridge.retry import LONGEST_RETRY_AFTER
from bridge.salestrekker.response_limits import MAX_ERRORS

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Mapping, Sequence

__all__ = [
    "CODES",
    "ErrorKind",
    "GraphqlResult",
    "ServerError",
    "code_suffix",
    "describe_errors",
    "dotted_path",
    "find_codes",
    "longest_retry_after",
    "parse_result",
    "parse_result_in_steps",
]


class ErrorKind(StrEnum):
    """What a GraphQL error calls for."""

    TOKEN = "token"  # noqa: S105 - a kind, not a secret
    PERMISSION = "permission"
    QUERY = "query"
    BUSY = "busy"
    INTERNAL = "internal"


CODES: Final[Mapping[ErrorKind, frozenset[str]]] = {
    ErrorKind.TOKEN: frozenset(
        {
            "UNAUTHENTICATED",
            "UNAUTHORIZED",
            "UNAUTHORISED",
            "NOT_AUTHENTICATED",
            "AUTHENTICATION_ERROR",
            "AUTHENTICATION_FAILED",
            "AUTHENTICATION_REQUIRED",
            "INVALID_TOKEN",
            "TOKEN_INVALID",
            "EXPIRED_TOKEN",
            "TOKEN_EXPIRED",
            "INVALID_JWT",
            "JWT_EXPIRED",
            "401",
        }
    ),
    ErrorKind.PERMISSION: frozenset(
        {"FORBIDDEN", "ACCESS_DENIED", "PERMISSION_DENIED", "NOT_AUTHORIZED", "403"}
    ),
    ErrorKind.QUERY: frozenset({"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "BAD_USER_INPUT"}),
    ErrorKind.BUSY: frozenset(
        {
            "RATE_LIMIT",
            "RATE_LIMITED",
            "RATE_LIMIT_ERROR",
            "RATE_LIMIT_EXCEEDED",
            "REQUEST_THROTTLED",
            "THROTTLED",
            "THROTTLING",
            "THROTTLING_ERROR",
            "TOO_MANY_REQUESTS",
            "429",
        }
    ),
    ErrorKind.INTERNAL: frozenset(
        {"INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT", "500", "502", "503", "504"}
    ),
}

KNOWN_CODES: Final = frozenset[str]().union(*CODES.values())

WORDING: Final[tuple[tuple[ErrorKind, re.Pattern[str]], ...]] = (
    (
        ErrorKind.QUERY,
        re.compile(
            r"^syntax error|cannot query field|unknown (argument|type|fragment|directive)"
            r"""|variable ["']?\$|argument .* is required|have a (sub)?selection""",
            re.IGNORECASE,
        ),
    ),
    (
        ErrorKind.TOKEN,
        re.compile(
            r"unauthori[sz]ed|unauthenticated|not (authenticated|authori[sz]ed|logged in|signed in)"
            r"|authentication (required|failed)|must be logged in"
            r"|\b(jwt|token|session)\b.{0,20}\b(expired|invalid|malformed|missing|revoked)"
            r"|\b(invalid|expired|malformed|missing|revoked)\b.{0,12}\b(jwt|token|session)\b",
            re.IGNORECASE,
        ),
    ),
    (ErrorKind.PERMISSION, re.compile(r"forbidden|permission|access denied|not allowed", re.IGNORECASE)),
    (ErrorKind.BUSY, re.compile(r"too many requests|rate limit|throttl", re.IGNORECASE)),
)

SECRET_OR_PERSONAL: Final = re.compile(
    r"[\w-]{6,}\.[\w-]{6,}\.[\w-]*"  # a JWT
    r"|[^\s@\"']+@[^\s@\"']+"  # an e-mail address
    r"|\+?\d[\d ()-]{4,}\d"  # a phone or account number
    r"|(?=[\w-]*\d)[\w-]{16,}"  # a key or an id
)

WORD: Final = re.compile(r"\w+")

SENTENCES: Final = frozenset(
    WORD.findall(
        "a an and any are argument arguments as be been boolean but by can cannot character conflict "
        "conflicts declared default define defined depth did different directive directives document does "
        "duplicate each end enum eof error exceed exceeds executable expected expecting expression fetch "
        "field fields find float for fragment fragments from get given got has have id in input int integer "
        "invalid is it itself leaf length limit list literal max maximum mean message missing more most must "
        "mutation name named names no non not null object of on one only operation operations or provided "
        "queries query required requires return returns same scalar schema selection selections set should "
        "spread string subfields subscription such syntax than that the there this to too type types "
        "unexpected union unique unknown unnamed unused use used using validation value values variable "
        "variables was with within "
    )
)
"""The words of the sentences in which servers reject a query. Only these and the query's own words are shown
of a
server's message."""

WAIT_TEXT: Final = re.compile(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*(ms|s)?\s*", re.IGNORECASE)
"""A wait as text: a number, with or without its unit."""

RETRY_AFTER_KEYS: Final[Mapping[str, float]] = {
    "retryAfter": 0.0,
    "retry_after": 0.0,
    "retryAfterSeconds": 1.0,
    "retryAfterMs": 0.001,
}
"""Where ``extensions`` say how long to wait, and the unit in seconds. 0: the unit is not given."""

MILLISECONDS_FROM: Final = 1000.0
"""A wait without a unit is in seconds below this number, and in milliseconds from here on."""

MESSAGE_READ: Final = 1000
"""Maximum number of characters of a message that are read: the patterns above must not search megabytes."""

MESSAGE_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class ServerError:
    """One of a response's ``errors`` (GraphQL specification, 7.1.2).

    Attributes:
        kind: What it calls for.
        code: ``extensions.code`` or a substitute. Empty if there is none.
        path: Response keys and list indices down to the field that failed. Empty for the whole request.
        message: The server's message, scrubbed: to be compared, not to be shown.
        at: Line and column of the text that was sent, from 1, if the server names them.
        retry_after: Seconds that the server asks to wait, an hour at most, or None.
        safe_message: The part of the message that may be shown.
    """

    kind: ErrorKind
    code: str
    path: tuple[str | int, ...]
    message: str
    at: tuple[int, int] | None = None
    retry_after: float | None = None
    safe_message: str = ""


@dataclass(frozen=True, slots=True)
class GraphqlResult:
    """A GraphQL response: the decoded ``data``, None if all of it failed, and the errors."""

    data: Mapping[str, object] | None
    errors: tuple[ServerError, ...] = ()

    @property
    def retry_after(self) -> float | None:
        """Seconds that a server with too much to do asks to wait, or None."""
        return longest_retry_after(self.errors)


def parse_result(data: object, errors: object, text: str | None = None) -> GraphqlResult:
    """Parse a response's ``data`` and ``errors``.

    Args:
        data: As decoded.
        errors: As decoded.
        text: The document that was sent. A step of a path that it does not contain becomes ``…``, because it
            may be part of a record. None: the response is only classified, and never shown.
    """
    return run_to_end(parse_result_in_steps(data, errors, text))


def parse_result_in_steps(
    data: object, errors: object, text: str | None = None
) -> Generator[None, None, GraphqlResult]:
    """As ``parse_result``, to be run in slices if there may be very many errors.

    Raises:
        Transient: There are more errors than a readable list can have.
    """
    listed = errors if isinstance(errors, list) else [errors] if errors else []
    if len(listed) > MAX_ERRORS:
        raise Transient(f"Salestrekker reports more than {MAX_ERRORS:,} errors at once")
    words = None if text is None or not listed else frozenset(WORD.findall(text))
    result: list[ServerError] = []
    for error in listed:
        result.append(_server_error(error, words))
        yield
    return GraphqlResult(data if isinstance(data, dict) else None, tuple(result))


def _server_error(error: object, words: Collection[str] | None) -> ServerError:
    fields = error if isinstance(error, dict) else {"message": error}
    given = fields.get("message")
    message = given[:MESSAGE_READ] if isinstance(given, str) else ""
    path = _path(fields.get("path"), words)
    code = _code(fields)
    kind = _kind(code, message, path)
    message = _scrubbed(message)
    wait = _wait(fields.get("extensions"))
    return ServerError(kind, code, path, message, _at(fields), wait, _safe_message(message, words or ()))


def _path(path: object, words: Collection[str] | None) -> tuple[str | int, ...]:
    """The place of the error, without a word that the query does not have."""
    steps = [step for step in path if isinstance(step, str | int)] if isinstance(path, list) else []
    return tuple(step if isinstance(step, int) or words is None or step in words else "…" for step in steps)


def _safe_message(message: str, words: Collection[str]) -> str:
    """A message in the words of the query and of GraphQL's sentences. Each other word becomes ``…``."""
    kept = WORD.sub(
        lambda word: word[0] if word[0] in words or word[0].lower() in SENTENCES else "…", message
    )
    return re.sub(r"…[…\s]*…", "…", re.sub(r"[^\w\s…\"'.,:;!?$@(){}\[\]]", "", kept)).strip()


def longest_retry_after(errors: Iterable[ServerError]) -> float | None:
    """The longest wait that errors of the kind BUSY ask for, in seconds, or None."""
    waits = [error.retry_after for error in errors if error.kind is ErrorKind.BUSY and error.retry_after]
    return max(waits, default=None)


def _wait(extensions: object) -> float | None:
    """How long ``extensions`` ask to wait, in seconds, as ``Retry-After`` does with HTTP 429."""
    if not isinstance(extensions, dict):
        return None
    found = (_seconds(extensions.get(key), unit) for key, unit in RETRY_AFTER_KEYS.items())
    return next((seconds for seconds in found if seconds is not None), None)


def _seconds(value: object, unit: float) -> float | None:
    written = WAIT_TEXT.fullmatch(str(value)) if isinstance(value, str | int | float) else None
    if written is None or isinstance(value, bool):
        return None
    number, suffix = float(written[1]), (written[2] or "").lower()
    if suffix or not unit:
        in_milliseconds = suffix == "ms" if suffix else number >= MILLISECONDS_FROM
        unit = 0.001 if in_milliseconds else 1.0
    return min(number * unit, LONGEST_RETRY_AFTER)


def _at(fields: Mapping[str, object]) -> tuple[int, int] | None:
    match fields.get("locations"):
        case [{"line": int() as line, "column": int() as column}, *_]:
            return line, column
    return None


def _code(fields: Mapping[str, object]) -> str:
    """The code, from the places where common servers put it: ``extensions.code``, a status in it, or none."""
    extensions = fields.get("extensions")
    places: list[object] = []
    if isinstance(extensions, dict):
        places = [extensions.get(key) for key in ("code", "status", "statusCode")]
        nested = [extensions.get(key) for key in ("http", "response", "originalError")]
        places += [
            part.get(key) for part in nested if isinstance(part, dict) for key in ("status", "statusCode")
        ]
    codes = (str(place) for place in places if isinstance(place, str | int))
    return next((re.sub(r"\W+", "_", code).upper()[:40] for code in codes if code), "")


def _kind(code: str, message: str, path: Sequence[str | int]) -> ErrorKind:
    by_code = next((kind for kind, codes in CODES.items() if code in codes), None)
    by_words = next((kind for kind, words in WORDING if words.search(message)), ErrorKind.INTERNAL)
    kind = by_code or by_words
    if by_code is ErrorKind.INTERNAL and by_words is ErrorKind.TOKEN:
        # A server that does not classify its errors calls all of them INTERNAL_SERVER_ERROR.
        kind = ErrorKind.TOKEN
    # A token is refused for the whole request. A refusal further down concerns that field alone.
    return ErrorKind.PERMISSION if kind is ErrorKind.TOKEN and len(path) > 1 else kind


def _scrubbed(message: str) -> str:
    text = SECRET_OR_PERSONAL.sub("…", " ".join(message.split()))
    return text if len(text) <= MESSAGE_SHOWN else f"{text[: MESSAGE_SHOWN - 1]}…"


def describe_errors(errors: Sequence[ServerError]) -> str:
    """Describe which fields failed, and with which codes, without the server's words.

    Args:
        errors: At least one.
    """
    places = dict.fromkeys(
        f"{dotted_path(error.path) or 'the record'}{code_suffix(error)}" for error in errors
    )
    return f"Salestrekker reports an error at {', '.join(list(places)[:5])}"


def code_suffix(error: ServerError) -> str:
    """An error's code in brackets if the code is known, else empty text."""
    return f" ({error.code})" if error.code in KNOWN_CODES else ""


def find_codes(text: str) -> tuple[str, ...]:
    """The known codes that a description names."""
    return tuple(dict.fromkeys(code for code in re.findall(r"\((\w+)\)", text) if code in KNOWN_CODES))


def dotted_path(path: Iterable[str | int]) -> str:
    """A path as dotted text, without the indices."""
    return ".".join(str(step) for step in path if isinstance(step, str))
