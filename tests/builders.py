"""Small builders of the words of the product, so that a test shows only what it is about."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bridge import names
from bridge.decision import HolderOf, decide, is_comparable
from bridge.ledger.decision_writer import apply_to_row
from bridge.records import (
    Accepted,
    Draft,
    LedgerRow,
    NameHolder,
    NoAnswer,
    Origin,
    Party,
    Payload,
    Policy,
    Product,
    Reason,
    Rejection,
    Retry,
    Rules,
    State,
    Stream,
    TrakorAnswer,
    Unsendable,
    WorkItem,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "HASHER",
    "answer",
    "answered",
    "as_seen",
    "delivered",
    "draft",
    "filtered",
    "held",
    "holder",
    "holders",
    "identified",
    "later",
    "made_by",
    "nobody",
    "not_taken",
    "of",
    "pending",
    "rejected",
    "row",
    "unmapped",
    "unnamed",
    "work",
]

HASHER = names.Hasher(b"the key of the tests' ledgers.".ljust(32))


def of(name: str) -> str:
    """The key of a name."""
    return HASHER.name_key(name)


def draft(  # noqa: PLR0913 - each is named where it is given
    name: str = "Ann Lee",
    contact: str = "",
    *,
    id: str = "c1",  # noqa: A002 - the domain's word
    same_as: str | Mapping[str, str] = "",
    qualifier: str = "",
    rules: str = "rules 1",
    query: str = "query 1",
    before: Draft | Unsendable | None = None,
    at: int = 10,
    product: bool = False,
    price: str = "",
) -> Draft:
    """A record that could be sent, as mapping makes it; ``rules`` is which map made it."""
    fit = names.fit(name)
    payload: Payload = Party(fit, contact)
    if product:
        payload = Product(fit, contact, Decimal(price) if price else None)
    qualified = names.qualify(name, qualifier)
    hashes, first_hashes = HASHER.fields({**payload.fields(), "qualifier": qualifier})
    return Draft(
        id=id,
        payload=payload,
        key=HASHER.name_key(fit),
        qualified_name=qualified,
        qualified_key=HASHER.name_key(qualified),
        qualifier=qualifier,
        identifiers=identified(same_as),
        hashes=hashes,
        first_hashes=first_hashes,
        read_at=at,
        rules=made_by(rules, query),
        input=HASHER.input_of({"said": f"{name} {contact} {same_as} {qualifier} {price}"}),
        before=before,
    )


def identified(same_as: str | Mapping[str, str]) -> dict[str, str]:
    """Identifiers, hashed: one text, or several by name."""
    named = {"": same_as} if isinstance(same_as, str) else same_as
    return {name: HASHER.same_as(text) for name, text in named.items() if text}


def made_by(rules: str = "rules 1", query: str = "query 1") -> Rules:
    """What made a draft."""
    return Rules(query, rules, "choices", "{}")


def filtered(*, id: str = "c1", rules: str = "rules 1", at: int = 10) -> Unsendable:  # noqa: A002
    """A record that `where` says no to."""
    return Unsendable(id, Reason.FILTERED, "", "", at, made_by(rules))


def unnamed(*, id: str = "c1", rules: str = "rules 1", at: int = 10) -> Unsendable:  # noqa: A002
    """A record without a name."""
    return Unsendable(id, Reason.NO_NAME, "name", "", at, made_by(rules))


def unmapped(
    field: str = "price",
    detail: str = "it is negative",
    *,
    id: str = "c1",  # noqa: A002
    rules: str = "rules 1",
    at: int = 10,
) -> Unsendable:
    """A record of which a field cannot be made."""
    return Unsendable(id, Reason.MAPPING, field, detail, at, made_by(rules))


def row(state: State, reason: Reason | None = None, **known: Any) -> LedgerRow:  # noqa: ANN401 - any field
    """What the ledger knows of record c1, number 1."""
    fields: dict[str, Any] = {"number": 1, "id": "c1", "state": state, "reason": reason, "read_at": 5}
    return LedgerRow(**fields | known)


def _sent(of_draft: Draft, *, qualified: bool) -> dict[str, Any]:
    """What a row keeps of the draft that was or is to be sent."""
    return {
        "key": of_draft.key,
        "sent_key": of_draft.qualified_key if qualified else of_draft.key,
        "sent": of_draft.hashes,
        "identifiers": of_draft.identifiers,
        "rules": of_draft.rules,
    }


def pending(what: Draft, *, attempts: int = 0, qualified: bool = False, **known: Any) -> LedgerRow:  # noqa: ANN401
    """A record that waits to be sent."""
    return row(State.PENDING, attempts=attempts, **_sent(what, qualified=qualified) | known)


def delivered(what: Draft, *, qualified: bool = False, **known: Any) -> LedgerRow:  # noqa: ANN401
    """A record that Trakor answered."""
    answer = {"attempts": 1, "trakor_id": "t1", "origin": Origin.CREATED, "content": what.hashes}
    return row(known.pop("state", State.DELIVERED), **_sent(what, qualified=qualified) | answer | known)


def held(reason: Reason, what: Draft, now: Draft | None = None, **known: Any) -> LedgerRow:  # noqa: ANN401
    """A delivered record that is held since it is seen as ``now``."""
    return delivered(
        what, state=State.HELD, reason=reason, **{"seen": None if now is None else now.hashes} | known
    )


def rejected(reason: Reason, what: Draft, **known: Any) -> LedgerRow:  # noqa: ANN401
    """A record that was rejected when it was sent."""
    tried = {"attempts": 8, "stored": True} if reason is Reason.SERVER_ERROR else {}
    return row(State.REJECTED, reason, **tried | _sent(what, qualified=False) | known)


def as_seen(
    known: LedgerRow,
    *sights: Draft | Unsendable,
    holder_of: HolderOf | None = None,
    policy: Policy = Policy(),  # noqa: B008 - frozen
) -> LedgerRow:
    """The row as the ledger leaves it after these sights, each decided and carried out."""
    for seen in sights:
        decision = decide(seen, known, holder_of or nobody, policy)
        if decision is not None:
            known = apply_to_row(decision, seen, known, just_seen=True)
        elif is_comparable(seen, known.last_seen, known.state):
            known = known._replace(rules=seen.rules)
    return known


def holder(number: int = 2, **known: Any) -> NameHolder:  # noqa: ANN401
    """Record c2, or of another number, as holder of a name."""
    same_as = known.pop("same_as", "")
    fields: dict[str, Any] = {"number": number, "id": f"c{number}", "group": (identified(same_as),)}
    return NameHolder(**fields | known)


def nobody(_: str) -> NameHolder | None:
    """All names are free."""
    return None


def holders(by_name: Mapping[str, NameHolder]) -> Callable[[str], NameHolder | None]:
    """These names are claimed, all others are free."""
    by_key = {of(name): who for name, who in by_name.items()}
    return by_key.get


def answer(
    name: str = "Ann Lee", *, created: bool = True, trakor_id: str = "t1", sku: str = ""
) -> TrakorAnswer:
    """What Trakor says to an accepted POST."""
    return TrakorAnswer(trakor_id, name, created, sku)


def work(number: int = 1, what: Payload | None = None, *, attempt: int = 1, failures: int = 0) -> WorkItem:
    """A claimed record on its way."""
    payload = what or Party(f"Name {number}")
    stream = Stream.CONTACTS if isinstance(payload, Party) else Stream.PRODUCTS
    return WorkItem(number, stream, payload, attempt, failures)


def answered(
    sent: WorkItem, trakor_id: str = "", *, created: bool = True, name: str = "", sku: str = ""
) -> Accepted:
    """Trakor took the work, under the name sent unless another is said."""
    kept_as = name or sent.payload.name
    return Accepted(sent, TrakorAnswer(trakor_id or f"t{sent.number}", kept_as, created, sku), of(kept_as))


def not_taken(sent: WorkItem, message: str = "400: no", *, caused_by_record: bool = True) -> Rejection:
    """Trakor will not take the work as it is."""
    return Rejection(sent, message, caused_by_record)


def later(
    sent: WorkItem,
    next_try_at: int | None = 0,
    *,
    failed: bool = False,
    begun: bool = True,
    no_answer: NoAnswer | None = None,
) -> Retry:
    """No answer that says anything; what never began did not have its turn."""
    return Retry(sent, next_try_at, int(failed), begun, tried=begun, no_answer=no_answer)


def policy(**chosen: str) -> Policy:
    """What the user chose, the defaults for the rest."""
    return Policy(**chosen)
