"""Each query against the live schema, or, if that is not given, against the server itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bridge.checks.report import Check, failed
from bridge.errors import BridgeError, QueryFileError
from bridge.salestrekker.by_id_query import build_batch_request, parse_by_id_query, parse_deal_query
from bridge.salestrekker.graphql_errors import ErrorKind
from bridge.salestrekker.list_query import Position, parse_list_query
from bridge.salestrekker.query_files import load_document, query_folders, shipped_queries
from bridge.salestrekker.schema.corrections import format_corrections, make_corrections
from bridge.salestrekker.schema.server_error_sentences import find_server_mismatches
from bridge.salestrekker.schema.validation import find_mismatches
from bridge.wiring.connection import TICKET

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bridge.salestrekker.by_id_query import ByIdQuery
    from bridge.salestrekker.client import SalestrekkerClient
    from bridge.salestrekker.list_query import ListQuery
    from bridge.salestrekker.query_files import QueryDocument
    from bridge.salestrekker.schema.corrections import QueryMismatch, SourceLocation
    from bridge.salestrekker.schema.introspection import LiveSchema

__all__ = ["Files", "Query", "first_page", "load", "try_query"]

NO_ID: Final = "0"
"""Asked for where no record's id is known: a query that the server understands then finds nothing."""

MOST_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Query:
    """A query file that could be loaded.

    Attributes:
        document: The query.
        listing: As a list; None if it asks for one record by its id.
        one: As a query by id; None if it asks for a list.
    """

    document: QueryDocument
    listing: ListQuery | None
    one: ByIdQuery | None = None


@dataclass(frozen=True, slots=True)
class Files:
    """How query files are named to the reader.

    Attributes:
        folder: Of the configuration.
        reported: The mismatches that were reported already, since queries share fragments.
    """

    folder: Path
    reported: set[tuple[SourceLocation, str]] = field(default_factory=set)

    def select_new(self, found: Sequence[QueryMismatch]) -> list[QueryMismatch]:
        """The mismatches that have not been reported; from now on they count as reported."""
        new = [mismatch for mismatch in found if (mismatch.place, mismatch.what) not in self.reported]
        self.reported.update((mismatch.place, mismatch.what) for mismatch in new)
        return new

    def name(self, file: str) -> str:
        """A short name: as seen from the configuration's folder."""
        for root in (self.folder, shipped_queries().parent):
            if file.startswith(f"{root}/"):
                return file[len(f"{root}/") :]
        return file

    def advice(self, found: Sequence[QueryMismatch]) -> str:
        """What to write into which lines, with a word on files that are the bridge's own."""
        lines = make_corrections(found)
        if not lines:
            return ""
        shipped = f"{shipped_queries()}/"
        copy = (
            f"First copy the queries that came with the bridge into {self.folder / 'queries'}:\n"
            "trakor-bridge init --queries\n"
            if any(one.file.startswith(shipped) for one in lines)
            else ""
        )
        order = "In this order (from a file's end to its beginning, so that the numbers stay right):\n"
        return (
            f"{copy}{order if any(one.shifts for one in lines) else ''}{format_corrections(lines, self.name)}"
        )


def load(name: str, file: str, folder: Path, *, listing: bool) -> Query | Check:
    """Load a query file; a failed check if that is not possible."""
    try:
        document = load_document(file, query_folders(folder))
        if listing:
            return Query(document, parse_list_query(document))
        return Query(
            document, None, parse_deal_query(document) if file == TICKET else parse_by_id_query(document)
        )
    except QueryFileError as error:
        return failed(name, error)


async def try_query(
    name: str, query: Query, live: LiveSchema | None, client: SalestrekkerClient, files: Files
) -> Check:
    """Check a query against the schema, or request a page of one record if the server gives no schema."""
    try:
        if live is not None:
            found = find_mismatches(query.document, live, listing=query.listing is not None)
        else:
            found = await _complaints(query, client)
    except BridgeError as error:
        return failed(name, error)
    file = files.name(query.document.file)
    if not found:
        how = "fits the schema" if live else "is understood by the server"
        return Check(name, ok=True, detail=f"{file} {how}")
    if query.listing is None and live is not None and not any(mismatch.offered for mismatch in found):
        return _only_for_webhooks(name, file, found)
    new = files.select_new(found)
    if not new:
        return Check(name, ok=False, detail=f"{file}: see the errors of its fragments above")
    advice = files.advice(new) or "Correct it as your organisation's schema requires, and check again."
    if live is None:
        advice = f"{advice}\n{_unseen(query)}"
    return Check(name, ok=False, detail=_listed(new, files), advice=advice)


def _unseen(query: Query) -> str:
    """Advice if the server gives no schema from which the correct line could be read."""
    where = "The playground in Salestrekker's Settings/API shows your schema, even if this server does not"
    if query.listing is None:
        return f"{where}."
    root = query.listing.record_path.steps[0].name.value
    ways = [
        "(offset: $offset, limit: $limit) { … }",
        "(page: $page, pageSize: $pageSize) { items { … } }",
        "(first: $first, after: $after) { edges { node { … } } pageInfo { hasNextPage endCursor } }",
        " { … }",
    ]
    listed = "\n".join(f"{root}{record_path}" for record_path in ways)
    return (
        f"{where}: look up the arguments of `{root}`, and request the list in one of these ways "
        f"(docs/paging.md):\n{listed}"
    )


def _listed(found: Sequence[QueryMismatch], files: Files) -> str:
    lines = [f"{files.name(m.place.file)}:{m.place.line}:{m.place.column}: {m.what}" for m in found]
    more = [f"… and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else []
    return "\n".join([*lines[:MOST_SHOWN], *more])


def _only_for_webhooks(name: str, file: str, found: Sequence[QueryMismatch]) -> Check:
    """A query by id is only needed for webhooks: backfills and sweeps are complete without it."""
    return Check(
        name,
        ok=True,
        detail=f"not in this schema, and only needed for webhooks ({file}: {found[0].what})",
    )


def first_page(query: ListQuery, size: int) -> dict[str, object]:
    """The variables of a request for the beginning of a list.

    If pages have numbers, this is page 1, which exists whether the first number is 0 or 1.
    """
    return query.page_variables(Position(page=1), size)


async def _complaints(query: Query, client: SalestrekkerClient) -> tuple[QueryMismatch, ...]:
    """The server's errors about the query itself; errors about the response belong to another check.

    Raises:
        BridgeError: There was no answer.
    """
    document = query.document
    text, variables = document.text, first_page(query.listing, 1) if query.listing else {}
    if query.one:
        text, variables = build_batch_request(query.one, [NO_ID])
    result = await client.ask(text, document.name, variables)
    if not any(error.kind is ErrorKind.QUERY and not error.path for error in result.errors):
        return ()
    return find_server_mismatches(document, result.errors)
