"""Whether a feed told a session from its start to its end, and where it was silent.

Belongs here: what the times of messages tell of a feed. Does not belong here: what messages say,
beyond the status of the session.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.timing.folding import at

LONGEST_MS: Final = {"TimingData": 60_000, "WeatherData": 150_000, "Heartbeat": 60_000}
"""Silence of a topic, while the session runs, that is worth telling. Measured: in races timing is
never silent for 5 s, in qualifying up to 202 s when all cars are in their garages; the weather
comes once a minute, to the second."""

_OVER = frozenset({"Finished", "Finalised", "Ends"})


@dataclass(frozen=True, slots=True)
class Silence:
    """A span in which a topic that should have told something told nothing, session times in ms."""

    topic: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """What became of a feed.

    Attributes:
        state: `empty` without any time; `never_started`; `cut_off` where it ends before the
            session does; `complete`.
        first, last: session times of its first and last message, ms.
        silences: while the session was running, by start.
    """

    state: Literal["empty", "never_started", "cut_off", "complete"]
    first: int | None
    last: int | None
    silences: tuple[Silence, ...]


def health_of(
    messages: Iterable[Message], *, longest: Mapping[str, int] = LONGEST_MS
) -> FeedHealth:
    """The health of the feed of one session, from messages in any order of topics.

    Args:
        longest: silence worth telling, ms, per topic; others are not looked at.
    """
    times: dict[str, list[int]] = defaultdict(list)
    statuses: list[tuple[int, str]] = []
    everything: list[int] = []
    for message in messages:
        time = message.session_time
        if time is None:
            continue
        everything.append(time)
        if message.topic in longest:
            times[message.topic].append(time)
        if message.topic == "SessionStatus":
            status = at(message.payload, "Status")
            if isinstance(status, str):
                statuses.append((time, status))
    if not everything:
        return FeedHealth("empty", None, None, ())
    first, last = min(everything), max(everything)
    running = running_spans(sorted(statuses), last)
    if not running:
        return FeedHealth("never_started", first, last, ())
    over = any(status in _OVER for _, status in statuses)
    silences = [
        Silence(topic, before, after)
        for topic, told in times.items()
        for start, end in running
        for before, after in _gaps(sorted(told), start, end)
        if after - before > longest[topic]
    ]
    silences.sort(key=lambda silence: (silence.start, silence.topic))
    return FeedHealth("complete" if over else "cut_off", first, last, tuple(silences))


def running_spans(statuses: Iterable[tuple[int, str]], last: int) -> list[tuple[int, int]]:
    """Spans in which the session was under way, of times and statuses in their order.

    `last` ends the span that no status ended.
    """
    spans: list[tuple[int, int]] = []
    since: int | None = None
    for time, status in statuses:
        if status == "Started":
            since = time if since is None else since
        elif since is not None:
            spans.append((since, time))
            since = None
    if since is not None:
        spans.append((since, last))
    return spans


def _gaps(times: list[int], start: int, end: int) -> list[tuple[int, int]]:
    """Spans without a message between `start` and `end`."""
    within = [start, *(time for time in times if start < time < end), end]
    return list(pairwise(within))
