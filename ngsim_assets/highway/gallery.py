"""Pictures by themselves: `ngsim plot`.

Belongs here: which recording, picture and size a user asks for, and the file it goes to. Does
not belong here: drawing (plots.py and pictures/).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

import polars as pl
import typer

from ngsim_assets import console
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import model, stages
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.questions import Key, NoSuchRecording, NoSuchVehicle
from ngsim_assets.highway.sites import SITES
from ngsim_assets.settings import load_settings
from ngsim_assets.storage.atomic import write_atomically

if TYPE_CHECKING:
    from ngsim_assets.highway.plots import Recording

PictureName = Literal[
    "time-space",
    "heat-maps",
    "fundamental-diagram",
    "distributions",
    "spectra",
    "jerk",
    "headways",
    "one-vehicle",
    "residuals",
    "completeness",
    "completeness-map",
]
"""Names of plots.PICTURES, which is not imported before a picture is drawn."""

FileFormat = Literal["png", "svg", "pdf"]

OF_LANES = frozenset({"time-space", "heat-maps", "fundamental-diagram", "headways"})
"""Pictures that can show some lanes only."""

_INCH = 25.4  # mm


class NotInThisPicture(NgsimAssetsError):
    """An option was given that a picture has no use for."""

    exit_code = 2

    def __init__(self, option: str, name: str, pictures: Sequence[str]) -> None:
        super().__init__(f"{name} takes no {option}", f"{option} is for {', '.join(pictures)}")


class NoSuchLane(NgsimAssetsError):
    """Lanes that nobody drove in."""

    def __init__(self, key: PartitionKey, lanes: Sequence[int], known: Sequence[int]) -> None:
        missing = f"lane{'s' if len(lanes) > 1 else ''} {', '.join(map(str, lanes))}"
        there = ", ".join(map(str, known)) or "none"
        super().__init__(f"{key} has nobody in {missing}", f"lanes: {there}")


class NoSuchTime(NgsimAssetsError):
    """A part of a recording that holds nothing."""

    exit_code = 2

    def __init__(self, key: PartitionKey, begin: float, end: float, minutes: float) -> None:
        until = "the end" if math.isinf(end) else f"{end:g}"
        super().__init__(
            f"nothing lies from minute {begin:g} to {until} of {key}",
            f"it lasts {minutes:.1f} minutes",
        )


class UnknownFormat(NgsimAssetsError):
    """A file whose ending says nothing of a picture."""

    exit_code = 2

    def __init__(self, path: Path) -> None:
        known = ", ".join(get_args(FileFormat))
        super().__init__(
            f"{path.name} does not end in a format of pictures", f"end it in {known}, or --format"
        )


def add_to(app: typer.Typer) -> None:
    """Register the command of this module on `app`."""
    example = "ngsim plot 'us-101|2005-06-15T0750' time-space --lane 2 --output lane2.pdf"
    app.command(epilog=f"Example: {example}")(plot)


def plot(
    key: Key,
    name: Annotated[PictureName, typer.Argument(help="Picture to draw.")],
    output: Annotated[
        Path | None,
        typer.Option(help="File; its ending says the format. Without: NAME.png.", dir_okay=False),
    ] = None,
    file_format: Annotated[
        FileFormat | None, typer.Option("--format", help="Format, whatever the ending.")
    ] = None,
    *,
    lane: Annotated[
        list[int] | None, typer.Option(help="Lane to show; may be given several times.")
    ] = None,
    vehicle: Annotated[
        int | None, typer.Option(help="Vehicle of one-vehicle; without, the most changed one.")
    ] = None,
    begin: Annotated[
        float | None, typer.Option("--from", help="Minutes from the first frame.", min=0)
    ] = None,
    end: Annotated[
        float | None, typer.Option("--to", help="Minutes from the first frame.", min=0)
    ] = None,
    width: Annotated[float, typer.Option(help="Width in mm.", min=40, max=1200)] = 168.0,
    type_size: Annotated[
        float, typer.Option("--type", help="Type size in points.", min=4, max=48)
    ] = 13.0,
    dpi: Annotated[
        int, typer.Option(help="Pixels per inch, in SVG and PDF of maps only.", min=30, max=1200)
    ] = 110,
) -> None:
    """Draw one picture of a recording into a file, as the report has it or for a paper.

    A column of a journal: --width 88 --type 7 --dpi 300. Lines, dots and type are vectors in SVG
    and PDF; maps and time-space diagrams of a million points are pixels in them.
    """
    path = Path(f"{name}.{file_format or 'png'}") if output is None else output
    kind = file_format or path.suffix.lower().removeprefix(".")
    if kind not in get_args(FileFormat):
        raise UnknownFormat(path)
    chosen = _chosen(name, lane, vehicle)
    wanted, recording = _recording(key)
    if begin is not None or end is not None:
        recording = _part(wanted, recording, begin, end)
    if lane:
        _check_lanes(wanted, recording, lane)
    if vehicle is not None and not len(recording.vehicle("cleaned", vehicle)):
        raise NoSuchVehicle(wanted, vehicle, model.CLEANED_TRAJECTORIES.name)

    from ngsim_assets.highway.plots import PICTURES, Sheet

    with console.working(f"drawing {name} of {wanted}"):
        sheet = Sheet(width=width / _INCH, type=type_size, dpi=dpi)
        picture = PICTURES[name](recording, sheet=sheet, **chosen)
        write_atomically(path, picture.encoded(cast("FileFormat", kind)))
    console.note(f"{console.shown_path(path)}: {picture.title}. {picture.caption}")


def _chosen(name: str, lanes: list[int] | None, vehicle: int | None) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if lanes:
        if name not in OF_LANES:
            raise NotInThisPicture("--lane", name, sorted(OF_LANES))
        chosen["lanes"] = frozenset(lanes)
    if vehicle is not None:
        if name != "one-vehicle":
            raise NotInThisPicture("--vehicle", name, ["one-vehicle"])
        chosen["vehicle_id"] = vehicle
    return chosen


def _recording(key: str) -> tuple[PartitionKey, Recording]:
    from ngsim_assets.highway.plots import Recording

    platform = stages.open_platform(load_settings())
    known = platform.landing.partitions()
    if key not in known:
        raise NoSuchRecording(key, known)
    wanted = PartitionKey.parse(key)
    stages.built(platform, model.CLEANED_TRAJECTORIES, wanted)
    before, after = (
        platform.lake.scan(table, stages.identity(wanted))
        for table in (model.VALIDATED_POINTS, model.CLEANED_TRAJECTORIES)
    )
    return wanted, Recording(before, after, SITES[wanted.highway_id])


def _part(
    key: PartitionKey, recording: Recording, begin: float | None, end: float | None
) -> Recording:
    begin, end = begin or 0.0, math.inf if end is None else end
    seconds = recording.time.end / recording.time.per_second
    if begin >= min(end, seconds / 60):
        raise NoSuchTime(key, begin, end, seconds / 60)
    return recording.between(begin, min(end, seconds / 60))


def _check_lanes(key: PartitionKey, recording: Recording, lanes: Sequence[int]) -> None:
    found = recording.cleaned.select(pl.col("lane_id").drop_nulls().unique().sort()).collect()
    known = [int(lane) for lane in found["lane_id"]]
    missing = sorted(set(lanes) - set(known))
    if missing:
        raise NoSuchLane(key, missing, known)
