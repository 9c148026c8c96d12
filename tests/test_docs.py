"""README, docs/ and the code say the same, and what the pages tell a reader to type works."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pytest
import typer
from typer.main import get_command

import bridge
from bridge.cli.app import application
from bridge.records import Origin, Reason, State, Stream
from documentation import (
    anchors,
    blocks,
    blocks_that_cannot_be_parsed,
    calls_that_do_not_exist,
    links,
    links_that_lead_nowhere,
    paths_that_do_not_exist,
    resolved,
    section,
    slug,
    spans,
    tables,
    visible_commands,
    words_of_other_vocabularies,
)
from forking import program_for_shells
from typist import Terminal, end, session, shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from typer.core import TyperGroup

ROOT = Path(__file__).parent.parent


def repository() -> set[str]:
    """Every file that is committed, or would be; from the top of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - the one on the PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {name for name in listed.stdout.split("\0") if (ROOT / name).is_file()}


FILES = repository()
PAGES = {name: (ROOT / name).read_text("utf-8") for name in sorted(FILES) if name.endswith(".md")}
README = PAGES["README.md"]
GLOSSARY = PAGES["docs/glossary.md"]


def program() -> TyperGroup:
    command: Any = application()
    return command  # type: ignore[no-any-return]  # an application with several commands is a group of them


# -- links, paths, blocks, words ------------------------------------------------------------------


def test_every_link_and_anchor_leads_somewhere() -> None:
    assert sum(len([*links(text)]) for text in PAGES.values()) > 50
    assert [*links_that_lead_nowhere(PAGES, FILES)] == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[x](nowhere.md)", "leads to no file"),
        ("[x](../README.md)", "leads to no file"),
        ("[x](other.md#not-there)", "leads to no heading"),
        ("[x](#not-there)", "leads to no heading"),
        ("[x](other.md#a-heading-here)", ""),
        ("[x](other.md#a-heading-here-1)", ""),
        ("[`x`](../docs/other.md) and [y](../docs)", ""),
        ("`[x](nowhere.md)` stands for itself", "leads to no file"),
        ("```\n[x](nowhere.md)\n```\n", ""),
        ("[x](https://example.com/nowhere.md#not-there)", ""),
    ],
)
def test_a_link_that_leads_nowhere_is_found(text: str, fault: str) -> None:
    pages = {"docs/page.md": text, "docs/other.md": "# A `heading`, here\n\n## A heading here\n"}
    faults = [*links_that_lead_nowhere(pages, pages)]
    assert (fault in faults[0] and len(faults) == 1) if fault else not faults


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("`[trakor]`: where they go", "trakor-where-they-go"),
        ("The third heading", "the-third-heading"),
        ("8. A retry never makes an outage worse", "8-a-retry-never-makes-an-outage-worse"),
        ("Links [inside](x.md) é_-", "links-inside-é_-"),
    ],
)
def test_an_anchor_is_made_as_github_makes_it(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor
    assert anchors(f"## {heading}\n") == {anchor}


def test_every_path_that_a_page_names_exists() -> None:
    assert [*paths_that_do_not_exist(PAGES, FILES)] == []


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("`bridge/mapping/mapper.py`, `bridge/mapping`, `bridge/mapping/`", 0),
        ("`bridge/*/mapper.py`", 0),
        ("`bridge/mapping/maper.py`", 1),
        ("`bridge/map`", 1),
        ("`tests/mapper.py` and `docs/mapping/*.md`", 2),
        ("```\nbridge/nowhere.py\n```\n", 0),
    ],
)
def test_a_path_that_does_not_exist_is_found(text: str, faults: int) -> None:
    assert len([*paths_that_do_not_exist({"page.md": text}, {"bridge/mapping/mapper.py"})]) == faults


def test_every_block_of_code_can_be_parsed() -> None:
    languages = {block.language for text in PAGES.values() for block in blocks(text)}
    assert {"python", "toml", "graphql", "console"} <= languages
    assert [*blocks_that_cannot_be_parsed(PAGES)] == []


@pytest.mark.parametrize(
    ("language", "good", "bad"),
    [
        ("python", "await x\n", "def f(:\n"),
        ("toml", 'x = "1"\n', "x = one\n"),
        ("json", '{"x": 1}\n', "{x: 1}\n"),
        ("graphql", "query A { a }\n", "query A { a\n"),
    ],
)
def test_a_block_that_cannot_be_parsed_is_found(language: str, good: str, bad: str) -> None:
    assert [*blocks_that_cannot_be_parsed({"page.md": f"```{language}\n{good}```\n"})] == []
    (fault,) = blocks_that_cannot_be_parsed({"page.md": f"text\n\n```{language}\n{bad}```\n"})
    assert fault.startswith("page.md:3: ")


