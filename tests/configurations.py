"""Configurations for tests: the smallest valid one, and what loading one gives or complains about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge import settings
from bridge.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.settings import Settings

SOURCE = '[salestrekker]\napi_key = "st-key"\n'
TARGET = '[trakor]\nurl = "https://trakor.example/api/public/v1"\napi_key = "sk_live_1"\n'
PAIR = SOURCE + TARGET
TOKEN = "t" * 32


def load(folder: Path, text: str = PAIR, **environ: str) -> Settings:
    file = folder / "config.toml"
    file.write_text(text)
    return settings.load(file, {f"TRAKOR_BRIDGE_{name}": value for name, value in environ.items()})


def errors_of(folder: Path, text: str = PAIR, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text, **environ)
    return caught.value.errors


def only_error(folder: Path, text: str = PAIR, **environ: str) -> str:
    (only,) = errors_of(folder, text, **environ)
    return only
