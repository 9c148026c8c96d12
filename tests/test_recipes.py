"""CONTRIBUTING.md's recipes, held to the code: what a recipe does not list must not have to change."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import TYPE_CHECKING

import pytest
from graphql import parse

from bridge.mapping import DEFAULTS, SPELT_OUT
from bridge.records import STREAMS, Job, Reason, Stream
from bridge.salestrekker.query_files import shipped_queries
from bridge.settings.model import Document, SalestrekkerSettings, ScheduleSettings, TrakorSettings
from bridge.status.vocabulary import SITUATIONS

if TYPE_CHECKING:
    from pydantic import BaseModel

ROOT = Path(__file__).parents[1]
FREE_TO_NAME_THEM = (
    "bridge/sandbox/",  # simulates Salestrekker's and Trakor's own lists
    "bridge/demo/",  # tells a story about contacts and products
    "bridge/cli/sandbox.py",  # how many of each the sandbox has
    "bridge/salestrekker/schema/similar_fields.py",  # words that other schemas use for a contact
)


def recipe(title: str) -> list[str]:
    """The files that a recipe lists, in order."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    found = re.search(rf"^### {title}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"CONTRIBUTING.md has no recipe {title!r}"
    return re.findall(r"^\d+\. `([^`]+)`", found[1], re.MULTILINE)


def names_a_stream(node: ast.AST) -> bool:
    """Whether it is a member of Stream or of Job, or the word of one as it stands in settings and rows."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.value.id in {"Stream", "Job"} and node.attr in Stream.__members__
    words = {*Stream, *(spec.singular for spec in STREAMS.values())}
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in words


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the bridge, parsed."""
    paths = sorted((ROOT / "bridge").rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in paths}


@cache
def naming_modules() -> dict[str, list[int]]:
    """Module -> the lines in which it names a stream."""
    found = {}
    for name, tree in trees().items():
        lines = [node.lineno for node in ast.walk(tree) if names_a_stream(node)]  # type: ignore[attr-defined]
        if lines:
            found[name] = lines
    return found


def test_only_the_listed_modules_name_a_stream() -> None:
    """A module that is not in the recipe must ask the stream's specification instead."""
    listed = recipe("A new stream")
    others = {
        name: lines
        for name, lines in naming_modules().items()
        if not name.startswith(FREE_TO_NAME_THEM) and not any(name.startswith(file) for file in listed)
    }
    assert others == {}


def test_each_listed_file_is_there_and_has_a_part_in_a_stream() -> None:
    naming = naming_modules()
    for file in recipe("A new stream"):
        assert (ROOT / file).exists(), file
        if file.endswith(".py"):
            assert file in naming or file == "bridge/records/payloads.py", file


@pytest.mark.parametrize("stream", Stream)
def test_each_stream_has_what_the_recipe_adds(stream: Stream) -> None:
    spec = STREAMS[stream]
    assert spec.payload.FIELDS[0] == "name"
    assert spec.payload.of({"name": "A"}).fields().keys() == set(spec.payload.FIELDS)
    for file in (spec.list_query, spec.query_by_id):
        parse((shipped_queries() / file).read_text())
    assert DEFAULTS[stream].keys() >= {"id", "name"} < SPELT_OUT[stream].keys()
    assert stream in Document.model_fields
    assert stream in ScheduleSettings.model_fields
    assert Job(stream.value).reads(stream)


Changes = dict[str, tuple[tuple[str, str], ...]]
"""File -> what is put in place of which text; a file that is not there yet is made of the one text."""


NEW_STREAM: Changes = {
    "bridge/records/payloads.py": (
        (
            "\n\nPayload: TypeAlias = Party | Product\n",
            """

@dataclass(frozen=True, slots=True)
class Bank:
    FIELDS: ClassVar[tuple[str, ...]] = ("name", "branch")
    name: str
    branch: str = ""

    @classmethod
    def of(cls, texts):
        return cls(texts["name"], texts.get("branch", ""))

    def fields(self):
        return {"name": self.name, "branch": self.branch}

    def body(self):
        return self.fields()


Payload: TypeAlias = Party | Product | Bank
""",
        ),
    ),
    "bridge/records/streams.py": (
        ('    PRODUCTS = "products"\n', '    PRODUCTS = "products"\n    BANKS = "banks"\n'),
        ("import Party, Product\n", "import Bank, Party, Product\n"),
        (
            "        Stream.PRODUCTS: StreamSpec(\n",
            """        Stream.BANKS: StreamSpec(
            "bank", Bank, "/banks", "banks.graphql", "bank.graphql", "1d", webhook_ids=()
        ),
        Stream.PRODUCTS: StreamSpec(
""",
        ),
    ),
    "bridge/mapping/built_in_maps.py": (
        (
            "Stream.CONTACTS: MappingProxyType(",
            """Stream.BANKS: MappingProxyType(
            {"id": "id", "name": "title", "branch": "place", "qualifier": "id"}
        ),
        Stream.CONTACTS: MappingProxyType(""",
        ),
    ),
    "bridge/settings/model.py": (
        (
            "\n\n_Timing = ",
            """

class BankMap(_Map):
    branch: Text | None = None


class BanksSettings(StreamSettings):
    list_query: QueryFile = Stream.BANKS.spec.list_query
    one_query: OptionalQueryFile = Stream.BANKS.spec.query_by_id
    expressions: BankMap = Field(default_factory=BankMap, alias="map")


_Timing = """,
        ),
        (
            "    reconcile: _Timing = ",
            "    banks: _Timing = _parsed_default(Stream.BANKS.spec.timing)\n    reconcile: _Timing = ",
        ),
        (
            "    products: ProductsSettings = ",
            """    banks: BanksSettings = Field(default_factory=BanksSettings)
    products: ProductsSettings = """,
        ),
    ),
}
"""A made-up stream, as the recipe says: what is put in place of which text of which file."""

