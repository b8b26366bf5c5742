"""Microscopic traffic: the numba kernel that moves vehicles along a freeway section.

Belongs here: car following, lane changing and the integration of the state, in SI units.
Does not belong here: who drives (traffic_demand.py), what a camera makes of it
(error_model.py), tables (simulate.py).

Car following is the Intelligent Driver Model (Treiber, Hennecke, Helbing 2000,
Phys. Rev. E 62, 1805); lane changes follow MOBIL (Kesting, Treiber, Helbing 2007, TRR 1999).
The commanded acceleration reaches the vehicle through a first-order lag with bounded jerk, so
that true trajectories have none of the jerks the error model adds.

A step is ballistic: y += v dt + a dt²/2, v += a dt, with a cut so that v ends at 0, never below.
Hence truth is consistent to rounding: Δv = a dt and Δy = (v + v') dt/2 for every frame.

Lanes of the model are *slots* 0..M-1 for the mainline (0 leftmost) and slot M for the ramp path:
on-ramp, auxiliary or merging lane, off-ramp, one behind the other. A vehicle changing lanes
occupies both slots until its body has left the old one.

One file on purpose: numba's cache notices changes in a function's own file only, so a compiled
caller would go on using what it once inlined from another one.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ngsim_assets.highway.simulation.freeway import F64, I64, Drivers, Records, Road, State

TIME_STEP = 0.1  # s, one frame
LANE_IDS = 16  # more than any site has

_LAG = 0.3  # s, first-order lag of pedals and drive train
_MAX_JERK = 9.0  # m/s³; the error-free re-extraction of NGSIM has none over 15 (Coifman & Li 2017)
_HARDEST_BRAKING = 8.0  # m/s², dry road
_LANE_LEFT_AT = 0.75  # share of the manoeuvre after which the body is out of the old lane
_SAFE_BRAKING = 2.5  # m/s² a lane change may force on others (MOBIL's b_safe)
_MERGE_BRAKING = 4.0  # m/s² accepted where the lane ends
_CHANGE_THRESHOLD = 0.12  # m/s² of advantage before a change is worth it
_CHANGE_PAUSE = 6.0  # s between two changes of one driver
_LANE_END_MARGIN = 5.0  # m before the end of a lane that ends, where a driver would stand
_COURTESY_BRAKING = 1.5  # m/s² given up to let a merging vehicle in
_DECISION_STEPS = 10  # drivers decide once a second, each at its own tenth


@njit(cache=True, inline="always")
def _idm(
    v: float, v0: float, gap: float, closing: float, t: float, s0: float, a: float, b: float
) -> float:
    """IDM acceleration; over the desired speed drivers brake comfortably, not with (v/v0)⁴."""
    free = a * (1.0 - (v / v0) ** 4)
    free = max(free, -b)
    wanted = s0 + max(0.0, v * t + v * closing / (2.0 * math.sqrt(a * b)))
    interaction = a * (wanted / max(gap, 0.1)) ** 2
    return max(free - interaction, -_HARDEST_BRAKING)


@njit(cache=True)
def _following(i: int, leader: int, v0: float, drivers: Drivers, state: State) -> float:
    """Acceleration driver `i` would choose behind `leader` (-1: free road)."""
    gap = 1e4
    closing = 0.0
    if leader >= 0:
        gap = state.position[leader] - drivers.length[leader] - state.position[i]
        closing = state.speed[i] - state.speed[leader]
    return _idm(
        state.speed[i],
        v0,
        gap,
        closing,
        drivers.time_gap[i],
        drivers.jam_gap[i],
        drivers.max_acceleration[i],
        drivers.comfortable_braking[i],
    )


@njit(cache=True)
def _wanted_speed(
    i: int, slot: int, limits: F64, road: Road, drivers: Drivers, state: State
) -> float:
    """Desired speed where the vehicle is: the bottleneck's limit fades in over 100 m."""
    v0 = drivers.desired_speed[i]
    y = state.position[i]
    if slot == road.mainline:
        v0 = min(v0, 16.0 if y < road.merge_start else 22.0)
    fade = (y - road.bottleneck) / 100.0
    if fade > 0.0:
        limit = min(limits[slot], v0)
        v0 += (limit - v0) * min(fade, 1.0)
    return v0


