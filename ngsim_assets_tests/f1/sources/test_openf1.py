"""OpenF1: rows as they came, no faster than it allows, nothing twice."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web

from ngsim_assets.acquisition.transfer.errors import ServerFailed
from ngsim_assets.f1.errors import NotAFeed
from ngsim_assets.f1.sources.errors import SeasonNotThere
from ngsim_assets.f1.sources.feed_source import FeedSource, SessionFile, readings
from ngsim_assets.f1.sources.openf1 import OpenF1, Pace
from ngsim_assets.f1.sources.places import Wanted
from ngsim_assets.f1.sources.telemetry import TelemetryIngestor
from ngsim_assets.f1.sources.timing import TIMING, TimingIngestor
from ngsim_assets.settings import Settings
from ngsim_assets_tests.f1.sources.served import Answer, Served, json_answer, run

SESSION = {
    "circuit_short_name": "Catalunya",
    "country_name": "Spain",
    "date_end": "2025-06-12T16:00:00+00:00",
    "date_start": "2025-06-12T15:00:00+00:00",
    "gmt_offset": "02:00:00",
    "location": "Barcelona",
    "meeting_key": 1287,
    "session_key": 11301,
    "session_name": "Practice 2",
    "session_type": "Practice",
    "year": 2025,
}
MEETING = {"meeting_key": 1287, "meeting_name": "Spanish Grand Prix"}
KEY = "2025-06-12_spanish_practice-2"
DRIVERS = [{"driver_number": car, "session_key": 11301} for car in (4, 81)]


def server(**rows: object) -> Served:
    """An OpenF1 with one session; an endpoint that is not given has no rows."""
    told: dict[str, object] = {"sessions": [SESSION], "meetings": [MEETING], "drivers": DRIVERS}
    return Served(
        answers={
            f"/v1/{endpoint}": json_answer(json.dumps(body).encode())
            for endpoint, body in {**told, **rows}.items()
        }
    )


def asking(
    ingestor: type[FeedSource] = TimingIngestor, *years: int
) -> Callable[[Settings], list[FeedSource]]:
    def make(settings: Settings) -> list[FeedSource]:
        wanted = Wanted(years=years or (2025,))
        return [ingestor(settings, OpenF1(settings, wanted, seconds_apart=0))]

    return make


def test_rows_of_every_endpoint_come_as_they_are_and_once(tmp_path: Path) -> None:
    laps = [{"session_key": 11301, "driver_number": 4, "lap_number": n} for n in (1, 2)]
    served = server(laps=laps, stints=[])
    (first,), (second,) = run(served, tmp_path, asking(), times=2)
    assert (first.status, second.status) == ("fetched", "unchanged")
    told, read = readings(first.artifacts)
    assert (str(told.key), told.source, told.simulated) == (KEY, "openf1", False)
    assert set(told.files) == {"sessions", "drivers", "laps"}
    assert set(told.missing) == {*TIMING.endpoints} - {*told.files}
    assert [one.payload for one in read["laps.json"].messages] == laps
    after = served.seen[served.seen.index(("", "end")) :]
    assert {path for _, path in after} == {"end", "/v1/sessions", "/v1/meetings"}


def test_telemetry_is_asked_for_car_by_car(tmp_path: Path) -> None:
    async def car_data(request: web.Request) -> web.StreamResponse:
        car = request.query.get("driver_number")
        if car is None:
            return web.Response(status=422, text="too much data")
        return web.json_response(
            [
                {
                    "session_key": 11301,
                    "driver_number": int(car),
                    "date": "2025-06-12T15:00:01+00:00",
                    "speed": 100,
                }
            ]
        )

    served = server()
    served.answers["/v1/car_data"] = car_data
    ((result,),) = run(served, tmp_path, asking(TelemetryIngestor))
    told, read = readings(result.artifacts)
    assert list(told.files["car_data"]) == ["car_data_4.json", "car_data_81.json"]
    assert [len(read[name].messages) for name in told.files["car_data"]] == [1, 1]
    assert told.missing == ("location",)


def test_a_session_without_rows_and_a_season_without_sessions_are_told(tmp_path: Path) -> None:
    served = server(drivers=[])
    ((result,),) = run(served, tmp_path, asking(TelemetryIngestor))
    told = SessionFile.read(result.artifacts[-1].path)
    assert told.missing == ("drivers", "car_data", "location")
    ((result,),) = run(server(sessions=[]), tmp_path / "none", asking(TimingIngestor, 1950))
    assert isinstance(result.source_error, SeasonNotThere)


async def _busy(request: web.Request) -> web.StreamResponse:
    return web.Response(status=503)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (json_answer(b'{"detail": "changed"}'), NotAFeed),
        (json_answer(b'[{"session_key": 113'), NotAFeed),
        (json_answer(b"<html>down for maintenance</html>"), NotAFeed),
        (_busy, ServerFailed),
    ],
)
def test_what_is_no_array_of_rows_is_named_and_not_kept(
    answer: Answer, error: type[Exception], tmp_path: Path
) -> None:
    served = server()
    served.answers["/v1/laps"] = answer
    ((result,),) = run(served, tmp_path, asking(), {"retries": 0})
    assert [type(one) for one in result.errors] == [error]
    assert result.status == "failed"


def test_requests_keep_their_distance_whoever_asks() -> None:
    async def scene() -> list[float]:
        pace, began = Pace(0.02), []

        async def one() -> None:
            async with pace:
                began.append(time.monotonic())

        await asyncio.gather(*(one() for _ in range(6)))
        return began

    began = asyncio.run(scene())
    gaps = [later - earlier for earlier, later in pairwise(began)]
    assert min(gaps) >= 0.019


def test_rows_of_a_real_session_come_unchanged(f1_data: Path, tmp_path: Path) -> None:
    folder = f1_data / "openf1"
    bodies = {
        path.stem.removeprefix("spain_2026_practice_2_"): path.read_bytes()
        for path in folder.glob("spain_2026_practice_2_*.json")
    }
    served = Served(
        answers={f"/v1/{endpoint}": json_answer(body) for endpoint, body in bodies.items()}
    )
    ((result,),) = run(served, tmp_path, asking(TimingIngestor, 2026))
    told, read = readings(result.artifacts)
    assert str(told.key) == "2026-06-12_barcelona_practice-2"
    assert told.missing == ("intervals",)  # as delivered: []
    for artifact in result.artifacts[:-1]:
        assert artifact.path.read_bytes() == bodies[artifact.name.removesuffix(".json")]
        reading = read[artifact.name]
        assert reading.lines == artifact.rows == len(json.loads(artifact.path.read_bytes()))
        assert reading.account.complete
