"""Log in: get a token for an API key or for e-mail and password, always for the same organisation.

::

    authenticate ──token──> in which organisation? ──the wanted one──> check it ──> that token
                                    │ another
                                    └─ organizations ──name or id──> authenticateInDifferentOrganization(id)

One login can belong to several organisations. The server chooses which one it begins in, for example the one
that its user last looked at. So a login with several organisations must name one, and each later token is for
the same one. The ledger knows which organisation was read before. It checks each login before its token is
used: two organisations must never be read as if they were one.

The server's text is never quoted here, because it may repeat the request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from bridge.errors import BridgeError, Refused, Transient
from bridge.names import tidy
from bridge.salestrekker.graphql_errors import ErrorKind
from bridge.salestrekker.responses import KEY_ADVICE, TokenRefused, read_token
from bridge.salestrekker.tokens import decode_claims
from bridge.salestrekker.transport import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bridge.salestrekker.graphql_errors import GraphqlResult


__all__ = [
    "AmbiguousOrganization",
    "CheckOrganization",
    "DifferentOrganization",
    "LoginCredentials",
    "OrganizationLogin",
    "SalestrekkerOrganization",
    "WrongOrganization",
    "choose_organization",
]

Post: TypeAlias = "Callable[[Request, str], Awaitable[GraphqlResult]]"
"""Sends one request with a token, or without one if it is empty."""

CheckOrganization: TypeAlias = "Callable[[str], Awaitable[None]]"
"""Called with the id of each login's organisation, empty if unknown. Raises ``DifferentOrganization``."""

# `String!` fits an argument of either type, `String` or `String!`.
BY_KEY: Final = "mutation Authenticate($apiKey: String!) { authenticate(apiKey: $apiKey) { token } }"
BY_EMAIL: Final = (
    "mutation Authenticate($email: String!, $password: String!)"
    " { authenticate(email: $email, password: $password) { token } }"
)
ORGANIZATIONS: Final = "query Organizations { organizations { id organization { name } } }"
SWITCH: Final = (
    "mutation Switch($id: ID!) { switched: authenticateInDifferentOrganization(id: $id) { token } }"
)

LOG_IN_ADVICE: Final = (
    "Check [salestrekker] email and password by logging in to Salestrekker with them in a browser: no second "
    "step may be asked for there. Nothing is lost: run again when it is put right."
)
SHOWN: Final = 50
"""Maximum number of organisations in a message."""


class WrongOrganization(Refused):
    """The credentials are valid, but not for the wanted organisation."""


class DifferentOrganization(WrongOrganization):
    """The login is for another organisation than the one that was read before."""


class AmbiguousOrganization(WrongOrganization):
    """The login belongs to several organisations, and the configuration names none."""


@dataclass(frozen=True, slots=True)
class LoginCredentials:
    """What ``authenticate`` takes: a key, or e-mail and password. ``repr`` does not show it."""

    api_key: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def request(self) -> Request:
        """The request for a token."""
        if self.api_key:
            return Request(BY_KEY, "Authenticate", {"apiKey": self.api_key})
        return Request(BY_EMAIL, "Authenticate", {"email": self.email, "password": self.password})

    @property
    def refusal(self) -> Refused:
        """The error to raise if the credentials are not accepted."""
        if self.api_key:
            return Refused("Salestrekker did not accept the API key", advice=KEY_ADVICE)
        return Refused("Salestrekker did not accept the e-mail and password", advice=LOG_IN_ADVICE)


@dataclass(frozen=True, slots=True)
class SalestrekkerOrganization:
    """An organisation that the login belongs to."""

    id: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} (id {self.id})"


