"""When another attempt is made, told by a clock that only sleeping moves."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngsim_assets.acquisition.transfer.backoff import LONGEST_WAIT, retrying, wait_before
from ngsim_assets.acquisition.transfer.errors import (
    DeadlineExceeded,
    HostLeftAlone,
    HostUnreachable,
    NotFound,
    ServerFailed,
    TooManyRequests,
    TransferError,
)
from ngsim_assets.acquisition.transfer.limits import Clock, Deadline

URL = "https://a.example/x"


class Asleep:
    """Time that passes by sleeping only."""

    def __init__(self, chance: float = 0.0) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.clock = Clock(lambda: self.now, lambda: self.now, self.sleep, lambda: chance)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def busy(retry_after: float | None = None) -> ServerFailed:
    return ServerFailed(URL, 503, retry_after=retry_after)


def attempts(outcomes: Sequence[Exception | str], made: list[int]) -> Callable[[], Awaitable[str]]:
    left = list(outcomes)

    async def attempt() -> str:
        made.append(len(made) + 1)
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return attempt


def run(
    time: Asleep,
    outcomes: Sequence[Exception | str],
    *,
    retries: int = 3,
    seconds: float = 1e6,
    progressed: Callable[[], bool] = lambda: False,
) -> tuple[str | TransferError, list[int], list[tuple[int, float, str]]]:
    made: list[int] = []
    told: list[tuple[int, float, str]] = []

    async def tell(number: int, wait: float, error: TransferError) -> None:
        told.append((number, wait, type(error).__name__))

    async def main() -> str:
        return await retrying(
            URL,
            Deadline(seconds, time.clock),
            attempts(outcomes, made),
            retries=retries,
            clock=time.clock,
            progressed=progressed,
            tell=tell,
        )

    try:
        return asyncio.run(main()), made, told
    except TransferError as error:
        return error, made, told


def test_waits_are_one_two_and_four_seconds() -> None:
    time = Asleep()
    result, made, told = run(time, [busy(), busy(), busy(), "here"])
    assert result == "here"
    assert time.slept == [1.0, 2.0, 4.0]
    assert told == [(2, 1.0, "ServerFailed"), (3, 2.0, "ServerFailed"), (4, 4.0, "ServerFailed")]
    assert made == [1, 2, 3, 4]


def test_the_last_failure_is_raised_after_three_retries() -> None:
    time, last = Asleep(), busy()
    result, made, _ = run(time, [busy(), busy(), busy(), last, "too late"])
    assert result is last
    assert time.slept == [1.0, 2.0, 4.0]
    assert len(made) == 4


def test_jitter_makes_a_wait_longer_by_up_to_itself() -> None:
    time = Asleep(chance=0.5)
    run(time, [busy(), busy(), busy(), "here"])
    assert time.slept == [1.5, 3.0, 6.0]


@given(st.integers(0, 10**6), st.none() | st.floats(0, 86_400), st.floats(0, 1))
def test_a_wait_is_bounded_from_both_sides(barren: int, asked: float | None, chance: float) -> None:
    wait = wait_before(barren, asked, chance)
    assert max(1.0, asked or 0.0) <= wait <= max(2 * LONGEST_WAIT, asked or 0.0)


def test_what_the_server_asks_for_is_waited_if_it_is_longer() -> None:
    time = Asleep()
    result, _, _ = run(
        time, [TooManyRequests(URL, 429, retry_after=30.0), busy(0.5), busy(), "here"]
    )
    assert result == "here"
    assert time.slept == [30.0, 2.0, 4.0]


def test_what_another_attempt_would_meet_again_is_raised_at_once() -> None:
    time, gone = Asleep(), NotFound(URL, 404)
    result, made, told = run(time, [gone, "never"])
    assert result is gone
    assert (made, told, time.slept) == ([1], [], [])


def test_errors_of_others_are_not_tried_again() -> None:
    time, made = Asleep(), []

    async def main() -> None:
        await retrying(
            URL,
            Deadline(9, time.clock),
            attempts([ValueError("a fault"), "never"], made),
            retries=3,
            clock=time.clock,
            tell=lambda *_: pytest.fail("told"),
        )

    with pytest.raises(ValueError, match="a fault"):
        asyncio.run(main())
    assert made == [1]


def test_an_attempt_that_brought_something_starts_the_count_again() -> None:
    time = Asleep()
    news = iter([False, False, True, False, False, False, True])
    result, made, _ = run(
        time, [busy() for _ in range(7)] + ["here"], progressed=lambda: next(news)
    )
    assert result == "here"
    assert time.slept == [1.0, 2.0, 1.0, 1.0, 2.0, 4.0, 1.0]
    assert len(made) == 8


def test_a_deadline_that_a_wait_would_miss_is_not_waited_for() -> None:
    time, last = Asleep(), busy(3600.0)
    result, made, told = run(time, [busy(), last, "too late"], seconds=60.0)
    assert isinstance(result, DeadlineExceeded)
    assert result.__cause__ is last
    assert "status 503" in result.problem
    assert time.slept == [1.0]
    assert (len(made), len(told)) == (2, 1)


def test_an_attempt_ends_with_the_deadline() -> None:
    cleaned: list[bool] = []

    async def endless() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append(True)
        return "never"

    async def nobody(number: int, wait: float, error: TransferError) -> None: ...

    async def main() -> None:
        await retrying(URL, Deadline(0.05), endless, retries=3, clock=Clock(), tell=nobody)

    with pytest.raises(DeadlineExceeded) as caught:
        asyncio.run(main())
    assert cleaned == [True]
    assert caught.value.url == URL


def test_a_time_out_of_the_attempt_itself_is_not_taken_for_the_deadline() -> None:
    async def attempt() -> str:
        raise TimeoutError("of its own")

    async def nobody(number: int, wait: float, error: TransferError) -> None: ...

    async def main() -> None:
        await retrying(URL, Deadline(60), attempt, retries=3, clock=Clock(), tell=nobody)

    with pytest.raises(TimeoutError, match="of its own"):
        asyncio.run(main())


def test_waiting_for_a_host_that_is_left_alone_is_no_attempt() -> None:
    time = Asleep()
    alone = HostLeftAlone(URL, "a.example", retry_in=56.0, reason="x", worth_waiting=True)
    result, _, _ = run(time, [busy(), busy(), busy(), alone, "here"])
    assert result == "here"
    assert time.slept == [1.0, 2.0, 4.0, 56.0]


def test_a_host_that_stays_down_is_not_waited_for() -> None:
    time = Asleep()
    alone = HostLeftAlone(URL, "a.example", retry_in=56.0, reason="x", worth_waiting=False)
    result, _, _ = run(time, [alone, "never"])
    assert result is alone
    assert time.slept == []


@pytest.mark.parametrize("during", ["wait", "attempt"])
def test_a_cancellation_passes_at_once(during: str) -> None:
    made: list[int] = []

    async def attempt() -> str:
        made.append(1)
        if during == "attempt":
            await asyncio.sleep(60)
        raise HostUnreachable(URL, "refused")

    async def nobody(number: int, wait: float, error: TransferError) -> None: ...

    async def main() -> None:
        task = asyncio.create_task(
            retrying(URL, Deadline(600), attempt, retries=3, clock=Clock(), tell=nobody)
        )
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 0.5)

    asyncio.run(main())
    assert made == [1]
