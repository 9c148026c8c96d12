"""JMESPath expressions: checked when they are compiled, and made into functions of a record.

The jmespath library checks a function's name and its number of arguments only when it calls the function.
Here both are checked at compile time. So are two mistakes that change what an expression means without an
error: ``isActive != false``, which compares with a *field* called ``false`` (the value is `` `false` ``), and
text in backticks.

The library also walks the tree again for each record, and looks up at each node how to evaluate it: 60 nodes
for one contact, three quarters of the cost of a draft. Here each node is looked up once. Nodes that are rare
in a map (projections, slices, comparisons of order, ``&`` expressions) are left to the library, and a test
compares everything with the library's results.
"""

from __future__ import annotations

import warnings
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import jmespath
from jmespath.exceptions import (
    ArityError,
    IncompleteExpressionError,
    JMESPathTypeError,
    LexerError,
    ParseError,
)
from jmespath.visitor import Options, TreeInterpreter

from bridge.errors import QueryFileError, Rejected
from bridge.mapping.functions import NamedFunctions

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmespath.visitor import _TreeNode

    Step = Callable[[object], object]
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Evaluation", "Expressions", "MappingError"]


class Evaluation:
    """Makes functions of expressions. They share the results of equal function calls for one record.

    A client's name, telephone number and e-mail address are each read for more than one field.
    """

    def __init__(self) -> None:
        self._functions = NamedFunctions()
        self._interpreter = TreeInterpreter(Options(custom_functions=self._functions))
        self._calls: dict[str, int] = {}
        self._made: dict[tuple[int, int], tuple[object, object]] = {}
        self._makers: dict[str, Callable[[_TreeNode], Step]] = {
            "field": lambda node: partial(_field, node["value"]),
            "subexpression": self._chain,
            "pipe": self._chain,
            "current": lambda _: _itself,
            "literal": lambda node: partial(_constant, node["value"]),
            "or_expression": self._or,
            "and_expression": self._and,
            "multi_select_list": self._list,
            "multi_select_dict": self._object,
            "function_expression": self._call,
        }

    def forget(self) -> None:
        """Forget the results: another record is read from now on."""
        self._made.clear()

    def of(self, node: _TreeNode) -> Step:
        """The function that evaluates an expression over a record, or a part of one.

        Raises:
            RecursionError: The expression is nested too deeply.
        """
        make = self._makers.get(node["type"])
        return partial(self._interpreter.visit, node) if make is None else make(node)

    def _chain(self, node: _TreeNode) -> Step:
        first, *others = map(self.of, node["children"])

        def chain(value: object) -> object:
            value = first(value)
            for step in others:
                value = step(value)
            return value

        return chain

    def _or(self, node: _TreeNode) -> Step:
        one, other = map(self.of, node["children"])

        def either(value: object) -> object:
            found = one(value)
            return other(value) if _is_false(found) else found

        return either

    def _and(self, node: _TreeNode) -> Step:
        one, other = map(self.of, node["children"])

        def both(value: object) -> object:
            found = one(value)
            return found if _is_false(found) else other(value)

        return both

    def _list(self, node: _TreeNode) -> Step:
        parts = [*map(self.of, node["children"])]
        return lambda value: None if value is None else [part(value) for part in parts]

    def _object(self, node: _TreeNode) -> Step:
        parts = [(pair["value"], self.of(pair["children"][0])) for pair in node["children"]]
        return lambda value: None if value is None else {name: part(value) for name, part in parts}

    def _call(self, node: _TreeNode) -> Step:
        name, arguments, made = node["value"], [*map(self.of, node["children"])], self._made
        number = self._calls.setdefault(repr(node), len(self._calls))
        function = self._functions.call_function

        def call(value: object) -> object:
            known = made.get((number, id(value)))
            if known is None:
                # The value is stored too, so that no other value gets its address meanwhile.
                known = function(name, [argument(value) for argument in arguments]), value
                made[number, id(value)] = known
            return known[0]

        return call


def _field(name: str, value: Any) -> object:  # noqa: ANN401 - whatever a record holds
    try:
        return value.get(name)
    except AttributeError:
        return None


def _constant(value: object, _: object) -> object:
    return value


def _itself(value: object) -> object:
    return value


def _is_false(value: object) -> bool:
    """Whether JMESPath treats a value as false. 0 is true."""
    return value is None or value is False or value in ("", [], {})


_HINT: Final = "Text is written 'so', numbers and true, false and null `so`; see docs/mapping.md."
_LITERALS: Final = frozenset({"true", "false", "null"})

# All exceptions that odd data raises in jmespath 1.1 (its own errors are ValueErrors). They are caught
# around the evaluation of one expression over one record, and nowhere else.
_ODD_DATA: Final = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)


