"""The one place that decides: pure functions, without a clock, a file or a socket.

::

    Draft | Unsendable, LedgerRow | None  ──decide──>  Decision     sight.py: a record was seen
                      ├── Trakor has it ───────────>              answered.py
                      ├── it shares another's party >              sharing.py
                      └── as if nothing were known ──>              anew.py
    Answer, LedgerRow                     ──settle──>  Decision     answers.py: Trakor answered
    LedgerRow, Draft | None  ──accept, drop, retry──>  Decision     persons.py: a person decided
    Holder                   ──succeed────────────>    Decision     succession.py: it stands no more
"""

from bridge.decision.comparison import by_present_rules, is_decided, keeps_up
from bridge.decision.merged_record import ask_whose, identified_otherwise, told_apart
from bridge.decision.new_record import HolderOf, decide_anew
from bridge.decision.observed import decide, is_stale
from bridge.decision.on_response import fail, give_back, reject, settle
from bridge.decision.operator import accept, dismiss, drop, retry
from bridge.decision.succession import is_living, stands_under, succeed
from bridge.decision.unchanged import unchanged

__all__ = [
    "HolderOf",
    "accept",
    "ask_whose",
    "by_present_rules",
    "decide",
    "decide_anew",
    "dismiss",
    "drop",
    "fail",
    "give_back",
    "identified_otherwise",
    "is_decided",
    "is_living",
    "is_stale",
    "keeps_up",
    "reject",
    "retry",
    "settle",
    "stands_under",
    "succeed",
    "told_apart",
    "unchanged",
]
