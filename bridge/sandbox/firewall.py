"""A firewall in front of Trakor, which blocks requests because of a text in their bodies.

::

    trakor.firewall.block("union select", Blocked.PAGE)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bridge.sandbox.simulated_system import Reply, html_reply

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Blocked", "Firewall", "Rule"]


class Blocked(StrEnum):
    """How a blocked request is answered."""

    FORBIDDEN = "forbidden"  # 403 and an HTML page
    PAGE = "page"  # 200 and an HTML page
    NOT_FOUND = "not-found"  # 404 and an HTML page
    REDIRECT = "redirect"  # 302 to another path


_STATUSES = {Blocked.FORBIDDEN: 403, Blocked.PAGE: 200, Blocked.NOT_FOUND: 404, Blocked.REDIRECT: 302}


@dataclass(slots=True)
class Rule:
    """One blocked text.

    Attributes:
        text: A body is blocked if any of its values contains this, in upper or lower case.
        answer: How a blocked request is answered.
        hits: How many requests were blocked.
    """

    text: str
    answer: Blocked
    hits: int = 0


class Firewall:
    """The rules of one firewall, in the order in which they were added."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def __len__(self) -> int:
        return len(self._rules)

    def block(self, text: str, answer: Blocked | str = Blocked.FORBIDDEN) -> Rule:
        """Block a text from now on. The result counts the hits.

        Raises:
            ValueError: The text is empty, or there is no such answer.
        """
        if not text:
            raise ValueError("text: an empty one would block everything")
        rule = Rule(text.casefold(), Blocked(answer))
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Let everything pass."""
        self._rules.clear()

    def refusal(self, content: object) -> Reply | None:
        """Return the answer to a request with this body; None if the request passes."""
        if not self._rules:
            return None
        texts = [text.casefold() for text in _texts(content)]
        for rule in self._rules:
            if any(rule.text in text for text in texts):
                rule.hits += 1
                return _answer(rule.answer)
        return None


def _answer(answer: Blocked) -> Reply:
    headers = {"Location": "/blocked"} if answer is Blocked.REDIRECT else {}
    return html_reply(_STATUSES[answer], "Request blocked", **headers)


def _texts(content: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """Yield all texts in a JSON value."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for value in content.values() if isinstance(content, dict) else content:
            yield from _texts(value)
