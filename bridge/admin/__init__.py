"""The admin listener: status page, health and metrics. Not for the internet.

``server.py`` is the listener, ``routes.py`` the status page, ``metrics.py`` the metrics for Prometheus.
"""

from bridge.admin.server import AdminServer, HealthReport

__all__ = ["AdminServer", "HealthReport"]
