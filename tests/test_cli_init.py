"""`init`: nothing is written untried, nothing is overwritten, and what is written works."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from bridge.errors import UserError
from bridge.first_configuration import SourceAnswers, TargetAnswers, copy_queries, write
from bridge.sandbox import Options, Sandbox
from bridge.settings import load
from forking import program

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

SOURCE = SourceAnswers("https://app.salestrekker.com/graphql", api_key="key-of-salestrekker")
TARGET = TargetAnswers("https://your-app.example/api/public/v1", "sk_live_key-of-trakor")


async def _init(
    folder: Path, *options: str, environment: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Run `trakor-bridge init` without a terminal."""
    process = await asyncio.create_subprocess_exec(
        *program(),
        "init",
        *options,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def _keys(sandbox: Sandbox) -> dict[str, str]:
    return {
        "TRAKOR_BRIDGE_SALESTREKKER__API_KEY": sandbox.options.api_key,
        "TRAKOR_BRIDGE_TRAKOR__API_KEY": sandbox.options.trakor_key,
    }


def _addresses(sandbox: Sandbox) -> list[str]:
    return ["--salestrekker-url", sandbox.salestrekker_url, "--trakor-url", sandbox.trakor_url]


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_it_writes_what_works_and_names_the_next_commands(sandbox: Sandbox, tmp_path: Path) -> None:
    """Addresses as options, keys from the environment; the files are readable by their owner alone."""
    status, out, err = await _init(tmp_path, *_addresses(sandbox), environment=_keys(sandbox))
    assert status == 0, err
    assert re.findall(r"trakor-bridge (\w+)", out) == ["check", "backfill", "backfill", "status"]
    assert "trakor-bridge backfill --dry-run" in out
    settings = load(tmp_path / "config.toml", {})
    assert settings.connections["default"].salestrekker.url == sandbox.salestrekker_url
    files = [tmp_path / "config.toml", *(tmp_path / "secrets").iterdir()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert sandbox.options.api_key not in (tmp_path / "config.toml").read_text() + out + err
    (token,) = settings.connections["default"].webhook_tokens
    assert token.get_secret_value() == (tmp_path / "secrets" / "webhook-token").read_text().strip()
    assert settings.ledger.key is not None


async def test_an_address_where_nobody_is_is_said_with_what_it_may_come_from(tmp_path: Path) -> None:
    """Without a terminal it ends there, whatever keys there are; nothing is written."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listened on: nobody else can take it
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/graphql"
        keys = {"TRAKOR_BRIDGE_SALESTREKKER__API_KEY": "a"}
        status, _, err = await _init(tmp_path, "--salestrekker-url", url, environment=keys)
    assert status == 1
    assert "nothing listens at this port" in err
    assert not _files(tmp_path)


async def test_what_is_refused_is_said_and_nothing_is_written(sandbox: Sandbox, tmp_path: Path) -> None:
    """A wrong key of either system: exit 4, no file."""
    for wrong in _keys(sandbox):
        keys = _keys(sandbox) | {wrong: "sk_live_wrong"}
        status, _, err = await _init(tmp_path, *_addresses(sandbox), environment=keys)
        assert status == 4
        assert "what to do" in err
        assert not _files(tmp_path)
    assert len(sandbox.trakor.parties) == 0


async def test_a_missing_answer_is_named_where_nobody_can_be_asked(tmp_path: Path) -> None:
    """Without a terminal the option is named; exit 2."""
    status, _, err = await _init(tmp_path)
    assert status == 2
    assert "--salestrekker-url is missing" in err


async def test_no_key_is_handed_to_another_machine_over_plain_http(tmp_path: Path) -> None:
    """It is refused before anything is asked of that address."""
    status, _, err = await _init(tmp_path, "--salestrekker-url", "http://app.salestrekker.example/graphql")
    assert status == 2
    assert "not encrypted" in err


async def test_an_address_without_its_beginning_is_taken_as_https(tmp_path: Path) -> None:
    keys = {"TRAKOR_BRIDGE_SALESTREKKER__API_KEY": "a", "TRAKOR_BRIDGE_TRAKOR__API_KEY": "b"}
    addresses = ["--salestrekker-url", "app.example/graphql", "--trakor-url", "trakor.example/api/public/v1"]
    status, _, err = await _init(tmp_path, *addresses, "--untried", environment=keys)
    assert status == 0, err
    connection = load(tmp_path / "config.toml", {}).connections["default"]
    assert connection.salestrekker.url == "https://app.example/graphql"
    assert connection.trakor.url == "https://trakor.example/api/public/v1"


async def test_an_address_of_something_else_is_refused(tmp_path: Path) -> None:
    status, _, err = await _init(tmp_path, "--salestrekker-url", "ftp://app.example/graphql", "--untried")
    assert status == 2
    assert "must begin with https://" in err


async def test_a_log_in_by_e_mail_is_kept_likewise(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]], tmp_path: Path
) -> None:
    """E-mail in the configuration, the password in a file of its own."""
    sandbox = await start_sandbox(Options(contacts=1, products=1))
    keys = _keys(sandbox) | {"TRAKOR_BRIDGE_SALESTREKKER__PASSWORD": sandbox.options.password}
    del keys["TRAKOR_BRIDGE_SALESTREKKER__API_KEY"]
    status, _, err = await _init(
        tmp_path, *_addresses(sandbox), "--email", sandbox.options.email, environment=keys
    )
    assert status == 0, err
    source = load(tmp_path / "config.toml", {}).connections["default"].salestrekker
    assert source.email == sandbox.options.email
    assert source.password is not None
    assert source.password.get_secret_value() == sandbox.options.password


async def test_who_answers_no_further_has_interrupted_it(tmp_path: Path) -> None:
    """Ctrl-D at a question: exit 130, no file."""
    ours, process = await _at_a_terminal(tmp_path)
    await _converse(ours, [("GraphQL address", "\x04")])
    async with asyncio.timeout(30):
        assert await process.wait() == 130
    os.close(ours)
    assert not _files(tmp_path)


async def test_on_a_terminal_it_asks_and_shows_no_key_that_is_typed(sandbox: Sandbox, tmp_path: Path) -> None:
    """Four questions answered at a pseudo-terminal; the keys are not echoed."""
    ours, process = await _at_a_terminal(tmp_path)
    answers = [
        ("GraphQL address", sandbox.salestrekker_url),
        ("API key", sandbox.options.api_key),
        ("Trakor's address", sandbox.trakor_url),
        ("Trakor's API key", sandbox.options.trakor_key),
    ]
    shown = await _converse(ours, answers)
    async with asyncio.timeout(30):
        assert await process.wait() == 0, shown
    os.close(ours)
    assert (tmp_path / "config.toml").exists()
    assert sandbox.options.api_key not in shown
    assert sandbox.options.trakor_key not in shown


async def test_a_slip_in_an_address_is_asked_for_again_before_any_key(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """What is no address, and one where something else is, each leave the question standing."""
    ours, process = await _at_a_terminal(tmp_path)
    elsewhere = sandbox.salestrekker_url.removesuffix("/graphql") + "/other"
    answers = [
        ("GraphQL address", "ftp://app.example/graphql"),
        ("must begin with https://", "https://app example"),
        ("must be an address", elsewhere),
        (f"GraphQL requests are answered at {sandbox.salestrekker_url}", "y"),
        ("GraphQL address", sandbox.salestrekker_url),
        ("API key", sandbox.options.api_key),
        ("Trakor's address", sandbox.trakor_url.removesuffix("/v1")),
        ("Try again?", "y"),
        ("Trakor's address", sandbox.trakor_url),
        ("Trakor's API key", sandbox.options.trakor_key),
    ]
    shown = await _converse(ours, answers)
    async with asyncio.timeout(30):
        assert await process.wait() == 0, shown
    os.close(ours)
    assert shown.count("Salestrekker's API key") == 1
    assert shown.count("Trakor's API key") == 1


async def test_after_a_wrong_key_the_address_that_answered_is_kept(sandbox: Sandbox, tmp_path: Path) -> None:
    """An empty answer takes it again; who does not want to try again is let go with exit 4."""
    ours, process = await _at_a_terminal(tmp_path)
    answers = [
        ("GraphQL address", sandbox.salestrekker_url),
        ("API key", "wrong"),
        ("Try again?", "y"),
        (f"GraphQL address [{sandbox.salestrekker_url}]", ""),
        ("API key", "wrong, too"),
        ("Try again?", "n"),
    ]
    shown = await _converse(ours, answers)
    async with asyncio.timeout(30):
        assert await process.wait() == 4, shown
    os.close(ours)
    assert not _files(tmp_path)


async def _at_a_terminal(folder: Path) -> tuple[int, asyncio.subprocess.Process]:
    """`trakor-bridge init` at a pseudo-terminal, and our end of it."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *program(),
        "init",
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    return ours, process


async def _converse(terminal: int, answers: list[tuple[str, str]]) -> str:
    """Type each answer once its question stands on the screen; gives all that was shown."""
    parts: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            parts.put_nowait(os.read(terminal, 4096).decode())
        except OSError:  # what Linux says when the other end is closed
            loop.remove_reader(terminal)
            parts.put_nowait("")

    loop.add_reader(terminal, read)
    shown = ""
    async with asyncio.timeout(60):
        for question, answer in answers:
            since = len(shown)
            # The space comes last, when what was typed ahead has been thrown away.
            while question not in shown[since:] or not shown.endswith(": "):
                part = await parts.get()
                assert part, shown
                shown += part
            os.write(terminal, f"{answer}\n".encode())
        while part := await parts.get():
            shown += part
    return shown


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A file that is there stops it before any other is written."""
    (tmp_path / "secrets").mkdir()
    precious = tmp_path / "secrets" / "ledger-key"
    precious.write_text("precious")
    with pytest.raises(UserError, match="already exists"):
        write(tmp_path / "config.toml", SOURCE, TARGET)
    assert precious.read_text() == "precious"
    assert not (tmp_path / "config.toml").exists()


def test_queries_are_copied_once_and_changes_to_them_are_kept(tmp_path: Path) -> None:
    """A second time only what is missing is copied."""
    copied, kept = copy_queries(tmp_path)
    assert kept == []
    copied[0].write_text("# changed")
    copied[1].unlink()
    again, left = copy_queries(tmp_path)
    assert again == [copied[1]]
    assert copied[0] in left
    assert copied[0].read_text() == "# changed"
