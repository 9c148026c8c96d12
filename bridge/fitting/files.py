"""The files of a proposal: what would change in them, and how they are written so that nothing is lost.

::

    contacts.graphql ──copy──> contacts.graphql.before-20261201T041500Z      (what is replaced)
    new text ──> contacts.graphql.3f2a.new ──replace──> contacts.graphql     (atomic)

Query files come first, the configuration last: a process that dies in between leaves a configuration that
`trakor-bridge check` refuses with the reason, and the same command mends it.
"""

from __future__ import annotations

import difflib
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from bridge.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["FileChange", "StreamEdit", "edit_configuration", "write_changes"]

SAME_AS = "same_as"


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file as it is and as it would be.

    Attributes:
        path: The file.
        before: Its text; None if there is none.
        after: Its new text.
    """

    path: Path
    before: str | None
    after: str

    def diff(self, name: str) -> str:
        """The difference, as ``diff -u`` shows it; empty if there is none."""
        old, new = (self.before or "").splitlines(), self.after.splitlines()
        label = name if self.before is not None else "/dev/null"
        return "\n".join(difflib.unified_diff(old, new, label, name, lineterm=""))


@dataclass(frozen=True, slots=True)
class StreamEdit:
    """The keys of a stream in the configuration.

    Attributes:
        keys: Key -> value, of the stream's table.
        texts: Key of its map -> expression; none: the map stays as it is.
    """

    keys: Mapping[str, str]
    texts: Mapping[str, str]


def edit_configuration(text: str, edits: Mapping[str, StreamEdit]) -> str:
    """Set the keys of streams in a configuration; comments and everything else stay.

    Args:
        text: The configuration.
        edits: Stream -> its keys. Its map is replaced as a whole.

    Raises:
        UserError: The text is not valid TOML.
    """
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise UserError(f"the configuration cannot be read: {error}") from error
    for stream, edit in edits.items():
        table: Any = document.setdefault(stream, tomlkit.table())
        for key, value in edit.keys.items():
            table[key] = value
        if edit.texts:
            table["map"] = _map(edit.texts)
    return tomlkit.dumps(document)


def write_changes(changes: Sequence[FileChange], at: str) -> list[Path]:
    """Write files, in order, each atomically; keep a copy of each one that is replaced.

    Args:
        changes: The files.
        at: When, for the names of the copies.

    Returns:
        The copies.

    Raises:
        UserError: A file cannot be written. Those before it are.
    """
    copies = []
    for change in changes:
        if change.before is not None:
            copy = change.path.with_name(f"{change.path.name}.before-{at}")
            _write(copy, change.before, change.path)
            copies.append(copy)
        _write(change.path, change.after, change.path)
    return copies


def _map(texts: Mapping[str, str]) -> Any:  # noqa: ANN401 - tomlkit's own type
    table = tomlkit.table()
    named = {key: text for key, text in texts.items() if key.startswith(f"{SAME_AS}.")}
    for key, text in texts.items():
        if key not in named:
            table[key] = text
    if named:
        inline = tomlkit.inline_table()
        inline.update({key.removeprefix(f"{SAME_AS}."): text for key, text in named.items()})
        table[SAME_AS] = inline
    return table


def _write(path: Path, text: str, like: Path) -> None:
    """Write a file atomically, readable for the same users as another one."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = like.stat().st_mode & 0o777 if like.exists() else 0o644
        draft.touch(mode=mode, exist_ok=False)
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)  # noqa: PTH105 - says what it does better than Path.replace
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
