"""Pictures of a session.

Belongs here: which pictures there are, and in which order a report has them. Does not belong
here: drawing them (pictures/), the document they are in (report.py), metrics (assess.py).

matplotlib is imported when the first picture is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ngsim_assets.f1.assessment.scans import SessionScans
from ngsim_assets.f1.pictures.conditions import track_status, weather
from ngsim_assets.f1.pictures.lap_times import lap_times
from ngsim_assets.f1.pictures.telemetry import telemetry_rate
from ngsim_assets.quality.drawing import Picture
from ngsim_assets.quality.report import Figure

__all__ = ["PICTURES", "lap_times", "session_figures", "telemetry_rate", "track_status", "weather"]

PICTURES: Mapping[str, Callable[[SessionScans], Picture | None]] = {
    "lap-times": lap_times,
    "track-status": track_status,
    "telemetry-rate": telemetry_rate,
    "weather": weather,
}
"""Every picture by name, in the order of a report; None where there is nothing of the kind."""


def session_figures(scans: SessionScans) -> tuple[Figure, ...]:
    """Every picture of a report, in its order."""
    drawn = (draw(scans) for draw in PICTURES.values())
    return tuple(picture.for_report() for picture in drawn if picture is not None)
