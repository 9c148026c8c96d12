"""The words of the product: the values that travel from stage to stage, all frozen.

The type's name says which stage a thing is in::

    Record ──mapping──> Draft | Unsendable ──decision──> Decision ──ledger──> LedgerRow
                                                             delivery: Work ──> Outcome

Times are whole milliseconds since the epoch (UTC), in fields that end in ``_at``.
Hashes are keyed (see ``naming``): they can be compared, and tell nothing without the ledger's key.
"""

from bridge.records.decisions import Claim, Decision, Holder, LedgerRow, Policy, Waiting
from bridge.records.drafts import (
    UNKNOWN,
    Draft,
    FieldHashes,
    Party,
    Payload,
    Product,
    Record,
    Rules,
    Unsendable,
)
from bridge.records.enums import Job, MergedBy, Origin, Reason, State, Stream
from bridge.records.outcomes import Answer, Answered, Later, NotTaken, Outcome, Silence, Work
from bridge.records.webhooks import Action, Received

__all__ = [
    "UNKNOWN",
    "Action",
    "Answer",
    "Answered",
    "Claim",
    "Decision",
    "Draft",
    "FieldHashes",
    "Holder",
    "Job",
    "Later",
    "LedgerRow",
    "MergedBy",
    "NotTaken",
    "Origin",
    "Outcome",
    "Party",
    "Payload",
    "Policy",
    "Product",
    "Reason",
    "Received",
    "Record",
    "Rules",
    "Silence",
    "State",
    "Stream",
    "Unsendable",
    "Waiting",
    "Work",
]
