"""Requests that wait together are answered together.

While one batch is worked on, the next one queues; a lone request never waits for company.
(BentoML's own batchable endpoints lose answers when a mounted application calls them.)
"""

import asyncio
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

MOST_TOGETHER = 64
MOST_WAITING = 2_048


class OverloadedError(Exception):
    """More requests wait than will be answered in reasonable time."""


class EndingError(OverloadedError):
    """The service ends, and answers no more."""


def _be_nice(nice: int) -> None:
    if nice and sys.platform == "linux":  # elsewhere niceness is a process's, not a thread's
        os.nice(nice)


class BatchThread:
    """The one thread that batches of every kind run on, one after the other."""

    def __init__(self, nice: int = 0) -> None:
        """Start it at the first batch.

        Args:
            nice: How much more than others it leaves the cores to them, 0 to 19 (`man nice`).
        """
        self._thread = ThreadPoolExecutor(1, "batch", initializer=partial(_be_nice, nice))

    def run(self, batch: Callable[[], None]) -> bool:
        """Run a batch after those that were asked for before it; returns at once.

        Returns:
            Whether it will be run: not after `close`.
        """
        try:
            self._thread.submit(batch)
        except RuntimeError:
            return False
        return True

    async def between_batches(self, action: Callable[[], None]) -> None:
        """Run an action when no batch is being worked on, and wait for it."""
        await asyncio.get_running_loop().run_in_executor(self._thread, action)

    def close(self) -> None:
        """Work off what was asked for, then end."""
        self._thread.shutdown(wait=True)


class Batcher(Generic[Question, Answer]):
    """Answers questions of one kind in batches."""

    def __init__(
        self,
        thread: BatchThread,
        answer: Callable[[Sequence[Question]], Sequence[Answer]],
        most_together: int = MOST_TOGETHER,
        most_waiting: int = MOST_WAITING,
        waited: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Remember what answers a batch.

        Args:
            thread: Where batches are answered.
            answer: Gives the answers to a batch of questions, in order. Where it raises, each
                question of the batch is asked again alone, and its asker gets what that raises.
            most_together: Questions a batch at most.
            most_waiting: Questions in the queue at most.
            waited: Hears for each question how long it was in the queue, in seconds.
        """
        self._thread = thread
        self._answer = answer
        self._most_together = most_together
        self._most_waiting = most_waiting
        self._waited = waited
        self._waiting: deque[tuple[Question, Future[Answer], float]] = deque()
        self._taken_up = False  # whether a batch is worked on, or asked for
        self._turn = threading.Lock()

    async def ask(self, question: Question) -> Answer:
        """The answer to one question.

        Raises:
            OverloadedError: The queue is full.
            Exception: What answering this question alone raised.
        """
        if len(self._waiting) >= self._most_waiting:
            msg = f"{len(self._waiting)} requests are waiting; try again in a second"
            raise OverloadedError(msg)
        future: Future[Answer] = Future()
        asked = time.perf_counter()
        with self._turn:
            self._waiting.append((question, future, asked))
            if not self._taken_up:
                self._taken_up = self._thread.run(self._next_batch)
            if not self._taken_up:
                self._waiting.clear()
                msg = "the service is ending; ask again in a few seconds"
                raise EndingError(msg)
        return await asyncio.wrap_future(future)

    def _next_batch(self) -> None:
        """Answer what waits by now; what is left comes after what others ask for meanwhile."""
        later = False
        while not later:
            with self._turn:
                together = min(len(self._waiting), self._most_together)
                batch = [self._waiting.popleft() for _ in range(together)]
            self._answer_batch(self._wanted(batch))
            with self._turn:
                self._taken_up = bool(self._waiting)
                later = not self._taken_up or self._thread.run(self._next_batch)

    def _wanted(
        self, batch: Sequence[tuple[Question, Future[Answer], float]]
    ) -> list[tuple[Question, Future[Answer]]]:
        """The questions whose askers still wait."""
        now, wanted = time.perf_counter(), []
        for question, future, asked in batch:
            if future.set_running_or_notify_cancel():
                self._waited(now - asked)
                wanted.append((question, future))
        return wanted

    def _answer_batch(self, batch: Sequence[tuple[Question, Future[Answer]]]) -> None:
        if not batch:
            return
        try:
            answers = self._answer([question for question, _ in batch])
            answered = list(zip(batch, answers, strict=True))
        except Exception as error:  # noqa: BLE001 -- its asker gets it, and nobody else
            if len(batch) == 1:
                batch[0][1].set_exception(error)
            else:
                for one in batch:
                    self._answer_batch([one])
        else:
            for (_, future), answer in answered:
                future.set_result(answer)
