"""What several sources tell of one session: each once, the better one first."""

from __future__ import annotations

import gzip
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.acquisition.errors import DamagedRecord
from ngsim_assets.acquisition.sources import Artifact, Description, Resource
from ngsim_assets.f1.clock import SessionClock
from ngsim_assets.f1.delivered import delivered, sessions_held, version_of
from ngsim_assets.f1.errors import DeliveryGone
from ngsim_assets.f1.folded import folded
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.model import F1_LAPS, F1_TRACK_STATUS, F1_WEATHER
from ngsim_assets.f1.platform import F1Platform
from ngsim_assets.f1.simulate import SimulatedSession
from ngsim_assets.f1.simulation.wire import write_feed
from ngsim_assets.f1.sources.historical_file import HistoricalFile
from ngsim_assets.f1.stages import store_session
from ngsim_assets.f1.timing.comparison import compare, fastf1_laps
from ngsim_assets_tests.f1.stored import SESSION, assert_accounted, brought_in, simulated

BAKU = SessionKey.parse("2018-04-29_azerbaijan_race")
BARCELONA = SessionKey.parse("2026-06-12_barcelona_practice-2")
NOW = datetime(2026, 7, 19, 13, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def race() -> SimulatedSession:
    return simulated()


def put(platform: F1Platform, source: str, key: str, files: dict[str, bytes]) -> None:
    """Have the store hold a resource, as an ingestor puts it there."""
    resource = Resource(source, key, f"http://localhost/{key}")
    artifacts: list[Artifact] = []
    for name, content in files.items():
        path = platform.store.root.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        kept = platform.store.keep(path, name)
        url = f"{resource.url}/{name}"
        artifacts.append(Artifact(resource, name, kept.path, kept.sha256, kept.bytes, url, NOW))
    platform.store.commit(resource, Description(version=key), artifacts, now=NOW)


def of_fastf1(platform: F1Platform, key: SessionKey, laps: Path) -> None:
    """Have the store hold laps that FastF1 made."""
    parquet, told = platform.store.root.parent / "laps", platform.store.root.parent / "told"
    parquet.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(laps) as file:
        table = pl.read_csv(file.read(), infer_schema=False)
    table.write_parquet(parquet)
    clock = SessionClock(datetime(2018, 4, 29, 11, 0, tzinfo=UTC), 1, "a test")
    HistoricalFile(key, "fastf1-3.9.0", {"laps": table.height}, (), clock).write(told)
    files = {"laps.parquet": parquet.read_bytes(), "session.json": told.read_bytes()}
    put(platform, "f1-historical", f"{key}/fastf1", files)


def test_first_laps_of_a_race_are_those_of_fastf1(f1_data: Path, tmp_path: Path) -> None:
    reference = f1_data / "fastf1_laps" / "2018_Azerbaijan_Grand_Prix_Race.laps.csv.gz"
    platform = brought_in(tmp_path, f1_data / "livetiming" / "2018")
    of_fastf1(platform, BAKU, reference)
    told = delivered(platform.store, BAKU)
    assert told.lines == told.messages == 24_237
    found = folded(told)
    assert found.folded == told.messages
    compared = compare(found.rows[F1_LAPS], fastf1_laps(reference))
    assert (compared.equal, compared.timed) == (836, 836)
    assert found.unused["f1_laps"] > 800  # FastF1's own, of the same race


def test_laps_of_fastf1_stand_in_where_there_is_no_timing(f1_data: Path, tmp_path: Path) -> None:
    source = f1_data / "livetiming" / "2018"
    status = next(source.rglob("TrackStatus.jsonStream"))
    folder = tmp_path / "feed"
    folder.mkdir()
    for topic in ("TrackStatus", "SessionInfo"):
        shutil.copy(status.with_name(f"{topic}.jsonStream"), folder)
    platform = brought_in(tmp_path / "data", folder)
    of_fastf1(
        platform, BAKU, f1_data / "fastf1_laps" / "2018_Azerbaijan_Grand_Prix_Race.laps.csv.gz"
    )
    stored = store_session(platform, BAKU)
    assert_accounted(stored)
    laps = platform.lake.scan(F1_LAPS).collect()
    assert laps["source"].unique().to_list() == ["fastf1"]
    assert laps.height > 800
    assert platform.lake.scan(F1_TRACK_STATUS).collect().height == 22
    assert store_session(platform, BAKU).up_to_date


def test_openf1_tells_a_session_that_no_feed_tells(f1_data: Path, tmp_path: Path) -> None:
    files = sorted((f1_data / "openf1").glob("spain_2026_*.json"))
    platform = brought_in(tmp_path, *files)
    stored = store_session(platform, BARCELONA)
    assert_accounted(stored)
    assert (stored.rows["f1_laps"], stored.rows["f1_weather"]) == (585, 85)
    assert stored.account["lines"] == stored.account["messages"] == 1_406
    laps = platform.lake.scan(F1_LAPS).collect()
    assert laps["source"].unique().to_list() == ["openf1"]


def test_forecasts_and_observations_are_one_table_and_openf1_adds_to_it(
    race: SimulatedSession, tmp_path: Path
) -> None:
    write_feed(race.messages, tmp_path / "feed")
    platform = brought_in(tmp_path / "data", tmp_path / "feed")
    before = version_of(platform, SESSION)
    forecast = json.dumps(race.forecast).encode()
    name = "open-meteo.20260719T125000Z.json"
    put(platform, "f1-weather", f"{SESSION}/open-meteo", {name: forecast})
    info = delivered(platform.store, SESSION).info
    assert info is not None
    number = info.session_number
    rows = [
        {"session_key": number, "date": "2026-07-19T13:00:30+00:00", "air_temperature": 21.0},
        {"session_key": 8, "date": "2026-07-19T13:01:30+00:00", "air_temperature": 9.0},
    ]
    files = {
        "weather.json": json.dumps(rows).encode(),
        "laps.json": json.dumps([{"session_key": 8, "driver_number": 1}]).encode(),
    }
    put(platform, "f1-weather", f"{SESSION}/openf1", files)
    assert version_of(platform, SESSION).version != before.version
    stored = store_session(platform, SESSION, now=NOW.replace(year=2027))
    assert_accounted(stored)
    weather = platform.lake.scan(F1_WEATHER).collect()
    counts = dict(weather.group_by("source").len().iter_rows())
    assert counts["openf1"] == 1
    assert counts["open-meteo"] > 10
    assert counts["livetiming"] > 10
    assert weather["valid_time"].is_sorted()
    reasons = {item.reason for item in delivered(platform.store, SESSION).aside}
    assert reasons == {"other_session"}


def test_a_version_is_of_what_is_told_and_not_of_files(
    race: SimulatedSession, tmp_path: Path
) -> None:
    write_feed(race.messages, tmp_path / "feed")
    platform = brought_in(tmp_path / "data", tmp_path / "feed")
    before = version_of(platform, SESSION)
    assert before.messages == len(race.messages)
    store_session(platform, SESSION)
    shutil.copytree(tmp_path / "feed", tmp_path / "copy")
    with (tmp_path / "copy" / "WeatherData.jsonStream").open("ab") as file:
        file.write(b"\r\n\r\n")  # other bytes, the same messages
    brought_in(tmp_path / "data", tmp_path / "copy")
    told = delivered(platform.store, SESSION)
    assert told.version == version_of(platform, SESSION).version == before.version
    observations = sum(message.topic == "WeatherData" for message in told.feed)
    assert told.repeated == observations > 3  # files of equal content are not read twice
    assert store_session(platform, SESSION).up_to_date
    record = platform.sessions / f"{SESSION}.json"
    record.write_text("{}")
    assert version_of(platform, SESSION).version == before.version
    assert json.loads(record.read_bytes())["version"] == before.version


def test_files_that_were_lost_do_not_empty_a_session(
    race: SimulatedSession, tmp_path: Path
) -> None:
    write_feed(race.messages, tmp_path / "feed")
    platform = brought_in(tmp_path / "data", tmp_path / "feed")
    laps = store_session(platform, SESSION).rows["f1_laps"]
    held = next(platform.store.objects.glob("*/TimingData.jsonStream"))
    held.rename(tmp_path / "lost")
    with pytest.raises(DeliveryGone):
        store_session(platform, SESSION)
    (tmp_path / "lost").rename(held)
    assert store_session(platform, SESSION).up_to_date
    manifest = next((platform.store.manifests / "f1-files" / str(SESSION)).rglob("*.json"))
    manifest.write_text("{")
    with pytest.raises(DamagedRecord):
        store_session(platform, SESSION)
    assert sessions_held(platform.store) == [SESSION]
    assert platform.lake.scan(F1_LAPS).collect().height == laps


def test_every_other_real_session_is_accounted_for(f1_data: Path, tmp_path: Path) -> None:
    """Those without timing; the others are folded line by line in timing/."""
    folders = {path.parent for path in f1_data.glob("livetiming/*/*/*/SessionInfo.jsonStream")}
    untimed = sorted(one for one in folders if not (one / "TimingData.jsonStream").exists())
    assert len(untimed) == 5
    platform = brought_in(tmp_path, *untimed)
    for session in sessions_held(platform.store):
        told = delivered(platform.store, session)
        assert told.lines == told.messages + len(told.aside)
        found = folded(told)
        assert found.messages == found.folded + found.passed_on + len(found.aside)
        assert found.leader
