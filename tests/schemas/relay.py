"""Relay's connections throughout: people with a list of phones, and a fee with its currency."""

from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

from schemas.foreign import ForeignSchema, by_id, members, root
from schemas.invented import loans, national, people
from schemas.truth import Deal, TrueContact, TrueProduct, Truth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schemas.invented import Loan, Someone

__all__ = ["MOST", "schema"]

MOST = 20
"""The server gives no more records at once, however many are asked for."""

SDL = """
"An instant in UTC, as ISO 8601 text."
scalar DateTime

interface Node { "The global id." id: ID! }

type Query {
  "Any object by its global id."
  node(id: ID!): Node
  viewer: User!
  users(first: Int, after: String): UserConnection!
  people(
    first: Int, after: String, last: Int, before: String, orderBy: PersonOrder, filter: PersonFilter
  ): PersonConnection!
  person(id: ID!): Person
  lenders(first: Int, after: String): LenderConnection!
  loanProducts(first: Int, after: String, last: Int, before: String): LoanProductConnection!
  loanProduct(id: ID!): LoanProduct
  opportunity(id: ID!): Opportunity
}

enum PersonOrder { CREATED_AT UPDATED_AT LAST_NAME }
input PersonFilter { updatedAt: DateRange query: String kind: PersonKind }
input DateRange { after: DateTime before: DateTime }

type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }

type UserConnection { edges: [UserEdge!]! pageInfo: PageInfo! }
type UserEdge { cursor: String! node: User! }
type User implements Node { id: ID! firstName: String! lastName: String! email: String! role: String! }

enum PersonKind { INDIVIDUAL BUSINESS }
enum PhoneKind { MOBILE HOME WORK FAX }

type PersonConnection { edges: [PersonEdge] pageInfo: PageInfo! totalCount: Int! }
type PersonEdge { cursor: String! node: Person }
type Person implements Node {
  id: ID!
  kind: PersonKind!
  firstName: String
  middleName: String
  lastName: String
  "Set if the record is a business."
  businessName: String
  emailAddress: String
  phones: [PhoneNumber!]!
  assignedTo: User
  createdAt: DateTime!
  "Null as long as the record is in use."
  archivedAt: DateTime
}
type PhoneNumber { kind: PhoneKind! countryCode: String number: String! preferred: Boolean! }

type LenderConnection { edges: [LenderEdge] pageInfo: PageInfo! totalCount: Int! }
type LenderEdge { cursor: String! node: Lender }
type Lender implements Node { id: ID! name: String! shortName: String }

type LoanProductConnection { edges: [LoanProductEdge] pageInfo: PageInfo! totalCount: Int! }
type LoanProductEdge { cursor: String! node: LoanProduct }
type LoanProduct implements Node {
  id: ID!
  name: String!
  lender: Lender!
  interestRate: Float
  applicationFee: Money
  archivedAt: DateTime
}
type Money { amount: Float! currency: String! }

type Opportunity implements Node { id: ID! title: String! participants: [Participant!]! }
type Participant { role: String! person: Person! }
"""

CREATED = "2025-03-01T09:00:00Z"
ARCHIVED = "2026-02-03T04:05:06Z"


def schema() -> ForeignSchema:
    """Sixty-five people and businesses, forty products; people are named as in Relay's examples."""
    everybody, offered = people(65), loans(40)
    staff = [_global("User", {**one, "__typename": "User"}) for one in members()]
    persons = [_person(one, staff[one.number % len(staff)]) for one in everybody]
    lenders = {one.lender: _lender(one) for one in offered}
    products = [_product(one, lenders[one.lender]) for one in offered]
    opportunities = [_opportunity(number, persons) for number in range(12)]
    lists = {"users": staff, "people": persons, "lenders": [*lenders.values()], "loanProducts": products}
    single = {"person": persons, "loanProduct": products, "opportunity": opportunities}
    nodes = [row for rows in (*lists.values(), opportunities) for row in rows]
    return ForeignSchema(
        name="relay",
        sdl=SDL,
        queries={
            "viewer": root(lambda _: staff[0]),
            "node": root(by_id(nodes)),
            **{name: root(partial(_connection, rows)) for name, rows in lists.items()},
            **{name: root(by_id(rows)) for name, rows in single.items()},
        },
        truth=Truth(
            [_true_contact(one) for one in everybody],
            [_true_product(one) for one in offered],
            [Deal(one["id"], _participants(one)) for one in opportunities],
        ),
    )


