"""Measures how fast the sandbox is, to make sure that it is not the limit of other benchmarks.

    python bench/sandbox.py [--contacts 20000] [--posts 20000]

The sandbox runs in its own process, the client in this one. The work done in one second of the sandbox's CPU
time counts, which does not depend on the client's speed. Exit status 1: a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
import tomllib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import psutil

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

CONTACTS_TARGET = 2000
POSTS_TARGET = 3000
IN_FLIGHT = 64
SERVER = """
import asyncio, sys
from bridge.sandbox import Options, serve
options = Options(contacts=int(sys.argv[1]))
asyncio.run(serve(options, lambda text: print(text, "#end", sep="\\n", flush=True)))
"""
LOG_IN = "mutation ($key: String) { authenticate(apiKey: $key) { token } }"
CONTACTS = """
query ($limit: Int, $offset: Int) {
  contacts(limit: $limit, offset: $offset) {
    id isActive
    person {
      information { firstName middleName familyName }
      contact { email primaryCode primary homeCode home }
    }
    company { information { name } contact { email primaryCode primary homeCode home } }
  }
}
"""


@dataclass(frozen=True)
class Measured:
    """One line of the table: a number and its time."""

    what: str
    count: int
    cpu: float
    wall: float
    target: int

    @property
    def holds(self) -> bool:
        """Whether the target is met, per second of CPU time."""
        return self.count / self.cpu >= self.target

    def __str__(self) -> str:
        per_cpu, per_wall = self.count / self.cpu, self.count / self.wall
        verdict = "holds" if self.holds else "MISSED"
        return f"{self.what:<28}{per_cpu:>12,.0f}{per_wall:>12,.0f}{self.target:>10,}  {verdict}"


@contextlib.asynccontextmanager
async def running(contacts: int) -> AsyncIterator[tuple[psutil.Process, dict[str, Any]]]:
    """A sandbox in its own process, and the configuration that it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(contacts), stdout=asyncio.subprocess.PIPE
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the sandbox has no output")
        text = await asyncio.wait_for(process.stdout.readuntil(b"#end"), timeout=30)
        yield psutil.Process(process.pid), tomllib.loads(text.decode())
    finally:
        process.terminate()
        await process.wait()


async def measure(
    what: str, target: int, server: psutil.Process, work: Callable[[], Awaitable[int]]
) -> Measured:
    """Do the work, and measure its cost for the server."""
    cpu, wall = sum(server.cpu_times()[:2]), time.perf_counter()
    count = await work()
    return Measured(what, count, sum(server.cpu_times()[:2]) - cpu, time.perf_counter() - wall, target)


async def read_all(http: aiohttp.ClientSession, salestrekker: dict[str, Any], page: int) -> int:
    """Read all contacts, page by page; returns their number."""

    async def ask(query: str, token: str = "", **variables: object) -> Any:  # noqa: ANN401 - any JSON value
        body = orjson.dumps({"query": query, "variables": variables})
        headers = {"Authorization": f"Bearer {token}"}
        async with http.post(salestrekker["url"], data=body, headers=headers) as answer:
            return orjson.loads(await answer.read())["data"]

    token = (await ask(LOG_IN, key=salestrekker["api_key"]))["authenticate"]["token"]
    count = 0
    while rows := (await ask(CONTACTS, token, limit=page, offset=count))["contacts"]:
        count += len(rows)
    return count


async def post_all(http: aiohttp.ClientSession, trakor: dict[str, Any], count: int) -> int:
    """Post ``count`` parties with different names, 64 in flight; returns how many Trakor took."""
    numbers = iter(range(count))
    headers = {"X-API-KEY": trakor["api_key"], "Content-Type": "application/json"}

    async def post() -> int:
        taken = 0
        for number in numbers:
            body = orjson.dumps({"name": f"Party {number}", "contact_info": "Ada | 1 | ada@example.com"})
            async with http.post(f"{trakor['url']}/parties", data=body, headers=headers) as answer:
                taken += answer.status in (200, 201)
                await answer.read()
        return taken

    return sum(await asyncio.gather(*(post() for _ in range(IN_FLIGHT))))


async def run(contacts: int, posts: int) -> list[Measured]:
    """Measure reading at two page sizes, and posting new and known names."""
    async with running(contacts) as (server, configuration), aiohttp.ClientSession() as http:
        salestrekker, trakor = configuration["salestrekker"], configuration["trakor"]
        works: list[tuple[str, int, Callable[[], Awaitable[int]]]] = [
            ("contacts, pages of 100", CONTACTS_TARGET, partial(read_all, http, salestrekker, 100)),
            ("contacts, pages of 500", CONTACTS_TARGET, partial(read_all, http, salestrekker, 500)),
            ("POSTs, new names", POSTS_TARGET, partial(post_all, http, trakor, posts)),
            ("POSTs, known names", POSTS_TARGET, partial(post_all, http, trakor, posts)),
        ]
        return [await measure(what, target, server, work) for what, target, work in works]


def main() -> int:
    """Print the table; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contacts", type=int, default=20_000, help="number of contacts")
    parser.add_argument("--posts", type=int, default=20_000, help="number of posts")
    arguments = parser.parse_args()
    lines = asyncio.run(run(arguments.contacts, arguments.posts))
    print(f"{'':<28}{'per CPU s':>12}{'per second':>12}{'target':>10}")
    print(*lines, sep="\n")
    return 0 if all(line.holds for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
