"""Names fit for Trakor, canonical forms of what is compared, and keyed hashes of both.

::

    trakor_names ──fit, key, qualify──> what is sent, and what a claim is on
    canonical_fields ─────────────────> what two spellings of one field have in common
    record_hashes ──Hasher, encode────> what the ledger stores of either

Nothing here reads a clock, a file or a setting. ``RULES`` numbers the rules. It is part of a map's
fingerprint and of stored hashes, so that new rules do not look like changes at the source.
"""

from bridge.names.canonical_fields import canonical, canonical_field
from bridge.names.phones import load_tables
from bridge.names.record_hashes import FIRST_RULES, OTHER_RULES, RULES, Hasher, decode, encode, revision_of
from bridge.names.trakor_names import LONGEST, fit, key, qualify, tidy

__all__ = [
    "FIRST_RULES",
    "LONGEST",
    "OTHER_RULES",
    "RULES",
    "Hasher",
    "canonical",
    "canonical_field",
    "decode",
    "encode",
    "fit",
    "key",
    "load_tables",
    "qualify",
    "revision_of",
    "tidy",
]
