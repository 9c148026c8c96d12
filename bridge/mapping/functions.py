"""The functions that an expression can call beyond JMESPath's own.

docs/mapping.md documents each for its user. A test compares the two lists. A function rejects a value by
raising ``Rejected``, with a message that quotes no data.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from jmespath import functions
from jmespath.functions import signature

from bridge.errors import Rejected
from bridge.mapping.conversion import json_type, price, price_in_cents, to_line
from bridge.names.phones import international

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["FUNCTION_NAMES", "NamedFunctions"]

_PHONES_KEPT: Final = 1024
"""Formatted phone numbers that one mapper caches: those of one record are needed several times in a row."""


class NamedFunctions(functions.Functions):
    """JMESPath's functions and ours. The library finds each method whose name begins with ``_func_``."""

    def __init__(self) -> None:
        super().__init__()
        self._international = lru_cache(maxsize=_PHONES_KEPT)(international)

    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:  # noqa: ANN401 - as theirs
        """Call as the library does, but without checking again for each record what takes any type.

        The number of arguments was checked when the expression was compiled.
        """
        untyped = _UNTYPED.get(function_name)
        return (
            untyped(self, *resolved_args) if untyped else super().call_function(function_name, resolved_args)
        )

    @signature({"types": []})
    def _func_clean(self, value: object) -> str | None:
        """``clean(text)``: one tidy line, null when nothing is left."""
        return to_line(value) or None

    @signature({"types": []})
    def _func_first_present(self, values: object) -> str | None:
        """``first_present(array)``: the first that is not blank, tidy; null when none is."""
        return next((line for value in _array(values) if (line := to_line(value))), None)

    @signature({"types": ["string"]}, {"types": []})
    def _func_join_present(self, separator: str, values: object) -> str:
        """``join_present(separator, array)``: those that are not blank, tidy, joined."""
        return separator.join([line for value in _array(values) if (line := to_line(value))])

    @signature({"types": ["string"]}, {"types": []}, {"types": ["string"]})
    def _func_wrap(self, before: str, value: object, after: str) -> str | None:
        """``wrap(before, value, after)``: the tidy value between two texts, null when it is blank."""
        line = to_line(value)
        return f"{before}{line}{after}" if line else None

    @signature({"types": []}, {"types": []})
    def _func_phone(self, code: object, number: object) -> str | None:
        """``phone(code, number)``: in international form, null without a number."""
        typed = to_line(number)
        return self._international(to_line(code), typed) if typed else None

    @signature({"types": []})
    def _func_decimal(self, value: object) -> str | None:
        """``decimal(value)``: text with exactly two decimals, rounded half up; null for null."""
        amount = price(value)
        return None if amount is None else str(amount)

    @signature({"types": []})
    def _func_cents(self, value: object) -> str | None:
        """``cents(value)``: a whole number of cents as text with two decimals; null for null."""
        amount = price_in_cents(value)
        return None if amount is None else str(amount)

    @signature({"types": []}, {"types": ["array-string"]})
    def _func_fee(self, fees: object, words: list[str]) -> object:
        """``fee(fees, words)``: the value of the first fee that has one and is named or typed so."""
        wanted = [word.casefold() for word in words]
        return next(
            (value for fee in _array(fees) if (value := _value_if_called(fee, wanted)) is not None), None
        )


_UNTYPED: Final[Mapping[str, Callable[..., object]]] = {
    name: known["function"]
    for name, known in NamedFunctions.FUNCTION_TABLE.items()
    if not any(taken["types"] or taken.get("variadic") for taken in known["signature"])
}

FUNCTION_NAMES: Final = frozenset(
    name.removeprefix("_func_") for name in vars(NamedFunctions) if name.startswith("_func_")
)
"""The names of our functions, without JMESPath's own."""


def _array(value: object) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise Rejected(f"gives a function {json_type(value)} where it needs an array")
    return value


def _value_if_called(fee: object, wanted: list[str]) -> object:
    if not isinstance(fee, dict):
        return None
    called = [part.casefold() for part in (fee.get("name"), fee.get("type")) if isinstance(part, str)]
    return fee.get("value") if any(word in part for part in called for word in wanted) else None
