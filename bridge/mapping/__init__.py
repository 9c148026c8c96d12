"""From a raw record to a draft, or the reason why there is none: JMESPath expressions that a user can change.

The flow of one record::

    Record ──where──> ──id──> ──name──> ──qualifier, same_as──> ──the other fields──> Draft
               │        │        │                │                     │
           FILTERED  MAPPING  NO_NAME          MAPPING               MAPPING        Unsendable

Pure: no I/O, no clock. ``built_in_maps`` holds the built-in maps and completes a user's map with them.
``expressions`` compiles and evaluates, ``functions`` adds functions to JMESPath's own, ``conversion`` turns
results into text and prices, and ``mapper`` combines them. ``field_usage`` compares a map with what a query
selects.
"""

from bridge.mapping.built_in_maps import DEFAULT_WHERE, DEFAULTS, SPELT_OUT, complete_map
from bridge.mapping.field_usage import Misread, RecordShape, find_misreads, fix_list_access, rewrite_paths
from bridge.mapping.functions import FUNCTION_NAMES
from bridge.mapping.mapper import Mapper

__all__ = [
    "DEFAULTS",
    "DEFAULT_WHERE",
    "FUNCTION_NAMES",
    "SPELT_OUT",
    "Mapper",
    "Misread",
    "RecordShape",
    "complete_map",
    "find_misreads",
    "fix_list_access",
    "rewrite_paths",
]
