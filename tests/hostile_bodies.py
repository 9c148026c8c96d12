"""What can be wrong with a body: of a webhook, of a form, and with any JSON."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from hostile_wire import MARK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

__all__ = ["ODD_VALUES", "form_bodies", "odd_json", "webhook_bodies"]

M = MARK.encode()
MOST = 262_144
"""Bytes that a webhook's body may have."""

ODD_VALUES = (
    b"null", b"true", b"0", b"-0", b"1e999", b"NaN", b"-Infinity", b"9" * 400, b"0." + b"1" * 400, b"[]",
    b"{}",
    b'""', b'" "', b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u202e%s"' % M, b'"%s"' % M,
    b'"\xff"',
    b'"\xed\xa0\x80"', b'"%s"' % (b"a" * 300), b"[[[]]]", b'{"id": {"id": []}}', b"'x'", b"0x1", b"1_0",
    b'"\\x"', b'"\n"', b"[1, 2,]", b"undefined", b'"' + "🦘".encode() * 100 + b'"', b'"%s\\"><%s"' % (M, M),
)  # fmt: skip
"""What may stand where an id is expected: JSON, and what is none."""

PLACES = ("id", "data", "contact", "deal", "ticket", "product", "idContact", "idTicket")

ODD_IDS = (
    *(f"{MARK}-{number}" for number in range(100)), "../../etc/passwd", "' OR 1=1 --",
    '"}){__schema{types{name}}}',
    "$id", "\u202e\u200b", "a" * 255, "a" * 256, "0", "-1", "null", "\ufeff1", " ", "%s%n",
    "${jndi:x}", "🦘" * 50,
)  # fmt: skip
"""Ids that nobody has. There are few of them: each one is asked for once in a while."""


def odd_json(chance: Random) -> bytes:
    """JSON that is deep, doubled, huge, odd, or none."""
    deep = chance.choice((5, 100, 1_000, 1_000, 1_000, 100_000))
    an_id = json.dumps({"id": chance.choice(ODD_IDS)}).encode(chance.choice(("utf-16", "utf-32", "utf-8")))
    return chance.choice(
        (
            b"[" * deep + b"]" * chance.choice((0, deep)),
            b'{"id":' * deep + b"1" + b"}" * chance.choice((0, deep)),
            b'{"id": 1, "id": "%s", "id": null}' % M,
            chance.choice(ODD_VALUES),
            b'{"id": "%s"' % (b"a" * chance.choice((1, 10_000))),
            b'{"%s": 1}' % chance.choice((b"\\u0000", b"\\ud800", b"__proto__", b"", M * 100)),
            b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(chance.choice((1, 2, 200)))) + b"}",
            an_id,
            b"\xef\xbb\xbf" * chance.choice((1, 2)) + b'{"id": "%s"}' % M,
        )
    )


def webhook_bodies(chance: Random, ids: Sequence[str]) -> tuple[bytes, str, tuple[str, ...]]:
    """A webhook's body.

    Args:
        chance: Chooses.
        ids: Of contacts that exist.

    Returns:
        The body, its content type, and further headers.
    """
    kind = chance.choice(
        ("application/json", "application/json", "text/plain", MARK, "multipart/form-data", ";")
    )
    more: tuple[str, ...] = ()
    match chance.choices(range(7), (20, 30, 8, 8, 6, 6, 0.3))[0]:
        case 0:
            body = odd_json(chance)
        case 1:
            body = _with_id(chance, ids)
        case 2:
            body = json.dumps(_with_id(chance, ids).decode("utf-8", "replace")).encode()
        case 3:
            body, kind = _form(chance), "application/x-www-form-urlencoded"
        case 4:
            body, kind = _multipart(chance), "multipart/form-data; boundary=x"
        case 5:
            body, more = _packed(chance)
        case _:
            body = b'{"id": "%s"}' % (b"a" * (MOST + chance.choice((-100, -11, -10, 0, 1, 1_000))))
    return body, kind, more


def _with_id(chance: Random, ids: Sequence[str]) -> bytes:
    """An odd value, an odd id or a good one in one of the places that are looked at, or in several."""
    pairs = []
    for _ in range(chance.choice((1, 1, 2, 4))):
        value = chance.choice(
            (
                chance.choice(ODD_VALUES),
                json.dumps(chance.choice(ODD_IDS)).encode(),
                json.dumps(chance.choice(ids)).encode(),
            )
        )
        place = chance.choice(PLACES).encode()
        pairs.append(b'"%s": %s' % (place, value if chance.random() < 0.6 else b'{"id": %s}' % value))
    return b"{" + b", ".join(pairs) + b"}"


def _form(chance: Random) -> bytes:
    name = chance.choice(("id", "contact[id]", "contact.id", "contact[[id]]", "data", "[]", "%00", MARK))
    value = (
        quote_plus(chance.choice(ODD_IDS)) if chance.random() < 0.7 else chance.choice(("%", "%ff", "%u1"))
    )
    return "&".join([f"{name}={value}"] * chance.choice((1, 2, 999, 1_001, 3_000))).encode()


def _multipart(chance: Random) -> bytes:
    part = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (
        chance.choice((b"id", b"contact.id", b'i"d', b"\x00", M)),
        chance.choice((M, b"", b"\xff" * 50, b"--x")),
    )
    return part * chance.choice((1, 3, 1_500)) + chance.choice((b"--x--\r\n", b"", b"--", b"--x\r\n" * 500))


def _packed(chance: Random) -> tuple[bytes, tuple[str, ...]]:
    """Packed, and not always what it says; one in a few unpacks to more than is taken."""
    body = chance.choice(_PACKED)
    if chance.random() < 0.3:
        body = body[: len(body) // 2] + chance.choice((b"", b"\x00" * 20, M))
    return body, (f"Content-Encoding: {chance.choice(('gzip', 'deflate', 'br', 'zstd', 'x'))}",)


_PACKED = tuple(
    pack(plain)
    for plain in (b'{"id": "%s"}' % M, b'{"id": "%s"}' % (b"a" * 2_000_000), b" " * MOST + b"1")
    for pack in (gzip.compress, zlib.compress, lambda plain: plain[:1_000])
)


def form_bodies(chance: Random, csrf: str, fields: Sequence[str]) -> bytes:
    """A form of the status page.

    Args:
        chance: Chooses.
        csrf: The token that it brings.
        fields: The names of its other fields.
    """
    values = (
        MARK, "", "accept", "dismiss", "drop", "retry", "\x00", f'"><{MARK}>', "a" * 3_000, "a" * 16_000,
        "\u202e", "9" * 40, "=cmd|' /C calc'!A0", "é" * 200,
    )  # fmt: skip
    pairs = [f"csrf={quote_plus(csrf)}"]
    pairs += [f"{field}={quote_plus(chance.choice(values))}" for field in fields]
    if chance.random() < 0.3:
        pairs += chance.choice((pairs[:1], ["%ff=%ff"], ["=&=&="], ["x"] * 2_000, ["csrf=%00"], ["%"]))
    if chance.random() < 0.2:
        chance.shuffle(pairs)
    return "&".join(pairs).encode()
