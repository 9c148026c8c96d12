"""Measures a backfill as ratios to its targets: rate, CPU and memory.

    python bench/backfill.py [--contacts 20000] [--repeat 3] [--large]

The sandbox and `trakor-bridge backfill` each run in their own process, as a user runs them. CPU and peak
memory are those of the backfill's process, as the operating system reports them at its end. CPU per record
is the cost of a run beyond that of one with nothing to do. So imports do not count; they have a line of
their own. Exit status 1: a target is missed. bench/README.md explains noise.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from sandbox import IN_FLIGHT, post_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LATENCY = 0.05
SETTINGS = {
    "TRAKOR_BRIDGE_SALESTREKKER__REQUESTS_PER_MINUTE": "1000000",
    "TRAKOR_BRIDGE_TRAKOR__MAX_IN_FLIGHT": str(IN_FLIGHT),
    "TRAKOR_BRIDGE_CONTACTS__PAGE_SIZE": "500",
    "TRAKOR_BRIDGE_LOG__LEVEL": "warning",
}

RATE_TARGET = 0.9 * IN_FLIGHT / LATENCY
DELIVERED_TARGET = 0.8
UNCHANGED_TARGET = 0.2
REFERENCE = 0.13
"""CPU for a POST by bare aiohttp, in ms, on the machine that the targets were set on."""
GROWTH_TARGET = 20.0
PEAK_TARGET = 150.0
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set()
SMALL, LARGE = 10_000, 1_000_000


@dataclass(frozen=True)
class Run:
    """The result of one backfill.

    Attributes:
        numbers: The contacts' numbers, as `--json` reports them.
        seconds: The time from its first to its last access of the ledger, as it reports.
        cpu: CPU seconds of its process, imports included.
        peak: Peak memory of its process, in MB.
        posts: Requests that Trakor got meanwhile.
    """

    numbers: dict[str, int]
    seconds: float
    cpu: float
    peak: float
    posts: int

    @property
    def delivered(self) -> int:
        """The number of records that Trakor answered."""
        return self.numbers["created"] + self.numbers["existing"]


@dataclass(frozen=True)
class Line:
    """One line of the table: a figure and its target."""

    what: str
    figure: float
    unit: str
    target: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the target is met."""
        if self.target is None:
            return True
        return self.figure >= self.target if self.at_least else self.figure <= self.target

    def __str__(self) -> str:
        figure = f"{self.what:<48}{self.figure:>10,.3g} {self.unit:<4}"
        if self.figure >= 1000:  # noqa: PLR2004 - above this, decimals mean nothing
            figure = f"{self.what:<48}{self.figure:>10,.0f} {self.unit:<4}"
        if self.target is None:
            return f"{figure}{'':>30}{self.note}"
        side = ">=" if self.at_least else "<="
        verdict = "holds" if self.holds else "MISSED"
        ratio = f"{self.figure / self.target:.2f}" if self.target else ""
        return f"{figure} {side} {self.target:<7,g}{ratio:>8}  {verdict:<8}{self.note}"


class Sandbox:
    """Both systems in a process of their own.

    Args:
        folder: The folder in which the configuration is written.
        contacts: The number of contacts.
        latency: Seconds that each answer takes.
    """

    def __init__(self, folder: Path, contacts: int, latency: float) -> None:
        self._folder = folder
        size = ["--contacts", str(contacts), "--products", "0", "--latency", f"{latency * 1000:.0f}ms"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bridge", "sandbox", *size], stdout=subprocess.PIPE, text=True
        )
        stay_on(self._process.pid, min)
        announced = _announced(self._process)
        self.control = announced.partition("\n")[0].rpartition(" ")[2]
        self.configuration: dict[str, Any] = tomllib.loads(announced)
        (folder / "config.toml").write_text(announced, encoding="utf-8")

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.communicate()

    def posts(self) -> int:
        """The number of requests that Trakor got."""
        with urllib.request.urlopen(f"{self.control}/state") as answer:  # noqa: S310 - on loopback
            return sum(json.load(answer)["trakor"]["traffic"]["statuses"].values())

    def backfill(self) -> Run:
        """Run one backfill to its end."""
        posts, output = self.posts(), self._folder / "report.json"
        command = [sys.executable, "-m", "bridge", "backfill", "contacts", "--json"]
        with output.open("w", encoding="utf-8") as report:
            process = subprocess.Popen(
                command, stdout=report, cwd=self._folder, env={**os.environ, **SETTINGS}
            )
            # Unlike the standard library's wait, this returns the usage of the one process. Its peak is at
            # least that of this process, from which it is forked, but this process is smaller.
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        outcome = json.loads(output.read_text(encoding="utf-8"))["connections"]["default"]
        if not outcome["complete"]:
            raise SystemExit(f"the backfill ended early, with {process.returncode}: see above")
        return Run(
            outcome["streams"]["contacts"],
            outcome["seconds"],
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss / 1024,
            self.posts() - posts,
        )


