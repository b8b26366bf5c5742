"""Metrics of rows: what was delivered, what is missing, what changes that must not.

Belongs here: words and limits, each limit with its source. Does not belong here: the numbers
that definitions share (metrics.py), any computation (row_figures.py).
"""

from __future__ import annotations

from ngsim_assets.highway.assessment.metrics import (
    CELL_FRAMES,
    CELL_LENGTH,
    CLEANED,
    DICTIONARY,
    GAP_CLASSES,
    HERE,
    LANE_CHANGES,
    RAW,
    STABLE_FRAMES,
    VALIDATED,
    MetricDefinition,
    MetricSection,
    gap_class_names,
)
from ngsim_assets.highway.sites import Site
from ngsim_assets.quality.report import Limit

# Rules that reject a row because another one tells of the same vehicle at the same time.
DUPLICATES = {
    "exact_duplicate": "an earlier line of its file delivered the same values",
    "duplicate_across_files": "another file delivered the same observation",
    "superseded": "a later delivery gives other values for its vehicle and frame",
    "key_conflict": "its file gives other values for its vehicle and frame, nearer to its track",
}


def rows() -> MetricSection:
    """The account of delivered rows."""
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
                "rows_flagged",
                "Rows flagged",
                "rows",
                "Rows of validated_points that a rule flags.",
                stages=(VALIDATED,),
            ),
            metric(
                "rows_flagged_share",
                "Share of validated rows flagged",
                "%",
                "100 × rows of validated_points that a rule flags / rows of validated_points.",
                stages=(VALIDATED,),
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


def duplicates() -> MetricSection:
    """Rows that tell of one vehicle at one time again, by kind."""
    metrics: list[MetricDefinition] = []
    for rule, meaning in DUPLICATES.items():
        title = rule.replace("_", " ").capitalize()
        metrics += [
            MetricDefinition(
                f"rows_{rule}",
                title,
                "rows",
                f"Rows rejected by rule {rule}: {meaning}.",
                stages=(RAW,),
            ),
            MetricDefinition(
                f"rows_{rule}_share",
                f"{title}, share",
                "%",
                f"100 × rows rejected by rule {rule} / rows delivered.",
                stages=(RAW,),
            ),
        ]
    return MetricSection(
        "duplicates",
        "Duplicates",
        "A vehicle is in one place at a time: of several rows for one frame one is kept.",
        tuple(metrics),
    )


def completeness() -> MetricSection:
    """Frames seen, missing and filled in."""
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
                DICTIONARY,
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
                DICTIONARY,
                stages=(VALIDATED,),
            ),
            metric(
                "trajectories_declared_complete",
                "Trajectories with all of Total_Frames",
                "%",
                "100 × trajectories with at least Total_Frames frames / trajectories whose source "
                "has Total_Frames.",
                DICTIONARY,
                stages=(VALIDATED,),
            ),
            metric(
                "trajectories_beyond_declared",
                "Trajectories with more than Total_Frames",
                "%",
                "100 × trajectories with more than Total_Frames frames / trajectories whose source "
                "has Total_Frames.",
                DICTIONARY,
                stages=(VALIDATED,),
            ),
            metric(
                "trajectories_complete",
                "Trajectories without a missing frame",
                "%",
                "100 × trajectories with every frame from first to last / trajectories.",
            ),
            metric("gaps", "Gaps", "gaps", "Runs of missing frames inside trajectories."),
            metric(
                "gap_longest",
                "Longest gap",
                "s",
                "Most frames missing in a row inside a trajectory × 0.1 s.",
            ),
            *_gap_classes(),
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
            metric(
                "points_moved_apart",
                "Points moved off the leader",
                "points",
                "Points that the step which takes followers off their leaders moved noticeably; "
                "undefined where that step was not taken.",
                stages=(CLEANED,),
            ),
            metric(
                "imputed_longest",
                "Longest stretch imputed",
                "s",
                "Most imputed points in a row inside a trajectory × 0.1 s.",
                stages=(CLEANED,),
            ),
        ),
    )