class MappingError(Rejected):
    """An expression cannot be evaluated for one record.

    Args:
        field: The map's key, or ``where``.
        detail: Why, without data.
    """

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class Expressions:
    """A set of compiled expressions, each under its key.

    Args:
        texts: Key -> expression. Empty text always gives null.
        places: Key -> where a user finds it, for errors: ``contacts.map.name``.

    Raises:
        QueryFileError: An expression cannot be used. The error names its place and column.
    """

    def __init__(self, texts: Mapping[str, str], places: Mapping[str, str]) -> None:
        self._evaluation = Evaluation()
        self._steps = {
            key: _compile(places[key], text, self._evaluation) for key, text in texts.items() if text.strip()
        }
        self._record: Mapping[str, object] | None = None

    def value(self, key: str, data: Mapping[str, object]) -> object:
        """Evaluate an expression over one record.

        Raises:
            MappingError: It cannot be evaluated over this record.
        """
        step = self._steps.get(key)
        if step is None:
            return None
        if data is not self._record:
            self._evaluation.forget()
            self._record = data
        try:
            return step(data)
        except Rejected as error:
            raise MappingError(key, str(error)) from None
        except _ODD_DATA as error:
            raise MappingError(key, _why(error)) from None  # the cause holds the data, so it is not kept


def _why(error: Exception) -> str:
    """What went wrong, from those parts of an error that belong to the expression, never to the record."""
    if isinstance(error, JMESPathTypeError):
        expected = " or ".join(error.expected_types)
        return f"{error.function_name}() takes {expected} and was given {error.actual_type}"
    return f"cannot be evaluated over this record ({type(error).__name__})"


def _compile(place: str, text: str, evaluation: Evaluation) -> Callable[[object], object]:
    try:
        tree = _parsed(text)
        step = evaluation.of(tree)
    except RecursionError:
        raise QueryFileError(f"{place}: the expression is nested too deeply", advice=_HINT) from None
    except PendingDeprecationWarning:
        position = text.find("`")
        raise _unusable(place, position, "what stands in backticks must be JSON") from None
    except ParseError as error:
        raise _unusable(place, _position(error), _complaint(error)) from error
    except ValueError as error:
        raise QueryFileError(f"{place}: {error}", advice=_HINT) from error
    for node in _nodes(tree):
        _check_call(place, text, node)
        _check_literal(place, text, node)
    return step


def _parsed(text: str) -> _TreeNode:
    with warnings.catch_warnings():
        # `` `so` `` without quotes inside was text once. The library still accepts it with this warning.
        warnings.simplefilter("error", PendingDeprecationWarning)
        return jmespath.compile(text).parsed


def _unusable(place: str, position: int, complaint: str, advice: str = _HINT) -> QueryFileError:
    return QueryFileError(f"{place}, column {position + 1}: {complaint}", advice=advice)


def _position(error: ParseError) -> int:
    return error.lexer_position if isinstance(error, LexerError) else error.lex_position


def _complaint(error: ParseError) -> str:
    if isinstance(error, LexerError):
        return error.message
    if isinstance(error, IncompleteExpressionError):
        return "the expression ends too early"
    return f'"{error.token_value}" is not expected here'


def _nodes(tree: _TreeNode) -> Iterator[_TreeNode]:
    """Each node of an expression. A slice's children are numbers, not nodes."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if node["type"] != "slice":
            waiting.extend(node["children"])


def _check_call(place: str, text: str, node: _TreeNode) -> None:
    if node["type"] != "function_expression":
        return
    name = node["value"]
    position = max(0, text.find(f"{name}("))
    known = NamedFunctions.FUNCTION_TABLE.get(name)
    if known is None:
        raise _unusable(place, position, f"there is no function {name}()", _nearest(name))
    try:
        _check_count(name, len(node["children"]), known["signature"])
    except ArityError as error:
        raise _unusable(place, position, str(error)) from error


def _nearest(name: str) -> str:
    near = get_close_matches(name, NamedFunctions.FUNCTION_TABLE, n=1)
    return f"Did you mean {near[0]}()?" if near else "docs/mapping.md lists the functions."


def _check_count(name: str, given: int, expected: tuple[Mapping[str, object], ...]) -> None:
    open_ended = bool(expected) and bool(expected[-1].get("variadic"))
    if given < len(expected) or (given > len(expected) and not open_ended):
        raise ArityError(len(expected), given, name)


def _check_literal(place: str, text: str, node: _TreeNode) -> None:
    if node["type"] == "field" and node["value"] in _LITERALS:
        word = node["value"]
        complaint = f"{word} without backticks is the name of a field"
        raise _unusable(place, max(0, text.find(word)), complaint, f"Write `{word}`, with backticks.")
