"""Changes a running sandbox over HTTP, for benchmarks, acceptance tests and people who try it.

============================================  ===========================================================
``GET /_sandbox/state``                       counters, and the number of records in each system;
                                              ``?names=1`` adds the names in Trakor, ``?exchanges=N`` the
                                              last N requests, ``?senders=1`` whose key sent each name
``POST /_sandbox/contacts``                   the arguments of ``ContactCollection.add`` → ``{"id": …}``
``PATCH /_sandbox/contacts/ID``               ``{"name": …, "email": …, "phone": …, "active": …}``, any of
``DELETE /_sandbox/contacts/ID``
``POST /_sandbox/families``                   as ``ContactCollection.add_family`` → the three ids
``POST, PATCH, DELETE /_sandbox/products…``   the same for products: ``name``, ``price``
``POST /_sandbox/SYSTEM/faults``              the fields of ``Fault``; ``DELETE``: remove all
``POST /_sandbox/SYSTEM/latency``             ``{"seconds": 0.05}``
``POST /_sandbox/SYSTEM/hold``                holds requests, which the fields of ``Fault`` select
``POST /_sandbox/SYSTEM/release``             continues the held requests
``POST /_sandbox/SYSTEM/finish-late``         does the late work now → ``{"finished": N}``
``POST /_sandbox/salestrekker/broken-fields`` the fields of ``BrokenField``; ``DELETE``: repair all
``POST /_sandbox/salestrekker/throttle``      the arguments of ``throttle``
``POST /_sandbox/trakor/behaviour``           the fields of ``Behaviour`` that change
``POST /_sandbox/trakor/firewall``            ``{"text": …, "answer": …}``; ``DELETE``: let all pass
``POST /_sandbox/trakor/organizations``       the arguments of ``Trakor.add_organization`` → its key
``POST /_sandbox/trakor/keys``                the arguments of ``Trakor.add_key`` → the key
``POST /_sandbox/trakor/VERB``                freeze, unfreeze, revoke-key, restore-key, empty
``POST /_sandbox/salestrekker/VERB``          revoke-tokens, revoke-key, restore-key
============================================  ===========================================================

``SYSTEM`` is ``salestrekker`` or ``trakor``. ``?organization=NAME`` applies a request to that organisation:
contacts, products, families, broken fields and Trakor's verbs. A mistake is answered with 400, and an unknown
id or path with 404, each with ``{"error": …}``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.sandbox.collection import ContactCollection, ProductCollection
from bridge.sandbox.faults import Fault
from bridge.sandbox.salestrekker_organization import BrokenField
from bridge.sandbox.simulated_system import Reply, decoded, json_reply
from bridge.sandbox.trakor import HOME

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.sandbox.salestrekker import SimulatedSalestrekker
    from bridge.sandbox.salestrekker_organization import OrganizationState
    from bridge.sandbox.simulated_system import SimulatedSystem
    from bridge.sandbox.trakor import SimulatedTrakor
    from bridge.sandbox.trakor_store import Tenant

__all__ = ["Control"]

PREFIX = "/_sandbox/"
STORES = ("parties", "products")


class Control:
    """Answers the control requests.

    Args:
        salestrekker: The simulated Salestrekker.
        trakor: The simulated Trakor.
    """

    def __init__(self, salestrekker: SimulatedSalestrekker, trakor: SimulatedTrakor) -> None:
        self._salestrekker = salestrekker
        self._trakor = trakor
        self._systems: dict[str, SimulatedSystem] = {"salestrekker": salestrekker, "trakor": trakor}
        self._verbs: dict[str, Callable[[], None]] = {
            "salestrekker/revoke-tokens": salestrekker.revoke_tokens,
            "salestrekker/revoke-key": salestrekker.revoke_key,
            "salestrekker/restore-key": salestrekker.restore_key,
            "salestrekker/release": salestrekker.release,
            "trakor/release": trakor.release,
        }
        self._tenant_verbs: dict[str, Callable[[str], None]] = {
            "trakor/freeze": trakor.freeze,
            "trakor/unfreeze": trakor.unfreeze,
            "trakor/revoke-key": trakor.revoke_key,
            "trakor/restore-key": trakor.restore_key,
            "trakor/empty": trakor.empty,
        }

    def answer(self, method: str, path: str, query: dict[str, str], raw: bytes) -> Reply:
        """Answer one request."""
        content = decoded(raw) if raw else {}
        if not path.startswith(PREFIX) or not isinstance(content, dict):
            return _error(404 if isinstance(content, dict) else 400, "see the table in docs/sandbox.md")
        try:
            return self._route(method, path.removeprefix(PREFIX), query, content)
        except KeyError as error:
            return _error(404, f"there is no {error.args[0]}")
        except (TypeError, ValueError) as error:
            return _error(400, str(error))

    def _route(self, method: str, path: str, query: dict[str, str], content: dict[str, Any]) -> Reply:
        if (method, path) == ("GET", "state"):
            return json_reply(200, self._state(query))
        if method == "POST" and path in self._verbs:
            self._verbs[path]()
            return json_reply(200, {})
        organization = query.get("organization", "")
        if method == "POST" and path in self._tenant_verbs:
            self._tenant_verbs[path](organization or HOME)
            return json_reply(200, {})
        place, _, rest = path.partition("/")
        if place not in self._systems:
            return self._change(method, path, self._salestrekker.world_of(organization), content)
        if rest == "broken-fields" and place == "salestrekker":
            return _break(method, self._salestrekker.world_of(organization), content)
        return self._script(method, place, rest, content)

    def _change(self, method: str, path: str, world: OrganizationState, content: dict[str, Any]) -> Reply:
        stream, _, identity = path.partition("/")
        if (method, path) == ("POST", "families"):
            return json_reply(201, world.contacts.add_family(**content)._asdict())
        if stream not in ("contacts", "products"):
            raise KeyError(f"{method} for {path}")
        rows = world.contacts if stream == "contacts" else world.products
        if method == "POST" and not identity:
            return json_reply(201, {"id": rows.add(**content)})
        if method == "DELETE" and identity:
            rows.remove(identity)
        elif method == "PATCH" and identity:
            _alter(rows, identity, content)
        else:
            raise KeyError(f"{method} for {path}")
        return json_reply(200, {})

    def _script(self, method: str, name: str, what: str, content: dict[str, Any]) -> Reply:
        system = self._systems[name]
        answer: dict[str, Any] = {}
        match method, what:
            case "POST", "latency":
                system.latency = float(content["seconds"])
            case "POST", "faults":
                system.faults.add(Fault(**_plain(content)))
            case "DELETE", "faults":
                system.faults.clear()
            case "POST", "hold":
                system.hold(**_plain(content))
            case "POST", "finish-late":
                answer = {"finished": system.late.finish_all()}
            case "POST", "throttle" if system is self._salestrekker:
                self._salestrekker.throttle(**content)
            case _ if system is self._trakor:
                answer = self._script_trakor(method, what, content)
            case _:
                raise KeyError(f"{method} for {name}/{what}")
        return json_reply(200, answer)

    def _script_trakor(self, method: str, what: str, content: dict[str, Any]) -> dict[str, Any]:
        """Handle what only Trakor supports; return the answer."""
        trakor, answer = self._trakor, {}
        match method, what:
            case "POST", "behaviour":
                trakor.behave(**content)
            case "POST", "firewall":
                trakor.firewall.block(**content)
            case "DELETE", "firewall":
                trakor.firewall.clear()
            case "POST", "organizations":
                answer = {"api_key": trakor.add_organization(**content).api_key}
            case "POST", "keys":
                answer = {"api_key": trakor.add_key(**content)}
            case _:
                raise KeyError(f"{method} for trakor/{what}")
        return answer

    def _state(self, query: dict[str, str]) -> dict[str, Any]:
        names = bool(query.get("names"))
        state = {
            "salestrekker": _sources(self._salestrekker),
            "trakor": _destinations(self._trakor, names=names),
        }
        if query.get("senders"):
            state["trakor"]["senders"] = {kind: self._trakor.senders(kind) for kind in STORES}
        for name, system in self._systems.items():
            counts = {"faults": len(system.faults), "late": len(system.late)}
            state[name] |= {"traffic": system.traffic.summary(), **counts}
            if "exchanges" in query:
                state[name]["exchanges"] = _latest(system, int(query["exchanges"]))
        return state


def _sources(salestrekker: SimulatedSalestrekker) -> dict[str, Any]:
    """Count Salestrekker's records, in the organisation with data and in each."""
    counts = {
        world.home.name: {"contacts": len(world.contacts), "products": len(world.products)}
        for world in salestrekker.worlds.values()
    }
    return {**counts[salestrekker.world.home.name], "organizations": counts}


