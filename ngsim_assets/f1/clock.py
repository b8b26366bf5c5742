"""How the time since the start of a feed becomes UTC, and back.

The archive tells session times and no clock; recordings tell UTC and no session time. Messages
that carry a time of their own connect both: none is told before it happened, so the latest start
of the feed that they allow is the true one.

Belongs here: finding and using that start. Does not belong here: reading of messages.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.reading.recordings import utc
from ngsim_assets.f1.sessions import SessionInfo
from ngsim_assets.f1.timing.folding import at, elements

_MS = timedelta(milliseconds=1)
_SECOND_MS = 1_000
_AGREEING_MS = 1_200  # one second of truncation, and what transmission adds to it
_AGREEING_SHARE = 0.25
_LATE_MS = 600_000  # no half of all messages comes that much too late


@dataclass(frozen=True, slots=True)
class SessionClock:
    """The start of a feed, and how well it is known.

    Attributes:
        start: UTC of session time 0.
        precision_ms: how far the true start may be off.
        known_from: what it was found by.
    """

    start: datetime
    precision_ms: int
    known_from: str

    def utc(self, session_time: int) -> datetime:
        """UTC of a session time in ms."""
        return self.start + session_time * _MS

    def session_time(self, moment: datetime) -> int:
        """Session time in ms of a moment, rounded down."""
        return (moment - self.start) // _MS

    def place(self, message: Message) -> Message:
        """`message` with both times, if it has one."""
        if message.utc is None and message.session_time is not None:
            return _with(message, message.session_time, self.utc(message.session_time))
        if message.session_time is None and message.utc is not None:
            return _with(message, self.session_time(message.utc), message.utc)
        return message


def _with(message: Message, time: int, moment: datetime) -> Message:
    # spelled out: dataclasses.replace takes as long as all the rest of folding a message
    return Message(
        message.session,
        message.topic,
        time,
        moment,
        message.payload,
        message.content,
        message.file,
        message.line,
        message.snapshot,
        message.part,
    )


def clock_of(messages: Iterable[Message], info: SessionInfo | None = None) -> SessionClock | None:
    """The clock of a session, from all that its messages tell of time; None if they do not.

    Messages of a recording start the clock themselves. In the archive, car data, positions and
    heartbeats tell the time to the millisecond, race control to the second (which many messages
    narrow down), and a session that has none of them begins when `info` says it begins.
    """
    exact: list[float] = []
    truncated: list[float] = []
    started: int | None = None
    for message in messages:
        time = message.session_time
        if time is None:
            if message.utc is not None:
                return SessionClock(message.utc, 1, "the first message")
            continue
        if message.topic == "RaceControlMessages":
            truncated += (_milliseconds(moment) - time for moment in _told(message.payload))
        elif message.feed in _EXACT:
            exact += (_milliseconds(moment) - time for moment in _told(message.payload))
        elif message.topic == "SessionStatus" and started is None:
            started = time if at(message.payload, "Status") == "Started" else None
    if exact:
        # a clock that was wrong once, by a day or by years, does not tell the start
        near = median(exact) + _LATE_MS
        latest = max(start for start in exact if start <= near)
        return SessionClock(_moment(latest), 1, "times inside messages")
    latest = _latest(truncated)
    if latest is not None:
        precision = max(_SECOND_MS // (len(truncated) + 1), 10)
        return SessionClock(_moment(latest), precision, "race control")
    if info is not None and started is not None:
        return SessionClock(info.start - started * _MS, 10 * _SECOND_MS, "the scheduled start")
    return None


def placed(messages: Iterable[Message], clock: SessionClock | None) -> Iterator[Message]:
    """The messages with both times, as far as `clock` tells them."""
    if clock is None:
        yield from messages
    else:
        yield from map(clock.place, messages)


_EXACT = frozenset({"CarData", "Position", "Heartbeat", "ExtrapolatedClock"})


_STAMP = re.compile(r'"(?:Utc|Timestamp)"\s*:\s*"([^"]{10,40})"')


def _told(payload: Json) -> Iterator[datetime]:
    """Times a message carries: its own, and those of what it lists."""
    if isinstance(payload, str):
        yield from (moment for found in _STAMP.finditer(payload) if (moment := utc(found[1])))
        return
    listed = [item for _, item in elements(at(payload, "Messages"))]
    for item in [payload, *listed]:
        told = at(item, "Utc")
        moment = utc(told) if isinstance(told, str) else None
        if moment is not None:
            yield moment


def _latest(starts: list[float]) -> float | None:
    """The latest start of the feed that enough messages agree on, each truncated to a second."""
    ordered = sorted(starts)
    for position in range(len(ordered) - 1, -1, -1):
        low = ordered[position] - _AGREEING_MS
        agreeing = position + 1 - bisect_left(ordered, low, 0, position + 1)
        if agreeing >= _AGREEING_SHARE * len(ordered):
            return ordered[position]
    return None


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _milliseconds(moment: datetime) -> float:
    return (moment - _EPOCH) / _MS


def _moment(milliseconds: float) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
