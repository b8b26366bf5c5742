"""Who drives on a simulated freeway, when they enter, and how the bottleneck ahead breathes.

Belongs here: geometry of the simulated sections, the population of drivers and vehicles,
inflow, and the time-varying limit downstream that sends stop-and-go waves through the section.
Does not belong here: motion (car_following.py) or measurement (error_model.py). SI units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ngsim_assets.highway.simulation.freeway import Drivers, Road

# FHWA site summary US-101 (doi:10.21949/1504477): 640 m, five mainline lanes, an auxiliary lane
# over 698 ft between the on-ramp at Ventura Boulevard, 578 ft into the section, and the off-ramp
# at Cahuenga Boulevard. I-80: six lanes, the left one for carpools, on-ramp at Powell Street.
# Lanes are 12 ft wide on both.
ROADS: dict[str, Road] = {
    "us-101": Road(
        mainline=5,
        lane_width=3.66,
        entry=-450.0,
        exit_end=1150.0,
        length=650.0,
        ramp_entry=-60.0,
        merge_start=176.0,
        merge_end=389.0,
        off_ramp=True,
        ramp_seen_from=135.0,
        ramp_seen_to=450.0,
        ramp_slope=0.04,
        ramp_lane=7,
        auxiliary_lane=6,
        off_ramp_lane=8,
        carpool=False,
        bottleneck=760.0,
    ),
    "i-80": Road(
        mainline=6,
        lane_width=3.66,
        entry=-450.0,
        exit_end=1000.0,
        length=505.0,
        ramp_entry=-140.0,
        merge_start=60.0,
        merge_end=230.0,
        off_ramp=False,
        ramp_seen_from=20.0,
        ramp_seen_to=230.0,
        ramp_slope=0.04,
        ramp_lane=7,
        auxiliary_lane=7,
        off_ramp_lane=7,
        carpool=True,
        bottleneck=620.0,
    ),
}


@dataclass(frozen=True, slots=True)
class Level:
    """How much traffic wants in and how badly it flows ahead.

    Attributes:
        demand: mainline vehicles per hour and lane that want in. on_ramp: vehicles per hour.
        exits: share of mainline vehicles bound for the off-ramp.
        start: m/s at which the road is filled before the warm-up.
        limit: m/s the bottleneck allows between its bad moments.
        dip: m/s it allows during one. dip_every, dip_lasts: seconds, means.
    """

    demand: float
    on_ramp: float
    exits: float
    start: float
    limit: float
    dip: float
    dip_every: float
    dip_lasts: float


# Calibrated so that 15 minutes carry the published totals, 1.2-1.75 million rows of 1,800-2,200
# vehicles, with waves at -12 to -16 km/h (FlowState on us-101: -14.6).
LEVELS: dict[str, dict[str, Level]] = {
    "us-101": {
        "free": Level(1250.0, 450.0, 0.07, 21.0, 40.0, 40.0, 1e9, 1.0),
        "moderate": Level(1470.0, 550.0, 0.07, 12.0, 27.0, 5.0, 105.0, 12.0),
        "congested": Level(1520.0, 550.0, 0.07, 10.0, 24.0, 3.5, 95.0, 14.0),
    },
    "i-80": {
        "free": Level(1150.0, 350.0, 0.0, 21.0, 40.0, 40.0, 1e9, 1.0),
        "moderate": Level(1350.0, 450.0, 0.0, 10.0, 22.0, 3.6, 78.0, 13.0),
        "congested": Level(1530.0, 450.0, 0.0, 9.0, 20.0, 2.8, 80.0, 16.0),
    },
}


def bottleneck_limits(
    level: Level, slots: int, seconds: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Speed (m/s) the bottleneck allows, shape (seconds, slots).

    Dips hit all lanes, each a little later or earlier and more or less deeply.
    """
    limits = np.full((seconds, slots), float(level.limit))
    limits *= 1.0 + 0.06 * rng.standard_normal(slots)
    time = level.dip_every * rng.uniform(0.0, 0.5)
    while time < seconds:
        lasts = level.dip_lasts * rng.uniform(0.6, 1.6)
        depth = level.dip * rng.uniform(0.6, 1.4, slots)
        start = time + rng.uniform(0.0, 5.0, slots)
        for slot in range(slots):
            first = int(start[slot])
            limits[first : first + int(lasts), slot] = depth[slot]
        time += lasts + level.dip_every * rng.uniform(0.6, 1.4)
    return limits


