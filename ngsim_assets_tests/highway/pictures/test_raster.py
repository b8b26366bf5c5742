"""Points are painted and counted where they are."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.highway.assessment.track_measures import Tracks
from ngsim_assets.highway.pictures import raster

_COLUMNS = {
    "y": pl.col("y_position").cast(pl.Float32()),
    "speed": pl.col("speed").cast(pl.Float32()),
}


def _track(frame: list[int], y: list[float], speed: list[float]) -> tuple[Tracks, tuple]:
    table = pl.DataFrame({"vehicle_id": 1, "frame": frame, "y_position": y, "speed": speed})
    tracks = Tracks.of(table.lazy(), _COLUMNS)
    return tracks, tuple(tracks.read("y", "speed"))


def _painted(
    tracks: Tracks, y: np.ndarray, speed: np.ndarray, mark: list[int], window: raster.Window
) -> tuple[np.ndarray, np.ndarray]:
    panel = np.zeros(len(y), np.int32)
    return raster.paint(tracks, y, speed, np.array(mark, np.uint8), panel, 1, window)


class TestPaint:
    def test_a_trajectory_is_connected_at_any_scale(self) -> None:
        tracks, (y, speed) = _track([0, 1, 2], [0.0, 30.0, 60.0], [300.0, 300.0, 300.0])
        window = raster.Window(0, 10, 0.0, 100.0, width=50, height=100)
        mean, marked = _painted(tracks, y, speed, [0, 0, 0], window)
        rows, columns = np.nonzero(~np.isnan(mean[0]))
        assert set(range(61)) <= set(rows)
        assert set(range(11)) <= set(columns)
        assert np.nanmax(np.abs(mean - 300)) < 1e-3
        assert not marked.any()

    def test_gaps_are_not_bridged(self) -> None:
        tracks, (y, speed) = _track([0, 5], [0.0, 50.0], [10.0, 20.0])
        window = raster.Window(0, 10, 0.0, 100.0, width=10, height=10)
        mean, _ = _painted(tracks, y, speed, [0, 0], window)
        assert int((~np.isnan(mean)).sum()) == 2
        assert mean[0, 0, 0] == 10
        assert mean[0, 5, 5] == 20

    def test_points_outside_are_not_painted(self) -> None:
        tracks, (y, speed) = _track([0, 50, 51], [-500.0, 50.0, 1e6], [1.0, 2.0, 3.0])
        window = raster.Window(10, 20, 0.0, 100.0, width=10, height=10)
        mean, _ = _painted(tracks, y, speed, [0, 0, 0], window)
        assert np.isnan(mean).all()

    def test_marks_are_shares_of_what_is_under_a_pixel(self) -> None:
        tracks, (y, speed) = _track([0, 1, 2, 3], [5.0, 5.0, 5.0, 5.0], [1.0, 1.0, 1.0, 1.0])
        window = raster.Window(0, 4, 0.0, 10.0, width=1, height=1)
        _, marked = _painted(tracks, y, speed, [0, 2, 1, 2], window)
        assert marked[:, 0, 0, 0].tolist() == [0.25, 0.5]


class TestPresence:
    def test_missing_frames_lie_between_those_seen(self) -> None:
        tracks, (y, _) = _track([0, 1, 6], [0.0, 5.0, 30.0], [50.0, 50.0, 50.0])
        window = raster.Window(0, 8, 0.0, 40.0, width=2, height=4)
        chosen = np.array([False, True, False])
        seen, picked, missing = raster.presence(tracks, y, chosen, window)
        assert seen.sum() == 3
        assert picked.sum() == picked[0, 0] == 1
        assert missing.tolist() == [[0, 0], [2, 0], [0, 2], [0, 0]]

    def test_a_frame_far_off_costs_nothing(self) -> None:
        tracks, (y, _) = _track([0, 2_000_000_000], [0.0, 30.0], [1.0, 1.0])
        window = raster.Window(0, 10, 0.0, 40.0, width=10, height=4)
        _, _, missing = raster.presence(tracks, y, np.zeros(2, np.bool_), window)
        assert missing.sum() == 9


class TestHistogram:
    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.floats(-100, 100, width=32) | st.just(float("nan")), max_size=50))
    def test_every_value_is_in_one_bin(self, values: list[float]) -> None:
        counts = raster.histogram(np.array(values, np.float32), -10.0, 10.0, 8)
        known = [value for value in values if not np.isnan(value)]
        assert counts.sum() == len(known)
        assert counts[0] == sum(value < -7.5 for value in known)
        assert counts[-1] == sum(value >= 7.5 for value in known)

    def test_infinity_is_beyond(self) -> None:
        counts = raster.histogram(np.array([np.inf, -np.inf], np.float32), -1.0, 1.0, 4)
        assert counts.tolist() == [1, 0, 0, 1]


def test_gap_lengths_do_not_reach_across_vehicles() -> None:
    table = pl.LazyFrame({"vehicle_id": [1, 1, 1, 2, 2], "frame": [1, 2, 5, 50, 52]})
    assert raster.gap_lengths(Tracks.of(table, {})).tolist() == [2, 1]
