"""What can be wrong with HTTP itself: each builder takes a good request and gives bytes that are none.

A good request is one whose head ends with an empty line; whose body, if any, is as long as it says.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    Build = Callable[[Random, bytes], "Draft"]

__all__ = ["MARK", "Draft", "Ending", "wire_kinds"]

MARK = "quokkazymurgy"
"""Letters that nothing of ours has: whoever repeats what was sent repeats them."""

M = MARK.encode()
END = b"\r\n\r\n"


class Ending(Enum):
    """How a connection ends, seen from who made it."""

    HALF = "says no more, and waits for the end"
    WAIT = "waits for an answer, then closes"
    CLOSE = "closes at once"
    RESET = "resets at once"


@dataclass(frozen=True, slots=True)
class Draft:
    """What is sent on one connection.

    Attributes:
        raw: All bytes.
        ending: What happens after them.
        whole: They are a whole request by the rules of HTTP, so that there must be an answer.
        echoes: Its answer may repeat what it asks for: what was searched, the way back after a log-in.
        pieces: In how many parts it is sent.
    """

    raw: bytes
    ending: Ending = Ending.HALF
    whole: bool = False
    echoes: bool = False
    pieces: int = 1


def wire_kinds() -> list[tuple[str, int, Build]]:
    """Name, weight and builder of each kind."""
    return [
        ("a broken request line", 8, _request_line),
        ("an odd method", 4, _method),
        ("a broken header", 10, _header),
        ("too many or too long headers", 4, _long_headers),
        ("a lie about the length", 10, _length),
        ("chunked nonsense", 10, _chunked),
        ("a request in a request", 8, _smuggled),
        ("several requests in a row", 4, _pipelined),
        ("random bytes", 4, _random_bytes),
        ("another protocol", 6, _other_protocol),
        ("flipped bytes", 8, _flipped),
        ("a lying encoding", 4, _encoding),
        ("an odd wish", 4, _wish),
        ("byte by byte", 2, lambda chance, good: Draft(good, whole=True, pieces=chance.randrange(2, 30))),
    ]


def _head_and_body(good: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Request line, headers and body."""
    head, _, body = good.partition(END)
    line, *headers = head.split(b"\r\n")
    return line, headers, body


def _joined(line: bytes, headers: list[bytes], body: bytes) -> bytes:
    return b"\r\n".join([line, *headers]) + END + body


def _request_line(chance: Random, good: bytes) -> Draft:
    line, headers, body = _head_and_body(good)
    method, path, version = line.split(b" ")
    broken = chance.choice(
        (
            b"",
            b" ",
            method,
            b"%s %s" % (method, path),
            b"%s  %s %s" % (method, path, version),
            b"%s\t%s\t%s" % (method, path, version),
            b"%s %s %s %s" % (method, path, version, M),
            b"%s %s HTTP/%s"
            % (method, path, chance.choice((b"0.9", b"1.2", b"2", b"9.9", b"x", b"1.1.1", M))),
            b"%s %s http/1.1" % (method, path),
            b"%s %s\r %s" % (method, path, version),
            b"%s %s\x00%s %s" % (method, path, M, version),
            b"%s %s%s %s" % (method, path, M * chance.choice((1, 600, 700, 5000)), version),
            b"%s %s %s"
            % (method, chance.choice((b"*", b"//", b"", b"?", b"#", b"http://", b"://", M)), version),
            b"%s %s %s" % (method, b"/" + bytes(chance.randrange(128, 256) for _ in range(20)), version),
            b"%s http://%s%s %s" % (method, M, path, version),
            b"%s http://[%s]%s %s" % (method, M, path, version),
            b"%s http://x:99999%s %s" % (method, path, version),
            b"%s %s%s %s" % (method, path, b"%" * 50, version),
            b"\r\n" * chance.choice((1, 5, 1000)) + line,
            b"\xef\xbb\xbf" + line,
            b"HTTP/1.1 200 OK",
        )
    )
    return Draft(_joined(broken, headers, body))


def _method(chance: Random, good: bytes) -> Draft:
    line, headers, body = _head_and_body(good)
    _, path, version = line.split(b" ")
    method = chance.choice(
        (
            b"get",
            b"CONNECT",
            b"OPTIONS",
            b"TRACE",
            b"PRI",
            b"G\x00T",
            b"G(T",
            b"\xc3\xa9",
            M,
            b"A" * 9000,
            b"-",
        )
    )
    where = chance.choice((path, path, b"*", b"localhost:1"))
    return Draft(_joined(b"%s %s %s" % (method, where, version), headers, body))


