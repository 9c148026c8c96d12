"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.errors import BridgeError

__all__ = ["Check", "failed", "not_tried"]


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        name: What was checked, such as ``salestrekker.auth``; with several connections, the connection's
            name stands before it.
        ok: Whether it passed.
        detail: What was found.
        advice: What to do next; may have several lines. Empty if there is nothing to do.
        tried: False if it depends on another check that failed.
        caution: It passed, but the user should read the advice before anything is sent.
    """

    name: str
    ok: bool
    detail: str
    advice: str = ""
    tried: bool = True
    caution: bool = False

    def as_json(self) -> dict[str, object]:
        """The form of ``check --json``."""
        return {"name": self.name, "ok": self.ok, "detail": self.detail, "advice": self.advice}


def failed(name: str, error: BridgeError) -> Check:
    """A check that failed with an error."""
    return Check(name, ok=False, detail=str(error), advice=getattr(error, "advice", ""))


def not_tried(name: str, needed: str) -> Check:
    """A check that depends on one that failed."""
    return Check(name, ok=False, detail=f"not tried: {needed} failed", tried=False)
