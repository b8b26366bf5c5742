"""`ngsim plot` as a user meets it: a file as asked for, or one line that says why not."""

from __future__ import annotations

import re
import sys
from io import BytesIO
from pathlib import Path
from typing import get_args

import polars as pl
import pytest
from PIL import Image

from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.cli import main
from ngsim_assets.highway import gallery, intake, stages
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.model import CLEANED_TRAJECTORIES
from ngsim_assets.highway.plots import PICTURES
from ngsim_assets.highway.simulate import Scenario, simulate_to
from ngsim_assets.settings import load_settings

KEY = "us-101|2005-06-15T0750"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the cleaned points of a short simulated recording."""
    folder = tmp_path_factory.mktemp("plot") / "data"
    settings = load_settings(data=folder)
    platform = stages.open_platform(settings)
    simulate_to(folder.parent / "us101.csv", Scenario(minutes=0.5, seed=3), layout="csv")
    for _ in intake.take_in_all(
        [folder.parent / "us101.csv"], LandingZone(settings.landing), highway="us-101"
    ):
        pass
    key = PartitionKey.parse(KEY)
    stages.store_raw(platform, key)
    stages.store_validated(platform, key)
    stages.store_cleaned(platform, key)
    return folder


class Plot:
    def __init__(
        self, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("NGSIM_DATA", str(data))
        monkeypatch.setenv("COLUMNS", "200")
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: object, code: int = 0) -> str:
        self.monkeypatch.setattr(sys, "argv", ["ngsim", "plot", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        printed = self.capsys.readouterr().err
        assert stop.value.code == code, printed
        assert "Traceback" not in printed
        return printed


@pytest.fixture
def plot(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Plot:
    return Plot(data, monkeypatch, capsys)


def test_the_command_knows_every_picture() -> None:
    assert list(get_args(gallery.PictureName)) == list(PICTURES)
    assert set(PICTURES) >= gallery.OF_LANES


def test_the_page_of_pictures_lists_them_with_their_options() -> None:
    page = (Path(__file__).parents[2] / "docs" / "PICTURES.md").read_text()
    listed = dict(re.findall(r"^\| `([a-z-]+)` \|.*\| (.*?) ?\|$", page, re.MULTILINE))
    assert list(listed) == list(PICTURES)
    assert {name for name, options in listed.items() if "--lane" in options} == gallery.OF_LANES


def test_a_picture_in_the_format_of_the_ending(plot: Plot, tmp_path: Path) -> None:
    for ending, begin in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        told = plot(KEY, "spectra", "--output", tmp_path / f"a.{ending}")
        assert (tmp_path / f"a.{ending}").read_bytes().startswith(begin)
        assert "Spectra before and after." in told


def test_without_a_file_it_is_named_for_the_picture(
    plot: Plot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plot(KEY, "jerk")
    plot(KEY, "jerk", "--format", "pdf")
    assert {path.name for path in tmp_path.iterdir()} == {"jerk.png", "jerk.pdf"}


def test_size_for_a_column_of_a_journal(plot: Plot, tmp_path: Path) -> None:
    size = ("--width", 88, "--type", 7, "--dpi", 300)
    plot(KEY, "heat-maps", *size, "--output", tmp_path / "a.png")
    picture = Image.open(BytesIO((tmp_path / "a.png").read_bytes()))
    assert picture.width == pytest.approx(88 / 25.4 * 300, abs=1)


def test_lanes_and_vehicles_are_chosen(plot: Plot, data: Path, tmp_path: Path) -> None:
    points = stages.open_platform(load_settings(data=data)).lake.scan(CLEANED_TRAJECTORIES)
    vehicle = points.select(pl.col("vehicle_id").max()).collect().item()
    told = plot(KEY, "one-vehicle", "--vehicle", vehicle, "--output", tmp_path / "v.png")
    assert f"Vehicle {vehicle}." in told
    plot(KEY, "time-space", "--lane", 2, "--lane", 3, "--output", tmp_path / "two.png")
    plot(KEY, "time-space", "--output", tmp_path / "all.png")
    two, every = (
        Image.open(BytesIO((tmp_path / f"{name}.png").read_bytes())).height
        for name in ("two", "all")
    )
    assert two < every


def test_a_part_of_the_recording(plot: Plot, tmp_path: Path) -> None:
    plot(KEY, "time-space", "--from", 0.1, "--to", 0.3, "--output", tmp_path / "part.svg")
    plot(KEY, "time-space", "--output", tmp_path / "whole.svg")
    part, whole = (tmp_path / name for name in ("part.svg", "whole.svg"))
    assert part.read_bytes() != whole.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((KEY, "jerk", "--lane", 2), 2, "jerk takes no --lane"),
        ((KEY, "jerk", "--vehicle", 2), 2, "jerk takes no --vehicle"),
        ((KEY, "time-space", "--lane", 77), 1, "nobody in lane 77 (lanes: 1, "),
        ((KEY, "one-vehicle", "--vehicle", 999999), 1, "has no vehicle 999999"),
        ((KEY, "jerk", "--output", "a.tiff"), 2, "a.tiff does not end in a format of pictures"),
        (("us-101|2005-06-15T0820", "jerk"), 1, "no recording us-101|2005-06-15T0820"),
        ((KEY, "jerk", "--from", 3), 2, "nothing lies from minute 3 to the end"),
        ((KEY, "jerk", "--from", 0.3, "--to", 0.2), 2, "it lasts 0.5 minutes"),
        ((KEY, "sunset"), 2, "sunset"),
    ],
)
def test_what_cannot_be_drawn_says_why(
    plot: Plot, arguments: tuple[object, ...], code: int, said: str
) -> None:
    told = plot(*arguments, code=code)
    assert said in re.sub(r"\s+", " ", told)
