"""What is sent to Trakor: paths and bodies, made by pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from bridge.records import Product

if TYPE_CHECKING:
    from bridge.records import Payload

__all__ = ["MALFORMED", "PARTIES", "PRODUCTS", "build", "path_of"]

PARTIES: Final = "/parties"
PRODUCTS: Final = "/products"

MALFORMED: Final = b"{}"
"""A body without a name: a good key answers 400 to it and makes nothing (authentication comes first)."""


def path_of(payload: Payload) -> str:
    """The endpoint that takes a payload."""
    return PRODUCTS if isinstance(payload, Product) else PARTIES


def build(payload: Payload) -> bytes:
    """The JSON body of a POST. Fields without a value are left out: both are optional."""
    body: dict[str, Any] = {"name": payload.name}
    if isinstance(payload, Product):
        if payload.description:
            body["description"] = payload.description
        if payload.price is not None:
            body["price"] = float(payload.price)  # exact to the cent below 1e12, which mapping sees to
    elif payload.contact_info:
        body["contact_info"] = payload.contact_info
    return orjson.dumps(body)
