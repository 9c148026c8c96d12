"""The values that travel from stage to stage. All of them are immutable.

The name of a type names the stage::

    Record ──mapping──> Draft | Unsendable ──decision──> Decision ──ledger──> LedgerRow
                                                             delivery: WorkItem ──> Outcome

Times are whole milliseconds since the epoch (UTC), in fields that end in ``_at``. Hashes are keyed (see
``bridge/names``): they can be compared, but reveal nothing without the ledger's key.
"""

from bridge.records.decision_inputs import LedgerRow, NameHolder, Policy
from bridge.records.decisions import Decision, DraftAction, NameClaim
from bridge.records.drafts import UNKNOWN, Draft, FieldHashes, Unsendable
from bridge.records.enums import MergedBy, Origin, Reason, State
from bridge.records.outcomes import Accepted, NoAnswer, Outcome, Rejection, Retry, TrakorAnswer
from bridge.records.payloads import Party, Payload, Product
from bridge.records.source_record import Record, Rules
from bridge.records.streams import DEAL_CONTACTS, STREAMS, Job, Stream, StreamSpec
from bridge.records.webhooks import ReceivedWebhook, WebhookAction
from bridge.records.work_item import WorkItem

__all__ = [
    "DEAL_CONTACTS",
    "STREAMS",
    "UNKNOWN",
    "Accepted",
    "Decision",
    "Draft",
    "DraftAction",
    "FieldHashes",
    "Job",
    "LedgerRow",
    "MergedBy",
    "NameClaim",
    "NameHolder",
    "NoAnswer",
    "Origin",
    "Outcome",
    "Party",
    "Payload",
    "Policy",
    "Product",
    "Reason",
    "ReceivedWebhook",
    "Record",
    "Rejection",
    "Retry",
    "Rules",
    "State",
    "Stream",
    "StreamSpec",
    "TrakorAnswer",
    "Unsendable",
    "WebhookAction",
    "WorkItem",
]
