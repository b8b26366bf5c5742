"""Metrics of motion: speed, acceleration, jerk, and their agreement.

Belongs here: words and limits, each limit with its source. Does not belong here: the numbers
that definitions share (metrics.py), any computation (motion_figures.py).
"""

from __future__ import annotations

from ngsim_assets.highway.assessment.metrics import (
    ACCELERATION_QUANTILES,
    ACROSS,
    ACROSS_SHARE,
    BACKWARDS,
    CHOSEN,
    CLIP_TOLERANCE,
    COIFMAN,
    CUT_OFF,
    HARD_ACCELERATION,
    HEADING_DISTANCE,
    JERK_LIMIT,
    JERK_QUIET,
    JERK_WINDOW,
    KALMAN,
    MINIMUM_POINTS,
    MONTANINO,
    PUNZO,
    SPEED_QUANTILES,
    UNUSUAL_ACCELERATION,
    UNUSUAL_DECELERATION,
    VALIDATED,
    WELCH,
    MetricDefinition,
    MetricSection,
)
from ngsim_assets.highway.assessment.spectra import WINDOW
from ngsim_assets.highway.sites import Site
from ngsim_assets.quality.report import Limit


def jerk() -> MetricSection:
    """Jerk by the definitions of Punzo et al. (2011)."""
    metric = MetricDefinition
    sample = (
        "Jerk = difference of acceleration (as delivered; reconstructed) between consecutive "
        f"frames / 0.1 s, in trajectories of at least {MINIMUM_POINTS} points."
    )
    over = f"samples with |jerk| > {JERK_LIMIT:g} m/s³ (49.2126 ft/s³)"
    inverted = (
        f"windows of {JERK_WINDOW} consecutive jerk samples in which the sign changes more than "
        "once / windows; every sample ends one window. Samples of at most "
        f"{JERK_QUIET:g} m/s³ (chosen here: rounding of the delivered 0.01 ft/s²) have no sign."
    )
    # The table has mean, deviation, largest and least share of the trajectories.
    best, theirs = f"best of the filters in {KALMAN}", "there a mean over trajectories"
    each = "Each trajectory's own share, mean over trajectories."
    return MetricSection(
        "jerk",
        "Jerk",
        "People in cars do not bear much jerk: what is beyond 15 m/s³ is noise.",
        (
            metric(
                "jerk_over_15",
                "Jerk over 15 m/s³",
                "%",
                f"100 × {over} / samples. {sample}",
                PUNZO,
                limit=Limit(threshold=0.16, relation="at most", basis=f"{best}, {theirs}"),
            ),
            metric(
                "jerk_over_15_trajectory_mean",
                "Jerk over 15 m/s³, mean of trajectories",
                "%",
                f"100 × {over} / samples. {each} {sample}",
                KALMAN,
            ),
            metric(
                "trajectories_jerk_over_15",
                "Trajectories with jerk over 15 m/s³",
                "%",
                f"100 × trajectories with {over} / trajectories with samples. {sample}",
                PUNZO,
            ),
            metric(
                "jerk_sign_inversions",
                "Windows with more than one inversion of jerk",
                "%",
                f"100 × {inverted} {sample}",
                PUNZO,
                limit=Limit(threshold=13.54, relation="at most", basis=f"{best}, {theirs}"),
            ),
            metric(
                "jerk_sign_inversions_trajectory_mean",
                "Windows with more than one inversion, mean of trajectories",
                "%",
                f"100 × {inverted} {each} {sample}",
                KALMAN,
            ),
            metric(
                "jerk_std",
                "Standard deviation of jerk",
                "m/s³",
                f"√(mean of squares − square of mean) over all samples. {sample}",
                KALMAN,
                limit=Limit(threshold=2.95, relation="at most", basis=best),
            ),
            metric("jerk_largest", "Largest jerk", "m/s³", f"Largest |jerk|. {sample}", KALMAN),
        ),
    )


def acceleration(site: Site) -> MetricSection:
    """Accelerations: how large, how they spread, how much of them is noise."""
    metric = MetricDefinition
    clip = site.limits.clipped_acceleration
    clip_text = "; undefined here" if clip is None else f" of {clip:.3f} m/s²"
    points = "points with an acceleration"
    return MetricSection(
        "acceleration",
        "Acceleration",
        "Delivered v_Acc, and the rate of change of the reconstructed speed.",
        (
            metric(
                "acceleration_over_3",
                "Acceleration over 3 m/s²",
                "%",
                f"100 × points with |acceleration| > {HARD_ACCELERATION:g} m/s² / {points}.",
                COIFMAN,
            ),
            metric(
                "acceleration_over_5",
                "Speeding up by more than 5 m/s²",
                "%",
                f"100 × points with acceleration > {UNUSUAL_ACCELERATION:g} m/s² / {points}.",
                MONTANINO,
            ),
            metric(
                "deceleration_over_6",
                "Slowing down by more than 6 m/s²",
                "%",
                f"100 × points with acceleration < −{UNUSUAL_DECELERATION:g} m/s² / {points}.",
                MONTANINO,
            ),
            metric(
                "acceleration_std",
                "Standard deviation of acceleration",
                "m/s²",
                f"√(mean of squares − square of mean) over all {points}.",
                COIFMAN,
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
            *_quantiles("acceleration", "m/s²", ACCELERATION_QUANTILES),
            _power("acceleration"),
            metric(
                "acceleration_clipped",
                "Acceleration at the clip",
                "%",
                f"100 × points with |delivered acceleration| at the clip{clip_text} (within "
                f"{CLIP_TOLERANCE:g} m/s², half of the delivered step) or beyond / {points}.",
                "measured on delivered rows",
                stages=(VALIDATED,),
            ),
        ),
    )


def speed(site: Site) -> MetricSection:
    """Speeds: how large, how they spread, how much of them is noise."""
    metric = MetricDefinition
    return MetricSection(
        "speed",
        "Speed",
        "Delivered v_Vel, and the length of the reconstructed velocity.",
        (
            metric("speed_mean", "Mean speed", "m/s", "Mean over all points (over time)."),
            metric(
                "speed_std",
                "Standard deviation of speed",
                "m/s",
                "√(mean of squares − square of mean) over all points.",
            ),
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
            *_quantiles("speed", "m/s", SPEED_QUANTILES),
            _power("speed"),
        ),
    )


def _quantiles(name: str, unit: str, shares: tuple[int, ...]) -> list[MetricDefinition]:
    return [
        MetricDefinition(
            f"{name}_p{share}",
            "Median" if share == 50 else f"{share} % quantile",
            unit,
            f"Value of {name} that {share} % of all points do not exceed.",
        )
        for share in shares
    ]


def _power(name: str) -> MetricDefinition:
    return MetricDefinition(
        f"{name}_power_over_1hz",
        f"Variance of {name} above 1 Hz",
        "%",
        f"100 × power of {name} at frequencies over {CUT_OFF:g} Hz / power at all frequencies, in "
        f"the mean spectrum of all segments of {WINDOW:g} s of consecutive frames, half "
        "overlapping, their mean taken off, Hann window. Drivers and vehicles hardly act faster.",
        f"spectrum: {WELCH}; {CUT_OFF:g} Hz: cut-off of the low-pass filter of {MONTANINO}",
    )


def consistency() -> MetricSection:
    """Positions, speeds and accelerations of one trajectory against each other."""
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
