"""`trakor-bridge queries fit`: what has to change so that an organisation's schema can be read.

::

    checks of what there is ──stream fits──> nothing to do
              │ it does not
              v
    live schema (else the saved one) ──propose──> files and map ──written into a folder of their own──┐
                                                                                                     v
                                    evidence <── a page of real records is read and mapped with them

Nothing is written where the user's files are; ``files.write_changes`` does that.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from bridge.checks import run as run_checks
from bridge.checks.queries import load as load_query
from bridge.checks.report import Check
from bridge.checks.samples import Sample, read_sample
from bridge.checks.schema_pull import IMPATIENT, live_schema, saved_schema
from bridge.errors import BridgeError, QueryFileError, UserError
from bridge.fitting.files import FileChange, StreamEdit, edit_configuration
from bridge.fitting.proposal import CLOSE, FRAGMENT, RankedList, propose, propose_deal_query, rank_lists
from bridge.fitting.record_map import MapChoice, where_not_in_use
from bridge.mapping import Mapper
from bridge.mapping.built_in_maps import DEFAULT_WHERE, complete_map
from bridge.mapping.expressions import Expressions
from bridge.names import Hasher
from bridge.records import DEAL_CONTACTS, Stream
from bridge.salestrekker.query_files import shipped_queries
from bridge.salestrekker.schema.introspection import SchemaUnavailable, read_saved_schema
from bridge.wiring.connection import TICKET, make_salestrekker_client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.fitting.proposal import Proposal
    from bridge.fitting.record_map import ProposedMap
    from bridge.salestrekker.client import SalestrekkerClient
    from bridge.salestrekker.schema.introspection import LiveSchema
    from bridge.settings import ConnectionSettings, Settings

__all__ = ["Choose", "Fit", "StreamFit", "doubt_names", "fit"]

Choose: TypeAlias = Callable[[Stream, Sequence[RankedList]], RankedList | None]
"""Asks which of several lists is meant; None: it is not known."""

OF_DEALS: Final = f"{DEAL_CONTACTS}.ticket_query"
OF_A_STREAM: Final = ("list_query", "one_query", "read", "map", "record")
FEW: Final = 8
"""Fewer records prove nothing about names."""

MOST_HAVE_ONE: Final = 0.85
"""The part of all records that must have a name: fewer mean that some types were not understood."""

MOST_LEFT_OUT: Final = 0.5
"""The part of all records that `where` may leave out."""

SAME: Final = 0.3
"""The part of all records that can have one name. More mean that it is no name."""

EVIDENCE: Final = ("name", "same_as.email", "same_as.phone", "price")
"""The keys of a map whose values are counted in real records."""


@dataclass(slots=True)
class StreamFit:
    """What becomes of one stream.

    Attributes:
        stream: The stream.
        fits: Its query files and map are right as they are.
        proposal: What would make it fit; None if nothing is proposed.
        problem: Why nothing is proposed, or why the proposal does not work; empty if all is well.
        evidence: Key of the map -> in how many of the records that were read it has a value.
    """

    stream: Stream
    fits: bool = False
    proposal: Proposal | None = None
    problem: str = ""
    evidence: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Fit:
    """What has to change.

    Attributes:
        streams: Each stream.
        changes: The files that would be written, in order.
        checks: What `check` says of it.
        deals_fit: The query for deals is right as it is.
        deals: Why the query for deals changes; empty if it does not.
    """

    streams: list[StreamFit]
    changes: list[FileChange] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    deals_fit: bool = False
    deals: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether every stream fits, or would."""
        return not any(one.problem for one in self.streams)


