"""A vision-language model of transformers in this process: its replies, the chances of numbers.

Conversations have the form of `AutoProcessor.apply_chat_template`: roles, and parts that are texts
or PIL images. B conversations a batch, T tokens (left-padded), D width, O options.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig

from pipelines.labelling.teachers.protocol import TeacherError
from retrieval.compute import resolve_device

Conversation = list[dict[str, Any]]
Tokens = tuple[int, ...]

REPLY_START = '{"ranking": ['
_NUMBER_END = ","  # without it 1 would begin 10 and never be less likely
_LOADING_FAULTS = (OSError, ValueError, ImportError, RuntimeError, KeyError)


@dataclass(frozen=True)
class Said:
    """A reply in words, with the tokens that it took and brought."""

    text: str
    input_tokens: int
    output_tokens: int
    cut: bool  # it had not come to its end


@dataclass(frozen=True)
class Chances:
    """Log-probability of each number from 1 up as the reply's first, and the tokens it took."""

    log_probabilities: tuple[float, ...]
    input_tokens: int


class LocalModel:
    """A model and its processor on one device."""

    def __init__(self, folder: Path, device: str) -> None:
        """Load both.

        Args:
            folder: As `save_pretrained` writes it.
            device: As in section `compute` of the parameters.

        Raises:
            TeacherError: The folder holds no such model, or one that this teacher cannot use.
        """
        self._device = resolve_device(device)
        self._processor, self._model = _load(folder)
        self._model.to(self._device).eval()
        self._tokenizer = self._processor.tokenizer
        self._tokenizer.padding_side = "left"  # replies begin where the padded prompts end
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        ends = self._model.generation_config.eos_token_id
        if ends is None:
            ends = self._tokenizer.eos_token_id
        self._ends = frozenset(ends if isinstance(ends, list) else [ends])
        # Greedy, and none of the penalties that some models come with: a reply repeats the prompt.
        self._model.generation_config = GenerationConfig(
            do_sample=False, eos_token_id=ends, pad_token_id=self._tokenizer.pad_token_id
        )

    def say(self, conversations: Sequence[Conversation], max_tokens: int) -> list[Said]:
        """The likeliest reply, token by token, to each conversation. Raises as `chances`."""
        inputs = self._inputs(conversations, [()] * len(conversations))
        tokens_BT = self._generate(inputs, max_tokens)[:, inputs["input_ids"].shape[1] :].tolist()
        texts = self._tokenizer.batch_decode(tokens_BT, skip_special_tokens=True)
        taken = inputs["attention_mask"].sum(dim=1).tolist()
        return [
            Said(text, count, self._length(tokens), self._ends.isdisjoint(tokens))
            for text, count, tokens in zip(texts, taken, tokens_BT, strict=True)
        ]

    def chances(
        self, conversations: Sequence[Conversation], counts: Sequence[int]
    ) -> list[Chances]:
        """How likely each number is to come first in the ranking that replies to a conversation.

        The reply has begun with `REPLY_START` and goes on with a number from 1 to the count and a
        comma; the chances of these options add up to 1. Where numbers share their first token,
        their log-probabilities are summed over tokens.

        Args:
            conversations: What is replied to.
            counts: How many numbers there are for each.

        Raises:
            TeacherError: The conversations do not fit the model or the memory, or the tokenizer
                has no tokens for the numbers alone.
        """
        start = self._encode(REPLY_START)
        options = [self._number_tokens(count) for count in counts]
        totals = [[0.0] * count for count in counts]
        taken = [0] * len(counts)
        for asked in _by_depth(options, len(conversations)):
            inputs = self._inputs(
                [conversations[who] for who, _ in asked], [(*start, *at) for _, at in asked]
            )
            hidden_BD = self._last_hidden(inputs)
            lengths = inputs["attention_mask"].sum(dim=1).tolist()
            for (who, at), hidden_D, length in zip(asked, hidden_BD, lengths, strict=True):
                following = _following(options[who])[at]
                chance = dict(zip(following, self._log_shares(hidden_D, following), strict=True))
                taken[who] += length
                for number, tokens in enumerate(options[who]):
                    if tokens[: len(at)] == at:
                        totals[who][number] += chance[tokens[len(at)]]
        return [Chances(tuple(total), count) for total, count in zip(totals, taken, strict=True)]

    def _number_tokens(self, count: int) -> list[Tokens]:
        """What follows `REPLY_START` for each number."""
        start = self._encode(REPLY_START)
        wholes = [
            self._encode(f"{REPLY_START}{number}{_NUMBER_END}") for number in range(1, count + 1)
        ]
        if any(whole[: len(start)] != start for whole in wholes):
            msg = (
                f"the tokenizer of the local teacher joins {REPLY_START!r} and the number after it"
                " into one token; set teacher.transformers.method: generate"
            )
            raise TeacherError(msg)
        return [whole[len(start) :] for whole in wholes]

    def _encode(self, text: str) -> Tokens:
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _inputs(
        self, conversations: Sequence[Conversation], begun: Sequence[Tokens]
    ) -> dict[str, torch.Tensor]:
        """Left-padded inputs; the replies have begun with tokens, equally many for each."""
        inputs = self._processor.apply_chat_template(
            list(conversations),
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            sanitize_control_tokens=True,  # "<image>" in a persona's text is text
            processor_kwargs={"padding": True},
        )
        moved: dict[str, torch.Tensor] = dict(inputs.to(self._device, dtype=self._model.dtype))
        if any(begun):
            moved = _append(moved, begun)
        room = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        length = moved["input_ids"].shape[1]
        if room and length > room:
            msg = (
                f"a question of {length} tokens does not fit the local teacher's {room};"
                " lower teacher.image_size or show fewer pictures"
            )
            raise TeacherError(msg)
        return moved

    def _generate(self, inputs: Mapping[str, torch.Tensor], max_tokens: int) -> torch.Tensor:
        try:
            tokens_BT: torch.Tensor = self._model.generate(**inputs, max_new_tokens=max_tokens)
        except torch.OutOfMemoryError as error:
            msg = (
                f"{len(inputs['input_ids'])} questions at once do not fit the memory of"
                f" {self._device}; lower teacher.transformers.batch_size or teacher.image_size"
            )
            raise TeacherError(msg) from error
        return tokens_BT

    def _last_hidden(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """What the output layer gets at the last place, B x D.

        Taken by way of `generate`, which knows the positions of left-padded tokens for every model.
        """
        seen: list[torch.Tensor] = []

        def keep_last(_: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
            seen.append(args[0][:, -1])

        hook = self._model.get_output_embeddings().register_forward_pre_hook(keep_last)
        try:
            self._generate(inputs, 1)
        finally:
            hook.remove()
        return seen[0]

    def _log_shares(self, hidden_D: torch.Tensor, tokens: Sequence[int]) -> list[float]:
        """Log-softmax over the tokens given.

        The last product is done again in fp32: in bf16, logits near 20 are whole eighths, and
        pictures would tie.
        """
        head = self._model.get_output_embeddings()
        rows = torch.tensor(tokens, device=self._device)
        bias = None if head.bias is None else head.bias[rows].float()
        logits_O = F.linear(hidden_D.float(), head.weight[rows].float(), bias)
        shares: list[float] = logits_O.log_softmax(dim=0).tolist()
        return shares

    def _length(self, tokens: Sequence[int]) -> int:
        """Tokens up to the end of the reply; after it comes padding."""
        ends = [place for place, token in enumerate(tokens, start=1) if token in self._ends]
        return ends[0] if ends else len(tokens)


def _load(folder: Path) -> tuple[Any, Any]:
    """Processor and model, in the precision in which the weights are stored."""
    try:
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        model, found = AutoModelForImageTextToText.from_pretrained(
            folder, dtype="auto", local_files_only=True, output_loading_info=True
        )
    except _LOADING_FAULTS as error:
        msg = (
            f"{folder} cannot be loaded as a model that takes pictures and text"
            f" ({(str(error) or repr(error)).splitlines()[0]}); set teacher.transformers.model to"
            " an image-text-to-text model"
        )
        raise TeacherError(msg) from error
    missing = sorted(found["missing_keys"])
    lacks = [
        f"weights ({len(missing)}, {', '.join(missing[:3])} ...)" if missing else "",
        "an image processor" if getattr(processor, "image_processor", None) is None else "",
        "a chat template" if getattr(processor, "chat_template", None) is None else "",
        "a linear output layer" if not isinstance(model.get_output_embeddings(), nn.Linear) else "",
    ]
    if any(lacks):
        msg = (
            f"the model in {folder} lacks {', '.join(filter(None, lacks))}; set"
            " teacher.transformers.model to a whole, instruction-tuned image-text-to-text model"
        )
        raise TeacherError(msg)
    return processor, model


def _append(inputs: Mapping[str, torch.Tensor], tails: Sequence[Tokens]) -> dict[str, torch.Tensor]:
    """Inputs with a tail for every row, all of one length."""
    ids_BT = inputs["input_ids"]
    tails_BT = torch.tensor(tails, dtype=ids_BT.dtype, device=ids_BT.device)
    added = {"input_ids": tails_BT, "attention_mask": torch.ones_like(tails_BT)}
    per_token = {name for name, tensor in inputs.items() if tensor.shape == ids_BT.shape}
    for name in per_token - added.keys():  # types of tokens, for some models: 0 is text
        added[name] = torch.zeros_like(tails_BT, dtype=inputs[name].dtype)
    return {
        name: torch.cat([tensor, added[name]], dim=1) if name in per_token else tensor
        for name, tensor in inputs.items()
    }


def _following(options: Sequence[Tokens]) -> dict[Tokens, list[int]]:
    """Beginnings of options that go on in more than one way, and the tokens that may follow."""
    tree: dict[Tokens, dict[int, None]] = defaultdict(dict)
    for tokens in options:
        for place, token in enumerate(tokens):
            tree[tokens[:place]][token] = None
    return {at: list(tokens) for at, tokens in tree.items() if len(tokens) > 1}


def _by_depth(options: Sequence[Sequence[Tokens]], size: int) -> list[list[tuple[int, Tokens]]]:
    """Which conversation to continue after which tokens: batches, each of tails of one length."""
    levels: dict[int, list[tuple[int, Tokens]]] = defaultdict(list)
    for who, tokens in enumerate(options):
        for at in _following(tokens):
            levels[len(at)].append((who, at))
    return [
        level[start : start + size]
        for _, level in sorted(levels.items())
        for start in range(0, len(level), size)
    ]
