"""What is stored, where, and for how long, under the current configuration.

The words are those of docs/privacy.md. A test compares the two: each ``how_long`` must be in that page, in
the row about the same place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bridge.ledger.maintenance import KEPT_SECONDS
from bridge.ledger.webhook_queue import UNREADABLE_LIFE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.settings import LedgerSettings

__all__ = ["LOGS", "Kept", "kept"]

DAY: Final = 86_400
"""Seconds."""

FOR_EVER: Final = "as long as the ledger"


@dataclass(frozen=True, slots=True)
class Kept:
    """One kind of stored data.

    Attributes:
        where: The names of the ledger's tables, or of files.
        what: A description.
        how_long: How long it is kept.
    """

    where: tuple[str, ...]
    what: str
    how_long: str

    def line(self) -> str:
        """The line of the statement."""
        places = ", ".join(f"`{place}`" for place in self.where)
        return f"{places}: {self.what}. How long: {self.how_long}"


def kept(ledger: LedgerSettings, *, webhooks: bool) -> Iterator[Kept]:
    """Everything that is stored.

    Args:
        ledger: The configuration's section ``[ledger]``.
        webhooks: Whether webhooks are received.
    """
    yield from _SEALED if ledger.keep == "sealed" else _HASHES
    yield from _ALWAYS
    days = f"{ledger.keep_history / DAY:,.0f} days"
    yield Kept(
        ("history",),
        "what became of each record, in short lines with ids, names of fields and the status that Trakor "
        "answered, and from which network address a person decided; no names of people",
        days,
    )
    if webhooks:
        yield Kept(
            ("events",),
            "of each webhook its action, the id in it, when it came and what came of it",
            f"{days} after it was processed",
        )
        yield Kept(
            ("events",),
            "the body of a webhook, encrypted, only if no id can be found in it or its action is unknown",
            f"{UNREADABLE_LIFE // (DAY * 1000)} days",
        )
    yield _KEY_BESIDE if ledger.key is None else _KEY_GIVEN
    yield from _FILES


_TEXT: Final = (
    "what a record says (the fields sent, listed above), encrypted, and Trakor's words if Trakor did not "
    "take it"
)
_SEALED: Final = (
    Kept(
        ("waiting",),
        _TEXT,
        "while the record is pending, held, drifted, refused by Trakor, merged, dropped, or marked "
        "`remapped` or `dismissed`; then the row is deleted and overwritten",
    ),
    Kept(
        ("contents",),
        'the name and the fields that Trakor was sent, encrypted (`[ledger] keep = "sealed"`)',
        f"{FOR_EVER}; `records forget` erases one record's",
    ),
)
_HASHES: Final = (
    Kept(
        ("waiting",),
        _TEXT,
        "while the record is pending, held, drifted or refused by Trakor, or merged into one that Trakor "
        "has not answered yet; then the row is deleted and overwritten",
    ),
    Kept(
        ("contents",),
        'nothing: what Trakor was sent is not kept (`[ledger] keep = "hashes"`)',
        "never",
    ),
)
_ALWAYS: Final = (
    Kept(
        ("canaries",),
        "of each stream up to three payloads that Trakor took lately, encrypted: they are sent again to find "
        "out whether Trakor takes anything",
        "until newer ones take their place, or anything is decided on the record; `records forget` erases "
        "one record's",
    ),
    Kept(
        ("records", "claims", "links"),
        "of each record its id in Salestrekker and in Trakor, its state and times, and keyed hashes "
        "(BLAKE2b) of its name, of each field, and of what makes two records one person",
        f"{FOR_EVER}; `records forget` erases one record's",
    ),
    Kept(
        ("organizations",),
        "keyed hashes of the two organisations, of Trakor's address and of its key; encrypted, up to three "
        "names that may have to be deleted in another Trakor organisation",
        f"{FOR_EVER}; the names until `connections confirm`, or until `records forget`",
    ),
    Kept(
        ("rules", "runs", "sweeps"),
        "the expressions of the maps, numbers and times; nothing about people",
        FOR_EVER,
    ),
)
_KEY: Final = "the key of the hashes and of encrypted text"
_KEY_BESIDE: Final = Kept(("ledger.key",), _KEY, FOR_EVER)
_KEY_GIVEN: Final = Kept(
    ("[ledger] key",),
    f"{_KEY}, where the configuration has it from (after `init`: `secrets/ledger-key`)",
    FOR_EVER,
)
_FILES: Final = (
    Kept(
        ("ledger.db-wal",),
        "what was written last, deleted rows among it",
        "emptied when a command ends, and each half hour while one runs",
    ),
    Kept(
        ("ledger.before-….db",),
        "a copy of the ledger, made before a new version changes its tables. A copy of a ledger from before "
        "encryption says in plain words what waited",
        f"deleted by the next backfill or start of the daemon once it is {KEPT_SECONDS // DAY} days old",
    ),
    Kept(
        ("trakor-bridge-…",),
        "in the system's temporary folder: a dry run's copy of the ledger, with what it would send",
        "until the dry run ends; a dry run that is killed leaves it behind",
    ),
    Kept(("backups",), "copies of all of the ledger", "as long as whoever made them keeps them"),
    Kept(
        ("memory",),
        "the pages and records that are being worked on; Salestrekker's token",
        "until the process ends",
    ),
)

LOGS: Final = (
    "Logs hold counts, ids and errors, no names, e-mail addresses or phone numbers, and no credentials."
)
