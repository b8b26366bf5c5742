"""One simulated recording, delivered, judged and reconstructed by every method.

Belongs here: conditions of a trial and what is measured in it. Does not belong here: the
comparison itself (accuracy.py, detection.py), which trials are made (score.py), limits.

What stands as `raw` are the rows that validation let pass, with v_Vel and v_Acc as delivered:
v_Vel is the central difference of tracked positions, v_Acc that of v_Vel, saturated at the
site's clip. The reconstruction gets exactly these rows, and is not credited with rejected ones.

Vehicles that the truth has in fewer than three frames are left out of the errors: three positions
are the least that an acceleration can be told from, and a vehicle seen once has no speed at all, so
that a single one would outweigh all others where there is no noise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from ngsim_assets.highway.clean import CleaningParameters, clean
from ngsim_assets.highway.formats import RAW_PHYSICAL
from ngsim_assets.highway.reconstruction.methods import method_named
from ngsim_assets.highway.scoring.accuracy import error_sums
from ngsim_assets.highway.scoring.detection import detection, false_alarms
from ngsim_assets.highway.scoring.given import at_frames
from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.simulation.fault_kinds import FAULTS
from ngsim_assets.highway.simulation.faults import inject_faults
from ngsim_assets.highway.simulation.simulated_tables import Traffic
from ngsim_assets.highway.validate import accepted, judge

RAW = "raw"
"""Label of what was delivered, beside the labels of methods."""

_FILE = "simulated.txt"
_LEAST_FRAMES = 3
_ALONG = {"velocity_y": "speed", "acceleration_y": "acceleration"}
_COMPARED = ("vehicle_id", "frame", "x_position", "y_position")


@dataclass(frozen=True, order=True)
class Conditions:
    """What a recording is like; several seeds of it make one row of the tables.

    Attributes:
        highway, congestion, noise: as of `simulate.Scenario`.
        faults: share of rows made faulty, 0 to 0.2.
    """

    highway: str
    congestion: str
    noise: str
    faults: float = 0.0

    def scenario(self, seed: int, minutes: float) -> Scenario:
        """One recording of these conditions; raises CannotSimulate for what is not known."""
        return Scenario(
            highway_id=self.highway,
            minutes=minutes,
            congestion=self.congestion,
            noise=self.noise,
            seed=seed,
        )


@dataclass(frozen=True)
class Measured:
    """What one trial gave.

    Attributes:
        errors: `method` (RAW, then the methods), columns of `accuracy.error_sums`.
        found: `detection.detection`; without rows where nothing was faulty.
        blamed: sound, blamed, touched (Int64), one row, of `detection.false_alarms`.
        by_rule: rule, rows: what sound rows were blamed for.
    """

    errors: pl.DataFrame
    found: pl.DataFrame
    blamed: pl.DataFrame
    by_rule: pl.DataFrame


def measure(
    conditions: Conditions, traffic: Traffic, seed: int, minutes: float, methods: Iterable[str]
) -> Measured:
    """Simulate, judge, and reconstruct by the `methods` (labels of METHODS).

    `traffic`: `simulate.traffic_of` any of the conditions' scenarios of this seed.
    """
    simulation = simulate(conditions.scenario(seed, minutes), traffic)
    scenario = simulation.scenario
    # every kind of fault, those of cells that cannot be read among them
    recording, labels = inject_faults(
        simulation.recording, conditions.faults, seed, kinds=tuple(FAULTS)
    )
    rows = _delivered(recording, labels, scenario)
    # collected once: points, detection and false alarms all ask it
    judged = judge(rows.lazy(), scenario.site, t0=scenario.frame_origin).collect().lazy()
    points = accepted(judged).collect()
    truth = at_frames(simulation.truth.rename({"frame_id": "frame"})).filter(
        pl.len().over("vehicle_id") >= _LEAST_FRAMES
    )
    errors = [
        error_sums(truth, points.select(*_COMPARED, "speed", "acceleration")).select(
            pl.lit(RAW).alias("method"), pl.all()
        )
    ]
    for label in methods:
        parameters = CleaningParameters(method=method_named(label))
        cleaned = clean(points.lazy(), scenario.site, parameters).collect()
        along = cleaned.select(*_COMPARED, *_ALONG, "state").rename(_ALONG)
        sums = error_sums(truth, along)
        errors.append(sums.select(pl.lit(label).alias("method"), pl.all()))
    alarms = false_alarms(labels, judged)
    return Measured(
        errors=pl.concat(errors),
        found=detection(labels, judged),
        blamed=pl.DataFrame(
            {"sound": [alarms.sound], "blamed": [alarms.blamed], "touched": [alarms.touched]},
            schema={"sound": pl.Int64, "blamed": pl.Int64, "touched": pl.Int64},
        ),
        by_rule=alarms.by_rule,
    )


def _delivered(recording: pl.DataFrame, labels: pl.DataFrame, scenario: Scenario) -> pl.DataFrame:
    """Simulated rows as a reader gives them: lines numbered, spoiled cells null with their text."""
    spoiled = labels.filter(pl.col("fault") == "unreadable_cell")
    torn = pl.lit(value=False)
    rows = recording.with_row_index("source_row", offset=1).cast({"source_row": pl.Int64})
    if not spoiled.is_empty():
        cells = spoiled.select("source_row", pl.col("column").alias("_torn"))
        rows = rows.join(cells, on="source_row", how="left", maintain_order="left")
        torn = pl.col("_torn").is_not_null()
        rows = rows.with_columns(
            pl.when(pl.col("_torn").ne_missing(name)).then(pl.col(name)).alias(name)
            for name in spoiled["column"].unique()
        )
    return rows.with_columns(
        pl.lit(scenario.highway_id).alias("highway_id"),
        pl.lit(scenario.recording).alias("recording"),
        pl.lit(scenario.local_start.date()).alias("date"),
        pl.lit(_FILE).alias("source_file"),
        pl.when(torn).then(pl.lit("***")).alias("source_text"),
    ).select(*RAW_PHYSICAL, *_ADDED)


_ADDED = ("highway_id", "recording", "date", "source_file", "source_row", "source_text")
