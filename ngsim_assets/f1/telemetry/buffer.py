"""Rows of live streams, held per car within bounds until a batch of them is due.

Belongs here: how many rows may wait, when they go on, who waits for room and what is dropped.
Does not belong here: where rows come from, where batches go, what rows mean.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

import polars as pl


class Clock(Protocol):
    """Time that passes, and waiting for it."""

    def now(self) -> float:
        """Seconds since some moment."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Return when `event` is set or `seconds` are over, whichever is first."""
        ...


class WallClock:
    """The machine's own time."""

    def now(self) -> float:
        """Seconds since the machine was started."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Return when `event` is set or `seconds` are over."""
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a buffer holds, and for how long.

    Attributes:
        rows_per_car: most rows of one car that may wait; a car never takes the room of others.
        batch_rows: a batch is due when so many rows wait in all,
        batch_seconds: or when the oldest of them has waited so long.
        patience: seconds a producer waits for room before rows are dropped.
    """

    rows_per_car: int = 3_600
    batch_rows: int = 10_000
    batch_seconds: float = 5.0
    patience: float = 2.0

    def __post_init__(self) -> None:
        if min(self.rows_per_car, self.batch_rows) < 1 or self.batch_seconds <= 0:
            raise ValueError("a buffer holds at least one row for more than no time")


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that go on together, in the order in which they came.

    Attributes:
        due: why: size, age, or the end of the stream.
        dropped: rows by car that found no room since the batch before.
    """

    frame: pl.DataFrame
    due: Literal["size", "age", "end"]
    dropped: Counter[int]


class TelemetryBuffer:
    """Between a stream that does not wait and a store that takes its time.

    The producer calls `put`, the consumer iterates over `batches`. `put` comes back when there was
    room, so that a slow store makes the producer wait and the stream is held up where it comes
    from; when its patience is over, the rows that do not fit are dropped, the newest of each
    car, and counted. `offer` does the same without waiting.
    """

    def __init__(
        self,
        bounds: Bounds | None = None,
        *,
        car: str = "driver_number",
        clock: Clock | None = None,
    ) -> None:
        self.bounds = bounds or Bounds()
        self._car = car
        self._clock = clock or WallClock()
        self._frames: list[pl.DataFrame] = []
        self._held: Counter[int] = Counter()
        self._rows = 0
        self._oldest: float | None = None
        self._waiting = 0
        self._closed = False
        self._arrived = asyncio.Event()
        self._emptied = asyncio.Event()
        self._dropped: Counter[int] = Counter()
        self.accepted = 0
        """Rows taken so far."""
        self.dropped: Counter[int] = Counter()
        """Rows dropped so far, by car: rows offered = accepted + dropped."""

    @property
    def rows(self) -> int:
        """Rows that wait."""
        return self._rows

    def offer(self, frame: pl.DataFrame) -> int:
        """Take the rows there is room for and drop the others; how many were dropped."""
        if self._closed:
            raise RuntimeError("the buffer is closed")
        fits, counts = self._fitting(frame)
        lost = frame.height - fits.height
        if lost:
            missed = _by_car(frame, self._car)
            missed.subtract(counts)
            self._dropped += missed
            self.dropped += missed
        if fits.height:
            self._frames.append(fits)
            self._held += counts
            self._rows += fits.height
            self.accepted += fits.height
            if self._oldest is None:
                self._oldest = self._clock.now()
            self._arrived.set()
        return lost

    async def put(self, frame: pl.DataFrame) -> int:
        """Take all rows, waiting for room; drop what does not fit when patience is over."""
        until = self._clock.now() + self.bounds.patience
        self._waiting += 1
        try:
            while not self._room_for(frame) and (left := until - self._clock.now()) > 0:
                self._emptied.clear()
                self._arrived.set()  # what somebody waits for the room of is due
                await self._clock.wait(self._emptied, left)
        finally:
            self._waiting -= 1
        return self.offer(frame)

    def due(self) -> Literal["size", "age", "end"] | None:
        """Why a batch is due, None if none is."""
        if self._rows and (self._waiting or self._rows >= self.bounds.batch_rows or self._full()):
            return "size"
        if self._oldest is not None and self._age() >= self.bounds.batch_seconds:
            return "age"
        if self._closed and (self._rows or self._dropped):
            return "end"
        return None

    def take(self) -> Batch | None:
        """The rows that wait if a batch is due; makes room for producers."""
        why = self.due()
        if why is None:
            return None
        # rows of nobody have no columns: only drops are told
        frame = pl.concat(self._frames) if self._frames else pl.DataFrame()
        batch = Batch(frame, why, self._dropped)
        self._frames, self._held, self._rows, self._oldest = [], Counter(), 0, None
        self._dropped = Counter()
        self._emptied.set()
        return batch

    async def batches(self) -> AsyncIterator[Batch]:
        """Batches as they become due, the last one after `close`."""
        while True:
            self._arrived.clear()
            batch = self.take()
            if batch is not None:
                yield batch
            elif self._closed:
                return
            else:
                left = None if self._oldest is None else self.bounds.batch_seconds - self._age()
                await self._clock.wait(self._arrived, left)

    def close(self) -> None:
        """No more rows come: what waits is a last batch."""
        self._closed = True
        self._arrived.set()

    def _age(self) -> float:
        return 0.0 if self._oldest is None else self._clock.now() - self._oldest

    def _full(self) -> bool:
        return any(count >= self.bounds.rows_per_car for count in self._held.values())

    def _room_for(self, frame: pl.DataFrame) -> bool:
        limit = self.bounds.rows_per_car
        counts = _by_car(frame, self._car)
        # more rows of a car than a buffer ever holds fit as well as they can into an empty one
        return all(
            self._held[car] + count <= limit or (count > limit and not self._held[car])
            for car, count in counts.items()
        )

    def _fitting(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, Counter[int]]:
        limit = self.bounds.rows_per_car
        counts = _by_car(frame, self._car)
        over = {
            car: limit - self._held[car] for car in counts if self._held[car] + counts[car] > limit
        }
        if not over:
            return frame, counts
        room = pl.col(self._car).replace_strict(over, default=frame.height, return_dtype=pl.Int64)
        fits = frame.filter(pl.int_range(pl.len()).over(self._car) < room)
        return fits, _by_car(fits, self._car)


def _by_car(frame: pl.DataFrame, car: str) -> Counter[int]:
    counts: Counter[int] = Counter()
    counts.update(frame.get_column(car).to_list())
    return counts
