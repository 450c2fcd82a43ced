"""One row of a user's table, its values read with a reason noted for each that is wrong."""

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.tables.values import as_number, as_text, attribute_of, is_missing, is_want, is_weight
from retrieval.storage.schema import SPLITS


@dataclass(frozen=True)
class Row:
    """A row as its file gives it.

    `number` counts from 1. In CSV and Parquet it is the record's (the header is not counted, so a
    spreadsheet shows the row at `number + 1`); in JSON Lines it is the line's.
    """

    number: int
    values: Mapping[str, Any]
    fault: str = ""  # why there are no values


class Cells:
    """The values of one row; what is not as expected adds to `reasons` and reads as empty."""

    def __init__(self, row: Row) -> None:
        """Start without a reason."""
        self.number = row.number
        self.reasons: list[str] = []
        self._values = row.values

    def text(self, name: str, required: bool = False) -> str:
        """The value as text without surrounding space; "" where it is absent, blank or no text.

        What says that there is nothing ("nan", "N/A", "NULL", "None", "-") is absent.
        """
        try:
            text = as_text(self._values.get(name))
        except ValueError as error:
            self.reasons.append(f"{name} {error}")
            return ""
        if not is_missing(text):
            return text
        if required:
            means = (
                f"is {text!r}, which means that it is missing" if text else "is missing or blank"
            )
            self.reasons.append(f"{name} {means}")
        return ""

    def texts(self, name: str) -> list[str]:
        """The value as a list of texts, none blank and none twice; [] where it is absent."""
        values = self._values.get(name)
        if values is None:
            return []
        if not isinstance(values, list):
            self.reasons.append(f"{name} is {reprlib.repr(values)}, expected a list of texts")
            return []
        try:
            texts = [as_text(value) for value in values]
        except ValueError as error:
            self.reasons.append(f"an entry of {name} {error}")
            return []
        if "" in texts or len(set(texts)) < len(texts):
            self.reasons.append(f"{name} is {texts}, expected no blank entry and none twice")
        return texts

    def split(self, known: Sequence[str] = SPLITS) -> str:
        """The split that the row asks for, one of `known`; "" where it leaves that open."""
        split = self.text("split")
        if split and split not in known:
            self.reasons.append(f"split is {split!r}, expected {', '.join(known)} or blank")
        return split

    def price(self) -> float:
        """The price; NaN where it is absent or blank."""
        value = self._values.get("price")
        try:
            price = as_number(value)
        except ValueError:
            price = -1.0
        if price < 0 or math.isinf(price):
            self.reasons.append(
                f"price is {reprlib.repr(value)}, expected a number from 0 up, such as 12.50"
            )
        return price

    def attributes(self) -> dict[str, str]:
        """The `attr.*` values that are not blank, by their names without the prefix."""
        attributes: dict[str, str] = {}
        for name in self._values:
            if attribute := attribute_of(name):
                value = self._flag(name) or self.text(name)
                attributes |= {attribute: value} if value else {}
        return attributes

    def wants(self) -> dict[str, float]:
        """The persona's wants, "attribute=value" -> weight; {} where there are none."""
        wants = self._values.get("wants")
        if wants is None:
            return {}
        if not isinstance(wants, dict):
            self.reasons.append(
                f'wants is {reprlib.repr(wants)}, expected {{"attribute=value": weight}}'
            )
            return {}
        for key, weight in wants.items():
            if not (is_want(key) and is_weight(weight)):
                self.reasons.append(
                    f"wants holds {key!r}: {reprlib.repr(weight)}, expected attribute=value"
                    " without space around =, and a finite weight above 0"
                )
        return {key: float(weight) for key, weight in wants.items() if is_weight(weight)}

    def facets(self) -> dict[str, str]:
        """What evaluation groups the persona by, name -> value; blank values are left out."""
        facets = self._values.get("facets")
        if facets is None:
            return {}
        if not isinstance(facets, dict):
            self.reasons.append(f'facets is {reprlib.repr(facets)}, expected {{"name": "value"}}')
            return {}
        try:
            texts = {as_text(name): as_text(value) for name, value in facets.items()}
        except ValueError as error:
            self.reasons.append(f"a name or value of facets {error}")
            return {}
        if "" in texts or len(texts) < len(facets):
            self.reasons.append(f"facets has names {list(facets)}, expected none blank or twice")
        return {name: value for name, value in texts.items() if value}

    def claim(self, name: str, text: str, taken: dict[str, int]) -> None:
        """Note a reason if an earlier row took `text`; otherwise this row takes it."""
        first = taken.setdefault(text, self.number) if text else self.number
        if first != self.number:
            self.reasons.append(f"{name} {text!r} is already that of row {first}")

    def _flag(self, name: str) -> str:
        value = self._values[name]
        return str(value).lower() if isinstance(value, bool) else ""
