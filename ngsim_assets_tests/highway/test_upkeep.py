"""What looks after the lake at night: nothing sound is touched, what is damaged is named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.f1 import tables as f1_tables
from ngsim_assets.highway import model, stages
from ngsim_assets.highway.reporting import report_folder
from ngsim_assets.highway.upkeep import damages_in, upkeep
from ngsim_assets_tests.highway.deliveries import EARLY, LATER
from ngsim_assets_tests.highway.watched import Watched, metadata, watched
from ngsim_assets_tests.highway.whole_path import build

pytestmark = pytest.mark.usefixtures("few_pictures")


@pytest.fixture(scope="module")
def stored_once(fresh_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two recordings in the lake, one of them in three versions, to copy."""
    data = tmp_path_factory.mktemp("stored") / "data"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("NGSIM_SETTLE", "0")
        patched.setenv("NGSIM_DATA", str(data))
        with watched(fresh_home, data) as platform:
            platform.deliver("later.txt", recording=1)
            for seed in range(3):
                platform.deliver("early.txt", seed=seed)
                platform.take_in()
                stages.store_raw(platform.platform, EARLY)
            stages.store_raw(platform.platform, LATER)
    return data


@pytest.fixture
def stored(stored_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """A platform on a copy of it."""
    data = tmp_path / "data"
    monkeypatch.setenv("NGSIM_SETTLE", "0")
    monkeypatch.setenv("NGSIM_DATA", str(data))
    shutil.copytree(stored_once, data, ignore=shutil.ignore_patterns("dagster"))
    with watched(stored_once / "dagster", data) as platform:
        yield platform


def _rows(platform: Watched) -> list[tuple[object, ...]]:
    return platform.platform.lake.scan(model.RAW_TRAJECTORIES).collect().rows()


@pytest.mark.parametrize("job", ["upkeep", "summarise_corpus"])
def test_there_may_be_nothing_yet(platform: Watched, job: str) -> None:
    assert platform.execute(job).success


def test_a_sound_lake_stays_as_it_is(stored: Watched) -> None:
    rows = _rows(stored)
    result = stored.execute("upkeep")
    assert result.success
    told = metadata(result)
    assert told["damaged files"] == told["recordings registered late"] == 0
    lines = {record.data["table"]: record.data for record in told["tables"].records}
    of_all_domains = {*model.TABLES, *(table.name for table in f1_tables.TABLES)}
    assert lines.keys() == of_all_domains
    raw = lines["raw_trajectories"]
    assert (raw["rows"], raw["files"], raw["vacuumed"]) == (240, 2, 0)
    assert raw["readable"] == raw["versions"]
    assert told["bytes of history"] > 0
    assert _rows(stored) == rows
    with duckdb.connect(str(stored.settings.catalog), read_only=True) as catalog:
        assert catalog.execute("SELECT count(*) FROM raw_trajectories").fetchone() == (240,)


def test_logs_of_ticks_are_not_kept_for_ever(platform: Watched) -> None:
    """A file per tick is thousands a day; logs of runs stay."""
    storage = Path(platform.instance.storage_directory())
    old, new = (storage / "__repository__" / "incoming_files" / name for name in ("1.err", "2.err"))
    of_run = storage / "some-run" / "compute_logs" / "step.err"
    for path in (old, new, of_run):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("said")
    for path in (old, of_run):
        os.utime(path, (0, 0))
    assert metadata(platform.execute("upkeep"))["logs of ticks removed"] == 1
    assert (old.exists(), new.exists(), of_run.exists()) == (False, True, True)


def test_downloads_that_nobody_names_go_after_a_day(platform: Watched) -> None:
    store = DownloadStore(platform.settings.downloads)
    kept = []
    for name in ("old", "new"):
        store.root.mkdir(parents=True, exist_ok=True)
        (store.root / name).write_text(name)
        kept.append(store.keep(store.root / name, f"{name}.csv").path)
    os.utime(kept[0].parent, (0, 0))
    assert platform.execute("upkeep").success
    assert [path.exists() for path in kept] == [False, True]


def test_a_report_that_is_not_of_the_stored_metrics_is_written_anew(platform: Watched) -> None:
    platform.deliver("early.txt")
    platform.take_in()
    opened = build(platform.platform, EARLY)
    report = report_folder(opened.reports, EARLY) / "report.json"
    assert not report.exists()
    told: list[str] = []
    upkeep(opened, platform.settings, told.append)
    assert any("the report is missing, written anew" in line for line in told)
    written = report.read_bytes()
    metrics = opened.lake.current(model.QUALITY_METRICS, stages.identity(EARLY))
    assert metrics is not None
    assert json.loads(written)["origin"]["version"] == metrics.version
    told.clear()
    upkeep(opened, platform.settings, told.append)
    assert not any("written anew" in line for line in told)


def test_records_that_killed_writers_left_half_written_go(stored: Watched) -> None:
    left = f".manifest.json.{'0' * 32}.tmp"
    delivery = next((stored.settings.landing / "files").glob("[!.]*"))
    reports = stored.settings.reports / "us-101"
    reports.mkdir(parents=True, exist_ok=True)
    (delivery / left).write_text("{")
    (reports / left).write_text("{")
    os.utime(reports / left, (0, 0))
    (reports / f".report.json.{'1' * 32}.tmp").write_text("being written")
    (reports / ".mine.tmp").write_text("a user's")
    rows = _rows(stored)
    assert stored.execute("upkeep").success
    assert not (delivery / left).exists()
    assert {path.name for path in reports.iterdir()} == {
        f".report.json.{'1' * 32}.tmp",
        ".mine.tmp",
    }
    assert (delivery / "manifest.json").exists()
    assert _rows(stored) == rows


def test_versions_past_retention_go_and_the_rows_stay(
    stored: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = _rows(stored)
    monkeypatch.setenv("NGSIM_KEEP_DAYS", "0")
    monkeypatch.setenv("NGSIM_KEEP_VERSIONS", "1")
    tables = {table.table: table for table in upkeep(stored.platform, stored.settings)}
    raw = tables["raw_trajectories"]
    assert raw.vacuumed == 2
    assert raw.freed_bytes > 0
    assert raw.history_bytes == 0
    assert _rows(stored) == rows


def test_damage_is_named_and_history_kept_for_mending(
    stored: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGSIM_KEEP_DAYS", "0")
    monkeypatch.setenv("NGSIM_KEEP_VERSIONS", "1")
    lake = stored.platform.lake
    file, _ = lake.files(model.RAW_TRAJECTORIES)
    (lake.root / "raw_trajectories" / file.path).unlink()
    said: list[str] = []
    tables = upkeep(stored.platform, stored.settings, said.append)
    (damage,) = damages_in(tables)
    assert damage.path == lake.root / "raw_trajectories" / file.path
    assert damage.problem == "is missing"
    assert {table.vacuumed for table in tables} == {0}
    assert any(line.startswith("raw_trajectories: 1 damaged") for line in said)


def test_a_damaged_log_is_damage_too(stored: Watched) -> None:
    (stored.settings.lake / "raw_trajectories" / "_delta_log" / f"{1:020}.json").write_text("{")
    tables = upkeep(stored.platform, stored.settings)
    assert len(damages_in(tables)) >= 1
    assert not stored.execute("upkeep").success
