"""The enumerations that every stage uses: states, reasons, origins."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["MergedBy", "Origin", "Reason", "State"]


class State(StrEnum):
    """The one state that every source record is in (the public interface, "States of a record")."""

    PENDING = "pending"
    DELIVERED = "delivered"
    MERGED = "merged"
    SKIPPED = "skipped"
    HELD = "held"
    REJECTED = "rejected"
    DRIFTED = "drifted"
    DROPPED = "dropped"


class Reason(StrEnum):
    """Why a record is skipped, held or rejected."""

    FILTERED = "filtered"
    NO_NAME = "no-name"
    SAME_NAME = "same-name"
    SAME_PERSON = "same-person"
    RENAMED = "renamed"
    REMAPPED = "remapped"
    SAME_PARTY = "same-party"
    EXISTING = "existing"
    MAPPING = "mapping"
    REFUSED = "refused-by-trakor"
    SERVER_ERROR = "server-error"
    DAMAGED = "damaged"


class Origin(StrEnum):
    """How the Trakor record that a source record is linked to came to be."""

    CREATED = "created"
    EXISTING = "existing"
    UNCLEAR = "unclear"


class MergedBy(StrEnum):
    """What merged a record into another: equal identifiers, `on_same_name = "merge"`, or an operator."""

    RULE = "rule"
    POLICY = "policy"
    PERSON = "person"
