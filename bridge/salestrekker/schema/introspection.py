"""The server's schema: requested by introspection, or read from the file where it was saved.

::

    introspection_query ──ask──> GraphqlResult ──read_introspection──> LiveSchema ──as_file──>
    queries/schema.graphql
                                                  └─ SchemaUnavailable: switched off, or not understood

The file is in GraphQL's schema definition language, with a header that says when and where it was saved. It
is never taken for a query or for fragments: the configuration names the queries, and fragments are in the
files ``*.fragment.graphql``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from graphql import (
    GraphQLError,
    GraphQLSchema,
    build_client_schema,
    build_schema,
    get_introspection_query,
    print_schema,
)

from bridge.errors import QueryFileError, Transient
from bridge.salestrekker.graphql_errors import CODES, ErrorKind, code_suffix

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.salestrekker.graphql_errors import GraphqlResult

__all__ = [
    "MARK",
    "SCHEMA_FILE",
    "LiveSchema",
    "SchemaUnavailable",
    "introspection_query",
    "read_introspection",
    "read_saved_schema",
]

SCHEMA_FILE: Final = "schema.graphql"
"""The file's name, in the folder ``queries`` beside the configuration."""

MARK: Final = "# Saved by `trakor-bridge schema pull`"
"""The beginning of a file that may be overwritten."""

LARGEST_FILE: Final = 32 * 1024 * 1024
"""Bytes. The largest public schemas have less than 5 MB."""


@dataclass(frozen=True, slots=True)
class LiveSchema:
    """A schema to compare queries with.

    Attributes:
        graphql: The schema as graphql-core has it.
    """

    graphql: GraphQLSchema = field(repr=False)

    def as_file(self, url: str, when: str) -> str:
        """The text to be saved.

        Args:
            url: The address that it comes from. Only the host is written.
            when: The time, as text for a person.
        """
        host = urlsplit(url).hostname or "unknown"
        return (
            f"{MARK} on {when} from {host}.\n"
            "# `trakor-bridge check` says what has changed in Salestrekker's schema since.\n"
            "# It is read for that only: to read more of a record, change the queries beside it.\n\n"
            f"{print_schema(self.graphql)}\n"
        )


class SchemaUnavailable(Exception):  # noqa: N818 - not an error: the queries are tried instead
    """The server does not give its schema. The message says why."""


def introspection_query() -> str:
    """The query for the schema, in a form that old servers understand too."""
    return get_introspection_query(descriptions=True)


def read_introspection(result: GraphqlResult) -> LiveSchema:
    """The schema in a response to the introspection query.

    Raises:
        SchemaUnavailable: The server does not answer the query, or not in a way that can be understood.
        Transient: It failed temporarily.
    """
    data = result.data or {}
    if isinstance(data.get("__schema"), dict):
        try:
            return LiveSchema(build_client_schema(data))  # type: ignore[arg-type]  # a server's answer: tried
        except (GraphQLError, TypeError, KeyError, AttributeError, ValueError) as error:
            reason = f"its answer cannot be understood ({type(error).__name__})"
            raise SchemaUnavailable(reason) from None  # the text could quote the answer
    for failure in result.errors:
        if failure.kind is ErrorKind.BUSY or failure.code in CODES[ErrorKind.INTERNAL]:
            raise Transient(f"Salestrekker could not give its schema just now{code_suffix(failure)}")
    raise SchemaUnavailable("introspection is switched off there")


def read_saved_schema(path: Path) -> LiveSchema | None:
    """The saved schema, or None.

    Raises:
        QueryFileError: The file cannot be read as a schema.
    """
    advice = "Remove the file, or write it again with `trakor-bridge schema pull`."
    try:
        if not path.exists():
            return None
        if path.stat().st_size > LARGEST_FILE:
            raise QueryFileError(f"{path}: is larger than any schema", advice=advice)
        schema = build_schema(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise QueryFileError(f"{path}: cannot be read: {error.strerror}", advice=advice) from error
    except (GraphQLError, TypeError, ValueError, RecursionError) as error:
        # graphql-core raises TypeError for a schema that contradicts itself.
        reason = str(error).partition("\n")[0][:200]
        raise QueryFileError(f"{path}: is no schema that can be read: {reason}", advice=advice) from error
    if schema.query_type is None:
        raise QueryFileError(f"{path}: is no schema that can be read: it has no queries", advice=advice)
    return LiveSchema(schema)
