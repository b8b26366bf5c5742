"""More than one connection for one file, where the server throttles each of them.

Belongs here: when another connection is tried and kept, and what follows when one fails. Does not
belong here: requests and bytes (download.py), which of them are missing (ranges.py).

Whether connections are throttled one by one cannot be asked for, only tried: another one is
added, and it stays where all of them together have become faster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass

from ngsim_assets.acquisition.transfer.errors import TransferError
from ngsim_assets.acquisition.transfer.ranges import Ranges, Sharing, Work
from ngsim_assets.acquisition.transfer.threads import settled


@dataclass(frozen=True, slots=True)
class Trial:
    """When another connection is tried, and when it stays.

    Attributes:
        seconds: of measuring, before each trial and during it. gain: how many times as fast all
            together have to become. least: bytes that are worth a connection.
    """

    seconds: float = 3.0
    gain: float = 1.25
    least: int = 32 << 20

    def is_worth(self, left: int, rate: float) -> bool:
        """Whether `left` bytes, coming at `rate` bytes a second, last longer than a trial."""
        return left >= self.least and left > 2 * self.seconds * rate

    def is_gain(self, before: float, now: float, connections: int) -> bool:
        """Whether one more than `connections` made enough of a difference.

        The fifth of five that are throttled adds a quarter only, so that less is asked of it.
        """
        return now >= before * min(self.gain, 1 + 0.75 / connections)


class Segments:
    """The connections of one attempt at a file.

    Args:
        fetch: brings the bytes of some work, moving its `at`; returns when they are written.
        done: what is written. arrived: bytes that came so far, in this attempt.
        is_spoilt: whether what was written is of no use, so that all have to stop.
        most: connections at once.
    """

    def __init__(
        self,
        fetch: Callable[[Work], Awaitable[None]],
        *,
        done: Callable[[], Ranges],
        arrived: Callable[[], int],
        is_spoilt: Callable[[], bool],
        most: int,
        trial: Trial,
    ) -> None:
        self._fetch = fetch
        self._done = done
        self._arrived = arrived
        self._is_spoilt = is_spoilt
        self._most = most
        self._trial = trial
        self._total = 0
        self._sharing: Sharing | None = None
        self._first: Work | None = None
        self._shared = asyncio.Event()
        self._workers: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Queue[asyncio.Task[None]] = asyncio.Queue()

    def share(self, total: int, work: Work) -> None:
        """The file can be fetched in parts: the first connection, at `work`, knows it now."""
        self._total = total
        self._sharing = Sharing(total, least=self._trial.least)
        self._sharing.hold(work)
        self._first = work
        self._shared.set()

    async def run(self, first: Callable[[], Coroutine[None, None, None]]) -> None:
        """Have `first` begin, and others help it.

        A connection that fails only gives its work back, as long as another one is left to take
        it. Raises the failure of the last, or the first after which nothing is of use.
        """
        self._start(self._begin(first))
        adding = asyncio.create_task(self._add())
        try:
            while self._workers:
                self._judge(await self._ended.get())
        finally:
            tasks = [adding, *self._workers]
            for task in tasks:
                task.cancel()
            await settled(tasks)

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._workers.add(task)
        task.add_done_callback(self._ended.put_nowait)
        return task

    def _judge(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None and (
            not self._workers or self._is_spoilt() or not isinstance(failure, TransferError)
        ):
            raise failure

    async def _begin(self, first: Callable[[], Coroutine[None, None, None]]) -> None:
        try:
            await first()
        finally:
            if self._sharing is not None and self._first is not None:
                self._sharing.give_back(self._first)
        await self._go_on()

    async def _help(self, work: Work) -> None:
        await self._one(work)
        await self._go_on()

    async def _go_on(self) -> None:
        while self._sharing is not None:
            work = self._sharing.take(self._done())
            if work is None:
                return
            await self._one(work)

    async def _one(self, work: Work) -> None:
        assert self._sharing is not None  # noqa: S101
        try:
            await self._fetch(work)
        finally:
            self._sharing.give_back(work)

    async def _add(self) -> None:
        """Try one connection after another until one brings nothing more."""
        await self._shared.wait()
        rate = await self._rate()
        while self._sharing is not None and 0 < len(self._workers) < self._most:
            before = len(self._workers)
            left = self._total - self._done().bytes
            work = self._sharing.take(self._done()) if self._trial.is_worth(left, rate) else None
            if work is None:
                return
            helper = self._start(self._help(work))
            now = await self._rate()
            if len(self._workers) > 1 and not self._trial.is_gain(rate, now, before):
                helper.cancel()
                return
            rate = now

    async def _rate(self) -> float:
        """Bytes per second, once the latest connection has had time to get going."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._trial.seconds / 2)
        begun, before = loop.time(), self._arrived()
        await asyncio.sleep(self._trial.seconds / 2)
        return (self._arrived() - before) / (loop.time() - begun)
