"""Every decision, as pure functions without a clock, a file or a socket.

::

    Draft | Unsendable, LedgerRow | None ──decide──> Decision     observed.py: a record was read
                      ├── Trakor has it ───────────────────>      delivered_record.py
                      ├── it shares another's party ───────>      record_sharing_party.py
                      └── as if nothing were known ────────>      new_record.py
    TrakorAnswer, LedgerRow ──settle─────────────────> Decision   on_response.py: Trakor answered
    LedgerRow, Draft | None ──accept, drop, retry────> Decision   operator.py: an operator decided
    NameHolder ──succeed─────────────────────────────> Decision   claim_succession.py: it represents no name
"""

from bridge.decision.claim_succession import can_succeed, represents_name, succeed
from bridge.decision.comparison import is_comparable, is_decided, rehash
from bridge.decision.keep_state import stay_unchanged
from bridge.decision.new_record import HolderOf, decide_as_new
from bridge.decision.observed import decide, is_stale
from bridge.decision.on_response import fail, give_back, reject, settle
from bridge.decision.operator import accept, dismiss, drop, retry
from bridge.decision.record_sharing_party import has_new_identifiers, hold_after_drop, hold_if_conflicting

__all__ = [
    "HolderOf",
    "accept",
    "can_succeed",
    "decide",
    "decide_as_new",
    "dismiss",
    "drop",
    "fail",
    "give_back",
    "has_new_identifiers",
    "hold_after_drop",
    "hold_if_conflicting",
    "is_comparable",
    "is_decided",
    "is_stale",
    "rehash",
    "reject",
    "represents_name",
    "retry",
    "settle",
    "stay_unchanged",
    "succeed",
]
