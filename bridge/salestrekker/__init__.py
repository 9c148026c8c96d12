"""Everything that speaks to Salestrekker; the only home of gql.

::

    list_query.py ──ListQuery──> client.py ──> pagination.py ──Page──> the caller
                                  │
                 tokens.py, gate.py, transport.py ── answers.py (pure: what an answer means)

A session makes one ``client.SalestrekkerClient`` from plain values and walks its pages.
"""
