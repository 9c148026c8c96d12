"""What the configuration can say and this version cannot do yet: refused, never silently ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bridge.settings.sources import ConfigurationSource

__all__ = ["NOT_BUILT_YET_SCHEMES", "unbuilt_faults"]

NOT_BUILT_YET_SCHEMES: Mapping[str, str] = {
    "postgresql": "a ledger on PostgreSQL is not built yet: use a file, such as sqlite:///ledger.db",
}
"""Scheme of ``ledger.url`` -> what is said to whoever gives it."""


def unbuilt_faults(source: ConfigurationSource) -> Iterator[str]:
    """A fault for each known value that has no effect yet."""
    url = source.get(("ledger", "url"))
    scheme = url.partition(":")[0] if isinstance(url, str) else ""
    if scheme in NOT_BUILT_YET_SCHEMES:
        yield source.fault(("ledger", "url"), NOT_BUILT_YET_SCHEMES[scheme])
