"""Long sentences on a narrow terminal: broken between words, never elsewhere, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cli.app import application
from bridge.cli.demo_output import TerminalNarrator
from bridge.cli.output import wrap
from bridge.demo.run import next_steps
from bridge.sandbox import Options, Sandbox, configuration
from forking import at_a_terminal
from processes import LONG

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from typer._click.core import Command

NARROW = 50
COMMANDS = (
    ("check",),
    ("backfill", "products", "--dry-run"),
    ("disclose",),
    ("pause", "--reading"),
    ("records", "show", "--name", "nobody"),
    ("webhooks", "urls"),
    ("ledger", "check"),
    ("status",),
    ("records", "list"),
    ("init",),
)


def test_a_line_is_broken_between_words_and_hangs() -> None:
    assert wrap("one two three", 25, after=20, hanging=4) == "one\n    two three"


def test_a_word_longer_than_the_line_stays_whole() -> None:
    """It may be an address, or an id to copy."""
    address = "https://bridge.example.com/webhooks/"
    assert wrap(f"at {address} now", 22) == f"at\n{address}\nnow"


def test_wide_characters_count_twice() -> None:
    assert wrap("漢字漢字 漢字漢字 漢字漢字", 20) == "漢字漢字 漢字漢字\n漢字漢字"


def test_nothing_is_folded_but_on_a_terminal() -> None:
    """Where there is no width, lines only keep their indent."""
    assert wrap("word " * 100, None) == "word " * 100
    assert wrap("one\ntwo", None, hanging=2) == "one\n  two"


@given(
    st.lists(st.text("abc漢", min_size=1, max_size=30), min_size=1), st.integers(20, 60), st.integers(0, 8)
)
def test_no_word_is_lost_and_only_lone_words_are_too_long(words: list[str], width: int, hanging: int) -> None:
    from rich.cells import cell_len  # noqa: PLC0415 - only here

    lines = wrap(" ".join(words), width, hanging=hanging).split("\n")
    assert [word for line in lines for word in line.split()] == words
    assert all(cell_len(line) <= width or len(line.split()) == 1 for line in lines)


@pytest.fixture
async def sandbox(start_sandbox: Callable[[Options], Awaitable[Sandbox]]) -> Sandbox:
    return await start_sandbox(Options(contacts=20, products=20))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_no_sentence_is_wider_than_the_terminal(
    command: tuple[str, ...], sandbox: Sandbox, tmp_path: Path
) -> None:
    """What is left of long lines are single words, and commands to copy."""
    (tmp_path / "config.toml").write_text(configuration(sandbox))
    if command[0] in {"pause", "records", "ledger", "status"}:
        await _at_a_terminal(tmp_path, "backfill", "products")
    shown = await _at_a_terminal(tmp_path, *command)
    long = [line for line in shown if len(line) > NARROW]
    assert shown
    assert [line for line in long if len(line.split()) > 1 and not _may_be_long(line)] == []


PROGRAM = application()


def _every(command: Command, name: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
    yield name, command
    for below, inner in getattr(command, "commands", {}).items():
        yield from _every(inner, (*name, below))


HELPS = dict(_every(PROGRAM))


@pytest.mark.parametrize("name", HELPS, ids=lambda name: " ".join(name) or "the program")
def test_no_line_of_help_is_wider_than_a_terminal_of_80_columns(name: tuple[str, ...]) -> None:
    """Examples are not folded, so that they can be copied: they are short enough as they are."""
    context = HELPS[name].make_context(" ".join(("trakor-bridge", *name)), ["--help"], resilient_parsing=True)
    with context.scope():
        context.terminal_width = context.max_content_width = 80
        shown = HELPS[name].get_help(context)
    assert [line for line in shown.splitlines() if len(line) > 80] == []


LEAVES = [name for name, command in HELPS.items() if not hasattr(command, "commands") and not command.hidden]


@pytest.mark.parametrize("name", LEAVES, ids=" ".join)
def test_the_help_of_each_command_has_examples(name: tuple[str, ...]) -> None:
    """README says so; `ledger check` and `ledger vacuum` had none."""
    words = " ".join(("trakor-bridge", *name))
    assert re.search(rf"^Examples?:\n(?:  .+\n)*?  {words}\b", HELPS[name].help or "", re.MULTILINE)


async def test_two_records_of_one_name_are_listed_with_ids_that_can_be_copied(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(configuration(sandbox))
    ids = [sandbox.contacts.add("Maria Costa", email=f"{one}@example.org") for one in ("a", "b")]
    await _at_a_terminal(tmp_path, "backfill", "contacts")
    shown = await _at_a_terminal(tmp_path, "records", "show", "--name", "Maria Costa")
    assert all(any(identity in line for line in shown) for identity in ids)


async def test_what_forgetting_comes_to_is_folded(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(configuration(sandbox))
    ids = [sandbox.contacts.add("Maria Costa", email="maria@example.org") for _ in range(2)]
    await _at_a_terminal(tmp_path, "backfill", "contacts")
    for identity in ids:
        shown = await _at_a_terminal(tmp_path, "records", "forget", identity, "--yes")
        assert [line for line in shown if len(line) > NARROW] == []


def test_how_to_go_on_after_a_demonstration_is_folded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """But for the commands, which stand on indented lines."""
    monkeypatch.setenv("COLUMNS", "80")
    TerminalNarrator().closing(next_steps(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 5
    assert [line for line in lines if len(line) > 80 and not line.startswith("  ")] == []


def _may_be_long(line: str) -> bool:
    """Commands, progress, and an address or path after a head."""
    lone = re.fullmatch(r"error: \S+", line) is not None
    return lone or line.lstrip().startswith("trakor-bridge ") or "━" in line


async def _at_a_terminal(folder: Path, *command: str) -> list[str]:
    """Run a command at a terminal of so many columns; gives the lines that it shows."""
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    async with asyncio.timeout(LONG):
        _, shown = await at_a_terminal(command, folder, environment, NARROW)
    return shown.splitlines()
