"""Forecasts of Open-Meteo and OpenWeatherMap: what is asked, and what answers say.

Open-Meteo (`/v1/forecast`) tells hours, each variable a list beside `time`; wind comes in the unit
that is asked for, precipitation is the sum of the hour before. OpenWeatherMap
(`/data/2.5/forecast`) tells every third hour of five days as an object with `dt`; its pressure is
that at sea level, the one at the ground is `grnd_level`; rain is the sum of three hours. Neither
says when it was issued: that is when it was asked.

Belongs here: forms of questions and answers as documented (open-meteo.com/en/docs,
openweathermap.org/forecast5). Does not belong here: asking (weather.py), the table's row
(f1/weather.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from ngsim_assets.f1.circuits import Circuit
from ngsim_assets.f1.formats import Json, number, text
from ngsim_assets.f1.origin import Origin, Row
from ngsim_assets.f1.reading.content import Unusable, read_json
from ngsim_assets.f1.sources.errors import NotAForecast
from ngsim_assets.f1.timing.folding import at
from ngsim_assets.f1.weather import Forecast, forecast

ServiceName = Literal["open-meteo", "openweathermap"]

_HOURLY: Final = {
    "temperature_2m": "°C",
    "relative_humidity_2m": "%",
    "surface_pressure": "hPa",
    "wind_speed_10m": "m/s",
    "wind_direction_10m": "°",
    "precipitation": "mm",
    "precipitation_probability": "%",
}
_RAIN_HOURS = 3.0
_LAST_SECOND = 4_102_444_800  # since 1970: the year 2100


@dataclass(frozen=True, slots=True)
class Service:
    """A weather service.

    Attributes:
        path: below its address. asked: the question about a circuit, without any key.
        read: forecasts in an answer, with the place of each in it from 1. reach: days ahead.
    """

    name: ServiceName
    path: str
    asked: Callable[[Circuit], Mapping[str, str]]
    read: Callable[[Json, datetime, str], Iterator[tuple[int, Forecast]]]
    reach: int


def rows(body: bytes, service: Service, origin: Origin, issued: datetime, url: str) -> list[Row]:
    """Rows of f1_weather in an answer; NotAForecast where it has not the documented form.

    Args:
        issued: when it was asked. url: without any key.
    """
    return [forecast(origin, told, url, row) for row, told in read(body, service, issued, url)]


def read(body: bytes, service: Service, issued: datetime, url: str) -> list[tuple[int, Forecast]]:
    """Forecasts in an answer, each with its place in it; NotAForecast for anything else."""
    try:
        told = read_json(body)
    except Unusable as why:
        raise NotAForecast(url, why.detail) from None
    found = list(service.read(told, issued, url))
    if not found:
        raise NotAForecast(url, "it foretells no hour")
    return found


def _ask_open_meteo(circuit: Circuit) -> Mapping[str, str]:
    return {
        "latitude": str(circuit.latitude),
        "longitude": str(circuit.longitude),
        "elevation": str(circuit.altitude),
        "hourly": ",".join(_HOURLY),
        "wind_speed_unit": "ms",
        "timezone": "UTC",
        "forecast_days": "16",
    }


def _ask_openweathermap(circuit: Circuit) -> Mapping[str, str]:
    return {"lat": str(circuit.latitude), "lon": str(circuit.longitude), "units": "metric"}


def _of_open_meteo(told: Json, issued: datetime, url: str) -> Iterator[tuple[int, Forecast]]:
    times = at(told, "hourly", "time")
    if not isinstance(times, list):
        raise NotAForecast(url, text(at(told, "reason")) or "no hours in it")
    if at(told, "utc_offset_seconds") not in (0, None):
        raise NotAForecast(url, f"its times are {at(told, 'timezone')}, not UTC")
    series: dict[str, list[Json]] = {}
    for name, unit in _HOURLY.items():
        found = at(told, "hourly_units", name)
        if found not in (unit, None):
            raise NotAForecast(url, f"{name} is in {found}, not {unit}")
        values = at(told, "hourly", name)
        series[name] = values if isinstance(values, list) else [None] * len(times)
        if len(series[name]) != len(times):
            raise NotAForecast(url, f"{len(series[name])} values of {name} for {len(times)} hours")
    for row, told_time in enumerate(times):
        moment = _moment(told_time, url)
        value = {name: number(values[row]) for name, values in series.items()}
        yield (
            row + 1,
            Forecast(
                issued,
                moment,
                value["temperature_2m"],
                value["relative_humidity_2m"],
                value["surface_pressure"],
                value["wind_speed_10m"],
                value["wind_direction_10m"],
                value["precipitation"],
                value["precipitation_probability"],
            ),
        )


def _of_openweathermap(told: Json, issued: datetime, url: str) -> Iterator[tuple[int, Forecast]]:
    entries = at(told, "list")
    if not isinstance(entries, list):
        raise NotAForecast(url, text(at(told, "message")) or "no list in it")
    for row, entry in enumerate(entries, start=1):
        seconds = number(at(entry, "dt"))
        if seconds is None or not 0 <= seconds < _LAST_SECOND:
            raise NotAForecast(url, f"entry {row} has no time")
        chance = number(at(entry, "pop"))
        rain = number(at(entry, "rain", "3h")) or 0.0
        snow = number(at(entry, "snow", "3h")) or 0.0
        yield (
            row,
            Forecast(
                issued,
                datetime.fromtimestamp(seconds, UTC),
                number(at(entry, "main", "temp")),
                number(at(entry, "main", "humidity")),
                number(at(entry, "main", "grnd_level")),
                number(at(entry, "wind", "speed")),
                number(at(entry, "wind", "deg")),
                (rain + snow) / _RAIN_HOURS,
                None if chance is None else 100 * chance,
            ),
        )


def _moment(told: Json, url: str) -> datetime:
    try:
        return datetime.fromisoformat(str(told)).replace(tzinfo=UTC)
    except ValueError:
        raise NotAForecast(url, f"a time reads {told!r}") from None


OPEN_METEO: Final = Service("open-meteo", "/v1/forecast", _ask_open_meteo, _of_open_meteo, 16)
OPENWEATHERMAP: Final = Service(
    "openweathermap", "/data/2.5/forecast", _ask_openweathermap, _of_openweathermap, 5
)
SERVICES: Final[Mapping[str, Service]] = {
    service.name: service for service in (OPEN_METEO, OPENWEATHERMAP)
}
