"""Lists cut out of large answers, held to what a decoder makes of those."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.event_loop_turns import run_to_end
from bridge.salestrekker.large_lists import WINDOW, ListCut, TooManyItemsError, cut_list

PATH = ("data", "contacts", "edges")
LONG = "x" * (WINDOW + 1)
AWKWARD = ("", '"', "\\", '\\"', "[{", "}],", "\n", "é😀", LONG, '\\"' * WINDOW)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(AWKWARD),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=3), inside, max_size=4),
    max_leaves=12,
)


def parts(text: str, *, most: int = 1000, longest: int = 10**7) -> ListCut | None:
    return run_to_end(cut_list(bytearray(text.encode()), PATH, most=most, longest=longest))


def deep(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested, {"a": LONG}]
    return nested


@given(items=st.lists(VALUES, max_size=6), beside=VALUES, indent=st.sampled_from([None, 0, 2]))
@example(items=[{"note": LONG}, [LONG, [LONG]], LONG], beside={LONG: [LONG]}, indent=None)
@example(items=[deep(40)], beside={}, indent=1)
@example(items=[[[] for _ in range(70_000)], 1], beside=[{} for _ in range(70_000)], indent=None)
def test_the_items_and_the_rest_are_what_they_were(
    items: list[object], beside: object, indent: int | None
) -> None:
    document = {
        "before": beside,
        "data": {"x": beside, "contacts": {"edges": items, "y": beside}},
        "z": beside,
    }
    text = json.dumps(document, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    found = run_to_end(cut_list(bytearray(text), PATH, most=1000, longest=10**7))
    assert found is not None
    assert [json.loads(text[a:b]) for a, b in zip(found.starts, found.ends, strict=True)] == items
    document["data"]["contacts"]["edges"] = []  # type: ignore[index]  # of several types
    assert json.loads(found.rest) == document


@given(items=st.lists(VALUES, max_size=3), data=st.data())
def test_half_a_document_is_none(items: list[object], data: st.DataObject) -> None:
    text = json.dumps({"data": {"contacts": {"edges": items}}, "errors": []})
    part = text[: data.draw(st.integers(0, text.index('"edges": [') + 9))]
    with suppress(ValueError):
        assert parts(part) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"data": {"contacts": {"edges": [',
        '{"data": {"contacts": {"edges": [1,]}}}',
        '{"data": {"contacts": {"edges": [1 2]}}}',
        '{"data": {"contacts": {"edges": [{"a": "x]}}}',
        '{"data": {"contacts": {"edges": ["\\',
        '{"data": {"contacts": {"edges": [:]}}}',
        '{"data": {"contacts" {"edges": []}}}',
        '{"data": {"contacts": {"edges": %s' % ("[" * 2000),
    ],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no JSON|too early|does not end|not closed|missing|too deep"):
        parts(text)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "3",
        '{"errors": [1]}',
        '{"data": null}',
        '{"data": {"contacts": {"edges": null}}}',
        '{"data": {}}',
        '{"data":' + " " * (WINDOW + 1) + "{}}",
        "\ufeff{}",
    ],
)
def test_without_a_list_on_the_way_there_is_nothing_to_cut(text: str) -> None:
    assert parts(text) is None


def test_the_first_list_on_the_way_is_taken_and_a_key_may_be_escaped() -> None:
    found = parts('{"d\\u0061ta": {"contacts": [{"edges": 1}, {"edges": 2}]}}')
    assert found is not None
    assert len(found.starts) == 2


def test_more_items_than_wanted_are_not_even_counted() -> None:
    text = '{"data": {"contacts": {"edges": [%s]}}}'
    assert parts(text % ",".join(["{}"] * 7), most=7) is not None
    with pytest.raises(TooManyItemsError):
        parts(text % ",".join(["{}"] * 8), most=7)


def test_a_rest_that_is_too_long_itself_is_no_part() -> None:
    assert parts(json.dumps({"data": {"contacts": {"edges": []}}, "errors": "x" * 100}), longest=100) is None


@pytest.mark.parametrize(
    "item", [[{}] * 5_000, [[]] * 5_000, [""] * 5_000, {"a": [{}] * 5_000}, "x" * 15_000]
)
def test_many_items_of_some_size_are_many_steps(item: object) -> None:
    """Thirty-two of them in one step took 0.2 s."""
    text = json.dumps({"data": {"contacts": {"edges": [item] * 200}}})
    steps = sum(1 for _ in cut_list(bytearray(text.encode()), PATH, most=1000, longest=1000))
    assert steps > len(text) / WINDOW / 2


@pytest.mark.parametrize("member", ['"a":1,', '"a":{},', '"a":"b",'])
def test_very_many_members_before_the_list_are_not_gone_past(member: str) -> None:
    """Ten megabytes of them were one step, of 14 s."""
    for count, found in ((900, True), (1_100, False)):
        text = '{"data": {' + member * count + '"contacts": {"edges": []}}}'
        assert (parts(text) is not None) is found


def test_large_members_before_the_list_are_many_steps() -> None:
    text = json.dumps({"data": {str(number): "x" * 10_000 for number in range(500)} | {"contacts": []}})
    steps = sum(1 for _ in cut_list(bytearray(text.encode()), PATH, most=10, longest=10**7))
    assert steps > len(text) / WINDOW / 2


@pytest.mark.parametrize(
    "item",
    ["{}," * 300_000, '"",' * 300_000, "1," * 400_000, '"' + "\\n" * 400_000 + '",', "[[[[]]]]," * 80_000],
    ids=["objects", "texts", "numbers", "one text", "deep"],
)
def test_it_can_be_interrupted_all_the_time(item: str) -> None:
    """Each step goes past a window at most, and there is one for each."""
    text = f'{{"data": {{"contacts": {{"edges": [[{item}null]]}}}}}}'
    steps = sum(1 for _ in cut_list(bytearray(text.encode()), PATH, most=10, longest=1000))
    assert steps > len(text) / WINDOW / 2
