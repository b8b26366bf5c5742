"""Figures of a stage's traffic: followers and leaders, headways, flow, density and speed.

Belongs here: which measure of pairs and of the whole recording feeds which metric. Does not
belong here: kernels (platoon.py, cells.py), comparison of stages (changes.py), names and limits
(catalogue.py).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import polars as pl

from ngsim_assets.highway.assessment import metrics
from ngsim_assets.highway.assessment.cells import Cells, Grid
from ngsim_assets.highway.assessment.platoon import pairs, time_headways
from ngsim_assets.highway.assessment.pooling import (
    Figures,
    largest,
    percent,
    quantiles,
    rms,
    summed,
)
from ngsim_assets.highway.assessment.track_measures import FRAME, Floats, Ints, Tracks
from ngsim_assets.highway.flow.cells import Field
from ngsim_assets.highway.flow.waves import wave_speed_of
from ngsim_assets.highway.sites import Site


def platoon(
    tracks: Tracks,
    y: Floats,
    heading: Floats,
    along: npt.NDArray[np.bool_],
    lane: Ints,
    length: Floats,
    headway: Floats,
) -> Figures:
    """Each follower against the vehicle it names."""
    preceding, following = tracks.read("preceding", "following")
    found = pairs(tracks, heading, along, y, lane, length, preceding, following, headway)
    named, absent, gaps = summed(found, "named"), summed(found, "absent"), summed(found, "gaps")
    names_followers = bool((following >= 1).any())
    smallest = float(found["smallest_gap"].to_numpy().min(initial=math.inf))
    headways = summed(found, "headways")
    return {
        "overlaps": percent(summed(found, "overlaps"), gaps),
        "gap_smallest": smallest if gaps else None,
        "headway_rmse": rms(headways, summed(found, "headway_squares")),
        "headway_largest": largest(found, "headway_largest", headways),
        "leader_absent": percent(absent, named),
        "leader_other_lane": percent(summed(found, "other_lane"), named - absent)
        if bool((lane >= 0).any())
        else None,
        "leader_behind": percent(summed(found, "behind"), named - absent),
        "leader_unreciprocated": percent(summed(found, "unreciprocated"), named - absent)
        if names_followers
        else None,
    }


def headways(tracks: Tracks, speed: Floats, space_headway: Floats) -> Figures:
    """How close vehicles follow, and whether headways in space and time tell the same."""
    [time_headway] = tracks.read("time_headway")
    known = len(time_headway) - int(np.isnan(time_headway).sum())
    low, median = quantiles(time_headway, [0.05, 0.5])
    [middle] = quantiles(space_headway, [0.5])
    found = time_headways(tracks, time_headway, speed, space_headway, metrics.MOVING)
    return {
        "space_headway_median": middle,
        "time_headway_median": median,
        "time_headway_p5": low,
        "time_headway_under_0_5": percent(int((time_headway < metrics.SHORT_HEADWAY).sum()), known),
        "time_headway_rmse": rms(summed(found, "samples"), summed(found, "squares")),
    }


def whole_traffic(spans: pl.DataFrame, heading: Floats, site: Site, frames: int) -> Figures:
    """Edie's figures of the whole recording: steps of a trajectory add up to its net movement."""
    extent = site.length * frames * FRAME
    if not extent:
        return {}
    distance = float((spans["net"].to_numpy() * heading).sum())
    time = float((spans["last"].to_numpy() - spans["first"].to_numpy()).sum()) * FRAME
    return {
        "edie_flow": 3600 * distance / extent,
        "edie_density": 1000 * time / extent,
        "edie_speed": distance / time if time else None,
    }


def waves(cells: Cells, grid: Grid) -> Figures:
    """How fast congestion runs through the traffic of a freeway."""
    field = Field(cells.speeds(), grid.cell_frames * FRAME, grid.cell_length)
    found = wave_speed_of(field)
    return {
        "wave_speed": found.speed,
        "wave_speed_low": found.low,
        "wave_speed_high": found.high,
    }
