"""Which bytes of a file are there, which are missing, and who fetches which of them.

Belongs here: intervals of offsets, and sharing what is missing among connections. Does not belong
here: bytes, files, requests.

Intervals are half-open: (0, 3) are the first three bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Ranges:
    """A set of offsets as intervals that are sorted, not empty and do not touch: see `of`."""

    intervals: tuple[Interval, ...] = ()

    @classmethod
    def of(cls, intervals: Iterable[Interval]) -> Ranges:
        """The offsets of `intervals` in any order; ValueError where one is no interval."""
        joined: list[Interval] = []
        for start, stop in sorted(intervals):
            if not 0 <= start <= stop:
                raise ValueError((start, stop))
            if joined and start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
            elif start < stop:
                joined.append((start, stop))
        return cls(tuple(joined))

    def __iter__(self) -> Iterator[Interval]:
        return iter(self.intervals)

    @property
    def bytes(self) -> int:
        """How many offsets these are."""
        return sum(stop - start for start, stop in self.intervals)

    @property
    def prefix(self) -> int:
        """How many there are from 0 on without a gap."""
        return self.intervals[0][1] if self.intervals and self.intervals[0][0] == 0 else 0

    @property
    def end(self) -> int:
        """One past the last of them, 0 if there is none."""
        return self.intervals[-1][1] if self.intervals else 0

    def joined(self, start: int, stop: int) -> Ranges:
        """These and [start, stop)."""
        return Ranges.of((*self.intervals, (start, stop)))

    def without(self, start: int, stop: int) -> Ranges:
        """These except [start, stop)."""
        left = [(a, min(b, start)) for a, b in self.intervals if a < start]
        right = [(max(a, stop), b) for a, b in self.intervals if b > stop]
        return Ranges.of((*left, *right))

    def missing(self, total: int) -> Ranges:
        """Those of [0, total) that are not among these."""
        gaps = Ranges.of([(0, total)])
        for start, stop in self.intervals:
            gaps = gaps.without(start, stop)
        return gaps


@dataclass(slots=True, eq=False)
class Work:
    """What one connection fetches: from `at`, which moves on, to `stop`.

    `stop` is None while nobody knows where the file ends, and comes nearer when another connection
    takes the end of the work over. `start` is where it began: what lies between that and `at` has
    arrived, but not all of it may be written yet.
    """

    at: int
    stop: int | None = None
    start: int = field(init=False)

    def __post_init__(self) -> None:
        self.start = self.at

    @property
    def left(self) -> int:
        """Bytes it still has to bring; 0 where the end is not known."""
        return 0 if self.stop is None else max(self.stop - self.at, 0)


class Sharing:
    """The missing bytes of a file of `total` bytes, shared among connections."""

    def __init__(self, total: int, *, least: int = 1) -> None:
        """No work of fewer than `least` bytes is split off one that goes on."""
        self._total = total
        self._least = max(least, 1)
        self._held: list[Work] = []

    def hold(self, work: Work) -> None:
        """Count `work`, begun before the size was known, among what is being fetched."""
        if work.stop is None:
            work.stop = self._total
        self._held.append(work)

    def take(self, done: Ranges) -> Work | None:
        """Work for a connection that has none, None if there is none left.

        The first gap that nobody works on; else the latter half of the largest that somebody does,
        who stops there then.
        """
        free = done.missing(self._total)
        for held in self._held:
            free = free.without(held.start, max(held.at, held.stop or 0))
        if free.intervals:
            work = Work(*free.intervals[0])
        else:
            largest = max(self._held, key=lambda held: held.left, default=None)
            if largest is None or largest.left < 2 * self._least:
                return None
            middle = largest.at + (largest.left + 1) // 2
            work = Work(middle, largest.stop)
            largest.stop = middle
        self._held.append(work)
        return work

    def give_back(self, work: Work) -> None:
        """Nobody works on `work` any more; what it did not bring is a gap for others."""
        self._held.remove(work)
