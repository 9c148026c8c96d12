"""The five schemas ("shapes") that the simulated Salestrekker can have, over the same data.

===========  =================================================================  ======================
shape        contacts                                                           what has changed since
===========  =================================================================  ======================
``offset``   ``contacts(limit, offset)``: a list; the reconstructed schema
``page``     ``contacts(page, pageSize)``: ``items`` and ``total``              ``modifiedSince: Int``
``relay``    ``contacts(first, after)``: ``edges``, ``nodes``, ``pageInfo``     ``updatedSince: DateTime``
``plain``    ``contacts``: the whole list                                       ``changedAfter: String``
``renamed``  ``clients(skip, take)``: ``objects``, with other names
===========  =================================================================  ======================

Products are the same, without a time. A resolver returns plain dicts with the schema's field names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.sandbox.shapes.paging_styles import offset_shape, page_shape, plain_shape, relay_shape
from bridge.sandbox.shapes.renamed import renamed_shape
from bridge.sandbox.shapes.shape_kind import BeforeFirst, Paged, ShapeKind

if TYPE_CHECKING:
    from bridge.sandbox.graphql_engine import ApiShape

__all__ = ["BeforeFirst", "Paged", "ShapeKind", "offset_shape", "shape_of"]


def shape_of(kind: ShapeKind, paged: Paged) -> ApiShape:
    """Return a schema and its resolvers.

    Args:
        kind: The kind of schema.
        paged: The paging options. Those that do not apply to the kind are ignored.
    """
    match kind:
        case ShapeKind.OFFSET:
            return offset_shape(paged.most)
        case ShapeKind.PAGE:
            return page_shape(paged)
        case ShapeKind.RELAY:
            return relay_shape(paged.most)
        case ShapeKind.PLAIN:
            return plain_shape()
        case ShapeKind.RENAMED:
            return renamed_shape(paged.most)
