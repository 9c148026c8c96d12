"""The result of a backfill: its numbers, and for each connection its problems and warnings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.backfill.problem_wording import Problem
    from bridge.ledger.statistics import RunGroup

__all__ = ["ConnectionReport", "Report"]


@dataclass(slots=True)
class ConnectionReport:
    """What the backfill of one connection came to.

    Attributes:
        seconds: How long it took.
        streams: For each stream the numbers of ``ledger.runs_and_sweeps.COUNTS``.
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
    groups: dict[str, list[RunGroup]] = field(default_factory=dict)
    burst_lines: list[str] = field(default_factory=list)
    needing_a_person: int = 0
    interrupted: bool = False
    limit: int | None = None
    dry_run: bool = False

    @property
    def limited(self) -> bool:
        """Whether only a part of each list was to be read."""
        return self.limit is not None

    @property
    def unsent(self) -> bool:
        """Whether something was to be sent and was not."""
        return not self.dry_run and any(numbers["pending"] for numbers in self.streams.values())

    @property
    def complete(self) -> bool:
        """Whether everything was read, and everything that could be sent was sent."""
        return not (self.problems or self.interrupted or self.limited or self.unsent)


@dataclass(slots=True)
class Report:
    """The result of a backfill, connection by connection."""

    connections: dict[str, ConnectionReport] = field(default_factory=dict)

    @property
    def exit_status(self) -> int:
        """The exit status of the public interface."""
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
        """The states in which records need a decision, in the order of the list."""
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
