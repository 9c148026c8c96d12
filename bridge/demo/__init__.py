"""The demonstration: both remote systems simulated, three backfills, and what became of each record.

``story`` runs it and tells its audience the ``steps``; ``source`` says what the simulated Salestrekker's
records are called, ``kinds`` why each record is where it is, ``loop`` what posting every item by its
name would have done. Nothing here prints: the command line renders the steps.
"""

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
    Step,
)
from bridge.demo.story import demonstrate

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
    "Step",
    "demonstrate",
]