@njit(cache=True)
def _enter(time: float, road: Road, drivers: Drivers, state: State, last: I64) -> None:
    """Let the next vehicle of each slot in when it is due and there is room behind the last."""
    for slot in range(road.mainline + 1):
        i = state.next_in_queue[slot]
        if i >= drivers.queue[slot, 1] or drivers.entry_time[i] > time:
            continue
        start = road.ramp_entry if slot == road.mainline else road.entry
        v = drivers.entry_speed[i]
        leader = last[slot]
        if leader >= 0:
            v = min(v, state.speed[leader] + 0.5)
            gap = state.position[leader] - drivers.length[leader] - start
            if gap < drivers.jam_gap[i] + 0.9 * v * drivers.time_gap[i]:
                continue
        state.position[i] = start
        state.speed[i] = v
        state.acceleration[i] = 0.0
        state.slot[i] = slot
        state.left_slot[i] = -1
        state.progress[i] = 1.0
        state.rested_at[i] = time + 2.0
        state.order[state.counts[0]] = i
        state.counts[0] += 1
        state.next_in_queue[slot] = i + 1
        last[slot] = i


@njit(cache=True)
def _sort(state: State) -> None:
    """Insertion sort: the order of the last step is nearly that of this one."""
    order = state.order
    position = state.position
    for k in range(1, state.counts[0]):
        i = order[k]
        m = k - 1
        while m >= 0 and position[order[m]] < position[i]:
            order[m + 1] = order[m]
            m -= 1
        order[m + 1] = i


@njit(cache=True)
def _also_in(i: int, state: State) -> int:
    """Slot a changing vehicle still fills with its body beside its new one, -1 for none."""
    return state.left_slot[i] if state.progress[i] < _LANE_LEFT_AT else -1


@njit(cache=True)
def _neighbours(road: Road, state: State, leaders: I64, followers: I64, last: I64) -> None:
    """Nearest vehicles ahead and behind in every slot; leaves the rearmost of each in `last`."""
    slots = road.mainline + 1
    count = state.counts[0]
    for s in range(slots):
        last[s] = -1
    for k in range(count - 1, -1, -1):
        i = state.order[k]
        for s in range(slots):
            followers[i, s] = last[s]
        last[state.slot[i]] = i
        if _also_in(i, state) >= 0:
            last[_also_in(i, state)] = i
    for s in range(slots):
        last[s] = -1
    for k in range(count):
        i = state.order[k]
        for s in range(slots):
            leaders[i, s] = last[s]
        last[state.slot[i]] = i
        if _also_in(i, state) >= 0:
            last[_also_in(i, state)] = i


@njit(cache=True)
def _merging(i: int, road: Road, drivers: Drivers, state: State) -> bool:
    """Whether `i` is on the ramp slot and has to leave it."""
    return (
        state.slot[i] == road.mainline
        and not drivers.exits[i]
        and state.position[i] > road.merge_start
    )


