"""Checks that each connection joins the same two organisations as before, as far as the ledger knows."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from bridge.checks.ledger import LEDGER_KEY
from bridge.checks.report import Check, failed, not_tried
from bridge.errors import LedgerError, UserError
from bridge.ledger.connection_and_scope_renames import find_without_name, refuse_if_renamed
from bridge.ledger.connection_organizations import (
    OTHER_SOURCE,
    OTHER_TRAKOR,
    KnownOrganizations,
    TrakorIdentity,
    load_known,
)
from bridge.ledger.database import reading
from bridge.ledger.open import is_outdated, read_revision
from bridge.ledger.trakor_identity_check import load_stray_names
from bridge.wiring.ledger_and_key import ledger_path, make_text_storage
from bridge.wiring.organization_identity import hash_organization, hash_trakor, identify_connections

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from bridge.ledger.read_model import Reader
    from bridge.names import Hasher
    from bridge.settings import ConnectionSettings, Settings

__all__ = ["Remembered", "held_source", "names_check", "renamed_check", "same_trakor", "scopes_check"]

BEFORE_CANARIES = (
    "Does the key belong to the same Trakor organisation? If not, restore the right one now. A backfill, and "
    "a daemon after a reload, first send up to three names that Trakor has. In the same organisation this "
    "creates nothing, and everything continues.\n"
    "In another organisation it creates these names, which you then delete by hand, and nothing more is sent."
)
"""What a changed address or key leads to."""

SHOWN = 5
"""How many records are named."""


class Remembered:
    """What the ledger knows of the organisations; nothing if this version cannot read a ledger.

    Args:
        settings: The configuration.
        hasher: Of the ledger's key.
        is_proven: That key is the one that its hashes were made with: else nothing can be compared.
    """

    def __init__(self, settings: Settings, hasher: Hasher, *, is_proven: bool) -> None:
        self.settings = settings
        self.hasher = hasher
        self.is_proven = is_proven

    @property
    def is_there(self) -> bool:
        """Whether there is a ledger to read."""
        if not self.is_proven:
            return False
        try:
            path = ledger_path(self.settings)
            return read_revision(path) is not None and not is_outdated(path)
        except LedgerError:
            return False

    def of(self, name: str) -> KnownOrganizations:
        """What is noted of a connection."""
        if not self.is_there:
            return KnownOrganizations(name)
        with reading(ledger_path(self.settings)) as connection:
            return load_known(connection, name)

    def strays(self, name: str) -> list[str]:
        """The names to be deleted in another organisation."""
        if not self.of(name).mismatch.made:
            return []
        with reading(ledger_path(self.settings), make_text_storage(self.settings)) as connection:
            names, forgotten = load_stray_names(connection, name)
        return [*names, *([f"{forgotten} more that were forgotten since"] if forgotten else ())]


def held_source(found: Check, organization: str, name: str, remembered: Remembered) -> Check:
    """Compare Salestrekker's organisation with the one that was read before.

    Args:
        found: The step so far.
        organization: Id of the organisation that the log-in is for; empty if it cannot be read.
        name: The connection's.
        remembered: What the ledger knows.
    """
    if found.ok and not remembered.is_proven:
        return replace(
            found, detail=f"{found.detail}; not compared with the previous one: {LEDGER_KEY} failed"
        )
    before = remembered.of(name).source
    if not (found.ok and organization and before):
        return found
    if before == hash_organization(remembered.hasher, organization):
        return replace(found, detail=f"{found.detail}; the same as before")
    return replace(
        found,
        ok=False,
        detail=f"{OTHER_SOURCE}: {found.detail}",
        advice="Restore the right log-in, or [salestrekker] organization. If this one is right, run:\n"
        f"trakor-bridge connections confirm {name}",
    )


def same_trakor(step: str, connection: ConnectionSettings, remembered: Remembered) -> Check:
    """Check that Trakor's address and key are the same as last time.

    Args:
        step: The step's name.
        connection: The connection's settings.
        remembered: What the ledger knows.
    """
    if not remembered.is_proven:
        return not_tried(step, LEDGER_KEY)
    noted = remembered.of(connection.name)
    trakor, mismatch = hash_trakor(connection, remembered.hasher), noted.mismatch
    strays = remembered.strays(connection.name)
    confirm = f"trakor-bridge connections confirm {connection.name}"
    listed = "".join(f"\n  {one}" for one in strays)
    delete = f"Delete by hand in the other organisation what was made there:{listed}\n" if strays else ""
    if mismatch.another and mismatch.trakor.is_same_trakor(trakor):
        advice = f"Restore the right [trakor] url and api_key. {delete}If this one is right, run: {confirm}"
        return Check(step, ok=False, detail=OTHER_TRAKOR, advice=advice)
    if strays:
        return Check(
            step, ok=True, caution=True, detail="as last time", advice=f"{delete}Then run: {confirm}"
        )
    if mismatch.unproven:
        detail = "address or key changed, and nothing could prove that it is the same organisation"
        advice = f"If this organisation is right, run: {confirm}"
        return Check(step, ok=True, caution=True, detail=detail, advice=advice)
    return _compared(step, noted, trakor)


def _compared(step: str, noted: KnownOrganizations, trakor: TrakorIdentity) -> Check:
    """Compare the configured Trakor with the stored one, if nothing is in doubt yet."""
    if not noted.trakor.address:
        return Check(step, ok=True, detail="not stored yet: the next backfill stores it")
    if noted.trakor.is_same_trakor(trakor):
        return Check(step, ok=True, detail="address and key are the same as last time")
    return Check(
        step, ok=True, caution=True, detail="address or key changed since last time", advice=BEFORE_CANARIES
    )


def renamed_check(remembered: Remembered) -> Iterator[Check]:
    """Check for a connection that seems to be another one under a new name."""
    if not remembered.is_there:
        return
    try:
        with reading(ledger_path(remembered.settings)) as connection:
            refuse_if_renamed(connection, identify_connections(remembered.settings, remembered.hasher))
    except UserError as error:
        yield failed("connections", error)


def names_check(remembered: Remembered) -> Iterator[Check]:
    """Records whose name another one holds, since two scopes became one; nothing if there is none."""
    if not remembered.is_there:
        return
    with reading(ledger_path(remembered.settings)) as connection:
        found = _named(connection)
    if found:
        yield Check(
            "ledger.names",
            ok=True,
            detail=f"Two scopes became one, and these have a name that another record holds: {found}",
            advice="Trakor has both under different ids. Give one of them another name in Salestrekker, or "
            "leave them: each keeps its own party.",
        )


def _named(connection: Reader) -> str:
    found = find_without_name(connection)
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(f"{one.source_id} ({one.connection})" for one in found[:SHOWN]) + more


def scopes_check(settings: Settings, names: Collection[str]) -> Iterator[Check]:
    """Two connections with different scopes that send to one address; nothing if there are none."""
    shared = [
        (one.name, other.name)
        for one, other in combinations([settings.connections[name] for name in names], 2)
        if one.trakor.url == other.trakor.url and one.scope != other.scope
    ]
    if shared:
        pairs = ", ".join(f"{one} and {other}" for one, other in shared)
        yield Check(
            "trakor.scope",
            ok=True,
            detail=f"one address, different scopes: {pairs}",
            advice="Where both keys are of one Trakor organisation, give both the same [trakor] scope: else "
            "names are claimed twice, and two records can end on one party.",
        )
