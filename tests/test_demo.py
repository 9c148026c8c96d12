"""The demonstration as a command: what it shows is true, on any terminal, and nothing of it stays."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import shutil
import signal
import stat
import struct
import subprocess
import sys
import termios
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from bridge import settings
from bridge.ledger.database import reading
from bridge.ledger.read_model import RecordQuery, iterate_records
from documentation import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator


KINDS = ("created", "merged", "held", "drifted", "rejected", "skipped")
QUICK_START = Path(__file__).parent.parent / "docs" / "quickstart.md"
SCENES = ("renamed", "created", "a deal", "revoked", "frozen", "thawed")
WHERE = "Where all"
DEMO = (sys.executable, "-m", "bridge", "demo")
SECONDS = 60


class Shown:
    """What a demonstration printed, read as a person would."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def chapters(self) -> list[str]:
        """What stands under each numbered title, without the line ends that only the width made."""
        parts = re.split(r"^\d+\. ", self.text, flags=re.MULTILINE)[1:]
        return [re.sub(r"\s+", " ", part) for part in parts]

    def chapter(self, title: str) -> str:
        """What stands under a title that begins so."""
        (found,) = [chapter for chapter in self.chapters if chapter.startswith(title)]
        return found

    @cached_property
    def scenes(self) -> dict[str, str]:
        """What happened while the daemon ran -> what is printed of it."""
        parts = re.split(rf" ({'|'.join(SCENES)}) (?=[A-Z])", self.chapter("The daemon"))
        return dict(zip(parts[1::2], parts[2::2], strict=True))

    @cached_property
    def tables(self) -> list[dict[str, dict[str, int]]]:
        """Of each backfill, stream -> word -> number."""
        tables = []
        lines = [line.split() for line in self.text.splitlines()]
        for at, words in enumerate(lines):
            if words[:1] == ["read"]:
                rows = lines[at + 1 : at + 3]
                tables.append(
                    {name: dict(zip(words, map(int, numbers), strict=True)) for name, *numbers in rows}
                )
        return tables

    @cached_property
    def requests(self) -> list[int]:
        """How many each backfill sent, and before the last one the daemon."""
        return [number(found) for found in re.findall(r"Trakor\s+saw\s+([\d,]+)\s+request", self.text)]

    @cached_property
    def kinds(self) -> dict[str, int]:
        """Outcome -> how many records have it."""
        told = self.text[self.text.index(WHERE) :]
        found = re.findall(rf"^ +({'|'.join(KINDS)}) +\S.*\n +([\d,]+) ", told, flags=re.MULTILINE)
        return {word: number(count) for word, count in found}

    @cached_property
    def commands(self) -> list[str]:
        """The commands that lead on from the examples."""
        lines = [line[13:].strip() for line in self.text.splitlines()]
        return [line for line in lines if line.startswith("trakor-bridge ")]


def number(text: str) -> int:
    return int(text.replace(",", ""))


def start(
    folder: Path, *options: str, columns: str = "200", terminal: int | None = None
) -> subprocess.Popen[str]:
    """A demonstration in an environment that would break every command that reads it.

    Args:
        folder: It begins in ``here``, beside a broken configuration; ``there`` is for temporary files.
        options: On the command line.
        columns: As the environment has it; empty for not at all.
        terminal: In place of pipes.
    """
    (folder / "here").mkdir()
    (folder / "there").mkdir()
    (folder / "here" / "config.toml").write_text("this is = = no configuration")
    colours = {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}
    environment = {
        **{name: value for name, value in os.environ.items() if name not in colours},
        **({"COLUMNS": columns} if columns else {}),
        "TERM": "xterm-256color",
        "TMPDIR": str(folder / "there"),
        "TRAKOR_BRIDGE_CONFIG": "/there/is/no/such/file.toml",
        "TRAKOR_BRIDGE_NO__SUCH_KEY": "1",
    }
    output = subprocess.PIPE if terminal is None else terminal
    return subprocess.Popen(  # noqa: S603 - our own command
        [*DEMO, *options],
        cwd=folder / "here",
        env=environment,
        stdin=terminal,
        stdout=output,
        stderr=output,
        encoding="utf-8",
        start_new_session=terminal is not None,
    )


