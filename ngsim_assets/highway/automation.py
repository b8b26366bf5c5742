"""When tables of the highway are built by themselves, and what tells Dagster of a rollback.

Belongs here: by which code and parameters they would be built now, the domain's conditions and
sensor. Does not belong here: what the conditions say (automation/conditions.py), how versions are
made (data_versions.py), what a build does.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import dagster as dg

from ngsim_assets.automation.conditions import Recipe, automation_sensor, rebuild, roll_up
from ngsim_assets.automation.instances import restored
from ngsim_assets.highway import stages
from ngsim_assets.highway.data_versions import recipe_of, restored_version
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.stages import Platform, open_platform
from ngsim_assets.settings import load_settings


def recipes() -> Recipe:
    """Code and parameters by which a partition would be built now, with the settings in force."""
    platform = open_platform(load_settings())
    # thousands of recordings, a few sites
    by_site = cache(lambda asset, highway, code: recipe_of(platform, asset, highway, code))

    def recipe(asset: str, partition: str, code_version: str) -> str:
        return by_site(asset, partition.partition("|")[0], code_version)

    return recipe


REBUILD = rebuild(recipes)
"""For the tables of one recording."""

ROLL_UP = roll_up(recipes)
"""For what is made of all recordings."""

AUTOMATION = automation_sensor(
    "rebuild_what_changed",
    group="highway",
    description="Builds recordings whose content changed, and everything that hangs on them: "
    "one run for one recording, one backfill for several.",
)


def report_restored(
    instance: dg.DagsterInstance, platform: Platform, key: PartitionKey, assets: Iterable[str]
) -> None:
    """Tell Dagster that tables of a recording were rolled back, when all of them have been."""
    versions = {
        asset: restored_version(platform, asset, key, stages.CODE_VERSIONS[asset])
        for asset in assets
    }
    restored(instance, str(key), versions)