USE = """
from bridge.mapping import Mapper
from bridge.names import Hasher
from bridge.records import Job, Record, Stream
from bridge.settings.model import Document
from bridge.trakor.client import ENDPOINTS, build_body, endpoint_of

document = Document.model_validate({"banks": {"map": {"branch": "place.name"}}, "schedule": {"banks": "2d"}})
settings = document.streams[Stream.BANKS]
mapper = Mapper(Stream.BANKS, settings.map, "", Hasher(bytes(16)), "", settings.policy())
draft = mapper(Record(Stream.BANKS, "7", {"id": "7", "title": "Bank ", "place": {"name": "Perth"}}, 1))
print(endpoint_of(draft.payload), build_body(draft.payload).decode(), sorted(draft.hashes))
print(document.schedule.timing(Job.BANKS).seconds, settings.list_query, *document.PAIR)
"""


def followed(folder: Path, title: str, changes: Changes) -> Path:
    """Follow a recipe in a copy of the package: no other file than those it lists may change."""
    copytree(ROOT / "bridge", folder / "bridge", ignore=ignore_patterns("__pycache__"))
    listed = recipe(title)
    for file, replaced in changes.items():
        assert any(file.startswith(one) for one in listed), file
        path = folder / file
        for old, new in replaced:
            text = path.read_text() if path.exists() else ""
            assert old in text, (file, old)
            path.write_text(text.replace(old, new) if text else new)
    return folder


def printed(folder: Path, *arguments: str) -> list[str]:
    """What the copy prints, line by line."""
    done = subprocess.run(  # noqa: S603 - the copy, with our own interpreter
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_made_up_stream_takes_only_the_listed_files(tmp_path: Path) -> None:
    """In a copy of the package the recipe is followed; the new stream is configured, mapped and sent."""
    assert printed(followed(tmp_path, "A new stream", NEW_STREAM), "-c", USE) == [
        '/banks {"name":"Bank","branch":"Perth"} [\'branch\', \'name\', \'qualifier\']',
        "172800.0 banks.graphql salestrekker trakor contacts products banks schedule",
    ]


# -- a configuration key


@cache
def read_attributes() -> frozenset[str]:
    """Every attribute that is read anywhere in the bridge."""
    nodes = (node for tree in trees().values() for node in ast.walk(tree))
    return frozenset(node.attr for node in nodes if isinstance(node, ast.Attribute))


@pytest.mark.parametrize("section", [TrakorSettings, SalestrekkerSettings, ScheduleSettings])
def test_each_key_is_read_by_somebody(section: type[BaseModel]) -> None:
    """A key that nobody reads does nothing."""
    by_name = {"contacts", "products", "reconcile", "allow_insecure"}  # bridge/settings/model.py reads them
    assert section.model_fields.keys() - by_name - read_attributes() == set()


NEW_KEY: Changes = {
    "bridge/settings/model.py": (
        (
            "    max_in_flight: int = Field(",
            "    greeting: int = Field(default=3, ge=1, le=9)\n    max_in_flight: int = Field(",
        ),
    ),
}


USE_OF_KEY = """
from pydantic import ValidationError
from bridge.settings.model import TrakorSettings

given = {"url": "https://trakor.example.com", "api_key": "key", "greeting": 5}
print(TrakorSettings.model_validate(given).greeting)
try:
    TrakorSettings.model_validate(given | {"greeting": 10})
except ValidationError as error:
    for one in error.errors():
        print(one["loc"][0], one["msg"])
"""


def test_a_made_up_key_is_checked_and_handed_on(tmp_path: Path) -> None:
    """Its one line in the model gives it its place, its default and its bounds."""
    folder = followed(tmp_path, "A new configuration key", NEW_KEY)
    assert printed(folder, "-c", USE_OF_KEY) == ["5", "greeting Input should be less than or equal to 9"]


# -- a reason


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_what_the_recipe_adds(reason: Reason) -> None:
    """Its situation with sentences, and its place in both pages."""
    situations = {why for _, why in SITUATIONS}
    assert reason in situations
    for page in ("docs/reasons.md", "docs/glossary.md"):
        assert f"`{reason}`" in (ROOT / page).read_text()


def test_only_the_vocabulary_gives_reasons_their_words() -> None:
    """The command line, the page and the alerts name no reason: they read the vocabulary."""
    faces = ("bridge/cli", "bridge/admin", "bridge/alerts")
    naming = [
        str(path.relative_to(ROOT))
        for face in faces
        for path in (ROOT / face).rglob("*.py")
        if re.search(r"\bReason\.[A-Z]", path.read_text())
    ]
    assert naming == []


def test_the_files_of_a_reason_are_there() -> None:
    for file in recipe("A new reason"):
        assert (ROOT / file).exists(), file


# -- a command


GREET = '''"""`trakor-bridge greet`."""

import typer


def add_to(app: typer.Typer) -> None:
    app.command("greet", help="Greet.")(_greet)


def _greet() -> None:
    typer.echo("hello")
'''

NEW_COMMAND: Changes = {
    "bridge/cli/greet.py": (("", GREET),),
    "bridge/cli/app.py": (
        ("    disclose,\n", "    disclose,\n    greet,\n"),
        ("    disclose.add_to(app)\n", "    disclose.add_to(app)\n    greet.add_to(app)\n"),
    ),
}


def test_a_made_up_command_takes_only_the_listed_files(tmp_path: Path) -> None:
    folder = followed(tmp_path, "A new command", NEW_COMMAND)
    assert printed(folder, "-m", "bridge", "greet") == ["hello"]
    assert any("greet" in line for line in printed(folder, "-m", "bridge", "--help"))
