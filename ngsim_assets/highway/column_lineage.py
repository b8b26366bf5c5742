"""Where each column comes from: the columns of other tables that its values are made of.

Belongs here: the exceptions to the rule. The rule: a column comes from the column of the same name
in the first asset its own is built from that has one (`BUILT_FROM`). Does not belong here: what is
done with the values (validate.py, clean.py, traffic.py), where a row came from (lineage.py).

Declared are the values a column is made of, not those that only decide whether it is null or which
rows there are.
"""

from __future__ import annotations

from collections.abc import Mapping

from ngsim_assets.highway import model
from ngsim_assets.highway.data_versions import BUILT_FROM, RAW_FILES, table_of
from ngsim_assets.highway.formats import DELIVERED

Columns = tuple[str, ...]

_IDENTITY: Columns = ("highway_id", "recording", "vehicle_id")
# the motion of a vehicle, and what is judged beside it
_X, _Y = ("vehicle_id", "frame", "x_position"), ("vehicle_id", "frame", "y_position")
_RAW_X, _RAW_Y = ("vehicle_id", "frame_id", "local_x"), ("vehicle_id", "frame_id", "local_y")
# rules across rows look at all of it
_JUDGED: Columns = tuple(
    name
    for name in model.RAW_TRAJECTORIES.columns
    if name not in {"highway_id", "recording", "date", "source_text"}
)
_CELL: Columns = ("frame", "timestamp", "y_position", "lane_id", "direction", "vehicle_id")

# By asset and column: names of columns of the first source, or `asset.column` of another one.
_EXCEPTIONS: Mapping[str, Mapping[str, Columns]] = {
    "raw_trajectories": {
        "highway_id": ("location", "global_x", "global_y", "global_time"),
        "recording": ("frame_id", "global_time"),
        "date": ("frame_id", "global_time"),
        "source_text": DELIVERED,
    },
    "validated_points": {
        "vehicle_type": ("vehicle_id", "v_class"),
        "trajectory_id": _IDENTITY,
        "frame": ("frame_id",),
        "timestamp": ("frame_id", "global_time"),
        "x_position": ("local_x",),
        "y_position": ("local_y",),
        "longitude": ("global_x", "global_y"),
        "latitude": ("global_x", "global_y"),
        "velocity_x": _RAW_X,
        "velocity_y": _RAW_Y,
        "acceleration_x": _RAW_X,
        "acceleration_y": _RAW_Y,
        "speed": ("v_vel",),
        "acceleration": ("v_acc",),
        "length": ("v_length",),
        "width": ("v_width",),
        "preceding_id": ("preceding",),
        "following_id": ("following",),
        "flags": _JUDGED,
    },
    "quarantine": {"stage": (), "reasons": _JUDGED},
    "cleaned_trajectories": {
        "frame": ("vehicle_id", "frame"),
        "timestamp": ("frame", "timestamp"),
        "x_position": _X,
        "y_position": (*_Y, "preceding_id", "length"),
        "velocity_x": _X,
        "velocity_y": _Y,
        "acceleration_x": _X,
        "acceleration_y": _Y,
        "speed": ("vehicle_id", "frame", "x_position", "y_position"),
        "acceleration": ("vehicle_id", "frame", "x_position", "y_position"),
        "jerk": _Y,
        "state": ("vehicle_id", "frame", "x_position", "y_position"),
        "x_raw": ("x_position",),
        "y_raw": ("y_position",),
        "lane_id": ("lane_id", "x_position"),
        "lane_raw": ("lane_id",),
        "space_headway": ("frame", "y_position", "preceding_id"),
        "time_headway": ("frame", "y_position", "preceding_id"),
    },
    "trajectory_segments": {
        "start_time": ("timestamp",),
        "end_time": ("timestamp",),
        "points": ("vehicle_id",),
        "points_observed": ("state",),
        "points_repaired": ("state",),
        "points_imputed": ("state",),
        "gaps_open": ("frame",),
        "completeness": ("frame", "state"),
        "total_frames": ("validated_points.total_frames",),
        "lanes": ("lane_id",),
        "lane_changes": ("lane_id",),
        "distance": ("y_position",),
        "speed_mean": ("speed",),
        "speed_max": ("speed",),
        "metadata": ("x_position", "y_position", "x_raw", "y_raw", "state"),
    },
    "traffic_state": {
        "time_start": ("timestamp",),
        "duration": (),
        "y_start": ("y_position",),
        "cell_length": (),
        "observed_share": ("timestamp", "y_position"),
        "distance_travelled": _CELL,
        "time_spent": _CELL,
        "vehicles": _CELL,
        "flow": _CELL,
        "density": _CELL,
        "speed": _CELL,
    },
    "quality_report": {
        "metric": (),
        "stage": (),
        "value": tuple(
            f"{table}.{column}"
            for table, columns in {
                "validated_points": (*_Y, "x_position", "speed", "lane_id", "flags"),
                "cleaned_trajectories": (*_Y, "x_position", "x_raw", "y_raw", "state", "lane_id"),
                "quarantine": ("reasons",),
            }.items()
            for column in columns
        ),
        "unit": (),
        "definition": (),
        "source": (),
        "threshold": ("highway_id",),
        "passed": ("highway_id",),
    },
    "corpus_summary": {
        "rows_raw": ("source_row",),
        "rows_validated": ("validated_points.source_row",),
        "rows_quarantined": ("quarantine.source_row",),
        "points_cleaned": ("cleaned_trajectories.vehicle_id",),
        "trajectories": ("trajectory_segments.trajectory_id",),
        "metrics_failed": ("quality_report.passed",),
        "score": ("quality_report.metric", "quality_report.value"),
    },
}


def columns_of(asset: str) -> Columns:
    """Columns of an asset; those of `raw_files` are what a file can deliver."""
    return DELIVERED if asset == RAW_FILES else tuple(table_of(asset).columns)


def columns_behind(asset: str) -> dict[str, list[tuple[str, str]]]:
    """For each column of an asset, asset and column its values are made of; none if it is set."""
    sources = BUILT_FROM[asset]
    exceptions = _EXCEPTIONS.get(asset, {})
    behind: dict[str, list[tuple[str, str]]] = {}
    for column in columns_of(asset):
        if column in exceptions:
            behind[column] = [_source(sources[0], name) for name in exceptions[column]]
        else:
            named = (source for source in sources if column in columns_of(source))
            behind[column] = [(source, column) for source in list(named)[:1]]
    return behind


def _source(main: str, name: str) -> tuple[str, str]:
    source, dot, column = name.rpartition(".")
    return (source, column) if dot else (main, name)
