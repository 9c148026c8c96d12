"""Trakor's public API, simulated to the letter of its one public page.

``POST /api/public/v1/products`` and ``/parties``: create by name, or give back what
exists and change nothing.
The order of the checks is: path and method, key (401), frozen organisation (403), body (400).
"""

from __future__ import annotations

import random
import uuid
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from bridge.sandbox.system import Call, Reply, System, decoded, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

__all__ = ["Entry", "Matching", "Shelf", "Trakor"]

BASE_PATH = "/api/public/v1"
MAX_UNITS = 255


class Matching(StrEnum):
    """Which names Trakor takes for the same; its page does not say."""

    EXACT = "exact"
    TRIMMED = "trimmed"
    CASE_INSENSITIVE = "case-insensitive"  # and trimmed: the loosest


class Entry(NamedTuple):
    """A party or a product as Trakor keeps it.

    Attributes:
        id: Looks like a UUID.
        name: As it was first sent.
        text: The ``contact_info`` of a party, the ``description`` of a product.
        price: Of a product; 0 where none was sent.
        sku: Of a product; empty for a party.
    """

    id: str
    name: str
    text: str
    price: float
    sku: str


class Shelf:
    """The parties, or the products, of the one organisation.

    Args:
        seed: Makes the ids.
        matching: Which names are the same.
        sku: Prefix of the article number; empty for none.
    """

    def __init__(self, seed: int, matching: Matching, sku: str = "") -> None:
        self._random = random.Random(seed)  # noqa: S311 - ids of a simulation
        self._key = _key_of(matching)
        self._sku = sku
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._key(name) in self._entries

    def __getitem__(self, name: str) -> Entry:
        return self._entries[self._key(name)]

    def entries(self) -> list[Entry]:
        """All of them, oldest first."""
        return list(self._entries.values())

    def names(self) -> list[str]:
        """Their names, oldest first."""
        return [entry.name for entry in self._entries.values()]

    def put(self, name: str, text: str = "", price: float = 0) -> tuple[Entry, bool]:
        """Create an entry, or give back the one of that name unchanged; says whether it was created."""
        key = self._key(name)
        entry = self._entries.get(key)
        if entry is not None:
            return entry, False
        sku = f"{self._sku}-{len(self._entries) + 1:05d}" if self._sku else ""
        identity = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        entry = Entry(identity, name, text, price, sku)
        self._entries[key] = entry
        return entry, True

    def clear(self) -> None:
        """Empty it."""
        self._entries.clear()


class Trakor(System):
    """The Trakor server.

    Args:
        api_key: The one key that is good, until it is revoked.
        seed: Makes the ids.
        latency: Seconds that each request takes at least.
        matching: Which names are the same.
        existing_status: 200 or 201: how a name that exists is answered; the page does not say.
    """

    def __init__(
        self,
        api_key: str,
        *,
        seed: int = 1,
        latency: float = 0.0,
        matching: Matching = Matching.EXACT,
        existing_status: int = 200,
    ) -> None:
        super().__init__(latency)
        self.api_key = api_key
        self.existing_status = existing_status
        self.frozen = False
        self.revoked = False
        self.parties = Shelf(seed, matching)
        self.products = Shelf(seed + 1, matching, sku="PRD")

    def freeze(self) -> None:
        """Freeze the organisation: every request is answered 403."""
        self.frozen = True

    def unfreeze(self) -> None:
        """Thaw it again."""
        self.frozen = False

    def revoke_key(self) -> None:
        """Revoke the key: every request is answered 401."""
        self.revoked = True

    def restore_key(self) -> None:
        """Let the key be good again."""
        self.revoked = False

    def identify(self, request: web.BaseRequest, raw: bytes) -> Call:
        """Which endpoint is called, with which name and key."""
        kind = request.path.removeprefix(f"{BASE_PATH}/")
        content = decoded(raw)
        name = content.get("name") if isinstance(content, dict) else None
        refusal = None
        if kind not in _CHECKS:
            kind, refusal = "other", _error(404, "Not found")
        elif request.method != "POST":
            refusal = _error(405, "Method not allowed", Allow="POST")
        key = request.headers.get("X-API-KEY", "")
        return Call(kind, name if isinstance(name, str) else "", content, key, refusal)

    def answer(self, call: Call) -> Reply:
        """Check key, organisation and body, in this order, then create or find."""
        if self.revoked or call.credential != self.api_key:
            return _error(401, "Missing, invalid, or revoked X-API-KEY")
        if self.frozen:
            return _error(403, "Organisation is frozen")
        if not isinstance(call.content, dict):
            return _error(400, "Invalid JSON body")
        fault = _fault(call.content, _CHECKS[call.kind])
        return _error(400, fault) if fault else self._keep(call.kind, call.content)

    def _keep(self, kind: str, content: dict[str, Any]) -> Reply:
        if kind == "products":
            text, price = content.get("description", ""), content.get("price", 0)
            entry, created = self.products.put(content["name"], text, price)
            answer = {"id": entry.id, "sku": entry.sku, "name": entry.name, "created": created}
        else:
            entry, created = self.parties.put(content["name"], content.get("contact_info", ""))
            answer = {"id": entry.id, "name": entry.name, "created": created}
        return json_reply(201 if created else self.existing_status, answer)


def _key_of(matching: Matching) -> Callable[[str], str]:
    if matching is Matching.EXACT:
        return str
    if matching is Matching.TRIMMED:
        return str.strip
    return lambda name: name.strip().casefold()


def _error(status: int, message: str, **headers: str) -> Reply:
    return json_reply(status, {"error": message}, **headers)


def _fault(content: dict[str, Any], checks: dict[str, Callable[[Any], str]]) -> str:
    """The first thing that the schema does not allow; empty where all is well. Unknown fields are."""
    if "name" not in content:
        return "name: Required"
    faults = (f"{field}: {why}" for field, check in checks.items() if (why := _why(content, field, check)))
    return next(faults, "")


def _why(content: dict[str, Any], field: str, check: Callable[[Any], str]) -> str:
    return check(content[field]) if field in content else ""


def _name_fault(value: object) -> str:
    if not isinstance(value, str):
        return "Expected string"
    if not value.strip():
        return "Must contain at least 1 character"
    too_long = len(value) > MAX_UNITS // 2 and len(value.encode("utf-16-le")) // 2 > MAX_UNITS
    return f"Must contain at most {MAX_UNITS} characters" if too_long else ""


def _text_fault(value: object) -> str:
    return "" if isinstance(value, str) else "Expected string"


def _number_fault(value: object) -> str:
    return "" if isinstance(value, int | float) and not isinstance(value, bool) else "Expected number"


_CHECKS: dict[str, dict[str, Callable[[Any], str]]] = {
    "parties": {"name": _name_fault, "contact_info": _text_fault},
    "products": {"name": _name_fault, "description": _text_fault, "price": _number_fault},
}
