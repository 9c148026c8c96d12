"""Configures logging, and redacts secrets from everything that is logged.

structlog's events and the standard library's records (aiohttp, gql, apscheduler, httpx) take one path::

    structlog event ──┐
                      ├──> level, logger, time ──> exception as plain text ──> redact ──> console | JSON
    stdlib record ────┘

``redact`` is the last step before rendering. It passes only text, numbers, lists and mappings, and scrubs
each text, including the ``repr`` of an object and the text of an exception. Tracebacks show no local
variables. In JSON, each event is one line. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote, quote_plus

import structlog
from structlog.stdlib import ProcessorFormatter

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from structlog.typing import EventDict, Processor, WrappedLogger

__all__ = ["REDACTED", "Redactor", "configure"]

REDACTED = "[redacted]"

HELD_AT_WARNING = ("aiohttp.access", "alembic", "apscheduler", "gql", "httpcore", "httpx")
"""Below this level they log addresses, headers or variables, which contain passwords."""

SILENT = ("apprise", "oauthlib", "requests", "requests_oauthlib", "urllib3")
"""They log the addresses of alerts, which are secrets, at every level. ``alerts`` logs failures itself."""

MIN_SECRET = 4
"""In characters. A shorter text is part of almost every line, so redacting it would only damage the lines."""

_MAX_DEPTH = 6
_SECRET_NAMES = ("api_key", "apikey", "authorization", "cookie", "password", "secret", "token")

_PATTERNS = re.compile(
    r"""
      (?P<path>/webhooks/)[^/\s?\#"']+                              # the secret part of a webhook address
    | (?P<user>://)[^/\s@"']+(?=@)                                  # user and password in an address
    | (?P<named>(?:api[_-]?key|authorization|cookie|password|secret|token)\\?["']?\s*[:=]\s*)
      (?:(?:bearer|basic)\s+)?(?:"[^"\n]*"|'[^'\n]*'|[^\s,;&}\])]+)
    | (?P<bearer>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}
    | \beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?                              # a JSON web token: Salestrekker's
    | \bsk_(?:live|test)_\w+                                        # a Trakor key
    """,
    re.VERBOSE | re.IGNORECASE,
)


def configure(
    level: str,
    format: str,  # noqa: A002 - the name in the configuration and on the command line
    stream: TextIO | None = None,
    secrets: Collection[str] = (),
) -> None:
    """Set up logging for the whole process. A later call replaces an earlier one.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        format: ``console``, ``json``, or ``auto``, which means ``console`` if the stream is a terminal.
        stream: Where lines go; None means standard error.
        secrets: Values to redact from every event.
    """
    target = sys.stderr if stream is None else stream
    number = logging.getLevelNamesMapping()[level.upper()]
    handler = _Handler(target)
    handler.setLevel(number)
    handler.setFormatter(_formatter(_renderer(format, target), Redactor(secrets)))
    logging.basicConfig(level=number, handlers=[handler], force=True)
    for name in HELD_AT_WARNING:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    if number > logging.DEBUG:
        # stamina warns before each retry. The bridge logs the result once, at the end.
        logging.getLogger("stamina").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a cached logger would keep the old configuration
    )


def _common() -> list[Processor]:
    """Return the processors for events of both kinds."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(renderer: Processor, redactor: Redactor) -> ProcessorFormatter:
    return ProcessorFormatter(
        foreign_pre_chain=[*_common(), structlog.stdlib.ExtraAdder()],
        processors=[
            ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            redactor,
            renderer,
        ],
    )


def _renderer(form: str, stream: TextIO) -> Processor:
    if form == "console" or (form == "auto" and stream.isatty()):
        return structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.processors.JSONRenderer()


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines, and reports a line that cannot be written without showing that line.

    The standard library would print the raw record with its arguments to standard error.
    """

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name in logging
        kind = sys.exc_info()[0]
        name = "unknown" if kind is None else kind.__name__
        try:
            self.stream.write(f"a log line of {record.name} could not be written: {name}\n")
        except (OSError, ValueError):
            return  # the stream is gone, so there is nowhere left to report that


class Redactor:
    """A structlog processor that leaves no secret in an event.

    Args:
        secrets: Known values. They are also found as ``repr``, JSON or an address writes them.
    """

    def __init__(self, secrets: Collection[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= MIN_SECRET for form in _spellings(secret)}
        # The longest first: one secret can be the beginning of another.
        ordered = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> Mapping[str, Any]:
        """Return the event without secrets, made only of text, numbers, lists and mappings."""
        return {self.text(key): self._redact_named(key, value, 0) for key, value in event.items()}

    def text(self, text: str) -> str:
        """Return a text without known secrets, and without anything that looks like a secret."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        return _PATTERNS.sub(_redact_match, text)

    def _redact_named(self, key: str, value: object, depth: int) -> object:
        if value is None or isinstance(value, bool):
            return value
        if key.lower().replace("-", "_").endswith(_SECRET_NAMES):
            return REDACTED
        return self._redact_value(value, depth)

    def _redact_value(self, value: object, depth: int) -> object:
        if isinstance(value, str):
            return self.text(str(value))
        if value is None or isinstance(value, bool | float) or type(value) is int:
            return value
        if depth < _MAX_DEPTH and isinstance(value, dict):
            return {
                self.text(str(key)): self._redact_named(str(key), item, depth + 1)
                for key, item in value.items()
            }
        if depth < _MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
            return [self._redact_value(item, depth + 1) for item in value]
        return self.text(repr(value))


def _spellings(secret: str) -> set[str]:
    return {
        secret,
        repr(secret)[1:-1],
        repr(secret.encode())[2:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
    }


def _redact_match(match: re.Match[str]) -> str:
    """Replace a recognised secret, but keep the text before it, so that the line still makes sense."""
    groups = match.groupdict()
    return (groups["path"] or groups["user"] or groups["named"] or groups["bearer"] or "") + REDACTED
