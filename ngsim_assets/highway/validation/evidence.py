"""What several rows together say of each row, gathered from the kernels for the rules to judge.

Belongs here: from columns to arrays, through the kernels in their order, and back to columns.
Does not belong here: the kernels, the rules.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from ngsim_assets.highway.arrays import floats, integers
from ngsim_assets.highway.formats import si_columns
from ngsim_assets.highway.sites import Site
from ngsim_assets.highway.validation import tracks
from ngsim_assets.highway.validation.continuity import (
    NOBODY,
    for_a_moment,
    goes_on,
    headway_jumps,
    headways_differ,
)
from ngsim_assets.highway.validation.key_faults import key_faults
from ngsim_assets.highway.validation.leaders import (
    NEIGHBOURS,
    Context,
    Named,
    Own,
    leader_evidence,
    unreciprocated_followers,
)
from ngsim_assets.highway.validation.line_order import out_of_order
from ngsim_assets.highway.validation.map_faults import map_faults
from ngsim_assets.highway.validation.parameters import ValidationParameters
from ngsim_assets.highway.validation.points import (
    ASSUMED_CLASS,
    LANE_NOT_TOLD,
    VEHICLE_TYPE,
    row_key,
)
from ngsim_assets.highway.validation.position_faults import position_faults

Integers = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

# Kinds of lane whose numbers count them from the left, so that n and n + 1 lie side by side.
_SIDE_BY_SIDE = ("mainline", "auxiliary", "through")

_NO_KEY = -(2**31)


class Evidence(NamedTuple):
    """Attributes:
    columns: one row per judged row, for the rules of `rules_across_rows.across_rules`.
    computed: columns of TrajectoryPoint that take several rows.
    """

    columns: pl.DataFrame
    computed: list[pl.Series]


def gather(
    rows: pl.DataFrame,
    points: pl.DataFrame,
    site: Site,
    parameters: ValidationParameters,
    sound: Mask,
    on_grid: Mask,
    context: Context | None,
) -> Evidence:
    """Evidence on every row of `rows`.

    A row is believed if it is sound by itself, the one of its key, and where its track says;
    only believed rows are evidence of anything.

    Args:
        rows: physical raw rows in order. points: the same in SI.
        sound: rows that keep all rules of their own. on_grid: those with a trusted clock.
        context: of the whole recording; None where that is `rows`.
    """
    vehicle, frame = (integers(points[name], _NO_KEY) for name in ("vehicle_id", "frame"))
    x, y, speed = (floats(points[name]) for name in ("x_position", "y_position", "speed"))
    of_key = key_faults(rows, vehicle, frame, x, y, sound)
    usable = sound & (of_key == 0)
    limits = parameters.position_limits(site)
    of_position = position_faults(vehicle, frame, x, y, speed, usable, limits)
    believed = usable & (of_position == 0)

    clip = site.limits.clipped_acceleration
    motion = tracks.differences(
        vehicle,
        frame,
        tracks.Motion(x, y, speed, floats(points["acceleration"])),
        np.inf if clip is None else clip,
        believed,
    )
    lane = integers(points["lane_id"], tracks.UNKNOWN)
    # A row whose clock is off leaves no gap: its frame was delivered.
    keyed = (vehicle != _NO_KEY) & (frame != _NO_KEY)
    missing, seen = tracks.coverage(vehicle, frame, keyed)
    classes = integers(rows["v_class"], tracks.UNKNOWN)
    usual_class = tracks.usual(vehicle, classes, believed)
    leader, follower = (
        _named(rows[name], vehicle, frame, believed) for name in ("preceding", "following")
    )
    if context is None:
        told = points.with_columns(rows[name] for name in ("preceding", "following"))
        context = Context.of(_context(told, leader, follower, believed, keyed & (of_key == 0)))
    own = Own(vehicle, frame, lane, y)
    leaders = leader_evidence(own, leader, context, two_way=site.arterial)
    headway = floats(points["space_headway"])
    lone = leader.usual != NOBODY
    columns = pl.DataFrame(
        {
            "key_fault": of_key,
            "position_fault": of_position,
            "lane_fault": tracks.lane_faults(vehicle, frame, lane, _side_by_side(site), believed),
            "speed_excess": motion.speed_excess,
            "speed_bias": motion.speed_bias,
            "acceleration_excess": motion.acceleration_excess,
            "class_differs": believed & (classes != usual_class) & (classes != tracks.UNKNOWN),
            "length_differs": _differs(rows["v_length"], vehicle, believed),
            "width_differs": _differs(rows["v_width"], vehicle, believed),
            "frames_missing": np.where(on_grid, missing, 0),
            "frames_seen": pl.Series(seen).replace(tracks.UNKNOWN, None),
            "leader_gap": leaders.gap,
            "spacing": leaders.spacing,
            "displaced_on_map": map_faults(
                vehicle,
                frame,
                x,
                y,
                floats(points["longitude"]),
                floats(points["latitude"]),
                believed,
                parameters.offset_limits(site),
            ),
            "line_out_of_order": out_of_order(
                vehicle,
                rows["source_row"].cast(pl.Int64).to_numpy(),
                _from_another_file(rows["source_file"]),
                keyed & (of_key == 0),
                parameters.disorder,
            ),
            "headways_differ": headways_differ(
                headway, floats(points["time_headway"]), speed, believed
            ),
            "headway_apart": headway_jumps(
                vehicle, frame, leader.vehicle, headway, believed, parameters.headway_jump
            ),
            "leader_lone": goes_on(
                vehicle, frame, headway, lone, believed, parameters.headway_jump
            ),
            "unreciprocated": leaders.unreciprocated,
            "follower_unreciprocated": unreciprocated_followers(own, follower, context),
            "leader_away": leaders.away,
        }
    )
    motions = ("velocity_x", "velocity_y", "acceleration_x", "acceleration_y")
    computed = [pl.Series(name, getattr(motion, name), nan_to_null=True) for name in motions]
    return Evidence(columns, [*computed, _vehicle_type(usual_class)])


NEIGHBOURLY = ("vehicle_id", "frame_id", "local_x", "local_y", "v_vel", "v_length", "lane_id",
               "preceding", "following", "total_frames")  # fmt: skip
"""The raw columns that make NEIGHBOURS."""


def gather_neighbours(
    rows: pl.DataFrame, site: Site, parameters: ValidationParameters
) -> pl.DataFrame:
    """NEIGHBOURS of whole vehicles from physical NEIGHBOURLY columns, by the rules of positions."""
    keyed = pl.col("vehicle_id").is_not_null() & pl.col("frame_id").is_not_null()
    rows = rows.select(NEIGHBOURLY).filter(keyed)
    key = row_key(rows)
    if (np.diff(key) < 0).any():
        rows = rows.sort("vehicle_id", "frame_id", maintain_order=True)
        key = row_key(rows)
    # Of rows with one key the last delivered; which one is right is settled row by row elsewhere.
    alone = np.append(key[1:] != key[:-1], np.ones(min(1, key.size), np.bool_))
    si = si_columns(rows, site)
    on_site = si["y_position"].is_between(site.y.low, site.y.high) & si["x_position"].is_between(
        site.x.low, site.x.high
    )
    sound = on_site.fill_null(value=False).to_numpy() & alone
    narrow = rows.select(
        "vehicle_id",
        pl.col("frame_id").alias("frame"),
        *(si[name].cast(pl.Float32) for name in ("x_position", "y_position", "speed", "length")),
        pl.when(~pl.col("lane_id").is_in(LANE_NOT_TOLD)).then(pl.col("lane_id")),
        "preceding",
        "following",
        "total_frames",
    )
    vehicle, frame = (integers(narrow[name], _NO_KEY) for name in ("vehicle_id", "frame"))
    x, y, speed = (floats(narrow[name]) for name in ("x_position", "y_position", "speed"))
    limits = parameters.position_limits(site)
    faults = position_faults(vehicle, frame, x, y, speed, sound, limits)
    believed = sound & (faults == 0)
    leader, follower = (
        _named(narrow[name], vehicle, frame, believed) for name in ("preceding", "following")
    )
    return _context(narrow, leader, follower, believed, alone)


def _named(told: pl.Series, vehicle: Integers, frame: Integers, believed: Mask) -> Named:
    """Whom believed rows name."""
    named = np.where(believed, integers(told, NOBODY), np.int32(NOBODY))
    return Named(named, for_a_moment(vehicle, frame, named))


def _context(
    points: pl.DataFrame, leader: Named, follower: Named, believed: Mask, listed: Mask
) -> pl.DataFrame:
    """NEIGHBOURS: the listed rows, what they tell only where they are believed.

    Of its length each vehicle tells the usual one, so that an odd row does not touch others.
    """
    always = ("vehicle_id", "frame", "total_frames")
    millimetres = integers((points["length"] * 1000).round(), tracks.UNKNOWN)
    vehicle = integers(points["vehicle_id"], _NO_KEY)
    usual = pl.Series(tracks.usual(vehicle, millimetres, believed)).replace(tracks.UNKNOWN, None)
    lasting = {
        "preceding": pl.Series(believed & (leader.usual == NOBODY)),
        "following": pl.Series(believed & (follower.usual == NOBODY)),
    }
    trusted = pl.Series(believed)
    return (
        points.with_columns((usual / 1000).alias("length"))
        .select(
            (
                pl.col(name)
                if name in always
                else pl.when(lasting.get(name, trusted)).then(pl.col(name))
            )
            .cast(dtype)
            .alias(name)
            for name, dtype in NEIGHBOURS.items()
        )
        .filter(listed)
    )


def _from_another_file(file: pl.Series) -> Mask:
    """Rows of another file than the row before."""
    if file.is_empty() or (file == file.item(0)).all():  # much cheaper, and mostly so
        return np.zeros(file.len(), np.bool_)
    return file.ne_missing(file.shift()).to_numpy()


def _side_by_side(site: Site) -> Mask:
    through = np.zeros(max(site.lanes) + 1, np.bool_)
    for lane, kind in site.lanes.items():
        through[lane] = kind.startswith(_SIDE_BY_SIDE)
    return through


def _differs(size: pl.Series, vehicle: Integers, believed: Mask) -> Mask:
    """Whether a delivered size, exact as delivered, is not the usual one of its track."""
    hundredths = integers(size, tracks.UNKNOWN)
    usual = tracks.usual(vehicle, hundredths, believed)
    return believed & (hundredths != usual) & (hundredths != tracks.UNKNOWN)


def _vehicle_type(usual_class: Integers) -> pl.Series:
    known = np.where(usual_class == tracks.UNKNOWN, ASSUMED_CLASS, usual_class)
    return pl.Series("vehicle_type", (known - 1).astype(np.uint8)).cat.to(VEHICLE_TYPE)
