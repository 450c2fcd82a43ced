"""Requests that wait together are answered together.

While one batch is worked on, the next one queues; a lone request never waits for company.
(BentoML's own batchable endpoints lose answers when a mounted application calls them.)
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

MOST_TOGETHER = 64
MOST_WAITING = 2_048


class OverloadedError(Exception):
    """More requests wait than will be answered in reasonable time."""


class Batcher(Generic[Question, Answer]):
    """Answers questions in batches, one batch at a time, on a thread of its own."""

    def __init__(
        self,
        work: Callable[[Sequence[Question]], Sequence[Answer | Exception]],
        most_together: int = MOST_TOGETHER,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """Remember what answers a batch.

        Args:
            work: Gives each question its answer, or the exception that its asker gets, in order.
            most_together: Questions a batch at most.
            most_waiting: Questions in the queue at most.
        """
        self._work = work
        self._most_together = most_together
        self._most_waiting = most_waiting
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batch")
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._working: asyncio.Task[None] | None = None

    async def ask(self, question: Question) -> Answer:
        """The answer to one question; call from one event loop only.

        Raises:
            OverloadedError: The queue is full.
            Exception: What `work` gave instead of an answer, or raised over the whole batch.
        """
        if len(self._waiting) >= self._most_waiting:
            msg = f"{len(self._waiting)} requests are waiting; try again in a second"
            raise OverloadedError(msg)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._drain())
        return await future

    async def between_batches(self, action: Callable[[], None]) -> None:
        """Run an action on the batches' thread, when none is being worked on."""
        await asyncio.get_running_loop().run_in_executor(self._thread, action)

    def close(self) -> None:
        """End the thread after the batch that it works on."""
        self._thread.shutdown(wait=True)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = self._waiting[: self._most_together]
            del self._waiting[: self._most_together]
            batch = [(question, future) for question, future in batch if not future.cancelled()]
            questions = [question for question, _ in batch]
            try:
                answers = await loop.run_in_executor(self._thread, self._work, questions)
            except Exception as error:  # noqa: BLE001 -- every asker gets it
                answers = [error] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                _settle(future, answer)


def _settle(future: "asyncio.Future[Answer]", answer: Answer | Exception) -> None:
    if future.done():  # its asker has gone
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
