"""`check` at addresses that are wrong, each in another way: what is said of them, and what leads on."""

from __future__ import annotations

import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.checks import Check, run
from bridge.salestrekker.reachability import connection_advice
from bridge.settings import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from bridge.sandbox import Sandbox

    Handler: TypeAlias = "Callable[[web.Request], Awaitable[web.StreamResponse]]"


def certificate() -> ssl.SSLContext:
    """A fresh certificate of an authority that nobody knows."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@asynccontextmanager
async def served(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server of one handler; gives its address, without a path."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    server = TestServer(app, scheme="https" if tls else "http", shutdown_timeout=0.1)
    await server.start_server(ssl=tls)
    async with server:
        yield str(server.make_url("")).rstrip("/")


def closed_port() -> int:
    """A port of this machine at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


async def steps(
    folder: Path, url: str, trakor: str, environ: Mapping[str, str] | None = None
) -> dict[str, Check]:
    """Check a bridge between two addresses."""
    (folder / "config.toml").write_text(
        f'[salestrekker]\nurl = "{url}"\napi_key = "canary-key"\ntimeout = "500ms"\n'
        f'[trakor]\nurl = "{trakor}"\napi_key = "sk_live_canary"\ntimeout = "500ms"\n'
    )
    settings = load(folder / "config.toml", {})
    found = run(settings, list(settings.connections), environ or {}, show=False)
    return {step.name: step async for step in found}


async def page(_: web.Request) -> web.Response:
    return web.Response(text="<html><h1>Welcome</h1></html>", content_type="text/html")


async def test_a_web_page_instead_of_graphql(tmp_path: Path, sandbox: Sandbox) -> None:
    async with served(page) as url:
        found = await steps(tmp_path, f"{url}/graphql", sandbox.trakor_url)
    step = found["salestrekker.address"]
    assert not step.ok
    assert "HTTP 200, text/html" in step.detail
    assert ".salestrekker.com/graphql" in step.advice
    assert found["salestrekker.auth"].detail == "not tried: salestrekker.address failed"
    assert "401" in found["trakor.auth"].detail  # it was asked all the same


@pytest.mark.parametrize("path", ["", "/", "/api/graphql", "/graphql/v2"])
async def test_a_wrong_path_is_told_with_the_right_one(tmp_path: Path, sandbox: Sandbox, path: str) -> None:
    """Found out by asking there, without credentials."""
    url = sandbox.salestrekker_url
    found = await steps(tmp_path, url.removesuffix("/graphql") + path, sandbox.trakor_url)
    step = found["salestrekker.address"]
    assert "HTTP 404" in step.detail
    assert step.advice.endswith(f'below [salestrekker]:\nurl = "{url}"')


async def test_no_credentials_are_sent_to_an_address_that_is_not_salestrekkers(tmp_path: Path) -> None:
    """Neither to a page, nor where it redirects to."""
    seen: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        seen.append(f"{request.headers} {await request.text()}")
        return await page(request)

    async with served(elsewhere) as other:

        async def redirect(request: web.Request) -> web.Response:
            seen.append(f"{request.headers} {await request.text()}")
            raise web.HTTPTemporaryRedirect(f"{other}/graphql")

        async with served(redirect) as url:
            found = await steps(tmp_path, f"{url}/graphql", f"{url}/api/public/v1")
    assert "redirected to http://127.0.0.1" in found["salestrekker.address"].detail
    assert "redirect" in found["trakor.auth"].detail
    assert not any("canary-key" in one for one in seen)
    assert len(seen) == 2  # the question that needs no key, and Trakor's own: nothing went on to the other


async def test_a_server_that_wants_a_token_first_speaks_graphql(tmp_path: Path, sandbox: Sandbox) -> None:
    found = await steps(tmp_path, sandbox.salestrekker_url, sandbox.trakor_url)
    assert found["salestrekker.address"].ok
    assert "did not accept the API key" in found["salestrekker.auth"].detail


async def test_nothing_listens_there(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    found = await steps(tmp_path, f"{url}/graphql", f"{url}/api/public/v1")
    for name in ("salestrekker.address", "trakor.auth"):
        assert "nothing listens at this port" in found[name].advice
        assert url in found[name].detail


async def test_tls_where_none_is_spoken(tmp_path: Path, sandbox: Sandbox) -> None:
    source, target = (
        url.replace("http://", "https://") for url in (sandbox.salestrekker_url, sandbox.trakor_url)
    )
    found = await steps(tmp_path, source, target)
    for name in ("salestrekker.address", "trakor.auth"):
        assert "does not speak TLS at this port" in found[name].advice


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    """Nothing is sent to such a server, whoever it is."""
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return await page(request)

    async with served(handler, certificate()) as url:
        assert url.startswith("https://")
        found = await steps(tmp_path, f"{url}/graphql", f"{url}/api/public/v1")
    for name in ("salestrekker.address", "trakor.auth"):
        assert "certificate is not trusted here" in found[name].advice
    assert asked == []


async def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """It takes the connection and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = await steps(tmp_path, f"{url}/graphql", f"{url}/api/public/v1")
    for name in ("salestrekker.address", "trakor.auth"):
        assert "in time" in found[name].advice


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_a_proxy_that_is_set_and_not_used_is_mentioned_where_it_matters(
    tmp_path: Path, sandbox: Sandbox, name: str
) -> None:
    """And its address, which can hold a password, is not told."""
    url = f"http://127.0.0.1:{closed_port()}/graphql"
    environ = {name: "http://user:canary-pass@proxy.example:3128"}
    found = await steps(tmp_path, url, sandbox.trakor_url, environ)
    assert f"{name} is set, but the bridge does not use it" in found["salestrekker.address"].advice
    assert "canary-pass" not in repr(found)
    assert "PROXY" not in found["trakor.auth"].advice.upper()


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "ClientConnectorDNSError: Cannot connect [Name or service not known]",
            "no host",
        ),
        ("gaierror: [Errno -3] Temporary failure in name resolution", "no host"),
        ("ClientConnectorCertificateError: CERTIFICATE_VERIFY_FAILED self-signed", "not trusted here"),
        ("ClientConnectorSSLError: [SSL: WRONG_VERSION_NUMBER]", "does not speak TLS"),
        ("ClientConnectorError: [Connect call failed ('10.0.0.1', 443)]", "nothing listens"),
        ("ConnectionTimeoutError: Connection timeout to host", "in time"),
        ("OSError: [Errno 113] No route to host", "no way to that host"),
        ("ServerDisconnectedError: Server disconnected", "closed the connection"),
        ("something else", ""),
    ],
)
def test_each_way_to_fail_has_its_advice_however_deep_it_lies(said: str, advice: str) -> None:
    outer = OSError("outer")
    outer.__cause__ = OSError("between")
    outer.__cause__.__context__ = OSError(said)
    found = connection_advice(outer)
    assert advice in found
    assert bool(found) == bool(advice)


def test_a_circle_of_causes_has_an_end() -> None:
    one, other = OSError("a"), OSError("b")
    one.__cause__, other.__cause__ = other, one
    assert connection_advice(one) == ""
