"""The weather at a circuit, minute by minute, and what was foretold of it.

Belongs here: air, track, humidity, pressure, wind and rain of a profile, WeatherData messages, and
forecasts as Open-Meteo writes them. Does not belong here: what circuits' weather is like
(profiles.py), reading.

It rains a tenth of the time, in spells of 20 minutes on average. The track is 8 to 15 °C warmer
than the air.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.simulation.scenario import Scenario
from ngsim_assets.f1.simulation.wire import Emitted

RAIN_SHARE = 0.10
RAIN_SPELL = 20.0
"""Minutes."""

TRACK_EXCESS = (8.0, 15.0)
"""°C, least and most."""

HOURS = 30
"""Hours of weather that are made, from the hour in which the feed starts."""

_MINUTE = timedelta(minutes=1)
_FIRST = 18_000  # ms after the start of the feed at which the first observation comes
Floats = NDArray[np.float64]


class MockWeatherGenerator:
    """The weather of a scenario, made when it is made: its messages, its forecasts, its truth."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._start = scenario.feed_start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        self._truth = self._make()

    def truth(self) -> pl.DataFrame:
        """The weather of every minute, in columns of f1_weather; `simulated` is always true."""
        return self._truth

    def messages(self, end: int) -> Iterator[Emitted]:
        """WeatherData, one a minute, until `end` ms after the start of the feed."""
        for time in range(_FIRST, end, 60_000):
            moment = self.scenario.feed_start + timedelta(milliseconds=time)
            minute = (moment - self._start) // _MINUTE
            if minute >= self._truth.height:
                return
            row = self._truth.row(minute, named=True)
            yield Emitted(
                time,
                "WeatherData",
                {
                    "AirTemp": f"{row['air_temperature']:.1f}",
                    "Humidity": f"{row['humidity']:.1f}",
                    "Pressure": f"{row['pressure']:.1f}",
                    "Rainfall": "1" if row["rainfall"] else "0",
                    "TrackTemp": f"{row['track_temperature']:.1f}",
                    "WindDirection": f"{row['wind_direction']:.0f}",
                    "WindSpeed": f"{row['wind_speed']:.1f}",
                },
            )

    def forecast(self, issued: datetime, hours: int = 24) -> dict[str, Json]:
        """What Open-Meteo would have answered at `issued`: the hours from then on.

        Errors grow with the square root of how far ahead it looks. Wind is in m/s and times are
        UTC, as they are asked for with `wind_speed_unit=ms` and `timezone=UTC`.
        """
        first = max(0, (issued.astimezone(UTC) - self._start) // timedelta(hours=1))
        draw = self.scenario.random(f"forecast {issued.astimezone(UTC).isoformat()}")
        names = (*_UNITS, "time")
        hourly: dict[str, list[Json]] = {name: [] for name in names}
        for ahead, hour in enumerate(range(first, min(first + hours, HOURS))):
            now = self._truth[hour * 60 : (hour + 1) * 60]
            off = draw.normal(0, 1, 5) * np.sqrt(ahead + 0.25)
            wet = now["rainfall"].to_numpy().mean()
            at = now.row(0, named=True)
            foretold = 100 * (0.15 + 0.7 * wet) + 6 * off[4]
            hourly["time"].append((self._start + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M"))
            hourly["temperature_2m"].append(round(float(at["air_temperature"] + 0.4 * off[0]), 1))
            humidity = at["humidity"] + 2 * off[1]
            hourly["relative_humidity_2m"].append(round(float(np.clip(humidity, 5, 100))))
            hourly["surface_pressure"].append(round(float(at["pressure"] + 0.3 * off[2]), 1))
            speed = max(0.0, at["wind_speed"] + 0.3 * off[3])
            hourly["wind_speed_10m"].append(round(float(speed), 2))
            hourly["wind_direction_10m"].append(int(at["wind_direction"]))
            hourly["precipitation_probability"].append(round(float(np.clip(foretold, 0, 100))))
            hourly["precipitation"].append(round(float(max(0.0, 2.5 * wet)), 1))
        place = self.scenario.place
        series: dict[str, Json] = {name: list(values) for name, values in hourly.items()}
        return {
            "latitude": place.latitude,
            "longitude": place.longitude,
            "elevation": place.altitude,
            "generationtime_ms": 0.0,
            "utc_offset_seconds": 0,
            "timezone": "UTC",
            "timezone_abbreviation": "UTC",
            "hourly_units": {"time": "iso8601", **_UNITS},
            "hourly": series,
        }

    def _make(self) -> pl.DataFrame:
        draw = self.scenario.random("weather")
        profile = self.scenario.profile.weather
        count = HOURS * 60
        minutes = np.arange(count)
        rain = _rain(draw, count)
        # what rain does comes and goes within a quarter of an hour
        soaked = _lagged(rain.astype(float), 15.0)
        # 14:00 local solar time is warmest; longitude tells the sun's time
        solar = self._start.hour + minutes / 60 + self.scenario.place.longitude / 15
        sun = np.cos(2 * np.pi * (solar - 14.0) / 24)
        air = profile.air + profile.swing * (sun - 0.8) - 2.0 * soaked + _drift(draw, count, 0.5)
        excess = profile.track_excess + 1.2 * sun - 2.5 * soaked + _drift(draw, count, 0.8)
        humidity = profile.humidity - 8 * sun + 18 * soaked + _drift(draw, count, 2.5)
        pressure = self.scenario.place.pressure + _drift(draw, count, 3.0, 20.0)
        wind = profile.wind + 0.8 * soaked + _drift(draw, count, 0.7) + draw.normal(0, 0.4, count)
        direction = profile.wind_from + _drift(draw, count, 30.0) + draw.normal(0, 12, count)
        # tenths are added as tenths, so that the track stays within its bounds to the digit
        tenths = np.round(10 * air).astype(int)
        above = np.clip(np.round(10 * excess), 10 * TRACK_EXCESS[0], 10 * TRACK_EXCESS[1])
        times = pl.Series([self._start]).dt.cast_time_unit("us")
        stamps = pl.select(pl.lit(times[0]) + pl.duration(minutes=pl.int_range(count))).to_series()
        return pl.DataFrame(
            {
                "valid_time": stamps,
                "air_temperature": tenths / 10,
                "track_temperature": (tenths + above.astype(int)) / 10,
                "humidity": np.round(np.clip(humidity, 5, 100), 1),
                "pressure": np.round(pressure, 1),
                "wind_speed": np.round(np.clip(wind, 0, None), 1),
                "wind_direction": np.round(direction) % 360,
                "rainfall": rain,
                "simulated": np.ones(count, dtype=bool),
            }
        )


_UNITS: dict[str, Json] = {
    "temperature_2m": "°C",
    "relative_humidity_2m": "%",
    "precipitation": "mm",
    "precipitation_probability": "%",
    "surface_pressure": "hPa",
    "wind_speed_10m": "m/s",
    "wind_direction_10m": "°",
}


def _rain(draw: np.random.Generator, count: int) -> NDArray[np.bool_]:
    """Spells of rain: a chain of two states whose long-run share is RAIN_SHARE."""
    stops = 1 / RAIN_SPELL
    starts = stops * RAIN_SHARE / (1 - RAIN_SHARE)
    chances = draw.random(count + 1)
    raining = bool(chances[-1] < RAIN_SHARE)
    spells = np.empty(count, dtype=bool)
    for minute in range(count):
        spells[minute] = raining
        raining = chances[minute] >= stops if raining else chances[minute] < starts
    return spells


def _lagged(values: Floats, minutes: float) -> Floats:
    """`values` followed with a delay of `minutes`."""
    share = 1 - np.exp(-1 / minutes)
    followed = np.empty(len(values))
    state = values[0]
    for k, value in enumerate(values):
        state += share * (value - state)
        followed[k] = state
    return followed


def _drift(draw: np.random.Generator, count: int, size: float, hours: float = 1.0) -> Floats:
    """Something that wanders around zero with standard deviation `size`, over some hours."""
    keep = np.exp(-1 / (60 * hours))
    steps = draw.normal(0, size * np.sqrt(1 - keep**2), count)
    state = draw.normal(0, size)
    wandered = np.empty(count)
    for k, step in enumerate(steps):
        state = keep * state + step
        wandered[k] = state
    return wandered
