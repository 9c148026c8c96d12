"""Whether the password of the status page is worth its name where others reach the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.checks.report import Check
from bridge.settings import is_loopback

if TYPE_CHECKING:
    from bridge.settings import Settings

__all__ = ["password_check"]

SHORT: Final = 12
"""Characters below which a password can be guessed, slow as guessing is."""


def password_check(settings: Settings) -> Check | None:
    """The step about ``[admin] password``; None where only this machine reaches the page, or it is long."""
    admin = settings.admin
    if is_loopback(admin.host) or len(admin.password.get_secret_value()) >= SHORT:
        return None
    return Check(
        "admin.password",
        ok=True,
        caution=True,
        detail=f"has fewer than {SHORT} characters, and others reach the status page at {admin.host}",
        advice="Whoever knows it decides on records. Take a long one that was made at random:\n"
        '  python3 -c "import secrets; print(secrets.token_urlsafe(32))"',
    )
