"""Trying again: when, how often, until when.

Belongs here: the waits between attempts. Does not belong here: what an attempt does, which
failures are worth another one (errors.py), hosts that are left alone (breaker.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ngsim_assets.acquisition.transfer.errors import (
    DeadlineExceeded,
    HostLeftAlone,
    TransferError,
)
from ngsim_assets.acquisition.transfer.limits import Clock, Deadline

if TYPE_CHECKING:
    from tenacity import RetryCallState

Result = TypeVar("Result")

FIRST_WAIT = 1.0
DOUBLINGS = 6
LONGEST_WAIT = FIRST_WAIT * 2**DOUBLINGS


@dataclass(slots=True)
class _Tally:
    """Attempts of one call, and how many in a row brought nothing."""

    made: int = 0
    barren: int = 0
    last: TransferError | None = None


def wait_before(barren: int, asked: float | None, chance: float) -> float:
    """Seconds before the next attempt, after `barren` in a row that brought nothing.

    1, 2, 4 s and so on, each longer by up to itself as `chance` (0 to 1) has it, so that many who
    failed together do not return together. What the server asked for is waited at least.
    """
    backoff = FIRST_WAIT * 2 ** min(max(barren - 1, 0), DOUBLINGS)
    return max(backoff * (1 + chance), asked or 0.0)


async def retrying(
    url: str,
    deadline: Deadline,
    attempt: Callable[[], Awaitable[Result]],
    *,
    retries: int,
    clock: Clock,
    progressed: Callable[[], bool] = lambda: False,
    tell: Callable[[int, float, TransferError], Awaitable[None]],
) -> Result:
    """The result of `attempt`, tried again after failures that are transient.

    An attempt that brought something new starts the count again: a file that comes in a hundred
    pieces is not given up after four. Waiting for a host that is left alone is no attempt.

    Args:
        url: for the error. retries: attempts in a row after the first that may bring nothing.
        progressed: asked after a failed attempt, whether it brought something new.
        tell: number of the next attempt, seconds until it, why.

    Raises:
        DeadlineExceeded: time is over, or would be before the next attempt.
        TransferError: the last failure, where there is no other attempt.
    """
    from tenacity import AsyncRetrying, retry_if_exception

    tally = _Tally()

    async def bounded() -> Result:
        tally.made += 1
        limit = asyncio.timeout(deadline.remaining)
        try:
            async with limit:
                return await attempt()
        except TimeoutError:
            if not limit.expired():
                raise
            last = "" if tally.last is None else tally.last.problem
            raise DeadlineExceeded(url, deadline.seconds, last) from None
        except TransferError as error:
            tally.last = error
            if progressed():
                tally.barren = 0
            elif not isinstance(error, HostLeftAlone):
                tally.barren += 1
            raise

    def worth_another(error: BaseException) -> bool:
        return isinstance(error, TransferError) and error.transient

    def wait(state: RetryCallState) -> float:
        asked = None if tally.last is None else tally.last.retry_after
        return wait_before(tally.barren, asked, clock.chance())

    def stop(state: RetryCallState) -> bool:
        if tally.barren > retries:
            return True
        if state.upcoming_sleep >= deadline.remaining:
            last = "" if tally.last is None else tally.last.problem
            raise DeadlineExceeded(url, deadline.seconds, last) from tally.last
        return False

    async def announce(state: RetryCallState) -> None:
        if tally.last is not None:
            await tell(tally.made + 1, state.upcoming_sleep, tally.last)

    return await AsyncRetrying(
        sleep=clock.sleep,
        retry=retry_if_exception(worth_another),
        wait=wait,
        stop=stop,
        before_sleep=announce,
        reraise=True,
    )(bounded)
