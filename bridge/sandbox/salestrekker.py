"""Simulates Salestrekker's GraphQL server: ``POST /graphql``.

::

    body -> plan (parsed once) -> token? -> errors of the plan? -> execute over the visitor's organisation
"""

from __future__ import annotations

import secrets
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import jwt
from graphql import GraphQLError

from bridge.sandbox.faults import throttled
from bridge.sandbox.simulated_system import Call, Reply, SimulatedSystem, decoded, json_reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiohttp import web

    from bridge.sandbox.faults import ArmedFault
    from bridge.sandbox.graphql_engine import Engine, QueryPlan
    from bridge.sandbox.salestrekker_organization import OrganizationState

__all__ = [
    "AuthErrorStyle",
    "RequestContext",
    "SandboxCredentials",
    "SimulatedSalestrekker",
    "TokenIssuer",
    "Visitor",
]

FORTNIGHT = 14 * 24 * 3600


class Visitor(NamedTuple):
    """Who sent a request: the organisation whose data they see, and whether they used an API key."""

    organization: str
    by_key: bool


class TokenIssuer:
    """Issues tokens, and recognises them.

    Args:
        life: For how many seconds a token is valid. It can be changed at any time.
        user: The id of the log-in.
    """

    def __init__(self, life: int, user: str) -> None:
        self.life = life
        self._user = user
        self._secret = secrets.token_bytes(32)
        self._given: dict[str, tuple[Visitor, float]] = {}

    def __len__(self) -> int:
        return len(self._given)

    def issue(self, visitor: Visitor) -> str:
        """Return a new token."""
        now = int(time.time())
        claims = {
            "id": self._user,
            "idCurrentOrganization": visitor.organization,
            "isAdministrator": visitor.by_key,
            "isBroker": not visitor.by_key,
            "isMentor": False,
            "iat": now,
            "exp": now + self.life,
            "jti": secrets.token_hex(8),
        }
        token = jwt.encode(claims, self._secret, algorithm="HS256")
        self._given[token] = (visitor, now + self.life)
        return token

    def visitor(self, token: str) -> Visitor | None:
        """Return who got this token; None if it is unknown, revoked or expired."""
        visitor, ends = self._given.get(token, (None, 0.0))
        return visitor if time.time() < ends else None

    def revoke(self) -> None:
        """Make all tokens invalid."""
        self._given.clear()


PATH = "/graphql"
LOG_IN = "authenticate"  # the one root field that needs no token
UNAUTHENTICATED = "UNAUTHENTICATED"


class AuthErrorStyle(StrEnum):
    """How a bad token or log-in is answered. The vendor has not published what the real system does."""

    HTTP = "http"  # status 401, and errors in the body
    CODE = "code"  # status 200, errors with extensions.code UNAUTHENTICATED
    MESSAGE = "message"  # status 200, errors with a message only


class SandboxCredentials(NamedTuple):
    """The credentials for ``authenticate``: the key, or e-mail and password."""

    api_key: str
    email: str
    password: str


class RequestContext(NamedTuple):
    """The context of one operation: the server, the visitor, and the data that the visitor sees."""

    server: SimulatedSalestrekker
    visitor: Visitor | None
    world: OrganizationState


