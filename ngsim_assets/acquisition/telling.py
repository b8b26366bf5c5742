"""Events on their way to observers, and what is counted of them per resource.

Belongs here: order, observers that fail, counts. Does not belong here: what observers do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from ngsim_assets.acquisition.events import (
    Event,
    Observer,
    Retrying,
    SourceFinished,
    SourceStarted,
    Warned,
)
from ngsim_assets.acquisition.observers.received import Received
from ngsim_assets.acquisition.sources import Resource
from ngsim_assets.acquisition.transfer.threads import ended
from ngsim_assets.observability.logs import get_logger

OBSERVER_SECONDS = 10.0
"""That an observer may keep the work waiting for one event."""


@dataclass(slots=True)
class Tally:
    """What was told of one resource so far."""

    received: int = 0
    attempts: int = 1
    warnings: list[str] = field(default_factory=list[str])
    describe_seconds: float = 0.0
    fetch_seconds: float = 0.0


class Telling:
    """Tells observers of every event, one event at a time. One that raises is told no more."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = list(observers)
        self._turn = asyncio.Lock()
        self._received = Received()
        self._tallies: dict[tuple[str, str], Tally] = {}

    def tally(self, resource: Resource) -> Tally:
        """What is counted of `resource` from now on."""
        tally = self._tallies[resource.source, resource.key] = Tally()
        return tally

    async def tell(self, event: Event) -> None:
        """Count `event` and tell it."""
        self._count(event)
        if not self._observers:
            return
        if isinstance(event, SourceStarted | SourceFinished):
            # told to all or none: who counts what is under way must not lose its end
            await ended(asyncio.ensure_future(self._deliver(event)))
        else:
            await self._deliver(event)

    async def _deliver(self, event: Event) -> None:
        async with self._turn:
            for observer in tuple(self._observers):
                try:
                    async with asyncio.timeout(OBSERVER_SECONDS):
                        await observer.notice(event)
                except Exception as error:
                    self._observers.remove(observer)
                    get_logger().warning(
                        "an observer failed and is told no more; the work goes on",
                        observer=type(observer).__name__,
                        error=error,
                    )

    def _count(self, event: Event) -> None:
        resource = getattr(event, "resource", None)
        if not isinstance(resource, Resource):
            return
        tally = self._tallies.get((resource.source, resource.key))
        new = self._received.by(event)
        if tally is None:
            return
        tally.received += new
        if isinstance(event, Retrying):
            tally.attempts += 1
        elif isinstance(event, Warned):
            tally.warnings.append(event.text)