@njit(cache=True)
def _command(
    i: int, time: float, limits: F64, road: Road, drivers: Drivers, state: State, leaders: I64
) -> float:
    """Acceleration the driver asks for: leaders in every occupied slot, lane end, courtesy."""
    slot = state.slot[i]
    m = road.mainline
    v0 = _wanted_speed(i, slot, limits, road, drivers, state)
    if _merging(i, road, drivers, state) and leaders[i, m - 1] >= 0:
        # hardly faster than the traffic it has to merge into
        v0 = min(v0, max(3.0, float(state.speed[leaders[i, m - 1]]) + 2.0))
    a = _following(i, leaders[i, slot], v0, drivers, state)
    old = _also_in(i, state)
    if old >= 0:
        a = min(a, _following(i, leaders[i, old], v0, drivers, state))
    y = state.position[i]
    v = state.speed[i]
    if slot == m and not drivers.exits[i]:
        # the end of the lane stands there like a vehicle
        a = min(
            a,
            _idm(
                v,
                v0,
                road.merge_end - _LANE_END_MARGIN - y,
                v,
                0.5,
                1.0,
                drivers.max_acceleration[i],
                drivers.comfortable_braking[i] + 1.0,
            ),
        )
        beside = leaders[i, m - 1]
        if (
            y > road.merge_start
            and beside >= 0
            and state.position[beside] - drivers.length[beside] - y > 1.0
        ):
            # the one it will merge behind
            a = min(a, max(_following(i, beside, v0, drivers, state), -_COURTESY_BRAKING))
    elif slot == m - 1 and road.merge_start < y < road.merge_end:
        other = leaders[i, m]
        ahead = leaders[i, slot]
        if (
            other >= 0
            and _merging(other, road, drivers, state)
            and (ahead < 0 or state.position[ahead] > state.position[other])
            # beside it already: letting it in would block both
            and state.position[other] - drivers.length[other] - y > 0.8
        ):
            # nobody lets others stand at the end of their lane for long
            courtesy = _COURTESY_BRAKING if state.speed[other] > 2.0 else 2.0 * _COURTESY_BRAKING
            a = min(a, max(_following(i, other, v0, drivers, state), -courtesy))
    if v > 2.0:
        # nobody holds the pedal still: what seeds the waves that string instability grows
        w = drivers.wander
        a += 0.10 * math.sin(0.9 * time + w[i, 2]) + 0.08 * math.sin(0.37 * time + w[i, 3])
    return a


@njit(cache=True)
def _may_use(i: int, slot: int, road: Road, drivers: Drivers, state: State) -> bool:
    """Whether driver `i` is allowed in the slot next to its own."""
    y = state.position[i]
    m = road.mainline
    if slot < 0 or slot > m:
        return False
    joined = road.merge_start + 5.0 < y < road.merge_end
    if slot == m:
        return joined and drivers.exits[i]
    if state.slot[i] == m:
        return joined and not drivers.exits[i]
    if slot == 0 and road.carpool and not drivers.carpool[i]:
        return False
    if drivers.heavy[i] and slot < min(2, state.slot[i]):
        return False
    bound = drivers.exits[i] and road.off_ramp and y < road.merge_end
    return not (bound and slot < state.slot[i])


@njit(cache=True)
def _gaps_suffice(
    i: int, ahead: int, after: int, tight: bool, drivers: Drivers, state: State
) -> bool:
    """Whether `i` fits between two vehicles of another slot without closing up on either."""
    # where the lane ends and all stand, whoever is in front goes first, however tight
    jam = 0.6 if tight else drivers.jam_gap[i]
    y = state.position[i]
    if ahead >= 0:
        gap = state.position[ahead] - drivers.length[ahead] - y
        if gap < jam + 0.2 * state.speed[i]:
            return False
    if after >= 0:
        gap = y - drivers.length[i] - state.position[after]
        if gap < jam + 0.2 * state.speed[after]:
            return False
    return True


@njit(cache=True)
def _gain(
    i: int,
    slot: int,
    limits: F64,
    road: Road,
    drivers: Drivers,
    state: State,
    leaders: I64,
    followers: I64,
) -> float:
    """MOBIL's incentive for driver `i` to take a slot (m/s²); below 0: not safe or not worth it."""
    own = state.slot[i]
    must_merge = _merging(i, road, drivers, state)
    ahead = leaders[i, slot]
    after = followers[i, slot]
    if not _gaps_suffice(i, ahead, after, must_merge, drivers, state):
        return -1.0
    bias = -_CHANGE_THRESHOLD
    braking = _SAFE_BRAKING
    # who has to leave its lane cannot afford to be polite
    politeness = drivers.politeness[i]
    if must_merge:
        bias += 3.0
        braking = _MERGE_BRAKING
        politeness = 0.0
    elif drivers.exits[i] and slot > own and state.position[i] < road.merge_end:
        # the nearer the exit, the more it is worth
        bias += 2.5 if state.position[i] > road.merge_start - 300.0 else 0.6
        braking = 3.0
    v0 = _wanted_speed(i, own, limits, road, drivers, state)
    a_new = _following(i, ahead, v0, drivers, state)
    if a_new < -braking and not (must_merge and state.speed[i] < 2.0):
        return -1.0
    loss = 0.0
    if after >= 0:
        v0_after = _wanted_speed(after, slot, limits, road, drivers, state)
        a_after = _following(after, i, v0_after, drivers, state)
        if a_after < -braking and not (must_merge and state.speed[after] < 2.0):
            return -1.0
        loss = _following(after, ahead, v0_after, drivers, state) - a_after
    relief = 0.0
    behind = followers[i, own]
    if behind >= 0:
        v0_behind = _wanted_speed(behind, own, limits, road, drivers, state)
        relief = _following(behind, leaders[i, own], v0_behind, drivers, state)
        relief -= _following(behind, i, v0_behind, drivers, state)
    a_now = _following(i, leaders[i, own], v0, drivers, state)
    return a_new - a_now + politeness * (relief - loss) + bias


