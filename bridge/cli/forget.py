"""`trakor-bridge records forget`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import typer

from bridge.cli.confirm import agreed
from bridge.cli.record_filters import current_ledger, the_one
from bridge.cli.sanitize import plain
from bridge.cli.wrapping import tell as say
from bridge.errors import UserError
from bridge.ledger.database import reading, writing
from bridge.ledger.erasure import forget_record
from bridge.records import Policy

if TYPE_CHECKING:
    from bridge.cli.record_filters import Selection
    from bridge.cli.session import Session
    from bridge.ledger.erasure import ErasureResult
    from bridge.ledger.read_model import RecordSummary
    from bridge.ledger.row_mapping import Feed

__all__ = ["as_json", "forget_one", "tell"]


def forget_one(session: Session, selection: Selection, *, yes: bool) -> tuple[RecordSummary, ErasureResult]:
    """Forget one record, once the user has said yes.

    Args:
        session: The command's configuration.
        selection: Which record.
        yes: The user has said so already.

    Raises:
        UserError: It is not clear which is meant, nobody said yes, or it is being sent just now.
    """
    path = current_ledger(session)
    text_storage = session.text_storage
    with reading(path, text_storage) as connection:
        found = the_one(session, connection, selection)
    if not yes:
        _ask(found)
    policy = _policy(session, found.feed)
    with writing(path, text_storage) as connection:
        return found, forget_record(connection, found.number, now=time.time_ns() // 1_000_000, policy=policy)


def _policy(session: Session, feed: Feed) -> Policy:
    """What the user chose for a stream; a record of a connection that is not configured is forgotten, too."""
    configured = session.settings.connections.get(feed.connection)
    return Policy() if configured is None else configured.stream(feed.stream).policy()


def _ask(found: RecordSummary) -> None:
    if not sys.stdin.isatty():
        raise UserError(
            f"forgetting {plain(found.id)} cannot be undone, and nobody is there to ask", advice="add --yes"
        )
    if not agreed(f"Forget {plain(found.id)} of {found.feed.stream}? That cannot be undone."):
        raise typer.Exit(1)


def as_json(found: RecordSummary, forgotten: ErasureResult) -> dict[str, object]:
    """What `records forget --json` prints."""
    return {
        "connection": found.feed.connection,
        "stream": str(found.feed.stream),
        "id": forgotten.id,
        "delete_in_trakor": list(forgotten.trakor_ids),
        "maybe_in_trakor": forgotten.maybe_in_trakor,
        "merged": list(forgotten.merged),
        "kept": [{"trakor_id": trakor_id, "id": keeper} for trakor_id, keeper in forgotten.kept],
        "namesakes": list(forgotten.namesakes),
    }


def tell(found: RecordSummary, forgotten: ErasureResult) -> None:
    """Say what was done, and what is left to do by hand."""
    say(f"Forgotten: {forgotten.id} of {found.feed.stream}. It will not be sent again.", hanging=2)
    name = plain(found.trakor_name or found.name)  # said once more: whoever deletes it looks for the name
    for trakor_id in forgotten.trakor_ids:
        known_as = f", “{name}”" if name and trakor_id == found.trakor_id else ""
        say(f"Delete in Trakor by hand: {trakor_id}{known_as}", hanging=2)
    if forgotten.maybe_in_trakor:
        sought = f"“{name}”" if name else "its name"
        say(f"It was sent, and no answer came: look for {sought} in Trakor, and delete it there.", hanging=2)
    for trakor_id, keeper in forgotten.kept:
        say(f"Not to be deleted: {trakor_id} is the record of {keeper} now.", hanging=2)
    for other in forgotten.merged:
        say(f"Shared its name: {other}. If that is the same person, forget it too.", hanging=2)
    for other in forgotten.namesakes:
        say(f"Held because of its name, and stays held: {other}", hanging=2)
    if forgotten.namesakes:
        say("Delete the forgotten one in Trakor first, or Trakor answers with that one.", hanging=2)
        say("Then `trakor-bridge records accept ID` or `trakor-bridge records retry ID`.", hanging=2)
    say("What was kept of it leaves the ledger's file within an hour. Backups still hold it.", hanging=2)
