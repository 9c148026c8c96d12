"""Query files: find a file, add the fragments that it uses, and parse it once.

::

    name ──find──> file ──parse──> operation + needed fragments ──print──> text ──> fingerprint

A file may use fragments that it does not define. They come from the files ``*.fragment.graphql`` of its own
folder, then from those of the other folders. The folder of the shipped queries is the last one.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSyntaxError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    Source,
    parse,
    print_ast,
)

from bridge.errors import QueryFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphql import Node, SelectionSetNode

__all__ = ["QueryDocument", "error_at", "load_document", "query_folders", "shipped_fields"]

FRAGMENT_FILES = "*.fragment.graphql"


@dataclass(frozen=True, slots=True)
class QueryDocument:
    """One query with every fragment that it needs.

    Attributes:
        file: The file that it comes from, for messages.
        text: The text to send: printed from the syntax tree, without comments and layout.
        fingerprint: Of the text. Checkpoints and drafts of another fingerprint cannot be compared.
        operation: The query itself.
        fragments: Name -> definition of each fragment that the query reaches.
    """

    file: str
    text: str
    fingerprint: str
    operation: OperationDefinitionNode = field(repr=False, compare=False)
    fragments: Mapping[str, FragmentDefinitionNode] = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """The operation's name, or empty text if the file gives none."""
        return self.operation.name.value if self.operation.name else ""

    @property
    def variables(self) -> frozenset[str]:
        """The names of the variables that the query declares."""
        return frozenset(v.variable.name.value for v in self.operation.variable_definitions or ())

    def fields(self, selections: SelectionSetNode | None) -> Iterator[FieldNode]:
        """The fields selected at one level, including those inside fragments."""
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, FragmentSpreadNode):
                yield from self.fields(self.fragments[node.name.value].selection_set)
            elif isinstance(node, InlineFragmentNode):
                yield from self.fields(node.selection_set)


def query_folders(configuration_folder: Path) -> tuple[Path, ...]:
    """The folders with query files: beside the configuration file, then the shipped ones."""
    return (configuration_folder / "queries", shipped_queries())


def shipped_queries() -> Path:
    """The folder of the shipped queries: inside the wheel, or beside the package in a checkout."""
    package = Path(str(resources.files("bridge")))
    in_wheel = package / "_shipped" / "queries"
    return in_wheel if in_wheel.is_dir() else package.parent / "queries"


@cache
def shipped_fields() -> frozenset[str]:
    """All names that the shipped queries use. Everything that the built-in maps read is among them."""
    texts = (file.read_text(encoding="utf-8") for file in shipped_queries().glob("*.graphql"))
    return frozenset(word for text in texts for word in re.findall(r"\w+", text))


def load_document(name: str, folders: Sequence[Path]) -> QueryDocument:
    """Load a query file with the fragments that it needs.

    Args:
        name: File name, as the configuration gives it.
        folders: Folders to search. The first match counts (``query_folders``).

    Raises:
        QueryFileError: The file is missing, unreadable or invalid, does not hold exactly one query, or uses a
            fragment that is not defined anywhere.
    """
    path = _find(name, folders)
    own = _parse(path)
    operation = _only_query(own, path)
    elsewhere = [path.parent, *(folder for folder in folders if folder != path.parent)]
    fragments = _needed_fragments(operation, _fragments_in([own]), elsewhere)
    text = print_ast(DocumentNode(definitions=(operation, *fragments.values())))
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
    return QueryDocument(str(path), text, fingerprint, operation, fragments)


def error_at(node: Node, what: str, advice: str) -> QueryFileError:
    """An error that names the file, line and column of ``node``."""
    return QueryFileError(f"{_place(node)}: {what}", advice=advice)


def _place(node: Node) -> str:
    if node.loc is None:
        return "query"
    return f"{node.loc.source.name}:{node.loc.start_token.line}:{node.loc.start_token.column}"


def _find(name: str, folders: Sequence[Path]) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    looked = ", ".join(str(folder) for folder in folders)
    raise QueryFileError(
        f"{name}: there is no such query file (looked in {looked})",
        advice="Correct the name in the configuration, or put the file into `queries/` beside it.",
    )


