"""Messages on their way to one ingestor: so many at most, and none lost without being counted.

Belongs here: room, waiting for it, what is dropped. Does not belong here: who takes them
(workers.py).
"""

from __future__ import annotations

import asyncio
from collections import deque

from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.telemetry.buffer import Clock


class Inbox:
    """A queue that makes its producer wait, for `patience` seconds at most.

    When patience was in vain, what comes is dropped at once until half of the room is free again:
    an ingestor that hangs holds up the others only once.

    Attributes:
        accepted, dropped: messages so far.
    """

    def __init__(self, size: int, patience: float | None, clock: Clock) -> None:
        self.accepted = 0
        self.dropped = 0
        self._size = size
        self._patience = patience
        self._clock = clock
        self._waiting: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._emptied = asyncio.Event()
        self._dropping = False
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def over(self) -> bool:
        """Whether nothing waits and nothing will come."""
        return self._closed and not self._waiting

    async def put(self, message: Message) -> bool:
        """Take a message, once there is room; whether it was not dropped."""
        if self._dropping and len(self._waiting) <= self._size // 2:
            self._dropping = False
        if len(self._waiting) >= self._size and not self._dropping:
            await self._room()
        if self._closed or self._dropping:
            self.dropped += 1
            return False
        self._waiting.append(message)
        self.accepted += 1
        self._arrived.set()
        return True

    async def take(self, most: int, seconds: float | None) -> list[Message]:
        """What waits, `most` at most; nothing after so many seconds, or when it is closed."""
        if not self._waiting and not self._closed:
            self._arrived.clear()
            await self._clock.wait(self._arrived, seconds)
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self._emptied.set()
        return taken

    def close(self) -> None:
        """Nothing more comes; what waits can still be taken."""
        self._closed = True
        self._arrived.set()
        self._emptied.set()

    def refuse(self) -> None:
        """Drop what waits and whatever still comes: nobody takes it any more."""
        self.dropped += len(self._waiting)
        self.accepted -= len(self._waiting)
        self._waiting.clear()
        self.close()

    async def _room(self) -> None:
        until = None if self._patience is None else self._clock.now() + self._patience
        while len(self._waiting) >= self._size and not self._closed:
            left = None if until is None else until - self._clock.now()
            if left is not None and left <= 0:
                self._dropping = True
                return
            self._emptied.clear()
            await self._clock.wait(self._emptied, left)
