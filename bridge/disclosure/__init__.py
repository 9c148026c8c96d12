"""The data-flow statement that an aggregator requires before it approves an API key.

It is generated from the configuration, the query files, the maps and the ledger, in the order of such a
checklist (2026): name, direction, fields, method, frequency, storage, credentials, testing, how to revoke.
What the bridge cannot know, such as the operator and the location of the machine, is a line to be filled in.
"""

from bridge.disclosure.markdown import markdown
from bridge.disclosure.statement import ConnectionFlow, Disclosure, StreamFlow, WebhookFlow, disclose

__all__ = ["ConnectionFlow", "Disclosure", "StreamFlow", "WebhookFlow", "disclose", "markdown"]
