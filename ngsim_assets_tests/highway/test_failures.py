"""What failed is told until it succeeds, whoever builds it; dead runs are ended."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg

from ngsim_assets.automation import failures
from ngsim_assets.highway import stages
from ngsim_assets_tests.highway.deliveries import EARLY
from ngsim_assets_tests.highway.watched import Watched


def test_a_failed_run_is_told_until_its_step_succeeds(platform: Watched) -> None:
    platform.tick("failed_builds")
    platform.deliver("early.txt")
    platform.take_in()
    stages.store_raw(platform.platform, EARLY)
    (damaged,) = (platform.settings.lake / "raw_trajectories").rglob("*.parquet")
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-100])
    for attempt in (1, 2):
        assert not platform.execute("upkeep").success
        platform.tick("failed_builds")
        (failure,) = failures.standing(platform.settings)
        assert (failure.recording, failure.step) == ("", "look_after_lake")
        assert failure.attempts == attempt
        assert failure.cause.startswith(f"{damaged} has {len(whole) - 100} bytes instead of")
        assert f"ngsim build '{EARLY}'" in failure.cause
    assert "1 left failed" in platform.tick("mended_builds").skipped
    assert _standing_check(platform) is False

    damaged.write_bytes(whole)
    assert platform.execute("upkeep").success
    assert platform.tick("mended_builds").skipped == "nothing is left failed"
    assert failures.standing(platform.settings) == []
    assert _standing_check(platform) is True


def test_a_failure_heard_of_after_it_was_made_up_for_is_not_remembered(platform: Watched) -> None:
    platform.tick("failed_builds")
    platform.deliver("early.txt")
    platform.take_in()
    build = platform.repository.get_job("build_recording")
    run = platform.instance.create_run_for_job(
        build,
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": str(EARLY)},
        asset_selection=frozenset([dg.AssetKey("raw_trajectories")]),
    )
    platform.instance.report_run_failed(run, "lost")
    cursor = platform.cursors["failed_builds"]
    platform.tick("failed_builds")
    (failure,) = failures.standing(platform.settings)
    assert (failure.subject, failure.cause) == (f"{EARLY} raw_trajectories", "lost")
    platform.execute(
        "build_recording",
        partition_key=str(EARLY),
        asset_selection=[dg.AssetKey("raw_trajectories")],
    )
    assert platform.tick("mended_builds").skipped == "nothing is left failed"
    platform.cursors["failed_builds"] = cursor
    platform.tick("failed_builds")
    assert failures.standing(platform.settings) == []


class TestLostRuns:
    def test_a_run_whose_process_was_killed_is_ended(self, platform: Watched) -> None:
        run = _started(platform)
        process = subprocess.Popen(
            [sys.executable, "-c", _LIVING, run.run_id], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "living\n"
        for _ in range(3):
            assert platform.tick("lost_runs").skipped == "no run is lost"
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        platform.tick("lost_runs")
        assert platform.instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.STARTED
        assert "ended: 1" in platform.tick("lost_runs").skipped
        assert platform.instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE
        assert platform.tick("lost_runs").skipped == "no run is lost"
        assert _names(platform.data / "runs") == []

    def test_runs_of_other_instances_and_ended_ones_are_left_alone(self, platform: Watched) -> None:
        platform.deliver("early.txt")
        ended = platform.take_in().run_id
        runs = platform.data / "runs"
        assert _names(runs) == []
        (runs / f"{ended}.00000000").touch()
        (runs / "unknown.00000000").touch()
        for _ in range(2):
            platform.tick("lost_runs")
        assert _names(runs) == ["unknown.00000000"]
        assert platform.instance.get_run_by_id(ended).is_success


_LIVING = """
import sys, time
from ngsim_assets.automation.living_runs import living
from ngsim_assets.settings import load_settings
with living(load_settings(), sys.argv[1]):
    print("living", flush=True)
    time.sleep(60)
"""


def _started(platform: Watched) -> dg.DagsterRun:
    return platform.instance.create_run_for_job(
        platform.repository.get_job("take_in_files"), status=dg.DagsterRunStatus.STARTED
    )


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _standing_check(platform: Watched) -> bool:
    key = dg.AssetCheckKey(dg.AssetKey("corpus_summary"), failures.NOTHING_LEFT_FAILED)
    (record,) = platform.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    return evaluation.passed
