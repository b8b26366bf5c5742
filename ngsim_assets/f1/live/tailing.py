"""A file that another process is writing, line by line as it grows.

Belongs here: what is whole of it, and when there will be no more. Does not belong here: who writes
it (hub.py), what lines say.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Final

from ngsim_assets.f1.live.errors import StreamLost
from ngsim_assets.f1.reading.content import LARGEST_LINE

POLL: Final = 0.1
"""Seconds between looks at a file that did not grow."""

_BLOCK: Final = 1 << 20
_BREATH: Final = 50


async def followed(
    path: Path, after: int = 0, *, poll: float = POLL, ended: Callable[[], bool] = lambda: False
) -> AsyncGenerator[bytes]:
    """Lines of a growing file after the first `after`, until `ended` and nothing is left.

    A line without an end is told only then. Raises StreamLost where the file becomes shorter.
    """
    number, read, rest = 0, 0, b""
    while True:
        over = ended()  # asked first: what is written before it ends is there when it is read
        block = _block(path, read)
        read += len(block)
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            number += 1
            if number > after:
                yield line + b"\n"
            if number % _BREATH == 0:
                await asyncio.sleep(0)
        if len(rest) > LARGEST_LINE:
            raise StreamLost(str(path), "a line in it does not end")
        if block:
            continue
        if over:
            break
        await asyncio.sleep(poll)
    if rest and number + 1 > after:
        yield rest


def _block(path: Path, start: int) -> bytes:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < start:
                raise StreamLost(str(path), "the file became shorter")
            file.seek(start)
            return file.read(_BLOCK)
    except FileNotFoundError:
        return b""


class Tail:
    """A growing file as a stream, whoever writes it."""

    def __init__(self, path: Path, *, poll: float = POLL) -> None:
        self.name = f"tail-{path.stem}"
        self.notes: list[str] = []
        self._path = path
        self._poll = poll

    def lines(self, after: int = 0) -> AsyncGenerator[bytes]:
        """Its lines after the first `after`, for as long as somebody listens."""
        return followed(self._path, after, poll=self._poll)

    async def close(self) -> None:
        """Nothing works for it."""
