"""Trakor's public API: the only package that imports httpx.

::

    Payload ──build_body──> body ──client──> transport ──POST──> Trakor
                                     │            └──certainly not sent──> NeverSent
                                     │            └──no complete response──> Unanswered
                                     └──interpret_response──> Answer
                                                              or Transient, Unanswered, Refused, Rejected

Pure functions build requests and interpret responses, with a little I/O in between. The rules come from the
vendor's page "Public API" (two endpoints, ``X-API-KEY``, the statuses 400, 401, 403, 500). Whatever the page
leaves open is handled so that nothing is lost.
"""

from bridge.trakor.client import MALFORMED, TrakorClient, build_body, endpoint_of
from bridge.trakor.responses import interpret_response

__all__ = ["MALFORMED", "TrakorClient", "build_body", "endpoint_of", "interpret_response"]