class SimulatedSalestrekker(SimulatedSystem):
    """The Salestrekker server.

    Args:
        world: The data of the main organisation.
        credentials: The valid credentials.
        engine: Answers queries over one schema.
        latency: How many seconds each request takes at least.
        token_life: For how many seconds a token is valid.
        auth_error_style: How a bad token or log-in is answered.
        introspection: Whether introspection is allowed. It can be changed at any time.
        others: The data of other organisations of the log-in. Organisations that are left out are empty.
    """

    def __init__(
        self,
        world: OrganizationState,
        credentials: SandboxCredentials,
        engine: Engine,
        *,
        latency: float = 0.0,
        token_life: int = FORTNIGHT,
        auth_error_style: AuthErrorStyle = AuthErrorStyle.HTTP,
        introspection: bool = True,
        others: Iterable[OrganizationState] = (),
    ) -> None:
        super().__init__(latency)
        self.world = world
        self.credentials = credentials
        self.engine = engine
        self.tokens = TokenIssuer(token_life, world.user)
        self.auth_error_style = auth_error_style
        self.introspection = introspection
        self.revoked = False
        self.worlds = {other.home.id: other for other in (*others, world)}
        for place, organization in enumerate(world.organizations):
            if organization.id not in self.worlds:
                self.worlds[organization.id] = world.elsewhere(place)

    def world_of(self, organization: str = "") -> OrganizationState:
        """Return the data of an organisation, by its name or id. Without one, return that of the main one.

        Raises:
            KeyError: The log-in does not belong to such an organisation.
        """
        if not organization:
            return self.world
        for identity, world in self.worlds.items():
            if organization in (identity, world.home.name):
                return world
        raise KeyError(f"organisation {organization}")

    def throttle(self, retry_after: float, *, times: int | None = 1, kind: str = "") -> ArmedFault:
        """Answer the next requests with a GraphQL error that says how long to wait; see ``throttled``."""
        return self.faults.add(throttled(retry_after, times=times, kind=kind))

    def revoke_tokens(self) -> None:
        """Refuse every token issued so far, as if it was revoked or had expired."""
        self.tokens.revoke()

    def revoke_key(self) -> None:
        """Refuse the API key and every token."""
        self.revoked = True
        self.tokens.revoke()

    def restore_key(self) -> None:
        """Make the API key valid again."""
        self.revoked = False

    def log_in(self, arguments: Mapping[str, Any]) -> str:
        """Return a token for an API key, or for e-mail and password.

        Raises:
            GraphQLError: The credentials are not valid.
        """
        by_key = arguments.get("apiKey") is not None
        given = (arguments.get("apiKey"), arguments.get("email"), arguments.get("password"))
        key, *log_in = self.credentials
        good = given[0] == key and not self.revoked if by_key else list(given[1:]) == log_in
        if not good:
            raise self.unauthenticated("The credentials are not valid.")
        return self.tokens.issue(Visitor(self.world.organizations[0].id, by_key))

    def unauthenticated(self, message: str) -> GraphQLError:
        """Return the error for a bad token or log-in."""
        plain = self.auth_error_style is AuthErrorStyle.MESSAGE
        return GraphQLError(message, extensions=None if plain else {"code": UNAUTHENTICATED})

    def identify(self, request: web.BaseRequest, raw: bytes) -> Call:
        """Find out a request's root fields and operation name."""
        if request.path != PATH:
            return Call("other", "", None, refusal=_refusal(404, "Not found"))
        if request.method != "POST":
            return Call("other", "", None, refusal=_refusal(405, "Send GraphQL by POST", Allow="POST"))
        content = decoded(raw)
        if not _is_request(content):
            return Call(
                "invalid", "", content, refusal=_refusal(400, "POST body needs a JSON object with a query")
            )
        plan = self._plan(content)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        kind = ",".join(plan.fields) or "invalid"
        return Call(
            kind, content.get("operationName") or "", content, token if scheme.lower() == "bearer" else ""
        )

    def answer(self, call: Call) -> Reply:
        """Check the token, then the query, then execute it."""
        plan = self._plan(call.content)
        visitor = self.tokens.visitor(call.credential)
        if visitor is None and plan.fields != (LOG_IN,):
            return self._unauthenticated(self.unauthenticated("The token is missing, expired or revoked."))
        if plan.errors:
            return json_reply(400, {"errors": [error.formatted for error in plan.errors]})
        session = RequestContext(self, visitor, self._world_of(visitor))
        variables = call.content.get("variables") or {}
        result = self.engine.execute(plan, session, variables, exact=bool(session.world.broken))
        refused = plan.fields == (LOG_IN,) and "errors" in result
        return json_reply(401 if refused and self.auth_error_style is AuthErrorStyle.HTTP else 200, result)

    def _plan(self, content: dict[str, Any]) -> QueryPlan:
        return self.engine.plan(
            content["query"], content.get("operationName"), introspection=self.introspection
        )

    def _world_of(self, visitor: Visitor | None) -> OrganizationState:
        return self.world if visitor is None else self.worlds[visitor.organization]

    def _unauthenticated(self, error: GraphQLError) -> Reply:
        status = 401 if self.auth_error_style is AuthErrorStyle.HTTP else 200
        return json_reply(status, {"errors": [error.formatted]})


def _is_request(content: object) -> bool:
    return (
        isinstance(content, dict)
        and isinstance(content.get("query"), str)
        and isinstance(content.get("variables"), dict | None)
        and isinstance(content.get("operationName"), str | None)
    )


def _refusal(status: int, message: str, **headers: str) -> Reply:
    return json_reply(status, {"errors": [{"message": message}]}, **headers)
