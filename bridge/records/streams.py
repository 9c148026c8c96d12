"""The streams, each as a value: all that the bridge does differently for contacts and for products.

::

    Stream.CONTACTS.spec ──> StreamSpec(payload=Party, endpoint="/parties", list_query="contacts.graphql", …)

No other module asks which stream it has; CONTRIBUTING.md, "A new stream", lists what goes with a new member.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from bridge.records.payloads import Party, Product

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.records.payloads import Payload

__all__ = ["DEAL_CONTACTS", "STREAMS", "Job", "Stream", "StreamSpec"]

Keys: TypeAlias = tuple[str, ...]
"""Keys that lead to a value in a webhook's body."""


class Stream(StrEnum):
    """A list that is kept in step: Salestrekker contacts become Trakor parties, products become products."""

    CONTACTS = "contacts"
    PRODUCTS = "products"

    @property
    def spec(self) -> StreamSpec:
        """What is particular to this stream."""
        return STREAMS[self]


class Job(StrEnum):
    """A job of the daemon, by its key in ``[schedule]``: one for each stream, and one for all of them."""

    CONTACTS = "contacts"
    PRODUCTS = "products"
    RECONCILE = "reconcile"

    def reads(self, stream: Stream) -> bool:
        """Whether the job reads this stream: ``reconcile`` reads every one, in full."""
        return self is Job.RECONCILE or self.value == stream.value


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What is particular to one stream.

    Attributes:
        singular: One of its records, in a sentence and in the names of webhook actions: ``contact``.
        payload: The type of what is sent to Trakor.
        endpoint: The path of Trakor's API that takes the payload.
        list_query: The default file name of the query that lists the records.
        query_by_id: The default file name of the query that reads one record by its id.
        timing: The default of its key in ``[schedule]``.
        webhook_ids: Where a webhook's body may hold the id of such a record, and of no other.
        is_personal: Whether its records hold personal data, which `check` masks.
        has_sku: Whether Trakor numbers what it makes of them.
    """

    singular: str
    payload: type[Payload]
    endpoint: str
    list_query: str
    query_by_id: str
    timing: str
    webhook_ids: tuple[Keys, ...]
    is_personal: bool = False
    has_sku: bool = False


STREAMS: Final[Mapping[Stream, StreamSpec]] = MappingProxyType(
    {
        Stream.CONTACTS: StreamSpec(
            singular="contact",
            payload=Party,
            endpoint="/parties",
            list_query="contacts.graphql",
            query_by_id="contact.graphql",
            timing="15m",
            webhook_ids=(("contact", "id"), ("idContact",)),
            is_personal=True,
        ),
        Stream.PRODUCTS: StreamSpec(
            singular="product",
            payload=Product,
            endpoint="/products",
            list_query="products.graphql",
            query_by_id="product.graphql",
            timing="0 3 * * *",
            webhook_ids=(("product", "id"),),
            has_sku=True,
        ),
    }
)
"""The registry: each stream with its specification."""

DEAL_CONTACTS: Final = Stream.CONTACTS
"""The stream whose records a deal names (``ticket.graphql``)."""
