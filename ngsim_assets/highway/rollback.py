"""Rollback of a recording: its tables as they were, and held so until something new comes.

Belongs here: against what its tables are held, and that its report agrees with them. Does not
belong here: how a rollback is planned, recorded and carried out (storage/rollbacks.py), who
rebuilds what hangs on the tables.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from ngsim_assets.highway.building import alone
from ngsim_assets.highway.data_versions import RAW_FILES
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.reporting import write_report
from ngsim_assets.highway.stages import Platform
from ngsim_assets.highway.staleness import asset_of, inputs_of, would_be_built
from ngsim_assets.highway.states import subject_of
from ngsim_assets.settings import Settings
from ngsim_assets.storage import rollbacks
from ngsim_assets.storage.rollbacks import Contents, Plan, Step

__all__ = ["Plan", "Step", "begun", "carry_out", "forget", "plan", "planned", "unfinished"]


def plan(platform: Platform, key: PartitionKey, wanted: str, table: str | None = None) -> Plan:
    """What `wanted`, see `storage.states.state`, comes to, for a recording or one table of it.

    Raises CannotRollBack where a version is not whole any more. Changes nothing.
    """
    return rollbacks.plan_of(
        platform.lake,
        subject_of(key),
        wanted,
        asset=asset_of(table) if table is not None else None,
        table=table,
        delivered=platform.landing.partition_hash(str(key)),
        program="ngsim rollback",
    )


def planned(
    platform: Platform, settings: Settings, key: PartitionKey, wanted: str, table: str | None = None
) -> Plan:
    """`plan`, or what is left on record of the same rollback, if that was interrupted."""
    left = rollbacks.begun_before(settings.rollbacks, str(key), wanted, table)
    return left or plan(platform, key, wanted, table)


def carry_out(
    platform: Platform, key: PartitionKey, plan: Plan, tell: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Make the planned versions live, and the report's files agree with them; assets restored.

    Args:
        tell: called with the name of each table before it is restored.

    May be called again for the same plan. A table is held against what it would be built from
    now, with this code and these parameters. Raises as `ParquetStorage.restore`.
    """

    def held_against(asset: str, content: Contents) -> tuple[str, ...]:
        return would_be_built(platform, asset, key, inputs_of(asset, content))

    with alone(platform, key):
        restored = rollbacks.carry_out(
            platform.lake, subject_of(key), plan, RAW_FILES, held_against, tell
        )
        if "quality_report" in restored:
            tell("report")
            write_report(platform, key)
    return restored


def begun(settings: Settings, wanted: Plan) -> AbstractContextManager[Plan]:
    """Have a rollback on record while the block runs, see `storage.rollbacks.begun`."""
    return rollbacks.begun(settings.rollbacks, wanted)


def unfinished(settings: Settings) -> list[Plan]:
    """Rollbacks that stopped half-way or are going on, of whatever they are."""
    return rollbacks.unfinished(settings.rollbacks)


def forget(settings: Settings, key: PartitionKey) -> None:
    """A build of the whole recording ends a rollback that stopped half-way."""
    rollbacks.forget(settings.rollbacks, str(key))
