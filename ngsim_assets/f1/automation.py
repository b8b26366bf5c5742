"""When sessions are built by themselves: the conditions of every domain, by this one's recipes.

Belongs here: which recipes are in force, the sensor of this domain's group. Does not belong here:
the conditions (automation/conditions.py), how versions are made (data_versions.py).
"""

from __future__ import annotations

from typing import Final

from ngsim_assets.automation.conditions import Recipe, automation_sensor, rebuild
from ngsim_assets.f1.data_versions import recipe_of
from ngsim_assets.settings import load_settings

GROUP: Final = "f1"


def recipes() -> Recipe:
    """Code and settings in force, read once in a tick."""
    settings = load_settings()
    return lambda asset, partition, code_version: recipe_of(settings, asset, code_version)


REBUILD = rebuild(recipes)

AUTOMATION = automation_sensor(
    "rebuild_sessions",
    group=GROUP,
    description="Builds sessions of Formula 1 whose content changed, and everything that hangs on "
    "them: one run for one session, one backfill for several.",
)
