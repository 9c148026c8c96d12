"""What Trakor's responses mean. Pure: the type of an error says what to do about it.

::

    2xx, JSON with an id ──> Answer
    400, 413, 422 ─────────> Rejected: the record as it is
    408, 409, 423, 425, 429, 503, an application's 5xx ──> Transient: Trakor has finished with it
    502, 504, any other 5xx, half of a JSON response ────> Unanswered: Trakor may still be working on it
    all others ────────────> Refused: the key, the organisation, the address, or something in between

No message holds a word of the other side, because it may repeat the record or the key. Only known statuses
and known content types are named. Trakor's words about a rejected record are stored beside the message, in
``Rejected.words``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from bridge.errors import BridgeError, Refusal, Refused, Rejected, Transient, Unanswered
from bridge.names import tidy
from bridge.records import TrakorAnswer
from bridge.retry import retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LONGEST_WORDS", "interpret_response"]

LONGEST_WORDS: Final = 500
"""Characters that are stored of Trakor's words about a rejected record."""

_TRANSIENT: Final = frozenset({408, 409, 423, 425, 429, 503})
_BUSY: Final = frozenset({429, 503})
_REJECTED: Final = frozenset({400, 413, 422})
_GATEWAY: Final = frozenset({502, 504})
_NOT_STANDARD: Final = 520
"""No standard has a status from here on. Gateways use them if the system behind them did not answer."""
_TIMED_OUT: Final = frozenset({504, 524})
"""A gateway, or a content network's gateway, waited in vain for the system behind it."""

_APPLICATION: Final = "application/json"
_KINDS: Final = {
    "": "with nothing",
    "application/xhtml+xml": "with an HTML page",
    "application/xml": "with XML",
    "text/html": "with an HTML page",
    "text/plain": "with plain text",
    "text/xml": "with XML",
}
"""The content types that messages name. Whoever answers may make up any other."""

_REFUSALS: Final = {
    401: Refusal.KEY,
    403: Refusal.FROZEN,
    404: Refusal.ADDRESS,
    405: Refusal.ADDRESS,
}
_REFUSED: Final = {
    401: "401, the API key is missing, invalid or revoked",
    403: "403, the organisation is frozen",
    404: "404, there is nothing at this address",
    405: "405, this address takes no POST",
}
_ADDRESS_ADVICE: Final = "check [trakor] url: it must end in /api/public/v1"
_ADVICE: Final = {
    401: "make a new API key in Trakor (Settings → API Keys) and put it into [trakor] api_key",
    403: "the organisation is frozen: once it is thawed in Trakor, run this again",
}
_BLOCKED_ADVICE: Final = "ask whoever runs Trakor's address why it blocks this, then run this again"
_REDIRECT_ADVICE: Final = "check [trakor] url: a redirect is not followed, since it could hand on the key"


def interpret_response(
    status: int, headers: Mapping[str, str], body: bytes, now: float
) -> TrakorAnswer | BridgeError:
    """Interpret a response. The type of the error says what to do about it.

    Args:
        status: HTTP status.
        headers: Its headers, found in any case.
        body: At most the first 64 KiB.
        now: Wall clock, seconds since the epoch, for a ``Retry-After`` that is a date.

    Returns:
        The answer, or the error to raise.
    """
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own number; 200 or 201 for what exists is not documented
        return _accepted(status, headers, body)
    if status in _REJECTED:
        return Rejected(f"Trakor answered {status}", words=_words(body))
    if status in _TRANSIENT or status >= 500:  # noqa: PLR2004 - likewise
        return _failed(status, headers, body, now)
    return _refused(status, _kind_of(headers))


def _accepted(status: int, headers: Mapping[str, str], body: bytes) -> TrakorAnswer | BridgeError:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _unreadable(status, _kind_of(headers), body)
    match content:
        case {"id": str() | int() as found, "created": bool() as created} if found != "":
            if (trakor_id := str(found)).isprintable():
                return TrakorAnswer(trakor_id, _text(content, "name"), created, _text(content, "sku"))
    return Transient(f"Trakor answered {status} without an id, or without `created`")


def _unreadable(status: int, kind: str, body: bytes) -> BridgeError:
    """The error for a success without a readable answer."""
    if "json" in kind:
        return Unanswered(f"Trakor answered {status} with JSON that cannot be read")
    # A page with status 200 is not Trakor's. A success without a body, or 201, can be Trakor's own response
    # whose body was lost, and then the record was created.
    unsure = status != 200 or not body  # noqa: PLR2004 - HTTP's own number
    what = f"{_KINDS[kind]} instead of JSON" if kind in _KINDS else "with something that is not JSON"
    message = f"Trakor's address answered {status} {what}"
    seen = f"Trakor answered {status} {what}"
    return Refused(message, advice=_ADDRESS_ADVICE, unsure=unsure, kind=Refusal.NOT_JSON, seen=seen)


def _failed(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Transient:
    wait = retry_after(headers.get("retry-after"), now)
    busy = wait is not None or status in _BUSY
    message = f"Trakor answered {status}"
    if status in _TRANSIENT or _is_the_applications(status, headers, body):
        return Transient(message, retry_after=wait, busy=busy)
    return Unanswered(message, retry_after=wait, busy=busy, timed_out=status in _TIMED_OUT)


def _is_the_applications(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a 5xx is the application's own, so that it has finished with the request."""
    if status in _GATEWAY or status >= _NOT_STANDARD or _kind_of(headers) != _APPLICATION:
        return False
    return isinstance(_json(body), dict)


def _refused(status: int, content_type: str) -> Refused:
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP's own number
        message = f"Trakor's address answered with a redirect ({status})"
        return Refused(message, advice=_REDIRECT_ADVICE, kind=Refusal.REDIRECT)
    page = f" {_KINDS[content_type]}" if content_type and content_type in _KINDS else ""
    kind = _REFUSALS.get(status, Refusal.OTHER)
    seen = f"Trakor answered {status}{page}"
    if page and kind is Refusal.FROZEN:  # the application says it in JSON
        message = f"Trakor's address answered {status}{page}, as a firewall in front of it does"
        return Refused(message, advice=_BLOCKED_ADVICE, kind=kind, seen=seen)
    return Refused(
        f"Trakor refused the request: {_REFUSED.get(status, status)}",
        advice=_ADVICE.get(status, _ADDRESS_ADVICE),
        kind=kind,
        seen=seen,
    )


def _words(body: bytes) -> str:
    """Trakor's words about a rejected record, which may repeat the record."""
    content = _json(body)
    if not isinstance(content, dict):
        return ""
    found = content.get("error") or content.get("message")
    if isinstance(found, dict):
        found = found.get("message")
    return tidy(found)[:LONGEST_WORDS] if isinstance(found, str) else ""


def _kind_of(headers: Mapping[str, str]) -> str:
    """The content type, without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _text(content: dict[str, Any], name: str) -> str:
    value = content.get(name)
    return value if isinstance(value, str) else ""


def _json(body: bytes) -> object:
    """The decoded body, or None if it is not JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
