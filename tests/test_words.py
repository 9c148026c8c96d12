"""Names and texts have the words of the field: no private word comes back, and no class name stands twice."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRIVATE = (
    "wish", "wishes", "fulfil", "moment", "moments", "said", "told", "tells", "saying", "sight", "anew",
    "desk", "faces", "door", "entrance", "stride", "strides", "valve", "lane", "lanes", "witness", "poisoned",
    "heir", "heirs", "forgive", "knock", "worked off", "stands still",
)  # fmt: skip
"""Words that only the authors understood, in these meanings; docs/glossary.md has what replaced them."""

WORD = re.compile(rf"(?<![A-Za-z])({'|'.join(PRIVATE)})(?![a-z])", re.IGNORECASE)

EXCEPTIONS = {
    # Tables of the ledger keep their first names (docs/adr/0009-packages-terms-and-table-names.md).
    "bridge/ledger/schema.py": {"wishes", "moments", "said"},
    "bridge/ledger/migrations/versions/r0002_daemon.py": {"wishes", "moments"},
    "bridge/ledger/migrations/versions/r0004_alerts.py": {"said"},
    "docs/adr/0009-packages-terms-and-table-names.md": {"wishes", "moments", "said"},
    "docs/privacy.md": {"wishes", "moments", "said"},
    # A key of `disclose --json`.
    "bridge/disclosure/markdown.py": {"told"},
    "bridge/disclosure/statement.py": {"told"},
    # A type of street.
    "bridge/sandbox/names.py": {"lane"},
    # A test's name.
    "docs/security.md": {"told"},
}


def private_words(text: str) -> set[str]:
    """Which of them a text has."""
    return {found.lower() for found in WORD.findall(text)}


def test_a_private_word_is_found() -> None:
    assert private_words("The old_desk, Lane 3; retold, moments_at, foresight") == {"desk", "lane", "moments"}


def test_no_private_word_is_left() -> None:
    found = {}
    for folder in ("bridge", "docs", "queries"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".md", ".html", ".graphql"}:
                name = path.relative_to(ROOT).as_posix()
                if words := private_words(path.read_text("utf-8")):
                    found[name] = words
    assert found == EXCEPTIONS


def classes(trees: dict[str, str]) -> dict[str, list[str]]:
    """Class -> the modules that define one of this name."""
    found = defaultdict(list)
    for name, source in trees.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(name)
    return found


@pytest.mark.parametrize(("second", "twice"), [("class A: ...", ["A"]), ("class B: ...", [])])
def test_a_class_name_that_stands_twice_is_found(second: str, twice: list[str]) -> None:
    found = classes({"bridge/one.py": "class A: ...", "bridge/two.py": second})
    assert [name for name, modules in found.items() if len(modules) > 1] == twice


def test_no_class_name_stands_twice() -> None:
    sources = {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in (ROOT / "bridge").rglob("*.py")
    }
    found = classes(sources)
    assert len(found) > 300
    assert {name: modules for name, modules in found.items() if len(modules) > 1} == {}