class OrganizationLogin:
    """Gets tokens, each for the same organisation.

    Args:
        credentials: What to log in with.
        organization: Name or id of the wanted organisation. Empty: the only one of the login.
        post: Sends a request.
        hold: Called with the organisation of each login. None: nobody remembers any.
    """

    def __init__(
        self,
        credentials: LoginCredentials,
        organization: str,
        post: Post,
        hold: CheckOrganization | None = None,
    ) -> None:
        self._credentials = credentials
        self._configured = organization
        self._post = post
        self._hold = hold
        self._settled = ""

    @property
    def organization(self) -> str:
        """The id of the organisation that the tokens are for. Empty before the first token."""
        return self._settled

    async def token(self) -> str:
        """Get a new token.

        Raises:
            Refused: The credentials are not accepted, the login has no such organisation, or none is named
                although the login has several.
            Transient: It failed temporarily.
        """
        first = await self._authenticate()
        begun = _organization_of(first)
        wanted = self._settled or await self._wanted(first, begun)
        silent = not (begun or self._configured)  # of the only one that there is, and no word of it
        token = first if silent or wanted == begun else await self._switch(first, wanted)
        if self._hold is not None:
            await self._hold(wanted)
        self._settled = wanted
        return token

    async def organizations(self, token: str) -> tuple[SalestrekkerOrganization, ...]:
        """All organisations that the login belongs to, in the server's order.

        Raises:
            Refused: The login may not list them, or the server does not know the query.
            Transient: It failed temporarily.
        """
        result = await self._post(Request(ORGANIZATIONS, "Organizations", {}), token)
        found = (result.data or {}).get("organizations")
        if isinstance(found, list) and not result.errors:
            return tuple(one for one in map(_organization, found) if one.id)
        if any(error.kind in (ErrorKind.BUSY, ErrorKind.INTERNAL) for error in result.errors):
            raise Transient(
                "Salestrekker could not list the organisations of the log-in just now ([salestrekker] "
                "organization with the id of one needs no list)"
            )
        raise Refused("Salestrekker does not list the organisations of the log-in")

    async def _authenticate(self) -> str:
        try:
            return read_token(await self._post(self._credentials.request, ""), self._credentials.refusal)
        except TokenRefused:
            # Raised again without its cause, which adds nothing.
            raise self._credentials.refusal from None

    async def _wanted(self, first: str, begun: str) -> str:
        """The id of the configured organisation, else of the only one. Empty if it cannot be read."""
        if begun and begun == self._configured:
            return begun
        try:
            known = await self.organizations(first)
        except Refused:
            # An id needs no list. A wrong id is refused when it is used.
            return self._configured or begun
        if not self._configured:
            return _the_only_one(known, begun)
        found = choose_organization(self._configured, known)
        if isinstance(found, BridgeError):
            raise found
        return found.id

    async def _switch(self, first: str, wanted: str) -> str:
        refusal = WrongOrganization(
            f"Salestrekker does not let this log-in into the organisation with the id {wanted}",
            advice="Check [salestrekker] organization: name or id, as `trakor-bridge check` lists them.",
        )
        try:
            return read_token(await self._post(Request(SWITCH, "Switch", {"id": wanted}), first), refusal)
        except TokenRefused:
            raise refusal from None


def _the_only_one(known: Sequence[SalestrekkerOrganization], begun: str) -> str:
    if len(known) > 1:
        raise AmbiguousOrganization(
            f"The log-in belongs to {len(known)} organisations, and [salestrekker] organization names "
            f"none of them: {_listed(known)}",
            advice="Write the name or id of the one that is to be read as [salestrekker] organization.",
        )
    # The token's own claim counts first: switching to the only organisation would be a useless request.
    return begun or (known[0].id if known else "")


def choose_organization(
    wanted: str, known: Sequence[SalestrekkerOrganization]
) -> SalestrekkerOrganization | WrongOrganization:
    """The organisation with this id, else with this name, else with a name that differs in case and spaces.

    Args:
        wanted: As configured.
        known: Those that the login belongs to.

    Returns:
        The organisation, or the error that lists those that exist.
    """
    for fits in (
        lambda one: one.id == wanted,
        lambda one: one.name == wanted,
        lambda one: tidy(one.name).casefold() == tidy(wanted).casefold(),
    ):
        found = [one for one in known if fits(one)]
        if len(found) == 1:
            return found[0]
        if found:
            return WrongOrganization(
                f"The log-in has {len(found)} organisations of the name {wanted}: {_listed(found)}",
                advice="Give the id of the one that is meant as [salestrekker] organization.",
            )
    if not known:
        return WrongOrganization(
            "The log-in belongs to no organisation", advice="Ask your aggregator for access."
        )
    return WrongOrganization(
        f"The log-in has no organisation {wanted}. It has: {_listed(known)}",
        advice="Write one of these names or ids as [salestrekker] organization.",
    )


def _listed(organizations: Sequence[SalestrekkerOrganization]) -> str:
    more = len(organizations) - SHOWN
    shown = ", ".join(str(one) for one in organizations[:SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown


def _organization_of(token: str) -> str:
    """The organisation that a token is for (claim ``idCurrentOrganization``). Empty if it does not say."""
    found = decode_claims(token).get("idCurrentOrganization")
    return found if isinstance(found, str) else ""


def _organization(item: object) -> SalestrekkerOrganization:
    match item:
        case {"id": str() | int() as found, "organization": {"name": str() as name}}:
            return SalestrekkerOrganization(str(found), tidy(name))
        case {"id": str() | int() as found}:
            return SalestrekkerOrganization(str(found), "")
    return SalestrekkerOrganization("", "")
