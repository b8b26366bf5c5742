"""What a Dagster instance is told of partitions, what it tells of them, and what it need not keep.

    observed(instance, "f1_feeds", partition, content, {"messages": 3})  what was delivered
    told_of(instance.event_log_storage, dg.AssetKey("f1_laps"))          latest versions
    inputs_of_all(instance, BUILT_FROM["corpus_summary"])                all partitions as one each
    restored(instance, partition, {"f1_laps": version})                  after a rollback

Belongs here: events with data versions, and cleaning up. Does not belong here: how versions are
made (versions.py), which partitions there are (a domain's resources.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg

from ngsim_assets.automation.versions import DataVersion, combined

DATA_VERSION = "dagster/data_version"
"""Tag of an event that carries a data version."""

_REPOSITORY = "__repository__"
_TICK_LOGS_KEPT = 2 * 86_400.0
_EVALUATIONS_KEPT = 7 * 86_400.0


def told_of(storage: Any, key: dg.AssetKey, *, observed: bool = False) -> dict[str, DataVersion]:
    """The latest data version of each partition of an asset, in one query.

    Args:
        storage: the instance's event log storage. observed: of an observable source.
    """
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    if observed:
        kind = dg.DagsterEventType.ASSET_OBSERVATION
    found = storage.get_latest_tags_by_partition(key, kind, [DATA_VERSION])
    return {name: DataVersion.parse(tags[DATA_VERSION]) for name, tags in found.items()}


def inputs_of_all(instance: dg.DagsterInstance, assets: Iterable[str]) -> dict[str, str]:
    """Contents of all partitions of some assets, as one for each, to make something of them."""
    storage = instance.event_log_storage
    return {name: content_of_all(told_of(storage, dg.AssetKey(name))) for name in assets}


def content_of_all(versions: Mapping[str, DataVersion]) -> str:
    """One content for the contents of many partitions."""
    return combined({name: version.content for name, version in versions.items()})


def observed(
    instance: dg.DagsterInstance,
    asset: str,
    partition: str,
    content: str,
    metadata: Mapping[str, Any],
) -> None:
    """Record what content a partition of an observable source now has."""
    instance.report_runless_asset_event(
        dg.AssetObservation(
            asset_key=dg.AssetKey(asset),
            partition=partition,
            metadata=metadata,
            tags={DATA_VERSION: content},
        )
    )


def restored(instance: dg.DagsterInstance, partition: str, versions: Mapping[str, str]) -> None:
    """Tell that tables of a partition were rolled back, when all of them have been.

    The assets count as up to date while what they are built from stays as it is; what hangs on
    them and was not rolled back with them is rebuilt.

    Args:
        versions: the data version of each asset that was restored, with the origin it would have
            now and a mark (versions.py).
    """
    for asset, version in versions.items():
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset,
                partition=partition,
                description="rolled back",
                tags={DATA_VERSION: version},
            )
        )


def tidy(instance: dg.DagsterInstance) -> int:
    """Remove what Dagster keeps of every tick and would keep for ever; how many log files went.

    A sensor in this package writes a log file per tick, which is thousands a day, and evaluations
    of its automation conditions are purged by nobody else. What runs wrote stays.
    """
    now = time.time()
    storage = instance.schedule_storage
    if storage is not None and storage.supports_auto_materialize_asset_evaluations:
        storage.purge_asset_evaluations(before=now - _EVALUATIONS_KEPT)
    removed = 0
    # <storage>/<repository>/<sensor>/<tick>.err; runs write to <storage>/<run>/compute_logs/
    for path in Path(instance.storage_directory(), _REPOSITORY).rglob("*"):
        with suppress(OSError):
            if path.is_file() and now - path.stat().st_mtime > _TICK_LOGS_KEPT:
                path.unlink()
                removed += 1
    return removed
