"""The exception tree, which is also the retry table.

A library's error is wrapped once, at the edge where it arises, with its cause kept; from there on
the type alone says what to do::

    BridgeError
    ├── Transient      wait, then try again: nothing is known to be wrong with what was asked
    ├── Refused        pause the whole flow and lose nothing: every later request would fail likewise
    ├── Rejected       this one record will never be taken as it is; its neighbours go on
    └── UserError      a person must act: shown without a traceback, says what to do
        ├── ConfigurationError   all faults of the configuration at once, each with its place
        ├── LedgerError          the ledger cannot be used as it is: newer, held by another, wrong key
        └── QueryFileError       a query document or a map cannot be used: file, place, advice
"""

from __future__ import annotations

__all__ = [
    "BridgeError",
    "ConfigurationError",
    "LedgerError",
    "QueryFileError",
    "Refused",
    "Rejected",
    "Transient",
    "UserError",
]


class BridgeError(Exception):
    """The root of everything that this package raises on purpose.

    Its message is written for the person who must act, and holds no secret and no personal data.
    """


class Transient(BridgeError):  # noqa: N818 - the name says what to do, not that it is an error
    """A fault that may pass by itself: time-outs, broken connections, 429, 5xx.

    Args:
        message: What happened.
        retry_after: Seconds that the other side asked to be left alone, from ``Retry-After``.
        busy: The other side says that it has too much to do: never the fault of what was asked.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, busy: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.busy = busy


class Refused(BridgeError):  # noqa: N818 - likewise
    """A refusal of the whole flow: wrong credentials, a frozen organisation, a wrong address.

    Args:
        message: What was refused, and by whom.
        advice: What the user can do about it.
        unsure: It may have been done all the same: the answer was of success, and told nothing.
    """

    def __init__(self, message: str, *, advice: str = "", unsure: bool = False) -> None:
        super().__init__(message)
        self.advice = advice
        self.unsure = unsure


class Rejected(BridgeError):  # noqa: N818 - likewise
    """A refusal of one record as it is (Trakor's 400, 413, 422): never sent again unchanged."""


class UserError(BridgeError):
    """Something only a person can put right.

    Args:
        message: What is wrong, and where.
        advice: What to do about it.
    """

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class ConfigurationError(UserError):
    """The configuration cannot be used.

    Args:
        faults: Each fault as one sentence that begins with its place.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class LedgerError(UserError):
    """The ledger cannot be used: made by a newer version, held by another process, another key."""


class QueryFileError(UserError):
    """A query document cannot be used: names the file, the place and the remedy."""
