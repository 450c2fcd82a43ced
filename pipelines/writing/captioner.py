"""Models that caption pictures: teachers whose requests show one product, and name nobody."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pipelines.labelling.teachers.conversation import Turns, exchange, image_url_part, text_part
from pipelines.labelling.teachers.local_talk import LocalTalk, in_parts
from pipelines.labelling.teachers.local_vlm import find_model
from pipelines.labelling.teachers.pictures import Pictures
from pipelines.labelling.teachers.prompt import read_prompt
from pipelines.labelling.teachers.protocol import (
    Answer,
    Question,
    Request,
    Session,
    Teacher,
)
from pipelines.run.params import Captions, Params
from retrieval.storage.schema import ProductRow

FORM = 1  # raise it when the code changes what a caption may depend on

Picture = Callable[[str], dict[str, Any]]


class CaptionScript:
    """The prompt and the pictures, put together for a question about one product."""

    def __init__(self, params: Params, products: Sequence[ProductRow], folder: Path) -> None:
        """Read the prompts; no picture is opened yet.

        Args:
            params: Sections `captions` and `teacher`.
            products: Rows of the products table.
            folder: What the products' `image` is relative to.

        Raises:
            SystemExit: A prompt cannot be used.
        """
        captions, side = params.captions, params.teacher.image_size
        self.pictures = Pictures(folder, side, products)
        self._prompt = read_prompt(captions.prompt, frozenset({"words"})).format(
            words=captions.max_words
        )
        self._complaint = read_prompt(captions.complaint, frozenset({"complaint"}))
        self._tokens = len(self._prompt) / 4 + (side / 28) ** 2, 1.5 * captions.max_words
        self.settings: Mapping[str, Any] = {
            "form": FORM,
            "image_size": side,
            "prompt_sha256": _sha256(self._prompt),
            "complaint_sha256": _sha256(self._complaint),
            "max_output_tokens": captions.max_output_tokens,
        }

    def content(self, request: Request) -> list[str]:
        """The digest of the picture."""
        return [self.pictures.sha256(product) for product in request.presented]

    def expected_tokens(self, request: Request) -> tuple[float, float]:  # noqa: ARG002
        """A token for four characters, (image_size / 28)^2 for the picture; a short sentence."""
        return self._tokens

    def turns(self, question: Question, picture: Picture) -> Turns:
        """What is said for a question; after a complaint that exchange too."""
        [product] = question.request.presented
        turns: Turns = [{"role": "user", "content": [picture(product), text_part(self._prompt)]}]
        if question.complaint:
            complaint = self._complaint.format(complaint=question.complaint)
            turns += exchange(question, complaint)
        return turns


class OpenAICaptioner:
    """Asks the server of `teacher.openai`."""

    def __init__(self, params: Params, script: CaptionScript, pause: float = 1.0) -> None:
        """Nothing is asked yet. Raises SystemExit where `base_url` is no address."""
        from pipelines.labelling.teachers.openai_endpoint import check_address

        check_address(params.teacher.openai.base_url)
        limit = {"max_output_tokens": params.captions.max_output_tokens}
        self._openai = params.teacher.openai.model_copy(update=limit)
        self._script, self._pause = script, pause
        self.name = f"openai:{self._openai.model}"
        self.remedy = "change teacher.openai.model, captions.prompt or captions.max_output_tokens"
        self.settings: Mapping[str, Any] = {
            **script.settings,
            "model": self._openai.model,
            "temperature": self._openai.temperature,
        }
        self.content = script.content
        self.expected_tokens = script.expected_tokens

    def open(self) -> AbstractContextManager[Session]:
        """Calls are under way side by side."""
        from pipelines.labelling.teachers.openai_chat import open_calls

        return open_calls(self._openai, self._pause, self._messages, lambda _: None)

    def _messages(self, question: Question) -> Turns:
        data_url = self._script.pictures.data_url
        return self._script.turns(question, lambda product: image_url_part(data_url(product)))


class LocalCaptioner:
    """Asks the model of `teacher.transformers`, loaded when the first question comes."""

    def __init__(self, params: Params, script: CaptionScript) -> None:
        """Find the model. Raises SystemExit where it is neither a folder nor in the cache."""
        folder, name, digest = find_model(params.teacher.transformers.model)
        self._talk = LocalTalk(folder, params.compute.device, script.pictures)
        self._captions: Captions = params.captions
        self._batch_size = params.teacher.transformers.batch_size
        self._script = script
        self.name = f"transformers:{name}"
        self.remedy = (
            "change teacher.transformers.model, captions.prompt or captions.max_output_tokens"
        )
        self.settings: Mapping[str, Any] = {**script.settings, "model": digest}
        self.content = script.content
        self.expected_tokens = script.expected_tokens

    def open(self) -> AbstractContextManager[Session]:
        """Questions are answered in batches."""
        return self._talk.open(self._batch_size, self._answer)

    def _answer(self, batch: Sequence[Question]) -> list[Answer]:
        conversations = [
            in_parts(self._script.turns(question, self._talk.image_part)) for question in batch
        ]
        return self._talk.say(conversations, self._captions.max_output_tokens)


def make_captioner(params: Params, products: Sequence[ProductRow], folder: Path) -> Teacher:
    """Who captions by `captions.kind`.

    Raises:
        SystemExit: A prompt, the address or the model cannot be used.
    """
    script = CaptionScript(params, products, folder)
    if params.captions.kind == "transformers":
        return LocalCaptioner(params, script)
    return OpenAICaptioner(params, script)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
