"""The files of a proposal: what would change in them, and how they are written so that nothing is lost.

::

    contacts.graphql ──copy──> contacts.graphql.before-20261201T041500Z      (what is replaced)
    new text ──> contacts.graphql.3f2a.new ──replace──> contacts.graphql     (atomic)

Everything is on disk before the first file is replaced; the configuration is the last one.
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
from tomlkit.items import InlineTable

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
        around = 0 if self.path.suffix == ".toml" else 3  # a line beside a change can be a secret
        return "\n".join(difflib.unified_diff(old, new, label, name, lineterm="", n=around))


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
        if isinstance(document.get(stream), InlineTable):
            raise UserError(
                f"the configuration has {stream} on one line, which this command cannot change",
                advice=f"write it as a section: [{stream}], with a key on each line",
            )
        table: Any = document.setdefault(stream, tomlkit.table())
        for key, value in edit.keys.items():
            table[key] = value
        if edit.texts:
            _set_map(table, _map(edit.texts))
    return tomlkit.dumps(document)


def write_changes(changes: Sequence[FileChange], at: str) -> list[Path]:
    """Write files, in order; keep a copy of each one that is replaced.

    All new texts are on disk before the first file is replaced. If one cannot be replaced, those before it
    are put back.

    Args:
        changes: The files.
        at: When, for the names of the copies.

    Returns:
        The copies.

    Raises:
        UserError: A file cannot be written. None is changed then.
    """
    targets = [change.path.resolve() for change in changes]  # a symbolic link stays one
    drafts = [target.with_name(f"{target.name}.{secrets.token_hex(4)}.new") for target in targets]
    copies = [_copy_of(change, at) for change in changes if change.before is not None]
    done: list[int] = []
    for target in targets:
        _require_replaceable(target)
    try:
        for change, target, draft in zip(changes, targets, drafts, strict=True):
            _store(draft, change.after, target)
            if change.before is not None:
                _store(_copy_of(change, at), change.before, target)
        for index, (target, draft) in enumerate(zip(targets, drafts, strict=True)):
            os.replace(draft, target)  # noqa: PTH105 - says what it does better than Path.replace
            done.append(index)
    except OSError as error:
        for index in reversed(done):
            _put_back(changes[index], targets[index])
        for left in (*drafts, *copies):
            with suppress(OSError):
                left.unlink()
        raise UserError(
            f"{error.filename or 'a file'} cannot be written: {error.strerror}. Nothing was changed"
        ) from error
    return copies


def _copy_of(change: FileChange, at: str) -> Path:
    return change.path.with_name(f"{change.path.name}.before-{at}")


def _require_replaceable(target: Path) -> None:
    """Refuse a file that a container mounts by itself: it can be written to, but not replaced."""
    if os.path.ismount(target):
        raise UserError(
            f"{target} is mounted by itself, so it cannot be replaced. Nothing was changed",
            advice="mount its folder, or run this command outside of the container",
        )


def _put_back(change: FileChange, target: Path) -> None:
    with suppress(OSError):
        if change.before is None:
            target.unlink()
        else:
            target.write_text(change.before, encoding="utf-8")


def _set_map(table: Any, made: Any) -> None:  # noqa: ANN401 - tomlkit's own types
    """Set the keys of a map. Its comments stay, unless the map is on one line."""
    given = table.get("map")
    if given is None or isinstance(given, InlineTable):
        table["map"] = made
        return
    for key in [key for key in given if key not in made]:
        del given[key]
    for key, value in made.items():
        given[key] = value


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


def _store(path: Path, text: str, like: Path) -> None:
    """Write a new file to disk, readable for the same users as another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=like.stat().st_mode & 0o777 if like.exists() else 0o644, exist_ok=False)
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
