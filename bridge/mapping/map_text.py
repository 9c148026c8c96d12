"""A map as text: what a user gave, made whole with the defaults, and kept so that it can be read again."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from bridge.errors import QueryFileError
from bridge.mapping.conversion import IDENTIFIER
from bridge.mapping.defaults import DEFAULTS, IDENTIFIERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.records import Stream

__all__ = ["completed", "read", "written"]

_REQUIRED: Final = ("id", "name")
_SAME_AS: Final = "same_as"


def completed(stream: Stream, given: Mapping[str, str]) -> dict[str, str]:
    """A map with its defaults.

    Args:
        stream: Whose map.
        given: Key -> JMESPath, as the user gave it. ``same_as``, or one key for each identifier such as
            ``same_as.email``, takes the place of all identifiers of the default map.

    Raises:
        QueryFileError: The stream has no such key, or one that it needs is empty.
    """
    for key in given:
        _check_key(stream, key)
    if _SAME_AS in given and any(key.startswith(IDENTIFIERS) for key in given):
        raise QueryFileError(
            f"{stream}.map.same_as: stands beside named identifiers", advice="Keep one of the two."
        )
    own = any(map(_identifies, given))
    kept = {key: text for key, text in DEFAULTS[stream].items() if not (own and _identifies(key))}
    texts = {**kept, **given}
    for key in _REQUIRED:
        if not texts[key].strip():
            raise QueryFileError(
                f"{stream}.map.{key}: empty, but no record can do without it",
                advice="Leave the key out to use its default.",
            )
    return texts


def _identifies(key: str) -> bool:
    return key == _SAME_AS or key.startswith(IDENTIFIERS)


def _check_key(stream: Stream, key: str) -> None:
    known = [name for name in DEFAULTS[stream] if not _identifies(name)] + [_SAME_AS]
    if key.startswith(IDENTIFIERS):
        if not IDENTIFIER.fullmatch(key.removeprefix(IDENTIFIERS)):
            raise QueryFileError(
                f"{stream}.map.{key}: an identifier cannot be called so",
                advice="Use up to 32 letters, digits, - and _, such as same_as.email.",
            )
    elif key not in known:
        near = get_close_matches(key, known, n=1) or [", ".join(known)]
        raise QueryFileError(f"{stream}.map.{key}: no such key", advice=f"Did you mean {near[0]}?")


def written(texts: Mapping[str, str]) -> str:
    """A whole map as one text, from which ``read`` makes it again."""
    return json.dumps(dict(sorted(texts.items())), ensure_ascii=False, separators=(",", ":"))


def read(stream: Stream, text: str) -> dict[str, str]:
    """A whole map from its text; a key that came later than the text is never filled.

    Raises:
        QueryFileError: The text is not one that ``written`` made.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise QueryFileError(
            f"the earlier map of {stream} cannot be read",
            advice="Check it with `trakor-bridge ledger check`.",
        )
    empty = dict.fromkeys((key for key in DEFAULTS[stream] if not _identifies(key)), "")
    return empty | ({} if any(map(_identifies, found)) else {_SAME_AS: ""}) | found
