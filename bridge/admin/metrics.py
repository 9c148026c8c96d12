"""Metrics for Prometheus, from the snapshot and the process. docs/operations.md explains each of them.

All of them are read from the ledger for each scrape, so that a restart resets only the numbers of the process
itself: ``webhook_answers_total`` and ``process_…``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from prometheus_client import Metric

    from bridge.status import ConnectionStatus, Flow, Snapshot, StreamStatus

    Sample: TypeAlias = tuple[Sequence[str], float]

__all__ = ["Metrics"]

PREFIX: Final = "trakor_bridge"


class Metrics:
    """Renders snapshots.

    Args:
        answers: HTTP status -> how often the webhook listener has sent it.
    """

    def __init__(self, answers: Callable[[], Mapping[int, int]]) -> None:
        self._answers = answers
        self._process = ProcessCollector(namespace=PREFIX, registry=None)

    def render(self, snapshot: Snapshot, accept: str = "") -> tuple[bytes, str]:
        """Render the response to a scrape.

        Args:
            snapshot: The state of everything.
            accept: The request's ``Accept`` header: Prometheus' text format, or OpenMetrics.

        Returns:
            The body and its content type.
        """
        registry = CollectorRegistry()
        registry.register(_Once([*_families(snapshot, self._answers())]))
        registry.register(self._process)
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type


class _Once(Collector):
    """Metrics that are collected once, for one scrape."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(snapshot: Snapshot, answers: Mapping[int, int]) -> Iterator[Metric]:
    connections = snapshot.connections.values()
    yield _gauge("build_info", "The version that runs; always 1.", ["version"], [((snapshot.version,), 1)])
    yield _gauge("ledger_bytes", "Size of the ledger's file and its write-ahead log.", [], _size(snapshot))
    yield from _of_records(connections)
    yield from _of_flows(connections)
    yield from _of_sweeps(connections)
    yield from _of_webhooks(connections, answers)


def _size(snapshot: Snapshot) -> list[Sample]:
    return [] if snapshot.size is None else [((), snapshot.size)]


def _of_records(connections: Collection[ConnectionStatus]) -> Iterator[Metric]:
    yield _gauge(
        "records",
        "Records that the ledger knows, by state.",
        ["connection", "stream", "state"],
        (
            ((one.name, name, str(state)), number)
            for one, name, stream in _streams(connections)
            for state, number in stream.states.items()
        ),
    )
    yield _gauge(
        "marks",
        "Records with a mark beside their state: gone from the source, or filtered.",
        ["connection", "stream", "mark"],
        (
            ((one.name, name, mark), number)
            for one, name, stream in _streams(connections)
            for mark, number in stream.marks.items()
        ),
    )
    yield _gauge(
        "pending_lag_seconds",
        "How long the oldest pending record has been waiting to be sent; 0 if none is pending.",
        ["connection"],
        (((one.name,), one.lag_seconds) for one in connections),
    )


def _of_flows(connections: Collection[ConnectionStatus]) -> Iterator[Metric]:
    yield _gauge(
        "reading_paused",
        "1 while reading from Salestrekker is paused.",
        ["connection"],
        (((one.name,), _stopped(one.reading)) for one in connections),
    )
    yield _gauge(
        "sending_paused",
        "1 while sending to Trakor is paused, for all streams or for this one.",
        ["connection", "stream"],
        (
            ((one.name, name), max(_stopped(one.sending), _stopped(stream.sending)))
            for one, name, stream in _streams(connections)
        ),
    )
    yield _gauge(
        "token_expires_timestamp_seconds",
        "When Salestrekker's token expires.",
        ["connection"],
        _timestamps(((one.name,), one.token_expires_at) for one in connections),
    )
    yield _gauge(
        "token_renewal_failing",
        "1 while Salestrekker's token cannot be renewed; the old one is used until it expires.",
        ["connection"],
        (((one.name,), int(one.token_failing_since is not None)) for one in connections),
    )


def _of_sweeps(connections: Collection[ConnectionStatus]) -> Iterator[Metric]:
    labels = ["connection", "stream"]
    streams = [*_streams(connections)]
    yield _gauge(
        "last_complete_sweep_timestamp_seconds",
        "When the last complete sweep ended.",
        labels,
        _timestamps(((one.name, name), stream.complete_at) for one, name, stream in streams),
    )
    yield _gauge(
        "next_sweep_timestamp_seconds",
        "When the next sweep is due.",
        labels,
        _timestamps(((one.name, name), stream.next_sweep_at) for one, name, stream in streams),
    )
    yield _gauge(
        "last_sweep_missing",
        "Records that the last sweep no longer found, if they were too many to be marked gone; else 0.",
        labels,
        (
            ((one.name, name), stream.last_sweep.missing if stream.last_sweep else 0)
            for one, name, stream in streams
        ),
    )


def _of_webhooks(connections: Collection[ConnectionStatus], answers: Mapping[int, int]) -> Iterator[Metric]:
    yield _counter(
        "webhooks_received",
        "Webhooks that were received and stored.",
        ["connection"],
        (((one.name,), one.webhooks.received) for one in connections),
    )
    yield _counter(
        "webhooks_unreadable",
        "Webhooks among them that could not be understood.",
        ["connection"],
        (((one.name,), one.webhooks.unreadable) for one in connections),
    )
    yield _gauge(
        "webhooks_waiting",
        "Webhooks that are stored and not processed yet.",
        ["connection"],
        (((one.name,), one.webhooks.waiting) for one in connections),
    )
    yield _gauge(
        "webhooks_last_timestamp_seconds",
        "When the last webhook arrived.",
        ["connection"],
        _timestamps(((one.name,), one.webhooks.last_at) for one in connections),
    )
    yield _counter(
        "webhook_answers",
        "Responses of the webhook listener since the process started.",
        ["status"],
        (((str(status),), number) for status, number in sorted(answers.items())),
    )


def _streams(connections: Iterable[ConnectionStatus]) -> Iterator[tuple[ConnectionStatus, str, StreamStatus]]:
    for one in connections:
        for name, stream in one.streams.items():
            yield one, str(name), stream


def _stopped(flow: Flow) -> int:
    return int(flow.state != "ok")


def _timestamps(found: Iterable[tuple[tuple[str, ...], int | None]]) -> Iterator[Sample]:
    """The known times, in seconds."""
    return ((labels, at / 1000) for labels, at in found if at is not None)


def _gauge(name: str, documentation: str, labels: Sequence[str], samples: Iterable[Sample]) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", documentation, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _counter(name: str, documentation: str, labels: Sequence[str], samples: Iterable[Sample]) -> Metric:
    """A counter; Prometheus' format adds ``_total`` to its name."""
    family = CounterMetricFamily(f"{PREFIX}_{name}", documentation, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family
