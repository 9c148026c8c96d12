"""Everything below ``me { organization { … } }``: lists by ``skip`` and ``take`` in an input object.

A contact is flat, with a full name. Its ``isArchived`` says the opposite of a product's ``isActive``. A price
is text.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

from schemas.foreign import ForeignSchema, below, by_id, members, root
from schemas.invented import international, loans, national, people
from schemas.truth import Deal, TrueContact, TrueProduct, Truth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schemas.invented import Loan, Someone

__all__ = ["MOST", "schema"]

MOST = 25
"""The server gives no more records at once, however many are asked for."""

SDL = """
type Query { me: Me! serverTime: String! }

type Me { id: ID! email: String! organization: Organization! }

type Organization {
  id: ID!
  name: String!
  abn: String
  members: [Member!]!
  contacts(input: ContactsInput!): ContactPage!
  contact(id: ID!): Contact
  lenders: [Lender!]!
  products(input: ProductsInput!): ProductPage!
  product(id: ID!): Product
  deal(id: ID!): Deal
}

type Member { id: ID! fullName: String! email: String! role: String! }

input PageInput { skip: Int! = 0 take: Int! = 10 }
input ContactsInput { page: PageInput! search: String labels: [ID!] }
input ProductsInput { page: PageInput! lenderId: ID }

type ContactPage { records: [Contact!]! total: Int! }
type Contact {
  id: ID!
  fullName: String!
  preferredName: String
  isCompany: Boolean!
  isArchived: Boolean!
  email: String
  mobile: String
  phone: String
  fax: String
  ownerName: String
}

type Lender { id: ID! name: String! code: String! }
type ProductPage { records: [Product!]! total: Int! }
type Product {
  id: ID!
  title: String!
  lender: Lender
  isActive: Boolean!
  "In Australian dollars, with two decimals."
  price: String
  rate: String
}

type Deal { id: ID! name: String! contactIds: [ID!]! }
"""


def schema() -> ForeignSchema:
    """Eighty contacts (the last page is short) and fifty products (the last page is full)."""
    everybody, offered = people(80, from_number=100), loans(50, from_number=7)
    contacts = [_contact(one) for one in everybody]
    lenders = {one.lender: {"id": f"l{i}", **_lender(one)} for i, one in enumerate(offered)}
    products = [_product(one, lenders[one.lender]) for one in offered]
    deals = [_deal(number, contacts) for number in range(10)]
    organization = {
        "id": "org-1",
        "name": "Example Brokers",
        "abn": None,
        "members": members(),
        "lenders": list(lenders.values()),
        "contacts": below(partial(_page, contacts)),
        "products": below(partial(_page, products)),
        "contact": below(by_id(contacts)),
        "product": below(by_id(products)),
        "deal": below(by_id(deals)),
    }
    me = {"id": "user-0", "email": "alex@broker.example", "organization": organization}
    return ForeignSchema(
        name="nested",
        sdl=SDL,
        queries={
            "me": root(lambda _: me),
            "serverTime": root(lambda _: "2026-11-30T09:00:00Z"),
        },
        truth=Truth(
            [_true_contact(one) for one in everybody],
            [_true_product(one) for one in offered],
            [Deal(one["id"], tuple(one["contactIds"])) for one in deals],
        ),
    )


def _page(rows: Sequence[Mapping[str, Any]], arguments: Mapping[str, Any]) -> dict[str, Any]:
    skip, take = (arguments["input"]["page"][name] for name in ("skip", "take"))
    if skip < 0 or take < 1:
        raise GraphQLError("The page is not valid.", extensions={"code": "BAD_USER_INPUT"})
    return {"records": rows[skip : skip + min(take, MOST)], "total": len(rows)}


def _contact(one: Someone) -> dict[str, Any]:
    return {
        "id": f"c{one.number}",
        "fullName": one.company or f"{one.first} {one.middle} {one.family}".strip(),
        "preferredName": one.first[:3] if one.number % 7 == 0 and one.first else None,
        "isCompany": bool(one.company),
        "isArchived": one.archived,
        "email": one.email if one.email or one.number % 4 else None,
        "mobile": international(one.mobile) or None,
        "phone": national(one.landline) or None,
        "fax": national(one.fax) or None,
        "ownerName": "Alex Staff",
    }


def _lender(one: Loan) -> dict[str, Any]:
    return {"name": one.lender, "code": one.short}


def _product(one: Loan, lender: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": f"p{one.number}",
        "title": one.name,
        "lender": lender,
        "isActive": not one.withdrawn,
        "price": None if one.price is None else f"{one.price:.2f}",
        "rate": f"{one.rate}% p.a.",
    }


def _deal(number: int, contacts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    pair = [contacts[number]["id"], contacts[number + 30]["id"]]
    return {"id": f"d{number}", "name": f"Deal {number}", "contactIds": pair}


def _true_contact(one: Someone) -> TrueContact:
    return TrueContact(
        id=f"c{one.number}",
        names=one.names,
        emails=(one.email,) if one.email else (),
        phones=tuple(filter(None, (one.mobile, one.landline))),
        active=not one.archived,
    )


def _true_product(one: Loan) -> TrueProduct:
    return TrueProduct(
        id=f"p{one.number}",
        name=one.name,
        lenders=(one.lender, one.short),
        price=one.price,
        active=not one.withdrawn,
    )
