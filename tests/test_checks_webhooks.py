"""The webhook step of a check: the port, and who may have it already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.checks.webhook_port import webhook_port
from bridge.ledger.open import lock_ledger
from bridge.settings import load
from bridge.webhooks import open_webhook_sockets

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.settings import Settings

CONFIG = """\
[salestrekker]
api_key = "a-key-of-salestrekker"
[trakor]
url = "http://127.0.0.1:1/api"
api_key = "sk_live_0123456789abcdef"
"""


def configured(folder: Path, **webhooks: str | int) -> Settings:
    lines = [f"{key} = {value!r}" for key, value in webhooks.items()]
    (folder / "config.toml").write_text("\n".join([CONFIG, "[webhooks]", *lines]))
    return load(folder / "config.toml", {})


def with_token(folder: Path, **more: str | int) -> Settings:
    return configured(folder, host="127.0.0.1", token="0123456789abcdef" * 2, **more)


async def test_without_a_token_nobody_listens_and_nothing_is_checked(tmp_path: Path) -> None:
    assert await webhook_port(configured(tmp_path), ["default"]) is None


async def test_a_free_port_can_be_listened_on_and_is_free_afterwards(tmp_path: Path) -> None:
    settings = with_token(tmp_path, port=0)
    step = await webhook_port(settings, ["default"])
    assert step is not None
    assert (step.name, step.ok) == ("webhooks.port", True)
    assert "set [webhooks] public_url" in step.detail
    step = await webhook_port(with_token(tmp_path, port=0, public_url="https://b.example"), ["default"])
    assert step is not None
    assert "webhooks urls" in step.detail


async def test_a_port_that_another_has_is_a_fault_unless_it_is_the_daemon(tmp_path: Path) -> None:
    (server,) = await open_webhook_sockets("127.0.0.1", 0)
    try:
        settings = with_token(tmp_path, port=server.getsockname()[1])
        step = await webhook_port(settings, ["default"])
        assert step is not None
        assert not step.ok
        assert "taken by another process" in step.detail
        assert step.advice
        with lock_ledger(tmp_path / "ledger.db", "trakor-bridge run"):
            step = await webhook_port(settings, ["default"])
        assert step is not None
        assert step.ok
        assert "trakor-bridge run" in step.detail
        with lock_ledger(tmp_path / "ledger.db", "trakor-bridge backfill"):
            step = await webhook_port(settings, ["default"])
        assert step is not None
        assert not step.ok, "a backfill does not listen"
    finally:
        server.close()


async def test_an_address_that_is_not_this_machines_is_a_fault(tmp_path: Path) -> None:
    settings = configured(tmp_path, host="192.0.2.1", token="0123456789abcdef" * 2)
    step = await webhook_port(settings, ["default"])
    assert step is not None
    assert not step.ok
    assert "192.0.2.1" in step.detail
