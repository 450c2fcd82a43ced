"""Questions to a local vision-language model: loaded when the first one comes, answered by batches.

Its conversations hold PIL images and parts only, in the form of `AutoProcessor`.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.labelling.teachers.conversation import Turns, text_part
from pipelines.labelling.teachers.pictures import Pictures
from pipelines.labelling.teachers.protocol import Answer, Batches, Question, Session

if TYPE_CHECKING:  # takes seconds to import, and minutes to load
    from pipelines.labelling.teachers.local_model import LocalModel


class LocalTalk:
    """A model's folder, and what is said to the model in it."""

    def __init__(self, folder: Path, device: str, pictures: Pictures) -> None:
        """Nothing is loaded yet.

        Args:
            folder: Of the model.
            device: As in section `compute` of the parameters.
            pictures: Of the products that conversations show.
        """
        self._folder, self._device, self._pictures = folder, device, pictures
        self._model: LocalModel | None = None

    def model(self) -> "LocalModel":
        """The model, loaded when it is first asked for. Raises as `LocalModel`."""
        if self._model is None:
            from pipelines.labelling.teachers.local_model import LocalModel

            self._model = LocalModel(self._folder, self._device)
        return self._model

    def open(
        self, batch_size: int, answer: Callable[[Sequence[Question]], list[Answer]]
    ) -> AbstractContextManager[Session]:
        """Questions are answered in batches, each answer with its share of the batch's time."""

        def timed(batch: Sequence[Question]) -> list[Answer]:
            self.model()  # loading it is no answer's time
            started = time.monotonic()
            answers = answer(batch)
            seconds = (time.monotonic() - started) / len(batch)
            return [replace(one, seconds=seconds) for one in answers]

        return nullcontext(Batches(batch_size, timed))

    def say(self, conversations: Sequence[Turns], max_output_tokens: int) -> list[Answer]:
        """The model's words; a reply that had not come to its end is a fault."""
        cut = f"cut at max_output_tokens: {max_output_tokens}"
        return [
            Answer(said.text, cut if said.cut else "", said.input_tokens, said.output_tokens)
            for said in self.model().say(conversations, max_output_tokens)
        ]

    def image_part(self, product: str) -> dict[str, object]:
        """The part of a turn that shows a product."""
        return {"type": "image", "image": self._pictures.image(product)}


def in_parts(turns: Turns) -> Turns:
    """Turns whose content is parts only: a text becomes one."""
    return [
        {**turn, "content": [text_part(said)] if isinstance(said := turn["content"], str) else said}
        for turn in turns
    ]
