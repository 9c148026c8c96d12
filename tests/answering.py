"""Asks the sandbox's GraphQL engine both ways, and makes up selections to ask for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from graphql import GraphQLList, GraphQLNonNull, GraphQLObjectType, GraphQLOutputType
from hypothesis import strategies as st

from bridge.sandbox.graphql_engine import Engine
from bridge.sandbox.salestrekker import RequestContext, SandboxCredentials, SimulatedSalestrekker, Visitor
from bridge.sandbox.salestrekker_organization import OrganizationState

if TYPE_CHECKING:
    from bridge.sandbox.graphql_engine import ApiShape

__all__ = ["answers_of", "selections", "session_of"]


def session_of(shape: ApiShape) -> RequestContext:
    """A visitor who sees 120 contacts and 40 products."""
    world = OrganizationState(120, 40, 1, ("One", "Two"), 0)
    server = SimulatedSalestrekker(world, SandboxCredentials("key", "mail", "word"), Engine(shape))
    return RequestContext(server, Visitor(world.home.id, by_key=True), world)


def answers_of(engine: Engine, session: RequestContext, text: str, **variables: object) -> tuple[Any, Any]:
    """The answer of the fast path (or what takes over from it) and that of graphql-core, through JSON."""
    plan = engine.plan(text, None)
    assert not plan.errors, plan.errors
    answers = [engine.execute(plan, session, variables, exact=exact) for exact in (False, True)]
    first, second = (json.loads(json.dumps(answer)) for answer in answers)
    return first, second


def selections(engine: Engine, root: str) -> st.SearchStrategy[str]:
    """Any selection over what a root field gives."""
    query = engine.schema.query_type
    assert query is not None
    kind = _unwrapped(query.fields[root].type)
    assert isinstance(kind, GraphQLObjectType)
    return _selections(kind)


def _fields_of(parent: GraphQLObjectType) -> list[tuple[str, GraphQLOutputType]]:
    return [(name, field.type) for name, field in parent.fields.items() if not field.args]


def _unwrapped(kind: GraphQLOutputType) -> object:
    while isinstance(kind, GraphQLNonNull | GraphQLList):
        kind = kind.of_type
    return kind


@st.composite
def _selections(draw: st.DrawFn, parent: GraphQLObjectType) -> str:
    """Any selection over a type: aliases, inline fragments and type names included."""
    parts = []
    for name, kind in draw(st.lists(st.sampled_from(_fields_of(parent)), min_size=1, max_size=4)):
        below = _unwrapped(kind)
        part = f"{name} {draw(_selections(below))}" if isinstance(below, GraphQLObjectType) else name
        part = f"its_{name}: {part}" if draw(st.booleans()) else part
        parts.append(f"... on {parent.name} {{ {part} }}" if draw(st.booleans()) else part)
    if draw(st.booleans()):
        parts.append("__typename")
    return "{ " + " ".join(parts) + " }"
