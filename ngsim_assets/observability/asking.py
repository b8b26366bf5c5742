"""A question that may take long, asked by many at once and answered for all of them.

Belongs here: asking in a thread, once at a time, with a limit, and keeping the answer for a while.
Does not belong here: what is asked (health.py, and a domain's health).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")

_SHARE = 10.0
"""An answer is kept this many times as long as it took: asking costs a tenth of a core at most."""


class NoAnswer(Exception):
    """A question has not been answered within its limit; `seconds` since it was asked."""

    def __init__(self, seconds: float, limit: float) -> None:
        self.seconds = seconds
        super().__init__(f"no answer within {limit:g} s; asked {seconds:.0f} s ago")


class Kept(Generic[T]):
    """The answer to `question`.

    Args:
        limit: seconds that one who asks waits. fresh: seconds that an answer is kept at least; one
            that took long is kept ten times as long as it took.

    The question runs in a daemon thread of its own: where it hangs, on a dead network file system
    for instance, it holds up neither others nor the end of the process, and is not asked again
    before it has ended.
    """

    def __init__(self, question: Callable[[], T], *, limit: float, fresh: float) -> None:
        self._question = question
        self._limit = limit
        self._fresh = fresh
        self._asked_at = 0.0
        self._kept_until = 0.0
        self._last: asyncio.Future[T] | None = None
        self._asking: asyncio.Future[T] | None = None

    async def answer(self) -> T:
        """The answer, or what asking raised; NoAnswer where it takes too long."""
        if self._last is not None and time.monotonic() < self._kept_until:
            return self._last.result()
        asking = self._asking or self._ask()
        left = self._asked_at + self._limit - time.monotonic()
        await asyncio.wait([asking], timeout=max(0.0, left))
        if not asking.done():
            raise NoAnswer(time.monotonic() - self._asked_at, self._limit)
        return asking.result()

    def _ask(self) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        asking: asyncio.Future[T] = loop.create_future()
        self._asking, self._asked_at = asking, time.monotonic()

        def ask() -> None:
            answer: Callable[[], None]
            try:
                answer = partial(asking.set_result, self._question())
            except Exception as error:
                answer = partial(asking.set_exception, error)
            with suppress(RuntimeError):  # the loop has ended meanwhile: nobody waits any more
                loop.call_soon_threadsafe(self._take, asking, answer)

        threading.Thread(target=ask, name="ngsim-asking", daemon=True).start()
        return asking

    def _take(self, asking: asyncio.Future[T], answer: Callable[[], None]) -> None:
        now = time.monotonic()
        self._kept_until = now + max(self._fresh, _SHARE * (now - self._asked_at))
        self._last, self._asking = asking, None
        answer()
        asking.exception()  # looked at, even where nobody waits for it any more
