"""The messages of several files of one session, each once.

A message is told again by another file where that has the same topic, time and payload. Archive
and recordings have different times, one since the start of the feed, the other UTC: what both have
said in the same words tells how they are related, and with that every other message is compared.
Telemetry carries its own times, so there the payload is enough.

Belongs here: which message is which. Does not belong here: reading files, what messages mean.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median

from ngsim_assets.f1.arrival.files import FileReading, Told
from ngsim_assets.f1.clock import SessionClock, clock_of
from ngsim_assets.f1.formats import OPENF1
from ngsim_assets.f1.reading.messages import Message, SetAside, set_aside
from ngsim_assets.f1.sessions import SessionInfo
from ngsim_assets.f1.telemetry.streams import TOPICS as TELEMETRY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_AGREE_MS = 1_000
_FEWEST = 3
"""Messages that have to agree on the start of the feed: fewer may be the same by chance."""
_APART_MS = 2_000
"""How far apart archive and hub may tell the same message."""


@dataclass(slots=True)
class Once:
    """What the files of a session say together.

    Attributes:
        told: messages in the order of files and lines, each once.
        aside: what is no message, and what a file told twice itself.
        repeated: messages and faults left out as another file has them.
        clock: how session time and UTC are related, as far as it is told.
    """

    told: list[Told] = field(default_factory=list[Told])
    aside: list[SetAside] = field(default_factory=list[SetAside])
    repeated: int = 0
    clock: SessionClock | None = None

    @property
    def version(self) -> str:
        """Hash of all that is told and set aside, whatever files it came in, in any order."""
        hashes = [int.from_bytes(_identity(one)) for one in self.told]
        hashes += [int.from_bytes(_hash(fault)) for fault in _numbered(self.aside)]
        return f"{len(hashes)}-{sum(hashes) % 2**128:032x}"


def each_once(readings: Sequence[FileReading], info: SessionInfo | None) -> Once:
    """The messages of files, which are given in the order of their preference."""
    once = Once()
    seen: dict[bytes, int] = {}
    faults: set[tuple[object, ...]] = set()
    for number, reading in enumerate(readings):
        for one in reading.told:
            first = seen.setdefault(_identity(one), -1)
            if first == -1:
                seen[_identity(one)] = number
                once.told.append(one)
            elif first == number:
                once.aside.append(set_aside(one.message, "duplicate", "told before"))
            else:
                once.repeated += 1
        known = set(faults)
        for item, fault in zip(reading.aside, _numbered(reading.aside), strict=True):
            faults.add(fault)
            if fault in known:
                once.repeated += 1
            else:
                once.aside.append(item)
    archive = [one for one in once.told if _is_of_archive(one.message)]
    recorded = [one for one in once.told if _is_of_hub(one.message)]
    once.clock = _clock(archive, recorded, info)
    if archive and recorded and once.clock is not None:
        again = _told_by(archive, recorded, once.clock)
        once.told = [one for one in once.told if id(one) not in again]
        once.repeated += len(again)
    return once


def _identity(one: Told) -> bytes:
    message = one.message
    if message.topic in TELEMETRY:
        return one.digest
    return _hash((message.session_time, message.utc, message.snapshot, one.digest))


def _hash(told: tuple[object, ...]) -> bytes:
    return hashlib.blake2b(repr(told).encode(errors="replace"), digest_size=16).digest()


def _numbered(aside: Iterable[SetAside]) -> list[tuple[object, ...]]:
    """What tells faults of one file apart: the same line may be wrong several times."""
    count: Counter[tuple[object, ...]] = Counter()
    found: list[tuple[object, ...]] = []
    for item in aside:
        fault = (item.reason, item.topic, item.content)
        count[fault] += 1
        found.append((*fault, count[fault]))
    return found


def _is_of_archive(message: Message) -> bool:
    return message.session_time is not None


def _is_of_hub(message: Message) -> bool:
    return message.session_time is None and not message.topic.startswith(OPENF1)


def _clock(
    archive: Sequence[Told], recorded: Sequence[Told], info: SessionInfo | None
) -> SessionClock | None:
    """The clock by what both have told; else the archive's own, or that of the recordings."""
    if not archive:
        moments = [one.message.utc for one in recorded if one.message.utc is not None]
        return SessionClock(min(moments), 1, "the first message") if moments else None
    return _agreed(archive, recorded) or clock_of((one.message for one in archive), info)


def _agreed(archive: Iterable[Told], recorded: Iterable[Told]) -> SessionClock | None:
    """The start of the feed by which most messages fall together that both told once."""
    here, there = _times(archive), _times(recorded)
    starts = [
        there[said][0] - here[said][0]
        for said in here.keys() & there.keys()
        if len(here[said]) == len(there[said]) == 1
    ]
    if len(starts) < _FEWEST:
        return None
    middle = median(starts)
    agreeing = [start for start in starts if abs(start - middle) <= _AGREE_MS]
    if len(agreeing) < max(_FEWEST, len(starts) / 2):
        return None
    start = round(median(agreeing))
    spread = round(median(abs(one - start) for one in agreeing))
    return SessionClock(_EPOCH + start * _MS, max(spread, 1), "messages of a recording")


def _times(told: Iterable[Told]) -> dict[bytes, list[int]]:
    """Times by what was said, in ms: of the archive since its start, of the hub since 1970."""
    found: defaultdict[bytes, list[int]] = defaultdict(list)
    for one in told:
        time = _time(one.message)
        if time is not None and not one.message.snapshot:
            found[one.digest].append(time)
    for times in found.values():
        times.sort()
    return found


def _time(message: Message) -> int | None:
    if message.session_time is not None:
        return message.session_time
    return None if message.utc is None else (message.utc - _EPOCH) // _MS


def _told_by(archive: Iterable[Told], recorded: Iterable[Told], clock: SessionClock) -> set[int]:
    """Messages of recordings, by identity of the object, that the archive has: one for one."""
    start = (clock.start - _EPOCH) // _MS
    apart = _APART_MS + clock.precision_ms
    free = _times(archive)
    again: set[int] = set()
    for one in recorded:
        times, time = free.get(one.digest), _time(one.message)
        if not times or time is None or one.message.snapshot:
            continue
        place = bisect_left(times, time - start)
        distance, near = min(
            (abs(times[near] - (time - start)), near)
            for near in (place - 1, place)
            if 0 <= near < len(times)
        )
        if distance <= apart:
            del times[near]
            again.add(id(one))
    return again
