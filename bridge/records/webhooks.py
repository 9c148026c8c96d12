"""What Salestrekker's webhooks say: that something happened to a record, and which one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias, cast

__all__ = ["UNKNOWN_ACTION", "UNREADABLE", "ReceivedWebhook", "WebhookAction", "WebhookSubject"]

WebhookSubject: TypeAlias = Literal["contact", "deal", "product"]
"""What a webhook is about."""

UNKNOWN_ACTION = "unknown-action"
"""The problem of an event whose action is none of ours."""

UNREADABLE = "unreadable"
"""The problem of an event in whose body no id could be found."""


class WebhookAction(StrEnum):
    """What a webhook can be about (the public interface, "HTTP"): the last part of its address."""

    CONTACT_CREATED = "contact-created"
    CONTACT_UPDATED = "contact-updated"
    CONTACT_DELETED = "contact-deleted"
    DEAL_CREATED = "deal-created"
    DEAL_UPDATED = "deal-updated"
    DEAL_STAGE_CHANGED = "deal-stage-changed"
    DEAL_DELETED = "deal-deleted"
    PRODUCT_CREATED = "product-created"
    PRODUCT_UPDATED = "product-updated"
    PRODUCT_DELETED = "product-deleted"

    @property
    def subject(self) -> WebhookSubject:
        """What the id of such an event is the id of."""
        return cast("WebhookSubject", self.value.partition("-")[0])

    @property
    def deletes(self) -> bool:
        """Whether it says that the record is not there any more."""
        return self.value.endswith("-deleted")


@dataclass(frozen=True, slots=True)
class ReceivedWebhook:
    """One webhook, as it is kept before it is answered.

    Attributes:
        connection: Whose token it came with.
        action: As the address said; any text where it is none of ours.
        source_id: Salestrekker's id of what it is about; empty where none could be read.
        received_at: When it came, milliseconds since the epoch.
        body: What was sent, only where it could not be understood; else None.
        problem: ``UNKNOWN_ACTION`` or ``UNREADABLE``; empty for one that can be worked off.
    """

    connection: str
    action: str
    source_id: str
    received_at: int
    body: str | None = None
    problem: str = ""
