"""Phone numbers in international form, through Google's metadata (the ``phonenumbers`` library)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

__all__ = ["HOME_REGION", "dialled", "international", "load_tables"]

HOME_REGION: Final = "AU"
"""The region of a number without a calling code."""

_LONGEST: Final = 100

# Nearly all numbers are Australian mobiles and landlines. They are recognised here in a twentieth of the
# library's time. A test compares all their prefixes with the library.
_AUSTRALIAN_CODES: Final = frozenset({"", "61", "+61"})
_AUSTRALIAN: Final = re.compile(r"0?(?:(4[0-9]{2})([0-9]{3})([0-9]{3})|([2378])([0-9]{4})([0-9]{4}))")
_PUNCTUATION: Final = str.maketrans("", "", " ()-.")
_NO_REGION: Final = frozenset({"ZZ", "001"})


def international(code: str, number: str) -> str:
    """``61`` and ``0412 345 678`` as ``+61 412 345 678``.

    Args:
        code: Calling code, with or without ``+``. Empty for Australia.
        number: The number as somebody typed it, trimmed. One that begins with ``+`` needs no code.

    Returns:
        The number in international form. If that is not known (no number, too short or long for its country,
            an Australian number without its area code), the number as it was typed, after a calling code that
            no country has.
    """
    return _australian(code, number) or _by_metadata(code, number)


def _australian(code: str, number: str) -> str | None:
    if code not in _AUSTRALIAN_CODES:
        return None
    found = _AUSTRALIAN.fullmatch(number.translate(_PUNCTUATION))
    return f"+61 {' '.join(filter(None, found.groups()))}" if found else None


def dialled(number: str) -> str | None:
    """A number in international form, as ``international`` gives it, or None if that is not known.

    Args:
        number: Digits, after a ``+`` if it begins with a calling code.
    """
    found = _AUSTRALIAN.fullmatch(number.removeprefix("+61") if number.startswith("+61") else number)
    if found:
        return f"+61 {' '.join(filter(None, found.groups()))}"
    return _parsed(number, HOME_REGION)


def load_tables() -> None:
    """Load the tables for the numbers of all countries, which are otherwise loaded one by one.

    It takes about 0.2 seconds. A process that runs for months then depends on no file, and nothing waits for
    one.
    """
    from phonenumbers import PhoneMetadata  # noqa: PLC0415 - as below

    PhoneMetadata.load_all()


def _by_metadata(code: str, number: str) -> str:
    region = _region(code)
    if region in _NO_REGION:
        return f"{code} {number}"
    return number if len(number) > _LONGEST else _parsed(number, region) or number


def _parsed(number: str, region: str) -> str | None:
    """A number in international form, by the library, or None if it cannot be dialled as it stands."""
    import phonenumbers  # noqa: PLC0415 - its tables take 40 ms to load, and most commands map nothing

    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    if not _dialable(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _region(code: str) -> str:
    digits = code.lstrip("+0").strip()
    if not digits:
        return HOME_REGION
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 3):  # noqa: PLR2004 - E.164: at most three
        return "ZZ"
    from phonenumbers import region_code_for_country_code  # noqa: PLC0415 - as above

    return str(region_code_for_country_code(int(digits)))


def _dialable(number: PhoneNumber) -> bool:
    """Whether it is long enough to be dialled from abroad.

    A number that may lack its area code must be in use.
    """
    import phonenumbers  # noqa: PLC0415 - as above

    possible = phonenumbers.ValidationResult.IS_POSSIBLE
    if phonenumbers.is_possible_number_with_reason(number) != possible:
        return False
    landline = phonenumbers.is_possible_number_for_type_with_reason(
        number, phonenumbers.PhoneNumberType.FIXED_LINE
    )
    local_only = phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY
    return landline != local_only or phonenumbers.is_valid_number(number)
