"""Measures memory and waits of webhooks while Salestrekker sends far more than it was asked for.

    python bench/hostile.py [KIND ...] [--seconds 20]

The simulated Salestrekker, `trakor-bridge run` and the sender of webhooks are three processes. Each kind is
an answer to the list of contacts. A new daemon sweeps once for each. Exit status 1: a target is missed.
bench/README.md explains noise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil
from aiohttp import web

MEMORY_TARGET: Final = 200.0
WAIT_TARGET: Final = 100.0
TOKEN: Final = "0123456789abcdef" * 2
PER_SECOND: Final = 50
MEGABYTE: Final = 1_000_000
SETTINGS: Final = {
    "TRAKOR_BRIDGE_WEBHOOKS__HOST": "127.0.0.1",
    "TRAKOR_BRIDGE_WEBHOOKS__PORT": "0",
    "TRAKOR_BRIDGE_WEBHOOKS__TOKEN": TOKEN,
    "TRAKOR_BRIDGE_ADMIN__PORT": "0",
    "TRAKOR_BRIDGE_SALESTREKKER__REQUESTS_PER_MINUTE": "100000",
    "TRAKOR_BRIDGE_SCHEDULE__PRODUCTS": "30d",
}


def contact(number: int) -> dict[str, Any]:
    """A contact of 600 bytes, as the shipped query reads it."""
    person = {"firstName": f"Ada{number}", "familyName": "Lovelace", "middleName": None, "title": "Ms"}
    return {
        "id": f"c{number:08}",
        "person": {"information": person, "contact": {"primary": f"+61 4{number:08}", "secondary": None}},
        "email": f"ada{number}@example.com",
        "company": None,
        "note": "x" * 300,
    }


def listed(items: str) -> bytes:
    """An answer with these items."""
    return f'{{"data": {{"contacts": [{items}]}}}}'.encode()


def contacts(number: int) -> bytes:
    """An answer with this number of ordinary contacts."""
    return listed(",".join(json.dumps(contact(one)) for one in range(number)))


def errors(number: int) -> bytes:
    """An answer with this number of errors, each with a message."""
    error = json.dumps({"message": "Something went wrong with this one", "path": ["contacts", 1, "email"]})
    return f'{{"data": {{"contacts": []}}, "errors": [{",".join([error] * number)}]}}'.encode()


KINDS: Final = {
    "an ordinary page": lambda: contacts(100),
    "20 MB of {}": lambda: listed(",".join(["{}"] * 7_000_000)),
    "48 MB of {}": lambda: listed(",".join(["{}"] * 16_000_000)),
    "1 MB of {}": lambda: listed(",".join(["{}"] * 330_000)),
    "48 MB of [": lambda: listed("[" * 48_000_000),
    "80,000 contacts": lambda: contacts(80_000),
    "one contact of 1 MB": lambda: listed('{"id": "c1", "email": [' + ",".join(["{}"] * 330_000) + "]}"),
    "one contact of 48 MB": lambda: listed('{"id": "c1", "email": [' + ",".join(["{}"] * 16_000_000) + "]}"),
    "a text of 48 MB": lambda: listed('{"id": "c1", "email": "' + "\\n" * 24_000_000 + '"}'),
    "800 contacts of 60 KB": lambda: listed(
        ",".join(f'{{"id": "c{one}", "note": "{"x" * 60_000}"}}' for one in range(800))
    ),
    "items of 64 KB, all brackets": lambda: listed(",".join(['{"a": [' + "{}," * 21_000 + "1]}"] * 700)),
    "4,900 values in each": lambda: listed(
        ",".join(f'{{"id": "c{one}", "email": [{",".join(["1"] * 4_900)}]}}' for one in range(4_000))
    ),
    "ids of 254 characters": lambda: listed(
        ",".join(f'{{"id": "{one:06}{"x" * 247}"}}' for one in range(100_000))
    ),
    "very many members": lambda: b'{"data": {' + b'"a": 1,' * 6_000_000 + b'"contacts": []}}',
    "1 MB of errors": lambda: errors(10_000),
    "48 MB of errors": lambda: errors(480_000),
}


def serve() -> None:
    """A Salestrekker whose contacts are one answer, read from standard input, and a Trakor that takes all."""
    body = KINDS[sys.argv[2]]()
    nothing = b'{"data": {"contacts": [], "products": []}}'

    async def salestrekker(request: web.Request) -> web.Response:
        asked = await request.json()
        if asked.get("operationName") == "Authenticate":
            answer = b'{"data": {"authenticate": {"token": "a.b.c"}}}'
        elif "Organizations" in asked["query"]:
            answer = b'{"data": {"organizations": [{"id": "1", "organization": {"name": "One"}}]}}'
        elif asked.get("operationName") == "Contacts" and not asked["variables"].get("offset"):
            answer = body
        else:
            answer = nothing
        return web.Response(body=answer, content_type="application/json")

    async def trakor(request: web.Request) -> web.Response:
        asked = json.loads(await request.read() or b"{}")
        if not asked.get("name"):
            return web.json_response({"error": "name is required"}, status=400)
        return web.json_response({"id": asked["name"], "name": asked["name"], "created": True})

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/graphql", salestrekker)
        app.router.add_post("/api/public/v1/{what}", trakor)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.to_thread(sys.stdin.read)

    asyncio.run(main())


async def started(*arguments: str, **more: Any) -> asyncio.subprocess.Process:  # noqa: ANN401 - of the library
    """Starts a process of this Python."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**24,
        **more,
    )


