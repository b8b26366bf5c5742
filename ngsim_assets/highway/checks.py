"""Asset checks of the highway, per recording: what must hold before anything downstream runs.

Belongs here: which facts are compared and how severe a difference is. A check reads what its
asset stored, not what the run had in memory. Blocking checks stop what follows; the others
warn. All checks of one table are one step, since a step costs more than a check.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

import dagster as dg
import polars as pl

from ngsim_assets.automation import checks, failures
from ngsim_assets.automation.checks import CONTRACT, Finding, Planned, step_of_checks
from ngsim_assets.highway import model, reporting, stages
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.reconstruction.methods import METHODS
from ngsim_assets.highway.resources import HighwayPlatform, recordings
from ngsim_assets.highway.sites import SITES
from ngsim_assets.highway.stages import Platform
from ngsim_assets.quality.writing import format_value
from ngsim_assets.storage.schema import Table

# Above this share of rejected rows a recording deserves a look before it is used: the worst
# delivered file on record, the unified export of us-101, has 14.7 % duplicates.
REJECTED_SHARE = 0.20
# Integrating the stored velocity over a step must give the stored positions back to within
# both grids: 2 x 7.6 um plus 0.1 s x 61 um/s, with a factor of ten in hand.
INTEGRATION_TOLERANCE = 2.5e-4


Check = Callable[[Platform, PartitionKey], Finding]


def raw_rows_as_delivered(platform: Platform, key: PartitionKey) -> Finding:
    """Rows stored = rows the landing zone counted while reading the files."""
    delivered = sum(delivery.rows for delivery in platform.landing.deliveries(str(key)))
    stored = reporting.rows_of(platform, model.RAW_TRAJECTORIES, key)
    return Finding(
        "raw_rows_as_delivered",
        delivered == stored,
        f"{delivered:,} delivered, {stored:,} stored",
        {"delivered": delivered, "stored": stored},
    )


def every_row_accounted_for(platform: Platform, key: PartitionKey) -> Finding:
    """Rows raw = rows validated + rows quarantined, to the row."""
    raw = reporting.rows_of(platform, model.RAW_TRAJECTORIES, key)
    valid = reporting.rows_of(platform, model.VALIDATED_POINTS, key)
    refused = reporting.rows_of(platform, model.QUARANTINE, key)
    return Finding(
        "every_row_accounted_for",
        raw == valid + refused,
        f"{raw:,} raw = {valid:,} validated + {refused:,} quarantined"
        if raw == valid + refused
        else f"{raw:,} raw, but {valid:,} validated + {refused:,} quarantined",
        {"raw": raw, "validated": valid, "quarantined": refused},
    )


def rejected_share(platform: Platform, key: PartitionKey) -> Finding:
    """Share of rows in quarantine."""
    raw = reporting.rows_of(platform, model.RAW_TRAJECTORIES, key)
    refused = reporting.rows_of(platform, model.QUARANTINE, key)
    share = refused / raw if raw else 0.0
    return Finding(
        "rejected_share",
        share <= REJECTED_SHARE,
        f"{share:.2%} of the rows are in quarantine, expected at most {REJECTED_SHARE:.0%}",
        {"share": share},
    )


def one_row_per_vehicle_and_frame(platform: Platform, key: PartitionKey) -> Finding:
    """No vehicle is twice in one frame."""
    points = platform.lake.scan(model.VALIDATED_POINTS, stages.identity(key))
    doubled = (
        points.select(pl.struct("vehicle_id", "frame").n_unique().alias("keys"), pl.len())
        .select(pl.col("len") - pl.col("keys"))
        .collect()
        .item()
    )
    return Finding(
        "one_row_per_vehicle_and_frame",
        doubled == 0,
        f"{doubled:,} rows repeat a vehicle and frame",
        {"rows": doubled},
    )


def no_short_gap(platform: Platform, key: PartitionKey) -> Finding:
    """Inside a trajectory frames follow each other, save for gaps over the limit."""
    limit = round(platform.cleaning.gap_limit * 10)
    steps = (
        platform.lake.scan(model.CLEANED_TRAJECTORIES, stages.identity(key))
        .select(
            step=pl.col("frame").diff(),
            same=pl.col("vehicle_id") == pl.col("vehicle_id").shift(),
        )
        .filter("same")
        .select(((pl.col("step") != 1) & (pl.col("step") <= limit)).sum())
        .collect()
        .item()
    )
    return Finding(
        "no_short_gap",
        steps == 0,
        f"{steps:,} steps are neither 0.1 s nor over the limit",
        {"steps": steps},
    )


def velocity_integrates_to_position(platform: Platform, key: PartitionKey) -> Finding:
    """Two central differences of position apart: y(t+1) - y(t-1) = 2 x 0.1 s x v(t).

    It does not apply to a method that estimates velocities by themselves, and says so.
    """
    y, v, frame, vehicle = (
        pl.col(name) for name in ("y_position", "velocity_y", "frame", "vehicle_id")
    )
    inside = (
        (vehicle.shift(1) == vehicle)
        & (vehicle.shift(-1) == vehicle)
        & (frame - frame.shift(1) == 1)
        & (frame.shift(-1) - frame == 1)
    )
    worst = (
        platform.lake.scan(model.CLEANED_TRAJECTORIES, stages.identity(key))
        .select(
            error=((y.shift(-1) - y.shift(1)) - 0.2 * v).abs(),
            inside=inside,
        )
        .filter("inside")
        .select(pl.col("error").max())
        .collect()
        .item()
    ) or 0.0
    made = stages.built(platform, model.CLEANED_TRAJECTORIES, key).provenance
    method = cast("Mapping[str, str]", made.parameters["method"])["label"]
    return Finding(
        "velocity_integrates_to_position",
        worst <= INTEGRATION_TOLERANCE,
        f"largest difference {worst * 1000:.3f} mm, expected at most "
        f"{INTEGRATION_TOLERANCE * 1000:.2f} mm ({method})",
        {"metres": worst},
        applies=method not in METHODS or METHODS[method]().differential,
    )


def acceleration_within_limits(platform: Platform, key: PartitionKey) -> Finding:
    """Reconstructed accelerations are ones a vehicle of this site can do."""
    limit = SITES[key.highway_id].limits.acceleration
    beyond = (
        platform.lake.scan(model.CLEANED_TRAJECTORIES, stages.identity(key))
        .select((pl.col("acceleration_y").abs() > limit).mean())
        .collect()
        .item()
    ) or 0.0
    return Finding(
        "acceleration_within_limits",
        beyond <= 0.001,
        f"{format_value(100 * beyond)} % of the points exceed {limit} m/s²",
        {"share": beyond},
    )


def limits_kept(platform: Platform, key: PartitionKey) -> Finding:
    """Every quality metric that has a limit keeps it."""
    judged = (
        platform.lake.scan(model.QUALITY_METRICS, stages.identity(key))
        .filter(pl.col("passed").is_not_null())
        .sort("metric", "stage")
        .select(pl.format("{} ({})", "metric", "stage").alias("name"), "value", "passed")
        .collect()
    )
    return checks.limits_kept(judged)


def keeps_contract(table: Table, platform: Platform, key: PartitionKey) -> Finding:
    """Stored rows keep the constraints that the table's Pydantic model declares."""
    return checks.keeps_contract(table, platform.lake.scan(table, stages.identity(key)))


