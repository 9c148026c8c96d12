"""Simulates Trakor's public API exactly as its one public page describes it.

``POST /api/public/v1/products`` and ``/parties`` create a record by name, or return the existing one
unchanged. The order of the checks is: path and method, firewall, key (401), frozen organisation (403), body
(400). Behaviour that the page leaves open can be chosen, and changed at any time: ``SimulatedTrakor.behave``.
"""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from bridge.sandbox.firewall import Firewall
from bridge.sandbox.request_log import Overlaps, Sent
from bridge.sandbox.simulated_system import Call, Reply, SimulatedSystem, decoded, html_reply, json_reply
from bridge.sandbox.trakor_store import Behaviour, Lookup, Tenant

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from aiohttp import web

    from bridge.sandbox.simulated_system import Finish
    from bridge.sandbox.trakor_store import Entry, RecordStore

__all__ = ["HOME", "SimulatedTrakor"]

BASE_PATH = "/api/public/v1"
MAX_UNITS = 255
HOME = "Sandbox Finance"
"""The name of the first organisation."""

SEVERAL_ROWS = "JSON object requested, multiple (or no) rows returned"
"""The message of a look-up that expects one row at most, and finds several."""


class _NewRecord(NamedTuple):
    """A record to be stored."""

    name: str
    text: str
    price: float


class SimulatedTrakor(SimulatedSystem):
    """The Trakor server.

    Args:
        api_key: The first organisation's key.
        seed: The seed of the ids.
        latency: How many seconds each request takes at least.
        behaviour: The behaviour that the page leaves open.

    Attributes:
        behaviour: The current behaviour; see ``behave``.
        tenants: All organisations, by name.
        firewall: The firewall in front of the application.
        overlaps: The names that were sent while another request for them was not done.
    """

    def __init__(
        self,
        api_key: str,
        *,
        seed: int = 1,
        latency: float = 0.0,
        behaviour: Behaviour | None = None,
    ) -> None:
        super().__init__(latency)
        self.behaviour = behaviour or Behaviour()
        self.firewall = Firewall()
        self.overlaps = Overlaps()
        self._seed = seed
        self.tenants: dict[str, Tenant] = {}
        self._by_key: dict[str, Tenant] = {}
        self._home = self.add_organization(HOME, api_key)

    @property
    def api_key(self) -> str:
        """The first key of the first organisation."""
        return self._home.api_key

    @api_key.setter
    def api_key(self, api_key: str) -> None:
        """Replace all keys of the first organisation by this one."""
        self._register_key(self._home, api_key)
        for key in self._home.keys:
            del self._by_key[key]
        self._home.keys = [api_key]

    @property
    def parties(self) -> RecordStore:
        """The parties of the first organisation."""
        return self._home.parties

    @property
    def products(self) -> RecordStore:
        """The products of the first organisation."""
        return self._home.products

    def behave(self, **changes: Any) -> None:  # noqa: ANN401 - the fields of Behaviour
        """Change the behaviour: the given fields of ``Behaviour``."""
        self.behaviour = replace(self.behaviour, **changes)
        for tenant in self.tenants.values():
            tenant.match(self.behaviour.matching)

    def add_organization(self, name: str, api_key: str = "") -> Tenant:
        """Add an organisation with its own key, parties and products.

        Args:
            name: The organisation's name in the sandbox.
            api_key: The organisation's key; by default a new one.

        Raises:
            ValueError: The name or the key belongs to another organisation.
        """
        if name in self.tenants:
            raise ValueError(f"there is an organisation {name} already")
        seed = self._seed + 1000 * len(self.tenants)
        tenant = Tenant(name, api_key or _fresh_key(), seed, self.behaviour.matching)
        self._register_key(tenant, tenant.api_key)
        self.tenants[name] = tenant
        return tenant

    def add_key(self, organization: str = HOME, api_key: str = "") -> str:
        """Give an organisation another key, and return the key.

        Raises:
            KeyError: There is no such organisation.
            ValueError: The key exists already.
        """
        tenant, key = self.tenant(organization), api_key or _fresh_key()
        self._register_key(tenant, key)
        tenant.keys.append(key)
        return key

    def tenant(self, organization: str = HOME) -> Tenant:
        """Return an organisation.

        Raises:
            KeyError: There is no such organisation.
        """
        if organization not in self.tenants:
            raise KeyError(f"organisation {organization}")
        return self.tenants[organization]

    def freeze(self, organization: str = HOME) -> None:
        """Freeze an organisation: every request is answered 403."""
        self.tenant(organization).frozen = True

    def unfreeze(self, organization: str = HOME) -> None:
        """Unfreeze an organisation."""
        self.tenant(organization).frozen = False

    def revoke_key(self, organization: str = HOME) -> None:
        """Revoke an organisation's keys: every request is answered 401."""
        self.tenant(organization).revoked = True

    def restore_key(self, organization: str = HOME) -> None:
        """Make an organisation's keys valid again."""
        self.tenant(organization).revoked = False

    def empty(self, organization: str = HOME) -> None:
        """Remove all parties and products of an organisation."""
        self.tenant(organization).empty()

    def senders(self, kind: str = "parties") -> dict[str, Counter[str]]:
        """Return the organisations whose keys sent each name, from the stored requests."""
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for exchange in self.traffic.of(kind):
            found[exchange.name][self._organization(exchange.credential)] += 1
        return dict(found)

    def identify(self, request: web.BaseRequest, raw: bytes) -> Call:
        """Find out a request's endpoint, name and key."""
        kind = request.path.removeprefix(f"{BASE_PATH}/")
        content = decoded(raw)
        name = content.get("name") if isinstance(content, dict) else None
        refusal = self.firewall.refusal(content)
        if kind not in _CHECKS:
            kind, refusal = "other", self._unknown_path()
        elif request.method != "POST":
            refusal = _error(405, "Method not allowed", Allow="POST")
        key = request.headers.get("X-API-KEY", "")
        return Call(kind, name if isinstance(name, str) else "", content, key, refusal)

    def watching(self, call: Call) -> AbstractContextManager[None]:
        """Count the requests that arrive while another one for the same name is not done."""
        if not call.name or call.kind not in _CHECKS:
            return nullcontext()
        return self.overlaps.during(self._sent(call), [self._sent(late) for late in self.late.calls()])

    def begin(self, call: Call) -> Finish:
        """If look-up and insert are two steps, look the name up, and return the second step."""
        if call.refusal or self.behaviour.lookup is Lookup.UNIQUE:
            return super().begin(call)
        return self._look_up(call)

    def answer(self, call: Call) -> Reply:
        """Check key, organisation and body, in this order. Then create or find the record."""
        return self._look_up(call)()

    def _look_up(self, call: Call) -> Finish:
        tenant = self._by_key.get(call.credential)
        if tenant is None or tenant.revoked:
            return partial(_error, 401, "Missing, invalid, or revoked X-API-KEY")
        error = _find_refusal(tenant, call)
        if error:
            return partial(_error, *error)
        record = self._record(call)
        found = _store(tenant, call.kind).find(record.name)
        return partial(self._finish, tenant, call.kind, record, found)

    def _finish(self, tenant: Tenant, kind: str, record: _NewRecord, found: list[Entry]) -> Reply:
        """Answer after a look-up: with the existing record, a new one, or an error."""
        behaviour = self.behaviour
        if len(found) > 1 and behaviour.lookup is Lookup.FAILS:
            return _error(500, SEVERAL_ROWS)
        if len(found) == 1 or (found and behaviour.lookup is Lookup.UNIQUE):
            return json_reply(behaviour.existing_status, _answer(found[0], created=False))
        if behaviour.limit is not None and tenant.size >= behaviour.limit:
            return _error(behaviour.limit_status, "Your plan allows no more records")
        return json_reply(201, _answer(_store(tenant, kind).insert(*record), created=True))

    def _record(self, call: Call) -> _NewRecord:
        content, is_product = call.content, call.kind == "products"
        name = content["name"].strip() if self.behaviour.trims else content["name"]
        text = content.get("description" if is_product else "contact_info", "")
        return _NewRecord(name, text, content.get("price", 0) if is_product else 0)

    def _unknown_path(self) -> Reply:
        return html_reply(200, "Trakor") if self.behaviour.html_for_unknown else _error(404, "Not found")

    def _register_key(self, tenant: Tenant, api_key: str) -> None:
        if api_key in self._by_key:
            raise ValueError("that key is another one's already")
        self._by_key[api_key] = tenant

    def _organization(self, api_key: str) -> str:
        tenant = self._by_key.get(api_key)
        return tenant.name if tenant else "unknown"

    def _sent(self, call: Call) -> Sent:
        return Sent.of(self._organization(call.credential), call.kind, call.name)


