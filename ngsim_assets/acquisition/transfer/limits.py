"""How much of a host, of the network and of time requests may take.

Belongs here: the limits as values, clocks and deadlines, slots and pace. Does not belong here:
requests (client.py), when a host is left alone (breaker.py).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ngsim_assets.settings import Settings

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as the transfer sees it; tests give one of their own.

    Attributes:
        monotonic: seconds, for durations. wall: seconds since 1970, for what other processes
            read. sleep: waits. chance: between 0 and 1, for jitter.
    """

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings of the same names say, and what no user has had to change yet.

    Attributes:
        page_bytes: of a small body (`HttpClient.get`), decoded, over which it is refused.
        redirects: that are followed at most.
    """

    requests_at_once: int = 16
    host_connections: int = 8
    host_requests: float = 10.0
    connect_timeout: float = 20.0
    stall_timeout: float = 30.0
    stall_bytes: int = 16_384
    retries: int = 3
    breaker_failures: int = 3
    breaker_seconds: float = 60.0
    deadline: float = 21_600.0
    page_bytes: int = 64 * 2**20
    redirects: int = 5

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that the environment sets."""
        return cls(
            requests_at_once=settings.requests_at_once,
            host_connections=settings.host_connections,
            host_requests=settings.host_requests,
            connect_timeout=settings.connect_timeout,
            stall_timeout=settings.stall_timeout,
            stall_bytes=settings.stall_bytes,
            retries=settings.retries,
            breaker_failures=settings.breaker_failures,
            breaker_seconds=settings.breaker_seconds,
            deadline=settings.deadline,
        )


class Deadline:
    """A moment until which something has to be done, attempts and waits included."""

    def __init__(self, seconds: float, clock: Clock | None = None) -> None:
        self.seconds = seconds
        self._now = (clock or Clock()).monotonic
        self._end = self._now() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left; never less than 0."""
        return max(self._end - self._now(), 0.0)

    @property
    def passed(self) -> bool:
        """Whether it is over."""
        return self.remaining <= 0


class Slots:
    """Room for requests: so many to a host at once, so many in all, so many per second to a host.

    A slot of the host is waited for before one of all: a host whose slots are taken does not
    keep the others waiting. The pace comes last, just before a request is sent: tokens that are
    taken and then wait for a slot would be spent in a burst.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all = asyncio.Semaphore(limits.requests_at_once)
        self._hosts: dict[str, tuple[asyncio.Semaphore, AsyncLimiter]] = {}

    @asynccontextmanager
    async def one(self, host: str) -> AsyncIterator[None]:
        """A slot for one request to `host`, to be held until its body is read."""
        async with self._of(host)[0], self._all:
            yield

    async def pace(self, host: str) -> None:
        """Wait until another request may be sent to `host`."""
        await self._of(host)[1].acquire()

    def _of(self, host: str) -> tuple[asyncio.Semaphore, AsyncLimiter]:
        if host not in self._hosts:
            from aiolimiter import AsyncLimiter

            # A leaky bucket lets as many through at once as it holds, so that one of n per second
            # would let nearly 2 n through in its first second. One that holds one token spaces
            # requests evenly, and the rate holds for every second.
            self._hosts[host] = (
                asyncio.Semaphore(self._limits.host_connections),
                AsyncLimiter(1, 1 / self._limits.host_requests),
            )
        return self._hosts[host]
