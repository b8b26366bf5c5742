"""Observations and forecasts: documented answers, and a key that nobody reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from aiohttp import web

from ngsim_assets.acquisition.observers.log import LogObserver
from ngsim_assets.acquisition.results import IngestionResult
from ngsim_assets.f1.model import F1_WEATHER
from ngsim_assets.f1.origin import frame
from ngsim_assets.f1.simulate import Scenario, simulate
from ngsim_assets.f1.sources.archive import Archive
from ngsim_assets.f1.sources.errors import KeyRefused, NotAForecast
from ngsim_assets.f1.sources.feed_source import readings
from ngsim_assets.f1.sources.forecasts import OPEN_METEO, OPENWEATHERMAP, Service
from ngsim_assets.f1.sources.places import Wanted
from ngsim_assets.f1.sources.simulated import Simulated
from ngsim_assets.f1.sources.weather import WeatherIngestor, forecast_rows
from ngsim_assets.settings import Settings
from ngsim_assets_tests.f1.sources.served import (
    Served,
    everything_written,
    json_answer,
    run,
)

KEY = "k3y-0f-0penw3atherm4p"
NOW = datetime(2025, 5, 2, 12, 30, tzinfo=UTC)
MIAMI = "2025-05-04_miami_race"
INDEX = {
    "Year": 2025,
    "Meetings": [
        {
            "Name": "Miami Grand Prix",
            "Location": "Miami",
            "Circuit": {"ShortName": "Miami"},
            "Sessions": [
                {
                    "Name": "Race",
                    "Type": "Race",
                    "Key": 1,
                    "StartDate": "2025-05-04T16:00:00",
                    "EndDate": "2025-05-04T18:00:00",
                    "GmtOffset": "-04:00:00",
                    "Path": "2025/2025-05-04_Miami_Grand_Prix/2025-05-04_Race/",
                }
            ],
        }
    ],
}
# in the form of open-meteo.com/en/docs, for the variables that are asked for
OPEN_METEO_ANSWER = {
    "latitude": 25.95,
    "longitude": -80.24,
    "generationtime_ms": 0.09,
    "utc_offset_seconds": 0,
    "timezone": "GMT",
    "elevation": 2.0,
    "hourly_units": {
        "time": "iso8601",
        "temperature_2m": "°C",
        "relative_humidity_2m": "%",
        "surface_pressure": "hPa",
        "wind_speed_10m": "m/s",
        "wind_direction_10m": "°",
        "precipitation": "mm",
        "precipitation_probability": "%",
    },
    "hourly": {
        "time": ["2025-05-04T20:00", "2025-05-04T21:00"],
        "temperature_2m": [29.1, 28.4],
        "relative_humidity_2m": [62, 70],
        "surface_pressure": [1014.2, 1013.9],
        "wind_speed_10m": [4.5, 6.1],
        "wind_direction_10m": [110, 130],
        "precipitation": [0.0, 1.2],
        "precipitation_probability": [20, None],
    },
}
# in the form of openweathermap.org/forecast5
OPENWEATHERMAP_ANSWER = {
    "cod": "200",
    "message": 0,
    "cnt": 2,
    "list": [
        {
            "dt": 1746392400,
            "main": {
                "temp": 28.9,
                "feels_like": 31.2,
                "pressure": 1015,
                "sea_level": 1015,
                "grnd_level": 1014,
                "humidity": 64,
            },
            "weather": [{"id": 500, "main": "Rain", "description": "light rain", "icon": "10d"}],
            "clouds": {"all": 75},
            "wind": {"speed": 5.2, "deg": 115, "gust": 7.9},
            "visibility": 10000,
            "pop": 0.32,
            "rain": {"3h": 0.9},
            "sys": {"pod": "d"},
            "dt_txt": "2025-05-04 21:00:00",
        },
        {
            "dt": 1746403200,
            "main": {"temp": 27.0, "pressure": 1015, "grnd_level": 1014, "humidity": 71},
            "wind": {"speed": 4.0, "deg": 120},
            "pop": 0,
        },
    ],
    "city": {"id": 4164138, "name": "Miami", "timezone": -14400},
}


def server(**answers: object) -> Served:
    """A season with one session to come, and both services."""
    bodies = {
        "/static/2025/Index.json": INDEX,
        "/meteo/v1/forecast": OPEN_METEO_ANSWER,
        "/owm/data/2.5/forecast": OPENWEATHERMAP_ANSWER,
        **answers,
    }
    return Served(answers={path: json_answer(json.dumps(b).encode()) for path, b in bodies.items()})


def weather(*services: Service, now: datetime = NOW) -> Callable[[Settings], list[WeatherIngestor]]:
    def make(settings: Settings) -> list[WeatherIngestor]:
        place = Archive(settings, Wanted(years=(2025,), sessions=(MIAMI,)))
        return [WeatherIngestor(settings, place, services=services or None, now=lambda: now)]

    return make


def rows_of(result: IngestionResult, service: str) -> pl.DataFrame:
    (artifact,) = [item for item in result.artifacts if item.name.startswith(service)]
    return frame(F1_WEATHER, forecast_rows(artifact))


def test_both_services_foretell_in_one_form(tmp_path: Path) -> None:
    served = server()
    (first,), (second,) = run(served, tmp_path, weather(), {"openweathermap_key": KEY}, times=2)
    assert (first.status, second.status) == ("fetched", "unchanged")
    assert served.count("/meteo/v1/forecast") == served.count("/owm/data/2.5/forecast") == 1
    meteo, owm = rows_of(first, "open-meteo"), rows_of(first, "openweathermap")
    assert meteo["issue_time"].to_list() == owm["issue_time"].to_list() == [NOW] * 2
    assert set(meteo["kind"]) == {"forecast"}
    last = meteo.row(1, named=True)
    assert last["valid_time"] == datetime(2025, 5, 4, 21, tzinfo=UTC)
    assert (last["session"], last["source"], last["simulated"]) == (MIAMI, "open-meteo", False)
    assert (last["air_temperature"], last["humidity"], last["pressure"]) == (28.4, 70, 1013.9)
    assert (last["wind_speed"], last["wind_direction"]) == (6.1, 130)
    assert (last["precipitation"], last["precipitation_probability"]) == (1.2, None)
    assert (last["rainfall"], last["track_temperature"]) == (True, None)
    wet, dry = owm.rows(named=True)
    assert wet["valid_time"] == datetime(2025, 5, 4, 21, tzinfo=UTC)
    assert wet["pressure"] == 1014, "at the ground, not at sea level"
    assert wet["precipitation"] == pytest.approx(0.3)
    assert wet["precipitation_probability"] == pytest.approx(32)
    assert (dry["rainfall"], dry["precipitation"]) == (False, 0.0)


def test_what_is_asked_is_the_circuit_in_si_units_and_utc(tmp_path: Path) -> None:
    asked: list[dict[str, str]] = []

    async def note(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        return web.json_response(OPEN_METEO_ANSWER)

    served = server()
    served.answers["/meteo/v1/forecast"] = note
    run(served, tmp_path, weather(OPEN_METEO))
    assert asked[0]["wind_speed_unit"] == "ms"
    assert asked[0]["timezone"] == "UTC"
    assert (float(asked[0]["latitude"]), float(asked[0]["longitude"])) == pytest.approx(
        (25.96, -80.24), abs=0.02
    )


def test_a_forecast_is_asked_for_again_in_the_next_hour(tmp_path: Path) -> None:
    times = iter([NOW, NOW + timedelta(minutes=29), NOW + timedelta(minutes=30)])
    served = server()

    def make(settings: Settings) -> list[WeatherIngestor]:
        return weather(OPEN_METEO, now=next(times))(settings)

    results = run(served, tmp_path, make, times=3)
    assert served.count("/meteo/v1/forecast") == 2
    later = [rows_of(result, "open-meteo")["issue_time"][0] for (result,) in results]
    assert later == [NOW, NOW, NOW + timedelta(minutes=30)]


@pytest.mark.parametrize("days", [-1.0, 4.9, 5.5, 17.0])
def test_sessions_within_the_reach_of_a_service_are_foretold(days: float, tmp_path: Path) -> None:
    now = datetime(2025, 5, 4, 20, tzinfo=UTC) - timedelta(days=days)
    ((result,),) = run(server(), tmp_path, weather(now=now), {"openweathermap_key": KEY})
    keys = {outcome.resource.key.split("/")[1] for outcome in result.outcomes}
    expected = {"open-meteo": 0 <= days < 16, "openweathermap": 0 <= days < 5}
    assert keys - {"livetiming"} == {name for name, is_asked in expected.items() if is_asked}


def test_without_a_key_only_the_free_service_is_asked(tmp_path: Path) -> None:
    served = server()
    ((result,),) = run(served, tmp_path, weather())
    assert served.count("/owm/data/2.5/forecast") == 0
    assert rows_of(result, "open-meteo").height == 2


@pytest.mark.parametrize("status", [200, 401, 404, 429, 500])
def test_the_key_is_in_no_file_text_or_log(
    status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        assert request.query["appid"] == KEY
        if status == 200:
            return web.json_response(OPENWEATHERMAP_ANSWER)
        # a server that repeats what it was asked
        return web.json_response({"cod": status, "message": request.path_qs}, status=status)

    served = server()
    served.answers["/owm/data/2.5/forecast"] = echo
    ((result,),) = run(
        served,
        tmp_path,
        weather(OPENWEATHERMAP),
        {"openweathermap_key": KEY, "retries": 0, "log": "json", "log_level": "debug"},
        observers=[LogObserver()],
    )
    (outcome,) = [one for one in result.outcomes if one.resource.key.endswith("openweathermap")]
    assert (outcome.status == "fetched") == (status == 200)
    assert isinstance(outcome.error, KeyRefused) == (status == 401)
    said = capsys.readouterr()
    told = json.dumps(result.summary()) + result.sentence() + repr(outcome) + said.out + said.err
    assert "openweathermap" in said.out + said.err
    assert KEY not in told
    assert KEY.encode() not in everything_written(tmp_path)


@pytest.mark.parametrize(
    ("service", "answer"),
    [
        (OPEN_METEO, {"error": True, "reason": "Parameter is wrong"}),
        (OPEN_METEO, {**OPEN_METEO_ANSWER, "utc_offset_seconds": 7200}),
        (
            OPEN_METEO,
            {**OPEN_METEO_ANSWER, "hourly_units": {"wind_speed_10m": "km/h"}},
        ),
        (OPEN_METEO, {**OPEN_METEO_ANSWER, "hourly": {"time": []}}),
        (OPEN_METEO, {**OPEN_METEO_ANSWER, "hourly": {"time": ["today"]}}),
        (OPENWEATHERMAP, {"cod": "200", "list": []}),
        (OPENWEATHERMAP, {"cod": "200", "list": [{"main": {}}]}),
        (OPENWEATHERMAP, ["nothing"]),
    ],
)
def test_an_answer_of_another_form_is_named_and_not_kept(
    service: Service, answer: object, tmp_path: Path
) -> None:
    served = server(**{"/meteo/v1/forecast": answer, "/owm/data/2.5/forecast": answer})
    ((result,),) = run(served, tmp_path, weather(service), {"openweathermap_key": KEY})
    assert [type(error) for error in result.errors] == [NotAForecast]
    assert not [item for item in result.artifacts if item.name.startswith(service.name)]


def test_a_simulated_session_has_observations_and_a_forecast(tmp_path: Path) -> None:
    scenario = Scenario(laps=2, cars=2, seed=7)

    def make(settings: Settings) -> list[WeatherIngestor]:
        return [WeatherIngestor(settings, Simulated([scenario]))]

    (first,), (second,) = run(Served(), tmp_path, make, times=2)
    assert (first.status, second.status) == ("fetched", "unchanged")
    foretold = rows_of(first, "open-meteo")
    assert foretold["simulated"].all()
    assert set(foretold["issue_time"]) == {scenario.feed_start}
    hours = simulate(scenario).forecast["hourly"]
    assert isinstance(hours, dict)
    assert foretold["air_temperature"].to_list() == hours["temperature_2m"]
    observed = next(one for one in first.outcomes if one.resource.key.endswith("livetiming"))
    _, read = readings(observed.artifacts)
    assert read["WeatherData.jsonStream"].messages


def test_real_sessions_have_weather_where_the_archive_has_it(f1_data: Path, tmp_path: Path) -> None:
    def make(settings: Settings) -> list[WeatherIngestor]:
        wanted = Wanted(
            years=(2022,),
            sessions=("2022-03-20_bahrain_race",),
            paths=("2025/2025-03-16_Australian_Grand_Prix/2025-03-16_Race",),
        )
        return [WeatherIngestor(settings, Archive(settings, wanted))]

    ((result,),) = run(Served(f1_data / "livetiming"), tmp_path, make)
    read = [readings(outcome.artifacts) for outcome in result.outcomes]
    counts = {
        str(told.key): len(by_name["WeatherData.jsonStream"].messages)
        for told, by_name in read
        if "WeatherData" in told.files
    }
    missing = [str(told.key) for told, _ in read if "WeatherData" in told.missing]
    assert counts.keys() == {"2022-03-20_bahrain_race"}
    assert counts["2022-03-20_bahrain_race"] > 100
    assert missing == ["2025-03-16_australian_race"]
