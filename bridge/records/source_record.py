"""A record as Salestrekker returned it, and the rules that made a draft of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.records.streams import Stream

__all__ = ["NO_RULES", "Record", "Rules"]


@dataclass(frozen=True, slots=True)
class Record:
    """One record as Salestrekker returned it, not mapped yet.

    Attributes:
        stream: The stream that it belongs to.
        id: Salestrekker's id, never empty.
        data: The decoded JSON object, as the query selected it.
        read_at: When the read that returned it began.
    """

    stream: Stream
    id: str
    data: Mapping[str, object]
    read_at: int


@dataclass(frozen=True, slots=True)
class Rules:
    """Fingerprints of what made and decided a draft: with equal rules, equal records give equal drafts.

    Attributes:
        query: Fingerprint of what the query selects of a record.
        map: Fingerprint of the map's expressions and of the rules for names and hashes.
        choices: Fingerprint of `where` and of all policies.
        text: The map's expressions as JSON, so that the map can be applied after it was replaced.
    """

    query: str
    map: str
    choices: str
    text: str = ""


NO_RULES: Final = Rules("", "", "")
"""The rules of a record that no present rules made."""
