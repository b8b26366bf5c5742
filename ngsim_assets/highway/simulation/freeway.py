"""What traffic on a freeway section is made of: the road, the drivers, their state, its record.

Belongs here: the tuples of arrays the kernel works on, and an empty or a filled road to begin with.
Does not belong here: motion (car_following.py), figures (traffic_demand.py). SI units.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


class Road(NamedTuple):
    """A freeway section and its surroundings. Positions in metres along the section.

    Attributes:
        mainline: number of mainline slots M.
        lane_width: metres.
        entry, exit_end: where mainline vehicles appear and disappear, outside the section.
        length: end of the observed section, which begins at 0.
        ramp_entry: where on-ramp vehicles appear.
        merge_start, merge_end: between them slot M and slot M-1 are joined.
        off_ramp: whether slot M goes on as an off-ramp after `merge_end`.
        ramp_seen_from, ramp_seen_to: observed stretch of the ramps.
        ramp_slope: lateral metres per metre by which the ramps part from the mainline.
        ramp_lane, auxiliary_lane, off_ramp_lane: delivered lane ids of slot M.
        carpool: whether slot 0 is reserved to drivers with `carpool`.
        bottleneck: where the speed limit of `bottleneck_speed` begins to act.
    """

    mainline: int
    lane_width: float
    entry: float
    exit_end: float
    length: float
    ramp_entry: float
    merge_start: float
    merge_end: float
    off_ramp: bool
    ramp_seen_from: float
    ramp_seen_to: float
    ramp_slope: float
    ramp_lane: int
    auxiliary_lane: int
    off_ramp_lane: int
    carpool: bool
    bottleneck: float


class Drivers(NamedTuple):
    """Every vehicle that may enter, grouped by entry slot in order of entry time.

    Attributes:
        desired_speed (m/s), time_gap (s), jam_gap (m), max_acceleration, comfortable_braking
        (m/s²): IDM's v0, T, s0, a, b. politeness: MOBIL's p. length, width: metres.
        heavy, exits, carpool: kept out of the left lanes; leaves by the off-ramp; may use the
        carpool lane. change_duration: s. entry_time: s. entry_speed: m/s, at most.
        queue: first and one-past-last vehicle of each slot, shape (M+1, 2).
        wander: amplitude (m) and phases of the slow drift within the lane, and phases of the
        unsteady foot, shape (vehicles, 4).
    """

    desired_speed: F64
    time_gap: F64
    jam_gap: F64
    max_acceleration: F64
    comfortable_braking: F64
    politeness: F64
    length: F64
    width: F64
    heavy: NDArray[np.bool_]
    exits: NDArray[np.bool_]
    carpool: NDArray[np.bool_]
    change_duration: F64
    entry_time: F64
    entry_speed: F64
    queue: I64
    wander: F64


class State(NamedTuple):
    """Where everybody is; changed in place by `advance`, so a run can be cut into blocks.

    `order[:counts[0]]` are the vehicles on the road from the farthest to the last; `counts[1]`
    is the number of vehicles that ever got an id. `numbers` are delivered ids, 0 before the
    vehicle is first seen.
    """

    position: F64
    speed: F64
    acceleration: F64
    slot: I32
    left_slot: I32
    progress: F64
    rested_at: F64
    next_in_queue: I64
    order: I64
    counts: I64
    numbers: I32


class Records(NamedTuple):
    """Rows of the observed section, in order of frame, then from the farthest to the last.

    `leader_row`, `follower_row` point at rows of the same block, -1 for none.
    """

    frame: I32
    vehicle: I32
    driver: I32
    x: F64
    y: F64
    speed: F64
    acceleration: F64
    lane: I32
    leader_row: I64
    follower_row: I64


def new_state(drivers: Drivers) -> State:
    """An empty road."""
    count = len(drivers.length)
    return State(
        position=np.zeros(count),
        speed=np.zeros(count),
        acceleration=np.zeros(count),
        slot=np.zeros(count, np.int32),
        left_slot=np.full(count, -1, np.int32),
        progress=np.ones(count),
        rested_at=np.zeros(count),
        next_in_queue=drivers.queue[:, 0].copy(),
        order=np.zeros(count, np.int64),
        counts=np.zeros(2, np.int64),
        numbers=np.zeros(count, np.int32),
    )


def fill(road: Road, drivers: Drivers, state: State, speed: float) -> None:
    """Put vehicles on the whole mainline, moving at `speed` at their equilibrium distances.

    Saves the long warm-up that a queue needs to grow from the bottleneck through the section.
    Moves the entry times of the others forward.
    """
    placed: list[int] = []
    for slot in range(road.mainline):
        front = road.exit_end - 7.0 * slot
        i = int(drivers.queue[slot, 0])
        while front > road.entry and i < drivers.queue[slot, 1]:
            v = min(speed, 0.9 * float(drivers.desired_speed[i]))
            state.position[i] = front
            state.speed[i] = v
            state.slot[i] = slot
            placed.append(i)
            gap = drivers.jam_gap[i] + v * drivers.time_gap[i]
            gap /= np.sqrt(1.0 - (v / drivers.desired_speed[i]) ** 4)
            i += 1
            if i < drivers.queue[slot, 1]:
                front -= float(drivers.length[i - 1] + gap)
        state.next_in_queue[slot] = i
        end = int(drivers.queue[slot, 1])
        if i < end:  # the next in the queue is the next to arrive
            drivers.entry_time[i:end] -= drivers.entry_time[i]
    placed.sort(key=lambda i: -state.position[i])
    state.order[: len(placed)] = placed
    state.counts[0] = len(placed)


def new_records(capacity: int) -> Records:
    """Room for `capacity` rows."""
    return Records(
        frame=np.empty(capacity, np.int32),
        vehicle=np.empty(capacity, np.int32),
        driver=np.empty(capacity, np.int32),
        x=np.empty(capacity),
        y=np.empty(capacity),
        speed=np.empty(capacity),
        acceleration=np.empty(capacity),
        lane=np.empty(capacity, np.int32),
        leader_row=np.empty(capacity, np.int64),
        follower_row=np.empty(capacity, np.int64),
    )
