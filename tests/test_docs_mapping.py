"""The worked examples of docs/mapping.md, each run as a reader would: configuration, query, records.

::

    diff ──> queries/ ─┐
    toml ──> config.toml ──> plan: query, mapper ──> Salestrekker's schema serves the records
                                                        ──> mapper ──> ledger.observe ──> result

The schema is the sandbox's, so a field that it does not have, or that the example's query does not ask
for, never reaches the map.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from graphql import build_schema, graphql_sync

from books import KEEPING, kept
from bridge.first_configuration import copy_queries
from bridge.ledger.database import writing
from bridge.ledger.feeds import load_or_add_feed
from bridge.ledger.maintenance import back_up
from bridge.ledger.observe import Observation, observe
from bridge.ledger.open import migrate
from bridge.ledger.read_model import RecordQuery, iterate_records
from bridge.ledger.record_relations_and_history import load_relations
from bridge.ledger.send_queue import claim_work
from bridge.names import Hasher
from bridge.records import Record, State, Stream
from bridge.settings import load
from bridge.wiring.connection import load_plan
from documentation import blocks, section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.ledger.read_model import Reader, RecordSummary
    from bridge.records import Draft, Unsendable
    from bridge.salestrekker.list_query import ListQuery
    from bridge.settings import Settings

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "mapping.md").read_text("utf-8")
SCHEMA = build_schema((ROOT / "bridge" / "sandbox" / "schema.graphql").read_text("utf-8"))
HASHER = Hasher(b"0123456789abcdef")
CONNECTIONS = """
[salestrekker]
api_key = "key-of-salestrekker"
[trakor]
url = "https://trakor.example/api/public/v1"
api_key = "sk_live_key_of_trakor"
"""
NO_CHANGE = ""
NO_MAP = "[contacts]\n"


@dataclass(frozen=True)
class Example:
    """One worked example, block by block; the change of the query is empty where there is none."""

    title: str
    file: str
    diff: str
    toml: str
    records: tuple[dict[str, Any], ...]
    result: str

    @property
    def stream(self) -> Stream:
        """What it is about."""
        return Stream.PRODUCTS if "[products" in self.toml else Stream.CONTACTS


def examples() -> Iterator[Example]:
    whole = section(GUIDE, "Ten worked examples")
    for title in re.findall(r"^### (.+)$", whole, re.MULTILINE):
        text = section(whole, title)
        found = {block.language: block.text for block in blocks(text)}
        changed = re.search(r"Query change, in `queries/(.+)`:", text)
        data = json.loads(found["json"])
        yield Example(
            title,
            changed[1] if changed else "",
            found.get("diff", NO_CHANGE),
            found["toml"],
            tuple(data) if isinstance(data, list) else (data,),
            found["result"],
        )


EXAMPLES = list(examples())
each = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)


def changed(text: str, diff: str) -> str:
    """A file with the lines added that a diff marks, where its other lines say; they stand there once."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if not line.startswith("+"))
    after = "".join(line[1:] for line in lines)
    known = re.sub(r" +#.*$", "", text, flags=re.MULTILINE)  # the pages show no comments
    assert known.count(before) == 1, f"not once in the shipped file:\n{before}"
    return known.replace(before, after)


def configured(folder: Path, toml: str, example: Example, diff: str) -> Settings:
    """The configuration of an example, with its queries beside it."""
    (folder / "config.toml").write_text(CONNECTIONS + toml, "utf-8")
    copy_queries(folder)
    if diff:
        file = folder / "queries" / example.file
        file.write_text(changed(file.read_text("utf-8"), diff), "utf-8")
    return load(folder / "config.toml", {})


