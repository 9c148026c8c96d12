"""Which record a webhook is about: pure functions from a body to an id.

::

    body ──JSON, JSON in a string, form──> fields ──each place in turn──> id ──> Received

Salestrekker posts JSON with an ``id``, and says nothing more in public. So the id is looked for wherever a
body may have it, first where it can only be that of the action's subject. What else the body says is not
kept: the record is read with the bridge's own log-in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import parse_qsl

import orjson

from bridge.records import Stream
from bridge.records.webhooks import UNKNOWN_ACTION, UNREADABLE, ReceivedWebhook, WebhookAction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["BODY_KEPT", "id_of", "known_action", "received"]

BODY_KEPT: Final = 16_384
"""Bytes that are kept of a body which has no id, or whose action is unknown: for a person to look at."""

LONGEST_ID: Final = 255
"""Characters, as for the ids of records (``Mapper.identify``)."""

LONGEST_ACTION: Final = 64
"""Characters that are kept of an unknown action."""

MOST_FIELDS: Final = 1000
"""Fields of a form. One that is URL-encoded and has more is unreadable."""

Place: TypeAlias = tuple[str, ...]

_OF_RECORD: Final = {stream.spec.singular: stream.spec.webhook_ids for stream in Stream}
_OF_DEAL: Final = (("deal", "id"), ("ticket", "id"), ("idTicket",))
_OF_SUBJECT: Final[Mapping[str, tuple[Place, ...]]] = {
    action.subject: _OF_RECORD.get(action.subject, _OF_DEAL) for action in WebhookAction
}
_OF_ANY: Final[tuple[Place, ...]] = (("data", "id"), ("id",))
"""``data`` first: where both are there, the outer id is most likely that of the notification."""


def _order(subject: str) -> tuple[Place, ...]:
    """Where to look for an id, the best place first: a subject's own, those of any, those of others."""
    own = _OF_SUBJECT.get(subject, ())
    others = [place for name, places in _OF_SUBJECT.items() if name != subject for place in places]
    return (*own, *_below_data(own), *_OF_ANY, *others, *_below_data(others))


def _below_data(places: tuple[Place, ...] | list[Place]) -> list[Place]:
    return [("data", *place) for place in places]


_PLACES: Final = {subject: _order(subject) for subject in ("", *_OF_SUBJECT)}


def received(connection: str, action: str, body: bytes, received_at: int) -> ReceivedWebhook:
    """What is kept of one webhook.

    Args:
        connection: Whose token the address has.
        action: The last part of the address, as it came.
        body: As it came, decompressed.
        received_at: Milliseconds since the epoch.

    Returns:
        The event, with what is wrong with it, if anything. Never raises, whatever the body.
    """
    known = known_action(action)
    found = id_of(body, "" if known is None else known.subject)
    problem = UNKNOWN_ACTION if known is None else "" if found else UNREADABLE
    return ReceivedWebhook(
        connection=connection,
        action=_printable(action[:LONGEST_ACTION]) if known is None else str(known),
        source_id=found,
        received_at=received_at,
        body=_text(body[:BODY_KEPT]) if problem else None,
        problem=problem,
    )


def known_action(action: str) -> WebhookAction | None:
    """Return the action of an address; None if the bridge has no such action."""
    try:
        return WebhookAction(action)
    except ValueError:
        return None


def id_of(body: bytes, subject: str) -> str:
    """The id that a body names.

    Args:
        body: JSON, JSON in a JSON string, or a form (URL-encoded or multipart).
        subject: ``contact``, ``deal`` or ``product``; empty if it is not known.

    Returns:
        The id, in the best of the places that have one; empty if none has.
    """
    fields = _fields(body)
    for place in _PLACES[subject]:
        if found := _id(_at(fields, place)):
            return found
    return ""


def _at(fields: Mapping[str, object], place: Place) -> object:
    """What stands in a place; a form says ``contact.id`` or ``contact[id]`` in one name."""
    if len(place) == 1:
        return fields.get(place[0])
    if (whole := fields.get(".".join(place))) is not None:
        return whole
    inner = fields.get(place[0])
    return _at(inner, place[1:]) if isinstance(inner, dict) else None


def _id(value: object) -> str:
    """An id as text: a whole number, or text that prints; empty if it is none."""
    if type(value) is int:
        return str(value)
    text = value.strip() if isinstance(value, str) else ""
    return text if text.isprintable() and len(text) <= LONGEST_ID else ""


def _fields(body: bytes) -> Mapping[str, object]:
    """The fields of a body in any of its forms; none where it has none."""
    try:
        fields = _mapping(orjson.loads(body.removeprefix(b"\xef\xbb\xbf")))
    except orjson.JSONDecodeError:
        fields = _form(body)
    return {**fields, "data": _mapping(fields["data"])} if "data" in fields else fields


def _mapping(value: object) -> Mapping[str, object]:
    """A JSON object, or the one that stands in a JSON string."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return value if isinstance(value, dict) else {}


def _form(body: bytes) -> Mapping[str, object]:
    try:
        pairs = _parts(body) if body.startswith(b"--") else _pairs(body)
        return {name.replace("[", ".").replace("]", ""): value for name, value in pairs}
    except ValueError:
        return {}


def _pairs(body: bytes) -> Iterator[tuple[str, str]]:
    """The fields of a URL-encoded form; a ValueError where they are too many."""
    yield from parse_qsl(body.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS)


def _parts(body: bytes) -> Iterator[tuple[str, str]]:
    """The fields of a multipart form (RFC 7578); its first line is the boundary."""
    boundary, _, rest = body.partition(b"\r\n")
    parts = rest.split(b"\r\n" + boundary, MOST_FIELDS) if rest else []
    for part in parts:
        head, _, value = part.partition(b"\r\n\r\n")
        _, named, after = head.partition(b'name="')
        if named:
            yield _text(after.partition(b'"')[0]), _text(value)


def _text(raw: bytes) -> str:
    """Bytes as text that every database takes."""
    return raw.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
