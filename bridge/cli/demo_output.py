"""The demonstration's steps as a person reads them: on a terminal of any width, with colour or without."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bridge.cli.backfill_report import numbers_table
from bridge.cli.output import COLOURS, console, escape
from bridge.cli.progress import progress
from bridge.demo import (
    Beginning,
    Changed,
    Compared,
    Ended,
    Explained,
    Prepared,
    Ran,
    Running,
    Scene,
    Stopped,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.console import RenderableType

    from bridge.backfill import ProgressListener
    from bridge.demo import Kind, Step

__all__ = ["Teller"]

WIDEST: Final = 100
"""Columns: longer lines are hard to read."""

INDENT: Final = 3

RUNS: Final = {
    1: ("A first backfill", "All that Salestrekker has is read, and what Trakor lacks is sent."),
    2: ("A second backfill", "Nothing has changed in between, so nothing is to be sent."),
    3: ("A third backfill", "What is safe to send is sent. What is not waits for a person."),
    4: ("A last backfill", "It reads everything once more, and finds that the daemon missed nothing."),
}
"""Number of a backfill -> its title, and what it is to show."""

WHAT: Final = 9
"""Columns for what a scene is about, so that all scenes stand below one another."""

DURATION: Final = r"\b[\d,.]+ m?s\b"
"""How long something took, in a sentence."""


class Teller:
    """Tells a demonstration on standard output, with progress bars on a terminal."""

    def __init__(self) -> None:
        self._console = console(widest=WIDEST)
        self._chapters = 0

    def watch(self) -> AbstractContextManager[ProgressListener]:
        """Progress bars on a terminal, nothing elsewhere."""
        return progress(visible=sys.stderr.isatty(), indent=INDENT)

    def tell(self, step: Step) -> None:
        """Tell the next step."""
        match step:
            case Prepared():
                self._prepared(step)
            case Beginning():
                title, purpose = RUNS[step.run]
                self._chapter(title, Text(purpose))
            case Ran():
                self._ran(step)
            case Changed():
                self._changed(step)
            case Running() | Scene() | Stopped():
                self._of_daemon(step)
            case Explained():
                self._explained(step)
            case Compared():
                self._compared(step)
            case Ended():
                self._ended(step)

    def _chapter(self, title: str, *lines: RenderableType) -> None:
        """A numbered title, and what stands under it."""
        self._chapters += 1
        self._console.print()
        self._console.print(Text(f"{self._chapters}. {title}", style="bold"))
        self._say(*lines)

    def _say(self, *lines: RenderableType) -> None:
        self._console.print(Padding(Group(*lines), (0, 0, 0, INDENT), expand=False))

    def _prepared(self, step: Prepared) -> None:
        self._console.print(
            Text.assemble(("trakor-bridge demo", "bold"), ": both systems simulated on this machine.")
        )
        self._chapter(
            "Two systems",
            Text(
                f"Salestrekker has {step.contacts:,} contacts and {step.products:,} products, made up but"
                f" like real ones: {step.namesakes} contacts have the name of another one,"
                f" {step.nameless} have none. Trakor is empty. It knows everything by its name alone, and"
                " can create, but neither rename nor update."
            ),
        )

    def _ran(self, step: Ran) -> None:
        requests = "1 request" if step.requests == 1 else f"{step.requests:,} requests"
        self._say(
            Text(),
            numbers_table(step.report),
            Text(),
            Text.assemble("Trakor saw ", (requests, "bold"), f". It took {step.report.seconds:.1f} s."),
        )

    def _changed(self, step: Changed) -> None:
        table = Table.grid(padding=(0, 2))
        for change in step.changes:
            table.add_row(change.what, Text(escape(change.said)))
        self._chapter("Then Salestrekker changes", table)

    def _of_daemon(self, step: Running | Scene | Stopped) -> None:
        match step:
            case Running():
                self._running(step)
            case Scene():
                self._scene(step)
            case Stopped():
                self._stopped(step)

    def _running(self, step: Running) -> None:
        self._chapter(
            "The daemon",
            Text.assemble(
                ("trakor-bridge run", "bold"),
                ": the same without anybody's hand. Salestrekker posts webhooks to it, and each record is"
                f" read {step.debounce * 1000:.0f} ms after its first one.",
            ),
        )

    def _scene(self, step: Scene) -> None:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, min_width=WHAT)
        story = Text(f"{escape(step.happened)}\n{escape(step.became)}")
        story.highlight_regex(DURATION, "bold")
        table.add_row(Text(step.what, f"bold {COLOURS[step.outcome]}"), story)
        self._say(Text(), table)

    def _stopped(self, step: Stopped) -> None:
        waiting = f"{step.waiting:,} still wait" if step.waiting else "none waits"
        self._say(
            Text(),
            Text.assemble(
                f"Told to stop, it ended in {step.seconds * 1000:.0f} ms. Of {step.webhooks:,} webhooks"
                f" {waiting}. Trakor saw ",
                (f"{step.requests:,} requests", "bold"),
                f": {step.created:,} made a party, {step.requests - step.created:,} were refused or probes.",
            ),
        )

    def _explained(self, step: Explained) -> None:
        table = Table(box=None, show_header=False, padding=(0, 2, 1, 0), collapse_padding=False)
        table.add_column(no_wrap=True)
        for kind in step.kinds:
            table.add_row(*_row_of(kind))
        total = sum(kind.count for kind in step.kinds)
        self._chapter(f"Where all {total:,} records are now, and why", Text(), table, _reconciled(step))

    def _compared(self, step: Compared) -> None:
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right")
        for number, what in (
            (step.lost, "clients lost: Trakor answered with their namesake's party"),
            (step.refused, "clients and products refused: their names are too long"),
            (step.duplicates, "clients who are two parties since they were renamed"),
            (step.vanished, "changes that never arrived, and nothing said so"),
            (
                step.twins,
                f"parties twice, if Trakor looks up, then inserts: 1 connection in {step.breaks} broke",
            ),
            (step.failed, "requests since then that such a Trakor answered with an error"),
            (step.requests, f"requests, where the bridge sent {step.ours:,}"),
        ):
            table.add_row(Text(f"{number:,}", style="bold"), what)
        self._chapter(
            "And without the bridge",
            Text(
                "Trakor's own example is a loop that posts every item by its name. Run after each of the"
                " four backfills, on the same data and a Trakor of its own, it came to:"
            ),
            Text(),
            table,
        )

    def _ended(self, step: Ended) -> None:
        self._console.print()
        for line in _last_words(step):
            self._console.print(Text(line), soft_wrap=line.startswith(" "))  # a command stays whole


def _last_words(step: Ended) -> tuple[str, ...]:
    """How to go on from here."""
    if step.kept is None:
        return (
            "Nothing of this is left behind. To keep it, and try these commands on it:",
            "  trakor-bridge demo --keep",
        )
    return (
        "Configuration and ledger are kept. To try these commands on them:",
        f"  cd {shlex.quote(str(step.kept))}",
        "  trakor-bridge status",
        "Both systems have ended. To bring them up again, and let the daemon go on:",
        *(f"  {line}" for line in step.again),
        "  trakor-bridge connections confirm default",
        "  trakor-bridge run",
        "Trakor is empty again then: `connections confirm` says that this is right.",
        "While the daemon runs, it sends at once what you accept.",
    )


def _row_of(kind: Kind) -> tuple[Text, Text]:
    """The outcome and how many, why, one of them, and what a person can do."""
    colour = COLOURS.get(kind.word, "")
    example = kind.example
    story = Text.assemble(escape(kind.why), f"\ne.g. {escape(example.said)}\n", (example.command, "bold"))
    if example.effect:
        story.append(f"\n{escape(example.effect)}", "italic")
    return Text.assemble((kind.word, f"bold {colour}"), "\n", (f"{kind.count:,}", colour)), story


def _reconciled(step: Explained) -> Text:
    """The ledger's count against both systems' own."""
    total = sum(kind.count for kind in step.kinds)
    every = "each in exactly one of these" if total == step.source else f"Salestrekker has {step.source:,}"
    unknown = f"{step.unknown:,} of them" if step.unknown else "none"
    return Text(
        f"{total:,} records, {every}. Trakor has {step.parties:,} parties and {step.products:,} products,"
        f" {unknown} unknown to the ledger."
    )
