"""Hostile answers: what a remote system that was taken over, or broke, may say instead of a good answer.

::

    seed, number ──> Random ──> kind ──spoil──> a good answer's status and JSON ──> Spoiled: bytes, and an end

Texts in them have ``MARK``: whatever of it is seen in an error or in the log was repeated by the bridge.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from hostile_bodies import ODD_VALUES
from hostile_wire import MARK

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    Spoil = Callable[[Random, "Good"], "Spoiled"]

__all__ = ["Close", "Good", "Spoiled", "kinds_of_answers", "spoiled"]

M = MARK.encode()
BOMB = gzip.compress(b" " * 6_000_000)


class Close(Enum):
    """What happens after an answer."""

    KEEP = "the connection stays open"
    CLOSE = "it is closed"
    RESET = "it is reset"
    STALL = "nothing more comes"


@dataclass(frozen=True, slots=True)
class Good:
    """An answer as it should be."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Spoiled:
    """What is said instead.

    Attributes:
        kind: What is wrong with it.
        raw: All bytes.
        close: What happens afterwards.
        pieces: In how many parts it is sent.
    """

    kind: str
    raw: bytes
    close: Close = Close.CLOSE
    pieces: int = 1


def spoiled(seed: int, number: int, good: Good, *, only_the_envelope: bool = False) -> Spoiled:
    """The hostile answer of a number.

    Args:
        seed: Of all.
        number: Of this one.
        good: What is due.
        only_the_envelope: Nothing that could be taken for a good answer which says something else.
    """
    chance = random.Random(f"answer:{seed}:{number}")  # noqa: S311 - to be had again, not to be secret
    kinds = [one for one in _KINDS if not only_the_envelope or one[2]]
    name, _, _, build = chance.choices(kinds, [one[1] for one in kinds])[0]
    found = build(chance, good)
    return Spoiled(name, found.raw, found.close, found.pieces)


def kinds_of_answers() -> frozenset[str]:
    """The names of all kinds."""
    return frozenset(name for name, *_ in _KINDS)


def _answer(
    body: bytes,
    *headers: bytes,
    status: bytes = b"200 OK",
    kind: bytes = b"application/json",
    length: int | None = None,
) -> bytes:
    size = len(body) if length is None else length
    lines = (
        b"HTTP/1.1 %s" % status,
        *([b"Content-Type: " + kind] if kind else []),
        b"Content-Length: %d" % size,
        *headers,
    )
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _made(raw: bytes, close: Close = Close.CLOSE, pieces: int = 1) -> Spoiled:
    return Spoiled("", raw, close, pieces)


# -- the JSON of a good answer, with one node or more that are something else -------------------------


def _mutated(chance: Random, good: Good) -> Spoiled:
    """One node at any depth is another kind of thing."""
    document = json.loads(good.body)
    places: list[tuple[Any, Any]] = []
    _collect(document, places)
    text = b""
    for _ in range(chance.choice((1, 1, 2, 4))):
        if not places:
            break
        inside, key = chance.choice(places)
        inside[key] = f"\x00{len(text)}"
        text += b"x"
    raw = json.dumps(document).encode()
    for place in range(len(text)):
        raw = raw.replace(b'"\\u0000%d"' % place, _odd_node(chance))
    if chance.random() < 0.1:
        raw = _odd_node(chance)
    status = b"%d Odd" % good.status
    return _made(_answer(raw, status=status), chance.choice((Close.KEEP, Close.CLOSE)))


def _collect(node: Any, places: list[tuple[Any, Any]]) -> None:  # noqa: ANN401 - JSON
    keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in list(keys):
        places.append((node, key))
        _collect(node[key], places)


