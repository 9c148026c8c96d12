"""Reads a foreign schema by hand, with a plain HTTP client and none of the bridge's code.

It proves that the truth beside a schema is what the schema's lists really give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import aiohttp

    from bridge.sandbox import Sandbox

__all__ = ["Reader", "all_pages"]

MOST_PAGES = 50
"""A list with more pages than this never ends."""


class Reader:
    """Asks one organisation, with a token.

    Args:
        http: A client.
        sandbox: Whose Salestrekker is asked.

    Attributes:
        token: Empty before the first request.
    """

    def __init__(self, http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
        self._http = http
        self._sandbox = sandbox
        self.token = ""

    async def ask(self, text: str, **variables: object) -> dict[str, Any]:
        """The data of an answer without errors; logs in before the first one."""
        if not self.token:
            self.token = await self._log_in()
        status, answer = await self.post(text, variables, self.token)
        assert status == 200, answer
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def post(self, text: str, variables: Mapping[str, object], token: str = "") -> tuple[int, Any]:
        """One request; gives status and decoded answer."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = {"query": text, "variables": dict(variables)}
        async with self._http.post(self._sandbox.salestrekker_url, headers=headers, json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    async def _log_in(self) -> str:
        text = "mutation ($key: String) { authenticate(apiKey: $key) { token } }"
        _, answer = await self.post(text, {"key": self._sandbox.options.api_key})
        return str(answer["data"]["authenticate"]["token"])


async def all_pages(
    page: Callable[[Any], Awaitable[tuple[list[dict[str, Any]], Any]]], first: object
) -> tuple[list[dict[str, Any]], list[int]]:
    """All records of a list, and how many each page had.

    Args:
        page: Takes the mark of a page; gives its records, and the mark of the next page or None at the end.
        first: The mark of the first page.
    """
    records: list[dict[str, Any]] = []
    sizes: list[int] = []
    mark = first
    for _ in range(MOST_PAGES):
        found, mark = await page(mark)
        records += found
        sizes.append(len(found))
        if mark is None:
            return records, sizes
    raise AssertionError("the list never ends")
