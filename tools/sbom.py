"""Writes a bill of materials: the bridge and each package that users install with it, as CycloneDX JSON.

    python tools/sbom.py dist/trakor-bridge.cdx.json

Each component has its version, its licence, its package URL and its dependencies. The result is validated
against the CycloneDX schema before it is written. requirements.lock has the hashes of the packages' files.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from bridge import __version__
from locked import PROJECT, licence, locked

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA: Final = SchemaVersion.V1_6


def component(name: str, version: str, kind: ComponentType, spdx: str) -> Component:
    """Returns a package as a CycloneDX component."""
    url = PackageURL("pypi", name=name, version=version)
    licences = [LicenseFactory().make_from_string(spdx)]
    return Component(name=name, version=version, type=kind, licenses=licences, purl=url, bom_ref=str(url))


def bill() -> Bom:
    """Returns the bill of materials of the packages that are installed with the bridge."""
    root = component(PROJECT, __version__, ComponentType.APPLICATION, "MIT")
    entries = [entry for entry in locked("requirements.lock") if entry.runs]
    parts = {
        entry.name: component(entry.name, entry.version, ComponentType.LIBRARY, licence(entry.name))
        for entry in entries
    }
    bom = Bom(components=parts.values())
    bom.metadata.component = root
    for name, whole in {PROJECT: root, **parts}.items():
        bom.register_dependency(whole, [parts[entry.name] for entry in entries if name in entry.wanted_by])
    return bom


def faults(text: str) -> Iterator[str]:
    """Yields the errors of a bill of materials against the CycloneDX schema."""
    for fault in JsonStrictValidator(SCHEMA).validate_str(text, all_errors=True) or ():
        yield str(fault.data)


def main() -> None:
    """Writes the file that the command line names."""
    target = Path(sys.argv[1])
    bom = bill()
    text = make_outputter(bom, OutputFormat.JSON, SCHEMA).output_as_string(indent=2)
    if found := list(faults(text)):
        raise SystemExit(
            f"{target} was not written, because it would not fit the CycloneDX schema.\n" + "\n".join(found)
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text + "\n", "utf-8")
    print(f"sbom: {target} lists {len(bom.components)} packages.")


if __name__ == "__main__":
    main()
