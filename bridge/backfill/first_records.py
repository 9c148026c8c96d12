"""Reading only the beginning of a list."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from bridge.salestrekker.pages import Page

__all__ = ["limited"]


async def limited(pages: AsyncGenerator[Page], limit: int) -> AsyncGenerator[Page]:
    """The pages of a list up to so many records; without a last page where the list has more.

    Args:
        pages: All pages; closed at the end.
        limit: How many records at most.
    """
    left = limit
    async with aclosing(pages):
        async for page in pages:
            if len(page.records) < left:
                yield page
                left -= len(page.records)
            else:
                yield replace(page, records=page.records[:left])
                return
