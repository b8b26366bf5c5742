"""Metrics of traffic: vehicles that follow each other, headways, flow, density and speed.

Belongs here: words and limits, each limit with its source. Does not belong here: the numbers
that definitions share (metrics.py), any computation (traffic_figures.py, changes.py).
"""

from __future__ import annotations

from ngsim_assets.highway.assessment.metrics import (
    CELL_FRAMES,
    CELL_LENGTH,
    CHOSEN,
    CLEANED,
    COIFMAN_WANG,
    DICTIONARY,
    EDIE,
    LONGEST_STEP,
    MOVING,
    PUNZO,
    SHORT_HEADWAY,
    WAVE_FRAMES,
    WAVE_LENGTH,
    MetricDefinition,
    MetricSection,
)
from ngsim_assets.highway.sites import Site
from ngsim_assets.quality.report import Limit


def platoon() -> MetricSection:
    """Each vehicle against the one it says is ahead."""
    metric = MetricDefinition
    pairs = (
        "Pairs: rows that name a preceding vehicle which has a row at the same frame; turning "
        "vehicles left out. Front to front distance along the section."
    )
    same = f"Of pairs in one lane, or where a lane is not known. {pairs}"
    difference = (
        "difference between space_headway (delivered; reconstructed) and the front to front "
        f"distance. {pairs}"
    )
    return MetricSection(
        "platoon",
        "Platoon consistency",
        "Each vehicle against the one it says is ahead.",
        (
            metric(
                "overlaps",
                "Overlaps with the leader",
                "%",
                "100 × pairs with a net gap (front to front distance less the leader's length) "
                f"below 0 / pairs. {same}",
                PUNZO,
                limit=Limit(
                    threshold=0,
                    relation="at most",
                    basis="reconstructed followers do not overlap leaders",
                ),
            ),
            metric("gap_smallest", "Smallest net gap", "m", f"Smallest net gap. {same}", PUNZO),
            metric(
                "headway_rmse",
                "Space headway against positions, RMSE",
                "m",
                f"√ of the mean squared {difference}",
                PUNZO,
                limit=Limit(
                    threshold=0.01,
                    relation="at most",
                    basis=f"{CHOSEN}: the table must agree with itself, to its resolution",
                ),
            ),
            metric(
                "headway_largest",
                "Space headway against positions, largest",
                "m",
                f"Largest absolute {difference}",
                PUNZO,
            ),
            metric(
                "leader_absent",
                "Leader not seen at that frame",
                "%",
                "100 × rows whose preceding vehicle has no row at the same frame / rows that "
                "name a preceding vehicle.",
            ),
            metric(
                "leader_other_lane",
                "Leader in another lane",
                "%",
                "100 × pairs whose leader is in another lane / pairs; undefined where no lane is "
                f"known. {pairs}",
                DICTIONARY,
            ),
            metric(
                "leader_behind",
                "Leader behind its follower",
                "%",
                f"100 × pairs with a front to front distance below 0 / pairs. {pairs}",
                DICTIONARY,
            ),
            metric(
                "leader_unreciprocated",
                "Leader names another follower",
                "%",
                "100 × pairs whose leader does not name the follower as following / pairs; "
                f"undefined where no row names one. {pairs}",
            ),
        ),
    )


def headways() -> MetricSection:
    """How close vehicles follow."""
    metric = MetricDefinition
    known = "rows that have a time headway (delivered; reconstructed): none without a leader, none "
    return MetricSection(
        "headways",
        "Headways",
        "How far ahead the next front is, in space and in time at one's own speed.",
        (
            metric(
                "space_headway_median",
                "Space headway, median",
                "m",
                "Median over all rows that have a space headway.",
                DICTIONARY,
            ),
            metric(
                "time_headway_median",
                "Time headway, median",
                "s",
                f"Median over all {known}standing.",
                DICTIONARY,
            ),
            metric(
                "time_headway_p5",
                "Time headway, 5 % quantile",
                "s",
                f"Value that 5 % do not exceed of all {known}standing.",
                DICTIONARY,
            ),
            metric(
                "time_headway_under_0_5",
                "Time headway below 0.5 s",
                "%",
                f"100 × rows with a time headway below {SHORT_HEADWAY:g} s / {known}standing.",
            ),
            metric(
                "time_headway_rmse",
                "Time headway against space headway and speed, RMSE",
                "m",
                "√ of the mean squared difference of time headway × own speed and space headway, "
                f"over rows that have all three and at least {MOVING:g} m/s.",
                DICTIONARY,
            ),
        ),
    )


