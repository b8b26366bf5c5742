"""A platform whose folder of sessions is watched: real ticks, and real runs in this process.

Belongs here: what the daemon does with sensors and automation, made visible step by step. Does not
belong here: what is expected of it.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

from ngsim_assets.definitions import BUILD_SESSION, build_definitions
from ngsim_assets.f1.automation import AUTOMATION
from ngsim_assets.f1.platform import F1Platform, identity, open_f1
from ngsim_assets.f1.recipes import FEEDS, TABLE_OF
from ngsim_assets.f1.resources import F1Resource
from ngsim_assets.f1.sensors import TAKE_IN_SESSIONS
from ngsim_assets.f1.simulate import Scenario, simulate_to
from ngsim_assets.f1.simulation.scenario import LEAD_IN
from ngsim_assets.highway.resources import HighwayPlatform
from ngsim_assets.settings import Settings, load_settings

MONACO = Scenario("monaco", laps=3, cars=3, seed=12)
SPA = Scenario("spa", laps=2, cars=2, seed=3)
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@cache
def whole_platform() -> dg.Definitions:
    """The whole platform, loaded once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build_definitions()


@dataclass
class Tick:
    """What came of one evaluation of a sensor."""

    requests: list[dg.RunRequest]
    skipped: str


@dataclass
class Watched:
    """A platform in a folder that `NGSIM_DATA` names, an instance, and the sensors' cursors."""

    data: Path
    instance: dg.DagsterInstance
    definitions: dg.Definitions = field(default_factory=whole_platform)
    cursors: dict[str, str | None] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where sessions are dropped."""
        return self.settings.f1_folder

    @property
    def settings(self) -> Settings:
        return load_settings(data=self.data)

    @property
    def platform(self) -> F1Platform:
        return open_f1(self.settings)

    def drop(self, scenario: Scenario, name: str = "") -> Path:
        """Put a small simulated session into the folder, as the archive would have it."""
        key = str(scenario.session)
        simulate_to(self.folder, scenario, telemetry=(LEAD_IN, LEAD_IN + 3_000))
        if not name:
            return self.folder / key
        return (self.folder / key).rename(self.folder / name)

    def copy(self, path: Path, name: str) -> Path:
        """The same files under another name."""
        return Path(shutil.copytree(path, self.folder / name))

    def tick(self, sensor: str = "f1_sessions") -> Tick:
        """Evaluate a sensor as the daemon does: its cursor is kept from tick to tick."""
        repository = self.definitions.get_repository_def()
        with (
            warnings.catch_warnings(),
            dg.build_sensor_context(
                instance=self.instance,
                cursor=self.cursors.get(sensor),
                repository_def=repository,
                resources={"f1": F1Resource(), "platform": HighwayPlatform()},
                sensor_name=sensor,
            ) as context,
        ):
            warnings.simplefilter("ignore")
            done = repository.get_sensor_def(sensor).evaluate_tick(context)
        self.cursors[sensor] = done.cursor
        return Tick(list(done.run_requests or []), done.skip_message or "")

    def take_in(self) -> dict[str, Any]:
        """A tick that asks for a run, and the run; what it says of itself."""
        (request,) = self.tick().requests
        result = self.definitions.resolve_job_def(TAKE_IN_SESSIONS).execute_in_process(
            instance=self.instance,
            tags={**request.tags, "dagster/run_key": str(request.run_key)},
            run_config=_QUIET,
        )
        (event,) = [e for e in result.all_events if e.event_type_value == "STEP_OUTPUT"]
        told = {k: v.value for k, v in event.step_output_data.metadata.items()}
        return {k: _plain(v) for k, v in told.items()}

    def wanted(self) -> dict[str, frozenset[str]]:
        """What one tick of automation asks for, by session; each is one run."""
        asked: dict[str, frozenset[str]] = {}
        for request in self.tick(AUTOMATION.name).requests:
            if request.asset_graph_subset is not None:  # a backfill of several
                for part in request.asset_graph_subset.iterate_asset_partitions():
                    there = asked.get(str(part.partition_key), frozenset())
                    asked[str(part.partition_key)] = there | {part.asset_key.path[-1]}
                continue
            assert request.partition_key not in asked, "two runs of one session"
            names = frozenset(key.path[-1] for key in request.asset_selection or ())
            asked[str(request.partition_key)] = names
        return asked

    def build(self, partition: str, assets: frozenset[str]) -> dg.ExecuteInProcessResult:
        """The run that a tick asked for."""
        return self.definitions.resolve_job_def(BUILD_SESSION).execute_in_process(
            instance=self.instance,
            partition_key=partition,
            asset_selection=[dg.AssetKey(name) for name in assets],
            run_config=_QUIET,
            raise_on_error=False,
        )

    def check(self, result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
        """What a check found in a run."""
        (found,) = [c for c in result.get_asset_check_evaluations() if c.check_name == name]
        return found

    def settle(self) -> list[dict[str, frozenset[str]]]:
        """Tick and work until nothing is asked for; what each tick asked for."""
        waves: list[dict[str, frozenset[str]]] = []
        while wanted := self.wanted():
            waves.append(wanted)
            assert len(waves) < 6, waves
            for partition, assets in wanted.items():
                self.build(partition, assets)
        return waves

    def versions(self, scenario: Scenario) -> dict[str, int]:
        """The version of each table of a session that is live."""
        partition = identity(scenario.session)
        commits = {
            name: self.platform.lake.current(table, partition) for name, table in TABLE_OF.items()
        }
        return {name: commit.version for name, commit in commits.items() if commit is not None}

    def observed(self) -> dict[str, str]:
        """Data version of every session that was observed."""
        found = self.instance.event_log_storage.get_latest_tags_by_partition(
            dg.AssetKey(FEEDS), dg.DagsterEventType.ASSET_OBSERVATION, ["dagster/data_version"]
        )
        return {partition: tags["dagster/data_version"] for partition, tags in found.items()}

    def materialization(self, asset: str) -> Mapping[str, Any]:
        """Metadata of the latest one of an asset, as plain values."""
        event = self.instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert event is not None
        assert event.asset_materialization is not None
        return {k: _plain(v.value) for k, v in event.asset_materialization.metadata.items()}


def _plain(value: Any) -> Any:
    records = getattr(value, "records", None)
    return value if records is None else [dict(record.data) for record in records]
