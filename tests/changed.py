"""An organisation whose source changed after it was sent, and the same after its map changed, too.

::

    first backfill ──> names, e-mails and prices change ──> second backfill ──> another map ──> third
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.sandbox import Fault, Options, Sandbox
from desk import Organisation, configured, run_backfill

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["WORDS", "Left", "changed_organisation"]

OLD_MAP = "[contacts]\n"
NEW_MAP = '[contacts]\nmap.contact_info = "person.contact.email"\n'
WORDS = "contact_info holds a number that we do not know"
"""What Trakor says of the one that it refuses."""


@dataclass(frozen=True)
class Left:
    """An organisation after its source changed, and the same after its map changed, too."""

    changed: Organisation
    remapped: Organisation


async def changed_organisation(folder: Path, later: Path) -> Left:
    """Run it through the sandbox, in two folders."""
    async with Sandbox(Options(contacts=0, products=0)) as sandbox:
        (folder / "config.toml").write_text(configured(sandbox))
        contacts = sandbox.contacts
        family = contacts.add_family("Sam Poe", "Ida Poe", email="poe@example.org")
        sandbox.trakor.parties.put("Old Friend")
        sandbox.trakor.faults.add(Fault(name="Bad Payload", status=400, body={"error": WORDS}))
        ids = {
            "father": family.father,
            "son": family.son,
            "ann": contacts.add("Ann Drift", email="ann@example.org"),
            "bo": contacts.add("Bo Drift", email="bo@example.org"),
            "renamed": contacts.add("Cy Brown", email="cy@example.org"),
            "existing": contacts.add("Old Friend"),
            "refused": contacts.add("Bad Payload"),
            "delivered": contacts.add("Pat Lee", email="pat@example.org"),
            "product": sandbox.products.add("Basic", lender="Bank", price=10),
        }
        await run_backfill(folder)
        for word in ("ann", "bo"):
            contacts.change_email(ids[word], f"{word}@example.com")
        contacts.rename(ids["renamed"], "Cy Green")
        sandbox.products.change_price(ids["product"], 12)
        await run_backfill(folder)
        shutil.copytree(folder, later, dirs_exist_ok=True)
        config = later / "config.toml"
        config.write_text(config.read_text().replace(OLD_MAP, NEW_MAP))
        await run_backfill(later)
    return Left(Organisation(folder, ids), Organisation(later, ids))
