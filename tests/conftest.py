"""Fixtures that all tests share."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from hypothesis import settings

from books import KEEPING, Book, empty_ledger
from bridge.ledger.feeds import load_or_add_feed
from bridge.records import Stream
from bridge.sandbox import Options, Sandbox
from bridges import Bridge
from checked import SMALL, Checked, configured
from desk import Desk, Organisation, organisation
from processes import commands
from rigs import PRODUCTS, Rig, WatchedLedger, names
from sending_service import LOANS, NAMES, SendingService
from stories import Story

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
    from pathlib import Path


# The same examples each time, however busy the machine is: a test fails only for a change of the code.
# `make machine` looks for new ones.
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``pytest --pictures`` draws the pictures of the documents anew."""
    parser.addoption("--pictures", action="store_true", help="draw docs/pictures anew (needs a Chromium)")


@pytest.fixture
async def start_sandbox() -> AsyncIterator[Callable[[Options], Awaitable[Sandbox]]]:
    """Starts sandboxes as they are asked for, and ends them with the test."""
    async with AsyncExitStack() as stack:

        async def start(options: Options) -> Sandbox:
            return await stack.enter_async_context(Sandbox(options))

        yield start


@pytest.fixture
async def story(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]], tmp_path: Path
) -> AsyncIterator[Story]:
    """An empty sandbox, and a bridge that is worked with by commands."""
    sandbox = await start_sandbox(Options(contacts=0, products=0))
    async with commands(tmp_path) as begin:
        found = Story(Bridge(tmp_path, sandbox), begin)
        found.configure()
        yield found


@pytest.fixture
async def sandbox(start_sandbox: Callable[[Options], Awaitable[Sandbox]]) -> Sandbox:
    """Both systems, with 200 seeded contacts and 40 products."""
    return await start_sandbox(Options(contacts=200, products=40))


@pytest.fixture
async def small(start_sandbox: Callable[[Options], Awaitable[Sandbox]]) -> Sandbox:
    """Both systems, with few records, for the tests of `check`."""
    return await start_sandbox(SMALL)


@pytest.fixture
def checked(tmp_path: Path, small: Sandbox) -> Checked:
    """The configuration of that sandbox, to be checked."""
    return configured(tmp_path, small)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A plain HTTP client, none of ours."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def post(http: aiohttp.ClientSession) -> Callable[..., Coroutine[Any, Any, tuple[int, Any]]]:
    """``post(sandbox, "parties", body)`` sends one POST to Trakor; gives status and decoded answer."""

    async def send(sandbox: Sandbox, path: str, body: object, *, key: str | None = None) -> tuple[int, Any]:
        headers = {"X-API-KEY": sandbox.options.trakor_key if key is None else key}
        url = f"{sandbox.trakor_url}/{path}"
        content = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with http.post(url, headers=headers, allow_redirects=False, **content) as answer:
            return answer.status, await answer.json(content_type=None)

    return send


@pytest.fixture
def ask(http: aiohttp.ClientSession) -> Callable[..., Coroutine[Any, Any, tuple[int, Any]]]:
    """``ask(sandbox, query, token, **variables)`` sends one GraphQL request to Salestrekker."""

    async def send(sandbox: Sandbox, query: str, token: str = "", /, **variables: object) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = {"query": query, "variables": variables}
        async with http.post(sandbox.salestrekker_url, headers=headers, json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    return send


@pytest.fixture
def log_in(ask: Callable[..., Awaitable[tuple[int, Any]]]) -> Callable[[Sandbox], Awaitable[str]]:
    """``log_in(sandbox)`` authenticates by API key and gives the token."""

    async def authenticate(sandbox: Sandbox) -> str:
        query = "mutation ($key: String) { authenticate(apiKey: $key) { token } }"
        _, answer = await ask(sandbox, query, key=sandbox.options.api_key)
        return str(answer["data"]["authenticate"]["token"])

    return authenticate


@pytest.fixture(scope="session")
def ledger_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an empty ledger lies, migrated once and copied by each test."""
    return tmp_path_factory.mktemp("template") / "ledger.db"


@pytest.fixture
def book(ledger_template: Path, tmp_path: Path) -> Book:
    """An empty ledger on disk, with the verbs that tests speak in."""
    return Book(empty_ledger(ledger_template, tmp_path / "ledger.db"))


@pytest.fixture
async def rig(
    start_sandbox: Callable[[Options], Awaitable[Sandbox]], ledger_template: Path, tmp_path: Path
) -> AsyncIterator[Rig]:
    """A ledger, the simulated Trakor, and delivery between the two."""
    sandbox = await start_sandbox(Options(contacts=0, products=0))
    ledger = WatchedLedger(empty_ledger(ledger_template, tmp_path / "ledger.db"), KEEPING)
    try:
        feeds = {
            stream: await ledger.call(load_or_add_feed, "default", "default", stream) for stream in Stream
        }
        rig = Rig(ledger, feeds, sandbox)
        async with rig.client:
            yield rig
    finally:
        ledger.close()


@pytest.fixture
async def service(rig: Rig) -> AsyncIterator[SendingService]:
    """Sending, with records of both streams pending."""
    rig.trakor.latency = 0.001
    await rig.want(names(NAMES))
    await rig.want(names(LOANS, "Loan"), PRODUCTS)
    service = SendingService(rig)
    try:
        yield service
    finally:
        await service.stop()


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    """An organisation after backfills, for tests that change only copies of its ledger."""
    return asyncio.run(organisation(tmp_path_factory.mktemp("organisation")))


@pytest.fixture
def ids(left: Organisation) -> dict[str, str]:
    """Salestrekker's id of the one record that each word says."""
    return left.ids


@pytest.fixture
def desk(
    left: Organisation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    """The command line at a copy of that organisation's ledger."""
    return Desk(tmp_path, monkeypatch, capsys).copy(left)