def _identity(kind: str, number: object) -> str:
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def _global(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "id": _identity(kind, row["id"])}


def _connection(rows: Sequence[Mapping[str, Any]], arguments: Mapping[str, Any]) -> dict[str, Any]:
    asked, after = arguments.get("first"), arguments.get("after")
    if arguments.get("last") is not None or arguments.get("before") is not None:
        raise GraphQLError("Backward pagination is not available.", extensions={"code": "BAD_USER_INPUT"})
    begin = _place(after) + 1 if after else 0
    size = MOST if asked is None else min(max(asked, 0), MOST)
    edges = [
        {"cursor": _identity("cursor", place), "node": rows[place]}
        for place in range(begin, min(begin + size, len(rows)))
    ]
    return {
        "edges": edges,
        "totalCount": len(rows),
        "pageInfo": {
            "hasNextPage": begin + len(edges) < len(rows),
            "hasPreviousPage": begin > 0,
            "startCursor": edges[0]["cursor"] if edges else None,
            "endCursor": edges[-1]["cursor"] if edges else None,
        },
    }


def _place(cursor: str) -> int:
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix("cursor:"))
    except ValueError as error:
        raise GraphQLError("The cursor is not valid.", extensions={"code": "BAD_USER_INPUT"}) from error


def _person(one: Someone, owner: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "__typename": "Person",
        "id": _identity("Person", one.number),
        "kind": "BUSINESS" if one.company else "INDIVIDUAL",
        "firstName": one.first or None,
        "middleName": one.middle or None,
        "lastName": one.family or None,
        "businessName": one.company or None,
        "emailAddress": one.email or None,
        "phones": _phones(one),
        "assignedTo": owner,
        "createdAt": CREATED,
        "archivedAt": ARCHIVED if one.archived else None,
    }


def _phones(one: Someone) -> list[dict[str, Any]]:
    """The fax comes first, and the preferred number is not always the mobile."""
    numbers = [("FAX", one.fax), ("WORK", one.landline), ("MOBILE", one.mobile)]
    preferred = _preferred(one)
    return [
        {
            "kind": kind,
            "countryCode": phone[:3],
            "number": national(phone) if phone.startswith("+61") else phone[3:],
            "preferred": phone == preferred,
        }
        for kind, phone in numbers
        if phone
    ]


def _preferred(one: Someone) -> str:
    order = (one.landline, one.mobile) if one.number % 4 else (one.mobile, one.landline)
    return next((phone for phone in order if phone), "")


def _lender(one: Loan) -> dict[str, Any]:
    identity = _identity("Lender", one.short)
    return {"__typename": "Lender", "id": identity, "name": one.lender, "shortName": one.short}


def _product(one: Loan, lender: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "__typename": "LoanProduct",
        "id": _identity("LoanProduct", one.number),
        "name": one.name,
        "lender": lender,
        "interestRate": float(one.rate),
        "applicationFee": None if one.price is None else {"amount": float(one.price), "currency": "AUD"},
        "archivedAt": ARCHIVED if one.withdrawn else None,
    }


def _opportunity(number: int, persons: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    pair = (("APPLICANT", persons[number]), ("GUARANTOR", persons[number + 20]))
    return {
        "__typename": "Opportunity",
        "id": _identity("Opportunity", number),
        "title": f"Loan {number}",
        "participants": [{"role": role, "person": person} for role, person in pair],
    }


def _participants(opportunity: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(each["person"]["id"] for each in opportunity["participants"])


def _true_contact(one: Someone) -> TrueContact:
    return TrueContact(
        id=_identity("Person", one.number),
        names=one.names,
        emails=(one.email,) if one.email else (),
        phones=(_preferred(one),) if _preferred(one) else (),
        active=not one.archived,
    )


def _true_product(one: Loan) -> TrueProduct:
    return TrueProduct(
        id=_identity("LoanProduct", one.number),
        name=one.name,
        lenders=(one.lender, one.short),
        price=one.price,
        active=not one.withdrawn,
    )