def _gap_classes() -> list[MetricDefinition]:
    lows = (1, *(end + 1 for end in GAP_CLASSES))
    ends = (*GAP_CLASSES, None)
    found: list[MetricDefinition] = []
    for name, low, high in zip(gap_class_names(), lows, ends, strict=True):
        if high is None:
            frames, length = f"{low} frames and more", f"{low / 10:g} s and more"
        elif low == high:
            frames, length = f"{low} frame", f"{low / 10:g} s"
        else:
            frames, length = f"{low} to {high} frames", f"{low / 10:g} to {high / 10:g} s"
        definition = f"Runs of {frames} missing inside trajectories."
        found.append(MetricDefinition(name, f"Gaps of {length}", "gaps", definition))
    return found


def coverage(site: Site) -> MetricSection:
    """How much of time and space some vehicle was seen in."""
    metric = MetricDefinition
    cells = (
        f"Cells of {CELL_FRAMES / 10:g} s × {CELL_LENGTH:g} m from the first validated frame to "
        f"the last, whose middle is between 0 and {site.length:g} m; seen: a vehicle was in it."
    )
    found = [
        metric(
            "coverage_time",
            "Time covered",
            "%",
            "100 × time during which some vehicle is between its first and last frame / time from "
            "the first validated frame to the last.",
        ),
        metric(
            "coverage_space",
            "Section covered",
            "%",
            f"100 × length of section between the smallest and largest position of some vehicle / "
            f"{site.length:g} m, the length of the section.",
        ),
        metric(
            "coverage_cells",
            "Cells of time and space covered",
            "%",
            f"100 × cells seen / cells, mean over the lanes seen at all. {cells}",
        ),
    ]
    if not site.arterial:
        found += [
            metric(
                f"coverage_lane_{lane}",
                f"Cells covered, lane {lane}, {kind}",
                "%",
                "100 × cells seen / cells, of this lane; cells as for coverage_cells.",
            )
            for lane, kind in site.lanes.items()
        ]
    return MetricSection(
        "coverage",
        "Coverage",
        "Where and when vehicles were seen; in thin traffic a cell can be empty and nothing "
        "missing.",
        tuple(found),
    )


def lanes_and_vehicles(site: Site) -> MetricSection:
    """Changes of lane, and of what a vehicle cannot change."""
    metric = MetricDefinition
    where = "" if site.arterial else " Only between mainline lanes."
    return MetricSection(
        "lanes",
        "Lanes and vehicles",
        "A lane change lasts; class and size of a vehicle stay what they are.",
        (
            metric(
                "lane_changes",
                "Lane changes",
                "changes",
                f"Rows whose lane differs from the vehicle's row before.{where}",
                LANE_CHANGES,
            ),
            metric(
                "lane_changes_stable",
                "Lane changes, stable for 3 s",
                "changes",
                f"Stays in a lane of fewer than {STABLE_FRAMES} frames (first to last) are taken "
                f"out, then changes between the stays left are counted.{where}",
                LANE_CHANGES,
            ),
            metric(
                "lane_corrected",
                "Points whose lane was corrected",
                "%",
                "100 × points whose lane is not the one delivered / points whose lane was "
                "delivered.",
                stages=(CLEANED,),
            ),
            metric(
                "rows_class_changes",
                "Rows of another class than usual",
                "rows",
                "Rows flagged by rule class_changes: the delivered class is not the one the track "
                "usually has (validated rows carry the usual one).",
                stages=(RAW,),
            ),
            *(
                metric(
                    f"trajectories_{name}_changes",
                    f"Trajectories whose {name} changes",
                    "%",
                    f"100 × trajectories with more than one vehicle {name} / trajectories that "
                    f"have one.{finely}",
                    HERE,
                )
                for name, finely in (
                    ("class", ""),
                    ("length", " Within 2 mm is the same."),
                    ("width", " Within 2 mm is the same."),
                )
            ),
            metric(
                "length_spread_largest",
                "Largest change of a vehicle's length",
                "m",
                "Largest difference of the longest and the shortest length inside a trajectory.",
            ),
        ),
    )
