"""Which value is a record's id, whatever it is called. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.fitting.record_fields import RecordField

__all__ = ["find_ids"]

ID_NAMES: Final = ("id", "_id", "uuid", "guid", "uid")

KEY_WORDS: Final = frozenset({"no", "number", "code", "key", "ref", "reference", "uuid"})

FOREIGN: Final = frozenset(
    [
        "external",
        "legacy",
        "parent",
        "source",
        "import",
        "imported",
        "foreign",
        "tenant",
        "organisation",
        "organization",
        "workspace",
        "account",
        "owner",
        "lender",
        "provider",
        "branch",
        "user",
        "phone",
        "mobile",
        "fax",
        "post",
        "postal",
        "zip",
        "country",
        "area",
        "tax",
        "abn",
        "acn",
    ]
)
"""Words of keys that are another record's, or no record's."""


def find_ids(fields: Sequence[RecordField]) -> list[RecordField]:
    """The ids of a record: one, or one for each type of a union; none if nothing looks like an id.

    An id is always there. ``clientNo`` is one where there is no ``id``; a nullable ``externalId`` is none.
    """
    plain = [one for one in fields if len(one.steps) == 1 and not one.list_steps]
    for fits in (_is_id, _is_named_id, _is_key):
        found: dict[str, RecordField] = {}
        for one in filter(fits, plain):
            found.setdefault(one.on, one)
        if found:
            return [found[""]] if "" in found else list(found.values())
    return []


def _is_id(one: RecordField) -> bool:
    return one.path[0].lower() in ID_NAMES


def _is_named_id(one: RecordField) -> bool:
    words = one.last_words
    return _is_always_there(one) and words[-1:] == ("id",) and not FOREIGN & set(words)


def _is_key(one: RecordField) -> bool:
    words = one.last_words
    own = _is_always_there(one) and len(words) > 1 and words[-1] in KEY_WORDS
    return own and not FOREIGN & set(words)


def _is_always_there(one: RecordField) -> bool:
    return one.steps[0].type_name.endswith("!")
