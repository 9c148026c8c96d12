"""`queries fit` against schemas that the bridge has never seen: commands alone lead to all parties."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from bridge.sandbox import Options, Sandbox, ShapeKind
from bridges import Bridge
from forking import at_a_terminal
from processes import commands
from schemas import SCHEMAS, ForeignSandbox
from schemas.comparison import compare
from schemas.foreign import ForeignSchema, root
from schemas.truth import Truth

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from processes import Begin

HANDMADE = """\
# Kept by hand: a comment that must stay.
[contacts]
# and another one
enabled = true
"""


def files_of(folder: Path) -> Mapping[str, str]:
    """Every file of the configuration: name -> text."""
    found = [*folder.glob("config.toml*"), *(folder / "queries").glob("*")]
    return {path.name: path.read_text("utf-8") for path in found if path.is_file()}


def configured(folder: Path, sandbox: Sandbox, more: str = "") -> None:
    """A first configuration, as `init` writes it."""
    _ = Bridge(folder, sandbox).settings
    path = folder / "config.toml"
    path.write_text(f"{path.read_text('utf-8')}\n{more}", "utf-8")


async def run(begin: Begin, *arguments: str) -> tuple[int, str]:
    """A command's exit status, and all that it printed."""
    ended = await (await begin(*arguments)).ended()
    return ended.status, ended.text


@pytest.mark.parametrize("name", SCHEMAS)
async def test_all_of_a_foreign_schema_arrives_after_fit_check_and_backfill(
    name: str, tmp_path: Path
) -> None:
    async with ForeignSandbox(SCHEMAS[name]()) as sandbox, commands(tmp_path) as begin:
        configured(tmp_path, sandbox)
        fitted, text_of_fitted = await run(begin, "queries", "fit", "--write")
        assert fitted == 0, text_of_fitted
        assert "All checks passed." in text_of_fitted
        checked, text_of_checked = await run(begin, "check")
        assert checked == 0, text_of_checked
        filled, text_of_filled = await run(begin, "backfill")
        assert filled in {0, 3}, text_of_filled
        found = compare(sandbox, sandbox.schema.truth)
        assert (found.contacts.exact, found.products.exact) == (True, True), (found.contacts, found.products)
        again, text_of_again = await run(begin, "queries", "fit", "--write")
        assert again == 0
        assert text_of_again.count("fit as they are") == 2


async def test_without_write_nothing_changes_and_the_difference_is_shown(tmp_path: Path) -> None:
    async with ForeignSandbox(SCHEMAS["cursor"]()) as sandbox, commands(tmp_path) as begin:
        configured(tmp_path, sandbox)
        before = files_of(tmp_path)
        shown, text_of_shown = await run(begin, "queries", "fit")
        assert shown == 0
        assert files_of(tmp_path) == before
        assert "+++ queries/contacts.graphql" in text_of_shown
        assert "Nothing was written." in text_of_shown
        truth = sandbox.schema.truth
        emails = [email for contact in truth.contacts for email in contact.emails]
        assert not [email for email in emails if email in text_of_shown]


async def test_what_is_written_keeps_comments_and_a_copy_of_what_it_replaces(tmp_path: Path) -> None:
    async with ForeignSandbox(SCHEMAS["nested"]()) as sandbox, commands(tmp_path) as begin:
        configured(tmp_path, sandbox, HANDMADE)
        (tmp_path / "queries").mkdir()
        own = tmp_path / "queries" / "contacts.graphql"
        own.write_text("query Own { contacts { id } }\n", "utf-8")
        (tmp_path / "config.toml").chmod(0o600)
        before = files_of(tmp_path)
        assert (await run(begin, "queries", "fit", "--write"))[0] == 0
        after = files_of(tmp_path)
        for line in HANDMADE.splitlines():
            assert line in after["config.toml"].splitlines()
        for name in ("config.toml", "contacts.graphql"):
            (copy,) = (text for other, text in after.items() if other.startswith(f"{name}.before-"))
            assert copy == before[name]
        assert (tmp_path / "config.toml").stat().st_mode & 0o777 == 0o600
        assert not [name for name in after if name.endswith(".new")]
        document = tomllib.loads(after["config.toml"])
        assert document["contacts"]["where"] == "isArchived != `true`"
        assert document["contacts"]["map"]["same_as"].keys() == {"email", "phone"}


