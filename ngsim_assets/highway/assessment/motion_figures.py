"""Figures of a stage's motion: speed, acceleration, jerk, and whether they fit together.

Belongs here: which measure of a trajectory feeds which metric of motion. Does not belong here:
kernels (track_measures.py, spectra.py, autocorrelation.py), names and limits (catalogue.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from ngsim_assets.highway.assessment import metrics, track_measures
from ngsim_assets.highway.assessment.autocorrelation import autocorrelation, decorrelation_time
from ngsim_assets.highway.assessment.pooling import (
    Figures,
    deviation,
    known,
    largest,
    mean_share,
    percent,
    quantiles,
    ratio,
    rms,
    summed,
)
from ngsim_assets.highway.assessment.spectra import mean_spectrum
from ngsim_assets.highway.assessment.track_measures import FRAME, Floats, Tracks
from ngsim_assets.highway.sites import Site

Mask = npt.NDArray[np.bool_]


def delivered_motion(
    tracks: Tracks, site: Site, y: Floats, speed: Floats, heading: Floats, along: Mask
) -> Figures:
    """Speed and acceleration as delivered: magnitudes along the direction of travel."""
    [acceleration] = tracks.read("acceleration")
    every = np.ones(len(tracks), dtype=np.bool_)
    found = _speed(tracks, speed) | _acceleration(tracks, acceleration)
    found |= _strays(
        track_measures.consistency(tracks, y, speed, heading, along & (heading != 0)),
        "position_speed",
    )
    found |= _strays(
        track_measures.consistency(tracks, speed, acceleration, np.ones(len(tracks)), every),
        "speed_acceleration",
    )
    clip = site.limits.clipped_acceleration
    if clip is not None:
        clipped = track_measures.exceeding(acceleration, clip - metrics.CLIP_TOLERANCE)
        samples = len(acceleration) - int(np.isnan(acceleration).sum())
        found["acceleration_clipped"] = percent(clipped, samples)
    return found


def reconstructed_motion(
    tracks: Tracks, y: Floats, speed: Floats, velocity: Floats, along: Mask
) -> Figures:
    """Speed and acceleration after cleaning; along the section they are signed."""
    [acceleration] = tracks.read("acceleration")
    found = _speed(tracks, speed) | _acceleration(tracks, acceleration)
    del acceleration
    [along_section] = tracks.read("acceleration_along")
    forward, every = np.ones(len(tracks)), np.ones(len(tracks), dtype=np.bool_)
    return (
        found
        | _strays(track_measures.consistency(tracks, y, velocity, forward, along), "position_speed")
        | _strays(
            track_measures.consistency(tracks, velocity, along_section, forward, every),
            "speed_acceleration",
        )
    )


def reversing(tracks: Tracks, velocity: Floats, heading: Floats) -> Figures:
    """Points that move against their trajectory's direction."""
    found = track_measures.backwards(tracks, velocity, heading, metrics.BACKWARDS)
    return {"velocity_backwards": percent(summed(found, "back"), summed(found, "samples"))}


def residual(tracks: Tracks, axis: str, values: Floats) -> Figures:
    """What cleaning moved points kept as seen by, along the section or across it."""
    found = track_measures.moments(tracks, values)
    samples = summed(found, "samples")
    lags, coefficients = autocorrelation(tracks, values, longest=metrics.LONGEST_MEMORY)
    figures: Figures = {
        f"residual_{axis}_mean": ratio(summed(found, "total"), samples),
        f"residual_{axis}_rmse": rms(samples, summed(found, "squares")),
        f"residual_{axis}_mae": ratio(summed(found, "absolute"), samples),
        f"residual_{axis}_largest": largest(found, "largest_absolute", samples),
        f"residual_{axis}_memory": decorrelation_time(lags, coefficients),
    }
    for lag in metrics.RESIDUAL_LAGS:
        figures[metrics.lag_metric(axis, lag)] = known(coefficients[round(lag / FRAME)])
    return figures


def repairs(tracks: Tracks, values: Floats) -> Figures:
    """How far points taken for outliers were moved along the section."""
    found = track_measures.moments(tracks, values)
    samples = summed(found, "samples")
    return {
        "repair_along_rmse": rms(samples, summed(found, "squares")),
        "repair_along_largest": largest(found, "largest_absolute", samples),
    }


def _speed(tracks: Tracks, speed: Floats) -> Figures:
    found = track_measures.moments(tracks, speed)
    samples = summed(found, "samples")
    return {
        "speed_mean": ratio(summed(found, "total"), samples),
        "speed_std": deviation(samples, summed(found, "total"), summed(found, "squares")),
        "speed_largest": largest(found, "largest", samples),
        **_quantiles("speed", speed, metrics.SPEED_QUANTILES),
        "speed_power_over_1hz": _power_above(tracks, speed),
    }


def _acceleration(tracks: Tracks, acceleration: Floats) -> Figures:
    found = track_measures.moments(tracks, acceleration)
    samples = summed(found, "samples")
    hard = track_measures.exceeding(acceleration, metrics.HARD_ACCELERATION)
    faster = int((acceleration > metrics.UNUSUAL_ACCELERATION).sum())
    slower = int((acceleration < -metrics.UNUSUAL_DECELERATION).sum())
    return {
        "acceleration_over_3": percent(hard, samples),
        "acceleration_over_5": percent(faster, samples),
        "deceleration_over_6": percent(slower, samples),
        "acceleration_std": deviation(samples, summed(found, "total"), summed(found, "squares")),
        "acceleration_largest": largest(found, "largest_absolute", samples),
        **_quantiles("acceleration", acceleration, metrics.ACCELERATION_QUANTILES),
        "acceleration_power_over_1hz": _power_above(tracks, acceleration),
        **_jerk(tracks, acceleration),
    }


def _jerk(tracks: Tracks, acceleration: Floats) -> Figures:
    found = track_measures.jerks(
        tracks,
        acceleration,
        limit=metrics.JERK_LIMIT,
        minimum_points=metrics.MINIMUM_POINTS,
        quiet=metrics.JERK_QUIET,
        window=metrics.JERK_WINDOW,
    )
    samples, rough = summed(found, "samples"), found.filter(pl.col("samples") > 0)
    with_any = float((rough["over"].to_numpy() > 0).sum())
    return {
        "jerk_over_15": percent(summed(found, "over"), samples),
        "jerk_over_15_trajectory_mean": mean_share(found, "over", "samples"),
        "trajectories_jerk_over_15": percent(with_any, rough.height),
        "jerk_sign_inversions": percent(summed(found, "inverted"), summed(found, "windows")),
        "jerk_sign_inversions_trajectory_mean": mean_share(found, "inverted", "windows"),
        "jerk_std": deviation(samples, summed(found, "total"), summed(found, "squares")),
        "jerk_largest": largest(found, "largest", samples),
    }


def _strays(found: pl.DataFrame, name: str) -> Figures:
    samples = summed(found, "samples")
    return {
        f"{name}_rmse": rms(samples, summed(found, "squares")),
        f"{name}_largest": largest(found, "largest", samples),
    }


def _quantiles(name: str, values: Floats, shares: tuple[int, ...]) -> Figures:
    found = quantiles(values, [share / 100 for share in shares])
    return {f"{name}_p{share}": value for share, value in zip(shares, found, strict=True)}


def _power_above(tracks: Tracks, values: Floats) -> float | None:
    frequencies, density = mean_spectrum(tracks, values)
    if np.isnan(density[0]):
        return None
    above = float(density[frequencies > metrics.CUT_OFF].sum())
    return percent(above, float(density.sum()))
