"""What one step of a check came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.errors import BridgeError

__all__ = ["Check", "failed", "not_tried"]


@dataclass(frozen=True, slots=True)
class Check:
    """One step.

    Attributes:
        name: What was looked at: ``salestrekker.auth``; with the connection's name before it where there are
            several.
        ok: It is as it must be.
        detail: What was found.
        advice: What to do next; may have several lines. Empty where there is nothing to do.
        tried: False where it needs another step that failed: not ok, but no fault of its own.
        caution: It is as it must be, and a person should read the advice before anything is sent.
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
    """The step that an error ended."""
    return Check(name, ok=False, detail=str(error), advice=getattr(error, "advice", ""))


def not_tried(name: str, needed: str) -> Check:
    """A step that needs one that failed."""
    return Check(name, ok=False, detail=f"not tried: {needed} failed", tried=False)
