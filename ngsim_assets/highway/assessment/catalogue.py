"""Every quality metric of the highway domain: name, unit, definition and limit, once.

Belongs here: words and limits, each limit with its source. Does not belong here: the numbers
that definitions share (metrics.py), any computation (assess.py and what it calls).
"""

from __future__ import annotations

from ngsim_assets.highway.assessment.metrics import (
    ACROSS,
    ACROSS_SHARE,
    BACKWARDS,
    CELL_FRAMES,
    CELL_LENGTH,
    CHOSEN,
    CLEANED,
    CLIP_TOLERANCE,
    COIFMAN,
    EDIE,
    HARD_ACCELERATION,
    HEADING_DISTANCE,
    JERK_LIMIT,
    JERK_QUIET,
    JERK_WINDOW,
    KALMAN,
    LONGEST_STEP,
    MINIMUM_POINTS,
    PUNZO,
    RAW,
    STABLE_FRAMES,
    VALIDATED,
    MetricDefinition,
    MetricSection,
)
from ngsim_assets.highway.sites import Site
from ngsim_assets.quality.report import Limit


def catalogue(site: Site) -> tuple[MetricSection, ...]:
    """Every metric of one site, in the order a report shows them."""
    return (
        _rows(),
        _completeness(),
        _jerk(),
        _acceleration(site),
        _consistency(),
        _platoon(),
        _residual(),
        _speed_and_lanes(site),
        _traffic(site),
    )


def _rows() -> MetricSection:
    metric = MetricDefinition
    return MetricSection(
        "rows",
        "Rows",
        "Every delivered row is either validated or in quarantine with the rules it broke.",
        (
            metric(
                "rows_raw", "Rows delivered", "rows", "Rows of raw_trajectories.", stages=(RAW,)
            ),
            metric(
                "rows_validated",
                "Rows validated",
                "rows",
                "Rows of validated_points.",
                stages=(RAW,),
            ),
            metric(
                "rows_quarantined",
                "Rows in quarantine",
                "rows",
                "Rows of quarantine.",
                stages=(RAW,),
            ),
            metric(
                "rows_quarantined_share",
                "Share of rows in quarantine",
                "%",
                "100 × rows in quarantine / rows delivered.",
                stages=(RAW,),
            ),
            metric(
                "rows_unaccounted",
                "Rows unaccounted for",
                "rows",
                "Rows delivered less rows validated less rows in quarantine.",
                stages=(RAW,),
                limit=Limit(threshold=0, relation="within", basis="nothing is dropped silently"),
                limited_at=(RAW,),
            ),
        ),
    )


def _completeness() -> MetricSection:
    metric = MetricDefinition
    return MetricSection(
        "completeness",
        "Completeness",
        "Frames seen against frames between a vehicle's first and last one.",
        (
            metric("trajectories", "Trajectories", "trajectories", "Distinct vehicles."),
            metric("points", "Points", "points", "Distinct pairs of vehicle and frame."),
            metric(
                "vehicles_of_published",
                "Vehicles of the published total",
                "%",
                "100 × vehicles / vehicles FHWA published for this recording; undefined where "
                "none is published.",
                stages=(VALIDATED,),
            ),
            metric(
                "completeness",
                "Frames seen, first to last",
                "%",
                "100 × frames seen / (last frame − first frame + 1), both summed over all "
                "trajectories.",
            ),
            metric(
                "completeness_declared",
                "Frames seen of Total_Frames",
                "%",
                "100 × frames seen, at most Total_Frames / Total_Frames, both summed over the "
                "trajectories whose source has Total_Frames (the largest value where it varies).",
                stages=(VALIDATED,),
            ),
            metric(
                "trajectories_complete",
                "Trajectories without a missing frame",
                "%",
                "100 × trajectories with every frame from first to last / trajectories.",
            ),
            metric(
                "gaps",
                "Gaps",
                "gaps",
                "Runs of missing frames inside trajectories.",
            ),
            metric(
                "gap_longest",
                "Longest gap",
                "s",
                "Most frames missing in a row inside a trajectory × 0.1 s.",
            ),
            metric(
                "points_repaired",
                "Points repaired",
                "%",
                "100 × points whose state is repaired / points.",
                stages=(CLEANED,),
            ),
            metric(
                "points_imputed",
                "Points imputed",
                "%",
                "100 × points whose state is imputed / points.",
                stages=(CLEANED,),
            ),
        ),
    )


