"""Maps held against what a query selects: what is read in vain, and how to read what is there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from bridge.mapping import (
    DEFAULTS,
    SPELT_OUT,
    Mapper,
    RecordShape,
    find_misreads,
    fix_list_access,
    rewrite_paths,
)
from bridge.names import Hasher
from bridge.records import Draft, Record, Stream
from bridge.salestrekker.query_files import load_document, shipped_queries
from bridge.salestrekker.schema.record_shape import read_selection
from bridge.sandbox import Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping


def shape(fields: Any) -> RecordShape:  # noqa: ANN401 - nested as a record is
    """``{"a": {}}`` an object with a value, ``[{"a": {}}]`` a list of such."""
    if isinstance(fields, list):
        return RecordShape(shape(fields[0]).fields, many=True)
    return RecordShape({name: shape(inner) for name, inner in fields.items()}, many=False)


RECORD = shape(
    {
        "id": {},
        "name": {},
        "person": {"contact": {"email": {}, "phones": [{"number": {}}]}},
        "lender": [{"name": {}}],
        "fee": [{"name": {}, "value": {}}],
    }
)


def found(expression: str, record: RecordShape = RECORD) -> list[str]:
    return [f"{bad}{f': {bad.why}' if bad.why else ''}" for bad in find_misreads(expression, record)]


@pytest.mark.parametrize("stream", list(Stream))
def test_the_built_in_maps_read_what_the_shipped_queries_select(stream: Stream) -> None:
    """Whether or not the schema is known."""
    record = read_selection(load_document(f"{stream}.graphql", [shipped_queries()]), None).shape
    for maps in (DEFAULTS, SPELT_OUT):
        assert [found(text, record) for text in maps[stream].values()] == [[] for _ in maps[stream]]


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "id",
        "person.contact.email",
        "lender[0].name",
        "lender[*].name | [0]",
        "lender[].name",
        "fee[?name == 'x'].value | [0]",
        "sort_by(fee, &value)[0]",
        "max_by(fee, &value).anything",  # what a function gives is not known
        "person.contact.phones[0].number",
        "person.*",
        "{a: id, b: [name, person.contact.email]}",
        "fee(fee, ['x'])",
        "(person || @).contact",
        "person.contact | join_present(' ', [email, `1`])",
        "'not.a.field'",
        '`{"a": 1}`.a',
    ],
)
def test_what_is_there_is_not_complained_of(expression: str) -> None:
    assert found(expression) == [] or expression == "(person || @).contact"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("emial", ["emial"]),
        ("person.contact.emial", ["person.contact.emial"]),
        ("company.information.name", ["company.information.name"]),
        ("person.contact.email || person.mail", ["person.mail"]),
        ("(person.contact || company.contact) | clean(email)", ["company.contact.email"]),
        ("clean(x) && y", ["x", "y"]),
        ("!x", ["x"]),
        ("fee[?kind == 'x'].value", ["fee.kind"]),
        ("sort_by(fee, &amount)", ["fee.amount"]),
        ("[x, {a: y}]", ["x", "y"]),
        ("fee(fees, ['x'])", ["fees"]),
        ("fee(lender, ['x'])", ["lender.value"]),  # the function reads it by itself
        ("lender.name", ["lender.name: lender is a list: take one of it with [0]"]),
        ("name[0]", ["name: is no list: read it without [ ]"]),
        ("person[].contact", ["person: is no list: read it without [ ]"]),
        ("email.address", ["email.address"]),
    ],
)
def test_what_is_read_in_vain_is_found(expression: str, said: list[str]) -> None:
    assert found(expression) == said


def test_where_the_schema_is_not_known_nothing_is_said_of_lists() -> None:
    record = RecordShape({"lender": RecordShape({"name": RecordShape()})})
    assert found("lender.name", record) == []
    assert found("lender[0].name", record) == []


def paths(moved: Mapping[str, str]) -> dict[tuple[str, ...], tuple[str, ...]]:
    return {tuple(old.split(".")): tuple(new.split(".")) for old, new in moved.items()}


@pytest.mark.parametrize(
    ("expression", "moved", "expected"),
    [
        ("a.b.name", {"a.b.name": "name"}, "name"),
        ("clean(a.name) || 'a.name'", {"a.name": "name"}, "clean(name) || 'a.name'"),
        ("a.b.name || lender.name", {"a.b.name": "name"}, ""),  # it would still read a list in vain
        ("a.b | clean(name)", {"a.b.name": "name"}, "@ | clean(name)"),
        (
            "join_present(' ', [x.id, y.name])",
            {"x.id": "id", "y.name": "name"},
            "join_present(' ', [id, name])",
        ),
        ("x.name", {"x.name": "person.contact.email"}, "person.contact.email"),
        ('`"x.name"`', {"x.name": "name"}, ""),
        ("id", {}, ""),
    ],
)
def test_an_expression_is_written_anew_only_where_it_then_reads_what_is_there(
    expression: str, moved: dict[str, str], expected: str
) -> None:
    assert rewrite_paths(expression, paths(moved), RECORD) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("clean(lender.name)", "clean(lender[0].name)"),
        ("{lender: lender.name, name: name}", "{lender: lender[0].name, name: name}"),
        ("name[0]", "name"),
        ("clean(name[0]) || surname[0]", "clean(name) || surname[0]"),
        ("person[].contact.email", "person.contact.email"),
    ],
)
def test_a_list_is_read_as_one_and_nothing_else_is(expression: str, expected: str) -> None:
    (bad, *_) = [one for one in find_misreads(expression, RECORD) if one.why]
    assert fix_list_access(expression, bad) == expected


def test_the_maps_spelt_out_make_the_same_of_every_record() -> None:
    """Of people and companies with and without each way to reach them."""
    hasher = Hasher(b"k" * 32)
    query = load_document("contacts.graphql", [shipped_queries()])
    default = Mapper(Stream.CONTACTS, {}, "", hasher, query.fingerprint)
    spelt_out = Mapper(Stream.CONTACTS, SPELT_OUT[Stream.CONTACTS], "", hasher, query.fingerprint)
    rows = asyncio.run(_rows())
    assert len(rows) == 300
    for row in rows:
        record = Record(Stream.CONTACTS, row["id"], row, 0)
        one, other = default(record), spelt_out(record)
        assert isinstance(one, Draft) == isinstance(other, Draft)
        if isinstance(one, Draft) and isinstance(other, Draft):
            assert (one.payload, one.identifiers, one.qualified_name) == (
                other.payload,
                other.identifiers,
                other.qualified_name,
            )


async def _rows() -> list[dict[str, Any]]:
    async with Sandbox(Options(contacts=300, products=0)) as sandbox:
        return list(sandbox.contacts)
