"""A next cursor that is null at the end, a union of people and companies, and an interface of products.

The two types of the union have fields of one name and different types, which no query may select side by side
without an alias. A fee is given in cents.
"""

from __future__ import annotations

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

MOST = 15
"""The server gives no more records at once, however many are asked for."""

SDL = """
type Query {
  currentUser: TeamMember!
  team: [TeamMember!]!
  contacts(limit: Int = 15, cursor: String, text: String): ContactList!
  contact(id: ID!): ContactResult
  products(limit: Int = 15, cursor: String): ProductList!
  product(id: ID!): LendingProduct
  file(id: ID!): LoanFile
}

type TeamMember { id: ID! fullName: String! email: String! }

type ContactList { items: [ContactResult!]! nextCursor: String }
union ContactResult = Person | Company

enum RecordStatus { ACTIVE ARCHIVED }

type Person {
  id: ID!
  givenName: String
  familyName: String
  email: String
  phone: Phone
  status: RecordStatus!
}
type Company {
  id: ID!
  legalName: String!
  tradingName: String
  "A company has always one, if only an empty one."
  email: String!
  phone: String
  directors: [Person!]!
  status: RecordStatus!
}
type Phone { countryCode: String! number: String! }

type ProductList { items: [LendingProduct!]! nextCursor: String }
interface LendingProduct {
  id: ID!
  name: String!
  lender: LenderRef!
  status: RecordStatus!
  "The application fee in cents."
  applicationFeeCents: Int
}
type HomeLoan implements LendingProduct {
  id: ID! name: String! lender: LenderRef! status: RecordStatus! applicationFeeCents: Int
  interestRate: Float! maximumLvr: Int
}
type PersonalLoan implements LendingProduct {
  id: ID! name: String! lender: LenderRef! status: RecordStatus! applicationFeeCents: Int
  interestRate: Float! secured: Boolean!
}
type LenderRef { id: ID! company: LenderCompany! }
type LenderCompany { name: String! abbreviation: String }

type LoanFile { id: ID! reference: String! clients: [ContactResult!]! }
"""


def schema() -> ForeignSchema:
    """Sixty contacts (the last page is full) and forty products (the last page is short)."""
    everybody, offered = people(60, from_number=200), loans(40, from_number=31)
    contacts = [_contact(one) for one in everybody]
    products = [_product(one) for one in offered]
    files = [_file(number, contacts) for number in range(8)]
    staff = members()
    single = {"contact": contacts, "product": products, "file": files}
    return ForeignSchema(
        name="cursor",
        sdl=SDL,
        queries={
            "currentUser": root(lambda _: staff[0]),
            "team": root(lambda _: staff),
            "contacts": root(partial(_page, contacts)),
            "products": root(partial(_page, products)),
            **{name: root(by_id(rows)) for name, rows in single.items()},
        },
        truth=Truth(
            [_true_contact(one) for one in everybody],
            [_true_product(one) for one in offered],
            [Deal(one["id"], tuple(client["id"] for client in one["clients"])) for one in files],
        ),
    )


def _page(rows: Sequence[Mapping[str, Any]], arguments: Mapping[str, Any]) -> dict[str, Any]:
    size, cursor = min(arguments.get("limit") or MOST, MOST), arguments.get("cursor")
    places = {row["id"]: place for place, row in enumerate(rows)}
    if cursor is not None and cursor not in places:
        raise GraphQLError("Unknown cursor.", extensions={"code": "BAD_USER_INPUT"})
    begin = 0 if cursor is None else places[cursor]
    return {
        "items": rows[begin : begin + size],
        "nextCursor": rows[begin + size]["id"] if begin + size < len(rows) else None,
    }


def _contact(one: Someone) -> dict[str, Any]:
    common = {"id": f"ct_{one.number}", "status": "ARCHIVED" if one.archived else "ACTIVE"}
    return common | (_company(one) if one.company else _person(one))


def _person(one: Someone) -> dict[str, Any]:
    phone = _phone(one)
    return {
        "__typename": "Person",
        "givenName": one.first or None,
        "familyName": one.family or None,
        "email": one.email or None,
        "phone": {"countryCode": phone[1:3], "number": phone[3:]} if phone else None,
    }


def _company(one: Someone) -> dict[str, Any]:
    return {
        "__typename": "Company",
        "legalName": one.company,
        "tradingName": f"{one.company.split()[0]} Group" if one.number % 20 == 3 else None,
        "email": one.email,
        "phone": national(_phone(one)) or None,
        "directors": [],
    }


def _phone(one: Someone) -> str:
    return one.mobile or one.landline


def _product(one: Loan) -> dict[str, Any]:
    secured = one.number % 5 == 0
    own = {"__typename": "PersonalLoan", "secured": True} if secured else {"__typename": "HomeLoan"}
    return {
        "id": f"pr_{one.number}",
        "name": one.name,
        "lender": {"id": f"ln_{one.short}", "company": {"name": one.lender, "abbreviation": one.short}},
        "status": "ARCHIVED" if one.withdrawn else "ACTIVE",
        "applicationFeeCents": None if one.price is None else int(one.price * 100),
        "interestRate": float(one.rate),
        "maximumLvr": 80 if one.number % 2 else None,
        **own,
    }


def _file(number: int, contacts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    clients = [contacts[number], contacts[number + 13]]
    return {"id": f"lf_{number}", "reference": f"2026-{number:04d}", "clients": clients}


def _true_contact(one: Someone) -> TrueContact:
    return TrueContact(
        id=f"ct_{one.number}",
        names=(*one.names, f"{one.company.split()[0]} Group") if one.number % 20 == 3 else one.names,
        emails=(one.email,) if one.email else (),
        phones=(_phone(one),) if _phone(one) else (),
        active=not one.archived,
    )


def _true_product(one: Loan) -> TrueProduct:
    return TrueProduct(
        id=f"pr_{one.number}",
        name=one.name,
        lenders=(one.lender, one.short),
        price=one.price,
        active=not one.withdrawn,
    )