def left_by(folder: Path) -> list[Path]:
    """What a demonstration left behind."""
    beside = [path for path in (folder / "here").iterdir() if path.name != "config.toml"]
    return [*(folder / "there").iterdir(), *beside]


class Ended(NamedTuple):
    status: int
    text: str
    complaints: str
    left: list[Path]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """One demonstration without a terminal, whose files are kept."""
    folder = tmp_path_factory.mktemp("demo")
    with start(folder, "--keep") as process:
        text, complaints = process.communicate(timeout=SECONDS)
    return Ended(process.returncode, text, complaints, left_by(folder))


@pytest.fixture(scope="module")
def shown(ended: Ended) -> Shown:
    return Shown(ended.text)


# -- as a command ---------------------------------------------------------------------------------


@pytest.mark.acceptance
def test_without_a_terminal_it_prints_plain_lines_of_100_columns_at_most(ended: Ended) -> None:
    assert (ended.status, ended.complaints) == (0, "")
    assert re.findall(r"[^\n\x20-\x7e\u00a0-\uffff]", ended.text) == []
    assert max(map(len, ended.text.splitlines())) <= 100


@pytest.mark.acceptance
def test_the_second_backfill_sends_nothing(shown: Shown) -> None:
    first, second, third, _, last = shown.requests
    assert (second, third, last) == (0, 1, 0)
    assert first == sum(row["created"] for row in shown.tables[0].values())
    assert shown.tables[1]["contacts"]["unchanged"] == shown.tables[0]["contacts"]["created"]


@pytest.mark.acceptance
def test_the_numbers_of_each_backfill_add_up(shown: Shown) -> None:
    assert len(shown.tables) == 4
    for row in [row for table in shown.tables for row in table.values()]:
        assert row["read"] == sum(count for word, count in row.items() if word != "read") > 0


@pytest.mark.acceptance
def test_the_explained_kinds_are_those_of_the_last_backfill(shown: Shown) -> None:
    last = shown.tables[-1]
    of_last = {word: sum(row.get(word, 0) for row in last.values()) for word in last["contacts"]}
    assert tuple(shown.kinds) == KINDS
    assert shown.kinds["created"] == of_last.pop("unchanged")
    assert sum(shown.kinds.values()) == of_last.pop("read")
    assert {word: shown.kinds[word] for word in of_last} == of_last
    assert f"{WHERE} {sum(shown.kinds.values()):,} records are" in shown.text


@pytest.mark.acceptance
def test_trakor_has_what_was_created_held_for_its_new_name_or_drifted_and_nothing_else(shown: Shown) -> None:
    found = re.search(r"Trakor has (\d+) parties and (\d+) products, none unknown", shown.chapter(WHERE))
    assert found is not None
    there = sum(map(int, found.groups()))
    assert there == sum(shown.kinds[word] for word in ("created", "held", "drifted"))


@pytest.mark.acceptance
def test_every_change_is_shown_again_with_what_became_of_it(shown: Shown) -> None:
    changes, why = shown.chapter("Then Salestrekker changes"), shown.chapter(WHERE)
    old, new = re.findall(r"renamed (\w+ \w+), now (\w+ \w+)", changes)[0]
    name, email = re.findall(r"another (\w+ \w+), (\S+)", changes)[0]
    moved, to = re.findall(r"new e-mail (\w+ \w+), now (\S+)", changes)[0]
    assert f'{new} is still "{old}" in Trakor' in why
    assert f'another {name} is "{name} ({email})" in Trakor' in why
    assert f"{moved} now has {to}." in why
    assert "(1 contact_info, 1 price)" in why


@pytest.mark.acceptance
def test_the_daemon_deals_with_each_scene_and_says_how_fast(shown: Shown) -> None:
    scenes = shown.scenes
    assert tuple(scenes) == SCENES
    for what in ("renamed", "created", "a deal", "revoked"):
        (milliseconds,) = re.findall(r"(\d+) ms", scenes[what])
        assert 100 <= int(milliseconds) < 15_000, "it is read only after its debounce time"
    assert "later it is held: renamed." in scenes["renamed"]
    assert "1 renewal, and nothing stops" in scenes["revoked"]
    assert "20 contacts are new; their webhooks still get 202" in scenes["frozen"]
    assert "all 20 wait" in scenes["frozen"]
    assert "all 20 are in Trakor, as 20 parties" in scenes["thawed"]
    assert "Of 24 webhooks none waits" in scenes["thawed"]