def build_checks() -> list[dg.AssetChecksDefinition]:
    """One step of checks per table; every table is held to its model's constraints."""
    return [
        _checks(model.RAW_TRAJECTORIES, blocking=[raw_rows_as_delivered]),
        _checks(
            model.VALIDATED_POINTS,
            blocking=[every_row_accounted_for, one_row_per_vehicle_and_frame],
            warning=[rejected_share],
        ),
        _checks(
            model.CLEANED_TRAJECTORIES,
            blocking=[no_short_gap, velocity_integrates_to_position],
            warning=[acceleration_within_limits],
        ),
        _checks(model.TRAJECTORY_SEGMENTS),
        _checks(model.TRAFFIC_STATE),
        _checks(model.QUALITY_METRICS, warning=[limits_kept], asset="quality_report"),
        nothing_left_failed,
    ]


@dg.asset_check(
    asset="corpus_summary",
    name=failures.NOTHING_LEFT_FAILED,
    description="Every build that failed has succeeded since. Evaluated anew whenever a build "
    "fails, and when the last of those that did is made up for.",
)
def nothing_left_failed(platform: HighwayPlatform) -> dg.AssetCheckResult:
    """No recording is left with a build that failed."""
    found = failures.finding(platform.settings())
    return dg.AssetCheckResult(
        passed=found.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=found.detail,
        metadata={"failed": found.failed},
    )


def _checks(
    table: Table,
    blocking: Sequence[Check] = (),
    warning: Sequence[Check] = (),
    *,
    asset: str | None = None,
) -> dg.AssetChecksDefinition:
    told = asset or table.name
    contract = Planned(
        f"{table.name}_keeps_contract", told, CONTRACT, True, partial(keeps_contract, table)
    )
    return step_of_checks(
        f"{table.name}{failures.CHECKS}",
        [contract, *_planned(told, blocking, True), *_planned(told, warning, False)],
        recordings,
        "platform",
        _opened,
    )


def _planned(
    asset: str, checks_: Sequence[Check], blocking: bool
) -> list[Planned[Platform, PartitionKey]]:
    return [
        Planned(check.__name__, asset, check.__doc__ or "", blocking, check) for check in checks_
    ]


def _opened(
    platform: HighwayPlatform, run_id: str, partition: str
) -> tuple[Platform, PartitionKey]:
    return platform.open(run_id), PartitionKey.parse(partition)
