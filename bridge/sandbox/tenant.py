"""One organisation of Trakor: its keys, its parties and products, and whether it is frozen."""

from __future__ import annotations

from bridge.sandbox.trakor_store import Matching, RecordStore

__all__ = ["Tenant"]


class Tenant:
    """One organisation of Trakor.

    Args:
        name: What the sandbox calls it.
        api_key: Its first key.
        seed: Makes the ids.
        matching: Which names are the same.

    Attributes:
        keys: All keys that are its own; ``api_key`` is the first.
        frozen: Every request is answered 403.
        revoked: All its keys are revoked: every request is answered 401.
    """

    def __init__(self, name: str, api_key: str, seed: int, matching: Matching) -> None:
        self.name = name
        self.keys = [api_key]
        self.frozen = False
        self.revoked = False
        self.parties = RecordStore(seed, matching)
        self.products = RecordStore(seed + 1, matching, sku="PRD")

    @property
    def size(self) -> int:
        """How many parties and products it has."""
        return len(self.parties) + len(self.products)

    @property
    def api_key(self) -> str:
        """Its first key."""
        return self.keys[0]

    def match(self, matching: Matching) -> None:
        """Compare names in another way from now on."""
        self.parties.match(matching)
        self.products.match(matching)

    def empty(self) -> None:
        """Take all parties and products away."""
        self.parties.clear()
        self.products.clear()
