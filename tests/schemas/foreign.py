"""Serves a schema that the bridge has never seen, as an organisation of Salestrekker.

::

    async with ForeignSandbox(relay.schema()) as sandbox:
        ...                     # sandbox.salestrekker_url, sandbox.trakor_url, sandbox.schema.truth

It is a ``Sandbox``: log-in, tokens, faults, traffic and Trakor are the same, and so is the configuration that
the bridge needs. Only the engine that answers queries is another one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from bridge.sandbox import Options, Sandbox
from bridge.sandbox.graphql_engine import ApiShape, Engine
from bridge.sandbox.shapes import offset_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bridge.sandbox.graphql_engine import QueryPlan
    from bridge.sandbox.graphql_fast_path import Resolver
    from schemas.truth import Truth

__all__ = ["Answer", "ForeignEngine", "ForeignSandbox", "ForeignSchema", "below", "by_id", "members", "root"]

Answer: TypeAlias = "Callable[[Mapping[str, Any]], object]"
"""Takes a field's arguments, gives its value."""

LOG_IN = """
extend type ROOT { organizations: [Membership!]! }
type Membership { id: ID! organization: MembershipOrganization! }
type MembershipOrganization { name: String! }
type Mutation {
  authenticate(apiKey: String, email: String, password: String): Authentication
  authenticateInDifferentOrganization(id: ID!): Authentication
}
type Authentication { token: String! }
"""
"""How the bridge logs in. It is the same in each schema, since it is known of the real system."""


@dataclass(frozen=True, slots=True)
class ForeignSchema:
    """A schema, what answers its queries, and what is true of its data.

    Attributes:
        name: What tests call it.
        sdl: The schema in the definition language, without the log-in and without ``Mutation``.
        queries: A resolver for every root field: it takes the request's context and the arguments. What it
            gives are dicts with the schema's field names. A field with arguments below the root is a
            function in its dict: see ``below``. An object of a union or an interface has ``__typename``.
        truth: What a backfill is compared with.
        root: The name of the type of all queries.
    """

    name: str
    sdl: str
    queries: Mapping[str, Resolver]
    truth: Truth
    root: str = "Query"

    @property
    def shape(self) -> ApiShape:
        """Schema and resolvers, those of the log-in included."""
        known = offset_shape()
        queries = {"organizations": known.queries["organizations"], **self.queries}
        return ApiShape(self.sdl + LOG_IN.replace("ROOT", self.root), queries, known.mutations)


class ForeignEngine(Engine):
    """Leaves everything to graphql-core, which knows unions, interfaces, and arguments below the root."""

    def _plan(self, text: str, operation_name: str | None, *, introspection: bool = True) -> QueryPlan:
        return replace(super()._plan(text, operation_name, introspection=introspection), steps=None)


class ForeignSandbox(Sandbox):
    """Both systems, running between ``async with`` and its end; Salestrekker has a foreign schema.

    Args:
        schema: What is served.
        options: How it is to be; numbers of contacts and products, and the shape, have no effect.

    Attributes:
        schema: What is served.
    """

    def __init__(self, schema: ForeignSchema, options: Options | None = None) -> None:
        super().__init__(replace(options or Options(), contacts=0, products=0))
        self.schema = schema
        self.salestrekker.engine = ForeignEngine(schema.shape)


def root(answer: Answer) -> Resolver:
    """A root field: a resolver that needs the arguments only."""

    def resolve(_context: object, arguments: Mapping[str, Any]) -> object:
        return answer(arguments)

    return resolve


def below(answer: Answer) -> Callable[..., object]:
    """A field with arguments below the root: what stands for its value in its object's dict."""

    def resolve(_info: object, **arguments: object) -> object:
        return answer(arguments)

    return resolve


def by_id(rows: Sequence[Mapping[str, Any]], field: str = "id", argument: str = "") -> Answer:
    """A field that gives the record with an id, or null.

    Args:
        rows: All records.
        field: Which field of a record is its id.
        argument: Which argument has the id; named as the field if empty.
    """
    known = {str(row[field]): row for row in rows}
    return lambda arguments: known.get(str(arguments[argument or field]))


def members(count: int = 3) -> list[dict[str, Any]]:
    """The people who work in the organisation. They look like contacts, and are none."""
    return [
        {
            "id": f"user-{number}",
            "firstName": first,
            "lastName": "Staff",
            "fullName": f"{first} Staff",
            "email": f"{first.lower()}@broker.example",
            "role": "BROKER" if number else "ADMIN",
        }
        for number, first in enumerate(("Alex", "Billie", "Charlie", "Devon")[:count])
    ]
