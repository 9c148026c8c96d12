"""Decisions on many records at once: counted, confirmed, then applied in batches.

::

    list ──decision──> summary: the records counted now, and what will happen
                          │ confirmed
                          v
                       a task: 100 records in each transaction ──> progress page

Only the counted records are changed, and only those that still need the same decision. If the process dies in
between, the batches that were written are decided, and the other records wait as before.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web

from bridge.admin.auth import form_text, session_of
from bridge.admin.lists import Filter, verbs_of, waiting_of, wanted_of
from bridge.admin.record import request_origin
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
"""Seconds that a response waits for the result, before it shows the progress instead."""

MOST_ORDERS: Final = 8
"""The most unconfirmed decisions in all sessions together, since each can hold all records."""

MOST_NAMED: Final = 20
"""How many of the records that a decision was not possible for are named."""

log = structlog.get_logger()


@dataclass
class BulkProgress:
    """The progress of a decision on many records.

    Attributes:
        verb: The decision.
        total: The number of records.
        seen: How many were processed.
        done: How many were changed.
        refused: The first records that it was not possible for, with the reason.
        refusals: How many those are in all.
        problem: Why it ended early; empty if it did not.
        ended: Whether it has ended.
    """

    verb: OperatorAction
    total: int
    seen: int = 0
    done: int = 0
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    refusals: int = 0
    problem: str = ""
    ended: bool = False

    def add(self, number: int, decided: Sequence[ActionResult]) -> None:
        """Add a batch that is written."""
        self.seen += number
        for one in decided:
            if one.refusal is None:
                self.done += 1
            else:
                self.refusals += 1
                if len(self.refused) < MOST_NAMED:
                    self.refused.append((f"/records/{one.record.number}", one.record.id, str(one.refusal)))

    @property
    def left_alone(self) -> int:
        """How many no longer needed the decision when their turn came."""
        return self.seen - self.done - self.refusals

    def summary(self) -> str:
        """The result in sentences."""
        sentences = [
            f"{_records(self.done)} {'was' if self.done == 1 else 'were'} {ACTIONS[self.verb].done}."
        ]
        if self.refusals:
            sentences.append(f"This was not possible for {self.refusals:,}.")
        if self.left_alone:
            sentences.append(f"{self.left_alone:,} no longer needed it.")
        if self.problem:
            sentences.append(f"It ended early: {self.problem.rstrip('.')}. The other records are unchanged.")
        return " ".join(sentences)


class BulkActions:
    """The pages for decisions on many records, and the decision that is being applied."""

    def __init__(self, context: PageContext, templates: Templates) -> None:
        self._context = context
        self._templates = templates
        self._current: BulkProgress | None = None
        self._task: asyncio.Task[None] | None = None
        self._asked: list[BrowserSession] = []

    def add_to(self, application: web.Application, guarded: Callable[..., Any]) -> None:
        """Add its routes."""
        application.router.add_get("/many", guarded(self._confirm))
        application.router.add_post("/many", guarded(self._begin))
        application.router.add_get("/many/progress", guarded(self._progress))

    async def close(self) -> None:
        """Stop after the batch that is being written."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _confirm(self, request: web.Request) -> web.StreamResponse:
        """Show how many records there are, and what will happen to them."""
        wanted = Filter.of(request.query)
        word = request.query.get("verb", "")
        if word not in {*OperatorAction}:
            raise web.HTTPNotFound(text="There is no such decision.")
        verb = OperatorAction(word)
        kinds, others, records = await asyncio.to_thread(_count, self._context, wanted, verb)
        decision = BulkDecision(secrets.token_urlsafe(16), verb, records)
        self._keep_unconfirmed(session_of(request), decision)
        return self._templates.render(
            request,
            "confirm.html",
            here="records",
            decision=decision,
            label=ACTIONS[verb].button,
            effects=[_effect(one, verb, len(records[one.kind])) for one in kinds],
            others=sum(one.number for one in others),
            several=len({one.feed.connection for one in kinds}) > 1,
            back=wanted.href(),
        )

    def _keep_unconfirmed(self, session: BrowserSession, decision: BulkDecision) -> None:
        """Keep a decision until it is confirmed, or until there are too many newer ones."""
        session.decision = decision
        self._asked = [*(one for one in self._asked if one is not session and one.decision), session]
        for old in self._asked[:-MOST_ORDERS]:
            old.decision = None

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        session = session_of(request)
        decision = session.decision
        if decision is None or not secrets.compare_digest(
            decision.token.encode(), (await form_text(request, "order")).encode()
        ):
            raise web.HTTPConflict(text="This summary is out of date. Go back to the list, and try again.")
        if self._task is not None and not self._task.done():
            raise UserError("another decision is still being applied", advice="wait until it has ended")
        session.decision = None
        self._current = BulkProgress(decision.verb, decision.total)
        self._task = asyncio.create_task(self._apply(decision, self._current, request_origin(request)))
        await asyncio.wait([self._task], timeout=PATIENCE)
        if self._current.ended and not self._current.refusals and not self._current.problem:
            session.flash = FlashMessage("ok", self._current.summary())
            raise web.HTTPSeeOther("/records")
        raise web.HTTPSeeOther("/many/progress")

    async def _progress(self, request: web.Request) -> web.StreamResponse:
        if self._current is None:
            raise web.HTTPNotFound(text="No decision is being applied.")
        return self._templates.render(request, "progress.html", here="records", progress=self._current)

    async def _decide(
        self, verb: OperatorAction, kind: AttentionKind, some: Sequence[int], by: str
    ) -> Sequence[ActionResult]:
        """Apply a decision to some records, if they still need it."""
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

    async def _apply(self, decision: BulkDecision, progress: BulkProgress, by: str) -> None:
        """Apply a decision in batches, each in its own transaction."""
        try:
            for kind, numbers in decision.records.items():
                remaining = iter(numbers)
                while some := tuple(islice(remaining, AT_ONCE)):
                    progress.add(len(some), await self._decide(decision.verb, kind, some, by))
        except LedgerError as error:
            progress.problem = str(error)
        except Exception:
            progress.problem = "an unexpected error occurred; see the log"
            log.exception("a decision on many failed")
        except asyncio.CancelledError:
            progress.problem = "the bridge was stopped"
            raise
        finally:
            progress.ended = True
            log.info(
                "decided on many", verb=str(progress.verb), done=progress.done, refused=progress.refusals
            )


@dataclass(frozen=True, slots=True)
class BulkEffect:
    """The effect of a decision on the records of one kind."""

    number: int
    title: str
    stream: str
    connection: str
    text: str


def _effect(one: RecordGroup, verb: OperatorAction, number: int) -> BulkEffect:
    stream = str(one.feed.stream).capitalize()
    return BulkEffect(number, one.words.title, stream, one.feed.connection, one.effects[verb])


def _count(
    context: PageContext, wanted: Filter, verb: OperatorAction
) -> tuple[list[RecordGroup], list[RecordGroup], dict[AttentionKind, array[int]]]:
    """The groups that a decision applies to, those that it does not, and the record numbers of the former."""
    with reading(context.ledger.path, context.ledger.text_storage) as connection:
        every = wanted_of(waiting_of(connection, wanted.mark), wanted)
        kinds = [one for one in every if verb in verbs_of([one])]
        others = [one for one in every if one not in kinds]
        return kinds, others, {one.kind: find_numbers(connection, one.kind) for one in kinds}


def _records(number: int) -> str:
    return f"{number:,} record{'' if number == 1 else 's'}"