def _parse(path: Path) -> DocumentNode:
    try:
        return parse(Source(path.read_text(encoding="utf-8"), str(path)))
    except GraphQLSyntaxError as error:
        line, column = error.locations[0] if error.locations else (1, 1)
        raise QueryFileError(
            f"{path}:{line}:{column}: {error.message}", advice="Correct the query at that place."
        ) from error
    except UnicodeDecodeError as error:
        raise QueryFileError(f"{path}: is not UTF-8 text", advice="Save the file as UTF-8.") from error
    except OSError as error:
        raise QueryFileError(
            f"{path}: cannot be read: {error.strerror}", advice="Check the file's permissions."
        ) from error


def _only_query(document: DocumentNode, path: Path) -> OperationDefinitionNode:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if not operations:
        raise QueryFileError(f"{path}: holds no query", advice="Put one `query Name { … }` into the file.")
    if len(operations) > 1:
        raise error_at(operations[1], "a second operation", "Keep one query in a file.")
    if operations[0].operation is not OperationType.QUERY:
        kind = operations[0].operation.value
        raise error_at(operations[0], f"a {kind} is not a query", "The bridge only reads Salestrekker.")
    return operations[0]


def _fragments_in(documents: Iterable[DocumentNode]) -> dict[str, FragmentDefinitionNode]:
    found: dict[str, FragmentDefinitionNode] = {}
    nodes = (node for document in documents for node in document.definitions)
    for node in nodes:
        if not isinstance(node, FragmentDefinitionNode):
            continue
        name = node.name.value
        if name in found:
            raise error_at(node, f"fragment {name} is also at {_place(found[name])}", "Keep one of them.")
        found[name] = node
    return found


def _fragments_of_folder(folder: Path) -> dict[str, FragmentDefinitionNode]:
    documents = [_parse(path) for path in sorted(folder.glob(FRAGMENT_FILES))]
    for node in (node for document in documents for node in document.definitions):
        if not isinstance(node, FragmentDefinitionNode):
            raise error_at(node, "only fragments belong into this file", "Move it into a file of its own.")
    return _fragments_in(documents)


def _needed_fragments(
    operation: OperationDefinitionNode, own: Mapping[str, FragmentDefinitionNode], folders: Sequence[Path]
) -> dict[str, FragmentDefinitionNode]:
    """Every fragment that the operation reaches, in the order of first use."""
    needed: dict[str, FragmentDefinitionNode] = {}
    known, unread = dict(own), list(folders)
    waiting = list(_spreads(operation.selection_set))
    while waiting:
        spread = waiting.pop(0)
        name = spread.name.value
        if name in needed:
            continue
        while name not in known and unread:
            known = _fragments_of_folder(unread.pop(0)) | known
        if name not in known:
            raise error_at(
                spread,
                f"spreads the fragment {name}, which is nowhere defined",
                f"Define it in the file, or in a file {FRAGMENT_FILES} beside it.",
            )
        needed[name] = known[name]
        waiting.extend(_spreads(known[name].selection_set))
    _refuse_cycles(needed)
    return needed


def _refuse_cycles(fragments: Mapping[str, FragmentDefinitionNode]) -> None:
    """Refuse a fragment that contains itself (GraphQL specification, 5.5.2.2)."""
    for name, fragment in fragments.items():
        reached: set[str] = set()
        waiting = list(_spreads(fragment.selection_set))
        while waiting:
            spread = waiting.pop()
            if spread.name.value == name:
                raise error_at(spread, f"the fragment {name} holds itself", "Take this spread out.")
            if spread.name.value not in reached:
                reached.add(spread.name.value)
                waiting.extend(_spreads(fragments[spread.name.value].selection_set))


def _spreads(selections: SelectionSetNode | None) -> Iterator[FragmentSpreadNode]:
    for node in selections.selections if selections else ():
        if isinstance(node, FragmentSpreadNode):
            yield node
        elif isinstance(node, FieldNode | InlineFragmentNode):
            yield from _spreads(node.selection_set)
