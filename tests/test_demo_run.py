"""The steps of the demonstration: their order, and what ends it early."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from bridge.demo import daemon, demonstrate, run
from bridge.demo.daemon_scenes import CROWD
from bridge.errors import BridgeError
from bridge.sandbox import Options, Sandbox
from bridge.sandbox.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bridge.backfill import ConnectionReport
    from bridge.demo.narrator_protocol import Paragraph
    from bridge.records import Stream

KINDS = ("created", "merged", "held", "drifted", "rejected", "skipped")
SCENES = ("renamed", "created", "a deal", "revoked", "frozen", "thawed")
SMALL = Options(contacts=100, products=20)


class Listener:
    """A narrator that only records what it is given: the method's name, and the arguments."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def heading(self, paragraph: Paragraph) -> None:
        self.calls.append(("heading", (paragraph,)))

    def chapter(self, title: str, *paragraphs: Paragraph) -> None:
        self.calls.append(("chapter", (title, *paragraphs)))

    def text(self, paragraph: Paragraph) -> None:
        self.calls.append(("text", (paragraph,)))

    def table(self, rows: Sequence[tuple[str, str]], *, numbers: bool = False) -> None:
        self.calls.append(("table", (rows, numbers)))

    def counts(self, report: ConnectionReport) -> None:
        self.calls.append(("counts", (report,)))

    def outcome(self, label: Sequence[str], state: str, paragraph: Paragraph) -> None:
        self.calls.append(("outcome", (label, state, paragraph)))

    def closing(self, lines: Sequence[str]) -> None:
        self.calls.append(("closing", tuple(lines)))

    @contextmanager
    def progress(self) -> Iterator[Listener]:
        yield self

    def reading(self, connection: str, stream: Stream, read: int) -> None:
        """Not of interest."""

    def all_read(self, connection: str, stream: Stream) -> None:
        """Not of interest."""

    def pending(self, connection: str, number: int) -> None:
        """Not of interest."""

    def settled(self, connection: str, number: int) -> None:
        """Not of interest."""

    def waiting(self, connection: str, what: str) -> None:
        """Not of interest."""

    def warned(self, connection: str, warning: str) -> None:
        """Not of interest."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The demonstration is a small one, and leaves nothing behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(run, "OPTIONS", SMALL)
    yield
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small")
async def test_the_steps_come_in_their_order_and_the_folder_goes() -> None:
    listener = Listener()
    await demonstrate(listener, keep=False)
    calls = [name for name, _ in listener.calls]
    backfill = ["chapter", "counts", "text"]
    explained = ["chapter", *["outcome"] * len(KINDS), "text"]
    assert calls == [
        *("heading", "chapter", *backfill, *backfill, "chapter", "table", *backfill),
        *("chapter", *["outcome"] * len(SCENES), "text", *backfill, *explained, "chapter", "table"),
        "closing",
    ]
    assert listener.calls[-1][1][1] == "  trakor-bridge demo --keep"


@pytest.mark.usefixtures("small")
async def test_a_refusal_ends_it_with_its_reason_and_the_folder_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Frozen(Sandbox):
        async def __aenter__(self) -> Self:
            await super().__aenter__()
            self.trakor.freeze()
            return self

    monkeypatch.setattr(run, "Sandbox", Frozen)
    with pytest.raises(BridgeError, match="frozen"):
        await demonstrate(Listener(), keep=True)


@pytest.mark.usefixtures("small")
async def test_what_does_not_come_in_time_ends_it_with_what_was_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stuck(Sandbox):
        async def __aenter__(self) -> Self:
            await super().__aenter__()
            self.salestrekker.faults.add(Fault(kind="contact", status=503, times=None))
            self.impatient = asyncio.create_task(self.wait_no_longer_once_asked())
            return self

        async def wait_no_longer_once_asked(self) -> None:
            await self.salestrekker.wait_for(lambda: self.salestrekker.traffic.of("contact"))
            monkeypatch.setattr(daemon, "LONGEST", 0.5)

    monkeypatch.setattr(run, "Sandbox", Stuck)
    with pytest.raises(BridgeError, match="in vain until the renamed contact is held"):
        await demonstrate(Listener(), keep=True)


@pytest.mark.usefixtures("small")
async def test_a_daemon_that_dies_ends_it_at_once() -> None:
    class Dying(Listener):
        def outcome(self, label: Sequence[str], state: str, paragraph: Paragraph) -> None:
            super().outcome(label, state, paragraph)
            if label[0] in SCENES:
                (ledger,) = Path(tempfile.gettempdir()).glob("*/ledger.db")
                with closing(sqlite3.connect(ledger)) as connection:
                    connection.execute("DELETE FROM feeds")
                    connection.commit()

    with pytest.raises(BridgeError, match="daemon died of"):
        await demonstrate(Dying(), keep=True)


@pytest.mark.usefixtures("small")
async def test_what_it_did_not_foresee_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A party that Trakor had before is none that the bridge created, and one that it knows not of shows."""

    class Inhabited(Sandbox):
        async def __aenter__(self) -> Self:
            await super().__aenter__()
            information = self.contacts[1]["person"]["information"]
            self.trakor.parties.put(f"{information['firstName']} {information['familyName']}")
            self.trakor.parties.put("Somebody Else")
            return self

    monkeypatch.setattr(run, "Sandbox", Inhabited)
    listener = Listener()
    await demonstrate(listener, keep=False)
    outcomes = [given[0] for name, given in listener.calls if name == "outcome" and len(given[0]) > 1]
    counts = {word: int(count) for word, count in outcomes}
    (counted,) = [given[0] for name, given in listener.calls if name == "text" and " records, " in given[0]]
    newcomers = 3 + len(CROWD)
    total = SMALL.contacts + SMALL.products + newcomers
    assert counts["delivered"] == 1
    assert sum(counts.values()) == total
    assert counted.startswith(f"{total} records, each in exactly one of these.")
    assert counted.endswith(", 1 of them unknown to the ledger.")


@pytest.mark.usefixtures("small")
async def test_a_narrator_that_fails_leaves_nothing_either() -> None:
    class Leaving(Listener):
        def text(self, paragraph: Paragraph) -> None:
            super().text(paragraph)
            raise EOFError

    with pytest.raises(EOFError):
        await demonstrate(Leaving(), keep=True)