def _odd_node(chance: Random) -> bytes:
    deep = chance.choice((3, 100, 2_000, 50_000))
    return chance.choice(
        (
            chance.choice(ODD_VALUES),
            chance.choice(ODD_VALUES),
            b"[" * deep + b"]" * deep,
            b'{"id":' * deep + b"1" + b"}" * deep,
            b'{"id": 1, "id": "%s", "id": null}' % M,
            b'"%s"' % (M * chance.choice((1, 100, 50_000))),
            b"[" + b",".join([b"{}"] * chance.choice((1, 1_000, 5_000))) + b"]",
            b"[" + b",".join([b'{"id": "%s"}' % M] * chance.choice((1, 100))) + b"]",
            b"[null, true, 1, %s, []]" % chance.choice(ODD_VALUES),
            b'{"%s": {"%s": 1}}' % (M, M),
        )
    )


def _errors(chance: Random, good: Good) -> Spoiled:
    """Errors of GraphQL, in all shapes."""
    codes = (
        b"UNAUTHENTICATED",
        b"FORBIDDEN",
        b"THROTTLED",
        b"INTERNAL_SERVER_ERROR",
        M.upper(),
        b"",
        b"GRAPHQL",
    )
    messages = (M, b'Cannot query field \\"%s\\" on type \\"%s\\"' % (M, M), b"jwt expired", b"", b"Too many")
    path = chance.choice(
        (b'["contacts", 0, "%s"]' % M, b"null", b"[[]]", b'["r0"]', b'"x"', b"[9e99]", b"{}")
    )
    code = b'"%s"' % chance.choice(codes) if chance.random() < 0.8 else chance.choice(ODD_VALUES)
    wait = chance.choice((b"0.01", b"-1", b"1e400", b'"%s"' % M, b"null", b"[]", b"NaN", b"9" * 40))
    error = b'{"message": %s, "path": %s, "locations": %s, "extensions": {"code": %s, "retryAfter": %s}}' % (
        b'"%s"' % chance.choice(messages) if chance.random() < 0.8 else chance.choice(ODD_VALUES),
        path,
        chance.choice((b'[{"line": 1, "column": 2}]', b"null", b"[1]", b'"%s"' % M)),
        code,
        wait,
    )
    listed = b"[" + b",".join([error] * chance.choice((1, 2, 300))) + b"]"
    errors = (
        listed if chance.random() < 0.7 else chance.choice((*ODD_VALUES, b'["%s"]' % M, b"[null]", b"[[]]"))
    )
    data = chance.choice((b"null", b"{}", _data_of(good)))
    raw = b'{"data": %s, "errors": %s, "extensions": %s}' % (
        data,
        errors,
        chance.choice((b"null", b'"%s"' % M)),
    )
    status = chance.choice((b"200 OK", b"200 OK", b"400 Bad Request", b"401 No", b"403 No", b"500 Odd"))
    return _made(_answer(raw, status=status), chance.choice((Close.KEEP, Close.CLOSE)))


def _data_of(good: Good) -> bytes:
    document = json.loads(good.body)
    return json.dumps(document.get("data") if isinstance(document, dict) else None).encode()


# -- what is around it ----------------------------------------------------------------------------------

STATUSES = (
    *(
        201,
        202,
        203,
        204,
        205,
        206,
        207,
        226,
        300,
        301,
        302,
        303,
        304,
        305,
        307,
        308,
        400,
        401,
        402,
        403,
        404,
    ),
    *(
        405,
        406,
        407,
        408,
        409,
        410,
        411,
        412,
        413,
        414,
        415,
        416,
        417,
        418,
        421,
        422,
        423,
        425,
        426,
        428,
        429,
    ),
    *(431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 524, 530, 599, 600, 999),
)
ENVELOPE_STATUSES = (*range(300, 309), 401, 403, 404, 405, 408, 409, 425, 429, 500, 502, 503, 504, 520, 599)
WAITS = (
    b"0",
    b"-1",
    b"0.001",
    b"1e-3",
    b"NaN",
    b"inf",
    b"9" * 30,
    b"Wed, 21 Oct 2015 07:28:00 GMT",
    M,
    b"",
    b"\xff",
    b"Fri, 99 Foo 9999 99:99:99 GMT",
    b"1, 2",
    b"0x1",
    b"\xd9\xa1",
    b"Wed, 21 Oct 0001 07:28:00 +9999",
)
SHORT_WAITS = tuple(one for one in WAITS if one != b"9" * 30)


