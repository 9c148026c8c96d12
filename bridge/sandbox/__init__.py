"""Simulates both remote systems on loopback, for trying the bridge and for tests (docs/sandbox.md)."""

from __future__ import annotations

from bridge.sandbox.faults import Fault, throttled
from bridge.sandbox.firewall import Blocked
from bridge.sandbox.salestrekker import AuthErrorStyle
from bridge.sandbox.salestrekker_organization import BrokenField
from bridge.sandbox.server import Options, Sandbox, configuration, serve
from bridge.sandbox.shapes import BeforeFirst, ShapeKind
from bridge.sandbox.trakor_store import Behaviour, Lookup, Matching

__all__ = [
    "AuthErrorStyle",
    "BeforeFirst",
    "Behaviour",
    "Blocked",
    "BrokenField",
    "Fault",
    "Lookup",
    "Matching",
    "Options",
    "Sandbox",
    "ShapeKind",
    "configuration",
    "serve",
    "throttled",
]
