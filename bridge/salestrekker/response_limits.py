"""How much of a response is read, and how much of it is decoded at once.

Decoded, JSON takes up to 25 times its bytes, and the process does nothing else while it decodes. These limits
keep the process under 200 MB and webhooks answered within a tenth of a second, whatever Salestrekker sends.
Values count too, beside bytes: there is at least one value for each comma and each bracket.
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
"""The message for JSON that cannot be decoded, most likely because it was cut short on its way."""

MAX_BODY: Final = 48 * 1024 * 1024
"""Bytes of an unpacked response beyond which it is not read. 80,000 contacts have about as many."""

ERROR_BODY: Final = 64 * 1024
"""Bytes that are read of a response that is no success: enough for GraphQL errors."""

SMALL_BODY: Final = 1024 * 1024
"""Bytes of a response that is decoded at once. A page of 1,000 contacts has fewer."""

SMALL_VALUES: Final = 25_000
"""Values in a response that is decoded at once. A page of 100 contacts has about 4,000."""

MAX_REST: Final = 4 * 1024 * 1024
"""Bytes of the rest beside a long list: errors, with the stack traces that some servers add."""

REST_VALUES: Final = 100_000
"""Values beside a long list. 10,000 errors have about as many."""

MAX_ITEMS: Final = 100_000
"""Records in one response beyond which it is refused: such a list has to be read in pages."""

MAX_ERRORS: Final = 10_000
"""Errors in one response beyond which it is not read. Each takes about ten microseconds."""

ERRORS_READ: Final = 100
"""Errors that are read of a response that is no success, and that are reported for one record."""

MAX_RECORD: Final = 128 * 1024
"""Bytes of one record, as JSON without blanks, beyond which it is not mapped. A contact has about 600."""

MAX_RECORD_VALUES: Final = 5_000
"""Values in one record beyond which it is not mapped: a map's expression looks at each of them."""

MAX_RECORD_DEPTH: Final = 254
"""Levels of values in one record beyond which it is not mapped: later steps descend by recursion."""

MAX_DIGITS: Final = 4_000
"""Digits of a whole number that is read exactly. A double holds at most 309."""

BATCH_BYTES: Final = 256 * 1024
"""Bytes of a long list that are decoded, mapped and observed together, except for a single larger record."""


def is_small(body: bytes | bytearray) -> bool:
    """Whether a response can be decoded at once."""
    return len(body) <= SMALL_BODY and _values_in(body) <= SMALL_VALUES


def is_rest(body: bytes | bytearray) -> bool:
    """Whether a response without its list can be decoded at once."""
    return len(body) <= MAX_REST and _values_in(body) <= REST_VALUES


def decode(body: bytes | bytearray) -> object:
    """Decode JSON.

    Half of a surrogate pair, such as an emoji that was cut, or a number that no double holds belongs to one
    record and must not make the whole list fail. orjson refuses both, the standard library accepts them.

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
    """A whole number, as a double if Python refuses to read so many digits."""
    return int(text) if len(text) <= MAX_DIGITS else float(text)


def find_excess(record: object) -> str:
    """What makes a record too large to be mapped, or empty text.

    Args:
        record: As decoded. It is measured as JSON without blanks, so that the result does not depend on the
            response that holds it.
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
    """An upper bound of the number of values. Commas and brackets in texts count too."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _count(value: object) -> int:
    """The number of values inside another value."""
    return sum(map(len, _levels_of(value))) - 1


def _levels_of(value: object) -> Iterator[list[object]]:
    """The values of each level, without recursion: there may be a thousand levels."""
    level = [value]
    while level:
        yield level
        level = [inner for one in level for inner in _inside(one)]


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
