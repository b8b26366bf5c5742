"""Pictures show what is there, cost little, and are the same every time."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import polars as pl
import pytest
from PIL import Image

from ngsim_assets.highway import plots
from ngsim_assets.highway.model import CLEANED_TRAJECTORIES, VALIDATED_POINTS
from ngsim_assets.highway.plots import PICTURES, Picture, Recording, Sheet
from ngsim_assets.highway.sites import PEACHTREE, US_101, Site
from ngsim_assets.quality import drawing
from ngsim_assets.quality.report import Figure
from ngsim_assets_tests.highway.sample_recordings import Sample, sample_recording

_NAMES = list(PICTURES)
# quantity and unit, or what is counted: every axis says which
_LABEL = re.compile(
    r".+, ?\n?(m|s|min|%|% \(log\)|m/s|m/s²|m/s³|Hz|veh/h|veh/km|veh/h per lane|veh/km per lane"
    r"|\(m/s\)²/Hz|\(m/s²\)²/Hz)|trajectories|gaps|autocorrelation|correlation"
)


@pytest.fixture(scope="module")
def sample() -> Sample:
    return sample_recording(gap_every=5)


@pytest.fixture(scope="module")
def figures(sample: Sample) -> dict[str, Figure]:
    made = plots.recording_figures(sample.validated.lazy(), sample.cleaned.lazy(), US_101)
    return {figure.name: figure for figure in made}


def _of(sample: Sample, site: Site = US_101) -> Recording:
    return Recording(sample.validated.lazy(), sample.cleaned.lazy(), site)


def _changed(sample: Sample, **columns: pl.Expr) -> Sample:
    """Both stages with these columns put in."""
    return Sample(*(part.with_columns(**columns) for part in (sample.validated, sample.cleaned)))


def _pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)


def _holds(data: bytes, colour: str, tolerance: int = 12) -> int:
    """Pixels of about that colour."""
    away = np.abs(_pixels(data) - drawing.rgb(colour)).max(axis=2)
    return int((away <= tolerance).sum())


def _standing(sample: Sample) -> Sample:
    still = pl.lit(0.0)
    both = _changed(
        sample,
        y_position=pl.lit(100.0) + pl.col("vehicle_id"),
        x_position=pl.lit(2.0),
        speed=still,
        acceleration=still,
        time_headway=pl.lit(None, pl.Float64),
    )
    return Sample(both.validated, both.cleaned.with_columns(y_raw="y_position", x_raw="x_position"))


_ODD: dict[str, Callable[[Sample], Sample]] = {
    "nothing": lambda sample: Sample(sample.validated.head(0), sample.cleaned.head(0)),
    "one row": lambda sample: Sample(sample.validated.head(1), sample.cleaned.head(1)),
    "two rows": lambda sample: Sample(sample.validated.head(2), sample.cleaned.head(2)),
    "one vehicle": lambda sample: Sample(
        sample.validated.filter(pl.col("vehicle_id") == 1),
        sample.cleaned.filter(pl.col("vehicle_id") == 1),
    ),
    "nothing left after cleaning": lambda sample: Sample(sample.validated, sample.cleaned.head(0)),
    "all standing": _standing,
    "one frame each": lambda sample: Sample(
        sample.validated.unique("vehicle_id"), sample.cleaned.unique("vehicle_id")
    ),
    "ten frames apart": lambda sample: Sample(
        sample.validated.filter(pl.col("frame") % 10 == 0), sample.cleaned
    ),
    "a lane of its own for everybody": lambda sample: _changed(
        sample, lane_id=(9_990 + pl.col("vehicle_id")).cast(pl.Int32)
    ),
    "no lanes": lambda sample: _changed(sample, lane_id=pl.lit(None, pl.Int32)),
    "no headways": lambda sample: _changed(
        sample,
        space_headway=pl.lit(None, pl.Float64),
        time_headway=pl.lit(None, pl.Float64),
    ),
    "speed not delivered": lambda sample: Sample(
        sample.validated.with_columns(
            speed=pl.lit(None, pl.Float64), acceleration=pl.lit(None, pl.Float64)
        ),
        sample.cleaned,
    ),
    "a vehicle far off the site": lambda sample: _changed(
        sample,
        y_position=pl.when(pl.col("vehicle_id") == 2).then(1e7).otherwise("y_position"),
    ),
    "an acceleration without bound": lambda sample: _changed(
        sample,
        acceleration=pl.when(pl.col("vehicle_id") == 2).then(np.inf).otherwise("acceleration"),
    ),
    "everything imputed": lambda sample: Sample(
        sample.validated,
        sample.cleaned.with_columns(
            state=pl.lit("imputed"), y_raw=pl.lit(None, pl.Float64), x_raw=pl.lit(None, pl.Float64)
        ),
    ),
}


class TestEveryPicture:
    def test_a_report_has_all_in_order(self, figures: dict[str, Figure]) -> None:
        assert list(figures) == _NAMES

    @pytest.mark.parametrize("name", _NAMES)
    def test_small_pngs_in_words_too(self, figures: dict[str, Figure], name: str) -> None:
        figure = figures[name]
        picture = Image.open(BytesIO(figure.data))
        assert picture.format == "PNG"
        assert picture.width == round(drawing.REPORT.width * drawing.REPORT.dpi)
        assert len(figure.data) < 150_000
        assert len(figure.title) > 8
        assert len(figure.alt) > 40
        assert len(figure.caption) > 40

    @pytest.mark.parametrize("name", _NAMES)
    def test_every_axis_says_what_and_in_which_unit(self, sample: Sample, name: str) -> None:
        _labelled(PICTURES[name](_of(sample)))

    @pytest.mark.parametrize("name", _NAMES)
    def test_nothing_reaches_over_the_edge(self, figures: dict[str, Figure], name: str) -> None:
        pixels = _pixels(figures[name].data)
        rim = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert (rim == 255).all()

    @pytest.mark.parametrize("name", _NAMES)
    def test_no_dates_or_programs_in_the_file(self, figures: dict[str, Figure], name: str) -> None:
        assert Image.open(BytesIO(figures[name].data)).info.keys() <= {"transparency", "dpi"}

    @pytest.mark.parametrize("name", _NAMES)
    def test_order_of_rows_makes_no_difference(
        self, sample: Sample, figures: dict[str, Figure], name: str
    ) -> None:
        shuffled = Sample(
            sample.validated.sample(fraction=1, shuffle=True, seed=3),
            sample.cleaned.sample(fraction=1, shuffle=True, seed=4),
        )
        assert PICTURES[name](_of(shuffled)).encoded() == figures[name].data

    def test_threads_draw_the_same_bytes(self, sample: Sample, figures: dict[str, Figure]) -> None:
        recording = _of(sample)
        names = ["time-space", "jerk", "heat-maps", "spectra"]
        with ThreadPoolExecutor(2) as pool:
            drawn = list(pool.map(lambda name: PICTURES[name](recording).encoded(), names))
        assert drawn == [figures[name].data for name in names]

    @pytest.mark.parametrize("what", _ODD)
    def test_odd_recordings_have_pictures_too(self, sample: Sample, what: str) -> None:
        # every picture is made, every third one also rendered, which costs most: others each time
        odd, small, turn = _ODD[what](sample), Sheet(dpi=40), list(_ODD).index(what)
        site = PEACHTREE if turn % 2 else US_101
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            recording = _of(odd, site)
            for place, (name, draw) in enumerate(PICTURES.items()):
                picture = draw(recording, sheet=small)
                assert picture.name == name
                _labelled(picture)
                if (place + turn) % 3 == 0:
                    assert _pixels(picture.encoded()).std() > 1

    def test_drawing_library_is_loaded_only_to_draw(self) -> None:
        code = (
            "import sys; import ngsim_assets.highway.assess, ngsim_assets.highway.plots; "
            "sys.exit('matplotlib' in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    def test_no_global_state_of_the_drawing_library(self) -> None:
        assert "matplotlib.pyplot" not in sys.modules


def _labelled(picture: Picture) -> None:
    for axis in picture.figure.axes:
        # axes in a stack share the label of the lowest one
        for label, ticks in (
            (axis.get_xlabel(), axis.xaxis.get_tick_params().get("labelbottom", True)),
            (axis.get_ylabel(), True),
        ):
            scale = not axis.get_xticks().size
            if label or (ticks and not scale):
                assert _LABEL.fullmatch(label), f"{picture.name}: {label!r}"


class TestFiles:
    @pytest.mark.parametrize("name", ["time-space", "spectra", "fundamental-diagram"])
    def test_vectors_are_the_same_every_time(self, sample: Sample, name: str) -> None:
        for kind, begin in (("svg", b"<?xml"), ("pdf", b"%PDF")):
            first, second = (PICTURES[name](_of(sample)).encoded(kind) for _ in range(2))
            assert first.startswith(begin)
            assert first == second
            assert b"20" + b"26-" not in first
            assert b"matplotlib v" not in first.lower()

    def test_type_and_width_and_pixels_are_chosen(self, sample: Sample) -> None:
        sheet = Sheet(width=88 / 25.4, type=7.0, dpi=300)
        for draw in PICTURES.values():
            picture = draw(_of(sample), sheet=sheet)
            image = Image.open(BytesIO(picture.encoded()))
            assert image.width == round(88 / 25.4 * 300)
            axis = picture.figure.axes[0]
            assert axis.yaxis.label.get_size() == 7.0
            rim = np.asarray(image.convert("RGB"))
            assert (rim[[0, -1]] == 255).all()
            assert (rim[:, [0, -1]] == 255).all()


class TestTimeSpace:
    def test_imputed_points_are_marked(self, sample: Sample, figures: dict[str, Figure]) -> None:
        assert _holds(figures["time-space"].data, drawing.IMPUTED) > 0
        assert "Imputed points are orange" in figures["time-space"].caption
        seen = plots.time_space(_of(sample), stage="validated")
        assert _holds(seen.encoded(), drawing.IMPUTED) == 0
        assert "orange" not in seen.caption

    def test_repaired_stretches_are_marked(self, sample: Sample) -> None:
        since = pl.col("frame") - pl.col("frame").min().over("vehicle_id")
        stretch = (pl.col("vehicle_id") == 7) & since.is_between(100, 130)
        repaired = sample.cleaned.with_columns(
            state=pl.when(stretch).then(pl.lit("repaired")).otherwise("state")
        )
        picture = plots.time_space(_of(Sample(sample.validated, repaired)))
        before = _holds(plots.time_space(_of(sample)).encoded(), drawing.REPAIRED)
        assert _holds(picture.encoded(), drawing.REPAIRED) > before + 20
        assert "repaired points are black" in picture.caption.lower()

    def test_a_panel_per_lane_on_one_scale(self, figures: dict[str, Figure]) -> None:
        assert figures["time-space"].alt.startswith("3 panels")

    def test_lanes_can_be_chosen(self, sample: Sample) -> None:
        assert plots.time_space(_of(sample), lanes=[2]).alt.startswith("1 panel:")

    def test_arterials_are_drawn_by_direction(self, sample: Sample) -> None:
        assert plots.time_space(_two_ways(sample)).alt.startswith("6 panels")

    def test_an_arterial_without_directions_is_drawn_by_lane(self, sample: Sample) -> None:
        assert plots.time_space(_of(sample, PEACHTREE)).alt.startswith("3 panels")

    def test_a_source_without_lanes_has_one_panel(self, sample: Sample) -> None:
        picture = plots.time_space(_of(_changed(sample, lane_id=pl.lit(None, pl.Int32))))
        assert picture.alt.startswith("1 panel:")
        assert len(picture.encoded()) > 10_000

    def test_a_stray_frame_does_not_squeeze_the_rest(self, sample: Sample) -> None:
        stray = sample.cleaned.tail(1).with_columns(frame=pl.lit(2_000_000_000, pl.Int32))
        far = Sample(sample.validated, pl.concat([sample.cleaned, stray]))
        assert len(plots.time_space(_of(far)).encoded()) > 10_000


def _two_ways(sample: Sample) -> Recording:
    way = pl.when(pl.col("vehicle_id") % 2 == 0).then(2).otherwise(4).cast(pl.Int32)
    return _of(_changed(sample, direction=way), PEACHTREE)


class TestTraffic:
    def test_maps_of_flow_density_and_speed(self, sample: Sample) -> None:
        picture = plots.heat_maps(_of(sample))
        titles = [axis.get_title(loc="left") for axis in picture.figure.axes]
        assert titles[:3] == [
            "Flow, mainline lanes",
            "Density, mainline lanes",
            "Speed, mainline lanes",
        ]

    def test_lanes_can_be_chosen(self, sample: Sample) -> None:
        assert "speed of lanes 1, 3." in plots.heat_maps(_of(sample), lanes=[3, 1]).alt
        diagram = plots.fundamental_diagram(_of(sample), lanes=[3])
        assert diagram.alt.startswith("1 row ")

    def test_arterials_have_maps_of_each_direction(self, sample: Sample) -> None:
        picture = plots.heat_maps(_two_ways(sample))
        assert picture.alt.startswith("6 maps")
        assert "northbound, southbound" in picture.alt

    def test_the_speed_of_waves_is_drawn_where_there_are_any(self) -> None:
        moving = sample_recording(vehicles_per_lane=60, lanes=2, minutes=8, noise=0.0)
        picture = plots.heat_maps(_of(moving))
        # the sample's waves run at 4.2 m/s
        found = re.search(r"waves run at −(\d+\.\d) km/h", picture.caption)
        assert found is not None
        assert float(found[1]) == pytest.approx(4.2 * 3.6, rel=0.05)
        free = plots.heat_maps(_of(_standing(moving)))
        assert "waves run" not in free.caption

    def test_a_diagram_has_a_row_per_lane(self, sample: Sample) -> None:
        picture = plots.fundamental_diagram(_of(sample))
        assert picture.alt.startswith("3 rows, one per lane")
        assert len(picture.figure.axes) == 6
        ends = {(axis.get_xlim(), axis.get_ylim()) for axis in picture.figure.axes[::2]}
        assert len(ends) == 1


class TestOneVehicle:
    def test_shows_the_one_that_changed_most(self, sample: Sample) -> None:
        repaired = sample.cleaned.with_columns(
            state=pl.when((pl.col("vehicle_id") == 9) & (pl.col("frame") % 9 == 0))
            .then(pl.lit("repaired"))
            .otherwise("state")
        )
        picture = plots.one_vehicle(_of(Sample(sample.validated, repaired)))
        assert picture.caption.startswith("Vehicle 9, the one that cleaning changed most")
        assert _holds(picture.encoded(), drawing.REPAIRED) > 0

    def test_shows_the_one_asked_for(self, sample: Sample) -> None:
        picture = plots.one_vehicle(_of(sample), vehicle_id=4)
        assert picture.caption.startswith("Vehicle 4. ")

    def test_an_unknown_one_is_an_empty_picture(self, sample: Sample) -> None:
        picture = plots.one_vehicle(_of(sample), vehicle_id=999_999)
        assert picture.encoded().startswith(b"\x89PNG")


class TestCompleteness:
    def test_the_map_counts_what_is_missing_and_what_was_filled(self, sample: Sample) -> None:
        picture = plots.completeness_map(_of(sample))
        titles = [axis.get_title(loc="left") for axis in picture.figure.axes[:2]]
        told = [float(re.search(r": ([0-9.]+) % of frames", title)[1]) for title in titles]
        filled = 100 * (sample.cleaned["state"] == "imputed").mean()
        # points on the last frame and at the end of the section are on the border of the map
        assert told == pytest.approx([filled, filled], rel=0.05)
        assert [title.split(":")[0] for title in titles] == [
            "Not seen, delivered",
            "Imputed or repaired, cleaned",
        ]


class TestHeadways:
    def test_medians_are_told(self, sample: Sample) -> None:
        [median] = sample.cleaned.select(pl.col("space_headway").median()).row(0)
        picture = plots.headways(_of(sample))
        titles = [axis.get_title(loc="left") for axis in picture.figure.axes]
        assert titles[0] == f"Space headway: median {median:.3g} → {median:.3g} m"
        assert titles[1] == "Time headway: none known"


class TestDocumented:
    def test_schemas_of_empty_tables_are_enough(self) -> None:
        validated = pl.LazyFrame(schema=VALIDATED_POINTS.schema)
        cleaned = pl.LazyFrame(schema=CLEANED_TRAJECTORIES.schema)
        for figure in plots.recording_figures(validated, cleaned, US_101):
            assert _pixels(figure.data).shape[1] == round(drawing.REPORT.width * drawing.REPORT.dpi)
