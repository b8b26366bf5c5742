"""What cars tell of themselves: car data and positions, of files and of streams.

Files of the archive, of OpenF1 and recordings are fetched as those of any ingestor. A stream goes
on at once: what came in a quarter of a second is decoded together and put into bounded buffers,
which hand batches on by size and by age. A store that is too slow makes the stream wait, and when
its patience is over rows are dropped and counted.

Belongs here: which parts of a session telemetry is made of, and the way from messages to buffers.
Does not belong here: decoding and buffers (telemetry/), the live hub, where batches go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.messages import Item, Message, SetAside
from ngsim_assets.f1.sources.feed_source import FeedSource
from ngsim_assets.f1.sources.places import Parts
from ngsim_assets.f1.telemetry.buffer import Bounds, Clock, TelemetryBuffer, WallClock
from ngsim_assets.f1.telemetry.streams import TOPICS, Rows, car_data, positions

TELEMETRY: Final = Parts(
    topics=("SessionInfo", "DriverList", "CarData.z", "Position.z"),
    endpoints=("sessions", "drivers", "car_data", "location"),
)

_MOST = 250
"""Messages handed on together at most: a message has up to six moments of a car, and a buffer has
room for 3,600, however fast a recording is read."""

_TOGETHER = 0.25
"""Seconds of a stream that are decoded together."""


class TelemetryIngestor(FeedSource):
    """Car data and positions of the sessions of a place."""

    name = "f1-telemetry"
    parts = TELEMETRY


@dataclass(slots=True)
class Streamed:
    """What became of a stream so far: messages = of telemetry + of other topics + set aside.

    Of the rows of messages of telemetry: decoded = put + rejected + of other cars; put = taken by
    the buffers + dropped by them.
    """

    messages: int = 0
    telemetry: int = 0
    other_topics: int = 0
    aside: Counter[str] = field(default_factory=Counter[str])
    decoded: int = 0
    put: int = 0
    rejected: int = 0
    other_cars: int = 0
    dropped: int = 0


class TelemetryStream:
    """Between messages as they arrive and batches of rows.

    Args:
        drivers: numbers of DriverList; others are counted and left out. Without: 1 to 99.

    Attributes:
        cars, places: buffers of f1_telemetry and f1_positions; somebody has to take `batches`.
        account: what became of it so far.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        bounds: Bounds | None = None,
        drivers: Collection[int] = (),
        clock: Clock | None = None,
    ) -> None:
        self.cars = TelemetryBuffer(bounds, clock=clock)
        self.places = TelemetryBuffer(bounds, clock=clock)
        self.account = Streamed()
        self._origin = origin
        self._drivers = frozenset(drivers)
        self._clock = clock or WallClock()

    async def run(self, items: AsyncIterator[Item]) -> Streamed:
        """Take all `items`, then close the buffers; also where the stream breaks off."""
        waiting: list[Message] = []
        since = self._clock.now()
        try:
            async for item in items:
                self._take(item, waiting)
                if len(waiting) >= _MOST or self._clock.now() - since >= _TOGETHER:
                    await self._hand_on(waiting)
                    waiting, since = [], self._clock.now()
        finally:
            try:
                await self._hand_on(waiting)
            finally:
                self.cars.close()
                self.places.close()
        return self.account

    def _take(self, item: Item, waiting: list[Message]) -> None:
        account = self.account
        account.messages += 1
        if isinstance(item, SetAside):
            account.aside[item.reason] += 1
        elif item.topic in TOPICS:
            waiting.append(item)
        else:
            account.other_topics += 1

    async def _hand_on(self, messages: Sequence[Message]) -> None:
        origin, drivers = self._origin, self._drivers
        for buffer, rows in (
            (self.cars, car_data(messages, origin, drivers=drivers)),
            (self.places, positions(messages, origin, drivers=drivers)),
        ):
            if rows is not None:
                self._count(rows)
                self.account.dropped += await buffer.put(rows.measured.frame)

    def _count(self, rows: Rows) -> None:
        account, measured = self.account, rows.measured
        account.telemetry += rows.messages - len(rows.aside)
        account.aside.update(item.reason for item in rows.aside)
        account.decoded += rows.decoded
        account.put += measured.frame.height
        account.rejected += measured.rejected.height
        account.other_cars += measured.other_cars.total()
