"""The steps of a check, in order.

::

    ledger
    for each connection:
        address ─> log-in ─> organisation ─> schema (and what has changed in it) ─> each query
                                                └─> for each stream: read a page ─> map ─> one record
        Trakor: address, key, organisation, and whether it is the one of last time
    password of the status page, if it is short and other machines reach the page
    webhook port, if a connection has a token

Each generator is closed by its caller, so that nothing stays open if the caller stops early.
"""

from __future__ import annotations

import secrets
from contextlib import aclosing
from typing import TYPE_CHECKING

from bridge.checks.admin_password import password_check
from bridge.checks.connectivity import address, log_in, organization, trakor
from bridge.checks.ledger import LEDGER_KEY, ledger_checks
from bridge.checks.maps import check_map
from bridge.checks.organizations import (
    Remembered,
    held_source,
    names_check,
    renamed_check,
    same_trakor,
    scopes_check,
)
from bridge.checks.queries import Files, Query, load, try_query
from bridge.checks.report import Check, failed, not_tried
from bridge.checks.samples import Sample, mapped, read_sample
from bridge.checks.schema_pull import IMPATIENT, live_schema, saved_schema
from bridge.checks.webhook_port import webhook_port
from bridge.errors import BridgeError, LedgerError, QueryFileError
from bridge.ledger.database import reading
from bridge.ledger.open import find_owner, is_daemon_running, is_outdated, read_revision
from bridge.ledger.stored_pauses import Direction, list_pauses
from bridge.mapping import Mapper
from bridge.names import Hasher
from bridge.records import DEAL_CONTACTS, Stream
from bridge.salestrekker.schema.changes import find_changes
from bridge.salestrekker.schema.introspection import SCHEMA_FILE, SchemaUnavailable, read_saved_schema
from bridge.salestrekker.schema.record_shape import read_selection
from bridge.wiring.connection import TICKET, find_mismatch, make_salestrekker_client
from bridge.wiring.ledger_and_key import ledger_key, ledger_path

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from bridge.salestrekker.client import SalestrekkerClient
    from bridge.salestrekker.schema.introspection import LiveSchema
    from bridge.settings import ConnectionSettings, Settings

__all__ = ["next_step", "run"]


async def run(
    settings: Settings, connections: Collection[str], environ: Mapping[str, str], *, show: bool
) -> AsyncGenerator[Check]:
    """Check everything, step by step.

    Args:
        settings: The configuration; it could be loaded.
        connections: Names of the connections to check.
        environ: The environment. A proxy that is set there is mentioned if an address is not reachable.
        show: Don't mask personal data.

    Yields:
        Each check as soon as it is done.
    """
    yield Check("configuration", ok=True, detail=_configured(settings))
    is_proven = True
    for step in ledger_checks(settings):
        is_proven = is_proven and (step.ok or step.name != LEDGER_KEY)
        yield step
    hasher = Hasher(_any_key(settings))
    remembered = Remembered(settings, hasher, is_proven=is_proven)
    for steps_of in (renamed_check(remembered), names_check(remembered), scopes_check(settings, connections)):
        for step in steps_of:
            yield step
    for name in connections:
        prefix = "" if len(settings.connections) == 1 else f"{name}."
        one = _ConnectionCheck(settings, settings.connections[name], prefix, hasher, remembered, show=show)
        async with aclosing(one.steps(environ)) as steps:
            async for step in steps:
                yield step
    if found := password_check(settings):
        yield found
    if found := await webhook_port(settings, connections):
        yield found


def _configured(settings: Settings) -> str:
    names = ", ".join(settings.connections)
    number = len(settings.connections)
    return f"{settings.folder}: {number} connection{'s' if number != 1 else ''}, {names}"


def _any_key(settings: Settings) -> bytes:
    """A key for mapping the sample: hashes made with it are neither stored nor compared."""
    try:
        return ledger_key(settings, make=False)
    except LedgerError:
        return secrets.token_bytes(32)


