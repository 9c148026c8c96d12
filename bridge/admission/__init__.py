"""Whether a connection joins the two organisations that it always did, before anything is read or sent.

::

    each log-in ──SourceHold──> the ledger: noted · as noted · another ──> OtherOrganization
    before the first POST ──TrakorTrial──> as noted · canaries, one at a time ──> clear · OtherTrakor
"""

from bridge.admission.salestrekker_hold import SourceHold
from bridge.admission.trakor_trial import OtherTrakor, TrakorTrial, Trial, advice_on_trakor

__all__ = ["OtherTrakor", "SourceHold", "TrakorTrial", "Trial", "advice_on_trakor"]
