"""The `openai` teacher: any OpenAI-compatible chat endpoint (vLLM, SGLang, a hosted one).

One call shows one persona and a few numbered pictures. It answers questions as they are taken, a
bounded number at once; what the server says of itself (429, 5xx, Retry-After) sets the pace.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pipelines.labelling.teachers.conversation import Script, Turns
from pipelines.labelling.teachers.openai_endpoint import Endpoint, check_address
from pipelines.labelling.teachers.protocol import Answer, Question, Request
from pipelines.run.params import Teacher as TeacherParams

Answered = tuple[Question, Answer]
Call = asyncio.Task[Answered]


class OpenAITeacher:
    """Asks a vision-language model behind HTTP."""

    def __init__(
        self,
        params: TeacherParams,
        personas: Sequence[Mapping[str, Any]],
        products: Sequence[Mapping[str, Any]],
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

    def answer(self, questions: Iterable[Question]) -> Iterator[Sequence[Answered]]:
        """Each question with its answer, as they come in.

        An iterable that ran dry is tried again while calls are under way: it may hold more once
        answers have come.

        Raises:
            TeacherError: The server cannot be asked at all now, or a picture cannot be shown.
        """
        limit = self._params.concurrency
        endpoint = Endpoint(self._params, self._pause)
        with asyncio.Runner() as runner, closing(_Calls(runner, endpoint, limit)) as calls:
            ahead = iter(questions)
            while True:
                while calls.room and (question := next(ahead, None)) is not None:
                    calls.start(self._ask(endpoint, question))
                if not calls.under_way:
                    return
                answered, fault = calls.wait()
                if answered:
                    yield answered
                if fault:
                    raise fault

    def messages(self, question: Question) -> Turns:
        """What is sent for a question."""
        return self._script.turns(question, self._picture)

    def _picture(self, product: str) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": self._script.pictures.data_url(product)}}

    async def _ask(self, endpoint: Endpoint, question: Question) -> Answered:
        count = len(question.request.presented)
        return question, await endpoint.chat(self.messages(question), count)


class _Calls:
    """Calls under way on the runner's event loop, which turns only while it is waited."""

    def __init__(self, runner: asyncio.Runner, endpoint: Endpoint, limit: int) -> None:
        self._runner = runner
        self._endpoint = endpoint
        self._limit = limit
        self.under_way: set[Call] = set()

    @property
    def room(self) -> bool:
        return len(self.under_way) < self._limit

    def start(self, call: Coroutine[Any, Any, Answered]) -> None:
        self.under_way.add(self._runner.get_loop().create_task(call))

    def wait(self) -> tuple[list[Answered], BaseException | None]:
        """What has come once at least one call is done, and the first that went wrong."""
        done, self.under_way = self._runner.run(_first(self.under_way))
        faults = [fault for call in done if (fault := call.exception())]
        return [call.result() for call in done if not call.exception()], next(iter(faults), None)

    def close(self) -> None:
        """Give up what is under way."""
        self._runner.run(self._close())

    async def _close(self) -> None:
        for call in self.under_way:
            call.cancel()
        await asyncio.gather(*self.under_way, return_exceptions=True)
        await self._endpoint.close()


async def _first(calls: set[Call]) -> tuple[set[Call], set[Call]]:
    return await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