async def test_what_fits_already_is_left_as_it_is(sandbox: Sandbox, tmp_path: Path) -> None:
    async with commands(tmp_path) as begin:
        configured(tmp_path, sandbox)
        before = files_of(tmp_path)
        said, text_of_said = await run(begin, "queries", "fit", "--write")
        assert said == 0
        assert "contacts: query files and map fit as they are" in text_of_said
        assert files_of(tmp_path) == before


async def test_without_a_schema_it_says_what_is_needed(tmp_path: Path) -> None:
    async with (
        ForeignSandbox(SCHEMAS["relay"](), Options(introspection=False)) as sandbox,
        commands(tmp_path) as begin,
    ):
        configured(tmp_path, sandbox)
        said, text_of_said = await run(begin, "queries", "fit", "--write")
        assert said == 2
        assert "does not provide its schema" in text_of_said
        assert "queries/schema.graphql" in text_of_said


async def test_a_saved_schema_is_enough(tmp_path: Path) -> None:
    schema = SCHEMAS["relay"]()
    async with ForeignSandbox(schema, Options(introspection=False)) as sandbox, commands(tmp_path) as begin:
        configured(tmp_path, sandbox)
        (tmp_path / "queries").mkdir()
        (tmp_path / "queries" / "schema.graphql").write_text(schema.sdl, "utf-8")
        said, text_of_said = await run(begin, "queries", "fit", "--write")
        assert said == 0, text_of_said
        assert (await run(begin, "backfill"))[0] in {0, 3}
        assert compare(sandbox, schema.truth).contacts.exact


async def test_it_fits_a_terminal_of_eighty_columns(tmp_path: Path) -> None:
    async with ForeignSandbox(SCHEMAS["relay"]()) as sandbox:
        configured(tmp_path, sandbox)
        status, shown = await at_a_terminal(["queries", "fit"], tmp_path, {}, 80)
        assert status == 0
        ours = [line for line in shown.splitlines() if not line.startswith(("+", "-", "@", " "))]
        assert max(map(len, ours)) <= 80


@pytest.mark.parametrize("shape", [ShapeKind.PAGE, ShapeKind.RELAY, ShapeKind.RENAMED])
async def test_another_shape_of_the_same_data_gives_the_same_parties(
    shape: ShapeKind, tmp_path: Path
) -> None:
    """Where only the way to the records differs, the map stays, and with it every telephone number."""
    arrived = {}
    for kind in (ShapeKind.OFFSET, shape):
        folder = tmp_path / kind
        folder.mkdir()
        options = Options(contacts=60, products=20, shape=kind)
        async with Sandbox(options) as sandbox, commands(folder) as begin:
            configured(folder, sandbox)
            status, said = await run(begin, "queries", "fit", "--write")
            assert status == 0, said
            assert (await run(begin, "backfill"))[0] in {0, 3}
            arrived[kind] = {
                name: sandbox.trakor.parties[name].text for name in sandbox.trakor.parties.names()
            }
    expected, found = arrived[ShapeKind.OFFSET], arrived[shape]
    assert found.keys() == expected.keys()
    if shape is not ShapeKind.RENAMED:
        assert found == expected


TWO_LISTS = """
type Query { clients: [Client!]! people: [Person!]! }
type Client { id: ID! fullName: String email: String phone: String }
type Person { id: ID! fullName: String email: String phone: String }
"""


async def test_without_a_terminal_two_possible_lists_are_left_out_and_named(tmp_path: Path) -> None:
    schema = ForeignSchema(
        name="two lists",
        sdl=TWO_LISTS,
        queries={"clients": root(lambda _: []), "people": root(lambda _: [])},
        truth=Truth([], [], []),
    )
    async with ForeignSandbox(schema) as sandbox, commands(tmp_path) as begin:
        configured(tmp_path, sandbox, "[products]\nenabled = false\n")
        before = files_of(tmp_path)
        status, said = await run(begin, "queries", "fit", "--write")
        assert status == 1
        assert "several lists could be the contacts: clients, people" in said
        assert files_of(tmp_path) == before


async def test_a_file_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    async with ForeignSandbox(SCHEMAS["cursor"]()) as sandbox, commands(tmp_path) as begin:
        configured(tmp_path, sandbox)
        (tmp_path / "queries").mkdir()
        (tmp_path / "queries" / "notes.graphql").write_bytes(b"caf\xe9")
        status, said = await run(begin, "queries", "fit")
        assert status == 2
        assert "notes.graphql cannot be read as text" in said