def piped(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    """A pipe that must exist."""
    if stream is None:
        raise RuntimeError("the process was started without this pipe")
    return stream


async def logged(daemon: asyncio.subprocess.Process, events: list[dict[str, Any]]) -> None:
    """Collects its log."""
    async for line in piped(daemon.stderr):
        if line.startswith(b"{"):
            events += [json.loads(line)]


async def port_of(events: list[dict[str, Any]]) -> int:
    """The address at which it listens for webhooks."""
    async with asyncio.timeout(60):
        while True:
            for event in events:
                if event["event"] == "listening for webhooks":
                    return int(event["port"])
            await asyncio.sleep(0.01)


async def webhooks(port: int, seconds: float, waits: list[float], process: psutil.Process) -> list[int]:
    """Sends webhooks at a fixed rate; returns the daemon's memory meanwhile, in bytes."""
    memory: list[int] = []
    begun = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:

        async def send(number: int) -> None:
            due = begun + number / PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            memory.append(process.memory_info().rss)
            url = f"http://127.0.0.1:{port}/webhooks/{TOKEN}/contact-updated"
            async with session.post(url, json={"id": f"w{number}"}) as response:
                response.raise_for_status()
            waits.append(time.monotonic() - due)

        await asyncio.gather(*map(send, range(int(seconds * PER_SECOND))))
    return memory


def peak_of(process: int) -> int:
    """A process's peak memory so far, in bytes (Linux)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


async def measure(kind: str, seconds: float) -> bool:
    """Measures one kind; returns whether the targets are met."""
    remote = await started(__file__, "--serve", kind)
    address = f"http://127.0.0.1:{int(await piped(remote.stdout).readline())}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        path.write_text(
            f'[salestrekker]\nurl = "{address}/graphql"\napi_key = "key"\n'
            f'[trakor]\nurl = "{address}/api/public/v1"\napi_key = "key"\n'
        )
        daemon = await started(
            "-m", "bridge", "run", "--log-format", "json", cwd=folder, env=os.environ | SETTINGS
        )
        events: list[dict[str, Any]] = []
        listening = asyncio.create_task(logged(daemon, events))
        waits: list[float] = []
        try:
            port = await port_of(events)
            memory = await webhooks(port, seconds, waits, psutil.Process(daemon.pid))
            peak = peak_of(daemon.pid)
        finally:
            for process in (daemon, remote):
                process.kill()
                await process.wait()
            await listening
        swept = [event for event in events if event["event"] == "swept"]
        problems = [event for event in events if event.get("level") in {"warning", "error"}]
    waits = sorted(wait * 1000 for wait in waits)
    high, longest = peak / MEGABYTE, waits[-1]
    holds = high <= MEMORY_TARGET and longest <= WAIT_TARGET
    read = sum(event["read"] for event in swept)
    message = next(
        (str(event.get("problem") or event.get("error") or event["event"]) for event in problems), ""
    )
    print(
        f"{kind:<24}{memory[0] / MEGABYTE:>7,.0f}{high:>8,.0f} MB"
        f"{waits[len(waits) // 2]:>8,.1f}{waits[int(len(waits) * 0.99)]:>8,.1f}{longest:>9,.1f} ms"
        f"{len(swept):>4} swept {read:>7,} read  {'holds' if holds else 'MISSED'}  {message[:90]}",
        flush=True,
    )
    return holds


def main() -> int:
    """Measures the named kinds, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--seconds", type=float, default=20)
    given = parser.parse_args()
    print(f"{'answer':<24}{'start':>7}{'peak':>8}   {'p50':>8}{'p99':>8}{'longest':>9}")
    held = [asyncio.run(measure(kind, given.seconds)) for kind in given.kinds]
    return 0 if all(held) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve()
    else:
        sys.exit(main())
