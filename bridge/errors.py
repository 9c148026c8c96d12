"""The exception tree, which is also the retry table.

A library's error is wrapped once, at the edge where it arises, with its cause kept; from there on
the type alone says what to do::

    BridgeError
    ├── Transient      wait, then try again: nothing is known to be wrong with what was asked
    │   ├── NeverSent     not one byte of it left: no attempt, try again as soon as you like
    │   └── Unanswered    it may still be at work there: not again before [trakor] unanswered_wait
    ├── Refused        pause the whole flow and lose nothing: every later request would fail likewise
    ├── Rejected       this one record will never be taken as it is; its neighbours go on
    └── UserError      a person must act: shown without a traceback, says what to do
        ├── ConfigurationError   all errors of the configuration at once, each with its place
        ├── LedgerError          the ledger cannot be used as it is: newer, held by another, wrong key
        │   └── LedgerReplacedError   it is not the file any more that was opened: the process ends
        └── QueryFileError       a query document or a map cannot be used: file, place, advice

What Trakor's client makes of a request that failed (``bridge/trakor``):

=============================================================================  ============
no address for the name, connection refused, no TLS, no connection in time     NeverSent
no answer in time, reset, closed, half an answer; 502, 504; a 5xx other than   Unanswered
503 whose body is not the application's JSON
408, 409, 423, 425, 429, 503; an application's 5xx; JSON without an id         Transient
400, 413, 422                                                                  Rejected
401, 403, 404, 405 and other 4xx, a redirect, a success that is not JSON       Refused
=============================================================================  ============
"""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "BridgeError",
    "ConfigurationError",
    "LedgerError",
    "LedgerReplacedError",
    "NeverSent",
    "QueryFileError",
    "Refusal",
    "Refused",
    "Rejected",
    "Transient",
    "Unanswered",
    "UserError",
]


class BridgeError(Exception):
    """The root of everything that this package raises on purpose.

    Its message is written for the person who must act, and holds no secret and no personal data.
    """


class Transient(BridgeError):  # noqa: N818 - the name says what to do, not that it is an error
    """A fault that may pass by itself. Of this type itself: an answer that says to try again.

    Args:
        message: What happened.
        retry_after: Seconds that the other side asked to be left alone, from ``Retry-After``.
        busy: The other side says that it has too much to do: never the fault of what was asked.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, busy: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.busy = busy


class NeverSent(Transient):
    """The request certainly never left this machine: it is no attempt."""


class Unanswered(Transient):
    """The request may have left, and no answer to it came: it may still be at work on the other side.

    Args:
        message: What happened.
        retry_after: As for ``Transient``.
        busy: As for ``Transient``.
        timed_out: Nothing came in time, as opposed to a connection that broke.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, busy: bool = False, timed_out: bool = False
    ) -> None:
        super().__init__(message, retry_after=retry_after, busy=busy)
        self.timed_out = timed_out


class Refusal(StrEnum):
    """What was refused, as far as the answer shows."""

    KEY = "key"
    """401. Never the fault of a record."""
    FROZEN = "frozen"
    """403: the organisation is frozen, or a firewall dislikes what was sent."""
    ADDRESS = "address"
    """404, 405."""
    REDIRECT = "redirect"
    NOT_JSON = "not-json"
    """A success that is not JSON: another place, or a gateway's hiccup once others have passed."""
    OTHER = "other"


class Refused(BridgeError):  # noqa: N818 - likewise
    """A refusal of the whole flow: wrong credentials, a frozen organisation, a wrong address.

    Args:
        message: What was refused, and by whom.
        advice: What the user can do about it.
        unsure: The record may have been created: the answer was a success without content.
        kind: What was refused.
        seen: The answer in a few words, without a guess at the cause. Empty: the message has it.
    """

    def __init__(
        self,
        message: str,
        *,
        advice: str = "",
        unsure: bool = False,
        kind: Refusal = Refusal.OTHER,
        seen: str = "",
    ) -> None:
        super().__init__(message)
        self.advice = advice
        self.unsure = unsure
        self.kind = kind
        self.seen = seen or message


class Rejected(BridgeError):  # noqa: N818 - likewise
    """A rejection of one record as it is (Trakor's 400, 413, 422): never sent again unchanged.

    Args:
        message: What happened, without the other side's words.
        words: The other side's words, which may repeat the record. They are sealed in the ledger and shown
            nowhere else: not in a log, a metric or a message.
    """

    def __init__(self, message: str, *, words: str = "") -> None:
        super().__init__(message)
        self.words = words


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
        errors: Each error as one sentence that begins with its place.
    """

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


class LedgerError(UserError):
    """The ledger cannot be used: made by a newer version, held by another process, another key."""


class LedgerReplacedError(LedgerError):
    """Its file, its log or its lock were removed or replaced while they were in use.

    What is written from then on nobody would find, or another process writes as well.
    """


class QueryFileError(UserError):
    """A query document cannot be used: names the file, the place and the remedy."""
