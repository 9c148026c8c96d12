"""The statement as a Markdown document."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.disclosure.statement import ConnectionFlow, Disclosure, StreamFlow, WebhookFlow

__all__ = ["markdown"]


def markdown(disclosure: Disclosure) -> str:
    """The statement as a Markdown document."""
    parts = [
        "# Data-flow statement",
        "",
        f"**Application:** {disclosure.application}",
        "",
        f"**Direction of the data flow:** {disclosure.direction}.",
    ]
    for flow in disclosure.connections:
        parts += _connection_section(flow)
    parts += _section("Other recipients", disclosure.told)
    parts += _section("What is stored, where, and for how long", disclosure.stored)
    parts += _section("Credentials", disclosure.credentials)
    parts += _section("To be filled in by the operator", disclosure.to_fill_in)
    parts += _section("How to disconnect at once", disclosure.disconnect)
    return "\n".join(parts) + "\n"


def _section(title: str, lines: tuple[str, ...]) -> list[str]:
    return ["", f"## {title}", "", *(f"- {line}" for line in lines)]


def _connection_section(flow: ConnectionFlow) -> list[str]:
    parts = ["", f"## Connection `{flow.connection}`", "", f"{flow.source} → {flow.destination}"]
    for stream in flow.streams:
        parts += _fields_section(stream)
    if flow.webhooks and flow.webhooks.fields_of_deals:
        parts += [
            "",
            "### Fields of deals",
            "",
            f"Read with `{flow.webhooks.query_for_deals}`, after a webhook:",
            "",
        ]
        parts += [f"- `{field}`" for field in flow.webhooks.fields_of_deals]
    return [*parts, "", "### Method and frequency", "", *_method(flow), *_of_webhooks(flow.webhooks)]


def _fields_section(stream: StreamFlow) -> Iterator[str]:
    yield from ("", f"### Fields of {stream.stream}", "")
    yield from (f"Read with `{stream.query}`, where `` {stream.filter} ``:", "")
    yield from (f"- `{field}`" for field in stream.fields_read)
    if stream.query_by_id:
        others = ", ".join(f"`{field}`" for field in stream.more_fields_by_id)
        yield from (
            "",
            f"One by its id, after a webhook or if the list misses it, with `{stream.query_by_id}`:",
        )
        yield f"the same fields, and {others}." if others else "no other fields."
    yield from ("", f"Sent to Trakor (`{stream.endpoint}`):", "", "")
    yield from (f"- `{field}`, made of `` {text} ``" for field, text in stream.fields_sent.items())


def _method(flow: ConnectionFlow) -> Iterator[str]:
    yield f"- GraphQL over https, queries only but for the log-in, authenticated by {flow.login}"
    yield (
        f"- never more than {flow.requests_per_minute:,} requests a minute, so at most "
        f"{flow.requests_per_day_at_most:,} a day, whatever the cause"
    )
    yield "- one request for the token at each start, and one before each token expires"
    for stream in flow.streams:
        yield (
            f"- all {stream.stream} are read {stream.schedule}, and once more {flow.reconciling}: at most "
            f"{stream.sweeps_per_day_at_most:,} times a day. Each time takes {stream.requests_per_sweep:,} "
            f"requests for the {stream.known_records:,} {stream.stream} that are known now, so "
            f"{stream.requests_per_day_by_schedule:,} a day"
        )
    if any(stream.query_by_id for stream in flow.streams):
        yield "- records that a list no longer shows are then read by their ids, many in one request"


def _of_webhooks(webhooks: WebhookFlow | None) -> Iterator[str]:
    if webhooks is None:
        yield "- no webhooks are received"
        return
    at = f" at `{webhooks.received_at}`" if webhooks.received_at else ""
    yield f"- webhooks are received{at}, behind a secret token: {', '.join(webhooks.actions)}"
    yield (
        "- of a webhook only its action and the id in it are used. The record is then read by that id, and a "
        f"deal's contacts by theirs: up to {webhooks.ids_per_request:,} ids in one request, several webhooks "
        "for one record in a short time as one, and all of it within the bound above"
    )
