"""From a stream to the recording and to the inboxes, line by line; and why it ended.

Belongs here: what is done with each line, in which order; silence and sessions that do not begin.
Does not belong here: ingestors and their tasks (workers.py), files (saved.py, recording.py).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final

from ngsim_assets.f1.live.errors import StreamLost
from ngsim_assets.f1.live.known import Known
from ngsim_assets.f1.live.limits import Limits
from ngsim_assets.f1.live.recording import Recording
from ngsim_assets.f1.live.state import Outcome, SessionState
from ngsim_assets.f1.live.workers import Worker
from ngsim_assets.f1.reading.messages import Item, Message, SetAside
from ngsim_assets.f1.reading.recordings import RecordingReader
from ngsim_assets.f1.telemetry.buffer import Clock

_BREATH: Final = 200
"""Lines of the past that are read before others get their turn."""


class Receiver:
    """Takes the lines of one session.

    Attributes:
        lines: in the recording. resumed: those of them that were there before.
        messages, aside: what they became; unused: messages of topics that no ingestor takes.
        set_aside: lines that are no messages.
        lost: what happened to a stream that cannot be followed any more.
        heard: when anything came last, by the clock.
    """

    def __init__(
        self,
        known: Known,
        recording: Recording,
        workers: Sequence[Worker],
        *,
        limits: Limits,
        clock: Clock,
        tell: Callable[[str], None],
    ) -> None:
        self.lines = 0
        self.resumed = 0
        self.messages = 0
        self.unused = 0
        self.aside: Counter[str] = Counter()
        self.set_aside: list[SetAside] = []
        self.lost = ""
        self.heard = clock.now()
        self._known = known
        self._recording = recording
        self._workers = workers
        self._limits = limits
        self._clock = clock
        self._tell = tell
        self._reader = RecordingReader(str(known.key), recording.url)
        self._began = clock.now()
        self._moved = clock.now()
        self._ending: Outcome | None = None
        self._task: asyncio.Task[object] | None = None
        self._listening = False

    async def catch_up(self) -> None:
        """Hand on what is in the recording already."""
        for line in self._recording.lines():
            await self._take(line)
            if self.lines % _BREATH == 0:
                await asyncio.sleep(0)
        self.resumed = self.lines

    async def run(self, lines: AsyncGenerator[bytes]) -> Outcome:
        """Receive until the stream or the session ends, or `end` is called; why it ended."""
        self._task = asyncio.current_task()
        self._began = self.heard = self._moved = self._clock.now()
        while self._ending is None:
            self._listening = True
            try:
                line = await anext(lines)
            except StreamLost as error:
                self.lost = error.problem
                return "feed_died"
            except StopAsyncIteration:
                over = self._known.course.state is SessionState.COMPLETED
                return "over" if over else "stream_ended"
            except asyncio.CancelledError:
                if self._ending is None:
                    raise
                break
            finally:
                self._listening = False
            self.heard = self._clock.now()
            self._recording.write(line)
            await self._take(line)
        return self._ending

    def end(self, why: Outcome) -> None:
        """Receive no more: at once while nothing comes, else after the line that came."""
        if self._ending is None:
            self._ending = why
            if self._listening and self._task is not None:
                self._task.cancel()

    def watch(self) -> None:
        """End it where something that should have come by now did not. To be called often."""
        now, limits, course = self._clock.now(), self._limits, self._known.course
        if course.state is SessionState.COMPLETED and now - self._moved >= limits.after:
            self.end("over")
        elif now - self.heard >= limits.silence:
            self.end("over" if course.state is SessionState.COMPLETED else "feed_died")
        elif course.state is SessionState.POST_SESSION and now - self._moved >= limits.to_end:
            self.end("over")
        elif not course.started and now - self._began >= limits.to_come:
            self.end("never_started")
        if self._recording.due:
            self._recording.flush()

    async def again(self, topics: frozenset[str], up_to: int) -> AsyncGenerator[Message]:
        """Messages of some topics in the recording, up to a line, as they were read before."""
        reader = RecordingReader(str(self._known.key), self._recording.url)
        for row, line in enumerate(self._recording.lines(), start=1):
            if row > up_to:
                return
            for item in reader.read(line, row):
                if isinstance(item, Message) and item.topic in topics:
                    yield item
            if row % _BREATH == 0:
                await asyncio.sleep(0)

    async def _take(self, line: bytes) -> None:
        self.lines += 1
        for item in self._reader.read(line, self.lines):
            await self._hand_on(item)

    async def _hand_on(self, item: Item) -> None:
        if isinstance(item, SetAside):
            self.aside[item.reason] += 1
            self.set_aside.append(item)
            return
        self.messages += 1
        if self._known.take(item):
            self._moved = self._clock.now()
            self._tell(f"{self._known.key} is {self._known.course.state.value}")
        takers = [worker for worker in self._workers if item.topic in worker.topics]
        for worker in takers:
            await worker.inbox.put(item)
        self.unused += not takers
