"""The values of a user's tables: what counts as text, as a number, as a want."""

import math
import re
import reprlib
import sys
from decimal import Decimal
from typing import Any

_NOTHING = frozenset(["", "nan", "n/a", "#n/a", "<na>", "null", "none", "-", "--", *"\u2013\u2014"])


def attribute_of(column: str) -> str:
    """The attribute that a column holds; "" for any other column."""
    return column.removeprefix("attr.").strip() if column.startswith("attr.") else ""


_COMMA = re.compile(r"(\d+|\d{1,3}(\.\d{3})+),\d{1,2}")  # 12,50 or 1.234,50
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+\.\d{1,2}")  # 1,234.50


def is_missing(text: str) -> bool:
    """Whether the text is what spreadsheets and data frames write where there is nothing."""
    return text.casefold() in _NOTHING


def fold(text: str) -> str:
    """What two texts share that differ in case and spacing alone."""
    return " ".join(text.casefold().split())


def as_text(value: Any) -> str:
    """A cell as text: integers and whole floats alike without a point, nothing as "".

    Raises:
        ValueError: It is neither text nor a number, or holds what cannot be stored.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        msg = f"is {reprlib.repr(value)} ({type(value).__name__}), expected text"
        raise ValueError(msg)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    if not _is_storable(text):
        msg = f"is {reprlib.repr(value)}, which holds a character that no table can keep"
        raise ValueError(msg)
    return text


def as_number(value: Any) -> float:
    """A cell as a number, NaN where it is blank.

    A decimal comma is read, and so are thousands, where there is one way to: not in "1,234".

    Raises:
        ValueError: It is no number.
    """
    if isinstance(value, bool):
        raise ValueError
    try:
        text = as_text(value)
        return float("nan" if is_missing(text) else _with_a_point(text))
    except OverflowError as error:
        raise ValueError from error


def _with_a_point(text: str) -> str:
    if _COMMA.fullmatch(text):
        return text.replace(".", "").replace(",", ".")
    return text.replace(",", "") if _THOUSANDS.fullmatch(text) else text


def is_want(key: str) -> bool:
    """Whether it reads attribute=value, without space around the sign."""
    attribute, _, value = key.partition("=")
    stripped = f"{attribute.strip()}={value.strip()}"
    return bool(attribute and value) and key == stripped and _is_storable(key)


def is_weight(weight: Any) -> bool:
    """Whether it is a finite number above 0."""
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    return number and 0 < weight <= sys.float_info.max


def _is_storable(text: str) -> bool:
    """Whether UTF-8 has a form for it, and databases do (PostgreSQL has none for NUL)."""
    return "\0" not in text and text == text.encode(errors="replace").decode()