def _entry_times(
    rate: float, platoon_gap: float, seconds: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Arrivals at `rate` per hour: shifted exponential headways (Cowan 1975, M2)."""
    mean = 3600.0 / rate
    count = int(seconds / mean * 1.3) + 20
    headways = platoon_gap + rng.exponential(max(mean - platoon_gap, 0.05), count)
    times = np.cumsum(headways)
    return times[times < seconds]


def draw_drivers(
    road: Road, level: Level, seconds: float, length_grid: float, rng: np.random.Generator
) -> Drivers:
    """Drivers of all slots in order of slot and entry time.

    IDM parameters scatter around those of Treiber, Hennecke, Helbing (2000), with the time gap
    and acceleration of later calibrations on US freeways; both classes of vehicle sizes and
    their shares follow the NGSIM data (about 97 % autos, 2-3 % trucks, 1-2 % motorcycles).
    `length_grid` (m) is the grid on which the delivered sizes lie.
    """
    times: list[NDArray[np.float64]] = []
    bounds = np.zeros((road.mainline + 1, 2), np.int64)
    for slot in range(road.mainline + 1):
        rate = level.demand * (0.55 if road.carpool and slot == 0 else 1.0)
        if slot == road.mainline:
            arrivals = _entry_times(level.on_ramp, 1.8, seconds, rng)
        else:
            arrivals = _entry_times(rate, 1.2, seconds, rng)
        bounds[slot, 0] = bounds[slot - 1, 1] if slot else 0
        bounds[slot, 1] = bounds[slot, 0] + len(arrivals)
        times.append(arrivals)
    entry_time = np.concatenate(times)
    count = len(entry_time)
    slot_of = np.repeat(np.arange(road.mainline + 1), bounds[:, 1] - bounds[:, 0])

    pick = rng.random(count)
    # trucks keep right: none in the two leftmost lanes, so their share elsewhere is higher
    truck_share = np.where(slot_of >= 2, 0.042, 0.0)
    truck = pick < truck_share
    motorcycle = pick > 1.0 - 0.012
    length = np.clip(rng.normal(4.75, 0.65, count), 3.4, 7.0)
    length = np.where(truck, rng.choice([8.5, 10.0, 12.0, 15.5, 18.5], count), length)
    length = np.where(motorcycle, rng.uniform(1.9, 2.5, count), length)
    width = np.clip(rng.normal(1.95, 0.15, count), 1.55, 2.3)
    width = np.where(truck, rng.uniform(2.3, 2.6, count), width)
    width = np.where(motorcycle, rng.uniform(0.7, 0.95, count), width)

    mainline = slot_of < road.mainline
    exits = mainline & (slot_of >= road.mainline - 3) & road.off_ramp
    exits &= rng.random(count) < level.exits * road.mainline / 3.0
    speed = np.clip(rng.normal(29.0, 2.2, count) - 0.5 * slot_of, 22.0, 35.0)
    wander = np.column_stack(
        [rng.uniform(0.05, 0.2, count), *(rng.uniform(0.0, 2.0 * np.pi, count) for _ in range(3))]
    )
    return Drivers(
        desired_speed=np.where(truck, np.minimum(speed, 25.0), speed),
        time_gap=np.clip(rng.normal(1.45, 0.25, count), 0.9, 2.4) + 0.3 * truck,
        jam_gap=np.clip(rng.normal(2.0, 0.3, count), 1.0, 3.0),
        max_acceleration=np.clip(rng.normal(1.25, 0.2, count), 0.8, 1.9) - 0.4 * truck,
        comfortable_braking=np.clip(rng.normal(1.8, 0.25, count), 1.2, 2.6),
        politeness=rng.uniform(0.0, 0.3, count),
        length=np.round(length / length_grid) * length_grid,
        width=np.round(width / length_grid) * length_grid,
        heavy=truck,
        exits=exits,
        carpool=(slot_of == 0) | (rng.random(count) < 0.12),
        change_duration=rng.uniform(3.5, 6.0, count),
        entry_time=entry_time,
        entry_speed=np.where(mainline, np.minimum(speed, 1.3 * level.start), 14.0),
        queue=bounds,
        wander=wander,
    )
