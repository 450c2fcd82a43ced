"""Numbers as pages say them."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from retrieval.storage.files import number_at

if TYPE_CHECKING:
    from markupsafe import Markup

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share in percent, without the sign: the column's head has it."""
    return decimal(None if share is None else 100 * share, digits)


def points(difference: float | None, digits: int = 1) -> str:
    """A difference of shares in points, always with its sign."""
    if difference is None or math.isnan(difference):
        return DASH
    return f"{100 * difference:+.{digits}f}".replace("-", MINUS)


def decimal(value: float | None, digits: int = 2) -> str:
    """A plain number."""
    if value is None or math.isnan(value):
        return DASH
    return f"{value:.{digits}f}".replace("-", MINUS)


def plain(value: float | None) -> str:
    """A number with three digits, as params.yaml has its limits."""
    if value is None or math.isnan(value):
        return DASH
    return f"{value:.3g}".replace("-", MINUS)


def count(value: float | None) -> str:
    """A whole number, with a thin space between thousands."""
    return decimal(value, 0) if value is None else f"{value:,.0f}".replace(",", "\N{THIN SPACE}")


def p_value(p: float | None) -> str:
    """The p value as a phrase."""
    if p is None:
        return f"p {DASH}"
    return (
        "p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}0.001"
        if p < 0.001
        else f"p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{p:.3f}"
    )


def short(title: str) -> str:
    """What stands before the colon."""
    return title.partition(":")[0]


def sentence(words: str) -> str:
    """With a capital at its beginning."""
    return words[:1].upper() + words[1:]


def title(words: str) -> str:
    """Without its article: "a share of groups" is "Share of groups"."""
    return sentence(words.removeprefix("a "))


def code(words: str) -> "Markup":
    """As HTML: what stands between backticks as code, everything escaped."""
    from markupsafe import Markup, escape

    parts = [escape(part) for part in words.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if odd % 2 else part
        for odd, part in enumerate(parts)
    )


FILTERS: dict[str, Callable[..., Any]] = {
    "percent": percent,
    "points": points,
    "decimal": decimal,
    "plain": plain,
    "sentence": sentence,
    "title": title,
    "code": code,
    "count": count,
    "p_value": p_value,
    "number": number_at,
    "short": short,
}
