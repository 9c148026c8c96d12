"""Fits query files and maps to an organisation's schema: `trakor-bridge queries fit`.

::

    schema ──schema_lists_and_records──> which lists there are ──proposal──> which one is meant
                                                                      │
       record_fields + field_meanings ──record_map──> map, selection ──query_text──> query files
                                                          │
    fit: tried on real records ──> files: difference, copies, written
"""

from __future__ import annotations

from bridge.fitting.files import write_changes
from bridge.fitting.fit import Fit, StreamFit, fit
from bridge.fitting.proposal import RankedList

__all__ = ["Fit", "RankedList", "StreamFit", "fit", "write_changes"]
