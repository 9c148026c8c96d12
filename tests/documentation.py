"""The rules that the documentation keeps, checked on the text of every page.

A rule takes the pages and what they are held against, and gives its faults, each a sentence with its place::

    pages (path -> Markdown) ──rule──> "docs/x.md: …"

Like the rules of ``architecture.py`` each is first shown a page that breaks it (``test_docs.py``).
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import graphql
from typer import Exit, TyperException
from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from typer._click.core import Command, Context

Pages: TypeAlias = "Mapping[str, str]"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
PROGRAM = re.compile(r"^(trakor-bridge|python -m bridge)(?= |$)")
PATH = re.compile(r"^(?:bridge|tests|docs|queries|bench|tools|deploy|\.ci|\.github)/[\w./*<>-]*$")
REDIRECTED = re.compile(r"\s*(?:2?>>?|<)\s*\S+|\s*&$")
COMMENT = re.compile(r"\s+#\s.*$")

VOCABULARY = {
    r"customers?": "a contact at the source, a party in Trakor",
    r"sync jobs?": "a run, or a sweep",
    r"dedup\w*|de-dup\w*": "to merge, or to claim a name",
    r"entit(?:y|ies)": "a record",
    r"upserts?": "to write",
    r"tenants?": "an organisation",
    r"connectors?": "a connection",
    r"(?:dead.letter|failed) (?:queue|records?)": "records that are held or rejected",
    r"(?:white|black)list\w*": "the list, by what it is for",
}
"""Words of other vocabularies, and what is said here instead (docs/glossary.md)."""

AWAIT = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

PARSERS: Mapping[str, Callable[[str], object]] = {
    "python": partial(compile, filename="", mode="exec", flags=AWAIT),
    "toml": tomllib.loads,
    "json": json.loads,
    "graphql": graphql.parse,
}


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, and where it begins."""

    language: str
    text: str
    start: int


def blocks(text: str) -> Iterator[Block]:
    for match in FENCE.finditer(text):
        yield Block(match[1], match[2], match.start())


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", text)


def spans(text: str) -> Iterator[str]:
    """What stands in backticks, in the prose."""
    return (match[1] for match in SPAN.finditer(prose(text)))


def section(text: str, title: str) -> str:
    """A page's section, from its heading to the next of the same or a higher level."""
    begin = re.search(rf"^(#+) {re.escape(title)} *$", text, re.MULTILINE)
    if begin is None:
        raise LookupError(f"there is no section {title!r}")
    end = re.compile(rf"^#{{1,{len(begin[1])}}} ", re.MULTILINE).search(text, begin.end())
    return text[begin.end() : end.start() if end else len(text)]


# -- commands -------------------------------------------------------------------------------------


def typed(block: Block) -> Iterator[str]:
    """The commands of a console block: what stands after the prompt, without comments."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            yield COMMENT.sub("", line[2:]).strip()


def invocations(text: str) -> Iterator[str]:
    """Each call of the program on a page: in console blocks, crontabs and between backticks."""
    lines = [line for block in blocks(text) if block.language in {"console", ""} for line in typed(block)]
    for line in [*lines, *spans(text)]:
        for part in re.split(r"\s*(?:&&|\|\|?|;)\s*", line):
            plain = re.sub(r"^\.venv/bin/", "", part.strip())
            if PROGRAM.match(plain):
                yield PROGRAM.sub("", REDIRECTED.sub("", plain)).strip()


def calls_that_do_not_exist(pages: Pages, program: TyperGroup) -> Iterator[str]:
    for page, text in pages.items():
        for call in invocations(text):
            if fault := misuse(program, shlex.split(call)):
                yield f"{page}: `trakor-bridge {call}`: {fault}"


def misuse(program: TyperGroup, words: list[str]) -> str:
    """What is wrong with the words after the program's name; "" where they would be understood."""
    # A part of a synopsis stands for itself: "[contacts]", "…".
    words = [word.strip("[]") for word in words if word.strip("[]…")]
    try:
        return misuse_below(program, "trakor-bridge", words, None)
    except Exit:
        return ""  # --help, --version
    except TyperException as error:
        return getattr(error, "format_message", partial(str, error))()


