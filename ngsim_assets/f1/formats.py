"""What the feeds look like: topics, endpoints, and how each writes its values.

Belongs here: names and layouts of feeds as data, and the reading of one value. Does not belong
here: reading of lines and files (reading/), any meaning of a message (timing/, weather.py).

Sources: the live-timing archive and hub of Formula 1 as recorded in real sessions 2018 to 2026,
the SignalR clients of FastF1 and OpenF1, and OpenF1's API documentation (openf1.org).
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

COMPRESSED: Final = ".z"
"""Ending of topics whose content is base64 of raw deflate."""

TOPICS: Final = frozenset(
    {
        "ArchiveStatus",
        "AudioStreams",
        "CarData.z",
        "ChampionshipPrediction",
        "ContentStreams",
        "CurrentTyres",
        "DriverList",
        "DriverRaceInfo",
        "DriverScore",
        "DriverTracker",
        "ExtrapolatedClock",
        "Heartbeat",
        "LapCount",
        "LapSeries",
        "OvertakeSeries",
        "PitLaneTimeCollection",
        "PitStop",
        "PitStopSeries",
        "Position.z",
        "RaceControlMessages",
        "RcmSeries",
        "SPFeed",
        "SessionData",
        "SessionInfo",
        "SessionStatus",
        "TeamRadio",
        "TimingAppData",
        "TimingData",
        "TimingDataF1",
        "TimingStats",
        "TlaRcm",
        "TopThree",
        "TrackStatus",
        "TyreStintSeries",
        "WeatherData",
        "WeatherDataSeries",
    }
)

ENDPOINTS: Final = frozenset(
    {
        "car_data",
        "drivers",
        "intervals",
        "laps",
        "location",
        "meetings",
        "overtakes",
        "pit",
        "position",
        "race_control",
        "session_result",
        "sessions",
        "starting_grid",
        "stints",
        "team_radio",
        "weather",
    }
)
"""Endpoints of OpenF1; their rows are messages of the topic `openf1/<endpoint>`."""

OPENF1: Final = "openf1/"

_SESSION_TIME = re.compile(r"(\d{1,3}):([0-5]\d):([0-5]\d)(?:\.(\d{1,7}))?", re.ASCII)
_DURATION = re.compile(r"\+?(?:(?:(\d{1,2}):)?(\d{1,3}):)?(\d{1,6})(?:\.(\d{1,7}))?", re.ASCII)
_MILLISECONDS = 3
_LARGEST = 10**9  # sums of a few still have 32 bits
_DIGITS = 11
_DAY = 24 * 3600


def session_time(text: str) -> int | None:
    """Milliseconds of a session time written `HH:MM:SS.mmm`; None for anything else."""
    found = _SESSION_TIME.fullmatch(text)
    if found is None:
        return None
    hours, minutes, seconds, fraction = found.groups()
    return (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * 1000 + _thousandths(fraction)


def duration(text: str) -> int | None:
    """Milliseconds of a time written `1:42.105`, `26.702` or `+0.404`; None for anything else.

    Nothing of a day and more is a time of a lap, a sector or a gap.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    hours, minutes, seconds, fraction = found.groups()
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds)
    return whole * 1000 + _thousandths(fraction) if whole < _DAY else None


def whole(value: Json) -> int | None:
    """A whole number up to a billion, delivered as a number or as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        value = int(value) if value.is_integer() else None
    elif isinstance(value, str):
        plain = value.isascii() and value.removeprefix("-").isdigit() and len(value) <= _DIGITS
        value = int(value) if plain else None
    return value if isinstance(value, int) and abs(value) <= _LARGEST else None


def number(value: Json) -> float | None:
    """A finite number delivered as a number or as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if abs(read) < float("inf") else None


def truth(value: Json) -> bool | None:
    """Yes or no as the feeds write it: true, "true", 1, "1"; None for anything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | str):
        return {"1": True, "true": True, "0": False, "false": False}.get(str(value).lower())
    return None


def text(value: Json) -> str | None:
    """A text that says something; None for an empty one and for anything else."""
    return value.strip() or None if isinstance(value, str) else None


def _thousandths(fraction: str | None) -> int:
    """The milliseconds of a fraction of a second, the rest cut off as the feeds do."""
    return int((fraction or "")[:_MILLISECONDS].ljust(_MILLISECONDS, "0"))