def traffic(site: Site) -> MetricSection:
    """Flow, density and speed, before and after."""
    metric = MetricDefinition
    area = (
        f"Area = {site.length:g} m × time from the first validated frame to the last, all lanes "
        "and directions; missing frames inside a trajectory are bridged."
    )
    net = (
        "Distances are net, along the section in the trajectory's direction: steps back count "
        "against steps forth, so that noise of a standing vehicle adds nothing."
    )
    cells = (
        f"Cells of {CELL_FRAMES / 10:g} s × {CELL_LENGTH:g} m per lane. {net} Steps over gaps of "
        f"at least {LONGEST_STEP / 10:g} s are not counted; others are split at borders of cells."
    )
    weighted = "weighted by validated time spent, over cells with vehicles in both"
    change = "100 × (cleaned / validated − 1) of the figure above."
    kept = "Over trajectories whose first and last frame are the same before and after."
    limit = Limit(
        threshold=1.0,
        relation="within",
        basis=f"{CHOSEN}: cleaning must not move the traffic it describes",
    )
    cleaned = (CLEANED,)
    waves: tuple[MetricDefinition, ...] = ()
    if not site.arterial:
        waves = _waves()
    return MetricSection(
        "traffic",
        "Traffic",
        "Flow, density and space-mean speed of the whole recording, before and after.",
        (
            metric(
                "edie_flow",
                "Flow",
                "veh/h",
                f"Distance travelled by all vehicles / area × 3600. {net} {area}",
                EDIE,
            ),
            metric(
                "edie_density",
                "Density",
                "veh/km",
                f"Time spent by all vehicles / area × 1000. {area}",
                EDIE,
            ),
            metric(
                "edie_speed",
                "Space-mean speed",
                "m/s",
                f"Distance travelled / time spent. {net} {area}",
                EDIE,
            ),
            metric("edie_flow_change", "Flow, change", "%", change, EDIE, cleaned, limit),
            metric("edie_density_change", "Density, change", "%", change, EDIE, cleaned, limit),
            metric(
                "edie_speed_change", "Space-mean speed, change", "%", change, EDIE, cleaned, limit
            ),
            metric(
                "edie_cell_speed_difference",
                "Speed per lane and cell, mean absolute change",
                "m/s",
                f"Mean of |cleaned − validated| Edie speed, {weighted}. {cells}",
                EDIE,
                cleaned,
            ),
            metric(
                "edie_cell_speed_rms",
                "Speed per lane and cell, RMS change",
                "m/s",
                f"√ of the mean of (cleaned − validated)² Edie speed, {weighted}. {cells}",
                EDIE,
                cleaned,
            ),
            metric(
                "edie_cell_flow_rms",
                "Flow per lane and cell, RMS change",
                "veh/h",
                "√ of the mean of (cleaned − validated)² Edie flow over cells with vehicles in "
                f"either. {cells}",
                EDIE,
                cleaned,
            ),
            metric(
                "edie_cell_density_rms",
                "Density per lane and cell, RMS change",
                "veh/km",
                "√ of the mean of (cleaned − validated)² Edie density over cells with vehicles in "
                f"either. {cells}",
                EDIE,
                cleaned,
            ),
            metric(
                "distance_change_mean",
                "Distance travelled by a vehicle, mean absolute change",
                "m",
                "Mean of |cleaned − validated| net distance along the section from first to last "
                f"frame. {kept}",
                stages=cleaned,
            ),
            metric(
                "distance_change_largest",
                "Distance travelled by a vehicle, largest change",
                "m",
                "Largest |cleaned − validated| net distance along the section from first to last "
                f"frame. {kept}",
                stages=cleaned,
            ),
            *waves,
        ),
    )


def _waves() -> tuple[MetricDefinition, ...]:
    return (
        MetricDefinition(
            "wave_speed",
            "Speed of waves",
            "m/s",
            "Speed at which patterns of speed run through the traffic, negative against it: the "
            "line through distances and lags along which the speeds of all places of a lane are "
            f"correlated most, in cells of {WAVE_FRAMES / 10:g} s × {WAVE_LENGTH:g} m of all "
            "lanes. Undefined where no line stands out, as in free flow.",
            COIFMAN_WANG,
        ),
        *(
            MetricDefinition(
                f"wave_speed_{end}",
                f"Speed of waves, {name} end",
                "m/s",
                f"The {name} end of the 90 % interval of the speed of waves, from leaving out "
                "each of eight stretches of time in turn (jackknife).",
                COIFMAN_WANG,
            )
            for end, name in (("low", "faster"), ("high", "slower"))
        ),
        MetricDefinition(
            "wave_speed_change",
            "Speed of waves, change",
            "%",
            "100 × (cleaned / validated − 1) of the speed of waves.",
            COIFMAN_WANG,
            (CLEANED,),
        ),
    )
