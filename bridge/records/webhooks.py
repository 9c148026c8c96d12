"""Webhooks: the actions that Salestrekker reports, and one received webhook."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias, cast

__all__ = ["UNKNOWN_ACTION", "UNREADABLE", "ReceivedWebhook", "WebhookAction", "WebhookSubject"]

WebhookSubject: TypeAlias = Literal["contact", "deal", "product"]
"""The kind of record that a webhook is about."""

UNKNOWN_ACTION = "unknown-action"
"""The problem of a webhook whose action the bridge does not know."""

UNREADABLE = "unreadable"
"""The problem of a webhook whose body contains no id."""


class WebhookAction(StrEnum):
    """What a webhook reports (the public interface, "HTTP"): the last part of its address."""

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
        """The kind of record that the webhook's id belongs to."""
        return cast("WebhookSubject", self.value.partition("-")[0])

    @property
    def deletes(self) -> bool:
        """Whether the webhook reports that the record was deleted."""
        return self.value.endswith("-deleted")


@dataclass(frozen=True, slots=True)
class ReceivedWebhook:
    """One webhook, as it is stored before the sender gets an answer.

    Attributes:
        connection: The connection whose token it used.
        action: The action in the address; any text if the bridge does not know it.
        source_id: Salestrekker's id of the record; empty if none could be read.
        received_at: When it arrived, in milliseconds since the epoch.
        body: The body, only if it could not be parsed; otherwise None.
        problem: ``UNKNOWN_ACTION`` or ``UNREADABLE``; empty for a webhook that can be processed.
    """

    connection: str
    action: str
    source_id: str
    received_at: int
    body: str | None = None
    problem: str = ""
