"""The check of the status page's password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.checks.report import Check
from bridge.settings import is_loopback

if TYPE_CHECKING:
    from bridge.settings import Settings

__all__ = ["password_check"]

SHORT: Final = 12
"""A shorter password can be guessed, even though guessing is slow."""


def password_check(settings: Settings) -> Check | None:
    """Check ``[admin] password``; None if only this machine reaches the page, or the password is long."""
    admin = settings.admin
    if is_loopback(admin.host) or len(admin.password.get_secret_value()) >= SHORT:
        return None
    return Check(
        "admin.password",
        ok=True,
        caution=True,
        detail=f"has fewer than {SHORT} characters, and other machines reach the status page at {admin.host}",
        advice="With this password, anybody can decide on records. Use a long random one:\n"
        '  python3 -c "import secrets; print(secrets.token_urlsafe(32))"',
    )
