"""An expression gives what jmespath itself gives for it, whatever it is and whatever the record holds."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jmespath.visitor import Options

from bridge.errors import Rejected
from bridge.mapping import DEFAULTS, SPELT_OUT
from bridge.mapping.expressions import Evaluation
from bridge.mapping.functions import NamedFunctions

ODD = (Rejected, ValueError, TypeError, AttributeError, LookupError, ArithmeticError)
NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "a", "x y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


ONE = ("!({0})", "({0})[0]", "({0})[]", "({0})[*].a", "({0})[:1]", "clean({0})", "sort_by({0}, &a)")
TWO = (
    *(f"({{0}}) {operator} ({{1}})" for operator in ("||", "&&", "==", "!=", "<", "|")),
    *("({0}).[{1}]", "({0}).b.{{a: {1}}}", "[{0}, {1}]", "{{a: {0}, b: {1}}}", "({0})[?{1}]"),
    *("first_present([{0}, {1}])", "join_present('-', [{0}, {1}])"),
)


def _combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda form, one, other: form.format(one, other), st.sampled_from(ONE + TWO), inner, inner
    )


EXPRESSIONS = st.recursive(
    st.sampled_from(["a", "b", "c", "@", "'x'", "''", "`0`", "`null`", "`[1]`"]), _combined, max_leaves=8
)


def outcome(evaluate: Any, data: object) -> tuple[str, object]:  # noqa: ANN401 - either of the two
    try:
        return "value", evaluate(data)
    except ODD as error:
        return "error", f"{type(error).__name__}: {error}"


def same(text: str, data: object) -> None:
    parsed = jmespath.compile(text)
    options = Options(custom_functions=NamedFunctions())
    theirs = outcome(lambda value: parsed.search(value, options), data)
    evaluation = Evaluation()
    step = evaluation.of(parsed.parsed)
    assert repr(outcome(step, data)) == repr(theirs)
    assert repr(outcome(step, data)) == repr(theirs), "nor does it change when it is asked again"


@given(EXPRESSIONS, VALUES)
@example("a.b || c", {"a": [], "c": 0})
@example("!a && (b || '')", {"b": False})
@example("a.b.c", {"a": {"b": "text"}})
@example("[a, a[0]]", None)
@example("clean(a)", {"a": {}})
def test_it_is_what_jmespath_gives(text: str, data: object) -> None:
    same(text, data)


@pytest.mark.parametrize(
    "text",
    sorted(
        {text for maps in (DEFAULTS, SPELT_OUT) for map_ in maps.values() for text in map_.values() if text}
    ),
)
@given(VALUES)
def test_a_map_that_comes_along_is_evaluated_as_jmespath_would(text: str, data: object) -> None:
    same(text, data)


def test_a_call_is_made_once_for_a_record_wherever_it_stands() -> None:
    evaluation = Evaluation()
    one, other = (evaluation.of(jmespath.compile(text).parsed) for text in ("keys(a)", "[b, keys(a)]"))
    data = {"a": {"x": 1}, "b": 1}
    made = one(data)
    assert [made] == [["x"]]
    assert other(data) == [1, ["x"]]
    again = other(data)
    assert isinstance(again, list)
    assert again[1] is made
    evaluation.forget()
    assert one(data) is not made