def stay_on(process: int, choose: Callable[[set[int]], int]) -> None:
    """Pin a process to one core, if the system allows it; 0 is this process.

    In reality both systems are other machines. Without pinning, the system runs a process on the core of the
    process that woke it. Two processes that wake each other then share one core beside an idle one.
    """
    if CORES:
        os.sched_setaffinity(process, {choose(CORES)})


def _announced(process: subprocess.Popen[str]) -> str:
    """The configuration that a sandbox prints once it is ready; its last line is Trakor's key."""
    if process.stdout is None:
        raise RuntimeError("the sandbox has no output")
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith('api_key = "sk_'):
            return "".join(lines)
    raise SystemExit("the sandbox did not start: see above")


@contextlib.contextmanager
def running(contacts: int, latency: float = 0.0) -> Iterator[Sandbox]:
    """A sandbox, with a folder for a ledger of its own."""
    with tempfile.TemporaryDirectory(prefix="trakor-bridge-bench-") as folder:
        running = Sandbox(Path(folder), contacts, latency)
        try:
            yield running
        finally:
            running.stop()


def rate(contacts: int, repeat: int) -> Iterator[Line]:
    """Measures the rate if each answer takes some time, beside that of a client that only posts."""
    rates = []
    for _ in range(repeat):
        with running(contacts, LATENCY) as both:
            run = both.backfill()
            bare = asyncio.run(_bare(both.configuration["trakor"]))
        rates.append((run.delivered / run.seconds, bare))
    (worst, _), (sent, bare) = min(rates), max(rates)
    what = f"sent at {LATENCY * 1000:.0f} ms, {IN_FLIGHT} in flight"
    yield Line(what, sent, "/s", RATE_TARGET, at_least=True, note=f"worst of {repeat}: {worst:,.0f}")
    yield Line("  by a client that does nothing else", bare, "/s", note=f"ours is {sent / bare:.2f} of it")


async def _bare(
    trakor: dict[str, Any], clock: Callable[[], float] = time.perf_counter, posts: int = 5000
) -> float:
    """The number of posts in one second of wall time by a client that only posts."""
    async with aiohttp.ClientSession() as http:
        began = clock()
        return await post_all(http, trakor, posts) / (clock() - began)


def cpu(contacts: int, repeat: int) -> Iterator[Line]:
    """Measures the cost of a sent and an unchanged record: the best of some runs, because noise only adds."""
    with running(0) as both:
        idle = both.backfill(), both.backfill()
    runs, bare = [], []
    for _ in range(repeat):
        with running(contacts) as both:
            runs.append((both.backfill(), both.backfill()))
            bare.append(1000 / asyncio.run(_bare(both.configuration["trakor"], time.process_time)))
    sent = sorted(1000 * (first.cpu - idle[0].cpu) / first.delivered for first, _ in runs)
    unchanged = sorted(1000 * (second.cpu - idle[1].cpu) / second.numbers["read"] for _, second in runs)
    for what, found, target in (
        ("CPU for a record that is sent", sent, DELIVERED_TARGET),
        ("CPU for an unchanged record", unchanged, UNCHANGED_TARGET),
    ):
        yield Line(what, found[0], "ms", target, note=f"worst of {repeat}: {found[-1]:.3g}")
    note = f"{REFERENCE:g} on the reference machine"
    yield Line("  for a POST of a client that does nothing else", min(bare), "ms", note=note)
    yield Line("POSTs of an unchanged run", max(second.posts for _, second in runs), "", 0)
    yield Line(
        "CPU to start and find nothing", idle[1].cpu, "s", note=f"making a ledger: {idle[0].cpu:.3g} s"
    )


def memory(contacts: int) -> Iterator[Line]:
    """Measures how much memory more records need: none."""
    peaks = []
    for size in (SMALL, contacts):
        with running(size) as both:
            began = time.monotonic()
            peaks.append(both.backfill().peak)
            minutes = (time.monotonic() - began) / 60
    small, large = peaks
    yield Line(f"peak memory at {contacts:,}", large, "MB", PEAK_TARGET, note=f"in {minutes:.1f} minutes")
    yield Line(f"  more than at {SMALL:,}", large - small, "MB", GROWTH_TARGET, note=f"there: {small:.3g} MB")


def main() -> int:
    """Print the table; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contacts", type=int, default=20_000, help="contacts for rate and CPU")
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each; the best counts")
    parser.add_argument("--memory", type=int, default=50_000, help=f"contacts for memory, against {SMALL:,}")
    parser.add_argument("--large", action="store_true", help=f"--memory {LARGE:,}: half an hour or more")
    arguments = parser.parse_args()
    stay_on(0, max)
    print(f"{'':<48}{'figure':>10} {'':<4} {'target':<10}{'ratio':>8}", flush=True)
    missed = False
    for line in itertools.chain(
        rate(arguments.contacts, arguments.repeat),
        cpu(arguments.contacts, arguments.repeat),
        memory(LARGE if arguments.large else arguments.memory),
    ):
        print(line, flush=True)
        missed |= not line.holds
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
