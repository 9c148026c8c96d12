"""Everything that speaks to Salestrekker; the only home of gql.

::

    queries.py ──ListQuery──> client.py ──> walks.py ──Page──> the caller
                                  │
                 tokens.py, gate.py, transport.py ── answers.py (pure: what an answer means)

A session makes one ``client.SalestrekkerClient`` from plain values and walks its pages.
"""
