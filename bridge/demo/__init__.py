"""The demonstration: both remote systems simulated, backfills, the daemon, and what became of each record.

``run`` runs it and tells its audience the ``steps``; ``daemon`` is the daemon at work, ``scenes`` what
happens to it. ``source`` says what the simulated Salestrekker's records are called, ``explain`` why each
record is where it is, ``naive_sync`` what posting every item by its name would have done. Nothing here
prints: the command line renders the steps.
"""

from bridge.demo.run import demonstrate
from bridge.demo.steps import (
    Audience,
    Beginning,
    Change,
    Changed,
    Compared,
    Ended,
    Example,
    Explained,
    Kind,
    Prepared,
    Ran,
    Running,
    Scene,
    Step,
    Stopped,
)

__all__ = [
    "Audience",
    "Beginning",
    "Change",
    "Changed",
    "Compared",
    "Ended",
    "Example",
    "Explained",
    "Kind",
    "Prepared",
    "Ran",
    "Running",
    "Scene",
    "Step",
    "Stopped",
    "demonstrate",
]