def misuse_below(command: Command, name: str, words: list[str], above: Context | None) -> str:
    if command.hidden:
        return f"{name} is not built yet"
    hidden = {option for one in command.params if getattr(one, "hidden", False) for option in one.opts}
    if unbuilt := hidden & {*words}:
        return f"{', '.join(unbuilt)} is not built yet"
    if not isinstance(command, TyperGroup):
        command.make_context(name, words, parent=above)
        return ""
    if not words:
        return ""  # the name alone, in a sentence
    context = command.make_context(name, [*words], parent=above)
    below, inner, rest = command.resolve_command(context, words)
    return misuse_below(inner, below, rest, context) if inner and below else f"there is no {words[0]}"


def visible_commands(program: TyperGroup) -> set[str]:
    return {name for name, command in program.commands.items() if not command.hidden}


# -- links and paths ------------------------------------------------------------------------------


def slug(heading: str) -> str:
    """The anchor that a heading gets, as GitHub makes it."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    kept = [one for one in plain if one in " -_" or unicodedata.category(one)[0] in "LNM"]
    return "".join(kept).replace(" ", "-")


def anchors(text: str) -> set[str]:
    found: set[str] = set()
    for heading in HEADING.findall(prose(text)):
        name, number = slug(heading), 0
        while (anchor := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(anchor)
    return found


def links(text: str) -> Iterator[str]:
    return (match[1] for match in LINK.finditer(prose(text)) if "://" not in match[1])


def resolved(page: str, target: str) -> str:
    """The path that a link leads to, from the top of the repository."""
    parts = page.split("/")[:-1]
    for step in target.rstrip("/").split("/"):
        if step == ".." and parts:
            parts.pop()
        elif step not in {"", "."}:
            parts.append(step)
    return "/".join(parts)


def links_that_lead_nowhere(pages: Pages, files: Collection[str]) -> Iterator[str]:
    folders = {path.rsplit("/", count)[0] for path in files for count in range(1, path.count("/") + 1)}
    for page, text in pages.items():
        for link in links(text):
            target, _, anchor = link.partition("#")
            path = resolved(page, target) if target else page
            if path not in files and path not in folders:
                yield f"{page}: the link to {link} leads to no file"
            elif anchor and anchor not in anchors(pages.get(path, "")):
                yield f"{page}: the link to {link} leads to no heading"


def paths_that_do_not_exist(pages: Pages, files: Collection[str]) -> Iterator[str]:
    """Paths of this repository between backticks; ``*`` stands for any name."""
    for page, text in pages.items():
        for path in filter(PATH.match, spans(text)):
            pattern = re.escape(path.rstrip("/")).replace(r"\*", "[^/]*") + "(/.*)?"
            if not any(re.fullmatch(pattern, file) for file in files):
                yield f"{page}: there is no {path}"


# -- blocks and words -----------------------------------------------------------------------------


def blocks_that_cannot_be_parsed(pages: Pages) -> Iterator[str]:
    for page, text in pages.items():
        for block in blocks(text):
            parse = PARSERS.get(block.language)
            line = text.count("\n", 0, block.start) + 1
            try:
                if parse is not None:
                    parse(block.text)
            except (SyntaxError, ValueError, graphql.GraphQLSyntaxError) as error:
                yield f"{page}:{line}: the {block.language} cannot be parsed: {error}"


def words_of_other_vocabularies(pages: Pages) -> Iterator[str]:
    for page, text in pages.items():
        for pattern, ours in VOCABULARY.items():
            for match in re.finditer(rf"\b(?:{pattern})\b", text, re.IGNORECASE):
                yield f"{page}: {match[0]!r} is not a word of ours: {ours}"


def tables(text: str) -> Iterator[list[str]]:
    """The first cells of each table's rows, without its head."""
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        yield [row.split("|")[1].strip() for row in table.splitlines()[2:]]
