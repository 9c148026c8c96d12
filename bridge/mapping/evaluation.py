"""A checked expression as a function of a record.

jmespath walks the tree anew for each record, and looks up at each node how it is evaluated: 60 nodes for one
contact, three quarters of what a draft costs. Here each node is looked up once. What is rare in a map
(projections, slices, comparisons of order, ``&`` expressions) is evaluated by jmespath itself, and a test
holds everything to what jmespath gives.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from jmespath.visitor import Options, TreeInterpreter

from bridge.mapping.functions import NamedFunctions

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmespath.visitor import _TreeNode

    Step = Callable[[object], object]

__all__ = ["Evaluation"]


class Evaluation:
    """Makes functions of expressions, which share what they call alike for one record.

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
        """Another record is read from now on."""
        self._made.clear()

    def of(self, node: _TreeNode) -> Step:
        """What gives the value of an expression for a record, or a part of one.

        Raises:
            RecursionError: It is nested too deeply.
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
                # The part is kept as well, so that no other one gets its address meanwhile.
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
    """What JMESPath holds false; 0 is true."""
    return value is None or value is False or value in ("", [], {})
