"""What a quality metric is, and the numbers that their definitions share.

Belongs here: the parameters of measuring, with the source of each, and the shape of a metric's
definition. Does not belong here: the metrics themselves (catalogue.py), any computation
(assess.py, track_measures.py, platoon.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from ngsim_assets.quality.report import Limit

PUNZO = "Punzo, Borzacchiello, Ciuffo (2011), Transportation Research C 19"
COIFMAN = "Coifman, Li (2017), Transportation Research B 105: re-extraction of I-80 camera 6"
KALMAN = "adaptive Kalman filter, Journal of Advanced Transportation 2023/2661136, table 2"
EDIE = "Edie (1963), Discussion of traffic stream measurements and definitions"
CHOSEN = "chosen here"

MINIMUM_POINTS = 100  # rows of a trajectory that jerk is measured on (Punzo et al. 2011)
JERK_LIMIT = 15.0  # m/s³, 49.2126 ft/s³ (Punzo et al. 2011)
JERK_WINDOW = 11  # samples of a 1 s window, both ends included
# Delivered accelerations are steps of 0.01 ft/s² = 0.003 m/s², 0.03 m/s³ over a frame. A change
# that small is rounding and has no sign.
JERK_QUIET = 0.04  # m/s³
HARD_ACCELERATION = 3.0  # m/s² (Coifman and Li 2017)
STABLE_FRAMES = 30  # 3 s
# Half of the delivered 0.01 ft/s²: a value this close to the clip is at the clip.
CLIP_TOLERANCE = 0.0015  # m/s²
HEADING_DISTANCE = 5.0  # m: less net movement than this tells no direction
ACROSS = 5.0  # m, and
ACROSS_SHARE = 0.1  # of the extent along: sideways movement beyond both leaves the y axis
BACKWARDS = 0.01  # m/s: slower than this is standing
CELL_FRAMES = 300  # 30 s
CELL_LENGTH = 50.0  # m
LONGEST_STEP = 10  # frames: a longer gap has no cell to be counted in

RAW = "raw"
VALIDATED = "validated"
CLEANED = "cleaned"
BOTH = (VALIDATED, CLEANED)


@dataclass(frozen=True)
class MetricDefinition:
    """One metric: name and meaning, stages it exists at, and the limit it has at some of them."""

    name: str
    title: str
    unit: str
    definition: str
    source: str = ""
    stages: tuple[str, ...] = BOTH
    limit: Limit | None = None
    limited_at: tuple[str, ...] = (CLEANED,)

    @property
    def text(self) -> str:
        """Definition, source and limit as one text, as the table of metrics keeps it."""
        parts = [self.definition]
        if self.source:
            parts.append(f"Definition: {self.source}.")
        if self.limit is not None:
            threshold = f"{self.limit.relation} {self.limit.threshold:g} {self.unit}".strip()
            parts.append(f"Limit, {threshold}: {self.limit.basis}.")
        return " ".join(parts)


@dataclass(frozen=True)
class MetricSection:
    """Metrics that are shown together."""

    name: str
    title: str
    introduction: str
    metrics: tuple[MetricDefinition, ...]
