"""What a quality metric is, and the numbers that their definitions share.

Belongs here: the parameters of measuring, with the source of each, and the shape of a metric's
definition. Does not belong here: the metrics themselves (catalogue.py), any computation
(assess.py, track_measures.py, platoon.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ngsim_assets.quality.report import Limit

PUNZO = "Punzo, Borzacchiello, Ciuffo (2011), Transportation Research C 19"
COIFMAN = "Coifman, Li (2017), Transportation Research B 105: re-extraction of I-80 camera 6"
KALMAN = "adaptive Kalman filter, Journal of Advanced Transportation 2023/2661136, table 2"
EDIE = "Edie (1963), Discussion of traffic stream measurements and definitions"
MONTANINO = "Montanino, Punzo (2013), Transportation Research Record 2390"
WELCH = "Welch (1967), IEEE Transactions on Audio and Electroacoustics 15"
COIFMAN_WANG = (
    "after Coifman, Wang (2005), 16th International Symposium on Transportation and Traffic Theory"
)
BOX = "after Box, Jenkins (1970), Time series analysis: forecasting and control"
DICTIONARY = "FHWA data dictionary (doi:10.21949/1504477)"
LANE_CHANGES = "counts published for I-80 and US-101: all changes, and those stable for 3 s"
HERE = "defined here"
CHOSEN = "chosen here"

MINIMUM_POINTS = 100  # rows of a trajectory that jerk is measured on (Punzo et al. 2011)
JERK_LIMIT = 15.0  # m/s³, 49.2126 ft/s³ (Punzo et al. 2011)
JERK_WINDOW = 11  # samples of a 1 s window, both ends included (Punzo et al. 2011)
# Delivered accelerations are steps of 0.01 ft/s² = 0.003 m/s², 0.03 m/s³ over a frame. A change
# that small is taken for rounding and has no sign: chosen here.
JERK_QUIET = 0.04  # m/s³
HARD_ACCELERATION = 3.0  # m/s² (Coifman and Li 2017)
# m/s²: above what is common in ordinary driving (Montanino and Punzo 2013, after Marczak and
# Buisson 2012 and Thiemann et al. 2008)
UNUSUAL_ACCELERATION = 5.0
UNUSUAL_DECELERATION = 6.0
# Hz: the cut-off of the low-pass that Montanino and Punzo (2013) clean speeds with
CUT_OFF = 1.0
SHORT_HEADWAY = 0.5  # s, chosen here: hardly anybody drives closer for long
MOVING = 1.0  # m/s, chosen here: below it a delivered time headway is mostly rounding
SPEED_QUANTILES = (5, 15, 50, 85, 95)  # %; 85: what speeds of a road are judged by
ACCELERATION_QUANTILES = (1, 5, 50, 95, 99)  # %
GAP_CLASSES = (1, 5, 10, 20, 50)  # frames, longest of each class; gaps beyond are the last one
RESIDUAL_LAGS = (0.1, 1.0)  # s: to the next frame, and over what a driver takes to react
LONGEST_MEMORY = 3.0  # s, chosen here: an error that lasts longer is no noise
STABLE_FRAMES = 30  # 3 s
# Half of the delivered 0.01 ft/s²: a value this close to the clip is at the clip.
CLIP_TOLERANCE = 0.0015  # m/s²
HEADING_DISTANCE = 5.0  # m: less net movement than this tells no direction
ACROSS = 5.0  # m, and
ACROSS_SHARE = 0.1  # of the extent along: sideways movement beyond both leaves the y axis
BACKWARDS = 0.01  # m/s: slower than this is standing
CELL_FRAMES = 300  # 30 s
CELL_LENGTH = 50.0  # m
WAVE_FRAMES = 50  # 5 s, and
WAVE_LENGTH = 20.0  # m: cells that waves are read off (flow/waves.py, WAVE_GRID)
LONGEST_STEP = 10  # frames: a longer gap has no cell to be counted in


def gap_class_names() -> tuple[str, ...]:
    """The metric of each class of gaps, shortest first."""
    middle = (f"gaps_of_{low + 1}_to_{high}_frames" for low, high in pairwise(GAP_CLASSES))
    return ("gaps_of_1_frame", *middle, f"gaps_of_over_{GAP_CLASSES[-1]}_frames")


def lag_metric(axis: str, lag: float) -> str:
    """The metric of a residual's correlation over `lag` seconds, along or across the section."""
    return f"residual_{axis}_correlation_{lag:.1f}s".replace(".", "_")


RAW = "raw"
VALIDATED = "validated"
CLEANED = "cleaned"
BOTH = (VALIDATED, CLEANED)


@dataclass(frozen=True)
class MetricDefinition:
    """One metric: name and meaning, stages it exists at, and the limit it has at some of them.

    Attributes:
        name: key, never changed once published. title: for people. unit: of the value.
        definition: exactly how it is computed.
        source: whose definition that is.
        stages: rows it is measured on. limit, limited_at: what it is held against, and where.
    """

    name: str
    title: str
    unit: str
    definition: str
    source: str = HERE
    stages: tuple[str, ...] = BOTH
    limit: Limit | None = None
    limited_at: tuple[str, ...] = (CLEANED,)

    @property
    def limit_text(self) -> str:
        """The limit with its basis, empty without one."""
        if self.limit is None:
            return ""
        threshold = f"{self.limit.relation} {self.limit.threshold:g} {self.unit}".strip()
        return f"{threshold}: {self.limit.basis}"


@dataclass(frozen=True)
class MetricSection:
    """Metrics that are shown together."""

    name: str
    title: str
    introduction: str
    metrics: tuple[MetricDefinition, ...]
