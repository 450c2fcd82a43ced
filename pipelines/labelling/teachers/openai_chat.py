"""The `openai` teacher: any OpenAI-compatible chat endpoint (vLLM, SGLang, a hosted one).

One call shows one persona and a few numbered pictures. A bounded number of calls is under way at
once; what the server says of itself (429, 5xx, Retry-After) sets the pace.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pipelines.labelling.teachers.conversation import Script, Turns, image_url_part
from pipelines.labelling.teachers.openai_endpoint import (
    Endpoint,
    Form,
    check_address,
    ranking_form,
)
from pipelines.labelling.teachers.protocol import Answered, Question, Request, Session
from pipelines.run.params import OpenAITeacher as OpenAIParams
from pipelines.run.params import Teacher as TeacherParams
from retrieval.storage.schema import PersonaRow, ProductRow

Call = asyncio.Task[Answered]


class OpenAITeacher:
    """Asks a vision-language model behind HTTP."""

    def __init__(
        self,
        params: TeacherParams,
        personas: Sequence[PersonaRow],
        products: Sequence[ProductRow],
        folder: Path,
        pause: float = 1.0,
    ) -> None:
        """Read the prompts; nothing is asked yet.

        Args:
            params: Prompts, size of the pictures, and the section `openai`.
            personas: Rows of the personas table.
            products: Rows of the products table.
            folder: What the products' `image` is relative to.
            pause: Seconds before the first retry, about; each further pause is twice as long.

        Raises:
            SystemExit: A prompt cannot be used, or `base_url` is no address.
        """
        check_address(params.openai.base_url)
        self._params = params.openai
        self._pause = pause
        self._script = Script(params, personas, products, folder)
        self.name = f"openai:{params.openai.model}"
        self.remedy = (
            "Where replies are cut, or a model thinks before it answers, raise"
            f" teacher.openai.max_output_tokens ({params.openai.max_output_tokens}); otherwise set"
            f" teacher.openai.structured ({str(params.openai.structured).lower()}) the other way,"
            " or change teacher.openai.model or teacher.prompt"
        )
        # Not the address: servers move, and a model is taken to answer alike wherever it runs; who
        # serves another one under the same name gives it another name. Nor whether the server
        # turned out to offer structured output: a run that learns it keeps its labels.
        self.settings: Mapping[str, Any] = {
            **self._script.settings,
            "model": params.openai.model,
            "temperature": params.openai.temperature,
            "max_output_tokens": params.openai.max_output_tokens,
            "structured": params.openai.structured,
        }

    def content(self, request: Request) -> dict[str, Any]:
        """The persona's text and the digests of the pictures in order."""
        return self._script.content(request)

    def expected_tokens(self, request: Request) -> tuple[float, float]:
        """Tokens that asking takes and brings, roughly.

        In: as `Script.input_tokens` has it. Out: 3 for each number and 8 around them,
        `max_output_tokens` at most; a model that thinks aloud takes more.
        """
        brought = min(self._params.max_output_tokens, 8 + 3 * len(request.presented))
        return self._script.input_tokens(request), float(brought)

    @contextmanager
    def open(self) -> Iterator[Session]:
        """Calls are under way side by side.

        Waiting raises a `TeacherError` where the server cannot be asked at all now, or a picture
        cannot be shown.

        Raises:
            TeacherError: The key cannot be a key.
        """
        with open_calls(self._params, self._pause, self.messages, _ranking_form) as calls:
            yield calls

    def messages(self, question: Question) -> Turns:
        """What is sent for a question."""
        return self._script.turns(question, self._picture)

    def _picture(self, product: str) -> dict[str, Any]:
        return image_url_part(self._script.pictures.data_url(product))


def _ranking_form(question: Question) -> Form:
    return ranking_form(len(question.request.presented))


@contextmanager
def open_calls(
    params: OpenAIParams,
    pause: float,
    messages: Callable[[Question], Turns],
    form: Callable[[Question], Form | None],
) -> Iterator[Session]:
    """Calls under way side by side; what is not answered at the end is given up.

    Args:
        params: Section `teacher.openai`.
        pause: Seconds before the first retry, about.
        messages: What is sent for a question.
        form: What its reply is to look like; None: free text.

    Raises:
        TeacherError: The key cannot be a key.
    """
    endpoint = Endpoint(params, pause)

    async def call(question: Question) -> Answered:
        return question, await endpoint.chat(messages(question), form(question))

    with (
        asyncio.Runner() as runner,
        closing(_Calls(runner, endpoint, params.concurrency, call)) as calls,
    ):
        yield calls


class _Calls:
    """Calls under way on the runner's event loop, which turns only while they are waited for."""

    def __init__(
        self,
        runner: asyncio.Runner,
        endpoint: Endpoint,
        limit: int,
        call: Callable[[Question], Coroutine[Any, Any, Answered]],
    ) -> None:
        self._runner = runner
        self._endpoint = endpoint
        self._limit = limit
        self._call = call
        self._under_way: set[Call] = set()
        self._fault: BaseException | None = None

    @property
    def room(self) -> int:
        """None once a call went wrong: the next wait says so."""
        return 0 if self._fault else self._limit - len(self._under_way)

    def ask(self, question: Question) -> None:
        self._under_way.add(self._runner.get_loop().create_task(self._call(question)))

    def wait(self) -> list[Answered]:
        """What came beside a call that went wrong is returned first, and the fault raised then."""
        if self._fault is None:
            done, self._under_way = self._runner.run(_first(self._under_way))
            self._fault = next((fault for call in done if (fault := call.exception())), None)
            if answered := [call.result() for call in done if not call.exception()]:
                return answered
        assert self._fault is not None
        raise self._fault

    def close(self) -> None:
        """Give up what is under way."""
        self._runner.run(self._close())

    async def _close(self) -> None:
        for call in self._under_way:
            call.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._endpoint.close()


async def _first(calls: set[Call]) -> tuple[set[Call], set[Call]]:
    return await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
