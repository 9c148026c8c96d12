"""What is sent to Trakor: paths and bodies, made by pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from bridge.records import STREAMS, Party

if TYPE_CHECKING:
    from bridge.records import Payload

__all__ = ["ENDPOINTS", "MALFORMED", "PROBED", "build", "path_of"]

ENDPOINTS: Final = {spec.payload: spec.endpoint for spec in STREAMS.values()}
"""The path that takes each type of payload."""

PROBED: Final = ENDPOINTS[Party]
"""Where Trakor is asked whether it accepts requests at all."""

MALFORMED: Final = b"{}"
"""A body without a name: Trakor answers 400 to it and creates nothing. The key is checked before the body."""


def path_of(payload: Payload) -> str:
    """The endpoint that takes a payload."""
    return ENDPOINTS[type(payload)]


def build(payload: Payload) -> bytes:
    """The JSON body of a POST."""
    return orjson.dumps(payload.body())
