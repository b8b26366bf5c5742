"""Pictures of a recording, before and after cleaning.

    recording = Recording(validated, cleaned, site)
    time_space(recording, lanes=[2]).figure          # matplotlib's
    time_space(recording).encoded("pdf")             # bytes of a file

Belongs here: which pictures there are, and in which order a report has them. Does not belong
here: drawing them (pictures/), the document they are in (report.py), metrics (assess.py).

Every function takes scans or frames in the columns of `validated_points` and
`cleaned_trajectories` and reads only the columns it shows. matplotlib is imported when the first
picture is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from ngsim_assets.highway.pictures.completeness import completeness, completeness_map
from ngsim_assets.highway.pictures.distributions import (
    distributions,
    headways,
    jerk_distribution,
    residuals,
)
from ngsim_assets.highway.pictures.fundamental import fundamental_diagram
from ngsim_assets.highway.pictures.heat_maps import heat_maps
from ngsim_assets.highway.pictures.recording import Recording
from ngsim_assets.highway.pictures.spectra import spectra
from ngsim_assets.highway.pictures.time_space import time_space
from ngsim_assets.highway.pictures.vehicle_panel import one_vehicle
from ngsim_assets.highway.sites import Site
from ngsim_assets.quality.drawing import REPORT, Picture, Sheet
from ngsim_assets.quality.report import Figure

__all__ = [
    "PICTURES",
    "REPORT",
    "Picture",
    "Recording",
    "Sheet",
    "completeness",
    "completeness_map",
    "distributions",
    "fundamental_diagram",
    "headways",
    "heat_maps",
    "jerk_distribution",
    "one_vehicle",
    "recording_figures",
    "residuals",
    "spectra",
    "time_space",
]

PICTURES: Mapping[str, Callable[..., Picture]] = {
    "time-space": time_space,
    "heat-maps": heat_maps,
    "fundamental-diagram": fundamental_diagram,
    "distributions": distributions,
    "spectra": spectra,
    "jerk": jerk_distribution,
    "headways": headways,
    "one-vehicle": one_vehicle,
    "residuals": residuals,
    "completeness": completeness,
    "completeness-map": completeness_map,
}
"""Every picture by name, in the order of a report."""


def recording_figures(
    validated: pl.LazyFrame, cleaned: pl.LazyFrame, site: Site
) -> tuple[Figure, ...]:
    """Every picture of a report, in its order."""
    recording = Recording(validated, cleaned, site)
    return tuple(draw(recording).for_report() for draw in PICTURES.values())
