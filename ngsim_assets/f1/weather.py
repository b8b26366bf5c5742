"""The weather of a session: observations out of feeds, and the form that forecasts have too.

Belongs here: what WeatherData and OpenF1's `weather` say as rows of f1_weather. Does not belong
here: asking for forecasts, judging values (validate.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ngsim_assets.f1.formats import Json, number, truth
from ngsim_assets.f1.origin import Origin, Row
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.timing.folding import at

_LIVE = {
    "air_temperature": "AirTemp",
    "track_temperature": "TrackTemp",
    "humidity": "Humidity",
    "pressure": "Pressure",
    "wind_speed": "WindSpeed",
    "wind_direction": "WindDirection",
}
_OPENF1 = {
    "air_temperature": "air_temperature",
    "track_temperature": "track_temperature",
    "humidity": "humidity",
    "pressure": "pressure",
    "wind_speed": "wind_speed",
    "wind_direction": "wind_direction",
}


def observation(origin: Origin, state: Json, message: Message) -> Row:
    """The row of a WeatherData message; `state` is all that was told of the weather by then."""
    return _row(origin, state, message, _LIVE, "Rainfall")


def openf1_observation(origin: Origin, message: Message) -> Row:
    """The row of one row of OpenF1's `weather`."""
    return _row(origin, message.payload, message, _OPENF1, "rainfall")


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a service foretells for one hour at the circuit, in the units of f1_weather."""

    issue_time: datetime
    valid_time: datetime
    air_temperature: float | None
    humidity: float | None
    pressure: float | None
    wind_speed: float | None
    wind_direction: float | None
    precipitation: float | None
    precipitation_probability: float | None


def forecast(origin: Origin, told: Forecast, file: str, row: int) -> Row:
    """The row of a forecast; `file` is the address it was asked at, `row` its place in there."""
    rain = told.precipitation
    return {
        **origin.columns,
        "kind": "forecast",
        "source": origin.source,
        "simulated": origin.simulated,
        "issue_time": told.issue_time,
        "valid_time": told.valid_time,
        "session_time_ms": None,
        "air_temperature": told.air_temperature,
        "humidity": told.humidity,
        "pressure": told.pressure,
        "wind_speed": told.wind_speed,
        "wind_direction": told.wind_direction,
        "rainfall": None if rain is None else rain > 0,
        "precipitation": rain,
        "precipitation_probability": told.precipitation_probability,
        "source_file": file,
        "source_row": row,
        "flags": [],
    }


def _row(origin: Origin, told: Json, message: Message, names: dict[str, str], rainfall: str) -> Row:
    columns = origin.of(message)
    moment = columns.pop("timestamp")
    rain = at(told, rainfall)
    wet = number(rain)
    values: Row = {column: number(at(told, name)) for column, name in names.items()}
    return {
        **columns,
        "kind": "observation",
        "source": origin.source,
        "simulated": origin.simulated,
        "issue_time": moment,
        "valid_time": moment,
        **values,
        "rainfall": truth(rain) if wet is None else wet > 0,
        "flags": [],
    }
