"""What the assets of Formula 1 get from Dagster: the domain's places, opened per run.

Belongs here: partitions, the resource, what an instance is told of sessions. Does not belong here:
what is done with them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import dagster as dg

from ngsim_assets.automation.instances import observed, restored, told_of
from ngsim_assets.automation.living_runs import living
from ngsim_assets.automation.versions import NOTHING
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.f1.data_versions import restored_version
from ngsim_assets.f1.delivered import Known, sessions_held, version_of
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.platform import F1Platform, open_f1
from ngsim_assets.f1.recipes import FEEDS
from ngsim_assets.observability import logs
from ngsim_assets.settings import Settings, load_settings

SESSION_PARTITIONS = "f1_session"
_FEEDS = dg.AssetKey(FEEDS)

sessions = dg.DynamicPartitionsDefinition(name=SESSION_PARTITIONS)


class F1Resource(dg.ConfigurableResource[Any]):
    """Lake, deliveries and reports. `data` overrides `NGSIM_DATA`; the rest is `NGSIM_*`."""

    data: str | None = None

    def settings(self) -> Settings:
        """Settings in force: read when a run needs them, not when the code is loaded."""
        return load_settings(data=Path(self.data)) if self.data else load_settings()

    def open(self, run_id: str) -> F1Platform:
        """The domain as a run sees it; opening creates nothing on disk."""
        return open_f1(self.settings(), run_id)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[Any, None, None]:
        """For as long as a run uses it, it can be told that its process lives."""
        run = context.run
        logs.configure_from_environment(again=False)  # a process that Dagster started
        with living(self.settings(), run.run_id) if run is not None else nullcontext():
            yield self


def register_delivered(
    instance: dg.DagsterInstance,
    platform: F1Platform,
    run_id: str = "",
    unread: dict[SessionKey, NgsimAssetsError] | None = None,
) -> list[SessionKey]:
    """Make `instance` know every session that was delivered; those whose content was new to it.

    The observation of `f1_feeds` carries the session's content version as its data version:
    automation compares it with the one its tables were built from. Registering the same content
    again adds no event. What is delivered no more is told, and nothing is built of it.

    Args:
        run_id: the run that took it in, for the observations' metadata.
        unread: is told sessions whose files cannot be read, which are left as they are known.
    """
    told = told_of(instance.event_log_storage, _FEEDS, observed=True)
    known = {partition: version.content for partition, version in told.items()}
    held = sessions_held(platform.store)
    there = set(instance.get_dynamic_partitions(SESSION_PARTITIONS))
    missing = sorted({str(key) for key in held} - there)
    if missing:
        instance.add_dynamic_partitions(SESSION_PARTITIONS, missing)
    for partition in sorted(known.keys() - {str(key) for key in held}):
        if known[partition] != NOTHING:
            observed(instance, FEEDS, partition, NOTHING, {"dagster/row_count": 0})
    news: list[SessionKey] = []
    for key in held:
        try:
            now = version_of(platform, key)
        except NgsimAssetsError as error:
            if unread is None:
                raise
            unread[key] = error
            continue
        if known.get(str(key)) != now.version:
            observed(instance, FEEDS, str(key), now.version, _told(now, run_id))
            news.append(key)
    return news


def report_restored(
    instance: dg.DagsterInstance,
    settings: Settings,
    platform: F1Platform,
    key: SessionKey,
    assets: Iterable[str],
) -> None:
    """Tell Dagster that tables of a session were rolled back, when all of them have been."""
    versions = {asset: restored_version(settings, platform, asset, key) for asset in assets}
    restored(instance, str(key), versions)


def _told(known: Known, run_id: str) -> dict[str, Any]:
    told: dict[str, Any] = {"dagster/row_count": known.messages, "files": known.files}
    if run_id:
        told["taken in by"] = dg.MetadataValue.dagster_run(run_id)
    return told
