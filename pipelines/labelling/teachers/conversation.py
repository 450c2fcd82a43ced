"""What is said to a vision-language model, whichever way it is reached."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.labelling.teachers.pictures import Pictures
from pipelines.labelling.teachers.prompt import read_prompts
from pipelines.labelling.teachers.protocol import Question, Request
from pipelines.run.params import Teacher as TeacherParams
from retrieval.storage.schema import PersonaRow, ProductRow

# Raise it when the code changes what a reply may depend on: turns, pictures, how replies are got.
FORM = 1

Turns = list[dict[str, Any]]


class Script:
    """Prompts, personas and pictures, put together for a question."""

    def __init__(
        self,
        params: TeacherParams,
        personas: Sequence[PersonaRow],
        products: Sequence[ProductRow],
        folder: Path,
    ) -> None:
        """Read the prompts; no picture is opened yet.

        Args:
            params: Prompts, and the size of the pictures.
            personas: Rows of the personas table.
            products: Rows of the products table.
            folder: What the products' `image` is relative to.

        Raises:
            SystemExit: A prompt cannot be used.
        """
        self.pictures = Pictures(folder, params.image_size, products)
        self._prompts = read_prompts(params.prompt, params.complaint)
        self._personas = {persona["persona_id"]: persona["text"] for persona in personas}
        self._picture_tokens = (params.image_size / 28) ** 2
        self.settings: Mapping[str, Any] = {
            "form": FORM,
            "image_size": params.image_size,
            **self._prompts.digests,
        }

    def content(self, request: Request) -> dict[str, Any]:
        """The persona's text and the digests of the pictures in order."""
        return {
            "persona": self._personas[request.persona_id],
            "images": [self.pictures.sha256(product) for product in request.presented],
        }

    def input_tokens(self, request: Request) -> float:
        """Tokens that asking takes, roughly.

        A token for four characters of the prompt; for each picture (image_size / 28)^2, what
        Qwen2-VL and its successors take for a square one, and 6 for its number.
        """
        return len(self._ask(request)) / 4 + len(request.presented) * (self._picture_tokens + 6)

    def turns(self, question: Question, picture: Callable[[str], dict[str, Any]]) -> Turns:
        """The prompt, each picture under its number; after a complaint that exchange too.

        Args:
            question: What is asked.
            picture: The part of a turn that shows a product.
        """
        request = question.request
        parts = [text_part(self._ask(request))]
        for number, product in enumerate(request.presented, start=1):
            parts += [text_part(f"Picture {number}:"), picture(product)]
        turns: Turns = [{"role": "user", "content": parts}]
        if question.complaint:
            complaint = self._prompts.complain(question.complaint, len(request.presented))
            turns += exchange(question, complaint)
        return turns

    def _ask(self, request: Request) -> str:
        return self._prompts.ask(self._personas[request.persona_id], len(request.presented))


def exchange(question: Question, complaint: str) -> Turns:
    """The reply before, and what is said of it."""
    # Many chat templates refuse two turns of one side, or an empty one.
    return [
        {"role": "assistant", "content": question.previous or "(nothing)"},
        {"role": "user", "content": complaint},
    ]


def image_url_part(url: str) -> dict[str, Any]:
    """The part of a turn that is a picture, for a server."""
    return {"type": "image_url", "image_url": {"url": url}}


def text_part(text: str) -> dict[str, Any]:
    """The part of a turn that is text."""
    return {"type": "text", "text": text}