async def fit(
    settings: Settings, name: str, configuration: Path | None, environ: Mapping[str, str], choose: Choose
) -> Fit:
    """Find out what has to change for one connection.

    Args:
        settings: The configuration.
        name: The connection.
        configuration: The connection's file; None if it is not in a file.
        environ: The environment.
        choose: Asks which of several lists is meant.

    Raises:
        UserError: The server gives no schema, and none is saved.
        Refused: Salestrekker refuses access.
        Transient: Salestrekker does not answer.
    """
    alone = replace(settings, connections=MappingProxyType({name: settings.connections[name]}))
    connection = alone.connections[name]
    wanted = [stream for stream in Stream if connection.stream(stream).enabled]
    checks = await _checked(alone, name, environ)
    failed = _failed(checks)
    found = Fit([StreamFit(stream, fits=stream not in failed) for stream in wanted])
    found.deals_fit = any(one.name == OF_DEALS and one.ok for one in checks)
    for one in found.streams:
        one.problem = _only_unread(one.stream, checks)
    if all(one.fits for one in found.streams):
        return found
    shares = len(settings.connections) > 1
    async with make_salestrekker_client(connection, IMPATIENT) as client:
        live = await _schema(client, settings)
        for one in found.streams:
            if not (one.fits or one.problem):
                _propose(one, live, choose)
        await _keep_maps_that_fit(found, live, alone, name, environ, shares=shares)
        with tempfile.TemporaryDirectory(prefix="trakor-bridge-") as folder:
            trial = _on_trial(found, live, alone, name, Path(folder), shares=shares)
            await _prove(found, trial, trial.connections[name], client)
            trial = _on_trial(found, live, alone, name, Path(folder), shares=shares)
            found.checks = await _checked(trial, name, environ)
            failed = _failed(found.checks)
            for one in found.streams:
                if one.proposal and one.stream in failed and not one.problem:
                    one.problem = failed[one.stream]
            found.changes = _changes(found, trial, settings, name, configuration)
    return found


async def _keep_maps_that_fit(
    found: Fit, live: LiveSchema, settings: Settings, name: str, environ: Mapping[str, str], *, shares: bool
) -> None:
    """Find out for which streams another way to the records is enough: a map that fits is the better one."""
    for one in found.streams:
        if one.proposal:
            one.proposal.keeps_map = True
    with tempfile.TemporaryDirectory(prefix="trakor-bridge-") as folder:
        trial = _on_trial(found, live, settings, name, Path(folder), shares=shares)
        failed = _failed(await _checked(trial, name, environ))
    for one in found.streams:
        if one.proposal:
            one.proposal.keeps_map = one.stream not in failed
            if not one.proposal.keeps_map:
                one.problem = _own_words(one.stream, settings.connections[name])


def _own_words(stream: Stream, connection: ConnectionSettings) -> str:
    """What a person has decided, and no proposal may replace; empty if there is nothing."""
    settings = connection.stream(stream)
    if settings.where.strip() and settings.where != DEFAULT_WHERE:
        return f"[{stream}] where is your own: {settings.where}. Take it out, and add it to the proposed one"
    if "id" in settings.map:
        return f"[{stream}.map] id is your own: with another one, all {stream} would be new"
    return ""


async def _checked(settings: Settings, name: str, environ: Mapping[str, str]) -> list[Check]:
    async with aclosing(run_checks(settings, (name,), environ, show=False)) as steps:
        return [one async for one in steps]


def _failed(checks: Sequence[Check]) -> dict[Stream, str]:
    """The streams with a failed check, and what failed first."""
    found: dict[Stream, str] = {}
    for stream in Stream:
        names = {f"{stream}.{step}" for step in OF_A_STREAM}
        bad = [one for one in checks if one.name in names and not one.ok]
        if bad:
            found[stream] = f"{bad[0].name}: {bad[0].detail}"
    return found


def _only_unread(stream: Stream, checks: Sequence[Check]) -> str:
    """Why a list could not be read whose queries fit: a passing failure is no reason to replace them."""
    found = {one.name: one for one in checks}
    fitting = [found.get(f"{stream}.{step}") for step in ("list_query", "map")]
    read = found.get(f"{stream}.read")
    if read is None or read.ok or not read.tried or not all(one and one.ok for one in fitting):
        return ""
    return f"its queries fit, but it could not be read: {read.detail}"


async def _schema(client: SalestrekkerClient, settings: Settings) -> LiveSchema:
    await client.authenticate()
    try:
        return await live_schema(client)
    except SchemaUnavailable as reason:
        saved = read_saved_schema(saved_schema(settings))
        if saved is None:
            raise UserError(
                f"Salestrekker does not provide its schema ({reason}), and none is saved",
                advice=f"ask Salestrekker's support for the schema, and save it as {saved_schema(settings)}; "
                "without it, `trakor-bridge check` tries the queries and shows what the server says",
            ) from None
        return saved


def _propose(one: StreamFit, live: LiveSchema, choose: Choose) -> None:
    ranked = rank_lists(live.graphql, one.stream)
    if not ranked:
        one.problem = f"the schema has no list whose records look like {one.stream}"
        return
    close = _different([other for other in ranked if ranked[0].score - other.score < CLOSE])
    if len(close) > 1:
        chosen = choose(one.stream, close)
        if chosen is None:
            names = ", ".join(str(other.listing) for other in close)
            one.problem = f"several lists could be the {one.stream}: {names}"
            return
        ranked = [chosen]
    one.proposal = propose(live.graphql, one.stream, ranked)


