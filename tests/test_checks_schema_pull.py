"""The schema that is saved beside the queries, and what a check finds when it changes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from bridge.checks import pull
from bridge.errors import Refused, UserError
from bridge.sandbox import Options, Sandbox
from bridge.settings import load
from checked import Checked, configured

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Start = Callable[[Options], Awaitable[Sandbox]]


async def saved(checked: Checked) -> Path:
    settings = load(checked.folder / "config.toml", {})
    return await pull(settings, settings.connections["default"], "2026-11-22 10:00 UTC")


async def test_the_schema_is_saved_beside_the_queries_and_compared_from_then_on(checked: Checked) -> None:
    path = await saved(checked)
    assert path == checked.folder / "queries" / "schema.graphql"
    assert "as saved in schema.graphql" in (await checked.all())["salestrekker.schema"].detail
    path.write_text(path.read_text().replace("isActive: Boolean", "isActive: String"))
    bad = await checked.bad()
    assert "Contact.isActive was String and is Boolean" in bad["salestrekker.schema"].detail
    assert bad["salestrekker.schema"].advice.endswith("trakor-bridge schema pull")
    await saved(checked)
    path.write_text(path.read_text().replace("suiteNumber: String", "suite: String"))
    steps = await checked.all()
    assert steps["salestrekker.schema"].ok
    assert "2 lines differ" in steps["salestrekker.schema"].detail


async def test_a_file_that_somebody_else_made_is_not_written_over(checked: Checked) -> None:
    (checked.folder / "queries").mkdir()
    file = checked.folder / "queries" / "schema.graphql"
    file.write_text("type Query { mine: Int }")
    with pytest.raises(UserError, match="not overwritten"):
        await saved(checked)
    assert file.read_text() == "type Query { mine: Int }"


async def test_where_the_schema_is_not_given_nothing_is_saved(start_sandbox: Start, tmp_path: Path) -> None:
    checked = configured(tmp_path, await start_sandbox(Options(contacts=0, products=0, introspection=False)))
    with pytest.raises(Refused, match="introspection is switched off"):
        await saved(checked)
    assert not (tmp_path / "queries").exists()


async def test_a_folder_that_cannot_be_written_to_is_told(checked: Checked) -> None:
    (checked.folder / "queries").write_text("a file in its place")
    with pytest.raises(UserError, match="cannot be written"):
        await saved(checked)
    (checked.folder / "queries").unlink()
    shutil.rmtree(checked.folder / "queries", ignore_errors=True)
