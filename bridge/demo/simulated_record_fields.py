"""Reads the fields of the simulated Salestrekker's records that the demonstration needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["application_fee", "email_of", "is_active", "lender_of", "name_of", "phone_of"]


def is_active(row: Mapping[str, Any]) -> bool:
    """Whether the default configuration selects the record."""
    return bool(row["isActive"])


def name_of(row: Mapping[str, Any]) -> str:
    """Return the name of a contact or product as Salestrekker has it; blank if it has none."""
    if "lender" in row:
        return f"{lender_of(row)} {row['name']}".strip() if row["name"] else ""
    if row["company"]:
        return str(row["company"]["information"]["name"])
    information = row["person"]["information"] if row["person"] else {}
    return " ".join(part for part in (information.get("firstName"), information.get("familyName")) if part)


def lender_of(product: Mapping[str, Any]) -> str:
    """Return the name of a product's first lender; empty if it has none."""
    return str(product["lender"][0]["name"]) if product["lender"] else ""


def email_of(contact: Mapping[str, Any]) -> str:
    """Return a contact's e-mail address; empty if it has none."""
    return str(_details(contact).get("email") or "")


def phone_of(contact: Mapping[str, Any]) -> str:
    """Return a contact's main telephone number; empty if it has none."""
    return str(_details(contact).get("primary") or "")


def application_fee(product: Mapping[str, Any]) -> float | None:
    """Return the fee for a product's application; None if there is none."""
    found = (fee["value"] for fee in product["fee"] if fee["type"] == "APPLICATION")
    return next(found, None)


def _details(contact: Mapping[str, Any]) -> Mapping[str, Any]:
    half = contact["person"] or contact["company"] or {}
    return half.get("contact") or {}