def _different(ranked: Sequence[RankedList]) -> list[RankedList]:
    """The best list for each type of record: two lists of the same records are no question."""
    best: dict[str, RankedList] = {}
    for one in ranked:
        best.setdefault(one.listing.record.name, one)
    return list(best.values())


def _on_trial(
    found: Fit, live: LiveSchema, settings: Settings, name: str, folder: Path, *, shares: bool
) -> Settings:
    """The configuration with all proposals, in a folder of its own."""
    queries = folder / "queries"
    queries.mkdir(exist_ok=True)
    for own in (settings.folder / "queries").glob("*.graphql"):
        (queries / own.name).write_text(_text_of(own), encoding="utf-8")
    streams = dict(settings.connections[name].streams)
    for one in found.streams:
        if one.proposal:
            prefix = f"{name}-" if shares else ""
            for file, text in _files(one.proposal, shares=shares).items():
                (queries / f"{prefix}{file}").write_text(text, encoding="utf-8")
            model = type(streams[one.stream])
            given = streams[one.stream].model_dump(by_alias=True)
            streams[one.stream] = model.model_validate({**given, **_keys(one.proposal, prefix)})
            if one.stream is DEAL_CONTACTS and not (shares or found.deals_fit):
                deal = propose_deal_query(live.graphql, one.proposal.listing)
                if deal:
                    (queries / TICKET).write_text(deal[0], encoding="utf-8")
                    found.deals = deal[1]
    connection = replace(settings.connections[name], streams=MappingProxyType(streams))
    return replace(settings, folder=folder, connections=MappingProxyType({name: connection}))


def _files(proposal: Proposal, *, shares: bool) -> dict[str, str]:
    """The query files. If connections share the folder, each file has its fragment in itself."""
    if not shares or proposal.keeps_map:
        return proposal.changed_files
    (fragment,) = (text for file, text in proposal.files.items() if file.endswith(FRAGMENT))
    return {
        file: f"{text}\n{fragment}" for file, text in proposal.files.items() if not file.endswith(FRAGMENT)
    }


def _keys(proposal: Proposal, prefix: str) -> dict[str, object]:
    """The keys of the stream, as the configuration has them."""
    spec = proposal.stream.spec
    same_as = {
        key.partition(".")[2]: text
        for key, text in proposal.proposed.texts.items()
        if key.startswith("same_as.")
    }
    texts: dict[str, object] = {
        key: text for key, text in proposal.proposed.texts.items() if not key.startswith("same_as.")
    }
    queries: dict[str, object] = {
        "list_query": f"{prefix}{spec.list_query}",
        "one_query": f"{prefix}{spec.query_by_id}" if proposal.by_id else "",
    }
    if proposal.keeps_map:
        return queries
    return queries | {
        "where": proposal.proposed.where,
        "map": {**texts, **({"same_as": same_as} if same_as else {})},
    }


async def _prove(
    found: Fit, trial: Settings, connection: ConnectionSettings, client: SalestrekkerClient
) -> None:
    """Count in real records what the proposed map finds."""
    for one in found.streams:
        if one.proposal is None or one.problem:
            continue
        sample = await _sample(one.stream, trial, connection, client)
        if isinstance(sample, str):
            one.problem = sample
            continue
        settings = connection.stream(one.stream)
        where = settings.where
        if not one.proposal.keeps_map:
            _find_status(one.proposal.proposed, sample)
            where = one.proposal.proposed.where
        one.evidence, one.problem = _count(one.stream, complete_map(one.stream, settings.map), sample)
        one.problem = one.problem or _doubt_records(one.stream, where, sample)


async def _sample(
    stream: Stream, trial: Settings, connection: ConnectionSettings, client: SalestrekkerClient
) -> Sample | str:
    settings = connection.stream(stream)
    query = load_query(f"{stream}.list_query", settings.list_query, trial.folder, listing=True)
    if isinstance(query, Check) or query.listing is None:
        return f"{stream}.list_query: {query.detail}" if isinstance(query, Check) else ""
    try:
        mapper = Mapper(
            stream,
            settings.map,
            settings.where,
            Hasher(b"\0" * 32),
            query.document.fingerprint,
            settings.policy(),
        )
    except QueryFileError as error:
        return str(error)
    try:
        check, sample = await read_sample(f"{stream}.read", stream, query.listing, mapper, client)
    except BridgeError as error:
        return str(error)
    return sample if check.ok else f"{check.name}: {check.detail}"


