"""The data-flow statement that an aggregator asks for before it approves an API key.

Made from the configuration, the query files, the maps and the ledger, in the order of the checklist
that such a request meets (2026): name, direction, fields, method, frequency, storage, credentials,
testing, how to revoke. Nothing is written by hand that can be read off; what cannot be known here
(who runs it, where the machine stands) is left as a line to be filled in, and marked so.
"""

from bridge.disclosure.markdown import markdown
from bridge.disclosure.statement import ConnectionFlow, Disclosure, StreamFlow, WebhookFlow, disclose

__all__ = ["ConnectionFlow", "Disclosure", "StreamFlow", "WebhookFlow", "disclose", "markdown"]
