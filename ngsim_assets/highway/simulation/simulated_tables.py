"""Tables of a simulated recording: the traffic as arrays, its truth, its delivered rows.

Belongs here: running the kernel and bringing its rows into tables. Does not belong here: what can
be asked for (simulate.py), motion (car_following.py), measurement errors (error_model.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from ngsim_assets.highway.formats import FOOT, RAW_PHYSICAL, physical_from_si
from ngsim_assets.highway.simulation import freeway, traffic_demand
from ngsim_assets.highway.simulation.car_following import advance
from ngsim_assets.highway.simulation.error_model import Observation
from ngsim_assets.highway.sites import Site

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

_WARM_UP = 150  # s, until waves have run through a road filled at equilibrium
_FILLED = 300  # s of arrivals that stand on the road at the beginning, and some
_BLOCK = 600  # steps per call of the kernel
_BLOCK_ROWS = 200_000
_STANDING = 999_999  # 9999.99 s, what Time_Headway is for a vehicle that stands


@dataclass(frozen=True, slots=True)
class Traffic:
    """Rows sorted by vehicle and frame, as columns; `leader` and `follower` are row numbers."""

    starts: I64
    frame: I32
    vehicle: I32
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    speed: NDArray[np.float64]
    acceleration: NDArray[np.float64]
    lane: I32
    leader: I64
    follower: I64
    length: NDArray[np.float64]
    width: NDArray[np.float64]
    v_class: I32


# Both sites deliver lengths on a grid: half feet at US-101, tenths at I-80 (read off the excerpt).
_LENGTH_GRID = {"us-101": 0.5 * FOOT, "i-80": 0.1 * FOOT}


def drive(highway_id: str, congestion: str, frames: int, seed: int) -> Traffic:
    """Run the traffic and sort its rows by vehicle; frames of one vehicle are consecutive."""
    road = traffic_demand.ROADS[highway_id]
    level = traffic_demand.LEVELS[highway_id][congestion]
    steps = _WARM_UP * 10 + frames
    seconds = steps // 10 + 2
    rng = np.random.default_rng([seed, 0])
    drivers = traffic_demand.draw_drivers(
        road, level, seconds + _FILLED, _LENGTH_GRID[highway_id], rng
    )
    limits = traffic_demand.bottleneck_limits(level, road.mainline + 1, seconds, rng)
    state = freeway.new_state(drivers)
    freeway.fill(road, drivers, state, level.start)
    blocks: list[dict[str, NDArray[Any]]] = []
    out = freeway.new_records(_BLOCK_ROWS)
    step = done = 0
    while step < steps:
        step, rows = advance(
            step, min(step + _BLOCK, steps), _WARM_UP * 10, limits, road, drivers, state, out
        )
        block = {name: column[:rows].copy() for name, column in out._asdict().items()}
        for pointer in ("leader_row", "follower_row"):
            block[pointer][block[pointer] >= 0] += done
        blocks.append(block)
        done += rows

    def column(name: str) -> NDArray[Any]:
        # one column of all blocks at a time, so that memory holds the rows little more than once
        return np.concatenate([block.pop(name) for block in blocks])

    vehicle = column("vehicle")
    order, place, starts = _by_vehicle(vehicle, int(state.counts[1]))
    driver = column("driver")[order]
    leader, follower = column("leader_row")[order], column("follower_row")[order]
    v_class = np.where(drivers.heavy, 3, np.where(drivers.width < 1.2, 1, 2)).astype(np.int32)
    return Traffic(
        starts=starts,
        frame=column("frame")[order],
        vehicle=vehicle[order],
        x=column("x")[order],
        y=column("y")[order],
        speed=column("speed")[order],
        acceleration=column("acceleration")[order],
        lane=column("lane")[order],
        leader=np.where(leader >= 0, place[leader], -1),
        follower=np.where(follower >= 0, place[follower], -1),
        length=drivers.length[driver],
        width=drivers.width[driver],
        v_class=v_class[driver],
    )


@njit(cache=True, nogil=True)
def _by_vehicle(vehicle: I32, vehicles: int) -> tuple[I64, I64, I64]:
    """Stable counting sort by id 1..vehicles: order, its inverse, first row of each vehicle."""
    starts = np.zeros(vehicles + 1, np.int64)
    for v in vehicle:
        starts[v] += 1
    for v in range(vehicles):
        starts[v + 1] += starts[v]
    order = np.empty(len(vehicle), np.int64)
    place = np.empty(len(vehicle), np.int64)
    free = starts[:-1].copy()
    for row in range(len(vehicle)):
        v = vehicle[row] - 1
        order[free[v]] = row
        place[row] = free[v]
        free[v] += 1
    return order, place, starts


def _ids(vehicle: I32, row: I64) -> I32:
    """Vehicle ids of the rows pointed at, 0 for none."""
    return np.where(row >= 0, vehicle[row], 0).astype(np.int32)


def truth_of(traffic: Traffic) -> pl.DataFrame:
    space = np.where(traffic.leader >= 0, traffic.y[traffic.leader] - traffic.y, np.nan)
    return pl.DataFrame(
        {
            "vehicle_id": traffic.vehicle,
            "frame_id": traffic.frame,
            "x_position": traffic.x,
            "y_position": traffic.y,
            "speed": traffic.speed,
            "acceleration": traffic.acceleration,
            "lane_id": traffic.lane,
            "preceding_id": _ids(traffic.vehicle, traffic.leader),
            "following_id": _ids(traffic.vehicle, traffic.follower),
            "space_headway": space,
            "length": traffic.length,
            "width": traffic.width,
            "v_class": traffic.v_class,
        }
    ).with_columns(
        pl.col("preceding_id", "following_id").replace(0, None),
        pl.col("space_headway").fill_nan(None),
        pl.when(pl.col("speed") > 0.0)
        .then(pl.col("space_headway").fill_nan(None) / pl.col("speed"))
        .alias("time_headway"),
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where on earth the section lies: straight, in the site's state-plane zone.

    Attributes: easting, northing: metres, of the local origin. heading: radians from north,
    clockwise, of the direction of travel.
    """

    easting: float
    northing: float
    heading: float


