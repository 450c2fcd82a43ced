import asyncio
import threading
import time

import pytest

from services.batcher import Batcher, OverloadedError


def run(scenario):
    return asyncio.run(scenario())


def test_a_lone_question_is_answered_at_once_and_alone():
    batches = []

    async def scenario():
        batcher = Batcher(lambda asked: batches.append(list(asked)) or [2 * one for one in asked])
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
        batcher = Batcher(work, most_together=4)
        first = asyncio.create_task(batcher.ask(0))
        while not batches:
            await asyncio.sleep(0.001)
        others = [asyncio.create_task(batcher.ask(number)) for number in range(1, 7)]
        await asyncio.sleep(0.01)
        go_on.set()
        return [await first, *await asyncio.gather(*others)]

    assert run(scenario) == list(range(7))
    assert batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_each_asker_gets_its_own_answer_or_error():
    def work(asked):
        return [ValueError(f"{one} is odd") if one % 2 else one for one in asked]

    async def scenario():
        batcher = Batcher(work)
        return await asyncio.gather(*map(batcher.ask, range(6)), return_exceptions=True)

    got = run(scenario)
    assert [one for one in got if isinstance(one, int)] == [0, 2, 4]
    assert [str(one) for one in got if isinstance(one, ValueError)] == [
        "1 is odd", "3 is odd", "5 is odd"
    ]  # fmt: skip


def test_when_the_whole_batch_fails_everyone_hears_and_the_next_batch_works():
    fails = [True]

    def work(asked):
        if fails.pop() if fails else False:
            msg = "the model fell over"
            raise RuntimeError(msg)
        return list(asked)

    async def scenario():
        batcher = Batcher(work)
        with pytest.raises(RuntimeError, match="the model fell over"):
            await batcher.ask(1)
        return await batcher.ask(2)

    assert run(scenario) == 2


def test_too_many_waiting_are_refused_and_the_others_answered():
    go_on = threading.Event()

    async def scenario():
        batcher = Batcher(lambda asked: go_on.wait(10) and list(asked), 1, most_waiting=3)
        tasks = [asyncio.create_task(batcher.ask(0))]
        await asyncio.sleep(0.02)  # the first is being worked on, no longer waiting
        tasks += [asyncio.create_task(batcher.ask(number)) for number in range(1, 6)]
        await asyncio.sleep(0.02)
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
        batcher = Batcher(work)
        first = asyncio.create_task(batcher.ask(0))
        await asyncio.sleep(0.02)
        gone, stays = (asyncio.create_task(batcher.ask(number)) for number in (1, 2))
        await asyncio.sleep(0.01)
        gone.cancel()
        first.cancel()
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
        batcher = Batcher(work, most_together=2)
        asked = [asyncio.create_task(batcher.ask(number)) for number in range(40)]
        for _ in range(5):
            await batcher.between_batches(lambda: overlaps.append(len(working)))
        answers = await asyncio.gather(*asked)
        batcher.close()
        return answers

    assert run(scenario) == list(range(40))
    assert overlaps == [0] * 5