def _jerk() -> MetricSection:
    metric = MetricDefinition
    sample = (
        "Jerk = difference of acceleration (as delivered; reconstructed) between consecutive "
        f"frames / 0.1 s, in trajectories of at least {MINIMUM_POINTS} points."
    )
    return MetricSection(
        "jerk",
        "Jerk",
        "People in cars do not bear much jerk: what is beyond 15 m/s³ is noise.",
        (
            metric(
                "jerk_over_15",
                "Jerk over 15 m/s³",
                "%",
                f"100 × samples with |jerk| > {JERK_LIMIT:g} m/s³ (49.2126 ft/s³) / samples. "
                f"{sample}",
                PUNZO,
                limit=Limit(
                    threshold=0.16, relation="at most", basis=f"best of the filters in {KALMAN}"
                ),
            ),
            metric(
                "jerk_sign_inversions",
                "Windows with more than one inversion of jerk",
                "%",
                f"100 × windows of {JERK_WINDOW} consecutive jerk samples in which the sign "
                "changes more than once / windows; every sample ends one window. Samples of at "
                f"most {JERK_QUIET:g} m/s³ (rounding of the delivered 0.01 ft/s²) have no sign. "
                f"{sample}",
                PUNZO,
                limit=Limit(
                    threshold=13.54, relation="at most", basis=f"best of the filters in {KALMAN}"
                ),
            ),
            metric(
                "jerk_std",
                "Standard deviation of jerk",
                "m/s³",
                f"√(mean of squares − square of mean) over all samples. {sample}",
                PUNZO,
                limit=Limit(
                    threshold=2.95, relation="at most", basis=f"best of the filters in {KALMAN}"
                ),
            ),
            metric("jerk_largest", "Largest jerk", "m/s³", f"Largest |jerk|. {sample}"),
        ),
    )


def _acceleration(site: Site) -> MetricSection:
    metric = MetricDefinition
    clip = site.limits.clipped_acceleration
    clip_text = "; undefined here" if clip is None else f" of {clip:.3f} m/s²"
    return MetricSection(
        "acceleration",
        "Acceleration",
        "Delivered v_Acc, and the rate of change of the reconstructed speed.",
        (
            metric(
                "acceleration_over_3",
                "Acceleration over 3 m/s²",
                "%",
                f"100 × points with |acceleration| > {HARD_ACCELERATION:g} m/s² / points with an "
                "acceleration.",
                COIFMAN,
            ),
            metric(
                "acceleration_std",
                "Standard deviation of acceleration",
                "m/s²",
                "√(mean of squares − square of mean) over all points with an acceleration.",
            ),
            metric(
                "acceleration_largest",
                "Largest acceleration",
                "m/s²",
                "Largest |acceleration|.",
                limit=Limit(
                    threshold=site.limits.acceleration,
                    relation="at most",
                    basis="what a vehicle can do, limits of the site",
                ),
            ),
            metric(
                "acceleration_clipped",
                "Acceleration at the clip",
                "%",
                f"100 × points with |delivered acceleration| at the clip{clip_text} (within "
                f"{CLIP_TOLERANCE:g} m/s², half of the delivered step) or beyond / points with "
                "an acceleration.",
                stages=(VALIDATED,),
            ),
        ),
    )


def _consistency() -> MetricSection:
    metric = MetricDefinition
    stretches = (
        "Over each stretch of consecutive frames; 0 at its first point, which is not counted; "
        "trapezoids; all samples pooled."
    )
    along = (
        "Trajectories whose lateral extent is over "
        f"{ACROSS:g} m and over {100 * ACROSS_SHARE:g} % of their extent along the section "
        "(turning vehicles) are left out."
    )
    position = (
        "Deviation of y_position from its start plus speed integrated (delivered speed, signed "
        "by the trajectory's direction; reconstructed velocity_y)."
    )
    speed = (
        "Deviation of speed from its start plus acceleration integrated (delivered speed and "
        "acceleration; reconstructed velocity_y and acceleration_y)."
    )
    return MetricSection(
        "consistency",
        "Internal consistency",
        "Integrating a trajectory's speed must give its positions, integrating its acceleration "
        "its speed.",
        (
            metric(
                "position_speed_rmse",
                "Position against integrated speed, RMSE",
                "m",
                f"{position} {stretches} {along}",
                PUNZO,
                limit=Limit(
                    threshold=0.1,
                    relation="at most",
                    basis=f"{CHOSEN}: a tenth of a metre over a whole trajectory",
                ),
            ),
            metric(
                "position_speed_largest",
                "Position against integrated speed, largest",
                "m",
                f"{position} {stretches} {along}",
                PUNZO,
            ),
            metric(
                "speed_acceleration_rmse",
                "Speed against integrated acceleration, RMSE",
                "m/s",
                f"{speed} {stretches}",
                PUNZO,
                limit=Limit(
                    threshold=0.1,
                    relation="at most",
                    basis=f"{CHOSEN}: 0.1 m/s over a whole trajectory",
                ),
            ),
            metric(
                "speed_acceleration_largest",
                "Speed against integrated acceleration, largest",
                "m/s",
                f"{speed} {stretches}",
                PUNZO,
            ),
            metric(
                "velocity_backwards",
                "Points that move backwards",
                "%",
                f"100 × points with velocity_y against the direction of travel by more than "
                f"{BACKWARDS:g} m/s / points with a velocity_y (central difference of delivered "
                "positions; reconstructed). Direction: sign of the net displacement of at least "
                f"{HEADING_DISTANCE:g} m; with less, downstream on freeways, left out on "
                "arterials.",
                limit=Limit(
                    threshold=0,
                    relation="at most",
                    basis="reconstructed vehicles do not reverse",
                ),
            ),
        ),
    )


