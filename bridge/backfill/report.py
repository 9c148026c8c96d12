"""What a backfill tells while it runs, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bridge.ledger.statistics import Group
    from bridge.records import Stream

__all__ = ["ConnectionReport", "Problem", "Report", "Watch"]


class Watch(Protocol):
    """Told how far a backfill is: for a progress bar."""

    def reading(self, connection: str, stream: Stream, read: int) -> None:
        """So many records of a stream are read and on disk."""
        ...

    def all_read(self, connection: str, stream: Stream) -> None:
        """What was to be read of a stream is read."""
        ...

    def pending(self, connection: str, number: int) -> None:
        """So many more records are to be sent."""
        ...

    def settled(self, connection: str, number: int) -> None:
        """So many more records were sent and settled."""
        ...

    def waiting(self, connection: str, what: str) -> None:
        """Nothing can be sent for now: what it waits for, as a sentence."""
        ...

    def warned(self, connection: str, warning: str) -> None:
        """Something that a person should know while the run can still be stopped, as a sentence."""
        ...


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that kept a run from being complete.

    Attributes:
        message: What happened.
        advice: What to do about it; may be empty.
        refusal: It was a refusal: nothing is lost, and the run can be repeated once it is resolved.
        usage: The configuration has to say more before anything can be read.
    """

    message: str
    advice: str = ""
    refusal: bool = False
    usage: bool = False


@dataclass(slots=True)
class ConnectionReport:
    """What the backfill of one connection came to.

    Attributes:
        seconds: How long it took.
        streams: For each stream the numbers of ``ledger.sweeps.COUNTS``.
        problems: What kept it from being complete.
        warnings: What a person should know all the same.
        groups: For each stream of a dry run or a first backfill, how its records stand to each other.
        bursts: A line for each stream of which many records changed alike.
        needing_a_person: Records of these streams that are held or rejected, from now or before.
        interrupted: It was stopped by the user.
        limit: Only so many records of each stream were to be read; None: all.
        dry_run: Nothing was sent: what is pending would be.
    """

    seconds: float = 0.0
    streams: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    groups: dict[str, list[Group]] = field(default_factory=dict)
    bursts: list[str] = field(default_factory=list)
    needing_a_person: int = 0
    interrupted: bool = False
    limit: int | None = None
    dry_run: bool = False

    @property
    def limited(self) -> bool:
        """Only a part of each list was to be read."""
        return self.limit is not None

    @property
    def unsent(self) -> bool:
        """Something was to be sent and was not."""
        return not self.dry_run and any(numbers["pending"] for numbers in self.streams.values())

    @property
    def complete(self) -> bool:
        """All was read and all that could be sent was."""
        return not (self.problems or self.interrupted or self.limited or self.unsent)


@dataclass(slots=True)
class Report:
    """What a backfill came to, connection by connection."""

    connections: dict[str, ConnectionReport] = field(default_factory=dict)

    @property
    def exit_status(self) -> int:
        """The public interface's exit status."""
        reports = self.connections.values()
        problems = [problem for report in reports for problem in report.problems]
        if any(report.interrupted for report in reports):
            return 130
        if any(problem.usage for problem in problems):
            return 2
        if any(problem.refusal for problem in problems):
            return 4
        if problems or any(report.unsent for report in reports):
            return 1
        return 3 if any(report.needing_a_person for report in reports) else 0

    @property
    def waiting(self) -> tuple[str, ...]:
        """The states in which records wait for a person, in the order in which they are listed."""
        reports = self.connections.values()
        asking = ("held", "rejected") if any(report.needing_a_person for report in reports) else ()
        drifted = any(numbers["drifted"] for report in reports for numbers in report.streams.values())
        return (*asking, "drifted") if drifted else asking

    def as_json(self) -> dict[str, object]:
        """The document of ``backfill --json``."""
        return {
            "connections": {
                name: {
                    "complete": report.complete,
                    "seconds": round(report.seconds, 3),
                    "streams": report.streams,
                }
                for name, report in self.connections.items()
            }
        }
