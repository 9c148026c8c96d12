"""What a backfill came to, as an exit status: the most urgent of all connections."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bridge.backfill.problem_wording import Problem
from bridge.backfill.report import ConnectionReport, Report

DONE = ConnectionReport(streams={"contacts": {"pending": 0}})
ASKING = ConnectionReport(streams={"contacts": {"pending": 0}}, needing_a_person=1)
UNSENT = ConnectionReport(streams={"contacts": {"pending": 0}, "products": {"pending": 1}})
REHEARSED = ConnectionReport(streams={"contacts": {"pending": 7}}, dry_run=True)
FAILED = ConnectionReport(problems=[Problem("reading contacts stopped")])
REFUSED = ConnectionReport(problems=[Problem("reading contacts stopped", refusal=True)])
STOPPED = ConnectionReport(interrupted=True, problems=[Problem("sending stopped", refusal=True)])


@pytest.mark.parametrize(
    ("report", "status"),
    [(DONE, 0), (UNSENT, 1), (REHEARSED, 0), (FAILED, 1), (ASKING, 3), (REFUSED, 4), (STOPPED, 130)],
)
def test_each_end_has_its_status_also_beside_a_connection_that_is_done(
    report: ConnectionReport, status: int
) -> None:
    assert Report({"one": report}).exit_status == status
    assert Report({"one": report, "two": DONE}).exit_status == status
    assert Report({"one": DONE, "two": report}).exit_status == status


def test_of_several_the_most_urgent_counts() -> None:
    by_urgency = [ASKING, FAILED, REFUSED, STOPPED]
    for less, more in pairwise(by_urgency):
        status = Report({"one": more}).exit_status
        assert Report({"one": less, "two": more}).exit_status == status
        assert Report({"one": more, "two": less}).exit_status == status


@pytest.mark.parametrize("report", [UNSENT, FAILED, STOPPED, ConnectionReport(limit=5)])
def test_what_was_not_done_to_its_end_is_not_complete(report: ConnectionReport) -> None:
    assert not report.complete
    assert DONE.complete