def _status(chance: Random, good: Good) -> Spoiled:
    return _of_status(chance, good, chance.choice(STATUSES), WAITS)


def _envelope_status(chance: Random, good: Good) -> Spoiled:
    return _of_status(chance, good, chance.choice(ENVELOPE_STATUSES), SHORT_WAITS)


def _of_status(chance: Random, good: Good, status: int, waits: tuple[bytes, ...]) -> Spoiled:
    headers = []
    if chance.random() < 0.4:
        headers.append(b"Retry-After: " + chance.choice(waits))
    if 300 <= status < 400:
        place = chance.choice(
            (b"http://%s.invalid/" % M, b"/" + M, b"//", b"", b"\xff", b"javascript:" + M, b"http://[")
        )
        headers.append(b"Location: " + place)
    kind = chance.choice((b"application/json", b"text/html", b"text/plain; charset=" + M, M, b"", b"a/b/c;;"))
    body = chance.choice(
        (
            good.body if status < 400 else b"",
            b"",
            b"<html>%s</html>" % M,
            b'{"error": "%s"}' % M,
            b"[]",
            b"\xff\xfe",
            b'{"error": {"message": "%s", "code": 1}}' % M,
            b'{"message": [%s]}' % chance.choice(ODD_VALUES),
            b"null",
        )
    )
    reason = chance.choice((b"Odd", M, b"", b"\xff\xfe"))
    return _made(_answer(body, *headers, status=b"%d %s" % (status, reason), kind=kind), _some_end(chance))


def _some_end(chance: Random) -> Close:
    return chance.choice((Close.KEEP, Close.KEEP, Close.CLOSE, Close.RESET))


def _no_http(chance: Random, good: Good) -> Spoiled:
    whole = _answer(good.body)
    raw = chance.choice(
        (
            b"",
            b"\r\n\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/9.9 200 OK\r\n\r\n" + good.body,
            b"ICY 200 OK\r\n\r\n",
            b"HTTP/1.1 99999 Odd\r\n\r\n",
            b"HTTP/1.1 abc " + M + b"\r\n\r\n",
            b"HTTP/1.1 -1 x\r\n\r\n",
            good.body,
            b"HTTP/1.1 200 OK" + b"\r\n" * 2_000,
            whole.replace(b"\r\n", b"\n", 3),
            M + whole,
            b"\x00" * 500,
            b"HTTP/1.1 200 " + M * 5_000 + b"\r\n\r\n",
            b"\x15\x03\x03\x00\x02\x02\x28",
            b"HTTP/2.0 200\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X-%s: y\r\n" % M * 2_000 + b"\r\n",
            b"SSH-2.0-" + M + b"\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + M * 10_000 + b"\r\n\r\n",
            chance.randbytes(chance.choice((1, 50, 5_000))),
        )
    )
    return _made(raw, chance.choice((Close.CLOSE, Close.CLOSE, Close.RESET)))


def _head(chance: Random, good: Good) -> Spoiled:
    odd = chance.choice(
        (
            b"X-%s" % M,
            b": %s" % M,
            b"X : y",
            b" folded: %s" % M,
            b"X: a\r\n %s" % M,
            b"X\x00: y",
            b"X: \x00%s" % M,
            b"Set-Cookie: %s=%s" % (M, M),
            b"Content-Length: 5",
            b"Content-Length: -1",
            b"Content-Length: %s" % M,
            b"Transfer-Encoding: %s" % M,
            b"Transfer-Encoding: chunked",
            b"Connection: %s" % M,
            b"\xff: \xff",
            b"Content-Type: text/%s" % M,
            b"Content-Encoding: %s" % M,
            b"Upgrade: %s\r\nConnection: upgrade" % M,
            b'WWW-Authenticate: Basic realm="%s' % M,
            b"Trailer: %s" % M,
            b"X: \xed\xa0\x80",
        )
    )
    return _made(_answer(good.body, odd, status=b"502 Odd"), _some_end(chance))