def _header(chance: Random, good: bytes) -> Draft:
    line, headers, body = _head_and_body(good)
    odd = chance.choice(
        (
            b"X-%s" % M,
            b": %s" % M,
            b"X : %s" % M,
            b" X: %s" % M,
            b"\tX: %s" % M,
            b"X: a\r\n %s" % M,
            b"X: a\r\n\t%s\r\n b" % M,
            b"X\x00: %s" % M,
            b"X: %s\x00" % M,
            b"X: a\rY: %s" % M,
            b"X: a\nY: %s" % M,
            b"X\xe9: %s" % M,
            b"X: \xff\xfe%s" % M,
            b"X(: %s" % M,
            b"X: %s\x7f\x01\x02" % M,
            b"Host: %s" % M,
            b"Host: localhost",
            b"Connection: %s" % chance.choice((b"close, keep-alive", b"upgrade", M, b"\xff")),
            b"Cookie: %s=%s; ; =;\xff" % (M, M),
            b"Content-Type: %s"
            % chance.choice((M, b";", b"a/b; charset=%s" % M, b"\xff", b"multipart/form-data")),
            b"X-Forwarded-For: %s" % chance.choice((M, b"::ffff:1.2.3.4", b"," * 500, b"[", b"127.0.0.1")),
            b"X-Forwarded-Proto: %s" % M,
        )
    )
    at = chance.randrange(len(headers) + 1)
    return Draft(_joined(line, [*headers[:at], odd, *headers[at:]], body))


def _long_headers(chance: Random, good: bytes) -> Draft:
    line, headers, body = _head_and_body(good)
    more = chance.choice(
        (
            [b"X: " + b"a" * chance.choice((8_000, 8_190, 9_000, 70_000))],
            [b"X" * chance.choice((8_000, 9_000, 40_000)) + b": a"],
            [b"X%d: %s" % (n, M) for n in range(chance.choice((90, 120, 130, 1_000)))],
            [b"Cookie: %s" % M] * 150,
            [b"X: a"] + [b" " + M] * 500,
            [b"X: " + b" " * 9_000 + M],
        )
    )
    return Draft(_joined(line, headers + more, body))


def _length(chance: Random, good: bytes) -> Draft:
    line, headers, body = _head_and_body(good)
    right = len(body)
    headers = [one for one in headers if not one.lower().startswith(b"content-length")]
    lie = chance.choice(
        (
            [b"Content-Length: -1"],
            [b"Content-Length: %d" % (right + chance.choice((1, 100, 1_000_000)))],
            [b"Content-Length: %d" % max(0, right - chance.choice((1, 5)))],
            [b"Content-Length: %s" % (b"9" * chance.choice((9, 18, 19, 20, 5_000)))],
            [b"Content-Length: +%d" % right],
            [b"Content-Length: 0x%x" % right],
            [b"Content-Length: %d, %d" % (right, right)],
            [b"Content-Length: %d" % right, b"Content-Length: %d" % right],
            [b"Content-Length: %d" % right, b"Content-Length: %d" % (right + 1)],
            [b"Content-Length: 0%d" % right],
            [b"Content-Length: %d " % right],
            [b"Content-Length: %s" % M],
            [b"Content-Length: "],
            [b"Content-Length: 1_0"],
            [b"Content-Length: \xd9\xa1"],
            [b"Content-Length: 262145"],
            [],
        )
    )
    ending = chance.choice([Ending.HALF, Ending.HALF, Ending.CLOSE, Ending.RESET])
    return Draft(_joined(line, headers + lie, body), ending=ending)