@pytest.mark.acceptance
def test_the_quick_start_shows_what_the_daemon_does(shown: Shown) -> None:
    """Each scene, but for the numbers that differ from time to time."""
    (block,) = [block for block in blocks(QUICK_START.read_text("utf-8")) if block.language == "text"]
    told = shown.chapter("The daemon")
    scenes = block.text.split("\n\n")
    assert len(scenes) == len(SCENES)
    for scene in scenes:
        pattern = re.escape(" ".join(scene.split())).replace("…", r"[\d.,]+")
        assert re.search(pattern, told), scene


@pytest.mark.acceptance
def test_the_last_backfill_finds_what_the_daemon_has_done_and_nothing_to_do(shown: Shown) -> None:
    """One is held; the one that was skipped, three newcomers less one and the crowd are in Trakor."""
    *_, before, after = (table["contacts"] for table in shown.tables)
    created = re.search(r": (\d+) made a party", shown.chapter("The daemon"))
    assert created is not None
    assert after["held"] == before["held"] + 1
    assert after["skipped"] == before["skipped"] - 1
    assert after["unchanged"] == before["unchanged"] + before["created"] - 1 + int(created[1])
    assert after["read"] == before["read"] + int(created[1]) - 1


@pytest.mark.acceptance
def test_a_printed_name_is_never_empty(shown: Shown) -> None:
    assert "create it in Trakor as “" in " ".join(shown.text.split())
    assert not re.search(r"“\s*”", shown.text)


@pytest.mark.acceptance
def test_the_loop_is_compared_by_the_same_requests(shown: Shown) -> None:
    found = re.search(r"([\d,]+) requests; the bridge sent ([\d,]+)", shown.chapter("And without"))
    assert found is not None
    loop, ours = map(number, found.groups())
    assert ours == sum(shown.requests) < loop


@pytest.mark.acceptance
def test_the_loop_makes_twins_of_what_it_posts_again(shown: Shown) -> None:
    """Each name that is there twice is answered with an error from then on, at least in two more runs."""
    told = shown.chapter("And without")
    twins = re.search(r"([\d,]+) parties twice, if Trakor looks up, then inserts: 1 connection in 50", told)
    failed = re.search(r"([\d,]+) requests since then that such a Trakor answered with an error", told)
    assert twins is not None
    assert failed is not None
    assert 0 < 2 * number(twins[1]) < number(failed[1])


@pytest.mark.acceptance
def test_what_is_kept_is_all_there_and_for_its_owner_alone(ended: Ended, shown: Shown) -> None:
    (kept,) = ended.left
    assert ["cd", str(kept)] in [shlex.split(line) for line in shown.text.splitlines()[-10:]]
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept.iterdir()} == {0o600}
    loaded = settings.load(kept / "config.toml", {})
    assert loaded.ledger.path is not None
    with reading(loaded.ledger.path) as connection:
        assert sum(shown.kinds.values()) == len(list(iterate_records(connection, RecordQuery())))


@pytest.mark.acceptance
@pytest.mark.parametrize("verb", ["accept", "show"])
def test_the_commands_that_are_shown_work_on_what_is_kept(verb: str, ended: Ended, shown: Shown) -> None:
    command = next(one for one in shown.commands if one.startswith(f"trakor-bridge records {verb} "))
    answer = subprocess.run(  # noqa: S603 - our own command
        [*DEMO[:-1], *shlex.split(command)[1:]], cwd=ended.left[0], capture_output=True, check=False
    )
    assert (answer.returncode, answer.stderr) == (0, b"")


