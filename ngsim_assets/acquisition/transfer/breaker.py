"""Leaving a host alone that fails, and finding out with one request when it is back.

Belongs here: the circuit breaker of each host, and its memory on disk. Does not belong here:
which failures are the host's (errors.py), who waits for a host (backoff.py, client.py).

Closed: requests go through; `failures` of them that fail in a row open it. Open: none goes
through for `seconds`. Half-open: exactly one, the probe, while the others wait for what it finds;
it closes the breaker or opens it again. A cancelled request says nothing about the host.

Why no library: purgatory 3.0 lets every request through while half-open and counts a cancellation
as a failure, pybreaker 1.4 supports Tornado but not asyncio, aiobreaker is no longer kept. None
remembers across processes, and a command that is run every minute must not ask a dead host
four times a minute.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from ngsim_assets.acquisition.events import BreakerChanged
from ngsim_assets.acquisition.transfer.errors import HostLeftAlone, TransferError
from ngsim_assets.acquisition.transfer.limits import Clock
from ngsim_assets.storage.atomic import write_atomically
from ngsim_assets.storage.errors import StorageError

FORMAT = 1
FORGOTTEN_AFTER = 10
"""Lengths of an opening after which an outage is history: another one is the first again."""


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """A host that is left alone, as its file has it; times are seconds since 1970.

    Attributes:
        opened: when. until: when one request may try again. seconds: between the two.
        openings: 1, and one more for every probe that failed. reason: the failure that opened it.
    """

    host: str
    opened: float
    until: float
    seconds: float
    openings: int
    reason: str


class Permit:
    """Leave to ask a host once; whoever has it says how that went, once.

    Attributes:
        change: of the breaker, that came with the permit: it became half-open.
    """

    def __init__(self, breaker: Breaker, *, probe: bool) -> None:
        self._breaker = breaker
        self._probe = probe
        self._open = True
        self.change = BreakerChanged(breaker.host, "half_open") if probe else None

    @property
    def settled(self) -> bool:
        """Whether it was said how it went."""
        return not self._open

    def succeeded(self) -> BreakerChanged | None:
        """The host answered as a host should, be it with a refusal."""
        return self._breaker.take_success(probe=self._probe) if self._settle() else None

    def failed(self, error: TransferError) -> BreakerChanged | None:
        """The host failed."""
        return self._breaker.take_failure(error, probe=self._probe) if self._settle() else None

    def abandoned(self) -> None:
        """Nobody waited for the answer: neither a success nor a failure."""
        if self._settle() and self._probe:
            self._breaker.take_abandoned_probe()

    def _settle(self) -> bool:
        first, self._open = self._open, False
        return first


class Breaker:
    """The breaker of one host. Nothing here waits: it is asked and told within one event loop."""

    def __init__(self, host: str, *, failures: int, seconds: float, clock: Clock) -> None:
        self.host = host
        self._limit = failures
        self._seconds = seconds
        self._clock = clock
        self._in_a_row = 0
        self._openings = 0
        self._until: float | None = None
        self._reason = ""
        self._probe: asyncio.Event | None = None
        self.standing: OpenBreaker | None = None

    def hindrance(self, url: str) -> asyncio.Event | None:
        """What a request would have to wait for: the probe under way, or None.

        Raises:
            HostLeftAlone: the breaker is open.
        """
        if self._until is None:
            return None
        if self._probe is not None:
            return self._probe
        left = self._until - self._clock.monotonic()
        if left > 0:
            raise HostLeftAlone(
                url,
                self.host,
                retry_in=left,
                reason=self._reason,
                worth_waiting=self._openings <= 1,
            )
        return None

    def permit(self, url: str) -> Permit | asyncio.Event:
        """Leave to ask the host now, or the probe that has to be waited for first.

        Raises:
            HostLeftAlone: the breaker is open.
        """
        hindrance = self.hindrance(url)
        if hindrance is not None:
            return hindrance
        if self._until is None:
            return Permit(self, probe=False)
        self._probe = asyncio.Event()
        return Permit(self, probe=True)

    def take_success(self, *, probe: bool) -> BreakerChanged | None:
        """Of a request; the success of one that was sent before the breaker opened is old news."""
        if probe:
            self._close()
            return BreakerChanged(self.host, "closed")
        if self._until is None:
            self._in_a_row = 0
        return None

    def take_failure(self, error: TransferError, *, probe: bool) -> BreakerChanged | None:
        """Of a request; one that was sent before the breaker opened does not keep it open."""
        if not probe:
            if self._until is not None:
                return None
            self._in_a_row += 1
            if self._in_a_row < self._limit:
                return None
        return self._opened(error)

    def take_abandoned_probe(self) -> None:
        """The next request is the probe."""
        self._end_probe()

    def recall(self, found: OpenBreaker) -> None:
        """Be as open as another process left it. A wall clock that jumped opens it no longer."""
        left = min(found.until - self._clock.wall(), found.seconds)
        self._until = self._clock.monotonic() + left
        self._openings = found.openings
        self._reason = found.reason
        self.standing = found

    def _opened(self, error: TransferError) -> BreakerChanged:
        # a server that says when it wants to be asked again is not asked before
        seconds = max(self._seconds, error.retry_after or 0.0)
        now, then = self._clock.wall(), self._clock.monotonic()
        history = self._until is None or then >= self._until + FORGOTTEN_AFTER * self._seconds
        self._openings = 1 if history else self._openings + 1
        self._until = then + seconds
        self._reason = error.problem
        self.standing = OpenBreaker(
            self.host, now, now + seconds, seconds, self._openings, self._reason
        )
        self._end_probe()
        return BreakerChanged(self.host, "open", seconds, self._reason)

    def _close(self) -> None:
        self._in_a_row = 0
        self._openings = 0
        self._until = None
        self._reason = ""
        self.standing = None
        self._end_probe()

    def _end_probe(self) -> None:
        if self._probe is not None:
            self._probe.set()
            self._probe = None


class Breakers:
    """The breakers of all hosts, and the folder that remembers which are open.

    Args:
        folder: of the memory; None: none. failures: in a row that open a breaker. seconds: that
            it stays open.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        failures: int = 3,
        seconds: float = 60.0,
        clock: Clock | None = None,
    ) -> None:
        self._folder = folder
        self._failures = failures
        self._seconds = seconds
        self._clock = clock or Clock()
        self._hosts: dict[str, Breaker] = {}
        self._writing = asyncio.Lock()

    def of(self, host: str) -> Breaker:
        """The breaker of `host`, as this process or an earlier one left it."""
        breaker = self._hosts.get(host)
        if breaker is None:
            breaker = self._hosts[host] = Breaker(
                host, failures=self._failures, seconds=self._seconds, clock=self._clock
            )
            found = None if self._folder is None else _read(_path(self._folder, host))
            if found is not None and found.host == host:
                breaker.recall(found)
        return breaker

    async def remember(self, host: str) -> None:
        """Have the disk know how the breaker of `host` stands.

        Where it cannot be written, the next process finds out for itself; that is no reason to
        fail what is under way.
        """
        if self._folder is None:
            return
        path = _path(self._folder, host)
        async with self._writing:
            found = self.of(host).standing
            with suppress(StorageError, OSError):
                if found is None:
                    path.unlink(missing_ok=True)
                else:
                    content = json.dumps({"format": FORMAT, **asdict(found)}, indent=1)
                    await asyncio.to_thread(write_atomically, path, content)


def standing(folder: Path, *, now: float | None = None) -> list[OpenBreaker]:
    """The breakers that processes left open in `folder`, by host; outages of long ago are not.

    One whose `until` is past waits for a request to find out whether its host is back.
    """
    moment = Clock().wall() if now is None else now
    found = [_read(path) for path in sorted(folder.glob("*.json"))]
    return [
        one
        for one in found
        if one is not None and moment < one.until + FORGOTTEN_AFTER * one.seconds
    ]


def _path(folder: Path, host: str) -> Path:
    return folder / f"{quote(host, safe='')}.json"


def _read(path: Path) -> OpenBreaker | None:
    """The breaker in `path`; None if there is none or the file is damaged: it protects nobody."""
    try:
        record = json.loads(path.read_bytes())
        if record.pop("format") != FORMAT:
            return None
        numbers = {name: float(record[name]) for name in ("opened", "until", "seconds")}
        return OpenBreaker(
            host=str(record["host"]),
            openings=int(record["openings"]),
            reason=str(record["reason"]),
            **numbers,
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