# Rigid motions fitted by least squares on delivered rows (us-101: 6,782 rows, residual 5.3 m,
# i-80: 3,814 rows, 1.1 m; the roads bend a little, the simulated ones do not).
_PLACES = {
    "us-101": _Place(1_966_295.14, 571_007.67, 2.295087),
    "i-80": _Place(1_841_861.55, 650_160.69, -0.141878),
}


def recording_of(
    traffic: Traffic, observed: Observation, site: Site, frame_origin: int
) -> pl.DataFrame:
    """Delivered rows: observed kinematics in source units, headways from delivered positions."""
    place = _PLACES[site.highway_id]
    sine, cosine = math.sin(place.heading), math.cos(place.heading)
    si = pl.DataFrame(
        {
            "x_position": observed.x,
            "y_position": observed.y,
            "easting": place.easting + observed.x * cosine + observed.y * sine,
            "northing": place.northing - observed.x * sine + observed.y * cosine,
            "length": traffic.length,
            "width": traffic.width,
            "speed": observed.speed,
            "acceleration": observed.acceleration,
        }
    )
    measured = si.select(**physical_from_si())
    space, time = headways(
        traffic.leader, measured["local_y"].to_numpy(), measured["v_vel"].to_numpy()
    )
    total = np.diff(traffic.starts).astype(np.int32)
    values: dict[str, NDArray[Any]] = {
        "vehicle_id": traffic.vehicle,
        "frame_id": traffic.frame,
        "total_frames": np.repeat(total, total),
        "global_time": frame_origin + site.clock.frame_ms * traffic.frame.astype(np.int64),
        "v_class": traffic.v_class,
        "lane_id": traffic.lane,
        "preceding": _ids(traffic.vehicle, traffic.leader),
        "following": _ids(traffic.vehicle, traffic.follower),
        "space_headway": space,
        "time_headway": time,
    }
    absent = [name for name in RAW_PHYSICAL if name not in values and name not in measured.columns]
    return (
        pl.DataFrame({name: pl.Series(name, column) for name, column in values.items()})
        .hstack(measured)
        .with_columns(
            pl.lit(site.highway_id if name == "location" else None)
            .cast(RAW_PHYSICAL[name])
            .alias(name)
            for name in absent
        )
        .select(pl.col(name).cast(dtype) for name, dtype in RAW_PHYSICAL.items())
    )


@njit(cache=True, nogil=True)
def headways(leader: I64, local_y: I32, v_vel: I32) -> tuple[I32, I32]:
    """Delivered Space_Headway and Time_Headway, in hundredths, from unscaled delivered columns.

    `leader` is the row of the vehicle ahead, -1 for none: both headways are 0 then. Space is
    front to front; time is space over the vehicle's own speed, 9999.99 where it stands.
    """
    space = np.zeros(len(leader), np.int32)
    time = np.zeros(len(leader), np.int32)
    for row in range(len(leader)):
        ahead = leader[row]
        if ahead < 0:
            continue
        # thousandths of a foot to hundredths, half up
        space[row] = (local_y[ahead] - local_y[row] + 5) // 10
        if v_vel[row] <= 0:
            time[row] = _STANDING
        else:
            time[row] = min(_STANDING, round(space[row] * 100.0 / v_vel[row]))
    return space, time