@pytest.mark.acceptance
def test_with_both_systems_up_again_the_daemon_goes_on_as_it_is_told(
    ended: Ended, shown: Shown, tmp_path: Path
) -> None:
    """The last lines work as they stand: what is accepted beside the daemon is sent."""
    told = [line.strip() for line in shown.text.splitlines()[-10:]]
    sandbox = next(line for line in told if line.startswith("trakor-bridge sandbox "))
    confirm = "trakor-bridge connections confirm default"
    assert {"trakor-bridge status", confirm, "trakor-bridge run"} <= set(told)
    folder = shutil.copytree(ended.left[0], tmp_path / "kept")
    arguments, _, rest = sandbox.partition(" > ")
    assert rest == "sandbox.toml &"
    joined = next(line for line in told if line.startswith("cat "))
    assert joined == "cat sandbox.toml daemon.toml > config.toml"
    with bridge_command(folder, arguments) as systems:
        assert systems.stdout is not None
        lines = [systems.stdout.readline() for _ in range(8)]
        (folder / "config.toml").write_text("".join(lines) + (folder / "daemon.toml").read_text())
        with bridge_command(folder, confirm) as person:
            person.communicate(timeout=SECONDS)
        with bridge_command(folder, "trakor-bridge run --log-format json") as daemon:
            assert daemon.stderr is not None
            assert "listening for webhooks" in said_by(daemon, "listening for webhooks")
            said_by(daemon, "started")
            accept = next(one for one in reversed(shown.commands) if " accept dfe8b48b" in one)
            with bridge_command(folder, accept) as person:
                person.communicate(timeout=SECONDS)
            assert '"created": 1' in said_by(daemon, "delivered")


@contextmanager
def bridge_command(folder: Path, line: str) -> Iterator[subprocess.Popen[str]]:
    """A command line of ours, ended at the end if it has not by then."""
    with (
        subprocess.Popen(  # noqa: S603 - our own command
            [*DEMO[:-1], *shlex.split(line)[1:]],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        ) as process
    ):
        try:
            yield process
        finally:
            process.terminate()


def said_by(daemon: subprocess.Popen[str], event: str) -> str:
    """The next line of its log about this."""
    assert daemon.stderr is not None
    return next(line for line in daemon.stderr if f'"event": "{event}"' in line)


# -- on a terminal --------------------------------------------------------------------------------


@contextmanager
def terminal(folder: Path, columns: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A demonstration on a terminal of its own: the process, and where its output is read."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    try:
        with start(folder, columns="", terminal=slave) as process:
            os.close(slave)
            yield process, master
    finally:
        os.close(master)


def all_of(source: int) -> str:
    """What comes until the other side hangs up."""
    chunks = []
    with suppress(OSError):  # Linux's way to say that a terminal has no process any more
        while chunk := os.read(source, 65536):
            chunks.append(chunk)
    return b"".join(chunks).decode()


@pytest.mark.acceptance
def test_on_a_terminal_there_are_colours_progress_and_no_line_too_long(tmp_path: Path) -> None:
    with terminal(tmp_path, 80) as (process, source):
        text = all_of(source)
        assert process.wait(SECONDS) == 0
    assert left_by(tmp_path) == []
    assert "400 of 400 sent" in text
    assert "\x1b[1;38;5;28mcreated" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is hidden at the end"
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text).replace("\r", "")
    bars = plain[plain.index("7. A last backfill") : plain.index(f"8. {WHERE}")]
    told = plain[plain.index("6. The daemon") :].replace(bars, "")
    assert max(map(len, told.splitlines())) <= 80
    assert re.findall(r"records accept [0-9a-f-]{36} *$", told, flags=re.MULTILINE), "a command was wrapped"


# -- stopped --------------------------------------------------------------------------------------


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("number", "options", "at", "never"),
    [
        (signal.SIGINT, (), "A first backfill", "A second backfill"),
        (signal.SIGTERM, ("--keep",), "A first backfill", "A second backfill"),
        (signal.SIGHUP, (), "A first backfill", "A second backfill"),
        (signal.SIGINT, ("--keep",), "Trakor is frozen", "After the stop signal"),
    ],
)
def test_stopped_it_ends_with_130_and_leaves_nothing(
    number: signal.Signals, options: tuple[str, ...], at: str, never: str, tmp_path: Path
) -> None:
    with start(tmp_path, *options) as process:
        assert process.stdout is not None
        while at not in process.stdout.readline():
            assert process.poll() is None
        assert len(left_by(tmp_path)) == 1
        process.send_signal(number)
        rest, complaints = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert never not in rest
    assert complaints == "Interrupted: the demonstration's files were removed.\n"
    assert left_by(tmp_path) == []


@pytest.mark.acceptance
def test_a_reader_that_goes_away_ends_it_without_complaint(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
    assert left_by(tmp_path) == []
