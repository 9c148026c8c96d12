"""One record: what its state means, what Trakor has, what Salestrekker says now, what can be done."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from bridge.admin.auth import form_text, visit_of
from bridge.admin.overview import TimeText, Tone
from bridge.admin.sessions import FlashMessage
from bridge.errors import BridgeError, UserError
from bridge.ledger.database import reading
from bridge.ledger.operator_actions import OperatorAction, apply_if_unchanged, record_version
from bridge.ledger.pauses import Direction, load_pause
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.ledger.record_details import load_history, load_relations
from bridge.names import fit
from bridge.records import NameClaim, State
from bridge.status.record_details import automatic_step, event, meaning, other_of, sides, ways
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
    from bridge.ledger.pauses import Pause
    from bridge.ledger.read_model import Reader, RecordSummary
    from bridge.ledger.record_details import HistoryLine, RecordRelations

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
"""How things are with a record in a state; in any other one it waits for a person."""

CHANGED: Final = FlashMessage(
    "ask",
    "Nothing was done: it has changed since the page was made. Look at it as it is now, and decide again.",
)

LONGEST_NAME: Final = 2_000
"""Characters that a name of one's own may have before it is made fit."""


@dataclass(frozen=True, slots=True)
class RecordData:
    """All that the ledger has of one record; ``shown`` names how it stands, for a decision on that."""

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
    """The page of a record, and decisions on it."""

    def __init__(self, context: PageContext, templates: Templates) -> None:
        self._context = context
        self._templates = templates

    def add_to(self, application: web.Application, guarded: Callable[..., Any]) -> None:
        """Add its addresses."""
        one = r"/records/{number:\d{1,18}}"
        application.router.add_get(one, guarded(self._show))
        application.router.add_get(f"{one}/now", guarded(self._show_now))
        application.router.add_post(f"{one}/decide", guarded(self._decide))

    async def _show(self, request: web.Request) -> web.StreamResponse:
        look = await self._look(request)
        record, now = look.record, self._context.clock()
        first, *more = map(name_fields, meaning(record, look.standing, now))
        return self._templates.render(
            request,
            "record.html",
            here="records",
            record=record,
            shown=look.shown,
            kind=record.feed.stream.spec.singular.capitalize(),
            title=situation_of(record.state, record.reason).title,
            tone=TONES.get(State(record.state), Tone.ASK),
            first=first,
            more=more,
            answered=look.standing.trakor_text,
            other=other_of(record, look.standing),
            since=TimeText.of(record.since_at, now),
            trakor_ids=_trakor_ids(look),
            automatic_step=automatic_step(record),
            actions=_actions(look),
            history=[
                (TimeText.of(line.at, now), name_fields(event(line))) for line in reversed(look.history)
            ],
            app=self._context.app_of(record.feed.connection),
            can_be_read=not record.forgotten,
        )

    async def _show_now(self, request: web.Request) -> web.StreamResponse:
        """What Salestrekker says at this moment, beside what was sent; nothing of it is kept."""
        look = await self._look(request)
        said, why = await self._read_now(look)
        return self._templates.render(
            request,
            "now.html",
            compared=sides(look.record, look.standing),
            other=other_of(look.record, look.standing),
            said=said,
            why=why,
        )

    async def _read_now(self, look: RecordData) -> tuple[Mapping[str, str] | None, str]:
        """What Salestrekker says, or why that is not known."""
        record, paused = look.record, look.reading_paused
        if paused is not None:
            reason = paused.reason.rstrip(".")
            return None, f"Reading from Salestrekker is paused since {local_time(paused.since_at)}: {reason}."
        try:
            said = await self._context.read_now(record.feed.connection, record.feed.stream, record.id)
        except UserError as fault:  # it was read, and cannot be made into what Trakor takes
            why = str(fault).rstrip(".")
            return None, f"{why[:1].upper()}{why[1:]}."
        except BridgeError as fault:
            return None, f"It could not be read: {str(fault).rstrip('.')}."
        return said, "" if said is not None else "Salestrekker has no such record any more."

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
            by=place_of(request),
        )
        if decided is not None:
            self._context.on_decided()
        visit_of(request).said = CHANGED if decided is None else _said(verb, decided)
        raise web.HTTPSeeOther(f"/records/{number}")

    def _claim(self, name: str) -> NameClaim:
        """The name that a person gave, made fit."""
        whole = fit(name) if len(name) <= LONGEST_NAME else ""
        if not whole:
            raise UserError("A name needs characters that can be seen, and an end.")
        return NameClaim(whole, self._context.name_key(whole))

    async def _look(self, request: web.Request) -> RecordData:
        look = await asyncio.to_thread(_look, self._context, int(request.match_info["number"]))
        if look is None:
            raise web.HTTPNotFound(text="There is no such record.")
        return look


def place_of(request: web.Request) -> str:
    """From where a person decides, as the history has it."""
    return f"on the status page, from {request.remote}"


def done(verb: OperatorAction, record: RecordSummary) -> str:
    """What is done with a record now that it was decided on, after "it"."""
    if record.retry:
        return CHECKED_AGAIN[0]
    if record.state == State.PENDING:
        return f"will be sent as “{record.name}”" if record.name else "will be sent"
    if "dismissed" in record.marks:
        return LEFT_AS_IT_IS[0]
    if State(record.state) in AFTER_DECISION:
        return AFTER_DECISION[State(record.state)][0]
    return f"was checked again ({verb}) and still needs a decision"


def _said(verb: OperatorAction, decided: ActionResult) -> FlashMessage:
    """What is told after a decision on one record."""
    if decided.refusal is None:
        return FlashMessage("ok", f"Done: it {done(verb, decided.record)}.")
    advice = decided.refusal.advice
    # Some advice names a command: the buttons of the page are at hand instead.
    more = f" {advice[0].upper()}{advice[1:]}." if advice and "`" not in advice else ""
    refusal = str(decided.refusal)
    return FlashMessage("ask", f"That could not be done: {refusal.rstrip('.')}.{more}")


def _verb(word: str) -> OperatorAction:
    if word not in {*OperatorAction}:
        raise web.HTTPBadRequest(text="There is no such decision.")
    return OperatorAction(word)


def _look(context: PageContext, number: int) -> RecordData | None:
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


def _actions(look: RecordData) -> list[ActionButton]:
    return [
        ActionButton(
            OperatorAction(way.verb),
            "Send under this name" if way.named else ACTIONS[OperatorAction(way.verb)].button,
            way.effect[0].upper() + way.effect[1:] + ".",
            way.named,
        )
        for way in ways(look.record, look.standing)
    ]


def _trakor_ids(look: RecordData) -> list[str]:
    claimant = look.standing.claimant
    if look.standing.trakor_ids or look.record.state != State.MERGED or claimant is None:
        return [*look.standing.trakor_ids]
    return [claimant.trakor_id] if claimant.trakor_id else []