def served(query: ListQuery, stream: Stream, records: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    """What Salestrekker answers to the query where it has these records."""
    answer = graphql_sync(SCHEMA, query.document.text, root_value={str(stream): list(records)})
    assert answer.errors is None, answer.errors
    assert answer.data is not None
    found: list[dict[str, Any]] = answer.data[str(stream)]
    return found


@pytest.fixture(scope="module")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with its tables and nothing in them, made once."""
    path = tmp_path_factory.mktemp("empty") / "ledger.db"
    migrate(path, KEEPING)
    return path


@pytest.fixture
def folder(tmp_path: Path, empty_ledger: Path) -> Path:
    """Where a configuration goes, with its ledger."""
    back_up(empty_ledger, tmp_path / "ledger.db")
    return tmp_path


def outcome(folder: Path, example: Example, *, toml: str = "", diff: str = "") -> str:
    """What becomes of an example's records, as the page writes it."""
    settings = configured(folder, toml or example.toml, example, diff)
    connection = settings.connections["default"]
    plan = load_plan(settings, connection, [example.stream], HASHER)
    query, mapper = plan.queries[example.stream], plan.mappers[example.stream]
    data = served(query, example.stream, example.records)
    drafts = [mapper(Record(example.stream, str(mapper.identify(one)), one, 7)) for one in data]
    with writing(folder / "ledger.db", kept(folder / "ledger.db")) as ledger:
        return "".join(_told(ledger, example.stream, settings, drafts))


def _told(
    ledger: Reader, stream: Stream, settings: Settings, drafts: list[Draft | Unsendable]
) -> Iterator[str]:
    policy = settings.connections["default"].stream(stream).policy()
    feed = load_or_add_feed(ledger, "default", "default", stream)
    observe(ledger, feed, drafts, Observation(), policy=policy, now=8)
    sent = {work.number: work.payload.fields() for work in claim_work(ledger, feed, 100, now=9, until=10)}
    for record in iterate_records(ledger, RecordQuery()):
        yield f"{record.id}\n"
        if record.state == State.PENDING:
            yield from (f"  {name}: {value}\n" for name, value in sent[record.number].items() if value)
        else:
            yield f"  {_where_it_is(ledger, record)}\n"


def _where_it_is(ledger: Reader, record: RecordSummary) -> str:
    if record.state != State.MERGED:
        return f"{record.state}: {record.reason}"
    claimant = load_relations(ledger, record).claimant
    assert claimant is not None
    return f"merged into {claimant.id}"


def test_there_are_ten_and_the_table_tells_which_need_a_change_of_the_query() -> None:
    rows = re.findall(r"^\| (\d+) \| \[(.+)\]\(#.+\) \| (yes|no) \|$", GUIDE, re.MULTILINE)
    assert rows == [
        (title.partition(". ")[0], title.partition(". ")[2], "yes" if example.diff else "no")
        for example in EXAMPLES
        for title in [example.title]
    ]
    assert len(rows) == 10


@each
def test_it_makes_what_it_says(folder: Path, example: Example) -> None:
    """Every field that is sent is shown, and every record."""
    assert outcome(folder, example, diff=example.diff) == example.result


@each
def test_its_lines_are_what_makes_it(folder: Path, example: Example) -> None:
    """With the defaults in their place something else comes of it."""
    assert outcome(folder, example, toml=NO_MAP, diff=example.diff) != example.result


@pytest.mark.parametrize("example", [one for one in EXAMPLES if one.diff], ids=lambda example: example.title)
def test_its_change_of_the_query_is_needed(folder: Path, example: Example) -> None:
    """Without it the map finds nothing, and something else comes of it."""
    assert outcome(folder, example) != example.result


@pytest.mark.parametrize("diff", [" a\n+b\n c\n", " d\n+b\n"])
def test_a_change_that_does_not_fit_the_file_is_found(diff: str) -> None:
    with pytest.raises(AssertionError, match="not once"):
        changed("a\na\nd\nd\n", diff)


def test_a_change_adds_its_lines_where_the_others_stand() -> None:
    assert changed("a # why\nc\nd\n", " a\n+b\n c\n") == "a\nb\nc\nd\n"
