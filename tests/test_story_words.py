"""What a remote system writes about a client stands neither in the log nor, in clear, on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bridge.sandbox import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.sandbox.faults import Faults
    from stories import Story

pytestmark = pytest.mark.acceptance

PERSON = ("Zoë", "Façade", "facade", "Mueller", "Müller", "lukasz-oster", "Larkspur")
"""Parts of a client's words, as the remotes below spell them; of which nothing may be left anywhere."""

SAID = (
    "Zoë Façade, born 1987-03-12, 4 Larkspur Lane; slug 'zoe-facade' of Mueller and lukasz-oster is reserved"
)


def graphql(**fields: object) -> dict[str, object]:
    return {"data": None, "errors": [{"message": SAID, **fields}]}


SALESTREKKER: dict[str, dict[str, Any]] = {
    "a message": {"status": 200, "body": graphql()},
    "a path": {"status": 200, "body": graphql(path=["contacts", 0, "Façade", SAID])},
    "a code": {"status": 200, "body": graphql(extensions={"code": "ZOE_FACADE_LARKSPUR_1987"})},
    "a complaint": {"status": 400, "body": graphql(extensions={"code": "GRAPHQL_VALIDATION_FAILED"})},
    "an unknown field": {"status": 200, "body": graphql(message=f'Cannot query field "Façade" on "{SAID}"')},
    "a permission": {"status": 403, "body": graphql(path=["contacts", "Larkspur"])},
    "a page": {"status": 404, "body": f"<html>{SAID}</html>"},
    "a content type": {"status": 404, "body": SAID, "headers": {"Content-Type": "x-facade/larkspur-1987"}},
    "a redirect": {"status": 302, "headers": {"Location": "https://zoe-facade.example/Larkspur/1987"}},
    "a broken answer": {"status": 200, "body": f'{{"data": {{"contacts": "{SAID}'},
    "a fault": {"status": 503, "body": graphql(), "headers": {"Retry-After": "zoe-facade 1987"}},
}
TRAKOR: dict[str, dict[str, Any]] = {
    "a rejection": {"status": 400, "body": {"error": SAID}},
    "another rejection": {"status": 422, "body": {"error": {"message": SAID, "code": "zoe-facade"}}},
    "a page": {"status": 403, "body": f"<html>{SAID}</html>"},
    "a fault": {"status": 500, "body": {"error": SAID}},
    "a content type": {"status": 200, "body": SAID, "headers": {"Content-Type": "x-facade/larkspur-1987"}},
    "a redirect": {"status": 302, "headers": {"Location": "https://zoe-facade.example/Larkspur/1987"}},
    "an answer without an id": {"status": 201, "body": {"name": SAID, "created": SAID}},
}


async def told_nothing_of(story: Story, faults: Faults, fault: dict[str, Any], *, kind: str) -> None:
    """Backfill, look at it, drop what waits: then look for the person's words."""
    faults.add(Fault(kind=kind, times=3, **fault))
    said = [
        await story.run("backfill", "contacts", "--log-level", "debug"),
        await story.run("status"),
        await story.run("records", "drop", "--state", "rejected", "--yes"),
    ]
    heard = "\n".join(one.out + one.err for one in said)
    assert [part for part in PERSON if part.lower() in heard.lower()] == []
    assert found_in(story.bridge.folder) == []


def found_in(folder: Path) -> list[tuple[str, str]]:
    """Files that hold a part of the person's words, in whatever encoding and case."""
    words = {word for part in PERSON for word in (part, part.lower(), part.upper())}
    return [
        (file.name, word)
        for file in folder.glob("ledger.db*")
        for word in sorted(words)
        if any(word.encode(coding) in file.read_bytes() for coding in ("utf-8", "utf-16-le"))
    ]


def two_clients(story: Story) -> None:
    for name in ("Zoë Façade", "Ada Ashby"):
        story.sandbox.contacts.add(name, email=f"{name[0]}@example.com")
    story.configure(trakor={"unanswered_wait": "1s"})


@pytest.mark.parametrize("fault", SALESTREKKER.values(), ids=SALESTREKKER)
async def test_what_salestrekker_says_of_a_client_is_repeated_nowhere(
    story: Story, fault: dict[str, Any]
) -> None:
    """A GraphQL error stood whole in 12 of 43 lines of the log, and in the ledger."""
    two_clients(story)
    await told_nothing_of(story, story.sandbox.salestrekker.faults, fault, kind="contacts")


@pytest.mark.parametrize("fault", TRAKOR.values(), ids=TRAKOR)
async def test_what_trakor_says_of_a_client_is_repeated_nowhere(story: Story, fault: dict[str, Any]) -> None:
    """After `drop` the reserved slug of a name was still in the ledger's file."""
    two_clients(story)
    await told_nothing_of(story, story.sandbox.trakor.faults, fault, kind="parties")
