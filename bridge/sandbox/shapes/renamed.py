"""A schema with other names and another nesting, over the same data.

This is the schema of an imagined organisation. It differs from the reconstructed one in everything but its
meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

from bridge.sandbox.shapes.shape_kind import Paged
from bridge.sandbox.shapes.shared_fields import one, refuse_negative, schema_without, shape, show, stream_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.sandbox.graphql_engine import ApiShape
    from bridge.sandbox.salestrekker import RequestContext

__all__ = ["renamed_shape"]

REPLACED_FIELDS = ("contact", "contacts", "product", "products")
REPLACED_TYPES = frozenset(
    {"Contact", "Person", "PersonInformation", "ContactDetails", "Address", "Employment", "Company"}
    | {"CompanyInformation", "HomeLoanProduct", "Lender", "Residential", "Fee"}
)
SIZE = 50

SDL = """
extend type Query {
  clients(skip: Int = 0, take: Int = 50): ClientList!
  client(clientId: ID!): Client
  loanProducts(skip: Int = 0, take: Int = 50): LoanProductList!
  loanProduct(productId: ID!): LoanProduct
}

type ClientList { totalCount: Int! objects: [Client!]! }
type Client { clientId: ID! status: String! changedOn: String personal: Personal business: Business }
type Personal { givenName: String middleNames: String surname: String birthDate: String reach: Reach }
type Business { legalName: String tradesAs: String abn: String reach: Reach }
type Reach { emailAddress: String mobile: Telephone landline: Telephone }
type Telephone { countryCode: String number: String }

type LoanProductList { totalCount: Int! objects: [LoanProduct!]! }
type LoanProduct {
  productId: ID! code: String title: String! remarks: String status: String!
  providers: [Provider!]! terms: Terms charges: [Charge!]!
}
type Provider { providerId: ID! title: String code: String }
type Terms {
  rateKind: String repayments: String use: String rate: Float maxLvr: Float minLoan: Float maxLoan: Float
}
type Charge { kind: String label: String remarks: String amount: Float }
"""


def renamed_shape(most: int | None = None) -> ApiShape:
    """Return a schema with lists by ``skip`` and ``take``: ``clients { totalCount objects { … } }``."""

    def listed(session: RequestContext, stream: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        skip, asked = arguments.get("skip") or 0, arguments.get("take")
        take = Paged(most).bounded(SIZE if asked is None else asked)
        refuse_negative(skip=skip, take=take)
        order = stream_of(session, stream).order()
        rows = show(session, stream, order[skip : skip + take])
        return {"totalCount": len(order), "objects": [_RENAMED[stream](row) for row in rows]}

    return shape(
        schema_without(REPLACED_FIELDS, REPLACED_TYPES) + SDL,
        {
            "clients": lambda session, arguments: listed(session, "contacts", arguments),
            "client": lambda session, given: _client(one(session, "contacts", given["clientId"])),
            "loanProducts": lambda session, arguments: listed(session, "products", arguments),
            "loanProduct": lambda session, given: _loan(one(session, "products", given["productId"])),
        },
    )


def _object(source: Any, fields: Mapping[str, str]) -> Any:  # noqa: ANN401 - an object, null or an error
    """Return an object's fields under other names. Null and errors stay unchanged."""
    if not isinstance(source, dict):
        return source
    return {new: source.get(old) for new, old in fields.items()}


def _with(renamed: Any, make: Callable[[], Mapping[str, Any]]) -> Any:  # noqa: ANN401 - as above
    return {**renamed, **make()} if isinstance(renamed, dict) else renamed


def _client(row: Any) -> Any:  # noqa: ANN401 - as above
    return _with(
        _object(row, {"clientId": "id", "changedOn": "timeStamp"}),
        lambda: {
            "status": _status(row),
            "personal": _half(row.get("person"), PERSONAL),
            "business": _half(row.get("company"), BUSINESS),
        },
    )


PERSONAL = {
    "givenName": "firstName",
    "middleNames": "middleName",
    "surname": "familyName",
    "birthDate": "dateOfBirth",
}
BUSINESS = {"legalName": "name", "tradesAs": "tradingName", "abn": "abn"}
LOAN = {"productId": "id", "code": "abbr", "title": "name", "remarks": "notes"}
PROVIDER = {"providerId": "id", "title": "name", "code": "abbr"}
TERMS = {
    "rateKind": "rateType",
    "repayments": "repaymentType",
    "use": "propertyUse",
    "rate": "initialRate",
    "maxLvr": "lvrMax",
    "minLoan": "loanMin",
    "maxLoan": "loanMax",
}
CHARGE = {"kind": "type", "label": "name", "remarks": "description", "amount": "value"}


def _half(half: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - as above
    """Return a person or company as one object with description and contact details."""
    if not isinstance(half, dict):
        return half
    information = half.get("information")
    if isinstance(information, GraphQLError):
        return information
    return {**_object(information or {}, names), "reach": _reach(half.get("contact"))}


def _reach(details: Any) -> Any:  # noqa: ANN401 - as above
    if not isinstance(details, dict):
        return details
    return {
        "emailAddress": details.get("email"),
        "mobile": _object(details, {"countryCode": "primaryCode", "number": "primary"}),
        "landline": _object(details, {"countryCode": "homeCode", "number": "home"}),
    }


def _loan(row: Any) -> Any:  # noqa: ANN401 - as above
    return _with(
        _object(row, LOAN),
        lambda: {
            "status": _status(row),
            "providers": _all(row.get("lender"), PROVIDER),
            "terms": _object(row.get("residential"), TERMS),
            "charges": _all(row.get("fee"), CHARGE),
        },
    )


def _all(listed: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - as above
    return [_object(one, names) for one in listed] if isinstance(listed, list) else listed


def _status(row: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a word, or an error in its place
    active = row.get("isActive")
    return active if isinstance(active, GraphQLError) else "ARCHIVED" if active is False else "ACTIVE"


_RENAMED: Mapping[str, Callable[[Any], Any]] = {"contacts": _client, "products": _loan}
