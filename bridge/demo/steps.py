"""What the demonstration tells, step by step: every number in it was counted, none is known beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bridge.backfill import ConnectionReport, ProgressListener

__all__ = [
    "Audience",
    "Beginning",
    "Change",
    "Changed",
    "Compared",
    "Ended",
    "Example",
    "Explained",
    "Kind",
    "Prepared",
    "Ran",
    "Running",
    "Scene",
    "Step",
    "Stopped",
]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Both systems are there.

    Attributes:
        contacts: How many Salestrekker has.
        products: Likewise.
        namesakes: How many contacts have a name that an earlier one has, ignoring case and spacing.
        nameless: How many have none.
    """

    contacts: int
    products: int
    namesakes: int
    nameless: int


@dataclass(frozen=True, slots=True)
class Beginning:
    """A backfill begins: the first, second, third or fourth."""

    run: int


@dataclass(frozen=True, slots=True)
class Ran:
    """A backfill has ended.

    Attributes:
        run: Which.
        report: What it came to.
        requests: How many requests the simulated Trakor saw meanwhile.
    """

    run: int
    report: ConnectionReport
    requests: int


@dataclass(frozen=True, slots=True)
class Change:
    """One change at the source.

    Attributes:
        what: In a few words.
        said: Of whom or what, and what is other now.
    """

    what: str
    said: str


@dataclass(frozen=True, slots=True)
class Changed:
    """Salestrekker was changed."""

    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Running:
    """The daemon begins.

    Attributes:
        debounce: Seconds from the first webhook for a record until it is read.
    """

    debounce: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Something happened while the daemon ran, and it has dealt with it.

    Attributes:
        what: In a few words.
        happened: To whom or what, and what Salestrekker or Trakor said of it.
        became: What came of it, and after what time.
        outcome: The state in which whom it happened to is in now, in a word.
    """

    what: str
    happened: str
    became: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The daemon was told to end, and has ended.

    Attributes:
        seconds: How long that took.
        webhooks: How many it had accepted.
        waiting: How many of them are not worked off.
        requests: How many requests the simulated Trakor saw meanwhile.
        created: How many of them made a party or product.
    """

    seconds: float
    webhooks: int
    waiting: int
    requests: int
    created: int


@dataclass(frozen=True, slots=True)
class Example:
    """One record that stands for its kind.

    Attributes:
        said: What happened to it, by name.
        command: The command line that leads on from here.
        effect: What that does; empty where it only shows.
    """

    said: str
    command: str
    effect: str


@dataclass(frozen=True, slots=True)
class Kind:
    """All records of one outcome.

    Attributes:
        word: The outcome.
        count: How many there are.
        why: How they came to it.
        example: One of them.
    """

    word: str
    count: int
    why: str
    example: Example


@dataclass(frozen=True, slots=True)
class Explained:
    """Where every record is.

    Attributes:
        kinds: Of every outcome that there is, all records and one example.
        source: How many records Salestrekker has.
        parties: How many Trakor has.
        products: Likewise.
        unknown: How many of them no record in the ledger is linked to.
    """

    kinds: tuple[Kind, ...]
    source: int
    parties: int
    products: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Compared:
    """What a loop that posts every item by its name made of the same data, in a run after each backfill.

    Attributes:
        lost: Contacts that were answered with another person's party.
        refused: Items that Trakor refused: their name was too long.
        duplicates: Second parties or products of one record.
        vanished: Changed records that were answered as if nothing had changed.
        twins: Parties that are there twice in a Trakor that looks a name up and then inserts it.
        breaks: There one in so many connections broke, and the name was posted again.
        failed: Requests that this Trakor has answered with an error since.
        requests: How many it sent.
        ours: How many the bridge sent.
    """

    lost: int
    refused: int
    duplicates: int
    vanished: int
    twins: int
    breaks: int
    failed: int
    requests: int
    ours: int


@dataclass(frozen=True, slots=True)
class Ended:
    """It is over.

    Attributes:
        kept: Where configuration and ledger were left; None where they are removed.
        again: The command lines that bring both systems up again.
    """

    kept: Path | None
    again: tuple[str, ...] = ()


Step: TypeAlias = (
    Prepared | Beginning | Ran | Changed | Running | Scene | Stopped | Explained | Compared | Ended
)


class Audience(Protocol):
    """Whoever the demonstration is given for."""

    def tell(self, step: Step) -> None:
        """Take the next step in."""
        ...

    def watch(self) -> AbstractContextManager[ProgressListener]:
        """What a backfill tells how far it is, while it runs."""
        ...