def _platoon() -> MetricSection:
    metric = MetricDefinition
    pairs = (
        "Pairs: rows that name a preceding vehicle which has a row at the same frame; turning "
        "vehicles left out. Front to front distance along the section."
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
                f"below 0 / pairs. {pairs}",
                PUNZO,
                limit=Limit(
                    threshold=0,
                    relation="at most",
                    basis="reconstructed followers do not overlap leaders",
                ),
            ),
            metric("gap_smallest", "Smallest net gap", "m", f"Smallest net gap. {pairs}"),
            metric(
                "headway_rmse",
                "Space headway against positions, RMSE",
                "m",
                "√ of the mean squared difference between space_headway (delivered; "
                f"reconstructed) and the front to front distance. {pairs}",
                limit=Limit(
                    threshold=0.01,
                    relation="at most",
                    basis=f"{CHOSEN}: the table must agree with itself, to its resolution",
                ),
            ),
            metric(
                "leader_absent",
                "Leader not seen at that frame",
                "%",
                "100 × rows whose preceding vehicle has no row at the same frame / rows that "
                "name a preceding vehicle.",
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


def _residual() -> MetricSection:
    metric = MetricDefinition
    observed = (
        "Residual = reconstructed − validated position of points kept as observed "
        "(repaired and imputed ones left out)."
    )
    metrics: list[MetricDefinition] = []
    for axis, title in (("along", "along the section"), ("across", "lateral")):
        metrics += [
            metric(
                f"residual_{axis}_mean",
                f"Residual {title}, mean",
                "m",
                f"Mean residual. {observed}",
                stages=(CLEANED,),
                limit=Limit(
                    threshold=0.05,
                    relation="within",
                    basis=f"{CHOSEN}: cleaning moves no vehicle on the whole",
                ),
            ),
            metric(
                f"residual_{axis}_rmse",
                f"Residual {title}, RMSE",
                "m",
                f"√ of the mean squared residual. {observed}",
                stages=(CLEANED,),
            ),
            metric(
                f"residual_{axis}_mae",
                f"Residual {title}, mean absolute",
                "m",
                f"Mean absolute residual. {observed}",
                stages=(CLEANED,),
            ),
        ]
    return MetricSection(
        "residual",
        "What cleaning changed",
        "How far reconstructed positions lie from delivered ones.",
        tuple(metrics),
    )


def _speed_and_lanes(site: Site) -> MetricSection:
    metric = MetricDefinition
    where = "" if site.arterial else " Only between mainline lanes."
    return MetricSection(
        "speed_and_lanes",
        "Speed and lanes",
        "",
        (
            metric("speed_mean", "Mean speed", "m/s", "Mean over all points (over time)."),
            metric(
                "speed_largest",
                "Largest speed",
                "m/s",
                "Largest over all points.",
                limit=Limit(
                    threshold=site.limits.speed,
                    relation="at most",
                    basis="limits of the site",
                ),
            ),
            metric(
                "lane_changes",
                "Lane changes",
                "changes",
                f"Rows whose lane differs from the vehicle's row before.{where}",
            ),
            metric(
                "lane_changes_stable",
                "Lane changes, stable for 3 s",
                "changes",
                f"Stays in a lane of fewer than {STABLE_FRAMES} frames (first to last) are taken "
                f"out, then changes between the stays left are counted.{where}",
            ),
        ),
    )


def _traffic(site: Site) -> MetricSection:
    metric = MetricDefinition
    area = (
        f"Area = {site.length:g} m × time from the first validated frame to the last, all lanes "
        "and directions; missing frames inside a trajectory are bridged."
    )
    change = "100 × (cleaned / validated − 1) of the figure above."
    limit = Limit(
        threshold=1.0,
        relation="within",
        basis=f"{CHOSEN}: cleaning must not move the traffic it describes",
    )
    cleaned = (CLEANED,)
    return MetricSection(
        "traffic",
        "Traffic",
        "Flow, density and space-mean speed of the whole recording, before and after.",
        (
            metric(
                "edie_flow",
                "Flow",
                "veh/h",
                "Distance travelled by all vehicles (net, along the section) / area × 3600. "
                f"{area}",
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
                f"Distance travelled / time spent. {area}",
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
                f"Cells of {CELL_FRAMES / 10:g} s × {CELL_LENGTH:g} m per lane: mean of "
                "|cleaned − validated| Edie speed, weighted by validated time spent, over cells "
                f"with vehicles in both. Steps over gaps of at least {LONGEST_STEP / 10:g} s are "
                "not counted.",
                EDIE,
                cleaned,
            ),
        ),
    )
