"""What neutralisations are found by: track status, race control, and the laps they are checked by.

Belongs here: which parts of a session that is. Does not belong here: places, and finding
neutralisations (neutralisations/).
"""

from __future__ import annotations

from typing import Final

from ngsim_assets.f1.sources.feed_source import FeedSource
from ngsim_assets.f1.sources.places import Parts

SAFETY_CAR: Final = Parts(
    topics=(
        "SessionInfo",
        "SessionStatus",
        "DriverList",
        "TrackStatus",
        "RaceControlMessages",
        "LapCount",
        "TimingData",
        "TimingAppData",
    ),
    endpoints=("sessions", "drivers", "race_control", "laps", "stints", "pit"),
)


class SafetyCarIngestor(FeedSource):
    """What neutralisations of the sessions of a place need."""

    name = "f1-safety-car"
    parts = SAFETY_CAR
