"""Asset checks per partition: what one found, and steps that run several of them.

A check reads what its asset stored, not what the run had in memory. All checks of what one step
builds are one step, since a step costs more than a check.

Belongs here: findings, how Dagster is told of them, the contract of any table. Does not belong
here: which checks there are and how severe each is (a domain's checks.py).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import dagster as dg
import polars as pl

from ngsim_assets.quality.constraints import constraint_rules
from ngsim_assets.storage.schema import Table

Platform = TypeVar("Platform")
Key = TypeVar("Key")

CONTRACT = "Stored rows keep the constraints that the table's Pydantic model declares."


@dataclass(frozen=True)
class Finding:
    """Outcome of one check on one partition.

    Attributes:
        applies: False where the rule does not hold for how the rows were made: what was found is
            told, and refuses nothing. A blocking check that fails holds up all that follows,
            whatever its severity.
        otherwise: why it does not apply.
    """

    name: str
    passed: bool
    detail: str
    values: dict[str, float | int]
    applies: bool = True
    otherwise: str = "does not apply to this method"


@dataclass(frozen=True)
class Planned(Generic[Platform, Key]):
    """A check of one asset; a blocking one that fails stops what is built of the asset."""

    name: str
    asset: str
    description: str
    blocking: bool
    find: Callable[[Platform, Key], Finding]


def keeps_contract(table: Table, rows: pl.LazyFrame) -> Finding:
    """Stored rows keep the constraints that the table's Pydantic model declares."""
    rules = constraint_rules(table.model)
    broken = rows.select(rule.expression.sum().alias(rule.name) for rule in rules).collect()
    counts = {name: int(n) for name, n in broken.row(0, named=True).items() if n}
    return Finding(
        f"{table.name}_keeps_contract",
        not counts,
        ", ".join(f"{name}: {n:,} rows" for name, n in counts.items()) or "no row breaks it",
        {**counts},
    )


def limits_kept(judged: pl.DataFrame) -> Finding:
    """Every quality metric that has a limit keeps it.

    Args:
        judged: name, value and verdict of each metric with a limit.
    """
    outside = judged.filter(~pl.col("passed"))
    names = ", ".join(outside["name"])
    return Finding(
        "limits_kept",
        outside.is_empty(),
        f"{judged.height - outside.height} of {judged.height} limits kept"
        + (f", outside: {names}" if names else ""),
        dict(outside.select("name", "value").iter_rows()),
    )


def step_of_checks(
    name: str,
    planned: Sequence[Planned[Platform, Key]],
    partitions: dg.PartitionsDefinition[Any],
    resource: str,
    opened: Callable[[Any, str, str], tuple[Platform, Key]],
) -> dg.AssetChecksDefinition:
    """One step that runs `planned`.

    Args:
        resource: key of the domain's resource. opened: the platform and the key out of that
            resource, the run's id and the partition.
    """

    @dg.multi_asset_check(
        name=name,
        specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=check.asset,
                blocking=check.blocking,
                partitions_def=partitions,
                description=check.description,
            )
            for check in planned
        ],
        required_resource_keys={resource},
    )
    def run(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        there = getattr(context.resources, resource)
        platform, key = opened(there, context.run.run_id, context.partition_key)
        for check in planned:
            finding = check.find(platform, key)
            severe = dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN
            yield dg.AssetCheckResult(
                check_name=check.name,
                asset_key=check.asset,
                passed=finding.passed or not finding.applies,
                severity=severe,
                description=finding.detail
                if finding.applies
                else f"{finding.detail}; {finding.otherwise}",
                metadata=finding.values,
            )

    return run