@njit(cache=True)
def _decide(
    i: int, limits: F64, road: Road, drivers: Drivers, state: State, leaders: I64, followers: I64
) -> int:
    """Slot MOBIL sends driver `i` to, or -1 to stay."""
    best = -1
    best_gain = 0.0
    for step in (-1, 1):
        slot = state.slot[i] + step
        if _may_use(i, slot, road, drivers, state):
            gain = _gain(i, slot, limits, road, drivers, state, leaders, followers)
            if gain > best_gain:
                best_gain = gain
                best = slot
    return best


@njit(cache=True)
def _change_lanes(
    step: int,
    time: float,
    limits: F64,
    road: Road,
    drivers: Drivers,
    state: State,
    leaders: I64,
    followers: I64,
) -> None:
    """Start lane changes; no two within 40 m in one step, since each looked at the same gaps."""
    changed_at = 1e9
    for k in range(state.counts[0]):
        i = state.order[k]
        if (i + step) % _DECISION_STEPS != 0 or state.progress[i] < 1.0:
            continue
        tired = state.rested_at[i] > time or state.speed[i] < 1.0
        if tired and not _merging(i, road, drivers, state):
            continue
        if changed_at - state.position[i] < 40.0:
            continue
        slot = _decide(i, limits, road, drivers, state, leaders, followers)
        if slot >= 0:
            state.left_slot[i] = state.slot[i]
            state.slot[i] = slot
            state.progress[i] = 0.0
            state.rested_at[i] = time + _CHANGE_PAUSE
            changed_at = state.position[i]


@njit(cache=True)
def _move(time: float, road: Road, drivers: Drivers, state: State) -> None:
    """One ballistic step, progress of lane changes, removal of those who left."""
    kept = 0
    for k in range(state.counts[0]):
        i = state.order[k]
        v = state.speed[i]
        a = state.acceleration[i]
        state.position[i] += v * TIME_STEP + 0.5 * a * TIME_STEP * TIME_STEP
        state.speed[i] = max(0.0, v + a * TIME_STEP)
        if state.progress[i] < 1.0:
            # a standing vehicle cannot move sideways
            state.progress[i] = min(
                1.0,
                state.progress[i] + TIME_STEP / drivers.change_duration[i] * min(1.0, v / 3.0),
            )
            if state.progress[i] >= 1.0:
                state.left_slot[i] = -1
                state.rested_at[i] = time + _CHANGE_PAUSE
        end = road.exit_end
        if state.slot[i] == road.mainline and road.off_ramp:
            end = road.ramp_seen_to + 150.0
        if state.position[i] < end:
            state.order[kept] = i
            kept += 1
    state.counts[0] = kept


@njit(cache=True)
def _centre(slot: int, y: float, road: Road) -> float:
    """Lateral position of a slot's centre line; ramps part from the mainline by their slope."""
    x = (slot + 0.5) * road.lane_width
    if slot == road.mainline:
        x += road.ramp_slope * max(0.0, road.merge_start - y, y - road.merge_end)
    return x


@njit(cache=True)
def _lane_id(slot: int, y: float, road: Road) -> int:
    """Delivered lane id of a slot at a place."""
    if slot < road.mainline:
        return slot + 1
    if y < road.merge_start:
        return road.ramp_lane
    return road.auxiliary_lane if y <= road.merge_end else road.off_ramp_lane


