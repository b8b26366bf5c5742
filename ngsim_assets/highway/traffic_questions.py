"""Traffic state of a stored recording on any grid: `ngsim traffic`.

Belongs here: which recording, lanes and grid a user asks for, and how the answer is shown. Does
not belong here: sums (traffic.py), what cells say together (flow).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import typer

from ngsim_assets import console
from ngsim_assets.highway import model, stages
from ngsim_assets.highway.answers import check_ending, write_table
from ngsim_assets.highway.gallery import NoSuchLane
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.questions import AsJson, Key, NoSuchRecording
from ngsim_assets.highway.sites import SITES
from ngsim_assets.settings import load_settings
from ngsim_assets.storage.schema import Table

_STAGES: Mapping[str, Table] = {
    "cleaned": model.CLEANED_TRAJECTORIES,
    "validated": model.VALIDATED_POINTS,
}
_READ = (
    *("highway_id", "recording", "date", "vehicle_id", "frame", "timestamp", "y_position"),
    *("lane_id", "direction"),
)


def add_to(app: typer.Typer) -> None:
    """Register the command of this module on `app`."""
    example = "ngsim traffic 'us-101|2005-06-15T0750' --duration 5 --cell-length 20"
    app.command(epilog=f"Example: {example}")(traffic)


def traffic(
    key: Key,
    duration: Annotated[float, typer.Option(help="Length of a cell in time, s.")] = 30.0,
    cell_length: Annotated[float, typer.Option(help="Length of a cell in space, m.")] = 50.0,
    lane: Annotated[
        list[int] | None, typer.Option(help="Lane to take; may be given several times.")
    ] = None,
    stage: Annotated[
        Literal["cleaned", "validated"], typer.Option(help="Points to take.")
    ] = "cleaned",
    output: Annotated[
        Path | None,
        typer.Option(help="Write all cells here, CSV or Parquet by the ending.", dir_okay=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Flow, density and speed of a recording on any grid, its wave speed and its capacity.

    Edie's definitions, per lane and, on arterials, direction. Wave speed, capacity, free speed and
    jam density are those of the lanes asked for, else of all that lead through the section.
    """
    # compiled kernels load only for those who need them
    from ngsim_assets.highway.flow.cells import main_lanes
    from ngsim_assets.highway.flow.characteristics import by_lane, characteristics
    from ngsim_assets.highway.traffic import traffic_state

    check_ending(output)
    platform = stages.open_platform(load_settings())
    wanted = PartitionKey.parse(key)
    if platform.lake.current(_STAGES[stage], stages.identity(wanted)) is None:
        raise NoSuchRecording(key, platform.landing.partitions())
    with console.working(f"summing the traffic of {wanted}"):
        points = (
            platform.lake.scan(_STAGES[stage], stages.identity(wanted)).select(_READ).collect()
        ).lazy()
        gap = stages.TRAFFIC_GRID["gap"]
        cells = traffic_state(points, duration=duration, cell_length=cell_length, gap=gap).collect()
        driven = cells["lane_id"].drop_nulls().unique().sort().to_list()
        missing = sorted(set(lane or ()) - set(driven))
        if missing:
            raise NoSuchLane(wanted, missing, driven)
        if lane:
            cells = cells.filter(pl.col("lane_id").is_in(lane))
        lanes = sorted(set(lane or main_lanes(SITES[wanted.highway_id])) & set(driven))
        found = characteristics(points, lanes, gap=gap)
    if output is not None:
        write_table(output, cells)
        console.note(f"{console.shown_path(output)}: {cells.height:,} cells")
    streams = by_lane(cells).to_dicts()
    figures = {
        "free_speed": found.diagram.free_speed,
        "capacity": found.diagram.capacity,
        "critical_density": found.diagram.critical_density,
        "jam_density": found.diagram.jam_density,
    }
    if as_json:
        console.print_json(
            {
                "recording": str(wanted),
                "stage": stage,
                "grid": {"duration": duration, "cell_length": cell_length, "gap": gap},
                "cells": cells.height,
                "lanes": streams,
                "characteristics": {
                    "lanes": list(found.lanes),
                    "wave_speed": {"unit": "m/s"} | asdict(found.wave),
                    **{name: asdict(figure) for name, figure in figures.items()},
                },
            }
        )
        return
    console.print_table(
        f"Traffic, {stage}, {duration:g} s x {cell_length:g} m",
        [_shown_stream(row) for row in streams],
    )
    wave = found.wave
    rows = [("wave_speed", wave.speed, wave.low, wave.high, "m/s", wave.reason or wave.method)]
    rows += [
        (name, f.value, f.low, f.high, f.unit, f.reason or f.method) for name, f in figures.items()
    ]
    console.print_table(
        f"Lanes {', '.join(map(str, found.lanes))}" if found.lanes else "All lanes",
        [_shown_figure(*row) for row in rows],
    )


def _shown_stream(row: Mapping[str, float | int | None]) -> dict[str, object]:
    speed = row["speed"]
    shown: dict[str, object] = {"lane": row["lane_id"]}
    if row["direction"] is not None:
        shown["direction"] = row["direction"]
    return shown | {
        "flow, veh/h": row["flow"],
        "density, veh/km": row["density"],
        "speed, km/h": None if speed is None else 3.6 * speed,
    }


def _shown_figure(
    name: str, value: float | None, low: float | None, high: float | None, unit: str, how: str
) -> dict[str, object]:
    """A figure as people read it: speeds in km/h, intervals in words."""
    factor = 3.6 if unit == "m/s" else 1.0
    interval = "" if low is None or high is None else f"{factor * low:,.1f} to {factor * high:,.1f}"
    return {
        "figure": name.replace("_", " "),
        "value": "" if value is None else f"{factor * value:,.1f}",
        "90 % interval": interval,
        "unit": "km/h" if unit == "m/s" else unit,
        "how, or why not": how,
    }