def test_no_page_speaks_another_vocabulary() -> None:
    assert [*words_of_other_vocabularies(PAGES)] == []


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("Each Customer, each sync job", 2),
        ("is deduplicated by entity", 2),
        ("an identity, a custom map, the tenancy", 0),
    ],
)
def test_a_word_of_another_vocabulary_is_found(text: str, faults: int) -> None:
    assert len([*words_of_other_vocabularies({"page.md": text})]) == faults


# -- commands -------------------------------------------------------------------------------------


def test_every_call_of_the_program_would_be_understood() -> None:
    """Commands, options and the words that they take; what is not built yet is not shown as if it were."""
    assert [*calls_that_do_not_exist(PAGES, program())] == []


def example() -> TyperGroup:
    """A small program: `send`, with an option that is not built yet, `later`, and `records list`."""
    app, below = typer.Typer(), typer.Typer()

    @app.command()
    def send(
        streams: list[Stream],
        *,
        number: Annotated[int, typer.Option("--number")] = 1,
        fast: Annotated[bool, typer.Option("--fast", hidden=True)] = False,
    ) -> None:
        """Is only parsed."""

    @app.command(hidden=True)
    def later() -> None:
        """Is only named."""

    @below.command("list")
    def list_records(name: str = "", *, plain: bool = False) -> None:
        """Is only parsed."""

    app.add_typer(below, name="records", no_args_is_help=True)
    below.command("show")(later)
    command: Any = get_command(app)
    return command  # type: ignore[no-any-return]  # as in program()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("`trakor-bridge sent contacts`", "sent"),
        ("`trakor-bridge send contacts --numbers 3`", "--numbers"),
        ("`trakor-bridge send deals`", "deals"),
        ("`trakor-bridge send contacts --fast`", "not built yet"),
        ("`trakor-bridge later`", "not built yet"),
        ("`trakor-bridge records lists`", "lists"),
        ("`trakor-bridge records list too`", "too"),
        ("`python -m bridge send contacts --number many`", "many"),
        ("```console\n$ cd x && trakor-bridge send contacts --nmber 3 > out &\n```\n", "--nmber"),
        ("```console\n$ .venv/bin/trakor-bridge send contacts \\\n    --speed 3\n```\n", "--speed"),
        ("```console\nerror: `trakor-bridge nothing`\n```\n", ""),
        ("```console\n$ trakor-bridge send contacts --number 3 > out &  # a remark\n```\n", ""),
        ("`trakor-bridge send [contacts] [products]`, `trakor-bridge`, `trakor-bridge --help`", ""),
        ("`trakor-bridge records`, `trakor-bridge records list --plain 2>/dev/null | head`", ""),
    ],
)
def test_a_call_that_would_not_be_understood_is_found(text: str, fault: str) -> None:
    faults = [*calls_that_do_not_exist({"page.md": text}, example())]
    assert (len(faults) == 1 and fault in faults[0]) if fault else not faults


def test_the_readme_lists_every_command_and_no_other() -> None:
    listed = {
        span.split()[0]
        for cell in next(iter(tables(section(README, "Commands"))))
        for span in re.findall(r"`([^`]+)`", cell)
    }
    assert listed == visible_commands(program())


def test_each_command_of_the_readme_would_be_understood_with_an_id_or_a_path() -> None:
    cells = next(iter(tables(section(README, "Commands"))))
    calls = [span for cell in cells for span in re.findall(r"`([^`]+)`", cell)]
    text = "".join(f"`trakor-bridge {call}`\n" for call in calls)
    assert len(calls) > len(cells)
    assert [*calls_that_do_not_exist({"README.md": text}, program())] == []


def test_what_is_not_built_is_said_in_the_readme_and_in_the_changelog() -> None:
    unreleased = section(PAGES["CHANGELOG.md"], "Unreleased").partition("### ")[0]
    for text in (section(README, "Not built yet"), unreleased):
        named = {span.split()[0] for span in spans(text)}
        partly = {"backfill", "records", "status", "ledger"}
        assert named & visible_commands(program()) <= partly, "a command that is built is named"


def test_the_changelog_names_every_command_and_keeps_its_form() -> None:
    text = PAGES["CHANGELOG.md"]
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert {*re.findall(r"^### (.+)$", text, re.MULTILINE)} <= kinds
    named = {span.split()[0] for span in spans(text)}
    assert visible_commands(program()) <= named


def test_the_exit_statuses_are_those_of_the_backfills_help() -> None:
    (listed,) = (cells for cells in tables(section(README, "Commands")) if "130" in cells)
    text = program().commands["backfill"].help or ""
    assert listed == re.findall(r"^  (\d+) +\S", text, re.MULTILINE)