def _length(chance: Random, good: Good) -> Spoiled:
    length = chance.choice(
        (len(good.body) + 1, len(good.body) + 100_000, max(0, len(good.body) - 1), 0, 1, 10**18)
    )
    return _made(_answer(good.body, length=length), chance.choice((Close.CLOSE, Close.RESET)))


def _cut(chance: Random, good: Good) -> Spoiled:
    whole = _answer(good.body, status=b"%d OK" % good.status)
    at = chance.randrange(len(whole))
    return _made(whole[:at], chance.choice((Close.CLOSE, Close.RESET)))


def _chunks(chance: Random, good: Good) -> Spoiled:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    size = b"%x\r\n" % len(good.body)
    chunks = chance.choice(
        (
            size + good.body,
            size + good.body + b"\r\n",
            b"-1\r\n" + good.body,
            b"f" * 17 + b"\r\n" + good.body,
            M + b"\r\n",
            b"ffffffff\r\n" + good.body,
            b"1\r\n" + good.body,
            b"\r\n\r\n",
            size[:-2] + b";%s\r\n" % (M * 3_000) + good.body + b"\r\n",
        )
    )
    return _made(head + chunks, chance.choice((Close.CLOSE, Close.RESET)))


def _packed(chance: Random, good: Good) -> Spoiled:
    coding = chance.choice((b"gzip", b"deflate", b"br", b"zstd", b"compress", M, b"gzip, gzip"))
    packed = gzip.compress(good.body, mtime=0)
    body = chance.choice(
        (
            packed[: len(packed) // 2],
            packed[:-4] + b"\x00" * 4,
            good.body,
            b"\x1f\x8b" + M,
            BOMB,
            b"\x00" * 100,
            zlib.compress(good.body)[:-3],
            packed[:10],
            b"\x1f\x8b\x08\x00" + b"\xff" * 500,
        )
    )
    return _made(_answer(body, b"Content-Encoding: " + coding), _some_end(chance))


def _informational(chance: Random, _: Good) -> Spoiled:
    early = chance.choice((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 %s\r\nLink: <x>\r\n\r\n" % M))
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: upgrade\r\n\r\n%s" % (M, M)
    raw = chance.choice((early * chance.choice((1, 200)), switch, early + switch))
    return _made(raw, chance.choice((Close.CLOSE, Close.RESET)))


def _slow(chance: Random, good: Good) -> Spoiled:
    """A part, and then nothing until the other end has enough of it."""
    whole = _answer(good.body)
    at = chance.randrange(len(whole))
    return _made(whole[:at], Close.STALL, pieces=chance.choice((1, 5)))


def _none(chance: Random, _: Good) -> Spoiled:
    return _made(b"", chance.choice((Close.CLOSE, Close.RESET)))


def _followed(chance: Random, _: Good) -> Spoiled:
    """A refusal, and behind it, unasked, an answer to what has not been asked yet."""
    more = _answer(b'{"id": "%s", "name": "%s", "created": true}' % (M, M), status=b"201 Created")
    more += chance.choice((b"", M, _answer(b'{"data": {"__typename": "%s"}}' % M)))
    return _made(_answer(b'{"error": 1}', status=b"503 Odd") + more, chance.choice((Close.KEEP, Close.CLOSE)))


_KINDS: list[tuple[str, float, bool, Spoil]] = [
    ("a node that is something else", 40, False, _mutated),
    ("errors of GraphQL", 15, False, _errors),
    ("an odd status", 12, False, _status),
    ("another odd status", 8, True, _envelope_status),
    ("what is no HTTP", 8, True, _no_http),
    ("an odd header", 5, True, _head),
    ("a lie about the length", 5, True, _length),
    ("cut off at any byte", 6, True, _cut),
    ("broken chunks", 5, True, _chunks),
    ("broken packing", 5, True, _packed),
    ("an answer before the answer", 3, True, _informational),
    ("a part and then nothing", 0.5, True, _slow),
    ("no answer at all", 3, True, _none),
    ("an answer that nobody asked for", 3, True, _followed),
]
"""Name, weight, whether no good answer is ever seen in it, and what makes it."""
