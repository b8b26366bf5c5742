"""What was delivered of a session becomes tables, every message accounted for, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.f1.delivered import delivered
from ngsim_assets.f1.errors import NothingDeliveredOf
from ngsim_assets.f1.folded import folded
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.model import F1_LAPS, F1_MESSAGES, F1_QUARANTINE, F1_SESSION_STATUS
from ngsim_assets.f1.neutralisations.model import F1_NEUTRALISATIONS
from ngsim_assets.f1.platform import F1Platform, identity
from ngsim_assets.f1.recipes import FEEDS, REPORT, out_of_date, would_be_built
from ngsim_assets.f1.simulate import SimulatedSession, recording_lines
from ngsim_assets.f1.simulation.wire import write_feed, write_recording
from ngsim_assets.f1.stages import TABLES, store_session
from ngsim_assets.f1.telemetry.model import F1_TELEMETRY
from ngsim_assets.f1.telemetry_rows import TelemetryRows
from ngsim_assets_tests.f1.stored import (
    SCENARIO,
    SESSION,
    assert_accounted,
    brought_in,
    contents,
    simulated,
    versions,
)

NAME = SessionKey.parse("2024-10-26_mexico-city_practice-3")


@pytest.fixture(scope="module")
def race() -> SimulatedSession:
    return simulated()


@pytest.fixture(scope="module")
def feed(race: SimulatedSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session as the archive has it."""
    folder = tmp_path_factory.mktemp("feed") / "race"
    write_feed(race.messages, folder)
    return folder


@pytest.fixture(scope="module")
def stored(feed: Path, tmp_path_factory: pytest.TempPathFactory) -> F1Platform:
    """Its tables; nothing of them is changed."""
    platform = brought_in(tmp_path_factory.mktemp("stored"), feed)
    assert_accounted(store_session(platform, SESSION))
    return platform


def rows(platform: F1Platform, name: str) -> pl.DataFrame:
    return platform.lake.scan(TABLES[name], identity(SESSION)).collect()


def test_every_lap_and_row_of_a_simulated_session_is_stored(
    race: SimulatedSession, stored: F1Platform
) -> None:
    laps = rows(stored, "f1_laps")
    truth = race.laps.sort("driver_number", "lap_number")
    assert laps.select("driver_number", "lap_number").equals(
        truth.select("driver_number", "lap_number")
    )
    assert race.telemetry is not None
    assert rows(stored, "f1_telemetry").height == race.telemetry.height
    assert rows(stored, "f1_telemetry").n_unique(["driver_number", "timestamp"]) > 100
    assert laps["simulated"].all()
    assert rows(stored, "f1_messages").height == len(race.messages)


def test_the_same_again_writes_nothing(feed: Path, stored: F1Platform, tmp_path: Path) -> None:
    before = versions(stored)
    again = store_session(stored, SESSION)
    assert again.up_to_date
    assert set(again.commits) == set(TABLES)
    (stored.sessions / f"{SESSION}.json").unlink()
    assert store_session(stored, SESSION).up_to_date
    assert versions(stored) == before


def test_archive_and_recording_are_one_session_in_whatever_order(
    race: SimulatedSession, tmp_path: Path
) -> None:
    """Each has messages that the other lacks; the recording joins late and is told the state."""
    middle = len(race.messages) // 2
    archive, recording = tmp_path / "archive", tmp_path / "recording.txt"
    write_feed(race.messages[: middle + 60], archive)
    state = next(told for told in reversed(race.messages[:middle]) if told.topic == "TrackStatus")
    told = [f"{['TrackStatus', json.dumps(state.content), '']!r}\n".encode()]
    told += recording_lines(race.messages[middle:], SCENARIO.feed_start)
    recording.write_bytes(b"".join(told))
    first, second = (
        brought_in(tmp_path / name, *paths, session=SESSION)
        for name, paths in (("one", [archive]), ("two", [recording]))
    )
    for platform in (first, second):
        assert_accounted(store_session(platform, SESSION))
    brought_in(tmp_path / "one", recording, session=SESSION)
    brought_in(tmp_path / "two", archive)
    union = store_session(first, SESSION)
    assert_accounted(union)
    assert_accounted(store_session(second, SESSION))
    assert union.account["repeated"] == 60
    assert union.rows["f1_messages"] == len(race.messages) + 1
    assert contents(first) == contents(second)
    laps = rows(first, "f1_laps").select("driver_number", "lap_number", "lap_time_ms")
    assert laps.height == race.laps.height
    moments = rows(first, "f1_telemetry")
    assert moments.n_unique(["driver_number", "timestamp"]) == moments.height
    assert race.telemetry is not None
    assert moments.height == race.telemetry.height


