"""Pictures show what is there, cost little, and are the same every time."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ngsim_assets.highway import plots
from ngsim_assets.highway.assessment.track_measures import Tracks
from ngsim_assets.highway.model import CLEANED_TRAJECTORIES, VALIDATED_POINTS
from ngsim_assets.highway.pictures import drawing, raster
from ngsim_assets.highway.sites import PEACHTREE, US_101
from ngsim_assets.quality.report import Figure
from ngsim_assets_tests.highway.sample_recordings import Sample, sample_recording

_NAMES = ["time-space", "distributions", "jerk", "one-vehicle", "completeness"]


@pytest.fixture(scope="module")
def sample() -> Sample:
    return sample_recording(gap_every=5)


@pytest.fixture(scope="module")
def figures(sample: Sample) -> dict[str, Figure]:
    made = plots.recording_figures(sample.validated.lazy(), sample.cleaned.lazy(), US_101)
    return {figure.name: figure for figure in made}


def _pixels(figure: Figure) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(figure.data)).convert("RGB")).astype(int)


def _holds(figure: Figure, colour: tuple[int, int, int], tolerance: int = 12) -> int:
    """Pixels of about that colour."""
    return int((np.abs(_pixels(figure) - colour).max(axis=2) <= tolerance).sum())


class TestFigures:
    def test_all_are_there_in_order(self, figures: dict[str, Figure]) -> None:
        assert list(figures) == _NAMES

    @pytest.mark.parametrize("name", _NAMES)
    def test_small_pngs_in_words_too(self, figures: dict[str, Figure], name: str) -> None:
        figure = figures[name]
        picture = Image.open(BytesIO(figure.data))
        assert picture.format == "PNG"
        assert picture.width == round(drawing.WIDTH * drawing.DPI)
        assert len(figure.data) < 150_000
        assert len(figure.alt) > 40
        assert len(figure.caption) > 40

    @pytest.mark.parametrize("name", _NAMES)
    def test_no_dates_or_programs_in_the_file(self, figures: dict[str, Figure], name: str) -> None:
        assert Image.open(BytesIO(figures[name].data)).info.keys() <= {"transparency"}

    def test_threads_draw_the_same_bytes(self, sample: Sample, figures: dict[str, Figure]) -> None:
        def draw(_: int) -> list[bytes]:
            cleaned = sample.cleaned.lazy()
            return [
                plots.time_space(cleaned, US_101).data,
                plots.jerk_distribution(sample.validated.lazy(), cleaned).data,
            ]

        with ThreadPoolExecutor(2) as pool:
            for drawn in pool.map(draw, range(2)):
                assert drawn == [figures["time-space"].data, figures["jerk"].data]

    def test_nothing_to_draw_is_still_a_picture(self) -> None:
        validated = pl.LazyFrame(schema=VALIDATED_POINTS.schema)
        cleaned = pl.LazyFrame(schema=CLEANED_TRAJECTORIES.schema)
        for figure in plots.recording_figures(validated, cleaned, US_101):
            assert _pixels(figure).shape[1] == round(drawing.WIDTH * drawing.DPI)

    def test_one_row_is_still_a_picture(self, sample: Sample) -> None:
        validated, cleaned = sample.validated.head(1).lazy(), sample.cleaned.head(1).lazy()
        assert len(plots.recording_figures(validated, cleaned, US_101)) == len(_NAMES)

    def test_drawing_library_is_loaded_only_to_draw(self) -> None:
        code = (
            "import sys; import ngsim_assets.highway.assess, ngsim_assets.highway.plots; "
            "sys.exit('matplotlib' in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    def test_no_global_state_of_the_drawing_library(self) -> None:
        assert "matplotlib.pyplot" not in sys.modules


class TestTimeSpace:
    def test_imputed_points_are_marked(self, sample: Sample, figures: dict[str, Figure]) -> None:
        magenta = (230, 0, 126)
        assert _holds(figures["time-space"], magenta) > 0
        assert "magenta" in figures["time-space"].caption
        seen = plots.time_space(sample.validated.lazy(), US_101)
        assert _holds(seen, magenta) == 0
        assert "magenta" not in seen.caption

    def test_a_panel_per_lane_on_one_scale(self, figures: dict[str, Figure]) -> None:
        assert figures["time-space"].alt.startswith("3 panels")

    def test_lanes_can_be_chosen(self, sample: Sample) -> None:
        one = plots.time_space(sample.cleaned.lazy(), US_101, lanes=[2])
        assert one.alt.startswith("1 panel:")

    def test_arterials_are_drawn_by_direction(self, sample: Sample) -> None:
        both = sample.cleaned.with_columns(
            direction=pl.when(pl.col("vehicle_id") % 2 == 0).then(2).otherwise(4).cast(pl.Int32)
        )
        assert plots.time_space(both.lazy(), PEACHTREE).alt.startswith("6 panels")

    def test_a_source_without_lanes_has_one_panel(self, sample: Sample) -> None:
        bare = sample.cleaned.with_columns(lane_id=pl.lit(None, pl.Int32))
        figure = plots.time_space(bare.lazy(), US_101)
        assert figure.alt.startswith("1 panel:")
        assert len(figure.data) > 10_000

    def test_a_stray_frame_does_not_squeeze_the_rest(self, sample: Sample) -> None:
        stray = sample.cleaned.tail(1).with_columns(frame=pl.lit(2_000_000_000, pl.Int32))
        figure = plots.time_space(pl.concat([sample.cleaned, stray]).lazy(), US_101)
        assert len(figure.data) > 10_000


class TestOneVehicle:
    def test_shows_the_one_that_changed_most(self, sample: Sample) -> None:
        repaired = sample.cleaned.with_columns(
            state=pl.when((pl.col("vehicle_id") == 9) & (pl.col("frame") % 9 == 0))
            .then(pl.lit("repaired"))
            .otherwise("state")
        )
        figure = plots.one_vehicle(sample.validated.lazy(), repaired.lazy())
        assert figure.caption.startswith("Vehicle 9, the one that cleaning changed most")

    def test_shows_the_one_asked_for(self, sample: Sample) -> None:
        figure = plots.one_vehicle(sample.validated.lazy(), sample.cleaned.lazy(), 4)
        assert figure.caption.startswith("Vehicle 4. ")

    def test_an_unknown_one_is_an_empty_picture(self, sample: Sample) -> None:
        figure = plots.one_vehicle(sample.validated.lazy(), sample.cleaned.lazy(), 999_999)
        assert figure.data.startswith(b"\x89PNG")


def _track(frame: list[int], y: list[float], speed: list[float]) -> tuple[Tracks, tuple]:
    rows = len(frame)
    table = pl.DataFrame(
        {
            "vehicle_id": 1,
            "frame": frame,
            "y_position": y,
            "speed": speed,
            "lane_id": [1] * rows,
        }
    )
    tracks = Tracks.of(table.lazy(), raster.COLUMNS)
    return tracks, tuple(tracks.read("y", "speed"))


class TestRaster:
    def test_a_trajectory_is_connected_at_any_scale(self) -> None:
        tracks, (y, speed) = _track([0, 1, 2], [0.0, 30.0, 60.0], [300.0, 300.0, 300.0])
        window = raster.Window(0, 10, 0.0, 100.0, width=50, height=100)
        nobody, panel = np.zeros(3, np.bool_), np.zeros(3, np.int32)
        mean, filled = raster.paint(tracks, y, speed, nobody, panel, 1, window)
        rows, columns = np.nonzero(~np.isnan(mean[0]))
        assert set(range(61)) <= set(rows)
        assert set(range(11)) <= set(columns)
        assert np.nanmax(np.abs(mean - 300)) < 1e-3
        assert not filled.any()

    def test_gaps_are_not_bridged(self) -> None:
        tracks, (y, speed) = _track([0, 5], [0.0, 50.0], [10.0, 20.0])
        window = raster.Window(0, 10, 0.0, 100.0, width=10, height=10)
        nobody, panel = np.zeros(2, np.bool_), np.zeros(2, np.int32)
        mean, _ = raster.paint(tracks, y, speed, nobody, panel, 1, window)
        assert int((~np.isnan(mean)).sum()) == 2
        assert mean[0, 0, 0] == 10
        assert mean[0, 5, 5] == 20

    def test_points_outside_are_not_painted(self) -> None:
        tracks, (y, speed) = _track([0, 50, 51], [-500.0, 50.0, 1e6], [1.0, 2.0, 3.0])
        window = raster.Window(10, 20, 0.0, 100.0, width=10, height=10)
        nobody, panel = np.zeros(3, np.bool_), np.zeros(3, np.int32)
        mean, _ = raster.paint(tracks, y, speed, nobody, panel, 1, window)
        assert np.isnan(mean).all()

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.floats(-100, 100, width=32) | st.just(float("nan")), max_size=50))
    def test_every_value_is_in_one_bin(self, values: list[float]) -> None:
        counts = raster.histogram(np.array(values, np.float32), -10.0, 10.0, 8)
        known = [value for value in values if not np.isnan(value)]
        assert counts.sum() == len(known)
        assert counts[0] == sum(value < -7.5 for value in known)
        assert counts[-1] == sum(value >= 7.5 for value in known)

    def test_gap_lengths_do_not_reach_across_vehicles(self) -> None:
        table = pl.LazyFrame({"vehicle_id": [1, 1, 1, 2, 2], "frame": [1, 2, 5, 50, 52]})
        assert raster.gap_lengths(Tracks.of(table, {})).tolist() == [2, 1]