def _fresh_key() -> str:
    return f"sk_live_{secrets.token_hex(16)}"


def _store(tenant: Tenant, kind: str) -> RecordStore:
    return tenant.products if kind == "products" else tenant.parties


def _answer(entry: Entry, *, created: bool) -> dict[str, Any]:
    sku = {"sku": entry.sku} if entry.sku else {}
    return {"id": entry.id, **sku, "name": entry.name, "created": created}


def _find_refusal(tenant: Tenant, call: Call) -> tuple[int, str] | None:
    """Return status and message if an organisation refuses a request with its key."""
    if tenant.frozen:
        return 403, "Organisation is frozen"
    if not isinstance(call.content, dict):
        return 400, "Invalid JSON body"
    error = _schema_error(call.content, _CHECKS[call.kind])
    return (400, error) if error else None


def _error(status: int, message: str, **headers: str) -> Reply:
    return json_reply(status, {"error": message}, **headers)


def _schema_error(content: dict[str, Any], checks: dict[str, Callable[[Any], str]]) -> str:
    """Return the first error of a body; empty if it is valid. Unknown fields are allowed."""
    if "name" not in content:
        return "name: Required"
    errors = (
        f"{field}: {why}" for field, check in checks.items() if (why := _field_error(content, field, check))
    )
    return next(errors, "")


def _field_error(content: dict[str, Any], field: str, check: Callable[[Any], str]) -> str:
    return check(content[field]) if field in content else ""


def _name_error(value: object) -> str:
    if not isinstance(value, str):
        return "Expected string"
    if not value.strip():
        return "Must contain at least 1 character"
    too_long = len(value) > MAX_UNITS // 2 and len(value.encode("utf-16-le")) // 2 > MAX_UNITS
    return f"Must contain at most {MAX_UNITS} characters" if too_long else ""


def _text_error(value: object) -> str:
    return "" if isinstance(value, str) else "Expected string"


def _number_error(value: object) -> str:
    return "" if isinstance(value, int | float) and not isinstance(value, bool) else "Expected number"


_CHECKS: dict[str, dict[str, Callable[[Any], str]]] = {
    "parties": {"name": _name_error, "contact_info": _text_error},
    "products": {"name": _name_error, "description": _text_error, "price": _number_error},
}
