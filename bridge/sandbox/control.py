"""Changing a running sandbox over HTTP: for benches, acceptance tests and people trying it out.

============================================  ===========================================================
``GET /_sandbox/state``                       counters, and how many records each side has; ``?names=1``
                                              adds the names that Trakor has, ``?exchanges=N`` the last N
``POST /_sandbox/contacts``                   the arguments of ``Contacts.add`` → ``{"id": …}``
``PATCH /_sandbox/contacts/ID``               ``{"name": …, "email": …, "phone": …, "active": …}``, any of
``DELETE /_sandbox/contacts/ID``
``POST, PATCH, DELETE /_sandbox/products…``   likewise: ``name``, ``price``
``POST /_sandbox/SYSTEM/faults``              the fields of ``Fault``; ``DELETE``: remove all
``POST /_sandbox/SYSTEM/latency``             ``{"seconds": 0.05}``
``POST /_sandbox/salestrekker/broken-fields`` the fields of ``BrokenField``; ``DELETE``: mend all
``POST /_sandbox/trakor/VERB``                freeze, unfreeze, revoke-key, restore-key
``POST /_sandbox/salestrekker/VERB``          revoke-tokens, revoke-key, restore-key
============================================  ===========================================================

``SYSTEM`` is ``salestrekker`` or ``trakor``. A mistake is answered 400, an unknown id or path 404, each with
``{"error": …}``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.sandbox.collection import Contacts, Products
from bridge.sandbox.faults import Fault
from bridge.sandbox.system import Reply, decoded, json_reply
from bridge.sandbox.world import BrokenField

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.sandbox.salestrekker import Salestrekker
    from bridge.sandbox.system import System
    from bridge.sandbox.trakor import Trakor

__all__ = ["Control"]

PREFIX = "/_sandbox/"


class Control:
    """Answers the control requests.

    Args:
        salestrekker: The one system.
        trakor: The other.
    """

    def __init__(self, salestrekker: Salestrekker, trakor: Trakor) -> None:
        self._salestrekker = salestrekker
        self._trakor = trakor
        self._systems: dict[str, System] = {"salestrekker": salestrekker, "trakor": trakor}
        self._verbs: dict[str, Callable[[], None]] = {
            "trakor/freeze": trakor.freeze,
            "trakor/unfreeze": trakor.unfreeze,
            "trakor/revoke-key": trakor.revoke_key,
            "trakor/restore-key": trakor.restore_key,
            "salestrekker/revoke-tokens": salestrekker.revoke_tokens,
            "salestrekker/revoke-key": salestrekker.revoke_key,
            "salestrekker/restore-key": salestrekker.restore_key,
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
        place, _, rest = path.partition("/")
        if place in ("contacts", "products"):
            return self._change(method, place, rest, content)
        return self._script(method, place, rest, content)

    def _change(self, method: str, stream: str, identity: str, content: dict[str, Any]) -> Reply:
        rows = (
            self._salestrekker.world.contacts if stream == "contacts" else self._salestrekker.world.products
        )
        if method == "POST" and not identity:
            return json_reply(201, {"id": rows.add(**content)})
        if method == "DELETE" and identity:
            rows.remove(identity)
        elif method == "PATCH" and identity:
            _alter(rows, identity, content)
        else:
            raise KeyError(f"{method} for {stream}/{identity}")
        return json_reply(200, {})

    def _script(self, method: str, name: str, what: str, content: dict[str, Any]) -> Reply:
        system, salestrekker = self._systems[name], self._salestrekker
        match method, what:
            case "POST", "latency":
                system.latency = float(content["seconds"])
            case "POST", "faults":
                system.faults.add(_fault(content))
            case "DELETE", "faults":
                system.faults.clear()
            case "POST", "broken-fields" if system is salestrekker:
                salestrekker.world.break_field(BrokenField(**content))
            case "DELETE", "broken-fields" if system is salestrekker:
                salestrekker.world.mend_fields()
            case _:
                raise KeyError(f"{method} for {name}/{what}")
        return json_reply(200, {})

    def _state(self, query: dict[str, str]) -> dict[str, Any]:
        world, trakor = self._salestrekker.world, self._trakor
        shelves = {"parties": trakor.parties, "products": trakor.products}
        state: dict[str, Any] = {
            "salestrekker": {"contacts": len(world.contacts), "products": len(world.products)},
            "trakor": {name: len(shelf) for name, shelf in shelves.items()},
        }
        if query.get("names"):
            state["trakor"]["names"] = {name: shelf.names() for name, shelf in shelves.items()}
        for name, system in self._systems.items():
            state[name] |= {"traffic": system.traffic.summary(), "faults": len(system.faults)}
            if "exchanges" in query:
                state[name]["exchanges"] = _latest(system, int(query["exchanges"]))
        return state


def _fault(content: dict[str, Any]) -> Fault:
    """A fault from JSON, which has neither conditions nor events."""
    unknown = {"where", "gate"} & content.keys()
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: only in the process itself")
    return Fault(**content)


def _alter(rows: Contacts | Products, identity: str, content: dict[str, Any]) -> None:
    changes: dict[str, Callable[[str, Any], None]] = {"name": rows.rename}
    if isinstance(rows, Contacts):
        changes |= {"email": rows.change_email, "phone": rows.change_phone}
        changes["active"] = lambda one, active: rows.set_active(one, active=active)
    else:
        changes |= {"price": rows.change_price}
    unknown = content.keys() - changes.keys()
    if unknown:
        raise ValueError(f"what can be changed is {', '.join(changes)}; not {', '.join(sorted(unknown))}")
    for name, value in content.items():
        changes[name](identity, value)


def _latest(system: System, count: int) -> list[dict[str, Any]]:
    exchanges = list(system.traffic.exchanges)[-count:] if count > 0 else []
    return [
        {"kind": one.kind, "name": one.name, "status": one.status, "in_flight": one.in_flight, "at": one.at}
        for one in exchanges
    ]


def _error(status: int, message: str) -> Reply:
    return json_reply(status, {"error": message})
