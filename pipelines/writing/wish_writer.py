"""A text model that writes wishes: a teacher whose requests are interests, and show no picture.

A request without an interest asks for interests, those of `presented` aside; one with an interest
asks for wishes, and its `repeat` chooses the angle.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from pipelines.labelling.teachers.conversation import Turns, exchange
from pipelines.labelling.teachers.prompt import read_prompt
from pipelines.labelling.teachers.protocol import Question, Request, Session
from pipelines.run.params import Params, Personas
from pipelines.writing.wishes import FACETS, read_interests, read_wishes

FORM = 1  # raise it when the code changes what a reply may depend on
ANGLES = (
    "they look for something for themselves",
    "somebody in their family looks for a present for them",
    "a friend or a colleague looks for a present for them",
    "there is an occasion, a season or a journey",
    "money matters: little of it, or plenty",
    "they do not say it outright; one infers it from what they tell",
)
_TOKENS_A_WISH = 90
_TOKENS_AN_INTEREST = 8
_COMMON_FIELDS = frozenset({"categories", "captions", "count", "language"})
_INTEREST_FIELDS = _COMMON_FIELDS | {"known"}
_WISH_FIELDS = _COMMON_FIELDS | {"interest", "angle", "relations", "occasions", "budgets"}
_LANGUAGES = {
    "de": "German", "en": "English", "es": "Spanish", "fr": "French", "it": "Italian",
    "nl": "Dutch", "pt": "Portuguese", None: "the language of these descriptions",
}  # fmt: skip


@dataclass(frozen=True)
class Glimpse:
    """What the model sees of the catalogue."""

    categories: Sequence[str]
    captions: Sequence[str]

    @property
    def fields(self) -> dict[str, str]:
        """For both prompts."""
        return {
            "categories": ", ".join(self.categories) or "(it has none)",
            "captions": "\n".join(f"- {caption}" for caption in self.captions),
        }


class WishWriter:
    """Asks the server of `teacher.openai`."""

    def __init__(self, params: Params, glimpse: Glimpse, pause: float = 1.0) -> None:
        """Read the prompts; nothing is asked yet.

        Args:
            params: Sections `personas` and `teacher`.
            glimpse: What is shown of the catalogue.
            pause: Seconds before the first retry, about.

        Raises:
            SystemExit: A prompt cannot be used, or `base_url` is no address.
        """
        from pipelines.labelling.teachers.openai_endpoint import check_address

        openai, wanted = params.teacher.openai, params.personas
        check_address(openai.base_url)
        changes = {
            "model": wanted.model or openai.model, "max_output_tokens": wanted.max_output_tokens
        }  # fmt: skip
        self._personas: Personas = wanted
        self._openai = openai.model_copy(update=changes)
        self._pause = pause
        self._fields = {**glimpse.fields, "language": _LANGUAGES[wanted.language]}
        self._interests = read_prompt(wanted.interests_prompt, _INTEREST_FIELDS)
        self._wishes = read_prompt(wanted.wishes_prompt, _WISH_FIELDS)
        self._complaint = read_prompt(wanted.complaint, frozenset({"complaint"}))
        self.name = f"openai:{self._openai.model}"
        self.remedy = "change personas.model, its prompts or personas.max_output_tokens"
        self.settings: Mapping[str, Any] = {
            "form": FORM,
            "model": self._openai.model,
            "temperature": self._openai.temperature,
            "max_output_tokens": self._openai.max_output_tokens,
            "structured": self._openai.structured,
            "complaint_sha256": hashlib.sha256(self._complaint.encode()).hexdigest(),
        }

    def content(self, request: Request) -> str:
        """The whole prompt."""
        if not request.persona_id:
            missing = self._personas.interests - len(request.presented)
            known = "; ".join(request.presented) or "(none yet)"
            return self._interests.format(count=missing, known=known, **self._fields)
        return self._wishes.format(
            interest=request.persona_id,
            count=self._personas.wishes_per_call,
            angle=ANGLES[request.repeat % len(ANGLES)],
            **{f"{name}s": ", ".join(values) for name, values in FACETS.items()},
            **self._fields,
        )

    def expected_tokens(self, request: Request) -> tuple[float, float]:
        """In: a token for four characters. Out: 90 a wish, 8 an interest."""
        brought = _TOKENS_AN_INTEREST * self._personas.interests
        if request.persona_id:
            brought = _TOKENS_A_WISH * self._personas.wishes_per_call
        return len(self.content(request)) / 4, float(min(brought, self._openai.max_output_tokens))

    def open(self) -> AbstractContextManager[Session]:
        """Calls are under way side by side."""
        from pipelines.labelling.teachers.openai_chat import open_calls

        return open_calls(self._openai, self._pause, self._messages, _form)

    def _messages(self, question: Question) -> Turns:
        turns: Turns = [{"role": "user", "content": self.content(question.request)}]
        if question.complaint:
            complaint = self._complaint.format(complaint=question.complaint)
            turns += exchange(question, complaint)
        return turns


def read_words(raw: str, request: Request) -> tuple[list[Any] | None, str]:
    """Interests or wishes, as the request asks for: the `Reader` of this writer's replies."""
    return read_wishes(raw) if request.persona_id else read_interests(raw)


def _form(question: Question) -> Mapping[str, Any]:
    from pipelines.labelling.teachers.openai_endpoint import object_form, object_schema

    text: dict[str, Any] = {"type": "string"}
    if not question.request.persona_id:
        return object_form("interests", {"interests": {"type": "array", "items": text}})
    choices = {name: {"type": "string", "enum": list(values)} for name, values in FACETS.items()}
    wish = object_schema({"text": text, "paraphrase": text, **choices})
    return object_form("wishes", {"wishes": {"type": "array", "items": wish}})
