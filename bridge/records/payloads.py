"""What Trakor takes: one type for each of its endpoints, with its fields as text and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Party", "Payload", "Product"]


@dataclass(frozen=True, slots=True)
class Party:
    """What Trakor's ``POST /parties`` takes (vendor's page, "Parties")."""

    FIELDS: ClassVar[tuple[str, ...]] = ("name", "contact_info")

    name: str
    contact_info: str = ""

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Self:
        """The payload whose ``fields`` these are; a field that is left out is empty."""
        return cls(texts["name"], texts.get("contact_info", ""))

    def fields(self) -> dict[str, str]:
        """The payload as field -> text, the form that is hashed and stored; empty text is no value."""
        return {"name": self.name, "contact_info": self.contact_info}

    def body(self) -> dict[str, str | float]:
        """The JSON object of a POST. A field without a value is left out."""
        info = {"contact_info": self.contact_info} if self.contact_info else {}
        return {"name": self.name, **info}


@dataclass(frozen=True, slots=True)
class Product:
    """What Trakor's ``POST /products`` takes (vendor's page, "Products").

    Attributes:
        name: At most 255 UTF-16 code units.
        description: Free text, may be empty.
        price: Exactly two decimals, not negative; None if the source has none.
    """

    FIELDS: ClassVar[tuple[str, ...]] = ("name", "description", "price")

    name: str
    description: str = ""
    price: Decimal | None = None

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Self:
        """The payload whose ``fields`` these are; a field that is left out is empty.

        Raises:
            ArithmeticError: The price is no number.
        """
        price = texts.get("price", "")
        return cls(texts["name"], texts.get("description", ""), Decimal(price) if price else None)

    def fields(self) -> dict[str, str]:
        """The payload as field -> text, the form that is hashed and stored; empty text is no value."""
        price = "" if self.price is None else str(self.price)
        return {"name": self.name, "description": self.description, "price": price}

    def body(self) -> dict[str, str | float]:
        """The JSON object of a POST. A field without a value is left out."""
        body: dict[str, str | float] = {"name": self.name}
        if self.description:
            body["description"] = self.description
        if self.price is not None:
            body["price"] = float(self.price)  # exact to the cent below 1e12, which the mapping ensures
        return body


Payload: TypeAlias = Party | Product
"""What one POST holds."""
