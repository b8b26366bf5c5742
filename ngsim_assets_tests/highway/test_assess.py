"""Metrics mean what their definitions say, and nothing but the rows decides them."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.highway import clean, intake, validate
from ngsim_assets.highway.arrival import delivered
from ngsim_assets.highway.assess import RowCounts, assess
from ngsim_assets.highway.assessment import track_measures
from ngsim_assets.highway.assessment.catalogue import catalogue
from ngsim_assets.highway.assessment.track_measures import Tracks
from ngsim_assets.highway.model import (
    CLEANED_TRAJECTORIES,
    QUALITY_METRICS,
    RAW_TRAJECTORIES,
    VALIDATED_POINTS,
)
from ngsim_assets.highway.report import recording_report
from ngsim_assets.highway.sites import PEACHTREE, SITES, US_101
from ngsim_assets.quality.report import Origin
from ngsim_assets.quality.rules import Rule
from ngsim_assets.storage.parquet import ParquetStorage, Provenance
from ngsim_assets_tests.highway.sample_recordings import RECORDING, Sample, sample_recording


@pytest.fixture(scope="module")
def sample() -> Sample:
    return sample_recording(gap_every=5)


@pytest.fixture(scope="module")
def counts(sample: Sample) -> RowCounts:
    rows = sample.validated.height
    return RowCounts(rows + 5, rows, 5, {"exact_duplicate": 3, "lane_unknown": 2}, {"clipped": 7})


def _assess(sample: Sample, counts: RowCounts) -> pl.DataFrame:
    return assess(sample.validated.lazy(), sample.cleaned.lazy(), counts, US_101, RECORDING)


def _value(metrics: pl.DataFrame, metric: str, stage: str) -> float:
    return metrics.filter(metric=metric, stage=stage)["value"].item()


def _passed(metrics: pl.DataFrame, metric: str, stage: str = "cleaned") -> bool | None:
    return metrics.filter(metric=metric, stage=stage)["passed"].item()


class TestTable:
    def test_has_the_columns_of_the_table(self, sample: Sample, counts: RowCounts) -> None:
        assert dict(_assess(sample, counts).schema) == dict(QUALITY_METRICS.schema)

    @pytest.mark.parametrize("site", SITES.values(), ids=SITES)
    def test_every_metric_is_there_once_with_its_definition(self, site, sample, counts) -> None:
        metrics = assess(sample.validated.lazy(), sample.cleaned.lazy(), counts, site, RECORDING)
        wanted = {(m.name, stage) for s in catalogue(site) for m in s.metrics for stage in m.stages}
        found = [row for row in metrics.select("metric", "stage").rows() if ":" not in row[0]]
        assert sorted(found) == sorted(wanted)
        assert (metrics["definition"].str.len_chars() > 10).all()
        assert metrics["value"].is_finite().all(ignore_nulls=True)

    def test_limits_come_with_verdict_and_source(self, sample: Sample, counts: RowCounts) -> None:
        metrics = _assess(sample, counts)
        limited = metrics.filter(pl.col("threshold").is_not_null())
        assert limited.height > 10
        assert limited["source"].str.contains("Limit, ").all()
        assert (metrics["source"].str.len_chars() > 3).all()
        assert limited.filter(pl.col("value").is_not_null())["passed"].is_not_null().all()
        assert metrics.filter(pl.col("threshold").is_null())["passed"].is_null().all()

    def test_rules_are_counted_by_name(self, sample: Sample, counts: RowCounts) -> None:
        metrics = _assess(sample, counts)
        assert _value(metrics, "rejected:exact_duplicate", "raw") == 3
        assert _value(metrics, "flagged:clipped", "raw") == 7

    def test_lost_rows_are_noticed(self, sample: Sample, counts: RowCounts) -> None:
        assert _passed(_assess(sample, counts), "rows_unaccounted", "raw") is True
        lost = _assess(sample, replace(counts, raw=counts.raw + 1))
        assert _value(lost, "rows_unaccounted", "raw") == 1
        assert _passed(lost, "rows_unaccounted", "raw") is False


class TestOnlyTheRowsDecide:
    def test_files_and_order_of_vehicles_do_not_matter(
        self, sample: Sample, counts: RowCounts
    ) -> None:
        def shuffled(table: pl.DataFrame) -> pl.DataFrame:
            return pl.concat(table.partition_by("vehicle_id")[::-1])

        other = Sample(shuffled(sample.validated), shuffled(sample.cleaned))
        assert _assess(other, counts).equals(_assess(sample, counts))

    def test_a_vehicle_in_two_files_is_one_trajectory(
        self, sample: Sample, counts: RowCounts
    ) -> None:
        def torn(table: pl.DataFrame) -> pl.DataFrame:
            odd = pl.col("frame") % 7 == 0
            return pl.concat([table.filter(odd), table.filter(~odd)])

        other = Sample(torn(sample.validated), torn(sample.cleaned))
        assert _assess(other, counts).equals(_assess(sample, counts))

    def test_input_is_left_alone(self, sample: Sample, counts: RowCounts) -> None:
        before = sample.validated.clone()
        _assess(sample, counts)
        assert before.equals(sample.validated)

    def test_nothing_measured_is_null_not_zero(self) -> None:
        empty = Sample(
            pl.DataFrame(schema=VALIDATED_POINTS.schema),
            pl.DataFrame(schema=CLEANED_TRAJECTORIES.schema),
        )
        metrics = _assess(empty, RowCounts(4, 0, 4, {"frozen": 4}))
        assert _value(metrics, "trajectories", "cleaned") == 0
        for metric in ("jerk_over_15", "edie_speed", "overlaps", "speed_mean", "completeness"):
            assert _value(metrics, metric, "cleaned") is None
            assert _passed(metrics, metric) is None

    def test_a_single_row_is_enough(self, sample: Sample) -> None:
        one = Sample(sample.validated.head(1), sample.cleaned.head(1))
        metrics = _assess(one, RowCounts(1, 1, 0))
        assert _value(metrics, "completeness", "validated") == 100
        assert _value(metrics, "jerk_std", "validated") is None

    def test_missing_columns_of_a_source_are_not_measured(
        self, sample: Sample, counts: RowCounts
    ) -> None:
        bare = sample.validated.with_columns(
            pl.lit(None, table.schema[name]).alias(name)
            for table in (VALIDATED_POINTS,)
            for name in ("lane_id", "following_id", "total_frames", "acceleration", "length")
        )
        metrics = _assess(replace(sample, validated=bare), counts)
        for metric in (
            "lane_changes",
            "leader_unreciprocated",
            "completeness_declared",
            "jerk_over_15",
            "speed_acceleration_rmse",
            "overlaps",
        ):
            assert _value(metrics, metric, "validated") is None


class TestFindings:
    def test_a_recording_whose_truth_is_known(self, sample: Sample, counts: RowCounts) -> None:
        metrics = _assess(sample, counts)
        hidden = sample.cleaned.filter(state="imputed").height
        whole = sample.cleaned.height
        assert _value(metrics, "gaps", "validated") == hidden / 8
        assert _value(metrics, "gap_longest", "validated") == pytest.approx(0.8)
        completeness = 100 * (whole - hidden) / whole
        assert _value(metrics, "completeness", "validated") == pytest.approx(completeness)
        assert _value(metrics, "completeness_declared", "validated") == pytest.approx(completeness)
        assert _value(metrics, "points_imputed", "cleaned") == pytest.approx(100 * hidden / whole)
        assert _value(metrics, "residual_along_rmse", "cleaned") == pytest.approx(0.03, rel=0.05)
        assert _value(metrics, "residual_across_rmse", "cleaned") == 0
        assert _value(metrics, "headway_rmse", "cleaned") < 1e-3
        assert _value(metrics, "headway_rmse", "validated") == pytest.approx(
            0.03 * math.sqrt(2), rel=0.1
        )
        assert _value(metrics, "vehicles_of_published", "validated") == pytest.approx(
            100 * 36 / 2169
        )
        judged = metrics.filter(pl.col("passed").is_not_null())
        assert judged.filter(~pl.col("passed"))["metric"].to_list() == []

    def test_noise_is_found_where_it_is(self, sample: Sample, counts: RowCounts) -> None:
        metrics = _assess(sample, counts)
        for metric in ("jerk_over_15", "jerk_sign_inversions", "jerk_std", "acceleration_std"):
            before = _value(metrics, metric, "validated")
            assert before > 4 * _value(metrics, metric, "cleaned")

    def test_cleaning_that_moves_traffic_fails(self, sample: Sample, counts: RowCounts) -> None:
        slower = sample.cleaned.with_columns(pl.col("y_position") * 0.97)
        metrics = _assess(replace(sample, cleaned=slower), counts)
        assert _passed(metrics, "edie_speed_change") is False
        assert _passed(metrics, "residual_along_mean") is False
        assert _passed(metrics, "position_speed_rmse") is False
        assert _value(metrics, "edie_speed_change", "cleaned") == pytest.approx(-3, abs=0.1)

    def test_overlap_and_unreciprocated_leader(self, sample: Sample, counts: RowCounts) -> None:
        long = sample.cleaned.with_columns(
            length=pl.when(vehicle_id=1).then(600.0).otherwise("length"),
            following_id=pl.when(vehicle_id=1).then(35).otherwise("following_id"),
        )
        followers = long.filter(preceding_id=1).height
        pairs = long.filter(pl.col("preceding_id").is_not_null()).height
        metrics = _assess(replace(sample, cleaned=long), counts)
        share = 100 * followers / pairs
        assert 0 < _value(metrics, "overlaps", "cleaned") <= share
        assert _passed(metrics, "overlaps") is False
        assert _value(metrics, "leader_unreciprocated", "cleaned") == pytest.approx(share)
        assert _value(metrics, "gap_smallest", "cleaned") < -400

    def test_absent_leaders_are_counted(self, sample: Sample, counts: RowCounts) -> None:
        without = sample.validated.filter(pl.col("vehicle_id") != 3)
        metrics = _assess(replace(sample, validated=without), counts)
        named = without.filter(pl.col("preceding_id").is_not_null())
        absent = named.filter(preceding_id=3).height
        assert _value(metrics, "leader_absent", "validated") == pytest.approx(
            100 * absent / named.height
        )

    def test_traffic_upstream_of_an_arterial_counts_forwards(
        self, sample: Sample, counts: RowCounts
    ) -> None:
        """Southbound vehicles of an arterial drive towards smaller y."""

        def turned(table: pl.DataFrame) -> pl.DataFrame:
            return table.with_columns(
                y_position=640 - pl.col("y_position"), velocity_y=-pl.col("velocity_y")
            )

        there = _assess(sample, counts)
        back = assess(
            turned(sample.validated).lazy(),
            turned(sample.cleaned).lazy(),
            counts,
            PEACHTREE,
            "2006-11-08T1245",
        )
        for metric in ("edie_speed", "position_speed_rmse", "velocity_backwards", "gap_smallest"):
            assert _value(back, metric, "validated") == pytest.approx(
                _value(there, metric, "validated"), rel=0.02
            )

    def test_edie_is_distance_over_area(self, sample: Sample, counts: RowCounts) -> None:
        own = sample.cleaned.group_by("vehicle_id").agg(
            distance=pl.col("y_position").last() - pl.col("y_position").first(),
            time=(pl.col("frame").max() - pl.col("frame").min()) * 0.1,
        )
        frames = sample.validated["frame"]
        area = US_101.length * (frames.max() - frames.min() + 1) * 0.1
        metrics = _assess(sample, counts)
        flow = 3600 * own["distance"].sum() / area
        assert _value(metrics, "edie_flow", "cleaned") == pytest.approx(flow)
        density = 1000 * own["time"].sum() / area
        assert _value(metrics, "edie_density", "cleaned") == pytest.approx(density)


def _tracks(frame: list[int], **columns: np.ndarray) -> tuple[Tracks, list[np.ndarray]]:
    table = pl.DataFrame({"vehicle_id": 1, "frame": frame, **columns})
    tracks = Tracks.of(table.lazy(), {name: pl.col(name) for name in columns})
    return tracks, tracks.read(*columns)


def _inversions(jerk: list[float], quiet: float) -> int:
    signs = [math.copysign(1, value) for value in jerk if abs(value) > quiet]
    return sum(a != b for a, b in pairwise(signs))


class TestKernels:
    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([1, 1, 1, 1, 2]),
                st.sampled_from([-3.0, -0.5, 0.0, 0.0, 0.25, 0.5, 2.0]),
            ),
            min_size=2,
            max_size=60,
        )
    )
    def test_jerk_is_counted_window_by_window(self, steps: list[tuple[int, float]]) -> None:
        """The one-pass kernel against the definition spelled out."""
        frame = np.cumsum([step for step, _ in steps]).tolist()
        a = np.cumsum([change for _, change in steps])
        tracks, [read] = _tracks(frame, a=a)
        found = track_measures.jerks(
            tracks, read, limit=15.0, minimum_points=1, quiet=1.0, window=5
        ).row(0, named=True)

        stretches: list[list[float]] = [[]]
        for i in range(1, len(frame)):
            if frame[i] - frame[i - 1] == 1:
                stretches[-1].append((a[i] - a[i - 1]) / 0.1)
            else:
                stretches.append([])
        jerk = [value for stretch in stretches for value in stretch]
        windows = [s[k - 5 : k] for s in stretches for k in range(5, len(s) + 1)]
        assert found["samples"] == len(jerk)
        assert found["over"] == sum(abs(value) > 15 for value in jerk)
        assert found["squares"] == pytest.approx(sum(value * value for value in jerk))
        assert found["windows"] == len(windows)
        assert found["inverted"] == sum(_inversions(w, 1.0) > 1 for w in windows)

    def test_short_trajectories_have_no_jerk(self) -> None:
        tracks, [a] = _tracks(list(range(99)), a=np.zeros(99))
        found = track_measures.jerks(
            tracks, a, limit=15.0, minimum_points=100, quiet=0.0, window=11
        )
        assert found["samples"].item() == 0

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(1, 4), st.integers(1, 20), st.integers(0, 5)),
            min_size=1,
            max_size=8,
        )
    )
    def test_stable_lane_changes_by_definition(self, stays: list[tuple[int, int, int]]) -> None:
        """Stays (lane, rows, frames missing after it), of which lane 4 is not counted."""
        frame, lane, now = [], [], 0
        for number, rows, missing in stays:
            frame += range(now, now + rows)
            lane += [number] * rows
            now += rows + missing
        tracks, [read] = _tracks(frame, lane=np.array(lane, np.int32))
        counted = np.array([False, True, True, True])
        found = track_measures.lane_changes(tracks, read, counted, 10).row(0, named=True)

        runs: list[list[int]] = []
        for number, at in zip(lane, frame, strict=True):
            if runs and runs[-1][0] == number:
                runs[-1][2] = at
            else:
                runs.append([number, at, at])
        long = [run for run in runs if run[2] - run[1] + 1 >= 10]
        assert found["changes"] == _changes(runs)
        assert found["stable"] == _changes(long)

    def test_integrated_motion_meets_itself(self) -> None:
        """Constant acceleration: trapezoids are exact, apart from what a gap leaves out."""
        frame = [*range(50), *range(70, 100)]
        t = np.array(frame) / 10
        tracks, [y, v, a] = _tracks(frame, y=5 * t + t * t, v=5 + 2 * t, a=np.full(80, 2.0))
        sign, taken = np.ones(1), np.ones(1, np.bool_)
        for value, rate in ((y, v), (v, a)):
            found = track_measures.consistency(tracks, value, rate, sign, taken).row(0, named=True)
            assert found["samples"] == 78
            assert found["largest"] < 1e-9

    def test_integration_starts_again_after_what_is_unknown(self) -> None:
        v = np.array([1.0, 1.0, np.nan, 1.0, 1.0])
        y = np.array([0.0, 0.1, 0.2, 7.0, 7.1])
        tracks, [y, v] = _tracks(list(range(5)), y=y, v=v)
        found = track_measures.consistency(tracks, y, v, np.ones(1), np.ones(1, np.bool_))
        assert found["samples"].item() == 2
        assert found["largest"].item() < 1e-12


def _changes(runs: list[list[int]]) -> int:
    lanes = [run[0] for run in runs]
    return sum(a != b and a < 4 and b < 4 for a, b in pairwise(lanes))


class TestReport:
    def test_every_metric_and_rule_is_shown(self, sample: Sample, counts: RowCounts) -> None:
        rule = Rule("never_broken", "reject", pl.lit(value=False), "Says nothing.", "nobody")
        origin = Origin(run_id="r", code_version="1")
        metrics = _assess(sample, counts)
        report = recording_report(metrics, counts, US_101, RECORDING, origin, rules=[rule])
        named = {metric.name for section in report.sections for metric in section.metrics}
        assert named == {m.name for section in catalogue(US_101) for m in section.metrics}
        assert [(r.rule, r.rows) for r in report.rules] == [
            ("exact_duplicate", 3),
            ("lane_unknown", 2),
            ("never_broken", 0),
            ("clipped", 7),
        ]
        assert report.failed == ()
        assert f"{counts.raw:,} rows delivered" in report.summary
        text = report.to_html()
        assert all(f'id="definition-{name}"' in text for name in named)

    def test_it_can_be_made_again_from_the_stored_rows(
        self, sample: Sample, counts: RowCounts
    ) -> None:
        origin = Origin(run_id="r", code_version="1")
        metrics = _assess(sample, counts)
        stored = metrics.sample(fraction=1.0, shuffle=True, seed=1)
        first = recording_report(metrics, counts, US_101, RECORDING, origin)
        assert recording_report(stored, counts, US_101, RECORDING, origin) == first


@pytest.fixture(scope="module")
def freeways(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    file = real_data / "ngsim" / "us101_i80_excerpt_feet.csv"
    return _assessed(file, tmp_path_factory.mktemp("freeways"))


class TestRealExcerpts:
    """The delivered figures are the published ones, which only the right definitions give."""

    def test_jerk_as_punzo_found_it(self, freeways: dict[str, pl.DataFrame]) -> None:
        """6.5 to 17.4 % over 15 m/s³, over 74 % of windows inverted, in whole recordings."""
        assert len(freeways) == 5
        shares = [_value(metrics, "jerk_over_15", "validated") for metrics in freeways.values()]
        assert all(6.0 < share < 17.4 for share in shares)
        inverted = [
            _value(metrics, "jerk_sign_inversions", "validated") for metrics in freeways.values()
        ]
        assert np.mean(inverted) > 70

    def test_cleaning_keeps_the_limits_of_the_literature(
        self, freeways: dict[str, pl.DataFrame]
    ) -> None:
        for metrics in freeways.values():
            for metric in ("jerk_over_15", "jerk_sign_inversions", "jerk_std"):
                assert _passed(metrics, metric) is True

    def test_clipped_accelerations_are_there(self, freeways: dict[str, pl.DataFrame]) -> None:
        for metrics in freeways.values():
            assert _value(metrics, "acceleration_largest", "validated") == pytest.approx(
                11.2 * 0.3048, abs=1e-3
            )
            assert _value(metrics, "acceleration_clipped", "validated") > 4

    def test_headways_are_those_of_the_positions(self, freeways: dict[str, pl.DataFrame]) -> None:
        """Delivered to 0.01 ft; time headways to 0.01 s at up to 20 m/s."""
        for metrics in freeways.values():
            assert _value(metrics, "headway_rmse", "validated") < 0.002
            assert _value(metrics, "headway_largest", "validated") < 0.002
            assert _value(metrics, "time_headway_rmse", "validated") < 0.05
            assert 1.0 < _value(metrics, "time_headway_median", "validated") < 4.0

    def test_what_is_fast_is_noise_and_goes(self, freeways: dict[str, pl.DataFrame]) -> None:
        """Accelerations as delivered have a quarter and more of their variance above 1 Hz."""
        for metrics in freeways.values():
            assert _value(metrics, "acceleration_power_over_1hz", "validated") > 25
            assert _value(metrics, "acceleration_power_over_1hz", "cleaned") < 1
            assert 0.2 < _value(metrics, "residual_along_memory", "cleaned") < 1.5

    def test_cleaning_moves_neither_vehicles_nor_traffic(
        self, freeways: dict[str, pl.DataFrame]
    ) -> None:
        for metrics in freeways.values():
            assert abs(_value(metrics, "edie_speed_change", "cleaned")) < 0.1
            assert _value(metrics, "distance_change_largest", "cleaned") < 1.0
            assert _value(metrics, "edie_cell_speed_rms", "cleaned") < 0.2


def _assessed(file: Path, folder: Path) -> dict[str, pl.DataFrame]:
    """Metrics per partition of a delivered file."""
    landing, lake = LandingZone(folder / "landing"), ParquetStorage(folder / "lake")
    provenance = Provenance(run_id="r", code_version="1", parameters={}, sources=(), rows={})
    found: dict[str, pl.DataFrame] = {}
    keys = {key for taken in intake.take_in(file, landing) for key in taken.keys}
    for key in sorted(keys, key=str):
        site = SITES[key.highway_id]
        place = {"highway_id": key.highway_id, "recording": key.recording}
        lake.replace(RAW_TRAJECTORIES, place, delivered.delivered_rows(landing, key), provenance)
        judged = validate.judge(lake.scan(RAW_TRAJECTORIES, place), site).collect().lazy()
        points = validate.accepted(judged).collect()
        raw = judged.select(pl.len()).collect().item()
        counts = RowCounts(raw, points.height, raw - points.height)
        cleaned = clean.clean(points.lazy(), site).collect()
        found[str(key)] = assess(points.lazy(), cleaned.lazy(), counts, site, key.recording)
    return found
