"""The page of one record: its state, the record in Trakor and in Salestrekker, and possible decisions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from bridge.admin.auth import form_text, session_of
from bridge.admin.overview_content import TimeText, Tone
from bridge.admin.sessions import FlashMessage
from bridge.errors import BridgeError, UserError
from bridge.ledger.database import reading
from bridge.ledger.operator_actions import OperatorAction, apply_if_unchanged, record_version
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.ledger.record_relations_and_history import load_history, load_relations
from bridge.ledger.stored_pauses import Direction, load_pause
from bridge.names import fit
from bridge.records import NameClaim, State
from bridge.status.possible_actions import automatic_step, ways
from bridge.status.record_comparison import other_of, sides
from bridge.status.record_explanation import event, meaning
from bridge.status.timestamps import local_time
from bridge.status.vocabulary import (
    ACTIONS,
    AFTER_DECISION,
    CHECKED_AGAIN,
    LEFT_AS_IT_IS,
    name_fields,
    situation_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bridge.admin.context import PageContext
    from bridge.admin.rendering import Templates
    from bridge.ledger.operator_actions import ActionResult
    from bridge.ledger.read_model import Reader, RecordSummary
    from bridge.ledger.record_relations_and_history import HistoryLine, RecordRelations
    from bridge.ledger.stored_pauses import Pause

__all__ = ["RecordPage", "done"]

TONES: Final = MappingProxyType(
    {
        State.PENDING: Tone.BUSY,
        State.DELIVERED: Tone.OK,
        State.MERGED: Tone.OK,
        State.SKIPPED: Tone.IDLE,
        State.DROPPED: Tone.IDLE,
    }
)
"""The tone of each state; any other one needs a decision."""

CHANGED: Final = FlashMessage(
    "ask",
    "Nothing was changed, because the record changed after the page was loaded. Please data at it again.",
)

LONGEST_NAME: Final = 2_000
"""The most characters of a name that the user gives."""


@dataclass(frozen=True, slots=True)
class RecordData:
    """What the ledger has of one record; ``shown`` identifies its version, for a decision on that version."""

    record: RecordSummary
    shown: str
    standing: RecordRelations
    history: Sequence[HistoryLine]
    reading_paused: Pause | None


@dataclass(frozen=True, slots=True)
class ActionButton:
    """One button."""

    verb: OperatorAction
    label: str
    effect: str
    named: bool


class RecordPage:
    """Shows a record, and applies decisions to it."""

    def __init__(self, context: PageContext, templates: Templates) -> None:
        self._context = context
        self._templates = templates

    def add_to(self, application: web.Application, guarded: Callable[..., Any]) -> None:
        """Add its routes."""
        one = r"/records/{number:\d{1,18}}"
        application.router.add_get(one, guarded(self._show))
        application.router.add_get(f"{one}/now", guarded(self._show_now))
        application.router.add_post(f"{one}/decide", guarded(self._decide))

    async def _show(self, request: web.Request) -> web.StreamResponse:
        data = await self._load(request)
        record, now = data.record, self._context.clock()
        first, *more = map(name_fields, meaning(record, data.standing, now))
        return self._templates.render(
            request,
            "record.html",
            here="records",
            record=record,
            shown=data.shown,
            kind=record.feed.stream.spec.singular.capitalize(),
            title=situation_of(record.state, record.reason).title,
            tone=TONES.get(State(record.state), Tone.ASK),
            first=first,
            more=more,
            answered=data.standing.trakor_text,
            other=other_of(record, data.standing),
            since=TimeText.of(record.since_at, now),
            trakor_ids=_trakor_ids(data),
            automatic_step=automatic_step(record),
            actions=_actions(data),
            history=[
                (TimeText.of(line.at, now), name_fields(event(line))) for line in reversed(data.history)
            ],
            app=self._context.app_of(record.feed.connection),
            can_be_read=not record.forgotten,
        )

    async def _show_now(self, request: web.Request) -> web.StreamResponse:
        """Compare what Salestrekker has now with what was sent; nothing of it is stored."""
        data = await self._load(request)
        current, why = await self._read_now(data)
        return self._templates.render(
            request,
            "now.html",
            compared=sides(data.record, data.standing),
            other=other_of(data.record, data.standing),
            current=current,
            why=why,
        )

    async def _read_now(self, data: RecordData) -> tuple[Mapping[str, str] | None, str]:
        """What Salestrekker has now, or why that is unknown."""
        record, paused = data.record, data.reading_paused
        if paused is not None:
            reason = paused.reason.rstrip(".")
            return None, f"Reading from Salestrekker is paused since {local_time(paused.since_at)}: {reason}."
        try:
            current = await self._context.read_now(record.feed.connection, record.feed.stream, record.id)
        except UserError as error:  # it was read, but cannot be mapped
            why = str(error).rstrip(".")
            return None, f"{why[:1].upper()}{why[1:]}."
        except BridgeError as error:
            return None, f"The record could not be read: {str(error).rstrip('.')}."
        return current, "" if current is not None else "Salestrekker no longer has this record."

    async def _decide(self, request: web.Request) -> web.StreamResponse:
        number = int(request.match_info["number"])
        verb = _verb(await form_text(request, "verb"))
        name = await form_text(request, "name")
        decided = await self._context.ledger.call(
            apply_if_unchanged,
            verb,
            number,
            await form_text(request, "shown"),
            self._context.policy_of,
            now=self._context.clock(),
            name=self._claim(name) if name else None,
            by=request_origin(request),
        )
        if decided is not None:
            self._context.on_decided()
        session_of(request).flash = CHANGED if decided is None else _result_message(verb, decided)
        raise web.HTTPSeeOther(f"/records/{number}")

    def _claim(self, name: str) -> NameClaim:
        """The name that the user gave, in the form that Trakor accepts."""
        whole = fit(name) if len(name) <= LONGEST_NAME else ""
        if not whole:
            raise UserError("This name is too long, or has no visible characters.")
        return NameClaim(whole, self._context.name_key(whole))

    async def _load(self, request: web.Request) -> RecordData:
        data = await asyncio.to_thread(_load, self._context, int(request.match_info["number"]))
        if data is None:
            raise web.HTTPNotFound(text="There is no such record.")
        return data


def request_origin(request: web.Request) -> str:
    """Where a decision comes from, for the history."""
    return f"on the status page, from {request.remote}"


def done(verb: OperatorAction, record: RecordSummary) -> str:
    """What happens to a record after a decision, following "it"."""
    if record.retry:
        return CHECKED_AGAIN[0]
    if record.state == State.PENDING:
        return f"will be sent as “{record.name}”" if record.name else "will be sent"
    if "dismissed" in record.marks:
        return LEFT_AS_IT_IS[0]
    if State(record.state) in AFTER_DECISION:
        return AFTER_DECISION[State(record.state)][0]
    return f"was checked again ({verb}) and still needs a decision"


def _result_message(verb: OperatorAction, decided: ActionResult) -> FlashMessage:
    """The message after a decision on one record."""
    if decided.refusal is None:
        return FlashMessage("ok", f"Done: it {done(verb, decided.record)}.")
    advice = decided.refusal.advice
    # Advice that names a command is left out, since the page has buttons.
    more = f" {advice[0].upper()}{advice[1:]}." if advice and "`" not in advice else ""
    refusal = str(decided.refusal)
    return FlashMessage("ask", f"That was not possible: {refusal.rstrip('.')}.{more}")


def _verb(word: str) -> OperatorAction:
    if word not in {*OperatorAction}:
        raise web.HTTPBadRequest(text="There is no such decision.")
    return OperatorAction(word)


def _load(context: PageContext, number: int) -> RecordData | None:
    with reading(context.ledger.path, context.ledger.text_storage) as connection:
        found = find_records(connection, RecordQuery(numbers=[number]))
        return _of(connection, found[0]) if found else None


def _of(connection: Reader, record: RecordSummary) -> RecordData:
    return RecordData(
        record,
        record_version(connection, record.number),
        load_relations(connection, record),
        load_history(connection, record.number),
        load_pause(connection, record.feed.connection, Direction.READING),
    )


def _actions(data: RecordData) -> list[ActionButton]:
    return [
        ActionButton(
            OperatorAction(way.verb),
            "Send under this name" if way.named else ACTIONS[OperatorAction(way.verb)].button,
            way.effect[0].upper() + way.effect[1:] + ".",
            way.named,
        )
        for way in ways(data.record, data.standing)
    ]


def _trakor_ids(data: RecordData) -> list[str]:
    claimant = data.standing.claimant
    if data.standing.trakor_ids or data.record.state != State.MERGED or claimant is None:
        return [*data.standing.trakor_ids]
    return [claimant.trakor_id] if claimant.trakor_id else []
