"""What intake, stages and upkeep count, by the runs that the daemon does and by commands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import dagster as dg
import pytest

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import commands, measuring, model, stages
from ngsim_assets.highway.arrival.intake_results import Intake
from ngsim_assets.highway.simulation.write_source import write_source
from ngsim_assets.observability.folding import FILE, Samples, totals
from ngsim_assets.observability.health import Check, Health
from ngsim_assets.observability.ingestors import under_way
from ngsim_assets.quality.report import DataQualityReport
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets_tests.highway.deliveries import EARLY, rows
from ngsim_assets_tests.highway.watched import Watched
from ngsim_assets_tests.highway.whole_path import taken_in

pytestmark = pytest.mark.usefixtures("few_pictures")

VALIDATION = ("raw_trajectories", "validated_points", "quarantine")
Counted = dict[tuple[str, ...], float]


def _of(samples: Samples, name: str, *labels: str) -> Counted:
    """Values of a metric by the labels that are named."""
    return {
        tuple(dict(told)[label] for label in labels): value
        for (sample, told), value in samples.items()
        if sample == name
    }


def _by_origin(settings: Settings, name: str) -> Counted:
    return _of(totals(settings.metrics), name, "highway", "source")


def _file(path: Path, recording: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_source(rows(recording=recording), path, "csv" if path.suffix == ".csv" else "text")
    return path


def test_files_count_once_by_the_way_they_came(platform: Watched, tmp_path: Path) -> None:
    settings = platform.settings
    waiting = _file(platform.incoming / "early.txt")
    size = waiting.stat().st_size
    _file(platform.incoming / "downloads" / "us-101" / "later.csv", recording=1)
    (platform.incoming / "broken.csv").write_text("neither,rows\nnor,columns\n")
    assert platform.take_in().success
    found = _by_origin(settings, "ngsim_records_total")
    assert found == {("us-101", "incoming"): 120, ("us-101", "downloads"): 120}
    assert _by_origin(settings, "ngsim_errors_total") == {("unknown", "incoming"): 1}
    assert _by_origin(settings, "ngsim_bytes_total")["us-101", "incoming"] == size
    assert _by_origin(settings, "ngsim_ingestion_duration_seconds_count") == {
        ("us-101", "incoming"): 1,
        ("us-101", "downloads"): 1,
    }
    by_hand = _file(tmp_path / "elsewhere" / "third.txt", recording=2)
    for _ in range(2):  # the second time it is known
        commands.take_in(settings, [by_hand])
    assert _by_origin(settings, "ngsim_records_total")["us-101", "command line"] == 120
    assert _by_origin(settings, "ngsim_ingestion_duration_seconds_count") == {
        ("us-101", "incoming"): 1,
        ("us-101", "downloads"): 1,
        ("us-101", "command line"): 1,
    }
    assert not under_way(settings.metrics)


def test_a_build_counts_once_with_what_validation_found(platform: Watched) -> None:
    settings = platform.settings
    platform.deliver("early.txt")
    platform.take_in()
    job = platform.repository.get_job("build_recording")
    here = ("us-101", "incoming")
    done = job.execute_in_process(
        instance=platform.instance,
        partition_key=str(EARLY),
        asset_selection=[dg.AssetKey(asset) for asset in VALIDATION],
    )
    assert done.success
    assert _by_origin(settings, "ngsim_validated_records_total") == {here: 120}
    assert _by_origin(settings, "ngsim_validation_duration_seconds_count") == {here: 1}
    opened = platform.platform
    points = opened.lake.scan(model.VALIDATED_POINTS, stages.identity(EARLY)).collect()
    flagged = points.filter(points["flags"].list.len() > 0).height
    assert _by_origin(settings, "ngsim_anomalies_total") == {here: flagged}
    refused = 120 - points.height
    assert _by_origin(settings, "ngsim_validation_failures_total") == {here: refused}
    found = _of(totals(settings.metrics), "ngsim_last_success_timestamp_seconds", "stage")
    assert found.keys() == {("intake",), *((asset,) for asset in VALIDATION)}
    assert all(abs(moment - time.time()) < 600 for moment in found.values())


def test_scores_of_a_report_are_told_by_highway(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path)
    opened, (key,) = taken_in(tmp_path, _file(tmp_path / "early.txt"))
    scored = [("validated", 41.5), ("cleaned", 97.0), ("raw", None)]
    report = SimpleNamespace(
        ratings=[SimpleNamespace(stage=stage, score=score) for stage, score in scored]
    )
    with measuring.stage(settings, opened, key) as measured:
        measured.wrote([stages.store_raw(opened, key)], cast("DataQualityReport", report))
    found = _of(totals(settings.metrics), "ngsim_quality_score", "highway", "stage")
    assert found == {("us-101", "validated"): 41.5, ("us-101", "cleaned"): 97.0}


def test_a_stage_that_fails_counts_and_fails_as_it_would_have(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path)
    opened = stages.open_platform(settings)
    with (
        pytest.raises(stages.NothingToBuildFrom),
        measuring.stage(settings, opened, EARLY) as measured,
    ):
        measured.wrote([stages.store_cleaned(opened, EARLY)])
    assert _by_origin(settings, "ngsim_errors_total") == {("us-101", "unknown"): 1}


def test_an_intake_that_ends_in_an_error_counts_it(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path)

    def results() -> Iterator[Intake]:
        yield Intake(tmp_path / "gone.txt", "gone.txt", 7, {str(EARLY): 5}, 2, changed=True)
        raise NgsimAssetsError("no space", "")

    with (
        pytest.raises(NgsimAssetsError, match="no space"),
        measuring.taking_in(settings, measuring.INCOMING) as watched,
    ):
        assert len(list(watched(results()))) == 1
    assert _by_origin(settings, "ngsim_errors_total") == {("unknown", "incoming"): 1}
    # the file is gone: its size cannot be told, its rows can
    assert _by_origin(settings, "ngsim_records_total") == {
        ("us-101", "command line"): 5,
        ("unknown", "command line"): 2,
    }
    assert _by_origin(settings, "ngsim_validation_failures_total") == {
        ("unknown", "command line"): 2
    }


def test_checking_a_file_counts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGSIM_DATA", str(tmp_path / "data"))
    settings = load_settings()
    taken, failed = commands.take_in(settings, [_file(tmp_path / "early.txt")], measured=False)
    assert (len(taken), failed) == (1, 0)
    assert not (settings.metrics / FILE).exists()


def test_measuring_that_cannot_be_done_fails_no_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(data=tmp_path)
    settings.metrics.write_text("not a folder")
    taken, failed = commands.take_in(settings, [_file(tmp_path / "early.txt")])
    assert (len(taken), failed) == (1, 0)
    assert "metrics were not kept" in capsys.readouterr().err


def test_upkeep_tells_how_much_room_is_taken(platform: Watched) -> None:
    platform.deliver("early.txt")
    platform.take_in()
    stages.store_raw(platform.platform, EARLY)
    assert platform.execute("upkeep").success
    settings = platform.settings
    found = _of(totals(settings.metrics), "ngsim_storage_usage_bytes", "highway", "folder")

    def size(folder: Path) -> int:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    assert found["all", "landing"] == size(settings.landing) > 0
    assert found["all", "lake"] + found["us-101", "lake"] == size(settings.lake)
    assert found["us-101", "lake"] == sum(map(size, settings.lake.rglob("highway_id=us-101")))


def test_what_is_told_is_what_was_counted_and_what_is_so_now(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path)
    health = Health((Check("disk", "failing", "", {"free_bytes": 5}), Check("lake", "ok", "")))
    with measuring.taking_in(settings, measuring.INCOMING) as watched:
        path = _file(settings.incoming_folder / "early.txt")
        list(watched([Intake(path, "early.txt", 9, {str(EARLY): 9}, changed=True)]))
        wanted = b'ngsim_active_ingestors{highway="all",source="incoming"} 1.0'
        until = time.monotonic() + 10
        while wanted not in measuring.exposition(settings, health):
            assert time.monotonic() < until
            time.sleep(0.02)
    told = measuring.exposition(settings, health)
    assert b'ngsim_active_ingestors{highway="all",source="incoming"} 0.0' in told
    assert b'ngsim_records_total{highway="us-101",source="incoming"} 9.0' in told
    assert b"ngsim_disk_free_bytes 5.0" in told
    assert b'ngsim_health{check="disk"} 2.0' in told
    assert b'ngsim_health{check="lake"} 0.0' in told
    assert b"ngsim_daemon_up" not in told, "nobody looked"