def test_two_recordings_of_one_session_are_both_kept(
    race: SimulatedSession, tmp_path: Path
) -> None:
    third = len(race.messages) // 3
    (tmp_path / "b").mkdir()
    paths = [tmp_path / "recording.txt", tmp_path / "b" / "recording.txt"]
    for path, part in zip(paths, (race.messages[: 2 * third], race.messages[third:]), strict=True):
        write_recording(part, SCENARIO.feed_start, path)
    platform = brought_in(tmp_path / "data", *paths, session=SESSION)
    told = delivered(platform.store, SESSION)
    assert told.messages == len(race.messages)
    assert told.repeated == 2 * third - third
    assert told.lines == told.messages + told.repeated
    assert folded(told).rows[F1_LAPS]["source"].unique().to_list() == ["signalr"]


def test_a_topic_that_grew_replaces_what_was_there_and_can_be_taken_back(
    race: SimulatedSession, feed: Path, tmp_path: Path
) -> None:
    folder, timing = tmp_path / "feed", "TimingData.jsonStream"
    write_feed(race.messages, folder)
    whole = (feed / timing).read_bytes()
    (folder / timing).write_bytes(whole[: len(whole) // 2])
    platform = brought_in(tmp_path / "data", folder)
    before = store_session(platform, SESSION)
    assert_accounted(before)
    cut = rows(platform, "f1_quarantine").filter(stage="reading")
    assert cut["reasons"].to_list() == [["cut_short"]]
    (folder / timing).write_bytes(whole)
    brought_in(tmp_path / "data", folder)
    after = store_session(platform, SESSION)
    assert_accounted(after)
    assert before.rows["f1_laps"] < after.rows["f1_laps"] == race.laps.height
    assert after.rows["f1_quarantine"] == 0
    version = before.commits["f1_laps"].version
    held = would_be_built("f1_laps", {FEEDS: (after.version,)})
    platform.lake.restore(F1_LAPS, identity(SESSION), version, held_against=held)
    restored = store_session(platform, SESSION)
    assert restored.written == ("f1_neutralisations",)
    assert restored.rows["f1_laps"] == before.rows["f1_laps"]
    assert store_session(platform, SESSION).up_to_date
    assert all(platform.lake.verify(table) == [] for table in TABLES.values())


def test_damaged_and_missing_files_of_the_lake_are_written_again(
    feed: Path, tmp_path: Path
) -> None:
    platform = brought_in(tmp_path, feed)
    laps = store_session(platform, SESSION).commits["f1_laps"]
    before = contents(platform)
    (platform.lake.root / "f1_laps" / laps.files[0].path).unlink()
    assert "f1_laps" in store_session(platform, SESSION).written
    assert contents(platform) == before
    assert platform.lake.verify(F1_LAPS) == []


def test_whatever_is_no_message_is_quarantined(feed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "feed"
    folder.mkdir()
    for path in feed.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "Novelty.jsonStream").write_bytes(b'00:00:01.000{"a":1}\r\n')
    (folder / "Heartbeat.jsonStream").write_bytes(b"\xff\xfe garbage \x00 of a file")
    with (folder / "TrackStatus.jsonStream").open("ab") as file:
        file.write(b'nonsense\r\n09:00:00.000{"Status":"1"}\r\n09:00:00.000{"Status":"1"}\r\n')
        file.write(b'00:00:00.001{"Status":"2"}\r\n09:00:01.000{"Status":"\xed\xa0\x80"}\r\n')
        file.write(b'09:00:01.500{"Status":["x"],"_deleted":7}\r\n09:00:02.000{"Stat')
    with (folder / "SessionStatus.jsonStream").open("ab") as file:
        file.write(b'09:00:00.000{"Status":null}\r\n')
    platform = brought_in(tmp_path / "data", folder)
    found = store_session(platform, SESSION)
    assert_accounted(found)
    refused = platform.lake.scan(F1_QUARANTINE, identity(SESSION)).collect()
    reasons = [reason for told in refused["reasons"].to_list() for reason in told]
    expected = {"unknown_topic", "no_time", "duplicate", "out_of_order", "not_text", "cut_short"}
    assert expected <= set(reasons)
    assert "status_missing" in reasons
    assert "nonsense" in refused["content"].to_list()
    assert platform.lake.scan(F1_SESSION_STATUS).collect()["status"].null_count() == 0


def test_a_session_that_never_starts_has_messages_and_no_laps(feed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "feed"
    folder.mkdir()
    for topic in ("SessionInfo", "WeatherData"):
        (folder / f"{topic}.jsonStream").write_bytes((feed / f"{topic}.jsonStream").read_bytes())
    platform = brought_in(tmp_path / "data", folder)
    found = store_session(platform, SESSION)
    assert_accounted(found)
    assert found.rows["f1_laps"] == found.rows["f1_neutralisations"] == 0
    assert found.rows["f1_messages"] > 0
    assert store_session(platform, SESSION).up_to_date


def test_a_session_nobody_delivered_is_refused(stored: F1Platform) -> None:
    with pytest.raises(NothingDeliveredOf):
        store_session(stored, NAME)


def test_rows_of_telemetry_do_not_depend_on_how_many_are_decoded_at_a_time(
    race: SimulatedSession, stored: F1Platform, tmp_path: Path
) -> None:
    """A recorder that reconnects tells moments again, in messages cut another way."""
    feed, car_data = tmp_path / "feed", "CarData.z"
    told = [message for message in race.messages if message.topic == car_data]
    again = []
    for message in told:
        assert isinstance(message.content, dict)
        entries = message.content["Entries"]
        assert isinstance(entries, list)
        again.append(replace(message, content={"Entries": entries[:1]}, time=message.time + 1))
    write_feed([*race.messages, *again], feed)
    repeats = {json.dumps(message.content) for message in again} - {
        json.dumps(message.content) for message in told
    }
    session = delivered(brought_in(tmp_path / "data", feed).store, SESSION)
    kept: list[pl.DataFrame] = []
    for size in (3, 1_000):
        found = TelemetryRows(session, F1_TELEMETRY, size)
        kept.append(pl.concat(found.chunks()).sort("driver_number", "timestamp"))
        counts = found.counts
        assert counts["rejected"] == 4 * len(repeats) == pl.concat(found.refused).height
        assert counts["decoded"] == kept[-1].height + counts["rejected"] + counts["other_cars"]
    assert kept[0].equals(kept[1])
    assert kept[0].height == rows(stored, "f1_telemetry").height


_KILLED = """
import os, signal, sys
from pathlib import Path
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.platform import open_f1
from ngsim_assets.f1.stages import store_session
from ngsim_assets.settings import load_settings
from ngsim_assets.storage.delta import DeltaLog
commit, count = DeltaLog.commit, 0
def dies(self, *args):
    global count
    count += 1
    if count == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return commit(self, *args)
DeltaLog.commit = dies
store_session(open_f1(load_settings(data=Path(sys.argv[1]))), SessionKey.parse(sys.argv[2]))
"""


def test_a_kill_half_way_leaves_whole_tables_and_the_next_run_completes_them(
    feed: Path, stored: F1Platform, tmp_path: Path
) -> None:
    platform = brought_in(tmp_path, feed)
    command = [sys.executable, "-c", _KILLED, str(tmp_path), str(SESSION)]
    killed = subprocess.run(command, env={**os.environ}, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    half = contents(platform)
    whole = contents(stored)
    assert half["f1_messages"]
    assert not half["f1_telemetry"]
    version = store_session(stored, SESSION).version
    assert set(out_of_date(platform, SESSION, version)) > {"f1_telemetry", REPORT}
    assert "f1_messages" not in out_of_date(platform, SESSION, version)
    completed = store_session(platform, SESSION)
    assert_accounted(completed)
    assert "f1_messages" not in completed.written
    assert contents(platform) == whole
    assert store_session(platform, SESSION).up_to_date


def test_race_cars_alone_have_telemetry_and_others_are_counted(
    f1_data: Path, tmp_path: Path
) -> None:
    recording = next((f1_data / "recordings").glob("*.txt"))
    platform = brought_in(tmp_path, recording, session=NAME)
    found = store_session(platform, NAME)
    assert_accounted(found)
    cars, places = (found.commits[name] for name in ("f1_telemetry", "f1_positions"))
    assert cars.provenance.rows["decoded"] == cars.rows == 72_340
    assert places.provenance.rows["decoded"] == 76_152
    assert places.provenance.rows["other_cars"] == 2_292  # of 241 to 243, which are no race cars
    assert platform.lake.scan(F1_MESSAGES).collect().height == found.account["messages"]
    assert platform.lake.scan(F1_NEUTRALISATIONS).collect().height == 1
