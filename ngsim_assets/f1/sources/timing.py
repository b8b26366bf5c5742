"""Laps, sectors, stints, status and race control of sessions: the timing.

Belongs here: which parts of a session timing is made of. Does not belong here: places
(archive.py, openf1.py, simulated.py, recorded.py), what parts say (timing/).
"""

from __future__ import annotations

from typing import Final

from ngsim_assets.f1.sources.feed_source import FeedSource
from ngsim_assets.f1.sources.places import Parts

TIMING: Final = Parts(
    topics=(
        "SessionInfo",
        "SessionStatus",
        "DriverList",
        "TimingData",
        "TimingAppData",
        "TrackStatus",
        "RaceControlMessages",
        "LapCount",
        "WeatherData",
    ),
    endpoints=(
        "sessions",
        "drivers",
        "laps",
        "stints",
        "pit",
        "position",
        "intervals",
        "race_control",
        "weather",
    ),
)


class TimingIngestor(FeedSource):
    """The timing of the sessions of a place."""

    name = "f1-timing"
    parts = TIMING
