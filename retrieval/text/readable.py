"""What a text tower can read of a text: told by its tokenizer alone, without running the model.

A WordPiece tokenizer turns a word of a script that it does not know into one token, the same for
all: to MiniLM the Thai for "red cup" and "blue vase" are one text. A tokenizer of bytes knows every
character, though not what it means; there only what is cut off is told, and which texts are equal.
"""

import logging
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retrieval.text.tokenizing import TURN

MINILM = "all-MiniLM-L6-v2"  # as the configurations of models name it
_SHOWN = 10  # words in a sentence

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """What becomes of one text."""

    unknown: tuple[str, ...]  # words that become the unknown token, in order, each once
    unknown_share: float  # of its tokens, in [0, 1]
    length: int  # tokens, the tokenizer's own included
    limit: int  # tokens that the tower reads
    ids: tuple[int, ...]  # those
    says_nothing: bool = False  # no token is of a word or sign that the tokenizer knows

    @property
    def is_cut(self) -> bool:
        """Whether the tower does not read its end."""
        return self.length > self.limit

    def refusal(self) -> str:
        """Why nothing should be searched by the text; "" where something can."""
        if not self.says_nothing:
            return ""
        unknown = f" ({', '.join(self.unknown[:_SHOWN])})" if self.unknown else ""
        return (
            f"the model knows nothing of this text{unknown}, so whatever it found would be chance;"
            " use other words"
        )

    def warnings(self) -> list[str]:
        """What to tell who wrote the text, a sentence each."""
        sentences = []
        if self.unknown:
            words = ", ".join(self.unknown[:_SHOWN])
            more = ", …" if len(self.unknown) > _SHOWN else ""
            sentences.append(f"The model does not know these words: {words}{more}.")
        if self.unknown_share == 1:
            sentences.append("Nothing else is in the text, so what is found says nothing.")
        if self.is_cut:
            sentences.append(
                f"The text is cut: it has {self.length} tokens, and the model reads {self.limit}."
            )
        return sentences


def read_texts(tokenize: Any, texts: Sequence[str]) -> list[Reading]:
    """What the tower reads of each text.

    Args:
        tokenize: An open_clip tokenizer (`Encoder.tokenize`); of one of another kind only what it
            gives is known, so nothing is found wrong with a text.
        texts: Any.
    """
    if not texts:
        return []
    if hasattr(tokenize, "tokenizer"):
        return _read_hugging_face(tokenize, texts)
    blank = [_is_blank(text) for text in texts]
    if not hasattr(tokenize, "encode"):
        return [
            Reading((), 0.0, len(row), len(row), tuple(row), nothing)
            for row, nothing in zip(tokenize(texts).tolist(), blank, strict=True)
        ]
    limit = tokenize.context_length
    encoded = [[0, *tokenize.encode(text), 0] for text in texts]  # a beginning and an end
    return [
        Reading((), 0.0, len(ids), limit, tuple(ids[: limit - 1]), nothing or len(ids) == 2)
        for ids, nothing in zip(encoded, blank, strict=True)
    ]


def alike(texts: Sequence[str], readings: Sequence[Reading]) -> list[list[int]]:
    """Places of texts that differ, in more than case and spacing, and read the same: each group."""
    groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, reading in enumerate(readings):
        groups[reading.ids].append(place)
    return [
        group
        for group in groups.values()
        if len({" ".join(texts[place].casefold().split()) for place in group}) > 1
    ]


def find_tokenizer(model: str, pretrained: str | None) -> Any | None:
    """The tokenizer of a model as `create_encoder` builds it; None where it cannot be had here."""
    import open_clip
    from open_clip.tokenizer import HFTokenizer

    from retrieval.encoder import MODEL_CONFIGS
    from retrieval.minilm import minilm_folder

    open_clip.add_model_config(MODEL_CONFIGS)
    config = open_clip.get_model_config(model)
    if config is None:
        return None
    text = config["text_cfg"]
    try:
        if pretrained is None or text.get("hf_tokenizer_name") == MINILM:
            return HFTokenizer(str(minilm_folder()), context_length=text["context_length"])
        return open_clip.get_tokenizer(model)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        _log.warning("the tokenizer of %s cannot be had here (%s)", model, error)
        return None


def _is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen: spaces, control characters, those of no width."""
    return all(unicodedata.category(character)[0] in "CZ" for character in text)


def _read_hugging_face(tokenize: Any, texts: Sequence[str]) -> list[Reading]:
    cleaned = [tokenize.clean_fn(text) for text in texts]
    inner, limit = tokenize.tokenizer, tokenize.context_length
    with TURN:
        encoded = inner(
            cleaned,
            truncation=False,
            return_special_tokens_mask=True,
            return_offsets_mapping=inner.is_fast,
            verbose=False,  # it would warn of what is told here
        )
    readings = []
    for row, text in enumerate(cleaned):
        ids = encoded["input_ids"][row]
        own = [not special for special in encoded["special_tokens_mask"][row]]
        unknown = [at for at, id_ in enumerate(ids) if own[at] and id_ == inner.unk_token_id]
        spans = [encoded["offset_mapping"][row][at] if inner.is_fast else (0, 0) for at in unknown]
        words = dict.fromkeys(text[start:end] or "?" for start, end in spans)
        share = len(unknown) / max(sum(own), 1)
        nothing = share == 1 or not any(own) or _is_blank(text)
        read = tuple(ids[: limit - 1])
        readings.append(Reading(tuple(words), share, len(ids), limit, read, nothing))
    return readings
