"""The `transformers` teacher: a vision-language model in this process, in batches.

`method: logprobs` ranks by the chance that each picture's number comes first in the reply: one pass
of the model a question. If the model's rankings are Plackett-Luce distributed, which is the model
behind the loss of `distill`, that is its likeliest ranking; number after number would cost a pass
each. It is always a permutation, and equal chances are a fault, never decided by place.

`method: generate` passes on what the model writes.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pipelines.labelling.teachers.conversation import Script
from pipelines.labelling.teachers.local_talk import LocalTalk, in_parts
from pipelines.labelling.teachers.protocol import Answer, Question, Request, Session
from pipelines.labelling.teachers.replies import write_reply
from pipelines.run.params import Teacher as TeacherParams
from retrieval.storage.files import sha256_folder
from retrieval.storage.schema import PersonaRow, ProductRow

_NOT_READ = frozenset({"README.md", "LICENSE", ".gitattributes", ".DS_Store"})


class LocalTeacher:
    """Asks a model on the device at hand; it is loaded when the first question comes."""

    def __init__(
        self,
        params: TeacherParams,
        personas: Sequence[PersonaRow],
        products: Sequence[ProductRow],
        folder: Path,
        device: str,
    ) -> None:
        """Read the prompts and find the model; a folder's weights are digested.

        Args:
            params: Prompts, size of the pictures, and the section `transformers`.
            personas: Rows of the personas table.
            products: Rows of the products table.
            folder: What the products' `image` is relative to.
            device: As in section `compute` of the parameters.

        Raises:
            SystemExit: A prompt cannot be used, or the model is neither a folder nor in the cache.
        """
        self._params = params.transformers
        self._script = Script(params, personas, products, folder)
        model_folder, name, digest = find_model(params.transformers.model)
        self._talk = LocalTalk(model_folder, device, self._script.pictures)
        self.name = f"transformers:{name}"
        self.remedy = (
            "Where replies are cut, raise teacher.transformers.max_output_tokens"
            f" ({params.transformers.max_output_tokens}); otherwise change"
            f" teacher.transformers.method ({params.transformers.method}) or model, or"
            " teacher.prompt"
        )
        # Neither batch size nor device: they change no more than the last bits of a chance.
        generated = params.transformers.method == "generate"
        self.settings: Mapping[str, Any] = {
            **self._script.settings,
            "model": digest,
            "method": params.transformers.method,
            "max_output_tokens": params.transformers.max_output_tokens if generated else None,
        }

    def content(self, request: Request) -> dict[str, Any]:
        """The persona's text and the digests of the pictures in order."""
        return self._script.content(request)

    def expected_tokens(self, request: Request) -> tuple[float, float]:
        """Tokens that asking takes and brings, roughly.

        In: as `Script.input_tokens` has it. Out: none by `logprobs`; by `generate` 3 for each
        number and 8 around them.
        """
        taken = self._script.input_tokens(request)
        if self._params.method == "logprobs":
            return taken, 0.0
        return taken, float(min(self._params.max_output_tokens, 8 + 3 * len(request.presented)))

    def open(self) -> AbstractContextManager[Session]:
        """Questions are answered in batches.

        Waiting raises a `TeacherError` where the model cannot be loaded or does not fit, or a
        picture cannot be shown.
        """
        return self._talk.open(self._params.batch_size, self._answer)

    def _answer(self, batch: Sequence[Question]) -> list[Answer]:
        conversations = [
            in_parts(self._script.turns(question, self._talk.image_part)) for question in batch
        ]
        if self._params.method == "generate":
            return self._talk.say(conversations, self._params.max_output_tokens)
        counts = [len(question.request.presented) for question in batch]
        return [
            rank_by_chance(chances.log_probabilities, chances.input_tokens)
            for chances in self._talk.model().chances(conversations, counts)
        ]


def find_model(model: str) -> tuple[Path, str, str]:
    """A model's folder, its name, and a digest of what it is.

    For a folder, the digest of its files: who trains it further has another teacher. For a name on
    the hub, its commit in the cache; nothing is downloaded.

    Raises:
        SystemExit: It is neither.
    """
    if Path(model).is_dir():
        return Path(model), Path(model).resolve().name, sha256_folder(Path(model), _NOT_READ)
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(model, local_files_only=True))
    except (OSError, ValueError) as error:
        msg = (
            f"teacher.transformers.model is {model!r}: neither a folder nor in the hub's cache on"
            f" this machine; give a model's folder, or fetch it with `hf download {model}`"
        )
        raise SystemExit(msg) from error
    return folder, model, folder.name


def rank_by_chance(log_probabilities: Sequence[float], input_tokens: int = 0) -> Answer:
    """The reply that puts likelier pictures first; a fault where two are equally likely."""
    if not all(map(math.isfinite, log_probabilities)):
        fault = "the model gives chances that are no numbers; another precision may help"
        return Answer("", fault, input_tokens)
    if len(set(log_probabilities)) < len(log_probabilities):
        return Answer("", "the model finds two pictures equally likely", input_tokens)
    places = range(len(log_probabilities))
    order = sorted(places, key=log_probabilities.__getitem__, reverse=True)
    return Answer(write_reply(order), "", input_tokens)
