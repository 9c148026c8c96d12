"""How much of an answer is read, and how much of it is decoded in one go.

Decoded, JSON takes up to 25 times its bytes, and nothing else happens while it is decoded. These bounds keep
the process under 200 MB and webhooks answered within a tenth of a second, whatever Salestrekker sends. What
counts beside bytes are values: there is one at least for each comma and each bracket.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "BATCH_BYTES",
    "ERRORS_READ",
    "ERROR_BODY",
    "INCOMPLETE_JSON",
    "MAX_BODY",
    "MAX_ERRORS",
    "MAX_ITEMS",
    "MAX_RECORD",
    "MAX_RECORD_VALUES",
    "MAX_REST",
    "SMALL_BODY",
    "decode",
    "find_excess",
    "is_rest",
    "is_small",
]

INCOMPLETE_JSON: Final = "Salestrekker's answer is not whole: its JSON cannot be read"
"""What is said of JSON that cannot be decoded: it was cut short on its way, most likely."""

MAX_BODY: Final = 48 * 1024 * 1024
"""Bytes of an answer, unpacked, beyond which it is not read: 80,000 contacts have about as many."""

ERROR_BODY: Final = 64 * 1024
"""Bytes that are read of an answer that is no success: enough for GraphQL errors."""

SMALL_BODY: Final = 1024 * 1024
"""Bytes of an answer that is decoded in one go: a page of 1,000 contacts has less."""

SMALL_VALUES: Final = 25_000
"""Values in an answer that is decoded in one go: a page of 100 contacts has some 4,000."""

MAX_REST: Final = 4 * 1024 * 1024
"""Bytes of what stands beside a long list: errors, with the traces that some servers add."""

REST_VALUES: Final = 100_000
"""Values beside a long list: 10,000 errors have about as many."""

MAX_ITEMS: Final = 100_000
"""Records in one answer beyond which it is refused: such a list has to be read in pages."""

MAX_ERRORS: Final = 10_000
"""Errors in one answer beyond which it is not read: each takes some ten microseconds."""

ERRORS_READ: Final = 100
"""Errors that are looked at of an answer that is no success, and that are told of one record."""

MAX_RECORD: Final = 128 * 1024
"""Bytes of one record, as JSON without blanks, beyond which it is not mapped: a contact has about 600."""

MAX_RECORD_VALUES: Final = 5_000
"""Values in one record beyond which it is not mapped: an expression of a map looks at each of them."""

MAX_RECORD_DEPTH: Final = 254
"""Levels of values in one record beyond which it is not mapped: what follows goes down by calls."""

MAX_DIGITS: Final = 4_000
"""Digits of a whole number that are read as one; no double holds more than 309 of them."""

BATCH_BYTES: Final = 256 * 1024
"""Bytes of a long list that are decoded, mapped and observed together, but for a single record."""


def is_small(body: bytes | bytearray) -> bool:
    """Whether an answer can be decoded in one go."""
    return len(body) <= SMALL_BODY and _values_in(body) <= SMALL_VALUES


def is_rest(body: bytes | bytearray) -> bool:
    """Whether an answer without its list can be decoded in one go."""
    return len(body) <= MAX_REST and _values_in(body) <= REST_VALUES


def decode(body: bytes | bytearray) -> object:
    """What a body says as JSON.

    Half of a surrogate pair, such as an emoji that was cut, or a number that no double holds is of one
    record: it must not take the whole list down. orjson refuses both, the standard library takes them.

    Raises:
        ValueError: It is not JSON, or nested too deeply.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return json.loads(body, parse_int=_whole_number)
        except RecursionError as error:
            raise ValueError from error


def _whole_number(text: str) -> int | float:
    """A whole number, as a double where Python refuses to read so many digits."""
    return int(text) if len(text) <= MAX_DIGITS else float(text)


def find_excess(record: object) -> str:
    """What of a record is too much to be mapped; empty where nothing is.

    Args:
        record: As decoded. It is measured as JSON without blanks, so that each answer that holds it is of one
            opinion.
    """
    try:
        written = orjson.dumps(record)
    except TypeError:  # half of a surrogate pair, a number of more than 64 bits, or as follows
        if any(depth > MAX_RECORD_DEPTH for depth, _ in enumerate(_levels_of(record))):
            return "it is nested too deeply"
        written = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")
    if len(written) > MAX_RECORD:
        return f"it is larger than {MAX_RECORD:,} bytes"
    if _values_in(written) > MAX_RECORD_VALUES and _count(record) > MAX_RECORD_VALUES:
        return f"it holds more than {MAX_RECORD_VALUES:,} values"
    return ""


def _values_in(body: bytes | bytearray) -> int:
    """As many values at most, those in its texts counted too."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _count(value: object) -> int:
    """How many values there are inside another."""
    return sum(map(len, _levels_of(value))) - 1


def _levels_of(value: object) -> Iterator[list[object]]:
    """The values of each level, without a call for each: there may be a thousand."""
    level = [value]
    while level:
        yield level
        level = [inner for one in level for inner in _inside(one)]


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
