"""One ingestor at work: a task of its own, batches by size and age, and beginning again.

An ingestor that fails is made anew and reads the recording again up to where it was. So whatever
state it failed in is gone, and what its inbox had to drop is made up for.

Belongs here: when rows are made and stored, restarts, the account of one ingestor. Does not belong
here: what it does with messages (ingestors.py), how rows are stored (live_tables.py).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Final, Literal

from ngsim_assets.acquisition.transfer.threads import in_thread
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.f1.live.inboxes import Inbox
from ngsim_assets.f1.live.ingestors import LiveIngestor, Made
from ngsim_assets.f1.live.limits import Limits
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.telemetry.buffer import Bounds, Clock

Status = Literal["running", "finished", "failed"]

_MOST: Final = 1_000
"""Messages that are worked on before others get their turn."""


class Worker:
    """Runs one ingestor.

    Args:
        make: the ingestor, anew. again: messages of its topics in the recording, up to a line.
        store: writes what it made; called in a thread.

    Attributes:
        messages: taken by the ingestor, those it was given again not counted twice.
        last: line of the newest one, and `last_at` when that came by the clock.
        flushes: how often rows were stored, and `flush_seconds` how long that took the last time.
    """

    def __init__(
        self,
        name: str,
        topics: frozenset[str],
        make: Callable[[], LiveIngestor],
        *,
        again: Callable[[frozenset[str], int], AsyncGenerator[Message]],
        store: Callable[[str, Made], None],
        bounds: Bounds,
        limits: Limits,
        clock: Clock,
        tell: Callable[[str], None],
    ) -> None:
        self.name = name
        self.topics = topics
        self.status: Status = "running"
        self.inbox = Inbox(limits.queue, limits.patience, clock)
        self.messages = 0
        self.restarts = 0
        self.flushes = 0
        self.flush_seconds = 0.0
        self.last = 0
        self.last_at: float | None = None
        self.last_error = ""
        self.over = True
        """Whether the end of the inbox is the end of the session; False when it was stopped."""
        self._make = make
        self._again = again
        self._store = store
        self._bounds = bounds
        self._limits = limits
        self._clock = clock
        self._tell = tell
        self._ingestor: LiveIngestor | None = None

    @property
    def aside(self) -> Counter[str]:
        """What the ingestor set aside, by reason."""
        return Counter() if self._ingestor is None else self._ingestor.aside

    async def run(self) -> None:
        """Work until the inbox is over; never raises, but for a cancellation."""
        while True:
            try:
                await self._work()
            except Exception as error:  # whatever it is, the others go on
                self.last_error = _sentence(error)
                if self.restarts >= self._limits.restarts:
                    self.status = "failed"
                    self.inbox.refuse()
                    self._tell(f"{self.name} failed and is given up: {self.last_error}")
                    return
                self.restarts += 1
                self._tell(f"{self.name} failed and begins again: {self.last_error}")
                await asyncio.sleep(self._limits.restart_wait * self.restarts)
            else:
                self.status = "finished"
                return

    async def _work(self) -> None:
        ingestor = self._ingestor = await in_thread(self._make)
        if self.last:
            async for message in self._again(self.topics, self.last):
                ingestor.take(message)
        since: float | None = self._clock.now() if self.last else None
        flushed, waiting = self._clock.now() - self._limits.pause, 0
        while not self.inbox.over:
            taken = await self.inbox.take(_MOST, self._left(since, flushed))
            if taken:
                self.last = max(self.last, taken[-1].line)
                self.last_at = self._clock.now()
                since = self.last_at if since is None else since
            for message in taken:
                ingestor.take(message)
            self.messages += len(taken)
            waiting += len(taken)
            if self._is_due(ingestor, waiting, since, flushed):
                await self._flush(ingestor, over=False)
                since, flushed, waiting = None, self._clock.now(), 0
            await asyncio.sleep(0)
        await self._flush(ingestor, over=self.over)

    def _is_due(
        self, ingestor: LiveIngestor, waiting: int, since: float | None, flushed: float
    ) -> bool:
        if since is None:
            return False
        if ingestor.rows >= self._bounds.batch_rows:
            return True  # they are put behind others, which costs the same whenever it is done
        paused = self._clock.now() - flushed >= self._limits.pause
        large = waiting >= self._bounds.batch_rows and paused
        return large or self._left(since, flushed) == 0

    def _left(self, since: float | None, flushed: float) -> float | None:
        """Seconds until a batch is due by age; None if nothing waits."""
        if since is None:
            return None
        due = max(since + self._bounds.batch_seconds, flushed + self._limits.pause)
        return max(0.0, due - self._clock.now())

    async def _flush(self, ingestor: LiveIngestor, *, over: bool) -> None:
        began = self._clock.now()

        def work() -> None:
            self._store(self.name, ingestor.make(over=over))

        await in_thread(work)
        self.flushes += 1
        self.flush_seconds = self._clock.now() - began


def _sentence(error: Exception) -> str:
    if isinstance(error, NgsimAssetsError):
        return error.problem
    return f"{type(error).__name__}: {error}"