def test_every_make_target_that_a_page_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = {
        match
        for text in PAGES.values()
        for match in re.findall(r"(?:`|^\$ )make ([a-z][a-z-]*)", text, re.MULTILINE)
    }
    assert "demo" in named
    assert named <= {*re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE)}


# -- glossary, index ------------------------------------------------------------------------------


def first_cells(head: str) -> set[str]:
    """The first column of the glossary's table whose first head this is."""
    (found,) = re.findall(rf"^\| {head} \|.*\n\|[-|]+\n((?:\|.*\n)+)", GLOSSARY, re.MULTILINE)
    return {*re.findall(r"^\| `([a-z-]+)` \|", found, re.MULTILINE)}


@pytest.mark.parametrize(("title", "words"), [("state", State), ("reason", Reason), ("origin", Origin)])
def test_the_glossary_has_every_state_reason_and_origin(
    title: str, words: type[State | Reason | Origin]
) -> None:
    assert first_cells(title) == {*words}


def test_every_word_of_the_glossary_is_used_somewhere_else() -> None:
    terms = {
        term
        for line in GLOSSARY.splitlines()
        if line.startswith("**")
        for term in re.findall(r"\*\*(.+?)\*\*", line)
    }
    assert len(terms) > 60
    sources = [(ROOT / name).read_text("utf-8") for name in FILES if re.match(r"bridge/.*\.py$", name)]
    pages = [text for name, text in PAGES.items() if name != "docs/glossary.md"]
    used = " ".join("\n".join([*sources, *pages]).lower().split())
    assert [term for term in sorted(terms) if term.lower() not in used] == []


def test_the_index_leads_to_every_page_of_the_documentation() -> None:
    listed = {resolved("docs/README.md", link.partition("#")[0]) for link in links(PAGES["docs/README.md"])}
    assert {name for name in PAGES if name.startswith("docs/")} - {"docs/README.md"} <= listed


def test_each_record_of_a_decision_has_its_number_and_its_four_parts() -> None:
    records = sorted(name for name in PAGES if name.startswith("docs/adr/"))
    for number, name in enumerate(records, 1):
        text = PAGES[name]
        assert re.match(rf"docs/adr/{number:04}-[a-z0-9-]+\.md$", name)
        assert text.startswith(f"# {number:04} ")
        assert re.search(r"^\*\*Status\*\*: (accepted|replaced by \[\d{4}\]\(.+\))\.$", text, re.MULTILINE)
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert (headings[0], headings[-1]) == ("Situation", "Consequences")


# -- what a reader types --------------------------------------------------------------------------


@pytest.fixture
async def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Terminal]:
    """A shell in a folder that holds what a checkout has, the program's command on its path."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "activate").touch()
    program_for_shells(programs)
    shutil.copy(ROOT / "config.example.toml", tmp_path)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(bridge.__file__).parent.parent))
    monkeypatch.setenv("COLUMNS", "120")
    async with AsyncExitStack() as stack:
        shell = await asyncio.create_subprocess_exec(
            "bash",
            "--noprofile",
            "--norc",
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stack.enter_context((tmp_path / "errors").open("wb")),
        )
        stack.push_async_callback(end, shell)
        yield Terminal(shell, stack, tmp_path / "errors")


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ("a  1\nin 2.5 s.\n", True),
        ("a  1\nin 2.5 s.\nmore\n", False),
        ("a  2\nin 2.5 s.\n", False),
        ("", False),
    ],
)
def test_output_that_is_another_one_is_found(said: str, fits: bool) -> None:  # noqa: FBT001 - a test's argument
    assert bool(shown(["a  1", "in … s."]).fullmatch(said)) is fits


def test_the_readme_shows_the_beginning_of_the_quick_start() -> None:
    """So that both are true when the page is."""
    beginning = [*session(section(README, "Quick start: the sandbox"))]
    assert len(beginning) > 4
    assert [*session(PAGES["docs/quickstart.md"])][: len(beginning)] == beginning


@pytest.mark.acceptance
@pytest.mark.timeout(300)  # some twenty commands, each a process of its own
async def test_the_quick_start_does_what_it_shows(terminal: Terminal) -> None:
    commands = [*session(PAGES["docs/quickstart.md"])]
    assert len(commands) > 20
    for command, lines in commands:
        said = await terminal.type(command)
        said += "\n" if said and not said.endswith("\n") else ""  # some leave the line open
        assert shown(lines).fullmatch(said), f"$ {command}\n{said}\n{terminal.errors.read_text()}"
