"""What a live session is received from: lines of a recording, one after the other.

Belongs here: the contract between a stream and who receives it. Does not belong here: any stream
(replay.py, tailing.py, hub.py), what lines say (reading/recordings.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Protocol


class Stream(Protocol):
    """Lines as the live hub tells them, with their ends, in the order in which they came."""

    @property
    def name(self) -> str:
        """What it is, in letters, digits and hyphens; streams of one name have the same lines."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What happened to it so far that somebody should know, in sentences."""
        ...

    def lines(self, after: int = 0) -> AsyncGenerator[bytes]:
        """The lines after the first `after`, as they come; may be asked for more than once."""
        ...

    async def close(self) -> None:
        """End what works for it."""
        ...


class Lines:
    """Lines that are there already."""

    def __init__(self, name: str, lines: Iterable[bytes]) -> None:
        self.name = name
        self.notes: list[str] = []
        self._lines = lines

    async def lines(self, after: int = 0) -> AsyncGenerator[bytes]:
        """All at once, but for a breath now and then for those who work with them."""
        for number, line in enumerate(self._lines):
            if number >= after:
                yield line
            if number % 50 == 0:
                await asyncio.sleep(0)

    async def close(self) -> None:
        """Nothing works for it."""
