"""What the highway assets get from Dagster: the platform's places, opened per run.

Belongs here: partitions, the resource, what an instance is told of recordings. Does not belong
here: what is done with them, how an instance is told (automation/instances.py).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import dagster as dg

from ngsim_assets.acquisition.content import Content
from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.automation.instances import DATA_VERSION, observed, told_of
from ngsim_assets.automation.living_runs import living
from ngsim_assets.automation.versions import NOTHING
from ngsim_assets.highway import data_versions
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.sites import SITES
from ngsim_assets.highway.stages import Platform, open_platform
from ngsim_assets.observability import logs
from ngsim_assets.settings import Settings, load_settings

RECORDING_PARTITIONS = "recording"
RAW_FILES = dg.AssetKey(data_versions.RAW_FILES)
_FILES_NAMED = 20
_NO_ROWS = {"dagster/row_count": 0}

# Multi-partition keys join the dimensions in alphabetical order of their names, which is why
# highway stands before recording in `us-101|2005-06-15T0750`.
recordings = dg.MultiPartitionsDefinition(
    {
        "highway": dg.StaticPartitionsDefinition(list(SITES)),
        "recording": dg.DynamicPartitionsDefinition(name=RECORDING_PARTITIONS),
    }
)


class HighwayPlatform(dg.ConfigurableResource[Any]):
    """Lake, landing zone and reports. `data` overrides `NGSIM_DATA`; the rest is `NGSIM_*`."""

    data: str | None = None

    def settings(self) -> Settings:
        """Settings in force: read when a run needs them, not when the code is loaded."""
        return load_settings(data=Path(self.data)) if self.data else load_settings()

    def open(self, run_id: str) -> Platform:
        """The platform as a run sees it; opening creates nothing on disk."""
        return open_platform(self.settings(), run_id)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[Any, None, None]:
        """For as long as a run uses the platform, it can be told that its process lives."""
        run = context.run
        logs.configure_from_environment(again=False)  # a process that Dagster started
        with living(self.settings(), run.run_id) if run is not None else nullcontext():
            yield self


def register(instance: dg.DagsterInstance, key: PartitionKey, data_version: str, rows: int) -> bool:
    """Make `key` a partition of `instance` and record what content it now has.

    The observation of `raw_files` carries the partition's content hash as its data version:
    automation compares it with the one its tables were built from. Returns whether the content
    is new to the instance; registering the same content again adds no event.
    """
    instance.add_dynamic_partitions(RECORDING_PARTITIONS, [key.recording])
    known = instance.get_latest_data_version_record(RAW_FILES, partition_key=str(key))
    if known is not None:
        event = known.asset_observation or known.asset_materialization
        if event is not None and (event.tags or {}).get(DATA_VERSION) == data_version:
            return False
    observed(instance, data_versions.RAW_FILES, str(key), data_version, {"dagster/row_count": rows})
    return True


def register_delivered(
    instance: dg.DagsterInstance, landing: LandingZone, run_id: str = ""
) -> list[PartitionKey]:
    """Make `instance` know everything that `landing` holds; recordings whose content was new to it.

    Args:
        run_id: the run that took it in, for the observations' metadata.

    Whatever was delivered without the instance knowing, by a run that was killed or by another
    installation, is made up for here; and what no file delivers any more is told.
    """
    shares: dict[str, dict[Content, list[str]]] = {}
    unread: dict[str, set[str]] = {}
    for file in landing.files():
        for partition, share in file.partitions.items():
            unread.setdefault(partition, set()).update(file.unread)
            shares.setdefault(partition, {}).setdefault(share.content, []).append(file.name)
    known = told_of(instance.event_log_storage, RAW_FILES, observed=True)
    held = {partition: sum(contents, Content()) for partition, contents in shares.items()}
    news = [
        PartitionKey.parse(partition)
        for partition, content in sorted(held.items())
        if partition not in known or known[partition].content != content.digest
    ]
    there = set(instance.get_dynamic_partitions(RECORDING_PARTITIONS))
    missing = {PartitionKey.parse(partition).recording for partition in held} - there
    if missing:
        instance.add_dynamic_partitions(RECORDING_PARTITIONS, sorted(missing))
    for partition, version in known.items():  # nothing is built of them any more
        if partition not in held and version.content != NOTHING:
            observed(instance, data_versions.RAW_FILES, partition, NOTHING, _NO_ROWS)
    for key in news:
        names = [name for names in shares[str(key)].values() for name in names]
        metadata: dict[str, Any] = {
            "dagster/row_count": held[str(key)].rows,
            "files": names[:_FILES_NAMED],
        }
        if unread[str(key)]:
            metadata["columns not kept"] = sorted(unread[str(key)])
        if run_id:
            metadata["taken in by"] = dg.MetadataValue.dagster_run(run_id)
        observed(instance, data_versions.RAW_FILES, str(key), held[str(key)].digest, metadata)
    return news