def _destinations(trakor: SimulatedTrakor, *, names: bool) -> dict[str, Any]:
    """Count Trakor's records, in its first organisation and in each, and the overlapping requests."""
    tenants = {name: _tenant(tenant, names=names) for name, tenant in trakor.tenants.items()}
    return {**tenants[HOME], "organizations": tenants, "overlaps": trakor.overlaps.summary()}


def _tenant(tenant: Tenant, *, names: bool) -> dict[str, Any]:
    stores = {"parties": tenant.parties, "products": tenant.products}
    state: dict[str, Any] = {name: len(store) for name, store in stores.items()}
    state["twins"] = {name: store.twins() for name, store in stores.items()}
    return state | ({"names": {name: store.names() for name, store in stores.items()}} if names else {})


def _break(method: str, world: OrganizationState, content: dict[str, Any]) -> Reply:
    match method:
        case "POST":
            world.break_field(BrokenField(**content))
        case "DELETE":
            world.mend_fields()
        case _:
            raise KeyError(f"{method} for salestrekker/broken-fields")
    return json_reply(200, {})


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a fault from JSON, which can have neither conditions nor events."""
    unknown = {"where", "gate", "before"} & content.keys()
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))}: only in the process itself")
    return content


def _alter(rows: ContactCollection | ProductCollection, identity: str, content: dict[str, Any]) -> None:
    changes: dict[str, Callable[[str, Any], None]] = {"name": rows.rename}
    if isinstance(rows, ContactCollection):
        changes |= {"email": rows.change_email, "phone": rows.change_phone}
        changes["active"] = lambda one, active: rows.set_active(one, active=active)
    else:
        changes |= {"price": rows.change_price}
    unknown = content.keys() - changes.keys()
    if unknown:
        raise ValueError(f"what can be changed is {', '.join(changes)}; not {', '.join(sorted(unknown))}")
    for name, value in content.items():
        changes[name](identity, value)


def _latest(system: SimulatedSystem, count: int) -> list[dict[str, Any]]:
    exchanges = list(system.traffic.exchanges)[-count:] if count > 0 else []
    return [
        {"kind": one.kind, "name": one.name, "status": one.status, "in_flight": one.in_flight, "at": one.at}
        for one in exchanges
    ]


def _error(status: int, message: str) -> Reply:
    return json_reply(status, {"error": message})
