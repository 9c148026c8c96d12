"""Decisions on many records at once: counted, confirmed, then carried out a part at a time.

::

    list ──verb──> confirm: these records, counted now, and what will happen
                      │ yes
                      v
                   Work, a task: 100 records a transaction ──> progress, told while it goes on

Only what was counted is decided on, and of that only what still waits for the same reason. What if it dies
in between: the parts that were written are decided, the others wait as before, and the page counts anew.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web

from bridge.admin.auth import form_text, visit_of
from bridge.admin.lists import Filter, verbs_of, waiting_of, wanted_of
from bridge.admin.record import place_of
from bridge.admin.sessions import BulkDecision, FlashMessage
from bridge.errors import LedgerError, UserError
from bridge.ledger.database import reading
from bridge.ledger.operator_actions import AT_ONCE, OperatorAction, apply_to_each
from bridge.ledger.read_model import RecordQuery, find_numbers
from bridge.status.vocabulary import ACTIONS

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Sequence

    from bridge.admin.context import PageContext
    from bridge.admin.lists import RecordGroup
    from bridge.admin.rendering import Templates
    from bridge.admin.sessions import BrowserSession
    from bridge.ledger.operator_actions import ActionResult
    from bridge.ledger.read_model import AttentionKind

__all__ = ["BulkActions"]

PATIENCE: Final = 1.5
"""Seconds for which the answer waits for the end, before it shows the progress instead."""

MOST_ORDERS: Final = 8
"""So many decisions wait for their yes, in all sessions together: each can name all records there are."""

MOST_TOLD: Final = 20
"""So many records that it could not be done to are named."""

log = structlog.get_logger()


@dataclass
class BulkProgress:
    """A decision on many as it is carried out.

    Attributes:
        verb: What is decided.
        total: On how many records.
        seen: How many were looked at.
        done: To how many it was done.
        refused: Those that it could not be done to: the first ones, with why.
        refusals: How many those are.
        problem: Why it ended early; empty while it did not.
        ended: It is over.
    """

    verb: OperatorAction
    total: int
    seen: int = 0
    done: int = 0
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    refusals: int = 0
    problem: str = ""
    ended: bool = False

    def note(self, looked_at: int, decided: Sequence[ActionResult]) -> None:
        """A part is written."""
        self.seen += looked_at
        for one in decided:
            if one.refusal is None:
                self.done += 1
            else:
                self.refusals += 1
                if len(self.refused) < MOST_TOLD:
                    self.refused.append((f"/records/{one.record.number}", one.record.id, str(one.refusal)))

    @property
    def left_alone(self) -> int:
        """How many did not wait any more when their turn came."""
        return self.seen - self.done - self.refusals

    def said(self) -> str:
        """What has come of it."""
        sentences = [
            f"{_records(self.done)} {'was' if self.done == 1 else 'were'} {ACTIONS[self.verb].done}."
        ]
        if self.refusals:
            sentences.append(f"To {self.refusals:,} it could not be done.")
        if self.left_alone:
            sentences.append(f"{self.left_alone:,} did not wait for it any more.")
        if self.problem:
            sentences.append(f"It ended early: {self.problem.rstrip('.')}. The others wait as before.")
        return " ".join(sentences)


class BulkActions:
    """The pages of decisions on many, and the one that is under way."""

    def __init__(self, context: PageContext, templates: Templates) -> None:
        self._context = context
        self._templates = templates
        self._work: BulkProgress | None = None
        self._task: asyncio.Task[None] | None = None
        self._asked: list[BrowserSession] = []

    def add_to(self, application: web.Application, guarded: Callable[..., Any]) -> None:
        """Add its addresses."""
        application.router.add_get("/many", guarded(self._confirm))
        application.router.add_post("/many", guarded(self._begin))
        application.router.add_get("/many/progress", guarded(self._progress))

    async def close(self) -> None:
        """Stop after the part that is being written."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _confirm(self, request: web.Request) -> web.StreamResponse:
        """Say how many, and what will happen; only a yes carries it out."""
        wanted = Filter.of(request.query)
        word = request.query.get("verb", "")
        if word not in {*OperatorAction}:
            raise web.HTTPNotFound(text="There is no such decision.")
        verb = OperatorAction(word)
        kinds, others, records = await asyncio.to_thread(_count, self._context, wanted, verb)
        order = BulkDecision(secrets.token_urlsafe(16), verb, records)
        self._await_yes(visit_of(request), order)
        return self._templates.render(
            request,
            "confirm.html",
            here="records",
            order=order,
            label=ACTIONS[verb].button,
            effects=[_effect(one, verb, len(records[one.kind])) for one in kinds],
            others=sum(one.number for one in others),
            several=len({one.feed.connection for one in kinds}) > 1,
            back=wanted.href(),
        )

    def _await_yes(self, visit: BrowserSession, order: BulkDecision) -> None:
        """Keep an order until it is confirmed, or too many newer ones were asked for."""
        visit.order = order
        self._asked = [*(one for one in self._asked if one is not visit and one.order), visit]
        for old in self._asked[:-MOST_ORDERS]:
            old.order = None

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        visit = visit_of(request)
        order = visit.order
        if order is None or not secrets.compare_digest(
            order.token.encode(), (await form_text(request, "order")).encode()
        ):
            raise web.HTTPConflict(text="That was counted too long ago. Go back to the list and count again.")
        if self._task is not None and not self._task.done():
            raise UserError(
                "another decision on many is still being carried out", advice="wait until it is done"
            )
        visit.order = None
        self._work = BulkProgress(order.verb, order.total)
        self._task = asyncio.create_task(self._carry_out(order, self._work, place_of(request)))
        await asyncio.wait([self._task], timeout=PATIENCE)
        if self._work.ended and not self._work.refusals and not self._work.problem:
            visit.said = FlashMessage("ok", self._work.said())
            raise web.HTTPSeeOther("/records")
        raise web.HTTPSeeOther("/many/progress")

    async def _progress(self, request: web.Request) -> web.StreamResponse:
        if self._work is None:
            raise web.HTTPNotFound(text="Nothing is being decided on.")
        return self._templates.render(request, "progress.html", here="records", work=self._work)

    async def _decide(
        self, verb: OperatorAction, kind: AttentionKind, some: Sequence[int], by: str
    ) -> Sequence[ActionResult]:
        """Decide on some records, if they still wait for the same."""
        reasons, marks = ((word,) if word else () for word in (kind.reason, kind.mark))
        decided = await self._context.ledger.call(
            apply_to_each,
            verb,
            RecordQuery(numbers=some, states=(kind.state,), reasons=reasons, marks=marks),
            self._context.policy_of,
            now=self._context.clock(),
            by=by,
        )
        self._context.on_decided()
        return decided

    async def _carry_out(self, order: BulkDecision, work: BulkProgress, by: str) -> None:
        """A part after the other, each in its own transaction."""
        try:
            for kind, numbers in order.records.items():
                remaining = iter(numbers)
                while some := tuple(islice(remaining, AT_ONCE)):
                    work.note(len(some), await self._decide(order.verb, kind, some, by))
        except LedgerError as fault:
            work.problem = str(fault)
        except Exception:
            work.problem = "something failed that never should; the log says what"
            log.exception("a decision on many failed")
        except asyncio.CancelledError:
            work.problem = "the bridge was stopped"
            raise
        finally:
            work.ended = True
            log.info("decided on many", verb=str(work.verb), done=work.done, refused=work.refusals)


@dataclass(frozen=True, slots=True)
class BulkEffect:
    """What a decision does to the records of one kind."""

    number: int
    title: str
    stream: str
    connection: str
    said: str


def _effect(one: RecordGroup, verb: OperatorAction, number: int) -> BulkEffect:
    stream = str(one.feed.stream).capitalize()
    return BulkEffect(number, one.words.title, stream, one.feed.connection, one.effects[verb])


def _count(
    context: PageContext, wanted: Filter, verb: OperatorAction
) -> tuple[list[RecordGroup], list[RecordGroup], dict[AttentionKind, array[int]]]:
    """The kinds that it can be done to, those that it cannot, and the numbers of the former's records."""
    with reading(context.ledger.path, context.ledger.text_storage) as connection:
        every = wanted_of(waiting_of(connection, wanted.mark), wanted)
        kinds = [one for one in every if verb in verbs_of([one])]
        others = [one for one in every if one not in kinds]
        return kinds, others, {one.kind: find_numbers(connection, one.kind) for one in kinds}


def _records(number: int) -> str:
    return f"{number:,} record{'' if number == 1 else 's'}"
