"""Nothing that the source says is on the ledger's disk in clear: not while it waits, nor afterwards."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest

from bridge.sandbox import Fault, Options, Sandbox
from bridges import Bridge
from daemons import TOKEN, daemon_settings
from processes import LONG, commands
from stories import Story

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    import aiohttp

pytestmark = pytest.mark.acceptance

ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be")
SHORTEST = 5
"""Shorter texts are found by chance."""


@pytest.fixture(params=["sealed", "hashes"])
async def story(
    request: pytest.FixtureRequest,
    start_sandbox: Callable[[Options], Awaitable[Sandbox]],
    tmp_path: Path,
) -> AsyncIterator[Story]:
    """A hundred contacts with all their oddities, and products."""
    sandbox = await start_sandbox(Options(contacts=100, products=20))
    async with commands(tmp_path) as begin:
        found = Story(Bridge(tmp_path, sandbox), begin)
        found.configure(ledger={"keep": request.param}, **daemon_settings())
        yield found


def said(story: Story) -> set[str]:
    """Names, e-mail addresses and numbers of all that Salestrekker has."""
    found: set[str] = set()
    for row in story.sandbox.contacts:
        found |= set(texts(row.get("person"))) | set(texts(row.get("company")))
    for row in story.sandbox.products:
        found |= {str(row["name"] or ""), str(row["notes"] or "")}
    return {text.strip() for text in found if len(text.strip()) >= SHORTEST}


def texts(value: object) -> Iterator[str]:
    """Each text in a record, and each number without its spaces."""
    if isinstance(value, dict):
        for name, one in value.items():
            if name in {
                "information",
                "contact",
                "name",
                "tradingName",
                "familyName",
                "email",
                "primary",
                "home",
            }:
                yield from texts(one)
    elif isinstance(value, str):
        yield value
        digits = re.sub(r"\D", "", value)
        yield digits
        yield digits.lstrip("0")


def in_clear(story: Story, wanted: set[str]) -> list[tuple[str, str]]:
    """What of that is in a file of the ledger, in whatever case, in UTF-8 or UTF-16."""
    files = {
        path.name: path.read_bytes().lower()
        for path in story.bridge.folder.iterdir()
        if path.is_file() and path.name.startswith("ledger.db")
    }
    assert files, "there is something to look through"
    return [
        (text, name)
        for name, content in files.items()
        for without in [content.replace(b"\0", b"")]  # in which plain letters in UTF-16 are those in UTF-8
        for text in wanted
        if (text.lower().encode() in without if text.isascii() else _is_in(text, content))
    ]


def _is_in(text: str, content: bytes) -> bool:
    """Whether other letters than plain ones are there; only plain ones were put into lower case."""
    kept = "".join(letter.lower() if letter.isascii() else letter for letter in text)
    return any(kept.encode(encoding, "replace").lower() in content for encoding in ENCODINGS)


async def test_nothing_that_the_source_says_is_on_disk_in_clear(
    story: Story, http: aiohttp.ClientSession
) -> None:
    """Killed while records wait to be sent; drifted, held and rejected; webhooks that nobody understands."""
    contacts, trakor = story.sandbox.contacts, story.sandbox.trakor
    wanted = said(story)
    assert len(wanted) > 300
    trakor.hold(where=lambda _: len(trakor.parties) >= 30, times=None)
    process = await story.begin("run", "--log-format", "json")
    port = await process.listens("listening for webhooks")
    odd = {"customer": {"name": "Webhooked Wanda", "email": "wanda@example.net", "phone": "0491 570 737"}}
    async with http.post(f"http://127.0.0.1:{port}/webhooks/{TOKEN}/contact-created", json=odd) as answer:
        assert answer.status == 202
    await trakor.wait_for(lambda: trakor.traffic.in_flight >= 10, timeout=LONG)
    await process.said('"event": "swept"')
    wanted |= {"Webhooked Wanda", "wanda@example.net", "0491 570 737"}
    assert in_clear(story, wanted) == [], "while records wait"
    process.signal(signal.SIGKILL)
    await process.ended()
    assert in_clear(story, wanted) == [], "after it was killed"
    trakor.faults.clear()
    trakor.release()

    rejected = contacts.add("Rita Rosella", email="rita@example.net")
    body = {"error": "Rita Rosella <rita@example.net> is not wanted"}
    story.fail("Rita Rosella", status=400, body=body, times=None)
    trakor.faults.add(Fault(name="Nobody", status=500))
    renamed, changed = contacts.id_at(8), contacts.id_at(9)
    await story.backfill()
    contacts.rename(renamed, "Nina Newname")
    contacts.change_phone(changed, "0491 579 212")
    await story.backfill()
    stands = await story.records()
    assert (stands[renamed].state, stands[changed].state) == ("held: renamed", "drifted")
    assert stands[rejected].state == "rejected: refused-by-trakor"
    wanted |= said(story)
    assert in_clear(story, wanted) == [], "while some wait for a person"
