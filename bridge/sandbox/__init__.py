"""Both remote systems, simulated on loopback: for trying out, and for tests (docs/sandbox.md)."""

from __future__ import annotations

from bridge.sandbox.faults import Fault
from bridge.sandbox.salestrekker import AuthErrorStyle
from bridge.sandbox.server import Options, Sandbox, configuration, serve
from bridge.sandbox.shapes import BeforeFirst, ShapeKind
from bridge.sandbox.trakor import Matching
from bridge.sandbox.world import BrokenField

__all__ = [
    "AuthErrorStyle",
    "BeforeFirst",
    "BrokenField",
    "Fault",
    "Matching",
    "Options",
    "Sandbox",
    "ShapeKind",
    "configuration",
    "serve",
]