def _chunked(chance: Random, good: bytes) -> Draft:
    line, headers, body = _head_and_body(good)
    headers = [one for one in headers if not one.lower().startswith(b"content-length")]
    coding = chance.choice(
        (
            b"chunked", b"chunked", b"chunked", b"chunked", b"Chunked", b" chunked", b"chunked, chunked",
            b"identity", b"gzip, chunked", b"xchunked", b"chunked;x=%s" % M, b"\x0bchunked", b"", M,
        )
    )  # fmt: skip
    size = b"%x" % len(body)
    chunks = chance.choice(
        (
            size + b"\r\n" + body + b"\r\n0\r\n\r\n",
            b"".join(b"1\r\n%c\r\n" % one for one in body[:2_000]) + b"0\r\n\r\n",
            b"-1\r\n" + body,
            b"f" * 16 + b"\r\n" + body,
            b"f" * 9_000 + b"\r\n" + body,
            b"0x%s\r\n%s\r\n0\r\n\r\n" % (size, body),
            size + b";" + M * chance.choice((1, 1_000)) + b"\r\n" + body + b"\r\n0\r\n\r\n",
            size + b"\n" + body + b"\n0\n\n",
            size + b"\r\n" + body + b"0\r\n\r\n",
            size + b"\r\n" + body + b"\r\n0\r\nX: %s\r\n" % M * chance.choice((1, 200)) + b"\r\n",
            size + b"\r\n" + body + b"\r\n",
            M + b"\r\n",
            b"\r\n\r\n",
            b" %s \r\n%s\r\n0\r\n\r\n" % (size, body),
            b"0" * 100 + size + b"\r\n" + body + b"\r\n0\r\n\r\n",
            b"0\r\n\r\n" + M,
        )
    )
    return Draft(_joined(line, [*headers, b"Transfer-Encoding: " + coding], chunks))


def _smuggled(chance: Random, good: bytes) -> Draft:
    """Two ways to find the end of a request: one of them hides another request."""
    line, headers, body = _head_and_body(good)
    headers = [one for one in headers if not one.lower().startswith(b"content-length")]
    hidden = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % M
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    lengths = chance.choice(
        (
            [b"Content-Length: %d" % len(chunks + hidden), b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(chunks)],
            [b"Content-Length: %d" % len(chunks), b"Transfer-Encoding : chunked"],
            [b"Content-Length: %d" % len(chunks), b"Transfer-Encoding: x\r\n chunked"],
            [b"Content-Length: %d" % len(chunks), b"Transfer-Encoding: identity, chunked"],
            [b"Content-Length: 4", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
            [b"Content-Length: %d" % len(chunks), b"X: y\rTransfer-Encoding: chunked"],
            [b"Content-Length: 0", b"Content-Length: %d" % len(chunks + hidden)],
        )
    )
    return Draft(_joined(line, headers + lengths, chunks + hidden))


def _pipelined(chance: Random, good: bytes) -> Draft:
    end = chance.choice((b"", b"", M + END, b"GET / HTTP/1.1\r\n", b"\x00" * 50))
    return Draft(good * chance.choice((2, 3, 12)) + end, pieces=chance.choice((1, 3)))


def _random_bytes(chance: Random, good: bytes) -> Draft:
    del good
    raw = chance.randbytes(chance.choice((1, 10, 100, 1_000, 20_000)))
    return Draft(chance.choice((raw, raw + END, M + b" " + raw + END, b"GET " + raw + b" HTTP/1.1" + END)))


PROTOCOLS = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"SSH-2.0-" + M + b"\r\n",
    b"EHLO " + M + b"\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"\x05\x01\x00",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c",
    b"\x00\x00\x00\x2f\xffSMB",
    b"stats\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nX: y\r\n\r\n",
    b"() { :;}; echo " + M + b"\r\n\r\n",
    b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>\r\n\r\n",
)


def _other_protocol(chance: Random, good: bytes) -> Draft:
    del good
    return Draft(chance.choice(PROTOCOLS))


def _flipped(chance: Random, good: bytes) -> Draft:
    raw = bytearray(good)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(raw))
        match chance.randrange(4):
            case 0:
                raw[at] = chance.randrange(256)
            case 1:
                del raw[at]
            case 2:
                raw[at:at] = bytes([chance.choice(b"\r\n\x00 :/%\xff")])
            case _:
                raw[at:at] = raw[at : at + chance.randrange(1, 40)]
        if not raw:
            raw += b"\x00"
    return Draft(bytes(raw))


def _encoding(chance: Random, good: bytes) -> Draft:
    line, headers, body = _head_and_body(good)
    coding = chance.choice(
        (b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"identity", b"x", M, b"", b"\xff")
    )
    return Draft(_joined(line, [*headers, b"Content-Encoding: " + coding], body))


def _wish(chance: Random, good: bytes) -> Draft:
    line, headers, body = _head_and_body(good)
    wish = chance.choice(
        (
            b"Expect: 100-continue",
            b"Expect: %s" % M,
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s" % M,
            b"Connection: Upgrade\r\nUpgrade: %s" % M,
            b"TE: trailers\r\nTrailer: %s" % M,
            b"Max-Forwards: 0",
            b"Range: bytes=0-%s" % M,
            b"Accept-Encoding: %s" % M,
            b"X-HTTP-Method-Override: DELETE",
        )
    )
    return Draft(_joined(line, [*headers, wish], body))
