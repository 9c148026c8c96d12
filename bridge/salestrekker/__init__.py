"""Everything that talks to Salestrekker: the only package that imports gql.

::

    query_files, list_query ──ListQuery──> client ──> pagination ──Page──> the caller
                                             │
             login, tokens, rate_limit, transport ── responses, graphql_errors (pure)

A flow makes one ``client.SalestrekkerClient`` from plain values and reads its pages.
"""