def _count(stream: Stream, texts: Mapping[str, str], sample: Sample) -> tuple[dict[str, str], str]:
    """In how many records each important key has a value, and why the map cannot be right."""
    chosen = {key: text for key, text in texts.items() if key in EVIDENCE and text}
    expressions = Expressions(chosen, {key: key for key in chosen})
    values = {key: [_value(expressions, key, record.data) for record in sample.records] for key in chosen}
    number = len(sample.records)
    evidence = {key: f"{number - found.count('')} of {number}" for key, found in values.items() if number}
    return evidence, doubt_names(stream, values.get("name", []))


def _value(expressions: Expressions, key: str, data: Mapping[str, object]) -> str:
    try:
        return str(expressions.value(key, data) or "")
    except BridgeError:
        return ""


def doubt_names(stream: Stream, names: Sequence[str]) -> str:
    """Why a field cannot be the name: most records have none, or many have the same one.

    Args:
        stream: The stream.
        names: The name of each record that was read; empty if it has none.

    Returns:
        A sentence; empty if there is no doubt.
    """
    if len(names) < FEW:
        return ""
    present = [name for name in names if name]
    if len(present) < len(names) * MOST_HAVE_ONE:
        return f"only {len(present)} of {len(names)} {stream} have a name where it was looked for"
    _, most = Counter(present).most_common(1)[0]
    if most > len(present) * SAME:
        return f"{most} of {len(names)} {stream} have the same name where it was looked for"
    return ""


def _doubt_records(stream: Stream, where: str, sample: Sample) -> str:
    """Why the id or `where` cannot be right: records share an id, or most are left out."""
    records = sample.records
    ids = Counter(record.id for record in records)
    shared = sum(count for count in ids.values() if count > 1)
    if shared:
        return f"{shared} of {len(records)} {stream} share an id with another one: another field must be it"
    if not where.strip() or len(records) < FEW:
        return ""
    expressions = Expressions({"where": where}, {"where": "where"})
    kept = sum(_value(expressions, "where", record.data) != "" for record in records)
    if kept < len(records) * (1 - MOST_LEFT_OUT):
        return f"`where` would leave out {len(records) - kept} of {len(records)} {stream}: {where}"
    return ""


def _find_status(proposed: ProposedMap, sample: Sample) -> None:
    """Leave out what is out of use, if only the words of real records show that."""
    if not proposed.status or proposed.where:
        return
    expressions = Expressions({"status": proposed.status}, {"status": "status"})
    values = [_value(expressions, "status", record.data) for record in sample.records]
    proposed.where = where_not_in_use(proposed.status, values)
    if proposed.where:
        proposed.reasons.append(
            MapChoice("where", proposed.status, "its words mean that a record is out of use")
        )


def _changes(
    found: Fit, trial: Settings, settings: Settings, name: str, configuration: Path | None
) -> list[FileChange]:
    """The files that differ, the configuration last."""
    changes = []
    for file in sorted((trial.folder / "queries").glob("*.graphql")):
        own, shipped = settings.folder / "queries" / file.name, shipped_queries() / file.name
        text = file.read_text(encoding="utf-8")
        before = _text_of(own) if own.exists() else None
        if before != text and not (before is None and shipped.exists() and shipped.read_text() == text):
            changes.append(FileChange(own, before, text))
    edits = _edits(found, trial.connections[name], settings.connections[name])
    if edits and configuration is None:
        raise UserError(
            "the configuration is not in a file, so its map cannot be written",
            advice="write a file with `trakor-bridge init`, or see `trakor-bridge check`",
        )
    if configuration and edits:
        before = _text_of(configuration)
        after = edit_configuration(before, edits)
        if after != before:
            changes.append(FileChange(configuration, before, after))
    return changes


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as text", advice="remove it, or save it as UTF-8") from error


def _edits(found: Fit, trial: ConnectionSettings, own: ConnectionSettings) -> dict[str, StreamEdit]:
    """What changes in the configuration."""
    edits = {}
    for one in found.streams:
        if one.proposal:
            stream, given = trial.stream(one.stream), own.stream(one.stream)
            keys = {} if one.proposal.keeps_map else {"where": stream.where}
            if stream.list_query != given.list_query:
                keys["list_query"] = stream.list_query
            if stream.one_query != given.one_query:
                keys["one_query"] = stream.one_query
            texts = {} if one.proposal.keeps_map else one.proposal.proposed.texts
            if keys or texts:
                edits[str(one.stream)] = StreamEdit(keys, texts)
    return edits