@njit(cache=True)
def _record(
    frame: int, row: int, road: Road, drivers: Drivers, state: State, out: Records, last: I64
) -> int:
    """Write the rows of one frame from `row` on; returns the first free row."""
    for lane in range(LANE_IDS):
        last[lane] = -1
    for k in range(state.counts[0]):
        i = int(state.order[k])
        y = state.position[i]
        slot = state.slot[i]
        if y < 0.0 or y > road.length:
            continue
        if slot == road.mainline and (y < road.ramp_seen_from or y > road.ramp_seen_to):
            continue
        x = _centre(slot, y, road)
        shown = slot
        if state.left_slot[i] >= 0:
            p = state.progress[i]
            # minimum-jerk profile from centre line to centre line
            s = p * p * p * (10.0 - 15.0 * p + 6.0 * p * p)
            x0 = _centre(state.left_slot[i], y, road)
            x = x0 + (x - x0) * s
            if s < 0.5:
                shown = state.left_slot[i]
        w = drivers.wander
        x += w[i, 0] * (
            math.sin(y * 2.0 * math.pi / 310.0 + w[i, 1])
            + 0.5 * math.sin(y * 2.0 * math.pi / 127.0 + w[i, 2])
        )
        lane = _lane_id(shown, y, road)
        if state.numbers[i] == 0:
            state.counts[1] += 1
            state.numbers[i] = state.counts[1]
        out.frame[row] = frame
        out.vehicle[row] = state.numbers[i]
        out.driver[row] = i
        out.x[row] = x
        out.y[row] = y
        out.speed[row] = state.speed[i]
        out.acceleration[row] = state.acceleration[i]
        out.lane[row] = lane
        out.leader_row[row] = last[lane]
        out.follower_row[row] = -1
        if last[lane] >= 0:
            out.follower_row[last[lane]] = row
        last[lane] = row
        row += 1
    return row


@njit(cache=True, nogil=True)
def advance(
    first_step: int,
    end_step: int,
    first_frame_step: int,
    limits: F64,
    road: Road,
    drivers: Drivers,
    state: State,
    out: Records,
) -> tuple[int, int]:
    """Move the traffic from `first_step` up to `end_step` and record the observed section.

    `limits` has one row per second and one column per slot: the speed (m/s) the bottleneck
    allows. Steps from `first_frame_step` on are recorded, as frames 1, 2, …
    Returns the next step to do and the rows written: stops early where `out` might overflow.
    """
    slots = road.mainline + 1
    count = len(drivers.length)
    leaders = np.empty((count, slots), np.int64)
    followers = np.empty((count, slots), np.int64)
    last = np.empty(max(slots, LANE_IDS), np.int64)
    rows = 0
    for step in range(first_step, end_step):
        if rows + state.counts[0] + slots > len(out.frame):
            return step, rows
        time = step * TIME_STEP
        now = limits[min(int(time), len(limits) - 1)]
        _sort(state)
        _neighbours(road, state, leaders, followers, last)
        _enter(time, road, drivers, state, last)
        _sort(state)
        _neighbours(road, state, leaders, followers, last)
        _change_lanes(step, time, now, road, drivers, state, leaders, followers)
        for k in range(state.counts[0]):
            i = state.order[k]
            wanted = _command(i, time, now, road, drivers, state, leaders)
            before = state.acceleration[i]
            change = (wanted - before) * TIME_STEP / _LAG
            change = max(-_MAX_JERK * TIME_STEP, min(_MAX_JERK * TIME_STEP, change))
            # brakes are eased towards standstill, so that jerk stays bounded there, too
            softest = -math.sqrt(2.0 * _MAX_JERK * state.speed[i])
            state.acceleration[i] = max(before + change, softest, -state.speed[i] / TIME_STEP)
        if step >= first_frame_step:
            rows = _record(step - first_frame_step + 1, rows, road, drivers, state, out, last)
        _move(time, road, drivers, state)
    return end_step, rows