class _ConnectionCheck:
    """The steps of one connection."""

    def __init__(
        self,
        settings: Settings,
        connection: ConnectionSettings,
        prefix: str,
        hasher: Hasher,
        remembered: Remembered,
        *,
        show: bool,
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._prefix = prefix
        self._hasher = hasher
        self._remembered = remembered
        self._show = show
        self._files = Files(settings.folder)
        self._streams = [stream for stream in Stream if connection.stream(stream).enabled]
        self._queries: dict[str, Query] = {}
        self._bad: set[str] = set()

    async def steps(self, environ: Mapping[str, str]) -> AsyncGenerator[Check]:
        """All checks. Trakor is checked even if Salestrekker fails."""
        found = await address(self._name("salestrekker.address"), self._connection, environ)
        yield found
        for step in self._load():
            yield step
        if found.ok:
            async with (
                make_salestrekker_client(self._connection, IMPATIENT) as client,
                aclosing(self._with_salestrekker(client)) as steps,
            ):
                async for step in steps:
                    yield step
        else:
            for step in self._untried(found.name):
                yield step
        yield await trakor(self._name("trakor.auth"), self._connection, environ)
        yield same_trakor(self._name("trakor.organization"), self._connection, self._remembered)

    def _name(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _load(self) -> Iterator[Check]:
        """Load the query files; yield a failed check for each that cannot be loaded."""
        reported: dict[str, str] = {}
        for name, file, listing in self._wanted():
            query = load(self._name(name), file, self._settings.folder, listing=listing)
            query = self._unlike_its_list(name, query) or query
            if isinstance(query, Check):
                self._bad.add(name)
                # An error in a fragment is reported once, not for each query that uses it.
                first = reported.setdefault(query.detail, name)
                yield query if first == name else not_tried(query.name, self._name(first))
            else:
                self._queries[name] = query

    def _unlike_its_list(self, name: str, query: Query | Check) -> Check | None:
        """A failed check, if a query by id does not read the same as the list of its stream."""
        listed = self._queries.get(name.replace("one_query", "list_query"))
        if isinstance(query, Check) or query.one is None or listed is None or listed.listing is None:
            return None
        difference = find_mismatch(listed.listing, query.one)
        return failed(self._name(name), difference) if difference else None

    def _wanted(self) -> Iterator[tuple[str, str, bool]]:
        for stream in self._streams:
            settings = self._connection.stream(stream)
            yield f"{stream}.list_query", settings.list_query, True
            if settings.one_query:
                yield f"{stream}.one_query", settings.one_query, False
        if DEAL_CONTACTS in self._streams and self._connection.stream(DEAL_CONTACTS).one_query:
            yield f"{DEAL_CONTACTS}.ticket_query", TICKET, False

    def _untried(self, needed: str, after: Iterable[str] = ()) -> Iterator[Check]:
        """The checks that depend on one that failed."""
        names = ["salestrekker.auth", "salestrekker.organization", "salestrekker.schema", *self._queries]
        names += [f"{stream}.{step}" for stream in self._streams for step in ("read", "map", "record")]
        yield from (not_tried(self._name(name), needed) for name in names if name not in set(after))

    async def _with_salestrekker(self, client: SalestrekkerClient) -> AsyncGenerator[Check]:
        """The checks that need access; the first refusal ends them."""
        wanted = self._connection.salestrekker.organization
        access = await log_in(self._name("salestrekker.auth"), client)
        yield access
        if not access.ok:
            for found in self._untried(access.name, ["salestrekker.auth"]):
                yield found
            return
        found_in = await organization(self._name("salestrekker.organization"), client, wanted)
        found_in = held_source(found_in, client.organization, self._connection.name, self._remembered)
        yield found_in
        if not found_in.ok:
            for found in self._untried(found_in.name, ["salestrekker.auth", "salestrekker.organization"]):
                yield found
            return
        async with aclosing(self._data(client)) as steps:
            async for found in steps:
                yield found

    async def _data(self, client: SalestrekkerClient) -> AsyncGenerator[Check]:
        """Check the schema, the queries, and what is read with them."""
        check, live = await self._schema(client)
        yield check
        for name, query in self._queries.items():
            found = await try_query(self._name(name), query, live, client, self._files)
            if not found.ok:
                self._bad.add(name)
            yield found
        for stream in self._streams:
            async with aclosing(self._stream(stream, live, client)) as steps:
                async for found in steps:
                    yield found

    async def _schema(self, client: SalestrekkerClient) -> tuple[Check, LiveSchema | None]:
        name = self._name("salestrekker.schema")
        try:
            live = await live_schema(client)
        except SchemaUnavailable as reason:
            return Check(name, ok=True, detail=f"not available ({reason}): each query is tried instead"), None
        except BridgeError as error:
            return failed(name, error), None
        try:
            saved = read_saved_schema(saved_schema(self._settings))
        except QueryFileError as error:
            return failed(name, error), live
        return self._changes(name, saved, live), live

    def _changes(self, name: str, saved: LiveSchema | None, live: LiveSchema) -> Check:
        """Report what has changed since the schema was saved."""
        if saved is None:
            detail = "available; `trakor-bridge schema pull` saves it, so that later checks can compare it"
            return Check(name, ok=True, detail=detail)
        found = find_changes(saved, live, [query.document for query in self._queries.values()])
        if not found.breaking:
            since = f"{found.elsewhere} lines differ from {SCHEMA_FILE}, but none that the queries use"
            return Check(name, ok=True, detail=since if found.elsewhere else f"as saved in {SCHEMA_FILE}")
        return Check(
            name,
            ok=False,
            detail=f"changed since it was saved in {SCHEMA_FILE}:\n" + "\n".join(found.breaking),
            advice="Fix the queries and maps as described below, then save the current schema:\n"
            "trakor-bridge schema pull",
        )

    async def _stream(
        self, stream: Stream, live: LiveSchema | None, client: SalestrekkerClient
    ) -> AsyncGenerator[Check]:
        """Read a page, compare the map with the query, map a record."""
        names = [self._name(f"{stream}.{step}") for step in ("read", "map", "record")]
        listing = f"{stream}.list_query"
        if listing in self._bad:
            for name in names:
                yield not_tried(name, self._name(listing))
            return
        query, mapper = self._queries[listing], self._mapper(stream, names[1])
        if isinstance(mapper, Check):
            yield mapper
            return
        read, sample = await self._sample(stream, query, mapper, client, names[0])
        yield read
        chosen = read_selection(query.document, live)
        settings = self._connection.stream(stream)
        held = check_map(names[1], stream, settings, chosen, sample, self._files)
        yield held
        if not read.ok or not held.ok:
            yield not_tried(names[2], names[0] if not read.ok else names[1])
            return
        yield mapped(names[2], stream, sample, mapper, show=self._show)

    async def _sample(
        self, stream: Stream, query: Query, mapper: Mapper, client: SalestrekkerClient, name: str
    ) -> tuple[Check, Sample]:
        if query.listing is None:
            raise TypeError("a list query is one that lists")
        return await read_sample(name, stream, query.listing, mapper, client)

    def _mapper(self, stream: Stream, name: str) -> Mapper | Check:
        settings = self._connection.stream(stream)
        fingerprint = self._queries[f"{stream}.list_query"].document.fingerprint
        try:
            return Mapper(stream, settings.map, settings.where, self._hasher, fingerprint, settings.policy())
        except QueryFileError as error:
            return failed(name, error)


def next_step(settings: Settings, connections: Collection[str], *, word: str = "Next") -> str:
    """A sentence with the next step.

    Args:
        settings: The configuration.
        connections: The names of those that were checked.
        word: The word before the next command.
    """
    try:
        path = ledger_path(settings)
        if paused := _paused_by_person(path, connections):
            option = "" if Direction.SENDING in paused else " --reading"
            are = "is" if len(paused) == 1 else "are"
            return f"{' and '.join(paused).capitalize()} {are} paused. {word}: trakor-bridge resume{option}"
        if is_daemon_running(path):
            return "The daemon is running, so no backfill is needed. To see its state: trakor-bridge status"
        if find_owner(path):
            return "A backfill is running: wait until it has ended before you start another one."
    except LedgerError:
        pass  # the ledger's own check reports it
    return f"{word}: trakor-bridge backfill"


def _paused_by_person(path: Path, connections: Collection[str]) -> list[str]:
    """The directions that an operator has paused, for any of the connections."""
    if read_revision(path) is None or is_outdated(path):
        return []
    with reading(path) as ledger:
        found = [
            pause for pause in list_pauses(ledger) if pause.by_person and pause.connection in connections
        ]
    return sorted({pause.direction for pause in found})
