"""What the bridge shows inside: health, metrics, and the state of everything.

``server.py`` is the listener, ``access_rules.py`` (who may ask) is pure, ``metrics.py`` renders the snapshot
for Prometheus.
"""

from bridge.admin.server import AdminServer, HealthReport

__all__ = ["AdminServer", "HealthReport"]
