"""Trakor's public API; the only home of httpx.

::

    Payload ──requests.build──> body ──client──> transport ──POST──> Trakor
                                        │            └──certainly never left──> NeverSent
                                        │            └──no whole answer──> Unanswered
                                        └──responses.decipher──> Answer
                                                                 or Transient, Unanswered, Refused, Rejected

Requests are built and answers deciphered by pure functions, with a little I/O between. The rules are from
the vendor's page "Public API" (two endpoints, ``X-API-KEY``, the statuses 400, 401, 403, 500). What it does
not say is treated so that nothing is lost.
"""

from bridge.trakor.client import MALFORMED, TrakorClient, build_body, endpoint_of
from bridge.trakor.responses import interpret_response

__all__ = ["MALFORMED", "TrakorClient", "build_body", "endpoint_of", "interpret_response"]
