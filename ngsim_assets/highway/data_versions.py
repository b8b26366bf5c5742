"""Data versions: what a partition holds, and what it was made of.

Every materialization carries `<content>.<origin>`. The content stands for the rows; the origin
for the code, the parameters and the contents of all inputs they came out of. Both together let
anyone who sees only versions, as automation does, tell for certain whether a table is up to date:
it is where its origin is the one it would have if it were built now.

A table that was rolled back is told as `<content>.<origin>.<mark>`, with the origin it would have
now: it stays as it is while its inputs stay as they are, and what hangs on it is rebuilt.

Belongs here: how versions are made and read, and which asset is built from which. Does not belong
here: who compares them (automation.py), the versions of tables (storage/versions.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from ngsim_assets.acquisition.content import Content
from ngsim_assets.highway import clean, model
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.sites import SITES
from ngsim_assets.highway.stages import TRAFFIC_GRID, Platform, identity
from ngsim_assets.storage.schema import Table

RAW_FILES = "raw_files"

NOTHING = Content().digest
"""Content of a recording that no file delivers any more; what is stored of it stays."""

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

_DIGITS = 20


class DataVersion(NamedTuple):
    """A data version in its parts; `origin` and `mark` are empty where it has none."""

    content: str
    origin: str = ""
    mark: str = ""

    @classmethod
    def parse(cls, text: str) -> DataVersion:
        """The parts of any data version; one that is not ours is all content."""
        content, _, rest = text.partition(".")
        origin, _, mark = rest.partition(".")
        return cls(content, origin, mark)

    def __str__(self) -> str:
        return ".".join(part for part in self if part)


def table_of(asset: str) -> Table:
    """The table that tells the content of an asset."""
    return model.QUALITY_METRICS if asset == "quality_report" else model.TABLES[asset]


def partition_of(asset: str, key: PartitionKey) -> dict[str, str]:
    """The partition of the asset's table that its stage writes."""
    return {**identity(key), **({"stage": "validated"} if asset == "quarantine" else {})}


def content_of(hashes: Iterable[str]) -> str:
    """One hash for the hashes of a partition's files."""
    return _digest(hashes)


def origin_of(recipe: str, inputs: Mapping[str, str]) -> str:
    """What comes out of this recipe and these contents of the assets it is built from."""
    return _digest([recipe, *(f"{name}={inputs[name]}" for name in sorted(inputs))])


def recipe_of(platform: Platform, asset: str, highway_id: str, code_version: str) -> str:
    """Code and parameters by which an asset of a recording at a highway is built, as one."""
    parameters = parameters_of(platform, asset, highway_id)
    if not parameters:
        return code_version
    return f"{code_version} {_digest([json.dumps(parameters, sort_keys=True)])}"


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


def combined(contents: Mapping[str, str]) -> str:
    """One content for many partitions, as an asset sees them that is built from all of them."""
    return _digest(f"{partition}={contents[partition]}" for partition in sorted(contents))


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


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_DIGITS]
