"""What the configuration can say and this version cannot do yet: refused, never silently ignored.

Building a feature deletes its lines here, and nothing else in ``settings``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.settings.keys import DEPTH, Path, dotted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from bridge.settings.sources import Source

__all__ = ["NOT_BUILT_YET", "NOT_BUILT_YET_SCHEMES", "unbuilt_faults"]

NOT_BUILT_YET: Mapping[str, str] = {
    "alerts": "alerts are not built yet: watch the exit status of `trakor-bridge backfill`",
}
"""Key, or table -> what is said to whoever gives it a value."""

NOT_BUILT_YET_SCHEMES: Mapping[str, str] = {
    "postgresql": "a ledger on PostgreSQL is not built yet: use a file, such as sqlite:///ledger.db",
}
"""Scheme of ``ledger.url`` -> the same."""


def unbuilt_faults(source: Source, known: Collection[Path]) -> Iterator[str]:
    """A fault for each known key that is given a value and has no effect yet."""
    for path in _given(source.data):
        sentence = NOT_BUILT_YET.get(dotted(path)) or NOT_BUILT_YET.get(path[0])
        if sentence and path in known:
            yield source.fault(path, sentence)
    url = source.get(("ledger", "url"))
    scheme = url.partition(":")[0] if isinstance(url, str) else ""
    if scheme in NOT_BUILT_YET_SCHEMES:
        yield source.fault(("ledger", "url"), NOT_BUILT_YET_SCHEMES[scheme])


def _given(data: Mapping[str, object], above: Path = ()) -> Iterator[Path]:
    """The paths of all that has a value: empty text, lists and tables ask for nothing."""
    for name, value in data.items():
        path = (*above, name)
        if isinstance(value, dict) and len(path) < DEPTH:
            yield from _given(value, path)
        elif value not in ("", [], None):
            yield path
