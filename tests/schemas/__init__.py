"""Schemas as other vendors have them, each with data and with the truth about that data.

The bridge has never seen them: nothing in ``bridge/`` may depend on a name here. A schema is served by
``ForeignSandbox``, beside a simulated Trakor, so that a backfill can be compared with the truth.

==========  ========================================================  ==================================
module      lists                                                     records
==========  ========================================================  ==================================
``relay``   ``people(first, after)``: ``edges``, ``pageInfo``         phones as objects, ``archivedAt``
``nested``  ``me { organization { contacts(input: {page: …}) } }``    flat, ``fullName``, ``isArchived``
``cursor``  ``contacts(limit, cursor)``: ``items``, ``nextCursor``    a union of two types, an interface
==========  ========================================================  ==================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import cursor, nested, relay
from schemas.foreign import ForeignSandbox, ForeignSchema
from schemas.truth import Deal, TrueContact, TrueProduct, Truth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SCHEMAS", "Deal", "ForeignSandbox", "ForeignSchema", "TrueContact", "TrueProduct", "Truth"]

SCHEMAS: Mapping[str, Callable[[], ForeignSchema]] = {
    "relay": relay.schema,
    "nested": nested.schema,
    "cursor": cursor.schema,
}
"""Each makes its schema with data of its own."""
