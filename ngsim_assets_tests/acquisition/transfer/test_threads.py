"""A cancellation waits for what a thread is doing, and is not lost."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from ngsim_assets.acquisition.transfer.threads import ended, in_thread, settled, started


def test_results_and_failures_come_through():
    async def main() -> None:
        assert await in_thread(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await in_thread(divmod, 7, 0)
        future = started(time.sleep, 0.01)
        await settled([future])
        assert future.done()

    asyncio.run(main())


@pytest.mark.parametrize("fails", [False, True])
def test_a_cancellation_is_passed_on_when_the_thread_has_ended(fails: bool):
    release, ended_at = threading.Event(), []

    def work() -> None:
        release.wait(10)
        time.sleep(0.02)
        ended_at.append(time.monotonic())
        if fails:
            raise ValueError("nobody hears of it")

    async def main() -> float:
        waiting = asyncio.create_task(in_thread(work))
        for _ in range(3):  # however often
            await asyncio.sleep(0.01)
            waiting.cancel()
        await asyncio.sleep(0.01)
        assert not waiting.done()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return time.monotonic()

    after = asyncio.run(main())
    assert ended_at
    assert ended_at[0] <= after


def test_tasks_that_fail_together_are_all_waited_for():
    async def fail(after: float) -> None:
        await asyncio.sleep(after)
        raise ValueError(after)

    async def main() -> None:
        tasks = [asyncio.create_task(fail(after)) for after in (0.0, 0.02)]
        await settled(tasks)
        assert all(task.done() for task in tasks)
        with pytest.raises(ValueError, match=r"0\.02"):
            await ended(tasks[1])

    asyncio.run(main())
