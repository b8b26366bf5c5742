"""The tables of the highway domain: one Pydantic model per table, every column once.

Belongs here: names, types, units, constraints and meanings of columns. Storage, validation
rules, checks and the column documentation are derived from it. Does not belong here: any
computation, any site's numbers (sites.py).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ngsim_assets.storage.schema import Column, Table

HighwayId = Annotated[str, Field(description="Site key, for example us-101."), Column(pl.String())]
RecordingKey = Annotated[
    str,
    Field(description="Recording key: local start, 2005-06-15T0750."),
    Column(pl.String()),
]
RecordingDate = Annotated[
    date, Field(description="Local date of the recording."), Column(pl.Date())
]


_MM = 2.0**-13  # 0.12 mm: finer than half of the delivered 0.001 ft
_FINE = 2.0**-17  # 7.6 um: keeps differences of reconstructed positions over 0.1 s exact enough
_SPEED = 2.0**-12  # 0.24 mm/s: finer than half of the delivered 0.01 ft/s
_FINE_SPEED = 2.0**-14
_ACCELERATION = 2.0**-12
_DEGREE = 2.0**-26  # 1.5e-8 degrees: 1.7 mm along a meridian


# Columns that several tables have.
TotalFrames = Annotated[
    int | None,
    Field(description="Frames the vehicle is said to appear in."),
    Column(pl.Int32()),
]
LaneId = Annotated[int | None, Field(description="Lane, 1 leftmost."), Column(pl.Int32())]
OZone = Annotated[int | None, Field(description="Origin zone (arterials)."), Column(pl.Int32())]
DZone = Annotated[
    int | None, Field(description="Destination zone (arterials)."), Column(pl.Int32())
]
IntId = Annotated[
    int | None,
    Field(description="Intersection, 0 between them (arterials)."),
    Column(pl.Int32()),
]
SectionId = Annotated[
    int | None,
    Field(description="Section, 0 inside intersections (arterials)."),
    Column(pl.Int32()),
]
Direction = Annotated[
    int | None,
    Field(description="1 east 2 north 3 west 4 south (arterials)."),
    Column(pl.Int32()),
]
Movement = Annotated[
    int | None, Field(description="1 through 2 left 3 right (arterials)."), Column(pl.Int32())
]
SourceFile = Annotated[
    str, Field(description="File (and archive member) the row came from."), Column(pl.String())
]
VehicleType = Annotated[
    Literal["motorcycle", "auto", "truck"],
    Field(description="Vehicle class."),
    Column(pl.String()),
]
TrajectoryId = Annotated[
    str, Field(description="UUIDv5 of highway, recording and vehicle."), Column(pl.String())
]
VehicleId = Annotated[
    int,
    Field(ge=1, description="Vehicle number, unique within its recording."),
    Column(pl.Int32()),
]
Frame = Annotated[int, Field(ge=0, description="Frame number, ten a second."), Column(pl.Int32())]
Timestamp = Annotated[datetime, Field(description="UTC."), Column(pl.Datetime("us", "UTC"))]
Length = Annotated[
    float | None, Field(gt=0, description="Vehicle length."), Column(pl.Float64(), "m", _MM)
]
Width = Annotated[
    float | None, Field(gt=0, description="Vehicle width."), Column(pl.Float64(), "m", _MM)
]
PrecedingId = Annotated[
    int | None,
    Field(ge=1, description="Vehicle ahead in the lane, null none."),
    Column(pl.Int32()),
]
FollowingId = Annotated[
    int | None,
    Field(ge=1, description="Vehicle behind in the lane, null none."),
    Column(pl.Int32()),
]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RawTrajectory(_Row):
    """A row exactly as delivered, in the units of the file (feet, seconds, milliseconds).

    Null where the file has no such column, no value, or text that is not a number; in the last
    case `source_text` keeps the whole line, so nothing delivered is lost.
    """

    vehicle_id: Annotated[
        int | None,
        Field(description="Vehicle number, unique within its recording."),
        Column(pl.Int32()),
    ]
    frame_id: Annotated[
        int | None, Field(description="Frame number, ten a second."), Column(pl.Int32())
    ]
    total_frames: TotalFrames
    global_time: Annotated[
        int | None,
        Field(description="Time since the epoch in the site's clock unit."),
        Column(pl.Int64(), "ms"),
    ]
    local_x: Annotated[
        float | None,
        Field(description="Lateral position of the front centre from the left edge."),
        Column(pl.Decimal(9, 3), "ft"),
    ]
    local_y: Annotated[
        float | None,
        Field(description="Position of the front centre along the section."),
        Column(pl.Decimal(9, 3), "ft"),
    ]
    global_x: Annotated[
        float | None,
        Field(description="State-plane easting."),
        Column(pl.Decimal(12, 3), "US survey ft"),
    ]
    global_y: Annotated[
        float | None,
        Field(description="State-plane northing."),
        Column(pl.Decimal(12, 3), "US survey ft"),
    ]
    v_length: Annotated[
        float | None, Field(description="Vehicle length."), Column(pl.Decimal(9, 2), "ft")
    ]
    v_width: Annotated[
        float | None, Field(description="Vehicle width."), Column(pl.Decimal(9, 2), "ft")
    ]
    v_class: Annotated[
        int | None, Field(description="1 motorcycle, 2 auto, 3 truck."), Column(pl.Int32())
    ]
    v_vel: Annotated[float | None, Field(description="Speed."), Column(pl.Decimal(9, 2), "ft/s")]
    v_acc: Annotated[
        float | None, Field(description="Acceleration."), Column(pl.Decimal(9, 2), "ft/s²")
    ]
    lane_id: LaneId
    o_zone: OZone
    d_zone: DZone
    int_id: IntId
    section_id: SectionId
    direction: Direction
    movement: Movement
    preceding: Annotated[
        int | None, Field(description="Vehicle ahead in the lane, 0 none."), Column(pl.Int32())
    ]
    following: Annotated[
        int | None, Field(description="Vehicle behind in the lane, 0 none."), Column(pl.Int32())
    ]
    space_headway: Annotated[
        float | None,
        Field(description="Front to front distance to the vehicle ahead."),
        Column(pl.Decimal(9, 2), "ft"),
    ]
    time_headway: Annotated[
        float | None,
        Field(description="Time to reach the vehicle ahead's place, 9999.99 standing."),
        Column(pl.Decimal(9, 2), "s"),
    ]
    location: Annotated[
        str | None, Field(description="Site as the file names it."), Column(pl.String())
    ]
    highway_id: HighwayId
    recording: RecordingKey
    date: RecordingDate
    source_file: SourceFile
    source_row: Annotated[
        int,
        Field(description="Line of the row in that file, the header included, from 1."),
        Column(pl.Int64()),
    ]
    source_text: Annotated[
        str | None,
        Field(description="The delivered line, kept where a cell of it could not be read."),
        Column(pl.String()),
    ]


class TrajectoryPoint(_Row):
    """A row that passed validation, in SI units: one vehicle at one tenth of a second."""

    highway_id: HighwayId
    recording: RecordingKey
    date: RecordingDate
    vehicle_type: VehicleType
    trajectory_id: TrajectoryId
    vehicle_id: VehicleId
    frame: Frame
    timestamp: Timestamp
    x_position: Annotated[
        float,
        Field(description="Lateral position of the front centre from the left edge."),
        Column(pl.Float64(), "m", _MM),
    ]
    y_position: Annotated[
        float,
        Field(description="Position of the front centre along the section."),
        Column(pl.Float64(), "m", _MM),
    ]
    longitude: Annotated[
        float | None,
        Field(ge=-180, le=180, description="WGS84."),
        Column(pl.Float64(), "degree", _DEGREE),
    ]
    latitude: Annotated[
        float | None,
        Field(ge=-90, le=90, description="WGS84."),
        Column(pl.Float64(), "degree", _DEGREE),
    ]
    velocity_x: Annotated[
        float | None,
        Field(
            description="Lateral velocity, central difference of x_position, null at ends and gaps."
        ),
        Column(pl.Float64(), "m/s", _SPEED),
    ]
    velocity_y: Annotated[
        float | None,
        Field(
            description="Velocity along, central difference of y_position, null at ends and gaps."
        ),
        Column(pl.Float64(), "m/s", _SPEED),
    ]
    acceleration_x: Annotated[
        float | None,
        Field(description="Lateral acceleration, second difference, null at ends and gaps."),
        Column(pl.Float64(), "m/s²", _ACCELERATION),
    ]
    acceleration_y: Annotated[
        float | None,
        Field(description="Acceleration along, second difference, null at ends and gaps."),
        Column(pl.Float64(), "m/s²", _ACCELERATION),
    ]
    speed: Annotated[
        float | None,
        Field(ge=0, description="Speed as delivered."),
        Column(pl.Float64(), "m/s", _SPEED),
    ]
    acceleration: Annotated[
        float | None,
        Field(description="Acceleration as delivered."),
        Column(pl.Float64(), "m/s²", _ACCELERATION),
    ]
    lane_id: LaneId
    length: Length
    width: Width
    preceding_id: PrecedingId
    following_id: FollowingId
    space_headway: Annotated[
        float | None,
        Field(ge=0, description="Front to front distance to the vehicle ahead, null none."),
        Column(pl.Float64(), "m", _MM),
    ]
    time_headway: Annotated[
        float | None,
        Field(ge=0, description="Time to reach the vehicle ahead's place, null none or standing."),
        Column(pl.Float64(), "s", 2.0**-10),
    ]
    o_zone: OZone
    d_zone: DZone
    int_id: IntId
    section_id: SectionId
    direction: Direction
    movement: Movement
    total_frames: TotalFrames
    source_file: SourceFile
    source_row: Annotated[
        int, Field(ge=1, description="Line of the row in that file."), Column(pl.Int64())
    ]
    flags: Annotated[
        list[str],
        Field(description="Rules that flag the row (RULES.md), empty where none does."),
        Column(pl.List(pl.String())),
    ]


class QuarantinedRow(RawTrajectory):
    """A row that failed, as delivered, with the stage and the names of every rule it broke."""

    stage: Annotated[
        Literal["intake", "validated"],
        Field(description="Stage that rejected the row."),
        Column(pl.String()),
    ]
    reasons: Annotated[
        list[str],
        Field(min_length=1, description="Rules the row broke."),
        Column(pl.List(pl.String())),
    ]


class CleanedPoint(_Row):
    """A reconstructed point: 10 Hz, x, v and a consistent, no gap shorter than the limit.

    Velocities are central differences of the positions (one-sided at ends of a stretch),
    accelerations second differences, jerk the difference of accelerations. All are null where the
    vehicle is at no neighbouring frame: one position says nothing of motion.
    """

    highway_id: HighwayId
    recording: RecordingKey
    date: RecordingDate
    vehicle_type: VehicleType
    trajectory_id: TrajectoryId
    vehicle_id: VehicleId
    frame: Frame
    timestamp: Timestamp
    x_position: Annotated[
        float,
        Field(description="Reconstructed lateral position."),
        Column(pl.Float64(), "m", _FINE),
    ]
    y_position: Annotated[
        float,
        Field(description="Reconstructed position along the section."),
        Column(pl.Float64(), "m", _FINE),
    ]
    longitude: Annotated[
        float | None,
        Field(ge=-180, le=180, description="WGS84, as delivered (interpolated where imputed)."),
        Column(pl.Float64(), "degree", _DEGREE),
    ]
    latitude: Annotated[
        float | None,
        Field(ge=-90, le=90, description="WGS84, as delivered (interpolated where imputed)."),
        Column(pl.Float64(), "degree", _DEGREE),
    ]
    velocity_x: Annotated[
        float | None,
        Field(description="Reconstructed lateral velocity."),
        Column(pl.Float64(), "m/s", _FINE_SPEED),
    ]
    velocity_y: Annotated[
        float | None,
        Field(description="Reconstructed velocity along the section."),
        Column(pl.Float64(), "m/s", _FINE_SPEED),
    ]
    acceleration_x: Annotated[
        float | None,
        Field(description="Reconstructed lateral acceleration."),
        Column(pl.Float64(), "m/s²", _ACCELERATION),
    ]
    acceleration_y: Annotated[
        float | None,
        Field(description="Reconstructed acceleration along the section."),
        Column(pl.Float64(), "m/s²", _ACCELERATION),
    ]
    speed: Annotated[
        float | None,
        Field(ge=0, description="Length of the reconstructed velocity."),
        Column(pl.Float64(), "m/s", _FINE_SPEED),
    ]
    acceleration: Annotated[
        float | None,
        Field(description="Rate of change of the reconstructed speed."),
        Column(pl.Float64(), "m/s²", _ACCELERATION),
    ]
    jerk: Annotated[
        float | None,
        Field(description="Rate of change of acceleration_y."),
        Column(pl.Float64(), "m/s³", 2.0**-8),
    ]
    state: Annotated[
        Literal["observed", "repaired", "imputed"],
        Field(
            description="Point as seen, seen and corrected (an outlier, or off its leader), or "
            "filled in."
        ),
        Column(pl.String()),
    ]
    x_raw: Annotated[
        float | None,
        Field(description="Validated lateral position, null where imputed."),
        Column(pl.Float64(), "m", _MM),
    ]
    y_raw: Annotated[
        float | None,
        Field(description="Validated position along the section, null where imputed."),
        Column(pl.Float64(), "m", _MM),
    ]
    lane_id: Annotated[
        int | None,
        Field(description="Lane of the plausible sequence of lanes, 1 leftmost."),
        Column(pl.Int32()),
    ]
    lane_raw: Annotated[
        int | None,
        Field(description="Lane as validated, null where imputed."),
        Column(pl.Int32()),
    ]
    length: Annotated[
        float | None,
        Field(gt=0, description="Vehicle length, the median of its points."),
        Column(pl.Float64(), "m", _MM),
    ]
    width: Annotated[
        float | None,
        Field(gt=0, description="Vehicle width, the median of its points."),
        Column(pl.Float64(), "m", _MM),
    ]
    preceding_id: PrecedingId
    following_id: FollowingId
    space_headway: Annotated[
        float | None,
        Field(
            ge=0,
            description="Front to front distance to the vehicle ahead, reconstructed, null none "
            "(nor if the one named is behind).",
        ),
        Column(pl.Float64(), "m", _MM),
    ]
    time_headway: Annotated[
        float | None,
        Field(ge=0, description="Space headway over own speed, null none or standing."),
        Column(pl.Float64(), "s", 2.0**-10),
    ]
    o_zone: OZone
    d_zone: DZone
    int_id: IntId
    section_id: SectionId
    direction: Direction
    movement: Movement
    source_file: Annotated[
        str | None,
        Field(description="File the row came from, null where imputed."),
        Column(pl.String()),
    ]
    source_row: Annotated[
        int | None,
        Field(ge=1, description="Line of the row in that file, null where imputed."),
        Column(pl.Int64()),
    ]


class TrajectorySegment(_Row):
    """One trajectory of one vehicle in one recording, summed up."""

    highway_id: HighwayId
    recording: RecordingKey
    date: RecordingDate
    vehicle_type: VehicleType
    trajectory_id: TrajectoryId
    vehicle_id: Annotated[int, Field(ge=1, description="Vehicle number."), Column(pl.Int32())]
    start_time: Annotated[
        datetime, Field(description="First point, UTC."), Column(pl.Datetime("us", "UTC"))
    ]
    end_time: Annotated[
        datetime, Field(description="Last point, UTC."), Column(pl.Datetime("us", "UTC"))
    ]
    points: Annotated[int, Field(ge=1, description="Points after cleaning."), Column(pl.Int32())]
    points_observed: Annotated[
        int, Field(ge=0, description="Points kept as seen."), Column(pl.Int32())
    ]
    points_repaired: Annotated[
        int, Field(ge=0, description="Points corrected as outliers."), Column(pl.Int32())
    ]
    points_imputed: Annotated[int, Field(ge=0, description="Points filled in."), Column(pl.Int32())]
    gaps_open: Annotated[
        int, Field(ge=0, description="Gaps over the limit, left open."), Column(pl.Int32())
    ]
    completeness: Annotated[
        float,
        Field(ge=0, le=1, description="Seen points over frames from first to last."),
        Column(pl.Float64(), None),
    ]
    total_frames: Annotated[
        int | None,
        Field(description="Frames the source says the vehicle appears in."),
        Column(pl.Int32()),
    ]
    lanes: Annotated[
        list[int],
        Field(description="Lanes in the order they were driven."),
        Column(pl.List(pl.Int32())),
    ]
    lane_changes: Annotated[int, Field(ge=0, description="Changes of lane."), Column(pl.Int32())]
    distance: Annotated[
        float,
        Field(description="Distance along the section between first and last point."),
        Column(pl.Float64(), "m", _MM),
    ]
    speed_mean: Annotated[
        float | None,
        Field(ge=0, description="Mean reconstructed speed."),
        Column(pl.Float64(), "m/s", _SPEED),
    ]
    speed_max: Annotated[
        float | None,
        Field(ge=0, description="Largest reconstructed speed."),
        Column(pl.Float64(), "m/s", _SPEED),
    ]
    length: Annotated[
        float | None, Field(description="Median vehicle length."), Column(pl.Float64(), "m", _MM)
    ]
    width: Annotated[
        float | None, Field(description="Median vehicle width."), Column(pl.Float64(), "m", _MM)
    ]
    metadata: Annotated[
        str,
        Field(description="JSON: method and parameters of the reconstruction, residual RMS."),
        Column(pl.String()),
    ]


class TrafficState(_Row):
    """Flow, density and speed of one lane in one cell of time and space (Edie 1963).

    q = sum of distances / area, k = sum of times / area, v = q / k, and the area is that part of
    duration x length which was observed. Distance is movement in the direction of travel, so that
    noise of standing vehicles is no traffic.
    """

    highway_id: HighwayId
    recording: RecordingKey
    date: RecordingDate
    lane_id: Annotated[
        int | None, Field(description="Lane, null where the source has none."), Column(pl.Int32())
    ]
    direction: Annotated[
        int | None,
        Field(description="1 east 2 north 3 west 4 south (arterials), null on freeways."),
        Column(pl.Int32()),
    ]
    time_start: Annotated[
        datetime, Field(description="Start of the cell, UTC."), Column(pl.Datetime("us", "UTC"))
    ]
    duration: Annotated[
        float, Field(gt=0, description="Length of the cell in time."), Column(pl.Float64(), "s")
    ]
    y_start: Annotated[
        float, Field(description="Start of the cell along the section."), Column(pl.Float64(), "m")
    ]
    cell_length: Annotated[
        float, Field(gt=0, description="Length of the cell in space."), Column(pl.Float64(), "m")
    ]
    observed_share: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="Part of the cell within the time and section observed, under 1 at their "
            "ends.",
        ),
        Column(pl.Float64(), None, 2.0**-20),
    ]
    distance_travelled: Annotated[
        float,
        Field(
            description="In the direction of travel, summed over all vehicles in the cell; what "
            "they move against it is taken off."
        ),
        Column(pl.Float64(), "m", 2.0**-10),
    ]
    time_spent: Annotated[
        float,
        Field(ge=0, description="Summed over all vehicles in the cell."),
        Column(pl.Float64(), "s", 2.0**-10),
    ]
    vehicles: Annotated[
        int, Field(ge=0, description="Distinct vehicles seen in the cell."), Column(pl.Int32())
    ]
    flow: Annotated[
        float,
        Field(description="Edie flow per lane, in the part observed."),
        Column(pl.Float64(), "veh/h", 2.0**-10),
    ]
    density: Annotated[
        float,
        Field(ge=0, description="Edie density per lane, in the part observed."),
        Column(pl.Float64(), "veh/km", 2.0**-10),
    ]
    speed: Annotated[
        float | None,
        Field(description="Edie speed, null in an empty cell."),
        Column(pl.Float64(), "m/s", _SPEED),
    ]


class QualityMetric(_Row):
    """One measured figure about one recording at one stage, with what it means."""

    highway_id: HighwayId
    recording: RecordingKey
    date: RecordingDate
    metric: Annotated[str, Field(description="Name of the metric."), Column(pl.String())]
    stage: Annotated[
        Literal["raw", "validated", "cleaned"],
        Field(description="Rows it was measured on."),
        Column(pl.String()),
    ]
    value: Annotated[
        float | None, Field(description="Value, null where undefined."), Column(pl.Float64())
    ]
    unit: Annotated[str, Field(description="Unit of the value."), Column(pl.String())]
    definition: Annotated[
        str, Field(description="Exactly how it is computed."), Column(pl.String())
    ]
    source: Annotated[
        str,
        Field(description="Whose definition that is, and whose limit where one holds."),
        Column(pl.String()),
    ]
    threshold: Annotated[
        float | None,
        Field(description="Limit the value is held against, null none."),
        Column(pl.Float64()),
    ]
    passed: Annotated[
        bool | None,
        Field(description="Whether it keeps the limit, null without one."),
        Column(pl.Boolean()),
    ]


class CorpusRecording(_Row):
    """One recording beside all others: what the corpus holds and how good it is."""

    highway_id: HighwayId
    recording: RecordingKey
    date: RecordingDate
    rows_raw: Annotated[int, Field(ge=0, description="Rows delivered."), Column(pl.Int64())]
    rows_validated: Annotated[int, Field(ge=0, description="Rows that passed."), Column(pl.Int64())]
    rows_quarantined: Annotated[
        int, Field(ge=0, description="Rows that failed."), Column(pl.Int64())
    ]
    points_cleaned: Annotated[
        int, Field(ge=0, description="Reconstructed points."), Column(pl.Int64())
    ]
    trajectories: Annotated[int, Field(ge=0, description="Vehicles."), Column(pl.Int64())]
    metrics_failed: Annotated[
        int, Field(ge=0, description="Quality metrics outside their limits."), Column(pl.Int64())
    ]
    score: Annotated[
        float | None,
        Field(
            ge=0,
            le=100,
            description="Points of the cleaned trajectories, null with too little measured.",
        ),
        Column(pl.Float64(), "points"),
    ]


_PARTITION = ("date", "highway_id", "recording")
_BY_TYPE = ("date", "highway_id", "vehicle_type", "recording")
_IDENTITY = ("highway_id", "recording")
_BUILD = "ngsim build '{highway_id}|{recording}' --force"

RAW_TRAJECTORIES = Table(
    "raw_trajectories",
    RawTrajectory,
    _PARTITION,
    _IDENTITY,
    ("vehicle_id", "frame_id"),
    rebuilt_by=_BUILD,
)
VALIDATED_POINTS = Table(
    "validated_points",
    TrajectoryPoint,
    _BY_TYPE,
    _IDENTITY,
    ("vehicle_id", "frame"),
    rebuilt_by=_BUILD,
)
QUARANTINE = Table(
    "quarantine",
    QuarantinedRow,
    (*_PARTITION, "stage"),
    (*_IDENTITY, "stage"),
    ("source_file", "source_row"),
    rebuilt_by=f"{_BUILD}, or of stage intake: ngsim ingest",
)
CLEANED_TRAJECTORIES = Table(
    "cleaned_trajectories",
    CleanedPoint,
    _BY_TYPE,
    _IDENTITY,
    ("vehicle_id", "frame"),
    rebuilt_by=_BUILD,
)
TRAJECTORY_SEGMENTS = Table(
    "trajectory_segments",
    TrajectorySegment,
    _BY_TYPE,
    _IDENTITY,
    ("vehicle_id",),
    rebuilt_by=_BUILD,
)
TRAFFIC_STATE = Table(
    "traffic_state",
    TrafficState,
    _PARTITION,
    _IDENTITY,
    ("lane_id", "direction", "time_start", "y_start"),
    rebuilt_by=_BUILD,
)
QUALITY_METRICS = Table(
    "quality_metrics",
    QualityMetric,
    _PARTITION,
    _IDENTITY,
    ("stage", "metric"),
    rebuilt_by=_BUILD,
)
CORPUS_SUMMARY = Table(
    "corpus_summary",
    CorpusRecording,
    (),
    (),
    ("highway_id", "recording"),
    rebuilt_by="ngsim build --force",
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        RAW_TRAJECTORIES,
        VALIDATED_POINTS,
        QUARANTINE,
        CLEANED_TRAJECTORIES,
        TRAJECTORY_SEGMENTS,
        TRAFFIC_STATE,
        QUALITY_METRICS,
        CORPUS_SUMMARY,
    )
}
