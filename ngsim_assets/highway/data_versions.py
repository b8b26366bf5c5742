"""Data versions of recordings: which asset is built from which, and by which recipe.

Belongs here: what each asset is built from, contents as they are now, parameters. Does not belong
here: what a data version is (automation/versions.py), who compares them
(automation/conditions.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ngsim_assets.automation import versions
from ngsim_assets.automation.versions import DataVersion, content_of, origin_of
from ngsim_assets.highway import clean, model
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.sites import SITES
from ngsim_assets.highway.stages import TRAFFIC_GRID, Platform, identity
from ngsim_assets.storage.schema import Table

RAW_FILES = "raw_files"

BUILT_FROM: Mapping[str, tuple[str, ...]] = {
    "raw_trajectories": (RAW_FILES,),
    "validated_points": ("raw_trajectories",),
    "quarantine": ("raw_trajectories",),
    "cleaned_trajectories": ("validated_points",),
    "trajectory_segments": ("cleaned_trajectories", "validated_points"),
    "traffic_state": ("cleaned_trajectories",),
    "quality_report": ("cleaned_trajectories", "validated_points", "quarantine"),
    "corpus_summary": (
        "raw_trajectories",
        "validated_points",
        "quarantine",
        "cleaned_trajectories",
        "trajectory_segments",
        "quality_report",
    ),
}
"""Assets with the assets they are built from, in building order.

The first of them is the one whose content a stage records as its sources."""


def table_of(asset: str) -> Table:
    """The table that tells the content of an asset."""
    return model.QUALITY_METRICS if asset == "quality_report" else model.TABLES[asset]


def partition_of(asset: str, key: PartitionKey) -> dict[str, str]:
    """The partition of the asset's table that its stage writes."""
    return {**identity(key), **({"stage": "validated"} if asset == "quarantine" else {})}


def recipe_of(platform: Platform, asset: str, highway_id: str, code_version: str) -> str:
    """Code and parameters by which an asset of a recording at a highway is built, as one."""
    return versions.recipe_of(code_version, parameters_of(platform, asset, highway_id))


def parameters_of(platform: Platform, asset: str, highway_id: str) -> dict[str, Any]:
    """What decides the rows of an asset beside code and inputs, as its stage records it."""
    parameters: dict[str, Any] = {}
    if asset in {model.VALIDATED_POINTS.name, model.QUARANTINE.name}:
        parameters = asdict(platform.validation)
    elif asset == model.CLEANED_TRAJECTORIES.name:
        parameters = dict(clean.record(SITES[highway_id], platform.cleaning))
    elif asset == model.TRAJECTORY_SEGMENTS.name:
        parameters = asdict(platform.cleaning)
    elif asset == model.TRAFFIC_STATE.name:
        parameters = dict(TRAFFIC_GRID)
    return json.loads(json.dumps(parameters))  # as the log holds them: lists for tuples


def inputs_now(platform: Platform, asset: str, key: PartitionKey) -> dict[str, str]:
    """Contents of what an asset of a recording would be built from now."""
    return {name: _content_now(platform, name, key) for name in BUILT_FROM[asset]}


def restored_version(platform: Platform, asset: str, key: PartitionKey, code_version: str) -> str:
    """Version of an asset whose table was just rolled back, to tell Dagster.

    Call it when all tables of the rollback have been restored.
    """
    commit = platform.lake.current(table_of(asset), partition_of(asset, key))
    content = _content_now(platform, asset, key)
    recipe = recipe_of(platform, asset, key.highway_id, code_version)
    origin = origin_of(recipe, inputs_now(platform, asset, key))
    return str(DataVersion(content, origin, f"restored{commit.version if commit else ''}"))


def _content_now(platform: Platform, asset: str, key: PartitionKey) -> str:
    if asset == RAW_FILES:
        return platform.landing.partition_hash(str(key))
    commit = platform.lake.current(table_of(asset), partition_of(asset, key))
    return content_of(commit.content) if commit is not None else ""
