"""The entries of the lock files, and the licence of each locked package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Final

from cyclonedx.spdx import is_expression
from packaging.markers import Marker

ROOT: Final = Path(__file__).parent.parent
PROJECT: Final = "salestrekker-trakor-bridge"

_ENTRY: Final = re.compile(
    r"^([a-z0-9.-]+)==(\S+)(?: ; (.+?))? \\\n(.*?)(?=^[a-z0-9]|\Z)", re.MULTILINE | re.DOTALL
)
_VIA: Final = re.compile(r"^    #(?: via|  ) +([a-z0-9.-]+)", re.MULTILINE)

_WHERE_IT_RUNS: Final = {
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_python_implementation": "CPython",
    "implementation_name": "cpython",
    "python_version": "3.11",
    "python_full_version": "3.11.0",
}
"""The platform that the bridge runs on. It is fixed, so that a lock file gives the same list everywhere."""

_SPELT: Final = {"Apache 2.0": "Apache-2.0", "ISC License": "ISC", "MIT License": "MIT"}
"""SPDX names of licences, by the names that some packages use for them."""

_READ: Final = {"jinja2": "BSD-3-Clause"}
"""Licences read from the package's licence file, if its metadata names only a family of licences."""


@dataclass(frozen=True, slots=True)
class Locked:
    """One entry of a lock file; `wanted_by` names the packages that require it."""

    name: str
    version: str
    wanted_by: frozenset[str]
    runs: bool
    """Whether it is installed on the platform that the bridge runs on."""


def locked(lock: str) -> list[Locked]:
    """Returns the entries of a lock file, in the order of the file."""
    return [
        Locked(name, version, frozenset(_VIA.findall(rest)), not marker or _applies(marker))
        for name, version, marker, rest in _ENTRY.findall((ROOT / lock).read_text("utf-8"))
    ]


def _applies(marker: str) -> bool:
    return Marker(marker).evaluate(_WHERE_IT_RUNS)


def licence(name: str) -> str:
    """Returns the licence of an installed package as an SPDX expression.

    Raises:
        SystemExit: The package is not installed, or its licence has no known SPDX name.
    """
    try:
        about = metadata(name)
    except PackageNotFoundError:
        raise SystemExit(f"{name} is locked but not installed. Run `make clean`, then try again.") from None
    kinds = [line for line in about.get_all("Classifier", []) if line.startswith("License ::")]
    named = about["License-Expression"] or about["License"] or "".join(kinds).rpartition(" :: ")[2]
    expression = _READ.get(name) or _SPELT.get(named, named)
    if not is_expression(expression):
        raise SystemExit(
            f"{name} calls its licence {named!r}, which is not an SPDX name."
            " Read the licence file in its package, and add the SPDX name to tools/locked.py."
        )
    return expression
