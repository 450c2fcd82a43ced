"""From what a model said of a picture to a caption, or why it is none."""

import re

from pipelines.labelling.teachers.replies import without_thoughts
from pipelines.tables.values import as_text

_LETTERS_A_WORD = 12  # scripts without spaces: a caption is cut by its length
_FENCE = re.compile(r"\A```\w*\s*(.*?)\s*```\Z", re.DOTALL)
_LABEL = re.compile(r"\A(?:caption|description|answer)\s*:\s*", re.IGNORECASE)
_QUOTES = ('""', "''", "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}", "**")
_REFUSAL = re.compile(
    r"\A(?:i(?:'m| am) (?:sorry|unable|not able)|sorry|i (?:cannot|can't|can not|won't)"
    r"|unfortunately|as an ai|i (?:do not|don't) (?:see|have)|there is no (?:image|picture)"
    r"|no (?:image|picture))\b",
    re.IGNORECASE,
)


def read_caption(raw: str, max_words: int) -> tuple[str | None, str]:
    """The caption on one line, or None and a complaint for the model.

    What a model puts around it (thoughts, a fence, quotes, a label) is no part of it.

    Args:
        raw: The reply, word for word.
        max_words: More than these are refused; of a script without spaces, as many letters.
    """
    text = _unwrapped(without_thoughts(raw))
    try:
        caption = " ".join(as_text(text).split())
    except ValueError as error:
        return None, f"the reply {error}"
    words = len(caption.split())
    if not any(letter.isalpha() for letter in caption):
        return None, "the reply has no words"
    if _REFUSAL.match(caption.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")):
        return None, "the reply says nothing of the picture"
    if words > max_words or len(caption) > max_words * _LETTERS_A_WORD:
        return None, f"the reply has {words} words ({len(caption)} letters), {max_words} are wanted"
    return caption, ""


def _unwrapped(text: str) -> str:
    fenced = _FENCE.match(text)
    text = _LABEL.sub("", fenced.group(1) if fenced else text)
    while len(text) > 1 and text[0] + text[-1] in _QUOTES:
        text = text[1:-1].strip()
    return text
