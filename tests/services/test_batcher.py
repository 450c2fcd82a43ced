import asyncio
import os
import sys
import threading
import time
from concurrent.futures import Future

import pytest

from services.search.batcher import Batcher, BatchThread, OverloadedError


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario(), 10))


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


def test_a_lone_question_is_answered_at_once_and_alone():
    batches = []

    async def scenario():
        batcher = Batcher(
            BatchThread(), lambda asked: batches.append(list(asked)) or [2 * one for one in asked]
        )
        return [await batcher.ask(1), await batcher.ask(2)]

    assert run(scenario) == [2, 4]
    assert batches == [[1], [2]]


def test_what_queues_while_a_batch_runs_is_answered_together():
    batches = []
    go_on = threading.Event()

    def work(asked):
        batches.append(list(asked))
        assert go_on.wait(10)
        return list(asked)

    async def scenario():
        batcher = Batcher(BatchThread(), work, most_together=4)
        first = asyncio.create_task(batcher.ask(0))
        await until(lambda: batches)
        others = [asyncio.create_task(batcher.ask(number)) for number in range(1, 7)]
        await asyncio.sleep(0)  # so that they ask
        go_on.set()
        return [await first, *await asyncio.gather(*others)]

    assert run(scenario) == list(range(7))
    assert batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_where_a_batch_fails_each_asker_gets_its_own_answer_or_error():
    batches = []
    go_on = threading.Event()

    def work(asked):
        batches.append(list(asked))
        assert go_on.wait(10)
        odd = [one for one in asked if one % 2]
        if odd:
            msg = f"{odd} are odd"
            raise ValueError(msg)
        return [10 * one for one in asked]

    async def scenario():
        batcher = Batcher(BatchThread(), work)
        tasks = [asyncio.create_task(batcher.ask(0))]
        await until(lambda: batches)
        tasks += [asyncio.create_task(batcher.ask(number)) for number in (1, 2, 3)]
        await asyncio.sleep(0)  # so that they ask
        go_on.set()
        return await asyncio.gather(*tasks, return_exceptions=True), await batcher.ask(4)

    (zero, one, two, three), four = run(scenario)
    assert (zero, two, four) == (0, 20, 40)
    assert (str(one), str(three)) == ("[1] are odd", "[3] are odd")
    assert batches == [[0], [1, 2, 3], [1], [2], [3], [4]]


def test_an_answer_for_everyone_or_the_fault_is_told():
    async def scenario():
        batcher = Batcher(BatchThread(), lambda asked: [])
        with pytest.raises(ValueError, match="zip"):
            await batcher.ask(1)

    run(scenario)


def test_kinds_of_questions_share_a_thread_and_never_run_at_once():
    running, most, seen = [], [], []

    def work(name):
        def answer(asked):
            running.append(name)
            most.append(len(running))
            seen.append((name, len(asked)))
            time.sleep(0.005)
            running.pop()
            return [f"{name}{one}" for one in asked]

        return answer

    async def scenario():
        thread = BatchThread()
        batchers = [Batcher(thread, work(name)) for name in "ab"]
        asked = [batchers[number % 2].ask(number) for number in range(20)]
        answers = await asyncio.gather(*asked)
        thread.close()
        return answers

    assert run(scenario) == [f"{'ab'[number % 2]}{number}" for number in range(20)]
    assert set(most) == {1}
    assert len(seen) < 20
    assert {name for name, together in seen if together > 1} == {"a", "b"}


def test_too_many_waiting_are_refused_and_the_others_answered():
    go_on = threading.Event()
    begun = []

    def work(asked):
        begun.append(asked)
        assert go_on.wait(10)
        return list(asked)

    async def scenario():
        batcher = Batcher(BatchThread(), work, 1, most_waiting=3)
        tasks = [asyncio.create_task(batcher.ask(0))]
        await until(lambda: begun)  # it waits no longer
        tasks += [asyncio.create_task(batcher.ask(number)) for number in range(1, 6)]
        await asyncio.sleep(0)  # so that they ask
        go_on.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    got = run(scenario)
    assert got[:4] == [0, 1, 2, 3]
    assert all(isinstance(one, OverloadedError) for one in got[4:])


def test_an_asker_that_has_gone_disturbs_nobody():
    go_on = threading.Event()
    seen = []

    def work(asked):
        seen.append(list(asked))
        assert go_on.wait(10)
        return list(asked)

    async def scenario():
        batcher = Batcher(BatchThread(), work)
        first = asyncio.create_task(batcher.ask(0))
        await until(lambda: seen)
        gone, stays = (asyncio.create_task(batcher.ask(number)) for number in (1, 2))
        await asyncio.sleep(0)  # so that they ask
        for one in (first, gone):
            one.cancel()
            with pytest.raises(asyncio.CancelledError):
                await one
        go_on.set()
        return await stays

    assert run(scenario) == 2
    assert seen == [[0], [2]]


def test_an_action_between_batches_runs_when_none_is_worked_on():
    working = []
    overlaps = []

    def work(asked):
        working.append(1)
        time.sleep(0.005)
        working.pop()
        return list(asked)

    async def scenario():
        thread = BatchThread()
        batcher = Batcher(thread, work, most_together=2)
        asked = [asyncio.create_task(batcher.ask(number)) for number in range(40)]
        for _ in range(5):
            await thread.between_batches(lambda: overlaps.append(len(working)))
        answers = await asyncio.gather(*asked)
        thread.close()
        return answers

    assert run(scenario) == list(range(40))
    assert overlaps == [0] * 5


def test_what_was_asked_before_the_end_is_answered_and_nothing_after_it():
    go_on = threading.Event()

    def work(asked):
        assert go_on.wait(10)
        return list(asked)

    async def scenario():
        thread = BatchThread()
        batcher = Batcher(thread, work, most_together=1)
        asked = [asyncio.create_task(batcher.ask(number)) for number in range(3)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(thread.close))
        await asyncio.sleep(0.05)
        go_on.set()
        answers = await asyncio.gather(*asked)
        await closing
        with pytest.raises(OverloadedError, match="is ending"):
            await batcher.ask(4)
        return answers

    assert run(scenario) == [0, 1, 2]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere niceness is a process's")
def test_a_nice_thread_leaves_the_cores_to_the_others():
    def niceness(thread):
        found = Future()
        own = os.getpriority(os.PRIO_PROCESS, 0)
        thread.run(lambda: found.set_result(os.getpriority(os.PRIO_PROCESS, 0)))  # the thread's
        thread.close()
        return found.result() - own

    most = 19 - os.getpriority(os.PRIO_PROCESS, 0)
    assert [niceness(BatchThread()), niceness(BatchThread(3))] == [0, min(3, most)]
    assert niceness(BatchThread()) == 0  # nobody else is
